//! YAML text to trees: anchors, aliases and merge keys are resolved, duplicate and non-text keys
//! refused, `!reset` and `!override` kept.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use thiserror::Error;

use super::node::{Map, Mark, MergeTag, Node, NodeKind};
use super::number;

/// Most nodes that one file may unfold to; aliases can multiply without end.
const MOST_NODES: usize = 200_000;

/// How deep a file may nest.
const DEEPEST: usize = 100;

/// The text is not YAML, or YAML that no definition may hold.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{text}")]
pub(super) struct YamlError {
    /// Where.
    pub(super) mark: Mark,
    /// What is wrong.
    pub(super) text: String,
}

/// Reads all documents of a file, which is number `file` of its project.
///
/// # Errors
/// The text is not well-formed, has a key twice or a key that is not a text, or unfolds to more
/// than the program is ready to hold.
pub(super) fn documents(text: &str, file: usize) -> Result<Vec<Node>, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        file,
        ..Builder::default()
    };
    let options = granit_parser::options! {
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| YamlError {
            mark: mark(file, error.marker().line(), error.marker().col()),
            text: error.info(),
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

fn mark(file: usize, line: usize, column: usize) -> Mark {
    Mark {
        file,
        line,
        column: column + 1,
    }
}

/// A collection whose end has not been read yet.
enum Open {
    List {
        items: Vec<Node>,
    },
    Map {
        map: Map,
        key: Option<(Key, Mark)>,
        merged: Vec<Node>,
    },
}

enum Key {
    Text(String),
    Merge,
}

struct Frame {
    open: Open,
    anchor: usize,
    tag: Option<MergeTag>,
    mark: Mark,
}

#[derive(Default)]
struct Builder {
    file: usize,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    documents: Vec<Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let at = mark(self.file, span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| refuse(at, "an alias inside its own anchor"))?;
                self.count(size(&node), at)?;
                if self.stack.len() + depth(&node) > DEEPEST {
                    return Err(refuse(at, "aliases nest too deep"));
                }
                self.place(Node { mark: at, ..node })?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, at)?;
                let kind = scalar(&text, style, tag.as_deref());
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                if self.expects_key() {
                    return self.key(&text, is_plain, &kind, at);
                }
                let node = Node {
                    kind,
                    tag: merge_tag(tag.as_deref()),
                    mark: at,
                };
                self.remember(anchor, &node);
                self.place(node)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                let open = Open::List { items: Vec::new() };
                self.open(open, anchor, tag.as_deref(), at)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                let open = Open::Map {
                    map: Map::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.open(open, anchor, tag.as_deref(), at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, more: usize, at: Mark) -> Result<(), YamlError> {
        self.nodes += more;
        if self.nodes > MOST_NODES {
            return Err(refuse(at, "the file unfolds to too many values"));
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.stack.last().map(|frame| &frame.open),
            Some(Open::Map { key: None, .. })
        )
    }

    fn key(
        &mut self,
        text: &str,
        is_plain: bool,
        kind: &NodeKind,
        at: Mark,
    ) -> Result<(), YamlError> {
        let key = match kind {
            NodeKind::Text(_) if is_plain && text == "<<" => Key::Merge,
            NodeKind::Text(text) => Key::Text(text.clone()),
            _ => {
                let text = format!("the key `{text}` is not a text; write it in quotes");
                return Err(refuse(at, &text));
            }
        };
        if let Some(Open::Map { key: slot, map, .. }) =
            self.stack.last_mut().map(|frame| &mut frame.open)
        {
            if let Key::Text(name) = &key
                && let Some(first) = map.get(name)
            {
                let text = format!(
                    "the key `{name}` stands already on line {}",
                    first.mark.line
                );
                return Err(refuse(at, &text));
            }
            *slot = Some((key, at));
        }
        Ok(())
    }

    fn open(
        &mut self,
        open: Open,
        anchor: usize,
        tag: Option<&Tag>,
        at: Mark,
    ) -> Result<(), YamlError> {
        self.count(1, at)?;
        if self.expects_key() {
            return Err(refuse(at, "a key is a list or a mapping instead of a text"));
        }
        self.stack.push(Frame {
            open,
            anchor,
            tag: merge_tag(tag),
            mark: at,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), YamlError> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let kind = match frame.open {
            Open::List { items } => NodeKind::List(items),
            Open::Map {
                mut map, merged, ..
            } => {
                for source in merged {
                    merge_into(&mut map, source)?;
                }
                NodeKind::Map(map)
            }
        };
        let node = Node {
            kind,
            tag: frame.tag,
            mark: frame.mark,
        };
        self.remember(frame.anchor, &node);
        self.place(node)
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    fn place(&mut self, node: Node) -> Result<(), YamlError> {
        let Some(frame) = self.stack.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut frame.open {
            Open::List { items } => items.push(node),
            Open::Map { map, key, merged } => match key.take() {
                Some((Key::Merge, _)) => merged.push(node),
                Some((Key::Text(name), mark)) => {
                    map.insert(name, Node { mark, ..node });
                }
                None => return Err(refuse(node.mark, "an alias cannot be a key")),
            },
        }
        Ok(())
    }
}

fn refuse(mark: Mark, text: &str) -> YamlError {
    YamlError {
        mark,
        text: text.to_owned(),
    }
}

/// `<<`: keys that the mapping has itself win, and of several sources the first.
fn merge_into(map: &mut Map, source: Node) -> Result<(), YamlError> {
    let mark = source.mark;
    match source.kind {
        NodeKind::Map(entries) => {
            for (key, value) in entries {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        NodeKind::List(sources) if sources.iter().all(|node| node.map().is_some()) => sources
            .into_iter()
            .try_for_each(|source| merge_into(map, source)),
        _ => Err(refuse(mark, "`<<` takes a mapping or a list of mappings")),
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        NodeKind::List(items) => items.iter().map(size).sum(),
        NodeKind::Map(map) => map.values().map(size).sum(),
        _ => 0,
    }
}

fn depth(node: &Node) -> usize {
    let inner = match &node.kind {
        NodeKind::List(items) => items.iter().map(depth).max(),
        NodeKind::Map(map) => map.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or_default()
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> NodeKind {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
    if style == ScalarStyle::Plain && !is_text {
        number::resolved(text)
    } else {
        NodeKind::Text(text.to_owned())
    }
}

fn merge_tag(tag: Option<&Tag>) -> Option<MergeTag> {
    match tag?.original().as_str() {
        "!reset" => Some(MergeTag::Reset),
        "!override" => Some(MergeTag::Override),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        documents(text, 0).unwrap().remove(0)
    }

    #[test]
    fn nodes_know_their_place_and_tag() {
        let node = one("a: 1\nb:\n  - x\n  - !reset null\nc: yes\nd: \"2\"\n");
        assert_eq!(node.get("a").unwrap().kind, NodeKind::Integer(1));
        let b = node.get("b").unwrap();
        assert_eq!((b.mark.line, b.mark.column), (2, 1));
        let list = b.list().unwrap();
        assert_eq!((list[0].mark.line, list[0].mark.column), (3, 5));
        assert_eq!(list[1].tag, Some(MergeTag::Reset));
        assert_eq!(node.get("c").unwrap().text(), Some("yes"));
        assert_eq!(node.get("d").unwrap().text(), Some("2"));
    }

    #[test]
    fn what_no_definition_may_hold_is_refused_with_its_line() {
        for (text, line) in [
            ("a: 1\nb: 2\na: 3\n", 3),
            ("x:\n  1: a\n", 2),
            ("x:\n  true: a\n", 2),
            ("x:\n  null: a\n", 2),
            ("x: *nope\n", 1),
            ("x: [a\n", 1),
            ("x:\n  <<: 5\n", 2),
            ("? [a]\n: b\n", 1),
        ] {
            let error = documents(text, 0).unwrap_err();
            assert_eq!(error.mark.line, line, "{text}: {error}");
        }
    }

    #[test]
    fn merge_keys_lose_against_own_keys_and_the_first_source_wins() {
        let node = one("a: &a {k: 1, l: 1}\nb: &b {k: 2, m: 2}\nc:\n  <<: [*a, *b]\n  l: 3\n");
        let c = node.get("c").unwrap();
        let value = |key: &str| c.get(key).unwrap().printed().unwrap();
        assert_eq!(
            (value("k"), value("l"), value("m")),
            ("1".into(), "3".into(), "2".into())
        );
    }

    #[test]
    fn aliases_cannot_multiply_without_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{},", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        assert!(documents(&text, 0).is_err());
    }

    #[test]
    fn aliases_cannot_nest_deeper_than_a_file_may() {
        let mut text = "a0: &a0 [x]\n".to_owned();
        for level in 1..200 {
            text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        let error = documents(&text, 0).unwrap_err();
        assert!(error.text.contains("deep"), "{error}");
    }

    #[test]
    fn an_empty_file_has_no_document() {
        assert_eq!(documents("# nothing\n", 0).unwrap(), []);
        assert_eq!(documents("", 0).unwrap(), []);
        assert_eq!(documents("---\n", 0).unwrap().len(), 1);
        assert_eq!(documents("a: 1\n---\na: 2\n", 0).unwrap().len(), 2);
    }
}
