//! How networks and volumes that exist differ from their definitions. The engine keeps what it once
//! made: a change of a definition means nothing to it until somebody makes them anew.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::{Made, Network, Observed, Volume};
use crate::compose::Project;

/// Product that shows options of drivers in words of its own.
const OWN_WORDS: &str = "Podman";

/// A network that is not as its definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing<'a> {
    /// Key in the project.
    pub key: &'a str,
    /// The network that is used.
    pub network: &'a Network,
    /// In which respects.
    pub respects: Vec<Respect>,
    /// Whether it was made for this project, so that it may be made anew.
    pub is_ours: bool,
}

/// One respect in which something is not as its definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respect {
    /// Key of the definition, such as `internal` or `driver_opts.com.docker.network.driver.mtu`.
    pub key: String,
    /// What is, as it may be shown.
    pub from: String,
    /// What the definition says, as it may be shown.
    pub to: String,
}

impl fmt::Display for Respect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {} → {}", self.key, self.from, self.to)
    }
}

/// A container in a network of the project that is not one of the services in question, so that the
/// network cannot be made anew under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Id of the network.
    pub network: String,
    /// Name of the container.
    pub container: String,
    /// Whose it is.
    pub whose: Whose,
}

/// Whose container is in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Somebody else's, or one that somebody made by hand.
    Foreign,
    /// Of the project, whose service is not configured any more.
    Orphan,
    /// Of a service of the project that an `up` is not about.
    Aside,
    /// Of a service whose profile is not active.
    Inactive,
}

/// What stands for nothing, and for a value that is not shown.
const UNSET: &str = "unset";
const HIDDEN: &str = "…";

/// Options of the engine's own drivers, which hold no secrets.
const OF_ENGINE: &str = "com.docker.network.";

/// In which respects a network differs, in a stable order. Only what `wanted` says counts: what a
/// definition leaves to the engine does not differ. Values of other drivers and labels are not shown.
#[must_use]
pub fn respects(wanted: &Made, found: &Made) -> Vec<Respect> {
    let mut all = Vec::new();
    for (key, wanted) in &wanted.0 {
        let found = found.0.get(key);
        if holds(found, wanted) {
            continue;
        }
        let Value::Object(entries) = wanted else {
            let from = match (wanted, found) {
                (Value::Bool(_), None) => "false".to_owned(),
                _ => shown(found),
            };
            all.push(Respect {
                key: key.clone(),
                from,
                to: shown(Some(wanted)),
            });
            continue;
        };
        for (name, wanted) in entries {
            let found = found.and_then(|found| found.get(name));
            if holds(found, wanted) {
                continue;
            }
            let is_open = key == "ipam" || name.starts_with(OF_ENGINE);
            let value = |value: Option<&Value>| match value {
                Some(_) if !is_open => HIDDEN.to_owned(),
                value => shown(value),
            };
            all.push(Respect {
                key: format!("{key}.{name}"),
                from: value(found),
                to: value(Some(wanted)),
            });
        }
    }
    all
}

/// A value in words.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => UNSET.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| shown(Some(item))).collect();
            items.join(", ")
        }
        Some(Value::Object(map)) => {
            let entries = map.iter().filter(|(_, value)| !value.is_null());
            let entries = entries.map(|(key, value)| format!("{key} {}", shown(Some(value))));
            entries.collect::<Vec<String>>().join(" ")
        }
        Some(other) => other.to_string(),
    }
}

/// Whether what exists has all that is wanted.
fn holds(found: Option<&Value>, wanted: &Value) -> bool {
    match wanted {
        Value::Null => true,
        Value::Bool(wanted) => found.and_then(Value::as_bool).unwrap_or(false) == *wanted,
        Value::Object(map) => map
            .iter()
            .all(|(key, value)| holds(found.and_then(|found| found.get(key)), value)),
        Value::Array(items) => items.iter().all(|item| {
            let others = found.and_then(Value::as_array);
            let mut others = others.into_iter().flatten();
            others.any(|other| holds(Some(other), item))
        }),
        value => found == Some(value),
    }
}

/// In which respects a volume differs. Values of options are not shown, they may be passwords.
#[must_use]
pub fn volume_differences(wanted: &Volume, found: &Volume) -> Vec<String> {
    let mut differing = Vec::new();
    if !wanted.driver.is_empty() && wanted.driver != found.driver {
        differing.push(format!("`driver`: {} → {}", found.driver, wanted.driver));
    }
    let options = wanted.options.iter();
    let lacking = options.filter(|(key, value)| found.options.get(*key) != Some(*value));
    differing.extend(lacking.map(|(key, _)| format!("`driver_opts.{key}`")));
    differing
}

impl Observed {
    /// The containers that keep a network from being made anew by an `up` of these services: those in
    /// it that the `up` does not make anew or remove.
    #[must_use]
    pub fn hindering(
        &self,
        network: &Network,
        services: &BTreeSet<&str>,
        removes_orphans: bool,
    ) -> Vec<Visitor> {
        let visitors = self.visitors.iter();
        let visitors = visitors.filter(|visitor| visitor.network == network.id);
        let aside = self.containers.iter().filter(|container| {
            container.network_ids.contains(&network.id)
                && !services.contains(container.service.as_str())
                && !visitors
                    .clone()
                    .any(|visitor| visitor.container == container.name)
        });
        let aside = aside.map(|container| Visitor {
            network: network.id.clone(),
            container: container.name.clone(),
            whose: Whose::Aside,
        });
        let stays = |visitor: &&Visitor| !(removes_orphans && visitor.whose == Whose::Orphan);
        visitors
            .clone()
            .filter(stays)
            .cloned()
            .chain(aside)
            .collect()
    }

    /// The networks of services that are not as their definitions say, by key. Those of somebody else
    /// are as they are.
    #[must_use]
    pub fn differing_networks<'a>(&'a self, project: &'a Project) -> Vec<Differing<'a>> {
        let is_used = |key: &String| {
            let mut services = project.services.values();
            services.any(|service| service.networks.contains_key(key))
        };
        let own = project.networks.iter();
        let own = own.filter(|(key, network)| !network.external && is_used(key));
        let differing = own.filter_map(|(key, definition)| {
            let wanted = self.wanted_networks.get(&definition.name)?;
            let surplus = self.surplus_networks(&definition.name);
            let mut found = self.networks.get(&definition.name)?.iter();
            let network = found.find(|network| !surplus.contains(network))?;
            let mut wanted = wanted.clone();
            if self.engine.product.contains(OWN_WORDS) {
                wanted.0.retain(|key, _| key == "internal");
            }
            let respects = respects(&wanted, &network.made);
            (!respects.is_empty()).then(|| Differing {
                key,
                network,
                respects,
                is_ours: network.is_of(project),
            })
        });
        differing.collect()
    }

    /// The named volumes that are not as their definitions say: the name on the engine and the
    /// respects.
    #[must_use]
    pub fn differing_volumes<'a>(&'a self, project: &'a Project) -> Vec<(&'a str, Vec<String>)> {
        let own = project.volumes.values().filter(|volume| !volume.external);
        let differing = own.filter_map(|definition| {
            let wanted = self.wanted_volumes.get(&definition.name)?;
            let found = self.volumes.get(&definition.name)?.as_ref()?;
            let respects = volume_differences(wanted, found);
            (!respects.is_empty()).then_some((definition.name.as_str(), respects))
        });
        differing.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let made = |value: Value| Made(value.as_object().unwrap().clone());
        let wanted = made(json!({
            "driver": "bridge",
            "internal": true,
            "driver_opts": { "com.docker.network.driver.mtu": "1400", "password": "hunter3" },
            "ipam": { "config": [{ "subnet": "10.0.0.0/24", "gateway": null }] },
            "labels": { "a": "b" },
        }));
        let found = made(json!({
            "driver": "bridge",
            "driver_opts": { "password": "hunter2" },
            "ipam": { "config": [{ "subnet": "10.0.1.0/24" }] },
            "labels": { "a": "b", "more": "c" },
        }));
        let respects: Vec<String> = respects(&wanted, &found)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            respects,
            [
                "`internal`: false → true",
                "`driver_opts.com.docker.network.driver.mtu`: unset → 1400",
                "`driver_opts.password`: … → …",
                "`ipam.config`: subnet 10.0.1.0/24 → subnet 10.0.0.0/24",
            ]
        );
        assert_eq!(super::respects(&found, &found), []);
    }
}
