//! What a command says of the state that other runs left, without an engine.

use toolkit::applied;
use toolkit::compose::load;
use toolkit::journal::{Existing, Journal, Note, Operation};

use super::sandbox::Sandbox;

/// An engine that is not there.
const NO_ENGINE: &str = "unix:///nonexistent/engine.sock";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::initialised(&["--port", "8080"]).environment("DOCKER_HOST", NO_ENGINE);
    sandbox.write(".toolkit/here", "");
    sandbox
}

/// Leaves what a run leaves that is killed in its second step.
fn leave_unfinished(sandbox: &Sandbox, request: serde_json::Value) {
    let operation = Operation {
        id: "20260102T030405Z-1a2b3c".to_owned(),
        command: "stop".to_owned(),
        request,
        steps: vec![
            "stop container `a`".to_owned(),
            "stop container `b`".to_owned(),
        ],
        before: vec![Existing {
            service: "a".to_owned(),
            container: "a".to_owned(),
            running: true,
        }],
        started: "2026-01-02T03:04:05Z".to_owned(),
        follows: None,
        volumes: Vec::new(),
    };
    let journal = Journal::begin(&sandbox.root().join(".toolkit"), &operation).unwrap();
    journal.note(&[Note::Intent(0, None)]).unwrap();
    journal.note(&[Note::Done(0)]).unwrap();
    journal.note(&[Note::Intent(1, None)]).unwrap();
}

#[test]
fn an_unfinished_operation_is_named_with_both_ways_out() {
    let sandbox = sandbox();
    leave_unfinished(&sandbox, serde_json::Value::Null);
    let ran = sandbox.run(&["down"]).ended_with(15);
    insta::assert_snapshot!(ran.stderr, @r"
    error[UNFINISHED_OPERATION]: an earlier `toolkit stop` did not end
      because: it began at 2026-01-02T03:04:05Z as operation 20260102T030405Z-1a2b3c; 1 of 2 steps done
      because: done: stop container `a`
      because: begun, not done: stop container `b`
      state:   this run changed nothing
      fix:     toolkit resume
      fix:     toolkit rollback
    ");
    // One whose request is of another version cannot be done again.
    let ran = sandbox.run(&["resume"]).ended_with(15);
    assert!(
        ran.stderr.starts_with("error[NOT_REPEATABLE]"),
        "{}",
        ran.stderr
    );
    // What stood was not made by an `up` that came to its end.
    let ran = sandbox.run(&["rollback"]).ended_with(11);
    assert!(
        ran.stderr.contains("error[ROLLBACK_UNKNOWN]"),
        "{}",
        ran.stderr
    );
    // `up` goes on from what stands, and gets as far as the engine.
    let ran = sandbox.run(&["up"]).ended_with(8);
    assert!(
        ran.stderr.starts_with("an earlier `toolkit stop` of 2026-01-02T03:04:05Z did not end (1 of 2 steps done): `up` goes on"),
        "{}",
        ran.stderr
    );
    let ran = sandbox.run(&["history"]).succeeded();
    assert!(ran.stdout.contains("killed"), "{}", ran.stdout);
    sandbox.run(&["up"]).ended_with(8);
    let text = sandbox.read(".toolkit/history.jsonl");
    assert_eq!(text.lines().count(), 1, "what is found twice is kept once");
}

#[test]
fn resume_asks_again_for_what_was_asked_for() {
    let sandbox = sandbox();
    let request = serde_json::json!({
        "arguments": ["toolkit", "stop", "redis", "nonsense"],
        "folder": "/",
    });
    leave_unfinished(&sandbox, request);
    let ran = sandbox.run(&["resume"]).ended_with(2);
    assert!(
        ran.stderr
            .starts_with("again: toolkit stop redis nonsense\nerror[UNKNOWN_SERVICE]"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_operation_of_another_engine_is_left_alone() {
    let sandbox = sandbox();
    let request = |endpoint: &str| {
        serde_json::json!({
            "arguments": ["toolkit", "stop"],
            "folder": "/",
            "endpoint": endpoint,
        })
    };
    leave_unfinished(&sandbox, request("ssh://b"));
    for command in ["up", "resume", "rollback"] {
        let ran = sandbox.run(&[command]).ended_with(15);
        assert!(
            ran.stderr.contains("error[UNFINISHED_OPERATION]")
                && ran.stderr.contains("it worked on the engine at `ssh://b`"),
            "{}",
            ran.stderr
        );
    }
    let sandbox = self::sandbox();
    leave_unfinished(&sandbox, request(NO_ENGINE));
    sandbox.run(&["up"]).ended_with(8);
}

/// What was applied says how to go back; what is in the present files does not matter.
#[test]
fn a_rollback_does_not_read_the_present_definitions() {
    let sandbox = sandbox();
    let project = load::project("services: {a: {image: 'x:1'}}", "overleaf").unwrap();
    let applied = applied::of(&project, &sandbox.root(), None).unwrap();
    applied::save(&sandbox.root().join(".toolkit"), &applied).unwrap();
    leave_unfinished(&sandbox, serde_json::Value::Null);
    sandbox.write("config/docker-compose.override.yml", "services: [\n");
    sandbox.write("lib/.env", "A='\n");
    sandbox.run(&["up"]).ended_with(3);
    // It gets as far as the engine.
    sandbox.run(&["rollback"]).ended_with(8);
}

#[test]
fn a_broken_history_gets_no_record_twice() {
    let sandbox = sandbox();
    leave_unfinished(&sandbox, serde_json::Value::Null);
    sandbox.write(".toolkit/history.jsonl", "nonsense\n");
    for _ in 0..2 {
        let ran = sandbox.run(&["up"]).ended_with(8);
        assert!(ran.stderr.contains("history.jsonl"), "{}", ran.stderr);
    }
    assert_eq!(sandbox.read(".toolkit/history.jsonl"), "nonsense\n");
}

#[test]
fn a_journal_that_cannot_be_read_stops_what_changes_things() {
    let sandbox = sandbox();
    for (text, id) in [
        ("{\"record\":\"begin\",\"format\":3}\n", "JOURNAL_FORMAT"),
        ("nonsense\n", "JOURNAL_DAMAGED"),
    ] {
        sandbox.write(".toolkit/journal", text);
        for command in ["up", "down", "rollback"] {
            let ran = sandbox.run(&[command]).ended_with(15);
            assert!(
                ran.stderr.starts_with(&format!("error[{id}]")),
                "{}",
                ran.stderr
            );
        }
    }
    // A first line that a crash tore says that nothing was begun.
    sandbox.write(".toolkit/journal", "{\"record\":\"beg");
    sandbox.run(&["down"]).ended_with(8);
}

#[test]
fn whoever_waits_is_told_who_holds_the_lock_and_how_far_they_are() {
    let sandbox = sandbox();
    let state = sandbox.root().join(".toolkit");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let patience = std::time::Duration::ZERO;
    let held = runtime
        .block_on(toolkit::host::lock::take(&state, "up", patience))
        .unwrap();
    held.told().command_line("toolkit up -d").unwrap();
    held.told().operation("1").unwrap();
    held.told().step("pull image `a`").unwrap();
    let ran = sandbox.run(&["down"]).ended_with(7);
    let (user, machine) = (
        toolkit::host::identity::user(),
        toolkit::host::identity::machine(),
    );
    let who = format!(
        "because: `toolkit up -d` (pid {}) of {user} on {machine} holds the lock since 2",
        std::process::id()
    );
    assert!(ran.stderr.contains(&who), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("because: now: pull image `a` (operation 1)"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_unknown_operation_is_a_usage_error() {
    let sandbox = sandbox();
    let ran = sandbox.run(&["history"]).succeeded();
    assert_eq!(ran.stdout, "nothing was done to this instance yet\n");
    let ran = sandbox.run(&["history", "--verify"]).succeeded();
    assert_eq!(ran.stdout, "ok: 0 records\n");
    let ran = sandbox.run(&["history", "show", "x"]).ended_with(2);
    assert!(
        ran.stderr.starts_with("error[UNKNOWN_OPERATION]"),
        "{}",
        ran.stderr
    );
    let ran = sandbox.run(&["resume"]).succeeded();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
}
