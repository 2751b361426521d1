//! Checks every value against the specification and turns short forms into long ones.
//!
//! All problems are collected, so that one run names them all.

mod forms;

use crate::likeness;
use std::collections::BTreeSet;

use super::merge::joined;
use super::node::{Map, Mark, Node, NodeKind};
use super::spec::{Object, Pairs, Shape};
use super::{Problem, SpecDuration, command, size};

/// Why names of services, networks, volumes, secrets and configs are refused.
const NAME: &str = "may hold letters, digits, `.`, `_` and `-` only";

/// Checks and converts; collects what is wrong and what is odd.
#[derive(Debug, Default)]
pub(super) struct Converter {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Converter {
    pub(super) fn problem(&mut self, path: &str, mark: Mark, text: &str) -> Node {
        self.problems.push(Problem::new(path, mark, text));
        Node::at(NodeKind::Null, mark)
    }

    /// The value in its long form.
    pub(super) fn convert(&mut self, node: Node, shape: Shape, path: &str) -> Node {
        let mark = node.mark;
        match shape {
            Shape::Any => node,
            Shape::Nullable(_) if node.is_null() => node,
            Shape::Nullable(inner) => self.convert(node, *inner, path),
            Shape::Text => match node.kind {
                NodeKind::Text(_) => node,
                _ => self.wrong(&node, path, "must be a text; put it in quotes"),
            },
            Shape::Word(words) => match node.text() {
                Some(text) if words.contains(&text) => node,
                _ => self.wrong(&node, path, &format!("must be one of {}", words.join(", "))),
            },
            Shape::Flag => match node.kind {
                NodeKind::Bool(_) => node,
                _ => self.wrong(&node, path, "must be `true` or `false`"),
            },
            Shape::Integer => match node.kind {
                NodeKind::Integer(_) => node,
                NodeKind::Float(number) if number.fract() == 0.0 => node,
                _ => self.wrong(&node, path, "must be a whole number"),
            },
            Shape::Number => match node.kind {
                NodeKind::Integer(_) | NodeKind::Float(_) => node,
                _ => self.wrong(&node, path, "must be a number"),
            },
            Shape::Scalar => match node.kind {
                NodeKind::Text(_) => node,
                NodeKind::Integer(_) | NodeKind::Float(_) => {
                    Node::text_at(node.printed().unwrap_or_default(), mark)
                }
                _ => self.wrong(&node, path, "must be a text or a number"),
            },
            Shape::Size => self.size(&node, path),
            Shape::SizeText if node.text().is_some() => self.size(&node, path),
            Shape::SizeText => self.wrong(&node, path, "must be a text such as `512m`"),
            Shape::Count => match &node.kind {
                NodeKind::Integer(_) => node,
                NodeKind::Text(text) if text == "all" => Node::at(NodeKind::Integer(-1), mark),
                NodeKind::Text(text) if text.parse::<i64>().is_ok() => {
                    let number = text.parse::<i64>().unwrap_or_default();
                    Node::at(NodeKind::Integer(number.into()), mark)
                }
                _ => self.wrong(&node, path, "must be a number or `all`"),
            },
            Shape::Throttles => self.throttles(node, path),
            Shape::Mode => self.mode(&node, path),
            Shape::Duration => self.duration(&node, path),
            Shape::List(item) => self.list(node, *item, path),
            Shape::UniqueList(item) => {
                let node = self.list(node, *item, path);
                self.check_unique(&node, path);
                node
            }
            Shape::TextOrList => match node.kind {
                NodeKind::Text(_) => Node::at(NodeKind::List(vec![node]), mark),
                _ => self.list(node, Shape::Text, path),
            },
            Shape::Command => self.command(node, path),
            Shape::Pairs(rule) => self.pairs(node, rule, path),
            Shape::Map(inner) => self.map(node, *inner, path),
            Shape::Object(object) => self.object(node, object, path),
            Shape::Ports => self.ports(node, path),
            Shape::Mounts => self.mounts(node, path),
            Shape::Devices => self.devices(node, path),
            Shape::DependsOn => self.depends_on(node, path),
            Shape::Networks => self.networks(node, path),
            Shape::Build => self.build(node, path),
            // `extends` has been carried out before.
            Shape::Extends => Node::at(NodeKind::Null, mark),
            Shape::EnvFiles => self.env_files(node, path),
            Shape::ExtraHosts => self.extra_hosts(node, path),
            Shape::Ulimits => self.map(node, Shape::Ulimit, path),
            Shape::Ulimit => self.ulimit(node, path),
            Shape::Grants => self.grants(node, path),
            Shape::HealthTest => self.health_test(node, path),
            Shape::Gpus => self.gpus(node, path),
            Shape::Models => node,
            Shape::External => self.external(node, path),
        }
    }

    pub(super) fn wrong(&mut self, node: &Node, path: &str, wanted: &str) -> Node {
        let text = format!("is {}, but {wanted}", node.describe());
        self.problem(path, node.mark, &text)
    }

    fn size(&mut self, node: &Node, path: &str) -> Node {
        let mark = node.mark;
        let printed = match node.kind {
            // A number may be negative: -1 stands for no limit.
            NodeKind::Integer(number) => return Node::text_at(number.to_string(), mark),
            NodeKind::Text(_) | NodeKind::Float(_) => node.printed(),
            _ => None,
        };
        match printed.as_deref().and_then(size::bytes) {
            Some(bytes) => Node::text_at(bytes.to_string(), mark),
            None => self.wrong(node, path, "must be a size such as `512m` or `2g`"),
        }
    }

    fn mode(&mut self, node: &Node, path: &str) -> Node {
        let mark = node.mark;
        let mode = match &node.kind {
            NodeKind::Integer(number) => u32::try_from(*number).ok(),
            NodeKind::Text(text) => u32::from_str_radix(text, 8).ok(),
            _ => None,
        };
        match mode {
            Some(mode) => Node::text_at(format!("{mode:04o}"), mark),
            None => self.wrong(node, path, "must be a file mode such as `0440`"),
        }
    }

    fn duration(&mut self, node: &Node, path: &str) -> Node {
        let mark = node.mark;
        let parsed = node
            .text()
            .and_then(|text| text.parse::<SpecDuration>().ok());
        match parsed {
            Some(duration) => Node::text_at(duration.to_string(), mark),
            None => self.wrong(node, path, "must be a duration such as `30s` or `5m`"),
        }
    }

    fn list(&mut self, node: Node, item: Shape, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::List(items) = node.kind else {
            return self.wrong(&node, path, "must be a list");
        };
        let items = items.into_iter().enumerate();
        let items = items
            .map(|(at, node)| self.convert(node, item, &format!("{path}[{at}]")))
            .collect();
        Node::at(NodeKind::List(items), mark)
    }

    fn check_unique(&mut self, node: &Node, path: &str) {
        let mut seen = BTreeSet::new();
        for item in node.list().unwrap_or_default() {
            let Some(text) = item.printed() else {
                continue;
            };
            if !seen.insert(text.clone()) {
                self.problem(path, item.mark, &format!("holds `{text}` twice"));
            }
        }
    }

    fn command(&mut self, node: Node, path: &str) -> Node {
        let mark = node.mark;
        match &node.kind {
            NodeKind::Null => node,
            NodeKind::Text(line) => {
                let Some(split) = command::split(line) else {
                    return self.problem(path, mark, "is a command line with an open quote");
                };
                if let Some(operator) = split.stopped_at {
                    let text = format!(
                        "ends at `{operator}`, as Docker Compose reads it; for a shell write [sh, -c, '…']"
                    );
                    self.warnings.push(Problem::new(path, mark, &text));
                }
                let words = split.words.into_iter();
                let words = words.map(|word| Node::text_at(word, mark)).collect();
                Node::at(NodeKind::List(words), mark)
            }
            NodeKind::List(_) => self.list(node, Shape::Text, path),
            _ => self.wrong(&node, path, "must be a command line or a list of words"),
        }
    }

    fn pairs(&mut self, node: Node, rule: Pairs, path: &str) -> Node {
        let mark = node.mark;
        let mut map = Map::new();
        match node.kind {
            NodeKind::List(items) => {
                for item in items {
                    let mark = item.mark;
                    let Some(text) = item.printed().filter(|_| item.text().is_some()) else {
                        self.wrong(&item, path, "must be a text such as `KEY=value`");
                        continue;
                    };
                    let (key, value) = match text.split_once('=') {
                        Some((key, value)) => (key, NodeKind::Text(value.to_owned())),
                        None => (text.as_str(), NodeKind::Null),
                    };
                    if key.ends_with([' ', '\t']) {
                        self.problem(path, mark, &format!("has a blank after the name `{key}`"));
                    }
                    map.insert(key.to_owned(), Node::at(value, mark));
                }
            }
            NodeKind::Map(entries) => {
                for (key, value) in entries {
                    let mark = value.mark;
                    let kind = match &value.kind {
                        NodeKind::Null => NodeKind::Null,
                        NodeKind::Bool(_)
                        | NodeKind::Integer(_)
                        | NodeKind::Float(_)
                        | NodeKind::Text(_) => NodeKind::Text(value.printed().unwrap_or_default()),
                        _ => {
                            let path = joined(path, &key);
                            self.wrong(&value, &path, "must be a single value").kind
                        }
                    };
                    map.insert(key, Node::at(kind, mark));
                }
            }
            _ => return self.wrong(&node, path, "must be a mapping or a list of `KEY=value`"),
        }
        if rule == Pairs::Empty {
            for value in map.values_mut().filter(|value| value.is_null()) {
                value.kind = NodeKind::Text(String::new());
            }
        }
        Node::at(NodeKind::Map(map), mark)
    }

    fn map(&mut self, node: Node, inner: Shape, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::Map(map) = node.kind else {
            return self.wrong(&node, path, "must be a mapping");
        };
        let mut converted = Map::new();
        for (key, value) in map {
            let path = joined(path, &key);
            converted.insert(key, self.convert(value, inner, &path));
        }
        Node::at(NodeKind::Map(converted), mark)
    }

    /// The entries of a section whose names the operator chooses.
    pub(super) fn named(&mut self, node: Node, object: &'static Object, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::Map(map) = node.kind else {
            return self.wrong(&node, path, "must be a mapping");
        };
        let mut converted = Map::new();
        for (key, value) in map {
            if key.starts_with("x-") {
                continue;
            }
            let path = joined(path, &key);
            let is_name = !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
            if !is_name {
                self.problem(&path, value.mark, NAME);
            }
            converted.insert(key, self.object(value, object, &path));
        }
        Node::at(NodeKind::Map(converted), mark)
    }

    pub(super) fn object(&mut self, node: Node, object: &'static Object, path: &str) -> Node {
        let mark = node.mark;
        let NodeKind::Map(map) = node.kind else {
            return self.wrong(&node, path, "must be a mapping");
        };
        for name in object.required {
            if !map.contains_key(*name) {
                self.problem(path, mark, &format!("lacks the key `{name}`"));
            }
        }
        let mut converted = Map::new();
        for (key, value) in map {
            let path = joined(path, &key);
            let Some(field) = object.field(&key) else {
                if key.starts_with("x-") {
                    converted.insert(key, value);
                } else {
                    let text = unknown(&key, object);
                    self.problem(&path, value.mark, &text);
                }
                continue;
            };
            let value = self.convert(value, field.shape, &path);
            if field.keep || !is_zero(&value) {
                converted.insert(key, value);
            }
        }
        Node::at(NodeKind::Map(converted), mark)
    }
}

fn unknown(key: &str, object: &Object) -> String {
    let names = object.fields.iter().map(|field| field.name);
    match likeness::nearest(names, key, 0.85) {
        Some(name) => format!("is not a key of the specification; did you mean `{name}`?"),
        None => "is not a key of the specification".to_owned(),
    }
}

/// Whether Docker Compose leaves it out when it writes the definition.
fn is_zero(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Null => true,
        NodeKind::Bool(value) => !value,
        NodeKind::Integer(number) => *number == 0,
        NodeKind::Float(number) => *number == 0.0,
        NodeKind::Text(text) | NodeKind::Time(text) => text.is_empty(),
        NodeKind::List(items) => items.is_empty(),
        // An empty mapping of the specification stands for "with defaults".
        NodeKind::Map(_) => false,
    }
}
