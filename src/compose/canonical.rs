//! A [`Project`] in the canonical form of `docker compose config`, and the hash of a service.
//!
//! The order of keys is that of Docker Compose 2.40's own structures: it matters, because the
//! label `com.docker.compose.config-hash` is a hash over that text.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::spec::{self, Object};
use super::{
    Healthcheck, Mount, MountSource, Network, Port, Project, Service, SpecDuration, Values, Volume,
};

/// Keys that do not count for the hash of a service (Docker Compose 2.40, `ServiceHash`).
const NOT_HASHED: [&str; 5] = ["build", "pull_policy", "scale", "depends_on", "profiles"];

/// The project as one JSON value, every `$` doubled as Docker Compose prints it.
#[must_use]
pub fn value(project: &Project) -> Value {
    doubled(plain(project))
}

/// The project as pretty JSON with a final line end.
#[must_use]
pub fn json(project: &Project) -> String {
    format!("{:#}\n", value(project))
}

/// The project as YAML.
///
/// # Errors
/// Only if the YAML writer refuses a value, which it has no reason to.
pub fn yaml(project: &Project) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&readable(project))
}

/// The project as JSON that Docker Compose reads again.
#[must_use]
pub fn readable_json(project: &Project) -> String {
    format!("{:#}\n", readable(project))
}

/// The project with keys of block devices in lower case, as Docker Compose prints them in YAML. In JSON it
/// gives them a capital, and does not read that again.
#[must_use]
pub fn readable(project: &Project) -> Value {
    let mut tree = value(project);
    let services = tree.get_mut("services").and_then(Value::as_object_mut);
    for service in services.into_iter().flat_map(Map::values_mut) {
        let config = service.get_mut("blkio_config");
        let lists = config.and_then(Value::as_object_mut);
        let lists = lists.into_iter().flat_map(Map::values_mut);
        let devices = lists.filter_map(Value::as_array_mut).flatten();
        for device in devices.filter_map(Value::as_object_mut) {
            let keys = std::mem::take(device).into_iter();
            *device = keys
                .map(|(key, value)| (key.to_lowercase(), value))
                .collect();
        }
    }
    tree
}

/// What Docker Compose 2.40 writes into the label `com.docker.compose.config-hash`: SHA-256 over
/// the compact JSON of the service, in lower-case hexadecimal digits.
#[must_use]
pub fn service_hash(service: &Service) -> String {
    let Value::Object(mut map) = service_value(service) else {
        return String::new();
    };
    for key in NOT_HASHED {
        map.shift_remove(key);
    }
    // Go's encoder escapes these so that JSON can stand inside HTML.
    let text = Value::Object(map)
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    digest(text.as_bytes())
}

/// SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The project as one JSON value; `$` not doubled.
#[must_use]
pub fn plain(project: &Project) -> Value {
    let mut top = Map::new();
    top.insert("name".to_owned(), json!(project.name));
    if !project.networks.is_empty() {
        let networks = project
            .networks
            .iter()
            .map(|(key, network)| (key.clone(), network_value(network)));
        top.insert("networks".to_owned(), Value::Object(networks.collect()));
    }
    let services = project
        .services
        .iter()
        .map(|(key, service)| (key.clone(), service_value(service)));
    top.insert("services".to_owned(), Value::Object(services.collect()));
    if !project.volumes.is_empty() {
        let volumes = project
            .volumes
            .iter()
            .map(|(key, volume)| (key.clone(), volume_value(volume)));
        top.insert("volumes".to_owned(), Value::Object(volumes.collect()));
    }
    for (section, entries) in [("secrets", &project.secrets), ("configs", &project.configs)] {
        if !entries.is_empty() {
            top.insert(section.to_owned(), json!(entries));
        }
    }
    let extensions = project.extensions.iter();
    top.extend(extensions.map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(top)
}

fn doubled(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('$', "$$")),
        Value::Array(items) => Value::Array(items.into_iter().map(doubled).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, doubled(value)))
                .collect(),
        ),
        other => other,
    }
}

/// Collects the keys of a mapping and leaves out what is not set.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn always(mut self, key: &str, value: Value) -> Self {
        self.0.insert(key.to_owned(), value);
        self
    }

    fn some(self, key: &str, value: Option<Value>) -> Self {
        match value {
            Some(value) => self.always(key, value),
            None => self,
        }
    }

    fn when(self, key: &str, is_set: bool, value: Value) -> Self {
        if is_set {
            self.always(key, value)
        } else {
            self
        }
    }

    fn value(self) -> Value {
        Value::Object(self.0)
    }
}

/// The rest of a mapping beside its typed keys, all in the order of Docker Compose's structures.
fn ordered(fields: Fields, rest: &Values, object: &'static Object) -> Value {
    let mut entries: Vec<(String, Value)> = fields.0.into_iter().collect();
    let rest = rest.iter().map(|(key, value)| (key.clone(), value.clone()));
    entries.extend(rest);
    entries.sort_by_key(|(key, _)| object.position(key));
    Value::Object(entries.into_iter().collect())
}

fn network_value(network: &Network) -> Value {
    let fields = Fields::default()
        .always("name", json!(network.name))
        .some(
            "driver",
            network.driver.as_ref().map(|driver| json!(driver)),
        )
        .when("external", network.external, json!(true))
        .when("internal", network.internal, json!(true))
        .when("labels", !network.labels.is_empty(), json!(network.labels));
    ordered(fields, &network.rest, &spec::NETWORK)
}

fn volume_value(volume: &Volume) -> Value {
    let fields = Fields::default().always("name", json!(volume.name)).when(
        "external",
        volume.external,
        json!(true),
    );
    ordered(fields, &volume.rest, &spec::VOLUME)
}

fn dependencies_value(service: &Service) -> Value {
    let entries = service.depends_on.iter().map(|(name, dependency)| {
        let value = Fields::default()
            .always("condition", json!(dependency.condition.word()))
            .when("restart", dependency.restart, json!(true))
            .always("required", json!(dependency.required))
            .value();
        (name.clone(), value)
    });
    Value::Object(entries.collect())
}

fn networks_value(service: &Service) -> Value {
    let entries = service.networks.iter().map(|(name, attachment)| {
        let aliases = &attachment.aliases;
        let fields = Fields::default().when("aliases", !aliases.is_empty(), json!(aliases));
        let value = match ordered(fields, &attachment.rest, &spec::ATTACHMENT) {
            Value::Object(map) if map.is_empty() => Value::Null,
            value => value,
        };
        (name.clone(), value)
    });
    Value::Object(entries.collect())
}

fn healthcheck_value(check: &Healthcheck) -> Value {
    let duration = |duration: Option<SpecDuration>| duration.map(|value| json!(value.to_string()));
    Fields::default()
        .when("test", !check.test.is_empty(), json!(check.test))
        .some("timeout", duration(check.timeout))
        .some("interval", duration(check.interval))
        .some("retries", check.retries.map(|number| json!(number)))
        .some("start_period", duration(check.start_period))
        .some("start_interval", duration(check.start_interval))
        .when("disable", check.disable, json!(true))
        .value()
}

/// The service with its keys in the order of Docker Compose's own structure; `$` not doubled.
#[must_use]
pub fn service_value(service: &Service) -> Value {
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    let grace = service
        .stop_grace_period
        .map(|period| json!(period.to_string()));
    let fields = Fields::default()
        .always("command", json!(service.command))
        .some("container_name", text(&service.container_name))
        .when(
            "depends_on",
            !service.depends_on.is_empty(),
            dependencies_value(service),
        )
        .always("entrypoint", json!(service.entrypoint))
        .when(
            "environment",
            !service.environment.0.is_empty(),
            json!(service.environment.0),
        )
        .when("expose", !service.expose.is_empty(), json!(service.expose))
        .some("hostname", text(&service.hostname))
        .some(
            "healthcheck",
            service.healthcheck.as_ref().map(healthcheck_value),
        )
        .when("image", !service.image.is_empty(), json!(service.image))
        .when("labels", !service.labels.is_empty(), json!(service.labels))
        .when("links", !service.links.is_empty(), json!(service.links))
        .when(
            "networks",
            !service.networks.is_empty(),
            networks_value(service),
        )
        .when(
            "ports",
            !service.ports.is_empty(),
            service.ports.iter().map(port_value).collect(),
        )
        .some("restart", text(&service.restart))
        .some("stop_grace_period", grace)
        .some("stop_signal", text(&service.stop_signal))
        .some("user", text(&service.user))
        .when(
            "volumes",
            !service.volumes.is_empty(),
            service.volumes.iter().map(mount_value).collect(),
        )
        .some("working_dir", text(&service.working_dir));
    ordered(fields, &service.rest, &spec::SERVICE)
}

fn port_value(port: &Port) -> Value {
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    let fields = Fields::default()
        .always("mode", json!(port.mode))
        .some("host_ip", text(&port.host_ip))
        .always("target", json!(port.target))
        .some("published", text(&port.published))
        .always("protocol", json!(port.protocol));
    ordered(fields, &port.rest, &spec::PORT)
}

fn mount_value(mount: &Mount) -> Value {
    let (kind, source) = match &mount.source {
        MountSource::Bind { path, .. } => ("bind", Some(path)),
        MountSource::Volume(key) => ("volume", key.as_ref()),
        MountSource::Tmpfs => ("tmpfs", None),
        MountSource::Other { kind, source } => (kind.as_str(), source.as_ref()),
    };
    let fields = Fields::default()
        .always("type", json!(kind))
        .some("source", source.map(|source| json!(source)))
        .always("target", json!(mount.target))
        .when("read_only", mount.read_only, json!(true));
    ordered(fields, &mount.rest, &spec::MOUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;

    /// Hashes recorded from Docker Compose 2.40.3 for the same services.
    #[test]
    fn the_hash_is_that_of_docker_compose() {
        let text = r#"
services:
  redis:
    container_name: redis
    command: [redis-server, --appendonly, "yes"]
    expose: ["6379"]
    image: redis:7.4
    restart: always
    volumes:
      - {type: bind, source: /tmp/ovl/toolkit/data/redis, target: /data, bind: {create_host_path: true}}
"#;
        let project = load::project(text, "overleaf").unwrap();
        assert_eq!(
            service_hash(&project.services["redis"]),
            "f27de94e466c475af534bf0ca645d8e3f00a75ba65e7dbc7953b44c664f9143c"
        );
    }

    #[test]
    fn block_devices_are_printed_and_hashed_as_docker_compose_does() {
        let text = "services: {a: {image: x, blkio_config: {weight: 10, device_write_bps: [{path: /dev/vda, rate: 10mb}], weight_device: [{path: /dev/vda, weight: 100}]}}}";
        let project = load::project(text, "kkc").unwrap();
        assert_eq!(
            service_value(&project.services["a"])["blkio_config"].to_string(),
            r#"{"weight":10,"weight_device":[{"Path":"/dev/vda","Weight":100}],"device_write_bps":[{"Path":"/dev/vda","Rate":"10485760"}]}"#
        );
        assert_eq!(
            service_hash(&project.services["a"]),
            "149abbb633b050c64cb8fe6761e164ed0ffb5017677527d84c472482911af534"
        );
        for text in [yaml(&project).unwrap(), readable_json(&project)] {
            let again = load::project(&text, "kkc").unwrap();
            assert_eq!(again, project);
        }
    }

    #[test]
    fn dollars_are_doubled_and_empty_fields_left_out() {
        let text = "services: {s: {image: i, environment: {A: 'x$y', B: null}}}";
        let project = load::project(text, "p").unwrap();
        insta::assert_snapshot!(json(&project), @r#"
        {
          "name": "p",
          "networks": {
            "default": {
              "name": "p_default",
              "ipam": {}
            }
          },
          "services": {
            "s": {
              "command": null,
              "entrypoint": null,
              "environment": {
                "A": "x$$y",
                "B": null
              },
              "image": "i",
              "networks": {
                "default": null
              }
            }
          }
        }
        "#);
    }
}
