//! The whole circle of an ordinary life: up, plan, a changed setting, stop, start, down, up.

use toolkit::engine::Engine;

use super::instance::{Instance, Remover, engine, free_port, http, unique_name};
use crate::sandbox::Sandbox;

#[test]
fn a_whole_deployment_comes_up_and_keeps_its_data() {
    let Some(instance) = Instance::new(&["--edition", "pro", "--git-bridge"]) else {
        return;
    };
    let ran = instance.run(&["up"]).succeeded();
    assert_eq!(ran.stdout, format!("http://localhost:{}\n", instance.port));
    assert!(
        ran.stderr.contains("bundled servers stand in for Overleaf"),
        "{}",
        ran.stderr
    );
    let services: Vec<String> = instance
        .containers()
        .into_iter()
        .map(|c| c.service)
        .collect();
    assert_eq!(services, ["git-bridge", "mongo", "redis", "sharelatex"]);
    for container in instance.containers() {
        assert_eq!(
            container.health,
            Some(toolkit::observed::Health::Healthy),
            "{}",
            container.name
        );
    }
    let (status, text) = instance.http("GET", "/status", "");
    assert_eq!((status, text.trim()), (200, "web is alive (web)"));

    let ran = instance.run(&["plan", "--detailed-exitcode"]).succeeded();
    assert_eq!(ran.stdout, "nothing to do: everything is as configured\n");
    let before = instance.ids();
    let ran = instance.run(&["up"]).succeeded();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
    assert_eq!(instance.ids(), before);

    instance.put("first line\nsecond line\n");
    let ran = instance.run(&["down"]).succeeded();
    assert!(ran.stderr.contains("all data is kept"), "{}", ran.stderr);
    assert_eq!(instance.ids(), []);
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.document(), "first line\nsecond line\n");
}

#[test]
fn a_changed_setting_recreates_only_what_it_touches() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let before = instance.ids();
    instance
        .sandbox
        .replace("config/variables.env", "Our Overleaf Instance", "Theirs");
    let ran = instance.run(&["plan", "--detailed-exitcode"]).ended_with(4);
    let expected = "environment OVERLEAF_APP_NAME: \"Our Overleaf Instance\" → \"Theirs\" (config/variables.env:";
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    let ran = instance.run(&["up", "--dry-run"]).succeeded();
    assert!(ran.stdout.contains("5 steps"), "{}", ran.stdout);
    assert_eq!(instance.ids(), before, "a dry run changed something");
    let ran = instance.run(&["up", "--format", "json"]).succeeded();
    let after = instance.ids();
    let changed: Vec<&str> = before
        .iter()
        .zip(&after)
        .filter(|(old, new)| old.1 != new.1)
        .map(|(old, _)| old.0.as_str())
        .collect();
    // The events tell why each step is needed.
    assert_eq!(changed, ["sharelatex"], "{}", ran.stdout);
    assert_eq!(instance.planned(), 0);
}

#[test]
fn stop_start_and_restart_keep_the_containers() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let ran = instance.run(&["start"]).ended_with(1);
    assert!(
        ran.stderr.starts_with("error[NO_CONTAINER]"),
        "{}",
        ran.stderr
    );
    instance.run(&["up"]).succeeded();
    instance.put("kept\n");
    let before = instance.ids();
    instance.run(&["stop"]).succeeded();
    let ran = instance.run(&["status", "--format", "json"]).succeeded();
    let status: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    // The application ends with 2 after a clean stop, the databases with 0.
    let codes: Vec<i64> = status["data"]["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| service["exit_code"].as_i64().unwrap())
        .collect();
    assert_eq!(codes, [0, 0, 2]);
    instance.run(&["start"]).succeeded();
    instance.run(&["restart", "sharelatex"]).succeeded();
    assert_eq!(instance.ids(), before);
    assert_eq!(instance.document(), "kept\n");
    let ran = instance.run(&["stop", "sharelatex"]).succeeded();
    assert!(!ran.stderr.contains("mongo"), "{}", ran.stderr);
}

#[test]
fn quickstart_brings_up_an_instance_from_nothing() {
    let Some((runtime, engine)) = engine() else {
        return;
    };
    let sandbox = Sandbox::new();
    let (project, port) = (unique_name(), free_port());
    let arguments = [
        "quickstart",
        "--bundled",
        "--project-name",
        &project,
        "--port",
        &port.to_string(),
    ];
    let _remover = Remover {
        runtime: &runtime,
        engine: &engine,
        project: &project,
    };
    let ran = sandbox.run(&arguments).succeeded();
    let (status, _) = http(port, "GET", "/status", "");
    let again = sandbox.run(&["quickstart"]);
    let containers = runtime
        .block_on(engine.project_containers(&project))
        .unwrap();
    assert_eq!(ran.stdout, format!("http://localhost:{port}\n"));
    assert!(ran.stderr.contains("sharelatex"), "{}", ran.stderr);
    assert_eq!(status, 200);
    let services: Vec<String> = containers.into_iter().map(|found| found.service).collect();
    assert_eq!(services, ["git-bridge", "mongo", "redis", "sharelatex"]);
    assert!(again.succeeded().stderr.contains("nothing to do"));
}

#[test]
fn what_is_not_configured_any_more_goes_only_when_asked() {
    let Some(instance) = Instance::new(&["--edition", "pro", "--git-bridge"]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    instance.sandbox.replace(
        "config/overleaf.rc",
        "GIT_BRIDGE_ENABLED=true",
        "GIT_BRIDGE_ENABLED=false",
    );
    let ran = instance.run(&["up"]).succeeded();
    assert!(
        ran.stderr.contains("not configured any more"),
        "{}",
        ran.stderr
    );
    assert_eq!(instance.ids().len(), 4);
    instance.run(&["up", "--remove-orphans"]).succeeded();
    assert_eq!(instance.ids().len(), 3);
}

#[test]
fn machines_get_one_document_or_one_event_per_line() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let ran = instance.run(&["up", "--format", "json"]).succeeded();
    let lines: Vec<serde_json::Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, events) = lines.split_last().unwrap();
    assert_eq!(last["schema"], "toolkit.up/v1");
    assert_eq!(last["data"]["ready"], true);
    let numbers: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(events[0]["event"], "started");
    assert_eq!(ran.stderr, "");
}
