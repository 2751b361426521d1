//! What the specification implies: names, the default network, dependencies of links, profiles,
//! variables from files. And what must hold between the parts of a project.

mod imply;
mod references;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Problem;
use super::interpolate::LookUp;
use super::load::Request;
use super::node::{Map, Mark, Node, NodeKind};
use super::paths::Base;
use imply::imply;
use references::{circle, references, used};
use values::containers;

/// Completes a checked tree and collects what does not hold together.
pub(super) struct Completion<'a> {
    request: &'a Request<'a>,
    name: &'a str,
    pub(super) root: Node,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// The services that no active profile brings, with their profiles.
    pub(super) inactive: BTreeMap<String, Vec<String>>,
}

/// Sections whose entries services refer to.
const SECTIONS: [&str; 4] = ["networks", "volumes", "secrets", "configs"];

impl<'a> Completion<'a> {
    pub(super) fn new(request: &'a Request<'a>, name: &'a str, root: Node) -> Self {
        Self {
            request,
            name,
            root,
            problems: Vec::new(),
            warnings: Vec::new(),
            inactive: BTreeMap::new(),
        }
    }

    pub(super) fn run(&mut self, base: Base<'_>) {
        let mut services = self.take("services");
        let (active, inactive) = services
            .into_iter()
            .partition(|(_, one)| self.is_active(one));
        services = active;
        let inactive: Map = inactive;
        let profiles = |service: &Node| texts(service.get("profiles"));
        let inactive = inactive.into_iter();
        self.inactive = inactive.map(|(name, one)| (name, profiles(&one))).collect();
        for (name, service) in &mut services {
            base.service(service);
            imply(service);
            self.check_service(name, service);
        }
        self.check_dependencies(&services);
        self.check_container_names(&services);
        base.sections(&mut self.root);
        let mut sections: BTreeMap<&str, Map> = BTreeMap::new();
        for section in SECTIONS {
            let defined = self.take(section);
            sections.insert(section, defined);
        }
        if used(&services, "networks").contains("default") {
            let networks = sections.entry("networks").or_default();
            networks
                .entry("default".to_owned())
                .or_insert_with(|| Node::new(NodeKind::Map(Map::new())));
        }
        for section in SECTIONS {
            let mut defined = sections.remove(section).unwrap_or_default();
            self.check_references(section, &services, &defined);
            for (name, entry) in &mut defined {
                self.name_entry(section, name, entry);
                self.check_source(section, name, entry);
            }
            let used = used(&services, section);
            defined.retain(|name, _| used.contains(name));
            if !defined.is_empty() {
                self.put(section, defined);
            }
        }
        for (name, service) in &mut services {
            self.resolve_variables(name, service);
            self.resolve_labels(name, service);
        }
        self.put("services", services);
    }

    fn take(&mut self, section: &str) -> Map {
        let node = self.root.map_mut().and_then(|map| map.remove(section));
        match node.map(|node| node.kind) {
            Some(NodeKind::Map(map)) => map,
            _ => Map::new(),
        }
    }

    fn put(&mut self, section: &str, map: Map) {
        if let Some(root) = self.root.map_mut() {
            root.insert(section.to_owned(), Node::new(NodeKind::Map(map)));
        }
    }

    fn problem(&mut self, path: &str, mark: Mark, text: &str) {
        self.problems.push(Problem::new(path, mark, text));
    }

    fn is_active(&self, service: &Node) -> bool {
        let profiles = texts(service.get("profiles"));
        let active = self.request.profiles;
        profiles.is_empty()
            || active.iter().any(|profile| profile == "*")
            || profiles.iter().any(|profile| active.contains(profile))
    }

    fn check_service(&mut self, name: &str, service: &Node) {
        let path = format!("services.{name}");
        let mark = service.mark;
        let has = |key: &str| service.get(key).is_some();
        if !has("image") && !has("build") && !has("provider") {
            self.problem(&path, mark, "has neither `image` nor `build`");
        }
        if has("network_mode")
            && let Some(networks) = service.get("networks")
        {
            let text = "has `networks` and `network_mode`, which exclude each other";
            self.problem(&path, networks.mark, text);
        }
        if let Some(build) = service.get("build")
            && let Some(inline) = build.get("dockerfile_inline")
            && build.get("dockerfile").is_some()
        {
            let text = "has `dockerfile` and `dockerfile_inline`, which exclude each other";
            self.problem(&format!("{path}.build"), inline.mark, text);
        }
        self.check_targets(&path, service);
        self.check_values(&path, service);
    }

    /// A secret or config comes from one place.
    fn check_source(&mut self, section: &str, name: &str, entry: &Node) {
        if !matches!(section, "secrets" | "configs") {
            return;
        }
        let sources = ["file", "environment", "content"];
        let has = sources.iter().filter(|key| entry.get(key).is_some());
        let path = format!("{section}.{name}");
        match has.count() {
            0 if entry.get("external").is_none() && entry.get("driver").is_none() => {
                let text = "says nowhere where it comes from; give it a `file`";
                self.problem(&path, entry.mark, text);
            }
            0 | 1 => {}
            _ => {
                let text = "has more than one of `file`, `environment` and `content`";
                self.problem(&path, entry.mark, text);
            }
        }
    }

    /// Nothing may be mounted where memory is mounted already.
    fn check_targets(&mut self, path: &str, service: &Node) {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let memory = service
            .get("tmpfs")
            .and_then(Node::list)
            .unwrap_or_default();
        let mut clashes = Vec::new();
        for entry in memory {
            let text = entry.text().unwrap_or_default();
            let target = text.split(':').next().unwrap_or(text).to_owned();
            if !seen.insert(target.clone()) {
                clashes.push((format!("{path}.tmpfs"), entry.mark, target));
            }
        }
        let mounts = service.get("volumes").and_then(Node::list);
        for mount in mounts.unwrap_or_default() {
            let target = mount.get("target").and_then(Node::printed);
            let target = target.unwrap_or_default();
            if seen.contains(&target) {
                clashes.push((format!("{path}.volumes"), mount.mark, target));
            }
        }
        for (path, mark, target) in clashes {
            self.problem(&path, mark, &format!("mounts `{target}` a second time"));
        }
    }

    /// Each container has a name of its own: the one it is given, or `PROJECT-SERVICE-NUMBER`.
    fn check_container_names(&mut self, services: &Map) {
        let mut seen: BTreeMap<&str, (&str, Mark)> = BTreeMap::new();
        let mut clashes = Vec::new();
        for (name, service) in services {
            let Some(node) = service.get("container_name") else {
                continue;
            };
            let container = node.text().unwrap_or_default();
            let mut clash = |name: &str, mark: Mark, other: &str| {
                let text = format!("is `{container}`, the name of the container of `{other}`");
                clashes.push((format!("services.{name}.container_name"), mark, text));
            };
            match seen.insert(container, (name, node.mark)) {
                // What a later file says is what can be changed.
                Some((other, mark)) if mark.file > node.mark.file => clash(other, mark, name),
                Some((other, _)) => clash(name, node.mark, other),
                None => {
                    if let Some(other) = self.numbered(services, container) {
                        clash(name, node.mark, other);
                    }
                }
            }
        }
        for (path, mark, text) in clashes {
            self.problem(&path, mark, &text);
        }
    }

    /// The service without a fixed name one of whose containers gets this name.
    fn numbered<'b>(&self, services: &'b Map, container: &str) -> Option<&'b str> {
        let own = container.strip_prefix(self.name)?.strip_prefix('-')?;
        let (name, number) = own.rsplit_once('-')?;
        let at: i128 = number.parse().ok()?;
        let (name, service) = services.get_key_value(name)?;
        let is_plain = at.to_string() == number && service.get("container_name").is_none();
        (is_plain && (1..=containers(service)).contains(&at)).then_some(name.as_str())
    }

    fn check_dependencies(&mut self, services: &Map) {
        let mut unknown = Vec::new();
        for (name, service) in services {
            for (needed, entry) in service
                .get("depends_on")
                .and_then(Node::map)
                .into_iter()
                .flatten()
            {
                let is_required =
                    entry.get("required").map(|node| &node.kind) != Some(&NodeKind::Bool(false));
                if is_required && !services.contains_key(needed) {
                    unknown.push((name.clone(), needed.clone(), entry.mark));
                }
            }
        }
        for (name, needed, mark) in unknown {
            let path = format!("services.{name}");
            self.problem(
                &path,
                mark,
                &format!("depends on `{needed}`, which is not defined or not active"),
            );
        }
        if let Some(circle) = circle(services) {
            let mark = circle
                .first()
                .and_then(|name| services.get(*name))
                .and_then(|service| service.get("depends_on"))
                .map(|node| node.mark);
            let text = format!(
                "services depend on each other in a circle: {}",
                circle.join(" -> ")
            );
            self.problem("", mark.unwrap_or_default(), &text);
        }
    }

    fn check_references(&mut self, section: &str, services: &Map, defined: &Map) {
        let what = section.trim_end_matches('s');
        let mut unknown = Vec::new();
        for (name, service) in services {
            for (used, mark) in references(service, section) {
                if !defined.contains_key(&used) {
                    unknown.push((name.clone(), used, mark));
                }
            }
        }
        for (name, used, mark) in unknown {
            let text = format!("uses the {what} `{used}`, which is not defined");
            self.problem(&format!("services.{name}"), mark, &text);
        }
    }

    /// Gives an entry the name that the engine knows it by.
    fn name_entry(&mut self, section: &str, key: &str, entry: &mut Node) {
        let mark = entry.mark;
        let path = format!("{section}.{key}");
        let project = self.name;
        let Some(map) = entry.map_mut() else {
            return;
        };
        let legacy = map
            .get("external")
            .and_then(|external| external.get("name"))
            .and_then(Node::printed);
        let is_external = matches!(
            map.get("external").map(|node| &node.kind),
            Some(NodeKind::Bool(true) | NodeKind::Map(_))
        );
        let mut conflict = None;
        if is_external {
            map.insert("external".to_owned(), Node::at(NodeKind::Bool(true), mark));
            conflict = map
                .iter()
                .find(|(key, _)| !matches!(key.as_str(), "external" | "name"))
                .filter(|(key, _)| !key.starts_with("x-"))
                .map(|(key, node)| (key.clone(), node.mark));
        } else {
            map.remove("external");
        }
        let default = if is_external {
            legacy.unwrap_or_else(|| key.to_owned())
        } else {
            format!("{project}_{key}")
        };
        map.entry("name".to_owned())
            .or_insert_with(|| Node::text_at(default, mark));
        if section == "networks" {
            map.entry("ipam".to_owned())
                .or_insert_with(|| Node::at(NodeKind::Map(Map::new()), mark));
        }
        if let Some((key, mark)) = conflict {
            let text = format!("is external, so `{key}` has no place there");
            self.problem(&path, mark, &text);
        }
    }

    /// Fills the environment from `env_file` and from variables handed on.
    fn resolve_variables(&mut self, name: &str, service: &mut Node) {
        let own = pairs(service.get("environment"));
        let written = service.get("environment").and_then(Node::map);
        let marks: BTreeMap<String, Mark> = written
            .into_iter()
            .flatten()
            .map(|(key, node)| (key.clone(), node.mark))
            .collect();
        let mut all: BTreeMap<String, Option<String>> = BTreeMap::new();
        let files = service.map_mut().and_then(|map| map.remove("env_file"));
        for file in files.as_ref().and_then(Node::list).unwrap_or_default() {
            if let Some(entries) = self.read_file(name, file, &own, &all) {
                all.extend(entries);
            }
        }
        for (key, value) in own {
            let value = value.or_else(|| (self.request.variables)(&key));
            all.insert(key, value);
        }
        let Some(map) = service.map_mut() else {
            return;
        };
        map.remove("environment");
        if !all.is_empty() {
            let entries = all.into_iter().map(|(key, value)| {
                let kind = value.map_or(NodeKind::Null, NodeKind::Text);
                let mark = marks.get(&key).copied().unwrap_or_default();
                (key, Node::at(kind, mark))
            });
            let environment = NodeKind::Map(entries.collect());
            map.insert("environment".to_owned(), Node::new(environment));
        }
        if let Some(arguments) = map
            .get_mut("build")
            .and_then(Node::map_mut)
            .and_then(|map| map.get_mut("args"))
            .and_then(Node::map_mut)
        {
            for (key, value) in arguments.iter_mut().filter(|(_, value)| value.is_null()) {
                if let Some(text) = (self.request.variables)(key) {
                    value.kind = NodeKind::Text(text);
                }
            }
            arguments.retain(|_, value| !value.is_null());
        }
    }

    /// Fills the labels from `label_file`; labels that the definition has win.
    fn resolve_labels(&mut self, name: &str, service: &mut Node) {
        let files = service.map_mut().and_then(|map| map.remove("label_file"));
        let mut all: BTreeMap<String, Option<String>> = BTreeMap::new();
        for file in files.as_ref().and_then(Node::list).unwrap_or_default() {
            let place = file.printed().unwrap_or_default();
            let read = (self.request.read)(Path::new(&place)).map_err(|error| error.to_string());
            let read = read.and_then(|text| {
                (self.request.read_variables)(&text, Path::new(&place), &|_| None)
            });
            match read {
                Ok(entries) => all.extend(entries),
                Err(error) => {
                    let text = format!("names the file `{place}`, which cannot be read: {error}");
                    self.problem(&format!("services.{name}.label_file"), file.mark, &text);
                }
            }
        }
        if all.is_empty() {
            return;
        }
        all.extend(pairs(service.get("labels")));
        let labels = all.into_iter().map(|(key, value)| {
            let text = NodeKind::Text(value.unwrap_or_default());
            (key, Node::new(text))
        });
        let labels = Node::new(NodeKind::Map(labels.collect()));
        if let Some(map) = service.map_mut() {
            map.insert("labels".to_owned(), labels);
        }
    }

    fn read_file(
        &mut self,
        name: &str,
        file: &Node,
        own: &BTreeMap<String, Option<String>>,
        earlier: &BTreeMap<String, Option<String>>,
    ) -> Option<Vec<(String, Option<String>)>> {
        let path = format!("services.{name}.env_file");
        let of = |key: &str| file.get(key).and_then(Node::printed).unwrap_or_default();
        let place = of("path");
        let is_optional =
            file.get("required").map(|node| &node.kind) == Some(&NodeKind::Bool(false));
        let text = match (self.request.read)(Path::new(&place)) {
            Ok(text) => text,
            Err(_) if is_optional => return None,
            Err(error) => {
                let text = format!("names the file `{place}`, which cannot be read: {error}");
                self.problem(&path, file.mark, &text);
                return None;
            }
        };
        let outer = self.request.variables;
        if of("format") == "raw" {
            return match raw(&text, outer) {
                Ok(entries) => Some(entries),
                Err(text) => {
                    self.problem(&path, file.mark, &text);
                    None
                }
            };
        }
        let look_up = |name: &str| {
            outer(name)
                .or_else(|| own.get(name).cloned().flatten())
                .or_else(|| earlier.get(name).cloned().flatten())
        };
        match (self.request.read_variables)(&text, Path::new(&place), &look_up) {
            Ok(entries) => Some(
                entries
                    .into_iter()
                    .filter_map(|(key, value)| {
                        let value = value.or_else(|| look_up(&key))?;
                        Some((key, Some(value)))
                    })
                    .collect(),
            ),
            Err(text) => {
                self.problem(&path, file.mark, &text);
                None
            }
        }
    }
}

/// The format `raw`: `KEY=value` with the value as it is, lines of comments, and names alone, which
/// are looked up.
fn raw(text: &str, variables: &LookUp<'_>) -> Result<Vec<(String, Option<String>)>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line, variables(line)),
        };
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(format!("has no sound name on line {}", number + 1));
        }
        entries.extend(value.map(|value| (key.to_owned(), Some(value))));
    }
    Ok(entries)
}

fn texts(node: Option<&Node>) -> Vec<String> {
    let items = node.and_then(Node::list).unwrap_or_default();
    items.iter().filter_map(Node::printed).collect()
}

fn pairs(node: Option<&Node>) -> BTreeMap<String, Option<String>> {
    let map = node.and_then(Node::map).into_iter().flatten();
    map.map(|(key, node)| (key.clone(), node.printed()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_file_keeps_values_and_skips_comments() {
        let variables = |name: &str| (name == "B").then(|| "b".to_owned());
        let read = raw("\u{feff}# no\nA='1' # kept\n  C= x \nB\nD\n", &variables).unwrap();
        let shown: Vec<String> = read
            .into_iter()
            .map(|(key, value)| format!("{key}={}", value.unwrap()))
            .collect();
        assert_eq!(shown, ["A='1' # kept", "C= x ", "B=b"]);
        assert!(raw("=x\n", &variables).is_err());
        assert!(raw("A B=x\n", &variables).is_err());
    }
}
