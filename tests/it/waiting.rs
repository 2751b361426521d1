//! Waiting for services on the engine in memory: what is told, what gets lost, what never comes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use toolkit::apply::waiting::{FailureKind, ServiceFailure};
use toolkit::apply::{ApplyError, Work};
use toolkit::compose::load;
use toolkit::compose::{Attachment, Network, Project, Service};
use toolkit::deployment::{Deployment, Probe};
use toolkit::engine::memory::MemoryEngine;
use toolkit::engine::{ContainerRequest, Engine, EngineEventKind};
use toolkit::event::Event;
use toolkit::host::interrupt::Interrupt;
use toolkit::labels;
use toolkit::observe;
use toolkit::observed::Health;
use toolkit::observed::lack::Phase;
use toolkit::plan::{self, UpRequest};

use crate::sandbox::bare;
use crate::servers_redis::{self, Running};

const IMAGE: &str = "mongo:8.0";

/// A deployment of one service that the engine starts again whenever it ends.
fn deployment() -> Deployment {
    let service = Service {
        image: IMAGE.to_owned(),
        restart: Some("always".to_owned()),
        container_name: Some("mongo".to_owned()),
        networks: BTreeMap::from([("default".to_owned(), Attachment::default())]),
        healthcheck: Some(toolkit::compose::Healthcheck::default()),
        ..Service::default()
    };
    let project = Project {
        name: "waiting".to_owned(),
        services: BTreeMap::from([("mongo".to_owned(), service)]),
        networks: BTreeMap::from([("default".to_owned(), Network::default())]),
        ..Project::default()
    };
    bare("/nonexistent", project)
}

/// An engine on which the container runs and its first health check is due.
async fn engine(deployment: &Deployment) -> MemoryEngine {
    let engine = MemoryEngine::new(&[IMAGE], &[]);
    begin(&engine, deployment, "mongo").await;
    engine.set_health("mongo", Health::Starting);
    engine
}

/// Makes the container of a service, which has its name, and starts it.
async fn begin(engine: &MemoryEngine, deployment: &Deployment, service: &str) {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let request = ContainerRequest {
        labels: BTreeMap::from([
            label(labels::PROJECT, "waiting"),
            label(labels::SERVICE, service),
        ]),
        ..ContainerRequest::new(service, service, &deployment.project.services[service])
    };
    engine.create_container(&request).await.unwrap();
    engine.start(service).await.unwrap();
}

/// Waits for the service while `story` happens, which begins when somebody listens.
async fn wait(
    engine: &MemoryEngine,
    deployment: &Deployment,
    patience: u64,
    story: impl Future<Output = ()>,
) -> Result<(), ServiceFailure> {
    let work = Work {
        engine,
        deployment,
        reporter: &|_| {},
        interrupt: &Interrupt::never(),
        patience: Duration::from_secs(patience),
        program: Path::new("/nonexistent"),
        journal: None,
    };
    let told = async {
        listened(engine).await;
        story.await;
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = work.await_ready(&["mongo"]) => outcome,
        () = told => unreachable!("it waits for ever"),
    };
    match outcome {
        Ok(_) => Ok(()),
        Err(ApplyError::Service(failure)) => Err(*failure),
        Err(other) => unreachable!("{other:?}"),
    }
}

async fn listened(engine: &MemoryEngine) {
    while engine.listeners() == 0 {
        tokio::task::yield_now().await;
    }
}

/// The container dies and is started again.
fn die(engine: &MemoryEngine, exit_code: i64) {
    engine.happen("mongo", EngineEventKind::Died { exit_code });
    engine.happen("mongo", EngineEventKind::Started);
}

#[tokio::test]
async fn the_second_death_ends_the_wait_and_the_first_code_explains_it() {
    let deployment = deployment();
    let engine = engine(&deployment).await;
    let failure = wait(&engine, &deployment, 600, async {
        die(&engine, 132);
        tokio::task::yield_now().await;
        die(&engine, 1);
    });
    let failure = failure.await.unwrap_err();
    let expected = FailureKind::Looping {
        exit_code: Some(132),
        restarts: 2,
    };
    assert_eq!(failure.kind, expected);
    assert_eq!(failure.diagnosis.unwrap().id, "MONGO_NO_AVX");
}

/// A deployment whose service depends on a store that is asked at a port of this machine.
fn with_store(port: u16) -> Deployment {
    let mut deployment = deployment();
    let store = Service {
        image: IMAGE.to_owned(),
        container_name: Some("store".to_owned()),
        ..Service::default()
    };
    let services = &mut deployment.project.services;
    services.insert("store".to_owned(), store);
    let needs = load::project(
        "services: {mongo: {image: i, depends_on: [store]}, store: {image: i}}",
        "p",
    );
    let needs = needs.unwrap().services["mongo"].depends_on.clone();
    services.get_mut("mongo").unwrap().depends_on = needs;
    let password = None;
    let probe = Probe::Redis { port, password };
    deployment.probes.insert("store".to_owned(), probe);
    deployment
}

/// As a deployment's application that finds its Redis not listening yet: the engine starts it again until it
/// does.
#[tokio::test]
async fn deaths_are_forgiven_while_a_store_is_only_just_started() {
    let deployment = with_store(1);
    let engine = engine(&deployment).await;
    begin(&engine, &deployment, "store").await;
    let outcome = wait(&engine, &deployment, 600, async {
        for _ in 0..2 {
            die(&engine, 1);
            tokio::task::yield_now().await;
        }
        engine.happen("mongo", EngineEventKind::Health(Health::Healthy));
    });
    outcome.await.unwrap();
}

/// It may have begun to answer after the service had ended, which is known of no store.
#[tokio::test]
async fn one_more_death_is_forgiven_beside_a_store_that_was_just_started_and_answers() {
    for (deaths, is_forgiven) in [(2, true), (3, false)] {
        let folder = tempfile::tempdir().unwrap();
        let store = Running::start(servers_redis::options(folder.path(), false)).await;
        let deployment = with_store(store.address.port());
        let engine = engine(&deployment).await;
        begin(&engine, &deployment, "store").await;
        let outcome = wait(&engine, &deployment, 600, async {
            for _ in 0..deaths {
                die(&engine, 1);
                tokio::task::yield_now().await;
            }
            // Seen first, it would end the wait before the last death does.
            if is_forgiven {
                engine.happen("mongo", EngineEventKind::Health(Health::Healthy));
            }
        });
        let outcome = outcome.await;
        assert_eq!(outcome.is_ok(), is_forgiven, "{deaths}: {outcome:?}");
    }
}

#[tokio::test]
async fn one_death_is_forgiven() {
    let deployment = deployment();
    let engine = engine(&deployment).await;
    let outcome = wait(&engine, &deployment, 600, async {
        die(&engine, 1);
        engine.happen("mongo", EngineEventKind::Health(Health::Healthy));
    });
    outcome.await.unwrap();
}

#[tokio::test]
async fn memory_that_ran_out_is_told_from_a_kill() {
    for (is_told, expected) in [(true, "MONGO_OUT_OF_MEMORY"), (false, "MONGO_KILLED")] {
        let deployment = deployment();
        let engine = engine(&deployment).await;
        let failure = wait(&engine, &deployment, 600, async {
            if is_told {
                engine.happen("mongo", EngineEventKind::OutOfMemory);
            }
            die(&engine, 137);
            die(&engine, 137);
        });
        let failure = failure.await.unwrap_err();
        assert_eq!(failure.diagnosis.unwrap().id, expected);
    }
}

#[tokio::test]
async fn a_lost_event_is_made_up_for() {
    let deployment = deployment();
    let engine = engine(&deployment).await;
    engine.mute("mongo");
    let outcome = wait(&engine, &deployment, 600, async {
        engine.happen("mongo", EngineEventKind::Health(Health::Healthy));
    });
    outcome.await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_is_made_again_and_nothing_is_missed() {
    let deployment = deployment();
    let engine = engine(&deployment).await;
    let failure = wait(&engine, &deployment, 600, async {
        die(&engine, 62);
        // The event has been heard when the connection breaks, and is not counted again.
        tokio::task::yield_now().await;
        engine.break_events();
        while engine.listeners() > 0 {
            tokio::task::yield_now().await;
        }
        die(&engine, 62);
        listened(&engine).await;
    });
    let failure = failure.await.unwrap_err();
    assert_eq!(
        failure.diagnosis.unwrap().id,
        "MONGO_EXIT_DATA_INCOMPATIBLE"
    );
}

#[tokio::test]
async fn what_was_missing_at_the_end_is_said_with_the_log_in_words() {
    let deployment = deployment();
    let engine = engine(&deployment).await;
    let error = r#"{"t":{},"s":"E","c":"STORAGE","id":1,"ctx":"main","msg":"WiredTiger error","attr":{"error":13,"message":"mongodb://a:b@c/ denied"}}"#;
    let told = r#"{"t":{},"s":"I","c":"NETWORK","id":2,"ctx":"main","msg":"Listening on"}"#;
    engine.write("mongo", &[error, told, told, told, told, told]);
    let failure = wait(&engine, &deployment, 1, async {}).await.unwrap_err();
    let FailureKind::NotInTime { phase, because, .. } = &failure.kind else {
        panic!("{failure:?}")
    };
    assert_eq!(*phase, Phase::Health);
    assert_eq!(because, "its first health check is due");
    let text = failure.to_string();
    assert_eq!(
        text,
        "`mongo` is not ready after 1 s: its health check does not succeed"
    );
    assert_eq!(failure.log[0], "E STORAGE WiredTiger error: 13");
    assert_eq!(failure.log[1], "I NETWORK Listening on");
}

#[tokio::test]
async fn a_container_without_its_network_is_named() {
    let deployment = deployment();
    let engine = engine(&deployment).await;
    engine.set_health("mongo", Health::Healthy);
    engine.lose_network("mongo");
    let observed = observe::everything(&engine, &deployment).await.unwrap();
    let lost = "it runs without its network";
    assert_eq!(observed.lost_network("mongo"), Some(lost));
    let expected = vec![("mongo".to_owned(), lost.to_owned())];
    assert_eq!(observed.shortcomings(&deployment.project), expected);
    let failure = wait(&engine, &deployment, 1, async {}).await.unwrap_err();
    let FailureKind::NotInTime { phase, because, .. } = &failure.kind else {
        panic!("{failure:?}")
    };
    assert_eq!((*phase, because.as_str()), (Phase::Start, lost));
}

/// Two services, of which the second one waits for the first one and can do without it, or not.
fn with_optional(condition: &str, required: bool) -> Deployment {
    let text = format!(
        "services:
  db: {{image: '{IMAGE}', healthcheck: {{test: 'true'}}}}
  web: {{image: '{IMAGE}', depends_on: {{db: {{condition: {condition}, required: {required}}}}}}}
"
    );
    bare("/nonexistent", load::project(&text, "waiting").unwrap())
}

/// Converges and waits as `up` does; gives what is done without, the warnings, and whether `web` runs.
async fn up(
    engine: &MemoryEngine,
    deployment: &Deployment,
) -> (Result<Vec<String>, ApplyError>, Vec<String>, bool) {
    let warnings = Mutex::new(Vec::new());
    let work = Work {
        engine,
        deployment,
        reporter: &|event| {
            if let Event::Warning { text } = event {
                warnings.lock().unwrap().push(text);
            }
        },
        interrupt: &Interrupt::never(),
        patience: Duration::from_secs(600),
        program: Path::new("/nonexistent"),
        journal: None,
    };
    let observed = observe::everything(engine, deployment).await.unwrap();
    let plan = plan::up(deployment, &observed, &UpRequest::default());
    let outcome = match work.apply(&plan).await {
        Ok(()) => work.await_ready(&["db", "web"]).await,
        Err(error) => Err(error),
    };
    let observed = observe::everything(engine, deployment).await.unwrap();
    let runs = observed.container("web").unwrap().state.is_running();
    (outcome, warnings.into_inner().unwrap(), runs)
}

#[tokio::test]
async fn what_a_service_can_do_without_holds_nothing_up() {
    for condition in ["service_healthy", "service_completed_successfully"] {
        let engine = MemoryEngine::new(&[IMAGE], &[]);
        engine.exit_at_start("db", 3);
        let (outcome, warnings, runs) = up(&engine, &with_optional(condition, false)).await;
        assert_eq!(outcome.unwrap(), ["db"], "{condition}");
        assert!(runs, "{condition}");
        let said = "`db` ended with exit code 3; what depends on it can do without it";
        assert_eq!(
            warnings.first().map(String::as_str),
            Some(said),
            "{condition}"
        );
        let engine = MemoryEngine::new(&[IMAGE], &[]);
        engine.exit_at_start("db", 3);
        let (outcome, warnings, runs) = up(&engine, &with_optional(condition, true)).await;
        assert!(
            matches!(outcome, Err(ApplyError::Service(_))),
            "{condition}"
        );
        assert!(!runs && warnings.is_empty(), "{condition}");
    }
}

#[tokio::test]
async fn a_failing_health_check_of_what_can_be_done_without_is_not_waited_out() {
    let engine = MemoryEngine::new(&[IMAGE], &[]);
    let deployment = with_optional("service_healthy", false);
    up(&engine, &deployment).await.0.unwrap();
    engine.set_health("waiting-db-1", Health::Unhealthy);
    engine.stop("waiting-web-1", Duration::ZERO).await.unwrap();
    let (outcome, warnings, runs) = up(&engine, &deployment).await;
    assert_eq!(outcome.unwrap(), ["db"]);
    assert!(runs);
    let said = "the health check of `db` fails; what depends on it can do without it";
    assert_eq!(warnings, [said, said]);
}

#[tokio::test]
async fn health_without_a_health_check_is_not_waited_for() {
    let engine = MemoryEngine::new(&[IMAGE], &[]);
    let mut deployment = with_optional("service_healthy", true);
    let db = deployment.project.services.get_mut("db").unwrap();
    db.healthcheck = None;
    let (outcome, _, runs) = up(&engine, &deployment).await;
    let Err(ApplyError::Service(failure)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(failure.kind, FailureKind::NoHealthCheck);
    assert!(!runs);
}
