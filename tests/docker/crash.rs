//! Interrupted or killed, an instance keeps its documents and the next `up` goes on.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::instance::{Instance, signal};

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
