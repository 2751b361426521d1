//! What a line says about itself: its time, its level, its message. Understood are bunyan's and
//! mongo's JSON, the forms of nginx and redis, and lines that begin with a time.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::Moment;
use super::level::Level;
use super::moment::{Scanner, combined};

/// What is needed to order and choose lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// When it was written.
    pub time: Option<Moment>,
    /// Its level.
    pub level: Option<Level>,
    /// Where its message begins; 0 when it is not told from the rest.
    pub message_at: usize,
}

impl Head {
    /// Whether a record begins with the line; otherwise it goes on with the one before.
    #[must_use]
    pub fn begins(&self) -> bool {
        self.time.is_some() || self.level.is_some()
    }
}

/// A record in parts, for people.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// What is said.
    pub message: String,
    /// The message of its error, and the lines of its stack.
    pub error: Option<(String, Vec<String>)>,
    /// Everything else.
    pub fields: Map<String, Value>,
    /// Further lines.
    pub more: Vec<String>,
}

/// Fields of bunyan that are shown elsewhere or are the same in every line.
pub(super) const OWN_FIELDS: [&str; 11] = [
    "name",
    "hostname",
    "pid",
    "level",
    "severity",
    "msg",
    "message",
    "time",
    "timestamp",
    "v",
    "err",
];

/// How far a level is looked for behind a time.
const LEVEL_WITHIN: usize = 80;

/// Reads the head of a line.
#[must_use]
pub fn head(line: &[u8]) -> Head {
    match line.first() {
        Some(b'{') => serde_json::from_slice::<JsonHead>(line)
            .map(|found| found.0)
            .unwrap_or_default(),
        Some(first) if first.is_ascii_digit() => digits(line),
        Some(b'[') => leading_time(line.get(1..).unwrap_or_default(), 1),
        Some(first) if first.is_ascii_hexdigit() || *first == b':' => access(line),
        _ => Head::default(),
    }
}

fn digits(line: &[u8]) -> Head {
    let found = leading_time(line, 0);
    if found.begins() {
        return found;
    }
    nginx_error(line)
        .or_else(|| redis(line))
        .unwrap_or_else(|| access(line))
}

/// A line that begins with a time and names its level soon after.
fn leading_time(line: &[u8], before: usize) -> Head {
    let mut scanner = Scanner::new(line);
    let Some(time) = scanner.moment(b'-') else {
        return Head::default();
    };
    let rest = scanner.rest();
    let rest = rest.strip_prefix(b"]").unwrap_or(rest);
    let message_at = before + line.len() - rest.len();
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    let near = rest.get(..LEVEL_WITHIN).unwrap_or(rest);
    let mut words = near.split(|byte| !byte.is_ascii_alphanumeric());
    let level = words.find_map(|word| {
        let is_loud = word.iter().all(u8::is_ascii_uppercase);
        let word = std::str::from_utf8(word).ok()?;
        // A small `error` in a sentence is a word, in brackets it is a level.
        let is_quoted = || {
            let quoted = format!("[{word}]");
            memchr::memmem::find(near, quoted.as_bytes()).is_some()
        };
        (word.len() > 2 && (is_loud || is_quoted()))
            .then(|| Level::of_word(word))
            .flatten()
    });
    Head {
        time: Some(time),
        level,
        message_at: message_at + blanks,
    }
}

/// `2026/11/21 18:41:40 [error] 12#12: *1 text`.
fn nginx_error(line: &[u8]) -> Option<Head> {
    let mut scanner = Scanner::new(line);
    let time = scanner.moment(b'/')?;
    scanner.byte(b" ")?;
    scanner.byte(b"[")?;
    let rest = scanner.rest();
    let end = memchr::memchr(b']', rest)?;
    let (word, rest) = rest.split_at_checked(end)?;
    Some(Head {
        time: Some(time),
        level: Level::of_word(std::str::from_utf8(word).ok()?),
        message_at: line.len() - rest.len().saturating_sub(2),
    })
}

/// `1:M 21 Nov 2026 18:41:40.123 * text`.
fn redis(line: &[u8]) -> Option<Head> {
    let colon = line.iter().take(12).position(|byte| *byte == b':')?;
    let (process, rest) = line.split_at_checked(colon)?;
    if !process.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut scanner = Scanner::new(rest);
    scanner.byte(b":")?;
    scanner.byte(b"MSCX")?;
    scanner.byte(b" ")?;
    let day = scanner.digits(2)?;
    scanner.byte(b" ")?;
    let month = scanner.month()?;
    scanner.byte(b" ")?;
    let year = scanner.digits(4)?;
    scanner.byte(b" ")?;
    let clock = scanner.clock()?;
    scanner.byte(b" ")?;
    let level = match scanner.byte(b".-*#")? {
        b'.' => Level(20),
        b'-' => Level(10),
        b'#' => Level::WARN,
        _ => Level::INFO,
    };
    let rest = scanner.rest();
    Some(Head {
        time: combined(year, month, day, clock, 0),
        level: Some(level),
        message_at: line.len() - rest.len().saturating_sub(1),
    })
}

/// `1.2.3.4 - - [21/Nov/2026:18:41:40 +0000] "GET / HTTP/1.1" …`.
fn access(line: &[u8]) -> Head {
    let read = || {
        let open = line.iter().take(256).position(|byte| *byte == b'[')?;
        let mut scanner = Scanner::new(line.get(open + 1..)?);
        let day = scanner.digits(2)?;
        scanner.byte(b"/")?;
        let month = scanner.month()?;
        scanner.byte(b"/")?;
        let year = scanner.digits(4)?;
        scanner.byte(b":")?;
        let clock = scanner.clock()?;
        scanner.byte(b" ")?;
        let zone = scanner.zone()?;
        combined(year, month, day, clock, zone)
    };
    let time = read();
    Head {
        time,
        level: time.map(|_| Level::INFO),
        message_at: 0,
    }
}

/// The head of a line in JSON.
struct JsonHead(Head);

enum Key {
    Time,
    Level,
    Severity,
    Date,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl Visitor<'_> for Keys {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "time" | "timestamp" | "@timestamp" | "ts" | "t" => Key::Time,
                    "level" => Key::Level,
                    "severity" | "s" => Key::Severity,
                    "$date" => Key::Date,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_identifier(Keys)
    }
}

/// A time: a text, or mongo's object around one.
struct JsonTime(Option<Moment>);

impl<'de> Deserialize<'de> for JsonTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Times;
        impl<'de> Visitor<'de> for Times {
            type Value = JsonTime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }
            fn visit_str<E>(self, text: &str) -> Result<JsonTime, E> {
                Ok(JsonTime(Scanner::new(text.as_bytes()).moment(b'-')))
            }
            fn visit_u64<E>(self, _: u64) -> Result<JsonTime, E> {
                Ok(JsonTime(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<JsonTime, E> {
                Ok(JsonTime(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<JsonTime, E> {
                Ok(JsonTime(None))
            }
            fn visit_bool<E>(self, _: bool) -> Result<JsonTime, E> {
                Ok(JsonTime(None))
            }
            fn visit_unit<E>(self) -> Result<JsonTime, E> {
                Ok(JsonTime(None))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<JsonTime, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(JsonTime(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<JsonTime, A::Error> {
                let mut time = None;
                while let Some(key) = fields.next_key::<Key>()? {
                    match key {
                        Key::Date => time = fields.next_value::<JsonTime>()?.0,
                        _ => {
                            fields.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(JsonTime(time))
            }
        }
        deserializer.deserialize_any(Times)
    }
}

impl<'de> Deserialize<'de> for JsonHead {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Heads;
        impl<'de> Visitor<'de> for Heads {
            type Value = JsonHead;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<JsonHead, A::Error> {
                let mut head = Head::default();
                while let Some(key) = fields.next_key::<Key>()? {
                    match key {
                        Key::Time => head.time = fields.next_value::<JsonTime>()?.0.or(head.time),
                        Key::Level => head.level = level(&fields.next_value()?).or(head.level),
                        // bunyan's own number is more exact where there are both.
                        Key::Severity => {
                            head.level = head.level.or(level(&fields.next_value()?));
                        }
                        Key::Date | Key::Other => {
                            fields.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(JsonHead(head))
            }
        }
        deserializer.deserialize_map(Heads)
    }
}

/// A number, a word, or one of mongo's letters.
fn level(value: &Value) -> Option<Level> {
    match value {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok().map(Level),
        Value::String(word) => match word.as_str() {
            "F" => Some(Level::FATAL),
            "E" => Some(Level::ERROR),
            "W" => Some(Level::WARN),
            "I" => Some(Level::INFO),
            word if word.starts_with('D') && word.len() <= 2 => Some(Level(20)),
            word => Level::of_word(word),
        },
        _ => None,
    }
}

/// Takes a record apart.
#[must_use]
pub fn details(text: &[u8]) -> Details {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut details = json_details(first).unwrap_or_else(|| {
        let at = head(first.as_bytes()).message_at;
        Details {
            message: first.get(at..).unwrap_or(first).to_owned(),
            ..Details::default()
        }
    });
    details.more = lines.map(ToOwned::to_owned).collect();
    details
}

fn json_details(line: &str) -> Option<Details> {
    if !line.starts_with('{') {
        return None;
    }
    let mut fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let mut details = Details::default();
    if fields.contains_key("t") && fields.contains_key("s") {
        details.message = take_text(&mut fields, "msg");
        for name in ["t", "s", "ctx", "id", "svc"] {
            fields.shift_remove(name);
        }
        if let Some(Value::Object(attributes)) = fields.shift_remove("attr") {
            fields.extend(attributes);
        }
        details.error = error(fields.get("error"));
        details.fields = fields;
        return Some(details);
    }
    if !fields.contains_key("msg") && !fields.contains_key("message") {
        return None;
    }
    details.message = take_text(&mut fields, "msg");
    if details.message.is_empty() {
        details.message = take_text(&mut fields, "message");
    }
    details.error = error(fields.get("err")).or_else(|| {
        let found = error(fields.get("error"))?;
        fields.shift_remove("error");
        Some(found)
    });
    for name in OWN_FIELDS {
        fields.shift_remove(name);
    }
    details.fields = fields;
    Some(details)
}

fn take_text(fields: &mut Map<String, Value>, name: &str) -> String {
    match fields.shift_remove(name) {
        Some(Value::String(text)) => text,
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Message and stack of an error.
fn error(value: Option<&Value>) -> Option<(String, Vec<String>)> {
    let text = |name: &str| value?.get(name)?.as_str().map(Cow::Borrowed);
    let stack = text("stack").unwrap_or_default();
    let mut lines = stack.lines().map(ToOwned::to_owned);
    let first = lines.next();
    let message = match (text("message"), first, value) {
        (_, Some(first), _) => first,
        (Some(message), None, _) => message.into_owned(),
        (None, None, Some(Value::String(text))) => text.clone(),
        _ => return None,
    };
    Some((message, lines.collect()))
}

#[cfg(test)]
mod tests {
    use super::super::moment::of;
    use super::*;
    use time::macros::datetime;

    #[test]
    fn every_form_tells_its_time_and_level() {
        let time = datetime!(2026-11-21 18:41:40.5 UTC);
        let second = datetime!(2026-11-21 18:41:40 UTC);
        for (line, time, level) in [
            (
                r#"{"name":"web","hostname":"h","pid":1,"level":50,"err":{"message":"x"},"msg":"m","time":"2026-11-21T18:41:40.500Z","v":0}"#,
                Some(time),
                Some(Level::ERROR),
            ),
            (
                r#"{"t":{"$date":"2026-11-21T18:41:40.500+00:00"},"s":"W","c":"NETWORK","id":1,"msg":"m","attr":{"s":1}}"#,
                Some(time),
                Some(Level::WARN),
            ),
            (
                r#"{"severity":"INFO","message":"m","timestamp":"2026-11-21T18:41:40.5Z","t":[1,{"a":2}]}"#,
                Some(time),
                Some(Level::INFO),
            ),
            (
                "1:M 21 Nov 2026 18:41:40.500 # text",
                Some(time),
                Some(Level::WARN),
            ),
            (
                "2026/11/21 18:41:40 [crit] 1#2: *3 text",
                Some(second),
                Some(Level::FATAL),
            ),
            (
                "10.0.0.1 - - [21/Nov/2026:20:41:40 +0200] \"GET / HTTP/1.1\" 200 1",
                Some(second),
                Some(Level::INFO),
            ),
            (
                "::1 - - [21/Nov/2026:18:41:40 +0000] \"GET /\"",
                Some(second),
                Some(Level::INFO),
            ),
            (
                "2026-11-21 18:41:40,500 [main] ERROR u.a.B - text",
                Some(time),
                Some(Level::ERROR),
            ),
            (
                "[2026-11-21T18:41:40.5Z] text without error",
                Some(time),
                None,
            ),
            (
                "2026-11-21T18:41:40.5Z [error] text",
                Some(time),
                Some(Level::ERROR),
            ),
            ("    at f (file.js:1:2)", None, None),
            ("{ not JSON", None, None),
            ("21 things", None, None),
            ("", None, None),
        ] {
            let found = head(line.as_bytes());
            assert_eq!((found.time, found.level), (time.map(of), level), "{line}");
        }
    }

    #[test]
    fn a_message_begins_behind_the_head() {
        for (line, message) in [
            ("1:M 21 Nov 2026 18:41:40.500 * text", "text"),
            ("2026/11/21 18:41:40 [error] 1#2: *3 text", "1#2: *3 text"),
            ("2026-11-21T18:41:40.5Z  [error] text", "[error] text"),
            ("[2026-11-21 18:41:40.5] INFO text", "INFO text"),
            ("plain", "plain"),
        ] {
            assert_eq!(details(line.as_bytes()).message, message);
        }
    }

    #[test]
    fn json_is_taken_apart() {
        let line = br#"{"name":"web","level":50,"err":{"message":"no","stack":"Error: no\n  at a\n  at b"},"projectId":"p","msg":"failed","time":"x","v":0}
more
"#;
        let found = details(line);
        assert_eq!(found.message, "failed");
        let stack = vec!["  at a".to_owned(), "  at b".to_owned()];
        assert_eq!(found.error, Some(("Error: no".to_owned(), stack)));
        assert_eq!(found.fields.keys().collect::<Vec<_>>(), ["projectId"]);
        assert_eq!(found.more, ["more"]);
        let mongo =
            br#"{"t":{"$date":"x"},"s":"I","c":"C","id":1,"ctx":"main","msg":"m","attr":{"a":1}}"#;
        let found = details(mongo);
        assert_eq!(found.message, "m");
        assert_eq!(found.fields.keys().collect::<Vec<_>>(), ["c", "a"]);
    }
}
