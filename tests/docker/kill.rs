//! Killed right after every record of its journal, an `up`, `down` or `restart` leaves what the next
//! `up` makes equal to an undisturbed run; and what is not ours stays as it is.
//!
//! Each record is met exactly: a debug build kills itself when its journal holds as many as
//! `TOOLKIT_DIE_AT_RECORD` says. The walks go over two small services that need every kind of step
//! but those of mongo and of the bundled images; a few points of the whole deployment come on top.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use toolkit::bundled;
use toolkit::engine::Engine;
use toolkit::journal;
use toolkit::labels;

use super::instance::Instance;
use super::raw;
use super::raw::Removed;

/// Number of the signal that nobody can handle.
const KILL: i32 = 9;

/// Runs a command that is killed as soon as its journal holds so many records; `None` when it came to
/// its end before.
pub fn killed(instance: &Instance, command: &str, record: usize) -> Option<usize> {
    killed_with(instance, &[command], record)
}

/// As [`killed`], for a command with arguments.
pub fn killed_with(instance: &Instance, arguments: &[&str], record: usize) -> Option<usize> {
    instance.note_volumes();
    let output = instance
        .sandbox
        .command(&[arguments, &["--progress", "none"]].concat())
        .env("TOOLKIT_DIE_AT_RECORD", record.to_string())
        .output()
        .unwrap();
    let is_killed = output.status.signal() == Some(KILL);
    if !is_killed {
        instance.sandbox.ran(&output).succeeded();
    }
    is_killed.then_some(record)
}

const OVERRIDE: &str = "config/docker-compose.override.yml";

/// Two services on the image of the bundled redis, with a folder, a volume, two networks and a wait
/// between them. Nothing needs the others, which are off.
const SMALL: &str = r#"
services:
  sharelatex: {profiles: [aside]}
  mongo: {profiles: [aside]}
  redis:
    environment: {COLOUR: FIRST}
    healthcheck: {test: [CMD, /toolkit, serve, redis, --check], interval: 200ms, retries: 100}
  second:
    image: IMAGE
    command: [redis-server, --dir, /tmp]
    depends_on: {redis: {condition: service_healthy, restart: true}}
    healthcheck: {disable: true}
    volumes: [kept:/kept]
    networks: [default, back]
networks: {back: {internal: true}}
volumes: {kept: }
"#;

/// An instance of two small services.
pub struct Small {
    // Goes first: it uses what is removed with the other.
    pub instance: Instance,
    _ground: [Removed; 2],
}

impl Small {
    pub fn new() -> Option<Self> {
        let instance = Instance::new(&[])?;
        let project = &instance.project;
        let ground = [
            format!("/networks/{project}_back"),
            format!("/volumes/{project}_kept"),
        ];
        let small = Self {
            instance,
            _ground: ground.map(Removed),
        };
        small.paint("blue");
        Some(small)
    }

    /// Changes a setting of one of them.
    pub fn paint(&self, colour: &str) {
        let image = format!("toolkit-bundled/redis:{}", bundled::TAG);
        self.define(colour, &image);
    }

    /// Changes a setting of the one, and the image of the other.
    pub fn define(&self, colour: &str, image: &str) {
        let text = SMALL.replace("IMAGE", image).replace("FIRST", colour);
        self.instance.sandbox.write(OVERRIDE, &text);
    }

    /// Takes everything away, as if there had never been an `up`.
    fn wipe(&self) {
        wipe(&self.instance, &["_default", "_back"], &["redis"]);
        let path = format!("/volumes/{}_kept", self.instance.project);
        let (status, _) = raw::request(&raw::socket(), "DELETE", &path, b"");
        assert!(matches!(status, 204 | 404), "{status}");
    }
}

/// Removes containers, networks and the folders of data with these names, and the state.
fn wipe(instance: &Instance, networks: &[&str], folders: &[&str]) {
    instance.note_volumes();
    for container in instance.containers() {
        let path = format!("/containers/{}?force=true", container.id);
        raw::order("DELETE", &path, "");
    }
    for network in networks {
        let path = format!("/networks/{}{network}", instance.project);
        let (status, _) = raw::request(&raw::socket(), "DELETE", &path, b"");
        assert!(matches!(status, 204 | 404), "{status}");
    }
    let root = instance.sandbox.root();
    let folders = folders.iter().map(|name| root.join("data").join(name));
    for folder in folders.chain([root.join(".toolkit")]) {
        if folder.exists() {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
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
    let mut all: BTreeMap<String, Value> = containers.collect();
    for name in ["default", "back"] {
        let name = format!("{}_{name}", instance.project);
        let found = instance.runtime.block_on(instance.engine.networks(&name));
        all.insert(format!("network {name}"), json!(found.unwrap().len()));
    }
    all
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

/// How an instance is brought to its beginning before each kill; it is told the number of the round.
type Prepare<'a> = &'a dyn Fn(usize);

/// Kills a command at every record of its journal, and compares what the next `up` makes of it with
/// what stood after an undisturbed one, of which there may be several in turn. Gives the number of
/// records.
fn walk(
    instance: &Instance,
    witness: &Witness,
    command: &str,
    expected: &[BTreeMap<String, Value>],
    prepare: Prepare<'_>,
) -> usize {
    let state = instance.sandbox.root().join(".toolkit");
    for record in 1.. {
        prepare(record);
        let expected = &expected[(record - 1) % expected.len()];
        if killed(instance, command, record).is_none() {
            instance.run(&["up"]).succeeded();
            assert_eq!(essence(instance), *expected);
            return record - 1;
        }
        let is_closed = std::fs::read_to_string(state.join("journal"))
            .unwrap()
            .contains(r#"{"record":"close""#);
        let unfinished = journal::unfinished(&state).unwrap();
        assert_eq!(unfinished.is_none(), is_closed, "record {record}");
        mend(
            instance,
            witness,
            expected,
            &format!("`{command}` killed at record {record}"),
        );
        // What is equal needs no plan; asked at every other record, as each run takes its time.
        if record % 2 == 0 {
            assert_eq!(instance.planned(), 0, "record {record}");
        }
    }
    unreachable!("a journal has an end")
}

/// The next `up` makes of what stands what an undisturbed one makes of nothing.
fn mend(instance: &Instance, witness: &Witness, expected: &BTreeMap<String, Value>, when: &str) {
    instance.run(&["up"]).succeeded();
    assert_eq!(essence(instance), *expected, "{when}");
    witness.check();
}

/// Whether the program can be killed at a record; a release build cannot.
fn is_mortal() -> bool {
    cfg!(debug_assertions)
}

#[test]
fn an_up_that_is_killed_at_any_record_is_finished_by_the_next() {
    let Some(small) = Small::new().filter(|_| is_mortal()) else {
        return;
    };
    let instance = &small.instance;
    instance.run(&["up"]).succeeded();
    let expected = [essence(instance)];
    let witness = Witness::new(instance);
    let records = walk(instance, &witness, "up", &expected, &|_| small.wipe());
    // A folder, two networks, a volume, two containers made and started, a wait.
    assert_eq!(records, 2 + 2 * 9);
}

#[test]
fn a_changed_up_that_is_killed_at_any_record_is_finished_by_the_next() {
    let Some(small) = Small::new().filter(|_| is_mortal()) else {
        return;
    };
    let instance = &small.instance;
    let colours = ["red", "blue"];
    let expected = colours.map(|colour| {
        small.paint(colour);
        instance.run(&["up"]).succeeded();
        essence(instance)
    });
    let witness = Witness::new(instance);
    let prepare = |round: usize| small.paint(colours[(round - 1) % 2]);
    let records = walk(instance, &witness, "up", &expected, &prepare);
    // One is made, another stops, the one takes its predecessor's place, is waited for, and the other
    // starts again.
    assert_eq!(records, 2 + 2 * 8);
}

#[test]
fn a_down_or_restart_that_is_killed_at_any_record_is_mended_by_an_up() {
    let Some(small) = Small::new().filter(|_| is_mortal()) else {
        return;
    };
    let instance = &small.instance;
    instance.run(&["up"]).succeeded();
    let expected = [essence(instance)];
    let witness = Witness::new(instance);
    let nothing = |_| {};
    let records = walk(instance, &witness, "down", &expected, &nothing);
    assert_eq!(records, 2 + 2 * 6, "two containers, two networks");
    let records = walk(instance, &witness, "restart", &expected, &nothing);
    assert_eq!(records, 2 + 2 * 5, "two containers and a wait");
}

/// The whole deployment has what the small one lacks: a replica set that is initiated, ports, probes.
#[test]
fn an_up_of_everything_that_is_killed_is_finished_by_the_next() {
    let Some(instance) = Instance::new(&[]).filter(|_| is_mortal()) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let expected = essence(&instance);
    let witness = Witness::new(&instance);
    let text = instance.sandbox.read(".toolkit/journal.last");
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let steps = &records[0]["operation"]["steps"];
    let steps: Vec<&str> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step.as_str().unwrap())
        .collect();
    let of = |title: &str| {
        steps
            .iter()
            .position(|step| step.starts_with(title))
            .unwrap()
    };
    let begun = |title: &str| {
        let step = of(title);
        let is_it = |found: &Value| found["record"] == "intent" && found["step"] == step;
        records.iter().position(is_it).unwrap() + 1
    };
    for record in [
        begun("initiate replica set"),
        begun("start container"),
        records.len() - 1,
    ] {
        wipe(&instance, &["_default"], &["mongo", "redis", "overleaf"]);
        assert!(killed(&instance, "up", record).is_some());
        mend(
            &instance,
            &witness,
            &expected,
            &format!("killed at record {record}"),
        );
    }
}

#[test]
fn a_restart_that_only_had_to_wait_is_not_done_again() {
    let Some(small) = Small::new().filter(|_| is_mortal()) else {
        return;
    };
    let instance = &small.instance;
    instance.run(&["up"]).succeeded();
    let started = || {
        let all = instance.containers().into_iter();
        all.map(|found| (found.name, found.started_at))
            .collect::<Vec<_>>()
    };
    let journal = || {
        let state = instance.sandbox.root().join(".toolkit");
        journal::unfinished(&state).unwrap()
    };
    instance.run(&["restart"]).succeeded();
    let last = instance.sandbox.read(".toolkit/journal.last");
    // What comes behind the last step closes the journal.
    let through = last.lines().count() - 1;
    assert!(killed(instance, "restart", 2).is_some());
    let before = started();
    instance.run(&["resume"]).succeeded();
    assert_ne!(started(), before);

    assert!(killed(instance, "restart", through).is_some());
    let found = journal().unwrap();
    assert_eq!(found.done.len(), found.operation.steps.len());
    let before = started();
    let ran = instance.run(&["resume"]).succeeded();
    assert!(ran.stderr.contains("`redis` is ready"), "{}", ran.stderr);
    assert_eq!(started(), before);
    assert!(journal().is_none());

    // One that has ended since is started.
    assert!(killed(instance, "restart", through).is_some());
    let name = format!("{}-redis-1", instance.project);
    raw::order("POST", &format!("/containers/{name}/stop?t=0"), "");
    instance.run(&["resume"]).succeeded();
    let now = started();
    let changed = now.iter().filter(|one| !before.contains(one)).count();
    assert_eq!(now.len(), before.len());
    assert!(changed >= 1);
    assert_eq!(instance.planned(), 0);
}

#[test]
fn a_killed_run_is_resumed_or_rolled_back() {
    let Some(small) = Small::new().filter(|_| is_mortal()) else {
        return;
    };
    let instance = &small.instance;
    assert!(killed(instance, "up", 13).is_some());
    assert_ne!(instance.ids(), []);
    let refused = instance.run(&["stop"]).ended_with(15);
    assert!(
        refused.stderr.starts_with("error[UNFINISHED_OPERATION]"),
        "{}",
        refused.stderr
    );
    instance.run(&["rollback"]).succeeded();
    assert_eq!(instance.ids(), [], "nothing stood before");
    assert!(killed(instance, "up", 9).is_some());
    instance.run(&["resume"]).succeeded();
    assert_eq!(instance.planned(), 0);
    let before = essence(instance);
    assert!(killed(instance, "down", 5).is_some());
    instance.run(&["rollback"]).succeeded();
    assert_eq!(essence(instance), before);
}
