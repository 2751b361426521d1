//! Brings what is wanted and what the engine shows into the same words: what the image brings is added to
//! the one, what the engine adds by itself is taken off the other.

use serde_json::{Map, Value, json};

use crate::compose::Values;
use crate::deployment::{Deployment, PROXIES};
use crate::observed::{Container, Made, Observed};

/// Variables that only this program sets, so that one without a definition is a leftover even where it is
/// not known what the image brings.
const OURS: [&str; 3] = ["OVERLEAF_", "SHARELATEX_", "GIT_BRIDGE_"];

/// Fields of which the image may bring the whole value.
const WHOLE: [&str; 6] = [
    "command",
    "entrypoint",
    "healthcheck",
    "stop_signal",
    "user",
    "working_dir",
];

/// What is wanted and what the engine shows. `brings` is `None` when the container is made of another
/// image than the one at hand: then only what the definition says itself can be compared. `is_as_made` tells
/// whether the container was made of this very definition.
pub(super) fn both(
    wanted: &Made,
    container: &Container,
    brings: Option<&Made>,
    observed: &Observed,
    deployment: &Deployment,
    is_as_made: impl Fn() -> bool,
) -> (Values, Values) {
    let mut wanted = wanted.0.clone();
    let mut shown = container.made.0.clone();
    match brings {
        Some(brings) => with_image(&mut wanted, &mut shown, &brings.0),
        None => only_written(&wanted, &mut shown),
    }
    for made in [&mut wanted, &mut shown] {
        // A variable without a value is one that is not there.
        if let Some(Value::Object(variables)) = made.get_mut("environment") {
            variables.retain(|_, value| !value.is_null());
        }
        let is_none = |value: &Value| match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        made.retain(|_, value| !is_none(value));
        name_containers(made, observed);
    }
    proxies_off(&wanted, &mut shown, deployment, is_as_made);
    own_labels_off(&mut wanted);
    own_labels_off(&mut shown);
    networks(&mut wanted, &mut shown, observed, deployment);
    (wanted, shown)
}

/// Takes off the proxies that whoever made the container had in the configuration of the Docker client:
/// the definition does not know them, and the next one to look may have others. One that an earlier
/// definition set stays.
fn proxies_off(
    wanted: &Values,
    shown: &mut Values,
    deployment: &Deployment,
    is_as_made: impl Fn() -> bool,
) {
    let Some(Value::Object(variables)) = shown.get_mut("environment") else {
        return;
    };
    let wanted = wanted.get("environment").and_then(Value::as_object);
    let is_proxy = |name: &str| {
        PROXIES
            .iter()
            .any(|(_, known)| known.eq_ignore_ascii_case(name))
    };
    variables.retain(|name, value| {
        let is_given = || {
            let known = deployment.proxies.get(name);
            known.is_some_and(|known| value.as_str() == Some(known.expose())) || is_as_made()
        };
        wanted.is_some_and(|wanted| wanted.contains_key(name)) || !is_proxy(name) || !is_given()
    });
}

fn object<'a>(made: &'a Values, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let map = made.get(key).and_then(Value::as_object);
    map.into_iter().flatten()
}

fn texts(made: &Values, key: &str) -> Vec<String> {
    let items = made.get(key).and_then(Value::as_array);
    let items = items.into_iter().flatten().filter_map(Value::as_str);
    items.map(ToOwned::to_owned).collect()
}

fn is_empty(value: Option<&Value>) -> bool {
    value.and_then(Value::as_array).is_none_or(Vec::is_empty)
}

/// Adds to a request what the engine takes from the image, by the engine's own rules.
fn with_image(wanted: &mut Values, shown: &mut Values, image: &Values) {
    for key in ["environment", "labels"] {
        let mut all: Map<String, Value> = Map::new();
        let entries = object(image, key).chain(object(wanted, key));
        all.extend(entries.map(|(name, value)| (name.clone(), value.clone())));
        wanted.insert(key.to_owned(), Value::Object(all));
    }
    let mut exposed = texts(wanted, "expose");
    exposed.extend(texts(image, "expose"));
    exposed.sort();
    exposed.dedup();
    wanted.insert("expose".to_owned(), json!(exposed));
    // An entrypoint, even an empty one, takes the place of the image's; only without one does the
    // image's command count.
    if is_empty(wanted.get("entrypoint")) && is_empty(wanted.get("command")) {
        take(wanted, image, "command");
    }
    if !wanted.contains_key("entrypoint") {
        take(wanted, image, "entrypoint");
    }
    for key in ["user", "working_dir", "stop_signal"] {
        if !wanted.contains_key(key) {
            take(wanted, image, key);
        }
    }
    match (wanted.get_mut("healthcheck"), image.get("healthcheck")) {
        (None, Some(_)) => take(wanted, image, "healthcheck"),
        (Some(Value::Object(own)), Some(Value::Object(check))) => {
            for (key, value) in check {
                own.entry(key.clone()).or_insert_with(|| value.clone());
            }
            own.sort_keys();
        }
        _ => {}
    }
    // Docker Compose hands the volume that an image asks for on to the next container.
    let asked = texts(image, "volumes");
    let own: Vec<String> = object(wanted, "volumes")
        .map(|(at, _)| at.clone())
        .collect();
    if let Some(Value::Object(mounts)) = shown.get_mut("volumes") {
        mounts.retain(|target, mount| {
            own.contains(target) || !is_anonymous(mount) || !asked.contains(target)
        });
    }
}

fn is_anonymous(mount: &Value) -> bool {
    mount.get("type") == Some(&json!("volume")) && mount.get("source").is_none()
}

fn take(wanted: &mut Values, image: &Values, key: &str) {
    if let Some(value) = image.get(key) {
        wanted.insert(key.to_owned(), value.clone());
    }
}

/// Leaves of what the engine shows only what the definition says too.
fn only_written(wanted: &Values, shown: &mut Values) {
    for key in WHOLE {
        if wanted.get(key).is_none_or(|value| value == &json!([])) {
            shown.shift_remove(key);
        }
    }
    for key in ["environment", "labels"] {
        let written = wanted.get(key).and_then(Value::as_object);
        if let Some(Value::Object(entries)) = shown.get_mut(key) {
            entries.retain(|name, _| {
                let is_ours = key == "environment" && OURS.iter().any(|p| name.starts_with(p));
                is_ours || written.is_some_and(|written| written.contains_key(name))
            });
        }
    }
    // The image that it is made of may have asked for the volume.
    let own = wanted.get("volumes");
    if let Some(Value::Object(mounts)) = shown.get_mut("volumes") {
        mounts.retain(|target, mount| {
            !is_anonymous(mount) || own.is_some_and(|own| own.get(target).is_some())
        });
    }
    let written = texts(wanted, "expose");
    let mut exposed = texts(shown, "expose");
    exposed.retain(|port| written.contains(port));
    shown.insert("expose".to_owned(), json!(exposed));
    if let Some(Value::Object(check)) = wanted.get("healthcheck")
        && let Some(Value::Object(present)) = shown.get_mut("healthcheck")
    {
        present.retain(|key, _| check.contains_key(key));
    }
}

/// Takes off the labels that Docker Compose and this program write.
fn own_labels_off(shown: &mut Values) {
    if let Some(Value::Object(labels)) = shown.get_mut("labels") {
        labels.retain(|name, _| {
            !name.starts_with("com.docker.compose.") && !name.starts_with("toolkit.")
        });
        if labels.is_empty() {
            shown.shift_remove("labels");
        }
    }
}

/// Names the containers that others share with; the engine shows ids.
fn name_containers(made: &mut Values, observed: &Observed) {
    let name = |reference: &str| {
        let mut containers = observed.containers.iter();
        let found = containers.find(|found| found.id == reference || found.name == reference);
        found.map_or_else(|| reference.to_owned(), |found| found.name.clone())
    };
    for key in ["network_mode", "ipc", "pid"] {
        if let Some(Value::String(mode)) = made.get_mut(key)
            && let Some(reference) = mode.strip_prefix("container:")
        {
            *mode = format!("container:{}", name(reference));
        }
    }
    let shared = texts(made, "volumes_from").into_iter().map(|entry| {
        let (reference, mode) = entry.split_once(':').unwrap_or((&entry, "rw"));
        format!("{}:{mode}", name(reference))
    });
    let shared: Vec<String> = shared.collect();
    if !shared.is_empty() {
        made.insert("volumes_from".to_owned(), json!(shared));
    }
}

/// Networks by name, with what both sides can know of them.
fn networks(wanted: &mut Values, shown: &mut Values, observed: &Observed, deployment: &Deployment) {
    let all = observed.networks.values().flatten();
    let names: Vec<(String, String)> = all
        .map(|network| (network.id.clone(), network.name.clone()))
        .collect();
    // Before the first start the engine shows the id in place of the name.
    if let Some(Value::Object(places)) = shown.get_mut("networks") {
        let renamed = std::mem::take(places).into_iter().map(|(key, place)| {
            let name = names.iter().find(|(id, _)| *id == key);
            (name.map_or(key, |(_, name)| name.clone()), place)
        });
        *places = renamed.collect();
    }
    let asks_for_address = |name: &str| {
        let place = wanted.get("networks").and_then(|places| places.get(name));
        place.is_some_and(|place| place.get("mac_address").is_some())
    };
    if let Some(Value::Object(places)) = shown.get_mut("networks") {
        for (name, place) in places.iter_mut() {
            if let Value::Object(place) = place
                && !asks_for_address(name)
            {
                place.shift_remove("mac_address");
            }
        }
    }
    for made in [wanted, shown] {
        plain_links(made, deployment);
        let places = made.get_mut("networks").and_then(Value::as_object_mut);
        for (_, place) in places.into_iter().flatten() {
            if let Value::Object(place) = place {
                place.shift_remove("id");
                plain_links(place, deployment);
                place.sort_keys();
            }
        }
    }
}

/// Leaves out the names with a number that Docker Compose adds to each link: the number is that of the
/// container itself, and the names are those of the services anyway.
fn plain_links(place: &mut Values, deployment: &Deployment) {
    let project = &deployment.project;
    let is_numbered = |alias: &str| {
        let Some((base, number)) = alias.rsplit_once('-') else {
            return false;
        };
        let base = base
            .strip_prefix(project.name.as_str())
            .and_then(|base| base.strip_prefix('-'))
            .unwrap_or(base);
        number.bytes().all(|byte| byte.is_ascii_digit()) && project.services.contains_key(base)
    };
    let mut links = texts(place, "links");
    links.retain(|link| {
        let alias = link
            .split_once(':')
            .map_or(link.as_str(), |(_, alias)| alias);
        !is_numbered(alias)
    });
    if links.is_empty() {
        place.shift_remove("links");
    } else {
        place.insert("links".to_owned(), json!(links));
    }
}
