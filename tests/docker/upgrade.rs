//! `toolkit upgrade` on the real engine.

use super::instance::{Instance, Remover};

#[test]
fn an_upgrade_writes_the_release_only_after_a_yes_and_brings_it_up() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let _remover = Remover {
        runtime: &instance.runtime,
        engine: &instance.engine,
        project: &instance.project,
    };
    instance.sandbox.write("config/version", "6.2.1\n");
    instance.run(&["up"]).succeeded();
    let version = || instance.sandbox.read("config/version");
    let ran = instance.run(&["upgrade", "--to", "6.2.2", "--dry-run"]);
    let ran = ran.succeeded();
    assert!(ran.stdout.contains("+6.2.2"), "{}", ran.stdout);
    assert_eq!(version(), "6.2.1\n");
    instance
        .run(&["upgrade", "--to", "6.2.2", "--no-input"])
        .ended_with(2);
    assert_eq!(version(), "6.2.1\n");
    instance
        .run(&["upgrade", "--to", "6.2.2", "--yes"])
        .succeeded();
    assert_eq!(version(), "6.2.2\n");
    assert_eq!(instance.sandbox.read("config/version.bak"), "6.2.1\n");
    assert_eq!(instance.plan(), "");
}
