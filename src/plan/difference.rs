//! Whether a container is what its definition asks for, and if not, in which respects: every field is
//! compared on what the engine shows, with what the image brings and with the engine's defaults.
//!
//! The label with the hash of the definition only helps where the engine's answer leaves room: what the
//! engine fills in by itself cannot differ while the hash is the same. A hash that differs, as one of
//! another Docker Compose does, is no difference by itself.

pub(super) mod disclosure;
mod merged;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::compose::Place;
use crate::compose::Service;
use crate::compose::Values;
use crate::compose::canonical;
use crate::deployment::Deployment;
use crate::labels;
use crate::observed::Container;
use crate::observed::Made;
use crate::observed::Observed;
use crate::observed::short_id;
use disclosure::Disclosure;

/// One respect in which a container is not what its definition asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field: a key of the Compose Specification, with the name of the entry where it is a mapping,
    /// such as `image` or `environment OVERLEAF_APP_NAME`.
    pub field: String,
    /// What the container has, as it may be shown; `None` for nothing.
    pub from: Option<String>,
    /// What the definition asks for, as it may be shown; `None` for nothing.
    pub to: Option<String>,
    /// The line of the operator that asks for it, with a path relative to the instance.
    pub place: Option<Place>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        write!(
            f,
            "{}: {} → {}",
            self.field,
            text(&self.from),
            text(&self.to)
        )?;
        match &self.place {
            Some(place) => write!(f, " ({}:{})", place.file.display(), place.line),
            None => Ok(()),
        }
    }
}

/// What the engine does with a field that a definition leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Default {
    /// It takes the first of these values, or another of them, or one of its own configuration.
    Fills(&'static [&'static str]),
    /// It limits nothing, and forgets a limit that the kernel does not know.
    Unlimited,
}

/// Fields with a default of their own. Any other field is absent until a definition sets it.
const DEFAULTS: [(&str, Default); 28] = [
    ("blkio_config.device_read_bps", Default::Unlimited),
    ("blkio_config.device_read_iops", Default::Unlimited),
    ("blkio_config.device_write_bps", Default::Unlimited),
    ("blkio_config.device_write_iops", Default::Unlimited),
    ("blkio_config.weight", Default::Unlimited),
    ("blkio_config.weight_device", Default::Unlimited),
    ("cgroup", Default::Fills(&["host", "private"])),
    ("cpu_period", Default::Unlimited),
    ("cpu_quota", Default::Unlimited),
    ("cpu_rt_period", Default::Unlimited),
    ("cpu_rt_runtime", Default::Unlimited),
    ("cpu_shares", Default::Unlimited),
    ("cpus", Default::Unlimited),
    ("cpuset", Default::Unlimited),
    ("cpuset_mems", Default::Unlimited),
    ("domainname", Default::Fills(&[])),
    ("hostname", Default::Fills(&[])),
    ("ipc", Default::Fills(&["private", "shareable"])),
    ("logging", Default::Fills(&[r#"{"Type":"json-file"}"#])),
    ("mem_limit", Default::Unlimited),
    ("mem_reservation", Default::Unlimited),
    ("mem_swappiness", Default::Unlimited),
    ("memswap_limit", Default::Unlimited),
    ("oom_kill_disable", Default::Unlimited),
    ("pids_limit", Default::Unlimited),
    (
        "runtime",
        Default::Fills(&["runc", "io.containerd.runc.v2"]),
    ),
    ("shm_size", Default::Fills(&["67108864"])),
    ("ulimits", Default::Fills(&[])),
];

/// Fields that are mappings, each entry of which is compared by itself.
const BY_ENTRY: [&str; 7] = [
    "environment",
    "files",
    "labels",
    "networks",
    "sysctls",
    "tmpfs",
    "volumes",
];

/// Product whose inspect answers in words of its own: capabilities and variables that nobody asked for.
/// There the hash decides, so that no container is made anew at every run.
const OWN_WORDS: &str = "Podman";

/// In which respects the container of a service differs from its definition, in a stable order; empty
/// when it need not be made anew.
#[must_use]
pub fn causes(
    service: &str,
    desired: &Service,
    container: &Container,
    observed: &Observed,
    deployment: &Deployment,
) -> Vec<Difference> {
    let comparison = Comparison {
        service,
        desired,
        deployment,
        container,
        observed,
        fillings: OnceCell::new(),
        same_hash: OnceCell::new(),
        disclosure: Disclosure::new(deployment, desired, container),
    };
    let mut found = Vec::new();
    let is_same_image = comparison.image(container, observed, &mut found);
    comparison.name(container, &mut found);
    let key = (service.to_owned(), container.number());
    let Some(wanted) = observed.wanted.get(&key) else {
        if found.is_empty() && !comparison.is_same_hash() {
            found.push(comparison.difference("definition", None, None, None));
        }
        return found;
    };
    if observed.engine.product.contains(OWN_WORDS) && comparison.is_same_hash() {
        return found;
    }
    let image = observed.images.get(&desired.image).and_then(Option::as_ref);
    let brings = image.filter(|_| is_same_image).map(|image| &image.brings);
    let against = |wanted| {
        let is_as_made = || comparison.is_same_hash();
        let (wanted, shown) =
            merged::both(wanted, container, brings, observed, deployment, is_as_made);
        let mut found = Vec::new();
        comparison.fields(&wanted, &shown, &mut found);
        found
    };
    let mut fields = against(wanted);
    if let Some(accepted) = observed.accepted.get(&key) {
        let others = against(accepted);
        if others.len() < fields.len() {
            fields = others;
        }
    }
    found.extend(fields);
    comparison.stale_networks(container, observed, &mut found);
    found
}

/// Whether a container was made of this very definition, as its label says.
#[must_use]
pub fn is_made_of(container: &Container, definition: &Service) -> bool {
    container.labels.get(labels::CONFIG_HASH) == Some(&canonical::service_hash(definition))
}

struct Comparison<'a> {
    service: &'a str,
    desired: &'a Service,
    deployment: &'a Deployment,
    /// Whether the container was made of this very definition, once it matters.
    same_hash: OnceCell<bool>,
    container: &'a Container,
    observed: &'a Observed,
    /// What the engine is known to fill in for fields that are left out, once it matters.
    fillings: OnceCell<Vec<(&'static str, Value)>>,
    disclosure: Disclosure<'a>,
}

impl Comparison<'_> {
    fn difference(
        &self,
        field: &str,
        entry: Option<&str>,
        from: Option<&Value>,
        to: Option<&Value>,
    ) -> Difference {
        let shown = |value: &Value| self.disclosure.value(field, entry, value);
        let label = if field == "labels" { "label" } else { field };
        Difference {
            field: match entry {
                Some(entry) => format!("{label} {entry}"),
                None => label.to_owned(),
            },
            from: from.map(shown),
            to: to.map(shown),
            place: self.place(field, entry),
        }
    }

    /// Compares the image; returns whether the container is made of the one that is there now.
    fn image(
        &self,
        container: &Container,
        observed: &Observed,
        found: &mut Vec<Difference>,
    ) -> bool {
        let (old, new) = (&container.image, &self.desired.image);
        if old != new {
            let is_other_name = image_name(old) != image_name(new);
            let part = is_other_name.then_some("name");
            found.push(Difference {
                field: "image".to_owned(),
                from: Some(old.clone()),
                to: Some(new.clone()),
                // A bundled image changes with the program, whatever the configuration says.
                place: match self.deployment.bundled_images.contains_key(self.service) {
                    true => None,
                    false => part
                        .and_then(|part| self.at(&format!("image.{part}")))
                        .or_else(|| self.at("image")),
                },
            });
            return false;
        }
        let present = observed.images.get(new).and_then(Option::as_ref);
        let made_from = container.made_from();
        match present {
            Some(image) if image.id != made_from => {
                found.push(Difference {
                    field: format!("image {new}"),
                    from: Some(short_id(made_from)),
                    to: Some(short_id(&image.id)),
                    place: None,
                });
                false
            }
            Some(image) => {
                let platform = self.desired.platform();
                let is_bundled = self.deployment.bundled_images.contains_key(self.service);
                if !image.fits(platform) && !is_bundled {
                    found.push(Difference {
                        field: "platform".to_owned(),
                        from: Some(image.architecture.clone()),
                        to: platform.map(ToOwned::to_owned),
                        place: self.at("platform"),
                    });
                }
                true
            }
            None => false,
        }
    }

    fn name(&self, container: &Container, found: &mut Vec<Difference>) {
        let project = &self.deployment.project.name;
        let number = container.labels.get(labels::CONTAINER_NUMBER);
        let number = number.map_or("1", String::as_str);
        let service = self.service;
        let is_right = match &self.desired.container_name {
            Some(name) => container.name == *name,
            None => ["-", "_"].iter().any(|separator| {
                container.name == [project.as_str(), service, number].join(separator)
            }),
        };
        if !is_right {
            let expected = match &self.desired.container_name {
                Some(name) => name.clone(),
                None => format!("{project}-{service}-{number}"),
            };
            let (from, to) = (Value::from(container.name.clone()), Value::from(expected));
            found.push(self.difference("container_name", None, Some(&from), Some(&to)));
        }
    }

    fn fields(&self, wanted: &Values, shown: &Values, found: &mut Vec<Difference>) {
        let keys: BTreeSet<&String> = wanted.keys().chain(shown.keys()).collect();
        for key in keys {
            let (to, from) = (wanted.get(key), shown.get(key));
            if to == from {
                continue;
            }
            if !BY_ENTRY.contains(&key.as_str()) {
                if !self.is_default(key, from, to, shown) {
                    found.push(self.difference(key, None, from, to));
                }
                continue;
            }
            let entries = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
            let (to, from) = (
                entries(to).unwrap_or_default(),
                entries(from).unwrap_or_default(),
            );
            let names: BTreeSet<&String> = to.keys().chain(from.keys()).collect();
            for name in names {
                let (to, from) = (to.get(name), from.get(name));
                if to != from {
                    found.push(self.difference(key, Some(name), from, to));
                }
            }
        }
    }

    /// Whether what the engine shows of a field is its own doing.
    fn is_default(
        &self,
        key: &str,
        from: Option<&Value>,
        to: Option<&Value>,
        shown: &Values,
    ) -> bool {
        let row = DEFAULTS.iter().find(|(field, _)| *field == key);
        match (row.map(|(_, default)| default), from, to) {
            (Some(Default::Fills(values)), Some(from), None) => {
                let text = from.as_str().map_or_else(|| from.to_string(), Into::into);
                let is_known = || self.fillings().iter().any(|(field, _)| *field == key);
                values.first() == Some(&text.as_str())
                    || follows(key, shown)
                    || self.is_same_hash()
                    || self.fills(key, from)
                    // What only some engines fill in, unless others tell what this one does.
                    || (values.contains(&text.as_str()) && !is_known())
            }
            // Options of the engine's own configuration stand beside those of the definition.
            (Some(Default::Fills(_)), Some(from), Some(to)) if key == "logging" => {
                let extra = without_options(from, to);
                extra.is_some_and(|extra| {
                    self.is_same_hash()
                        || self
                            .fillings()
                            .iter()
                            .any(|(field, known)| *field == key && has_options(known, &extra))
                })
            }
            // Limits of the engine's own configuration stand beside those of the definition.
            (Some(Default::Fills(_)), Some(from), Some(to)) if key == "ulimits" => {
                let (from, to) = (from.as_object(), to.as_object());
                let holds =
                    |name: &String, value| from.and_then(|from| from.get(name)) == Some(value);
                self.is_same_hash() && to.is_some_and(|to| to.iter().all(|(k, v)| holds(k, v)))
            }
            // The kernel does not know the limit; asking for it again would not change that.
            (Some(Default::Unlimited), None, Some(_)) => self.is_same_hash(),
            (Some(Default::Unlimited), Some(from), None) if key == "memswap_limit" => {
                let memory = shown.get("mem_limit").and_then(Value::as_i64);
                from.as_i64() == Some(-1) || from.as_i64() == memory.map(|memory| 2 * memory)
            }
            (Some(Default::Unlimited), Some(from), Some(_)) if key == "memswap_limit" => {
                from.as_i64() == Some(-1) && self.is_same_hash()
            }
            _ => false,
        }
    }

    fn is_same_hash(&self) -> bool {
        let look = || is_made_of(self.container, self.desired);
        *self.same_hash.get_or_init(look)
    }

    fn fillings(&self) -> &[(&'static str, Value)] {
        let known = || fillings(self.container, self.observed, self.deployment);
        self.fillings.get_or_init(known)
    }

    fn fills(&self, key: &str, value: &Value) -> bool {
        let mut known = self.fillings().iter();
        known.any(|(field, known)| *field == key && known == value)
    }

    /// A container that joins a network which has been removed since.
    fn stale_networks(
        &self,
        container: &Container,
        observed: &Observed,
        found: &mut Vec<Difference>,
    ) {
        for key in self.desired.networks.keys() {
            let Some(network) = self.deployment.project.networks.get(key) else {
                continue;
            };
            let shown = container.made.0.get("networks");
            let place = shown.and_then(|networks| networks.get(&network.name));
            let id = place.and_then(|place| place.get("id")?.as_str());
            let present = observed.networks.get(&network.name);
            let is_there = |id| present.into_iter().flatten().any(|found| found.id == id);
            if let Some(id) = id
                && !is_there(id)
            {
                let from = Value::from(short_id(id));
                let name = Some(network.name.as_str());
                found.push(self.difference("networks", name, Some(&from), None));
            }
        }
    }

    /// The line that says a value.
    fn place(&self, field: &str, entry: Option<&str>) -> Option<Place> {
        let index = match (field, entry) {
            ("volumes", Some(target)) => {
                let mut mounts = self.desired.volumes.iter();
                mounts.position(|mount| mount.target == target)
            }
            _ => None,
        };
        let network = |name: &str| {
            let mut networks = self.deployment.project.networks.iter();
            let found = networks.find(|(_, network)| network.name == name);
            found.map(|(key, _)| key.clone())
        };
        let of_entry = match (field, entry) {
            ("networks", Some(name)) => {
                network(name).and_then(|key| self.at(&format!("networks.{key}")))
            }
            ("files", Some(_)) => self.at("secrets").or_else(|| self.at("configs")),
            (_, Some(entry)) => self.at(&format!("{field}.{entry}")),
            (_, None) => None,
        };
        let of_index = || index.and_then(|index| self.at(&format!("volumes[{index}]")));
        let of_ports = || {
            let ports = 0..self.desired.ports.len();
            let mut ports = ports.map(|at| format!("ports[{at}]"));
            ports
                .find_map(|path| self.at(&path))
                .filter(|_| field == "ports")
        };
        let (first, _) = field.split_once('.').unwrap_or((field, ""));
        let of_deploy = || match (first, DEFAULTS.iter().any(|(key, _)| *key == field)) {
            ("restart", _) => self
                .at("deploy.restart_policy")
                .or_else(|| self.at("deploy")),
            ("gpus", _) | (_, true) => self.at("deploy.resources").or_else(|| self.at("deploy")),
            _ => None,
        };
        of_entry
            .or_else(of_index)
            .or_else(of_ports)
            .or_else(|| self.at(first))
            .or_else(of_deploy)
    }

    /// The place of a path below the service, relative to the instance.
    fn at(&self, path: &str) -> Option<Place> {
        let path = format!("services.{}.{path}", self.service);
        let place = self.deployment.origins.get(&path)?;
        let file = place.file.strip_prefix(&self.deployment.root);
        Some(Place {
            file: file.unwrap_or(&place.file).to_path_buf(),
            ..place.clone()
        })
    }
}

/// Fields that an engine may fill in out of its own configuration.
const FILLED: [&str; 6] = ["cgroup", "ipc", "logging", "runtime", "shm_size", "ulimits"];

/// Whether a container of now tells what the engine fills in: one whose definition is the present one
/// and leaves out every such field.
#[must_use]
pub fn is_known_what_is_filled_in(deployment: &Deployment, observed: &Observed) -> bool {
    let mut containers = observed.containers.iter();
    containers.any(|found| {
        let key = (found.service.clone(), found.number());
        let leaves_out = |wanted: &Made| FILLED.iter().all(|field| !wanted.0.contains_key(*field));
        let definition = deployment.project.services.get(&found.service);
        observed.wanted.get(&key).is_some_and(leaves_out)
            && definition.is_some_and(|one| is_made_of(found, one))
    })
}

/// What the engine fills in: what it shows of containers whose definition leaves a field out and has not
/// changed since. A container that somebody else made speaks for itself as well, because the hash of
/// another Docker Compose says nothing.
fn fillings(
    container: &Container,
    observed: &Observed,
    deployment: &Deployment,
) -> Vec<(&'static str, Value)> {
    let is_ours = container.labels.contains_key(labels::INSTANCE);
    let mut known = Vec::new();
    for other in &observed.containers {
        let Some(definition) = deployment.project.services.get(&other.service) else {
            continue;
        };
        let label = other.labels.get(labels::CONFIG_HASH);
        let is_current = is_made_of(other, definition);
        let earlier = label.and_then(|hash| observed.earlier.get(hash));
        let is_of_others = !is_ours && !other.labels.contains_key(labels::INSTANCE);
        let wanted = match (is_current, earlier) {
            (false, Some(earlier)) => Some(earlier),
            (false, None) if !is_of_others => continue,
            _ => observed
                .wanted
                .get(&(other.service.clone(), other.number())),
        };
        let is_left_out = |key: &str| wanted.is_some_and(|wanted| !wanted.0.contains_key(key));
        for key in FILLED {
            if is_left_out(key)
                && let Some(value) = other.made.0.get(key)
            {
                known.push((key, value.clone()));
            }
        }
    }
    known
}

/// The options of a log that stand beside wanted ones; `None` when something wanted is missing.
fn without_options(shown: &Value, wanted: &Value) -> Option<Values> {
    let options = |value: &Value| value.get("Config").and_then(Value::as_object).cloned();
    let driver = |value: &Value| value.get("Type").cloned();
    let wants = driver(wanted);
    if wants.is_some() && wants != driver(shown) {
        return None;
    }
    let (mut shown, wanted) = (
        options(shown).unwrap_or_default(),
        options(wanted).unwrap_or_default(),
    );
    for (key, value) in &wanted {
        if shown.shift_remove(key).as_ref() != Some(value) {
            return None;
        }
    }
    Some(shown)
}

fn has_options(log: &Value, options: &Values) -> bool {
    let own = log.get("Config").and_then(Value::as_object);
    let has = |(key, value): (&String, &Value)| own.and_then(|own| own.get(key)) == Some(value);
    options.iter().all(has)
}

/// Whether a container has its host name from whom it shares the network with.
fn follows(key: &str, shown: &Values) -> bool {
    let mode = shown.get("network_mode").and_then(Value::as_str);
    let is_shared = |mode: &str| mode == "host" || mode.starts_with("container:");
    matches!(key, "hostname" | "domainname") && mode.is_some_and(is_shared)
}

/// An image reference without its tag or digest.
fn image_name(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}
