//! The whole of an instance at one moment, beside its containers: what `status` shows on one screen
//! and `metrics` as numbers. Types only.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::engine::inside::Usage;
use crate::observed::Observed;
use crate::observed::condition::{Conditions, Local};

/// What is known of an instance beside its containers.
#[derive(Debug, Clone)]
pub struct Report {
    /// How the stores, the disks and the certificate do.
    pub conditions: Conditions,
    /// The operation that goes on or did not end; why that is not known.
    pub operation: Result<Option<Operation>, String>,
    /// Whether the configuration is applied.
    pub configuration: Configuration,
}

/// An operation that goes on, that its run did not end, or that ended other than well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its identifier.
    pub id: String,
    /// Its command.
    pub command: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// Steps that are done.
    pub done: usize,
    /// Steps in all.
    pub steps: usize,
    /// The run that carries it out; `None` when there is none any more.
    pub run: Option<Run>,
    /// How it ended, where that is neither well nor by being cut off.
    pub ending: Option<Ending>,
}

/// How an operation ended that did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A step failed, or a service did not become ready.
    Failed,
    /// The operator stopped it.
    Interrupted,
}

impl Ending {
    /// Its word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A run that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Process id.
    pub process: u32,
    /// What it does now.
    pub step: Option<String>,
}

/// Whether the configuration is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// What `up` would do, one text for each step.
    pub steps: Vec<String>,
    /// When it was last applied completely, RFC 3339; `None` when it never was, or why that is not
    /// known.
    pub applied: Result<Option<String>, String>,
    /// Files of the configuration that changed since.
    pub changed: Vec<String>,
}

/// What `metrics` knows.
#[derive(Debug, Clone)]
pub struct Measured {
    /// When it was measured.
    pub at: OffsetDateTime,
    /// Version and build of this program.
    pub program: (&'static str, &'static str),
    /// What the engine told; why it told nothing.
    pub engine: Result<Told, String>,
    /// What belongs to this machine.
    pub local: Local,
    /// The operation that goes on or did not end.
    pub operation: Result<Option<Operation>, String>,
}

/// What is known only through the engine.
#[derive(Debug, Clone)]
pub struct Told {
    /// The containers and how their services answered.
    pub observed: Observed,
    /// The rest.
    pub report: Report,
    /// What the running containers use, by name.
    pub usage: BTreeMap<String, Usage>,
}
