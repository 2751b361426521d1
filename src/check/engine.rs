//! Checks of the container engine.

use super::{Finding, Looked, View, not_needed, outcome};
use crate::observed::EngineFacts;

pub(super) fn unreachable(view: &View<'_>) -> Looked {
    let findings = match view.observed {
        Ok(_) => Vec::new(),
        Err(cause) => vec![Finding {
            text: "the container engine cannot be used".to_owned(),
            because: cause.to_owned(),
            measured: "no answer".to_owned(),
            needed: "an engine that answers".to_owned(),
            fix: "start the engine, or point DOCKER_HOST at one".to_owned(),
            command: Some("systemctl start docker".to_owned()),
        }],
    };
    let measured = view.observed.map_or_else(
        |_| String::new(),
        |observed| match &*observed.engine.endpoint {
            "" => product(&observed.engine),
            endpoint => format!("{} at `{endpoint}`", product(&observed.engine)),
        },
    );
    outcome(findings, measured, "")
}

fn product(engine: &EngineFacts) -> String {
    format!("{} {}", engine.product, engine.version)
}

fn api(version: (u32, u32)) -> String {
    format!("API {}.{}", version.0, version.1)
}

pub(super) fn too_old(view: &View<'_>) -> Looked {
    let engine = &view.observed()?.engine;
    let row = &view.registry.engine;
    let needed = api(row.oldest_api);
    let mut findings = Vec::new();
    if engine.api < row.oldest_api {
        findings.push(Finding {
            text: format!("{} is too old", product(engine)),
            because: format!("it has {}, and {needed} is needed", api(engine.api)),
            measured: api(engine.api),
            needed: needed.clone(),
            fix: format!("install {} or later", row.oldest_product),
            ..Finding::default()
        });
    }
    outcome(findings, api(engine.api), &needed)
}

pub(super) fn old(view: &View<'_>) -> Looked {
    let engine = &view.observed()?.engine;
    let row = &view.registry.engine;
    let needed = api(row.recommended_api);
    let mut findings = Vec::new();
    if engine.api < row.recommended_api {
        findings.push(Finding {
            text: format!("{} is old", product(engine)),
            because: "it works, and gets no repairs any more".to_owned(),
            measured: api(engine.api),
            needed: needed.clone(),
            fix: format!("install {} or later", row.recommended_product),
            ..Finding::default()
        });
    }
    outcome(findings, api(engine.api), &needed)
}

pub(super) fn podman(view: &View<'_>) -> Looked {
    let engine = &view.observed()?.engine;
    let mut findings = Vec::new();
    if engine.product.to_lowercase().contains("podman") {
        findings.push(Finding {
            text: "the engine is Podman".to_owned(),
            because: "its Docker interface differs: imported images lose their tag, and health checks need systemd".to_owned(),
            measured: product(engine),
            needed: "Docker Engine".to_owned(),
            fix: "use Docker Engine for an instance that people rely on".to_owned(), ..Finding::default() });
    }
    outcome(findings, product(engine), "")
}

fn is_desktop(engine: &EngineFacts) -> bool {
    engine.operating_system_name.contains("Docker Desktop")
}

pub(super) fn desktop(view: &View<'_>) -> Looked {
    let engine = &view.observed()?.engine;
    let mut findings = Vec::new();
    if is_desktop(engine) {
        findings.push(Finding {
            text: "the engine is Docker Desktop".to_owned(),
            because: "it runs in a virtual machine: folders of this machine are shared into it, and mongo does not keep its data safe on such a share".to_owned(),
            measured: engine.operating_system_name.clone(),
            needed: "Docker Engine on Linux".to_owned(),
            fix: "for more than a trial, use Docker Engine on Linux, or give mongo and redis named volumes in docker-compose.override.yml".to_owned(), ..Finding::default() });
    }
    outcome(findings, engine.operating_system_name.clone(), "")
}

/// Whether users inside containers are not the users of the engine's machine.
pub(super) fn maps_users(engine: &EngineFacts) -> bool {
    let maps = |option: &String| option.contains("rootless") || option.contains("userns");
    engine.security.iter().any(maps)
}

pub(super) fn rootless(view: &View<'_>) -> Looked {
    let engine = &view.observed()?.engine;
    let is_rootless = engine
        .security
        .iter()
        .any(|option| option.contains("rootless"));
    let mut findings = Vec::new();
    if is_rootless {
        let limit = view.registry.engine.first_free_port;
        let services = view.deployment.project.services.values();
        let published = services
            .flat_map(|service| &service.ports)
            .filter_map(|port| {
                let number: u16 = port.published.as_deref()?.parse().ok()?;
                (number < limit).then(|| number.to_string())
            });
        let ports: Vec<String> = published.collect();
        let mut because =
            "the users of containers are other users outside, and its socket is not the usual one"
                .to_owned();
        if !ports.is_empty() {
            because.push_str(&format!(
                "; it may not publish ports below {limit}, such as {}",
                ports.join(", ")
            ));
        }
        findings.push(Finding {
            text: "the engine runs without root".to_owned(),
            because,
            measured: "rootless".to_owned(),
            needed: "an engine with root".to_owned(),
            fix: format!("set OVERLEAF_PORT to {limit} or higher, or lower net.ipv4.ip_unprivileged_port_start; leave the owners of data folders to the containers"), ..Finding::default() });
    }
    outcome(findings, engine.security.join(", "), "")
}

/// Whether a snap's engine runs, which sees only a part of the files.
pub(super) fn is_snap(view: &View<'_>, engine: &EngineFacts) -> bool {
    let root = engine.root_folder.as_ref();
    root.is_some_and(|root| root.starts_with(&view.registry.engine.snap_root))
}

pub(super) fn snap(view: &View<'_>) -> Looked {
    let engine = &view.observed()?.engine;
    let root = match &engine.root_folder {
        Some(root) => root.display().to_string(),
        None => {
            return Err(super::not_checked(
                "the engine does not tell where it keeps its things",
            ));
        }
    };
    let mut findings = Vec::new();
    if is_snap(view, engine) {
        findings.push(Finding {
            text: "the engine comes from a snap".to_owned(),
            because: format!(
                "it sees files below {} only, and sandboxed compiles do not find theirs",
                view.registry.engine.snap_sees
            ),
            measured: root.clone(),
            needed: "Docker Engine from a package".to_owned(),
            fix: "install Docker Engine from Docker's or the distribution's packages in its place"
                .to_owned(),
            command: Some("snap remove docker".to_owned()),
        });
    }
    outcome(findings, root, "")
}

pub(super) fn bundled_architecture(view: &View<'_>) -> Looked {
    let facts = &view.observed()?.engine;
    if view.deployment.bundled_images.is_empty() {
        return Err(not_needed("the bundled servers are not used"));
    }
    let ours = &view.deployment.bundled_architecture;
    let mut findings = Vec::new();
    if *ours != facts.architecture {
        findings.push(Finding {
            text: "the bundled servers cannot run on this engine".to_owned(),
            because: format!(
                "its architecture is {}, and they are for {ours} like this program",
                facts.architecture
            ),
            measured: facts.architecture.clone(),
            needed: ours.clone(),
            fix: "run the toolkit on the engine's machine, or set BUNDLED_SERVERS=false".to_owned(),
            ..Finding::default()
        });
    }
    outcome(findings, facts.architecture.clone(), ours)
}

pub(super) fn image_architecture(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let engine = &observed.engine;
    let runs = |architecture: &str| {
        let pairs = &view.registry.engine.also_runs;
        architecture == engine.architecture
            || pairs
                .iter()
                .any(|(machine, image)| *machine == engine.architecture && image == architecture)
    };
    let mut findings = Vec::new();
    let mut measured = Vec::new();
    for (service, definition) in &view.deployment.project.services {
        let image = observed.images.get(&definition.image);
        let Some(Some(image)) = image.filter(|_| !engine.architecture.is_empty()) else {
            continue;
        };
        // Who names a platform knows; Docker Desktop emulates the other one by itself.
        let is_meant = definition.rest.contains_key("platform") || is_desktop(engine);
        if image.architecture.is_empty() {
            continue;
        }
        if !measured.contains(&image.architecture) {
            measured.push(image.architecture.clone());
        }
        if !is_meant && !runs(&image.architecture) {
            findings.push(Finding {
                text: format!("image `{}` of `{service}` is for another processor", definition.image),
                because: format!(
                    "it is for {}, and the engine's machine is {}",
                    image.architecture, engine.architecture
                ),
                measured: image.architecture.clone(),
                needed: engine.architecture.clone(),
                fix: format!(
                    "use an image for {}; where an emulator is installed, write `platform: linux/{}` under services.{service} in docker-compose.override.yml",
                    engine.architecture, image.architecture
                ), ..Finding::default() });
        }
    }
    if findings.is_empty() && measured.is_empty() {
        return Err(super::not_checked("no image is on the engine yet"));
    }
    outcome(findings, measured.join(", "), &engine.architecture)
}
