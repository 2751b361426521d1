//! Reads overleaf.rc: the subset of shell that files of assignments use. Nothing is executed.
//!
//! Understood: comments, `NAME=word`, `export`/`readonly`/`declare` before assignments, several
//! assignments on a line, `;`, quotes of all kinds, escapes, continuation lines, `+=`, `$NAME`,
//! `${NAME}` with `:- - :+ + :? ?`, `~`. A later line wins. CRLF and a byte order mark are accepted.
//! Anything else is a [`Problem`] with its place and the plain way to write it.

use std::collections::BTreeMap;
use std::path::Path;

use super::problem::{Place, Problem, ProblemKind};

/// A value and where it was set.
#[derive(Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The value after quotes, escapes and references.
    pub value: String,
    /// Where the assignment stands.
    pub place: Place,
}

/// Reads the text of overleaf.rc. `environment` answers references to names that no earlier line
/// sets. All problems are collected; assignments that are sound are returned beside them.
pub fn parse(
    text: &str,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (BTreeMap<String, Assigned>, Vec<Problem>) {
    let mut reader = Reader {
        characters: text
            .trim_start_matches('\u{feff}')
            .replace("\r\n", "\n")
            .chars()
            .collect(),
        at: 0,
        line: 1,
        column: 1,
        file,
        environment,
        values: BTreeMap::new(),
        problems: Vec::new(),
    };
    reader.read();
    (reader.values, reader.problems)
}

/// What a word may not contain, with the advice that goes with it.
struct Outside {
    what: &'static str,
    advice: &'static str,
}

struct Reader<'a> {
    characters: Vec<char>,
    at: usize,
    line: usize,
    column: usize,
    file: &'a Path,
    environment: &'a dyn Fn(&str) -> Option<String>,
    values: BTreeMap<String, Assigned>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn peek_after(&self, distance: usize) -> Option<char> {
        self.characters.get(self.at + distance).copied()
    }

    fn advance(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn place(&self) -> Place {
        Place {
            file: self.file.to_path_buf(),
            line: self.line,
            column: self.column,
        }
    }

    fn problem(&mut self, place: Place, what: &str, advice: &str) {
        self.problems.push(Problem {
            kind: ProblemKind::Error,
            place: Some(place),
            text: what.to_owned(),
            advice: advice.to_owned(),
        });
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.advance();
        }
    }

    /// Skips blanks and continuation lines, but no line ends.
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => {
                    self.advance();
                }
                Some('\\') if self.peek_after(1) == Some('\n') => {
                    self.advance();
                    self.advance();
                }
                _ => return,
            }
        }
    }

    fn read(&mut self) {
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return,
                Some('\n' | ';') => {
                    self.advance();
                }
                Some('#') => self.skip_line(),
                Some(_) => self.command(),
            }
        }
    }

    /// Reads words up to the end of one simple command.
    fn command(&mut self) {
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some('\n' | ';' | '#') => return,
                Some(_) => {}
            }
            if !self.word_of_command() {
                self.skip_line();
                return;
            }
        }
    }

    /// Reads `export` or one assignment; `false` after a problem that spoils the line.
    fn word_of_command(&mut self) -> bool {
        let place = self.place();
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let appends = self.peek() == Some('+') && self.peek_after(1) == Some('=');
        if is_name && (self.peek() == Some('=') || appends) {
            if appends {
                self.advance();
            }
            self.advance();
            if self.peek() == Some('(') {
                self.problem(
                    place,
                    "an array cannot be a setting",
                    "write one value in quotes",
                );
                return false;
            }
            let Some(value) = self.word() else {
                return false;
            };
            let before = if appends {
                self.values
                    .get(&name)
                    .map(|assigned| assigned.value.clone())
                    .unwrap_or_default()
            } else {
                String::new()
            };
            self.values.insert(
                name,
                Assigned {
                    value: before + &value,
                    place,
                },
            );
            return true;
        }
        let ends = matches!(self.peek(), None | Some(' ' | '\t' | '\n' | ';' | '\r'));
        if ends && matches!(name.as_str(), "export" | "readonly" | "declare" | "typeset") {
            self.skip_blanks();
            while self.peek() == Some('-') {
                self.take_while(|c| !c.is_whitespace());
                self.skip_blanks();
            }
            return true;
        }
        if ends && is_name && self.values.contains_key(&name) {
            // `export NAME` of a name that an earlier line sets changes nothing here.
            return true;
        }
        let rest: String = self
            .characters
            .get(self.at..)
            .unwrap_or_default()
            .iter()
            .take_while(|c| !c.is_whitespace())
            .collect();
        let (what, advice) = describe_foreign(&format!("{name}{rest}"));
        self.problem(place, &what, advice);
        false
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            taken.push(c);
            self.advance();
        }
        taken
    }

    /// Reads one word: everything up to a blank, `;` or line end outside quotes.
    fn word(&mut self) -> Option<String> {
        let mut value = String::new();
        if self.peek() == Some('~') && matches!(self.peek_after(1), None | Some('/' | '\n' | ' ')) {
            self.advance();
            value.push_str(&(self.environment)("HOME").unwrap_or_else(|| "~".to_owned()));
        }
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | '\r' | ';' => break,
                '\'' => value.push_str(&self.single_quoted()?),
                '"' => value.push_str(&self.double_quoted()?),
                '$' => value.push_str(&self.reference(false)?),
                '\\' => {
                    self.advance();
                    if let Some(escaped) = self.advance().filter(|escaped| *escaped != '\n') {
                        value.push(escaped);
                    }
                }
                '`' | '&' | '|' | '<' | '>' | '(' | ')' => {
                    let outside = outside_word(c);
                    let place = self.place();
                    self.problem(place, outside.what, outside.advice);
                    return None;
                }
                _ => {
                    value.push(c);
                    self.advance();
                }
            }
        }
        Some(value)
    }

    fn single_quoted(&mut self) -> Option<String> {
        let place = self.place();
        self.advance();
        let value = self.take_while(|c| c != '\'');
        if self.advance().is_none() {
            self.problem(
                place,
                "the single quote is not closed",
                "add the closing `'`",
            );
            return None;
        }
        Some(value)
    }

    fn double_quoted(&mut self) -> Option<String> {
        let place = self.place();
        self.advance();
        let mut value = String::new();
        loop {
            match self.peek() {
                None => {
                    self.problem(
                        place,
                        "the double quote is not closed",
                        "add the closing `\"`",
                    );
                    return None;
                }
                Some('"') => {
                    self.advance();
                    return Some(value);
                }
                Some('$') => value.push_str(&self.reference(true)?),
                Some('`') => {
                    let outside = outside_word('`');
                    let place = self.place();
                    self.problem(place, outside.what, outside.advice);
                    return None;
                }
                Some('\\') => {
                    self.advance();
                    match self.peek() {
                        Some(c @ ('"' | '\\' | '$' | '`')) => {
                            value.push(c);
                            self.advance();
                        }
                        Some('\n') => {
                            self.advance();
                        }
                        _ => value.push('\\'),
                    }
                }
                Some(c) => {
                    value.push(c);
                    self.advance();
                }
            }
        }
    }

    /// Reads `$NAME`, `${…}` or `$'…'`; a `$` before anything else is literal.
    fn reference(&mut self, in_quotes: bool) -> Option<String> {
        let place = self.place();
        match self.peek_after(1) {
            Some('(') => {
                self.problem(
                    place,
                    "`$(…)` would run a command, and overleaf.rc is never executed",
                    "write the value itself",
                );
                None
            }
            Some('\'') if !in_quotes => {
                self.advance();
                self.ansi_quoted()
            }
            Some('{') => {
                self.advance();
                self.advance();
                self.braced(&place)
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                self.advance();
                let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
                self.value_of(&name, &place)
            }
            _ => {
                self.advance();
                Some("$".to_owned())
            }
        }
    }

    fn look_up(&self, name: &str) -> Option<String> {
        match self.values.get(name) {
            Some(assigned) => Some(assigned.value.clone()),
            None => (self.environment)(name),
        }
    }

    fn value_of(&mut self, name: &str, place: &Place) -> Option<String> {
        let value = self.look_up(name);
        if value.is_none() {
            self.problem(
                place.clone(),
                &format!("`${name}` has no value here"),
                &format!("set it on an earlier line, or write `${{{name}:-default}}`"),
            );
        }
        value
    }

    /// Reads what follows `${`.
    fn braced(&mut self, place: &Place) -> Option<String> {
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if self.peek() == Some('}') && !name.is_empty() {
            self.advance();
            return self.value_of(&name, place);
        }
        let strict = self.peek() == Some(':');
        if strict {
            self.advance();
        }
        let operator = self.peek().filter(|c| matches!(c, '-' | '+' | '?'));
        let (Some(operator), false) = (operator, name.is_empty()) else {
            self.problem(
                place.clone(),
                "this `${…}` form needs a shell",
                "use `$NAME`, `${NAME}` or `${NAME:-default}`, or write the value itself",
            );
            return None;
        };
        self.advance();
        let alternative = self.alternative(place)?;
        let value = self.look_up(&name);
        let counts = value
            .as_ref()
            .is_some_and(|value| !(strict && value.is_empty()));
        match operator {
            '-' if counts => value,
            '-' => Some(alternative),
            '+' => Some(if counts { alternative } else { String::new() }),
            _ if counts => value,
            _ => {
                let text = format!("`{name}` is required: {alternative}");
                self.problem(place.clone(), &text, "set it on an earlier line");
                None
            }
        }
    }

    /// Reads the word of `${NAME:-word}` and the closing brace.
    fn alternative(&mut self, place: &Place) -> Option<String> {
        let mut value = String::new();
        loop {
            match self.peek() {
                None | Some('\n') => {
                    self.problem(place.clone(), "`${` is not closed", "add the closing `}`");
                    return None;
                }
                Some('}') => {
                    self.advance();
                    return Some(value);
                }
                Some('\'') => value.push_str(&self.single_quoted()?),
                Some('"') => value.push_str(&self.double_quoted()?),
                Some('$') => value.push_str(&self.reference(false)?),
                Some('\\') => {
                    self.advance();
                    value.extend(self.advance());
                }
                Some(c) => {
                    value.push(c);
                    self.advance();
                }
            }
        }
    }

    /// Reads `'…'` after `$`, with the escapes of C.
    fn ansi_quoted(&mut self) -> Option<String> {
        let place = self.place();
        self.advance();
        let mut value = String::new();
        loop {
            match self.advance() {
                None => {
                    self.problem(place, "the quote is not closed", "add the closing `'`");
                    return None;
                }
                Some('\'') => return Some(value),
                Some('\\') => match self.advance() {
                    Some('n') => value.push('\n'),
                    Some('t') => value.push('\t'),
                    Some('r') => value.push('\r'),
                    Some(c @ ('\\' | '\'' | '"')) => value.push(c),
                    Some(c) => {
                        value.push('\\');
                        value.push(c);
                    }
                    None => {}
                },
                Some(c) => value.push(c),
            }
        }
    }
}

fn outside_word(c: char) -> Outside {
    match c {
        '`' => Outside {
            what: "a backtick would run a command, and overleaf.rc is never executed",
            advice: "write the value itself",
        },
        '(' | ')' => Outside {
            what: "a parenthesis outside quotes needs a shell",
            advice: "put the value in single quotes",
        },
        _ => Outside {
            what: "`&`, `|`, `<` and `>` outside quotes need a shell",
            advice: "put the value in single quotes",
        },
    }
}

/// Says what a word is that is neither an assignment nor `export`.
fn describe_foreign(word: &str) -> (String, &'static str) {
    match word {
        "if" | "then" | "else" | "elif" | "fi" | "for" | "while" | "case" | "[[" | "[" => (
            format!("`{word}` needs a shell, and overleaf.rc is never executed"),
            "write plain `NAME=value` lines",
        ),
        "source" | "." => (
            format!("`{word}` reads another file, which overleaf.rc cannot"),
            "copy its lines into overleaf.rc",
        ),
        _ => (
            format!("`{word}` is not an assignment"),
            "write `NAME=value` without blanks around `=`; quote a value that has blanks",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, String> {
        let environment = |name: &str| (name == "HOME").then(|| "/home/o".to_owned());
        let (values, problems) = parse(text, Path::new("rc"), &environment);
        match problems.first() {
            Some(problem) => {
                let place = problem.place.clone().unwrap();
                Err(format!("{}:{} {}", place.line, place.column, problem.text))
            }
            None => Ok(values.get("A").map(|a| a.value.clone()).unwrap_or_default()),
        }
    }

    #[test]
    fn reads_assignments_as_a_shell_does() {
        for (text, expected) in [
            ("A=1", "1"),
            ("A=1 # c\n", "1"),
            ("A=a#b\n", "a#b"),
            ("# A=0\n  export A=2\n", "2"),
            ("A=1\nA=2\n", "2"),
            ("B=1 A=2; C=3\n", "2"),
            ("A='a b'\"c d\"e\\ f\n", "a bc de f"),
            ("A=\"x \\\"y\\\" \\$z\"\n", "x \"y\" $z"),
            ("A=a\\\nb\n", "ab"),
            ("B=x\nA=$B/${B}/${C:-d e}\n", "x/x/d e"),
            ("A=~/data\n", "/home/o/data"),
            ("A=1\nA+=2\n", "12"),
            ("A=$'a\\tb'\n", "a\tb"),
            ("\u{feff}A=1\r\n\r\nB=2\r\n", "1"),
            ("A=\n", ""),
            ("A=\"l1\nl2\"\n", "l1\nl2"),
            ("declare -x A=5\n", "5"),
            ("A=5\nexport A\n", "5"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn says_where_a_shell_would_be_needed() {
        for (text, expected) in [
            (
                "A=$(id)\n",
                "1:3 `$(…)` would run a command, and overleaf.rc is never executed",
            ),
            (
                "\nA=`id`\n",
                "2:3 a backtick would run a command, and overleaf.rc is never executed",
            ),
            (
                "if true; then A=1; fi\n",
                "1:1 `if` needs a shell, and overleaf.rc is never executed",
            ),
            ("A = 1\n", "1:1 `A` is not an assignment"),
            ("A=(1 2)\n", "1:1 an array cannot be a setting"),
            ("A='x\n", "1:3 the single quote is not closed"),
            ("A=$B\n", "1:3 `$B` has no value here"),
            ("A=x && B=y\n", "1:5 `&&` is not an assignment"),
            ("A=${B/x/y}\n", "1:3 this `${…}` form needs a shell"),
        ] {
            assert_eq!(value(text), Err(expected.to_owned()), "{text:?}");
        }
    }
}
