//! Killed at every record of its journal, an `up`, `down` or `restart` leaves what the next `up`
//! makes equal to an undisturbed run; and what is not ours stays as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use toolkit::bundled;
use toolkit::labels;

use super::instance::{Instance, signal};
use super::raw;

/// How many records the journal of the running operation holds.
fn records(journal: &Path) -> usize {
    let text = std::fs::read(journal).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// Runs a command and kills it once its journal holds so many records; gives the number that it
/// holds then, `None` when the command ended before.
pub fn killed(instance: &Instance, command: &str, wanted: usize) -> Option<usize> {
    instance.note_volumes();
    let journal = instance.sandbox.root().join(".toolkit/journal");
    let mut child = instance
        .sandbox
        .command(&[command, "--progress", "none"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while records(&journal) < wanted {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::yield_now();
    }
    signal(child.id(), "KILL");
    child.wait().unwrap();
    // The journal of an operation that ends in order is closed, and then moves away.
    let text = std::fs::read_to_string(&journal).unwrap_or_default();
    let is_closed = text.contains(r#"{"record":"close""#);
    Some(records(&journal)).filter(|found| *found > 0 && !is_closed)
}

/// What counts of the containers and networks of a project: everything but what a new container or
/// a new start always changes.
fn essence(instance: &Instance) -> BTreeMap<String, Value> {
    let containers = instance.containers().into_iter().map(|found| {
        let seen = json!({
            "service": found.service,
            "image": found.image_id,
            "state": format!("{:?}", found.state),
            "health": format!("{:?}", found.health),
            "hash": found.labels.get(labels::CONFIG_HASH),
            "number": found.labels.get(labels::CONTAINER_NUMBER),
            "networks": found.addresses.keys().collect::<Vec<_>>(),
            "ports": format!("{:?}", found.ports),
            "variables": found.environment.0.keys().collect::<Vec<_>>(),
        });
        (format!("container {}", found.name), seen)
    });
    let name = format!("{}_default", instance.project);
    let filters = json!({ "name": [name] }).to_string();
    let path = format!("/networks?filters={}", encoded(&filters));
    let (status, answer) = raw::request(&raw::socket(), "GET", &path, b"");
    assert_eq!(status, 200);
    let networks: Vec<Value> = serde_json::from_slice(&answer).unwrap();
    let mut all: BTreeMap<String, Value> = containers.collect();
    all.insert("networks".to_owned(), json!(networks.len()));
    all
}

/// A text as part of a URL.
fn encoded(text: &str) -> String {
    let bytes = text.bytes();
    bytes
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Everything beside the instance that nobody may touch: a container that runs, one that does not,
/// a network, a volume and a file, each with a name that looks like ours.
struct Witness {
    name: String,
    file: PathBuf,
    before: Value,
}

impl Witness {
    fn new(instance: &Instance) -> Self {
        let name = format!("{}-witness", instance.project);
        let image = format!("toolkit-bundled/redis:{}", bundled::TAG);
        let file = instance.sandbox.root().join("data/witness");
        let mut witness = Self {
            name,
            file,
            before: Value::Null,
        };
        std::fs::create_dir_all(witness.file.parent().unwrap()).unwrap();
        std::fs::write(&witness.file, "seen").unwrap();
        let name = witness.name.clone();
        raw::order(
            "POST",
            "/networks/create",
            &json!({ "Name": name }).to_string(),
        );
        raw::order(
            "POST",
            "/volumes/create",
            &json!({ "Name": name }).to_string(),
        );
        for (container, starts) in [(name.clone(), true), (format!("{name}-still"), false)] {
            let body = json!({
                "Image": image,
                "Labels": { "witness": "yes" },
                // Its runs would leave traces of their own.
                "Healthcheck": { "Test": ["NONE"] },
                "HostConfig": {
                    "NetworkMode": name,
                    "Mounts": [{ "Type": "volume", "Source": name, "Target": "/witness" }],
                },
            });
            let path = format!("/containers/create?name={container}");
            raw::order("POST", &path, &body.to_string());
            if starts {
                raw::order("POST", &format!("/containers/{container}/start"), "");
            }
        }
        witness.before = witness.look();
        witness
    }

    fn look(&self) -> Value {
        let get = |path: String| -> Value {
            let (status, answer) = raw::request(&raw::socket(), "GET", &path, b"");
            assert_eq!(status, 200, "{path}");
            serde_json::from_slice(&answer).unwrap()
        };
        let name = &self.name;
        let metadata = std::fs::metadata(&self.file).unwrap();
        json!({
            "runs": get(format!("/containers/{name}/json")),
            "still": get(format!("/containers/{name}-still/json")),
            "network": get(format!("/networks/{name}")),
            "volume": get(format!("/volumes/{name}")),
            "file": std::fs::read_to_string(&self.file).unwrap(),
            "changed": format!("{:?}", metadata.modified().unwrap()),
        })
    }

    fn check(&self) {
        let mut changed = Vec::new();
        differences("", &self.before, &self.look(), &mut changed);
        assert_eq!(changed, [] as [String; 0], "beside the instance");
    }
}

/// The paths at which two values differ, with what was and what is.
fn differences(path: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(old), Value::Object(new)) if old.keys().eq(new.keys()) => {
            for (key, value) in old {
                differences(&format!("{path}.{key}"), value, &new[key], found);
            }
        }
        _ if before == now => {}
        _ => found.push(format!("{path}: {before} is now {now}")),
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let name = &self.name;
        for path in [
            format!("/containers/{name}?force=true&v=true"),
            format!("/containers/{name}-still?force=true&v=true"),
            format!("/networks/{name}"),
            format!("/volumes/{name}"),
        ] {
            // Clean-up goes on whatever fails.
            let _ = raw::request(&raw::socket(), "DELETE", &path, b"");
        }
    }
}

/// Kills a command at every record of its journal, from the same beginning each time, and compares
/// what the next `up` makes of it.
fn kill_everywhere(command: &str, prepare: &[&str], least: usize) -> usize {
    let Some(instance) = Instance::new(&[]) else {
        return 0;
    };
    instance.run(&["up"]).succeeded();
    let expected = essence(&instance);
    let witness = Witness::new(&instance);
    let mut wanted = 1;
    let mut kills = 0;
    loop {
        instance.run(prepare).succeeded();
        let Some(found) = killed(&instance, command, wanted) else {
            break;
        };
        kills += 1;
        wanted = found + 1;
        let refused = instance.run(&["stop"]).ended_with(15);
        assert!(
            refused.stderr.starts_with("error[UNFINISHED_OPERATION]"),
            "{}",
            refused.stderr
        );
        instance.run(&["up"]).succeeded();
        assert_eq!(essence(&instance), expected, "killed behind record {found}");
        assert_eq!(instance.planned(), 0, "killed behind record {found}");
        witness.check();
    }
    assert!(kills >= least, "`{command}` was killed {kills} times only");
    instance.run(&["up"]).succeeded();
    assert_eq!(essence(&instance), expected);
    kills
}

#[test]
fn an_up_that_is_killed_at_any_record_is_finished_by_the_next() {
    let kills = kill_everywhere("up", &["down"], 6);
    println!("killed {kills} times");
}

#[test]
fn a_down_that_is_killed_at_any_record_is_mended_by_an_up() {
    let kills = kill_everywhere("down", &["up"], 4);
    println!("killed {kills} times");
}

#[test]
fn a_restart_that_is_killed_at_any_record_is_mended_by_an_up() {
    let kills = kill_everywhere("restart", &["up"], 4);
    println!("killed {kills} times");
}

#[test]
fn a_killed_run_is_resumed_or_rolled_back() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    assert!(killed(&instance, "up", 5).is_some());
    instance.run(&["rollback"]).succeeded();
    assert_eq!(instance.ids(), [], "nothing stood before");
    assert!(killed(&instance, "up", 9).is_some());
    instance.run(&["resume"]).succeeded();
    assert_eq!(instance.planned(), 0);
    let before = essence(&instance);
    assert!(killed(&instance, "down", 5).is_some());
    instance.run(&["rollback"]).succeeded();
    assert_eq!(essence(&instance), before);
}
