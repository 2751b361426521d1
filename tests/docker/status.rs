//! `status` and `metrics` on an instance of the bundled servers.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use toolkit::journal::{Journal, Operation};

use super::calls::Counter;
use super::instance::{Instance, signal};
use crate::metrics::checked;

fn data(instance: &Instance) -> Value {
    let ran = instance.run(&["status", "--format", "json"]).succeeded();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["schema"], "toolkit.status/v1");
    answer["data"].clone()
}

#[test]
fn status_tells_how_everything_does_and_what_is_missing_hides_nothing_else() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let well = data(&instance);
    assert_eq!(well["not_working"], serde_json::json!([]));
    for service in well["services"].as_array().unwrap() {
        assert_eq!(service["containers"][0]["ready"], true, "{service}");
    }
    let mongo = &well["mongo"];
    assert_eq!(mongo["state"], "primary", "{mongo}");
    assert_eq!(mongo["compatibility"], "8.0");
    assert_eq!(mongo["replica_set"], "overleaf");
    assert!(mongo["disk_bytes"].as_u64().unwrap() > 0, "{mongo}");
    assert_eq!(well["redis"]["aof_enabled"], true, "{}", well["redis"]);
    assert_eq!(well["pending"]["documents"], 0);
    assert_eq!(well["pending"]["complete"], true);
    assert!(well["disks"][0]["free_bytes"].as_u64().unwrap() > 0);
    assert_eq!(well["certificate"], Value::Null);
    assert_eq!(well["operation"], Value::Null);
    assert_eq!(well["configuration"]["steps"], serde_json::json!([]));
    assert!(well["configuration"]["applied_at"].is_string());

    // An edit is in redis until it is flushed.
    instance.put("one line");
    assert_eq!(data(&instance)["pending"]["documents"], 1);
    let text = instance.run(&["metrics"]).succeeded().stdout;
    let samples = checked(&text);
    assert_eq!(samples["toolkit_pending_documents"], 1.0);
    assert_eq!(samples["toolkit_mongo_takes_writes"], 1.0);
    let memory = format!(
        "toolkit_container_memory_bytes{{service=\"redis\",container=\"{}-redis-1\"}}",
        instance.project
    );
    assert!(samples[&memory] > 0.0, "{text}");

    // A changed setting is to be applied.
    let before = instance.sandbox.read("config/variables.env");
    let changed = format!("{before}\nOVERLEAF_APP_NAME=Other\n");
    instance.sandbox.write("config/variables.env", &changed);
    let configuration = &data(&instance)["configuration"];
    assert!(!configuration["steps"].as_array().unwrap().is_empty());
    assert_eq!(configuration["changed_files"][0], "config/variables.env");
    instance.sandbox.write("config/variables.env", &before);

    // What a run leaves that was killed.
    let state = instance.sandbox.root().join(".toolkit");
    let operation = Operation {
        id: "20260102T030405Z-1a2b3c".to_owned(),
        command: "stop".to_owned(),
        request: Value::Null,
        steps: vec!["stop container `a`".to_owned()],
        before: Vec::new(),
        started: "2026-01-02T03:04:05Z".to_owned(),
        follows: None,
        volumes: Vec::new(),
    };
    drop(Journal::begin(&state, &operation).unwrap());
    let left = &data(&instance)["operation"];
    assert_eq!(
        (&left["command"], &left["running"]),
        (&"stop".into(), &false.into())
    );
    std::fs::remove_file(state.join("journal")).unwrap();

    instance.run(&["stop", "redis"]).succeeded();
    let partial = data(&instance);
    assert_eq!(partial["redis"]["answered"], false);
    assert_eq!(partial["redis"]["reason"], "`redis` does not run");
    assert_eq!(partial["pending"]["reason"], "`redis` does not run");
    assert_eq!(partial["mongo"]["answered"], true);
    let shown = instance.run(&["status"]).succeeded().stdout;
    assert!(
        shown.contains("redis          not known: `redis` does not run"),
        "{shown}"
    );
    println!("{shown}");
}

#[test]
fn status_watches_and_asks_little() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let folder = tempfile::tempdir().unwrap();
    let counter = Counter::new(folder.path());
    let began = Instant::now();
    let requests = counter.of(&instance, &["status"]);
    println!("status: {requests} requests, {:?}", began.elapsed());
    let planned = counter.of(&instance, &["plan"]);
    // Beside what a plan looks at, the stores are asked without the engine.
    // One more than a plan: the file in the container that closes the site.
    assert!(requests <= planned + 1, "{requests} {planned}");
    let measured = counter.of(&instance, &["metrics"]);
    let services = instance.containers().len();
    assert!(measured <= requests + services, "{measured} {requests}");

    let mut watch = instance
        .sandbox
        .command(&["status", "--watch", "1", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["ok"], true, "{line}");
    }
    signal(watch.id(), "INT");
    let output = watch.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn status_shows_every_replica() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let image = format!("toolkit-bundled/redis:{}", toolkit::bundled::TAG);
    let extra = format!("services: {{extra: {{image: '{image}', scale: 2}}}}\n");
    let file = "config/docker-compose.override.yml";
    instance.run(&["up", "-d", "redis"]).succeeded();
    instance.sandbox.write(file, &extra);
    instance.run(&["up", "-d", "extra"]).succeeded();
    let shown = instance.run(&["status"]).succeeded().stdout;
    for number in [1, 2] {
        let name = format!("{}-extra-{number}", instance.project);
        assert!(shown.contains(&name), "{shown}");
    }
}
