//! Changes one value in the text of overleaf.rc or variables.env; comments and order stay.

/// The two files have a grammar each, which quotes in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// overleaf.rc, which [`super::shell_words`] reads.
    Rc,
    /// variables.env, which [`super::env_file`] reads.
    Variables,
}

/// The text with `name` set to `value`: the last line that sets it is changed and keeps its
/// indentation, `export` and comment; otherwise the first commented line `# NAME=` is replaced;
/// otherwise a line is added at the end. `value` is quoted where the file's grammar needs it.
#[must_use]
pub fn set(grammar: Grammar, text: &str, name: &str, value: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    // `lines` drops the CR of a CRLF line end; the file keeps the kind it has.
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let sets = |line: &String| split(line, name).is_some();
    let offers = |line: &String| {
        line.strip_prefix('#').is_some_and(|rest| {
            rest.trim_start()
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        })
    };
    let assignment = format!("{name}={}", quoted(grammar, value));
    let position = lines
        .iter()
        .rposition(sets)
        .or_else(|| lines.iter().position(offers));
    match position.and_then(|at| lines.get_mut(at)) {
        Some(line) => {
            *line = match split(line, name) {
                Some((before, after)) => format!("{before}{assignment}{after}"),
                None => assignment,
            };
        }
        None => lines.push(assignment),
    }
    lines.join(ending) + ending
}

/// What stands before an assignment of `name` on its line, and the comment behind it.
fn split<'a>(line: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let bare = line.trim_start();
    let bare = bare.strip_prefix("export ").map_or(bare, str::trim_start);
    let value = bare.strip_prefix(name)?.strip_prefix('=')?;
    let before = line.strip_suffix(bare)?;
    let is_plain = !value.contains(['\'', '"', '\\']);
    let comment = value
        .find(" #")
        .filter(|_| is_plain)
        .map(|at| value.split_at(at).1);
    Some((before, comment.unwrap_or_default()))
}

/// A value as the grammar reads it back: plain where that is safe, else in single quotes, else with
/// escapes. No file can hold a NUL character for a container.
#[must_use]
pub fn quoted(grammar: Grammar, value: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if value.chars().all(is_safe) {
        return value.to_owned();
    }
    let fits_single = match grammar {
        // A reader takes a CR before a line end for a part of it.
        Grammar::Rc => !value.contains(['\'', '\r']),
        Grammar::Variables => !value.contains('\'') && !value.ends_with('\\'),
    };
    if fits_single {
        return format!("'{value}'");
    }
    let escaped: String = match grammar {
        Grammar::Rc if value.contains('\r') => {
            let escape = |c: char| match c {
                '\r' => "\\r".to_owned(),
                '\\' | '\'' => format!("\\{c}"),
                c => c.to_string(),
            };
            return format!("$'{}'", value.chars().map(escape).collect::<String>());
        }
        Grammar::Rc => escaped(value, &['\\', '"', '$', '`']),
        Grammar::Variables => escaped(value, &['\\', '"', '$']),
    };
    format!("\"{escaped}\"")
}

fn escaped(value: &str, special: &[char]) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{env_file, shell_words};
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn one_line_changes_and_the_rest_stays() {
        for (text, name, value, expected) in [
            ("# a\nA=1\nB=2\n", "A", "3", "# a\nA=3\nB=2\n"),
            ("A=1\nA=2\n", "A", "3", "A=1\nA=3\n"),
            (
                "# about B\n# B=1\nC=2\n",
                "B",
                "x y",
                "# about B\nB='x y'\nC=2\n",
            ),
            ("  export A=1 # why\n", "A", "2", "  export A=2 # why\n"),
            ("A=1\r\nB=2\r\n", "A", "3", "A=3\r\nB=2\r\n"),
            ("A='x # y'\n", "A", "3", "A=3\n"),
            ("AB=1", "A", "", "AB=1\nA=\n"),
            ("", "A", "it's $5", "A=\"it's \\$5\"\n"),
        ] {
            for grammar in [Grammar::Rc, Grammar::Variables] {
                assert_eq!(set(grammar, text, name, value), expected, "{text:?}");
            }
        }
    }

    /// The value that a file holds after it was written.
    fn read_back(grammar: Grammar, value: &str) -> Option<String> {
        let text = set(grammar, "", "A", value);
        match grammar {
            Grammar::Rc => {
                let (read, problems) = shell_words::parse(&text, Path::new("rc"), &|_| None);
                let value = read.get("A").map(|assigned| assigned.value.clone());
                value.filter(|_| problems.is_empty())
            }
            Grammar::Variables => {
                let (read, problems) = env_file::parse(&text, Path::new("env"), &|_| None);
                let value = read.first().and_then(|entry| entry.value.clone());
                value.filter(|_| problems.is_empty() && read.len() == 1)
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let values = [
            "plain",
            "two words",
            "it's $5",
            "a#b",
            "",
            "x\"y",
            "~/x",
            "a:~",
            "\\",
            "'\\",
            "`'",
            "l1\nl2",
            "l1\r\nl2",
            "\r",
            "$$",
            "${X}",
            "\\$",
            "a\\'",
            "\u{feff}",
            " ",
            "#",
            "=",
        ];
        for value in values {
            for grammar in [Grammar::Rc, Grammar::Variables] {
                let back = read_back(grammar, value);
                assert_eq!(back.as_deref(), Some(value), "{grammar:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_value_that_is_written_is_read_back(value in "[^\0]*") {
            for grammar in [Grammar::Rc, Grammar::Variables] {
                prop_assert_eq!(read_back(grammar, &value), Some(value.clone()));
            }
        }

        #[test]
        fn any_shell_like_value_is_read_back(value in "[ab'\"\\\\$`{}~:# \t\r\n]*") {
            for grammar in [Grammar::Rc, Grammar::Variables] {
                prop_assert_eq!(read_back(grammar, &value), Some(value.clone()));
            }
        }

        #[test]
        fn reading_any_text_ends_and_points_into_it(
            text in "([A-C]|=|[+]=|[ '\"\\\\$`{}~:;#!?()&|-]|\r|\n|export |declare |unset |set |\\PC)*"
        ) {
            let lines = text.matches('\n').count() + 1;
            let look_up = |name: &str| (name == "A").then(|| "a".to_owned());
            let (_, of_rc) = shell_words::parse(&text, Path::new("rc"), &look_up);
            let (_, of_variables) = env_file::parse(&text, Path::new("env"), &look_up);
            for problem in of_rc.iter().chain(&of_variables) {
                let place = problem.place.as_ref().unwrap();
                prop_assert!(place.line <= lines && place.column >= 1);
                prop_assert!(!problem.advice.is_empty());
            }
        }

        #[test]
        fn reading_any_bytes_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = String::from_utf8_lossy(&bytes);
            let _ = shell_words::parse(&text, Path::new("rc"), &|_| None);
            let _ = env_file::parse(&text, Path::new("env"), &|_| None);
        }
    }
}
