//! Records of logs: for people, for machines, or as they were written.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};
use time::UtcOffset;
use time::format_description::well_known::Rfc3339;

use super::words::{self, Style};
use crate::logs::Record;
use crate::logs::brief::{Simple, brief};
use crate::logs::entry::{self, Details};
use crate::logs::level::Level;
use crate::logs::moment;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
    /// As they were written.
    Raw,
}

/// How records look.
#[derive(Debug, Clone)]
pub struct View {
    /// The form.
    pub form: Form,
    /// Names of the sources.
    pub services: Vec<String>,
    /// The zone of the reader.
    pub zone: UtcOffset,
    /// Colours.
    pub style: Style,
    /// Whether stacks and all fields are shown.
    pub is_verbose: bool,
}

/// Characters of the fields behind a message.
const FIELDS: usize = 160;

/// Width of a time.
const TIME: usize = 23;

impl View {
    /// Writes one record.
    pub fn write(&self, record: &Record, out: &mut Vec<u8>) {
        match self.form {
            Form::Raw => out.extend_from_slice(&record.text),
            Form::Json => {
                let line = json_line(record, self.service(record));
                out.extend_from_slice(line.as_bytes());
            }
            Form::Text => self.text(record, out),
        }
    }

    fn service(&self, record: &Record) -> &str {
        let name = self.services.get(record.source);
        name.map(String::as_str).unwrap_or_default()
    }

    fn text(&self, record: &Record, out: &mut Vec<u8>) {
        // Faster than `from_utf8_lossy` where it is what nearly all is.
        let text = match std::str::from_utf8(&record.text) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(&record.text),
        };
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let begin = out.len();
        let is_one = !self.is_verbose && lines.next().is_none();
        if let Some(brief) = is_one.then(|| brief(first)).flatten() {
            self.first(record, &brief.message, out);
            let fields = brief.fields.iter();
            let fields = fields.map(|(name, value)| (name.as_ref(), value));
            self.fields(short_fields(fields), out);
            end_line(begin, out);
            return;
        }
        let details = entry::details(&record.text);
        self.first(record, &details.message, out);
        if !self.is_verbose {
            let simple = details
                .fields
                .iter()
                .filter(|(_, value)| !is_nested(value))
                .map(|(name, value)| (name.as_str(), value));
            self.fields(short_fields(simple), out);
        }
        end_line(begin, out);
        self.behind(&details, out);
    }

    /// Time, level, service and message.
    fn first(&self, record: &Record, message: &str, out: &mut Vec<u8>) {
        let mut time = Vec::with_capacity(TIME);
        if let Some(moment) = record.time {
            moment::write_local(moment, self.zone, &mut time);
        }
        time.resize(TIME.max(time.len()), b' ');
        match (self.style.color, std::str::from_utf8(&time)) {
            (true, Ok(time)) => out.extend_from_slice(self.style.dim(time).as_bytes()),
            _ => out.extend_from_slice(&time),
        }
        out.extend_from_slice(b"  ");
        self.level(record.level, out);
        out.extend_from_slice(b"  ");
        let service = self.service(record);
        out.extend_from_slice(service.as_bytes());
        let widths = self.services.iter().map(|name| width(name));
        let blanks = widths.max().unwrap_or(0).saturating_sub(width(service));
        out.resize(out.len() + blanks, b' ');
        out.extend_from_slice(b"  ");
        out.extend_from_slice(clean(message).as_bytes());
    }

    /// The fields behind the message.
    fn fields(&self, fields: String, out: &mut Vec<u8>) {
        if fields.is_empty() {
            return;
        }
        out.extend_from_slice(b"  ");
        let fields = match self.style.color {
            true => self.style.dim(&fields),
            false => fields,
        };
        out.extend_from_slice(fields.as_bytes());
    }

    fn level(&self, level: Option<Level>, out: &mut Vec<u8>) {
        let Some(level) = level else {
            out.extend_from_slice(b"     ");
            return;
        };
        let padded = |out: &mut Vec<u8>| {
            // Writing into memory does not fail.
            let _ = write!(out, "{level:<5}");
        };
        if !self.style.color || level < Level::WARN {
            return padded(out);
        }
        let mut word = Vec::new();
        padded(&mut word);
        let word = String::from_utf8_lossy(&word);
        let painted = match level >= Level::ERROR {
            true => self.style.red(&word),
            false => self.style.yellow(&word),
        };
        out.extend_from_slice(painted.as_bytes());
    }

    /// The lines behind the first: the error, all fields, further lines.
    fn behind(&self, details: &Details, out: &mut Vec<u8>) {
        let mut line = |line: &str| {
            out.extend_from_slice(b"    ");
            out.extend_from_slice(clean(line).as_bytes());
            out.push(b'\n');
        };
        if self.is_verbose {
            for (name, value) in &details.fields {
                line(&format!("{name}: {}", shown(value)));
            }
        }
        let mut folded = |first: &str, rest: &[String]| {
            if self.is_verbose {
                line(first);
                rest.iter().for_each(|other| line(other));
            } else if rest.is_empty() {
                line(first);
            } else {
                let count = words::count(rest.len(), "more line");
                line(&format!("{first} ({count}, -v shows all)"));
            }
        };
        if let Some((first, stack)) = &details.error {
            folded(first, stack);
        }
        if let Some((first, rest)) = details.more.split_first() {
            folded(first, rest);
        }
    }
}

/// A line as it may stand on a terminal: what is no text is shown by its number.
fn clean(text: &str) -> Cow<'_, str> {
    // 0xc2 begins the control characters beyond ASCII, and others.
    let is_plain = |byte: u8| (byte >= 0x20 && byte != 0x7f && byte != 0xc2) || byte == b'\t';
    // Without an early end it goes many bytes at a time.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return Cow::Borrowed(text);
    }
    let is_odd = |c: char| c.is_control() && c != '\t';
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if is_odd(character) {
            // Writing into a text does not fail.
            let _ = write!(clean, "\\x{:02x}", u32::from(character));
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_) | Value::Null)
}

/// The value of a simple field.
trait Shown {
    fn show(&self, text: &mut String);
}

impl Shown for Value {
    fn show(&self, text: &mut String) {
        text.push_str(&shown(self));
    }
}

impl Shown for Simple<'_> {
    fn show(&self, text: &mut String) {
        // Writing into a text does not fail.
        let _ = match self {
            Simple::Text(value) => text.write_str(value),
            Simple::Number(number) => write!(text, "{number}"),
            Simple::Truth(truth) => write!(text, "{truth}"),
            Simple::Other => Ok(()),
        };
    }
}

/// The simple fields, as many as have room.
fn short_fields<'a, V: Shown + 'a>(fields: impl Iterator<Item = (&'a str, &'a V)>) -> String {
    let (mut text, mut length, mut field) = (String::new(), 0, String::new());
    for (name, value) in fields {
        field.clear();
        field.push_str(name);
        field.push('=');
        value.show(&mut field);
        let field = clean(&field);
        let own = width(&field);
        if length + own > FIELDS {
            continue;
        }
        if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(&field);
        length += own;
    }
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Ends the line that begins there, without blanks before its end.
fn end_line(begin: usize, out: &mut Vec<u8>) {
    if !out.last().is_some_and(u8::is_ascii_graphic) {
        let line = out.get(begin..).unwrap_or_default();
        let length = String::from_utf8_lossy(line).trim_end().len();
        out.truncate(begin + length);
    }
    out.push(b'\n');
}

fn json_line(record: &Record, service: &str) -> String {
    let Details {
        mut message,
        error,
        mut fields,
        more,
    } = entry::details(&record.text);
    for line in more {
        message.push('\n');
        message.push_str(&line);
    }
    if let Some((message, stack)) = error {
        fields.insert(
            "err".to_owned(),
            json!({ "message": message, "stack": stack }),
        );
    }
    let time = record.time.map(moment::to_time);
    let time = time.and_then(|time| time.format(&Rfc3339).ok());
    let level = record.level.map(|level| level.to_string());
    let line = json!({
        "ts": time,
        "service": service,
        "level": level,
        "message": message,
        "fields": fields,
    });
    format!("{line}\n")
}

/// Bytes that are written at once.
const BATCH: usize = 64 << 10;

/// Writes records.
#[derive(Debug)]
pub struct Printer<W> {
    view: View,
    out: W,
    batch: Vec<u8>,
    /// The source of the last record, if that has no end.
    open: Option<usize>,
}

impl<W: Write> Printer<W> {
    /// Writes to `out`.
    pub fn new(view: View, out: W) -> Self {
        Self {
            view,
            out,
            batch: Vec::new(),
            open: None,
        }
    }

    /// Another source joins, at the end of the list.
    pub fn join(&mut self, service: String) {
        self.view.services.push(service);
    }

    /// Writes a record, or keeps it for a moment.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print(&mut self, record: &Record) -> io::Result<()> {
        // The last line of a file may have no end; another source does not go on with it.
        if self.open.is_some_and(|source| source != record.source) {
            self.batch.push(b'\n');
        }
        self.view.write(record, &mut self.batch);
        let is_open = !self.batch.ends_with(b"\n");
        self.open = is_open.then_some(record.source);
        if self.batch.len() >= BATCH {
            return self.flush();
        }
        Ok(())
    }

    /// Writes what is kept.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.batch)?;
        self.batch.clear();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        let head = entry::head(text.lines().next().unwrap().as_bytes());
        Record {
            source: 0,
            time: head.time,
            level: head.level,
            text: text.as_bytes().to_vec(),
        }
    }

    fn written(form: Form, is_verbose: bool, text: &str) -> String {
        let view = View {
            form,
            services: vec!["web".to_owned(), "redis".to_owned()],
            zone: UtcOffset::from_hms(2, 0, 0).unwrap(),
            style: Style::default(),
            is_verbose,
        };
        let mut out = Vec::new();
        view.write(&record(text), &mut out);
        String::from_utf8(out).unwrap()
    }

    const ERROR: &str = "{\"name\":\"web\",\"hostname\":\"h\",\"pid\":1,\"level\":50,\"err\":{\"message\":\"no\",\"stack\":\"Error: no\\n    at a\\n    at b\"},\"projectId\":\"p1\",\"req\":{\"url\":\"/\"},\"msg\":\"it failed\",\"time\":\"2026-11-21T18:41:40.500Z\",\"v\":0}\n";

    #[test]
    fn a_record_is_one_line_with_its_stack_folded() {
        assert_eq!(
            written(Form::Text, false, ERROR),
            "2026-11-21 20:41:40.500  error  web    it failed  projectId=p1\n    Error: no (2 more lines, -v shows all)\n"
        );
        assert_eq!(
            written(Form::Text, true, ERROR),
            "2026-11-21 20:41:40.500  error  web    it failed\n    projectId: p1\n    req: {\"url\":\"/\"}\n    Error: no\n        at a\n        at b\n"
        );
    }

    #[test]
    fn what_is_no_text_does_not_reach_the_terminal() {
        assert_eq!(
            written(Form::Text, false, "a\u{1b}[2Jb\n"),
            "                                web    a\\x1b[2Jb\n"
        );
    }

    #[test]
    fn machines_get_one_object() {
        assert_eq!(
            written(Form::Json, false, ERROR),
            "{\"ts\":\"2026-11-21T18:41:40.5Z\",\"service\":\"web\",\"level\":\"error\",\"message\":\"it failed\",\"fields\":{\"projectId\":\"p1\",\"req\":{\"url\":\"/\"},\"err\":{\"message\":\"Error: no\",\"stack\":[\"    at a\",\"    at b\"]}}}\n"
        );
        assert_eq!(
            written(Form::Json, false, "plain\n"),
            "{\"ts\":null,\"service\":\"web\",\"level\":null,\"message\":\"plain\",\"fields\":{}}\n"
        );
    }

    #[test]
    fn raw_is_what_was_written() {
        assert_eq!(written(Form::Raw, false, ERROR), ERROR);
        assert_eq!(written(Form::Raw, true, "a\u{1b}"), "a\u{1b}");
    }

    #[test]
    fn a_line_without_an_end_ends_before_another_source() {
        let view = View {
            form: Form::Raw,
            services: Vec::new(),
            zone: UtcOffset::UTC,
            style: Style::default(),
            is_verbose: false,
        };
        let mut printer = Printer::new(view, Vec::new());
        for (source, text) in [(0, "a"), (0, "b"), (1, "c\n"), (0, "d")] {
            let record = Record {
                source,
                ..record(text)
            };
            printer.print(&record).unwrap();
        }
        printer.flush().unwrap();
        assert_eq!(printer.out, b"ab\nc\nd");
    }
}
