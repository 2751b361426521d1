//! Anonymous volumes on the engine in memory: a new container has those of the one before it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use toolkit::compose::{Mount, MountSource, Values};
use toolkit::deployment::Deployment;
use toolkit::engine::Engine;
use toolkit::engine::memory::MemoryEngine;
use toolkit::observe;
use toolkit::plan::{self, Action, Plan, UpRequest};

use super::convergence::{IMAGES, apply, deployment, plan_now};

type Volumes = BTreeMap<String, String>;

fn mount(target: &str, source: MountSource) -> Mount {
    Mount {
        source,
        target: target.to_owned(),
        read_only: false,
        rest: Values::new(),
    }
}

/// Redis with an anonymous volume of its definition and one that its image asks for, brought up.
async fn running(root: &Path) -> (MemoryEngine, Deployment) {
    let engine = MemoryEngine::new(&IMAGES, &[]);
    engine.ask_for_volumes("redis:7.4", &["/data", "/of-image"]);
    let mut deployment = deployment(root, "");
    let redis = deployment.project.services.get_mut("redis").unwrap();
    redis
        .volumes
        .push(mount("/cache/", MountSource::Volume(None)));
    converge(&engine, &deployment).await;
    (engine, deployment)
}

/// Brings it up; what then stands is as it should be.
async fn converge(engine: &MemoryEngine, deployment: &Deployment) -> Plan {
    let (plan, _) = plan_now(engine, deployment).await;
    apply(engine, deployment, &plan).await.unwrap();
    assert_eq!(plan_now(engine, deployment).await.0, Plan::default());
    plan
}

async fn anonymous(engine: &MemoryEngine) -> Volumes {
    engine.container("redis").await.unwrap().unwrap().anonymous
}

/// What the new container of redis is to take over.
fn inherited(plan: &Plan) -> Option<&Volumes> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::CreateContainer {
            service, inherits, ..
        } if service == "redis" => Some(inherits),
        _ => None,
    })
}

#[tokio::test]
async fn a_new_container_has_the_anonymous_volumes_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut deployment) = running(folder.path()).await;
    let before = anonymous(&engine).await;
    // The definition mounts a folder of the host over the image's third path.
    let paths: Vec<&String> = before.keys().collect();
    assert_eq!(paths, ["/cache", "/of-image"]);
    for name in ["one", "two"] {
        let redis = deployment.project.services.get_mut("redis").unwrap();
        redis.hostname = Some(name.to_owned());
        let plan = converge(&engine, &deployment).await;
        assert_eq!(inherited(&plan), Some(&before));
        assert_eq!(anonymous(&engine).await, before);
    }
}

#[tokio::test]
async fn what_is_mounted_otherwise_or_not_at_all_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut deployment) = running(folder.path()).await;
    let before = anonymous(&engine).await;
    let redis = deployment.project.services.get_mut("redis").unwrap();
    redis
        .rest
        .insert("tmpfs".to_owned(), json!(["/of-image:size=1m"]));
    redis.volumes.last_mut().unwrap().source = MountSource::Tmpfs;
    let plan = converge(&engine, &deployment).await;
    assert_eq!(inherited(&plan), Some(&Volumes::new()));

    let folder = tempfile::tempdir().unwrap();
    let (engine, mut deployment) = running(folder.path()).await;
    let redis = deployment.project.services.get_mut("redis").unwrap();
    redis.volumes.pop();
    converge(&engine, &deployment).await;
    let after = anonymous(&engine).await;
    assert_eq!(after.keys().collect::<Vec<_>>(), ["/of-image"]);
    assert_eq!(after["/of-image"], before["/of-image"]);
    // Nothing is deleted because nobody mounts it.
    assert!(engine.volume(&before["/cache"]).await.unwrap().is_some());
}

#[tokio::test]
async fn volumes_of_a_container_that_is_gone_are_taken_over_as_the_journal_knows_them() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, deployment) = running(folder.path()).await;
    let before = anonymous(&engine).await;
    engine.stop("redis", Duration::from_secs(1)).await.unwrap();
    engine.remove("redis").await.unwrap();
    let mut observed = observe::everything(&engine, &deployment).await.unwrap();
    let key = ("redis".to_owned(), 1);
    observed.left_behind.insert(key, before.clone());
    let plan = plan::up(&deployment, &observed, &UpRequest::default());
    assert_eq!(inherited(&plan), Some(&before));
    apply(&engine, &deployment, &plan).await.unwrap();
    assert_eq!(anonymous(&engine).await, before);
}

#[tokio::test]
async fn an_image_that_is_not_there_makes_no_difference_of_its_volumes() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut deployment) = running(folder.path()).await;
    let redis = deployment.project.services.get_mut("redis").unwrap();
    redis.hostname = Some("other".to_owned());
    converge(&engine, &deployment).await;
    let mut observed = observe::everything(&engine, &deployment).await.unwrap();
    observed.images.insert("redis:7.4".to_owned(), None);
    let plan = plan::up(&deployment, &observed, &UpRequest::default());
    assert_eq!(inherited(&plan), None);
}

#[tokio::test]
async fn a_labelled_path_that_is_missing_is_refused_unless_the_engine_may_make_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared");
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let refused = async |create, bind| {
        let mut deployment = deployment(folder.path(), "");
        let redis = deployment.project.services.get_mut("redis").unwrap();
        let path = path.display().to_string();
        let mut mount = mount("/shared", MountSource::Bind { path, create });
        mount.rest.insert("bind".to_owned(), bind);
        redis.volumes.push(mount);
        let observed = observe::everything(&engine, &deployment).await.unwrap();
        observed.refused.len()
    };
    assert_eq!(refused(false, json!({ "selinux": "Z" })).await, 1);
    assert_eq!(refused(true, json!({ "selinux": "Z" })).await, 0);
    // The engine itself refuses this one.
    assert_eq!(refused(false, json!({})).await, 0);
    std::fs::create_dir(&path).unwrap();
    assert_eq!(refused(false, json!({ "selinux": "Z" })).await, 0);
}
