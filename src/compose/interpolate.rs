//! Expands `$NAME` in every single value of a file and casts texts to the numbers and truth values
//! that the specification wants in their place. Keys of mappings are never expanded.

use super::Problem;
use super::merge::joined;
use super::node::{Node, NodeKind};
use super::spec::Shape;
use crate::interpolation;

/// Looks a variable up; `None` when it is unset.
pub(super) type LookUp<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Expands and casts; what goes wrong is added to `problems`, what is odd to `warnings`.
pub(super) struct Expansion<'a> {
    pub(super) look_up: &'a LookUp<'a>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Expansion<'_> {
    pub(super) fn expand(&mut self, node: &mut Node, shape: Shape, path: &str) {
        let mark = node.mark;
        match &mut node.kind {
            NodeKind::Map(map) => {
                for (key, value) in map {
                    let inner = shape.of_key(key).unwrap_or(Shape::Any);
                    self.expand(value, inner, &joined(path, key));
                }
            }
            NodeKind::List(items) => {
                let inner = shape.of_item().unwrap_or(Shape::Any);
                for (at, item) in items.iter_mut().enumerate() {
                    self.expand(item, inner, &format!("{path}[{at}]"));
                }
            }
            NodeKind::Text(text) => {
                // Variables may be secrets: messages show what the file says, not what comes of it.
                let written = text.clone();
                if text.contains('$') {
                    match interpolation::expand(text, self.look_up) {
                        Ok(expanded) => {
                            for name in expanded.unset {
                                let text =
                                    format!("uses `{name}`, which is not set and counts as empty");
                                self.warnings.push(Problem::new(path, mark, &text));
                            }
                            *text = expanded.text;
                        }
                        Err(error) => {
                            let text = format!("cannot be expanded: {error}");
                            self.problems.push(Problem::new(path, mark, &text));
                            return;
                        }
                    }
                }
                match cast(text, shape) {
                    Ok(Some(kind)) => node.kind = kind,
                    Ok(None) => {}
                    Err(wanted) => {
                        let text = format!("is `{written}`, but must be {wanted}");
                        self.problems.push(Problem::new(path, mark, &text));
                    }
                }
            }
            _ => {}
        }
    }
}

/// A text as the specification wants it in its place; `None` when a text is wanted.
fn cast(text: &str, shape: Shape) -> Result<Option<NodeKind>, &'static str> {
    match shape {
        Shape::Nullable(inner) => cast(text, *inner),
        Shape::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "y" | "yes" | "on" => Ok(Some(NodeKind::Bool(true))),
            "false" | "n" | "no" | "off" => Ok(Some(NodeKind::Bool(false))),
            _ => Err("`true` or `false`"),
        },
        Shape::External => match cast(text, Shape::Flag) {
            Ok(kind) => Ok(kind),
            Err(wanted) => Err(wanted),
        },
        Shape::Integer | Shape::Ulimit => match text.parse::<i64>() {
            Ok(number) => Ok(Some(NodeKind::Integer(number.into()))),
            Err(_) => Err("a whole number"),
        },
        Shape::Number => match text.parse::<f64>() {
            Ok(number) => Ok(Some(NodeKind::Float(number))),
            Err(_) => Err("a number"),
        },
        _ => Ok(None),
    }
}
