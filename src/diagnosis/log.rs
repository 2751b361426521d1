//! Lines of a log as people read them: mongo's JSON in words, nothing secret, nothing endless, and
//! the lines that tell most first.

use serde_json::Value;

/// Longest line that is shown, in characters.
const LONGEST: usize = 240;

/// How many lines of a log are shown at most.
const LINES: usize = 30;

/// How many warnings and errors, and how many other lines, are shown of a log that tells them apart.
const SEVERE: usize = 5;
const LAST: usize = 5;

/// What stands in place of a user and a password.
const MASK: &str = "***";

/// One line.
#[must_use]
pub fn line(raw: &str) -> String {
    let text = masked(&structured(raw).map_or_else(|| raw.to_owned(), |entry| entry.text()));
    if text.chars().count() <= LONGEST {
        return text;
    }
    let begin: String = text.chars().take(LONGEST).collect();
    format!("{begin} …")
}

/// The lines that tell most, from the end of a log. Of a log that says how severe each line is, the
/// last warnings and errors come first and the last lines of any kind after them.
#[must_use]
pub fn telling(raw: &[String]) -> Vec<String> {
    let entries: Vec<(bool, &String)> = raw
        .iter()
        .map(|line| (structured(line).is_some_and(|e| e.is_severe()), line))
        .collect();
    if !raw.iter().any(|line| structured(line).is_some()) {
        let begin = raw.len().saturating_sub(LINES);
        return raw.iter().skip(begin).map(|raw| line(raw)).collect();
    }
    let last_begin = entries.len().saturating_sub(LAST);
    let severe = || {
        entries
            .iter()
            .take(last_begin)
            .filter(|(severe, _)| *severe)
    };
    let surplus = severe().count().saturating_sub(SEVERE);
    let last = entries.iter().skip(last_begin);
    let chosen = severe().skip(surplus).chain(last);
    chosen.map(|(_, raw)| line(raw)).collect()
}

/// A line of mongo's log.
struct Entry {
    severity: String,
    component: String,
    message: String,
    error: String,
}

impl Entry {
    fn is_severe(&self) -> bool {
        matches!(self.severity.as_str(), "W" | "E" | "F")
    }

    fn text(&self) -> String {
        let mut text = format!("{} {} {}", self.severity, self.component, self.message);
        if !self.error.is_empty() {
            text.push_str(": ");
            text.push_str(&self.error);
        }
        text
    }
}

fn structured(raw: &str) -> Option<Entry> {
    if !raw.starts_with('{') {
        return None;
    }
    let value: Value = serde_json::from_str(raw).ok()?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let attributes = value.get("attr");
    let error = ["error", "message", "reason", "msg"]
        .into_iter()
        .find_map(|key| attributes.and_then(|attributes| attributes.get(key)))
        .map(words)
        .unwrap_or_default();
    Some(Entry {
        severity: text("s")?,
        component: text("c")?,
        message: text("msg")?,
        error,
    })
}

/// The words in a value: a text, or the message of an error with its name.
fn words(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match (value, text("codeName"), text("errmsg").or(text("msg"))) {
        (Value::String(text), ..) => text.clone(),
        (_, Some(name), Some(message)) => format!("{name}: {message}"),
        (_, Some(text), None) | (_, None, Some(text)) => text.to_owned(),
        _ => value.to_string(),
    }
}

/// The text without users and passwords of URLs.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        let end = after.find(is_end).unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        // The last `@`: a password may hold one that nobody has encoded.
        match url.rsplit_once('@') {
            Some((_, place)) => {
                shown.push_str(MASK);
                shown.push('@');
                shown.push_str(place);
            }
            None => shown.push_str(url),
        }
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(severity: &str, component: &str, message: &str, attributes: &str) -> String {
        format!(
            r#"{{"t":{{"$date":"2026-01-01T00:00:00.000+00:00"}},"s":"{severity}","c":"{component}","id":1,"ctx":"main","msg":"{message}","attr":{attributes}}}"#
        )
    }

    #[test]
    fn mongo_speaks_in_words() {
        for (attributes, expected) in [
            (
                r#"{"error":"DBPathInUse: locked"}"#,
                "E STORAGE failed: DBPathInUse: locked",
            ),
            (
                r#"{"error":{"code":13,"codeName":"Unauthorized","errmsg":"no"}}"#,
                "E STORAGE failed: Unauthorized: no",
            ),
            (r#"{"port":1}"#, "E STORAGE failed"),
        ] {
            assert_eq!(line(&entry("E", "STORAGE", "failed", attributes)), expected);
        }
        assert_eq!(line("plain text"), "plain text");
        assert!(line(&"x".repeat(2000)).chars().count() < 260);
    }

    #[test]
    fn warnings_and_errors_come_first() {
        let mut raw = vec![entry("E", "STORAGE", "early", "{}")];
        raw.extend((0..6).map(|n| entry("W", "CONTROL", &format!("warned {n}"), "{}")));
        raw.extend((0..20).map(|n| entry("I", "NETWORK", &format!("told {n}"), "{}")));
        let shown = telling(&raw);
        assert_eq!(shown.len(), 10);
        assert_eq!(shown[0], "W CONTROL warned 1");
        assert_eq!(shown[4], "W CONTROL warned 5");
        assert_eq!(shown[9], "I NETWORK told 19");
        let plain: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        assert_eq!(telling(&plain).first().unwrap(), "20");
    }

    #[test]
    fn credentials_are_not_shown() {
        for (raw, expected) in [
            (
                "failed: mongodb://user:pa@ss@mongo:27017/db?x=1 refused",
                "failed: mongodb://***@mongo:27017/db?x=1 refused",
            ),
            (
                r#"{"a":"redis://:secret@redis/0","b":"https://site/x"}"#,
                r#"{"a":"redis://***@redis/0","b":"https://site/x"}"#,
            ),
            ("no url here", "no url here"),
        ] {
            assert_eq!(masked(raw), expected);
        }
        let raw = entry(
            "E",
            "NETWORK",
            "failed",
            r#"{"error":"at mongodb://u:p@h/"}"#,
        );
        assert_eq!(line(&raw), "E NETWORK failed: at mongodb://***@h/");
    }
}
