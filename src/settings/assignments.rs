//! Where the assignments stand in the text of overleaf.rc or variables.env: name, line and the
//! bytes of each, also of lines that later ones override and of those that are commented out.
//!
//! The parsers say what a file means; this says where to change or mask it. It never fails: what a
//! parser refuses ends here at the end of its line or, behind an open quote, at that of the text.

use std::ops::Range;

/// The grammar of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// overleaf.rc, see [`super::shell_words`].
    Shell,
    /// variables.env, see [`super::env_file`].
    EnvFile,
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The name.
    pub name: String,
    /// Line of the name, from 1.
    pub line: usize,
    /// Bytes of the name.
    pub key: Range<usize>,
    /// Bytes of the value with its quotes; `None` for a name that stands alone.
    pub value: Option<Range<usize>>,
    /// Whether it adds to an earlier value (`+=`).
    pub appends: bool,
}

impl Assignment {
    /// Where it ends, in bytes.
    #[must_use]
    pub fn end(&self) -> usize {
        self.value.as_ref().map_or(self.key.end, |value| value.end)
    }
}

/// All assignments of a text, in its order.
#[must_use]
pub fn find(text: &str, dialect: Dialect) -> Vec<Assignment> {
    let mut scanner = Scanner {
        text,
        at: text.len() - text.trim_start_matches('\u{feff}').len(),
        found: Vec::new(),
    };
    match dialect {
        Dialect::Shell => scanner.shell(),
        Dialect::EnvFile => scanner.env_file(),
    }
    scanner.found
}

/// The assignments that are commented out, `# NAME=value`, in the order of the text. The value goes
/// to the end of the line or, where it opens a quote, of the commented lines up to its end.
#[must_use]
pub fn find_commented(text: &str, dialect: Dialect) -> Vec<Assignment> {
    let live = find(text, dialect);
    let mut found: Vec<Assignment> = Vec::new();
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_inside = |other: &Assignment| other.key.start < start && start < other.end();
        if !live.iter().chain(&found).any(is_inside)
            && let Some((key, value)) = commented(line)
        {
            let value = start + value..start + line.trim_end().len();
            let value = value.start..text.len().min(quote_end(text, value));
            found.push(Assignment {
                name: line.get(key.clone()).unwrap_or_default().to_owned(),
                line: number + 1,
                key: start + key.start..start + key.end,
                value: Some(value),
                appends: false,
            });
        }
        start += line.len();
    }
    found
}

/// In a line `# NAME=value`: the bytes of the name, and where the value starts.
fn commented(line: &str) -> Option<(Range<usize>, usize)> {
    let bare = line.trim_start().strip_prefix('#')?;
    let bare = bare.trim_start_matches([' ', '\t', '#']);
    let bare = bare.strip_prefix("export ").map_or(bare, str::trim_start);
    let length = name_length(bare);
    let value = bare.get(length..)?.strip_prefix('=')?;
    let start = line.len() - bare.len();
    (length > 0).then(|| (start..start + length, line.len() - value.len()))
}

/// Where a commented value ends that may open a quote which a later commented line closes.
fn quote_end(text: &str, value: Range<usize>) -> usize {
    let first = text.get(value.clone()).unwrap_or_default();
    let Some(quote) = first.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        return value.end;
    };
    if first.get(1..).is_some_and(|rest| rest.contains(quote)) {
        return value.end;
    }
    let mut end = value.end;
    for line in text
        .get(value.end..)
        .unwrap_or_default()
        .split_inclusive('\n')
    {
        // What is left of the line that opens the quote is its line end.
        let is_first = end == value.end;
        if !is_first && !line.trim_start().starts_with('#') {
            break;
        }
        end += line.len();
        if line.contains(quote) {
            break;
        }
    }
    text.get(..end).unwrap_or(text).trim_end().len()
}

/// Length of the variable name a text starts with.
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    found: Vec<Assignment>,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// Goes to the next of these characters or to the end.
    fn advance_to(&mut self, stops: &[char]) {
        self.at += self.rest().find(stops).unwrap_or(self.rest().len());
    }

    fn push(&mut self, key: Range<usize>, value: Option<Range<usize>>, appends: bool) {
        let before = self.text.get(..key.start).unwrap_or_default();
        self.found.push(Assignment {
            name: self.text.get(key.clone()).unwrap_or_default().to_owned(),
            line: before.matches('\n').count() + 1,
            key,
            value,
            appends,
        });
    }

    fn shell(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' => self.advance(),
                '#' => self.advance_to(&['\n']),
                '\\' if self.continues() => self.advance_to(&['\n']),
                _ => self.shell_word(),
            }
        }
    }

    /// Whether a backslash stands before a line end.
    fn continues(&self) -> bool {
        self.rest().starts_with("\\\n") || self.rest().starts_with("\\\r\n")
    }

    /// An assignment, `export` or a foreign word, with which the line ends.
    fn shell_word(&mut self) {
        let start = self.at;
        self.at += name_length(self.rest());
        let key = start..self.at;
        let appends = self.rest().starts_with("+=");
        if !key.is_empty() && (appends || self.rest().starts_with('=')) {
            self.at += if appends { 2 } else { 1 };
            let value = self.at;
            self.shell_value();
            self.push(key, Some(value..self.at), appends);
            return;
        }
        let word = self.text.get(key).unwrap_or_default();
        let ends = self.peek().is_none_or(|c| " \t\r\n;".contains(c));
        let is_known = matches!(word, "export" | "readonly" | "declare" | "typeset")
            || self.found.iter().any(|other| other.name == word);
        if ends && is_known {
            while self.peek().is_some_and(|c| " \t".contains(c)) {
                self.advance();
            }
            while self.peek() == Some('-') {
                self.advance_to(&[' ', '\t', '\n']);
                while self.peek().is_some_and(|c| " \t".contains(c)) {
                    self.advance();
                }
            }
        } else {
            self.advance_to(&['\n']);
        }
    }

    /// Goes to the end of a value.
    fn shell_value(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | '\r' | ';' => return,
                '\'' => self.quoted('\'', false),
                '"' => self.quoted('"', true),
                '\\' => {
                    let is_line_end = self.continues();
                    self.advance();
                    if is_line_end {
                        self.advance_to(&['\n']);
                    }
                    self.advance();
                }
                '$' if self.rest().starts_with("$'") => {
                    self.advance();
                    self.quoted('\'', true);
                }
                '$' if self.rest().starts_with("${") => self.braced(),
                '`' | '&' | '|' | '<' | '>' | '(' | ')' => {
                    // A command or an array: all of the line belongs to it.
                    self.advance_to(&['\n']);
                    let line = self.text.get(..self.at).unwrap_or_default();
                    self.at = line.trim_end_matches('\r').len();
                    return;
                }
                _ => self.advance(),
            }
        }
    }

    /// Goes behind a quoted text; an open one ends the text.
    fn quoted(&mut self, quote: char, has_escapes: bool) {
        self.advance();
        while let Some(c) = self.peek() {
            self.advance();
            match c {
                '\\' if has_escapes => self.advance(),
                _ if c == quote => return,
                _ => {}
            }
        }
    }

    /// Goes behind `${…}`; one that is open at the line end stops there.
    fn braced(&mut self) {
        self.at += 2;
        while let Some(c) = self.peek() {
            match c {
                '\n' => return,
                '}' => return self.advance(),
                '\'' => self.quoted('\'', false),
                '"' => self.quoted('"', true),
                '$' if self.rest().starts_with("${") => self.braced(),
                '\\' => {
                    self.advance();
                    self.advance();
                }
                _ => self.advance(),
            }
        }
    }

    fn env_file(&mut self) {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            match self.peek() {
                None => return,
                Some('#') => self.advance_to(&['\n']),
                Some(_) => self.env_assignment(),
            }
        }
    }

    fn env_assignment(&mut self) {
        if let Some(tail) = self.rest().strip_prefix("export")
            && tail.starts_with([' ', '\t'])
        {
            self.at = self.text.len() - tail.trim_start().len();
        }
        let start = self.at;
        self.advance_to(&['=', ':', '\n']);
        let name = self.text.get(start..self.at).unwrap_or_default().trim_end();
        let key = start..start + name.len();
        let is_sound = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.-[]".contains(c);
        let is_odd = |c: char| c == ' ' || !is_sound(c);
        if name.contains(is_odd) {
            return self.advance_to(&['\n']);
        }
        if !matches!(self.peek(), Some('=' | ':')) {
            if !key.is_empty() {
                self.push(key, None, false);
            }
            return;
        }
        self.advance();
        let blanks = [' ', '\t', '\r', '\u{b}', '\u{c}', '\u{a0}'];
        self.at = self.text.len() - self.rest().trim_start_matches(blanks).len();
        let value = self.at;
        match self.peek() {
            Some(quote @ ('\'' | '"')) => self.env_quoted(quote),
            _ => {
                let line = self.rest().split('\n').next().unwrap_or_default();
                let plain = line.find(" #").map_or(line, |at| line.split_at(at).0);
                self.at += plain.trim_end().len();
                self.push(key, Some(value..self.at), false);
                // A comment behind the value is no assignment.
                return self.advance_to(&['\n']);
            }
        }
        self.push(key, Some(value..self.at), false);
    }

    /// Goes behind a quoted value; an open one ends the text.
    fn env_quoted(&mut self, quote: char) {
        self.advance();
        let mut is_escaped = false;
        while let Some(c) = self.peek() {
            self.advance();
            if c == quote && !is_escaped {
                return;
            }
            is_escaped = c == '\\' && !is_escaped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{env_file, shell_words};
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn shown(text: &str, found: &[Assignment]) -> String {
        let one = |found: &Assignment| {
            let value = found.value.clone().map(|value| &text[value]);
            format!("{}:{}={}", found.line, found.name, value.unwrap_or("-"))
        };
        found.iter().map(one).collect::<Vec<_>>().join(" | ")
    }

    /// The last assignment of each name, as line and column.
    fn places(text: &str, found: &[Assignment]) -> BTreeMap<String, (usize, usize)> {
        let column = |at: usize| text[..at].rsplit('\n').next().unwrap().chars().count() + 1;
        found
            .iter()
            .map(|found| (found.name.clone(), (found.line, column(found.key.start))))
            .collect()
    }

    /// All texts of up to `length` pieces.
    fn texts(pieces: &[&str], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut start = 0;
        for _ in 0..length {
            let end = all.len();
            for at in start..end {
                for piece in pieces {
                    all.push(format!("{}{piece}", all[at]));
                }
            }
            start = end;
        }
        all
    }

    #[test]
    fn assignments_are_found_where_the_parsers_find_them() {
        agrees(&[
            "A=", "B=", "x", "'", "\"", "\\", "\n", " ", "#", "$A", "${A:-", "}", ";",
        ]);
    }

    #[test]
    fn odd_texts_end_the_search_and_lead_it_nowhere_else() {
        agrees(&[
            "A=", "B", ":", "é", "\u{a0}", "\u{85}", "\0", "=", "$(", "`", "+=", "#", "\r\n", "$'",
        ]);
    }

    /// Compares with both parsers, for all texts of four pieces that they read without a problem.
    fn agrees(pieces: &[&str]) {
        for text in texts(pieces, 4) {
            let (read, problems) = shell_words::parse(&text, Path::new("rc"), &|_| None);
            let found = places(&text, &find(&text, Dialect::Shell));
            if problems.is_empty() {
                let read: BTreeMap<_, _> = read
                    .into_iter()
                    .map(|(name, found)| (name, (found.place.line, found.place.column)))
                    .collect();
                assert_eq!(found, read, "{text:?}");
            }
            let (read, problems) = env_file::parse(&text, Path::new("env"), &|_| None);
            let found = places(&text, &find(&text, Dialect::EnvFile));
            if problems.is_empty() {
                let read: BTreeMap<_, _> = read
                    .into_iter()
                    .map(|entry| (entry.name, (entry.place.line, entry.place.column)))
                    .collect();
                assert_eq!(found, read, "{text:?}");
            }
            for dialect in [Dialect::Shell, Dialect::EnvFile] {
                let live = find(&text, dialect);
                for offer in find_commented(&text, dialect) {
                    let at = offer.key.start;
                    let is_inside = |found: &Assignment| found.key.start < at && at < found.end();
                    assert!(!live.iter().any(is_inside), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn the_bytes_of_a_value_are_found_with_its_quotes() {
        for (text, expected) in [
            (
                "A=1 B='x y' # c\nA+=2;C=\"a\\\"b\"\n",
                "1:A=1 | 1:B='x y' | 2:A=2 | 2:C=\"a\\\"b\"",
            ),
            ("export A=$(date) x\r\nB=1\r\n", "1:A=$(date) x | 2:B=1"),
            (
                "A=a\\\nb\nif true; then\nB=${A:-'}'}\n",
                "1:A=a\\\nb | 4:B=${A:-'}'}",
            ),
            ("A='open\nB=1\n", "1:A='open\nB=1\n"),
            ("\u{feff}A=1\n", "1:A=1"),
        ] {
            assert_eq!(
                shown(text, &find(text, Dialect::Shell)),
                expected,
                "{text:?}"
            );
        }
        for (text, expected) in [
            (
                "A: 1 # c\nexport B = \"x\ny\" C=3\nD\n",
                "1:A=1 | 2:B=\"x\ny\" | 3:C=3 | 4:D=-",
            ),
            ("A B=1\nC=it's\n", "2:C=it's"),
            ("A='open\nB=1\n", "1:A='open\nB=1\n"),
        ] {
            assert_eq!(
                shown(text, &find(text, Dialect::EnvFile)),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn commented_assignments_are_told_from_prose_and_from_values() {
        let text = "# A=1\n## export B=2 # c\n#C = 3\n# see A below\nD='x\n# A=2\n'\n# E='p\n# q'\n# F=\"r\nG=1\n";
        assert_eq!(
            shown(text, &find_commented(text, Dialect::EnvFile)),
            "1:A=1 | 2:B=2 # c | 8:E='p\n# q' | 10:F=\"r"
        );
    }
}
