//! The gate before a change, on the real engine: what fails ends with exit code 6 and nothing is
//! made; what the operator passes is said.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::instance::Instance;

fn outcome(answer: &Value, id: &str) -> String {
    let checks = answer["data"]["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["id"] == id).unwrap();
    found["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn the_doctor_of_a_running_instance_finds_nothing_that_blocks() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let before = instance.ids();
    let ran = instance.run(&["doctor", "--format", "json"]).succeeded();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["data"]["blocking"], 0);
    for id in ["ENGINE_UNREACHABLE", "PORT_TAKEN", "IMAGE_ARCHITECTURE"] {
        assert_eq!(outcome(&answer, id), "passed", "{id}");
    }
    // The test's engine may be on another machine, whose disks cannot be looked at.
    let is_here = outcome(&answer, "SPACE_DATA") == "passed";
    let expected = if is_here { "passed" } else { "not-checked" };
    assert_eq!(outcome(&answer, "DATA_PATH_PERMISSION"), expected);
    assert_eq!(instance.ids(), before);
    assert_eq!(instance.planned(), 0);
}

#[test]
fn a_port_that_is_taken_is_passed_only_with_a_reason() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let held = TcpListener::bind(("127.0.0.1", instance.port)).unwrap();
    let refused = instance.run(&["up"]).ended_with(6);
    let advice = "where it is meant so: --ignore PORT_TAKEN --reason TEXT";
    assert!(refused.stderr.contains(advice), "{}", refused.all());
    assert!(!instance.sandbox.root().join("data/mongo").exists());
    let flags = ["--ignore", "PORT_TAKEN", "--reason", "it is about to go"];
    let planned = instance.run(&[&["plan"], &flags[..]].concat()).succeeded();
    let said = "warning: [PORT_TAKEN] is ignored (port";
    assert!(planned.stderr.contains(said), "{}", planned.all());
    assert!(
        planned.stderr.contains("): it is about to go"),
        "{}",
        planned.all()
    );
    let ran = instance.run(&["doctor"]).ended_with(6);
    let holder = format!("(pid {})", std::process::id());
    assert!(ran.stdout.contains(&holder), "{}", ran.all());
    instance
        .run(&[&["doctor"], &flags[..]].concat())
        .succeeded();
    assert_eq!(instance.ids(), []);
    drop(held);
    instance.run(&[&["up"], &flags[..]].concat()).succeeded();
}

#[test]
fn a_folder_that_the_application_cannot_enter_is_refused() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let folder = instance.sandbox.root().join("data/overleaf");
    std::fs::create_dir_all(&folder).unwrap();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&folder, permissions).unwrap();
    };
    mode(0o700);
    // Where the tests' own user is the application's, it may enter.
    let ran = instance.run(&["up"]).ended_with(6);
    assert!(
        ran.stderr.starts_with("error[DATA_PATH_PERMISSION]"),
        "{}",
        ran.all()
    );
    let command = "chown 33:33 [ROOT]/data/overleaf";
    assert!(ran.stderr.contains(command), "{}", ran.all());
    assert_eq!(instance.ids(), []);
    mode(0o755);
    instance.run(&["up"]).succeeded();
}

#[test]
fn an_unknown_check_changes_nothing() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let ran = instance
        .run(&["up", "--ignore", "PORT_TOKEN", "--reason", "x"])
        .ended_with(2);
    assert!(
        ran.stderr.contains("did you mean `PORT_TAKEN`?"),
        "{}",
        ran.all()
    );
    assert_eq!(instance.ids(), []);
}
