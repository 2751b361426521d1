//! Mounts: the short form `[SOURCE:]TARGET[:OPTIONS]`.

use super::node::{Map, Mark, Node, NodeKind};

/// Words for how mounts inside a bound folder travel between host and container.
const PROPAGATION: [&str; 6] = [
    "shared", "rshared", "slave", "rslave", "private", "rprivate",
];

/// The parts of a short form.
#[derive(Debug, Default)]
struct Parts<'a> {
    source: Option<&'a str>,
    target: &'a str,
    options: &'a str,
    /// Texts of one or two characters are a path and nothing else.
    is_tiny: bool,
}

/// The long form of a short one.
///
/// # Errors
/// What is wrong with the text, in words.
pub(super) fn expand(text: &str, mark: Mark) -> Result<Node, String> {
    let parts = split(text)?;
    let is_bind = parts.source.is_some_and(is_path);
    let put = |map: &mut Map, key: &str, kind: NodeKind| {
        map.insert(key.to_owned(), Node::at(kind, mark));
    };
    let (mut bind, mut volume) = (Map::new(), Map::new());
    let (mut has_bind, mut has_volume) = (is_bind, !is_bind && !parts.is_tiny);
    let mut map = Map::new();
    if is_bind {
        put(&mut bind, "create_host_path", NodeKind::Bool(true));
    }
    for option in parts.options.split(',') {
        match option {
            "ro" => put(&mut map, "read_only", NodeKind::Bool(true)),
            "rw" => {
                map.remove("read_only");
            }
            "nocopy" => {
                has_volume = true;
                put(&mut volume, "nocopy", NodeKind::Bool(true));
            }
            "z" | "Z" => {
                has_bind = true;
                put(&mut bind, "selinux", NodeKind::Text(option.to_owned()));
            }
            word if PROPAGATION.contains(&word) => {
                has_bind = true;
                put(&mut bind, "propagation", NodeKind::Text(word.to_owned()));
            }
            _ => {}
        }
    }
    let kind = if is_bind { "bind" } else { "volume" };
    put(&mut map, "type", NodeKind::Text(kind.to_owned()));
    if let Some(source) = parts.source {
        put(&mut map, "source", NodeKind::Text(source.to_owned()));
    }
    put(&mut map, "target", NodeKind::Text(clean(parts.target)));
    if has_bind {
        put(&mut map, "bind", NodeKind::Map(bind));
    }
    if has_volume {
        put(&mut map, "volume", NodeKind::Map(volume));
    }
    Ok(Node::at(NodeKind::Map(map), mark))
}

/// Where in the container a short form mounts, cleaned; `None` when the form is broken.
pub(super) fn target_of(text: &str) -> Option<String> {
    split(text).ok().map(|parts| clean(parts.target))
}

/// Splits at colons; a single letter before one counts as a drive of Windows.
fn split(text: &str) -> Result<Parts<'_>, String> {
    let mut parts = Parts::default();
    if text.is_empty() {
        return Err("a mount cannot be empty".to_owned());
    }
    if text.chars().count() <= 2 {
        parts.target = text;
        parts.is_tiny = true;
        return Ok(parts);
    }
    let mut sections = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(':') {
        let section = text.get(start..at).unwrap_or_default();
        if is_drive(section) {
            continue;
        }
        sections.push(section);
        start = at + 1;
    }
    sections.push(text.get(start..).unwrap_or_default());
    if sections.iter().any(|section| section.is_empty()) {
        return Err(format!("`{text}` has nothing between two colons"));
    }
    match sections.as_slice() {
        [target] => parts.target = target,
        [source, target] => (parts.source, parts.target) = (Some(*source), target),
        [source, target, options] => {
            (parts.source, parts.target, parts.options) = (Some(*source), target, options);
        }
        _ => return Err(format!("`{text}` has too many colons")),
    }
    Ok(parts)
}

fn is_drive(section: &str) -> bool {
    let mut letters = section.chars();
    letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
}

/// Whether the source of a short form is a path of the host rather than the name of a volume.
fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~', '\\']) || has_drive(source)
}

/// Whether it starts like a path of Windows.
pub(super) fn has_drive(source: &str) -> bool {
    source
        .split_once(':')
        .is_some_and(|(drive, _)| is_drive(drive))
}

/// A path without `.`, `..`, doubled and final slashes, judged by its text alone.
pub(super) fn clean(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    match (is_absolute, parts.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    }
}
