//! Facts of this machine and of the stores, as the preflight checks compare them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What this machine and the stores say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineFacts {
    /// Why the paths and processors of this machine are not those of the engine; `None` when they
    /// are.
    pub elsewhere: Option<String>,
    /// What the processor can do, in the kernel's words; `None` where it is not told.
    pub processor: Option<BTreeSet<String>>,
    /// The folders and files of the deployment, by path as configured.
    pub paths: BTreeMap<PathBuf, PathFacts>,
    /// Where the engine keeps images and containers; `None` where that is not known.
    pub engine_root: Option<PathFacts>,
    /// Version of the mongo that used the data folder last, by its own records.
    pub mongo_data_version: Option<String>,
    /// What the mongo of the application says: an external one, or the running one.
    pub mongo: Asked<MongoFacts>,
    /// What an external redis says.
    pub redis: Asked<RedisFacts>,
}

/// A path on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathFacts {
    /// With symbolic links resolved.
    pub resolved: PathBuf,
    /// Whether there is anything.
    pub exists: bool,
    /// Whether it is a folder with nothing in it.
    pub is_empty: bool,
    /// User, group and permission bits, when it exists.
    pub ownership: Option<(u32, u32, u32)>,
    /// Kind of the filesystem, such as `ext4`; empty when not told.
    pub filesystem: String,
    /// Whether the filesystem takes no writes.
    pub is_read_only: bool,
    /// Bytes that are left.
    pub free_bytes: u64,
    /// Bytes in all; 0 when not told.
    pub total_bytes: u64,
    /// Files that may still be made.
    pub free_files: u64,
    /// Files in all; 0 where there is no limit.
    pub total_files: u64,
}

/// What came of a question to a store. No text of it holds a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<T> {
    /// It was not asked.
    NotAsked {
        /// Why.
        because: String,
    },
    /// It gave no answer.
    Silent {
        /// Where it should be.
        at: String,
        /// Why, as far as known.
        because: String,
    },
    /// It answered.
    Answered {
        /// Where it is.
        at: String,
        /// Whether it is none of the project's services.
        is_external: bool,
        /// What it said.
        facts: T,
    },
}

impl<T> Default for Asked<T> {
    fn default() -> Self {
        Self::NotAsked {
            because: "it was not asked".to_owned(),
        }
    }
}

/// What a mongo says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MongoFacts {
    /// Version of the server.
    pub version: String,
    /// Its feature compatibility version; `None` when it may not be read.
    pub compatibility: Option<String>,
    /// Name of its replica set; `None` without one.
    pub set: Option<String>,
    /// Whether it takes writes.
    pub is_primary: bool,
}

/// What a redis says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisFacts {
    /// Version of the server.
    pub version: String,
}
