//! What a container is made of in the neutral form of [`Made`]: out of what the engine shows, and out of
//! what it is asked for. Both go through the same conversion of the engine's own JSON, so that they meet
//! in one form.

use bollard::models::{ContainerCreateBody, ImageConfig};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::convert;
use super::inspect::Inspected;
use crate::compose::Values;
use crate::engine::{self, ContainerRequest};
use crate::observed::Made;

/// How a value of the engine becomes one of ours.
#[derive(Debug, Clone, Copy)]
enum As {
    /// As it is.
    Is,
    /// A list whose order means nothing.
    Set,
    /// Capabilities, with or without their prefix.
    Capabilities,
    /// A number of which 0 and -1 mean that there is none.
    Limit,
}

/// Keys of the engine's host configuration that need no thought, with ours.
const HOST: [(&str, &str, As); 46] = [
    ("Annotations", "annotations", As::Is),
    ("BlkioDeviceReadBps", "blkio_config.device_read_bps", As::Is),
    (
        "BlkioDeviceReadIOps",
        "blkio_config.device_read_iops",
        As::Is,
    ),
    (
        "BlkioDeviceWriteBps",
        "blkio_config.device_write_bps",
        As::Is,
    ),
    (
        "BlkioDeviceWriteIOps",
        "blkio_config.device_write_iops",
        As::Is,
    ),
    ("BlkioWeight", "blkio_config.weight", As::Is),
    ("BlkioWeightDevice", "blkio_config.weight_device", As::Is),
    ("CapAdd", "cap_add", As::Capabilities),
    ("CapDrop", "cap_drop", As::Capabilities),
    ("CgroupParent", "cgroup_parent", As::Is),
    ("CgroupnsMode", "cgroup", As::Is),
    ("CpuCount", "cpu_count", As::Is),
    ("CpuPercent", "cpu_percent", As::Is),
    ("CpuPeriod", "cpu_period", As::Is),
    ("CpuQuota", "cpu_quota", As::Limit),
    ("CpuRealtimePeriod", "cpu_rt_period", As::Is),
    ("CpuRealtimeRuntime", "cpu_rt_runtime", As::Is),
    ("CpuShares", "cpu_shares", As::Is),
    ("CpusetCpus", "cpuset", As::Is),
    ("CpusetMems", "cpuset_mems", As::Is),
    ("DeviceCgroupRules", "device_cgroup_rules", As::Set),
    ("DeviceRequests", "gpus", As::Is),
    ("Devices", "devices", As::Set),
    ("Dns", "dns", As::Is),
    ("DnsOptions", "dns_opt", As::Is),
    ("DnsSearch", "dns_search", As::Is),
    ("ExtraHosts", "extra_hosts", As::Set),
    ("GroupAdd", "group_add", As::Set),
    ("Init", "init", As::Is),
    ("IpcMode", "ipc", As::Is),
    ("Memory", "mem_limit", As::Is),
    ("MemoryReservation", "mem_reservation", As::Is),
    ("MemorySwap", "memswap_limit", As::Is),
    ("MemorySwappiness", "mem_swappiness", As::Limit),
    ("NanoCpus", "cpus", As::Is),
    ("OomKillDisable", "oom_kill_disable", As::Is),
    ("OomScoreAdj", "oom_score_adj", As::Is),
    ("PidMode", "pid", As::Is),
    ("PidsLimit", "pids_limit", As::Limit),
    ("Privileged", "privileged", As::Is),
    ("ReadonlyRootfs", "read_only", As::Is),
    ("Runtime", "runtime", As::Is),
    ("ShmSize", "shm_size", As::Is),
    ("StorageOpt", "storage_opt", As::Is),
    ("UTSMode", "uts", As::Is),
    ("UsernsMode", "userns_mode", As::Is),
];

/// Kinds of network that are no networks of the project.
const MODES: [&str; 4] = ["host", "none", "bridge", "default"];

/// Words for how mounts inside a bound folder travel between host and container.
const PROPAGATION: [&str; 6] = [
    "shared", "rshared", "slave", "rslave", "private", "rprivate",
];

/// What the engine shows of a container.
pub(super) fn of_inspected(inspected: &Inspected) -> Made {
    let none = Values::new();
    let config = inspected.config.as_ref().map_or(&none, |said| &said.0);
    let host = inspected.host_config.as_ref().map_or(&none, |said| &said.0);
    let settings = inspected.network_settings.as_ref();
    let networks = settings.and_then(|settings| settings.networks.as_ref());
    let name = inspected.name.as_deref().unwrap_or_default();
    let id = inspected.id.as_deref().unwrap_or_default();
    // An engine of API 1.41 makes the host name an alias too.
    let own = [
        name.trim_start_matches('/'),
        id.get(..12).unwrap_or(id),
        text(config, "Hostname"),
    ];
    let mut made = Values::new();
    of_config(config, &mut made);
    of_host(host, &mut made);
    let mut networks = networks.cloned().unwrap_or_default();
    let mode = text(host, "NetworkMode");
    if MODES.contains(&mode) || mode.starts_with("container:") {
        let mode = if mode == "default" { "bridge" } else { mode };
        networks.shift_remove(mode);
        made.insert("network_mode".to_owned(), json!(mode));
        insert(&mut made, "links", bridge_links(host));
    }
    insert_networks(&networks, &own, &mut made);
    // A host name that the engine made up.
    if made.get("hostname").and_then(Value::as_str) == id.get(..12) {
        made.shift_remove("hostname");
    }
    Made(made)
}

/// What the engine will show of a container made of a request.
pub(super) fn of_request(request: &ContainerRequest<'_>) -> Made {
    let body: ContainerCreateBody = convert::create_body(request);
    let config = object(&body);
    let host = object(&body.host_config);
    let mut made = Values::new();
    of_config(&config, &mut made);
    of_host(&host, &mut made);
    if request.networks.is_empty() {
        let mode = request.network_mode.as_deref().unwrap_or("bridge");
        let mode = if mode == "default" { "bridge" } else { mode };
        made.insert("network_mode".to_owned(), json!(mode));
        insert(&mut made, "links", bridge_links(&host));
    }
    let networks = request.networks.iter();
    let networks = networks.map(|place| {
        let endpoint = object(&convert::endpoint(place));
        (place.name.clone(), Value::Object(endpoint))
    });
    let own = [request.name, text(&config, "Hostname")];
    insert_networks(&networks.collect(), &own, &mut made);
    let files = request.put.iter().map(|file| {
        let digest = json!(engine::digest(file.content.expose().as_bytes()));
        (file.target.clone(), digest)
    });
    let files: Values = files.collect();
    if !files.is_empty() {
        made.insert("files".to_owned(), Value::Object(files));
    }
    Made(made)
}

/// What an image gives to its containers.
pub(super) fn of_image(config: Option<&ImageConfig>) -> Made {
    let config = object(&config);
    let mut made = Values::new();
    of_config(&config, &mut made);
    let volumes = names(config.get("Volumes")).into_iter();
    let volumes: Vec<String> = volumes
        .map(|path| without_slash(&path).to_owned())
        .collect();
    if !volumes.is_empty() {
        made.insert("volumes".to_owned(), json!(volumes));
    }
    Made(made)
}

pub(super) fn object(model: &impl Serialize) -> Values {
    match serde_json::to_value(model) {
        Ok(Value::Object(map)) => map,
        _ => Values::new(),
    }
}

pub(super) fn text<'a>(map: &'a Values, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The names of a set, which the engine writes as a mapping to nothing.
fn names(value: Option<&Value>) -> Vec<String> {
    let mut names: Vec<String> = match value {
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    names.sort();
    names
}

/// A value without everything that says nothing; `None` when nothing is left.
pub(super) fn pruned(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => (!text.is_empty()).then(|| value.clone()),
        Value::Number(number) => (number.as_f64() != Some(0.0)).then(|| value.clone()),
        Value::Bool(true) => Some(value.clone()),
        Value::Array(items) => {
            let items: Vec<Value> = items.iter().filter_map(pruned).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), pruned(value)?)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            (!entries.is_empty()).then(|| Value::Object(entries.into_iter().collect()))
        }
    }
}

pub(super) fn insert(made: &mut Values, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        made.insert(key.to_owned(), value);
    }
}

pub(super) fn sorted(map: impl Iterator<Item = (String, Value)>) -> Option<Value> {
    let mut entries: Vec<(String, Value)> = map.collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    (!entries.is_empty()).then(|| Value::Object(entries.into_iter().collect()))
}

/// The part that images and containers share.
fn of_config(config: &Values, made: &mut Values) {
    let entries = config.get("Env").and_then(Value::as_array);
    let entries = entries.into_iter().flatten().filter_map(Value::as_str);
    let variables = entries.map(|entry| match entry.split_once('=') {
        Some((name, value)) => (name.to_owned(), json!(value)),
        // Takes away what the image sets.
        None => (entry.to_owned(), Value::Null),
    });
    insert(made, "environment", sorted(variables));
    let labels = config.get("Labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    let labels = labels.map(|(key, value)| (key.clone(), value.clone()));
    insert(made, "labels", sorted(labels));
    for (key, ours) in [
        ("User", "user"),
        ("Hostname", "hostname"),
        ("Domainname", "domainname"),
        ("Tty", "tty"),
        ("OpenStdin", "stdin_open"),
    ] {
        insert(made, ours, config.get(key).and_then(pruned));
    }
    // Words are kept even when they are empty, and so is a list without any.
    for (key, ours) in [("Cmd", "command"), ("Entrypoint", "entrypoint")] {
        let words = config.get(key).filter(|words| words.is_array());
        insert(made, ours, words.cloned());
    }
    insert(made, "stop_grace_period", {
        config
            .get("StopTimeout")
            .filter(|value| value.is_number())
            .cloned()
    });
    let folder = text(config, "WorkingDir");
    insert(made, "working_dir", pruned(&json!(without_slash(folder))));
    let signal = text(config, "StopSignal").to_uppercase();
    let signal = signal.strip_prefix("SIG").unwrap_or(&signal);
    let signal = if signal == "TERM" { "" } else { signal };
    insert(made, "stop_signal", pruned(&json!(signal)));
    let exposed = names(config.get("ExposedPorts")).into_iter();
    let exposed = exposed.map(|port| match port.strip_suffix("/tcp") {
        Some(port) => port.to_owned(),
        None => port,
    });
    let exposed: Vec<String> = exposed.collect();
    insert(made, "expose", pruned(&json!(exposed)));
    let check = config.get("Healthcheck").and_then(pruned);
    insert(made, "healthcheck", check);
}

fn without_slash(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if !path.is_empty() => "/",
        path => path,
    }
}

fn of_host(host: &Values, made: &mut Values) {
    for (key, ours, how) in HOST {
        let value = host.get(key).and_then(pruned);
        let value = value.and_then(|value| match how {
            As::Is => Some(value),
            As::Set => Some(in_order(value)),
            As::Capabilities => Some(in_order(capabilities(value))),
            As::Limit => (value.as_i64() != Some(-1)).then_some(value),
        });
        insert(made, ours, value);
    }
    if text(host, "Isolation") != "default" {
        insert(made, "isolation", host.get("Isolation").and_then(pruned));
    }
    for (key, ours) in [("Sysctls", "sysctls"), ("Tmpfs", "tmpfs")] {
        let map = host.get(key).and_then(Value::as_object);
        let map = map.into_iter().flatten();
        let map = map.map(|(key, value)| (without_slash(key).to_owned(), value.clone()));
        insert(made, ours, sorted(map));
    }
    insert(made, "restart", Some(json!(restart(host))));
    insert(made, "logging", host.get("LogConfig").and_then(pruned));
    insert(made, "ports", ports(host));
    insert(made, "security_opt", security(host, made));
    let limits = host.get("Ulimits").and_then(Value::as_array);
    let limits = limits.into_iter().flatten().filter_map(Value::as_object);
    let limits = limits.map(|limit| {
        let number = |key: &str| limit.get(key).and_then(Value::as_i64).unwrap_or(0);
        let name = text(limit, "Name").to_owned();
        (name, json!([number("Soft"), number("Hard")]))
    });
    insert(made, "ulimits", sorted(limits));
    insert(made, "volumes", sorted(mounts(host)));
    let shared = host.get("VolumesFrom").and_then(Value::as_array);
    let shared = shared.into_iter().flatten().filter_map(Value::as_str);
    let shared: Vec<String> = shared
        .map(|entry| match entry.split_once(':') {
            Some(_) => entry.to_owned(),
            None => format!("{entry}:rw"),
        })
        .collect();
    insert(made, "volumes_from", pruned(&json!(shared)));
}

/// Links on the engine's own bridge, as `CONTAINER:ALIAS`; the engine shows them as `/CONTAINER:/OWN/ALIAS`.
fn bridge_links(host: &Values) -> Option<Value> {
    let links = host.get("Links").and_then(Value::as_array);
    let links = links.into_iter().flatten().filter_map(Value::as_str);
    let mut links: Vec<String> = links
        .map(|link| {
            let (container, alias) = link.split_once(':').unwrap_or((link, link));
            let alias = alias.rsplit_once('/').map_or(alias, |(_, alias)| alias);
            format!("{}:{alias}", container.trim_start_matches('/'))
        })
        .collect();
    links.sort();
    links.dedup();
    pruned(&json!(links))
}

fn in_order(value: Value) -> Value {
    let Value::Array(mut items) = value else {
        return value;
    };
    items.sort_by_key(ToString::to_string);
    Value::Array(items)
}

fn capabilities(value: Value) -> Value {
    let Value::Array(items) = value else {
        return value;
    };
    let items = items.iter().filter_map(Value::as_str).map(|name| {
        let name = name.to_uppercase();
        json!(name.strip_prefix("CAP_").unwrap_or(&name))
    });
    Value::Array(items.collect())
}

fn restart(host: &Values) -> String {
    let policy = host.get("RestartPolicy").and_then(Value::as_object);
    let name = policy.map_or("", |policy| text(policy, "Name"));
    let count = policy.and_then(|policy| policy.get("MaximumRetryCount")?.as_i64());
    match (name, count) {
        ("" | "no", _) => "no".to_owned(),
        ("on-failure", Some(count)) if count > 0 => format!("on-failure:{count}"),
        (name, _) => name.to_owned(),
    }
}

/// Published ports as `ADDRESS:PORT:TARGET/PROTOCOL`, without what is left to the engine.
fn ports(host: &Values) -> Option<Value> {
    let bindings = host.get("PortBindings").and_then(Value::as_object)?;
    let mut ports = Vec::new();
    for (target, bindings) in bindings {
        let target = target.strip_suffix("/tcp").unwrap_or(target);
        for binding in bindings.as_array().into_iter().flatten() {
            let text = |key: &str| binding.get(key).and_then(Value::as_str).unwrap_or_default();
            let port = match text("HostPort") {
                "0" => "",
                port => port,
            };
            ports.push(match text("HostIp") {
                "" => format!("{port}:{target}"),
                address if address.contains(':') => format!("[{address}]:{port}:{target}"),
                address => format!("{address}:{port}:{target}"),
            });
        }
    }
    ports.sort();
    pruned(&json!(ports))
}

fn security(host: &Values, made: &Values) -> Option<Value> {
    let options = host.get("SecurityOpt").and_then(Value::as_array);
    let options = options.into_iter().flatten().filter_map(Value::as_str);
    let mut options: Vec<String> = options
        .map(|option| option.replacen(':', "=", 1))
        .map(|option| match option.as_str() {
            "no-new-privileges=true" => "no-new-privileges".to_owned(),
            _ => option,
        })
        .collect();
    let is = |key: &str, value: Value| made.get(key) == Some(&value);
    let is_open = is("privileged", json!(true)) || is("pid", json!("host"));
    if is_open || is("ipc", json!("host")) {
        // The engine adds it by itself.
        options.retain(|option| option != "label=disable");
    }
    let is_empty =
        |key: &str| matches!(host.get(key), Some(Value::Array(paths)) if paths.is_empty());
    if is_empty("MaskedPaths") && is_empty("ReadonlyPaths") {
        options.push("systempaths=unconfined".to_owned());
    }
    options.sort();
    options.dedup();
    pruned(&json!(options))
}

/// Mounts by their path in the container, from both of the engine's forms.
fn mounts(host: &Values) -> impl Iterator<Item = (String, Value)> {
    let list = |key: &str| {
        host.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let short = list("Binds").filter_map(Value::as_str).filter_map(of_bind);
    let long = list("Mounts").filter_map(Value::as_object).map(of_mount);
    short.chain(long).collect::<Vec<_>>().into_iter()
}

fn of_bind(text: &str) -> Option<(String, Value)> {
    let mut parts = text.splitn(3, ':');
    let (source, target) = (parts.next()?, parts.next()?);
    let mut mount = Values::new();
    let is_path = source.starts_with('/');
    let kind = if is_path { "bind" } else { "volume" };
    mount.insert("type".to_owned(), json!(kind));
    insert(&mut mount, "source", source_of(kind, source));
    for option in parts.next().unwrap_or_default().split(',') {
        match option {
            "ro" => insert(&mut mount, "read_only", Some(json!(true))),
            "z" | "Z" => insert(&mut mount, "selinux", Some(json!(option))),
            "nocopy" => insert(&mut mount, "nocopy", Some(json!(true))),
            "rprivate" => {}
            word if PROPAGATION.contains(&word) => {
                insert(&mut mount, "propagation", Some(json!(word)));
            }
            _ => {}
        }
    }
    Some((without_slash(target).to_owned(), in_key_order(mount)))
}

fn of_mount(entry: &Values) -> (String, Value) {
    let mut mount = Values::new();
    let kind = text(entry, "Type");
    insert(&mut mount, "type", Some(json!(kind)));
    insert(&mut mount, "source", source_of(kind, text(entry, "Source")));
    insert(
        &mut mount,
        "read_only",
        entry.get("ReadOnly").and_then(pruned),
    );
    let inner = |object: &str, key: &str| pruned(entry.get(object)?.get(key)?);
    let propagation = inner("BindOptions", "Propagation");
    insert(
        &mut mount,
        "propagation",
        propagation.filter(|word| *word != json!("rprivate")),
    );
    for (object, key, ours) in [
        ("BindOptions", "NonRecursive", "not_recursive"),
        (
            "BindOptions",
            "ReadOnlyNonRecursive",
            "read_only_not_recursive",
        ),
        (
            "BindOptions",
            "ReadOnlyForceRecursive",
            "read_only_recursive",
        ),
        ("VolumeOptions", "NoCopy", "nocopy"),
        ("VolumeOptions", "Subpath", "subpath"),
        ("ImageOptions", "Subpath", "subpath"),
        ("TmpfsOptions", "SizeBytes", "size"),
        ("TmpfsOptions", "Mode", "mode"),
    ] {
        insert(&mut mount, ours, inner(object, key));
    }
    let target = without_slash(text(entry, "Target")).to_owned();
    (target, in_key_order(mount))
}

fn in_key_order(mount: Map<String, Value>) -> Value {
    sorted(mount.into_iter()).unwrap_or_default()
}

/// Whether a volume has its name from the engine, which makes up 64 digits for one without.
pub(super) fn is_made_up(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The source of a mount; none for a volume without a name of its own.
fn source_of(kind: &str, source: &str) -> Option<Value> {
    let source = match kind {
        "volume" if is_made_up(source) => "",
        "bind" => without_slash(source),
        _ => source,
    };
    pruned(&json!(source))
}

fn insert_networks(networks: &Values, own: &[&str], made: &mut Values) {
    let networks = networks.iter().filter_map(|(name, endpoint)| {
        let endpoint = endpoint.as_object()?;
        Some((name.clone(), of_endpoint(endpoint, own)))
    });
    insert(made, "networks", sorted(networks));
}

/// A place in a network. The names that every container has there are left out.
fn of_endpoint(endpoint: &Values, own: &[&str]) -> Value {
    let mut place = Values::new();
    let list = |key: &str| {
        let items = endpoint.get(key).and_then(Value::as_array);
        let items = items.into_iter().flatten().filter_map(Value::as_str);
        let mut items: Vec<String> = items
            .filter(|name| !own.contains(name))
            .map(ToOwned::to_owned)
            .collect();
        items.sort();
        items.dedup();
        pruned(&json!(items))
    };
    insert(&mut place, "aliases", list("Aliases"));
    insert(&mut place, "links", list("Links"));
    insert(&mut place, "id", endpoint.get("NetworkID").and_then(pruned));
    insert(
        &mut place,
        "driver_opts",
        endpoint.get("DriverOpts").and_then(pruned),
    );
    insert(
        &mut place,
        "gw_priority",
        endpoint.get("GwPriority").and_then(pruned),
    );
    insert(
        &mut place,
        "mac_address",
        endpoint.get("MacAddress").and_then(pruned),
    );
    for (key, ours) in [
        ("IPv4Address", "ipv4_address"),
        ("IPv6Address", "ipv6_address"),
        ("LinkLocalIPs", "link_local_ips"),
    ] {
        let value = endpoint.get("IPAMConfig").and_then(|ipam| ipam.get(key));
        insert(&mut place, ours, value.and_then(pruned));
    }
    Value::Object(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;
    use crate::engine::request;
    use std::collections::BTreeMap;

    #[test]
    fn both_forms_of_a_mount_say_the_same() {
        let host = json!({
            "Binds": ["/a/:/b:ro,z", "data:/c:rw", "/p:/q:rw,rslave"],
            "Mounts": [
                { "Type": "volume", "Source": "0123456789abcdef".repeat(4), "Target": "/d" },
                { "Type": "bind", "Source": "/p", "Target": "/r",
                  "BindOptions": { "Propagation": "rslave", "CreateMountpoint": true } },
            ],
        });
        let mounts: Values = mounts(host.as_object().unwrap()).collect();
        assert_eq!(
            Value::Object(mounts.clone()),
            json!({
                "/b": { "read_only": true, "selinux": "z", "source": "/a", "type": "bind" },
                "/c": { "source": "data", "type": "volume" },
                "/q": { "propagation": "rslave", "source": "/p", "type": "bind" },
                "/d": { "type": "volume" },
                "/r": { "propagation": "rslave", "source": "/p", "type": "bind" },
            })
        );
        assert_eq!(mounts["/q"], mounts["/r"]);
    }

    /// What an engine answers differs from what it was asked in words, not in meaning.
    #[test]
    fn an_answer_equals_what_was_asked() {
        let text = r#"
services:
  a:
    image: i
    environment: {A: "1"}
    cap_add: [net_admin]
    security_opt: ["no-new-privileges:true"]
    ports: ["127.0.0.1:80:80"]
    expose: ["90"]
    restart: "on-failure:2"
    stop_signal: SIGTERM
"#;
        let project = load::project(text, "p").unwrap();
        let service = &project.services["a"];
        let none = BTreeMap::new();
        let of = ("p-a-1", 1);
        let request = request::of(&project, "a", service, of, &none, &BTreeMap::new());
        let wanted = of_request(&request);
        let id = "0123456789ab".repeat(5);
        let answer = json!({
            "Id": id, "Name": "/p-a-1",
            "Config": {
                "Hostname": &id[..12], "Env": ["A=1"], "Labels": {}, "Image": "i",
                "ExposedPorts": { "80/tcp": {}, "90/tcp": {} },
            },
            "HostConfig": {
                "CapAdd": ["CAP_NET_ADMIN"], "SecurityOpt": ["no-new-privileges"],
                "PortBindings": { "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "80" }] },
                "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 2 },
                "NetworkMode": "p_default", "PidsLimit": 0, "MemorySwappiness": -1,
                "OomKillDisable": false, "Isolation": "default",
            },
            "NetworkSettings": { "Networks": { "p_default": {
                "Aliases": ["p-a-1", "a", &id[..12]], "NetworkID": "n", "IPAMConfig": {},
            } } },
        });
        let answer: Inspected = serde_json::from_value(answer).unwrap();
        let mut shown = of_inspected(&answer);
        let place = &mut shown.0["networks"]["p_default"];
        assert_eq!(
            place.as_object_mut().unwrap().shift_remove("id"),
            Some(json!("n"))
        );
        let wanted = Value::Object(wanted.0);
        assert_eq!(Value::Object(shown.0), wanted);
    }
}
