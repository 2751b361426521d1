//! The records of a journal as they stand in the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FORMAT;

/// What an operation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its identifier; see [`super::new_id`].
    pub id: String,
    /// The command: `up`, `stop`.
    pub command: String,
    /// What the command was asked for, in its own form. No secrets.
    pub request: Value,
    /// What each step does.
    pub steps: Vec<String>,
    /// The containers of the project before the first change.
    pub before: Vec<Existing>,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// The unfinished operation whose place it took.
    #[serde(default)]
    pub follows: Option<String>,
    /// The anonymous volumes of the containers at its beginning: once a container is gone, nothing
    /// else tells whose they were.
    #[serde(default)]
    pub volumes: Vec<Held>,
}

/// Anonymous volumes of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The service.
    pub service: String,
    /// Number of the container within the service, from 1.
    pub number: u32,
    /// Whether the container was gone when the operation began, left so by an earlier one.
    pub is_gone: bool,
    /// Names of the volumes by path in the container.
    pub volumes: BTreeMap<String, String>,
}

/// A container that stood before an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existing {
    /// Its service.
    pub service: String,
    /// Its name.
    pub container: String,
    /// Whether it ran.
    pub running: bool,
}

/// A container that is asked to stop. The engine goes on with it when the run is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Its name.
    pub container: String,
    /// How many seconds it gets.
    pub grace_s: u64,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step is done, and what was to be ready is.
    Done,
    /// A step failed, or a service did not become ready.
    Failed,
    /// The operator stopped it.
    Interrupted,
    /// It was undone.
    RolledBack,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub(super) enum Record {
    /// The operation begins.
    Begin { format: u64, operation: Operation },
    /// Further steps, which could only be planned after those so far.
    Extend { steps: Vec<String>, at: String },
    /// A step is about to change something.
    Intent {
        step: usize,
        at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop: Option<Stop>,
    },
    /// A step is done.
    Done { step: usize, at: String },
    /// A step failed.
    Failed {
        step: usize,
        at: String,
        text: String,
    },
    /// The operation has ended in order.
    Close { outcome: Outcome, at: String },
}

impl Record {
    pub(super) fn line(&self) -> String {
        // The types above have string keys only, so that this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The record of a line; the error is the format of a newer program, `None` for what is no
    /// record at all.
    pub(super) fn read(line: &str) -> Result<Self, Option<u64>> {
        let value: Value = serde_json::from_str(line).map_err(|_| None)?;
        // Before anything else: what a newer format holds cannot be known.
        if let Some(format) = value.get("format").and_then(Value::as_u64)
            && format > FORMAT
        {
            return Err(Some(format));
        }
        serde_json::from_value(value).map_err(|_| None)
    }
}
