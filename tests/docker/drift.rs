//! `toolkit drift`: every kind of difference is found on a real engine, and what it names mends it.

use serde_json::Value;
use toolkit::engine::Engine;

use super::instance::Instance;
use super::raw;

/// What drift finds: kind and resource of each.
pub fn drift(instance: &Instance) -> Vec<(String, String)> {
    let ran = instance.run(&["drift", "--format", "json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["schema"], "toolkit.drift/v1");
    let found = answer["data"]["drift"].as_array().unwrap();
    assert_eq!(ran.code, if found.is_empty() { 0 } else { 4 }, "{answer}");
    let root = instance.sandbox.root().display().to_string();
    let text = |value: &Value| value.as_str().unwrap().replace("[ROOT]", &root);
    found
        .iter()
        .map(|one| {
            assert!(!text(&one["fix"]).is_empty() && !text(&one["expected"]).is_empty());
            (text(&one["kind"]), text(&one["resource"]))
        })
        .collect()
}

pub fn one(kind: &str, resource: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), resource.to_owned())]
}

const OVERRIDE: &str = "services:
  redis:
    volumes: ['../own.conf:/etc/own.conf:ro']
";

#[test]
fn each_kind_is_found_and_mended() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let project = &instance.project;
    let sandbox = &instance.sandbox;
    sandbox.write("config/docker-compose.override.yml", OVERRIDE);
    sandbox.write("own.conf", "one\n");
    instance.run(&["up"]).succeeded();
    assert_eq!(drift(&instance), []);
    let redis = format!("{project}-redis-1");
    let before = instance.ids();

    // Configured and not applied; the line that says it is named.
    let variables = sandbox.read("config/variables.env");
    sandbox.replace("config/variables.env", "Our Overleaf Instance", "Theirs");
    assert_eq!(drift(&instance), one("not-applied", "service sharelatex"));
    let ran = instance.run(&["drift"]).ended_with(4);
    assert!(
        ran.stdout.contains("\"Theirs\" (config/variables.env:"),
        "{}",
        ran.stdout
    );
    let since = ran.stdout.split_once("since ").unwrap().1;
    let since = since.lines().next().unwrap();
    assert_eq!(since.len(), "2026-01-02T03:04:05Z".len(), "{since}");
    sandbox.write("config/variables.env", &variables);
    assert_eq!(drift(&instance), []);

    // A mounted file that its container has not seen.
    sandbox.write("own.conf", "two\n");
    let path = sandbox.root().join("own.conf").display().to_string();
    assert_eq!(drift(&instance), one("file-edited", &path));
    instance.run(&["restart", "redis"]).succeeded();
    assert_eq!(drift(&instance), []);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(drift(&instance), one("missing", &path));
    sandbox.write("own.conf", "one\n");

    // Disconnected and connected by hand.
    let network = format!("{project}_default");
    let body = format!("{{\"Container\":\"{redis}\"}}");
    raw::order("POST", &format!("/networks/{network}/disconnect"), &body);
    // Once, although the plan and the container both tell.
    assert_eq!(drift(&instance), one("network", "service redis"));
    let body =
        format!("{{\"Container\":\"{redis}\",\"EndpointConfig\":{{\"Aliases\":[\"redis\"]}}}}");
    raw::order("POST", &format!("/networks/{network}/connect"), &body);
    assert_eq!(drift(&instance), []);

    // Renamed.
    let path = format!("/containers/{redis}/rename?name={redis}-x");
    raw::order("POST", &path, "");
    assert!(drift(&instance).contains(&("changed-by-hand".to_owned(), "service redis".to_owned())));
    let path = format!("/containers/{redis}-x/rename?name={redis}");
    raw::order("POST", &path, "");

    // Stopped, and gone.
    raw::order("POST", &format!("/containers/{redis}/stop?t=5"), "");
    assert_eq!(drift(&instance), one("stopped", "service redis"));
    raw::order("DELETE", &format!("/containers/{redis}"), "");
    assert_eq!(drift(&instance), one("missing", "service redis"));
    instance.run(&["up"]).succeeded();
    assert_eq!(drift(&instance), []);

    // A folder of data that somebody moved away.
    let data = sandbox.root().join("data/redis");
    std::fs::rename(&data, sandbox.root().join("away")).unwrap();
    assert_eq!(
        drift(&instance),
        one("missing", &data.display().to_string())
    );
    std::fs::rename(sandbox.root().join("away"), &data).unwrap();

    // Nothing of this touched the other containers.
    let others = |ids: Vec<(String, String)>| -> Vec<(String, String)> {
        ids.into_iter().filter(|found| found.0 != "redis").collect()
    };
    assert_eq!(others(instance.ids()), others(before));
}

#[test]
fn an_orphan_and_a_port_that_should_not_be_are_found() {
    let Some(instance) = Instance::new(&["--edition", "pro", "--git-bridge"]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    assert_eq!(drift(&instance), []);
    instance.sandbox.replace(
        "config/overleaf.rc",
        "GIT_BRIDGE_ENABLED=true",
        "GIT_BRIDGE_ENABLED=false",
    );
    let name = format!("{}-git-bridge-1", instance.project);
    let found = drift(&instance);
    assert!(
        found.contains(&("orphan".to_owned(), format!("container {name}"))),
        "{found:?}"
    );
    instance.run(&["up", "--remove-orphans"]).succeeded();
    assert_eq!(drift(&instance), []);

    // The same container once more, made by hand from what the engine shows, with a port.
    let redis = format!("{}-redis-1", instance.project);
    let shown = raw::inspect(&redis);
    let mut made = shown["Config"].clone();
    made["HostConfig"] = shown["HostConfig"].clone();
    made["HostConfig"]["PortBindings"] =
        serde_json::json!({ "6379/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "" }] });
    made["NetworkingConfig"] =
        serde_json::json!({ "EndpointsConfig": shown["NetworkSettings"]["Networks"] });
    raw::order("DELETE", &format!("/containers/{redis}?force=true"), "");
    raw::order(
        "POST",
        &format!("/containers/create?name={redis}"),
        &made.to_string(),
    );
    raw::order("POST", &format!("/containers/{redis}/start"), "");
    let found = drift(&instance);
    assert!(
        found.contains(&("port-published".to_owned(), "service redis".to_owned())),
        "{found:?}"
    );
}

#[test]
fn a_tag_that_means_another_image_is_found() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let tag = instance.project.clone();
    // A second tag of the bundled image, which this test may move.
    let name = format!("toolkit-test/{tag}");
    let named = |from: &str| {
        let path = format!("/images/{from}/tag?repo={name}&tag=1");
        raw::order("POST", &path, "");
    };
    instance.run(&["up"]).succeeded();
    let of = |service: &str| {
        let all = instance.containers();
        all.into_iter()
            .find(|found| found.service == service)
            .unwrap()
    };
    let image_of_redis = of("redis").image;
    named(&image_of_redis);
    let untag = Untag(format!("{name}:1"));
    instance.sandbox.write(
        "config/docker-compose.override.yml",
        &format!("services:\n  redis: {{image: '{name}:1'}}\n"),
    );
    instance.run(&["up"]).succeeded();
    assert_eq!(drift(&instance), []);
    named(&of("mongo").image);
    assert_eq!(drift(&instance), one("image-moved", "service redis"));
    let engine = &instance.engine;
    let present = instance.runtime.block_on(engine.image(&untag.0)).unwrap();
    assert!(present.is_some());
    named(&image_of_redis);
    assert_eq!(drift(&instance), []);
    drop(untag);
    let image = format!("image {name}:1");
    assert_eq!(drift(&instance), one("missing", &image));
}

/// Takes a tag away again.
struct Untag(String);

impl Drop for Untag {
    fn drop(&mut self) {
        // The image itself has another name and stays.
        raw::request(
            &raw::socket(),
            "DELETE",
            &format!("/images/{}?force=true", self.0),
            b"",
        );
    }
}
