//! Interrupted or killed, an instance keeps its documents and the next `up` goes on.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::SystemTime;

use super::instance::{Instance, signal};
use super::raw;

/// The lines of a stream as they come.
pub fn lines(stream: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(stream).lines().map_while(Result::ok)
}

/// Runs `up` and sends a signal when it has written so many lines; `None` when it ended before.
fn disturbed(instance: &Instance, after: usize, name: &str) -> Option<i32> {
    let mut child = instance
        .sandbox
        .command(&["up", "--progress", "plain"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = lines(child.stderr.take().unwrap());
    let came = output.by_ref().take(after).count();
    let is_early = came == after;
    if is_early {
        signal(child.id(), name);
    }
    let rest: Vec<String> = output.collect();
    let status = child.wait().unwrap();
    let told = rest
        .iter()
        .any(|line| line.contains("nothing to do") || line.contains("everything is"));
    (is_early && !told).then(|| status.code().unwrap_or(-1))
}

#[test]
fn interrupted_it_says_what_stands_and_up_goes_on() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    for (after, name, expected) in [(2, "INT", 130), (4, "TERM", 143), (2, "INT", 130)] {
        let code = disturbed(&instance, after, name);
        assert_eq!(code, Some(expected), "{name} behind line {after}");
    }
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0);
}

#[test]
fn a_document_survives_a_killed_application() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    instance.put("typed a moment ago\n");
    for container in instance.containers() {
        let id = container.id;
        // SIGKILL to every server: nothing can be flushed any more.
        super::contract::kill(&id);
    }
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.document(), "typed a moment ago\n");
}

/// One service, deaf to its stop signal.
const DEAF: &str = "services:\n  sharelatex: {profiles: [aside]}\n  mongo: {profiles: [aside]}\n  redis: {stop_signal: SIGCONT, stop_grace_period: 4s}\n";

/// The events of one kind that the engine told of a container in a span of time, in seconds.
fn events(container: &str, kind: &str, since: u64, until: u64) -> usize {
    let filters =
        format!("%7B%22container%22:%5B%22{container}%22%5D,%22event%22:%5B%22{kind}%22%5D%7D");
    let path = format!("/events?since={since}&until={until}&filters={filters}");
    let (status, answer) = raw::request(&raw::socket(), "GET", &path, b"");
    assert_eq!(status, 200);
    String::from_utf8_lossy(&answer).lines().count()
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// An engine goes on with a stop whose run is gone. Whoever looks meanwhile sees a container that runs.
#[test]
fn a_stop_that_outlives_its_run_is_waited_for() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let file = "config/docker-compose.override.yml";
    instance.sandbox.write(file, DEAF);
    instance.run(&["up"]).succeeded();
    for (command, signals) in [("restart", &["KILL"][..]), ("restart", &["INT", "INT"])] {
        let redis = instance.containers().remove(0);
        let begun = seconds();
        let mut child = instance
            .sandbox
            .command(&[command, "--progress", "none"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The stop is the engine's business as soon as it has sent the signal.
        while events(&redis.id, "kill", begun, seconds()) == 0 {
            assert_eq!(child.try_wait().unwrap(), None, "{command} has ended");
        }
        let mut output = lines(child.stderr.take().unwrap());
        let mut told = String::new();
        for (at, name) in signals.iter().enumerate() {
            // Two signals at once may arrive as one: the second follows the answer to the first.
            while at > 0 && !told.contains("stops after what has begun") {
                let line = output.next();
                told += &line.unwrap_or_else(|| panic!("it ended without an answer: {told}"));
            }
            signal(child.id(), name);
        }
        told.extend(output);
        let code = child.wait().unwrap().code();
        assert_eq!(code, (signals != ["KILL"]).then_some(130), "{told}");
        if code.is_some() {
            assert!(told.contains("the engine goes on with 1"), "{told}");
        }
        instance.run(&["up"]).succeeded();
        let now = instance.containers().remove(0);
        assert_eq!(now.id, redis.id);
        assert_ne!(now.started_at, redis.started_at, "{signals:?}: {told}");
        assert!(now.state.is_running(), "{now:?}");
    }
}

/// What only the engine can judge: it knows its log drivers.
#[test]
fn a_definition_that_the_engine_refuses_costs_no_service() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let file = "config/docker-compose.override.yml";
    instance.sandbox.write(file, DEAF);
    instance.run(&["up"]).succeeded();
    let before = instance.containers().remove(0);
    let refused = DEAF.replace("stop_grace_period: 4s", "logging: {driver: nobody-has-it}");
    instance.sandbox.write(file, &refused);
    let ran = instance.run(&["up"]).ended_with(1);
    assert!(ran.all().contains("nobody-has-it"), "{}", ran.all());
    let now = instance.containers().remove(0);
    assert_eq!((now.id, now.started_at), (before.id, before.started_at));
    assert!(now.state.is_running(), "{:?}", now.state);
    // Another definition is made beside it, and then takes its place.
    let made = DEAF.replace("4s", "1s");
    instance.sandbox.write(file, &made);
    instance.run(&["up"]).succeeded();
    let all = instance.containers();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].name, before.name);
    assert_eq!(instance.planned(), 0);
}
