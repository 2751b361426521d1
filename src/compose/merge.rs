//! How a later file changes an earlier one: `!reset` and `!override` first, then the rules of the
//! specification field by field, then entries that mean the same thing are folded.

use std::collections::BTreeMap;

use super::Problem;
use super::load::Failure;
use super::node::{Map, Mark, MergeTag, Node, NodeKind};
use super::ports;
use super::spec::{Field, Merge, Shape, Unique};

/// Merges `over` onto `base`; `shape` is what both are.
///
/// # Errors
/// A single value stands where the other has a list or a mapping.
pub(super) fn onto(base: &mut Node, mut over: Node, shape: Shape) -> Result<(), Failure> {
    let mut removed = Vec::new();
    take_tags(&mut over, &mut Vec::new(), &mut removed);
    for path in &removed {
        remove(base, path);
    }
    let merged = merged(
        std::mem::replace(base, Node::new(NodeKind::Null)),
        over,
        shape,
        Merge::Plain,
        "",
    )?;
    *base = merged;
    fold(base, shape);
    Ok(())
}

/// Takes tagged values out (`!reset`) or strips their tag (`!override`), and lists their paths.
fn take_tags(node: &mut Node, path: &mut Vec<String>, removed: &mut Vec<Vec<String>>) {
    match &mut node.kind {
        NodeKind::Map(map) => {
            map.retain(|key, value| {
                path.push(key.clone());
                let tag = value.tag.take();
                if tag.is_some() {
                    removed.push(path.clone());
                } else {
                    take_tags(value, path, removed);
                }
                path.pop();
                tag != Some(MergeTag::Reset)
            });
        }
        NodeKind::List(items) => {
            items.retain(|item| item.tag != Some(MergeTag::Reset));
            for item in items {
                item.tag = None;
                // Entries of a list have no names, so nothing of an earlier file is meant.
                take_tags(item, path, &mut Vec::new());
            }
        }
        _ => {}
    }
}

fn remove(node: &mut Node, path: &[String]) {
    let (Some((first, rest)), Some(map)) = (path.split_first(), node.map_mut()) else {
        return;
    };
    if rest.is_empty() {
        map.remove(first);
    } else if let Some(value) = map.get_mut(first) {
        // Of the lists that stand for mappings these two have their long form by now; others, such
        // as `environment`, keep theirs, and nothing in them can be reached.
        let in_place = std::mem::replace(value, Node::new(NodeKind::Null));
        *value = match first.as_str() {
            "depends_on" => mapping(in_place, &started),
            "networks" => mapping(in_place, &nothing),
            _ => in_place,
        };
        remove(value, rest);
    }
}

fn merged(base: Node, over: Node, shape: Shape, rule: Merge, path: &str) -> Result<Node, Failure> {
    if rule == Merge::Replace {
        return Ok(over);
    }
    if over.is_null() {
        return Ok(base);
    }
    if base.is_null() {
        return Ok(over);
    }
    match rule {
        Merge::Sequence => Ok(appended(sequence(base), sequence(over))),
        Merge::DependsOn => by_key(
            mapping(base, &started),
            mapping(over, &started),
            shape,
            path,
        ),
        Merge::Networks => by_key(
            mapping(base, &nothing),
            mapping(over, &nothing),
            shape,
            path,
        ),
        Merge::Build => by_key(with_context(base), with_context(over), shape, path),
        Merge::Logging => {
            let driver = |node: &Node| node.get("driver").and_then(Node::printed);
            match (driver(&base), driver(&over)) {
                (Some(one), Some(other)) if one != other => Ok(over),
                _ => by_key(base, over, shape, path),
            }
        }
        Merge::IpamConfig => by_subnet(base, over, shape, path),
        Merge::Plain | Merge::Replace => plain(base, over, shape, path),
    }
}

fn plain(base: Node, over: Node, shape: Shape, path: &str) -> Result<Node, Failure> {
    if matches!(shape, Shape::Ulimit) {
        return Ok(over);
    }
    match (&base.kind, &over.kind) {
        (NodeKind::Map(_), NodeKind::Map(_)) => by_key(base, over, shape, path),
        (NodeKind::List(_), NodeKind::List(_)) => Ok(appended(base, over)),
        (NodeKind::Map(_) | NodeKind::List(_), _) => Err(conflict(&base, &over, path)),
        _ => Ok(over),
    }
}

fn conflict(base: &Node, over: &Node, path: &str) -> Failure {
    let text = format!(
        "is {} here and {} in the file before",
        over.describe(),
        base.describe()
    );
    Problem::new(path, over.mark, &text).into()
}

fn by_key(base: Node, over: Node, shape: Shape, path: &str) -> Result<Node, Failure> {
    let (mark, over_mark) = (base.mark, over.mark);
    let (NodeKind::Map(mut map), NodeKind::Map(over)) = (base.kind, over.kind) else {
        let text = "must be a mapping here";
        return Err(Problem::new(path, over_mark, text).into());
    };
    for (key, value) in over {
        let Some(earlier) = map.remove(&key) else {
            map.insert(key, value);
            continue;
        };
        let path = joined(path, &key);
        let field: Option<&Field> = shape.field(&key);
        let rule = field.map_or(Merge::Plain, |field| field.merge);
        let inner = shape.of_key(&key).unwrap_or(Shape::Any);
        let value = merged(earlier, value, inner, rule, &path)?;
        map.insert(key, value);
    }
    Ok(Node::at(NodeKind::Map(map), mark))
}

/// A path of keys with one more.
pub(super) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn by_subnet(base: Node, over: Node, shape: Shape, path: &str) -> Result<Node, Failure> {
    let (NodeKind::List(mut pools), NodeKind::List(others)) = (base.kind, over.kind) else {
        let text = "must be a list of mappings";
        return Err(Problem::new(path, over.mark, text).into());
    };
    let item = shape.of_item().unwrap_or(Shape::Any);
    let subnet = |node: &Node| node.get("subnet").and_then(Node::printed);
    for other in others {
        let same = pools.iter_mut().find(|pool| subnet(pool) == subnet(&other));
        match same {
            Some(pool) => {
                let earlier = std::mem::replace(pool, Node::new(NodeKind::Null));
                *pool = by_key(earlier, other, item, path)?;
            }
            None => pools.push(other),
        }
    }
    Ok(Node::at(NodeKind::List(pools), base.mark))
}

fn appended(base: Node, over: Node) -> Node {
    let mark = over.mark;
    match (base.kind, over.kind) {
        (NodeKind::List(mut items), NodeKind::List(more)) => {
            items.extend(more);
            Node::at(NodeKind::List(items), mark)
        }
        (kind, _) => Node::at(kind, mark),
    }
}

/// A mapping as a list of `KEY=value`, a single text as a list of one.
pub(super) fn sequence(node: Node) -> Node {
    let mark = node.mark;
    let items = match node.kind {
        NodeKind::Map(map) => {
            let entries = map.into_iter();
            entries
                .flat_map(|(key, value)| entry_texts(&key, &value))
                .collect()
        }
        NodeKind::List(items) => items,
        NodeKind::Text(text) => vec![Node::text_at(text, mark)],
        _ => Vec::new(),
    };
    Node::at(NodeKind::List(items), mark)
}

/// One entry of a mapping as `KEY=value`; several values give several texts.
fn entry_texts(key: &str, value: &Node) -> Vec<Node> {
    let one = |value: &Node| {
        let text = match &value.kind {
            NodeKind::Null => key.to_owned(),
            _ => format!("{key}={}", value.printed_with_containers()),
        };
        Node::text_at(text, value.mark)
    };
    match &value.kind {
        NodeKind::List(items) => items.iter().map(one).collect(),
        _ => vec![one(value)],
    }
}

fn started(mark: Mark) -> Node {
    let condition = Node::text_at("service_started", mark);
    let map = BTreeMap::from([("condition".to_owned(), condition)]);
    Node::at(NodeKind::Map(map), mark)
}

fn nothing(mark: Mark) -> Node {
    Node::at(NodeKind::Null, mark)
}

/// A list of names as a mapping, each with the value that `make` gives.
fn mapping(node: Node, make: &dyn Fn(Mark) -> Node) -> Node {
    let mark = node.mark;
    match node.kind {
        NodeKind::List(items) => {
            let entries = items.into_iter().filter_map(|item| {
                let mark = item.mark;
                item.printed().map(|name| (name, make(mark)))
            });
            Node::at(NodeKind::Map(entries.collect()), mark)
        }
        kind => Node::at(kind, mark),
    }
}

fn with_context(node: Node) -> Node {
    let mark = node.mark;
    match node.kind {
        NodeKind::Text(text) => {
            let map = Map::from([("context".to_owned(), Node::text_at(text, mark))]);
            Node::at(NodeKind::Map(map), mark)
        }
        kind => Node::at(kind, mark),
    }
}

/// Folds entries of lists that mean the same: the later one takes the earlier one's place.
pub(super) fn fold(node: &mut Node, shape: Shape) {
    match &mut node.kind {
        NodeKind::Map(map) => {
            for (key, value) in map {
                if let Some(field) = shape.field(key)
                    && field.unique != Unique::No
                {
                    fold_list(value, field.unique);
                }
                if let Some(inner) = shape.of_key(key) {
                    fold(value, inner);
                }
            }
        }
        NodeKind::List(items) => {
            if let Some(inner) = shape.of_item() {
                for item in items {
                    fold(item, inner);
                }
            }
        }
        _ => {}
    }
}

fn fold_list(node: &mut Node, unique: Unique) {
    let NodeKind::List(items) = &mut node.kind else {
        return;
    };
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        let Some(identity) = identity(&item, unique) else {
            kept.push(item);
            continue;
        };
        match places.get(&identity).and_then(|place| kept.get_mut(*place)) {
            Some(earlier) => *earlier = item,
            None => {
                places.insert(identity, kept.len());
                kept.push(item);
            }
        }
    }
    *items = kept;
}

/// What makes an entry the same as another; `None` when it cannot be told.
fn identity(item: &Node, unique: Unique) -> Option<String> {
    let of = |key: &str| item.get(key).and_then(Node::printed);
    match unique {
        Unique::No => None,
        Unique::Key => {
            let text = item.printed()?;
            Some(text.split('=').next().unwrap_or(&text).to_owned())
        }
        Unique::Path => item.printed().or_else(|| of("path")),
        Unique::Target => match item.text() {
            Some(text) => super::mounts::target_of(text),
            None => of("target").map(|target| super::mounts::clean(&target)),
        },
        Unique::Port => ports::identity(item),
        Unique::Grant(folder) => {
            let source = item.printed().or_else(|| of("source"))?;
            let target = of("target").unwrap_or(source);
            Some(if target.starts_with('/') {
                target
            } else {
                format!("{folder}{target}")
            })
        }
    }
}
