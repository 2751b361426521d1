//! The history as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::words::{self, Style};
use crate::history::Record;

/// The records for people, one line each, oldest first.
#[must_use]
pub fn table(records: &[Record], zone: UtcOffset) -> String {
    if records.is_empty() {
        return "nothing was done to this instance yet\n".to_owned();
    }
    let rows: Vec<[String; 6]> = records
        .iter()
        .map(|record| {
            [
                record.id.clone(),
                local(&record.started, zone),
                person(record),
                record.command.clone(),
                format!("{} of {}", record.done, record.steps.len()),
                result(record),
            ]
        })
        .collect();
    let head = ["ID", "BEGAN", "USER", "COMMAND", "STEPS", "RESULT"].map(ToOwned::to_owned);
    let all = || std::iter::once(&head).chain(&rows);
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = all().filter_map(|row| row.get(at));
            let width = width.map(|cell| cell.chars().count()).max().unwrap_or(0);
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One record for people.
#[must_use]
pub fn view(record: &Record, style: Style) -> String {
    let mut text = format!("{}  {}\n", record.id, record.command_line);
    text.push_str(&format!("began   {}\n", record.started));
    text.push_str(&format!(
        "by      {} on {}\n",
        person(record),
        record.by.machine
    ));
    text.push_str(&format!("result  {}\n", result(record)));
    if let Some(error) = &record.error {
        text.push_str(&format!("error   {error}\n"));
    }
    for ignored in &record.ignored {
        text.push_str(&format!("ignored {}: {}\n", ignored.check, ignored.reason));
    }
    text.push_str(&format!("toolkit {}\n", record.toolkit));
    text.push_str(&format!(
        "\n{}, {} done\n",
        words::count(record.steps.len(), "step"),
        record.done
    ));
    for step in &record.steps {
        let cause = match step.cause.as_str() {
            "" => String::new(),
            cause => style.dim(&format!("  ({cause})")),
        };
        text.push_str(&format!("  {}{cause}\n", step.title));
    }
    for change in &record.changes {
        text.push_str(&format!("\n{}", super::diff::styled(&change.diff, style)));
    }
    text
}

/// One record for machines.
#[must_use]
pub fn value(record: &Record) -> Value {
    let steps = record.steps.iter();
    let steps: Vec<Value> = steps
        .map(|step| json!({ "title": step.title, "cause": step.cause }))
        .collect();
    let changes = record.changes.iter();
    let changes: Vec<Value> = changes
        .map(|change| json!({ "file": change.file, "diff": change.diff }))
        .collect();
    let ignored = record.ignored.iter();
    let ignored: Vec<Value> = ignored
        .map(|ignored| json!({ "check": ignored.check, "reason": ignored.reason }))
        .collect();
    json!({
        "id": record.id,
        "command": record.command,
        "command_line": record.command_line,
        "by": {
            "user": record.by.user,
            "sudo_user": record.by.sudo_user,
            "machine": record.by.machine,
        },
        "started": record.started,
        "duration_ms": record.duration_ms,
        "steps": steps,
        "done": record.done,
        "changes": changes,
        "ignored": ignored,
        "result": record.result,
        "error": record.error,
        "exit_code": record.exit_code,
        "toolkit": record.toolkit,
        "hash": record.hash,
    })
}

fn person(record: &Record) -> String {
    match (&record.by.sudo_user, record.by.user.as_str()) {
        (Some(person), user) => format!("{person} as {user}"),
        (None, "") => "-".to_owned(),
        (None, user) => user.to_owned(),
    }
}

fn result(record: &Record) -> String {
    let after = record
        .duration_ms
        .map(|took| format!(" after {}", words::duration(Duration::from_millis(took))));
    let code = match record.exit_code {
        Some(0) | None => String::new(),
        Some(code) => format!(", exit {code}"),
    };
    format!("{}{}{code}", record.result, after.unwrap_or_default())
}

/// A time as people read it, in their zone.
pub(super) fn local(time: &str, zone: UtcOffset) -> String {
    match OffsetDateTime::parse(time, &Rfc3339) {
        Ok(time) => words::moment(time.to_offset(zone)),
        Err(_) => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Change, Step, Who};

    #[test]
    fn an_operation_is_shown_with_what_it_did() {
        let record = Record {
            id: "20260102T030405Z-1a2b3c".to_owned(),
            command: "up".to_owned(),
            command_line: "toolkit up -d".to_owned(),
            by: Who {
                user: "root".to_owned(),
                sudo_user: Some("ada".to_owned()),
                machine: "box".to_owned(),
            },
            started: "2026-01-02T03:04:05Z".to_owned(),
            duration_ms: Some(4200),
            steps: vec![Step {
                title: "start container `a`".to_owned(),
                cause: "it is stopped".to_owned(),
            }],
            done: 0,
            changes: vec![Change {
                file: "f".to_owned(),
                diff: "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b\n".to_owned(),
            }],
            result: "failed".to_owned(),
            error: Some("PORT_TAKEN: taken".to_owned()),
            exit_code: Some(6),
            toolkit: "0.1.0".to_owned(),
            ..Record::default()
        };
        insta::assert_snapshot!(view(&record, Style::default()), @r"
        20260102T030405Z-1a2b3c  toolkit up -d
        began   2026-01-02T03:04:05Z
        by      ada as root on box
        result  failed after 4.2s, exit 6
        error   PORT_TAKEN: taken
        toolkit 0.1.0

        1 step, 0 done
          start container `a`  (it is stopped)

        --- f
        +++ f
        @@ -1 +1 @@
        -a
        +b
        ");
        insta::assert_snapshot!(table(&[record], UtcOffset::UTC), @r"
        ID                       BEGAN                       USER         COMMAND  STEPS   RESULT
        20260102T030405Z-1a2b3c  2026-01-02 03:04:05 +00:00  ada as root  up       0 of 1  failed after 4.2s, exit 6
        ");
    }
}
