//! An instance on the real engine with a project name, container names, network and port of its
//! own, removed with everything it made when it goes out of scope.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use toolkit::engine::Engine;
use toolkit::engine::docker::DockerEngine;
use toolkit::observed::Container;

use super::raw;
use crate::sandbox::{Ran, Sandbox};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A project name that no other test uses, on this machine and at this time.
pub fn unique_name() -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("toolkit-test-{}-{number}", std::process::id())
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The engine; a test that needs one fails without it where `TOOLKIT_TEST_DOCKER=1` is set.
pub fn engine() -> Option<(tokio::runtime::Runtime, DockerEngine)> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = std::env::var("DOCKER_HOST").ok();
    match runtime.block_on(DockerEngine::connect(host.as_deref())) {
        Ok(engine) => Some((runtime, engine)),
        Err(error) => {
            let is_required = std::env::var("TOOLKIT_TEST_DOCKER").as_deref() == Ok("1");
            assert!(!is_required, "TOOLKIT_TEST_DOCKER=1 and no engine: {error}");
            None
        }
    }
}

/// An instance.
pub struct Instance {
    pub sandbox: Sandbox,
    pub project: String,
    pub port: u16,
    pub engine: DockerEngine,
    pub runtime: tokio::runtime::Runtime,
    volumes: Mutex<BTreeSet<String>>,
}

impl Instance {
    /// A new one with the bundled servers; `None` where there is no engine and none is required.
    pub fn new(flags: &[&str]) -> Option<Self> {
        let (runtime, engine) = engine()?;
        let (project, port) = (unique_name(), free_port());
        let port_text = port.to_string();
        let own = [
            "--project-name",
            &project,
            "--port",
            &port_text,
            "--bundled",
        ];
        let sandbox = Sandbox::initialised(&[&own[..], flags].concat());
        Some(Self {
            sandbox,
            project,
            port,
            engine,
            runtime,
            volumes: Mutex::default(),
        })
    }

    /// Runs the program on it.
    #[must_use = "a run means nothing until its exit code is compared"]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.note_volumes();
        self.sandbox.run(arguments)
    }

    /// Remembers the anonymous volumes that there are now: no removal of a container deletes them.
    pub fn note_volumes(&self) {
        let found = self.containers().into_iter();
        let found = found.flat_map(|container| container.anonymous.into_values());
        self.volumes.lock().unwrap().extend(found);
    }

    /// Its containers.
    pub fn containers(&self) -> Vec<Container> {
        self.runtime
            .block_on(self.engine.project_containers(&self.project))
            .unwrap()
    }

    /// Names and ids of its containers.
    pub fn ids(&self) -> Vec<(String, String)> {
        self.containers()
            .into_iter()
            .map(|found| (found.service, found.id))
            .collect()
    }

    /// The image that the definition of a service names.
    pub fn image_of(&self, service: &str) -> String {
        let model = self.run(&["compose", "config", "--format", "json"]);
        let model: serde_json::Value = serde_json::from_str(&model.succeeded().stdout).unwrap();
        let image = model["services"][service]["image"].as_str().unwrap();
        image.to_owned()
    }

    /// How many steps a plan has now.
    pub fn planned(&self) -> usize {
        let ran = self.run(&["plan", "--format", "json"]).succeeded();
        let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        plan["data"]["steps"].as_array().unwrap().len()
    }

    /// The steps of a plan made now, each with its cause; empty when nothing is to do.
    pub fn plan(&self) -> String {
        let ran = self.run(&["plan", "--format", "json"]).succeeded();
        let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let steps = plan["data"]["steps"].as_array().unwrap().iter();
        steps
            .map(|step| format!("{step}\n").replace("\\\"", "\""))
            .collect()
    }

    /// Sends an HTTP request to the site.
    pub fn http(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        http(self.port, method, path, body)
    }

    /// Puts a document into the application.
    pub fn put(&self, text: &str) {
        let (status, answer) = self.http("PUT", DOCUMENT, text);
        assert_eq!(status, 200, "{answer}");
    }

    /// Gets the document back.
    pub fn document(&self) -> String {
        let (status, answer) = self.http("GET", DOCUMENT, "");
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

/// A document of the application that the bundled servers stand in for.
const DOCUMENT: &str = "/project/aaaaaaaaaaaaaaaaaaaaaaaa/doc/bbbbbbbbbbbbbbbbbbbbbbbb";

/// One HTTP/1.0 request to a port of this machine.
pub fn http(port: u16, method: &str, path: &str, body: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

impl Drop for Instance {
    fn drop(&mut self) {
        remove_project(&self.runtime, &self.engine, &self.project);
        if let Ok(volumes) = self.volumes.lock() {
            remove_volumes(volumes.iter());
        }
    }
}

/// Removes a project when it goes out of scope, also by a failing assertion.
pub struct Remover<'a> {
    pub runtime: &'a tokio::runtime::Runtime,
    pub engine: &'a DockerEngine,
    pub project: &'a str,
}

impl Drop for Remover<'_> {
    fn drop(&mut self) {
        remove_project(self.runtime, self.engine, self.project);
    }
}

/// Removes all containers and networks of a project.
fn remove_project(runtime: &tokio::runtime::Runtime, engine: &DockerEngine, project: &str) {
    runtime.block_on(async {
        // Clean-up goes on whatever fails; what cannot be removed shows in the next listing.
        for container in engine.project_containers(project).await.unwrap_or_default() {
            let _ = engine.stop(&container.id, Duration::from_secs(1)).await;
            let _ = engine.remove(&container.id).await;
            remove_volumes(container.anonymous.values());
        }
        for key in ["default", "aside"] {
            let found = engine.networks(&format!("{project}_{key}")).await;
            for network in found.unwrap_or_default() {
                let _ = engine.remove_network(&network.id).await;
            }
        }
    });
}

/// Removes anonymous volumes; one that somebody still uses stays.
fn remove_volumes<'a>(names: impl Iterator<Item = &'a String>) {
    for name in names {
        let _ = raw::request(&raw::socket(), "DELETE", &format!("/volumes/{name}"), b"");
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, signal: &str) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}
