//! What a command is that the reader of overleaf.rc does not know, and what to write instead.

use super::Reader;

/// The words that begin a command of several lines, with the word that ends it.
const COMPOUND: [(&str, &str); 9] = [
    ("if", "fi"),
    ("for", "done"),
    ("while", "done"),
    ("until", "done"),
    ("select", "done"),
    ("case", "esac"),
    ("function", "}"),
    ("()", "}"),
    ("{", "}"),
];

impl Reader<'_> {
    /// Steps to the last line of a command of several lines that begins here, so that its inner
    /// lines are not reported one by one. Without its end, only the line itself is passed over.
    pub(super) fn skip_compound(&mut self, first: &str) {
        let ending = COMPOUND.iter().find(|(begin, _)| first.ends_with(begin));
        let Some((begin, ending)) = ending else {
            return;
        };
        let rest: String = self
            .characters
            .get(self.at..)
            .unwrap_or_default()
            .iter()
            .collect();
        let mut depth = 0_usize;
        let mut passed = 0;
        for line in rest.split_inclusive('\n') {
            let words = line.split(|c: char| c.is_whitespace() || c == ';');
            for word in words.filter(|word| !word.is_empty()) {
                depth += usize::from(word.ends_with(begin));
                if word == *ending {
                    depth = depth.saturating_sub(1);
                }
            }
            if depth == 0 {
                for _ in 0..passed {
                    self.advance();
                }
                return;
            }
            passed += line.chars().count();
        }
    }
}

/// Says what a word is that begins no assignment: the problem, the advice, and whether it is for a
/// shell.
pub(super) fn describe(word: &str) -> (String, &'static str, bool) {
    let plain = "write plain `NAME=value` lines";
    match word {
        "if" | "then" | "else" | "elif" | "fi" | "for" | "while" | "until" | "do" | "done"
        | "case" | "esac" | "select" | "function" | "[[" | "[" | "test" | "{" | "}" | "!" => (
            format!("`{word}` needs a shell, and overleaf.rc is never executed"),
            plain,
            true,
        ),
        "source" | "." => (
            format!("`{word}` reads another file, which overleaf.rc cannot"),
            "copy its lines into overleaf.rc",
            true,
        ),
        "exit" => (
            "`exit` ends the reading without any setting".to_owned(),
            "remove the line",
            false,
        ),
        _ if word.contains('(') => (
            format!("`{word}` needs a shell, and overleaf.rc is never executed"),
            plain,
            true,
        ),
        _ if word.contains('[') => (
            "an array cannot be a setting".to_owned(),
            "write one value in quotes",
            true,
        ),
        _ => (
            format!("`{word}` is not an assignment"),
            "write `NAME=value` without blanks around `=`, and put a value that has blanks in quotes",
            false,
        ),
    }
}
