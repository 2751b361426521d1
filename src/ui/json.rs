//! Answers for machines: documents with a schema, and one event per line. Fields are only added
//! within a version of a schema.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::failure::Failure;
use crate::event::Event;
use crate::settings::problem::{Problem, ProblemKind};

/// A successful answer.
#[must_use]
pub fn document(schema: &str, data: &Value, warnings: &[String]) -> String {
    format!(
        "{}\n",
        json!({ "schema": schema, "ok": true, "data": data, "warnings": warnings })
    )
}

/// The answer of a check that found something which is an error: the findings, and the failure that
/// the exit code stands for.
#[must_use]
pub fn refusal(schema: &str, data: &Value, failure: &Failure) -> String {
    refusal_with(schema, data, failure, &[])
}

/// As [`refusal`], with warnings.
#[must_use]
pub fn refusal_with(schema: &str, data: &Value, failure: &Failure, warnings: &[String]) -> String {
    let error = json!({
        "id": failure.id, "exit": failure.exit_code, "message": failure.message,
    });
    format!(
        "{}\n",
        json!({ "schema": schema, "ok": false, "data": data, "error": error, "warnings": warnings })
    )
}

/// A failure.
#[must_use]
pub fn failure(failure: &Failure) -> String {
    let fixes = failure
        .fixes
        .iter()
        .map(|fix| json!({ "text": fix.text, "command": fix.command }));
    let problems: Vec<Value> = failure
        .problems
        .iter()
        .map(|(problem, _)| problem_value(problem))
        .collect();
    let place = failure
        .problems
        .first()
        .and_then(|(problem, _)| problem.place.as_ref());
    let place = place.map(|at| json!({ "file": at.file, "line": at.line, "column": at.column }));
    let error = json!({
        "id": failure.id,
        "exit": failure.exit_code,
        "message": failure.message,
        "causes": failure.causes,
        "state": failure.state,
        "where": place,
        "fix": fixes.collect::<Vec<Value>>(),
        "problems": problems,
        "log": failure.log,
    });
    format!(
        "{}\n",
        json!({ "schema": "toolkit.error/v1", "ok": false, "error": error })
    )
}

/// One problem of a file.
#[must_use]
pub fn problem_value(problem: &Problem) -> Value {
    let place = problem.place.as_ref();
    json!({
        "severity": match problem.kind {
            ProblemKind::Error => "error",
            ProblemKind::Warning => "warning",
        },
        "message": problem.text,
        "where": place.map(|at| json!({ "file": at.file, "line": at.line, "column": at.column })),
        "fix": problem.advice,
    })
}

/// Turns the events of one operation into lines.
#[derive(Debug)]
pub struct EventLines {
    operation: String,
    sequence: u64,
    now: fn() -> OffsetDateTime,
}

impl EventLines {
    /// Starts; `now` tells the time of an event.
    #[must_use]
    pub fn new(operation: &str, now: fn() -> OffsetDateTime) -> Self {
        Self {
            operation: operation.to_owned(),
            sequence: 0,
            now,
        }
    }

    /// The line of an event.
    pub fn line(&mut self, event: &Event) -> String {
        self.sequence += 1;
        let mut line = json!({
            "ts": (self.now)().to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default(),
            "op": self.operation,
            "seq": self.sequence,
        });
        let fields = fields(event);
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields);
        }
        format!("{line}\n")
    }
}

fn fields(event: &Event) -> Value {
    let milliseconds =
        |elapsed: &std::time::Duration| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    match event {
        Event::Started { steps } => json!({ "event": "started", "steps": steps }),
        Event::StepStarted {
            number,
            steps,
            title,
            cause,
            service,
        } => json!({
            "event": "step-started", "number": number, "steps": steps, "title": title, "cause": cause,
            "service": service,
        }),
        Event::StepFinished {
            number,
            steps,
            title,
            elapsed,
            service,
        } => json!({
            "event": "step-finished", "number": number, "steps": steps, "title": title,
            "elapsed_ms": milliseconds(elapsed), "service": service,
        }),
        Event::Transfer {
            number,
            what,
            done,
            total,
        } => json!({
            "event": "transfer", "number": number, "what": what, "bytes": done,
            "total_bytes": total,
        }),
        Event::Waiting {
            service,
            what,
            elapsed,
            last_log_line,
        } => json!({
            "event": "waiting", "service": service, "for": what, "elapsed_ms": milliseconds(elapsed),
            "last_log_line": last_log_line,
        }),
        Event::Ready { service, elapsed } => {
            json!({ "event": "ready", "service": service, "elapsed_ms": milliseconds(elapsed) })
        }
        Event::Warning { text } => json!({ "event": "warning", "text": text }),
        Event::Note { text } => json!({ "event": "note", "text": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn an_event_is_one_line() {
        let mut lines = EventLines::new("up", || datetime!(2026-01-02 03:04:05 UTC));
        assert_eq!(
            lines.line(&Event::Started { steps: 3 }),
            "{\"ts\":\"2026-01-02T03:04:05Z\",\"op\":\"up\",\"seq\":1,\"event\":\"started\",\"steps\":3}\n"
        );
    }
}
