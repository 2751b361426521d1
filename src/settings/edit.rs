//! Changes one value in the text of overleaf.rc or variables.env; comments and order stay.

/// The text with `name` set to `value`: the last line that sets it is changed and keeps its
/// indentation, `export` and comment; otherwise the first commented line `# NAME=` is replaced;
/// otherwise a line is added at the end. `value` is quoted where the file's grammar needs it.
#[must_use]
pub fn set(text: &str, name: &str, value: &str) -> String {
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
    let assignment = format!("{name}={}", quoted(value));
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
            ("  export A=1 # why\n", "A", "2", "  export A=2 # why\n"),
            ("A=1\r\nB=2\r\n", "A", "3", "A=3\r\nB=2\r\n"),
            ("A='x # y'\n", "A", "3", "A=3\n"),
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
