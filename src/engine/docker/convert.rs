//! Between bollard's models and our types.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, ContainerSummary, EndpointIpamConfig, EndpointSettings, HealthConfig,
    HostConfig, ImageInspectMetadata, Ipam, IpamConfig, Mount, MountType, Network as NetworkModel,
    NetworkCreateRequest, NetworkingConfig, PortBinding, PortSummaryTypeEnum, SystemInfo,
    SystemVersion, Volume as VolumeModel, VolumeCreateRequest,
};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ground;
use super::host::{self, Reader};
use crate::compose::{self, Healthcheck, MountSource};
use crate::engine::{ContainerRequest, NetworkPlace, PortHolder};
use crate::labels;
use crate::observed::{EngineFacts, Network, Volume};

/// `info` is missing where the engine's answer has a form that is not known, as with Podman.
pub(super) fn facts(
    endpoint: &str,
    version: SystemVersion,
    info: Option<SystemInfo>,
) -> EngineFacts {
    let info = info.unwrap_or_default();
    let api = version.api_version.unwrap_or_default();
    let (major, minor) = api.split_once('.').unwrap_or(("0", "0"));
    let product = version
        .components
        .and_then(|components| components.into_iter().next())
        .map(|component| component.name)
        .filter(|name| name != "Engine")
        .unwrap_or_else(|| "Docker Engine".to_owned());
    EngineFacts {
        product,
        version: version.version.unwrap_or_default(),
        api: (major.parse().unwrap_or(0), minor.parse().unwrap_or(0)),
        architecture: version.arch.unwrap_or_default(),
        operating_system: version.os.unwrap_or_default(),
        operating_system_name: info.operating_system.unwrap_or_default(),
        kernel: version
            .kernel_version
            .or(info.kernel_version)
            .unwrap_or_default(),
        host_name: info.name.unwrap_or_default(),
        root_folder: info.docker_root_dir.map(Into::into),
        security: info.security_options.unwrap_or_default(),
        endpoint: endpoint.to_owned(),
    }
}

pub(super) fn port_holders(summary: ContainerSummary) -> Vec<PortHolder> {
    let names = summary.names.unwrap_or_default();
    let container = names
        .first()
        .map(|name| name.trim_start_matches('/'))
        .unwrap_or_default();
    let labels = summary.labels.unwrap_or_default();
    let project = labels.get(labels::PROJECT).cloned().unwrap_or_default();
    summary
        .ports
        .unwrap_or_default()
        .into_iter()
        .filter_map(|port| {
            Some(PortHolder {
                container: container.to_owned(),
                project: project.clone(),
                host_ip: port.ip.unwrap_or_default(),
                port: port.public_port?,
                protocol: match port.typ {
                    Some(PortSummaryTypeEnum::UDP) => "udp".to_owned(),
                    Some(PortSummaryTypeEnum::SCTP) => "sctp".to_owned(),
                    _ => "tcp".to_owned(),
                },
            })
        })
        .collect()
}

pub(super) fn network(model: NetworkModel) -> Network {
    Network {
        made: ground::of_network(&model),
        id: model.id.unwrap_or_default(),
        name: model.name.unwrap_or_default(),
        labels: model.labels.unwrap_or_default().into_iter().collect(),
    }
}

pub(super) fn create_body(request: &ContainerRequest<'_>) -> ContainerCreateBody {
    let service = request.service;
    let environment = service
        .environment
        .0
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            // Takes away what the image sets.
            None => name.clone(),
        });
    let proxies = request.proxies.iter();
    let proxies = proxies.filter(|(name, _)| !service.environment.0.contains_key(*name));
    let proxies = proxies.map(|(name, value)| format!("{name}={}", value.expose()));
    let environment = proxies.chain(environment);
    let mut exposed: Vec<String> = service
        .expose
        .iter()
        .map(|port| with_protocol(port))
        .collect();
    exposed.extend(
        service
            .ports
            .iter()
            .map(|port| format!("{}/{}", port.target, port.protocol)),
    );
    exposed.sort();
    exposed.dedup();
    let first = request.networks.first();
    let networking = first.map(|place| NetworkingConfig {
        endpoints_config: Some(HashMap::from([(place.id.clone(), endpoint(place))])),
    });
    let seconds =
        |period: compose::SpecDuration| i64::try_from(period.0.as_secs()).unwrap_or(i64::MAX);
    let mut body = ContainerCreateBody {
        hostname: service.hostname.clone(),
        user: service.user.clone(),
        exposed_ports: (!exposed.is_empty()).then_some(exposed),
        env: Some(environment.collect()),
        cmd: service
            .command
            .clone()
            .filter(|command| !command.is_empty()),
        healthcheck: service.healthcheck.as_ref().map(health_config),
        image: Some(service.image.clone()),
        working_dir: service.working_dir.clone(),
        entrypoint: service.entrypoint.clone(),
        labels: Some(request.labels.clone().into_iter().collect()),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period.map(seconds),
        host_config: Some(host_config(request)),
        networking_config: networking,
        ..ContainerCreateBody::default()
    };
    host::fill(&mut body, request);
    body
}

/// A container's place in a network.
pub(super) fn endpoint(place: &NetworkPlace) -> EndpointSettings {
    let read = Reader(&place.settings);
    let addresses = EndpointIpamConfig {
        ipv4_address: read.text("ipv4_address"),
        ipv6_address: read.text("ipv6_address"),
        link_local_ips: read.texts("link_local_ips"),
    };
    EndpointSettings {
        aliases: Some(place.aliases.clone()),
        ipam_config: (addresses != EndpointIpamConfig::default()).then_some(addresses),
        mac_address: read.text("mac_address"),
        links: (!place.links.is_empty()).then(|| place.links.clone()),
        driver_opts: driver_opts(read),
        gw_priority: read.number("gw_priority"),
        ..EndpointSettings::default()
    }
}

/// Options of the driver; the name of the interface is one of them for the engine.
fn driver_opts(read: Reader<'_>) -> Option<HashMap<String, String>> {
    let mut options = read.map("driver_opts");
    if let Some(name) = read.text("interface_name") {
        let key = "com.docker.network.endpoint.ifname".to_owned();
        options.get_or_insert_default().insert(key, name);
    }
    options
}

/// What the engine needs to make a volume.
pub(super) fn volume_request(
    volume: &compose::Volume,
    labels: &BTreeMap<String, String>,
) -> VolumeCreateRequest {
    let read = Reader(&volume.rest);
    VolumeCreateRequest {
        name: Some(volume.name.clone()),
        driver: read.text("driver"),
        driver_opts: read.map("driver_opts"),
        labels: Some(labels.clone().into_iter().collect()),
        ..VolumeCreateRequest::default()
    }
}

pub(super) fn volume(model: VolumeModel) -> Volume {
    Volume {
        name: model.name,
        driver: model.driver,
        labels: model.labels.into_iter().collect(),
        options: model.options.into_iter().collect(),
    }
}

/// What the engine needs to make a network.
pub(super) fn network_request(
    network: &compose::Network,
    labels: &BTreeMap<String, String>,
) -> NetworkCreateRequest {
    let read = Reader(&network.rest);
    let ipam = read.inner("ipam").filter(|ipam| !ipam.0.is_empty());
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone(),
        internal: Some(network.internal),
        attachable: read.flag("attachable"),
        enable_ipv4: read.flag("enable_ipv4"),
        enable_ipv6: read.flag("enable_ipv6"),
        options: read.map("driver_opts"),
        ipam: ipam.map(|ipam| Ipam {
            driver: ipam.text("driver"),
            options: ipam.map("options"),
            config: Some(ipam.objects("config").map(pool).collect()),
        }),
        labels: Some(labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    }
}

fn pool(read: Reader<'_>) -> IpamConfig {
    IpamConfig {
        subnet: read.text("subnet"),
        gateway: read.text("gateway"),
        ip_range: read.text("ip_range"),
        auxiliary_addresses: read.map("aux_addresses"),
    }
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
}

fn health_config(check: &Healthcheck) -> HealthConfig {
    let nanoseconds = |duration: Option<compose::SpecDuration>| {
        duration.map(|duration| i64::try_from(duration.0.as_nanos()).unwrap_or(i64::MAX))
    };
    HealthConfig {
        test: if check.disable {
            Some(vec!["NONE".to_owned()])
        } else {
            (!check.test.is_empty()).then(|| check.test.clone())
        },
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        retries: check
            .retries
            .and_then(|retries| i64::try_from(retries).ok()),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
    }
}

fn host_config(request: &ContainerRequest<'_>) -> HostConfig {
    let service = request.service;
    let network = request.networks.first().map(|place| place.id.clone());
    // On networks of the project the endpoints have the links.
    let links = Some(&request.bridge_links).filter(|links| !links.is_empty());
    let links = links.filter(|_| network.is_none()).cloned();
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &service.ports {
        let binding = PortBinding {
            host_ip: port.host_ip.clone(),
            host_port: Some(port.published.clone().unwrap_or_default()),
        };
        let target = format!("{}/{}", port.target, port.protocol);
        bindings
            .entry(target)
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    let mut binds: Vec<String> = Vec::new();
    let mut mounts = Vec::new();
    for mount in &service.volumes {
        match short_bind(mount) {
            Some(bind) => binds.push(bind),
            None => mounts.push(host::mount(mount, request)),
        }
    }
    // What the definition does not mount, the image asks for.
    let of_image = request.inherits.iter();
    let of_image = of_image.filter(|(path, _)| service.mount_at(path).is_none());
    mounts.extend(of_image.map(|(path, name)| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(name.clone()),
        target: Some(path.clone()),
        ..Mount::default()
    }));
    for (path, target) in &request.files {
        mounts.push(Mount {
            typ: Some(MountType::BIND),
            source: Some(path.clone()),
            target: Some(target.clone()),
            read_only: Some(true),
            ..Mount::default()
        });
    }
    let shared = &request.volumes_from;
    HostConfig {
        binds: Some(binds),
        mounts: (!mounts.is_empty()).then_some(mounts),
        network_mode: network.or_else(|| request.network_mode.clone()),
        port_bindings: Some(bindings),
        restart_policy: host::restart_policy(service),
        links,
        volumes_from: (!shared.is_empty()).then(|| shared.clone()),
        ..HostConfig::default()
    }
}

/// The short form, which makes a missing path of the host as `create_host_path` asks for, and which
/// alone has labels of SELinux; `None` when the mount says what the short form cannot.
fn short_bind(mount: &compose::Mount) -> Option<String> {
    let MountSource::Bind { path, create } = &mount.source else {
        return None;
    };
    let is_short = (*create || mount.selinux().is_some()) && mount.recursion().is_none();
    if !is_short || path.contains(':') || mount.target.contains(':') {
        return None;
    }
    let bind = Reader(&mount.rest).inner("bind");
    let option = |key: &str| bind.and_then(|bind| bind.text(key));
    let mode = if mount.read_only { "ro" } else { "rw" };
    let options = [option("selinux"), option("propagation")];
    let options: String = options
        .into_iter()
        .flatten()
        .map(|option| format!(",{option}"))
        .collect();
    Some(format!("{path}:{}:{mode}{options}", mount.target))
}

/// When an image got its name. An engine that does not know says the first moment of the calendar.
pub(super) fn tagged(metadata: Option<ImageInspectMetadata>) -> Option<OffsetDateTime> {
    let told = metadata?.last_tag_time?;
    let moment = OffsetDateTime::parse(&told, &Rfc3339).ok()?;
    (moment > OffsetDateTime::UNIX_EPOCH).then_some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_of_a_bind_is_dropped() {
        let form = |bind: &str| {
            let text = format!(
                "services: {{a: {{image: i, volumes: [{{type: bind, source: /a, target: /b, bind: {{{bind}}}}}]}}}}"
            );
            let project = compose::load::project(&text, "p").unwrap();
            short_bind(&project.services["a"].volumes[0])
        };
        for (bind, expected) in [
            ("create_host_path: true", Some("/a:/b:rw")),
            ("create_host_path: false", None),
            ("selinux: Z, create_host_path: false", Some("/a:/b:rw,Z")),
            ("selinux: z, create_host_path: true", Some("/a:/b:rw,z")),
            (
                "create_host_path: true, recursive: enabled",
                Some("/a:/b:rw"),
            ),
            ("create_host_path: true, recursive: disabled", None),
            ("create_host_path: true, recursive: readonly", None),
        ] {
            assert_eq!(form(bind).as_deref(), expected, "{bind}");
        }
    }

    #[test]
    fn a_moment_that_the_engine_does_not_know_is_none() {
        let of = |told: Option<&str>| {
            let last_tag_time = told.map(ToOwned::to_owned);
            tagged(Some(ImageInspectMetadata { last_tag_time }))
        };
        assert_eq!(of(Some("0001-01-01T00:00:00Z")), None);
        assert_eq!(of(None), None);
        let told = of(Some("2026-01-02T03:04:05.123456789+01:00")).unwrap();
        assert_eq!(told.hour(), 3);
    }
}
