//! How the stores, the disks and the certificate do: what `status` and `metrics` tell beside the
//! containers. Nothing of it holds a password.

use std::path::PathBuf;

use time::OffsetDateTime;

use super::machine::Asked;

/// How everything does that is no container. What could not be asked says why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// The mongo of the application.
    pub mongo: Asked<MongoCondition>,
    /// The redis of the application.
    pub redis: Asked<RedisCondition>,
    /// What that redis holds and mongo does not have yet.
    pub pending: Asked<Pending>,
    /// What belongs to this machine.
    pub local: Local,
}

/// How the disks and the certificate of this machine do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Local {
    /// The filesystems that hold data and images, each once.
    pub disks: Vec<Disk>,
    /// The certificate of the TLS proxy; `None` where none is configured.
    pub certificate: Option<CertificateFile>,
}

/// How a mongo does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MongoCondition {
    /// Version of the server.
    pub version: String,
    /// Its feature compatibility version; `None` when it may not be read.
    pub compatibility: Option<String>,
    /// Name of its replica set; `None` without one.
    pub set: Option<String>,
    /// What it is in that set, in lower case: `primary`, `secondary`, `startup` and so on;
    /// `standalone` without one.
    pub state: String,
    /// Members of the set that are well, and all; `None` when it may not be read.
    pub members: Option<(u64, u64)>,
    /// Bytes of the documents of the application's database, before compression.
    pub data_bytes: Option<u64>,
    /// Bytes that this database takes on the disk, with its indexes.
    pub disk_bytes: Option<u64>,
}

impl MongoCondition {
    /// Whether it takes writes.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        matches!(self.state.as_str(), "primary" | "standalone")
    }
}

/// How a redis does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisCondition {
    /// Version of the server.
    pub version: String,
    /// Bytes that its data takes in memory.
    pub memory_bytes: Option<u64>,
    /// Whether it still reads its data.
    pub is_loading: bool,
    /// Its append-only file.
    pub append_only: AppendOnly,
    /// Its snapshots.
    pub snapshot: Snapshot,
}

/// The append-only file of a redis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendOnly {
    /// Whether there is one.
    pub is_enabled: bool,
    /// Whether the last write went well.
    pub is_write_ok: bool,
    /// Whether it is being rewritten, or is about to be.
    pub is_rewriting: bool,
    /// Whether the last rewrite went well.
    pub is_rewrite_ok: bool,
}

/// The snapshots of a redis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When the last one was made, in seconds since 1970; the start of the server when none was yet.
    pub last_save: i64,
    /// Whether it went well.
    pub is_ok: bool,
    /// Whether one is being made.
    pub is_saving: bool,
    /// Changes since.
    pub changes: u64,
}

/// What a redis holds for mongo.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Documents that are held in redis while they are edited.
    pub documents: u64,
    /// Projects whose history waits to be stored.
    pub histories: u64,
    /// Whether all keys were looked at; else there may be more.
    pub is_complete: bool,
}

/// A filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What lies on it: paths as configured, and `images` for what the engine keeps.
    pub holds: Vec<String>,
    /// How much of it is left, or why that is not known.
    pub space: Result<Space, String>,
}

/// Room on a filesystem.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes that are left.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// A file that should hold a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFile {
    /// The file.
    pub path: PathBuf,
    /// What it holds, or why that is not known.
    pub found: Result<Certificate, String>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is: the common name, else the first name it is good for, else whatever it says.
    pub subject: String,
    /// Names it is good for.
    pub names: Vec<String>,
    /// From when on it is good.
    pub not_before: OffsetDateTime,
    /// Until when it is good.
    pub not_after: OffsetDateTime,
}

impl Certificate {
    /// Whole days that are left; negative when it has run out.
    #[must_use]
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        (self.not_after - now).whole_seconds().div_euclid(DAY)
    }
}

/// Seconds of a day.
const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_last_day_counts_as_none() {
        let certificate = Certificate {
            subject: "a".to_owned(),
            names: Vec::new(),
            not_before: datetime!(2026-01-01 00:00 UTC),
            not_after: datetime!(2026-03-01 00:00 UTC),
        };
        for (now, expected) in [
            (datetime!(2026-01-30 00:00 UTC), 30),
            (datetime!(2026-02-28 12:00 UTC), 0),
            (datetime!(2026-03-01 12:00 UTC), -1),
        ] {
            assert_eq!(certificate.days_left(now), expected, "{now}");
        }
    }
}
