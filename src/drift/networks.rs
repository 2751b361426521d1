//! Networks that are missing or not as they are defined, and containers that are not in theirs.

use std::collections::BTreeSet;

use super::{Comparison, Drift, Kind, to_second};
use crate::compose::Service;
use crate::observed::Container;

/// Networks that are not there.
pub(super) fn missing(comparison: &Comparison<'_>, found: &mut Vec<Drift>) {
    for network in comparison.deployment.project.networks.values() {
        let name = &network.name;
        let exists = comparison
            .observed
            .networks
            .get(name)
            .is_some_and(|found| !found.is_empty());
        if !exists {
            found.push(Drift {
                kind: Kind::Missing,
                resource: format!("network {name}"),
                expected: "exists".to_owned(),
                found: "does not exist".to_owned(),
                since: None,
                fix: match network.external {
                    true => format!("docker network create {name}"),
                    false => "toolkit up".to_owned(),
                },
            });
        }
    }
}

/// Networks that are not as their definitions say.
pub(super) fn differing(comparison: &Comparison<'_>, found: &mut Vec<Drift>) {
    let project = &comparison.deployment.project;
    for differing in comparison.observed.differing_networks(project) {
        let defined = project.networks.get(differing.key);
        let applied = comparison.applied.map(|applied| &applied.project.networks);
        let is_applied = applied.is_some_and(|all| all.get(differing.key) == defined);
        let respects: Vec<String> = differing.respects.iter().map(ToString::to_string).collect();
        let (kind, expected, since) = match is_applied {
            true => (Kind::ChangedByHand, "what was applied", None),
            false => (
                Kind::NotApplied,
                "what the configuration says",
                comparison.configured.map(to_second),
            ),
        };
        found.push(Drift {
            kind,
            resource: format!("network {}", differing.network.name),
            expected: expected.to_owned(),
            found: respects.join(", "),
            since,
            fix: match differing.is_ours {
                true => "toolkit up",
                false => "give it another `name`, or write `external: true`",
            }
            .to_owned(),
        });
    }
}

/// A container that is not in a network of its definition, or in another one.
pub(super) struct Attachment {
    pub(super) network: String,
    pub(super) expected: String,
    pub(super) is: String,
    pub(super) fix: String,
}

/// Where a container is not in the networks that its definition names.
pub(super) fn attachments(
    comparison: &Comparison<'_>,
    service: &str,
    definition: &Service,
    container: &Container,
) -> Vec<Attachment> {
    let (inside, outside) = (|name: &str| format!("in network `{name}`"), "not connected");
    let networks = &comparison.observed.networks;
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for key in definition.networks.keys() {
        let Some(network) = comparison.deployment.project.networks.get(key) else {
            continue;
        };
        let name = &network.name;
        known.insert(name.as_str());
        let ids = networks.get(name).into_iter().flatten();
        let is_attached = ids
            .map(|network| &network.id)
            .any(|id| container.network_ids.contains(id));
        if !is_attached {
            found.push(Attachment {
                network: name.clone(),
                expected: inside(name),
                is: outside.to_owned(),
                fix: format!(
                    "docker network connect --alias {service} {name} {}",
                    container.name
                ),
            });
        }
    }
    if definition.networks.is_empty() {
        // It shares the network of the host or of another container.
        return found;
    }
    for name in container.addresses.keys() {
        if !known.contains(name.as_str()) {
            found.push(Attachment {
                network: name.clone(),
                expected: outside.to_owned(),
                is: inside(name),
                fix: format!("docker network disconnect {name} {}", container.name),
            });
        }
    }
    found
}
