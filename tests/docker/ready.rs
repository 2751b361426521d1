//! Ready means ready: what a real engine tells, an engine behind TCP, and the TLS proxy.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use toolkit::bundled;
use toolkit::compose::Service;
use toolkit::engine::docker::DockerEngine;
use toolkit::engine::memory::MemoryEngine;
use toolkit::engine::{ContainerRequest, Engine, EngineError, EngineEvent, EngineEventKind};
use toolkit::labels;

use super::contract::kill;
use super::instance::{Instance, Remover, engine, free_port, unique_name};
use crate::probe_tls::certificate;
use crate::sandbox::{PROGRAM, Ran};

/// The socket of the engine under test.
fn socket() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let path = host
        .strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock");
    path.to_owned()
}

/// One call of the engine's API, without the adapter under test.
fn call(method: &str, path: &str, kind: &str, body: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket()).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    // An engine that refuses does not read to the end, and says why.
    let _ = stream.write_all(body);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// What `status` says of a service.
fn told(instance: &Instance, service: &str) -> Value {
    let ran = instance.run(&["status", "--format", "json"]).succeeded();
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut services = status["data"]["services"].as_array().unwrap().iter();
    services
        .find(|row| row["service"] == service)
        .unwrap()
        .clone()
}

/// Starts a container, lets it die, and hears of it, also afterwards.
async fn hear(engine: &impl Engine, project: &str, image: &str, die: impl AsyncFnOnce(&str)) {
    let service = Service {
        image: image.to_owned(),
        command: Some(vec!["--dir".to_owned(), "/tmp".to_owned()]),
        ..Service::default()
    };
    let name = format!("{project}-redis-1");
    let request = ContainerRequest {
        labels: BTreeMap::from([(labels::PROJECT.to_owned(), project.to_owned())]),
        ..ContainerRequest::new(&name, "redis", &service)
    };
    engine.create_container(&request).await.unwrap();
    let mut live = engine.events(&name, Some(0));
    let next = async |stream: &mut toolkit::engine::EventStream<'_>| -> EngineEvent {
        stream.next().await.unwrap().unwrap()
    };
    engine.start(&name).await.unwrap();
    let started = next(&mut live).await;
    assert_eq!(started.kind, EngineEventKind::Started);
    assert_eq!(started.container, name);
    let id = engine.container(&name).await.unwrap().unwrap().id;
    die(&id).await;
    let died = EngineEventKind::Died { exit_code: 137 };
    // Its health check may have spoken before.
    let first = loop {
        let event = next(&mut live).await;
        if !matches!(event.kind, EngineEventKind::Health(_)) {
            break event;
        }
    };
    assert_eq!(first.kind, died);
    assert!(first.at > started.at);
    // Whoever comes later and says from when on hears the same.
    let mut late = engine.events(&name, Some(started.at + 1));
    let again = loop {
        let event = next(&mut late).await;
        if event.kind == died {
            break event;
        }
    };
    assert_eq!(again, first);
}

#[test]
fn engines_tell_what_happens_to_a_container() {
    let Some((runtime, engine)) = engine() else {
        return;
    };
    let memory = MemoryEngine::new(&["toolkit-test/redis:1"], &[]);
    let name = "toolkit-test-redis-1";
    let story = hear(
        &memory,
        "toolkit-test",
        "toolkit-test/redis:1",
        async |_| {
            memory.happen(name, EngineEventKind::Died { exit_code: 137 });
        },
    );
    runtime.block_on(story);
    let project = unique_name();
    // A name of its own: containers of other tests are made of what has the usual one. It goes after
    // the container.
    let image = format!("{project}-redis:1");
    let _image = super::raw::Removed(format!("/images/{image}"));
    let _remover = Remover {
        runtime: &runtime,
        engine: &engine,
        project: &project,
    };
    let images = vec![("redis".to_owned(), image.clone())];
    runtime.block_on(async {
        let archive = bundled::archive(PROGRAM.as_ref(), &images).unwrap();
        engine.load(archive).await.unwrap();
        let story = hear(&engine, &project, &image, async |id| kill(id));
        tokio::time::timeout(Duration::from_secs(120), story)
            .await
            .unwrap();
    });
}

/// Passes an engine's socket on at a TCP port, and keeps what clients send.
struct Relay {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || carry(client, &kept));
            }
        });
        Self { port, heard }
    }

    /// How many programs were asked for in containers.
    fn execs(&self) -> usize {
        let heard = self.heard.lock().unwrap();
        let text = String::from_utf8_lossy(&heard);
        text.matches("/exec HTTP/").count()
    }
}

fn carry(client: TcpStream, kept: &Mutex<Vec<u8>>) {
    let engine = UnixStream::connect(socket()).unwrap();
    let (mut from_client, mut to_engine) =
        (client.try_clone().unwrap(), engine.try_clone().unwrap());
    let back = std::thread::spawn(move || {
        let (mut engine, mut client) = (engine, client);
        // A connection that breaks off has ended, too.
        let _ = std::io::copy(&mut engine, &mut client);
        let _ = client.shutdown(Shutdown::Write);
    });
    let mut piece = [0; 1 << 14];
    while let Ok(length @ 1..) = from_client.read(&mut piece) {
        kept.lock().unwrap().extend_from_slice(&piece[..length]);
        if to_engine.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to_engine.shutdown(Shutdown::Write);
    back.join().unwrap();
}

#[test]
fn an_engine_behind_tcp_is_asked_through_itself() {
    let Some(instance) = Instance::new(&["--edition", "pro", "--git-bridge"]) else {
        return;
    };
    let relay = Relay::start();
    let run = |arguments: &[&str]| -> Ran {
        let host = format!("tcp://127.0.0.1:{}", relay.port);
        let mut command = instance.sandbox.command(arguments);
        let output = command.env("DOCKER_HOST", host).output().unwrap();
        instance.sandbox.ran(&output)
    };
    run(&["up"]).succeeded();
    assert!(relay.execs() >= 4, "only {} execs", relay.execs());
    let before = relay.execs();
    let ran = run(&["status", "--format", "json"]).succeeded();
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    for service in status["data"]["services"].as_array().unwrap() {
        assert_eq!(service["ready"], true, "{service}");
    }
    assert!(relay.execs() >= before + 4, "{} execs", relay.execs());
    // What does not listen is said in words, whichever program found out.
    let id = instance.containers()[0].id.clone();
    let endpoint = format!("tcp://127.0.0.1:{}", relay.port);
    let refused = instance.runtime.block_on(async {
        let engine = DockerEngine::connect(Some(&endpoint)).await.unwrap();
        engine.open_stream(&id, 9).await.err()
    });
    let Some(EngineError::Refused { message, .. }) = &refused else {
        unreachable!("{refused:?}")
    };
    assert_eq!(message, "nothing listens at port 9 in the container");
    // The engine's own socket is next to its containers: nothing goes through it.
    let direct = relay.execs();
    instance.run(&["status"]).succeeded();
    assert_eq!(relay.execs(), direct);
    assert_eq!(told(&instance, "sharelatex")["ready"], true);
}

/// The way is made by a stand-in for `ssh` that leads to this machine.
#[test]
fn an_engine_behind_ssh_is_reached() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    // The argument after -L is LOCAL:REMOTE; the way is open as long as the input is.
    let program = "#!/bin/sh
while [ \"$1\" != -L ]; do shift; done
ln -s \"${2#*:}\" \"${2%%:*}\"
shift 3
[ \"$1\" = ssh://me@tex.example.org:2222 ] || { echo \"wrong machine: $1\" >&2; exit 255; }
sh -c \"$2\"
";
    instance.sandbox.write("bin/ssh", program);
    let (folder, temporary) = (instance.sandbox.root(), instance.sandbox.root().join("tmp"));
    std::fs::create_dir(&temporary).unwrap();
    let mut set = Command::new("chmod");
    set.arg("755").arg(folder.join("bin/ssh"));
    assert!(set.status().unwrap().success());
    let run = |host: String| {
        let path = format!("{}:/usr/bin:/bin", folder.join("bin").display());
        let mut command = instance.sandbox.command(&["status", "--format", "json"]);
        command.env("DOCKER_HOST", host).env("PATH", path);
        let output = command.env("TMPDIR", &temporary).output().unwrap();
        instance.sandbox.ran(&output)
    };
    let ran = run(format!("ssh://me@tex.example.org:2222{}", socket())).succeeded();
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(status["data"]["services"][0]["ready"], true, "{status}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);

    let ran = run("ssh://elsewhere".to_owned()).ended_with(8);
    assert!(
        ran.stdout.contains("wrong machine: ssh://elsewhere"),
        "{}",
        ran.stdout
    );
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn a_container_that_lost_its_network_is_named() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let containers = instance.containers();
    let found = containers
        .iter()
        .find(|found| found.service == "sharelatex");
    let body = json!({ "Container": found.unwrap().id, "Force": true }).to_string();
    let path = format!("/networks/{}_default/disconnect", instance.project);
    let answer = call("POST", &path, "application/json", body.as_bytes());
    assert!(answer.contains(" 200 "), "{answer}");
    let said = told(&instance, "sharelatex");
    assert_eq!(said["reason"], "it runs without its network", "{said}");
    assert_eq!(said["ready"], false);
    let ran = instance.run(&["status"]).succeeded();
    assert!(
        ran.stdout.contains(
            "service `sharelatex` does not do its work: it runs without its network; `toolkit up` mends it"
        ),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_restart_loop_is_recognised_long_before_the_deadline() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let variables = instance.sandbox.read("config/variables.env");
    instance.sandbox.write(
        "config/variables.env",
        &format!("{variables}TOOLKIT_BUNDLED_FAULT=exit-at-start:132\n"),
    );
    // The exit code tells it from a deadline that has passed.
    let ran = instance.run(&["up", "--timeout", "1h"]).ended_with(1);
    for expected in [
        "error[SERVICE_FAILED]: `sharelatex` ends again and again: exit code 132 (ended by SIGILL",
        "uses an instruction that this processor lacks",
    ] {
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    // What failed is not done: it is shown, and `resume` asks for it again.
    let shown = instance.run(&["status"]).succeeded().stdout;
    assert!(shown.contains(" failed, "), "{shown}");
    let ran = instance.run(&["resume"]).ended_with(1);
    assert!(ran.stderr.contains("again: "), "{}", ran.stderr);
    instance.sandbox.write("config/variables.env", &variables);
    instance.run(&["resume"]).succeeded();
    let shown = instance.run(&["status"]).succeeded().stdout;
    assert!(shown.contains("none is unfinished"), "{shown}");
    let ran = instance.run(&["resume"]).succeeded();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
}

#[test]
fn a_restart_loop_of_what_nobody_can_ask_is_recognised_too() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let containers = instance.containers();
    let redis = containers.iter().find(|found| found.service == "redis");
    let image = &redis.unwrap().image;
    let text = |port: &str| {
        format!(
            "services:\n  worker:\n    image: {image}\n    command: [redis-server, --dir, /tmp, --port, \"{port}\"]\n    healthcheck: {{disable: true}}\n    restart: always\n"
        )
    };
    let file = "config/docker-compose.override.yml";
    instance.sandbox.write(file, &text("nonsense"));
    // At the first look it runs, and again at most later ones.
    for _ in 0..3 {
        let ran = instance.run(&["up", "worker"]).ended_with(1);
        let expected = "`worker` ends again and again";
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    instance.sandbox.write(file, &text("7782"));
    instance.run(&["up"]).succeeded();
    let ran = instance.run(&["up"]).succeeded();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
}

/// An image of this machine's nginx, removed with everything when it goes out of scope.
struct NginxImage {
    name: String,
}

/// Where nginx is: named by the environment, or installed.
fn nginx() -> Option<PathBuf> {
    let named = std::env::var("TOOLKIT_TEST_NGINX").ok().map(PathBuf::from);
    let usual = || Some(PathBuf::from("/usr/sbin/nginx"));
    named.or_else(usual).filter(|path| path.exists())
}

impl NginxImage {
    /// The program with the libraries it needs, and the folders and users it expects.
    fn import(program: &Path, tag: &str) -> Self {
        let libraries = Command::new("ldd").arg(program).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        let words = libraries.split_whitespace();
        let files = words
            .filter(|word| word.starts_with('/'))
            .map(PathBuf::from);
        let mut archive = tar::Builder::new(Vec::new());
        for file in files {
            let inside = file.strip_prefix("/").unwrap().to_owned();
            archive.append_path_with_name(&file, inside).unwrap();
        }
        archive
            .append_path_with_name(program, "usr/sbin/nginx")
            .unwrap();
        for (path, text) in [
            ("etc/passwd", "root:x:0:0::/:/\n"),
            ("etc/group", "root:x:0:\n"),
            ("etc/nginx/nginx.conf", ""),
        ] {
            append(&mut archive, path, text, tar::EntryType::Regular);
        }
        for path in ["tmp/", "var/lib/nginx/", "var/log/nginx/", "certs/"] {
            append(&mut archive, path, "", tar::EntryType::Directory);
        }
        let archive = archive.into_inner().unwrap();
        let name = format!("toolkit-test/nginx:{tag}");
        let command = "CMD%20%5B%22/usr/sbin/nginx%22,%22-g%22,%22daemon%20off%3B%22%5D";
        let path =
            format!("/images/create?fromSrc=-&repo=toolkit-test/nginx&tag={tag}&changes={command}");
        let answer = call("POST", &path, "application/x-tar", &archive);
        assert!(answer.contains("sha256:"), "{answer}");
        Self { name }
    }
}

impl Drop for NginxImage {
    fn drop(&mut self) {
        let path = format!("/images/{}?force=true", self.name);
        call("DELETE", &path, "application/json", b"");
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, text: &str, kind: tar::EntryType) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(text.len() as u64);
    header.set_mode(0o755);
    archive
        .append_data(&mut header, path, text.as_bytes())
        .unwrap();
}

/// Looks the application's name up while it runs, as that of the seed does; older than it needs.
const NGINX_CONF: &str = "user root;
pid /tmp/nginx.pid;
error_log /dev/stderr;
events { }
http {
    access_log off;
    resolver 127.0.0.11 valid=1s ipv6=off;
    resolver_timeout 1s;
    server {
        listen 443 ssl;
        ssl_certificate /certs/nginx_certificate.pem;
        ssl_certificate_key /certs/nginx_key.pem;
        location / {
            set $application http://sharelatex;
            proxy_connect_timeout 1s;
            proxy_pass $application;
        }
    }
}
";

#[test]
fn the_tls_proxy_is_ready_when_it_serves_the_configured_certificate() {
    let Some(program) = nginx() else {
        eprintln!("skipped: no nginx at /usr/sbin/nginx or TOOLKIT_TEST_NGINX");
        return;
    };
    let flags = ["--tls", "nginx", "--url", "https://tex.example.org"];
    let Some(instance) = Instance::new(&flags) else {
        return;
    };
    let image = NginxImage::import(&program, &instance.project);
    // Dropped before the image, whose container it removes.
    let instance = instance;
    let root = instance.sandbox.root();
    let rc = instance.sandbox.read("config/overleaf.rc");
    let lines = rc.lines().filter(|line| !line.starts_with("NGINX_IMAGE="));
    let lines = lines.map(|line| match line.split_once('=') {
        Some(("NGINX_HTTP_PORT", _)) => format!("NGINX_HTTP_PORT={}", free_port()),
        _ => line.to_owned(),
    });
    let lines: Vec<String> = lines.collect();
    let rc = format!("{}\nNGINX_IMAGE={}\n", lines.join("\n"), image.name);
    instance.sandbox.write("config/overleaf.rc", &rc);
    instance
        .sandbox
        .write("config/nginx/nginx.conf", NGINX_CONF);
    let certs = root.join("config/nginx/certs");
    std::fs::create_dir_all(&certs).unwrap();
    for name in ["first", "second"] {
        certificate(&certs, name);
    }
    let use_certificate = |name: &str| {
        for (from, to) in [
            (format!("{name}.key"), "overleaf_key.pem"),
            (format!("{name}.pem"), "overleaf_certificate.pem"),
        ] {
            std::fs::copy(certs.join(from), certs.join(to)).unwrap();
        }
    };
    use_certificate("first");
    instance.run(&["up"]).succeeded();
    let said = told(&instance, "nginx");
    assert_eq!(
        (&said["ready"], &said["reason"]),
        (&json!(true), &Value::Null)
    );

    use_certificate("second");
    let said = told(&instance, "nginx");
    let reason = said["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("it serves another certificate"),
        "{said}"
    );
    // It is not waited for what does not come by itself.
    let ran = instance.run(&["up", "--timeout", "10m"]).ended_with(9);
    let expected = "it does not run as configured";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    instance.run(&["restart", "nginx"]).succeeded();
    assert_eq!(told(&instance, "nginx")["ready"], true);

    // Without the application there is nothing to serve.
    instance.run(&["stop", "sharelatex"]).succeeded();
    let said = told(&instance, "nginx");
    let reason = said["reason"].as_str().unwrap_or_default();
    // nginx may still look for the name when the question is given up.
    let is_named =
        reason.starts_with("the application behind it does not answer: /status gives 50");
    assert!(is_named || reason.starts_with("no answer"), "{said}");
    assert_eq!(said["ready"], false);
}
