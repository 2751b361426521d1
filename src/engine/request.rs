//! From a service of a project to the request that makes its container. Pure: what is made and what is
//! compared with an existing container come from the same request.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ContainerRequest, NetworkPlace, PutFile};
use crate::compose::MountSource;
use crate::compose::Project;
use crate::compose::Service;
use crate::compose::Values;
use crate::labels;
use crate::observed::Image;
use crate::secret::Secret;

/// Mode of a file that is put into a container when the definition names none.
const READABLE: u32 = 0o444;

/// A secret or config that a service gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<'a> {
    /// `secrets` or `configs`.
    pub section: &'static str,
    /// Its key in the project.
    pub source: &'a str,
    /// Where the service sees it, an absolute path.
    pub target: String,
    /// File of the host that is mounted there; `None` when its content is put there.
    pub file: Option<&'a str>,
    /// What else the service says of it: `uid`, `gid`, `mode`.
    rest: &'a Values,
}

/// The secrets and configs that a service gets.
#[must_use]
pub fn grants<'a>(project: &'a Project, service: &'a Service) -> Vec<Grant<'a>> {
    let mut all = Vec::new();
    for (section, entries, folder) in [
        ("secrets", &project.secrets, "/run/secrets/"),
        ("configs", &project.configs, "/"),
    ] {
        let grants = service.rest.get(section).and_then(Value::as_array);
        for rest in grants.into_iter().flatten().filter_map(Value::as_object) {
            let text = |key: &str| rest.get(key).and_then(Value::as_str);
            let source = text("source").unwrap_or_default();
            let target = text("target").unwrap_or(source);
            let target = match target.starts_with('/') {
                true => target.to_owned(),
                false => format!("{folder}{target}"),
            };
            let file = entries.get(source).and_then(|entry| entry.get("file"));
            all.push(Grant {
                section,
                source,
                target,
                file: file.and_then(Value::as_str),
                rest,
            });
        }
    }
    all
}

/// The request for the container of a service with this number.
///
/// `network_ids` are the ids of the project's networks by their name on the engine; one that is not
/// known goes by its name. `contents` are the contents of secrets and configs without a `file`, by
/// their path in the project such as `secrets.token`, and of seccomp profiles, by `seccomp=FILE` as
/// the definition says it. The labels are those of the definition.
#[must_use]
pub fn of<'a>(
    project: &Project,
    service_name: &'a str,
    service: &'a Service,
    (name, number): (&'a str, u32),
    network_ids: &BTreeMap<String, String>,
    contents: &BTreeMap<String, Secret>,
) -> ContainerRequest<'a> {
    let granted = grants(project, service);
    let files = granted.iter().filter_map(|grant| {
        let file = grant.file?;
        Some((file.to_owned(), grant.target.clone()))
    });
    let put = granted.iter().filter_map(|grant| {
        let key = format!("{}.{}", grant.section, grant.source);
        let number = |key: &str| grant.rest.get(key)?.as_str()?.parse().ok();
        let mode = grant.rest.get("mode").and_then(Value::as_str);
        Some(PutFile {
            target: grant.target.clone(),
            content: contents.get(&key).filter(|_| grant.file.is_none())?.clone(),
            mode: mode
                .and_then(|mode| u32::from_str_radix(mode, 8).ok())
                .unwrap_or(READABLE),
            owner: (number("uid").unwrap_or(0), number("gid").unwrap_or(0)),
        })
    });
    let space = |key: &str| {
        let mode = service.rest.get(key).and_then(Value::as_str);
        mode.map(|mode| of_container(project, mode))
    };
    ContainerRequest {
        networks: networks(project, service_name, service, (name, number), network_ids),
        labels: service.labels.clone(),
        volumes: project.volumes.clone(),
        files: files.collect(),
        put: put.collect(),
        network_mode: space("network_mode"),
        ipc: space("ipc"),
        pid: space("pid"),
        volumes_from: shared_mounts(project, service),
        bridge_links: match service.is_on_bridge() {
            true => links(project, service, number),
            false => Vec::new(),
        },
        security_opt: security_opt(service, contents),
        ..ContainerRequest::new(name, service_name, service)
    }
}

/// Lets a container take over anonymous volumes, given by path in the container: as Docker Compose does,
/// where the definition mounts one without a source, or the image asks for one and nothing else is
/// mounted there.
pub fn inherit(
    request: &mut ContainerRequest<'_>,
    image: Option<&Image>,
    volumes: &BTreeMap<String, String>,
) {
    let service = request.service;
    let asked = image.and_then(|image| image.brings.0.get("volumes")?.as_array());
    let is_asked = |path: &str| {
        let mut asked = asked.into_iter().flatten().filter_map(Value::as_str);
        asked.any(|asked| asked == path)
    };
    let is_file = |path: &str| request.files.iter().any(|(_, target)| target == path);
    let taken = volumes
        .iter()
        .filter(|(path, _)| match service.mount_at(path) {
            Some(mount) => mount.source == MountSource::Volume(None),
            None => is_asked(path) && !service.has_memory_at(path) && !is_file(path),
        });
    request.inherits = taken
        .map(|(path, name)| (path.clone(), name.clone()))
        .collect();
}

/// The container's places in its networks. The first one is that of the engine's `NetworkMode`: the
/// one with the highest `priority`, and of equal ones the first by key, as in Docker Compose.
fn networks(
    project: &Project,
    service_name: &str,
    service: &Service,
    (name, number): (&str, u32),
    ids: &BTreeMap<String, String>,
) -> Vec<NetworkPlace> {
    let links = links(project, service, number);
    let priority = |key: &str| {
        let attachment = service.networks.get(key);
        let priority = attachment.and_then(|place| place.rest.get("priority"));
        priority.and_then(Value::as_i64).unwrap_or(0)
    };
    let mut keys: Vec<&String> = service.networks.keys().collect();
    keys.sort_by_key(|key| (-priority(key), (*key).clone()));
    let mut places = Vec::new();
    for key in keys {
        let (Some(network), Some(attachment)) =
            (project.networks.get(key), service.networks.get(key))
        else {
            continue;
        };
        let mut aliases = vec![name.to_owned(), service_name.to_owned()];
        aliases.extend(attachment.aliases.iter().cloned());
        aliases.dedup();
        let mut settings = attachment.rest.clone();
        // The address of the container as a whole is that in its first network.
        if let (true, Some(address)) = (places.is_empty(), service.rest.get("mac_address")) {
            settings
                .entry("mac_address")
                .or_insert_with(|| address.clone());
        }
        places.push(NetworkPlace {
            name: network.name.clone(),
            id: ids.get(&network.name).unwrap_or(&network.name).clone(),
            aliases,
            links: links.clone(),
            settings,
        });
    }
    places
}

/// `CONTAINER:ALIAS` for every name by which a linked service is known, as Docker Compose makes them.
fn links(project: &Project, service: &Service, number: u32) -> Vec<String> {
    let mut all = Vec::new();
    for link in &service.links {
        let (linked, alias) = link.split_once(':').unwrap_or((link, link));
        let container = project.container_name(linked);
        all.push(format!("{container}:{alias}"));
        all.push(format!("{container}:{linked}-{number}"));
        all.push(format!("{container}:{}-{linked}-{number}", project.name));
    }
    all.extend(external_links(service));
    all
}

/// `CONTAINER:ALIAS` for containers of somebody else.
fn external_links(service: &Service) -> Vec<String> {
    let entries = service.rest.get("external_links").and_then(Value::as_array);
    let entries = entries.into_iter().flatten().filter_map(Value::as_str);
    entries
        .map(|link| match link.split_once(':') {
            Some(_) => link.to_owned(),
            None => format!("{link}:{link}"),
        })
        .collect()
}

/// `service:NAME` as the engine knows it; any other text as it is.
fn of_container(project: &Project, text: &str) -> String {
    match text.strip_prefix("service:") {
        Some(service) => format!("container:{}", project.container_name(service)),
        None => text.to_owned(),
    }
}

/// Containers whose mounts a service shares, as `CONTAINER:MODE`.
fn shared_mounts(project: &Project, service: &Service) -> Vec<String> {
    let entries = service.rest.get("volumes_from").and_then(Value::as_array);
    let entries = entries.into_iter().flatten().filter_map(Value::as_str);
    entries
        .map(|entry| match entry.strip_prefix("container:") {
            Some(container) => container.to_owned(),
            None => {
                let (name, mode) = entry.split_once(':').unwrap_or((entry, "rw"));
                format!("{}:{mode}", project.container_name(name))
            }
        })
        .collect()
}

/// The security options, with the text of a seccomp profile in place of its file.
fn security_opt(service: &Service, contents: &BTreeMap<String, Secret>) -> Option<Vec<String>> {
    let entries = service.rest.get("security_opt")?.as_array()?;
    let entries = entries.iter().filter_map(Value::as_str);
    let filled = entries.map(|entry| match contents.get(&entry.replacen(':', "=", 1)) {
        Some(profile) => format!("seccomp={}", profile.expose()),
        None => entry.to_owned(),
    });
    Some(filled.collect())
}

/// The labels that Docker Compose writes on a named volume, beside those of the definition.
#[must_use]
pub fn volume_labels(
    project: &Project,
    key: &str,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = own.clone();
    for (label, value) in [
        (labels::PROJECT, project.name.as_str()),
        (labels::VOLUME, key),
        (labels::COMPOSE_VERSION, labels::COMPOSE),
    ] {
        all.insert(label.to_owned(), value.to_owned());
    }
    let definition = project.volumes.get(key);
    let given = definition.and_then(|volume| volume.rest.get("labels")?.as_object());
    for (label, value) in given.into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), Into::into);
        all.insert(label.clone(), value);
    }
    all
}
