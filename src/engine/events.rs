//! What an engine tells about a container while it happens, so that nobody has to ask again and
//! again.

use std::pin::Pin;

use futures_util::Stream;

use super::EngineError;
use crate::observed::Health;

/// One thing that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// Name of the container.
    pub container: String,
    /// When, by the engine's clock, in nanoseconds since 1970.
    pub at: i64,
    /// What.
    pub kind: EngineEventKind,
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineEventKind {
    /// It started.
    Started,
    /// Its process ended.
    Died {
        /// Exit code.
        exit_code: i64,
    },
    /// The kernel ended one of its processes for lack of memory.
    OutOfMemory,
    /// Its health changed.
    Health(Health),
    /// It was removed.
    Destroyed,
}

/// Events as they come. It ends, or fails, when the connection to the engine does.
pub type EventStream<'a> =
    Pin<Box<dyn Stream<Item = Result<EngineEvent, EngineError>> + Send + 'a>>;
