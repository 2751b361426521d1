//! Finds where the statements of overleaf.rc and variables.env stand in the text, for edits that
//! leave every other character as it is. Meant for texts that [`super::shell_words`] or
//! [`super::env_file`] reads without a problem; of others it makes what it can.

use std::ops::Range;

/// In which language a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// overleaf.rc.
    Shell,
    /// variables.env.
    EnvFile,
}

/// One assignment, or a name alone. Ranges are bytes of the whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The name.
    pub name: Range<usize>,
    /// The value as written, quotes included; `None` for a name alone.
    pub value: Option<Range<usize>>,
    /// The names that the value refers to.
    pub references: Vec<Range<usize>>,
    /// Line of the name, from 1.
    pub line: usize,
}

impl Statement {
    /// The name in the text it was found in.
    #[must_use]
    pub fn name<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.name.clone()).unwrap_or_default()
    }

    /// The value as it is written in the text it was found in; empty for a name alone.
    #[must_use]
    pub fn written<'a>(&self, text: &'a str) -> &'a str {
        let range = self.value.clone().unwrap_or_default();
        text.get(range).unwrap_or_default()
    }

    /// End of the statement.
    #[must_use]
    pub fn end(&self) -> usize {
        self.value.as_ref().map_or(self.name.end, |value| value.end)
    }

    /// What has to be cut out to remove the statement: its lines, when nothing else stands on them,
    /// or only the statement.
    #[must_use]
    pub fn to_remove(&self, text: &str) -> Range<usize> {
        let start = text
            .get(..self.name.start)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |at| at + 1);
        let rest = text.get(self.end()..).unwrap_or_default();
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let before = text.get(start..self.name.start).unwrap_or_default();
        let before = before.trim_start_matches('\u{feff}').trim();
        let after = rest.get(..length).unwrap_or_default().trim();
        let is_alone = matches!(before, "" | "export")
            && (matches!(after, "" | ";") || after.starts_with('#'));
        let start = match text.starts_with('\u{feff}') {
            true => start.max('\u{feff}'.len_utf8()),
            false => start,
        };
        if is_alone {
            start..self.end() + length
        } else {
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            self.name.start..self.end() + blanks
        }
    }
}

/// All statements of a text, in order.
#[must_use]
pub fn find(text: &str, grammar: Grammar) -> Vec<Statement> {
    let mut scanner = Scanner {
        text,
        at: if text.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        },
        references: Vec::new(),
        found: Vec::new(),
        counted: (0, 1),
    };
    match grammar {
        Grammar::Shell => scanner.shell(),
        Grammar::EnvFile => scanner.env_file(),
    }
    scanner.found
}

/// The text with the values of secrets covered: those of statements, and in comments all that
/// follows `NAME=` on the line.
#[must_use]
pub fn masked(text: &str, grammar: Grammar, is_secret: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut from = 0;
    for statement in find(text, grammar) {
        let gap = text.get(from..statement.name.start).unwrap_or_default();
        out.push_str(&masked_gap(gap, grammar, is_secret));
        let name = statement.name(text);
        match &statement.value {
            Some(value) if is_secret(name) && !value.is_empty() => {
                let head = text.get(statement.name.start..value.start);
                out.push_str(head.unwrap_or_default());
                out.push('…');
            }
            _ => out.push_str(
                text.get(statement.name.start..statement.end())
                    .unwrap_or_default(),
            ),
        }
        from = statement.end();
    }
    out.push_str(&masked_gap(
        text.get(from..).unwrap_or_default(),
        grammar,
        is_secret,
    ));
    out
}

/// What stands between statements: comments, keywords, and commands such as `: "${A:=b}"`, of which
/// only the first word is shown.
fn masked_gap(gap: &str, grammar: Grammar, is_secret: &dyn Fn(&str) -> bool) -> String {
    gap.split_inclusive('\n')
        .map(|line| {
            let end = if line.ends_with('\n') { "\n" } else { "" };
            let code = line.split('#').next().unwrap_or_default();
            let code = code.trim_start_matches('\u{feff}');
            let mut words = code.split_whitespace();
            let is_command = words.any(|word| !KEYWORDS.contains(&word));
            let is_command = is_command && matches!(grammar, Grammar::Shell);
            if is_command {
                let first = code.split_whitespace().next().unwrap_or_default();
                let first = if first.contains(['=', '"', '\'', '$']) {
                    ""
                } else {
                    first
                };
                return format!("{first}…{end}");
            }
            let secret = assigned_names(line).find(|(name, _)| is_secret(name));
            match secret {
                Some((_, after)) => {
                    let shown = line.get(..after).unwrap_or_default();
                    format!("{shown}…{end}")
                }
                None => line.to_owned(),
            }
        })
        .collect()
}

/// Words in front of an assignment that say nothing themselves.
const KEYWORDS: [&str; 8] = [
    "export", "readonly", "declare", "typeset", "local", "-g", ";", "\\",
];

/// The names that are followed by `=` somewhere in a text, with the place after the `=`.
pub fn assigned_names(text: &str) -> impl Iterator<Item = (&str, usize)> {
    text.match_indices('=').filter_map(|(at, _)| {
        let before = text.get(..at)?.trim_end_matches('+').trim_end();
        let start = before
            .rfind(|c: char| !is_name(c))
            .map_or(0, |at| at + before.get(at..).map_or(1, first_length));
        let name = before.get(start..)?;
        (!name.is_empty()).then_some((name, at + 1))
    })
}

fn first_length(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    references: Vec<Range<usize>>,
    found: Vec<Statement>,
    /// Up to where lines were counted, and the line there.
    counted: (usize, usize),
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// Steps over a backslash and what it protects.
    fn escape(&mut self) {
        self.bump();
        if self.rest().starts_with("\r\n") {
            self.bump();
        }
        self.bump();
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    }

    fn push(&mut self, name: Range<usize>, value: Option<Range<usize>>) {
        let (from, line) = self.counted;
        let passed = self.text.get(from..name.start).unwrap_or_default();
        let line = line + passed.matches('\n').count();
        self.counted = (name.start, line);
        self.found.push(Statement {
            name,
            value,
            references: std::mem::take(&mut self.references),
            line,
        });
    }

    fn shell(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' => self.bump(),
                '\\' if self.rest().starts_with("\\\n") || self.rest().starts_with("\\\r\n") => {
                    self.skip_while(|c| matches!(c, '\\' | '\r'));
                    self.bump();
                }
                '#' => self.skip_while(|c| c != '\n'),
                _ => self.shell_word(),
            }
        }
    }

    fn shell_word(&mut self) {
        let start = self.at;
        self.skip_while(is_name);
        let name = start..self.at;
        if self.rest().starts_with("+=") {
            self.bump();
        }
        if self.peek() == Some('=') && !name.is_empty() {
            self.bump();
            let value = self.at;
            self.rest_of_word();
            self.push(name, Some(value..self.at));
            return;
        }
        self.rest_of_word();
        let is_keyword = matches!(
            self.text.get(name.clone()),
            Some("export" | "readonly" | "declare" | "typeset")
        );
        self.references.clear();
        if self.at == name.end && !name.is_empty() && !is_keyword {
            self.push(name, None);
        } else if self.at == start {
            self.bump();
        }
    }

    fn rest_of_word(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | '\r' | ';' => return,
                '\'' => self.single_quoted(),
                '"' => self.double_quoted(),
                '\\' => self.escape(),
                '$' => self.reference(false),
                _ => self.bump(),
            }
        }
    }

    fn single_quoted(&mut self) {
        self.bump();
        self.skip_while(|c| c != '\'');
        self.bump();
    }

    fn double_quoted(&mut self) {
        self.bump();
        while let Some(c) = self.peek() {
            match c {
                '"' => return self.bump(),
                '\\' => self.escape(),
                '$' => self.reference(true),
                _ => self.bump(),
            }
        }
    }

    /// Steps over `$NAME`, `${…}` or `$'…'`.
    fn reference(&mut self, in_quotes: bool) {
        self.bump();
        match self.peek() {
            Some('\'') if !in_quotes => {
                self.bump();
                while let Some(c) = self.peek().filter(|c| *c != '\'') {
                    if c == '\\' {
                        self.bump();
                    }
                    self.bump();
                }
                self.bump();
            }
            Some('{') => {
                self.bump();
                self.referred_name();
                while let Some(c) = self.peek() {
                    match c {
                        '}' => return self.bump(),
                        '\n' => return,
                        '\'' => self.single_quoted(),
                        '"' => self.double_quoted(),
                        '\\' => self.escape(),
                        '$' => self.reference(false),
                        _ => self.bump(),
                    }
                }
            }
            _ => self.referred_name(),
        }
    }

    fn referred_name(&mut self) {
        let start = self.at;
        self.skip_while(is_name);
        if self.at > start {
            self.references.push(start..self.at);
        }
    }

    fn env_file(&mut self) {
        loop {
            self.skip_while(char::is_whitespace);
            let rest = self.rest();
            if rest.is_empty() {
                return;
            }
            if rest.starts_with('#') {
                self.skip_while(|c| c != '\n');
                continue;
            }
            if let Some(tail) = rest.strip_prefix("export")
                && tail.starts_with([' ', '\t'])
            {
                self.at += "export".len();
                self.skip_while(char::is_whitespace);
            }
            self.env_statement();
        }
    }

    fn env_statement(&mut self) {
        let start = self.at;
        self.skip_while(|c| !matches!(c, '=' | ':' | '\n'));
        let key = self.text.get(start..self.at).unwrap_or_default();
        let name = start..start + key.trim_end().len();
        if self.peek().is_none() {
            // Docker Compose takes a last line without `=` and line end for a value without a name.
            self.push(start..start, Some(name));
            return;
        }
        if !matches!(self.peek(), Some('=' | ':')) {
            self.push(name, None);
            return;
        }
        self.bump();
        self.skip_while(|c| matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}' | '\u{a0}'));
        let value = self.at;
        match self.peek() {
            Some(quote @ ('\'' | '"')) => {
                self.bump();
                let mut is_escaped = false;
                while let Some(c) = self.peek().filter(|c| *c != quote || is_escaped) {
                    is_escaped = c == '\\';
                    self.bump();
                }
                let inside = value + 1..self.at;
                self.bump();
                if quote == '"' {
                    self.env_references(inside, true);
                }
            }
            _ => {
                let line = self.rest().split('\n').next().unwrap_or_default();
                let text = line.find(" #").map_or(line, |at| line.split_at(at).0);
                let end = value + text.trim_end().len();
                self.at += line.len();
                self.env_references(value..end, false);
                return self.push(name, Some(value..end));
            }
        }
        self.push(name, Some(value..self.at));
    }

    /// Collects the names that an expanded value refers to.
    fn env_references(&mut self, range: Range<usize>, in_quotes: bool) {
        let after = std::mem::replace(&mut self.at, range.start);
        while self.at < range.end {
            match self.peek() {
                Some('\\') if in_quotes => self.escape(),
                Some('$') => {
                    self.bump();
                    match self.peek() {
                        Some('$') => self.bump(),
                        Some('{') => {
                            self.bump();
                            self.referred_name();
                        }
                        _ => self.referred_name(),
                    }
                }
                _ => self.bump(),
            }
        }
        self.at = after;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{env_file, shell_words};
    use super::*;
    use std::path::Path;

    const RC: &str = "\u{feff}# A=no\r\nA=1\r\n  export B='x y'\"$A\" C=${A:-\"$B\"} # D=no\r\nE=a\\ b; F=$'it\\'s'; export A\r\nG=\"x\r\ny\" \\\r\n  H=é\\\r\nf\r\nI+=z";
    const ENV: &str = "# A=no\nA=1 # c\n export B: 'x\ny' C=\"$A ${B:-$A} \\$A $$A\"\nD\nE='$A'\n";

    #[test]
    fn the_statements_are_those_that_the_parsers_read() {
        let names = |text: &str, grammar| -> Vec<String> {
            let found = find(text, grammar);
            found
                .iter()
                .map(|s| format!("{}:{}={}", s.line, s.name(text), s.written(text)))
                .collect()
        };
        assert_eq!(
            names(RC, Grammar::Shell),
            [
                "2:A=1",
                "3:B='x y'\"$A\"",
                "3:C=${A:-\"$B\"}",
                "4:E=a\\ b",
                "4:F=$'it\\'s'",
                "4:A=",
                "5:G=\"x\r\ny\"",
                "7:H=é\\\r\nf",
                "9:I=z"
            ]
        );
        assert_eq!(
            names(ENV, Grammar::EnvFile),
            [
                "2:A=1",
                "3:B='x\ny'",
                "4:C=\"$A ${B:-$A} \\$A $$A\"",
                "5:D=",
                "6:E='$A'"
            ]
        );
        let (read, problems) = shell_words::parse(RC, Path::new("rc"), &|_| None);
        assert_eq!(problems, []);
        let found = find(RC, Grammar::Shell);
        for (name, assigned) in &read {
            let at = (name.as_str(), assigned.place.line);
            assert!(found.iter().any(|s| (s.name(RC), s.line) == at), "{at:?}");
        }
        let (read, _) = env_file::parse(ENV, Path::new("env"), &|_| None);
        for entry in &read {
            let at = (entry.name.as_str(), entry.place.line);
            let found = find(ENV, Grammar::EnvFile);
            assert!(found.iter().any(|s| (s.name(ENV), s.line) == at), "{at:?}");
        }
    }

    /// Texts of characters that mean something, from a fixed seed.
    fn odd_texts() -> impl Iterator<Item = String> {
        const PARTS: [&str; 24] = [
            "A", "B", "=", "=", "=1", " ", "\n", "\n", "'", "\"", "\\", "$", "${", "}", "#", ";",
            "export ", "\r\n", "\t", "é", ":", "+=", "$'", ":-",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        (0..40_000).map(move |_| (0..=next(12)).map(|_| PARTS[next(PARTS.len())]).collect())
    }

    /// Whether nothing but blanks, keywords and comments stands between the statements.
    fn covers_all_values(text: &str, found: &[Statement]) -> bool {
        let starts = found.iter().map(|s| s.name.start).chain([text.len()]);
        let ends = [0].into_iter().chain(found.iter().map(Statement::end));
        let mut gaps = ends.zip(starts).map(|(end, start)| &text[end..start]);
        gaps.all(|gap| {
            let bare = gap.lines().map(|line| line.split('#').next().unwrap());
            let mut words = bare.flat_map(|line| line.split([' ', '\t', '\r', ';', '\\']));
            words.all(|word| matches!(word, "" | "export"))
        })
    }

    #[test]
    fn the_words_of_a_command_are_not_shown() {
        let text = ": \"${DB_PASS:=hunter2}\"\nexport A=1 # why\n";
        assert_eq!(
            masked(text, Grammar::Shell, &|_| false),
            ":…\nexport A=1 # why\n"
        );
    }

    /// A statement that is missed here would be shown in a diff with its value.
    #[test]
    fn odd_texts_are_cut_as_the_parsers_cut_them() {
        use super::super::problem::ProblemKind;
        let environment = |_: &str| Some("x".to_owned());
        let mut compared = 0;
        for text in odd_texts() {
            let (read, problems) = shell_words::parse(&text, Path::new("rc"), &environment);
            // The words of `:` and of an `export` without a value set nothing.
            let is_plain = !text.contains(':') && !text.contains("export");
            if problems.is_empty() && is_plain {
                compared += read.len();
                let found = find(&text, Grammar::Shell);
                // `export NAME` gives a name no value here, and there is nothing to hide or rename.
                let is_assigned = |name: &str| {
                    ["=", "+="]
                        .iter()
                        .any(|sign| text.contains(&format!("{name}{sign}")))
                };
                for (name, assigned) in read.iter().filter(|(name, _)| is_assigned(name)) {
                    let at = (name.as_str(), assigned.place.line);
                    assert!(
                        found.iter().any(|s| (s.name(&text), s.line) == at),
                        "{text:?}"
                    );
                }
                for statement in &found {
                    assert!(read.contains_key(statement.name(&text)), "{text:?}");
                }
                assert!(covers_all_values(&text, &found), "{text:?} {found:?}");
            }
            let (mut read, problems) = env_file::parse(&text, Path::new("env"), &environment);
            read.retain(|entry| !entry.name.is_empty());
            if problems
                .iter()
                .all(|problem| problem.kind == ProblemKind::Warning)
            {
                compared += read.len();
                let found = find(&text, Grammar::EnvFile);
                let names = found.iter().map(|s| s.name(&text));
                let mut names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
                let mut expected: Vec<&str> = read.iter().map(|e| e.name.as_str()).collect();
                for list in [&mut names, &mut expected] {
                    list.sort_unstable();
                    list.dedup();
                }
                assert_eq!(names, expected, "{text:?}");
                for entry in &read {
                    let at = (entry.name.as_str(), entry.place.line);
                    assert!(
                        found.iter().any(|s| (s.name(&text), s.line) == at),
                        "{text:?}"
                    );
                }
                assert!(covers_all_values(&text, &found), "{text:?} {found:?}");
            }
        }
        assert!(compared > 1_500, "only {compared} statements were compared");
    }

    #[test]
    fn only_live_references_count() {
        let references = |text: &str, grammar| -> Vec<String> {
            let found = find(text, grammar);
            let ranges = found.iter().flat_map(|s| s.references.clone());
            ranges.map(|range| text[range].to_owned()).collect()
        };
        let rc = "X='$A'\"$B\"\\$C$D${E:-${F}}$'$G'\n# $H\n";
        assert_eq!(references(rc, Grammar::Shell), ["B", "D", "E", "F"]);
        assert_eq!(references(ENV, Grammar::EnvFile), ["A", "B", "A"]);
    }

    #[test]
    fn removing_a_statement_leaves_its_neighbours() {
        let removed = |text: &str, grammar, name: &str| {
            let found = find(text, grammar);
            let range = found
                .iter()
                .find(|s| s.name(text) == name)
                .unwrap()
                .to_remove(text);
            let mut text = text.to_owned();
            text.replace_range(range, "");
            text
        };
        for (text, expected) in [
            ("A=1\nB=2 # why\nC=3\n", "A=1\nC=3\n"),
            ("A=1\r\nexport B=2;\r\nC=3\r\n", "A=1\r\nC=3\r\n"),
            ("A=1 B=2 C=3\n", "A=1 C=3\n"),
            ("A=1\nB='x\ny'", "A=1\n"),
            ("\u{feff}B=2\nA=1\n", "\u{feff}A=1\n"),
        ] {
            assert_eq!(removed(text, Grammar::Shell, "B"), expected, "{text:?}");
        }
        assert_eq!(removed("B: \"x\" C=1\n", Grammar::EnvFile, "B"), "C=1\n");
    }

    #[test]
    fn a_secret_is_covered_in_values_and_comments() {
        let is_secret = |name: &str| name == "PASS";
        let text = "A=1\nPASS='x\ny' A=2 # old PASS=z\n#PASS = no\n# PASS=gone";
        assert_eq!(
            masked(text, Grammar::Shell, &is_secret),
            "A=1\nPASS=… A=2 # old PASS=…\n#PASS =…\n# PASS=…"
        );
        let text = "PASS: x y\nPASS=\nA=1\n";
        assert_eq!(
            masked(text, Grammar::EnvFile, &is_secret),
            "PASS: …\nPASS=\nA=1\n"
        );
    }

    #[test]
    fn no_text_makes_it_stumble() {
        for text in [
            "", "\u{feff}", "=", "$", "A=\"", "A='", "A=${", "\\", "A=\\", "(", "é=é", "A:",
        ] {
            assert_eq!(masked(text, Grammar::EnvFile, &|_| false), text);
            // Of a command only the first word is shown.
            let shown = masked(text, Grammar::Shell, &|_| false);
            assert!(shown == text || shown.ends_with('…'), "{text:?} {shown:?}");
        }
    }
}
