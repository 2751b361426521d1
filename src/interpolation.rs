//! `$NAME` and `${NAME…}` as the Compose Specification and Docker Compose 2.40 expand them.
//!
//! One grammar for compose files and for `variables.env`. It knows neither files nor where a value
//! comes from: the caller passes a look-up.
//!
//! Source: Compose Specification, "Interpolation"; edge cases as recorded from Docker Compose 2.40.3.

use thiserror::Error;

/// How deep `${A:-${B:-…}}` may nest before it is refused; far beyond what a person writes.
const DEEPEST: usize = 64;

/// Why a text cannot be expanded.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InterpolationError {
    /// `${` is not followed by a well-formed expression up to a closing brace.
    #[error("`{text}` is not a valid expression; write `$$` for a literal `$`")]
    Malformed {
        /// The offending text, from `${` on.
        text: String,
    },
    /// `${NAME:?text}` or `${NAME?text}` and the name has no value.
    #[error("variable `{name}` is required{}", if .text.is_empty() { String::new() } else { format!(": {text}") })]
    Required {
        /// The variable without a value.
        name: String,
        /// The explanation the file gives.
        text: String,
    },
}

/// A text after expansion, with the names that had no value and were taken as empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The result.
    pub text: String,
    /// Names referred to without an operator that the look-up does not know.
    pub unset: Vec<String>,
}

/// Expands `text`. `look_up` gives the value of a name, `None` when it is unset.
///
/// # Errors
/// A malformed `${…}`, or a required variable without a value.
pub fn expand(
    text: &str,
    look_up: &dyn Fn(&str) -> Option<String>,
) -> Result<Expanded, InterpolationError> {
    let mut expanded = Expanded::default();
    expand_into(text, look_up, &mut expanded, 0)?;
    Ok(expanded)
}

fn expand_into(
    text: &str,
    look_up: &dyn Fn(&str) -> Option<String>,
    out: &mut Expanded,
    depth: usize,
) -> Result<(), InterpolationError> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.text.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.text.push('$');
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('{') {
            rest = braced(inner, look_up, out, depth)?;
        } else {
            let (name, tail) = split_name(after);
            if name.is_empty() {
                out.text.push('$');
            } else {
                push_value(name, look_up, out);
            }
            rest = tail;
        }
    }
    out.text.push_str(rest);
    Ok(())
}

fn push_value(name: &str, look_up: &dyn Fn(&str) -> Option<String>, out: &mut Expanded) {
    match look_up(name) {
        Some(value) => out.text.push_str(&value),
        None => out.unset.push(name.to_owned()),
    }
}

/// Expands what follows `${` and returns what follows the closing brace.
fn braced<'a>(
    inner: &'a str,
    look_up: &dyn Fn(&str) -> Option<String>,
    out: &mut Expanded,
    depth: usize,
) -> Result<&'a str, InterpolationError> {
    let malformed = || InterpolationError::Malformed {
        text: format!("${{{inner}"),
    };
    if depth >= DEEPEST {
        return Err(malformed());
    }
    let (name, tail) = split_name(inner);
    if name.is_empty() {
        return Err(malformed());
    }
    if let Some(rest) = tail.strip_prefix('}') {
        push_value(name, look_up, out);
        return Ok(rest);
    }
    let (operator, tail) = [":-", ":+", ":?", "-", "+", "?"]
        .into_iter()
        .find_map(|operator| tail.strip_prefix(operator).map(|tail| (operator, tail)))
        .ok_or_else(malformed)?;
    let (word, rest) = split_balanced(tail).ok_or_else(malformed)?;
    let mut alternative = Expanded::default();
    // The alternative is evaluated even where it is not used, as Docker Compose does.
    expand_into(word, look_up, &mut alternative, depth + 1)?;
    let value = look_up(name);
    let counts = match operator.strip_prefix(':') {
        Some(_) => value.as_deref().is_some_and(|value| !value.is_empty()),
        None => value.is_some(),
    };
    match operator.trim_start_matches(':') {
        "-" if counts => out.text.push_str(&value.unwrap_or_default()),
        "-" => {
            out.text.push_str(&alternative.text);
            out.unset.append(&mut alternative.unset);
        }
        "+" if counts => out.text.push_str(&alternative.text),
        "+" => {}
        _ if counts => out.text.push_str(&value.unwrap_or_default()),
        _ => {
            return Err(InterpolationError::Required {
                name: name.to_owned(),
                text: alternative.text,
            });
        }
    }
    Ok(rest)
}

/// Splits a leading variable name (`[A-Za-z_][A-Za-z0-9_]*`, possibly empty) from the rest.
fn split_name(text: &str) -> (&str, &str) {
    let is_start = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let end = if is_start {
        text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(text.len())
    } else {
        0
    };
    text.split_at(end)
}

/// Splits at the brace that closes the expression; inner `${…}` pairs are skipped, a lone `{` also
/// counts. The text may not hold a line break.
fn split_balanced(text: &str) -> Option<(&str, &str)> {
    let mut open = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '\n' => return None,
            '{' => open += 1,
            '}' if open == 0 => {
                let (word, rest) = text.split_at(at);
                return Some((word, rest.strip_prefix('}').unwrap_or_default()));
            }
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(name: &str) -> Option<String> {
        match name {
            "X" => Some("x".to_owned()),
            "E" => Some(String::new()),
            _ => None,
        }
    }

    /// Rows recorded from Docker Compose 2.40.3.
    #[test]
    fn expands_as_docker_compose_does() {
        for (input, expected) in [
            ("$X", "x"),
            ("a$X.b", "ax.b"),
            ("a${X}b", "axb"),
            ("$X-b", "x-b"),
            ("$Xb", ""),
            ("${N}", ""),
            ("$$X", "$X"),
            ("$$$X", "$x"),
            ("$${X}", "${X}"),
            ("a$", "a$"),
            ("$ a", "$ a"),
            ("$1", "$1"),
            ("$(X)", "$(X)"),
            ("${X:-d}", "x"),
            ("${E:-d}", "d"),
            ("${E-d}", ""),
            ("${N-d}", "d"),
            ("${X:+r}", "r"),
            ("${E:+r}", ""),
            ("${E+r}", "r"),
            ("${N+r}", ""),
            ("${X:?e}", "x"),
            ("${E?e}", ""),
            ("${N:-${M:-deep}}", "deep"),
            ("${N:-a}}", "a}"),
            ("${N:-{a}}", "{a}"),
            ("${N:-$$5}", "$5"),
            ("${N:-$}", "$"),
            ("${N-a:-b}", "a:-b"),
            ("${N:-}}", "}"),
        ] {
            assert_eq!(
                expand(input, &look_up).map(|e| e.text).as_deref(),
                Ok(expected),
                "{input}"
            );
        }
    }

    #[test]
    fn refuses_what_docker_compose_refuses() {
        for input in [
            "${}",
            "${",
            "${X",
            "${X!}",
            "${X.Y}",
            "${ X}",
            "${1}",
            "${X:d}",
            "${X:=d}",
            "${N:-a\nb}",
        ] {
            assert!(
                matches!(
                    expand(input, &look_up),
                    Err(InterpolationError::Malformed { .. })
                ),
                "{input}"
            );
        }
        assert_eq!(
            expand("${X:-${N:?no}}", &look_up),
            Err(InterpolationError::Required {
                name: "N".to_owned(),
                text: "no".to_owned()
            })
        );
    }

    #[test]
    fn names_what_is_unset() {
        assert_eq!(
            expand("$N ${N:-$M}", &look_up).map(|e| e.unset),
            Ok(vec!["N".into(), "M".into()])
        );
    }
}
