//! Checks of names that somebody else may hold.

use super::{Finding, Looked, View, outcome};
use crate::labels;
use crate::observed;

pub(super) fn project(view: &View<'_>) -> Looked {
    let project = &view.deployment.project.name;
    let findings = view.observed()?.other_instance.iter().map(|other| Finding {
        text: format!("another instance uses the project name `{project}`"),
        because: format!("its containers belong to `{other}`"),
        measured: format!("`{other}` has `{project}`"),
        needed: "a name of its own".to_owned(),
        fix: "set PROJECT_NAME in config/overleaf.rc to another name".to_owned(),
        ..Finding::default()
    });
    outcome(findings.collect(), format!("`{project}`"), "")
}

/// What an operator changes so that a container gets another name.
fn said(view: &View<'_>, container: &str) -> String {
    let project = &view.deployment.project;
    let fixed = project.services.iter().find(|(_, service)| {
        let fixed = service.container_name.as_deref();
        fixed == Some(container)
    });
    let Some((service, _)) = fixed else {
        return "set PROJECT_NAME to another name, or remove it".to_owned();
    };
    let path = format!("services.{service}.container_name");
    match project.places.get(&path) {
        Some(place) => {
            let key = view.key_at(&path, place);
            format!("write another name in {key}, or remove that container")
        }
        None => "set CONTAINER_NAMES=project in config/overleaf.rc, or remove it".to_owned(),
    }
}

pub(super) fn containers(view: &View<'_>) -> Looked {
    let findings = view.observed()?.strangers.iter().map(|stranger| {
        let name = &stranger.name;
        let owner = match stranger.project.as_str() {
            "" => "it belongs to no Compose project".to_owned(),
            other => format!("it belongs to the project `{other}`"),
        };
        Finding {
            text: format!("the name `{name}` is taken by another container"),
            measured: format!("`{name}`: {owner}"),
            because: owner,
            needed: "free names".to_owned(),
            fix: said(view, name),
            command: Some(format!("docker rm {name}")),
        }
    });
    outcome(findings.collect(), "all names are free or ours", "")
}

pub(super) fn networks(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let project = &view.deployment.project.name;
    let is_foreign =
        |network: &&observed::Network| network.labels.get(labels::PROJECT) != Some(project);
    let ambiguous = observed
        .networks
        .keys()
        .filter(|name| observed.surplus_networks(name).iter().any(is_foreign));
    let findings = ambiguous.map(|name| Finding {
        text: format!("there are several networks named `{name}`"),
        because: "the engine cannot tell which one a container means".to_owned(),
        measured: format!("several `{name}`"),
        needed: "one of each name".to_owned(),
        fix: "remove those that nobody uses".to_owned(),
        command: Some(format!("docker network ls --filter name={name}")),
    });
    outcome(findings.collect(), "each name stands for one network", "")
}
