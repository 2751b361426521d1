//! Containers beside others: in their network, linked to them, paused, with memory that is shared or not.

use serde_json::{Value, json};

use super::drift::{drift, one};
use super::instance::Instance;
use super::raw;

/// An instance of made-up services, in which a program of the bundled image sleeps.
struct Sleepers {
    instance: Instance,
    image: String,
}

impl Sleepers {
    fn new() -> Option<Self> {
        let instance = Instance::new(&[])?;
        let image = instance.image_of("redis");
        Some(Self { instance, image })
    }

    /// Redis stays, so that its image is made.
    fn define(&self, services: &str) {
        let text = format!(
            "x-sleeps: &sleeps
  image: '{}'
  entrypoint: [/bin/sleep, '100000']
  init: true
  healthcheck: {{disable: true}}
services:
  sharelatex: {{profiles: [aside]}}
  mongo: {{profiles: [aside]}}
{services}",
            self.image
        );
        let file = "config/docker-compose.override.yml";
        self.instance.sandbox.write(file, &text);
    }

    fn name(&self, service: &str) -> String {
        format!("{}-{service}-1", self.instance.project)
    }
}

#[test]
fn what_shares_a_network_is_started_again_after_its_owner() {
    let Some(sleepers) = Sleepers::new() else {
        return;
    };
    let instance = &sleepers.instance;
    sleepers.define("  db: *sleeps\n  side: {<<: *sleeps, network_mode: 'service:db'}\n");
    instance.run(&["up"]).succeeded();
    assert_eq!(drift(instance), []);
    let ids = instance.ids();
    let path = format!("/containers/{}/restart?t=0", sleepers.name("db"));
    raw::order("POST", &path, "");
    assert_eq!(drift(instance), one("network", "service side"));
    let said = "`db`, whose network it shares, was started again since";
    let status = instance.run(&["status", "--format", "json"]).succeeded();
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let not_working = json!([{ "service": "side", "reason": said }]);
    assert_eq!(status["data"]["not_working"], not_working);
    assert!(instance.plan().contains(said), "{}", instance.plan());
    instance.run(&["up"]).succeeded();
    assert_eq!(drift(instance), []);
    for arguments in [["stop", "db"], ["start", "db"]] {
        instance.run(&arguments).succeeded();
    }
    assert_eq!(drift(instance), []);
    assert_eq!(instance.planned(), 0, "{}", instance.plan());
    assert_eq!(instance.ids(), ids);
}

#[test]
fn a_paused_container_goes_on() {
    let Some(sleepers) = Sleepers::new() else {
        return;
    };
    let instance = &sleepers.instance;
    sleepers.define("  db: *sleeps\n");
    instance.run(&["up"]).succeeded();
    let ids = instance.ids();
    for command in ["up", "start"] {
        let path = format!("/containers/{}/pause", sleepers.name("db"));
        raw::order("POST", &path, "");
        instance.run(&[command]).succeeded();
        let shown = raw::inspect(&sleepers.name("db"));
        assert_eq!(shown["State"]["Status"], "running", "{command}");
        assert_eq!(instance.ids(), ids, "{command}");
    }
}

#[test]
fn links_on_the_bridge_of_the_engine_are_made_and_compared() {
    let Some(sleepers) = Sleepers::new() else {
        return;
    };
    let instance = &sleepers.instance;
    let linked = |alias: &str| {
        sleepers.define(&format!(
            "  four: {{<<: *sleeps, network_mode: bridge}}
  two: {{<<: *sleeps, network_mode: bridge, links: ['four:{alias}']}}
"
        ));
    };
    linked("one");
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0, "{}", instance.plan());
    let shown = raw::inspect(&sleepers.name("two"));
    let links = shown["HostConfig"]["Links"].to_string();
    let (four, two) = (sleepers.name("four"), sleepers.name("two"));
    assert!(links.contains(&format!("/{four}:/{two}/one")), "{links}");
    linked("other");
    let plan = instance.plan();
    assert!(plan.contains("links"), "{plan}");
}

#[test]
fn memory_that_is_shared_no_more_is_a_change() {
    let Some(sleepers) = Sleepers::new() else {
        return;
    };
    let instance = &sleepers.instance;
    sleepers.define("  one: {<<: *sleeps, ipc: shareable}\n  two: *sleeps\n");
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0, "{}", instance.plan());
    let shown = raw::inspect(&sleepers.name("two"));
    // An engine may be configured to share by itself, and then nothing changes.
    let is_private = shown["HostConfig"]["IpcMode"] == "private";
    sleepers.define("  one: *sleeps\n  two: *sleeps\n");
    let plan = instance.plan();
    assert_eq!(plan.contains("ipc"), is_private, "{plan}");
}
