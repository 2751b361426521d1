//! Services of profiles: naming one activates its profiles, as with Docker Compose, and what runs of a
//! profile that is not active is nobody's orphan.

use super::instance::Instance;

const FILE: &str = "config/docker-compose.override.yml";

/// An instance that is up, with services of two profiles in its definitions.
fn with_profiles() -> Option<Instance> {
    let instance = Instance::new(&[])?;
    instance.run(&["up"]).succeeded();
    let containers = instance.containers();
    let redis = containers.iter().find(|found| found.service == "redis");
    let image = &redis.unwrap().image;
    let text = format!(
        "services:\n  tool: {{image: '{image}', profiles: [tools], depends_on: [helper], networks: [default, aside]}}\n  helper: {{image: '{image}', profiles: [tools, other]}}\n  third: {{image: '{image}', profiles: [other]}}\nnetworks: {{aside: {{}}}}\n"
    );
    instance.sandbox.write(FILE, &text);
    Some(instance)
}

fn services(instance: &Instance) -> Vec<(String, bool)> {
    let containers = instance.containers().into_iter();
    containers
        .map(|found| (found.service, found.state.is_running()))
        .collect()
}

fn running(names: &[&str]) -> Vec<(String, bool)> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), true))
        .collect()
}

#[test]
fn a_named_service_brings_its_profiles() {
    let Some(instance) = with_profiles() else {
        return;
    };
    assert_eq!(instance.plan(), "");
    let ran = instance.run(&["up", "nosuch"]).ended_with(2);
    assert!(ran.stderr.contains("`third`"), "{}", ran.stderr);
    let planned = instance.run(&["plan", "tool"]).succeeded().stdout;
    assert!(planned.contains("5 steps"), "{planned}");
    instance.run(&["up", "-d", "tool"]).succeeded();
    let all = running(&["helper", "mongo", "redis", "sharelatex", "tool"]);
    assert_eq!(services(&instance), all);
    instance.run(&["restart", "tool", "-t", "1"]).succeeded();
    instance.run(&["stop", "tool", "helper"]).succeeded();
    let stopped = services(&instance).into_iter();
    let stopped: Vec<String> = stopped.filter(|one| !one.1).map(|one| one.0).collect();
    assert_eq!(stopped, ["helper", "tool"]);
    instance.run(&["logs", "-n", "1", "tool"]).succeeded();
    // What is asked for and not written yet holds for its profiles, too.
    let set = ["--yes", "config", "set", "BUNDLED_SERVERS", "false"];
    instance.run(&set).succeeded();
    let asked = ["up", "--bundled", "--dry-run", "tool", "sharelatex"];
    let planned = instance.run(&asked).succeeded().stdout;
    assert!(planned.contains("-tool-1"), "{planned}");
    assert!(!planned.contains("sharelatex/sharelatex"), "{planned}");
}

#[test]
fn what_runs_of_an_inactive_profile_is_no_orphan() {
    let Some(instance) = with_profiles() else {
        return;
    };
    instance.run(&["up", "-d", "tool"]).succeeded();
    let ran = instance.run(&["up", "--remove-orphans"]).succeeded();
    assert!(!ran.stderr.contains("not configured"), "{}", ran.stderr);
    let all = running(&["helper", "mongo", "redis", "sharelatex", "tool"]);
    assert_eq!(services(&instance), all);
    let shown = instance.run(&["status"]).succeeded().stdout;
    assert!(shown.contains("-tool-1"), "{shown}");
    assert!(!shown.contains("third"), "{shown}");
    assert!(!shown.contains("not part of the configuration"), "{shown}");
    let shown = instance.run(&["--format", "json", "status"]).succeeded();
    assert!(shown.stdout.contains("-tool-1"), "{}", shown.stdout);
    // A network that only such a service uses goes with it.
    let aside = format!("{}_aside", instance.project);
    let networks = || {
        let found = toolkit::engine::Engine::networks(&instance.engine, &aside);
        instance.runtime.block_on(found).unwrap().len()
    };
    assert_eq!(networks(), 1);
    instance.run(&["down"]).succeeded();
    assert!(instance.containers().is_empty());
    assert_eq!(networks(), 0);
}
