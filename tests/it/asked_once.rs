//! What all new containers need to know of networks and images is asked for once in a run, and again
//! where a step has changed it.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use toolkit::engine::Engine;
use toolkit::engine::memory::MemoryEngine;
use toolkit::event::Event;
use toolkit::labels;
use toolkit::plan::{Action, Plan};

use super::convergence::{IMAGES, apply, apply_telling, deployment, plan_now};

#[tokio::test]
async fn networks_and_images_are_asked_about_once() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let mut deployment = deployment(folder.path(), "");
    for name in ["first", "second", "third"] {
        let mut aside = deployment.project.services["redis"].clone();
        (aside.container_name, aside.ports) = (None, Vec::new());
        let services = &mut deployment.project.services;
        services.insert(name.to_owned(), aside);
    }
    let (plan, _) = plan_now(&engine, &deployment).await;
    let before = engine.questions().len();
    apply(&engine, &deployment, &plan).await.unwrap();
    let mut counts = BTreeMap::new();
    for question in engine.questions().into_iter().skip(before) {
        *counts.entry(question).or_insert(0) += 1;
    }
    for image in IMAGES {
        assert_eq!(counts.remove(&format!("image {image}")), Some(1));
    }
    // Before and after it is made, and once for all containers in it.
    let network = &deployment.project.networks["default"].name;
    assert_eq!(counts.remove(&format!("network {network}")), Some(3));
    assert_eq!(counts, BTreeMap::new());
}

#[tokio::test]
async fn a_second_network_that_comes_after_the_answer_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    let network = &deployment.project.networks["default"];
    let labels = BTreeMap::from([(labels::PROJECT.to_owned(), "overleaf".to_owned())]);
    let reporter = |event| {
        if matches!(event, Event::StepFinished { title, .. } if title == "create container `mongo`")
        {
            let made = engine.create_network(network, &labels).now_or_never();
            made.unwrap().unwrap();
        }
    };
    let applied = apply_telling(&engine, &deployment, &plan, &reporter);
    applied.await.unwrap();
    assert_eq!(engine.networks(&network.name).await.unwrap().len(), 1);
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
}

#[tokio::test]
async fn what_a_step_has_changed_is_asked_about_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &IMAGES);
    let deployment = deployment(folder.path(), "");
    let (first, _) = plan_now(&engine, &deployment).await;
    let network = &deployment.project.networks["default"].name;
    let made = first.steps.iter().position(
        |step| matches!(&step.action, Action::CreateContainer { service, .. } if service == "redis"),
    );
    let made = first.steps[made.unwrap()].clone();
    let Action::CreateContainer { service, name, .. } = &made.action else {
        unreachable!("it was looked for")
    };
    let anew = first
        .steps
        .iter()
        .find(|step| matches!(&step.action, Action::CreateNetwork { name, .. } if name == network));
    let definition = &deployment.project.networks["default"];
    let labels = BTreeMap::from([(labels::PROJECT.to_owned(), "overleaf".to_owned())]);
    let id = engine.create_network(definition, &labels).await.unwrap();
    let image = &deployment.project.services[service].image;
    // The first one is made with answers that are wrong after what follows.
    let actions = [
        made.action.clone(),
        Action::RemoveContainer {
            service: service.clone(),
            name: name.clone(),
        },
        Action::RemoveNetwork {
            name: network.clone(),
            id,
        },
        anew.unwrap().action.clone(),
        Action::PullImage {
            reference: image.clone(),
            platform: None,
        },
        made.action.clone(),
    ];
    let steps = actions.into_iter().enumerate().map(|(at, action)| {
        let mut step = made.clone();
        (step.action, step.needs) = (action, at.checked_sub(1).into_iter().collect());
        step
    });
    let plan = Plan {
        steps: steps.collect(),
    };
    let before = engine.questions().len();
    apply(&engine, &deployment, &plan).await.unwrap();
    let questions = engine.questions().split_off(before);
    let about_image = format!("image {image}");
    let about_image = questions.iter().filter(|one| **one == about_image);
    assert_eq!(about_image.count(), 2, "{questions:?}");
}
