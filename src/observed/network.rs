//! How networks and volumes that exist differ from their definitions. The engine keeps what it once
//! made: a change of a definition means nothing to it until somebody makes them anew.

use serde_json::Value;

use super::{Made, Network, Observed, Volume};
use crate::compose::Project;
use crate::labels;

/// Product that shows options of drivers in words of its own.
const OWN_WORDS: &str = "Podman";

/// A network that is not as its definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing<'a> {
    /// Key in the project.
    pub key: &'a str,
    /// The network that is used.
    pub network: &'a Network,
    /// In which respects, such as "`internal`: false → true".
    pub respects: Vec<String>,
    /// Whether it was made for this project, so that it may be made anew.
    pub is_ours: bool,
}

/// In which respects a network differs, in a stable order. Only what `wanted` says counts: what a
/// definition leaves to the engine does not differ. Values of options and labels are not shown.
#[must_use]
pub fn differences(wanted: &Made, found: &Made) -> Vec<String> {
    let lacking = wanted
        .0
        .iter()
        .filter(|(key, value)| !holds(found.0.get(*key), value));
    let words = lacking.map(|(key, value)| match value {
        Value::Bool(wanted) => format!("`{key}`: {} → {wanted}", !wanted),
        Value::String(wanted) => {
            let found = found.0.get(key).and_then(Value::as_str);
            format!("`{key}`: {} → {wanted}", found.unwrap_or("not told"))
        }
        _ => format!("`{key}`"),
    });
    words.collect()
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
            let respects = differences(&wanted, &network.made);
            (!respects.is_empty()).then(|| Differing {
                key,
                network,
                respects,
                is_ours: network.labels.get(labels::PROJECT) == Some(&project.name),
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
