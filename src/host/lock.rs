//! One operation at a time: a lock on the instance, freed by the kernel when the process ends,
//! with a record of who holds it.

use std::fs;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::format_description::well_known::Rfc3339;

use super::{HostError, create_folder, now};

/// How often a waiting run tries again. `flock` has no wait with a deadline.
const RETRY: Duration = Duration::from_millis(100);

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub process: u32,
    /// The command.
    pub command: String,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
}

/// Why the lock cannot be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run works on this instance")]
    Held {
        /// Who, if the record can be read.
        owner: Option<Owner>,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// A held lock. It is freed when the value is dropped, and by the kernel whatever happens.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

/// Takes the lock in the state folder, which is made when missing; waits up to `patience`.
///
/// # Errors
/// See [`LockError`].
pub async fn take(state: &Path, command: &str, patience: Duration) -> Result<Lock, LockError> {
    create_folder(state, 0o700)?;
    let path = state.join("lock");
    let deadline = tokio::time::Instant::now() + patience;
    let mut options = fs::OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    #[expect(clippy::disallowed_methods, reason = "this module is part of the door")]
    let mut file = options
        .open(&path)
        .map_err(|source| HostError::file("open", &path, source))?;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(RETRY).await;
            }
            Err(fs::TryLockError::WouldBlock) => {
                let mut record = String::new();
                let read = file.read_to_string(&mut record).is_ok();
                // A record that cannot be read yet is no reason to fail in another way.
                let owner = if read {
                    serde_json::from_str(&record).ok()
                } else {
                    None
                };
                return Err(LockError::Held { owner });
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(HostError::file("lock", &path, source).into());
            }
        }
    }
    let owner = Owner {
        process: std::process::id(),
        command: command.to_owned(),
        since: now()
            .truncate_to_second()
            .format(&Rfc3339)
            .unwrap_or_default(),
    };
    let record = serde_json::to_string(&owner).unwrap_or_default();
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(record.as_bytes()));
    written.map_err(|source| HostError::file("write", &path, source))?;
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_run_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let held = take(folder.path(), "up", Duration::ZERO).await.unwrap();
        let Err(LockError::Held { owner: Some(owner) }) =
            take(folder.path(), "down", Duration::ZERO).await
        else {
            panic!("the lock was given twice");
        };
        assert_eq!(
            (owner.command.as_str(), owner.process),
            ("up", std::process::id())
        );
        drop(held);
        take(folder.path(), "down", Duration::ZERO).await.unwrap();
    }
}
