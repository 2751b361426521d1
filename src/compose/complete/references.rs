//! Which parts of a project services refer to, and circles among them.

use std::collections::BTreeSet;

use crate::compose::node::{Map, Mark, Node};

/// Names of entries of a section that a service refers to, and where.
pub(super) fn references(service: &Node, section: &str) -> Vec<(String, Mark)> {
    let named = |node: Option<&Node>, key: &str| -> Vec<(String, Mark)> {
        let items = node.and_then(Node::list).unwrap_or_default().iter();
        items
            .filter_map(|item| Some((item.get(key)?.printed()?, item.mark)))
            .collect()
    };
    match section {
        "networks" => {
            let map = service
                .get("networks")
                .and_then(Node::map)
                .into_iter()
                .flatten();
            map.map(|(name, node)| (name.clone(), node.mark)).collect()
        }
        "volumes" => {
            let items = service
                .get("volumes")
                .and_then(Node::list)
                .unwrap_or_default();
            let volumes = items
                .iter()
                .filter(|item| item.get("type").and_then(Node::text) == Some("volume"));
            volumes
                .filter_map(|item| Some((item.get("source")?.printed()?, item.mark)))
                .collect()
        }
        "secrets" => {
            let build = service.get("build").and_then(|build| build.get("secrets"));
            let mut all = named(service.get("secrets"), "source");
            all.extend(named(build, "source"));
            all
        }
        _ => named(service.get(section), "source"),
    }
}

/// Names of entries of a section that any service refers to.
pub(super) fn used(services: &Map, section: &str) -> BTreeSet<String> {
    let all = services.values();
    all.flat_map(|service| references(service, section))
        .map(|(name, _)| name)
        .collect()
}

/// A circle of dependencies, its first service again at its end.
pub(super) fn circle(services: &Map) -> Option<Vec<&str>> {
    let needs = |name: &str| -> Vec<&str> {
        let map = services
            .get(name)
            .and_then(|service| service.get("depends_on"))
            .and_then(Node::map);
        map.into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect()
    };
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in services.keys() {
        // Each step holds a service and those of its needs that are still to be followed.
        let mut trail: Vec<(&str, Vec<&str>)> = vec![(start, needs(start))];
        while let Some((name, left)) = trail.last_mut() {
            let name = *name;
            let Some(next) = left.pop() else {
                done.insert(name);
                trail.pop();
                continue;
            };
            if let Some(at) = trail.iter().position(|(on_trail, _)| *on_trail == next) {
                let mut circle: Vec<&str> = trail
                    .get(at..)
                    .unwrap_or_default()
                    .iter()
                    .map(|(name, _)| *name)
                    .collect();
                circle.push(next);
                return Some(circle);
            }
            if !done.contains(next)
                && let Some((known, _)) = services.get_key_value(next)
            {
                trail.push((known.as_str(), needs(next)));
            }
        }
    }
    None
}
