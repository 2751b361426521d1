//! The part of a service that goes into the engine's host configuration, beyond ports and mounts.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigIsolationEnum, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountImageOptions, MountTmpfsOptions, MountType,
    MountVolumeOptions, MountVolumeOptionsDriverConfig, ResourcesBlkioWeightDevice,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum, ThrottleDevice,
};
use serde_json::Value;

use crate::compose::{self, MountSource, Restart, Values};
use crate::engine::ContainerRequest;

/// The security option that is none for the engine, but a matter of paths.
const UNCONFINED_PATHS: &str = "systempaths=unconfined";

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
pub(super) fn fill(body: &mut ContainerCreateBody, request: &ContainerRequest<'_>) {
    let read = Reader(&request.service.rest);
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
    host.ipc_mode = request.ipc.clone().or_else(|| read.text("ipc"));
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
    host.pid_mode = request.pid.clone().or_else(|| read.text("pid"));
    host.privileged = read.flag("privileged");
    host.readonly_rootfs = read.flag("read_only");
    host.runtime = read.text("runtime");
    let options = request.security_opt.clone();
    host.security_opt = options.or_else(|| read.texts("security_opt"));
    if let Some(options) = &mut host.security_opt {
        let count = options.len();
        options.retain(|option| option != UNCONFINED_PATHS);
        if options.len() < count {
            host.masked_paths = Some(Vec::new());
            host.readonly_paths = Some(Vec::new());
        }
    }
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
    // Docker Compose hands hundredths on.
    host.cpu_percent = read.number("cpu_percent").map(|percent| percent * 100);
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
    if let Some(config) = read.inner("blkio_config") {
        block_devices(host, config);
    }
    let mut requests = Vec::new();
    if let Some(devices) = reservations.and_then(|reservations| reservations.0.get("devices")) {
        requests.extend(device_requests(devices, None));
    }
    if let Some(cards) = read.0.get("gpus") {
        requests.extend(device_requests(cards, Some("gpu")));
    }
    let named: Vec<String> = read
        .objects("devices")
        .filter_map(interface_device)
        .collect();
    if !named.is_empty() {
        requests.push(DeviceRequest {
            driver: Some("cdi".to_owned()),
            device_ids: Some(named),
            ..DeviceRequest::default()
        });
    }
    host.device_requests = (!requests.is_empty()).then_some(requests);
}

/// Weights and limits of block devices; the keys of each device have a capital in the canonical form.
fn block_devices(host: &mut HostConfig, config: Reader<'_>) {
    host.blkio_weight = config
        .number("weight")
        .and_then(|weight| weight.try_into().ok());
    let limits = |key: &str| {
        config.0.contains_key(key).then(|| {
            let limits = config.objects(key).map(|limit| ThrottleDevice {
                path: limit.text("Path"),
                rate: limit.number("Rate"),
            });
            limits.collect()
        })
    };
    host.blkio_device_read_bps = limits("device_read_bps");
    host.blkio_device_read_iops = limits("device_read_iops");
    host.blkio_device_write_bps = limits("device_write_bps");
    host.blkio_device_write_iops = limits("device_write_iops");
    host.blkio_weight_device = config.0.contains_key("weight_device").then(|| {
        let weights = config.objects("weight_device");
        let weights = weights.map(|weight| ResourcesBlkioWeightDevice {
            path: weight.text("Path"),
            weight: weight
                .number("Weight")
                .and_then(|weight| weight.try_into().ok()),
        });
        weights.collect()
    });
}

/// The name of a device that the engine looks up in the Container Device Interface, such as
/// `vendor.com/class=name`.
fn interface_device(device: Reader<'_>) -> Option<String> {
    let source = device.text("source")?;
    let is_name = !source.starts_with('/') && source.contains('/') && source.contains('=');
    let is_same = device.text("target").is_none_or(|target| target == source);
    (is_name && is_same).then_some(source)
}

/// The restart policy. What is none never comes here: it is refused before anything changes.
pub(super) fn restart_policy(service: &compose::Service) -> Option<RestartPolicy> {
    let (_, restart) = service.restart_policy()?;
    let (name, count) = match restart.ok()? {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::OnFailure(count) => (RestartPolicyNameEnum::ON_FAILURE, count),
    };
    Some(RestartPolicy {
        maximum_retry_count: count.map(i64::from),
        name: Some(name),
    })
}

fn device_requests(value: &Value, capability: Option<&str>) -> Vec<DeviceRequest> {
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
        let mut capabilities = read.texts("capabilities").unwrap_or_default();
        capabilities.extend(capability.map(ToOwned::to_owned));
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
    let devices = items.iter().filter_map(Value::as_object).map(Reader);
    let devices = devices.filter(|device| interface_device(*device).is_none());
    let devices = devices.map(|read| DeviceMapping {
        path_on_host: read.text("source"),
        path_in_container: read.text("target"),
        cgroup_permissions: read.text("permissions"),
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

/// A mount of a request in the engine's long form.
pub(super) fn mount(mount: &compose::Mount, request: &ContainerRequest<'_>) -> Mount {
    let read = Reader(&mount.rest);
    let recursion = read
        .inner("bind")
        .and_then(|bind| bind.text("recursive"))
        .unwrap_or_default();
    let recursive = |word: &str| (recursion == word).then_some(true);
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
                non_recursive: recursive("disabled"),
                read_only_non_recursive: recursive("writable"),
                read_only_force_recursive: recursive("readonly"),
            }),
            ..base
        },
        MountSource::Volume(key) => {
            let volume = key.as_ref().and_then(|key| request.volumes.get(key));
            let options = read.inner("volume");
            let driver = volume.map(|volume| Reader(&volume.rest));
            Mount {
                typ: Some(MountType::VOLUME),
                source: volume
                    .map(|volume| volume.name.clone())
                    .or_else(|| key.clone())
                    .or_else(|| request.inherits.get(mount.path()).cloned()),
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
            image_options: read.inner("image").map(|image| MountImageOptions {
                subpath: image.text("subpath"),
            }),
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
