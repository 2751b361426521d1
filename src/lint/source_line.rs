//! A line of the operator's files as it may be shown: the values of secrets are left out, also
//! where a quoted value spans lines.

/// What stands in place of a secret.
const MASK: &str = "…";

/// Line `number` (from 1) of `text`, `None` past its end.
pub(super) fn shown(text: &str, number: usize, is_secret: &dyn Fn(&str) -> bool) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let at = number.checked_sub(1)?;
    let line = lines.get(at)?;
    if let Some(end) = end_of_secret_name(line, is_secret) {
        let (kept, _) = line.split_at(end);
        return Some(format!("{kept}{MASK}"));
    }
    if !assigns(line) && !is_comment(line) {
        // It may be the rest of a value that began further up.
        let opener = lines.get(..at)?.iter().rev().find(|line| assigns(line));
        let hides = |line: &&&str| end_of_secret_name(line, is_secret).is_some() && goes_on(line);
        if opener.filter(hides).is_some() {
            return Some(MASK.to_owned());
        }
    }
    Some(without_user(line))
}

/// Whether the line holds a secret, or may be the rest of one.
pub(super) fn is_hidden(text: &str, number: usize, is_secret: &dyn Fn(&str) -> bool) -> bool {
    shown(text, number, is_secret).is_some_and(|line| line.ends_with(MASK))
}

/// A text without the user and password of the URLs in it, well-formed or not.
pub(super) fn without_user(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || matches!(c, '`' | '"' | '\'');
    let words = text.split_inclusive(ends);
    words.map(word_without_user).collect()
}

fn word_without_user(word: &str) -> String {
    let Some((before, after)) = word.rsplit_once('@') else {
        return word.to_owned();
    };
    let start = match (before.find(":/"), before.rfind('=')) {
        (Some(at), _) => {
            let slashes = before.get(at + 1..).unwrap_or_default();
            before.len() - slashes.trim_start_matches('/').len()
        }
        (None, at) => at.map_or(0, |at| at + 1),
    };
    let (kept, user) = before.split_at(start);
    // A mail address has no password.
    if !user.contains(':') || user.starts_with("mailto:") {
        return word.to_owned();
    }
    format!("{kept}{MASK}@{after}")
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Whether the line begins with an assignment.
fn assigns(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let end = line
        .find(|c: char| !is_name_character(c))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    !name.is_empty() && rest.trim_start().starts_with(['=', ':', '+'])
}

/// Whether the value of the line goes on in the next one.
fn goes_on(line: &str) -> bool {
    let is_odd = |quote: char| line.matches(quote).count() % 2 == 1;
    is_odd('"') || is_odd('\'') || line.trim_end().ends_with('\\')
}

/// Where the value of the first secret on the line begins, in bytes.
fn end_of_secret_name(line: &str, is_secret: &dyn Fn(&str) -> bool) -> Option<usize> {
    line.char_indices()
        .filter(|(_, c)| matches!(c, '=' | ':'))
        .find_map(|(at, separator)| {
            let before = line.get(..at)?;
            let bare = before.trim_end().trim_end_matches('+');
            let start = bare
                .rfind(|c: char| !is_name_character(c))
                .map_or(0, |at| at + 1);
            let name = bare.get(start..)?;
            is_secret(name).then_some(at + separator.len_utf8())
        })
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, number: usize) -> Option<String> {
        shown(text, number, &|name| name.contains("PASS"))
    }

    #[test]
    fn the_value_of_a_secret_is_left_out() {
        for (text, number, expected) in [
            ("A=1\n", 1, "A=1"),
            ("export A_PASS = x\n", 1, "export A_PASS =…"),
            ("A=1 B_PASS+=x\n", 1, "A=1 B_PASS+=…"),
            ("PASS: x\n", 1, "PASS:…"),
            ("PASS=\"a\nb\"\nA=1\n", 2, "…"),
            ("PASS=\"a\nb\"\nA=1\n", 3, "A=1"),
            ("A=\"a\nb\"\n", 2, "b\""),
            ("PASS=x\nrest\n", 2, "rest"),
            ("# PASS=x\n", 1, "# PASS=…"),
            ("U=http://me:x@h/p\n", 1, "U=http://…@h/p"),
            ("U=http:/me:x/y@h\n", 1, "U=http:/…@h"),
            ("U=me:x@h\n", 1, "U=…@h"),
            ("U=me@h mailto:me@h\n", 1, "U=me@h mailto:me@h"),
        ] {
            assert_eq!(show(text, number).as_deref(), Some(expected), "{text:?}");
        }
        assert_eq!(show("A=1\n", 2), None);
    }
}
