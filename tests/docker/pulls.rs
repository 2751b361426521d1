//! Operations that begin with looking for newer images, and those that carry out a plan of a file: what
//! journal and history keep of them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::Value;
use toolkit::bundled;

use super::instance::Instance;
use super::kill::{Small, killed_with};
use super::raw;
use super::raw::Removed;

/// A registry on this machine that has one image, which the engine has too: nothing is sent but the
/// manifest.
fn registry(image: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": 2,
            "digest": image,
        },
        "layers": [],
    });
    let manifest = manifest.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            // The engine asks for TLS first; its hello has no lines.
            if reader
                .fill_buf()
                .is_ok_and(|seen| seen.first() == Some(&0x16))
            {
                continue;
            }
            let mut request = String::new();
            while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
            let (kind, body) = match request.contains("/manifests/") {
                true => (kind, manifest.as_str()),
                false => ("application/json", "{}"),
            };
            let sent = if request.starts_with("HEAD") {
                ""
            } else {
                body
            };
            // The engine may have gone away; the test looks at what the program says.
            let _ = write!(
                reader.get_mut(),
                "HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{sent}",
                body.len()
            );
        }
    });
    port
}

fn last(instance: &Instance) -> Value {
    let ran = instance.run(&["history", "--format", "json"]).succeeded();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let all = answer["data"]["operations"].as_array().unwrap();
    all.last().cloned().unwrap_or_default()
}

fn steps(record: &Value) -> Vec<&str> {
    let steps = record["steps"].as_array().unwrap().iter();
    steps.map(|step| step["title"].as_str().unwrap()).collect()
}

#[test]
fn what_is_pulled_anew_is_part_of_the_operation() {
    let Some(small) = Small::new() else {
        return;
    };
    let instance = &small.instance;
    instance.run(&["up"]).succeeded();
    let bundled = format!("toolkit-bundled/redis:{}", bundled::TAG);
    let found = toolkit::engine::Engine::image(&instance.engine, &bundled);
    let id = instance.runtime.block_on(found).unwrap().unwrap().id;
    let name = format!("127.0.0.1:{}/{}", registry(&id), instance.project);
    raw::order(
        "POST",
        &format!("/images/{bundled}/tag?repo={name}&tag=1"),
        "",
    );
    let _image = Removed(format!("/images/{name}:1?force=true"));
    let pull = format!("pull image `{name}:1`");

    // The image is up to date and the service changes: one operation has both.
    small.define("blue", &format!("{name}:1"));
    instance.run(&["up", "--pull", "always"]).succeeded();
    let record = last(instance);
    assert_eq!(steps(&record)[0], pull);
    assert!(steps(&record).len() > 1, "{record}");
    assert_eq!(record["done"], steps(&record).len());
    // Nothing else is to do.
    instance.run(&["up", "--pull", "always"]).succeeded();
    assert_eq!(steps(&last(instance)), [&pull]);

    if cfg!(debug_assertions) {
        // Killed between the pull and what follows from it.
        small.define("red", &format!("{name}:1"));
        assert!(killed_with(instance, &["up", "--pull", "always"], 3).is_some());
        let ran = instance.run(&["stop"]).ended_with(15);
        assert!(
            ran.stderr.contains(&format!("done: {pull}")),
            "{}",
            ran.stderr
        );
        instance.run(&["rollback"]).succeeded();
        assert!(killed_with(instance, &["up", "--pull", "always"], 7).is_some());
        let ran = instance.run(&["stop"]).ended_with(15);
        assert!(
            ran.stderr.contains("begun, not done: stop container"),
            "{}",
            ran.stderr
        );
        instance.run(&["resume"]).succeeded();
        assert_eq!(instance.planned(), 0);
        assert_eq!(steps(&last(instance))[0], pull);
    }

    // The registry is gone.
    let gone = format!("127.0.0.1:1/{}", instance.project);
    raw::order(
        "POST",
        &format!("/images/{bundled}/tag?repo={gone}&tag=1"),
        "",
    );
    let _image = Removed(format!("/images/{gone}:1?force=true"));
    small.define("blue", &format!("{gone}:1"));
    instance.run(&["up", "--pull", "always"]).ended_with(8);
    let record = last(instance);
    assert_eq!(
        (&record["result"], &record["done"]),
        (&"failed".into(), &0.into())
    );
    assert_eq!(steps(&record), [format!("pull image `{gone}:1`")]);
    instance.run(&["stop"]).succeeded();
}

#[test]
fn a_plan_of_a_file_is_kept_as_what_was_typed() {
    let Some(small) = Small::new() else {
        return;
    };
    let instance = &small.instance;
    instance.run(&["plan", "--out", "change.plan"]).succeeded();
    if cfg!(debug_assertions) {
        assert!(killed_with(instance, &["apply", "change.plan"], 5).is_some());
        let ran = instance.run(&["stop"]).ended_with(15);
        assert!(
            ran.stderr
                .contains("an earlier `toolkit apply` did not end"),
            "{}",
            ran.stderr
        );
        for command in ["plan", "drift"] {
            let ran = instance.run(&[command, "--format", "json"]);
            let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
            let warning = answer["warnings"][0].as_str().unwrap();
            assert!(
                warning.starts_with("an earlier `toolkit apply` of 2"),
                "{warning}"
            );
            assert!(ran.stderr.contains(warning), "{}", ran.stderr);
        }
        let ran = instance.run(&["resume"]).succeeded();
        assert!(ran.stderr.contains("again: toolkit up"), "{}", ran.stderr);
        let ran = instance.run(&["history", "--format", "json"]).succeeded();
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        let killed = &answer["data"]["operations"][0];
        assert_eq!(killed["command"], "apply");
        let line = killed["command_line"].as_str().unwrap();
        assert!(line.starts_with("toolkit apply change.plan"), "{line}");
        assert_eq!(killed["result"], "killed");
        let ran = instance.run(&["drift"]).succeeded();
        assert!(!ran.stderr.contains("did not end"), "{}", ran.stderr);
    }
    small.paint("red");
    instance.run(&["plan", "--out", "change.plan"]).succeeded();
    instance.run(&["apply", "change.plan"]).succeeded();
    let record = last(instance);
    assert_eq!(record["command"], "apply");
    assert_eq!(record["command_line"], "toolkit apply change.plan");
    assert_eq!(record["result"], "done");
    assert_eq!(instance.planned(), 0);
}

#[test]
fn a_platform_that_the_registry_does_not_have_costs_no_running_service() {
    let Some(small) = Small::new() else {
        return;
    };
    let instance = &small.instance;
    let bundled = format!("toolkit-bundled/redis:{}", bundled::TAG);
    instance.run(&["up"]).succeeded();
    let found = toolkit::engine::Engine::image(&instance.engine, &bundled);
    let image = instance.runtime.block_on(found).unwrap().unwrap();
    let other = match &*image.architecture {
        "arm64" => "linux/amd64",
        _ => "linux/arm64",
    };
    let name = format!("127.0.0.1:{}/{}", registry(&image.id), instance.project);
    raw::order(
        "POST",
        &format!("/images/{bundled}/tag?repo={name}&tag=1"),
        "",
    );
    let _image = Removed(format!("/images/{name}:1?force=true"));
    small.define("blue", &format!("{name}:1"));
    instance.run(&["up"]).succeeded();
    let before = instance.ids();
    small.define("blue", &format!("{name}:1\n    platform: {other}"));
    let ran = instance.run(&["up"]).ended_with(1);
    assert!(
        ran.stderr.contains(&format!("not for {other}")),
        "{}",
        ran.stderr
    );
    assert_eq!(instance.ids(), before);
}
