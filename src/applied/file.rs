//! What was applied as it stands in the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;

use crate::host;

/// What a file held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// SHA-256 of its beginning, in hexadecimal digits; see [`host::MOST_HASHED`]. Empty where the
    /// file could not be read.
    pub sha256: String,
    /// Its length in bytes.
    pub length: u64,
    /// When it was last changed, RFC 3339 in UTC.
    pub modified: Option<String>,
}

impl Fingerprint {
    /// That of a file which cannot be read.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            sha256: String::new(),
            length: 0,
            modified: None,
        }
    }

    /// Whether the other one is of the same content, as far as both are known.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        if self.sha256.is_empty() || other.sha256.is_empty() {
            return true;
        }
        (&self.sha256, self.length) == (&other.sha256, other.length)
    }
}

impl From<host::Fingerprint> for Fingerprint {
    fn from(found: host::Fingerprint) -> Self {
        Self {
            sha256: found.sha256,
            length: found.length,
            modified: found.modified.and_then(|at| at.format(&Rfc3339).ok()),
        }
    }
}

/// The file.
#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) format: u64,
    pub(super) at: String,
    pub(super) operation: Option<String>,
    pub(super) toolkit: String,
    pub(super) name: String,
    pub(super) project: Value,
    pub(super) texts: BTreeMap<String, String>,
    pub(super) files: BTreeMap<PathBuf, Fingerprint>,
}
