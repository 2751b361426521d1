//! What the server tells its operator: one JSON line per event, in the shape of a real server's
//! log, with its own numbers and texts. Knows events; must not know connections or commands.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde_json::Value;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

/// Something an operator may want to know.
#[derive(Debug)]
pub(super) enum Event<'a> {
    Starting {
        folder: &'a Path,
        replica_set: Option<&'a str>,
    },
    TornTail {
        bytes: usize,
    },
    Compacted {
        before: usize,
        after: usize,
    },
    Replayed {
        records: u64,
    },
    StartFailed {
        error: &'a str,
    },
    Listening {
        address: &'a str,
    },
    StateChanged {
        from: &'a str,
        to: &'a str,
    },
    Configured {
        set: &'a str,
        version: i32,
        members: &'a [String],
    },
    VersionSet {
        version: &'a str,
    },
    AcceptFailed {
        error: &'a str,
    },
    StorageFailed {
        error: &'a str,
    },
    CommandCrashed,
    ShuttingDown {
        reason: &'a str,
    },
    Stopped,
}

impl Event<'_> {
    /// Severity, component, number, text and attributes.
    fn parts(&self) -> (&'static str, &'static str, u32, &'static str, Value) {
        match self {
            Self::Starting {
                folder,
                replica_set,
            } => (
                "I",
                "CONTROL",
                1,
                "Toolkit bundled server starting: it speaks the protocol of MongoDB, but is not MongoDB",
                json!({"version": env!("CARGO_PKG_VERSION"), "dbPath": folder.display().to_string(), "replSet": replica_set}),
            ),
            Self::TornTail { bytes } => (
                "W",
                "STORAGE",
                10,
                "Cut off a write that an earlier stop interrupted before it was confirmed",
                json!({"bytes": bytes}),
            ),
            Self::Compacted { before, after } => (
                "I",
                "STORAGE",
                11,
                "Rewrote the operations file without outdated operations",
                json!({"bytesBefore": before, "bytesAfter": after}),
            ),
            Self::Replayed { records } => (
                "I",
                "STORAGE",
                12,
                "Data folder opened",
                json!({"records": records}),
            ),
            Self::StartFailed { error } => (
                "F",
                "STORAGE",
                13,
                "Cannot use the data folder",
                json!({"error": error}),
            ),
            Self::StorageFailed { error } => (
                "F",
                "STORAGE",
                14,
                "Cannot store a write: the server stops and confirms nothing more",
                json!({"error": error}),
            ),
            Self::Listening { address } => (
                "I",
                "NETWORK",
                20,
                "Waiting for connections",
                json!({"address": address}),
            ),
            Self::AcceptFailed { error } => (
                "W",
                "NETWORK",
                21,
                "Cannot accept a connection",
                json!({"error": error}),
            ),
            Self::StateChanged { from, to } => (
                "I",
                "REPL",
                30,
                "Replica set state transition",
                json!({"oldState": from, "newState": to}),
            ),
            Self::Configured {
                set,
                version,
                members,
            } => (
                "I",
                "REPL",
                31,
                "Replica set config in use",
                json!({"set": set, "version": version, "members": members}),
            ),
            Self::VersionSet { version } => (
                "I",
                "REPL",
                32,
                "Feature compatibility version set",
                json!({"version": version}),
            ),
            Self::CommandCrashed => (
                "F",
                "COMMAND",
                40,
                "A command failed in an unforeseen way: the server stops",
                json!({}),
            ),
            Self::ShuttingDown { reason } => (
                "I",
                "CONTROL",
                50,
                "Shutting down",
                json!({"reason": reason}),
            ),
            Self::Stopped => (
                "I",
                "CONTROL",
                51,
                "Stopped: all writes are on disk",
                json!({}),
            ),
        }
    }
}

/// Where the lines go. Clones write to the same place.
#[derive(Clone)]
pub(super) struct Log(Arc<Mutex<dyn Write + Send>>);

impl Log {
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Writes one line.
    pub(super) fn line(&self, event: &Event<'_>) {
        let line = line(bson::DateTime::now(), event);
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(
            clippy::let_underscore_must_use,
            reason = "a reader of the log that went away must not stop a database"
        )]
        let _ = writeln!(writer, "{line}").and_then(|()| writer.flush());
    }
}

/// An event as it is written, also used for the answer to `getLog`.
pub(super) fn line(at: bson::DateTime, event: &Event<'_>) -> String {
    let (severity, component, id, text, attributes) = event.parts();
    json!({
        "t": {"$date": timestamp(at)},
        "s": severity,
        "c": component,
        "id": id,
        "ctx": "main",
        "msg": text,
        "attr": attributes,
    })
    .to_string()
}

fn timestamp(at: bson::DateTime) -> String {
    let format = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+00:00"
    );
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.timestamp_millis()) * 1_000_000)
        .ok()
        .and_then(|at| at.format(format).ok())
        .unwrap_or_else(|| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_shape_of_a_real_servers_log() {
        let event = Event::StateChanged {
            from: "STARTUP",
            to: "PRIMARY",
        };
        insta::assert_snapshot!(
            line(bson::DateTime::from_millis(1_700_000_000_123), &event),
            @r#"{"t":{"$date":"2023-11-14T22:13:20.123+00:00"},"s":"I","c":"REPL","id":30,"ctx":"main","msg":"Replica set state transition","attr":{"oldState":"STARTUP","newState":"PRIMARY"}}"#
        );
    }
}
