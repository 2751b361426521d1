//! What answers in place of Docker Compose, on an instance of the bundled servers.

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
    let top = run(&["top", "redis"]).succeeded().stdout;
    assert!(top.contains("redis"), "{top}");
    run(&["stop", "redis"]).succeeded();
    assert_eq!(run(&["ps", "-q", "redis"]).succeeded().stdout, "");
    assert_eq!(
        run(&["ps", "-aq", "redis"])
            .succeeded()
            .stdout
            .lines()
            .count(),
        1
    );
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
    run(&["rm", "-fs"]).succeeded();
    assert_eq!(instance.containers(), []);
    let networks = instance
        .runtime
        .block_on(toolkit::engine::Engine::networks(
            &instance.engine,
            &format!("{}_default", instance.project),
        ))
        .unwrap();
    assert_eq!(networks.len(), 1, "the network stays");
    run(&["down", "--remove-orphans"]).succeeded();
}
