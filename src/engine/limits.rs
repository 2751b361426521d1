//! Keys of the Compose Specification that the engine adapter does not carry out. They are rendered
//! all the same; whoever is about to change something says so first.

use serde_json::Value;

use crate::compose::{Place, Project, Values};

/// A key that is rendered and not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    /// Path of the key, such as `services.extra.build`.
    pub path: String,
    /// Where it stands; `None` when no file of the operator says it.
    pub place: Option<Place>,
    /// What to do instead.
    pub advice: &'static str,
}

/// Keys of a service, each with what to do instead. A dot leads into a mapping.
const OF_SERVICES: [(&str, &str); 27] = [
    (
        "attach",
        "has no effect here: containers run in the background",
    ),
    (
        "build",
        "build the image with `docker build` and name it under `image`",
    ),
    (
        "blkio_config.device_read_bps",
        "set it with `docker update` or in the engine",
    ),
    (
        "blkio_config.device_read_iops",
        "set it with `docker update` or in the engine",
    ),
    (
        "blkio_config.device_write_bps",
        "set it with `docker update` or in the engine",
    ),
    (
        "blkio_config.device_write_iops",
        "set it with `docker update` or in the engine",
    ),
    (
        "blkio_config.weight_device",
        "set it with `docker update` or in the engine",
    ),
    ("credential_spec", "only Windows containers have it"),
    ("deploy.endpoint_mode", "only a swarm has it"),
    ("deploy.labels", "only a swarm has it; use `labels`"),
    ("deploy.mode", "only a swarm has it"),
    ("deploy.placement.constraints", "only a swarm has it"),
    ("deploy.placement.preferences", "only a swarm has it"),
    ("deploy.replicas", "one container runs per service"),
    ("deploy.restart_policy", "use `restart`"),
    ("deploy.rollback_config", "only a swarm has it"),
    ("deploy.update_config", "only a swarm has it"),
    ("develop", "only `docker compose watch` has it"),
    ("external_links", "put both containers into one network"),
    ("models", "the engine has no models"),
    (
        "post_start",
        "run it with `docker exec` when the service is up",
    ),
    ("pre_stop", "run it with `docker exec` before the stop"),
    ("provider", "start what it provides yourself"),
    (
        "pull_policy",
        "images that are missing are pulled, others are kept",
    ),
    (
        "pull_refresh_after",
        "images that are missing are pulled, others are kept",
    ),
    ("scale", "one container runs per service"),
    (
        "use_api_socket",
        "mount the engine's socket under `volumes`",
    ),
];

/// What of a project is rendered and not carried out.
#[must_use]
pub fn not_applied(project: &Project) -> Vec<NotApplied> {
    let mut all = Vec::new();
    for (name, service) in &project.services {
        for (key, advice) in OF_SERVICES {
            let Some(value) = inner(&service.rest, key) else {
                continue;
            };
            let is_one = value.as_i64() == Some(1) && matches!(key, "scale" | "deploy.replicas");
            let is_kept = value.as_str() == Some("missing") && key == "pull_policy";
            if is_one || is_kept {
                continue;
            }
            all.push(found(project, format!("services.{name}.{key}"), advice));
        }
    }
    for (section, entries) in [("secrets", &project.secrets), ("configs", &project.configs)] {
        for (name, entry) in entries {
            if !entry.contains_key("file") {
                let advice = "only those with `file` reach a container; write it into a file";
                all.push(found(project, format!("{section}.{name}"), advice));
            }
        }
    }
    all
}

fn found(project: &Project, path: String, advice: &'static str) -> NotApplied {
    // The nearest key above it whose place is known.
    let mut known = path.as_str();
    let place = loop {
        if let Some(place) = project.places.get(known) {
            break Some(place.clone());
        }
        match known.rsplit_once('.') {
            Some((above, _)) => known = above,
            None => break None,
        }
    };
    NotApplied {
        path,
        place,
        advice,
    }
}

fn inner<'a>(values: &'a Values, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        Some((key, rest)) => inner(values.get(key)?.as_object()?, rest),
        None => values.get(path),
    }
}
