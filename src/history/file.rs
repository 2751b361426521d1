//! The records of the history as they stand in the file.

use serde::{Deserialize, Serialize};

/// One operation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the format.
    pub format: u64,
    /// Identifier of the operation.
    pub id: String,
    /// The command: `up`, `stop`.
    pub command: String,
    /// The command line, without secrets.
    pub command_line: String,
    /// Who ran it.
    pub by: Who,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// How long it took, in milliseconds; `None` for one that was killed.
    pub duration_ms: Option<u64>,
    /// What was planned.
    pub steps: Vec<Step>,
    /// How many of the steps are done.
    pub done: usize,
    /// What changed in the configuration since it was last applied, without secrets.
    pub changes: Vec<Change>,
    /// Checks that were passed by the operator.
    pub ignored: Vec<Ignored>,
    /// How it ended: `done`, `failed`, `interrupted`, `killed`.
    pub result: String,
    /// Identifier and message of its failure.
    pub error: Option<String>,
    /// Exit code of the run; `None` for one that was killed.
    pub exit_code: Option<u8>,
    /// Version of the toolkit.
    pub toolkit: String,
    /// SHA-256 of the line before, empty for the first.
    pub previous: String,
    /// SHA-256 of this record with an empty text here.
    pub hash: String,
}

/// Who ran an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Name of the user.
    pub user: String,
    /// Name of the user who became another one by `sudo`.
    pub sudo_user: Option<String>,
    /// Name of the machine.
    pub machine: String,
}

/// A planned step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it does.
    pub title: String,
    /// Why it is needed.
    pub cause: String,
}

/// What changed in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its path below the root of the instance.
    pub file: String,
    /// Unified diff, without secrets.
    pub diff: String,
}

/// A check that was passed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Identifier of the check.
    pub check: String,
    /// The operator's reason.
    pub reason: String,
}
