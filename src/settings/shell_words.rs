//! Reads overleaf.rc: the subset of shell that files of assignments use. Nothing is executed.
//!
//! Understood: comments, `NAME=word` and `NAME+=word`, several on a line, `;`, `export`, `readonly`,
//! `declare`, `unset`, `set`, `:` and `return`, and the words that `words` lists. A later line
//! wins. CRLF line ends and a byte order mark are accepted. Anything else is a [`Problem`] with its
//! place and the plain way to write it.
//!
//! The rules are those of bash 5 for a file that a function reads under `set -eu`, as the upstream
//! toolkit does; `tests/it/shell_words.rs` compares the two.

mod foreign;
mod words;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use super::problem::{Place, Problem, ProblemKind};

/// The command that evaluates what this reader does not.
const FLATTEN: &str = "`toolkit config flatten` evaluates the file with a shell, once";

/// The letters that `set` takes and that change nothing about assignments, but for `a` and `u`.
const SET_OPTIONS: &str = "abefhkmouvxBCEHPT";

/// A value and where it was set.
#[derive(Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The value after quotes, escapes and references; empty after `unset`.
    pub value: String,
    /// Where the assignment stands.
    pub place: Place,
    /// Where it ends; `None` for a value that is not written as `NAME=word`.
    pub end: Option<Place>,
    /// Whether the file exports it, so that Docker Compose's files may refer to it.
    pub is_exported: bool,
}

/// Reads the text of overleaf.rc. `environment` answers references to names that no earlier line
/// sets. All problems are collected; assignments that are sound are returned beside them.
pub fn parse(
    text: &str,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (BTreeMap<String, Assigned>, Vec<Problem>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n");
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let mut reader = Reader {
        characters: text.chars().collect(),
        at: 0,
        line: 1,
        column: 1,
        file,
        environment,
        variables: BTreeMap::new(),
        read_only: BTreeSet::new(),
        refuses_unset: true,
        exports_all: false,
        unused: 0,
        problems: Vec::new(),
    };
    reader.read();
    let assigned = reader.variables.into_iter();
    let assigned = assigned
        .filter(|(_, variable)| !variable.is_local)
        .map(|(name, variable)| (name, variable.into_assigned()));
    (assigned.collect(), reader.problems)
}

/// A name that the file has touched.
struct Variable {
    /// `None` after `unset`.
    value: Option<String>,
    place: Place,
    end: Option<Place>,
    is_exported: bool,
    /// Made by `declare` or `local`: visible to later lines, and gone at the end of the file.
    is_local: bool,
}

impl Variable {
    fn into_assigned(self) -> Assigned {
        Assigned {
            value: self.value.unwrap_or_default(),
            place: self.place,
            end: self.end,
            is_exported: self.is_exported,
        }
    }
}

/// What a builtin that declares names does with them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Declaration {
    Plain,
    Export,
    /// `export -n`.
    Unexport,
    ReadOnly,
    Local,
}

struct Reader<'a> {
    characters: Vec<char>,
    at: usize,
    line: usize,
    column: usize,
    file: &'a Path,
    environment: &'a dyn Fn(&str) -> Option<String>,
    variables: BTreeMap<String, Variable>,
    read_only: BTreeSet<String>,
    /// `set -u`, which is on at the beginning.
    refuses_unset: bool,
    /// `set -a`.
    exports_all: bool,
    /// How many alternatives such as that of `${SET:-…}` are being read that nobody uses.
    unused: usize,
    problems: Vec<Problem>,
}

/// How a command ended.
enum End {
    /// The next one follows.
    Next,
    /// The file ends here.
    Return,
    /// A problem spoils the rest of the line.
    Problem,
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

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            taken.push(c);
            self.advance();
        }
        taken
    }

    fn problem(&mut self, place: Place, what: &str, advice: &str) {
        self.problems.push(Problem {
            kind: ProblemKind::Error,
            place: Some(place),
            text: what.to_owned(),
            advice: advice.to_owned(),
        });
    }

    /// A problem of something that only a shell can do.
    fn foreign(&mut self, place: Place, what: &str, advice: &str) {
        self.problem(place, what, &format!("{advice}; {FLATTEN}"));
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
                Some(' ' | '\t') => {}
                Some('\\') if self.peek_after(1) == Some('\n') => {
                    self.advance();
                }
                _ => return,
            }
            self.advance();
        }
    }

    fn is_sound(&mut self) -> bool {
        let Some(at) = self.characters.iter().position(|c| *c == '\0') else {
            return true;
        };
        while self.at < at {
            self.advance();
        }
        let place = self.place();
        self.problem(
            place,
            "a NUL character stands here, so the file is damaged",
            "restore the file from a backup, or remove the character",
        );
        false
    }

    fn read(&mut self) {
        if !self.is_sound() {
            return;
        }
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return,
                Some('\n') => {
                    self.advance();
                }
                Some('#') => self.skip_line(),
                Some(_) => match self.command() {
                    End::Next => {}
                    End::Return => return,
                    End::Problem => self.skip_line(),
                },
            }
        }
    }

    fn command(&mut self) -> End {
        let known = self.problems.len();
        let ending = if self.is_assignment() {
            self.names(Declaration::Plain)
        } else {
            self.builtin()
        };
        match ending {
            Some(End::Next) if self.command_ends() => End::Next,
            Some(End::Return) => End::Return,
            _ if self.problems.len() > known => End::Problem,
            _ => {
                // The text itself is not shown: it may be the second half of a secret.
                let place = self.place();
                let text = "what stands here is not an assignment";
                let advice = "put a value that has blanks in quotes, and a comment behind a blank";
                self.problem(place, text, advice);
                End::Problem
            }
        }
    }

    /// Steps over the `;` or the comment at the end of a command.
    fn command_ends(&mut self) -> bool {
        self.skip_blanks();
        match self.peek() {
            // A `#` inside a word belongs to it, so that this one begins a comment.
            None | Some('\n' | '#') => true,
            Some(';') => {
                self.advance();
                self.skip_blanks();
                self.peek() != Some(';')
            }
            Some(_) => false,
        }
    }

    fn is_assignment(&self) -> bool {
        let mut at = 0;
        while let Some(c) = self.peek_after(at) {
            let is_name = c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
            if !is_name {
                break;
            }
            at += 1;
        }
        let appends = self.peek_after(at) == Some('+') && self.peek_after(at + 1) == Some('=');
        at > 0 && (self.peek_after(at) == Some('=') || appends)
    }

    /// Reads `NAME=word` and, after a builtin, `NAME`, up to the end of the command.
    fn names(&mut self, declaration: Declaration) -> Option<End> {
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some('\n' | ';' | '#') => return Some(End::Next),
                Some(_) if self.is_assignment() => self.assignment(declaration)?,
                Some(_) if declaration == Declaration::Plain => return None,
                Some(_) => self.named(declaration)?,
            }
        }
    }

    fn assignment(&mut self, declaration: Declaration) -> Option<()> {
        let place = self.place();
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let appends = self.peek() == Some('+');
        if appends {
            self.advance();
        }
        self.advance();
        if self.peek() == Some('(') {
            self.foreign(
                place,
                "an array cannot be a setting",
                "write one value in quotes",
            );
            return None;
        }
        let mut value = if appends {
            self.look_up(&name).unwrap_or_default()
        } else {
            String::new()
        };
        value.push_str(&self.word(true)?);
        self.assign(&name, Some(value), place, declaration)?;
        let end = self.place();
        if let Some(variable) = self.variables.get_mut(&name) {
            variable.end = Some(end);
        }
        Some(())
    }

    /// Reads the operand of a builtin that is not written as an assignment.
    fn named(&mut self, declaration: Declaration) -> Option<()> {
        let place = self.place();
        let start = self.at;
        let word = self.word(false)?;
        if self.at == start {
            return None;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let text = format!("`{name}` is not a name");
            self.problem(place, &text, "use letters, digits and `_`");
            return None;
        }
        if value.is_some() {
            return self.assign(&name, value, place, declaration);
        }
        match self.look_up(&name) {
            // Of a name without a value the shell only notes what it is to become.
            None => Some(()),
            Some(value) => self.declare(&name, value, place, declaration),
        }
    }

    fn assign(
        &mut self,
        name: &str,
        value: Option<String>,
        place: Place,
        declaration: Declaration,
    ) -> Option<()> {
        if self.read_only.contains(name) {
            let text = format!("`{name}` was made read-only on an earlier line");
            self.problem(place, &text, "keep one of the two lines");
            return None;
        }
        let before = self.variables.get(name);
        let is_local = match declaration {
            Declaration::Local => true,
            _ => before.is_some_and(|variable| variable.is_local),
        };
        let is_exported = match declaration {
            Declaration::Export => true,
            Declaration::Unexport => false,
            _ => self.exports_all || before.is_some_and(|variable| variable.is_exported),
        };
        if declaration == Declaration::Local {
            self.problems.push(Problem {
                kind: ProblemKind::Warning,
                place: Some(place.clone()),
                text: format!("`{name}` is declared as a local name, so it sets nothing"),
                advice: format!("write `{name}=` without the word before it"),
            });
        }
        if declaration == Declaration::ReadOnly {
            self.read_only.insert(name.to_owned());
        }
        let variable = Variable {
            value,
            place,
            end: None,
            is_exported,
            is_local,
        };
        self.variables.insert(name.to_owned(), variable);
        Some(())
    }

    /// Gives a name that has a value the property that a builtin declares.
    fn declare(
        &mut self,
        name: &str,
        value: String,
        place: Place,
        declaration: Declaration,
    ) -> Option<()> {
        match declaration {
            Declaration::Plain | Declaration::Local => Some(()),
            Declaration::ReadOnly => {
                self.read_only.insert(name.to_owned());
                Some(())
            }
            Declaration::Export | Declaration::Unexport => match self.variables.get_mut(name) {
                Some(variable) => {
                    variable.is_exported = declaration == Declaration::Export;
                    Some(())
                }
                None => self.assign(name, Some(value), place, declaration),
            },
        }
    }

    /// Reads one of the builtins that can be understood without running anything.
    fn builtin(&mut self) -> Option<End> {
        let place = self.place();
        let start = (self.at, self.line, self.column);
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
        let ends = matches!(self.peek(), None | Some(' ' | '\t' | '\n' | ';'));
        match word.as_str() {
            "export" if ends => self.declaration(Declaration::Export),
            "readonly" if ends => self.declaration(Declaration::ReadOnly),
            "declare" | "typeset" | "local" if ends => self.declaration(Declaration::Local),
            "unset" if ends => self.unset(),
            "set" if ends => self.set(),
            ":" | "true" if ends => self.operands(),
            "return" if ends => self.end_of_file(),
            _ => {
                (self.at, self.line, self.column) = start;
                let word = self.shown_word();
                let (what, advice, needs_shell) = foreign::describe(&word);
                if needs_shell {
                    self.foreign(place, &what, advice);
                    self.skip_compound(&word);
                } else {
                    self.problem(place, &what, advice);
                }
                None
            }
        }
    }

    /// The word that begins here, without what follows a name: that may be a secret.
    fn shown_word(&self) -> String {
        let rest = self.characters.get(self.at..).unwrap_or_default();
        let is_shown = |c: &&char| c.is_ascii_alphanumeric() || "_-+.[]{}()!".contains(**c);
        rest.iter().take_while(is_shown).take(40).collect()
    }

    /// Reads the options after `export` and its like, and then the names.
    fn declaration(&mut self, mut declaration: Declaration) -> Option<End> {
        loop {
            self.skip_blanks();
            if !matches!(self.peek(), Some('-' | '+')) {
                return self.names(declaration);
            }
            let place = self.place();
            let options = self.take_while(|c| !c.is_whitespace() && c != ';');
            for option in options.chars().skip(1) {
                match (declaration, option) {
                    (Declaration::Local, 'g') => declaration = Declaration::Plain,
                    (Declaration::Export, 'n') => declaration = Declaration::Unexport,
                    (Declaration::Local | Declaration::Plain, 'x' | 'r' | 't') | (_, 'p' | '-') => {
                    }
                    _ => {
                        let text = format!("the option `{options}` needs a shell");
                        self.foreign(place, &text, "write plain `NAME=value` lines");
                        return None;
                    }
                }
            }
        }
    }

    fn unset(&mut self) -> Option<End> {
        loop {
            self.skip_blanks();
            let place = self.place();
            match self.peek() {
                None | Some('\n' | ';' | '#') => return Some(End::Next),
                Some(_) => {
                    let start = self.at;
                    let name = self.word(false)?;
                    if self.at == start {
                        return None;
                    }
                    if name != "-v" {
                        self.assign(&name, None, place, Declaration::Unexport)?;
                    }
                }
            }
        }
    }

    /// Reads `set`: `-a` and `-u` count, the other options only matter to commands.
    fn set(&mut self) -> Option<End> {
        loop {
            self.skip_blanks();
            let place = self.place();
            if matches!(self.peek(), None | Some('\n' | ';' | '#')) {
                return Some(End::Next);
            }
            let options = self.take_while(|c| !c.is_whitespace() && c != ';');
            let switches_on = options.starts_with('-');
            let letters = options.strip_prefix(['-', '+']).unwrap_or_default();
            if letters.is_empty() || letters.contains(|c| !SET_OPTIONS.contains(c)) {
                self.foreign(place, "this `set` needs a shell", "remove the line");
                return None;
            }
            for letter in letters.chars() {
                let name = if letter == 'o' {
                    self.skip_blanks();
                    self.take_while(|c| c.is_ascii_alphanumeric())
                } else {
                    letter.to_string()
                };
                match name.as_str() {
                    "a" | "allexport" => self.exports_all = switches_on,
                    "u" | "nounset" => self.refuses_unset = switches_on,
                    _ => {}
                }
            }
        }
    }

    /// Reads the words after `:`, which may assign with `${NAME:=word}`.
    fn operands(&mut self) -> Option<End> {
        loop {
            self.skip_blanks();
            if matches!(self.peek(), None | Some('\n' | ';' | '#')) {
                return Some(End::Next);
            }
            let start = self.at;
            self.word(false)?;
            if self.at == start {
                return None;
            }
        }
    }

    fn end_of_file(&mut self) -> Option<End> {
        self.skip_blanks();
        let place = self.place();
        let code = self.take_while(|c| !c.is_whitespace() && !matches!(c, ';' | '#'));
        if matches!(code.as_str(), "" | "0") {
            return Some(End::Return);
        }
        let text = format!("`return {code}` says that the configuration failed");
        self.problem(place, &text, "remove the line");
        None
    }
}

#[cfg(test)]
mod tests;
