//! Containers that are made before those whose place they take stop. On the engine in memory.

use toolkit::engine::Engine;
use toolkit::engine::memory::MemoryEngine;
use toolkit::observe;
use toolkit::plan::{self, Plan, UpRequest};

use super::convergence::{IMAGES, apply, deployment, plan_now, titles};

#[tokio::test]
async fn a_definition_that_the_engine_refuses_costs_no_service() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&[&IMAGES[..], &["mongo:9.0"]].concat(), &[]);
    let old = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &old).await;
    apply(&engine, &old, &plan).await.unwrap();
    let new = deployment(
        folder.path(),
        "MONGO_VERSION=9.0\nOVERLEAF_LISTEN_IP=127.0.0.2\n",
    );
    let running = async || {
        let all = engine.project_containers("overleaf").await.unwrap();
        let running = all.iter().filter(|found| found.state.is_running());
        running
            .map(|found| (found.service.clone(), found.image.clone()))
            .collect::<Vec<_>>()
    };
    let before = running().await;
    // The second of two new containers is refused.
    for refused in [1, 2] {
        let (plan, _) = plan_now(&engine, &new).await;
        engine.fail_at(Some(refused));
        apply(&engine, &new, &plan).await.unwrap_err();
        engine.fail_at(None);
        assert_eq!(running().await, before, "change {refused}");
    }
    // What stood in is no container of the service: it goes, whatever comes next.
    let (_, observed) = plan_now(&engine, &new).await;
    assert_eq!(observed.stand_ins.len(), 1);
    assert_eq!(observed.containers.len(), 4);
    let (back, _) = plan_now(&engine, &old).await;
    assert_eq!(titles(&back).len(), 1, "{back:?}");
    let down = plan::down(&old.project, &observed);
    let stand_in = format!("remove container `{}`", observed.stand_ins[0].name);
    assert!(titles(&down).contains(&stand_in), "{down:?}");
    let (plan, _) = plan_now(&engine, &new).await;
    apply(&engine, &new, &plan).await.unwrap();
    let (rest, observed) = plan_now(&engine, &new).await;
    assert_eq!(rest, Plan::default());
    assert!(observed.stand_ins.is_empty());
}

#[tokio::test]
async fn a_failure_while_containers_take_the_place_of_others_is_finished_by_the_next_up() {
    for change in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::new(&[&IMAGES[..], &["mongo:9.0"]].concat(), &[]);
        let old = deployment(folder.path(), "");
        let (plan, _) = plan_now(&engine, &old).await;
        apply(&engine, &old, &plan).await.unwrap();
        let new = deployment(folder.path(), "MONGO_VERSION=9.0\n");
        let (plan, _) = plan_now(&engine, &new).await;
        engine.fail_at(Some(change));
        let outcome = apply(&engine, &new, &plan).await;
        engine.fail_at(None);
        let (rest, _) = plan_now(&engine, &new).await;
        apply(&engine, &new, &rest).await.unwrap();
        let (rest, observed) = plan_now(&engine, &new).await;
        assert_eq!(rest, Plan::default(), "change {change}");
        assert_eq!(observed.containers.len(), 4, "change {change}");
        if outcome.is_ok() {
            // Made, stopped, removed, renamed, started.
            assert_eq!(change, 6);
            break;
        }
    }
}

#[tokio::test]
async fn what_stands_in_under_a_new_name_is_no_second_container() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let old = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &old).await;
    apply(&engine, &old, &plan).await.unwrap();
    let mut new = deployment(folder.path(), "");
    let redis = new.project.services.get_mut("redis").unwrap();
    redis.container_name = Some("another".to_owned());
    let plan = plan::up(
        &new,
        &observe::everything(&engine, &new).await.unwrap(),
        &UpRequest::default(),
    );
    // Made, and nothing else yet.
    engine.fail_at(Some(2));
    apply(&engine, &new, &plan).await.unwrap_err();
    engine.fail_at(None);
    let observed = observe::everything(&engine, &new).await.unwrap();
    assert_eq!(observed.stand_ins.len(), 1);
    let start = plan::start(&old, &observed, &["redis"]);
    assert_eq!(start, Plan::default());
    assert_eq!(observed.containers_of("redis").len(), 1);
    let plan = plan::up(&new, &observed, &UpRequest::default());
    apply(&engine, &new, &plan).await.unwrap();
    let observed = observe::everything(&engine, &new).await.unwrap();
    assert_eq!(observed.containers_of("redis")[0].name, "another");
    assert_eq!(observed.containers_of("redis").len(), 1);
    assert!(observed.stand_ins.is_empty());
}
