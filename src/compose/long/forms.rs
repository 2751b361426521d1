//! The keys of a service that have short forms of their own.

use std::collections::BTreeSet;

use super::{Converter, joined};
use crate::compose::merge;
use crate::compose::mounts;
use crate::compose::node::{Map, Node, NodeKind};
use crate::compose::ports;
use crate::compose::spec::{self, Shape};

impl Converter {
    pub(super) fn ports(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::List(items) = node.kind else {
            return self.wrong(&node, path, "must be a list of ports");
        };
        let mut all = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let path = format!("{path}[{at}]");
            let mark = item.mark;
            match &item.kind {
                NodeKind::Text(_) | NodeKind::Integer(_) | NodeKind::Float(_) => {
                    match ports::expand(&item.printed().unwrap_or_default(), mark) {
                        Ok(ports) => all.extend(ports),
                        Err(text) => {
                            self.problem(&path, mark, &text);
                        }
                    }
                }
                _ => {
                    let mut item = self.object(item, &spec::PORT, &path);
                    if item.get("target").is_none() && item.map().is_some() {
                        self.problem(&path, mark, "lacks the key `target`");
                    }
                    if let Some(map) = item.map_mut() {
                        let text = |text: &str| Node::text_at(text, mark);
                        map.entry("mode".to_owned())
                            .or_insert_with(|| text("ingress"));
                        map.entry("protocol".to_owned())
                            .or_insert_with(|| text("tcp"));
                    }
                    all.push(item);
                }
            }
        }
        Node::at(NodeKind::List(all), mark)
    }

    pub(super) fn mounts(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::List(items) = node.kind else {
            return self.wrong(&node, path, "must be a list of mounts");
        };
        let mut all = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let path = format!("{path}[{at}]");
            let mark = item.mark;
            let mount = match item.text() {
                Some(text) => match mounts::expand(text, mark) {
                    Ok(mount) => mount,
                    Err(text) => self.problem(&path, mark, &text),
                },
                None => self.object(item, &spec::MOUNT, &path),
            };
            all.push(self.checked_mount(mount, &path));
        }
        Node::at(NodeKind::List(all), mark)
    }

    pub(super) fn checked_mount(&mut self, mut mount: Node, path: &str) -> Node {
        let mark = mount.mark;
        let Some(map) = mount.map_mut() else {
            return mount;
        };
        let kind = map.get("type").and_then(Node::printed).unwrap_or_default();
        let has_source = map.contains_key("source");
        match map.get_mut("target") {
            Some(target) => {
                let cleaned = mounts::clean(target.text().unwrap_or_default());
                target.kind = NodeKind::Text(cleaned);
            }
            None => {
                self.problem(path, mark, "lacks the key `target`");
            }
        }
        if kind == "bind" && !has_source {
            self.problem(path, mark, "binds nothing: it lacks the key `source`");
        }
        if kind == "tmpfs" && has_source {
            self.problem(path, mark, "is of type tmpfs, which takes no `source`");
        }
        mount
    }

    pub(super) fn devices(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::List(items) = node.kind else {
            return self.wrong(&node, path, "must be a list of devices");
        };
        let mut all = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let path = format!("{path}[{at}]");
            let mark = item.mark;
            let Some(text) = item.text() else {
                let mut item = self.object(item, &spec::DEVICE, &path);
                if item.map().is_some() && item.get("target").is_none() {
                    self.problem(&path, mark, "lacks the key `target`");
                }
                if let Some(map) = item.map_mut() {
                    map.entry("permissions".to_owned())
                        .or_insert_with(|| Node::text_at("rwm", mark));
                }
                all.push(item);
                continue;
            };
            let parts: Vec<&str> = text.split(':').collect();
            let (source, target, permissions) = match parts.as_slice() {
                [source] => (*source, *source, "rwm"),
                [source, target] => (*source, *target, "rwm"),
                [source, target, permissions] => (*source, *target, *permissions),
                _ => {
                    self.problem(
                        &path,
                        mark,
                        "is not a device: SOURCE[:TARGET[:PERMISSIONS]]",
                    );
                    continue;
                }
            };
            let map = [
                ("source", source),
                ("target", target),
                ("permissions", permissions),
            ]
            .map(|(key, value)| (key.to_owned(), Node::text_at(value, mark)));
            all.push(Node::at(NodeKind::Map(Map::from(map)), mark));
        }
        Node::at(NodeKind::List(all), mark)
    }

    pub(super) fn depends_on(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let mut all = Map::new();
        match node.kind {
            NodeKind::List(items) => {
                self.check_names(&items, path);
                for item in items {
                    let mark = item.mark;
                    let Some(name) = item.text() else {
                        self.wrong(&item, path, "must be the name of a service");
                        continue;
                    };
                    let condition = Node::text_at("service_started", mark);
                    let map = Map::from([("condition".to_owned(), condition)]);
                    all.insert(name.to_owned(), Node::at(NodeKind::Map(map), mark));
                }
            }
            NodeKind::Map(map) => {
                for (key, value) in map {
                    let path = joined(path, &key);
                    all.insert(key, self.object(value, &spec::DEPENDENCY, &path));
                }
            }
            _ => return self.wrong(&node, path, "must be a list or a mapping of services"),
        }
        for value in all.values_mut() {
            let mark = value.mark;
            if let Some(map) = value.map_mut() {
                map.entry("required".to_owned())
                    .or_insert_with(|| Node::at(NodeKind::Bool(true), mark));
            }
        }
        Node::at(NodeKind::Map(all), mark)
    }

    pub(super) fn networks(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let mut all = Map::new();
        match node.kind {
            NodeKind::List(items) => {
                self.check_names(&items, path);
                for item in items {
                    let mark = item.mark;
                    match item.text() {
                        Some(name) => {
                            all.insert(name.to_owned(), Node::at(NodeKind::Null, mark));
                        }
                        None => {
                            self.wrong(&item, path, "must be the name of a network");
                        }
                    }
                }
            }
            NodeKind::Map(map) => {
                for (key, value) in map {
                    let path = joined(path, &key);
                    let value = match value.kind {
                        NodeKind::Null => value,
                        _ => self.object(value, &spec::ATTACHMENT, &path),
                    };
                    all.insert(key, value);
                }
            }
            _ => return self.wrong(&node, path, "must be a list or a mapping of networks"),
        }
        Node::at(NodeKind::Map(all), mark)
    }

    pub(super) fn build(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let node = match node.kind {
            NodeKind::Text(text) => {
                let map = Map::from([("context".to_owned(), Node::text_at(text, mark))]);
                Node::at(NodeKind::Map(map), mark)
            }
            _ => self.object(node, &spec::BUILD, path),
        };
        let NodeKind::Map(mut map) = node.kind else {
            return node;
        };
        let text = |text: &str| Node::text_at(text, mark);
        map.entry("context".to_owned()).or_insert_with(|| text("."));
        if !map.contains_key("dockerfile_inline") {
            map.entry("dockerfile".to_owned())
                .or_insert_with(|| text("Dockerfile"));
        }
        Node::at(NodeKind::Map(map), mark)
    }

    pub(super) fn env_files(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let items = match node.kind {
            NodeKind::List(items) => items,
            NodeKind::Text(_) => vec![node],
            _ => return self.wrong(&node, path, "must be the path of a file or a list of them"),
        };
        let mut all = Vec::new();
        for item in items {
            let mark = item.mark;
            match &item.kind {
                NodeKind::Text(file) => {
                    let map = Map::from([
                        ("path".to_owned(), Node::text_at(file.clone(), mark)),
                        ("required".to_owned(), Node::at(NodeKind::Bool(true), mark)),
                    ]);
                    all.push(Node::at(NodeKind::Map(map), mark));
                }
                NodeKind::Map(map) if map.get("path").is_some_and(|path| path.text().is_some()) => {
                    let unknown = map.keys().find(|key| {
                        !matches!(key.as_str(), "path" | "required" | "format")
                            && !key.starts_with("x-")
                    });
                    if let Some(key) = unknown {
                        self.problem(path, mark, &format!("has the unknown key `{key}`"));
                    }
                    all.push(item);
                }
                _ => {
                    self.wrong(&item, path, "must be the path of a file");
                }
            }
        }
        Node::at(NodeKind::List(all), mark)
    }

    pub(super) fn extra_hosts(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let items = match node.kind {
            NodeKind::List(_) | NodeKind::Map(_) => merge::sequence(node),
            _ => return self.wrong(&node, path, "must be a list of `HOST=ADDRESS`"),
        };
        let mut all: Vec<Node> = Vec::new();
        for item in items.list().unwrap_or_default() {
            let text = item.printed().unwrap_or_default();
            let split = text.split_once('=').or_else(|| text.split_once(':'));
            let Some((host, address)) = split else {
                self.problem(
                    path,
                    item.mark,
                    &format!("has `{text}`, which names no address"),
                );
                continue;
            };
            let address = match address.strip_prefix('[') {
                Some(rest) => rest.strip_suffix(']').unwrap_or(rest),
                None => address,
            };
            let line = format!("{host}={address}");
            if !all.iter().any(|other| other.text() == Some(line.as_str())) {
                all.push(Node::text_at(line, item.mark));
            }
        }
        all.sort_by(|a, b| host_of(a).cmp(host_of(b)));
        Node::at(NodeKind::List(all), mark)
    }

    pub(super) fn ulimit(&mut self, node: Node, path: &str) -> Node {
        match &node.kind {
            NodeKind::Integer(_) => node,
            NodeKind::Map(map) => {
                let sound = ["soft", "hard"].iter().all(|key| {
                    matches!(
                        map.get(*key).map(|value| &value.kind),
                        Some(NodeKind::Integer(_))
                    )
                });
                if sound {
                    node
                } else {
                    self.problem(path, node.mark, "needs the numbers `soft` and `hard`")
                }
            }
            _ => self.wrong(&node, path, "must be a number, or `soft` and `hard`"),
        }
    }

    pub(super) fn grants(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::List(items) = node.kind else {
            return self.wrong(&node, path, "must be a list");
        };
        let mut all = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let mark = item.mark;
            all.push(match item.text() {
                Some(name) => {
                    let source = Node::text_at(name, mark);
                    Node::at(
                        NodeKind::Map(Map::from([("source".to_owned(), source)])),
                        mark,
                    )
                }
                None => self.object(item, &spec::GRANT, &format!("{path}[{at}]")),
            });
        }
        Node::at(NodeKind::List(all), mark)
    }

    pub(super) fn gpus(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        match node.text() {
            Some("all") => {
                let count = Node::at(NodeKind::Integer(-1), mark);
                let request = NodeKind::Map(Map::from([("count".to_owned(), count)]));
                Node::at(NodeKind::List(vec![Node::at(request, mark)]), mark)
            }
            Some(_) => self.wrong(&node, path, "must be `all` or a list"),
            None => self.list(node, Shape::Object(&spec::DEVICE_REQUEST), path),
        }
    }

    /// Docker Compose writes these keys with a capital, as its structure has them.
    pub(super) fn throttles(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::List(items) = node.kind else {
            return self.wrong(&node, path, "must be a list of devices");
        };
        let mut all = Vec::new();
        for item in items {
            let mark = item.mark;
            let mut map = Map::new();
            for (key, value) in item.map().into_iter().flatten() {
                let path = joined(path, key);
                let (name, shape) = match key.as_str() {
                    "path" => ("Path", Shape::Text),
                    "rate" => ("Rate", Shape::Size),
                    "weight" => ("Weight", Shape::Integer),
                    _ => {
                        self.problem(&path, value.mark, "is not a key of the specification");
                        continue;
                    }
                };
                map.insert(name.to_owned(), self.convert(value.clone(), shape, &path));
            }
            all.push(Node::at(NodeKind::Map(map), mark));
        }
        Node::at(NodeKind::List(all), mark)
    }

    /// A list of names in which none stands twice.
    fn check_names(&mut self, items: &[Node], path: &str) {
        let mut seen = BTreeSet::new();
        for item in items {
            let Some(text) = item.printed() else {
                continue;
            };
            if !seen.insert(text.clone()) {
                self.problem(path, item.mark, &format!("holds `{text}` twice"));
            }
        }
    }

    pub(super) fn health_test(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        if let Some(line) = node.text() {
            let words = ["CMD-SHELL", line].map(|word| Node::text_at(word, mark));
            return Node::at(NodeKind::List(words.to_vec()), mark);
        }
        let node = self.list(node, Shape::Text, path);
        let first = node.list().and_then(<[Node]>::first).and_then(Node::text);
        match first {
            None | Some("CMD" | "CMD-SHELL" | "NONE") => node,
            Some(_) => self.problem(path, mark, "must start with CMD, CMD-SHELL or NONE"),
        }
    }

    pub(super) fn external(&mut self, node: Node, path: &str) -> Node {
        match &node.kind {
            NodeKind::Bool(_) => node,
            NodeKind::Map(map) if map.keys().all(|key| key == "name") => node,
            _ => self.wrong(&node, path, "must be `true` or `false`"),
        }
    }
}

fn host_of(node: &Node) -> &str {
    node.text()
        .and_then(|text| text.split('=').next())
        .unwrap_or_default()
}
