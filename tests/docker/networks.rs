//! A network whose definition changes is made anew with the containers in it, also after a kill, and not
//! under a container of somebody else.

use serde_json::json;
use toolkit::bundled;

use super::instance::Instance;
use super::kill::{Small, killed};
use super::raw;
use super::raw::Removed;

const FILE: &str = "config/docker-compose.override.yml";

/// The largest packet of the network, as the engine shows it.
fn packet(instance: &Instance) -> String {
    let path = format!("/networks/{}_back", instance.project);
    let (status, answer) = raw::request(&raw::socket(), "GET", &path, b"");
    assert_eq!(status, 200);
    let shown: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let option = &shown["Options"]["com.docker.network.driver.mtu"];
    option.as_str().unwrap_or("unset").to_owned()
}

/// Starts a container of nobody in a network; its name, and what removes it.
fn somebody_in(network: &str) -> (String, Removed) {
    let other = format!("{network}-other");
    let body = json!({
        "Image": format!("toolkit-bundled/redis:{}", bundled::TAG),
        "HostConfig": { "NetworkMode": network },
    });
    let container = Removed(format!("/containers/{other}?force=true&v=true"));
    let path = format!("/containers/create?name={other}");
    raw::order("POST", &path, &body.to_string());
    raw::order("POST", &format!("/containers/{other}/start"), "");
    (other, container)
}

fn drift(instance: &Instance) -> Vec<String> {
    let ran = instance.run(&["drift", "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let found = answer["data"]["drift"].as_array().unwrap().iter();
    found
        .map(|one| format!("{} {}", one["kind"], one["resource"]).replace('"', ""))
        .collect()
}

#[test]
fn a_network_that_changes_is_made_anew_but_not_under_others() {
    let Some(small) = Small::new() else {
        return;
    };
    let instance = &small.instance;
    let (project, sandbox) = (&instance.project, &instance.sandbox);
    instance.run(&["up"]).succeeded();
    let before = instance.ids();
    let option = "{internal: true, driver_opts: {com.docker.network.driver.mtu: '1400'}}";
    sandbox.replace(FILE, "{internal: true}", option);

    // Somebody else is in it.
    let network = format!("{project}_back");
    let (other, container) = somebody_in(&network);
    for command in ["up", "plan"] {
        let ran = instance.run(&[command]).ended_with(6);
        assert!(
            ran.stderr.contains("[NETWORK_DIFFERS]") && ran.stderr.contains(&format!("`{other}`")),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(
        (instance.ids(), packet(instance)),
        (before.clone(), "unset".to_owned())
    );
    drop(container);

    assert_eq!(drift(instance), [format!("not-applied network {network}")]);
    let ran = instance.run(&["plan"]).succeeded();
    let cause = format!(
        "(network {network} driver_opts.com.docker.network.driver.mtu: unset → 1400 ({FILE}:"
    );
    let steps: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(steps.len(), 7, "{}", ran.stdout);
    assert!(
        steps[..6].iter().all(|step| step.contains(&cause)),
        "{}",
        ran.stdout
    );
    assert!(steps[0].contains("! stop container"), "{}", ran.stdout);
    if cfg!(debug_assertions) {
        // The network is gone, and the way back is gone as well; then what is half-way is finished.
        assert!(killed(instance, "up", 5).is_some());
        instance.run(&["rollback"]).succeeded();
        assert_eq!(packet(instance), "unset");
        assert_eq!(instance.containers().len(), 2);
        for record in [4, 4, 3] {
            assert!(killed(instance, "up", record).is_some());
        }
    }
    instance.run(&["up"]).succeeded();
    assert_eq!((instance.planned(), packet(instance).as_str()), (0, "1400"));
    assert_eq!(drift(instance), [""; 0]);
    // What was not in it stands as it was.
    let of = |ids: Vec<(String, String)>| ids.into_iter().find(|found| found.0 == "redis");
    assert_eq!(of(instance.ids()), of(before));
}

#[test]
fn a_network_in_which_somebody_else_runs_stays() {
    let Some(small) = Small::new() else {
        return;
    };
    let instance = &small.instance;
    let project = &instance.project;
    instance.run(&["up"]).succeeded();
    let network = format!("{project}_back");
    let (other, container) = somebody_in(&network);
    let ran = instance.run(&["down"]).succeeded();
    assert!(
        ran.stderr.contains(&format!("network `{network}` stays, "))
            && ran.stderr.contains(&format!("run in it: `{other}`")),
        "{}",
        ran.stderr
    );
    assert!(instance.containers().is_empty());
    let state = |path: &str| raw::request(&raw::socket(), "GET", path, b"").0;
    assert_eq!(state(&format!("/networks/{network}")), 200);
    assert_eq!(state(&format!("/containers/{other}/top")), 200);
    drop(container);
    let ran = instance.run(&["down"]).succeeded();
    assert!(!ran.stderr.contains("stays"), "{}", ran.stderr);
    assert_eq!(state(&format!("/networks/{network}")), 404);
}
