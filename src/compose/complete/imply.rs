//! What one service implies by itself.

use crate::compose::node::{Map, Mark, Node, NodeKind};

/// Dependencies and networks that other keys of a service imply, and words that mean the same.
pub(super) fn imply(service: &mut Node) {
    let mut implied: Vec<(String, bool, Mark)> = Vec::new();
    let links = service
        .get("links")
        .and_then(Node::list)
        .unwrap_or_default();
    for link in links {
        let text = link.text().unwrap_or_default();
        let target = text.split(':').next().unwrap_or(text);
        implied.push((target.to_owned(), true, link.mark));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let node = service.get(key);
        let target = node
            .and_then(Node::text)
            .and_then(|text| text.strip_prefix("service:"));
        if let (Some(node), Some(target)) = (node, target) {
            implied.push((target.to_owned(), true, node.mark));
        }
    }
    for entry in service
        .get("volumes_from")
        .and_then(Node::list)
        .unwrap_or_default()
    {
        let text = entry.text().unwrap_or_default();
        if !text.starts_with("container:") {
            let target = text.split(':').next().unwrap_or(text);
            implied.push((target.to_owned(), false, entry.mark));
        }
    }
    let Some(map) = service.map_mut() else {
        return;
    };
    if !implied.is_empty() {
        let needs = map
            .entry("depends_on".to_owned())
            .or_insert_with(|| Node::new(NodeKind::Map(Map::new())));
        if let Some(needs) = needs.map_mut() {
            for (target, restart, mark) in implied {
                needs
                    .entry(target)
                    .or_insert_with(|| dependency(restart, mark));
            }
        }
    }
    let networks_are_empty = map
        .get("networks")
        .is_none_or(|networks| networks.map().is_none_or(Map::is_empty));
    if networks_are_empty {
        map.remove("networks");
        if !map.contains_key("network_mode") {
            let default = Map::from([("default".to_owned(), Node::new(NodeKind::Null))]);
            map.insert("networks".to_owned(), Node::new(NodeKind::Map(default)));
        }
    }
    if let Some(policy) = map.get_mut("pull_policy")
        && policy.text() == Some("if_not_present")
    {
        policy.kind = NodeKind::Text("missing".to_owned());
    }
    if let Some(deploy) = map.get_mut("deploy").and_then(Node::map_mut) {
        for key in ["resources", "placement"] {
            deploy
                .entry(key.to_owned())
                .or_insert_with(|| Node::new(NodeKind::Map(Map::new())));
        }
    }
    let secrets = match map.get_mut("secrets").map(|node| &mut node.kind) {
        Some(NodeKind::List(items)) => items.as_mut_slice(),
        _ => &mut [],
    };
    for secret in secrets {
        let mark = secret.mark;
        let Some(secret) = secret.map_mut() else {
            continue;
        };
        let of = |key: &str| secret.get(key).and_then(Node::printed);
        let name = of("target").or_else(|| of("source")).unwrap_or_default();
        let target = if name.starts_with('/') {
            name
        } else {
            format!("/run/secrets/{name}")
        };
        secret.insert("target".to_owned(), Node::text_at(target, mark));
    }
    for key in [
        "depends_on",
        "labels",
        "annotations",
        "environment",
        "sysctls",
    ] {
        if map.get(key).and_then(Node::map).is_some_and(Map::is_empty) {
            map.remove(key);
        }
    }
}

fn dependency(restart: bool, mark: Mark) -> Node {
    let mut map = Map::from([
        (
            "condition".to_owned(),
            Node::text_at("service_started", mark),
        ),
        ("required".to_owned(), Node::at(NodeKind::Bool(true), mark)),
    ]);
    if restart {
        map.insert("restart".to_owned(), Node::at(NodeKind::Bool(true), mark));
    }
    Node::at(NodeKind::Map(map), mark)
}
