//! What was done to an instance: one record per operation, each with the hash of the one before,
//! so that a record that was changed or taken out is found.
//!
//! `.toolkit/history.jsonl` holds one record per line and only grows. Knows nothing of plans.

mod file;

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::host;
use crate::host::HostError;
use crate::host::durable;
use crate::host::durable::AppendFile;

pub use file::{Change, Ignored, Record, Step, Who};

/// The version of the format that this program writes and the newest that it reads.
pub const FORMAT: u64 = 1;

/// Why the history cannot be used.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A record is not what it was when it was written, or one before it is gone.
    #[error("record {line} of `{}` {what}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The record's line, from 1.
        line: usize,
        /// Its identifier, where it can be read.
        id: Option<String>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A newer program wrote it.
    #[error("record {line} of `{}` has a newer format than this program reads", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The record's line, from 1.
        line: usize,
    },
}

/// The file of an instance.
#[must_use]
pub fn file_of(state: &Path) -> PathBuf {
    state.join("history.jsonl")
}

/// Adds a record; its `format`, `previous` and `hash` are filled in. Others who do so wait meanwhile.
///
/// # Errors
/// The file cannot be written.
pub fn record(state: &Path, record: &Record) -> Result<(), HistoryError> {
    let path = file_of(state);
    let mut file = AppendFile::open_alone(&path)?;
    let lines = durable::whole_lines(&path)?.unwrap_or_default();
    let mut record = record.clone();
    record.format = FORMAT;
    record.previous = lines.last().map(|line| hash(line)).unwrap_or_default();
    record.hash = String::new();
    let sealed = serde_json::to_value(&record).unwrap_or_default();
    record.hash = hash(&sealed.to_string());
    let line = serde_json::to_string(&record).unwrap_or_default();
    file.append(&line)?;
    Ok(())
}

/// Looks whether a record can be added.
///
/// # Errors
/// The file cannot be opened for that.
pub fn writable(state: &Path) -> Result<(), HistoryError> {
    AppendFile::open_alone(&file_of(state))?;
    Ok(())
}

/// All records, oldest first.
///
/// # Errors
/// The file cannot be read, or a record is not what it was.
pub fn read(state: &Path) -> Result<Vec<Record>, HistoryError> {
    let path = file_of(state);
    let lines = durable::whole_lines(&path)?.unwrap_or_default();
    let mut records = Vec::new();
    let mut previous = String::new();
    for (at, text) in lines.iter().enumerate() {
        let line = at + 1;
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let id = value.get("id").and_then(Value::as_str);
        let broken = |what| HistoryError::Broken {
            path: path.clone(),
            line,
            id: id.map(ToOwned::to_owned),
            what,
        };
        if value.get("format").and_then(Value::as_u64) > Some(FORMAT) {
            return Err(HistoryError::Newer { path, line });
        }
        if !is_sealed(&value) {
            return Err(broken("was changed after it was written"));
        }
        if value.get("previous").and_then(Value::as_str) != Some(&previous) {
            return Err(broken("does not follow the one before it"));
        }
        let read = serde_json::from_value(value.clone());
        records.push(read.map_err(|_| broken("lacks a field"))?);
        previous = hash(text);
    }
    Ok(records)
}

/// Whether the record's own hash is right. It is taken over the text as it is, since a program of
/// tomorrow may know more fields.
fn is_sealed(value: &Value) -> bool {
    let mut unsealed = value.clone();
    let own = unsealed.get_mut("hash").map(Value::take);
    match (own, unsealed.get_mut("hash")) {
        (Some(Value::String(own)), Some(place)) => {
            *place = Value::String(String::new());
            own == hash(&unsealed.to_string())
        }
        _ => false,
    }
}

fn hash(text: &str) -> String {
    host::hexadecimal(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests look at the world directly"
)]
mod tests {
    use super::*;

    fn sample(id: &str) -> Record {
        Record {
            id: id.to_owned(),
            command: "up".to_owned(),
            steps: vec![Step {
                title: "create container `a`".to_owned(),
                cause: "it does not exist".to_owned(),
            }],
            result: "done".to_owned(),
            exit_code: Some(0),
            ..Record::default()
        }
    }

    #[test]
    fn records_are_chained() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        assert_eq!(read(state).unwrap(), []);
        for id in ["a", "b", "c"] {
            record(state, &sample(id)).unwrap();
        }
        let found = read(state).unwrap();
        let ids: Vec<&str> = found.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!(found[0].previous, "");
        assert_eq!(host::mode(&file_of(state)), Some(0o600));
    }

    /// Whatever is changed, and whichever record is taken out before the last, is found.
    #[test]
    fn a_changed_history_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        for id in ["a", "b", "c"] {
            record(state, &sample(id)).unwrap();
        }
        let path = file_of(state);
        let whole = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        let broken = |text: &str| {
            std::fs::write(&path, text).unwrap();
            match read(state) {
                Err(HistoryError::Broken { line, .. }) => line,
                other => panic!("{text}\n{other:?}"),
            }
        };
        assert_eq!(broken(&whole.replacen("\"b\"", "\"x\"", 1)), 2);
        assert_eq!(broken(&format!("{}\n{}\n", lines[0], lines[2])), 2);
        assert_eq!(broken(&format!("{}\n{}\n", lines[1], lines[2])), 1);
        assert_eq!(broken(&format!("{}\nnonsense\n", lines[0])), 2);
        // Space is no part of a record, but of the line that the next one names.
        let spaced = lines[1].replacen(':', ": ", 1);
        assert_eq!(
            broken(&format!("{}\n{spaced}\n{}\n", lines[0], lines[2])),
            3
        );
        for at in 0..lines[0].len() {
            let mut bytes = lines[0].as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            std::fs::write(&path, format!("{text}\n{}\n", lines[1])).unwrap();
            assert!(read(state).is_err(), "{text}");
        }
        std::fs::write(&path, whole.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
        assert!(matches!(
            read(state),
            Err(HistoryError::Newer { line: 1, .. })
        ));
    }

    #[test]
    fn a_record_that_a_crash_tore_is_replaced_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        record(state, &sample("a")).unwrap();
        let path = file_of(state);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"format\":1,")).unwrap();
        record(state, &sample("b")).unwrap();
        assert_eq!(read(state).unwrap().len(), 2);
    }
}
