//! After a reboot or a restart of the engine everything comes back, the TLS proxy included.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::instance::free_port;
use super::private_engine::{PrivateEngine, has};
use super::raw;
use crate::sandbox::Sandbox;

/// How long an instance may take to come back by itself.
const RETURN: Duration = Duration::from_secs(120);

/// A document of the application that the bundled servers stand in for.
const DOCUMENT: &str = "/project/aaaaaaaaaaaaaaaaaaaaaaaa/doc/bbbbbbbbbbbbbbbbbbbbbbbb";

/// An instance; made before the engine, so that it outlives the containers that write into it.
fn instance(flags: &[&str]) -> (Sandbox, u16) {
    let port = free_port();
    let text = port.to_string();
    let own = ["--bundled", "--project-name", "p", "--port", &text];
    (Sandbox::initialised(&[&own[..], flags].concat()), port)
}

/// What `plan` says: how many steps, and which services are not ready.
fn planned(engine: &PrivateEngine, sandbox: &Sandbox) -> Option<(usize, usize)> {
    let ran = engine.run(sandbox, &["plan", "--format", "json"]);
    let plan: Value = serde_json::from_str(&ran.stdout).ok()?;
    let length = |key: &str| Some(plan["data"][key].as_array()?.len());
    Some((length("steps")?, length("not_ready")?))
}

/// Looks until nothing is missing, without touching anything.
fn await_return(engine: &PrivateEngine, sandbox: &Sandbox) {
    let give_up = Instant::now() + RETURN;
    while planned(engine, sandbox) != Some((0, 0)) {
        assert!(
            Instant::now() < give_up,
            "{}",
            engine.run(sandbox, &["status"]).all()
        );
    }
}

fn document(engine: &PrivateEngine, port: u16) -> String {
    let got = engine.curl(&[&format!("http://127.0.0.1:{port}{DOCUMENT}")]);
    String::from_utf8_lossy(&got.stdout).into_owned()
}

#[test]
fn everything_comes_back_by_itself() {
    let (sandbox, port) = instance(&["--edition", "pro", "--git-bridge"]);
    let Some(mut engine) = PrivateEngine::start() else {
        return;
    };
    engine.run(&sandbox, &["up"]).succeeded();
    let url = format!("http://127.0.0.1:{port}{DOCUMENT}");
    let put = engine.curl(&["--request", "PUT", "--data-binary", "kept", &url]);
    assert!(put.status.success(), "{put:?}");
    let before = engine.containers();
    assert!(before.len() == 4 && before.iter().all(|found| found.2));
    for disturbance in [
        PrivateEngine::stop,
        PrivateEngine::cut_power,
        PrivateEngine::kill_engine,
    ] {
        disturbance(&mut engine);
        let ran = engine.run(&sandbox, &["status"]).ended_with(8);
        assert!(
            ran.stderr.starts_with("error[ENGINE_UNREACHABLE]"),
            "{}",
            ran.stderr
        );
        engine.begin();
        await_return(&engine, &sandbox);
        assert_eq!(engine.containers(), before);
        assert_eq!(document(&engine, port), "kept");
        let ran = engine.run(&sandbox, &["up"]).succeeded();
        assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
    }

    // One that does not come back is named, and `up` mends it.
    let (status, _) = raw::request(
        &engine.socket(),
        "POST",
        "/containers/p-redis-1/stop?t=5",
        b"",
    );
    assert_eq!(status, 204);
    let ran = engine
        .run(&sandbox, &["status", "--format", "json"])
        .succeeded();
    let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
    let services = shown["data"]["services"].as_array().unwrap();
    let redis = services
        .iter()
        .find(|one| one["service"] == "redis")
        .unwrap();
    assert_ne!(redis["state"], "running", "{redis}");
    engine.run(&sandbox, &["up"]).succeeded();
    assert_eq!(engine.containers(), before);
}

/// Whichever step the engine dies at, the next `up` gives what an undisturbed one gives.
#[test]
fn an_engine_that_dies_under_an_up_changes_nothing_about_the_next() {
    let (sandbox, port) = instance(&[]);
    let Some(mut engine) = PrivateEngine::start() else {
        return;
    };
    engine.run(&sandbox, &["up"]).succeeded();
    let names = |engine: &PrivateEngine| -> Vec<(String, bool)> {
        let all = engine.containers().into_iter();
        all.map(|(name, _, runs)| (name, runs)).collect()
    };
    let undisturbed = names(&engine);
    engine.run(&sandbox, &["down"]).succeeded();
    for step in [1, 4, 7] {
        let mut up = engine
            .toolkit(&sandbox, &["up", "--format", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(up.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let begun = lines.by_ref().filter(|line| line.contains("step-started"));
        assert_eq!(begun.take(step).count(), step);
        engine.kill_engine();
        let rest: Vec<String> = lines.collect();
        let code = up.wait().unwrap().code();
        assert!(code.is_some_and(|code| code != 0 && code != 70), "{rest:?}");
        engine.begin();
        engine.run(&sandbox, &["up"]).succeeded();
        assert_eq!(
            names(&engine),
            undisturbed,
            "the engine died at step {step}"
        );
        assert_eq!(planned(&engine, &sandbox), Some((0, 0)));
        assert!(
            engine
                .curl(&[&format!("http://127.0.0.1:{port}/status")])
                .status
                .success()
        );
        engine.run(&sandbox, &["down"]).succeeded();
    }
}

/// However little room there is for what the program keeps: it stops with an error, and with room
/// the next `up` gives what an undisturbed one gives.
#[test]
fn a_full_disk_is_an_error_and_the_next_up_goes_on() {
    let (sandbox, _) = instance(&[]);
    let Some(engine) = PrivateEngine::start() else {
        return;
    };
    sandbox.write(".toolkit/here", "");
    let state = sandbox.root().join(".toolkit").display().to_string();
    let order = |program: &str, arguments: &[&str]| {
        let ran = engine.inside(program, arguments).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    };
    let mut failures = 0;
    for pages in [1, 2, 3, 4, 6, 8, 12, 64] {
        let size = format!("size={}k,mode=0700", pages * 4);
        order("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &state]);
        let ran = engine.run(&sandbox, &["up"]);
        order("mount", &["-o", "remount,size=4m", &state]);
        if ran.code != 0 {
            failures += 1;
            assert_eq!(ran.code, 1, "{}", ran.all());
            assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
            engine.run(&sandbox, &["up"]).succeeded();
        }
        assert_eq!(planned(&engine, &sandbox), Some((0, 0)), "{pages} pages");
        assert_eq!(engine.containers().len(), 3);
        engine.run(&sandbox, &["down"]).succeeded();
        order("umount", &[&state]);
    }
    assert!((2..8).contains(&failures), "{failures} runs found no room");
}

/// The nginx of this machine, or the one that `TOOLKIT_TEST_NGINX` names.
fn nginx() -> Option<PathBuf> {
    let named = std::env::var("TOOLKIT_TEST_NGINX").ok().map(PathBuf::from);
    let usual = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
    let mut found = named.into_iter().chain(usual.map(PathBuf::from));
    found.find(|path| path.exists())
}

/// An image of a program and the libraries it needs, as an archive of its only layer.
fn image_of(program: &Path) -> Vec<u8> {
    let libraries = Command::new("ldd").arg(program).output().unwrap();
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    let libraries = libraries.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.find(|word| word.starts_with('/')).map(PathBuf::from)
    });
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(true);
    archive
        .append_path_with_name(program, "usr/sbin/nginx")
        .unwrap();
    for library in libraries {
        let inside = library.strip_prefix("/").unwrap();
        archive.append_path_with_name(&library, inside).unwrap();
    }
    let text = |path: &str, text: &str, archive: &mut tar::Builder<Vec<u8>>| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, path, text.as_bytes())
            .unwrap();
    };
    text(
        "etc/passwd",
        "root:x:0:0::/:/none\nnginx:x:101:101::/:/none\n",
        &mut archive,
    );
    text("etc/group", "root:x:0:\nnginx:x:101:\n", &mut archive);
    for folder in ["var/log/nginx", "var/lib/nginx", "run", "tmp"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o777);
        archive
            .append_data(&mut header, folder, std::io::empty())
            .unwrap();
    }
    archive.into_inner().unwrap()
}

/// A proxy that looks the application up by the engine's name server, as the seed's does, in words
/// that older releases of nginx know too.
const PROXY: &str = "user nginx;
daemon off;
pid /run/nginx.pid;
error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    resolver 127.0.0.11 valid=1s ipv6=off;
    server { listen 80; return 301 https://$host$request_uri; }
    server {
        listen 443 ssl;
        ssl_certificate /certs/nginx_certificate.pem;
        ssl_certificate_key /certs/nginx_key.pem;
        location / {
            set $application sharelatex;
            proxy_pass http://$application:80;
        }
    }
}
";

#[test]
fn the_tls_proxy_comes_back_with_the_rest() {
    let Some(program) = nginx() else {
        eprintln!("skipped: there is no nginx; TOOLKIT_TEST_NGINX can name one");
        return;
    };
    if !has("openssl") || !has("ldd") {
        eprintln!("skipped: there is no `openssl` or no `ldd`");
        return;
    }
    let (sandbox, port) = instance(&["--edition", "pro", "--tls", "nginx"]);
    let Some(mut engine) = PrivateEngine::start() else {
        return;
    };
    let path = "/images/create?fromSrc=-&repo=toolkit-test%2Fnginx&tag=1&changes=ENTRYPOINT%20%5B%22%2Fusr%2Fsbin%2Fnginx%22%5D";
    let (status, answer) = raw::request(&engine.socket(), "POST", path, &image_of(&program));
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    sandbox.write("config/nginx/nginx.conf", PROXY);
    sandbox.write("config/nginx/certs/here", "");
    let certificates = sandbox.root().join("config/nginx/certs");
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=localhost", "-keyout"])
        .arg(certificates.join("overleaf_key.pem"))
        .arg("-out")
        .arg(certificates.join("overleaf_certificate.pem"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    sandbox.write(
        "config/docker-compose.override.yml",
        "services:\n  nginx: {image: 'toolkit-test/nginx:1'}\n",
    );
    engine.run(&sandbox, &["up"]).succeeded();
    let url = format!("https://127.0.0.1:{port}/status");
    let answers = |engine: &PrivateEngine| engine.curl(&["--insecure", &url]).status.success();
    assert!(answers(&engine));
    let before = engine.containers();
    assert_eq!(before.len(), 4);
    for disturbance in [
        PrivateEngine::stop,
        PrivateEngine::cut_power,
        PrivateEngine::kill_engine,
    ] {
        disturbance(&mut engine);
        engine.begin();
        await_return(&engine, &sandbox);
        assert_eq!(engine.containers(), before);
        assert!(
            answers(&engine),
            "{}",
            engine.run(&sandbox, &["status"]).all()
        );
    }
}
