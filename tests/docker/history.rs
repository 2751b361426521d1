//! What a run leaves: its record, and after a kill the way on and the way back.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use toolkit::journal;

use super::instance::{Instance, signal};

/// Runs a command and kills it when it has begun so many steps; whether it was killed before its end.
fn killed(instance: &Instance, arguments: &[&str], step: usize) -> bool {
    let mut child = instance
        .sandbox
        .command(&[arguments, &["--format", "json"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("\"step-started\""));
    let came = begun.take(step).count();
    signal_if_alive(child.id());
    let status = child.wait().unwrap();
    came == step && status.code().is_none()
}

fn signal_if_alive(process: u32) {
    // It is not waited for yet, so that its number is its own.
    signal(process, "KILL");
}

fn history(instance: &Instance) -> Vec<Value> {
    let ran = instance.run(&["history", "--format", "json"]).succeeded();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    answer["data"]["operations"].as_array().unwrap().clone()
}

#[test]
fn every_operation_is_kept_without_secrets() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    assert_eq!(history(&instance), Vec::<Value>::new());
    instance.run(&["up"]).succeeded();
    instance.run(&["up"]).succeeded();
    let sandbox = &instance.sandbox;
    let variables = sandbox.read("config/variables.env");
    sandbox.write(
        "config/variables.env",
        &format!(
            "{variables}\nOVERLEAF_EMAIL_SMTP_PASS=hidden-secret\nOVERLEAF_NAV_TITLE=shown-title\n"
        ),
    );
    instance.run(&["up"]).succeeded();
    instance.run(&["stop"]).succeeded();
    let all = history(&instance);
    let commands: Vec<&str> = all
        .iter()
        .map(|one| one["command"].as_str().unwrap())
        .collect();
    assert_eq!(
        commands,
        ["up", "up", "stop"],
        "a run without work leaves no record"
    );
    for one in &all {
        assert_eq!(one["result"], "done");
        assert_eq!(one["exit_code"], 0);
        assert_eq!(
            one["done"].as_u64().unwrap() as usize,
            one["steps"].as_array().unwrap().len()
        );
        assert!(one["duration_ms"].as_u64().is_some());
        assert!(!one["by"]["user"].as_str().unwrap().is_empty());
    }
    let id = all[1]["id"].as_str().unwrap();
    let ran = instance.run(&["history", "show", id]).succeeded();
    assert!(
        ran.stdout.contains("+OVERLEAF_NAV_TITLE=shown-title"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("+OVERLEAF_EMAIL_SMTP_PASS=****"),
        "{}",
        ran.stdout
    );
    let text = sandbox.read(".toolkit/history.jsonl");
    assert!(!text.contains("hidden-secret"));
    let ran = instance.run(&["history", "--verify"]).succeeded();
    assert_eq!(ran.stdout, "ok: 3 records\n");

    sandbox.write(
        ".toolkit/history.jsonl",
        &text.replacen("\"stop\"", "\"down\"", 1),
    );
    let ran = instance.run(&["history", "--verify"]).ended_with(12);
    assert!(
        ran.stderr.starts_with("error[HISTORY_BROKEN]: record 3 of"),
        "{}",
        ran.stderr
    );
}

#[test]
fn after_a_kill_others_refuse_and_resume_finishes() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let before = instance.ids();
    assert!(killed(&instance, &["stop"], 2));
    for command in ["down", "stop", "start", "restart"] {
        let ran = instance.run(&[command]).ended_with(15);
        assert!(
            ran.stderr.starts_with("error[UNFINISHED_OPERATION]"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("toolkit resume"), "{}", ran.stderr);
        assert!(ran.stderr.contains("toolkit rollback"), "{}", ran.stderr);
    }
    // What only looks is not refused.
    instance.run(&["status"]).succeeded();
    instance.run(&["down", "--dry-run"]).succeeded();
    instance.run(&["resume"]).succeeded();
    let runs = |instance: &Instance| {
        let all = instance.containers();
        all.into_iter()
            .filter(|found| found.state.is_running())
            .count()
    };
    assert_eq!(runs(&instance), 0);
    assert_eq!(instance.ids(), before);
    instance.run(&["start"]).succeeded();
    let results: Vec<String> = history(&instance)
        .iter()
        .map(|one| format!("{} {}", one["command"], one["result"]).replace('"', ""))
        .collect();
    assert_eq!(
        results,
        ["up done", "stop killed", "stop done", "start done"]
    );
    let ran = instance.run(&["resume"]).succeeded();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
}

#[test]
fn a_killed_up_is_taken_over_by_the_next() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    assert!(killed(&instance, &["up"], 3));
    let ran = instance.run(&["up"]).succeeded();
    assert!(
        ran.stderr.contains("an earlier `toolkit up`"),
        "{}",
        ran.stderr
    );
    assert_eq!(instance.planned(), 0);
    let state = instance.sandbox.root().join(".toolkit");
    assert_eq!(journal::unfinished(&state).unwrap(), None);
}

#[test]
fn rollback_removes_what_was_not_there() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    assert!(killed(&instance, &["up"], 10));
    assert!(!instance.ids().is_empty());
    instance.run(&["rollback", "--dry-run"]).succeeded();
    instance.run(&["rollback"]).succeeded();
    assert_eq!(instance.ids(), []);
    instance.run(&["down"]).succeeded();
    instance.run(&["up"]).succeeded();
}

/// Whatever step a changed `up` is killed at, the way back leads to the definitions that ran before,
/// and to their data.
#[test]
fn rollback_makes_again_what_stood() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    instance.put("typed before\n");
    let hashes = || -> Vec<(String, String)> {
        let all = instance.containers().into_iter();
        all.map(|found| {
            (
                found.service,
                found.labels["com.docker.compose.config-hash"].clone(),
            )
        })
        .collect()
    };
    let before = hashes();
    let sandbox = &instance.sandbox;
    let variables = sandbox.read("config/variables.env");
    for step in 1..=4 {
        let changed = format!("Number {step}");
        sandbox.write(
            "config/variables.env",
            &variables.replace("Our Overleaf Instance", &changed),
        );
        assert!(killed(&instance, &["up"], step), "step {step}");
        let ran = instance.run(&["rollback"]).succeeded();
        assert_eq!(hashes(), before, "step {step}: {}", ran.all());
        assert!(
            instance
                .containers()
                .iter()
                .all(|found| found.state.is_running())
        );
        assert_eq!(instance.document(), "typed before\n");
        // The configuration is the operator's.
        assert!(sandbox.read("config/variables.env").contains(&changed));
    }
    sandbox.write("config/variables.env", &variables);
    assert_eq!(instance.planned(), 0);
}
