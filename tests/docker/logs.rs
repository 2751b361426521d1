//! Logs of an instance on the real engine: merged, followed, cut off, and read from what has stopped.

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::Value;
use toolkit::engine::inside::{Inside, LogRequest};

use super::inside::commands;
use super::instance::{Instance, signal};

/// The longest a test waits for something that has to come.
const DEADLINE: Duration = Duration::from_secs(30);

fn container(instance: &Instance, service: &str) -> String {
    let containers = instance.containers();
    let found = containers.iter().find(|found| found.service == service);
    found.unwrap().id.clone()
}

/// Lets a service of the application write lines, or its container.
fn write(instance: &Instance, what: &str, message: &str) {
    let (status, answer) = instance.http("POST", &format!("/logs/{what}"), message);
    assert_eq!(status, 204, "{answer}");
}

/// How many processes of the application's container follow a file.
fn followers(instance: &Instance) -> usize {
    let commands = commands(instance, "sharelatex");
    let found = commands
        .iter()
        .filter(|command| command.contains("serve follow follow"));
    found.count()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
    }
}

/// The program at work on logs, with what it prints.
struct Following {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Following {
    fn new(instance: &Instance, arguments: &[&str]) -> Self {
        // As people see it, unless a test says otherwise.
        let format: &[&str] = match arguments.contains(&"--format") {
            true => &[],
            false => &["--format", "text"],
        };
        let mut child = instance
            .sandbox
            .command(&[&["logs", "-f"], format, arguments].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines: Some(lines),
        }
    }

    /// The lines up to one that holds a text.
    fn until(&mut self, text: &str) -> Vec<String> {
        let (mut found, mut is_there) = (Vec::new(), false);
        for line in self.lines.as_mut().unwrap() {
            let line = line.unwrap();
            is_there = line.contains(text);
            found.push(line);
            if is_there {
                break;
            }
        }
        assert!(is_there, "{text} did not come: {found:#?}");
        found
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn numbered(lines: &[String], message: &str) -> Vec<u32> {
    let found = lines.iter().filter_map(|line| {
        let (_, rest) = line.split_once(message)?;
        let digits: String = rest
            .trim_start()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().ok()
    });
    found.collect()
}

#[test]
fn logs_of_a_container_are_shown_followed_and_read_when_it_has_stopped() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    write(&instance, "web?count=200", "many");
    write(&instance, "clsi?level=error", "it failed");
    write(&instance, "container", "said by the container");

    // Everything is one stream in the order of the times.
    let ran = instance
        .run(&["logs", "-n", "all", "--format", "json"])
        .succeeded();
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let times: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["ts"].as_str())
        .collect();
    // Nanoseconds are written without zeros at the end; up to the second they compare as texts.
    assert!(
        times.is_sorted_by_key(|time| time[..19].to_owned()),
        "{}",
        ran.stdout
    );
    for service in [
        "mongo",
        "redis",
        "sharelatex",
        "web",
        "clsi",
        "nginx-access",
        "document-updater",
    ] {
        assert!(
            lines.iter().any(|line| line["service"] == service),
            "{service}"
        );
    }
    let failed = lines
        .iter()
        .find(|line| line["message"] == "it failed")
        .unwrap();
    assert_eq!(
        (&failed["service"], &failed["level"]),
        (&"clsi".into(), &"error".into())
    );
    assert_eq!(
        failed["fields"]["err"]["stack"].as_array().unwrap().len(),
        2
    );

    // The last lines, the errors, one's own choice.
    let text = ["logs", "-n", "3", "--format", "text", "web"];
    let ran = instance.run(&text).succeeded();
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.all());
    assert!(ran.stdout.contains("  web  "), "{}", ran.all());
    let ran = instance
        .run(&["error-logs", "--format", "text"])
        .succeeded();
    assert!(
        ran.stdout.contains("it failed") && !ran.stdout.contains("many"),
        "{}",
        ran.all()
    );
    assert!(
        ran.stdout
            .contains("Error: it failed (2 more lines, -v shows all)"),
        "{}",
        ran.all()
    );
    // What no terminal reads comes as it was written, unless somebody asks for what people read.
    let words = ["logs", "-n", "2", "--grep", "many 1[0-9]\"", "web"];
    let ran = instance.run(&words).succeeded();
    for line in ran.stdout.lines() {
        let written: Value = serde_json::from_str(line).unwrap();
        assert_eq!(written["name"], "web", "{line}");
    }
    let as_written = instance.run(&[&words[..], &["--format", "raw"]].concat());
    assert_eq!(as_written.succeeded().stdout, ran.stdout);
    for for_people in [&["-v"][..], &["--color", "always"]] {
        let rendered = instance.run(&[&words[..], for_people].concat()).succeeded();
        assert!(!rendered.stdout.starts_with('{'), "{}", rendered.all());
    }
    let lines: Vec<String> = ran.stdout.lines().map(ToOwned::to_owned).collect();
    assert_eq!(numbered(&lines, "many"), [18, 19], "{}", ran.all());
    let ran = instance.run(&["logs", "--until", "1h"]).succeeded();
    assert_eq!(ran.stdout, "", "{}", ran.all());

    // Names that are none.
    let ran = instance.run(&["logs", "web", "spelling"]).ended_with(2);
    assert!(
        ran.stderr.contains("`spelling` is gone since Overleaf 5.3"),
        "{}",
        ran.all()
    );
    let ran = instance.run(&["logs", "wev"]).ended_with(2);
    assert!(ran.stderr.contains("did you mean `web`?"), "{}", ran.all());

    // A reader that goes away is no failure.
    let mut child = instance
        .sandbox
        .command(&["logs", "-n", "all", "--format", "raw"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));

    follow_a_file_in_the_container(&instance);

    // Stopped, the output and the files are still there.
    instance.run(&["stop", "sharelatex"]).succeeded();
    let ran = instance
        .run(&["logs", "-n", "1", "--format", "raw", "sharelatex"])
        .succeeded();
    assert_eq!(ran.stdout, "*** Shutdown complete\n");
    let ran = instance
        .run(&["logs", "-n", "1", "--format", "raw", "chat"])
        .succeeded();
    assert!(ran.stdout.contains("the last of it"), "{}", ran.all());
    assert_eq!(ran.stdout.lines().count(), 1);
    let ran = instance
        .run(&["logs", "-n", "all", "--format", "raw", "clsi"])
        .succeeded();
    assert!(ran.stdout.contains("it failed"), "{}", ran.all());
}

/// The log folder is not mounted: a program in the container follows, and ends with the reader.
fn follow_a_file_in_the_container(instance: &Instance) {
    let mut following = Following::new(instance, &["-n", "0", "--format", "raw", "web"]);
    wait_until("the follower starts", || followers(instance) == 1);
    let mut found = Vec::new();
    for (round, by) in ["copy", "rename", "copy", "copy"].iter().enumerate() {
        write(instance, "web?count=50", &format!("round {round} line"));
        write(instance, "web", &format!("end of round {round}"));
        found.extend(following.until(&format!("end of round {round}")));
        write(instance, &format!("web/rotate?by={by}"), "");
    }
    for round in 0..4 {
        let numbers = numbered(&found, &format!("round {round} line"));
        assert_eq!(numbers, (1..=50).collect::<Vec<u32>>(), "round {round}");
    }
    // Killed without a chance to clear up.
    signal(following.child.id(), "KILL");
    following.child.wait().unwrap();
    wait_until("the follower ends", || followers(instance) == 0);

    // What is written before the file can be read again after a stop comes as well, and nothing else,
    // though no line was shown.
    let mut following = Following::new(instance, &["-n", "0", "--format", "raw", "chat"]);
    wait_until("the follower starts", || followers(instance) == 1);
    instance.run(&["stop", "sharelatex"]).succeeded();
    instance.run(&["start", "sharelatex"]).succeeded();
    write(instance, "chat", "the last of it");
    let found = following.until("the last of it");
    let starts = found.iter().filter(|line| line.contains("starting up"));
    assert_eq!(starts.count(), 1, "{found:#?}");
    drop(following);
    wait_until("the follower ends", || followers(instance) == 0);

    // Ctrl-C ends at once, without a word.
    let mut following = Following::new(instance, &["-n", "1", "web"]);
    following.until("web");
    wait_until("the follower starts", || followers(instance) == 1);
    signal(following.child.id(), "INT");
    assert_eq!(following.child.wait().unwrap().code(), Some(130));
    wait_until("the follower ends", || followers(instance) == 0);

    // So does a reader that goes away while nothing is written.
    let mut following = Following::new(instance, &["-n", "1", "clsi"]);
    following.until("clsi");
    following.lines = None;
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
    wait_until("the follower ends", || followers(instance) == 0);
}

/// All lines that a container has written.
fn output(instance: &Instance, service: &str) -> Vec<String> {
    let id = container(instance, service);
    let mut text = Vec::new();
    instance.runtime.block_on(async {
        let mut output = instance.engine.logs(&id, LogRequest::default());
        while let Some(piece) = output.next().await {
            text.extend_from_slice(&piece.unwrap().into_bytes());
        }
    });
    let text = String::from_utf8(text).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn a_container_is_followed_through_stops_and_recreations_without_loss_or_doubling() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let mut following = Following::new(&instance, &["-n", "all", "--format", "raw", "sharelatex"]);
    let mut found = following.until("ready");
    let mut expected = Vec::new();
    for round in 0..3 {
        write(
            &instance,
            "container?count=300",
            &format!("round {round} line"),
        );
        instance.run(&["stop", "sharelatex"]).succeeded();
        // The same container goes on once before it is made anew.
        if round == 1 {
            instance.run(&["start", "sharelatex"]).succeeded();
            write(&instance, "container?count=300", "after the start");
            instance.run(&["stop", "sharelatex"]).succeeded();
        }
        expected.extend(output(&instance, "sharelatex"));
        instance
            .run(&["up", "--force-recreate", "sharelatex"])
            .succeeded();
    }
    write(&instance, "container", "the very end");
    expected.extend(output(&instance, "sharelatex"));
    found.extend(following.until("the very end"));
    assert_eq!(found, expected);
}

#[test]
fn a_mounted_folder_is_read_without_the_engine() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let rc = "config/overleaf.rc";
    instance.sandbox.replace(
        rc,
        "# OVERLEAF_LOG_PATH=data/log",
        "OVERLEAF_LOG_PATH=data/log",
    );
    instance.run(&["up"]).succeeded();
    write(&instance, "web?count=1000", "line");
    let ran = instance
        .run(&["logs", "-n", "all", "--format", "raw", "web"])
        .succeeded();
    let mut file = String::new();
    let path = instance.sandbox.root().join("data/log/web.log");
    std::fs::File::open(&path)
        .unwrap()
        .read_to_string(&mut file)
        .unwrap();
    assert_eq!(ran.stdout, file);
    let ran = instance
        .run(&["logs", "-n", "2", "--format", "raw", "web"])
        .succeeded();
    assert!(file.ends_with(&ran.stdout) && ran.stdout.lines().count() == 2);

    // Followed with another source, across a recreation: the file stays, and no line comes twice.
    let mut following = Following::new(&instance, &["-n", "1", "--format", "raw", "web", "redis"]);
    following.until("");
    instance
        .run(&["up", "--force-recreate", "sharelatex"])
        .succeeded();
    write(&instance, "web?count=100", "after");
    let found = following.until("after 100");
    assert_eq!(numbered(&found, "after"), (1..=100).collect::<Vec<u32>>());
    assert_eq!(numbered(&found, "\"line"), Vec::<u32>::new());

    // A file that comes later is followed from its first line.
    drop(following);
    let mut following = Following::new(&instance, &["--format", "json"]);
    write(&instance, "web", "it is followed");
    following.until("it is followed");
    std::fs::write(path.with_file_name("late.log"), "first\nsecond\n").unwrap();
    let found = following.until("second");
    let late = found.iter().filter(|line| line.contains("\"late\""));
    assert_eq!(late.count(), 2, "{found:#?}");

    // One whose service has written nothing is waited for.
    drop(following);
    std::fs::remove_file(path.with_file_name("notifications.log")).unwrap();
    let mut command = instance.sandbox.command(&["logs", "-f", "notifications"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut following = Following {
        child,
        lines: Some(lines),
    };
    assert_eq!(
        said.next().unwrap().unwrap(),
        "`notifications` has no log yet"
    );
    std::fs::write(path.with_file_name("notifications.log"), "a beginning\n").unwrap();
    following.until("a beginning");

    // Without its container the files are still there.
    drop(following);
    instance.run(&["down"]).succeeded();
    let ran = instance
        .run(&["logs", "-n", "1", "--grep", "after", "web"])
        .succeeded();
    assert!(ran.stdout.contains("after 100"), "{}", ran.all());
    let ran = instance.run(&["logs", "redis"]).ended_with(1);
    assert!(
        ran.stderr.contains("`redis` has no container")
            && ran.stderr.contains("fix:     toolkit up"),
        "{}",
        ran.all()
    );
    // What this edition does not have is not waited for.
    let ran = instance.run(&["logs", "-f", "references"]).ended_with(2);
    assert!(
        ran.stderr.contains("Community Edition has no `references`"),
        "{}",
        ran.all()
    );
}
