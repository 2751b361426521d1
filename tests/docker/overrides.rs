//! docker-compose.override.yml on the engine: what it asks for is what containers get.

use bollard::Docker;
use serde_json::json;
use toolkit::engine::Engine;

use super::instance::{Instance, Remover};
use super::raw::{self, Removed};

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
    attach: false
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
    let image = &instance.image_of("redis");
    instance.sandbox.write("config/token.txt", "t0ken\n");
    instance.sandbox.write(
        "config/docker-compose.override.yml",
        &OVERRIDE.replace("IMAGE", image),
    );
    let client = Docker::connect_with_defaults().unwrap();
    let runtime = &instance.runtime;
    let _network = Removed(format!("/networks/{}_back", instance.project));
    let _volume = Removed(format!("/volumes/{}_extra", instance.project));
    // Goes first: what containers use cannot be removed.
    let _remover = Remover {
        runtime,
        engine: &instance.engine,
        project: &instance.project,
    };
    let ran = instance.run(&["up"]).succeeded();
    let warned = "`services.helper.attach` is not carried out";
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

/// One service with every key that an engine of API 1.41 can carry out on this kind of machine, and
/// what the engine shows of it.
const KEYS: &str = r#"
services:
  keys:
    image: IMAGE
    command: [redis-server, --dir, /tmp, --port, "7777"]
    container_name: PROJECT-named
    hostname: keys
    domainname: keys.test
    environment: {COLOUR: blue, PATH: }
    user: "0:0"
    working_dir: /tmp
    labels: {team: a}
    stop_signal: SIGINT
    stop_grace_period: 7s
    stdin_open: true
    tty: true
    expose: ["7777", "7778/udp"]
    ports:
      - {target: 7777, host_ip: 127.0.0.1, protocol: udp}
      - {target: 7777, host_ip: 127.0.0.1, published: "PORT"}
    healthcheck: {test: "true", interval: 30s, timeout: 3s, retries: 2, start_period: 1s}
    restart: "no"
    deploy:
      restart_policy: {condition: on-failure, max_attempts: 3}
      resources: {limits: {memory: 96m, pids: 200}, reservations: {memory: 32m}}
    cpu_shares: 512
    cpus: 0.5
    oom_score_adj: 100
    shm_size: 16m
    init: true
    cap_add: [NET_ADMIN, cap_sys_time]
    cap_drop: [MKNOD]
    security_opt: ["no-new-privileges:true", "seccomp=../config/seccomp.json", "systempaths=unconfined"]
    group_add: ["2000"]
    ulimits: {nofile: {soft: 1024, hard: 2048}, nproc: 500}
    sysctls: {net.ipv4.ip_unprivileged_port_start: "80"}
    devices: ["/dev/null:/dev/xnull:r"]
    device_cgroup_rules: ["c 1:3 mr"]
    dns: [192.0.2.1]
    dns_opt: ["ndots:2"]
    dns_search: [keys.test]
    extra_hosts: ["ldap.test:10.9.8.7", "six.test:[::1]"]
    logging: {driver: json-file, options: {max-size: 1m}}
    ipc: shareable
    pid: "service:redis"
    links: ["redis:cache"]
    external_links: ["PROJECT-redis-1:outside"]
    networks:
      default: {aliases: [second-name]}
      fixed: {priority: 10, ipv4_address: 10.213.SUBNET.20}
    tmpfs: ["/scratch:size=1m,mode=1777"]
    volumes:
      - /anonymous
      - named:/named
      - {type: volume, source: named, target: /plain, read_only: true, volume: {nocopy: true}}
      - {type: tmpfs, target: /memory, tmpfs: {size: 2m, mode: 0o750}}
      - {type: bind, source: ../data, target: /shared, read_only: true, bind: {propagation: private}}
    secrets:
      - plain
      - {source: variable, target: from-variable, uid: "33", gid: "34", mode: 0o400}
    configs: [{source: inline, target: /etc/inline.conf}]
volumes:
  named: {labels: {kind: scratch}}
networks:
  fixed: {ipam: {config: [{subnet: 10.213.SUBNET.0/24}]}}
secrets:
  plain: {file: ../config/token.txt}
  variable: {environment: TEST_TOKEN}
configs:
  inline: {content: "inline = yes\n"}
"#;

#[test]
fn every_key_reaches_the_engine_and_stays_equal_to_what_it_shows() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let image = &instance.image_of("redis");
    let (project, port) = (&instance.project, super::instance::free_port());
    // One of 200 subnets by the process, so that tests side by side keep apart.
    let subnet = 20 + std::process::id() % 200;
    let keys = KEYS
        .replace("IMAGE", image)
        .replace("PROJECT", project)
        .replace("PORT", &port.to_string())
        .replace("SUBNET", &subnet.to_string());
    let sandbox = &instance.sandbox;
    sandbox.write("config/docker-compose.override.yml", &keys);
    sandbox.write("config/token.txt", "t0ken\n");
    let profile = "{\"defaultAction\": \"SCMP_ACT_ALLOW\"}\n";
    sandbox.write("config/seccomp.json", profile);
    let client = Docker::connect_with_defaults().unwrap();
    let runtime = &instance.runtime;
    let _networks = ["back", "fixed"].map(|name| Removed(format!("/networks/{project}_{name}")));
    let _volume = Removed(format!("/volumes/{project}_named"));
    // Goes first: what containers use cannot be removed.
    let _remover = Remover {
        runtime,
        engine: &instance.engine,
        project: &instance.project,
    };

    // A variable that is not there is said before anything is made.
    let ran = instance.run(&["up"]).ended_with(6);
    assert!(ran.stderr.contains("CONTENT_MISSING"), "{}", ran.stderr);
    assert!(instance.containers().is_empty());
    sandbox.write("lib/.env", "TEST_TOKEN=hidden-9f3a\n");
    let ran = instance.run(&["up", "-d"]).succeeded();
    assert!(!ran.stderr.contains("hidden-9f3a"), "{}", ran.stderr);
    assert_eq!(instance.plan(), "");

    let name = format!("{project}-named");
    let options = None::<bollard::query_parameters::InspectContainerOptions>;
    let keys = runtime
        .block_on(client.inspect_container(&name, options))
        .unwrap();
    let shown = serde_json::to_value(&keys).unwrap();
    assert!(!shown.to_string().contains("hidden-9f3a"));
    let at = |path: &str| shown.pointer(path).cloned().unwrap_or_default();
    for (path, expected) in [
        ("/Config/Hostname", json!("keys")),
        ("/Config/Domainname", json!("keys.test")),
        ("/Config/User", json!("0:0")),
        ("/Config/WorkingDir", json!("/tmp")),
        ("/Config/StopSignal", json!("SIGINT")),
        ("/Config/StopTimeout", json!(7)),
        ("/Config/Tty", json!(true)),
        ("/Config/OpenStdin", json!(true)),
        ("/Config/Labels/team", json!("a")),
        ("/Config/Healthcheck/Test", json!(["CMD-SHELL", "true"])),
        ("/Config/Healthcheck/Retries", json!(2)),
        ("/HostConfig/RestartPolicy/Name", json!("on-failure")),
        ("/HostConfig/RestartPolicy/MaximumRetryCount", json!(3)),
        ("/HostConfig/Memory", json!(96 << 20)),
        ("/HostConfig/MemoryReservation", json!(32 << 20)),
        ("/HostConfig/NanoCpus", json!(500_000_000)),
        ("/HostConfig/CpuShares", json!(512)),
        ("/HostConfig/PidsLimit", json!(200)),
        ("/HostConfig/OomScoreAdj", json!(100)),
        ("/HostConfig/ShmSize", json!(16 << 20)),
        ("/HostConfig/Init", json!(true)),
        ("/HostConfig/CapDrop", json!(["MKNOD"])),
        ("/HostConfig/GroupAdd", json!(["2000"])),
        ("/HostConfig/MaskedPaths", json!([])),
        ("/HostConfig/ReadonlyPaths", json!([])),
        ("/HostConfig/Devices/0/PathInContainer", json!("/dev/xnull")),
        ("/HostConfig/Devices/0/CgroupPermissions", json!("r")),
        ("/HostConfig/DeviceCgroupRules", json!(["c 1:3 mr"])),
        ("/HostConfig/Dns", json!(["192.0.2.1"])),
        ("/HostConfig/DnsOptions", json!(["ndots:2"])),
        ("/HostConfig/DnsSearch", json!(["keys.test"])),
        ("/HostConfig/IpcMode", json!("shareable")),
        ("/HostConfig/LogConfig/Config/max-size", json!("1m")),
        ("/HostConfig/Tmpfs/~1scratch", json!("size=1m,mode=1777")),
        (
            "/HostConfig/Sysctls/net.ipv4.ip_unprivileged_port_start",
            json!("80"),
        ),
        (
            "/HostConfig/ExtraHosts",
            json!(["ldap.test:10.9.8.7", "six.test:::1"]),
        ),
        (
            "/HostConfig/PortBindings/7777~1tcp/0/HostPort",
            json!(port.to_string()),
        ),
        (
            "/HostConfig/PortBindings/7777~1udp/0/HostIp",
            json!("127.0.0.1"),
        ),
    ] {
        assert_eq!(at(path), expected, "{path}");
    }
    let variables = at("/Config/Env").to_string();
    assert!(variables.contains("COLOUR=blue"), "{variables}");
    let options = at("/HostConfig/SecurityOpt").to_string();
    for option in ["no-new-privileges:true", "SCMP_ACT_ALLOW"] {
        assert!(options.contains(option), "{options}");
    }
    assert!(at("/HostConfig/PidMode").to_string().contains("container:"));
    let fixed = at(&format!("/NetworkSettings/Networks/{project}_fixed"));
    assert_eq!(
        fixed["IPAMConfig"]["IPv4Address"],
        json!(format!("10.213.{subnet}.20"))
    );
    let links = fixed["Links"].to_string();
    for link in [
        format!("{project}-redis-1:cache"),
        format!("{project}-redis-1:outside"),
    ] {
        assert!(links.contains(&link), "{links}");
    }
    let mounts = at("/Mounts");
    let mounts = mounts.as_array().unwrap();
    let mount = |target: &str| {
        let found = mounts.iter().find(|mount| mount["Destination"] == target);
        found.unwrap_or_else(|| panic!("{target}: {mounts:?}"))
    };
    assert_eq!(mount("/anonymous")["Type"], "volume");
    assert_eq!(mount("/named")["Name"], format!("{project}_named"));
    assert_eq!(mount("/plain")["RW"], false);
    assert_eq!(mount("/shared")["Propagation"], "private");
    assert_eq!(mount("/run/secrets/plain")["RW"], false);
    let memory = at("/HostConfig/Mounts");
    let memory = memory.as_array().unwrap();
    let memory = memory.iter().find(|mount| mount["Target"] == "/memory");
    assert_eq!(memory.unwrap()["TmpfsOptions"]["Mode"], 0o750);

    // Files that were put in hold what they should, for whom they should.
    let read = |path: &str| {
        let content = runtime.block_on(instance.engine.file(&name, path)).unwrap();
        String::from_utf8(content.unwrap()).unwrap()
    };
    assert_eq!(read("/run/secrets/from-variable"), "hidden-9f3a");
    assert_eq!(read("/etc/inline.conf"), "inline = yes\n");
    let header = header(runtime, &client, &name, "/run/secrets/from-variable");
    assert_eq!(header.mode().unwrap() & 0o777, 0o400);
    assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (33, 34));

    // The plan stays empty through a stop and a start.
    instance.run(&["stop"]).succeeded();
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(instance.plan(), "");

    // A content that has changed is a difference, and is not shown.
    sandbox.write("lib/.env", "TEST_TOKEN=hidden-other\n");
    let plan = instance.plan();
    assert!(
        plan.contains("files /run/secrets/from-variable: #"),
        "{plan}"
    );
    assert!(!plan.contains("hidden"), "{plan}");
    sandbox.write("lib/.env", "TEST_TOKEN=hidden-9f3a\n");
    instance.run(&["down"]).succeeded();
}

/// The header of a file of a container.
fn header(
    runtime: &tokio::runtime::Runtime,
    client: &Docker,
    container: &str,
    path: &str,
) -> tar::Header {
    use futures_util::TryStreamExt;
    let options = bollard::query_parameters::DownloadFromContainerOptionsBuilder::new()
        .path(path)
        .build();
    let pieces = client.download_from_container(container, Some(options));
    let pieces: Vec<bytes::Bytes> = runtime.block_on(pieces.try_collect()).unwrap();
    let archive = pieces.concat();
    let mut archive = tar::Archive::new(archive.as_slice());
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    entry.header().clone()
}

#[test]
fn what_an_engine_cannot_do_is_refused_before_anything_changes() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.sandbox.write(
        "config/docker-compose.override.yml",
        "services:\n  redis:\n    annotations: {a: b}\n    develop: {watch: []}\n  extra:\n    image: i\n    build: .\n",
    );
    let ran = instance.run(&["up"]).ended_with(6);
    for expected in [
        "KEY_NOT_SUPPORTED",
        "`services.extra.build` cannot be carried out",
        "docker-compose.override.yml:7:5",
    ] {
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    let facts = instance.runtime.block_on(instance.engine.facts()).unwrap();
    let is_refused = ran.stderr.contains("`services.redis.annotations`");
    assert_eq!(is_refused, facts.api < (1, 43), "{}", ran.stderr);
    assert!(instance.containers().is_empty());
}

#[test]
fn what_somebody_changes_by_hand_is_named() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(instance.plan(), "");
    let client = Docker::connect_with_defaults().unwrap();
    let runtime = &instance.runtime;
    let name = format!("{}-redis-1", instance.project);
    let update = bollard::models::ContainerUpdateBody {
        memory: Some(256 << 20),
        memory_swap: Some(512 << 20),
        restart_policy: Some(bollard::models::RestartPolicy {
            name: Some(bollard::models::RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..Default::default()
    };
    runtime
        .block_on(client.update_container(&name, update))
        .unwrap();
    let plan = instance.plan();
    assert!(
        plan.contains("mem_limit: unset → ") || plan.contains("mem_limit: 268435456 → unset"),
        "{plan}"
    );
    assert!(plan.contains("restart: no → always"), "{plan}");
    assert!(!plan.contains("mongo-1` (recreate"), "{plan}");
    let leave = bollard::models::NetworkDisconnectRequest {
        container: format!("{}-mongo-1", instance.project),
        force: None,
    };
    let network = format!("{}_default", instance.project);
    runtime
        .block_on(client.disconnect_network(&network, leave))
        .unwrap();
    let plan = instance.plan();
    assert!(
        plan.contains(&format!("networks {network}: unset → ")),
        "{plan}"
    );
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(instance.plan(), "");
}

#[test]
fn what_an_image_brings_is_no_difference() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up", "-d"]).succeeded();
    let client = Docker::connect_with_defaults().unwrap();
    let runtime = &instance.runtime;
    let project = &instance.project;
    let image = format!("{project}-image:1");
    let _image = Removed(format!("/images/{image}"));
    // Goes first: what containers use cannot be removed.
    let _remover = Remover {
        runtime,
        engine: &instance.engine,
        project: &instance.project,
    };
    let config = bollard::models::ContainerConfig {
        env: Some(vec!["OF_IMAGE=1".to_owned(), "BOTH=image".to_owned()]),
        cmd: Some(
            ["redis-server", "--dir", "/tmp", "--port", "7779"]
                .map(ToOwned::to_owned)
                .to_vec(),
        ),
        volumes: Some(vec!["/of-image".to_owned()]),
        exposed_ports: Some(vec!["7779/tcp".to_owned()]),
        labels: Some([("of.image".to_owned(), "1".to_owned())].into()),
        user: Some("0".to_owned()),
        working_dir: Some("/tmp".to_owned()),
        stop_signal: Some("SIGINT".to_owned()),
        healthcheck: Some(bollard::models::HealthConfig {
            test: Some(vec![
                "CMD".to_owned(),
                "/toolkit".to_owned(),
                "--version".to_owned(),
            ]),
            interval: Some(5_000_000_000),
            ..Default::default()
        }),
        ..Default::default()
    };
    let options = bollard::query_parameters::CommitContainerOptionsBuilder::new()
        .container(&format!("{project}-redis-1"))
        .repo(&format!("{project}-image"))
        .tag("1")
        .pause(false)
        .build();
    runtime
        .block_on(client.commit_container(options, config))
        .unwrap();
    let definition = format!(
        "services:\n  plain: {{image: {image}}}\n  own:\n    image: {image}\n    environment: {{BOTH: own}}\n    healthcheck: {{retries: 4}}\n    expose: [\"1\"]\n    entrypoint: [/toolkit, serve, redis]\n    command: [redis-server, --dir, /tmp, --port, \"7780\"]\n"
    );
    let file = "config/docker-compose.override.yml";
    instance.sandbox.write(file, &definition);
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(instance.plan(), "");
    instance.run(&["stop"]).succeeded();
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(instance.plan(), "");

    // What is taken away falls back to what the image brings, and is named with its line.
    instance
        .sandbox
        .replace(file, "{BOTH: own}", "{BOTH: other}");
    let plan = instance.plan();
    let expected = "environment BOTH: \"own\" → \"other\" (config/docker-compose.override.yml:5)";
    assert!(plan.contains(expected), "{plan}");
    let of_image = || {
        let mut containers = instance.containers().into_iter();
        let own = containers.find(|found| found.service == "own").unwrap();
        own.anonymous
    };
    let before = of_image();
    assert_eq!(before.keys().collect::<Vec<_>>(), ["/of-image"]);
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(of_image(), before);
    assert_eq!(instance.plan(), "");
    instance
        .sandbox
        .replace(file, "    environment: {BOTH: other}\n", "");
    let plan = instance.plan();
    assert!(
        plan.contains("environment BOTH: \"other\" → \"image\""),
        "{plan}"
    );
    instance.run(&["down"]).succeeded();
}

#[test]
fn each_container_of_a_service_is_compared_with_its_own_definition() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let image = &instance.image_of("redis");
    let define = |scale: u32, colour: &str| {
        let text = format!(
            "services:\n  worker:\n    image: {image}\n    command: [redis-server, --dir, /tmp, --port, \"7781\"]\n    environment: {{COLOUR: {colour}}}\n    networks: {{default: {{aliases: [crew]}}}}\n    links: [\"redis:cache\"]\n    volumes: [/scratch]\n    secrets: [token]\n    scale: {scale}\nsecrets:\n  token: {{content: abc}}\n"
        );
        let file = "config/docker-compose.override.yml";
        instance.sandbox.write(file, &text);
    };
    let workers = || {
        let mut found = instance.containers();
        found.retain(|container| container.service == "worker");
        found.sort_by_key(toolkit::observed::Container::number);
        found
    };
    define(3, "blue");
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(instance.plan(), "");
    let first = workers();
    let numbers = first.iter().map(toolkit::observed::Container::number);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3]);

    // Each new container has the volume of the one with its number.
    define(3, "red");
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(instance.plan(), "");
    let second = workers();
    assert_eq!(second.len(), 3);
    for (old, new) in first.iter().zip(&second) {
        assert_ne!(old.id, new.id);
        assert_eq!((&old.name, &old.anonymous), (&new.name, &new.anonymous));
    }

    define(2, "red");
    instance.run(&["up", "-d"]).succeeded();
    assert_eq!(instance.plan(), "");
    assert_eq!(workers(), second[..2]);
    instance.run(&["down"]).succeeded();
}

#[test]
fn what_the_engine_warns_of_is_shown() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    // Makes the image.
    instance.run(&["up", "-d"]).succeeded();
    let image = instance.image_of("redis");
    let name = format!("{}-asked", instance.project);
    let _removed = Removed(format!("/containers/{name}?force=true&v=true"));
    let body = json!({"Image": image, "HostConfig": {"BlkioWeight": 300}}).to_string();
    let path = format!("/containers/create?name={name}");
    let (status, answer) = raw::request(&raw::socket(), "POST", &path, body.as_bytes());
    assert_eq!(status, 201);
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let warnings = answer["Warnings"].as_array().into_iter().flatten();
    let warnings: Vec<String> = warnings
        .map(|warning| format!("`redis`: the engine warns: {}", warning.as_str().unwrap()))
        .collect();

    let text = "services:\n  redis:\n    blkio_config: {weight: 300}\n";
    let path = "config/docker-compose.override.yml";
    instance.sandbox.write(path, text);
    let ran = instance.run(&["up", "-d"]).succeeded();
    let shown = ran.stderr.matches("the engine warns").count();
    assert_eq!(shown, warnings.len(), "{}", ran.stderr);
    for warning in warnings {
        assert!(ran.stderr.contains(&warning), "{warning}: {}", ran.stderr);
    }
    // What the engine leaves out is no reason to make the container anew at every run.
    assert_eq!(instance.planned(), 0);
}

/// A block device of this machine.
fn block_device() -> Option<String> {
    let devices = std::fs::read_dir("/sys/block").ok()?.flatten();
    let mut devices = devices.map(|entry| format!("/dev/{}", entry.file_name().to_string_lossy()));
    devices.find(|device| std::path::Path::new(device).exists())
}

#[test]
fn limits_of_block_devices_reach_the_engine_and_go_again() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let Some(device) = block_device() else {
        return;
    };
    let text = format!(
        "services:\n  redis:\n    blkio_config:\n      device_write_bps: [{{path: {device}, rate: 10mb}}]\n"
    );
    let path = "config/docker-compose.override.yml";
    instance.sandbox.write(path, &text);
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0);
    let client = Docker::connect_with_defaults().unwrap();
    let name = format!("{}-redis-1", instance.project);
    let options = None::<bollard::query_parameters::InspectContainerOptions>;
    let shown = instance
        .runtime
        .block_on(client.inspect_container(&name, options));
    let shown = serde_json::to_value(shown.unwrap()).unwrap();
    let limits = &shown["HostConfig"]["BlkioDeviceWriteBps"];
    if limits.as_array().is_none_or(Vec::is_empty) {
        // A kernel without such limits: the engine leaves them out with a warning.
        return;
    }
    assert_eq!(limits, &json!([{"Path": device, "Rate": 10_485_760}]));
    instance.sandbox.write(path, "services: {}\n");
    assert_ne!(instance.planned(), 0);
}
