//! What exists now: a snapshot of the engine and the host, as far as one instance is concerned.
//!
//! Types only; how a snapshot is obtained is the business of `observe`.

pub mod condition;
pub mod lack;
pub mod machine;
pub mod network;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use time::OffsetDateTime;

use crate::compose::Place;
use crate::compose::Project;
use crate::labels;
use network::Visitor;

/// Characters of an id that tell a container from all others.
const SHORT_ID: usize = 12;

/// A snapshot.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The engine itself.
    pub engine: EngineFacts,
    /// Containers that carry the project's label, by service name and container name.
    pub containers: Vec<Container>,
    /// Containers that an interrupted run made to take the place of others, and did not put there.
    /// They never ran.
    pub stand_ins: Vec<Container>,
    /// Containers of somebody else that hold a name the deployment needs.
    pub strangers: Vec<Container>,
    /// Networks by name; the engine allows several of one name.
    pub networks: BTreeMap<String, Vec<Network>>,
    /// Containers that others have in networks of the project which differ from their definitions.
    pub visitors: Vec<Visitor>,
    /// When it was looked, by the clock of this machine.
    pub moment: Option<OffsetDateTime>,
    /// Images the deployment needs, by reference; `None` where the engine has none.
    pub images: BTreeMap<String, Option<Image>>,
    /// Named volumes the deployment needs, by their name on the engine; `None` where it has none.
    pub volumes: BTreeMap<String, Option<Volume>>,
    /// Anonymous volumes of containers that are gone although nobody asked for that, by service and
    /// number: names of volumes by path in the container. Known only from an operation that did not
    /// come to its end.
    pub left_behind: BTreeMap<(String, u32), BTreeMap<String, String>>,
    /// What the engine would show of a container made now, by service and number.
    pub wanted: BTreeMap<(String, u32), Made>,
    /// The same made from the definitions for other hands, where they differ: a container that Docker
    /// Compose made of those is as good.
    pub accepted: BTreeMap<(String, u32), Made>,
    /// What the engine would show of containers as they were last applied, by the hash of their
    /// definition; looked up only where no container of now tells what the engine fills in.
    pub earlier: BTreeMap<String, Made>,
    /// What the engine would show of a network made now, by its name, as far as its definition says.
    pub wanted_networks: BTreeMap<String, Made>,
    /// What the engine would show of a named volume made now, by its name; the driver is empty where
    /// the definition leaves it to the engine.
    pub wanted_volumes: BTreeMap<String, Volume>,
    /// Keys of the definitions that this program or this engine cannot carry out.
    pub refused: Vec<Refused>,
    /// Folders the deployment needs.
    pub folders: BTreeMap<PathBuf, FolderState>,
    /// Host ports the deployment needs that somebody else holds.
    pub taken_ports: Vec<TakenPort>,
    /// How running services answered their probes, by service.
    pub readiness: BTreeMap<String, Readiness>,
    /// Services that run and cannot be reached, with the reason.
    pub lost_networks: BTreeMap<String, String>,
    /// Root of another instance, still configured, whose containers carry the project's name.
    pub other_instance: Option<String>,
}

impl Observed {
    /// The project's containers for a service, by number.
    #[must_use]
    pub fn containers_of(&self, service: &str) -> Vec<&Container> {
        let all = self.containers.iter();
        let mut found: Vec<&Container> = all.filter(|found| found.service == service).collect();
        found.sort_by_key(|found| (found.number(), &found.name));
        found
    }

    /// The project's first container for a service.
    #[must_use]
    pub fn container(&self, service: &str) -> Option<&Container> {
        self.containers_of(service).into_iter().next()
    }
}

/// Digits of an id that are shown.
const SHOWN_ID: usize = 12;

/// An id as people see it: its first digits, without the name of the hash.
#[must_use]
pub fn short_id(id: &str) -> String {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.chars().take(SHOWN_ID).collect()
}

/// What the engine says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineFacts {
    /// Product name, such as `Docker Engine` or `Podman Engine`.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Version of its API, major and minor.
    pub api: (u32, u32),
    /// Architecture in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// Operating system in Go's words: `linux`.
    pub operating_system: String,
    /// Operating system in its own words, such as `Docker Desktop`; empty when not told.
    pub operating_system_name: String,
    /// Version of its kernel, such as `6.1.0-18-amd64`; empty when not told.
    pub kernel: String,
    /// Name of its machine; empty when not told.
    pub host_name: String,
    /// Folder that holds its images and containers; `None` when not told.
    pub root_folder: Option<PathBuf>,
    /// What it says about its security, such as `name=rootless`.
    pub security: Vec<String>,
    /// Where it was reached, such as `unix:///var/run/docker.sock`.
    pub endpoint: String,
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Compose project by label; empty when it has none.
    pub project: String,
    /// Compose service by label; empty when it has none.
    pub service: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// How long it gets to stop, as it was made with; `None` for the engine's default.
    pub stop_timeout: Option<Duration>,
    /// Image reference it was created from.
    pub image: String,
    /// Id of that image.
    pub image_id: String,
    /// What it is doing.
    pub state: ContainerState,
    /// What its health check says; `None` without one.
    pub health: Option<Health>,
    /// Whether the kernel ended it for lack of memory.
    pub was_out_of_memory: bool,
    /// How often the engine has restarted it.
    pub restarts: u64,
    /// When it was last started, RFC 3339; empty if never.
    pub started_at: String,
    /// When it last ended, RFC 3339; empty if never.
    pub finished_at: String,
    /// Ids of the networks it joins.
    pub network_ids: BTreeSet<String>,
    /// Its addresses by network name.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Ports it publishes.
    pub ports: Vec<PublishedPort>,
    /// Those of its ports, with their protocols, that the engine has published now.
    pub bound_ports: BTreeSet<(u16, String)>,
    /// Environment it was created with, that of the image included.
    pub environment: Environment,
    /// Its own volumes without a name of their own, such as those its image asks for: what the engine
    /// calls them, by path in the container.
    pub anonymous: BTreeMap<String, String>,
    /// What it was made of, as the engine shows it.
    pub made: Made,
}

impl Container {
    /// Id of the image it was made from. What the engine shows as its image can be the id of one
    /// platform of it, depending on how the engine stores images.
    #[must_use]
    pub fn made_from(&self) -> &str {
        self.labels.get(labels::IMAGE).unwrap_or(&self.image_id)
    }

    /// Its number within the service, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        let label = self.labels.get(labels::CONTAINER_NUMBER);
        label.and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// Whether it runs one command beside the service and is none of its replicas.
    #[must_use]
    pub fn is_one_off(&self) -> bool {
        let label = self.labels.get(labels::ONE_OFF);
        label.is_some_and(|value| value == "True")
    }

    /// The name that a container has which is made to take the place of this one, as long as this one is
    /// there. Docker Compose gives such names, too.
    #[must_use]
    pub fn stand_in_name(&self, name: &str) -> String {
        let id = self.id.get(..SHORT_ID).unwrap_or(&self.id);
        format!("{id}_{name}")
    }

    /// Whether it was made to take the place of another one, and a run ended before it did.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        let is_id = |text: &str| {
            text.len() == SHORT_ID && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let never_ran = self.state == ContainerState::Created && self.started_at.is_empty();
        let parts = self.name.split_once('_');
        never_ran && parts.is_some_and(|(id, name)| is_id(id) && !name.is_empty())
    }

    /// Its address in one of its networks.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.addresses.values().next().copied()
    }
}

/// An environment. Its values may be secrets and are not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// What a container is made of, in a form that is the same for what is wanted and for what the engine
/// shows: keys of the Compose Specification, long forms, lists without an order sorted, and nothing
/// that equals the engine's default. What an image brings has the same form.
///
/// Beside the keys of the specification: `networks` is by name on the engine, each entry with the
/// `id` where it is known; `volumes` is by path in the container; `files` holds digests of the
/// contents that were put in, by path. Its values may be secrets and are not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Made(pub Map<String, Value>);

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// A key of the definitions that cannot be carried out here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Path of the key, such as `services.extra.build`.
    pub path: String,
    /// Where it stands; `None` when no file of the operator says it.
    pub place: Option<Place>,
    /// Why it cannot be carried out.
    pub because: String,
    /// What to do instead.
    pub fix: String,
}

/// A named volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Driver, `local` by default.
    pub driver: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// Made and never started.
    #[default]
    Created,
    /// Running.
    Running,
    /// Running, but frozen.
    Paused,
    /// Between two starts.
    Restarting {
        /// Exit code of the last run.
        exit_code: i64,
    },
    /// Ended.
    Exited {
        /// Exit code of the last run.
        exit_code: i64,
    },
    /// Being removed, or left over from a removal that failed.
    Broken,
}

impl ContainerState {
    /// Whether it is meant to run: its process lives now, or is between two starts.
    #[must_use]
    pub fn may_run(self) -> bool {
        self.is_running() || matches!(self, Self::Restarting { .. })
    }

    /// Whether its process lives now.
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not decided yet.
    Starting,
    /// The check succeeds.
    Healthy,
    /// The check failed as often as it may.
    Unhealthy,
}

/// A port that a container publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// Address on the host; empty for all.
    pub host_ip: String,
    /// Port on the host.
    pub host_port: u16,
    /// Port in the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What it is made of, as the engine shows it.
    pub made: Made,
}

impl Network {
    /// Whether it was made for a project, by its label.
    #[must_use]
    pub fn is_of(&self, project: &Project) -> bool {
        self.labels.get(labels::PROJECT) == Some(&project.name)
    }
}

impl Observed {
    /// The networks of a name that are not the one to use: an interrupted run can leave a second
    /// one, because the engine goes on with a request whose sender is gone.
    #[must_use]
    pub fn surplus_networks(&self, name: &str) -> Vec<&Network> {
        let found: Vec<&Network> = self.networks.get(name).into_iter().flatten().collect();
        let chosen = choose_network(&found, &self.containers);
        found
            .into_iter()
            .filter(|network| Some(network.id.as_str()) != chosen.as_deref())
            .collect()
    }
}

/// Id of the network to use among several of one name: one that a container joins already, or else
/// the first by id.
#[must_use]
pub fn choose_network(networks: &[&Network], containers: &[Container]) -> Option<String> {
    let is_used = |network: &&&Network| {
        containers
            .iter()
            .any(|container| container.network_ids.contains(&network.id))
    };
    let first = networks.iter().min_by_key(|network| &network.id);
    networks
        .iter()
        .find(is_used)
        .or(first)
        .map(|network| network.id.clone())
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Full id.
    pub id: String,
    /// When it got its name here; `None` where the engine does not tell.
    pub tagged: Option<OffsetDateTime>,
    /// Architecture in Go's words.
    pub architecture: String,
    /// What it gives to every container that does not say otherwise; `volumes` is a list of paths.
    pub brings: Made,
}

/// Words for one architecture that Go has another word for.
const ARCHITECTURES: [(&str, &str); 6] = [
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("aarch64", "arm64"),
    ("armhf", "arm"),
    ("armel", "arm"),
    ("i386", "386"),
];

/// Operating systems that can stand alone as a platform.
const SYSTEMS: [&str; 3] = ["linux", "windows", "freebsd"];

/// The architecture of a platform such as `linux/arm64/v8`, in Go's words; `None` where it names none.
#[must_use]
pub fn architecture_of(platform: &str) -> Option<String> {
    let platform = platform.to_lowercase();
    let mut parts = platform.split('/');
    let first = parts.next().unwrap_or_default();
    let word = match parts.next() {
        Some(second) => second,
        None if SYSTEMS.contains(&first) => return None,
        None => first,
    };
    let known = ARCHITECTURES.iter().find(|(other, _)| *other == word);
    Some(known.map_or(word, |(_, ours)| ours).to_owned())
}

impl Image {
    /// Whether it is for a platform; one that does not tell is for any.
    #[must_use]
    pub fn fits(&self, platform: Option<&str>) -> bool {
        let wanted = platform.and_then(architecture_of);
        self.architecture.is_empty() || wanted.is_none_or(|wanted| wanted == self.architecture)
    }
}

/// What stands at the path of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderState {
    /// Nothing.
    Missing,
    /// A folder.
    Present,
    /// Something else.
    NotAFolder,
    /// On the machine of the engine, which is another one: it cannot be looked at, nor made.
    Elsewhere,
    /// It cannot be looked at.
    Unreadable {
        /// What the system says.
        cause: String,
    },
}

/// A host port that a service cannot publish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenPort {
    /// The service that needs it.
    pub service: String,
    /// Address on the host; empty for all.
    pub host_ip: String,
    /// Port on the host.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Why.
    pub obstacle: Obstacle,
}

/// What keeps a service from publishing a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Obstacle {
    /// Somebody else holds it, in words for a person: "container `x`", "process `nginx` (pid 812)".
    Held(String),
    /// A container of the project whose service is not configured any more holds it, in words.
    Orphan(String),
    /// This machine does not have the address.
    #[default]
    NoAddress,
}

/// How a service answered its probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It does its work.
    Ready,
    /// It answers, but is not there yet.
    NotReady {
        /// What it says or lacks.
        because: String,
    },
    /// It is a mongo whose replica set has not been initiated.
    NotInitiated,
    /// It answers, but not as it is configured, which does not change by itself.
    Misconfigured {
        /// What differs, and what to do.
        because: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_compared_by_its_architecture() {
        let image = |architecture: &str| Image {
            architecture: architecture.to_owned(),
            ..Image::default()
        };
        for (platform, expected) in [
            (None, true),
            (Some("linux/arm64/v8"), true),
            (Some("linux/aarch64"), true),
            (Some("arm64"), true),
            (Some("linux"), true),
            (Some("linux/amd64"), false),
            (Some("linux/x86_64"), false),
        ] {
            assert_eq!(image("arm64").fits(platform), expected, "{platform:?}");
            assert!(image("").fits(platform), "{platform:?}");
        }
    }
}
