//! The keys of the specification.

use super::{Field, Merge, Object, Pairs, Shape, Unique};

const fn f(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        merge: Merge::Plain,
        unique: Unique::No,
        keep: false,
    }
}

impl Field {
    const fn merge(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }

    const fn unique(mut self, unique: Unique) -> Self {
        self.unique = unique;
        self
    }

    const fn keep(mut self) -> Self {
        self.keep = true;
        self
    }
}

const fn object(fields: &'static [Field]) -> Object {
    Object {
        fields,
        required: &[],
    }
}

const TEXTS: Shape = Shape::List(&Shape::Text);
const UNIQUE_TEXTS: Shape = Shape::UniqueList(&Shape::Text);

/// `KEY: value` whose keys later files replace one by one.
const fn pairs(name: &'static str, pairs: Pairs) -> Field {
    f(name, Shape::Pairs(pairs))
        .merge(Merge::Sequence)
        .unique(Unique::Key)
}

/// A file.
pub static FILE: Object = object(&[
    f("name", Shape::Text),
    f("version", Shape::Text),
    f("include", Shape::List(&Shape::Any)),
    f("networks", Shape::Map(&Shape::Object(&NETWORK))),
    f("services", Shape::Map(&Shape::Object(&SERVICE))),
    f("volumes", Shape::Map(&Shape::Object(&VOLUME))),
    f("secrets", Shape::Map(&Shape::Object(&SECRET))),
    f("configs", Shape::Map(&Shape::Object(&CONFIG))),
    f("models", Shape::Map(&Shape::Any)),
]);

/// A service.
pub static SERVICE: Object = object(&[
    f("profiles", UNIQUE_TEXTS).unique(Unique::Key),
    pairs("annotations", Pairs::Empty),
    f("attach", Shape::Flag).keep(),
    f("build", Shape::Build).merge(Merge::Build),
    f("develop", Shape::Object(&DEVELOP)),
    f("blkio_config", Shape::Object(&BLKIO)),
    f("cap_add", UNIQUE_TEXTS).unique(Unique::Key),
    f("cap_drop", UNIQUE_TEXTS).unique(Unique::Key),
    f("cgroup_parent", Shape::Text),
    f("cgroup", Shape::Word(&["host", "private"])),
    f("cpu_count", Shape::Integer),
    f("cpu_percent", Shape::Number),
    f("cpu_period", Shape::Integer),
    f("cpu_quota", Shape::Integer),
    f("cpu_rt_period", Shape::Integer),
    f("cpu_rt_runtime", Shape::Integer),
    f("cpus", Shape::Number),
    f("cpuset", Shape::Text),
    f("cpu_shares", Shape::Integer),
    f("command", Shape::Command).merge(Merge::Replace).keep(),
    f("configs", Shape::Grants).unique(Unique::Grant("/")),
    f("container_name", Shape::Text),
    f("credential_spec", Shape::Object(&CREDENTIAL_SPEC)),
    f("depends_on", Shape::DependsOn).merge(Merge::DependsOn),
    f("deploy", Shape::Object(&DEPLOY)),
    f("device_cgroup_rules", UNIQUE_TEXTS),
    f("devices", Shape::Devices).unique(Unique::Target),
    f("dns", Shape::TextOrList)
        .merge(Merge::Sequence)
        .unique(Unique::Key),
    f("dns_opt", TEXTS)
        .merge(Merge::Sequence)
        .unique(Unique::Key),
    f("dns_search", Shape::TextOrList)
        .merge(Merge::Sequence)
        .unique(Unique::Key),
    f("domainname", Shape::Text),
    f("entrypoint", Shape::Command).merge(Merge::Replace).keep(),
    f("provider", Shape::Any),
    pairs("environment", Pairs::Null),
    f("env_file", Shape::EnvFiles)
        .merge(Merge::Sequence)
        .unique(Unique::Path),
    f("expose", Shape::UniqueList(&Shape::Scalar)).unique(Unique::Key),
    f("extends", Shape::Extends),
    f("external_links", UNIQUE_TEXTS),
    f("extra_hosts", Shape::ExtraHosts).merge(Merge::Sequence),
    f("group_add", Shape::UniqueList(&Shape::Scalar)),
    f("gpus", Shape::Gpus),
    f("hostname", Shape::Text),
    f("healthcheck", Shape::Object(&HEALTHCHECK)),
    f("image", Shape::Text),
    f("init", Shape::Flag).keep(),
    f("ipc", Shape::Text),
    f("isolation", Shape::Text),
    pairs("labels", Pairs::Empty),
    f("label_file", Shape::TextOrList)
        .merge(Merge::Sequence)
        .unique(Unique::Key),
    f("links", UNIQUE_TEXTS).unique(Unique::Key),
    f("logging", Shape::Object(&LOGGING)).merge(Merge::Logging),
    f("mem_limit", Shape::Size),
    f("mem_reservation", Shape::Size),
    f("memswap_limit", Shape::Size),
    f("mem_swappiness", Shape::Integer),
    f("mac_address", Shape::Text),
    f("models", Shape::Models),
    f("network_mode", Shape::Text),
    f("networks", Shape::Networks).merge(Merge::Networks),
    f("oom_kill_disable", Shape::Flag),
    f("oom_score_adj", Shape::Integer),
    f("pid", Shape::Nullable(&Shape::Text)),
    f("pids_limit", Shape::Integer),
    f("platform", Shape::Text),
    f("ports", Shape::Ports).unique(Unique::Port),
    f("privileged", Shape::Flag),
    f("pull_policy", Shape::Text),
    f("pull_refresh_after", Shape::Text),
    f("read_only", Shape::Flag),
    f("restart", Shape::Text),
    f("runtime", Shape::Text),
    f("scale", Shape::Integer).keep(),
    f("secrets", Shape::Grants).unique(Unique::Grant("/run/secrets/")),
    f("security_opt", UNIQUE_TEXTS),
    f("shm_size", Shape::Size),
    f("stdin_open", Shape::Flag),
    f("stop_grace_period", Shape::Duration),
    f("stop_signal", Shape::Text),
    f("storage_opt", Shape::Map(&Shape::Scalar)),
    pairs("sysctls", Pairs::Empty),
    f("tmpfs", Shape::TextOrList)
        .merge(Merge::Sequence)
        .unique(Unique::Key),
    f("tty", Shape::Flag),
    f("ulimits", Shape::Ulimits),
    f("use_api_socket", Shape::Flag),
    f("user", Shape::Text),
    f("userns_mode", Shape::Text),
    f("uts", Shape::Text),
    f("volumes", Shape::Mounts).unique(Unique::Target),
    f("volumes_from", UNIQUE_TEXTS),
    f("working_dir", Shape::Text),
    f("post_start", Shape::List(&Shape::Object(&HOOK))),
    f("pre_stop", Shape::List(&Shape::Object(&HOOK))),
]);

/// `blkio_config` of a service.
pub static BLKIO: Object = object(&[
    f("weight", Shape::Integer),
    f("weight_device", Shape::Throttles),
    f("device_read_bps", Shape::Throttles),
    f("device_read_iops", Shape::Throttles),
    f("device_write_bps", Shape::Throttles),
    f("device_write_iops", Shape::Throttles),
]);

/// `develop` of a service.
pub static DEVELOP: Object = object(&[f("watch", Shape::List(&Shape::Object(&WATCH)))]);

static WATCH: Object = object(&[
    f("path", Shape::Text),
    f("action", Shape::Text),
    f("target", Shape::Text),
    f("exec", Shape::Object(&HOOK)),
    f("include", TEXTS),
    f("ignore", TEXTS),
    f("initial_sync", Shape::Flag),
]);

/// `build` of a service, in its long form.
pub static BUILD: Object = object(&[
    f("context", Shape::Text),
    f("dockerfile", Shape::Text),
    f("dockerfile_inline", Shape::Text),
    f("entitlements", TEXTS),
    pairs("args", Pairs::Resolved),
    f("provenance", Shape::Any),
    f("sbom", Shape::Any),
    f("ssh", Shape::Any),
    pairs("labels", Pairs::Empty),
    f("cache_from", TEXTS),
    f("cache_to", TEXTS),
    f("no_cache", Shape::Flag),
    f("no_cache_filter", Shape::TextOrList),
    pairs("additional_contexts", Pairs::Empty),
    f("pull", Shape::Flag),
    f("extra_hosts", Shape::ExtraHosts).merge(Merge::Sequence),
    f("isolation", Shape::Text),
    f("network", Shape::Text),
    f("target", Shape::Text),
    f("secrets", Shape::Grants),
    f("shm_size", Shape::Size),
    f("tags", TEXTS).unique(Unique::Key),
    f("ulimits", Shape::Ulimits),
    f("platforms", TEXTS),
    f("privileged", Shape::Flag),
]);

/// One entry of `depends_on`, in its long form.
pub static DEPENDENCY: Object = Object {
    fields: &[
        f(
            "condition",
            Shape::Word(&[
                "service_started",
                "service_healthy",
                "service_completed_successfully",
            ]),
        ),
        f("restart", Shape::Flag),
        f("required", Shape::Flag).keep(),
    ],
    required: &["condition"],
};

/// One limit of the kernel, in its long form.
pub static ULIMIT: Object = object(&[f("soft", Shape::Integer), f("hard", Shape::Integer)]);

/// `deploy` of a service.
pub static DEPLOY: Object = object(&[
    f("mode", Shape::Text),
    f("replicas", Shape::Integer).keep(),
    pairs("labels", Pairs::Empty),
    f("update_config", Shape::Object(&UPDATE)),
    f("rollback_config", Shape::Object(&UPDATE)),
    f("resources", Shape::Object(&RESOURCES)),
    f("restart_policy", Shape::Object(&RESTART_POLICY)),
    f("placement", Shape::Object(&PLACEMENT)),
    f("endpoint_mode", Shape::Text),
]);

static UPDATE: Object = object(&[
    f("parallelism", Shape::Integer).keep(),
    f("delay", Shape::Duration),
    f("failure_action", Shape::Text),
    f("monitor", Shape::Duration),
    f("max_failure_ratio", Shape::Number),
    f("order", Shape::Word(&["start-first", "stop-first"])),
]);

static RESOURCES: Object = object(&[
    f("limits", Shape::Object(&LIMITS)),
    f("reservations", Shape::Object(&RESERVATIONS)),
]);

static LIMITS: Object = object(&[
    f("cpus", Shape::Number),
    f("memory", Shape::SizeText),
    f("pids", Shape::Integer),
    f("devices", Shape::List(&Shape::Object(&DEVICE_REQUEST))),
    f("generic_resources", Shape::List(&Shape::Any)),
]);

static RESERVATIONS: Object = object(&[
    f("cpus", Shape::Number),
    f("memory", Shape::SizeText),
    f("devices", Shape::List(&Shape::Object(&DEVICE_REQUEST))),
    f("generic_resources", Shape::List(&Shape::Any)),
]);

/// A file of variables; only the expansion of its values asks for this.
pub static ENV_FILE: Object = object(&[
    f("path", Shape::Text),
    f("required", Shape::Flag).keep(),
    f("format", Shape::Text),
]);

static CREDENTIAL_SPEC: Object = object(&[
    f("config", Shape::Text),
    f("file", Shape::Text),
    f("registry", Shape::Text),
]);

/// A request for devices such as graphics cards.
pub static DEVICE_REQUEST: Object = object(&[
    f("capabilities", TEXTS),
    f("driver", Shape::Text),
    f("count", Shape::Count),
    f("device_ids", TEXTS),
    f("options", Shape::Pairs(Pairs::Empty)),
]);

static RESTART_POLICY: Object = object(&[
    f("condition", Shape::Text),
    f("delay", Shape::Duration),
    f("max_attempts", Shape::Integer).keep(),
    f("window", Shape::Duration),
]);

static PLACEMENT: Object = object(&[
    f("constraints", TEXTS),
    f("preferences", Shape::List(&Shape::Any)),
    f("max_replicas_per_node", Shape::Integer),
]);

/// `healthcheck` of a service.
pub static HEALTHCHECK: Object = object(&[
    f("test", Shape::HealthTest).merge(Merge::Replace),
    f("timeout", Shape::Duration),
    f("interval", Shape::Duration),
    f("retries", Shape::Integer).keep(),
    f("start_period", Shape::Duration),
    f("start_interval", Shape::Duration),
    f("disable", Shape::Flag),
]);

static LOGGING: Object = object(&[
    f("driver", Shape::Text),
    f("options", Shape::Map(&Shape::Nullable(&Shape::Scalar))),
]);

static HOOK: Object = Object {
    fields: &[
        f("command", Shape::Command).keep(),
        f("user", Shape::Text),
        f("privileged", Shape::Flag),
        f("working_dir", Shape::Text),
        pairs("environment", Pairs::Null),
    ],
    required: &["command"],
};

/// A service's place in a network.
pub static ATTACHMENT: Object = object(&[
    f("aliases", UNIQUE_TEXTS).unique(Unique::Key),
    f("driver_opts", Shape::Map(&Shape::Scalar)),
    f("gw_priority", Shape::Integer),
    f("interface_name", Shape::Text),
    f("ipv4_address", Shape::Text),
    f("ipv6_address", Shape::Text),
    f("link_local_ips", UNIQUE_TEXTS).unique(Unique::Key),
    f("mac_address", Shape::Text),
    f("priority", Shape::Integer),
]);

/// A mount in its long form.
pub static MOUNT: Object = Object {
    fields: &[
        f(
            "type",
            Shape::Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
        ),
        f("source", Shape::Text),
        f("target", Shape::Text),
        f("read_only", Shape::Flag),
        f("consistency", Shape::Text),
        f("bind", Shape::Object(&MOUNT_BIND)),
        f("volume", Shape::Object(&MOUNT_VOLUME)),
        f("tmpfs", Shape::Object(&MOUNT_TMPFS)),
        f("image", Shape::Object(&MOUNT_IMAGE)),
    ],
    required: &["type"],
};

static MOUNT_BIND: Object = object(&[
    f("selinux", Shape::Word(&["z", "Z"])),
    f("propagation", Shape::Text),
    f("create_host_path", Shape::Flag),
    f(
        "recursive",
        Shape::Word(&["enabled", "disabled", "writable", "readonly"]),
    ),
]);

static MOUNT_VOLUME: Object = object(&[
    pairs("labels", Pairs::Empty),
    f("nocopy", Shape::Flag),
    f("subpath", Shape::Text),
]);

static MOUNT_TMPFS: Object = object(&[f("size", Shape::Size), f("mode", Shape::Integer)]);

static MOUNT_IMAGE: Object = object(&[f("subpath", Shape::Text)]);

/// A published port in its long form.
pub static PORT: Object = object(&[
    f("name", Shape::Text),
    f("mode", Shape::Text),
    f("host_ip", Shape::Text),
    f("target", Shape::Integer),
    f("published", Shape::Scalar),
    f("protocol", Shape::Text),
    f("app_protocol", Shape::Text),
]);

/// A secret or config that a service gets, in its long form.
pub static GRANT: Object = object(&[
    f("source", Shape::Text),
    f("target", Shape::Text),
    f("uid", Shape::Text),
    f("gid", Shape::Text),
    f("mode", Shape::Mode),
]);

/// A device in its long form.
pub static DEVICE: Object = Object {
    fields: &[
        f("source", Shape::Text),
        f("target", Shape::Text),
        f("permissions", Shape::Text),
    ],
    required: &["source"],
};

/// A network of the project.
pub static NETWORK: Object = object(&[
    f("name", Shape::Text),
    f("driver", Shape::Text),
    f("driver_opts", Shape::Map(&Shape::Scalar)),
    f("ipam", Shape::Object(&IPAM)),
    f("external", Shape::External),
    f("internal", Shape::Flag),
    f("attachable", Shape::Flag),
    pairs("labels", Pairs::Empty),
    f("enable_ipv4", Shape::Flag).keep(),
    f("enable_ipv6", Shape::Flag).keep(),
]);

static IPAM: Object = object(&[
    f("driver", Shape::Text),
    f("config", Shape::List(&Shape::Object(&IPAM_POOL))).merge(Merge::IpamConfig),
    f("options", Shape::Map(&Shape::Text)),
]);

static IPAM_POOL: Object = object(&[
    f("subnet", Shape::Text),
    f("gateway", Shape::Text),
    f("ip_range", Shape::Text),
    f("aux_addresses", Shape::Map(&Shape::Text)),
]);

/// A named volume of the project.
pub static VOLUME: Object = object(&[
    f("name", Shape::Text),
    f("driver", Shape::Text),
    f("driver_opts", Shape::Map(&Shape::Scalar)),
    f("external", Shape::External),
    pairs("labels", Pairs::Empty),
]);

/// A secret of the project.
pub static SECRET: Object = object(&[
    f("name", Shape::Text),
    f("file", Shape::Text),
    f("environment", Shape::Text),
    f("content", Shape::Text),
    f("external", Shape::External),
    pairs("labels", Pairs::Empty),
    f("driver", Shape::Text),
    f("driver_opts", Shape::Map(&Shape::Scalar)),
    f("template_driver", Shape::Text),
]);

/// A config of the project.
pub static CONFIG: Object = object(&[
    f("name", Shape::Text),
    f("file", Shape::Text),
    f("environment", Shape::Text),
    f("content", Shape::Text),
    f("external", Shape::External),
    pairs("labels", Pairs::Empty),
    f("template_driver", Shape::Text),
]);
