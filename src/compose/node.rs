//! A YAML document as a tree whose every node knows its line and column.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Spanned, Tagged};
use thiserror::Error;

/// One node of a YAML document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it holds.
    pub kind: NodeKind,
    /// Its tag, such as `!reset`, if it has one.
    pub tag: Option<String>,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the document.
    Map(Vec<(String, Node)>),
}

/// The text is not YAML.
#[derive(Debug, Error)]
#[error("not well-formed YAML")]
pub struct YamlError(#[source] Box<serde_saphyr::Error>);

/// Reads one document.
///
/// # Errors
/// The text is not well-formed, has a key twice, or a key that is not a text.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    // Docker Compose reads YAML 1.2 truth values only, but YAML 1.1 octal numbers.
    let options = serde_saphyr::options! { strict_booleans: true, legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| YamlError(Box::new(error)))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tagged(spanned, tag) = Tagged::<Spanned<NodeKind>>::deserialize(deserializer)?;
        let location = spanned.referenced;
        Ok(Self {
            kind: spanned.value,
            tag,
            line: location.line(),
            column: location.column(),
        })
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = NodeKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<NodeKind, E> {
        Ok(NodeKind::Null)
    }

    fn visit_none<E>(self) -> Result<NodeKind, E> {
        Ok(NodeKind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<NodeKind, D::Error> {
        NodeKind::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<NodeKind, E> {
        Ok(NodeKind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<NodeKind, E> {
        Ok(NodeKind::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<NodeKind, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "Go also falls back to a float here"
        )]
        let wide = value as f64;
        Ok(i64::try_from(value).map_or(NodeKind::Float(wide), NodeKind::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<NodeKind, E> {
        Ok(NodeKind::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<NodeKind, E> {
        Ok(NodeKind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<NodeKind, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = access.next_element()? {
            list.push(node);
        }
        Ok(NodeKind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<NodeKind, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            map.push((key, access.next_value()?));
        }
        Ok(NodeKind::Map(map))
    }
}

impl<'de> Deserialize<'de> for NodeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_place_and_tag() {
        let node = parse("a: 1\nb:\n  - x\n  - !reset null\nc: yes\nd: \"2\"\n").unwrap();
        let NodeKind::Map(entries) = &node.kind else {
            panic!("{node:?}")
        };
        assert_eq!(entries[0].1.kind, NodeKind::Integer(1));
        let NodeKind::List(list) = &entries[1].1.kind else {
            panic!()
        };
        assert_eq!((list[0].line, list[0].column), (3, 5));
        assert_eq!(list[1].tag.as_deref(), Some("!reset"));
        assert_eq!(entries[2].1.kind, NodeKind::Text("yes".to_owned()));
        assert_eq!(entries[3].1.kind, NodeKind::Text("2".to_owned()));
    }

    #[test]
    fn a_key_twice_is_refused() {
        assert!(parse("a: 1\na: 2\n").is_err());
    }
}
