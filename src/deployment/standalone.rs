//! The definitions for somebody else's hands: Portainer, a NAS, plain `docker compose`.
//!
//! What the toolkit does itself while it brings an instance up has to stand in the file: mongo's
//! replica set is initiated by its health check, so that whoever waits for a healthy mongo waits
//! for a primary.

use super::{Deployment, ReplicaSet};
use crate::compose::canonical::service_hash;
use crate::compose::{Healthcheck, Project};

/// The project with the work of the toolkit written into it.
#[must_use]
pub fn project(deployment: &Deployment) -> Project {
    let mut project = whole(&deployment.project);
    let Some(set) = &deployment.replica_set else {
        return project;
    };
    let is_bundled = deployment.bundled_images.contains_key(&set.service);
    if let Some(mongo) = project.services.get_mut(&set.service) {
        let test = if is_bundled {
            bundled_test(set)
        } else {
            real_test(set, &deployment.mongo_shell)
        };
        let check = mongo.healthcheck.get_or_insert_with(Healthcheck::default);
        check.test = test;
        check.disable = false;
    }
    project
}

/// The project for somebody who finds a mongo that was made already, by the hash in its label: that of
/// `up`, or that of the definitions for other hands. One that fits neither is made anew either way.
#[must_use]
pub fn project_beside(deployment: &Deployment, made: Option<&str>) -> Project {
    let of_up = deployment.replica_set.as_ref().and_then(|set| {
        let mongo = deployment.project.services.get(&set.service)?;
        (made? == service_hash(mongo)).then(|| whole(&deployment.project))
    });
    of_up.unwrap_or_else(|| project(deployment))
}

/// The project without needs of services that are not part of it, which all can do without: Docker Compose
/// takes a definition that names one of an inactive profile only beside that one.
fn whole(project: &Project) -> Project {
    let mut whole = project.clone();
    for service in whole.services.values_mut() {
        let is_there = |needed: &String| project.services.contains_key(needed);
        service.depends_on.retain(|needed, _| is_there(needed));
    }
    whole
}

fn bundled_test(set: &ReplicaSet) -> Vec<String> {
    let member = format!("{}/{}", set.name, set.member);
    [
        "CMD",
        "/toolkit",
        "serve",
        "--check",
        "--initiate",
        &member,
        "mongo",
    ]
    .map(ToOwned::to_owned)
    .to_vec()
}

fn real_test(set: &ReplicaSet, shell: &str) -> Vec<String> {
    let ReplicaSet { name, member, .. } = set;
    // `isMaster` is known to every shell, `hello` only to newer ones.
    let script = format!(
        "try {{ rs.status().ok || rs.initiate({{_id: '{name}', members: [{{_id: 0, host: '{member}'}}]}}) }} catch (e) {{ rs.initiate({{_id: '{name}', members: [{{_id: 0, host: '{member}'}}]}}) }}; quit(db.isMaster().ismaster ? 0 : 1)"
    );
    ["CMD", shell, "--quiet", "--eval", &script]
        .map(ToOwned::to_owned)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::testing::deployment;

    #[test]
    fn needs_of_what_is_not_there_are_left_out() {
        let mut made = deployment("", "", "6.2.2");
        let text = "services: {a: {image: i, depends_on: {b: {condition: service_started, required: false}, c: {condition: service_started}}}, b: {image: i}, c: {image: i}}";
        made.project = crate::compose::load::project(text, "p").unwrap();
        made.project.services.remove("b");
        let kept = |project: Project| -> Vec<String> {
            let service = project.services["a"].clone();
            service.depends_on.into_keys().collect()
        };
        assert_eq!(kept(project(&made)), ["c"]);
    }

    #[test]
    fn a_mongo_that_was_made_keeps_its_definition() {
        let made = deployment("", "", "6.2.2");
        let mongo = |project: &Project| project.services["mongo"].clone();
        let (plain, other) = (mongo(&made.project), mongo(&project(&made)));
        let (of_up, of_others) = (service_hash(&plain), service_hash(&other));
        assert_ne!(of_up, of_others);
        for (label, expected) in [
            (None, &other),
            (Some("unknown"), &other),
            (Some(&*of_others), &other),
            (Some(&*of_up), &plain),
        ] {
            let found = mongo(&project_beside(&made, label));
            assert_eq!(found, *expected, "{label:?}");
        }
    }
}
