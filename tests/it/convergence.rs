//! Plans and their application on the engine in memory: every interruption converges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use toolkit::apply::{ApplyError, Work};
use toolkit::check::row::{self, Operation};
use toolkit::check::{self, Ignores, World};
use toolkit::compose::{Condition, Dependency};
use toolkit::deployment::{self, Context, Definitions, Deployment};
use toolkit::engine::Engine;
use toolkit::engine::memory::MemoryEngine;
use toolkit::event::{Event, Reporter};
use toolkit::host;
use toolkit::host::interrupt::Interrupt;
use toolkit::labels;
use toolkit::observe;
use toolkit::observed::machine::MachineFacts;
use toolkit::observed::{ContainerState, FolderState, Observed};
use toolkit::plan::{self, Plan, UpRequest};
use toolkit::release::Catalogue;
use toolkit::settings::{Sources, resolve};

pub const IMAGES: [&str; 4] = [
    "quay.io/sharelatex/git-bridge:6.2.2",
    "quay.io/sharelatex/sharelatex-pro:6.2.2",
    "mongo:8.0",
    "redis:7.4",
];

/// A deployment with four services below a folder. No server runs in memory, so nothing is probed.
pub fn deployment(root: &Path, more: &str) -> Deployment {
    let rc = format!(
        "EDITION=pro\nOVERLEAF_DATA_PATH=data/overleaf\nOVERLEAF_PORT=58080-58090\nMONGO_DATA_PATH=data/mongo\nMONGO_IMAGE=mongo\nMONGO_VERSION=8.0\nREDIS_DATA_PATH=data/redis\nREDIS_IMAGE=redis:7.4\nGIT_BRIDGE_ENABLED=true\nGIT_BRIDGE_DATA_PATH=data/git-bridge\n{more}"
    );
    let sources = Sources {
        root,
        rc: &rc,
        variables: "OVERLEAF_INVITE_TOKEN_SECRET=0123456789abcdef\n",
        version: "6.2.2",
        dotenv: "",
        environment: &|_| None,
        canonical: &|path| Ok(host::canonical(path)),
        is_folder: &host::is_folder,
    };
    let (settings, _) = resolve(&sources).unwrap();
    let definitions = Definitions {
        files: Vec::new(),
        environment: &|_| None,
        read: &|_| Ok("OVERLEAF_INVITE_TOKEN_SECRET=0123456789abcdef\n".to_owned()),
        profiles: &[],
    };
    let catalogue = Catalogue::load().unwrap();
    let mut made =
        deployment::make(&settings, &catalogue, &Context::default(), &definitions).unwrap();
    made.probes.clear();
    made.replica_set = None;
    made
}

pub async fn plan_now(engine: &MemoryEngine, deployment: &Deployment) -> (Plan, Observed) {
    let observed = observe::everything(engine, deployment).await.unwrap();
    let request = UpRequest {
        remove_orphans: true,
        ..UpRequest::default()
    };
    (plan::up(deployment, &observed, &request), observed)
}

/// What keeps an `up` from going on.
fn in_the_way(deployment: &Deployment, observed: &Observed) -> Vec<String> {
    let registry = row::load().unwrap();
    let machine = MachineFacts::default();
    let world = World {
        deployment,
        observed: Ok(observed),
        machine: &machine,
    };
    let ignores = Ignores::default();
    let checked = check::run(&registry, &world, Operation::Up, &ignores).unwrap();
    let blocking = checked.iter().filter(|found| found.blocks());
    blocking.map(|found| found.check.id.clone()).collect()
}

pub async fn apply(
    engine: &MemoryEngine,
    deployment: &Deployment,
    plan: &Plan,
) -> Result<Vec<Event>, ApplyError> {
    let events = Mutex::new(Vec::new());
    let reporter = |event| events.lock().unwrap().push(event);
    apply_telling(engine, deployment, plan, &reporter).await?;
    Ok(events.into_inner().unwrap())
}

/// As [`apply`], for a test that looks at the events as they come, or after a failure.
pub async fn apply_telling(
    engine: &MemoryEngine,
    deployment: &Deployment,
    plan: &Plan,
    reporter: Reporter<'_>,
) -> Result<(), ApplyError> {
    let work = Work {
        engine,
        deployment,
        reporter,
        interrupt: &Interrupt::never(),
        patience: Duration::from_secs(20),
        program: Path::new("/nonexistent"),
        journal: None,
    };
    work.apply(plan).await
}

pub fn titles(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .map(|step| step.action.to_string())
        .collect()
}

#[tokio::test]
async fn a_first_plan_comes_in_the_order_of_dependencies() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES[..2], &IMAGES);
    let deployment = deployment(folder.path(), "");
    let (plan, observed) = plan_now(&engine, &deployment).await;
    assert_eq!(
        plan,
        plan_now(&engine, &deployment).await.0,
        "equal inputs give equal plans"
    );
    let shown = titles(&plan)
        .join("\n")
        .replace(&*folder.path().to_string_lossy(), "[ROOT]");
    insta::assert_snapshot!(shown);
    assert_eq!(in_the_way(&deployment, &observed), Vec::<String>::new());
    apply(&engine, &deployment, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
}

#[tokio::test]
async fn what_the_engine_warns_of_is_said_of_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let container = deployment.project.container_name("redis");
    engine.warn_of(&container, "Weight discarded.");
    let (plan, _) = plan_now(&engine, &deployment).await;
    let events = apply(&engine, &deployment, &plan).await.unwrap();
    let warnings = events.into_iter().filter_map(|event| match event {
        Event::Warning { text } => Some(text),
        _ => None,
    });
    let warnings: Vec<String> = warnings.collect();
    assert_eq!(warnings, ["`redis`: the engine warns: Weight discarded."]);
}

#[tokio::test]
async fn no_folder_is_made_for_an_engine_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, mut observed) = plan_now(&engine, &deployment).await;
    let made = |plan: &Plan| {
        let titles = titles(plan);
        titles
            .iter()
            .any(|title| title.starts_with("create folder"))
    };
    assert!(made(&plan));
    for state in observed.folders.values_mut() {
        *state = FolderState::Elsewhere;
    }
    let plan = plan::up(&deployment, &observed, &UpRequest::default());
    assert!(!made(&plan) && !plan.is_empty(), "{:?}", titles(&plan));
}

#[tokio::test]
async fn a_failure_at_any_change_leaves_what_the_next_up_finishes() {
    for change in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::new(&IMAGES[..2], &IMAGES);
        let deployment = deployment(folder.path(), "");
        engine.fail_at(Some(change));
        let (plan, _) = plan_now(&engine, &deployment).await;
        let outcome = apply(&engine, &deployment, &plan).await;
        engine.fail_at(None);
        let (rest, _) = plan_now(&engine, &deployment).await;
        apply(&engine, &deployment, &rest).await.unwrap();
        assert_eq!(
            plan_now(&engine, &deployment).await.0,
            Plan::default(),
            "change {change}"
        );
        if outcome.is_ok() {
            // 2 pulls, 1 network, 4 containers made and started: no change was left to fail.
            assert_eq!(change, 12);
            break;
        }
    }
}

#[tokio::test]
async fn what_an_interrupted_run_asked_for_may_come_late() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    // Fails at a start, so that a container is made and never ran.
    engine.fail_at(Some(3));
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap_err();
    engine.fail_at(None);
    let made = engine.project_containers("overleaf").await.unwrap();
    let late = made.iter().find(|c| c.state == ContainerState::Created);
    let late = &late.unwrap().name;
    engine.list_late(late);
    let (plan, observed) = plan_now(&engine, &deployment).await;
    assert!(observed.containers.iter().all(|found| found.name != *late));
    assert_eq!(in_the_way(&deployment, &observed), Vec::<String>::new());
    apply(&engine, &deployment, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
}

#[tokio::test]
async fn what_a_killed_run_made_of_another_configuration_makes_way() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&[&IMAGES[..], &["mongo:9.0"]].concat(), &[]);
    let old = deployment(folder.path(), "");
    let killed = deployment(folder.path(), "MONGO_VERSION=9.0\n");
    // The way back is planned before the engine makes what the killed run asked for last.
    let (back, _) = plan_now(&engine, &old).await;
    for change in 1.. {
        engine.fail_at(Some(change));
        let (plan, _) = plan_now(&engine, &killed).await;
        apply(&engine, &killed, &plan).await.unwrap_err();
        if engine.container("mongo").await.unwrap().is_some() {
            break;
        }
    }
    engine.fail_at(None);
    let image = async || engine.container("mongo").await.unwrap().unwrap().image;
    assert_eq!(image().await, "mongo:9.0");
    apply(&engine, &old, &back).await.unwrap();
    assert_eq!(image().await, "mongo:8.0");
    assert_eq!(plan_now(&engine, &old).await.0, Plan::default());
    // One that ran holds something and stays.
    let failed = apply(&engine, &killed, &back).await.unwrap_err();
    assert!(matches!(failed, ApplyError::Step { .. }), "{failed:?}");
    assert_eq!(image().await, "mongo:8.0");
}

#[tokio::test]
async fn an_engine_is_asked_who_it_is_where_that_matters() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    let every = plan::chosen(&deployment, &UpRequest::default());
    let some = BTreeSet::from(["mongo"]);
    let asked = async |services: &BTreeSet<&str>| {
        let before = engine.introductions();
        let observed = observe::concerning(&engine, &deployment, services);
        let observed = observed.await.unwrap();
        (observed, engine.introductions() - before)
    };
    // What is to come may take a port that only an engine on this machine has.
    assert_eq!(asked(&every).await.1, 1);
    apply(&engine, &deployment, &plan).await.unwrap();
    let (mut lean, questions) = asked(&every).await;
    assert_eq!(questions, 0);
    let (plan, whole) = plan_now(&engine, &deployment).await;
    assert_eq!(plan, Plan::default());
    let request = UpRequest::default();
    assert_eq!(plan::up(&deployment, &lean, &request), Plan::default());
    observe::introduce(&engine, &mut lean).await.unwrap();
    assert_eq!(lean.engine, whole.engine);
    engine.stop("redis", Duration::ZERO).await.unwrap();
    assert_eq!(asked(&every).await.1, 1);
    assert_eq!(asked(&some).await.1, 0);
}

#[tokio::test]
async fn what_goes_goes_first_and_dependants_before_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let newer = "mongo:9.0";
    let engine = MemoryEngine::new(&[&IMAGES[..], &[newer]].concat(), &[]);
    let old = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &old).await;
    apply(&engine, &old, &plan).await.unwrap();
    let new = deployment(
        folder.path(),
        "MONGO_VERSION=9.0\nOVERLEAF_LISTEN_IP=127.0.0.2\n",
    );
    let (plan, _) = plan_now(&engine, &new).await;
    insta::assert_snapshot!(titles(&plan).join("\n"), @r"
    create container `mongo`
    create container `sharelatex`
    stop container `sharelatex`
    remove container `sharelatex`
    stop container `mongo`
    remove container `mongo`
    put container `mongo` in its place
    start container `mongo`
    put container `sharelatex` in its place
    wait until `mongo` is healthy
    start container `sharelatex`
    ");
    assert!(
        plan.steps[1].cause.starts_with("ports: "),
        "{}",
        plan.steps[1].cause
    );
    let cause = &plan.steps[0].cause;
    assert!(
        cause.starts_with("image: mongo:8.0 → mongo:9.0 ("),
        "{cause}"
    );
    apply(&engine, &new, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &new).await.0, Plan::default());
}

#[tokio::test]
async fn stop_and_down_go_backwards_and_keep_what_is_not_ours() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    let observed = observe::containers_and_networks(&engine, folder.path(), &deployment.project)
        .await
        .unwrap();
    let mut stop = plan::stop(&deployment.project, &observed, &["redis".to_owned()]);
    let time = Duration::from_secs(3);
    stop.stop_within(time);
    for step in &stop.steps {
        let is_granted =
            matches!(step.action, plan::Action::StopContainer { grace, .. } if grace == time);
        assert!(is_granted, "{step:?}");
    }
    assert_eq!(titles(&stop), ["stop container `redis`"]);
    let mut foreign = observed.clone();
    for networks in foreign.networks.values_mut() {
        networks
            .iter_mut()
            .for_each(|network| network.labels.clear());
    }
    let down = plan::down(&deployment.project, &foreign);
    assert!(
        !titles(&down).iter().any(|title| title.contains("network")),
        "{down:?}"
    );
    let down = plan::down(&deployment.project, &observed);
    assert_eq!(
        titles(&down).first().unwrap(),
        "stop container `sharelatex`"
    );
    apply(&engine, &deployment, &down).await.unwrap();
    let observed = observe::containers_and_networks(&engine, folder.path(), &deployment.project)
        .await
        .unwrap();
    assert_eq!(plan::down(&deployment.project, &observed), Plan::default());
    assert!(
        folder.path().join("data/mongo").is_dir(),
        "down keeps the data"
    );
}

#[tokio::test]
async fn a_service_that_ends_is_named_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    engine.exit_at_start("mongo", 132);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    let error = apply(&engine, &deployment, &plan).await.unwrap_err();
    let ApplyError::Service(failure) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        failure.to_string(),
        "`mongo` ended with exit code 132 (ended by SIGILL, an instruction this processor does not have)"
    );
    assert_eq!(failure.diagnosis.unwrap().id, "MONGO_NO_AVX");
    assert_eq!(failure.log, ["started"]);
}

/// A deployment in which the application waits for the end of a `task`, and `aside` may be missing.
fn with_task(root: &Path) -> Deployment {
    let mut made = deployment(root, "");
    let mut task = made.project.services["redis"].clone();
    (task.container_name, task.restart) = (None, None);
    made.project.services.insert("task".to_owned(), task);
    let application = made.project.services.get_mut("sharelatex").unwrap();
    for (name, condition, required) in [
        ("task", Condition::Completed, true),
        ("aside", Condition::Healthy, false),
    ] {
        let need = Dependency {
            condition,
            restart: false,
            required,
        };
        application.depends_on.insert(name.to_owned(), need);
    }
    made
}

#[tokio::test]
async fn a_task_that_others_wait_for_runs_once_and_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    engine.exit_at_start("task", 0);
    let deployment = with_task(folder.path());
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    let (plan, observed) = plan_now(&engine, &deployment).await;
    assert_eq!(plan, Plan::default());
    let mut short = observed.shortcomings(&deployment.project);
    short.retain(|(service, _)| service == "task");
    assert_eq!(short, []);
    let work = Work {
        engine: &engine,
        deployment: &deployment,
        reporter: &|_| {},
        interrupt: &Interrupt::never(),
        patience: Duration::from_secs(20),
        program: Path::new("/nonexistent"),
        journal: None,
    };
    work.await_ready(&["task"]).await.unwrap();
}

#[tokio::test]
async fn a_container_that_shares_with_a_new_one_is_made_anew() {
    for (key, value) in [
        ("network_mode", json!("service:redis")),
        ("pid", json!("service:redis")),
        ("volumes_from", json!(["redis:ro"])),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::new(&IMAGES, &[]);
        let mut deployment = deployment(folder.path(), "");
        let mut aside = deployment.project.services["redis"].clone();
        (aside.container_name, aside.networks) = (None, BTreeMap::new());
        aside.rest.insert(key.to_owned(), value);
        let need = Dependency {
            condition: Condition::Started,
            restart: true,
            required: true,
        };
        aside.depends_on.insert("redis".to_owned(), need);
        deployment
            .project
            .services
            .insert("aside".to_owned(), aside);
        let (plan, _) = plan_now(&engine, &deployment).await;
        apply(&engine, &deployment, &plan).await.unwrap();
        assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
        let redis = deployment.project.services.get_mut("redis").unwrap();
        redis.hostname = Some("other".to_owned());
        let (plan, _) = plan_now(&engine, &deployment).await;
        let titles = titles(&plan);
        let made = "create container `overleaf-aside-1`".to_owned();
        assert!(titles.contains(&made), "{key}: {titles:?}");
        apply(&engine, &deployment, &plan).await.unwrap();
        assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
    }
}

#[tokio::test]
async fn a_task_that_fails_is_named_and_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    engine.exit_at_start("task", 3);
    let deployment = with_task(folder.path());
    let (plan, _) = plan_now(&engine, &deployment).await;
    let error = apply(&engine, &deployment, &plan).await.unwrap_err();
    assert!(
        error.to_string().contains("`task` ended with exit code 3"),
        "{error}"
    );
    let (plan, _) = plan_now(&engine, &deployment).await;
    assert!(
        titles(&plan).contains(&"start container `overleaf-task-1`".to_owned()),
        "{:?}",
        titles(&plan)
    );
}

/// The engine goes on with a request whose sender was killed: the next run may have seen no network
/// and made a second one.
#[tokio::test]
async fn a_second_network_of_an_interrupted_run_goes() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    let network = &deployment.project.networks["default"];
    let labels = BTreeMap::from([(labels::PROJECT.to_owned(), "overleaf".to_owned())]);
    engine.create_network(network, &labels).await.unwrap();
    let (plan, observed) = plan_now(&engine, &deployment).await;
    assert_eq!(titles(&plan), ["remove network `overleaf_default`"]);
    assert_eq!(in_the_way(&deployment, &observed), Vec::<String>::new());
    apply(&engine, &deployment, &plan).await.unwrap();
    let kept = engine.networks(&network.name).await.unwrap();
    assert!(
        observed
            .containers
            .iter()
            .all(|found| found.network_ids.contains(&kept[0].id))
    );
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
}

/// Likewise a container: the name is taken then, by just what was wanted.
#[tokio::test]
async fn a_container_that_came_meanwhile_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    apply(&engine, &deployment, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
    let other = self::deployment(folder.path(), "REDIS_AOF_PERSISTENCE=true\n");
    let error = apply(&engine, &other, &plan).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot create container `redis`");
}

#[tokio::test]
async fn a_newer_image_under_the_same_name_is_deployed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    engine.replace_image("redis:7.4");
    let (plan, _) = plan_now(&engine, &deployment).await;
    assert_eq!(
        plan.steps[0].cause,
        "image redis:7.4: redis:7.4 → redis:7.4-ne"
    );
    assert!(
        plan.steps
            .iter()
            .all(|step| step.action.service() == Some("redis"))
    );
    apply(&engine, &deployment, &plan).await.unwrap();
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
}

/// The first steps of a plan and the others, as two plans.
fn split(plan: &Plan, cut: usize) -> (Plan, Plan) {
    let (before, after) = plan.steps.split_at(cut);
    let mut after = after.to_vec();
    for step in &mut after {
        let later = step.needs.iter().filter(|need| **need >= cut);
        step.needs = later.map(|need| need - cut).collect();
    }
    let before = before.to_vec();
    (Plan { steps: before }, Plan { steps: after })
}

/// The second network may come after the snapshot, and even after the container was made.
#[tokio::test]
async fn a_second_network_that_comes_late_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path(), "");
    let network = &deployment.project.networks["default"];
    let labels = BTreeMap::from([(labels::PROJECT.to_owned(), "overleaf".to_owned())]);
    let (first, all) = {
        let engine = MemoryEngine::new(&IMAGES, &[]);
        let (plan, _) = plan_now(&engine, &deployment).await;
        let start = plan
            .steps
            .iter()
            .position(|step| step.action.id() == "start-container");
        (start.unwrap(), plan)
    };
    for cut in [first - 1, first, first + 1] {
        let engine = MemoryEngine::new(&IMAGES, &[]);
        let (before, after) = split(&all, cut);
        apply(&engine, &deployment, &before).await.unwrap();
        engine.create_network(network, &labels).await.unwrap();
        apply(&engine, &deployment, &after).await.unwrap();
        assert_eq!(
            engine.networks(&network.name).await.unwrap().len(),
            1,
            "cut at {cut}"
        );
        assert_eq!(
            plan_now(&engine, &deployment).await.0,
            Plan::default(),
            "cut at {cut}"
        );
    }
}

#[tokio::test]
async fn a_change_by_hand_is_named_and_undone() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    for (key, value, expected) in [
        ("restart", json!("no"), "restart: no → always"),
        ("mem_limit", json!(1024), "mem_limit: 1024 → unset"),
        ("privileged", json!(true), "privileged: true → unset"),
    ] {
        engine.change_by_hand("redis", &|made| {
            made.0.insert(key.to_owned(), value.clone());
        });
        let (plan, _) = plan_now(&engine, &deployment).await;
        assert_eq!(plan.steps[0].cause, expected);
        apply(&engine, &deployment, &plan).await.unwrap();
        assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
    }
    // What the engine fills in by itself is nobody's change.
    engine.change_by_hand("redis", &|made| {
        made.0.insert("runtime".to_owned(), json!("crun"));
        made.0.insert("shm_size".to_owned(), json!(1));
    });
    assert_eq!(plan_now(&engine, &deployment).await.0, Plan::default());
}

#[tokio::test]
async fn a_secret_that_changes_is_a_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let engine = MemoryEngine::new(&IMAGES, &[]);
    let mut deployment = deployment(folder.path(), "");
    let (plan, _) = plan_now(&engine, &deployment).await;
    apply(&engine, &deployment, &plan).await.unwrap();
    let mut causes = Vec::new();
    for value in ["sesame-one", "sesame-two", "sesame-one"] {
        let service = deployment.project.services.get_mut("sharelatex").unwrap();
        let variables = &mut service.environment.0;
        variables.insert("MY_TOKEN".to_owned(), Some(value.to_owned()));
        let url = format!("see redis://:{value}@cache and {value}");
        variables.insert("NOTE".to_owned(), Some(url));
        let (plan, _) = plan_now(&engine, &deployment).await;
        causes.push(plan.steps[0].cause.clone());
    }
    assert_eq!(causes[0], causes[2]);
    assert_ne!(causes[0], causes[1]);
    for cause in &causes {
        assert!(cause.contains("environment MY_TOKEN: unset → #"), "{cause}");
        assert!(
            cause.contains("environment NOTE: unset → \"see redis://"),
            "{cause}"
        );
        assert!(!cause.contains("sesame"), "{cause}");
    }
}
