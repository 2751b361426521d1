//! Changes one value in the text of overleaf.rc or variables.env; comments, order and line ends
//! stay.

use std::ops::Range;
use std::path::Path;

use thiserror::Error;

use super::assignments::{self, Assignment, Dialect};
use super::{env_file, shell_words};

/// A value that the grammar of the file cannot hold where it would stand.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the file cannot hold this value of `{name}`")]
pub struct Unwritable {
    /// The name.
    pub name: String,
}

/// The text with `name` set to `value`, which is quoted where the grammar needs it:
///
/// - the last assignment of the name is changed, what stands around it on its line stays;
/// - otherwise the line that assigns this very value and is commented out is taken into force;
/// - otherwise a line comes behind the last one that assigns the name and is commented out;
/// - otherwise a line comes at the end.
///
/// # Errors
/// What was written would not be read back as `value`.
pub fn assign(text: &str, dialect: Dialect, name: &str, value: &str) -> Result<String, Unwritable> {
    forms(value, dialect)
        .into_iter()
        .map(|form| place(text, dialect, name, &form))
        .find(|changed| reads(changed, dialect, name).as_deref() == Some(value))
        .ok_or_else(|| Unwritable {
            name: name.to_owned(),
        })
}

/// As [`assign`], for a text and a value of the program's own, which the grammar can hold.
#[must_use]
pub fn set(dialect: Dialect, text: &str, name: &str, value: &str) -> String {
    assign(text, dialect, name, value).unwrap_or_else(|_| place(text, dialect, name, value))
}

/// The text with every assignment of `name` commented out.
#[must_use]
pub fn unset(text: &str, dialect: Dialect, name: &str) -> String {
    let mut text = text.to_owned();
    loop {
        let all = assignments::find(&text, dialect);
        let Some(first) = all.iter().find(|found| found.name == name) else {
            return text;
        };
        text = without(&text, &all, first);
    }
}

/// What a text says of a name, `None` when it does not set it.
fn reads(text: &str, dialect: Dialect, name: &str) -> Option<String> {
    let file = Path::new("");
    match dialect {
        Dialect::Shell => {
            let (mut assigned, _) = shell_words::parse(text, file, &|_| None);
            assigned.remove(name).map(|found| found.value)
        }
        Dialect::EnvFile => {
            let (entries, _) = env_file::parse(text, file, &|_| None);
            let found = entries.into_iter().find(|entry| entry.name == name);
            found.and_then(|entry| entry.value)
        }
    }
}

/// The ways to write a value, the plainest first. Not each of them reads back everywhere.
fn forms(value: &str, dialect: Dialect) -> Vec<String> {
    let escaped = |what: &str| {
        let mut text = String::new();
        for c in value.chars() {
            if what.contains(c) {
                text.push('\\');
            }
            text.push(c);
        }
        text
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    let mut forms = Vec::new();
    if value.chars().all(is_plain) {
        forms.push(value.to_owned());
    }
    match dialect {
        Dialect::Shell => {
            if !value.contains('\'') {
                forms.push(format!("'{value}'"));
            }
            forms.push(format!("\"{}\"", escaped("\\\"$`")));
            // A reader takes a CR before a line end for a part of it.
            forms.push(format!("$'{}'", escaped("\\'").replace('\r', "\\r")));
        }
        Dialect::EnvFile => {
            forms.push(format!("'{}'", escaped("'")));
            forms.push(format!("\"{}\"", escaped("\\\"$")));
            forms.push(value.replace('$', "$$"));
        }
    }
    forms
}

/// The text with the assignment in its place, `form` being the value as it is written.
fn place(text: &str, dialect: Dialect, name: &str, form: &str) -> String {
    let all = assignments::find(text, dialect);
    if let Some(last) = all.iter().rfind(|found| found.name == name) {
        return match &last.value {
            Some(value) if !last.appends => replaced(text, value.clone(), form),
            _ => replaced(text, last.key.end..last.end(), &format!("={form}")),
        };
    }
    let assignment = format!("{name}={form}");
    let offers = assignments::find_commented(text, dialect);
    let offers: Vec<&Assignment> = offers.iter().filter(|offer| offer.name == name).collect();
    let taken = offers.iter().rev().find(|offer| {
        let bytes = offer.key.start..offer.end();
        text.get(bytes) == Some(&assignment)
    });
    if let Some(taken) = taken {
        return replaced(text, line_start(text, taken.key.start)..taken.key.start, "");
    }
    let at = offers
        .last()
        .map_or(text.len(), |offer| line_end(text, offer.end()));
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    // The file keeps the kind of line end it has.
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let is_whole = before.is_empty() || before.ends_with('\n');
    let gap = if is_whole { "" } else { end };
    format!("{before}{gap}{assignment}{end}{after}")
}

/// The text with one assignment commented out. One that shares its lines with others is taken out
/// and put above them as a comment.
fn without(text: &str, all: &[Assignment], gone: &Assignment) -> String {
    let lines = line_start(text, gone.key.start)..line_end(text, gone.end());
    let shares = |other: &Assignment| {
        other.name != gone.name && other.key.start < lines.end && other.end() >= lines.start
    };
    let whole = text.get(lines.clone()).unwrap_or_default();
    if !all.iter().any(shares) {
        return replaced(text, lines, &as_comment(whole));
    }
    let bytes = gone.key.start..gone.end();
    let end = if whole.contains("\r\n") { "\r\n" } else { "\n" };
    let comment = as_comment(text.get(bytes.clone()).unwrap_or_default()) + end;
    let behind = text.get(bytes.end..).unwrap_or_default();
    let gap = behind.len() - behind.trim_start_matches([' ', '\t', ';']).len();
    let rest = replaced(text, bytes.start..bytes.end + gap, "");
    let top = above(text, all, lines.start);
    replaced(&rest, top..top, &comment)
}

/// Where the line starts, or the first of those before it that one value joins to it.
fn above(text: &str, all: &[Assignment], start: usize) -> usize {
    let joins = |other: &&Assignment| other.key.start < start && start <= other.end();
    match all.iter().find(joins) {
        Some(other) => above(text, all, line_start(text, other.key.start)),
        None => start,
    }
}

fn as_comment(lines: &str) -> String {
    lines
        .split_inclusive('\n')
        .map(|line| format!("# {line}"))
        .collect()
}

fn replaced(text: &str, bytes: Range<usize>, with: &str) -> String {
    let before = text.get(..bytes.start).unwrap_or_default();
    let after = text.get(bytes.end..).unwrap_or_default();
    format!("{before}{with}{after}")
}

/// Where the line starts that holds this byte.
fn line_start(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.rfind('\n').map_or(0, |end| end + 1)
}

/// Behind the end of the line that holds this byte.
fn line_end(text: &str, at: usize) -> usize {
    let after = text.get(at..).unwrap_or_default();
    after.find('\n').map_or(text.len(), |end| at + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_changes_and_the_rest_stays() {
        for (text, name, value, expected) in [
            ("# a\nA=1\nB=2\n", "A", "3", "# a\nA=3\nB=2\n"),
            ("A=1\nA=2\n", "A", "3", "A=1\nA=3\n"),
            ("  export A=1 # why\n", "A", "2", "  export A=2 # why\n"),
            ("A=1\r\nB=2\r\n", "A", "3", "A=3\r\nB=2\r\n"),
            ("A='x # y'\n", "A", "3", "A=3\n"),
            ("A='x\ny'\nB=1\n", "A", "3", "A=3\nB=1\n"),
            ("A=1 B=2 # c\n", "A", "x y", "A='x y' B=2 # c\n"),
            ("A=1\nA+=2\n", "A", "3", "A=1\nA=3\n"),
            ("A=$(date) x # c\nB=1\n", "A", "3", "A=3\nB=1\n"),
            ("\u{feff}A=1\n", "A", "3", "\u{feff}A=3\n"),
            ("AB=1", "A", "", "AB=1\nA=\n"),
            ("A=1", "A", "2", "A=2"),
            ("", "A", "it's $5", "A=\"it's \\$5\"\n"),
        ] {
            let changed = assign(text, Dialect::Shell, name, value);
            assert_eq!(changed.as_deref(), Ok(expected), "{text:?}");
        }
        for (text, name, value, expected) in [
            ("A: 1 # c\n", "A", "2", "A: 2 # c\n"),
            ("A = 1\n", "A", "2", "A = 2\n"),
            ("A\nB=1\n", "A", "2", "A=2\nB=1\n"),
            ("A=1 # c\n", "A", "", "A='' # c\n"),
            ("A=\"a\" B=2\n", "A", "x", "A='x' B=2\n"),
            ("A=it's\nB=1\n", "A", "it's $5", "A='it\\'s $5'\nB=1\n"),
            (
                "A=[\"x\", 'y'] # c\n",
                "A",
                "{\"k\": 1}",
                "A='{\"k\": 1}' # c\n",
            ),
            ("A='a\r\nb'\r\nB=1\r\n", "A", "2", "A=2\r\nB=1\r\n"),
        ] {
            let changed = assign(text, Dialect::EnvFile, name, value);
            assert_eq!(changed.as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_commented_line_shows_where_a_new_one_belongs() {
        for (text, value, expected) in [
            ("# about\n# A=1\nC=2\n", "5", "# about\n# A=1\nA=5\nC=2\n"),
            ("# A=1\n# A=2\n\nC=2\n", "5", "# A=1\n# A=2\nA=5\n\nC=2\n"),
            ("# about\n# A=1\nC=2\n", "1", "# about\nA=1\nC=2\n"),
            ("#A=1", "5", "#A=1\nA=5\n"),
            ("# A=1\r\nC=2\r\n", "5", "# A=1\r\nA=5\r\nC=2\r\n"),
            ("B='\n# A=1\n'\n", "5", "B='\n# A=1\n'\nA=5\n"),
            ("# AB=1\nC=2", "5", "# AB=1\nC=2\nA=5\n"),
        ] {
            for dialect in [Dialect::Shell, Dialect::EnvFile] {
                let changed = assign(text, dialect, "A", value);
                assert_eq!(changed.as_deref(), Ok(expected), "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_taken_out_stays_as_a_comment() {
        for (text, expected) in [
            (
                "# a\n  export A=1 # why\nB=2\n",
                "# a\n#   export A=1 # why\nB=2\n",
            ),
            ("A=1\nB=2\nA=3", "# A=1\nB=2\n# A=3"),
            ("A='x\ny'\r\nB=2\r\n", "# A='x\n# y'\r\nB=2\r\n"),
            ("B=2\n", "B=2\n"),
        ] {
            for dialect in [Dialect::Shell, Dialect::EnvFile] {
                assert_eq!(unset(text, dialect, "A"), expected, "{text:?}");
            }
        }
        for (text, expected) in [
            ("A=1 B=2 # c\n", "# A=1\nB=2 # c\n"),
            ("export A=1 B=2\n", "# A=1\nexport B=2\n"),
            ("B=2; A=1; A=3\n", "# A=1\n# A=3\nB=2; \n"),
        ] {
            assert_eq!(unset(text, Dialect::Shell, "A"), expected, "{text:?}");
        }
        assert_eq!(
            unset("A='1' B=2\n", Dialect::EnvFile, "A"),
            "# A='1'\nB=2\n"
        );
    }

    #[test]
    fn no_change_touches_another_assignment() {
        let pieces = ["A=", "B=", "'", "\"", "\\", "\n", " ", "#"];
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..5 {
            let to = texts.len();
            for at in from..to {
                texts.extend(pieces.map(|piece| format!("{}{piece}", texts[at])));
            }
            from = to;
        }
        // One that changes no line is not worth its time.
        for text in texts
            .iter()
            .filter(|text| text.contains("A=") && text.contains("B="))
        {
            for dialect in [Dialect::Shell, Dialect::EnvFile] {
                let other = reads(text, dialect, "B");
                let gone = unset(text, dialect, "A");
                assert_eq!(reads(&gone, dialect, "A"), None, "{text:?} {gone:?}");
                assert_eq!(reads(&gone, dialect, "B"), other, "{text:?} {gone:?}");
                if let Ok(changed) = assign(text, dialect, "A", "1") {
                    assert_eq!(reads(&changed, dialect, "B"), other, "{text:?} {changed:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let pieces = [
            "a", " ", "'", "\"", "\\", "$", "#", "\n", "`", "{", "}", "=", "é",
        ];
        let mut values = vec![String::new()];
        let mut from = 0;
        for _ in 0..3 {
            let to = values.len();
            for at in from..to {
                values.extend(pieces.map(|piece| format!("{}{piece}", values[at])));
            }
            from = to;
        }
        for value in values {
            for dialect in [Dialect::Shell, Dialect::EnvFile] {
                for text in ["", "A=1 # c\nB=2\n", "# A=1\n"] {
                    match assign(text, dialect, "A", &value) {
                        Ok(changed) => {
                            let read = reads(&changed, dialect, "A");
                            assert_eq!(read.as_deref(), Some(&*value), "{changed:?}");
                            let before = assignments::find(text, dialect).len();
                            let after = assignments::find(&changed, dialect).len();
                            assert_eq!(after, before.max(1), "{changed:?}");
                        }
                        // Docker Compose takes a backslash before the closing quote for an escape.
                        Err(_) => {
                            assert_eq!(dialect, Dialect::EnvFile, "{value:?}");
                            assert!(value.ends_with('\\'), "{value:?}");
                        }
                    }
                }
            }
        }
    }
}
