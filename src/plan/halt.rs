//! The changes that stop and remove containers, those that depend on others first.

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::Action;
use super::draft::Draft;
use super::{Plan, grace};
use crate::compose::Project;
use crate::labels;
use crate::observed::{Container, ContainerState, Observed};

/// Adds the stop of a container, if its process may live; gives the last step that ends it.
pub(super) fn halt(
    draft: &mut Draft,
    container: &Container,
    grace: Duration,
    cause: &str,
    needs: &[usize],
) -> usize {
    let action = Action::StopContainer {
        service: container.service.clone(),
        name: container.name.clone(),
        grace,
    };
    draft.push(action, cause, needs.iter().copied())
}

fn may_live(container: &Container) -> bool {
    container.state.is_running() || matches!(container.state, ContainerState::Restarting { .. })
}

/// Adds stop and removal of a container; gives the position of the removal.
pub(super) fn remove(
    draft: &mut Draft,
    container: &Container,
    grace: Duration,
    cause: &str,
    needs: &[usize],
) -> usize {
    let mut needs = needs.to_vec();
    if may_live(container) {
        needs = vec![halt(draft, container, grace, cause, &needs)];
    }
    let action = Action::RemoveContainer {
        service: container.service.clone(),
        name: container.name.clone(),
    };
    draft.push(action, cause, needs)
}

/// The containers of the project with those that depend on others first; orphans come first of all.
fn stop_order<'a>(project: &Project, observed: &'a Observed) -> Vec<&'a Container> {
    let order = project.start_order();
    let rank = |container: &Container| order.iter().position(|name| *name == container.service);
    let mut containers: Vec<&Container> = observed.containers.iter().collect();
    containers.sort_by_key(|container| {
        (
            rank(container).map_or(usize::MIN, |rank| order.len() - rank),
            container.number(),
            container.name.clone(),
        )
    });
    containers
}

/// Ends containers, each after those that depend on it; gives the last step of each service.
pub(super) fn all(
    draft: &mut Draft,
    project: &Project,
    observed: &Observed,
    is_wanted: &dyn Fn(&Container) -> bool,
    removes: bool,
) -> BTreeMap<String, Vec<usize>> {
    let mut ends: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for container in stop_order(project, observed) {
        if !is_wanted(container) || (!removes && !may_live(container)) {
            continue;
        }
        let service = &container.service;
        let dependants = project.services.iter().filter(|(name, definition)| {
            *name != service && definition.depends_on.contains_key(service)
        });
        let needs: Vec<usize> = dependants
            .filter_map(|(name, _)| ends.get(name))
            .flatten()
            .copied()
            .collect();
        let grace = grace(project, service);
        let at = if removes {
            remove(draft, container, grace, "asked for", &needs)
        } else {
            halt(draft, container, grace, "asked for", &needs)
        };
        ends.entry(service.clone()).or_default().push(at);
    }
    ends
}

/// The changes that stop the services, or all when none is named.
#[must_use]
pub fn stop(project: &Project, observed: &Observed, services: &[String]) -> Plan {
    let mut draft = Draft::default();
    let is_wanted =
        |container: &Container| services.is_empty() || services.contains(&container.service);
    all(&mut draft, project, observed, &is_wanted, false);
    draft.finish()
}

/// The changes that remove the containers and networks of the project; data on the host stays.
#[must_use]
pub fn down(project: &Project, observed: &Observed) -> Plan {
    let mut draft = Draft::default();
    let ends = all(&mut draft, project, observed, &|_| true, true);
    let ends: Vec<usize> = ends.into_values().flatten().collect();
    let own = project
        .networks
        .values()
        .filter(|network| !network.external);
    for network in own {
        for found in observed.networks.get(&network.name).into_iter().flatten() {
            if found.labels.get(labels::PROJECT) == Some(&project.name) {
                let action = Action::RemoveNetwork {
                    name: found.name.clone(),
                    id: found.id.clone(),
                };
                draft.push(action, "asked for", ends.iter().copied());
            }
        }
    }
    draft.finish()
}
