//! One operation at a time: a lock on the instance, freed by the kernel when the process ends,
//! with a record beside it of who holds it and how far they are.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{HostError, create_folder, durable, identity, now, stamp, suffixed};

/// How often a waiting run tries again. `flock` has no wait with a deadline.
const RETRY: Duration = Duration::from_millis(100);

/// Who holds a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub process: u32,
    /// When the process began, RFC 3339 in UTC: the id alone may be used again.
    #[serde(default)]
    pub process_began: Option<String>,
    /// The command.
    pub command: String,
    /// The command line, without secrets.
    #[serde(default)]
    pub command_line: Option<String>,
    /// Name of the user.
    #[serde(default)]
    pub user: String,
    /// Name of the machine.
    #[serde(default)]
    pub machine: String,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// Identifier of the operation, once there is one.
    #[serde(default)]
    pub operation: Option<String>,
    /// The step that is being carried out, once there is one.
    #[serde(default)]
    pub step: Option<String>,
}

/// Why the lock cannot be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run works on this instance")]
    Held {
        /// Who, if the record can be read.
        owner: Option<Box<Owner>>,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// A held lock. It is freed when the value is dropped, and by the kernel whatever happens.
#[derive(Debug)]
pub struct Lock {
    told: Arc<Told>,
    _file: fs::File,
}

impl Lock {
    /// What is told to those who wait.
    #[must_use]
    pub fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The next one who takes the lock replaces a record that stays.
        let _ = durable::remove(&self.told.record);
    }
}

/// What those are told who wait for a lock, as far as the work has come. The lock is held.
#[derive(Debug)]
pub struct Told {
    owner: Mutex<Owner>,
    record: PathBuf,
}

impl Told {
    /// Which command line holds the lock. It must not hold secrets.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn command_line(&self, text: &str) -> Result<(), HostError> {
        self.change(|owner| owner.command_line = Some(text.to_owned()))
    }

    /// Which operation is going on.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn operation(&self, id: &str) -> Result<(), HostError> {
        self.change(|owner| owner.operation = Some(id.to_owned()))
    }

    /// Which step is being carried out.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn step(&self, title: &str) -> Result<(), HostError> {
        self.change(|owner| owner.step = Some(title.to_owned()))
    }

    fn change(&self, change: impl FnOnce(&mut Owner)) -> Result<(), HostError> {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut owner);
        write_record(&self.record, &owner)
    }
}

/// Puts the record in place as a whole, so that nobody reads half of one. It need not survive a
/// crash of the machine, since neither does the lock: nothing waits for the disk.
fn write_record(path: &Path, owner: &Owner) -> Result<(), HostError> {
    let beside = suffixed(path, ".new");
    // One that a killed run of another user left could not be written to.
    durable::remove(&beside)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let text = serde_json::to_string(owner).unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "this module is part of the door")]
    let written = options
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| HostError::file("write", &beside, source))?;
    #[expect(clippy::disallowed_methods, reason = "this module is part of the door")]
    fs::rename(&beside, path).map_err(|source| HostError::file("replace", path, source))
}

/// Who holds the lock, by the record. One of a process that is gone is left from a crash: whoever
/// holds the lock now has not written theirs yet.
fn read_record(path: &Path) -> Option<Box<Owner>> {
    let owner: Owner = serde_json::from_str(&super::read_text(path).ok()?).ok()?;
    let is_here = owner.machine == identity::machine();
    let lives = identity::began(owner.process) == owner.process_began;
    (!is_here || lives).then(|| Box::new(owner))
}

/// Who works on the instance of a state folder, by the record alone: the lock is not touched.
#[must_use]
pub fn holder(state: &Path) -> Option<Box<Owner>> {
    read_record(&state.join("lock.owner"))
}

/// Takes the lock in the state folder, which is made when missing; waits up to `patience`.
///
/// # Errors
/// See [`LockError`].
pub async fn take(state: &Path, command: &str, patience: Duration) -> Result<Lock, LockError> {
    create_folder(state, 0o700)?;
    let path = state.join("lock");
    let record = state.join("lock.owner");
    let deadline = tokio::time::Instant::now() + patience;
    let mut options = fs::OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    #[expect(clippy::disallowed_methods, reason = "this module is part of the door")]
    let file = options
        .open(&path)
        .map_err(|source| HostError::file("open", &path, source))?;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(RETRY).await;
            }
            Err(fs::TryLockError::WouldBlock) => {
                let owner = read_record(&record);
                return Err(LockError::Held { owner });
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(HostError::file("lock", &path, source).into());
            }
        }
    }
    let process = std::process::id();
    let owner = Owner {
        process,
        process_began: identity::began(process),
        command: command.to_owned(),
        user: identity::user(),
        machine: identity::machine(),
        since: stamp(now()),
        ..Owner::default()
    };
    write_record(&record, &owner)?;
    let owner = Mutex::new(owner);
    Ok(Lock {
        told: Arc::new(Told { owner, record }),
        _file: file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_run_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let held = take(folder.path(), "up", Duration::ZERO).await.unwrap();
        held.told().operation("1").unwrap();
        held.told().step("pull image `a`").unwrap();
        held.told().command_line("toolkit up -d").unwrap();
        let Err(LockError::Held { owner: Some(owner) }) =
            take(folder.path(), "down", Duration::ZERO).await
        else {
            panic!("the lock was given twice");
        };
        assert_eq!(
            (owner.command.as_str(), owner.process),
            ("up", std::process::id())
        );
        assert_eq!(owner.operation.as_deref(), Some("1"));
        assert_eq!(owner.step.as_deref(), Some("pull image `a`"));
        assert_eq!(owner.command_line.as_deref(), Some("toolkit up -d"));
        assert!(!owner.user.is_empty() && !owner.since.is_empty());
        drop(held);
        take(folder.path(), "down", Duration::ZERO).await.unwrap();
    }

    /// The record of a run that was killed does not name the next one.
    #[tokio::test]
    async fn a_record_of_a_dead_process_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let held = take(folder.path(), "up", Duration::ZERO).await.unwrap();
        held.told()
            .change(|owner| owner.process = u32::MAX)
            .unwrap();
        let second = take(folder.path(), "down", Duration::ZERO).await;
        assert!(matches!(second, Err(LockError::Held { owner: None })));
    }

    #[tokio::test]
    async fn a_record_is_never_seen_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let held = take(folder.path(), "up", Duration::ZERO).await.unwrap();
        let record = folder.path().join("lock.owner");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for step in 0..300 {
                    held.told()
                        .step(&format!("step {step} {}", "x".repeat(step)))
                        .unwrap();
                }
            });
            while !writer.is_finished() {
                let text = fs::read_to_string(&record).unwrap();
                serde_json::from_str::<Owner>(&text).unwrap();
            }
        });
    }
}
