//! What the engine in memory shows of a container that it makes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::compose::{Mount, MountSource};
use crate::engine::{self, ContainerRequest};
use crate::observed::Made;

/// What this engine shows of a container: what was asked for, and the networks with their ids. Files
/// are seen by reading them.
pub(super) fn shown(request: &ContainerRequest<'_>) -> Made {
    let mut made = engine::wanted(request);
    made.0.shift_remove("files");
    for place in &request.networks {
        let shown = made.0.get_mut("networks");
        let shown = shown.and_then(|networks| networks.get_mut(&place.name)?.as_object_mut());
        if let Some(shown) = shown {
            shown.insert("id".to_owned(), place.id.clone().into());
        }
    }
    made
}

/// Leaves a new name of a container out of its aliases, as a real engine's answer is read.
pub(super) fn renamed(made: &mut Made, name: &str) {
    let networks = made.0.get_mut("networks").and_then(Value::as_object_mut);
    let places = networks
        .into_iter()
        .flat_map(|networks| networks.values_mut());
    for place in places.filter_map(Value::as_object_mut) {
        let Some(Value::Array(aliases)) = place.get_mut("aliases") else {
            continue;
        };
        aliases.retain(|alias| alias != name);
        if aliases.is_empty() {
            place.shift_remove("aliases");
        }
    }
}

/// The anonymous volumes of a container by path: those it takes over, and new ones for what else its
/// definition and its image ask for. `number` tells the names from those of other containers.
pub(super) fn anonymous(
    request: &ContainerRequest<'_>,
    brings: &Made,
    number: usize,
) -> BTreeMap<String, String> {
    let service = request.service;
    let asked = brings.0.get("volumes").and_then(|paths| paths.as_array());
    let asked = asked.into_iter().flatten().filter_map(|path| path.as_str());
    let own = service.volumes.iter();
    let own = own.filter(|mount| mount.source == MountSource::Volume(None));
    let paths = asked
        .filter(|path| service.mount_at(path).is_none())
        .chain(own.map(Mount::path));
    let paths: BTreeSet<&str> = paths.collect();
    let named = paths.into_iter().enumerate().map(|(at, path)| {
        let inherited = request.inherits.get(path).cloned();
        let name = inherited.unwrap_or_else(|| format!("{number:032x}{at:032x}"));
        (path.to_owned(), name)
    });
    named.collect()
}
