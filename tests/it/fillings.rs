//! What an engine fills in by itself is nobody's change. On the engine in memory.

use serde_json::json;
use toolkit::engine::memory::MemoryEngine;
use toolkit::observe;
use toolkit::plan::{self, Plan, UpRequest};

use super::convergence::{IMAGES, apply, deployment, plan_now, titles};

#[tokio::test]
async fn it_is_known_of_what_was_applied_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let old = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &old).await;
    apply(&engine, &old, &plan).await.unwrap();
    let (_, observed) = plan_now(&engine, &old).await;
    assert!(plan::difference::is_known_what_is_filled_in(
        &old, &observed
    ));
    // An engine with `log-opts` in its own configuration.
    for found in &observed.containers {
        engine.change_by_hand(&found.name, &|made| {
            let options = json!({"Type": "json-file", "Config": {"max-size": "10m"}});
            made.0.insert("logging".to_owned(), options);
        });
    }
    assert_eq!(plan_now(&engine, &old).await.0, Plan::default());
    // Every definition changes in a way that changes no container.
    let mut new = deployment(folder.path(), "");
    for service in new.project.services.values_mut() {
        service.rest.insert("attach".to_owned(), json!(false));
    }
    let (blind, mut observed) = plan_now(&engine, &new).await;
    assert!(!titles(&blind).is_empty());
    assert!(!plan::difference::is_known_what_is_filled_in(
        &new, &observed
    ));
    observed.earlier = observe::of_earlier(&old.project);
    let plan = plan::up(&new, &observed, &UpRequest::default());
    assert_eq!(plan, Plan::default());
}
