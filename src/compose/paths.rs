//! Makes the paths of a definition absolute.

use std::path::Path;

use super::mounts;
use super::node::{Node, NodeKind};

/// Where relative paths start, and what `~` stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    /// Folder of relative paths.
    pub(super) folder: &'a Path,
    /// The user's home.
    pub(super) home: Option<&'a str>,
}

impl Base<'_> {
    /// The absolute form of a path; one that is absolute already stays as it is.
    pub(super) fn absolute(&self, path: &str) -> String {
        if let (Some(rest), Some(home)) = (path.strip_prefix('~'), self.home) {
            return mounts::clean(&format!("{home}/{rest}"));
        }
        if path.starts_with('/') || path.starts_with('\\') || mounts::has_drive(path) {
            return path.to_owned();
        }
        mounts::clean(&format!("{}/{path}", self.folder.display()))
    }

    fn make_absolute(&self, node: Option<&mut Node>) {
        if let Some(node) = node
            && let NodeKind::Text(path) = &node.kind
        {
            node.kind = NodeKind::Text(self.absolute(path));
        }
    }

    /// Paths of a service in its long form.
    pub(super) fn service(&self, service: &mut Node) {
        let Some(map) = service.map_mut() else {
            return;
        };
        if let Some(build) = map.get_mut("build").and_then(Node::map_mut) {
            let context = build.get_mut("context");
            let is_remote = context
                .as_ref()
                .and_then(|context| context.text())
                .is_some_and(is_remote);
            if !is_remote {
                self.make_absolute(context);
            }
        }
        let contexts = map
            .get_mut("build")
            .and_then(Node::map_mut)
            .and_then(|map| map.get_mut("additional_contexts"))
            .and_then(Node::map_mut);
        for context in contexts.into_iter().flat_map(|map| map.values_mut()) {
            let is_elsewhere = context
                .text()
                .is_some_and(|text| is_remote(text) || text.starts_with("service:"));
            if !is_elsewhere {
                self.make_absolute(Some(context));
            }
        }
        let watch = map
            .get_mut("develop")
            .and_then(Node::map_mut)
            .and_then(|map| map.get_mut("watch"));
        for entry in items(watch) {
            self.make_absolute(entry.map_mut().and_then(|map| map.get_mut("path")));
        }
        for file in items(map.get_mut("env_file")) {
            self.make_absolute(file.map_mut().and_then(|map| map.get_mut("path")));
        }
        for file in items(map.get_mut("label_file")) {
            self.make_absolute(Some(file));
        }
        for mount in items(map.get_mut("volumes")) {
            let is_bind = mount.get("type").and_then(Node::text) == Some("bind");
            if is_bind {
                self.make_absolute(mount.map_mut().and_then(|map| map.get_mut("source")));
            }
        }
    }

    /// Paths of the sections beside the services.
    pub(super) fn sections(&self, root: &mut Node) {
        let Some(root) = root.map_mut() else {
            return;
        };
        for section in ["secrets", "configs"] {
            let entries = root.get_mut(section).and_then(Node::map_mut);
            for entry in entries.into_iter().flat_map(|map| map.values_mut()) {
                self.make_absolute(entry.map_mut().and_then(|map| map.get_mut("file")));
            }
        }
        let volumes = root.get_mut("volumes").and_then(Node::map_mut);
        for volume in volumes.into_iter().flat_map(|map| map.values_mut()) {
            let is_local = volume.get("driver").and_then(Node::text) == Some("local");
            let options = volume
                .map_mut()
                .and_then(|map| map.get_mut("driver_opts"))
                .and_then(Node::map_mut);
            let Some(options) = options.filter(|_| is_local) else {
                continue;
            };
            let says = |key: &str, value: &str| {
                options.get(key).and_then(Node::printed).as_deref() == Some(value)
            };
            if says("o", "bind") && says("type", "none") {
                self.make_absolute(options.get_mut("device"));
            }
        }
    }
}

fn items(node: Option<&mut Node>) -> &mut [Node] {
    match node.map(|node| &mut node.kind) {
        Some(NodeKind::List(items)) => items,
        _ => &mut [],
    }
}

/// Whether a build context is somewhere else than on this machine.
fn is_remote(context: &str) -> bool {
    [
        "https://",
        "http://",
        "git://",
        "ssh://",
        "git@",
        "github.com/",
        "oci://",
        "docker-image://",
    ]
    .iter()
    .any(|prefix| context.starts_with(prefix))
}
