//! docker-compose.override.yml on the engine: what it asks for is what containers get.

use bollard::Docker;

use super::instance::Instance;

/// Removes a volume when it goes out of scope.
struct Volume<'a> {
    runtime: &'a tokio::runtime::Runtime,
    client: &'a Docker,
    name: String,
}

impl Drop for Volume<'_> {
    fn drop(&mut self) {
        let options = None::<bollard::query_parameters::RemoveVolumeOptions>;
        let _ = self
            .runtime
            .block_on(self.client.remove_volume(&self.name, options));
    }
}

/// Removes a network when it goes out of scope.
struct Network<'a> {
    runtime: &'a tokio::runtime::Runtime,
    client: &'a Docker,
    name: String,
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        let _ = self
            .runtime
            .block_on(self.client.remove_network(&self.name));
    }
}

const OVERRIDE: &str = r#"
services:
  redis:
    hostname: cache
    environment: {COLOUR: "blue $$5"}
    labels: {team: a}
    tmpfs: ["/scratch:size=1m"]
    extra_hosts: ["ldap.test:10.9.8.7"]
    cap_drop: [NET_RAW]
    ulimits: {nofile: 4096}
    mem_limit: 512m
    init: true
    logging: {driver: json-file, options: {max-size: 1m}}
    stop_grace_period: 7s
    volumes:
      - extra:/extra
    networks: {default: {aliases: [second-name]}, back: }
    secrets: [token]
  helper:
    build: .
    image: IMAGE
    command: [redis-server, --dir, /tmp, --port, "7777"]
    network_mode: "service:redis"
    volumes_from: ["redis:ro"]
    volumes: [{type: tmpfs, target: /memory, tmpfs: {size: 2m}}]
    depends_on: {redis: {condition: service_healthy}}
volumes:
  extra: {labels: {kind: scratch}}
networks:
  back: {internal: true, labels: {kind: inner}}
secrets:
  token: {file: ../config/token.txt}
"#;

#[test]
fn what_an_override_asks_for_is_what_containers_get() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let shown = instance
        .run(&["compose", "config", "--format", "json"])
        .succeeded();
    let model: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let image = model["services"]["redis"]["image"].as_str().unwrap();
    instance.sandbox.write("config/token.txt", "t0ken\n");
    instance.sandbox.write(
        "config/docker-compose.override.yml",
        &OVERRIDE.replace("IMAGE", image),
    );
    let client = Docker::connect_with_defaults().unwrap();
    let runtime = &instance.runtime;
    let _network = Network {
        runtime,
        client: &client,
        name: format!("{}_back", instance.project),
    };
    let _volume = Volume {
        runtime,
        client: &client,
        name: format!("{}_extra", instance.project),
    };
    let ran = instance.run(&["up"]).succeeded();
    let warned = "`services.helper.build` is not carried out";
    assert!(ran.stderr.contains(warned), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("docker-compose.override.yml:20:5"),
        "{}",
        ran.stderr
    );
    assert_eq!(instance.planned(), 0);

    let options = None::<bollard::query_parameters::InspectContainerOptions>;
    let inspect = |service: &str| {
        let name = format!("{}-{service}-1", instance.project);
        runtime
            .block_on(client.inspect_container(&name, options.clone()))
            .unwrap()
    };
    let redis = inspect("redis");
    let (config, host) = (redis.config.unwrap(), redis.host_config.unwrap());
    assert_eq!(config.hostname.as_deref(), Some("cache"));
    assert!(config.env.unwrap().contains(&"COLOUR=blue $5".to_owned()));
    assert_eq!(config.labels.unwrap()["team"], "a");
    assert_eq!(config.stop_timeout, Some(7));
    assert_eq!(host.tmpfs.unwrap()["/scratch"], "size=1m");
    assert_eq!(host.extra_hosts.unwrap(), ["ldap.test:10.9.8.7"]);
    assert_eq!(host.cap_drop.unwrap(), ["NET_RAW"]);
    assert_eq!(host.memory, Some(512 << 20));
    assert_eq!(host.init, Some(true));
    let limit = &host.ulimits.unwrap()[0];
    assert_eq!((limit.soft, limit.hard), (Some(4096), Some(4096)));
    assert_eq!(host.log_config.unwrap().config.unwrap()["max-size"], "1m");
    let mounted: Vec<String> = redis
        .mounts
        .unwrap()
        .into_iter()
        .filter_map(|mount| mount.destination)
        .collect();
    for target in ["/data", "/extra", "/run/secrets/token"] {
        assert!(
            mounted.iter().any(|at| at == target),
            "{target}: {mounted:?}"
        );
    }
    let networks = redis.network_settings.unwrap().networks.unwrap();
    let mut names: Vec<&String> = networks.keys().collect();
    names.sort();
    let project = &instance.project;
    assert_eq!(
        names,
        [&format!("{project}_back"), &format!("{project}_default")]
    );
    let default = &networks[&format!("{project}_default")];
    let aliases = default.aliases.clone().unwrap();
    assert!(aliases.contains(&"second-name".to_owned()), "{aliases:?}");

    let helper = inspect("helper").host_config.unwrap();
    let mode = helper.network_mode.unwrap();
    assert!(mode.starts_with("container:"), "{mode}");
    assert_eq!(helper.volumes_from.unwrap().len(), 1);
    let memory = &helper.mounts.unwrap()[0];
    assert_eq!(memory.target.as_deref(), Some("/memory"));
    let size = memory.tmpfs_options.as_ref().unwrap().size_bytes;
    assert_eq!(size, Some(2 << 20));
    let volume = format!("{project}_extra");
    let volume = runtime.block_on(client.inspect_volume(&volume)).unwrap();
    assert_eq!(volume.labels["kind"], "scratch");
    instance.run(&["down"]).succeeded();
}

#[test]
fn a_network_that_somebody_else_should_have_made_is_named_before_anything_changes() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.sandbox.write(
        "config/docker-compose.override.yml",
        "services: {redis: {networks: [default, outer]}}\nnetworks: {outer: {external: true, name: toolkit-test-not-there}}\n",
    );
    let ran = instance.run(&["up"]).ended_with(6);
    assert!(
        ran.stderr
            .contains("docker network create toolkit-test-not-there"),
        "{}",
        ran.stderr
    );
    assert!(instance.containers().is_empty());
}
