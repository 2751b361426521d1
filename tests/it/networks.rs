//! Networks that are not as their definitions say: made anew with what is in them, unless somebody else
//! is in them too. On the engine in memory.

use std::collections::BTreeMap;
use std::path::Path;

use toolkit::apply::ApplyError;
use toolkit::check::row::{self, Operation};
use toolkit::check::{self, Ignores, World};
use toolkit::compose::Service;
use toolkit::deployment::Deployment;
use toolkit::drift::{self, Comparison, Kind};
use toolkit::engine::memory::MemoryEngine;
use toolkit::engine::{ContainerRequest, Engine, NetworkPlace};
use toolkit::event::Event;
use toolkit::observed::Observed;
use toolkit::observed::machine::MachineFacts;
use toolkit::plan::{self, Plan, UpRequest};
use toolkit::{applied, labels, observe, rollback};

use super::convergence::{IMAGES, apply, deployment, plan_now, titles};

/// The deployment with a network that has no way out.
fn isolated(root: &Path) -> Deployment {
    let mut made = deployment(root, "");
    made.project.networks.get_mut("default").unwrap().internal = true;
    made
}

/// An engine on which the deployment is up.
async fn up(deployment: &Deployment) -> MemoryEngine {
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let (plan, _) = plan_now(&engine, deployment).await;
    apply(&engine, deployment, &plan).await.unwrap();
    engine
}

/// What keeps an `up` of these services from making the network anew.
fn findings(
    deployment: &Deployment,
    observed: &Observed,
    request: &UpRequest,
) -> Vec<check::Finding> {
    let chosen = plan::chosen(deployment, request);
    let observed = check::concerning(observed, deployment, &chosen, request.remove_orphans);
    let registry = row::load().unwrap();
    let world = World {
        deployment,
        observed: Ok(&observed),
        machine: &MachineFacts::default(),
    };
    let ignores = Ignores::default();
    let checked = check::run(&registry, &world, Operation::Up, &ignores).unwrap();
    let found = checked
        .into_iter()
        .find(|found| found.check.id == "NETWORK_DIFFERS");
    found.unwrap().findings().to_vec()
}

#[tokio::test]
async fn a_network_that_differs_is_made_anew_with_those_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let engine = up(&deployment(folder.path(), "")).await;
    let new = isolated(folder.path());
    let (plan, observed) = plan_now(&engine, &new).await;
    insta::assert_snapshot!(titles(&plan).join("\n"), @r"
    stop container `sharelatex`
    stop container `redis`
    stop container `mongo`
    stop container `git-bridge`
    remove network `overleaf_default`
    create network `overleaf_default`
    remove container `sharelatex`
    remove container `redis`
    remove container `mongo`
    remove container `git-bridge`
    create container `git-bridge`
    start container `git-bridge`
    create container `mongo`
    start container `mongo`
    create container `redis`
    start container `redis`
    create container `sharelatex`
    wait until `mongo` is healthy
    start container `sharelatex`
    ");
    for step in plan
        .steps
        .iter()
        .filter(|step| step.action.id() != "await-condition")
    {
        assert!(
            step.cause.ends_with("internal: false → true"),
            "{}",
            step.cause
        );
    }
    assert!(plan.is_ordered());
    assert_eq!(findings(&new, &observed, &UpRequest::default()), []);
    let present = applied::of(&new.project, folder.path(), None).unwrap();
    let drifted = |observed: &Observed| {
        let found = drift::find(&Comparison {
            deployment: &new,
            observed,
            applied: None,
            present: &present,
            configured: None,
        });
        // The engine in memory has other names for the places of containers.
        let found = found
            .into_iter()
            .filter(|drift| drift.kind != Kind::Network);
        found
            .map(|drift| format!("{} {}", drift.kind.id(), drift.resource))
            .collect::<Vec<String>>()
    };
    assert_eq!(drifted(&observed), ["not-applied network overleaf_default"]);
    apply(&engine, &new, &plan).await.unwrap();
    let (plan, observed) = plan_now(&engine, &new).await;
    assert_eq!(plan, Plan::default());
    assert_eq!(drifted(&observed), Vec::<String>::new());
    let networks = &observed.networks["overleaf_default"];
    assert_eq!(networks.len(), 1);
    let is_in = |id: &String| {
        observed
            .containers
            .iter()
            .all(|found| found.network_ids.contains(id))
    };
    assert!(is_in(&networks[0].id));
}

#[tokio::test]
async fn a_failure_while_a_network_is_made_anew_is_finished_by_the_next_up() {
    for change in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let old = deployment(folder.path(), "");
        let engine = up(&old).await;
        let before = observe::everything(&engine, &old).await.unwrap();
        let new = isolated(folder.path());
        let (plan, _) = plan_now(&engine, &new).await;
        engine.fail_at(Some(change));
        let outcome = apply(&engine, &new, &plan).await;
        engine.fail_at(None);
        // Back and forth.
        let ids: Vec<String> = before
            .containers
            .iter()
            .map(|found| found.id.clone())
            .collect();
        let existing = before
            .containers
            .iter()
            .map(|found| toolkit::journal::Existing {
                service: found.service.clone(),
                container: found.name.clone(),
                running: true,
            });
        let existing: Vec<toolkit::journal::Existing> = existing.collect();
        let observed = observe::everything(&engine, &old).await.unwrap();
        let back = rollback::plan(&old, &observed, &existing);
        apply(&engine, &old, &back).await.unwrap();
        let (rest, observed) = plan_now(&engine, &old).await;
        assert_eq!(rest, Plan::default(), "back, change {change}");
        if change <= 4 {
            // As long as the network stands, the containers are started again and none is lost.
            let now: Vec<String> = observed
                .containers
                .iter()
                .map(|found| found.id.clone())
                .collect();
            assert_eq!(now, ids, "change {change}");
        }
        let (rest, _) = plan_now(&engine, &new).await;
        apply(&engine, &new, &rest).await.unwrap();
        assert_eq!(
            plan_now(&engine, &new).await.0,
            Plan::default(),
            "change {change}"
        );
        if outcome.is_ok() {
            // 4 stops, 4 removals, 4 creations, 4 starts, and the network.
            assert_eq!(change, 19);
            break;
        }
    }
}

#[tokio::test]
async fn a_network_with_others_in_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let old = deployment(folder.path(), "");
    let engine = up(&old).await;
    let new = isolated(folder.path());
    let observed = observe::everything(&engine, &new).await.unwrap();

    // An `up` of some services leaves what the others are in.
    let some = UpRequest {
        services: vec!["redis".to_owned()],
        ..UpRequest::default()
    };
    assert_eq!(
        titles(&plan::up(&new, &observed, &some)),
        Vec::<String>::new()
    );
    let found = findings(&new, &observed, &some);
    assert!(found[0].because.contains("`mongo`"), "{found:?}");
    assert_eq!(found[0].command.as_deref(), Some("toolkit up"));

    // A container of somebody else.
    let service = Service {
        image: IMAGES[3].to_owned(),
        ..Service::default()
    };
    let place = NetworkPlace {
        name: "overleaf_default".to_owned(),
        id: observed.networks["overleaf_default"][0].id.clone(),
        aliases: Vec::new(),
        links: Vec::new(),
        settings: toolkit::compose::Values::default(),
    };
    let mut request = ContainerRequest::new("proxy", "proxy", &service);
    request.networks = vec![place];
    engine.create_container(&request).await.unwrap();
    let all = UpRequest::default();
    let observed = observe::everything(&engine, &new).await.unwrap();
    assert_eq!(plan::up(&new, &observed, &all), Plan::default());
    let found = findings(&new, &observed, &all);
    assert!(found[0].because.contains("`proxy`"), "{found:?}");
    assert!(
        found[0].text.contains("`internal`: false → true"),
        "{found:?}"
    );
    assert_eq!(
        found[0].command.as_deref(),
        Some("docker network disconnect --force overleaf_default proxy")
    );
    engine.remove("proxy").await.unwrap();

    // One of a service that is gone.
    let mut fewer = isolated(folder.path());
    fewer.project.services.remove("git-bridge");
    let observed = observe::everything(&engine, &fewer).await.unwrap();
    let plan = plan::up(&fewer, &observed, &all);
    assert!(!titles(&plan).contains(&"remove network `overleaf_default`".to_owned()));
    let found = findings(&fewer, &observed, &all);
    assert_eq!(
        found[0].command.as_deref(),
        Some("toolkit up --remove-orphans")
    );
    let removing = UpRequest {
        remove_orphans: true,
        ..UpRequest::default()
    };
    assert_eq!(findings(&fewer, &observed, &removing), []);
    let plan = plan::up(&fewer, &observed, &removing);
    apply(&engine, &fewer, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &fewer).await.0, Plan::default());
}

#[tokio::test]
async fn a_network_of_another_project_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let old = deployment(folder.path(), "");
    let owner = BTreeMap::from([(labels::PROJECT.to_owned(), "other".to_owned())]);
    engine
        .create_network(&old.project.networks["default"], &owner)
        .await
        .unwrap();
    let new = isolated(folder.path());
    let (plan, observed) = plan_now(&engine, &new).await;
    assert!(!titles(&plan).iter().any(|title| title.contains("network")));
    let found = findings(&new, &observed, &UpRequest::default());
    assert!(found[0].fix.contains("external: true"), "{found:?}");
}

#[tokio::test]
async fn a_network_that_the_engine_has_lost_count_of_stays_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path(), "");
    let engine = up(&deployment).await;
    let observed = observe::everything(&engine, &deployment).await.unwrap();
    let id = &observed.networks["overleaf_default"][0].id;
    engine.miscount(id);

    // It is no way to make it anew.
    let new = isolated(folder.path());
    let (anew, _) = plan_now(&engine, &new).await;
    let refused = apply(&engine, &new, &anew).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Step { .. }), "{refused:?}");

    let observed = observe::everything(&engine, &deployment).await.unwrap();
    let down = plan::down(&deployment.project, &observed);
    let events = apply(&engine, &deployment, &down).await.unwrap();
    let warned = events.iter().any(|event| match event {
        Event::Warning { text } => text.contains("network `overleaf_default` stays"),
        _ => false,
    });
    assert!(warned, "{events:?}");
    let (again, observed) = plan_now(&engine, &deployment).await;
    assert_eq!(observed.containers, []);
    assert_eq!(&observed.networks["overleaf_default"][0].id, id);
    apply(&engine, &deployment, &again).await.unwrap();
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());

    // Somebody who is in it counts rightly.
    let service = Service {
        image: IMAGES[3].to_owned(),
        ..Service::default()
    };
    let mut request = ContainerRequest::new("proxy", "proxy", &service);
    request.networks = vec![NetworkPlace {
        name: "overleaf_default".to_owned(),
        id: id.clone(),
        aliases: Vec::new(),
        links: Vec::new(),
        settings: toolkit::compose::Values::default(),
    }];
    engine.create_container(&request).await.unwrap();
    engine.start("proxy").await.unwrap();
    let observed = observe::everything(&engine, &deployment).await.unwrap();
    let down = plan::down(&deployment.project, &observed);
    let refused = apply(&engine, &deployment, &down).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Step { .. }), "{refused:?}");
}
