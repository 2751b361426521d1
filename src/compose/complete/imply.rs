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
    // `dns: ${DNS:-}` is no server.
    if let Some(NodeKind::List(servers)) = map.get_mut("dns").map(|node| &mut node.kind) {
        servers.retain(|server| server.text() != Some(""));
        if servers.is_empty() {
            map.remove("dns");
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
        let source = secret.get("source").and_then(Node::printed);
        let target = format!("/run/secrets/{}", source.unwrap_or_default());
        secret
            .entry("target".to_owned())
            .or_insert_with(|| Node::text_at(target, mark));
    }
    count_all(map.get_mut("gpus"));
    count_all(inner(
        map,
        &["deploy", "resources", "reservations", "devices"],
    ));
    for entry in items(inner(map, &["develop", "watch"])) {
        if let Some(entry) = entry.map_mut() {
            entry.entry("exec".to_owned()).or_insert_with(|| {
                let command = Node::new(NodeKind::Null);
                Node::new(NodeKind::Map(Map::from([("command".to_owned(), command)])))
            });
        }
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

/// The value at a path of keys.
fn inner<'a>(map: &'a mut Map, path: &[&str]) -> Option<&'a mut Node> {
    let (first, rest) = path.split_first()?;
    let node = map.get_mut(*first)?;
    if rest.is_empty() {
        Some(node)
    } else {
        inner(node.map_mut()?, rest)
    }
}

fn items(node: Option<&mut Node>) -> &mut [Node] {
    match node.map(|node| &mut node.kind) {
        Some(NodeKind::List(items)) => items,
        _ => &mut [],
    }
}

/// A request for devices that names neither a number nor devices means all.
fn count_all(requests: Option<&mut Node>) {
    for request in items(requests) {
        let mark = request.mark;
        if let Some(request) = request.map_mut()
            && !request.contains_key("device_ids")
        {
            request
                .entry("count".to_owned())
                .or_insert_with(|| Node::at(NodeKind::Integer(-1), mark));
        }
    }
}
