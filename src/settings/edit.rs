//! Changes one value in the text of overleaf.rc or variables.env; comments and order stay.

use std::path::Path;

use super::env_file::EnvFile;
use super::problem::Place;
use super::shell_words;

/// The two files have a grammar each, which quotes in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// overleaf.rc, which [`super::shell_words`] reads.
    Rc,
    /// variables.env, which [`super::env_file`] reads.
    Variables,
}

/// The text with `name` set to `value`: the last assignment is changed in its place, and what
/// stands around it stays; otherwise the first commented line `# NAME=` is replaced; otherwise a
/// line is added at the end. `value` is quoted where the file's grammar needs it.
#[must_use]
pub fn set(grammar: Grammar, text: &str, name: &str, value: &str) -> String {
    let (mark, text) = match text.strip_prefix('\u{feff}') {
        Some(text) => ("\u{feff}", text),
        None => ("", text),
    };
    let span = span(grammar, text, name).or_else(|| offer(text, name));
    if let Some((start, end)) = span
        && let (Some(before), Some(after)) = (text.get(..start), text.get(end..))
    {
        let value = match after.lines().next().map(str::trim_end).unwrap_or_default() {
            "" => quoted(grammar, value),
            rest if rest.starts_with(" #") && !value.is_empty() => quoted(grammar, value),
            // What follows would become a part of a value without quotes.
            _ => in_quotes(grammar, value),
        };
        return ended(format!("{mark}{before}{name}={value}{after}"));
    }
    let value = quoted(grammar, value);
    ended(ended(format!("{mark}{text}")) + &format!("{name}={value}"))
}

/// The text with a line end of the kind that it has, unless it is empty or has one.
fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(if text.contains("\r\n") { "\r\n" } else { "\n" });
    }
    text
}

/// The bytes of the last assignment of a name, as the reader of the file sees it.
fn span(grammar: Grammar, text: &str, name: &str) -> Option<(usize, usize)> {
    let file = Path::new("");
    let (start, end) = match grammar {
        Grammar::Rc => {
            // What references stand for does not matter here.
            let (mut read, _) = shell_words::parse(text, file, &|_| Some(String::new()));
            let assigned = read.remove(name)?;
            (assigned.place, assigned.end?)
        }
        Grammar::Variables => EnvFile::read(text, file).0.span(name)?,
    };
    Some((offset(text, &start)?, offset(text, &end)?))
}

/// The byte at a place.
fn offset(text: &str, place: &Place) -> Option<usize> {
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(place.line - 1).map(str::len).sum();
    let line = lines.next().unwrap_or_default();
    let in_line = line.chars().take(place.column - 1).map(char::len_utf8);
    Some(before + in_line.sum::<usize>()).filter(|at| *at <= text.len())
}

/// The bytes of the first line that is a commented assignment of a name.
fn offer(text: &str, name: &str) -> Option<(usize, usize)> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\n', '\r']);
        let is_offer = bare
            .strip_prefix('#')
            .and_then(|rest| rest.trim_start().strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('='));
        if is_offer {
            return Some((start, start + bare.len()));
        }
        start += line.len();
    }
    None
}

/// A value as the grammar reads it back: plain where that is safe, else in single quotes, else with
/// escapes. No file can hold a NUL character for a container.
#[must_use]
pub fn quoted(grammar: Grammar, value: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if value.chars().all(is_safe) {
        value.to_owned()
    } else {
        in_quotes(grammar, value)
    }
}

fn in_quotes(grammar: Grammar, value: &str) -> String {
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
    use super::super::env_file;
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn what_stands_around_an_assignment_stays() {
        for (grammar, text, value, expected) in [
            (Grammar::Rc, "A=1 B=2; C=3\n", "x", "A='x' B=2; C=3\n"),
            (Grammar::Variables, "A=\"1\" B=2\n", "x", "A='x' B=2\n"),
            (Grammar::Variables, "A=1 # c\n", "", "A='' # c\n"),
            (
                Grammar::Rc,
                "export B=2 A='1 2' # c\n",
                "x",
                "export B=2 A=x # c\n",
            ),
            (
                Grammar::Rc,
                "A=\"l1\nl2\" # c\nB=2\n",
                "x",
                "A=x # c\nB=2\n",
            ),
            (Grammar::Rc, "B='\nA=1\n'\n", "x", "B='\nA=1\n'\nA=x\n"),
            (Grammar::Rc, "unset A\n", "x", "unset A\nA=x\n"),
            (Grammar::Rc, "A=1\nexport A\n", "x", "A=x\nexport A\n"),
            (
                Grammar::Rc,
                "\u{feff}A=1\r\nB=2",
                "x",
                "\u{feff}A=x\r\nB=2\r\n",
            ),
            (
                Grammar::Variables,
                "A='[\n1\n]' # c\nB=2\n",
                "x",
                "A=x # c\nB=2\n",
            ),
            (
                Grammar::Variables,
                "B='\nA=1\n'\n",
                "x",
                "B='\nA=1\n'\nA=x\n",
            ),
            (Grammar::Variables, "A: 1 # c\n", "x", "A=x # c\n"),
            (
                Grammar::Variables,
                "\u{feff}A=\r\nB\r\n",
                "x",
                "\u{feff}A=x\r\nB\r\n",
            ),
            (Grammar::Variables, "A\n", "x", "A=x\n"),
        ] {
            assert_eq!(set(grammar, text, "A", value), expected, "{text:?}");
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
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

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
        fn a_change_leaves_the_other_variables_alone(
            before in "(B=[a-c]*\n|A=[a-c]*\n|B='[ab\n]*' *\n|A=\"[ab\n]*\"( #c)?\n|# A=1\n|#c\n)*",
            value in "[ab '\"\n$#]*"
        ) {
            for grammar in [Grammar::Rc, Grammar::Variables] {
                let values = |text: &str, name: &str| match grammar {
                    Grammar::Rc => {
                        let (read, _) = shell_words::parse(text, Path::new("rc"), &|_| None);
                        read.get(name).map(|assigned| assigned.value.clone())
                    }
                    Grammar::Variables => {
                        let (read, _) = env_file::parse(text, Path::new("env"), &|_| None);
                        let entry = read.into_iter().find(|entry| entry.name == name);
                        entry.and_then(|entry| entry.value)
                    }
                };
                let after = set(grammar, &before, "A", &value);
                prop_assert_eq!(values(&after, "A"), Some(value.clone()), "{:?}", after);
                prop_assert_eq!(values(&after, "B"), values(&before, "B"), "{:?}", after);
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
