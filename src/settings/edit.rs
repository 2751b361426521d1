//! Changes one value in the text of overleaf.rc or variables.env; comments and order stay.

/// The text with `name` set to `value`: the last line that sets it is changed; otherwise the first
/// commented line `# NAME=` is replaced; otherwise a line is added at the end.
///
/// `value` is quoted where the file's grammar needs it.
#[must_use]
pub fn set(text: &str, name: &str, value: &str) -> String {
    let assignment = format!("{name}={}", quoted(value));
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    let sets = |line: &String| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('='))
    };
    let offers = |line: &String| {
        line.strip_prefix('#').is_some_and(|rest| {
            rest.trim_start()
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        })
    };
    let position = lines
        .iter()
        .rposition(sets)
        .or_else(|| lines.iter().position(offers));
    match position.and_then(|at| lines.get_mut(at)) {
        Some(line) => *line = assignment,
        None => lines.push(assignment),
    }
    lines.join("\n") + "\n"
}

/// A value as both grammars read it back: plain where that is safe, else in single quotes.
fn quoted(value: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if value.chars().all(is_safe) {
        return value.to_owned();
    }
    if value.contains('\'') {
        let escaped = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('$', "\\$");
        return format!("\"{escaped}\"");
    }
    format!("'{value}'")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("AB=1", "A", "", "AB=1\nA=\n"),
            ("", "A", "it's $5", "A=\"it's \\$5\"\n"),
        ] {
            assert_eq!(set(text, name, value), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        use std::path::Path;
        for value in ["plain", "two words", "it's $5", "a#b", "", "x\"y"] {
            let text = set("", "A", value);
            let (rc, _) = super::super::shell_words::parse(&text, Path::new("rc"), &|_| None);
            assert_eq!(rc["A"].value, value, "{text}");
            let (env, _) = super::super::env_file::parse(&text, Path::new("env"), &|_| None);
            assert_eq!(env[0].value.as_deref(), Some(value), "{text}");
        }
    }
}
