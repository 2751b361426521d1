//! Checks of what the configuration asks for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Finding, Looked, View, outcome};
use crate::compose::Project;
use crate::labels;
use crate::observed::Network;
use crate::observed::network::{Differing, Visitor, Whose};

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

/// Networks that exist with another configuration and cannot be made anew: the engine changes none, and
/// those of others, or with containers of others in them, are not ours to remove.
pub(super) fn differing_networks(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let differing = observed.differing_networks(&view.deployment.project);
    let mut findings = Vec::new();
    let mut anew = Vec::new();
    for found in &differing {
        let name = &found.network.name;
        let respects: Vec<String> = found.respects.iter().map(ToString::to_string).collect();
        let respects = respects.join(", ");
        let visitors = observed.visitors.iter();
        let visitors: Vec<&Visitor> = visitors
            .filter(|visitor| visitor.network == found.network.id)
            .collect();
        let Some((because, fix, command)) = in_the_way(found, &visitors) else {
            anew.push(format!("`up` makes `{name}` anew: {respects}"));
            continue;
        };
        findings.push(Finding {
            text: format!("network `{name}` is not as its definition says: {respects}"),
            because,
            measured: format!("`{name}` differs in {respects}"),
            needed: "networks as they are defined, or that can be made anew".to_owned(),
            fix,
            command,
        });
    }
    let measured = match anew.is_empty() {
        true => "every network is as it is defined".to_owned(),
        false => anew.join("; "),
    };
    outcome(findings, measured, "")
}

/// Why a network cannot be made anew, and what to do about it with which command; `None` where it can.
fn in_the_way(
    found: &Differing<'_>,
    visitors: &[&Visitor],
) -> Option<(String, String, Option<String>)> {
    let name = &found.network.name;
    if !found.is_ours {
        return Some((
            "the engine does not change a network that exists, so the change would not be applied"
                .to_owned(),
            "somebody else made it: give it another `name`, or write `external: true`".to_owned(),
            None,
        ));
    }
    let of = |whose: Whose| -> Vec<String> {
        let visitors = visitors.iter().filter(|visitor| visitor.whose == whose);
        visitors.map(|visitor| visitor.container.clone()).collect()
    };
    let listed = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let (foreign, orphans, aside) = (of(Whose::Foreign), of(Whose::Orphan), of(Whose::Aside));
    let inactive = of(Whose::Inactive);
    if let Some(first) = foreign.first() {
        return Some((
            format!(
                "it has to be made anew, and containers of others are in it: {}",
                listed(&foreign)
            ),
            "take them out, and connect them again afterwards".to_owned(),
            Some(format!("docker network disconnect --force {name} {first}")),
        ));
    }
    if !orphans.is_empty() {
        return Some((
            format!(
                "it has to be made anew, and containers are in it whose services are not configured any more: {}",
                listed(&orphans)
            ),
            "remove them".to_owned(),
            Some("toolkit up --remove-orphans".to_owned()),
        ));
    }
    if !inactive.is_empty() {
        return Some((
            format!(
                "it has to be made anew, and containers are in it of services whose profiles are not active: {}",
                listed(&inactive)
            ),
            "name them in COMPOSE_PROFILES, or remove them".to_owned(),
            Some("toolkit docker-compose rm -s SERVICE".to_owned()),
        ));
    }
    (!aside.is_empty()).then(|| {
        (
            format!(
                "it has to be made anew, and containers of other services are in it: {}",
                listed(&aside)
            ),
            "bring everything up".to_owned(),
            Some("toolkit up".to_owned()),
        )
    })
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

/// Networks that were not made for this project and are used as if they were.
pub(super) fn foreign_networks(view: &View<'_>) -> Looked {
    let (observed, project) = (view.observed()?, &view.deployment.project);
    let networks = project.networks.iter();
    let networks = networks.filter(|(_, network)| !network.external);
    let networks = networks.flat_map(|(key, network)| {
        let found = observed.networks.get(&network.name).into_iter().flatten();
        // Of several with one name, one is used.
        let others = observed.surplus_networks(&network.name);
        let is_used = move |found: &&Network| !others.iter().any(|other| other.id == found.id);
        let used = found.filter(is_used);
        used.map(move |found| (key, &found.name, &found.labels))
    });
    let findings = networks.filter_map(|found| foreign("network", project, found));
    outcome(
        findings.collect(),
        "every network that exists was made for this project",
        "",
    )
}

/// Volumes that were not made for this project and are used as if they were.
pub(super) fn foreign_volumes(view: &View<'_>) -> Looked {
    let (observed, project) = (view.observed()?, &view.deployment.project);
    let volumes = project.volumes.iter();
    let volumes = volumes.filter(|(_, volume)| !volume.external);
    let volumes = volumes.filter_map(|(key, volume)| {
        let found = observed.volumes.get(&volume.name)?.as_ref()?;
        Some((key, &found.name, &found.labels))
    });
    let findings = volumes.filter_map(|found| foreign("volume", project, found));
    outcome(
        findings.collect(),
        "every volume that exists was made for this project",
        "",
    )
}

/// What is to be said of one that has a name of ours and the label of another project, or none.
fn foreign(
    kind: &str,
    project: &Project,
    (key, name, labels): (&String, &String, &BTreeMap<String, String>),
) -> Option<Finding> {
    let of = labels.get(labels::PROJECT);
    if of == Some(&project.name) {
        return None;
    }
    let (whose, measured) = match of {
        Some(other) => (
            format!("was made for project `{other}`"),
            format!("`{name}` of `{other}`"),
        ),
        None => (
            "was made by other hands".to_owned(),
            format!("`{name}` of no project"),
        ),
    };
    Some(Finding {
        text: format!("{kind} `{name}` {whose}"),
        because: "it is used as it is, and `toolkit down` leaves it".to_owned(),
        measured,
        needed: "those of this project, or `external: true`".to_owned(),
        fix: format!(
            "write `external: true` at `{kind}s.{key}` if that is meant, or give it another `name`"
        ),
        ..Finding::default()
    })
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

/// The variable that a secret or config takes its content from, by its path in the project.
fn variable_of<'a>(project: &'a Project, path: &str) -> &'a str {
    let (section, name) = path.split_once('.').unwrap_or_default();
    let entries = match section {
        "secrets" => &project.secrets,
        _ => &project.configs,
    };
    let variable = entries.get(name).and_then(|entry| entry.get("environment"));
    variable.and_then(Value::as_str).unwrap_or_default()
}

/// Secrets, configs and profiles whose content is not there.
pub(super) fn contents(view: &View<'_>) -> Looked {
    let missing = view.deployment.contents.iter();
    let missing = missing.filter(|(_, content)| content.is_none());
    let findings = missing.map(|(path, _)| {
        let (because, fix) = if path.starts_with("seccomp=") {
            (
                "the definitions name it as a seccomp profile".to_owned(),
                "put the file there, as JSON; a relative path starts at `lib/`".to_owned(),
            )
        } else {
            let project = &view.deployment.project;
            let key = format!("{path}.environment");
            let place = project.places.get(&key);
            let place = place.or_else(|| project.places.get(path));
            let said = place.map_or_else(|| format!("`{key}`"), |place| view.key_at(&key, place));
            let variable = variable_of(project, path);
            (
                format!(
                    "{said} takes it from the environment variable `{variable}`, which is not set"
                ),
                format!("set `{variable}`, for example in `lib/.env`, or give `{path}` a `file`"),
            )
        };
        Finding {
            text: format!("the content of `{path}` is not there"),
            because,
            measured: format!("no content for `{path}`"),
            needed: "a content for each".to_owned(),
            fix,
            ..Finding::default()
        }
    });
    outcome(findings.collect(), "every content is there", "")
}
