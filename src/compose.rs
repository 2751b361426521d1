//! The Compose Specification: load files into a [`Project`] (interpolation, `extends`, `include`,
//! merge, short forms, profiles), print it in the canonical form of `docker compose config`, and
//! compute the hash that Docker Compose writes on containers.
//!
//! Knows nothing of Overleaf; it could be a crate of its own.

pub mod canonical;
mod command;
mod complete;
pub mod duration;
mod extend;
mod interpolate;
pub mod load;
mod long;
mod merge;
mod model;
mod mounts;
pub mod node;
mod number;
mod paths;
mod ports;
mod restart;
mod size;
pub mod spec;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Map;
use serde_json::Value;

pub use duration::SpecDuration;
pub use load::LoadError;
use node::Mark;
pub use restart::{NoRestart, Restart};

/// Values in their canonical form, by key.
pub type Values = Map<String, Value>;

/// Something about a definition, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of keys to the value, such as `services.sharelatex.ports[0]`.
    pub path: String,
    /// Where it stands.
    pub mark: Mark,
    /// What there is to say; reads on after the path.
    pub text: String,
}

impl Problem {
    pub(crate) fn new(path: &str, mark: Mark, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            mark,
            text: text.to_owned(),
        }
    }
}

/// The place of a value in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 when no line says it.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A Compose project: what one instance consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// The project's name.
    pub name: String,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// Networks by the key that services use.
    pub networks: BTreeMap<String, Network>,
    /// Named volumes by the key that services use.
    pub volumes: BTreeMap<String, Volume>,
    /// Secrets by the key that services use, in their canonical form.
    pub secrets: BTreeMap<String, Values>,
    /// Configs by the key that services use, in their canonical form.
    pub configs: BTreeMap<String, Values>,
    /// Extensions (`x-…`) of the files.
    pub extensions: Values,
    /// Where the keys stand that the operator's files set, by path: `services.sharelatex.ports`.
    pub places: BTreeMap<String, Place>,
}

/// One service; every field is in its long form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Arguments, `None` for those of the image.
    pub command: Option<Vec<String>>,
    /// Fixed name of the container; `None` for the name derived from the project.
    pub container_name: Option<String>,
    /// Services it needs, by name.
    pub depends_on: BTreeMap<String, Dependency>,
    /// Program, `None` for that of the image.
    pub entrypoint: Option<Vec<String>>,
    /// Environment; `None` as a value leaves the variable out.
    pub environment: Environment,
    /// Ports open to other services only.
    pub expose: Vec<String>,
    /// How the engine finds out whether it is healthy.
    pub healthcheck: Option<Healthcheck>,
    /// Host name inside the container.
    pub hostname: Option<String>,
    /// Image reference.
    pub image: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Links to other services, `service` or `service:alias`.
    pub links: Vec<String>,
    /// Networks by key.
    pub networks: BTreeMap<String, Attachment>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Restart policy: `no`, `always`, `on-failure[:n]`, `unless-stopped`.
    pub restart: Option<String>,
    /// How long a stop may take before the engine kills.
    pub stop_grace_period: Option<SpecDuration>,
    /// Signal that asks the container to stop.
    pub stop_signal: Option<String>,
    /// User the container runs as.
    pub user: Option<String>,
    /// Mounts.
    pub volumes: Vec<Mount>,
    /// Working folder inside the container.
    pub working_dir: Option<String>,
    /// Every other key of the specification, in its canonical form.
    pub rest: Values,
}

/// An environment. Its values may be secrets and are not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment(pub BTreeMap<String, Option<String>>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// What a dependency must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Its container has been started.
    #[default]
    Started,
    /// Its health check succeeds.
    Healthy,
    /// It has ended with exit code 0.
    Completed,
}

impl Condition {
    /// The word of the specification.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::Completed => "service_completed_successfully",
        }
    }
}

/// A service's need for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// What the other one must have reached.
    pub condition: Condition,
    /// Whether a restart of the other one restarts this one.
    pub restart: bool,
    /// Whether the project cannot do without it.
    pub required: bool,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// `CMD …`, `CMD-SHELL …` or `NONE`.
    pub test: Vec<String>,
    /// How long one check may take.
    pub timeout: Option<SpecDuration>,
    /// Time between checks.
    pub interval: Option<SpecDuration>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u64>,
    /// Time during which failures do not count.
    pub start_period: Option<SpecDuration>,
    /// Time between checks during the start.
    pub start_interval: Option<SpecDuration>,
    /// Whether it is switched off, that of the image included.
    pub disable: bool,
}

/// A service's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// Further names in that network.
    pub aliases: Vec<String>,
    /// Every other key, in its canonical form.
    pub rest: Values,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Address on the host; `None` for all.
    pub host_ip: Option<String>,
    /// Port in the container.
    pub target: u16,
    /// Port or range on the host; `None` for a free one.
    pub published: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// `ingress` or `host`; only a swarm tells them apart.
    pub mode: String,
    /// Every other key, in its canonical form.
    pub rest: Values,
}

impl Service {
    /// The platform it runs on, such as `linux/arm64`; `None` for that of the engine.
    #[must_use]
    pub fn platform(&self) -> Option<&str> {
        let platform = self.rest.get("platform")?.as_str()?;
        Some(platform).filter(|platform| !platform.is_empty())
    }

    /// Whether it is on the engine's own bridge, and in no network of the project.
    #[must_use]
    pub fn is_on_bridge(&self) -> bool {
        let mode = self.rest.get("network_mode").and_then(Value::as_str);
        self.networks.is_empty() && matches!(mode, None | Some("bridge" | "default"))
    }

    /// The mount at a path in the container, given without a final slash.
    #[must_use]
    pub fn mount_at(&self, path: &str) -> Option<&Mount> {
        self.volumes.iter().find(|mount| mount.path() == path)
    }

    /// The path of the host that shows at a path in the container; `None` where that is not the host's.
    #[must_use]
    pub fn host_path(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let mounts = self.volumes.iter();
        let mounts =
            mounts.filter_map(|mount| Some((mount, path.strip_prefix(mount.path()).ok()?)));
        // The innermost mount is what shows.
        let (mount, below) = mounts.max_by_key(|(mount, _)| mount.path().len())?;
        match &mount.source {
            MountSource::Bind { path, .. } if below.as_os_str().is_empty() => Some(path.into()),
            MountSource::Bind { path, .. } => Some(Path::new(path).join(below)),
            _ => None,
        }
    }

    /// Whether `tmpfs` has memory at a path in the container, given without a final slash.
    #[must_use]
    pub fn has_memory_at(&self, path: &str) -> bool {
        let entries = self.rest.get("tmpfs").and_then(Value::as_array);
        let entries = entries.into_iter().flatten().filter_map(Value::as_str);
        let mut targets = entries.filter_map(|entry| entry.split(':').next());
        targets.any(|target| target.trim_end_matches('/') == path)
    }
}

impl Mount {
    /// Where it is in the container, without a final slash.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.trim_end_matches('/')
    }
}

/// Whether two addresses of a host that containers publish on have one in common. An empty one is all
/// of both families; `0.0.0.0` and `::` are all of their own, as the engine listens for each family apart.
#[must_use]
pub fn addresses_overlap(one: &str, other: &str) -> bool {
    if one == other || one.is_empty() || other.is_empty() {
        return true;
    }
    let (Ok(one), Ok(other)) = (one.parse::<IpAddr>(), other.parse::<IpAddr>()) else {
        return false;
    };
    let is_all = one.is_unspecified() || other.is_unspecified();
    one == other || is_all && one.is_ipv4() == other.is_ipv4()
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where, in the container.
    pub target: String,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// Every other key, in its canonical form.
    pub rest: Values,
}

impl Mount {
    fn of_bind(&self, key: &str) -> Option<&str> {
        self.rest.get("bind")?.get(key)?.as_str()
    }

    /// The label of SELinux that a bound path gets, `z` or `Z`.
    #[must_use]
    pub fn selinux(&self) -> Option<&str> {
        self.of_bind("selinux")
    }

    /// What happens to mounts inside a bound path, unless it is the usual.
    #[must_use]
    pub fn recursion(&self) -> Option<&str> {
        self.of_bind("recursive").filter(|word| *word != "enabled")
    }
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// Absolute path.
        path: String,
        /// Whether a missing path is created as a folder.
        create: bool,
    },
    /// A volume by key; `None` for an anonymous one.
    Volume(Option<String>),
    /// Memory.
    Tmpfs,
    /// Another kind of the specification: `npipe`, `cluster` or `image`.
    Other {
        /// The word of the specification.
        kind: String,
        /// What it names.
        source: Option<String>,
    },
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Its name on the engine.
    pub name: String,
    /// Driver, `None` for the engine's default.
    pub driver: Option<String>,
    /// Whether somebody else made it and keeps it.
    pub external: bool,
    /// Whether it has no way out.
    pub internal: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Every other key, in its canonical form.
    pub rest: Values,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volume {
    /// Its name on the engine.
    pub name: String,
    /// Whether somebody else made it and keeps it.
    pub external: bool,
    /// Every other key, in its canonical form.
    pub rest: Values,
}

impl Project {
    /// The name of a service's first container.
    #[must_use]
    pub fn container_name(&self, service: &str) -> String {
        self.numbered_name(service, 1)
    }

    /// The name of a service's container with a number, from 1. A fixed name has no number.
    #[must_use]
    pub fn numbered_name(&self, service: &str, number: u32) -> String {
        let fixed = self
            .services
            .get(service)
            .and_then(|found| found.container_name.clone());
        fixed.unwrap_or_else(|| format!("{}-{service}-{number}", self.name))
    }

    /// How many containers a service has: `scale`, or else `deploy.replicas`, or else one.
    #[must_use]
    pub fn scale(&self, service: &str) -> u32 {
        let number = |value: Option<&Value>| value?.as_u64()?.try_into().ok();
        let Some(rest) = self.services.get(service).map(|found| &found.rest) else {
            return 0;
        };
        let replicas = || number(rest.get("deploy")?.get("replicas"));
        number(rest.get("scale")).or_else(replicas).unwrap_or(1)
    }

    /// Services whose network, processes, memory or mounts a service shares, and those that it is linked to
    /// on the engine's own bridge: all that the engine binds to one container.
    #[must_use]
    pub fn sharing(&self, service: &str) -> Vec<&str> {
        let Some(service) = self.services.get(service) else {
            return Vec::new();
        };
        let spaces = ["network_mode", "ipc", "pid"].iter().filter_map(|key| {
            let text = service.rest.get(*key)?.as_str()?;
            text.strip_prefix("service:")
        });
        let mounts = service.rest.get("volumes_from").and_then(Value::as_array);
        let mounts = mounts.into_iter().flatten().filter_map(|entry| {
            let text = entry.as_str()?;
            let is_service = !text.starts_with("container:");
            is_service.then(|| text.split_once(':').map_or(text, |(name, _)| name))
        });
        let links = service.links.iter().filter(|_| service.is_on_bridge());
        let links = links.map(|link| link.split_once(':').map_or(link.as_str(), |(name, _)| name));
        spaces.chain(mounts).chain(links).collect()
    }

    /// The services with all that they need, directly or not.
    #[must_use]
    pub fn with_needs<'a>(
        &'a self,
        services: impl IntoIterator<Item = &'a str>,
    ) -> BTreeSet<&'a str> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&str> = services.into_iter().collect();
        while let Some(name) = open.pop() {
            let Some((name, service)) = self.services.get_key_value(name) else {
                continue;
            };
            if all.insert(name.as_str()) {
                open.extend(service.depends_on.keys().map(String::as_str));
            }
        }
        all
    }

    /// Whether other services wait for its end. When it has ended well it is done, not down.
    #[must_use]
    pub fn is_one_shot(&self, service: &str) -> bool {
        self.services.values().any(|other| {
            let need = other.depends_on.get(service);
            need.is_some_and(|need| need.condition == Condition::Completed)
        })
    }

    /// Whether other services depend on it, and each of them can do without it.
    #[must_use]
    pub fn is_optional(&self, service: &str) -> bool {
        let all = self.services.values();
        let mut needs = all
            .filter_map(|other| other.depends_on.get(service))
            .peekable();
        needs.peek().is_some() && needs.all(|need| !need.required)
    }

    /// Services in an order in which each comes after those it depends on; equal ones by name.
    ///
    /// A cycle cannot occur: [`load::project`] refuses it.
    #[must_use]
    pub fn start_order(&self) -> Vec<&str> {
        // How many needs of each service are not in the order yet, and who waits for whom.
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        let mut waiting: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, service) in &self.services {
            let needs = service.depends_on.keys();
            let needs = needs.filter(|needed| self.services.contains_key(*needed));
            open.insert(name, needs.clone().count());
            for needed in needs {
                waiting.entry(needed).or_default().push(name);
            }
        }
        let mut ready: BTreeSet<&str> = BTreeSet::new();
        ready.extend(
            open.iter()
                .filter(|(_, left)| **left == 0)
                .map(|(name, _)| *name),
        );
        let mut order: Vec<&str> = Vec::new();
        while let Some(name) = ready.pop_first() {
            order.push(name);
            for next in waiting.get(name).into_iter().flatten() {
                if let Some(left) = open.get_mut(next) {
                    *left -= 1;
                    if *left == 0 {
                        ready.insert(next);
                    }
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_innermost_mount_shows() {
        let text = "services: {a: {image: i, volumes: ['/h:/certs', '/h/one.pem:/certs/in/one.pem', 'vol:/certs/v']}}\nvolumes: {vol: {}}";
        let project = super::load::project(text, "p").unwrap();
        let shown = |path: &str| project.services["a"].host_path(path);
        for (path, host) in [
            ("/certs/ca.pem", Some("/h/ca.pem")),
            ("/certs/in/one.pem", Some("/h/one.pem")),
            ("/certs/v/x", None),
            ("/certs2/x", None),
        ] {
            assert_eq!(shown(path).as_deref(), host.map(Path::new), "{path}");
        }
    }
}
