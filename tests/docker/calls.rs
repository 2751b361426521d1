//! How often the engine is asked: no more than in step with the number of services.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use toolkit::bundled;
use toolkit::engine::Engine;
use toolkit::engine::docker::DockerEngine;
use toolkit::observed::Container;

use super::instance::{Instance, engine};
use super::raw::{self, Removed};

/// A socket in front of the engine's that counts the requests.
pub struct Counter {
    socket: PathBuf,
    requests: Arc<AtomicUsize>,
}

impl Counter {
    pub fn new(folder: &Path) -> Self {
        let socket = folder.join("counted.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(engine) = UnixStream::connect(raw::socket()) else {
                    return;
                };
                let answers = (engine.try_clone().unwrap(), client.try_clone().unwrap());
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || {
                    copy(client, engine, &|bytes| {
                        counted.fetch_add(requests_in(bytes), Ordering::SeqCst);
                    });
                });
                std::thread::spawn(move || copy(answers.0, answers.1, &|_| {}));
            }
        });
        Self { socket, requests }
    }

    /// How many requests a command sends.
    pub fn of(&self, instance: &Instance, arguments: &[&str]) -> usize {
        let before = self.requests.load(Ordering::SeqCst);
        let endpoint = format!("unix://{}", self.socket.display());
        let output = instance
            .sandbox
            .command(arguments)
            .env("DOCKER_HOST", endpoint)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        self.requests.load(Ordering::SeqCst) - before
    }
}

/// Request lines; none of the bodies that this program sends holds such a line.
fn requests_in(bytes: &[u8]) -> usize {
    let line = b" HTTP/1.1\r\n";
    bytes
        .windows(line.len())
        .filter(|part| part == line)
        .count()
}

fn copy(mut from: UnixStream, mut to: UnixStream, look: &dyn Fn(&[u8])) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        look(&bytes[..read]);
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    // One side has ended; the other may still have something to say, or be gone already.
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn the_engine_is_asked_in_step_with_the_number_of_services() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up", "-d"]).succeeded();
    instance.run(&["down"]).succeeded();
    let folder = tempfile::tempdir().unwrap();
    let counter = Counter::new(folder.path());
    let image = format!("toolkit-bundled/redis:{}", bundled::TAG);
    let mut made = Vec::new();
    let mut idle = Vec::new();
    for size in [2_usize, 4, 8] {
        let names: Vec<String> = (1..=size).map(|number| format!("s{number}")).collect();
        let services: String = names
            .iter()
            .map(|name| format!("  {name}: {{image: '{image}'}}\n"))
            .collect();
        let text = format!("services:\n{services}");
        instance
            .sandbox
            .write("config/docker-compose.override.yml", &text);
        let mut arguments = vec!["up", "-d"];
        arguments.extend(names.iter().map(String::as_str));
        made.push(counter.of(&instance, &arguments));
        idle.push(counter.of(&instance, &arguments));
        instance.run(&["down"]).succeeded();
    }
    println!("requests for 2, 4 and 8 services: up {made:?}, nothing to do {idle:?}");
    // What is not there yet is asked about as long as there is no list: 2, 4 and 8 times at the most, of
    // which the first count twice below.
    for (what, counts, early) in [("up", &made, 12), ("nothing to do", &idle, 0)] {
        let (first, second) = (counts[1] - counts[0], counts[2] - counts[1]);
        // Two services more, then four: twice as many requests more, but for one late look.
        assert!(second <= 2 * first + 2 + early, "{what}: {counts:?}");
    }
    assert!(idle[2] < made[2], "{idle:?} {made:?}");
}

/// Containers are looked at under their likely names before the engine has listed them. What is wrong about
/// the names changes nothing of the answer.
#[test]
fn likely_names_do_not_change_what_there_is() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up", "-d"]).succeeded();
    let (runtime, engine) = engine().unwrap();
    let found = |likely: &[String]| {
        let found = engine.containers_and_stand_ins(&instance.project, likely);
        let found = runtime.block_on(found).unwrap().into_iter();
        found
            .map(|found| (found.id, found.name))
            .collect::<Vec<_>>()
    };
    let all = found(&[]);
    assert!(all.len() > 1, "{all:?}");
    let mut names: Vec<String> = all.iter().map(|(_, name)| name.clone()).collect();
    assert_eq!(found(&names), all);
    // One that is missing, one of somebody else, and one that is another one's id.
    let other = format!("{}-other-1", instance.project);
    let _removed = Removed(format!("/containers/{other}?force=true&v=true"));
    let image = format!("toolkit-bundled/redis:{}", bundled::TAG);
    let body = serde_json::json!({ "Image": image }).to_string();
    raw::order("POST", &format!("/containers/create?name={other}"), &body);
    names.remove(0);
    names.extend([format!("{}-none-1", instance.project), other]);
    names.push(all[1].0[..12].to_owned());
    assert_eq!(found(&names), all);
}

/// A run asks for the containers while it reads its configuration. What it or somebody else changes before it
/// looks is seen all the same.
#[test]
fn a_change_makes_worthless_what_was_asked_ahead() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let redis = instance.containers();
    let redis = redis.into_iter().find(|found| found.service == "redis");
    let redis = redis.unwrap();
    // Each connection asks ahead once.
    let changed = |change: fn(&DockerEngine, &Container, &tokio::runtime::Runtime)| {
        let (runtime, engine) = engine().unwrap();
        let _inside = runtime.enter();
        engine.ask_ahead(&instance.project);
        change(&engine, &redis, &runtime);
        let found = engine.containers_and_stand_ins(&instance.project, &[]);
        let found = runtime.block_on(found).unwrap().into_iter();
        let mut found = found.filter(|found| found.id == redis.id);
        found.next().unwrap().state.is_running()
    };
    assert!(!changed(|engine, redis, runtime| {
        let stopped = engine.stop(&redis.name, Duration::ZERO);
        runtime.block_on(stopped).unwrap();
    }));
    assert!(changed(|engine, redis, _| {
        raw::order("POST", &format!("/containers/{}/start", redis.id), "");
        engine.look_again();
    }));
}
