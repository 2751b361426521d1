//! The operator's wish about the site as it stands in the file.

use serde::{Deserialize, Serialize};

/// The site is to be closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// Why, in the operator's words.
    pub message: Option<String>,
    /// Who wants it.
    pub by: String,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) format: u64,
    pub(super) closed: Option<Closed>,
}

/// What a text holds; `None` when it is none of these files.
pub(super) fn read(text: &str) -> Option<Stored> {
    serde_json::from_str(text).ok()
}

pub(super) fn write(stored: &Stored) -> String {
    // Texts and a number always become JSON.
    serde_json::to_string(stored).unwrap_or_default()
}
