//! What answers in place of Docker Compose, on an instance of the bundled servers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::instance::Instance;

#[test]
fn docker_compose_is_answered_where_it_is_not_installed() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    // No program is found here, so no Docker Compose either.
    let run = |arguments: &[&str]| {
        instance.note_volumes();
        let output = instance
            .sandbox
            .command(&[&["docker-compose"], arguments].concat())
            .env("PATH", instance.sandbox.root())
            .output()
            .unwrap();
        instance.sandbox.ran(&output)
    };
    run(&["up", "-d"]).succeeded();
    let ids = run(&["ps", "-q"]).succeeded().stdout;
    let mut found: Vec<String> = ids.lines().map(str::to_owned).collect();
    let mut expected: Vec<String> = instance.ids().into_iter().map(|(_, id)| id).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let listed = run(&["ps", "redis"]).succeeded().stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("NAME "), "{listed}");
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[1].contains(" Up "), "{listed}");
    let rows = run(&["ps", "--format", "json"]).succeeded().stdout;
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), expected.len());
    for row in &rows {
        assert_eq!(row["State"], "running", "{row}");
        assert_eq!(row["Project"], instance.project.as_str(), "{row}");
        assert!(
            expected
                .iter()
                .any(|id| id.starts_with(row["ID"].as_str().unwrap()))
        );
    }
    let as_json = |command: &str| {
        let output = instance
            .sandbox
            .command(&["--format", "json", "docker-compose", command])
            .env("PATH", instance.sandbox.root())
            .output()
            .unwrap();
        instance.sandbox.ran(&output).succeeded().stdout
    };
    let answer: Value = serde_json::from_str(&as_json("ps")).unwrap();
    assert_eq!(answer["schema"], "toolkit.docker-compose-ps/v1");
    assert_eq!(
        answer["data"]["containers"].as_array().unwrap().len(),
        rows.len()
    );
    let services = run(&["config", "--services"]).succeeded().stdout;
    let mut of_rows: Vec<&str> = rows
        .iter()
        .map(|row| row["Service"].as_str().unwrap())
        .collect();
    of_rows.sort_unstable();
    assert_eq!(services.lines().collect::<Vec<_>>(), of_rows);
    for words in [["--version"], ["version"]] {
        let version = run(&words).succeeded().stdout;
        assert!(version.starts_with("toolkit "), "{version}");
    }
    let top = run(&["top", "redis"]).succeeded().stdout;
    assert!(top.contains("redis"), "{top}");
    // What the files in the container of the application say is not for Docker Compose.
    run(&["logs"]).succeeded();
    let writers: BTreeSet<String> = as_json("logs")
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["service"].as_str().unwrap().to_owned()
        })
        .collect();
    let all: BTreeSet<String> = of_rows.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(writers, all);
    let logs = run(&["logs", "--tail=1", "redis"]).succeeded().stdout;
    assert_eq!(logs.lines().count(), 1, "{logs}");
    let said = run(&["exec", "-T", "redis", "sh", "-c", "echo $0; exit 5", "-f"]);
    assert_eq!(said.ended_with(5).stdout, "-f\n");
    run(&["pull", "-q", "redis"]).succeeded();
    let started = || {
        let found = instance.containers().into_iter();
        let mut redis = found.filter(|found| found.service == "redis");
        redis.next().unwrap().started_at
    };
    let before = started();
    run(&["restart", "-t", "5", "redis"]).succeeded();
    assert_ne!(started(), before);
    run(&["stop", "-t", "5", "redis"]).succeeded();
    assert_eq!(run(&["ps", "-q", "redis"]).succeeded().stdout, "");
    assert_eq!(
        run(&["ps", "-aq", "redis"])
            .succeeded()
            .stdout
            .lines()
            .count(),
        1
    );
    run(&["start", "redis"]).succeeded();
    assert_eq!(
        run(&["ps", "-q", "redis"])
            .succeeded()
            .stdout
            .lines()
            .count(),
        1
    );
    run(&["stop", "--timeout=5", "redis"]).succeeded();
    // One that is killed leaves a way back that takes nothing else down.
    let before = instance.ids();
    let killed = instance
        .sandbox
        .command(&["docker-compose", "rm", "-fs", "mongo"])
        .env("PATH", instance.sandbox.root())
        .env("TOOLKIT_DIE_AT_RECORD", "3")
        .output()
        .unwrap();
    assert_eq!(killed.status.code(), None);
    instance.run(&["rollback", "--yes"]).succeeded();
    assert_eq!(instance.ids(), before);
    // Nobody can be asked, and the rest is not touched.
    run(&["rm", "redis"]).ended_with(2);
    run(&["rm", "-f", "redis"]).succeeded();
    run(&["rm", "-f"]).succeeded();
    assert_eq!(instance.containers().len(), expected.len() - 1);
    let ran = run(&["rm", "-fsv"]).succeeded();
    assert!(
        ran.stderr.contains("anonymous volumes stay"),
        "{}",
        ran.all()
    );
    assert_eq!(instance.containers(), []);
    let networks = instance
        .runtime
        .block_on(toolkit::engine::Engine::networks(
            &instance.engine,
            &format!("{}_default", instance.project),
        ))
        .unwrap();
    assert_eq!(networks.len(), 1, "the network stays");
    run(&["down", "--remove-orphans", "-t", "5"]).succeeded();
}
