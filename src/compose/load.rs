//! From YAML to a [`Project`]: short forms become long forms, links become dependencies, services
//! join the default network, names are derived.
//!
//! The rules are those of Docker Compose 2.40 (`docker compose config`).

use std::collections::BTreeMap;

use thiserror::Error;

use super::node::{self, Node, NodeKind, YamlError};
use super::{
    Attachment, Condition, Dependency, Environment, Healthcheck, Mount, MountSource, Network, Port,
    Project, Service, SpecDuration, Volume,
};

/// Why a definition cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The text is not YAML.
    #[error("the definition is not YAML")]
    Yaml(#[from] YamlError),
    /// A value is not what the specification wants there.
    #[error("line {line}: `{path}` {problem}")]
    Form {
        /// Path of keys to the value.
        path: String,
        /// Line of the value, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A service needs one that is not defined.
    #[error("service `{service}` depends on `{needed}`, which is not defined")]
    UnknownDependency {
        /// The service.
        service: String,
        /// What it needs.
        needed: String,
    },
    /// Services need each other in a circle.
    #[error("services depend on each other in a circle: {0}")]
    Cycle(String),
}

/// Loads the text of one definition as the project `name`.
///
/// # Errors
/// See [`LoadError`].
pub fn project(text: &str, name: &str) -> Result<Project, LoadError> {
    let root = node::parse(text)?;
    let mut project = Project {
        name: name.to_owned(),
        ..Project::default()
    };
    for (key, value) in entries(&root, "")? {
        match key.as_str() {
            "services" => {
                for (service, node) in entries(value, "services")? {
                    let loaded = service_from(node, &format!("services.{service}"))?;
                    project.services.insert(service.clone(), loaded);
                }
            }
            "networks" => {
                for (network, node) in entries(value, "networks")? {
                    project
                        .networks
                        .insert(network.clone(), network_from(node, network, name)?);
                }
            }
            "volumes" => {
                for (volume, node) in entries(value, "volumes")? {
                    project
                        .volumes
                        .insert(volume.clone(), volume_from(node, volume, name)?);
                }
            }
            _ => return Err(form(value, key, "is not a key of a definition")),
        }
    }
    complete(&mut project);
    check_dependencies(&project)?;
    Ok(project)
}

/// Adds what the specification implies: dependencies of links, the default network.
fn complete(project: &mut Project) {
    for service in project.services.values_mut() {
        for link in &service.links {
            let target = link.split(':').next().unwrap_or(link);
            service
                .depends_on
                .entry(target.to_owned())
                .or_insert(Dependency {
                    condition: Condition::Started,
                    restart: true,
                    required: true,
                });
        }
        if service.networks.is_empty() {
            service
                .networks
                .insert("default".to_owned(), Attachment::default());
        }
    }
    let uses_default = project
        .services
        .values()
        .any(|service| service.networks.contains_key("default"));
    if uses_default && !project.networks.contains_key("default") {
        let network = Network {
            name: format!("{}_default", project.name),
            ..Network::default()
        };
        project.networks.insert("default".to_owned(), network);
    }
}

fn check_dependencies(project: &Project) -> Result<(), LoadError> {
    for (name, service) in &project.services {
        for (needed, dependency) in &service.depends_on {
            if dependency.required && !project.services.contains_key(needed) {
                let (service, needed) = (name.clone(), needed.clone());
                return Err(LoadError::UnknownDependency { service, needed });
            }
        }
    }
    let order = project.start_order();
    let left: Vec<&str> = project
        .services
        .keys()
        .map(String::as_str)
        .filter(|name| !order.contains(name))
        .collect();
    if left.is_empty() {
        Ok(())
    } else {
        Err(LoadError::Cycle(left.join(", ")))
    }
}

fn form(node: &Node, path: &str, problem: &str) -> LoadError {
    LoadError::Form {
        path: path.to_owned(),
        line: node.line,
        problem: problem.to_owned(),
    }
}

fn entries<'a>(node: &'a Node, path: &str) -> Result<&'a [(String, Node)], LoadError> {
    match &node.kind {
        NodeKind::Map(entries) => Ok(entries),
        NodeKind::Null => Ok(&[]),
        _ => Err(form(node, path, "must be a mapping")),
    }
}

fn list<'a>(node: &'a Node, path: &str) -> Result<&'a [Node], LoadError> {
    match &node.kind {
        NodeKind::List(list) => Ok(list),
        _ => Err(form(node, path, "must be a list")),
    }
}

fn text(node: &Node, path: &str) -> Result<String, LoadError> {
    match &node.kind {
        NodeKind::Text(text) => Ok(text.clone()),
        _ => Err(form(node, path, "must be a text")),
    }
}

/// A scalar as Docker Compose prints it into an environment or a label.
fn scalar(node: &Node, path: &str) -> Result<Option<String>, LoadError> {
    match &node.kind {
        NodeKind::Null => Ok(None),
        NodeKind::Bool(value) => Ok(Some(value.to_string())),
        NodeKind::Integer(value) => Ok(Some(value.to_string())),
        NodeKind::Float(value) => Ok(Some(value.to_string())),
        NodeKind::Text(text) => Ok(Some(text.clone())),
        NodeKind::List(_) | NodeKind::Map(_) => Err(form(node, path, "must be a single value")),
    }
}

fn flag(node: &Node, path: &str) -> Result<bool, LoadError> {
    match node.kind {
        NodeKind::Bool(value) => Ok(value),
        _ => Err(form(node, path, "must be true or false")),
    }
}

fn texts(node: &Node, path: &str) -> Result<Vec<String>, LoadError> {
    list(node, path)?
        .iter()
        .map(|item| text(item, path))
        .collect()
}

fn duration(node: &Node, path: &str) -> Result<SpecDuration, LoadError> {
    text(node, path)?
        .parse()
        .map_err(|error| form(node, path, &format!("{error}")))
}

/// `environment` or `labels`: a mapping, or a list of `KEY=VALUE`.
fn pairs(node: &Node, path: &str) -> Result<BTreeMap<String, Option<String>>, LoadError> {
    if let NodeKind::List(items) = &node.kind {
        let mut pairs = BTreeMap::new();
        for item in items {
            let line = text(item, path)?;
            match line.split_once('=') {
                Some((key, value)) => pairs.insert(key.to_owned(), Some(value.to_owned())),
                None => pairs.insert(line, None),
            };
        }
        return Ok(pairs);
    }
    entries(node, path)?
        .iter()
        .map(|(key, value)| Ok((key.clone(), scalar(value, path)?)))
        .collect()
}

fn service_from(node: &Node, path: &str) -> Result<Service, LoadError> {
    let mut service = Service::default();
    for (key, value) in entries(node, path)? {
        let path = format!("{path}.{key}");
        match key.as_str() {
            "command" => service.command = Some(texts(value, &path)?),
            "container_name" => service.container_name = Some(text(value, &path)?),
            "depends_on" => service.depends_on = dependencies(value, &path)?,
            "entrypoint" => service.entrypoint = Some(texts(value, &path)?),
            "environment" => service.environment = Environment(pairs(value, &path)?),
            "expose" => {
                let ports = list(value, &path)?.iter().map(|item| scalar(item, &path));
                service.expose = ports
                    .filter_map(Result::transpose)
                    .collect::<Result<_, _>>()?;
            }
            "healthcheck" => service.healthcheck = Some(healthcheck(value, &path)?),
            "hostname" => service.hostname = Some(text(value, &path)?),
            "image" => service.image = text(value, &path)?,
            "labels" => {
                let labels = pairs(value, &path)?.into_iter();
                service.labels = labels.map(|(k, v)| (k, v.unwrap_or_default())).collect();
            }
            "links" => service.links = texts(value, &path)?,
            "networks" => service.networks = attachments(value, &path)?,
            "ports" => service.ports = ports(value, &path)?,
            "restart" => service.restart = Some(text(value, &path)?),
            "stop_grace_period" => service.stop_grace_period = Some(duration(value, &path)?),
            "stop_signal" => service.stop_signal = Some(text(value, &path)?),
            "user" => service.user = Some(text(value, &path)?),
            "volumes" => {
                let items = list(value, &path)?.iter();
                service.volumes = items
                    .map(|item| mount(item, &path))
                    .collect::<Result<_, _>>()?;
            }
            "working_dir" => service.working_dir = Some(text(value, &path)?),
            _ => return Err(form(value, &path, "is not a key that can be applied")),
        }
    }
    if service.image.is_empty() {
        return Err(form(node, path, "has no `image`"));
    }
    Ok(service)
}

fn dependencies(node: &Node, path: &str) -> Result<BTreeMap<String, Dependency>, LoadError> {
    let mut needs = BTreeMap::new();
    if let NodeKind::List(items) = &node.kind {
        for item in items {
            let dependency = Dependency {
                condition: Condition::Started,
                restart: false,
                required: true,
            };
            needs.insert(text(item, path)?, dependency);
        }
        return Ok(needs);
    }
    for (name, value) in entries(node, path)? {
        let mut condition = None;
        let (mut restart, mut required) = (false, true);
        for (key, value) in entries(value, path)? {
            match key.as_str() {
                "condition" => condition = condition_from(&text(value, path)?),
                "restart" => restart = flag(value, path)?,
                "required" => required = flag(value, path)?,
                _ => return Err(form(value, path, "has an unknown key")),
            }
        }
        let condition = condition.ok_or_else(|| form(value, path, "lacks a known `condition`"))?;
        needs.insert(
            name.clone(),
            Dependency {
                condition,
                restart,
                required,
            },
        );
    }
    Ok(needs)
}

fn condition_from(word: &str) -> Option<Condition> {
    [Condition::Started, Condition::Healthy, Condition::Completed]
        .into_iter()
        .find(|condition| condition.word() == word)
}

fn healthcheck(node: &Node, path: &str) -> Result<Healthcheck, LoadError> {
    let mut check = Healthcheck::default();
    for (key, value) in entries(node, path)? {
        match key.as_str() {
            "test" => {
                check.test = match &value.kind {
                    NodeKind::Text(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
                    _ => texts(value, path)?,
                }
            }
            "timeout" => check.timeout = Some(duration(value, path)?),
            "interval" => check.interval = Some(duration(value, path)?),
            "start_period" => check.start_period = Some(duration(value, path)?),
            "retries" => {
                let NodeKind::Integer(number) = value.kind else {
                    return Err(form(value, path, "must have a number of retries"));
                };
                check.retries = u64::try_from(number).ok();
            }
            _ => return Err(form(value, path, "has an unknown key")),
        }
    }
    Ok(check)
}

fn attachments(node: &Node, path: &str) -> Result<BTreeMap<String, Attachment>, LoadError> {
    if let NodeKind::List(_) = node.kind {
        let names = texts(node, path)?;
        return Ok(names
            .into_iter()
            .map(|name| (name, Attachment::default()))
            .collect());
    }
    let mut networks = BTreeMap::new();
    for (name, value) in entries(node, path)? {
        let mut attachment = Attachment::default();
        for (key, value) in entries(value, path)? {
            match key.as_str() {
                "aliases" => attachment.aliases = texts(value, path)?,
                _ => return Err(form(value, path, "has an unknown key")),
            }
        }
        networks.insert(name.clone(), attachment);
    }
    Ok(networks)
}

/// Short port forms, `[IP:][HOST]:CONTAINER[/PROTOCOL]`; ranges of equal length expand.
fn ports(node: &Node, path: &str) -> Result<Vec<Port>, LoadError> {
    let mut all = Vec::new();
    for item in list(node, path)? {
        let line = scalar(item, path)?.unwrap_or_default();
        let refuse = |what: &str| form(item, path, &format!("has `{line}`: {what}"));
        let (rest, protocol) = match line.split_once('/') {
            Some((rest, protocol)) => (rest, protocol.to_ascii_lowercase()),
            None => (line.as_str(), "tcp".to_owned()),
        };
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(refuse("unknown protocol"));
        }
        let (before, target) = rest.rsplit_once(':').unwrap_or(("", rest));
        let (address, published) = before.rsplit_once(':').unwrap_or(("", before));
        let address = address.trim_matches(['[', ']']);
        if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
            return Err(refuse("the address is not numeric"));
        }
        let host_ip = (!address.is_empty()).then(|| address.to_owned());
        let targets = range(target).ok_or_else(|| refuse("bad container port"))?;
        let hosts = match published {
            "" => None,
            published => Some(range(published).ok_or_else(|| refuse("bad host port"))?),
        };
        let port = |target: u16, published: Option<String>| Port {
            host_ip: host_ip.clone(),
            target,
            published,
            protocol: protocol.clone(),
        };
        match (targets, hosts) {
            ((low, high), None) => all.extend((low..=high).map(|target| port(target, None))),
            ((low, high), Some((from, to))) if high - low == to.saturating_sub(from) => {
                all.extend(
                    (low..=high)
                        .zip(from..=to)
                        .map(|(t, h)| port(t, Some(h.to_string()))),
                );
            }
            ((low, high), Some((from, to))) if low == high => {
                all.push(port(low, Some(format!("{from}-{to}"))));
            }
            _ => return Err(refuse("the ranges differ in length")),
        }
    }
    Ok(all)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some((low, high))
}

/// The long form of a mount; the definitions of this project use no other.
fn mount(node: &Node, path: &str) -> Result<Mount, LoadError> {
    let (mut kind, mut source, mut target) = (String::new(), None, None);
    let (mut read_only, mut create) = (false, false);
    for (key, value) in entries(node, path)? {
        match key.as_str() {
            "type" => kind = text(value, path)?,
            "source" => source = Some(text(value, path)?),
            "target" => target = Some(text(value, path)?),
            "read_only" => read_only = flag(value, path)?,
            "bind" => {
                for (key, value) in entries(value, path)? {
                    match key.as_str() {
                        "create_host_path" => create = flag(value, path)?,
                        _ => return Err(form(value, path, "has an unknown key in `bind`")),
                    }
                }
            }
            _ => return Err(form(value, path, "has an unknown key")),
        }
    }
    let target = target.ok_or_else(|| form(node, path, "has a mount without `target`"))?;
    let source = match (kind.as_str(), source) {
        ("bind", Some(path)) => MountSource::Bind { path, create },
        ("volume", source) => MountSource::Volume(source),
        _ => {
            return Err(form(
                node,
                path,
                "has a mount of unknown type or without `source`",
            ));
        }
    };
    Ok(Mount {
        source,
        target,
        read_only,
    })
}

fn network_from(node: &Node, key: &str, project: &str) -> Result<Network, LoadError> {
    let path = format!("networks.{key}");
    let mut network = Network {
        name: format!("{project}_{key}"),
        ..Network::default()
    };
    for (entry, value) in entries(node, &path)? {
        match entry.as_str() {
            "name" => network.name = text(value, &path)?,
            "driver" => network.driver = Some(text(value, &path)?),
            "external" => network.external = flag(value, &path)?,
            "internal" => network.internal = flag(value, &path)?,
            _ => return Err(form(value, &path, "has an unknown key")),
        }
    }
    Ok(network)
}

fn volume_from(node: &Node, key: &str, project: &str) -> Result<Volume, LoadError> {
    let path = format!("volumes.{key}");
    let mut volume = Volume {
        name: format!("{project}_{key}"),
        external: false,
    };
    for (entry, value) in entries(node, &path)? {
        match entry.as_str() {
            "name" => volume.name = text(value, &path)?,
            "external" => volume.external = flag(value, &path)?,
            _ => return Err(form(value, &path, "has an unknown key")),
        }
    }
    Ok(volume)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (Option<String>, Option<String>, u16, String);

    fn ports_of(short: &str) -> Result<Vec<Row>, String> {
        let text = format!("services: {{s: {{image: i, ports: ['{short}']}}}}");
        match project(&text, "p") {
            Ok(project) => Ok(project.services["s"]
                .ports
                .iter()
                .map(|p| {
                    (
                        p.host_ip.clone(),
                        p.published.clone(),
                        p.target,
                        p.protocol.clone(),
                    )
                })
                .collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn ports_become_long_forms_as_in_docker_compose() {
        let some = |text: &str| Some(text.to_owned());
        let tcp = || "tcp".to_owned();
        for (short, expected) in [
            ("80", vec![(None, None, 80, tcp())]),
            ("8080:80", vec![(None, some("8080"), 80, tcp())]),
            (
                "127.0.0.1:8080:80",
                vec![(some("127.0.0.1"), some("8080"), 80, tcp())],
            ),
            ("127.0.0.1::80", vec![(some("127.0.0.1"), None, 80, tcp())]),
            (
                "[::1]:8080:80/UDP",
                vec![(some("::1"), some("8080"), 80, "udp".to_owned())],
            ),
            (
                "8000-8001:80-81",
                vec![
                    (None, some("8000"), 80, tcp()),
                    (None, some("8001"), 81, tcp()),
                ],
            ),
            ("8000-8002:80", vec![(None, some("8000-8002"), 80, tcp())]),
            ("08080:080", vec![(None, some("8080"), 80, tcp())]),
        ] {
            assert_eq!(ports_of(short), Ok(expected), "{short}");
        }
        for short in [
            "8000-8001:80-82",
            "8080:",
            "a:80",
            "70000:80",
            "localhost:8080:80",
            "80:80/foo",
        ] {
            assert!(ports_of(short).is_err(), "{short}");
        }
    }

    #[test]
    fn links_become_dependencies_and_services_join_the_default_network() {
        let text = "services: {a: {image: i, links: [b, c], depends_on: {b: {condition: service_healthy}}}, b: {image: i}, c: {image: i}}";
        let project = project(text, "p").unwrap();
        let needs = &project.services["a"].depends_on;
        assert_eq!(
            (needs["b"].condition, needs["b"].restart),
            (Condition::Healthy, false)
        );
        assert_eq!(
            (needs["c"].condition, needs["c"].restart),
            (Condition::Started, true)
        );
        assert_eq!(project.networks["default"].name, "p_default");
        assert_eq!(project.start_order(), ["b", "c", "a"]);
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        for (text, expected) in [
            (
                "services: {a: {image: i, links: [b]}}",
                "service `a` depends on `b`, which is not defined",
            ),
            (
                "services: {a: {image: i, links: [b]}, b: {image: i, links: [a]}}",
                "services depend on each other in a circle: a, b",
            ),
            ("services: {a: {}}", "line 1: `services.a` has no `image`"),
            (
                "services:\n  a:\n    image: i\n    build: .\n",
                "line 4: `services.a.build` is not a key that can be applied",
            ),
        ] {
            assert_eq!(project(text, "p").unwrap_err().to_string(), expected);
        }
    }
}
