//! From the checked tree to a typed [`Project`].

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::node::{self, Node, NodeKind};
use super::spec::{self, Object, Shape};
use super::{
    Attachment, Condition, Dependency, Environment, Healthcheck, Mount, MountSource, Network, Port,
    Project, Service, SpecDuration, Values, Volume,
};

/// The project that a tree describes; the tree has been checked and completed.
pub(super) fn project(name: &str, root: &Node) -> Project {
    let section = |key: &str| root.get(key).and_then(Node::map).into_iter().flatten();
    Project {
        name: name.to_owned(),
        services: section("services")
            .map(|(key, node)| (key.clone(), service(node)))
            .collect(),
        networks: section("networks")
            .map(|(key, node)| (key.clone(), network(node)))
            .collect(),
        volumes: section("volumes")
            .map(|(key, node)| (key.clone(), volume(node)))
            .collect(),
        secrets: section("secrets")
            .map(|(key, node)| (key.clone(), object_values(node, &spec::SECRET)))
            .collect(),
        configs: section("configs")
            .map(|(key, node)| (key.clone(), object_values(node, &spec::CONFIG)))
            .collect(),
        extensions: root
            .map()
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with("x-"))
            .map(|(key, node)| (key.clone(), value(node, Shape::Any)))
            .collect(),
        places: BTreeMap::new(),
    }
}

/// Takes keys out of a mapping, so that what is left is the rest.
struct Taken<'a> {
    map: BTreeMap<&'a str, &'a Node>,
    object: &'static Object,
}

impl<'a> Taken<'a> {
    fn of(node: &'a Node, object: &'static Object) -> Self {
        let map = node.map().into_iter().flatten();
        Self {
            map: map.map(|(key, node)| (key.as_str(), node)).collect(),
            object,
        }
    }

    fn take(&mut self, key: &str) -> Option<&'a Node> {
        self.map.remove(key)
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.take(key).and_then(Node::printed)
    }

    fn flag(&mut self, key: &str) -> bool {
        matches!(
            self.take(key).map(|node| &node.kind),
            Some(NodeKind::Bool(true))
        )
    }

    fn texts(&mut self, key: &str) -> Vec<String> {
        self.take(key).map(texts).unwrap_or_default()
    }

    fn duration(&mut self, key: &str) -> Option<SpecDuration> {
        self.text(key)?.parse().ok()
    }

    fn pairs(&mut self, key: &str) -> BTreeMap<String, Option<String>> {
        let map = self.take(key).and_then(Node::map).into_iter().flatten();
        map.map(|(key, node)| (key.clone(), node.printed()))
            .collect()
    }

    fn labels(&mut self, key: &str) -> BTreeMap<String, String> {
        let pairs = self.pairs(key).into_iter();
        pairs
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect()
    }

    /// What has not been taken, in its canonical form and order.
    fn rest(self) -> Values {
        values(self.map.into_iter(), self.object)
    }
}

fn texts(node: &Node) -> Vec<String> {
    let items = node.list().unwrap_or_default().iter();
    items.filter_map(Node::printed).collect()
}

fn service(node: &Node) -> Service {
    let mut taken = Taken::of(node, &spec::SERVICE);
    let words = |node: Option<&Node>| node.filter(|node| !node.is_null()).map(texts);
    Service {
        command: words(taken.take("command")),
        container_name: taken.text("container_name"),
        depends_on: entries(taken.take("depends_on"), dependency),
        entrypoint: words(taken.take("entrypoint")),
        environment: Environment(taken.pairs("environment")),
        expose: taken.texts("expose"),
        healthcheck: taken.take("healthcheck").map(healthcheck),
        hostname: taken.text("hostname"),
        image: taken.text("image").unwrap_or_default(),
        labels: taken.labels("labels"),
        links: taken.texts("links"),
        networks: entries(taken.take("networks"), attachment),
        ports: items(taken.take("ports"), port),
        restart: taken.text("restart"),
        stop_grace_period: taken.duration("stop_grace_period"),
        stop_signal: taken.text("stop_signal"),
        user: taken.text("user"),
        volumes: items(taken.take("volumes"), mount),
        working_dir: taken.text("working_dir"),
        rest: taken.rest(),
    }
}

fn entries<T>(node: Option<&Node>, make: impl Fn(&Node) -> T) -> BTreeMap<String, T> {
    let map = node.and_then(Node::map).into_iter().flatten();
    map.map(|(key, node)| (key.clone(), make(node))).collect()
}

fn items<T>(node: Option<&Node>, make: impl Fn(&Node) -> T) -> Vec<T> {
    let list = node.and_then(Node::list).unwrap_or_default();
    list.iter().map(make).collect()
}

fn dependency(node: &Node) -> Dependency {
    let mut taken = Taken::of(node, &spec::DEPENDENCY);
    let condition = taken.text("condition").unwrap_or_default();
    let known = [Condition::Started, Condition::Healthy, Condition::Completed];
    Dependency {
        condition: known
            .into_iter()
            .find(|known| known.word() == condition)
            .unwrap_or_default(),
        restart: taken.flag("restart"),
        required: taken.flag("required"),
    }
}

fn healthcheck(node: &Node) -> Healthcheck {
    let mut taken = Taken::of(node, &spec::HEALTHCHECK);
    Healthcheck {
        test: taken.texts("test"),
        timeout: taken.duration("timeout"),
        interval: taken.duration("interval"),
        retries: taken
            .text("retries")
            .and_then(|retries| retries.parse().ok()),
        start_period: taken.duration("start_period"),
        start_interval: taken.duration("start_interval"),
        disable: taken.flag("disable"),
    }
}

fn attachment(node: &Node) -> Attachment {
    let mut taken = Taken::of(node, &spec::ATTACHMENT);
    Attachment {
        aliases: taken.texts("aliases"),
        rest: taken.rest(),
    }
}

fn port(node: &Node) -> Port {
    let mut taken = Taken::of(node, &spec::PORT);
    Port {
        host_ip: taken.text("host_ip"),
        target: taken
            .text("target")
            .and_then(|target| target.parse().ok())
            .unwrap_or_default(),
        published: taken.text("published"),
        protocol: taken.text("protocol").unwrap_or_default(),
        mode: taken.text("mode").unwrap_or_default(),
        rest: taken.rest(),
    }
}

fn mount(node: &Node) -> Mount {
    let mut taken = Taken::of(node, &spec::MOUNT);
    let kind = taken.text("type").unwrap_or_default();
    let source = taken.text("source");
    let source = match kind.as_str() {
        "bind" => {
            let bind = node.get("bind");
            let create = bind.and_then(|bind| bind.get("create_host_path"));
            MountSource::Bind {
                path: source.unwrap_or_default(),
                create: matches!(create.map(|node| &node.kind), Some(NodeKind::Bool(true))),
            }
        }
        "volume" => MountSource::Volume(source),
        "tmpfs" => MountSource::Tmpfs,
        _ => MountSource::Other { kind, source },
    };
    Mount {
        source,
        target: taken.text("target").unwrap_or_default(),
        read_only: taken.flag("read_only"),
        rest: taken.rest(),
    }
}

fn network(node: &Node) -> Network {
    let mut taken = Taken::of(node, &spec::NETWORK);
    Network {
        name: taken.text("name").unwrap_or_default(),
        driver: taken.text("driver"),
        external: taken.flag("external"),
        internal: taken.flag("internal"),
        labels: taken.labels("labels"),
        rest: taken.rest(),
    }
}

fn volume(node: &Node) -> Volume {
    let mut taken = Taken::of(node, &spec::VOLUME);
    Volume {
        name: taken.text("name").unwrap_or_default(),
        external: taken.flag("external"),
        rest: taken.rest(),
    }
}

fn object_values(node: &Node, object: &'static Object) -> Values {
    let map = node.map().into_iter().flatten();
    values(map.map(|(key, node)| (key.as_str(), node)), object)
}

/// Keys in the order in which Docker Compose writes them; extensions stay out.
fn values<'a>(
    entries: impl Iterator<Item = (&'a str, &'a Node)>,
    object: &'static Object,
) -> Values {
    let mut entries: Vec<(&str, &Node)> =
        entries.filter(|(key, _)| !key.starts_with("x-")).collect();
    entries.sort_by_key(|(key, _)| object.position(key));
    let shape = |key: &str| object.field(key).map_or(Shape::Any, |field| field.shape);
    entries
        .into_iter()
        .map(|(key, node)| (key.to_owned(), value(node, shape(key))))
        .collect()
}

/// A node as JSON, its keys in the order of Docker Compose.
pub(super) fn value(node: &Node, shape: Shape) -> Value {
    match &node.kind {
        NodeKind::Null => Value::Null,
        NodeKind::Bool(value) => Value::Bool(*value),
        NodeKind::Integer(number) => i64::try_from(*number).map_or_else(
            |_| Value::from(u64::try_from(*number).unwrap_or(u64::MAX)),
            Value::from,
        ),
        NodeKind::Float(number) => float(*number),
        NodeKind::Time(text) | NodeKind::Text(text) => Value::String(text.clone()),
        NodeKind::List(items) => {
            let inner = shape.of_item().unwrap_or(Shape::Any);
            items.iter().map(|item| value(item, inner)).collect()
        }
        NodeKind::Map(map) => Value::Object(map_values(map, shape)),
    }
}

fn map_values(map: &node::Map, shape: Shape) -> Values {
    let object = match shape {
        Shape::Object(object) => Some(object),
        Shape::Build => Some(&spec::BUILD),
        Shape::Ulimit => Some(&spec::ULIMIT),
        _ => None,
    };
    if let Some(object) = object {
        return values(map.iter().map(|(key, node)| (key.as_str(), node)), object);
    }
    let mut values = Map::new();
    for (key, node) in map {
        let inner = shape.of_key(key).unwrap_or(Shape::Any);
        values.insert(key.clone(), value(node, inner));
    }
    values
}

/// A number as Go writes it into JSON: without a fraction that is nothing.
fn float(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number within the range that a float holds exactly"
        )]
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
