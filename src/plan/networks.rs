//! Networks that are made anew: the engine changes none that exists. What is in one stops, the network
//! goes and comes, and then the containers are made again. They are removed only when the network is
//! gone: where the engine refuses that, a start brings everything back.

use std::collections::BTreeSet;

use super::UpRequest;
use super::action::Action;
use super::difference::Difference;
use super::draft::Draft;
use crate::compose::Place;
use crate::deployment::Deployment;
use crate::observed::Container;
use crate::observed::Network;
use crate::observed::Observed;

/// A network that is made anew.
#[derive(Debug)]
pub(super) struct Replaced<'a> {
    pub(super) key: &'a str,
    pub(super) network: &'a Network,
    /// Why.
    pub(super) causes: Vec<Difference>,
}

impl Replaced<'_> {
    /// Whether a container is in it.
    pub(super) fn holds(&self, container: &Container) -> bool {
        container.network_ids.contains(&self.network.id)
    }

    fn cause(&self) -> String {
        let causes: Vec<String> = self.causes.iter().map(ToString::to_string).collect();
        causes.join(", ")
    }

    /// Adds its removal.
    pub(super) fn remove(&self, draft: &mut Draft, needs: &[usize]) -> usize {
        let action = Action::RemoveNetwork {
            name: self.network.name.clone(),
            id: self.network.id.clone(),
        };
        draft.push(action, self.cause(), needs.iter().copied())
    }

    /// Adds its creation.
    pub(super) fn create(&self, draft: &mut Draft, removed: usize) -> usize {
        let action = Action::CreateNetwork {
            key: self.key.to_owned(),
            name: self.network.name.clone(),
        };
        draft.push(action, self.cause(), [removed])
    }
}

/// The networks of these services that are not as their definitions say and may be made anew: made for
/// this project, with nobody in them but containers of these services. A check tells of the others.
pub(super) fn replaced<'a>(
    deployment: &'a Deployment,
    observed: &'a Observed,
    request: &UpRequest,
    chosen: &BTreeSet<&str>,
) -> Vec<Replaced<'a>> {
    let project = &deployment.project;
    let is_used = |key: &str| {
        let mut services = project.services.iter();
        services.any(|(name, service)| {
            chosen.contains(name.as_str()) && service.networks.contains_key(key)
        })
    };
    let differing = observed.differing_networks(project).into_iter();
    let replaced = differing.filter(|found| {
        let hindering = observed.hindering(found.network, chosen, request.remove_orphans);
        found.is_ours && is_used(found.key) && hindering.is_empty()
    });
    let replaced = replaced.map(|found| Replaced {
        key: found.key,
        network: found.network,
        causes: found
            .respects
            .into_iter()
            .map(|respect| Difference {
                field: format!("network {} {}", found.network.name, respect.key),
                place: place(deployment, found.key, &respect.key),
                from: Some(respect.from),
                to: Some(respect.to),
            })
            .collect(),
    });
    replaced.collect()
}

/// The line that says it: of the entry, of its key, or of the network.
fn place(deployment: &Deployment, network: &str, key: &str) -> Option<Place> {
    let network = format!("networks.{network}");
    let (first, _) = key.split_once('.').unwrap_or((key, ""));
    let paths = [
        format!("{network}.{key}"),
        format!("{network}.{first}"),
        network,
    ];
    let found = paths.iter().find_map(|path| deployment.origins.get(path))?;
    let file = found.file.strip_prefix(&deployment.root);
    Some(Place {
        file: file.unwrap_or(&found.file).to_path_buf(),
        ..found.clone()
    })
}
