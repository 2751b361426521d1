//! Checks of what the configuration asks for.

use super::{Finding, Looked, View, outcome};

pub(super) fn variables(view: &View<'_>) -> Looked {
    let deployment = view.deployment;
    let findings = deployment.missing_variables.iter().map(|variable| Finding {
        text: format!("{variable} is not set"),
        because: format!("Overleaf {} does not start without it", deployment.version),
        measured: format!("no {variable}"),
        needed: variable.clone(),
        fix: format!("write {variable}=… with a long random value into config/variables.env"),
        ..Finding::default()
    });
    let needs = view.catalogue.needs(&deployment.version).join(", ");
    outcome(findings.collect(), "set", &needs)
}

pub(super) fn retracted(view: &View<'_>) -> Looked {
    let version = &view.deployment.version;
    let row = view.catalogue.release(version);
    let why = row.and_then(|release| release.retracted.clone());
    let findings = why.into_iter().map(|why| Finding {
        text: format!("Overleaf {version} was withdrawn"),
        because: why,
        measured: version.to_string(),
        needed: "a release that was not withdrawn".to_owned(),
        fix: "back up, then write the release that repairs it into config/version".to_owned(),
        ..Finding::default()
    });
    outcome(findings.collect(), version.to_string(), "")
}

pub(super) fn images(view: &View<'_>) -> Looked {
    let services = &view.deployment.project.services;
    let nameless = services
        .iter()
        .filter(|(_, service)| service.image.is_empty());
    let findings = nameless.map(|(name, _)| Finding {
        text: format!("service `{name}` names no image"),
        because: "images are not built here".to_owned(),
        measured: format!("`{name}` without an image"),
        needed: "an image for every service".to_owned(),
        fix: format!("build it with `docker build -t NAME …` and write `image: NAME` under services.{name} in docker-compose.override.yml"), ..Finding::default() });
    outcome(findings.collect(), "every service names one", "")
}

pub(super) fn networks(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let external = view.deployment.project.networks.values();
    let missing = external.filter(|network| {
        let found = observed.networks.get(&network.name);
        network.external && found.is_none_or(Vec::is_empty)
    });
    let findings = missing.map(|network| Finding {
        text: format!("network `{}` does not exist", network.name),
        because: "the definitions call it external, so somebody else makes it".to_owned(),
        measured: format!("no `{}`", network.name),
        needed: format!("`{}`", network.name),
        fix: "make it".to_owned(),
        command: Some(format!("docker network create {}", network.name)),
    });
    outcome(findings.collect(), "every external network exists", "")
}

pub(super) fn volumes(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let external = view.deployment.project.volumes.values();
    let missing = external.filter(|volume| {
        volume.external && matches!(observed.volumes.get(&volume.name), Some(None))
    });
    let findings = missing.map(|volume| Finding {
        text: format!("volume `{}` does not exist", volume.name),
        because: "the definitions call it external, so somebody else makes and fills it".to_owned(),
        measured: format!("no `{}`", volume.name),
        needed: format!("`{}`", volume.name),
        fix: "make it, if it may begin empty".to_owned(),
        command: Some(format!("docker volume create {}", volume.name)),
    });
    outcome(findings.collect(), "every external volume exists", "")
}

/// Networks that exist with another configuration: the engine does not change them.
pub(super) fn differing_networks(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let differing = observed.differing_networks(&view.deployment.project);
    let findings = differing.into_iter().map(|found| {
        let name = &found.network.name;
        let respects = found.respects.join(", ");
        let (fix, command) = if found.is_ours {
            let fix = "make it and the containers in it anew; data stays";
            (fix, Some("toolkit down && toolkit up".to_owned()))
        } else {
            let fix = "somebody else made it: give it another `name`, or write `external: true`";
            (fix, None)
        };
        Finding {
            text: format!("network `{name}` is not as its definition says: {respects}"),
            because: "the engine does not change a network that exists, so the change would not be applied".to_owned(),
            measured: format!("`{name}` differs in {respects}"),
            needed: "networks as they are defined".to_owned(),
            fix: fix.to_owned(),
            command,
        }
    });
    outcome(findings.collect(), "every network is as it is defined", "")
}

/// Volumes that exist with another configuration: only who knows their data can make them anew.
pub(super) fn differing_volumes(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let differing = observed.differing_volumes(&view.deployment.project);
    let findings = differing.into_iter().map(|(name, respects)| {
        let respects = respects.join(", ");
        Finding {
            text: format!("volume `{name}` is not as its definition says: {respects}"),
            because: "the engine does not change a volume that exists, and it is used as it is"
                .to_owned(),
            measured: format!("`{name}` differs in {respects}"),
            needed: "volumes as they are defined".to_owned(),
            fix: "copy its data, remove it, and let `toolkit up` make it anew; or take the change back"
                .to_owned(),
            ..Finding::default()
        }
    });
    outcome(findings.collect(), "every volume is as it is defined", "")
}

/// Keys that cannot be carried out, and that would change what runs if they were left out.
pub(super) fn keys(view: &View<'_>) -> Looked {
    let findings = view.observed()?.refused.iter().map(|refused| {
        let place = refused.place.as_ref();
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        Finding {
            text: format!("`{}` cannot be carried out{place}", refused.path),
            because: refused.because.clone(),
            measured: format!("`{}`", refused.path),
            needed: "keys that this program and this engine carry out".to_owned(),
            fix: refused.fix.clone(),
            ..Finding::default()
        }
    });
    outcome(findings.collect(), "every key can be carried out", "")
}

/// Secrets, configs and profiles whose content is not there.
pub(super) fn contents(view: &View<'_>) -> Looked {
    let missing = view.deployment.contents.iter();
    let missing = missing.filter(|(_, content)| content.is_none());
    let findings = missing.map(|(path, _)| {
        let (because, fix) = if path.starts_with("seccomp=") {
            (
                "the definitions name it as a seccomp profile",
                "put the file there, as JSON; a relative path starts at `lib/`",
            )
        } else {
            (
                "the definitions take it from an environment variable that is not set",
                "set the variable, or give it a `file`",
            )
        };
        Finding {
            text: format!("the content of `{path}` is not there"),
            because: because.to_owned(),
            measured: format!("no content for `{path}`"),
            needed: "a content for each".to_owned(),
            fix: fix.to_owned(),
            ..Finding::default()
        }
    });
    outcome(findings.collect(), "every content is there", "")
}
