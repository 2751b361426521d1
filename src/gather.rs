//! Finds where the services of an instance write their logs, and reads them: output of containers,
//! files on this machine, and files inside containers.
//!
//! What lines mean is the business of `logs`.

mod beginning;
mod choose;
mod find;
mod follow;
mod read;
mod untar;
mod ways;

use std::path::PathBuf;

use crate::engine::EngineError;
use crate::host::HostError;
use crate::host::tail::Lines;
use crate::logs::Filter;
use crate::logs::Record;

pub use choose::{ChoiceError, Instance, choose};
pub use find::{Found, Place, find};
pub use follow::follow;
pub use read::{Reading, Records, copy, read};

/// Something that is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The service that writes, as people call it.
    pub service: String,
    /// How it is read.
    pub way: Way,
}

/// How a source is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The output of a container, by its service and number.
    Output {
        /// The service of the project.
        service: String,
        /// Number of the container within it.
        number: u32,
    },
    /// A file on this machine.
    File(PathBuf),
    /// A file in the container of the application.
    Inside(String),
}

/// What is wanted of all sources.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How many of the last lines; with a filter, of those that pass it.
    pub lines: Lines,
    /// Which records.
    pub filter: Filter,
    /// Whether what is written later is wanted as well.
    pub follow: bool,
}

impl Wanted {
    /// The number of records that have to be counted here, because only here is known which pass.
    fn counted(&self) -> Option<usize> {
        match self.lines {
            Lines::Last(count) if !self.filter.is_empty() => usize::try_from(count).ok(),
            _ => None,
        }
    }
}

/// What comes of sources that are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A record that passes.
    Record(Record),
    /// A source that was not there before. It takes the next place in the list of sources.
    Source(Source),
    /// Something the operator should know.
    Note(String),
}

/// A source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The engine does not give it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// This machine does not give it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The rows of `lib/followers.toml` do not load.
    #[error("lib/followers.toml is broken")]
    Rows(#[from] toml::de::Error),
    /// The image of the container has no program that reads files.
    #[error("the image of container `{container}` has none of {programs}")]
    NoProgram {
        /// The container.
        container: String,
        /// What was tried.
        programs: String,
    },
    /// There is nothing where the log should be.
    #[error("there is no {what}")]
    Missing {
        /// What is not there.
        what: String,
    },
    /// The reading was given up.
    #[error("the reading was given up")]
    GivenUp,
}
