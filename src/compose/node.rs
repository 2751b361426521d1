//! A definition as a tree whose every node knows the file, line and column it came from.

use std::collections::BTreeMap;

use super::number;

/// A place in one of the files of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Mark {
    /// Index of the file, in the order of reading.
    pub file: usize,
    /// Line, from 1; 0 for what no line says.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it holds.
    pub kind: NodeKind,
    /// What it asks for when it is merged onto another file.
    pub tag: Option<MergeTag>,
    /// Where it stands; for the value of a mapping, where its key stands.
    pub mark: Mark,
}

/// A tag of the Compose Specification that changes how a value is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeTag {
    /// `!reset`: what earlier files say is removed, and nothing put in its place.
    Reset,
    /// `!override`: what earlier files say is replaced instead of merged.
    Override,
}

/// A mapping; Compose sorts its keys.
pub type Map = BTreeMap<String, Node>;

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number of 64 bits, signed or not.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A point in time, as Go prints it.
    Time(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

impl Node {
    /// A node that no file holds.
    #[must_use]
    pub fn new(kind: NodeKind) -> Self {
        Self {
            kind,
            tag: None,
            mark: Mark::default(),
        }
    }

    /// A text at the place of `mark`.
    #[must_use]
    pub fn text_at(text: impl Into<String>, mark: Mark) -> Self {
        Self {
            kind: NodeKind::Text(text.into()),
            tag: None,
            mark,
        }
    }

    /// A node of this kind at the place of `mark`.
    #[must_use]
    pub fn at(kind: NodeKind, mark: Mark) -> Self {
        Self {
            kind,
            tag: None,
            mark,
        }
    }

    /// The mapping it holds.
    #[must_use]
    pub fn map(&self) -> Option<&Map> {
        match &self.kind {
            NodeKind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping it holds.
    #[must_use]
    pub fn map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.kind {
            NodeKind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list it holds.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match &self.kind {
            NodeKind::List(list) => Some(list),
            _ => None,
        }
    }

    /// The text it holds.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, if it is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.map().and_then(|map| map.get(key))
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind == NodeKind::Null
    }

    /// A single value as Go prints it; `None` for nothing, a list or a mapping.
    #[must_use]
    pub fn printed(&self) -> Option<String> {
        match &self.kind {
            NodeKind::Bool(value) => Some(value.to_string()),
            NodeKind::Integer(value) => Some(value.to_string()),
            NodeKind::Float(value) => Some(number::printed(*value)),
            NodeKind::Time(text) | NodeKind::Text(text) => Some(text.clone()),
            NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => None,
        }
    }

    /// Any value as Go prints it with `%v`: what an environment gets from a value of the wrong form.
    #[must_use]
    pub fn printed_with_containers(&self) -> String {
        match &self.kind {
            NodeKind::Null => "<nil>".to_owned(),
            NodeKind::List(list) => {
                let items: Vec<String> = list.iter().map(Self::printed_with_containers).collect();
                format!("[{}]", items.join(" "))
            }
            NodeKind::Map(map) => {
                let items: Vec<String> = map
                    .iter()
                    .map(|(key, value)| format!("{key}:{}", value.printed_with_containers()))
                    .collect();
                format!("map[{}]", items.join(" "))
            }
            _ => self.printed().unwrap_or_default(),
        }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "true or false",
            NodeKind::Integer(_) | NodeKind::Float(_) => "a number",
            NodeKind::Time(_) => "a date",
            NodeKind::Text(_) => "a text",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a mapping",
        }
    }
}
