//! What the engine shows of a container, as far as it is looked at.
//!
//! Source: Docker Engine API, `GET /containers/{id}/json`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::normal::{self, text};
use crate::compose::Values;
use crate::labels;
use crate::observed::{Container, ContainerState, Environment, Health, PublishedPort};
use crate::percent;

/// What an engine says when something has never been.
const NEVER: &str = "0001-";

/// The answer. What is missing or null says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    image: Option<String>,
    restart_count: Option<i64>,
    state: Option<State>,
    mounts: Option<Vec<MountPoint>>,
    pub(super) config: Option<Said>,
    pub(super) host_config: Option<Said>,
    pub(super) network_settings: Option<NetworkSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: Option<String>,
    exit_code: Option<i64>,
    #[serde(rename = "OOMKilled")]
    oom_killed: Option<bool>,
    started_at: Option<String>,
    finished_at: Option<String>,
    health: Option<HealthState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthState {
    status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MountPoint {
    #[serde(rename = "Type")]
    kind: Option<String>,
    name: Option<String>,
    destination: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    pub(super) networks: Option<Values>,
    ports: Option<Values>,
}

/// A mapping without what says nothing: null, `false` and empty texts, which are most of what an engine
/// shows. A number says something even when it is 0, and a list or mapping when it is empty.
#[derive(Default)]
pub(super) struct Said(pub(super) Values);

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment is among it, and may hold secrets.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfSaid)
    }
}

struct OfSaid;

impl<'de> Visitor<'de> for OfSaid {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        let mut said = Values::new();
        while let Some((key, value)) = map.next_entry::<Cow<'de, str>, Value>()? {
            if !says_nothing(&value) {
                said.insert(key.into_owned(), value);
            }
        }
        Ok(Said(said))
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Where a container is looked at, by its name or id.
pub(super) fn path(name: &str) -> String {
    format!("/containers/{}/json", percent::encoded(name))
}

/// A container as it was shown.
#[derive(Deserialize)]
#[serde(from = "Inspected")]
pub(super) struct Shown(pub(super) Container);

impl From<Inspected> for Shown {
    fn from(inspected: Inspected) -> Self {
        Self(container(inspected))
    }
}

fn container(inspected: Inspected) -> Container {
    let made = normal::of_inspected(&inspected);
    let mounts = inspected.mounts.unwrap_or_default().into_iter();
    let volumes = mounts.filter(|mount| mount.kind.as_deref() == Some("volume"));
    let volumes = volumes.filter_map(|mount| Some((mount.destination?, mount.name?)));
    let anonymous = volumes.filter(|(_, name)| normal::is_made_up(name));
    let state = inspected.state.unwrap_or_default();
    let config = inspected.config.unwrap_or_default().0;
    let exit_code = state.exit_code.unwrap_or(0);
    let settings = inspected.network_settings.unwrap_or_default();
    let labels = config.get("Labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    let labels: BTreeMap<String, String> = labels
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
    let environment = config.get("Env").and_then(Value::as_array);
    let environment = environment.into_iter().flatten().filter_map(Value::as_str);
    let environment = environment.filter_map(|entry| entry.split_once('='));
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let host = inspected.host_config.unwrap_or_default().0;
    let bindings = host.get("PortBindings").and_then(Value::as_object);
    let networks = || settings.networks.iter().flatten();
    let known = |at: Option<String>| at.filter(|at| !at.starts_with(NEVER)).unwrap_or_default();
    let status = state.status.as_deref().unwrap_or_default();
    let runs = status == "running";
    let name = inspected.name.unwrap_or_default();
    let restarts = inspected.restart_count.unwrap_or_default();
    let stop_timeout = config.get("StopTimeout").and_then(Value::as_u64);
    let health = state.health.and_then(|health| health.status);
    let bound = published(settings.ports.as_ref()).into_iter();
    Container {
        id: inspected.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        project: label(labels::PROJECT),
        service: label(labels::SERVICE),
        stop_timeout: stop_timeout.map(Duration::from_secs),
        image: text(&config, "Image").to_owned(),
        image_id: inspected.image.unwrap_or_default(),
        state: match status {
            "running" => ContainerState::Running,
            "paused" => ContainerState::Paused,
            "restarting" => ContainerState::Restarting { exit_code },
            "exited" => ContainerState::Exited { exit_code },
            "removing" | "dead" => ContainerState::Broken,
            _ => ContainerState::Created,
        },
        health: match health.as_deref() {
            Some("starting") => Some(Health::Starting),
            Some("healthy") => Some(Health::Healthy),
            Some("unhealthy") => Some(Health::Unhealthy),
            _ => None,
        },
        was_out_of_memory: state.oom_killed.unwrap_or(false),
        restarts: u64::try_from(restarts).unwrap_or(0),
        started_at: known(state.started_at),
        finished_at: known(state.finished_at),
        network_ids: networks()
            .filter(|(_, endpoint)| !runs || is_attached(endpoint))
            .map(|(key, endpoint)| match word(endpoint, "NetworkID") {
                // Before the first start there is only the key it was made with, which is the id.
                "" => key.clone(),
                id => id.to_owned(),
            })
            .collect(),
        addresses: networks()
            .filter_map(|(name, endpoint)| Some((name.clone(), address(endpoint)?)))
            .collect(),
        bound_ports: bound.map(|port| (port.target, port.protocol)).collect(),
        ports: published(bindings),
        environment: Environment(environment.collect()),
        labels,
        anonymous: anonymous.collect(),
        made,
    }
}

fn word<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The address in a network, IPv4 where there is one.
fn address(endpoint: &Value) -> Option<IpAddr> {
    let four = word(endpoint, "IPAddress").parse();
    four.or_else(|_| word(endpoint, "GlobalIPv6Address").parse())
        .ok()
}

/// Whether a running container is in a network. A driver need not give addresses, and Podman names no
/// endpoint.
fn is_attached(endpoint: &Value) -> bool {
    !word(endpoint, "EndpointID").is_empty() || address(endpoint).is_some()
}

fn published(bindings: Option<&Values>) -> Vec<PublishedPort> {
    let mut ports = Vec::new();
    for (target, bindings) in bindings.into_iter().flatten() {
        let (target, protocol) = target.split_once('/').unwrap_or((target, "tcp"));
        for binding in bindings.as_array().into_iter().flatten() {
            ports.push(PublishedPort {
                host_ip: word(binding, "HostIp").to_owned(),
                host_port: word(binding, "HostPort").parse().unwrap_or(0),
                target: target.parse().unwrap_or(0),
                protocol: protocol.to_owned(),
            });
        }
    }
    ports.sort_by(|a, b| (a.target, &a.host_ip).cmp(&(b.target, &b.host_ip)));
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn running(endpoint: &Value) -> Container {
        let answer = json!({
            "Id": "c", "Name": "/p-a-1", "State": { "Status": "running" },
            "NetworkSettings": { "Networks": { "p_default": endpoint } },
        });
        container(serde_json::from_value(answer).unwrap())
    }

    #[test]
    fn a_container_has_an_address_of_either_kind_and_may_have_none() {
        let found = running(&json!({
            "NetworkID": "n", "EndpointID": "e",
            "IPAddress": "", "GlobalIPv6Address": "fd00::2",
        }));
        assert_eq!(found.address(), "fd00::2".parse().ok());
        let found = running(&json!({
            "NetworkID": "n", "EndpointID": "",
            "IPAddress": "10.0.0.2", "GlobalIPv6Address": "fd00::2",
        }));
        assert_eq!(found.address(), "10.0.0.2".parse().ok());
        assert_eq!(found.network_ids, ["n".to_owned()].into());
        let bare = running(&json!({ "NetworkID": "n", "EndpointID": "e", "IPAddress": "" }));
        assert_eq!(bare.address(), None);
        assert_eq!(bare.network_ids, ["n".to_owned()].into());
        let lost = running(&json!({ "NetworkID": "n", "EndpointID": "", "IPAddress": "" }));
        assert!(lost.network_ids.is_empty() && lost.addresses.is_empty());
    }

    #[test]
    fn what_is_null_says_nothing() {
        let answer = json!({
            "Id": "c", "Name": "/p-a-1", "Image": null, "RestartCount": 3, "Mounts": null,
            "State": {
                "Status": "exited", "ExitCode": 137, "OOMKilled": true, "Health": null,
                "StartedAt": "2026-01-02T03:04:05Z", "FinishedAt": "0001-01-01T00:00:00Z",
            },
            "Config": { "Labels": null, "Env": null, "StopTimeout": 7 },
            "HostConfig": { "PortBindings": {
                "80/tcp": [{ "HostIp": "::1", "HostPort": "8080" }], "81/udp": null,
            } },
            "NetworkSettings": { "Networks": null, "Ports": { "80/tcp": null } },
        });
        let found = container(serde_json::from_value(answer).unwrap());
        assert_eq!(found.name, "p-a-1");
        assert_eq!(found.state, ContainerState::Exited { exit_code: 137 });
        assert_eq!((found.restarts, found.was_out_of_memory), (3, true));
        assert_eq!(found.started_at, "2026-01-02T03:04:05Z");
        assert_eq!(found.finished_at, "");
        assert_eq!(found.stop_timeout, Some(Duration::from_secs(7)));
        let port = &found.ports[0];
        assert_eq!(
            (&*port.host_ip, port.host_port, port.target),
            ("::1", 8080, 80)
        );
        assert_eq!(found.ports.len(), 1);
        assert!(found.bound_ports.is_empty() && found.labels.is_empty());
        assert_eq!(found.health, None);
    }
}
