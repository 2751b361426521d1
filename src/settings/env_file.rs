//! Reads variables.env: the env_file grammar of Docker Compose 2.40.
//!
//! The file is scanned as one text: a quoted value may span lines, an unquoted one ends at the line
//! end or at a blank followed by `#`, and what follows a closing quote is read as the next
//! statement. References are expanded except in single quotes, which is a step of its own: what they
//! stand for depends on the service that gets the variables.

use std::fmt;
use std::path::Path;

use super::problem::{Place, Problem, ProblemKind};
use crate::interpolation;

/// One variable.
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

/// The statements of a file, before references are expanded.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EnvFile {
    statements: Vec<Statement>,
}

impl fmt::Debug for EnvFile {
    /// Without the values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.statements.iter().map(|statement| &statement.name);
        f.debug_set().entries(names).finish()
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Statement {
    name: String,
    place: Place,
    value: RawValue,
    value_place: Place,
    end: Place,
}

#[derive(Clone, PartialEq, Eq)]
enum RawValue {
    /// A bare name: the value comes from the environment.
    Inherited,
    Literal(String),
    Template(String),
}

/// Reads the text of variables.env; of a name set twice, the last statement wins and keeps the
/// first position. `environment` wins over earlier lines when a value refers to a name.
pub fn parse(
    text: &str,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Entry>, Vec<Problem>) {
    let (read, mut problems) = EnvFile::read(text, file);
    let (entries, more) = read.entries(environment);
    problems.extend(more);
    (entries, problems)
}

impl EnvFile {
    /// Reads the statements of a text; what cannot be read is a problem beside them.
    #[must_use]
    pub fn read(text: &str, file: &Path) -> (Self, Vec<Problem>) {
        let mut scanner = Scanner {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            whole: text,
            line: 1,
            counted: 0,
            file,
        };
        let mut statements = Vec::new();
        let mut problems = Vec::new();
        loop {
            match scanner.statement() {
                Ok(Some(statement)) => {
                    problems.extend(statement.oddity());
                    statements.push(statement);
                }
                Ok(None) => return (Self { statements }, problems),
                Err(problem) => {
                    problems.push(*problem);
                    scanner.skip_line();
                }
            }
        }
    }

    /// Where the last statement about a name begins and ends.
    #[must_use]
    pub fn span(&self, name: &str) -> Option<(Place, Place)> {
        let mut backwards = self.statements.iter().rev();
        let statement = backwards.find(|statement| statement.name == name)?;
        Some((statement.place.clone(), statement.end.clone()))
    }

    /// The variables, with references expanded. A name is looked up in `environment`, then among
    /// the earlier statements.
    #[must_use]
    pub fn entries(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> (Vec<Entry>, Vec<Problem>) {
        let mut entries: Vec<Entry> = Vec::new();
        let mut problems = Vec::new();
        for statement in &self.statements {
            let Some(value) = statement.value(&entries, environment, &mut problems) else {
                continue;
            };
            let entry = Entry {
                name: statement.name.clone(),
                value,
                place: statement.place.clone(),
            };
            match entries
                .iter_mut()
                .find(|earlier| earlier.name == entry.name)
            {
                Some(earlier) => *earlier = entry,
                None => entries.push(entry),
            }
        }
        (entries, problems)
    }
}

impl Statement {
    /// The value after expansion; `None` when it cannot be expanded.
    fn value(
        &self,
        earlier: &[Entry],
        environment: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<Problem>,
    ) -> Option<Option<String>> {
        let template = match &self.value {
            RawValue::Inherited => return Some(environment(&self.name)),
            RawValue::Literal(text) => return Some(Some(text.clone())),
            RawValue::Template(text) => text,
        };
        let look_up = |name: &str| {
            environment(name).or_else(|| {
                let entry = earlier.iter().rev().find(|entry| entry.name == name);
                entry.and_then(|entry| entry.value.clone())
            })
        };
        let problem = |kind, text, advice: &str| Problem {
            kind,
            place: Some(self.value_place.clone()),
            text,
            advice: advice.to_owned(),
        };
        match interpolation::expand(template, &look_up) {
            Ok(expanded) => {
                let name = &self.name;
                problems.extend(expanded.unset.iter().map(|unset| {
                    problem(
                        ProblemKind::Warning,
                        format!("`${unset}` in `{name}` has no value and counts as empty"),
                        "write `$$` for a literal `$`, or put the value in single quotes",
                    )
                }));
                Some(Some(expanded.text))
            }
            Err(error) => {
                let advice = "put the value in single quotes to keep it as it is";
                problems.push(problem(ProblemKind::Error, error.to_string(), advice));
                None
            }
        }
    }

    /// A warning about what Docker Compose accepts and no container can use.
    fn oddity(&self) -> Option<Problem> {
        let (place, text, advice) = match &self.value {
            RawValue::Literal(text) | RawValue::Template(text) if text.contains('\0') => (
                &self.value_place,
                format!("the value of `{}` holds a NUL character", self.name),
                "remove the character; the file may be damaged",
            ),
            _ if self.name.is_empty() => (
                &self.place,
                "a value without a name stands here".to_owned(),
                "write `NAME=value`, and end the last line with a line break",
            ),
            _ => return None,
        };
        Some(Problem {
            kind: ProblemKind::Warning,
            place: Some(place.clone()),
            text,
            advice: advice.to_owned(),
        })
    }
}

struct Scanner<'a> {
    rest: &'a str,
    whole: &'a str,
    /// Line of the byte `counted` of the whole text.
    line: usize,
    counted: usize,
    file: &'a Path,
}

impl Scanner<'_> {
    fn place(&mut self) -> Place {
        let read = self.whole.len() - self.rest.len();
        let passed = self.whole.get(self.counted..read).unwrap_or_default();
        self.line += passed.matches('\n').count();
        self.counted = read;
        let before = self.whole.get(..read).unwrap_or_default();
        let of_line = before.rsplit('\n').next().unwrap_or_default();
        // The mark at the very beginning takes no room in an editor.
        let of_line = of_line.strip_prefix('\u{feff}').unwrap_or(of_line);
        Place {
            file: self.file.to_path_buf(),
            line: self.line,
            column: of_line.chars().count() + 1,
        }
    }

    fn error(place: Place, text: String, advice: &str) -> Box<Problem> {
        Box::new(Problem {
            kind: ProblemKind::Error,
            place: Some(place),
            text,
            advice: advice.to_owned(),
        })
    }

    fn skip_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
    }

    fn skip_blank_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn statement(&mut self) -> Result<Option<Statement>, Box<Problem>> {
        loop {
            self.skip_blank_space();
            if !self.rest.starts_with('#') {
                break;
            }
            self.skip_line();
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        if let Some(tail) = self.rest.strip_prefix("export")
            && tail.starts_with(char::is_whitespace)
        {
            self.rest = tail;
            self.skip_blank_space();
            if self.rest.is_empty() {
                return Ok(None);
            }
        }
        let place = self.place();
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let (key, tail) = self.rest.split_at(end);
        let name = key.trim_end();
        // The name itself is not shown: it may be the second line of a secret.
        let advice = "write `NAME=value`, and put a value of several lines in quotes";
        if let Some(odd) = name.chars().find(|c| !is_key_character(*c)) {
            let text = format!("unexpected character `{odd}` in the name of a variable");
            return Err(Self::error(place, text, advice));
        }
        if name.contains(' ') {
            let text = "the name of a variable has a space in it".to_owned();
            return Err(Self::error(place, text, advice));
        }
        let name = name.to_owned();
        let mut after = tail.chars();
        match after.next() {
            Some('=' | ':') => {}
            Some(_) => {
                self.rest = tail;
                let mut end = place.clone();
                end.column += name.chars().count();
                return Ok(Some(Statement {
                    name,
                    value_place: place.clone(),
                    place,
                    value: RawValue::Inherited,
                    end,
                }));
            }
            None => {
                // Docker Compose takes a bare name that the file ends with, without a line end,
                // for the value of an empty name.
                self.rest = "";
                return Ok(Some(Statement {
                    name: String::new(),
                    value_place: place.clone(),
                    end: place.clone(),
                    place,
                    value: RawValue::Template(name),
                }));
            }
        }
        self.rest = after.as_str();
        let nothing = self.place();
        self.rest = self
            .rest
            .trim_start_matches(|c: char| c.is_whitespace() && c != '\n');
        let value_place = self.place();
        let (value, end) = self.value(&value_place)?;
        let end = if end == value_place { nothing } else { end };
        Ok(Some(Statement {
            name,
            value,
            place,
            value_place,
            end,
        }))
    }

    /// Reads a value and where it ends, without the blanks and the comment behind it.
    fn value(&mut self, place: &Place) -> Result<(RawValue, Place), Box<Problem>> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let Some(quote) = quote else {
            let (line, _) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            let value = line
                .find(" #")
                .map_or(line, |at| line.split_at(at).0)
                .trim_end();
            self.rest = self.rest.strip_prefix(line).unwrap_or_default();
            let mut end = place.clone();
            end.column += value.chars().count();
            return Ok((RawValue::Template(value.to_owned()), end));
        };
        let mut body = self.rest.chars();
        body.next();
        let body = body.as_str();
        let mut is_escaped = false;
        let end = body.char_indices().find(|&(_, c)| {
            let closes = c == quote && !is_escaped;
            // A backslash behind a backslash escapes nothing.
            is_escaped = c == '\\' && !is_escaped;
            closes
        });
        let Some((end, _)) = end else {
            let text = "the quoted value is not closed".to_owned();
            self.rest = "";
            return Err(Self::error(place.clone(), text, "add the closing quote"));
        };
        let (inside, after) = body.split_at(end);
        let mut after = after.chars();
        after.next();
        self.rest = after.as_str();
        let value = if quote == '\'' {
            RawValue::Literal(unquote(inside))
        } else {
            RawValue::Template(unescape(inside))
        };
        Ok((value, self.place()))
    }
}

/// Decodes the one escape between single quotes, that of the quote itself.
fn unquote(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some('\'')) => {}
            ('\\', Some('\\')) => {
                rest.next();
                out.push_str("\\\\");
            }
            _ => out.push(c),
        }
    }
    out
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
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize)]
    struct Row {
        text: String,
        #[serde(default)]
        process: BTreeMap<String, String>,
        #[serde(default)]
        environment: BTreeMap<String, Option<String>>,
        expected: Option<BTreeMap<String, Option<String>>>,
    }

    /// What a service gets: the file, and above it what its definition sets.
    fn handed_over(row: &Row) -> Option<BTreeMap<String, Option<String>>> {
        let of_service = |name: &str| row.environment.get(name).cloned().flatten();
        let look_up = |name: &str| row.process.get(name).cloned().or_else(|| of_service(name));
        let (entries, problems) = parse(&row.text, Path::new("variables.env"), &look_up);
        if problems
            .iter()
            .any(|problem| problem.kind == ProblemKind::Error)
        {
            return None;
        }
        let mut made: BTreeMap<String, Option<String>> = entries
            .into_iter()
            .filter(|entry| entry.value.is_some())
            .map(|entry| (entry.name, entry.value))
            .collect();
        for (name, value) in &row.environment {
            let value = value.clone().or_else(|| row.process.get(name).cloned());
            made.insert(name.clone(), value);
        }
        Some(made)
    }

    /// Every row was recorded from Docker Compose 2.40.3.
    #[test]
    fn reads_every_recorded_row_as_docker_compose_does() {
        let rows: Vec<Row> =
            serde_json::from_str(include_str!("../../tests/data/env_file.json")).unwrap();
        assert!(rows.len() > 100);
        for row in &rows {
            assert_eq!(handed_over(row), row.expected, "{:?}", row.text);
        }
    }

    #[test]
    fn says_where_it_cannot_be_read() {
        for (text, expected) in [
            (
                "A=1\nA B=1\n",
                "2:1 the name of a variable has a space in it",
            ),
            (
                "A+=1\n",
                "1:1 unexpected character `+` in the name of a variable",
            ),
            ("\u{feff}A=\"abc\n", "1:3 the quoted value is not closed"),
            (
                "B=2\n  A=${B\n",
                "2:5 `${B` is not a valid expression; write `$$` for a literal `$`",
            ),
        ] {
            let (_, problems) = parse(text, Path::new("variables.env"), &|_| None);
            let place = problems[0].place.clone().unwrap();
            let shown = format!("{}:{} {}", place.line, place.column, problems[0].text);
            assert_eq!(shown, expected, "{text:?}");
            assert!(!problems[0].advice.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn what_no_container_can_use_is_a_warning() {
        for text in ["A=1\nINHERITED", "A=a\0b\n"] {
            let (_, problems) = parse(text, Path::new("variables.env"), &|_| None);
            assert_eq!(problems.len(), 1, "{text:?}");
            assert_eq!(problems[0].kind, ProblemKind::Warning);
        }
    }

    #[test]
    fn a_backslash_behind_a_backslash_does_not_hide_the_closing_quote() {
        let (entries, problems) = parse("A=\"x\\\\\"\nB='y\\\\'\n", Path::new("v"), &|_| None);
        assert_eq!(problems, []);
        assert_eq!(entries[0].value.as_deref(), Some("x\\"));
        assert_eq!(entries[1].value.as_deref(), Some("y\\\\"));
    }
}
