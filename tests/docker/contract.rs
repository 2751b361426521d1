//! What every engine promises, asked of the real one and of the one in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use toolkit::bundled;
use toolkit::compose::{Environment, Mount, MountSource, Network, Service, Values, Volume};
use toolkit::engine;
use toolkit::engine::memory::MemoryEngine;
use toolkit::engine::{ContainerRequest, Derivation, Engine, EngineError, NetworkPlace, PutFile};
use toolkit::labels;
use toolkit::observed::ContainerState;
use toolkit::secret::Secret;

use super::instance::{Remover, engine as real_engine, unique_name};
use crate::sandbox::PROGRAM;

/// Ends a container's process without warning, through the engine's own socket.
pub fn kill(id: &str) {
    let socket = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = socket
        .strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock")
        .to_owned();
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    write!(
        stream,
        "POST /containers/{id}/kill HTTP/1.0\r\nHost: engine\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 204 "), "{answer}");
}

/// The promises. `image` is one that the engine has after `load`.
async fn check(engine: &impl Engine, project: &str, image: &str) {
    let facts = engine.facts().await.unwrap();
    assert_eq!(facts.operating_system, "linux");
    assert!(facts.api >= (1, 41));

    // An archive brings its images; an unknown reference is none, not an error.
    assert_eq!(engine.image("toolkit-test/none:1").await.unwrap(), None);
    let images = vec![("redis".to_owned(), image.to_owned())];
    engine
        .load(bundled::archive(PROGRAM.as_ref(), &images).unwrap())
        .await
        .unwrap();
    assert!(!engine.image(image).await.unwrap().unwrap().id.is_empty());

    // Networks are found by their exact name.
    let name = format!("{project}_default");
    let network = Network {
        name: name.clone(),
        ..Network::default()
    };
    let label = BTreeMap::from([(labels::PROJECT.to_owned(), project.to_owned())]);
    let id = engine.create_network(&network, &label).await.unwrap();
    let found = engine.networks(&name).await.unwrap();
    assert_eq!((found.len(), &found[0].id), (1, &id));
    assert_eq!(found[0].labels[labels::PROJECT], project);
    assert_eq!(engine.networks(project).await.unwrap(), []);

    // A named volume is made once and keeps its labels; a missing one is none.
    let volume = Volume {
        name: format!("{project}_data"),
        ..Volume::default()
    };
    assert_eq!(engine.volume(&volume.name).await.unwrap(), None);
    engine.create_volume(&volume, &label).await.unwrap();
    engine.create_volume(&volume, &label).await.unwrap();
    let found = engine.volume(&volume.name).await.unwrap().unwrap();
    assert_eq!(
        (&found.name, found.driver.as_str()),
        (&volume.name, "local")
    );
    assert_eq!(found.labels[labels::PROJECT], project);

    // A container is created once under its name, and not started by that.
    let service = Service {
        image: image.to_owned(),
        environment: Environment(BTreeMap::from([(
            "COLOUR".to_owned(),
            Some("blue".to_owned()),
        )])),
        command: Some(vec![
            "redis-server".to_owned(),
            "--dir".to_owned(),
            "/tmp".to_owned(),
        ]),
        ..Service::default()
    };
    let container = format!("{project}-redis-1");
    let place = NetworkPlace {
        name,
        id: id.clone(),
        aliases: vec!["redis".to_owned()],
        links: Vec::new(),
        settings: Values::new(),
    };
    let mut all = label.clone();
    all.insert(labels::SERVICE.to_owned(), "redis".to_owned());
    let request = ContainerRequest {
        networks: vec![place],
        labels: all,
        put: vec![PutFile {
            target: "/run/secrets/token".to_owned(),
            content: Secret::new("s3same"),
            mode: 0o400,
            owner: (0, 0),
        }],
        ..ContainerRequest::new(&container, "redis", &service)
    };
    engine.create_container(&request).await.unwrap();
    let again = engine.create_container(&request).await;
    assert!(
        matches!(again, Err(EngineError::NameTaken { .. })),
        "{again:?}"
    );
    let observed = engine.container(&container).await.unwrap().unwrap();
    assert_eq!(observed.state, ContainerState::Created);
    assert_eq!(observed.environment.0["COLOUR"], "blue");
    assert_eq!(
        (observed.project.as_str(), observed.service.as_str()),
        (project, "redis")
    );
    // It shows what was asked for, and its files can be read before it starts.
    let wanted = engine::wanted(&request).0;
    for key in ["command", "environment", "restart"] {
        let shown = observed.made.0.get(key);
        let (wanted, shown) = (wanted.get(key).cloned(), shown.cloned());
        if key == "environment" {
            assert_eq!(shown.unwrap()["COLOUR"], wanted.unwrap()["COLOUR"]);
        } else {
            assert_eq!(shown, wanted, "{key}");
        }
    }
    let token = engine.file(&container, "/run/secrets/token").await.unwrap();
    assert_eq!(token.unwrap(), b"s3same");
    let nothing = engine.file(&container, "/run/secrets/none").await.unwrap();
    assert_eq!(nothing, None);
    let listed = engine.project_containers(project).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        engine
            .project_containers("toolkit-test-none")
            .await
            .unwrap(),
        []
    );
    assert_eq!(engine.container("toolkit-test-none").await.unwrap(), None);

    // Start and stop may be repeated; a running container cannot be removed.
    engine.start(&container).await.unwrap();
    engine.start(&container).await.unwrap();
    let observed = engine.container(&container).await.unwrap().unwrap();
    assert_eq!(observed.state, ContainerState::Running);
    assert!(observed.address().is_some());
    assert!(engine.remove(&container).await.is_err());
    // A process that has not come as far as its first line does not hear a signal yet.
    while engine.log_tail(&container, 1).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    engine
        .stop(&container, Duration::from_secs(10))
        .await
        .unwrap();
    engine
        .stop(&container, Duration::from_secs(10))
        .await
        .unwrap();
    let observed = engine.container(&container).await.unwrap().unwrap();
    assert_eq!(observed.state, ContainerState::Exited { exit_code: 0 });
    engine.remove(&container).await.unwrap();
    engine.remove(&container).await.unwrap();
    assert_eq!(engine.container(&container).await.unwrap(), None);
    engine.remove_network(&id).await.unwrap();
    engine.remove_network(&id).await.unwrap();

    // An anonymous volume outlives its container, and the next one takes it over.
    let mut service = service.clone();
    service.volumes = vec![Mount {
        source: MountSource::Volume(None),
        target: "/cache".to_owned(),
        read_only: false,
        rest: Values::new(),
    }];
    let mut request = ContainerRequest {
        service: &service,
        networks: Vec::new(),
        ..request
    };
    engine.create_container(&request).await.unwrap();
    let first = engine.container(&container).await.unwrap().unwrap();
    assert_eq!(first.anonymous.keys().collect::<Vec<_>>(), ["/cache"]);
    engine.remove(&container).await.unwrap();
    let name = &first.anonymous["/cache"];
    assert!(engine.volume(name).await.unwrap().is_some());
    engine::request::inherit(&mut request, None, &first.anonymous);
    engine.create_container(&request).await.unwrap();
    let second = engine.container(&container).await.unwrap().unwrap();
    assert_eq!(second.anonymous, first.anonymous);
    let shown = second.made.0.get("volumes");
    assert_eq!(shown, engine::wanted(&request).0.get("volumes"));
    assert_eq!(shown, first.made.0.get("volumes"));

    // What does not exist cannot be created from or started.
    let nothing = Service {
        image: "toolkit-test/none:1".to_owned(),
        ..Service::default()
    };
    let request = ContainerRequest {
        service: &nothing,
        networks: Vec::new(),
        ..request
    };
    let missing = engine.create_container(&request).await;
    assert!(
        matches!(missing, Err(EngineError::Missing { .. })),
        "{missing:?}"
    );
    assert!(engine.start("toolkit-test-none").await.is_err());

    // An image is made of another one, as often as it is asked for.
    let derivation = Derivation {
        reference: derived(project),
        base: image.to_owned(),
        uses_cache: true,
        ..Derivation::default()
    };
    for _ in ["first", "again"] {
        engine.derive_image(&derivation, &|_| {}).await.unwrap();
        let made = engine.image(&derivation.reference).await.unwrap();
        assert!(!made.unwrap().id.is_empty());
    }

    // Paths that an image does not have are none, not an error; an image that is not there is one.
    let nowhere = ["/nowhere".to_owned()];
    let found = engine.paths_in_image(image, &nowhere).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
    let missing = engine.paths_in_image("toolkit-test/none:1", &nowhere).await;
    assert!(
        matches!(missing, Err(EngineError::Missing { .. })),
        "{missing:?}"
    );
}

/// The image that is made of another one.
fn derived(project: &str) -> String {
    format!("{project}-derived:1")
}

#[tokio::test]
async fn the_engine_in_memory_keeps_the_contract() {
    let engine = MemoryEngine::new(&[], &[]);
    check(&engine, "toolkit-test-memory", "toolkit-test/redis:1").await;
}

#[test]
fn the_real_engine_keeps_the_contract() {
    let Some((runtime, engine)) = real_engine() else {
        return;
    };
    let project = unique_name();
    // A name of its own: another test may run on the images that have the usual one.
    let image = format!("{project}-redis:1");
    let _image = super::raw::Removed(format!("/images/{image}"));
    let _derived = super::raw::Removed(format!("/images/{}", derived(&project)));
    let _remover = Remover {
        runtime: &runtime,
        engine: &engine,
        project: &project,
    };
    let _volume = super::raw::Removed(format!("/volumes/{project}_data"));
    let outcome = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), check(&engine, &project, &image)).await
    });
    outcome.unwrap();
}
