//! The part of a service that goes into the engine's host configuration, beyond ports and mounts.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigIsolationEnum, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, ResourcesUlimits,
};
use serde_json::Value;

use crate::compose::{self, MountSource, Values};

/// Reads canonical values by key.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a Values);

impl<'a> Reader<'a> {
    pub(super) fn text(self, key: &str) -> Option<String> {
        self.0.get(key).map(plain)
    }

    pub(super) fn texts(self, key: &str) -> Option<Vec<String>> {
        let items = self.0.get(key)?.as_array()?;
        Some(items.iter().map(plain).collect())
    }

    pub(super) fn flag(self, key: &str) -> Option<bool> {
        self.0.get(key)?.as_bool()
    }

    pub(super) fn number(self, key: &str) -> Option<i64> {
        match self.0.get(key)? {
            Value::String(digits) => digits.parse().ok(),
            value => value.as_i64(),
        }
    }

    pub(super) fn map(self, key: &str) -> Option<HashMap<String, String>> {
        let map = self.0.get(key)?.as_object()?;
        Some(
            map.iter()
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect(),
        )
    }

    pub(super) fn objects(self, key: &str) -> impl Iterator<Item = Reader<'a>> {
        let items = self.0.get(key).and_then(Value::as_array);
        let items = items.into_iter().flatten();
        items.filter_map(Value::as_object).map(Reader)
    }

    pub(super) fn inner(self, key: &str) -> Option<Reader<'a>> {
        self.0.get(key)?.as_object().map(Reader)
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// Adds what stands in the rest of a service.
pub(super) fn fill(body: &mut ContainerCreateBody, rest: &Values) {
    let read = Reader(rest);
    body.domainname = read.text("domainname");
    body.tty = read.flag("tty");
    body.open_stdin = read.flag("stdin_open");
    let Some(host) = &mut body.host_config else {
        return;
    };
    resources(host, read);
    host.annotations = read.map("annotations");
    host.cap_add = read.texts("cap_add");
    host.cap_drop = read.texts("cap_drop");
    host.cgroup_parent = read.text("cgroup_parent");
    host.cgroupns_mode = match read.text("cgroup").as_deref() {
        Some("host") => Some(HostConfigCgroupnsModeEnum::HOST),
        Some("private") => Some(HostConfigCgroupnsModeEnum::PRIVATE),
        _ => None,
    };
    host.device_cgroup_rules = read.texts("device_cgroup_rules");
    host.devices = devices(read);
    host.dns = read.texts("dns");
    host.dns_options = read.texts("dns_opt");
    host.dns_search = read.texts("dns_search");
    let hosts = read.texts("extra_hosts");
    host.extra_hosts = hosts.map(|hosts| {
        hosts
            .iter()
            .map(|host| host.replacen('=', ":", 1))
            .collect()
    });
    host.group_add = read.texts("group_add");
    host.init = read.flag("init");
    host.ipc_mode = read.text("ipc");
    host.isolation = match read.text("isolation").as_deref() {
        Some("default") => Some(HostConfigIsolationEnum::DEFAULT),
        Some("process") => Some(HostConfigIsolationEnum::PROCESS),
        Some("hyperv") => Some(HostConfigIsolationEnum::HYPERV),
        _ => None,
    };
    host.log_config = read.inner("logging").map(|logging| HostConfigLogConfig {
        typ: logging.text("driver"),
        config: logging.map("options"),
    });
    host.oom_kill_disable = read.flag("oom_kill_disable");
    host.oom_score_adj = read.number("oom_score_adj");
    host.pid_mode = read.text("pid");
    host.privileged = read.flag("privileged");
    host.readonly_rootfs = read.flag("read_only");
    host.runtime = read.text("runtime");
    host.security_opt = read.texts("security_opt");
    host.shm_size = read.number("shm_size");
    host.storage_opt = read.map("storage_opt");
    host.sysctls = read.map("sysctls");
    host.tmpfs = read.texts("tmpfs").map(|entries| {
        let split = entries.iter().map(|entry| entry.split_once(':'));
        split
            .zip(&entries)
            .map(|(split, entry)| match split {
                Some((path, options)) => (path.to_owned(), options.to_owned()),
                None => (entry.clone(), String::new()),
            })
            .collect()
    });
    host.ulimits = ulimits(read);
    host.userns_mode = read.text("userns_mode");
    host.uts_mode = read.text("uts");
}

/// Limits on processor and memory; those of `deploy` win, as in Docker Compose.
fn resources(host: &mut HostConfig, read: Reader<'_>) {
    let deploy = read
        .inner("deploy")
        .and_then(|deploy| deploy.inner("resources"));
    let limits = deploy.and_then(|resources| resources.inner("limits"));
    let reservations = deploy.and_then(|resources| resources.inner("reservations"));
    let cpus = limits
        .and_then(|limits| limits.0.get("cpus"))
        .or_else(|| read.0.get("cpus"))
        .and_then(Value::as_f64);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a number of processors times 1e9 is far below the limit"
    )]
    let nano = cpus.map(|cpus| (cpus * 1e9).round() as i64);
    host.nano_cpus = nano;
    host.cpu_count = read.number("cpu_count");
    host.cpu_percent = read.number("cpu_percent");
    host.cpu_period = read.number("cpu_period");
    host.cpu_quota = read.number("cpu_quota");
    host.cpu_realtime_period = read.number("cpu_rt_period");
    host.cpu_realtime_runtime = read.number("cpu_rt_runtime");
    host.cpu_shares = read.number("cpu_shares");
    host.cpuset_cpus = read.text("cpuset");
    host.memory = limits
        .and_then(|limits| limits.number("memory"))
        .or_else(|| read.number("mem_limit"));
    host.memory_reservation = reservations
        .and_then(|reservations| reservations.number("memory"))
        .or_else(|| read.number("mem_reservation"));
    host.memory_swap = read.number("memswap_limit");
    host.memory_swappiness = read.number("mem_swappiness");
    host.pids_limit = limits
        .and_then(|limits| limits.number("pids"))
        .or_else(|| read.number("pids_limit"));
    host.blkio_weight = read
        .inner("blkio_config")
        .and_then(|config| config.number("weight"))
        .and_then(|weight| weight.try_into().ok());
    let requests = reservations.and_then(|reservations| reservations.0.get("devices"));
    let requests = requests.or_else(|| read.0.get("gpus"));
    host.device_requests = requests.map(device_requests);
}

fn device_requests(value: &Value) -> Vec<DeviceRequest> {
    if value.as_str() == Some("all") {
        return vec![DeviceRequest {
            count: Some(-1),
            capabilities: Some(vec![vec!["gpu".to_owned()]]),
            ..DeviceRequest::default()
        }];
    }
    let items = value.as_array().into_iter().flatten();
    let requests = items.filter_map(Value::as_object).map(|request| {
        let read = Reader(request);
        let count = match read.text("count").as_deref() {
            Some("all") => Some(-1),
            Some(count) => count.parse().ok(),
            None => None,
        };
        let capabilities = read.texts("capabilities");
        let capabilities = capabilities.unwrap_or_else(|| vec!["gpu".to_owned()]);
        DeviceRequest {
            driver: read.text("driver"),
            count,
            device_ids: read.texts("device_ids"),
            capabilities: Some(vec![capabilities]),
            options: read.map("options"),
        }
    });
    requests.collect()
}

fn devices(read: Reader<'_>) -> Option<Vec<DeviceMapping>> {
    let items = read.0.get("devices")?.as_array()?;
    let devices = items.iter().filter_map(Value::as_object).map(|device| {
        let read = Reader(device);
        DeviceMapping {
            path_on_host: read.text("source"),
            path_in_container: read.text("target"),
            cgroup_permissions: read.text("permissions"),
        }
    });
    Some(devices.collect())
}

fn ulimits(read: Reader<'_>) -> Option<Vec<ResourcesUlimits>> {
    let map = read.0.get("ulimits")?.as_object()?;
    let limits = map.iter().map(|(name, value)| {
        let (soft, hard) = match value.as_object() {
            Some(both) => (Reader(both).number("soft"), Reader(both).number("hard")),
            None => (value.as_i64(), value.as_i64()),
        };
        ResourcesUlimits {
            name: Some(name.clone()),
            soft,
            hard,
        }
    });
    Some(limits.collect())
}

/// A mount in the engine's long form.
pub(super) fn mount(
    mount: &compose::Mount,
    volumes: &std::collections::BTreeMap<String, compose::Volume>,
) -> Mount {
    let read = Reader(&mount.rest);
    let base = Mount {
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        consistency: read.text("consistency"),
        ..Mount::default()
    };
    match &mount.source {
        MountSource::Bind { path, create } => Mount {
            typ: Some(MountType::BIND),
            source: Some(path.clone()),
            bind_options: Some(MountBindOptions {
                propagation: read
                    .inner("bind")
                    .and_then(|bind| bind.text("propagation"))
                    .and_then(|word| propagation(&word)),
                create_mountpoint: create.then_some(true),
                ..MountBindOptions::default()
            }),
            ..base
        },
        MountSource::Volume(key) => {
            let volume = key.as_ref().and_then(|key| volumes.get(key));
            let options = read.inner("volume");
            let driver = volume.map(|volume| Reader(&volume.rest));
            Mount {
                typ: Some(MountType::VOLUME),
                source: volume
                    .map(|volume| volume.name.clone())
                    .or_else(|| key.clone()),
                volume_options: Some(MountVolumeOptions {
                    no_copy: options.and_then(|options| options.flag("nocopy")),
                    subpath: options.and_then(|options| options.text("subpath")),
                    labels: driver.and_then(|driver| driver.map("labels")),
                    driver_config: driver.and_then(|driver| {
                        let (name, options) = (driver.text("driver"), driver.map("driver_opts"));
                        (name.is_some() || options.is_some())
                            .then_some(MountVolumeOptionsDriverConfig { name, options })
                    }),
                }),
                ..base
            }
        }
        MountSource::Tmpfs => {
            let options = read.inner("tmpfs");
            Mount {
                typ: Some(MountType::TMPFS),
                tmpfs_options: Some(MountTmpfsOptions {
                    size_bytes: options.and_then(|options| options.number("size")),
                    mode: options.and_then(|options| options.number("mode")),
                    ..MountTmpfsOptions::default()
                }),
                ..base
            }
        }
        MountSource::Other { kind, source } => Mount {
            typ: match kind.as_str() {
                "npipe" => Some(MountType::NPIPE),
                "cluster" => Some(MountType::CLUSTER),
                _ => Some(MountType::IMAGE),
            },
            source: source.clone(),
            ..base
        },
    }
}

fn propagation(word: &str) -> Option<MountBindOptionsPropagationEnum> {
    Some(match word {
        "private" => MountBindOptionsPropagationEnum::PRIVATE,
        "rprivate" => MountBindOptionsPropagationEnum::RPRIVATE,
        "shared" => MountBindOptionsPropagationEnum::SHARED,
        "rshared" => MountBindOptionsPropagationEnum::RSHARED,
        "slave" => MountBindOptionsPropagationEnum::SLAVE,
        "rslave" => MountBindOptionsPropagationEnum::RSLAVE,
        _ => return None,
    })
}
