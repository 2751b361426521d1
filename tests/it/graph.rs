//! The plan as a graph: what waits for what, what goes on at once, and what a request chooses.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use toolkit::apply::{ApplyError, Work};
use toolkit::compose::Dependency;
use toolkit::deployment::Deployment;
use toolkit::engine::memory::MemoryEngine;
use toolkit::event::Event;
use toolkit::host::interrupt::Interrupt;
use toolkit::journal::{Journal, Operation};
use toolkit::observe;
use toolkit::observed::Observed;
use toolkit::plan::file::PlanFile;
use toolkit::plan::{self, Action, Plan, PullWish, UpRequest};
use toolkit::secret::Secret;
use toolkit::ui;

use super::convergence::{IMAGES, apply, apply_telling, deployment, plan_now, titles};

async fn observe(engine: &MemoryEngine, deployment: &Deployment) -> Observed {
    observe::everything(engine, deployment).await.unwrap()
}

/// A deployment that runs on an engine in memory.
async fn running(root: &Path) -> (MemoryEngine, Deployment) {
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(root, "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    (engine, deployment)
}

fn position(plan: &Plan, title: &str) -> usize {
    let found = titles(plan).iter().position(|other| other == title);
    found.expect(title)
}

/// Whether one step has to wait for another, directly or not.
fn waits_for(plan: &Plan, later: usize, earlier: usize) -> bool {
    let needs = &plan.steps[later].needs;
    needs.contains(&earlier) || needs.iter().any(|need| waits_for(plan, *need, earlier))
}

#[tokio::test]
async fn independent_steps_do_not_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&[], &IMAGES);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    assert!(plan.is_ordered());
    let at = |title: &str| position(&plan, title);
    let (mongo, redis) = (
        at("create container `mongo`"),
        at("create container `redis`"),
    );
    let pull = |image: &str| at(&format!("pull image `{image}`"));
    assert!(waits_for(&plan, mongo, pull("mongo:8.0")));
    assert!(!waits_for(&plan, mongo, pull("redis:7.4")));
    assert!(!waits_for(&plan, redis, mongo));
    assert!(plan.steps[pull("mongo:8.0")].needs.is_empty());
    let application = at("start container `sharelatex`");
    assert!(waits_for(
        &plan,
        application,
        at("wait until `mongo` is healthy")
    ));
    assert!(waits_for(&plan, application, at("start container `redis`")));
    assert!(!waits_for(
        &plan,
        at("create container `sharelatex`"),
        redis
    ));
}

#[tokio::test]
async fn a_tree_shows_what_waits_for_what() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = running(folder.path()).await;
    let new = deployment(folder.path(), "MONGO_VERSION=9.0\n");
    let (plan, _) = plan_now(&engine, &new).await;
    let style = ui::words::Style {
        color: false,
        unicode: true,
    };
    insta::assert_snapshot!(ui::plan::tree(&plan, &[], style));
    insta::assert_snapshot!(format!("{:#}", ui::plan::value(&plan, &[])));
}

#[tokio::test]
async fn every_step_is_recorded_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    let operation = Operation {
        id: "one".to_owned(),
        command: "up".to_owned(),
        request: json!({}),
        steps: titles(&plan),
        before: Vec::new(),
        started: "2026-01-02T03:04:05Z".to_owned(),
        follows: None,
        volumes: Vec::new(),
    };
    let journal = Journal::begin(folder.path(), &operation).unwrap();
    let work = Work {
        engine: &engine,
        deployment: &deployment,
        reporter: &|_| {},
        interrupt: &Interrupt::never(),
        patience: Duration::from_secs(20),
        program: Path::new("/nonexistent"),
        journal: Some(&journal),
    };
    work.apply(&plan).await.unwrap();
    let text = std::fs::read_to_string(folder.path().join("journal")).unwrap();
    let notes: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let at = |kind: &str, step: usize| {
        let is_it = |note: &serde_json::Value| {
            note["record"] == kind && note["step"].as_u64() == u64::try_from(step).ok()
        };
        notes.iter().position(is_it).expect(kind)
    };
    for (number, step) in plan.steps.iter().enumerate() {
        assert!(at("intent", number) < at("done", number));
        for need in &step.needs {
            assert!(
                at("done", *need) < at("intent", number),
                "{number} needs {need}"
            );
        }
    }
    assert_eq!(notes.len(), 1 + 2 * plan.steps.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_the_last_step_has_nothing_left_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    let interrupt = Interrupt::listen().unwrap();
    let begun = Mutex::new(0);
    let reporter = |event| {
        if let Event::StepStarted { steps, .. } = event {
            let mut begun = begun.lock().unwrap();
            *begun += 1;
            if *begun == steps {
                let process = std::process::id().to_string();
                let sent = std::process::Command::new("kill")
                    .args(["-INT", &process])
                    .status();
                assert!(sent.unwrap().success());
                while interrupt.exit_code().is_none() {
                    std::thread::yield_now();
                }
            }
        }
    };
    let work = Work {
        engine: &engine,
        deployment: &deployment,
        reporter: &reporter,
        interrupt: &interrupt,
        patience: Duration::from_secs(20),
        program: Path::new("/nonexistent"),
        journal: None,
    };
    work.apply(&plan).await.unwrap();
    assert_eq!(interrupt.exit_code(), Some(130));
}

#[tokio::test]
async fn after_a_failure_nothing_new_begins() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES[..3], &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    let events = Mutex::new(Vec::new());
    let reporter = |event| events.lock().unwrap().push(event);
    // redis:7.4 is neither here nor in the registry.
    let applied = apply_telling(&engine, &deployment, &plan, &reporter);
    let error = applied.await.unwrap_err();
    let ApplyError::Step { title, done, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(title, "pull image `redis:7.4`");
    let events = events.into_inner().unwrap();
    let finished = |event: &&Event| matches!(event, Event::StepFinished { .. });
    assert_eq!(events.iter().filter(finished).count(), done);
    let begun_late = events.iter().any(|event| {
        matches!(event, Event::StepStarted { title, .. } if title == "start container `mongo`")
    });
    assert!(!begun_late, "{events:?}");
}

#[tokio::test]
async fn only_named_services_and_what_they_need_come_up() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let mut deployment = deployment(folder.path(), "");
    let mut aside = deployment.project.services["redis"].clone();
    (aside.container_name, aside.ports) = (None, Vec::new());
    let services = &mut deployment.project.services;
    services.insert("aside".to_owned(), aside);
    services.get_mut("redis").unwrap().depends_on.insert(
        "mongo".to_owned(),
        Dependency {
            condition: toolkit::compose::Condition::Started,
            restart: false,
            required: true,
        },
    );
    let observed = observe(&engine, &deployment).await;
    let request = UpRequest {
        services: vec!["redis".to_owned()],
        ..UpRequest::default()
    };
    let created = |plan: &Plan| -> Vec<String> {
        let all = titles(plan).into_iter();
        all.filter(|title| title.starts_with("create container"))
            .collect()
    };
    let plan = plan::up(&deployment, &observed, &request);
    assert_eq!(
        created(&plan),
        ["create container `mongo`", "create container `redis`"]
    );
    let request = UpRequest {
        no_deps: true,
        ..request
    };
    let plan = plan::up(&deployment, &observed, &request);
    assert_eq!(created(&plan), ["create container `redis`"]);
    assert!(!titles(&plan).iter().any(|title| title.contains("mongo")));
}

#[tokio::test]
async fn a_forced_recreation_is_about_the_named_services_only() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, deployment) = running(folder.path()).await;
    let observed = observe(&engine, &deployment).await;
    let request = UpRequest {
        services: vec!["redis".to_owned()],
        force_recreate: true,
        ..UpRequest::default()
    };
    let plan = plan::up(&deployment, &observed, &request);
    let of_redis = |step: &plan::Step| step.action.service() == Some("redis");
    assert!(
        !plan.is_empty() && plan.steps.iter().all(of_redis),
        "{:?}",
        titles(&plan)
    );
    assert_eq!(plan.steps[0].cause, "--force-recreate asks for it");
}

#[tokio::test]
async fn a_service_runs_as_often_as_its_scale_says() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let mut deployment = deployment(folder.path(), "");
    let mut worker = deployment.project.services["redis"].clone();
    (worker.container_name, worker.ports) = (None, Vec::new());
    worker.rest.insert("scale".to_owned(), json!(3));
    deployment
        .project
        .services
        .insert("worker".to_owned(), worker);
    let names = async |deployment: &Deployment| -> Vec<String> {
        let observed = observe(&engine, deployment).await;
        let found = observed.containers_of("worker").into_iter();
        found.map(|container| container.name.clone()).collect()
    };
    for (scale, expected) in [
        (
            3,
            &[
                "overleaf-worker-1",
                "overleaf-worker-2",
                "overleaf-worker-3",
            ][..],
        ),
        (1, &["overleaf-worker-1"]),
        (2, &["overleaf-worker-1", "overleaf-worker-2"]),
        (0, &[]),
    ] {
        let worker = deployment.project.services.get_mut("worker").unwrap();
        worker.rest.insert("scale".to_owned(), json!(scale));
        let (plan, _) = plan_now(&engine, &deployment).await;
        apply(&engine, &deployment, &plan).await.unwrap();
        assert_eq!(names(&deployment).await, expected, "scale {scale}");
        assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
    }
}

#[tokio::test]
async fn what_depends_with_restart_restarts_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut deployment) = running(folder.path()).await;
    let services = &mut deployment.project.services;
    let application = services.get_mut("sharelatex").unwrap();
    application.depends_on.get_mut("redis").unwrap().restart = true;
    services.get_mut("redis").unwrap().hostname = Some("other".to_owned());
    let (plan, _) = plan_now(&engine, &deployment).await;
    let at = |title: &str| position(&plan, title);
    let (stop, start) = (
        at("stop container `sharelatex`"),
        at("start container `sharelatex`"),
    );
    assert!(waits_for(&plan, at("stop container `redis`"), stop));
    assert!(waits_for(&plan, start, at("start container `redis`")));
    assert!(!titles(&plan).contains(&"remove container `sharelatex`".to_owned()));
    apply(&engine, &deployment, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
}

#[tokio::test]
async fn pull_policies_decide_which_images_are_pulled() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES[..3], &IMAGES);
    let mut deployment = deployment(folder.path(), "");
    let observed = observe(&engine, &deployment).await;
    let pulled = |plan: &Plan| -> Vec<String> {
        let steps = plan.steps.iter();
        steps
            .filter_map(|step| match &step.action {
                Action::PullImage { reference, .. } => Some(reference.clone()),
                _ => None,
            })
            .collect()
    };
    let request = |pull| UpRequest {
        pull,
        ..UpRequest::default()
    };
    let whole = |pull| plan::whole(&deployment, &observed, &request(pull));
    assert_eq!(pulled(&whole(PullWish::Policy)), ["redis:7.4"]);
    assert_eq!(pulled(&whole(PullWish::Always)).len(), 4);
    let refused = plan::pull::refused(&deployment, &observed, &request(PullWish::Never));
    assert_eq!(refused, [("redis".to_owned(), "redis:7.4".to_owned())]);
    let mongo = deployment.project.services.get_mut("mongo").unwrap();
    mongo.rest.insert("pull_policy".to_owned(), json!("always"));
    let plan = plan::whole(&deployment, &observed, &request(PullWish::Policy));
    assert_eq!(pulled(&plan), ["mongo:8.0", "redis:7.4"]);
    assert!(plan.is_ordered());
    let plan = plan::whole(&deployment, &observed, &request(PullWish::Missing));
    assert_eq!(pulled(&plan), ["redis:7.4"]);
}

#[tokio::test]
async fn an_image_of_another_platform_is_pulled_and_its_container_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &IMAGES);
    let mut deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    let mut on = |platform: &str| {
        let redis = deployment.project.services.get_mut("redis").unwrap();
        redis.rest.insert("platform".to_owned(), json!(platform));
        deployment.clone()
    };
    let same = on("linux/amd64");
    assert_eq!(plan_now(&engine, &same).await.0, Plan::default());
    let other = on("linux/arm64/v8");
    let (plan, observed) = plan_now(&engine, &other).await;
    let pull = position(&plan, "pull image `redis:7.4` for linux/arm64/v8");
    assert_eq!(plan.steps[pull].cause, "the engine has it for amd64");
    let stop = position(&plan, "stop container `redis`");
    assert!(waits_for(&plan, stop, pull), "{:?}", titles(&plan));
    assert_eq!(plan.steps[stop].cause, "platform: amd64 → linux/arm64/v8");
    let request = UpRequest {
        pull: PullWish::Never,
        ..UpRequest::default()
    };
    let refused = plan::pull::refused(&other, &observed, &request);
    assert_eq!(refused, [("redis".to_owned(), "redis:7.4".to_owned())]);
    apply(&engine, &other, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &other).await.0, Plan::default());
}

#[tokio::test]
async fn an_image_is_looked_for_at_intervals() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let mut deployment = deployment(folder.path(), "");
    let now = observe(&engine, &deployment).await.moment.unwrap();
    for (policy, hours, is_due) in [
        ("daily", Some(23), false),
        ("daily", Some(25), true),
        ("daily", None, true),
        ("weekly", Some(6 * 24 + 23), false),
        ("weekly", Some(7 * 24 + 1), true),
        ("every_1d12h", Some(35), false),
        ("every_1d12h", Some(37), true),
        ("refresh", Some(0), true),
        ("missing", None, false),
    ] {
        engine.replace_image("redis:7.4");
        if let Some(hours) = hours {
            engine.tag_at("redis:7.4", now - time::Duration::hours(hours));
        }
        let redis = deployment.project.services.get_mut("redis").unwrap();
        redis.rest.insert("pull_policy".to_owned(), json!(policy));
        let observed = observe(&engine, &deployment).await;
        let plan = plan::pull::refresh(&deployment, &observed, &UpRequest::default());
        let expected = format!("the pull policy of `redis` is {policy}");
        let causes: Vec<&str> = plan.steps.iter().map(|step| &*step.cause).collect();
        let expected = is_due.then_some(&*expected);
        assert_eq!(causes, Vec::from_iter(expected), "{policy} {hours:?}");
    }
}

#[tokio::test]
async fn a_plan_file_tells_what_has_moved() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let request = UpRequest {
        remove_orphans: true,
        ..UpRequest::default()
    };
    let file = async |deployment: &Deployment| {
        let observed = observe(&engine, deployment).await;
        let plan = plan::whole(deployment, &observed, &request);
        (PlanFile::new(&plan, &request, deployment, &observed), plan)
    };
    let (saved, plan) = file(&deployment).await;
    let text = saved.text();
    assert!(
        !text.contains("0123456789abcdef"),
        "a secret is in the file"
    );
    let read = PlanFile::read(&text).unwrap();
    assert_eq!(read.request(), request);
    assert_eq!(read.moved(&file(&deployment).await.0), [] as [String; 0]);
    let other = super::convergence::deployment(folder.path(), "REDIS_AOF_PERSISTENCE=true\n");
    assert_eq!(
        read.moved(&file(&other).await.0),
        ["the configuration has changed"]
    );
    apply(&engine, &deployment, &plan).await.unwrap();
    let moved = read.moved(&file(&deployment).await.0);
    assert!(
        moved.contains(&"container `redis` is new".to_owned()),
        "{moved:?}"
    );
    let mut joined = observe(&engine, &deployment).await;
    let (before, plan) = (joined.clone(), Plan::default());
    let made = |seen: &Observed| PlanFile::new(&plan, &request, &deployment, seen);
    joined.containers[0].network_ids.insert("f".repeat(64));
    let moved = made(&before).moved(&made(&joined));
    let name = &joined.containers[0].name;
    assert!(
        moved[0].starts_with(&format!("container `{name}` was ")) && moved[0].contains("ffffff"),
        "{moved:?}"
    );
    let (saved, _) = file(&deployment).await;
    engine.replace_image("redis:7.4");
    let moved = saved.moved(&file(&deployment).await.0);
    assert!(moved[0].starts_with("image `redis:7.4` was "), "{moved:?}");
    let mut with_secret = deployment.clone();
    let mut hold = |content: Option<&str>| {
        let content = content.map(Secret::new);
        let contents = &mut with_secret.contents;
        contents.insert("secrets.token".to_owned(), content);
        with_secret.clone()
    };
    let (saved, _) = file(&hold(Some("sesame-open"))).await;
    assert!(!saved.text().contains("sesame"));
    let same = file(&hold(Some("sesame-open"))).await.0;
    assert_eq!(saved.moved(&same), [] as [String; 0]);
    for other in [Some("sesame-shut"), None] {
        let moved = saved.moved(&file(&hold(other)).await.0);
        let [moved] = moved.as_slice() else {
            panic!("{moved:?}")
        };
        assert!(
            moved.starts_with("the content of `secrets.token` was #"),
            "{moved}"
        );
        assert!(!moved.contains("sesame"), "{moved}");
    }
    for (text, expected) in [
        ("{}", "its form is `none`"),
        (
            "{\"schema\":\"toolkit.plan-file/v9\"}",
            "its form is `toolkit.plan-file/v9`",
        ),
        ("not JSON", "it is not a plan file"),
    ] {
        let error = PlanFile::read(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_configured_any_more_outlives_its_user() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut deployment) = running(folder.path()).await;
    // As after REDIS_ENABLED=false: the application does not name it any more either.
    let services = &mut deployment.project.services;
    services.remove("redis");
    let application = services.get_mut("sharelatex").unwrap();
    application.depends_on.remove("redis");
    application.hostname = Some("other".to_owned());
    let observed = observe(&engine, &deployment).await;
    let request = UpRequest {
        remove_orphans: true,
        ..UpRequest::default()
    };
    for plan in [
        plan::up(&deployment, &observed, &request),
        plan::down(&deployment.project, &observed),
    ] {
        let user = position(&plan, "stop container `sharelatex`");
        let store = position(&plan, "stop container `redis`");
        assert!(waits_for(&plan, store, user), "{:?}", titles(&plan));
    }
}

#[tokio::test]
async fn a_name_is_free_before_it_is_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut deployment) = running(folder.path()).await;
    let services = &mut deployment.project.services;
    let redis = services.remove("redis").unwrap();
    services.insert("cache".to_owned(), redis);
    let application = services.get_mut("sharelatex").unwrap();
    let need = application.depends_on.remove("redis").unwrap();
    application.depends_on.insert("cache".to_owned(), need);
    let (plan, _) = plan_now(&engine, &deployment).await;
    let made = position(&plan, "create container `redis`");
    assert!(waits_for(
        &plan,
        made,
        position(&plan, "remove container `redis`")
    ));
    apply(&engine, &deployment, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
}

#[tokio::test]
async fn what_shares_a_network_restarts_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let mut deployment = deployment(folder.path(), "");
    let mut aside = deployment.project.services["redis"].clone();
    aside.container_name = None;
    aside.networks.clear();
    aside
        .rest
        .insert("network_mode".to_owned(), json!("service:redis"));
    let need = Dependency {
        condition: toolkit::compose::Condition::Started,
        restart: false,
        required: true,
    };
    aside.depends_on.insert("redis".to_owned(), need);
    deployment
        .project
        .services
        .insert("aside".to_owned(), aside);
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    let observed = observe(&engine, &deployment).await;
    let plan = plan::restart(&deployment, &observed, &["redis".to_owned()], &["redis"]);
    assert_eq!(
        titles(&plan),
        [
            "stop container `overleaf-aside-1`",
            "stop container `redis`",
            "start container `redis`",
            "start container `overleaf-aside-1`",
        ]
    );
    // Likewise when it was stopped by hand.
    let mut stopped = observed;
    for container in &mut stopped.containers {
        if container.service == "redis" {
            container.state = toolkit::observed::ContainerState::Exited { exit_code: 0 };
        }
    }
    let plan = plan::up(&deployment, &stopped, &UpRequest::default());
    let start = position(&plan, "start container `overleaf-aside-1`");
    assert!(waits_for(
        &plan,
        start,
        position(&plan, "start container `redis`")
    ));
}
