//! Reads variables.env: the env_file grammar of Docker Compose 2.40.
//!
//! The file is scanned as one text: a quoted value may span lines, an unquoted one ends at the line
//! end or at a blank followed by `#`, and what follows a closing quote is read as the next
//! statement. References are expanded except in single quotes.

use std::fmt;
use std::path::Path;

use super::problem::{Place, Problem, ProblemKind};
use crate::interpolation;

/// One statement of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The variable.
    pub name: String,
    /// Its value; `None` for a bare name that the environment does not set.
    pub value: Option<String>,
    /// Where it stands.
    pub place: Place,
}

impl fmt::Debug for Entry {
    /// Without the value, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=… ({})", self.name, self.place)
    }
}

/// Reads the text of variables.env; of a name set twice, the last statement wins and keeps the
/// first position. `environment` wins over earlier lines when a value refers to a name.
pub fn parse(
    text: &str,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Entry>, Vec<Problem>) {
    let mut scanner = Scanner {
        rest: text.trim_start_matches('\u{feff}'),
        whole: text,
        file,
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut problems = Vec::new();
    loop {
        match scanner.statement(&entries, environment, &mut problems) {
            Ok(Some(entry)) => {
                if let Some(earlier) = entries
                    .iter_mut()
                    .find(|earlier| earlier.name == entry.name)
                {
                    *earlier = entry;
                } else {
                    entries.push(entry);
                }
            }
            Ok(None) => return (entries, problems),
            Err(problem) => {
                problems.push(problem);
                scanner.skip_line();
            }
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
    whole: &'a str,
    file: &'a Path,
}

impl<'a> Scanner<'a> {
    fn place(&self) -> Place {
        let read = self.whole.len() - self.rest.len();
        let before = self.whole.get(..read).unwrap_or_default();
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Place {
            file: self.file.to_path_buf(),
            line: before.matches('\n').count() + 1,
            column,
        }
    }

    fn error(place: Place, text: String, advice: &str) -> Problem {
        Problem {
            kind: ProblemKind::Error,
            place: Some(place),
            text,
            advice: advice.to_owned(),
        }
    }

    fn skip_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
    }

    fn statement(
        &mut self,
        earlier: &[Entry],
        environment: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Entry>, Problem> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with('#') {
                self.skip_line();
            } else {
                break;
            }
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        if let Some(tail) = self.rest.strip_prefix("export")
            && tail.starts_with([' ', '\t'])
        {
            self.rest = tail.trim_start();
        }
        let place = self.place();
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let (key, tail) = self.rest.split_at(end);
        let name = key.trim_end();
        if let Some(odd) = name.chars().find(|c| !is_key_character(*c)) {
            let text = format!("unexpected character `{odd}` in the name `{name}`");
            return Err(Self::error(place, text, "write `NAME=value`"));
        }
        if name.contains(' ') {
            let text = format!("the name `{name}` has a space in it");
            return Err(Self::error(place, text, "write `NAME=value`"));
        }
        if !tail.starts_with(['=', ':']) {
            self.rest = tail;
            let value = environment(name);
            return Ok(Some(Entry {
                name: name.to_owned(),
                value,
                place,
            }));
        }
        let mut after = tail.chars();
        after.next();
        self.rest = after
            .as_str()
            .trim_start_matches([' ', '\t', '\r', '\u{b}', '\u{c}', '\u{a0}']);
        let value_place = self.place();
        let raw = self.value()?;
        let value = match raw {
            RawValue::Literal(text) => text,
            RawValue::Template(text) => {
                let look_up = |name: &str| {
                    environment(name).or_else(|| {
                        let entry = earlier.iter().rev().find(|entry| entry.name == name);
                        entry.and_then(|entry| entry.value.clone())
                    })
                };
                match interpolation::expand(&text, &look_up) {
                    Ok(expanded) => {
                        problems.extend(expanded.unset.iter().map(|unset| Problem {
                            kind: ProblemKind::Warning,
                            place: Some(value_place.clone()),
                            text: format!("`${unset}` in `{name}` has no value and counts as empty"),
                            advice: "write `$$` for a literal `$`, or put the value in single quotes"
                                .to_owned(),
                        }));
                        expanded.text
                    }
                    Err(error) => {
                        return Err(Self::error(
                            value_place,
                            error.to_string(),
                            "put the value in single quotes to keep it as it is",
                        ));
                    }
                }
            }
        };
        Ok(Some(Entry {
            name: name.to_owned(),
            value: Some(value),
            place,
        }))
    }

    fn value(&mut self) -> Result<RawValue, Problem> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let Some(quote) = quote else {
            let (line, _) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            let value = line
                .find(" #")
                .map_or(line, |at| line.split_at(at).0)
                .trim_end();
            self.rest = self.rest.strip_prefix(line).unwrap_or_default();
            return Ok(RawValue::Template(value.to_owned()));
        };
        let place = self.place();
        let mut body = self.rest.chars();
        body.next();
        let body = body.as_str();
        let mut escaped = false;
        let end = body.char_indices().find(|&(_, c)| {
            let closes = c == quote && !escaped;
            escaped = c == '\\';
            closes
        });
        let Some((end, _)) = end else {
            let text = "the quoted value is not closed".to_owned();
            self.rest = "";
            return Err(Self::error(place, text, "add the closing quote"));
        };
        let (inside, after) = body.split_at(end);
        let mut after = after.chars();
        after.next();
        self.rest = after.as_str();
        Ok(if quote == '\'' {
            RawValue::Literal(inside.replace("\\'", "'"))
        } else {
            RawValue::Template(unescape(inside))
        })
    }
}

enum RawValue {
    Literal(String),
    Template(String),
}

fn is_key_character(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']') || c.is_whitespace()
}

/// Decodes the escapes of a double-quoted value; a pair that is not one of them stays as written.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some(c @ ('\\' | '"')) => out.push(c),
            Some('$') => out.push_str("$$"),
            Some('0') => {
                let digits: String = rest.as_str().chars().take(3).collect();
                let is_octal =
                    digits.len() == 3 && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
                let decoded = u32::from_str_radix(&digits, 8)
                    .ok()
                    .filter(|n| is_octal && *n < 256);
                if let Some(decoded) = decoded.and_then(char::from_u32) {
                    out.push(decoded);
                    rest.nth(2);
                } else {
                    // Docker Compose loses the zero of an octal form that does not decode.
                    out.push('\\');
                }
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let environment = |name: &str| (name == "OUTER").then(|| "outer".to_owned());
        let (entries, problems) = parse(text, Path::new("variables.env"), &environment);
        let errors = problems
            .iter()
            .filter(|problem| problem.kind == ProblemKind::Error);
        if let Some(problem) = errors.into_iter().next() {
            return format!(
                "error {}: {}",
                problem.place.clone().unwrap().line,
                problem.text
            );
        }
        let shown: Vec<String> = entries
            .iter()
            .filter_map(|entry| {
                entry
                    .value
                    .as_ref()
                    .map(|value| format!("{}={value:?}", entry.name))
            })
            .collect();
        shown.join(" ")
    }

    /// Rows recorded from Docker Compose 2.40.3.
    #[test]
    fn reads_values_as_docker_compose_does() {
        for (text, expected) in [
            ("A=1\n", r#"A="1""#),
            (" A = 1 \n", r#"A="1""#),
            ("export A=1\n", r#"A="1""#),
            ("A: 1\n", r#"A="1""#),
            ("A=a b  c\n", r#"A="a b  c""#),
            ("A=1 # c\n", r#"A="1""#),
            ("A=1#c\n", r#"A="1#c""#),
            ("A= # c\n", r##"A="# c""##),
            ("A=\"a # b\" # c\n", r#"A="a # b""#),
            ("A=\"a\" B=2\n", r#"A="a" B="2""#),
            ("A=it's\n", r#"A="it's""#),
            ("A=\"x\\ny\\qz\"\n", r#"A="x\ny\\qz""#),
            ("A=\"x\\$Y\"\n", r#"A="x$Y""#),
            ("A='x\\ny'\n", r#"A="x\\ny""#),
            ("A=\"l1\nl2\"\n", r#"A="l1\nl2""#),
            ("A=1\r\nB=2\r\n", r#"A="1" B="2""#),
            ("OUTER\nMISSING\n", r#"OUTER="outer""#),
            ("A=$OUTER\n", r#"A="outer""#),
            ("B=f\nA=$B\n", r#"B="f" A="f""#),
            ("A=pa$$word\n", r#"A="pa$word""#),
            ("A='$OUTER'\n", r#"A="$OUTER""#),
            ("A={\"k\": \"v w\"}\n", r#"A="{\"k\": \"v w\"}""#),
            ("A=cn=admin, dc=x\n", r#"A="cn=admin, dc=x""#),
            ("A=1\nB=2\nA=3\n", r#"A="3" B="2""#),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn says_where_it_cannot_be_read() {
        for (text, expected) in [
            ("A=1\nA B=1\n", "error 2: the name `A B` has a space in it"),
            (
                "A+=1\n",
                "error 1: unexpected character `+` in the name `A+`",
            ),
            ("A=\"abc\n", "error 1: the quoted value is not closed"),
            (
                "A=${B\n",
                "error 1: `${B` is not a valid expression; write `$$` for a literal `$`",
            ),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }
}
