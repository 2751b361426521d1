//! `doctor` and the flags that pass a check, without an engine; and the reference of the checks.

use std::net::TcpListener;

use bson::doc;
use serde_json::Value;
use toolkit::check::row;

use super::sandbox::{Ran, Sandbox, project};
use super::{servers_mongo, servers_redis};

/// An endpoint where nothing listens.
const NO_ENGINE: &str = "unix:///nonexistent/engine.sock";

fn without_engine(flags: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new().environment("DOCKER_HOST", NO_ENGINE);
    let flags = [&["init", "--no-input"], flags].concat();
    sandbox.run(&flags).succeeded();
    sandbox
}

fn answer(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

fn check<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let checks = answer["data"]["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap()
}

#[test]
fn the_doctor_works_without_an_engine() {
    let sandbox = without_engine(&[]);
    let ran = sandbox.run(&["doctor"]).ended_with(6);
    assert_eq!(ran.stderr, "");
    for expected in [
        "!! ENGINE_UNREACHABLE",
        "     because: no container engine answers at `unix:///nonexistent/engine.sock`",
        "     fix:     start the engine, or point DOCKER_HOST at one: systemctl start docker",
        "not checked: the engine cannot be asked",
        "ok VARIABLE_MISSING",
        "\n1 blocking failure, ",
    ] {
        assert!(ran.stdout.contains(expected), "{expected}\n{}", ran.all());
    }
    assert!(!ran.stdout.contains("not needed"), "{}", ran.all());
    let ran = sandbox.run(&["doctor", "--all"]).ended_with(6);
    assert!(ran.stdout.contains("not needed"), "{}", ran.all());

    let ran = sandbox.run(&["doctor", "--format", "json"]).ended_with(6);
    let answer = answer(&ran);
    assert_eq!(answer["schema"], "toolkit.doctor/v1");
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["error"]["id"], "ENGINE_UNREACHABLE");
    assert_eq!(answer["error"]["exit"], 6);
    assert_eq!(answer["data"]["blocking"], 1);
    let engine = check(&answer, "ENGINE_UNREACHABLE");
    assert_eq!(engine["outcome"], "failed");
    let fix = &engine["findings"][0]["fix"][0];
    assert_eq!(fix["command"], "systemctl start docker");
    assert_eq!(check(&answer, "PORT_TAKEN")["outcome"], "not-checked");
    assert_eq!(check(&answer, "SPACE_DATA")["outcome"], "passed");
    let all = row::load().unwrap().checks.len();
    assert_eq!(answer["data"]["checks"].as_array().unwrap().len(), all);
}

#[test]
fn several_failures_come_in_one_run() {
    let sandbox = without_engine(&[]);
    sandbox.replace(
        "config/overleaf.rc",
        "REDIS_DATA_PATH=data/redis\n",
        "REDIS_DATA_PATH=data/mongo\n",
    );
    let secret = sandbox.read("config/variables.env");
    let line = secret
        .lines()
        .find(|line| line.starts_with("OVERLEAF_INVITE_TOKEN_SECRET="))
        .unwrap();
    sandbox.replace("config/variables.env", line, "");
    let ran = sandbox.run(&["doctor"]).ended_with(6);
    for id in [
        "ENGINE_UNREACHABLE",
        "VARIABLE_MISSING",
        "DATA_PATH_OVERLAP",
    ] {
        assert!(ran.stdout.contains(&format!("!! {id}")), "{}", ran.all());
    }
    assert!(
        ran.stdout.contains("\n3 blocking failures, "),
        "{}",
        ran.all()
    );
    let flags = [
        "--ignore",
        "variable_missing",
        "--ignore",
        "DATA_PATH_OVERLAP",
    ];
    let reason = ["--reason", "set in the image"];
    let ran = sandbox
        .run(&[&["doctor"], &flags[..], &reason].concat())
        .ended_with(6);
    assert!(
        ran.stdout.contains("\n1 blocking failure, "),
        "{}",
        ran.all()
    );
    assert!(
        ran.stdout.contains("ignored: set in the image"),
        "{}",
        ran.all()
    );
    assert!(ran.stdout.contains("2 ignored"), "{}", ran.all());
}

#[test]
fn what_cannot_be_ignored_is_a_mistake_of_usage() {
    let sandbox = without_engine(&[]);
    for (flags, expected) in [
        (
            &["--ignore", "PORT_TAKN", "--reason", "x"][..],
            "error[USAGE]: there is no check `PORT_TAKN`\n  state:   nothing was changed\n  fix:     did you mean `PORT_TAKEN`?\n",
        ),
        (
            &["--ignore", "PROJECT_NAME_TAKEN", "--reason", "x"],
            "error[USAGE]: the check `PROJECT_NAME_TAKEN` cannot be ignored\n",
        ),
        (
            &["--ignore", "PORT_TAKEN"],
            "  fix:     say why: --reason TEXT",
        ),
        (
            &["--reason", "x"],
            "  fix:     name the check: --ignore CHECK",
        ),
    ] {
        for command in ["up", "plan", "doctor"] {
            let ran = sandbox.run(&[&[command], flags].concat()).ended_with(2);
            assert!(ran.stderr.contains(expected), "{}", ran.all());
        }
    }
}

/// Makes the stores external.
fn with_stores(sandbox: &Sandbox, mongo: u16, redis: u16) {
    let rc = sandbox.read("config/overleaf.rc");
    let names = [
        "MONGO_ENABLED=",
        "MONGO_URL=",
        "REDIS_ENABLED=",
        "REDIS_HOST=",
        "REDIS_PORT=",
    ];
    let kept = rc
        .lines()
        .filter(|line| !names.iter().any(|name| line.starts_with(name)));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    let own = format!(
        "MONGO_ENABLED=false\nMONGO_URL=mongodb://127.0.0.1:{mongo}/sharelatex\nREDIS_ENABLED=false\nREDIS_HOST=127.0.0.1\nREDIS_PORT={redis}\n"
    );
    sandbox.write("config/overleaf.rc", &format!("{kept}{own}"));
}

/// What `doctor` finds out, as a person's script reads it.
fn examined(sandbox: &Sandbox) -> Value {
    let ran = sandbox.run(&["doctor", "--format", "json"]).ended_with(6);
    assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    answer(&ran)
}

#[test]
fn external_stores_that_are_gone_are_named_without_their_passwords() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let sandbox = without_engine(&[]);
    with_stores(&sandbox, port, port);
    sandbox.replace("config/overleaf.rc", "mongodb://", "mongodb://me:hunter2@");
    let answer = examined(&sandbox);
    for id in ["MONGO_UNREACHABLE", "REDIS_UNREACHABLE"] {
        let found = check(&answer, id);
        assert_eq!(found["outcome"], "failed", "{found}");
        let finding = &found["findings"][0];
        let message = finding["message"].as_str().unwrap();
        assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
        let because = finding["because"].as_str().unwrap();
        assert!(because.contains("refused"), "{because}");
    }
    assert_eq!(
        check(&answer, "MONGO_REPLICA_SET")["outcome"],
        "not-checked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn external_stores_that_answer_are_measured() {
    let (mongo_data, redis_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mongo = servers_mongo::Running::start(mongo_data.path(), Some("overleaf")).await;
    let redis =
        servers_redis::Running::start(servers_redis::options(redis_data.path(), false)).await;
    let ports = (mongo.address.port(), redis.address.port());
    let look = move || {
        let sandbox = without_engine(&[]);
        with_stores(&sandbox, ports.0, ports.1);
        examined(&sandbox)
    };
    let answer = tokio::task::spawn_blocking(look).await.unwrap();
    let set = check(&answer, "MONGO_REPLICA_SET");
    assert_eq!(set["measured"], "no replica set", "{set}");

    let member = doc! { "_id": 0, "host": "mongo:27017" };
    let command = doc! { "replSetInitiate": { "_id": "overleaf", "members": [member] } };
    mongo.admin(command).await.unwrap();
    let answer = tokio::task::spawn_blocking(look).await.unwrap();
    for id in [
        "MONGO_UNREACHABLE",
        "MONGO_REPLICA_SET",
        "MONGO_TOO_OLD",
        "MONGO_COMPATIBILITY",
        "REDIS_UNREACHABLE",
        "REDIS_TOO_OLD",
    ] {
        let found = check(&answer, id);
        assert_eq!(found["outcome"], "passed", "{found}");
    }
}

/// A small filesystem in memory, unmounted when it goes out of scope.
struct Small {
    at: std::path::PathBuf,
}

impl Small {
    /// Mounts it; `None` for users who may not.
    fn mount(at: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let small = Self { at };
        let options = ["-t", "tmpfs", "-o", "size=2m,nr_inodes=50", "tmpfs"];
        small.run("mount", &options).then_some(small)
    }

    fn run(&self, program: &str, options: &[&str]) -> bool {
        let mut command = std::process::Command::new(program);
        let output = command.args(options).arg(&self.at).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.run("umount", &[]);
    }
}

#[test]
fn a_disk_that_is_full_or_takes_no_writes_is_named() {
    let sandbox = without_engine(&[]);
    let Some(small) = Small::mount(sandbox.root().join("data/redis")) else {
        eprintln!("skipped: this user may not mount a filesystem");
        return;
    };
    let answer = examined(&sandbox);
    for (id, measured) in [
        ("SPACE_DATA", "2 MiB free"),
        ("SPACE_FILES", "49 files"),
        ("DATA_PATH_VOLATILE", "tmpfs"),
    ] {
        let found = check(&answer, id);
        assert_eq!(found["outcome"], "failed", "{found}");
        assert_eq!(found["measured"], measured);
    }
    let space = &check(&answer, "SPACE_DATA")["findings"][0];
    let text = space["message"].as_str().unwrap();
    assert!(text.contains("/data/redis` has 2 MiB left"), "{text}");
    assert_eq!(check(&answer, "DATA_PATH_READ_ONLY")["outcome"], "passed");
    assert!(small.run("mount", &["-o", "remount,ro"]));
    let answer = examined(&sandbox);
    let found = check(&answer, "DATA_PATH_READ_ONLY");
    assert_eq!(found["outcome"], "failed", "{found}");
}

/// The reference is made of the rows: `TOOLKIT_UPDATE_DOCS=1` writes it.
#[test]
fn the_reference_lists_every_check() {
    let file = project().join("docs/checks.md");
    let reference = row::reference(&row::load().unwrap());
    if std::env::var_os("TOOLKIT_UPDATE_DOCS").is_some() {
        std::fs::write(&file, &reference).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), reference);
}
