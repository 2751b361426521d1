//! The file that changes are appended to. Must not know what the changes are.

#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::super::database::DatabaseIndex;
use super::super::resp::encode_command;
use super::StorageError;

/// One change: a command that repeats it, and the database it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Record {
    pub(in super::super) database: DatabaseIndex,
    pub(in super::super) arguments: Vec<Bytes>,
}

/// An open append-only file.
#[derive(Debug)]
pub(super) struct AppendFile {
    path: PathBuf,
    file: Arc<File>,
    /// The database the latest record belongs to; unknown at first, so that it is written.
    selected: Option<DatabaseIndex>,
    /// What is yet to be written: empty between calls, except after a failure.
    pending: Vec<u8>,
    /// Kept apart, so that a write that works does not hide a sync that did not.
    write_failure: Option<String>,
    sync_failure: Option<String>,
    is_unsynced: bool,
}

impl AppendFile {
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        Self::open_before_rename(path, path)
    }

    /// Opens a file at `found` that is about to be renamed to `path`.
    pub(super) fn open_before_rename(found: &Path, path: &Path) -> Result<Self, StorageError> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(found)
            .map_err(StorageError::file("open", found))?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            selected: None,
            pending: Vec::new(),
            write_failure: None,
            sync_failure: None,
            is_unsynced: false,
        })
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.write_failure
            .as_deref()
            .or(self.sync_failure.as_deref())
    }

    /// Writes the records, and before them what an earlier call could not write. The records of a
    /// transaction are loaded together or not at all.
    pub(super) fn append(
        &mut self,
        records: &[Record],
        is_transaction: bool,
    ) -> Result<(), StorageError> {
        let is_framed = is_transaction && records.len() > 1;
        if is_framed {
            encode_command(&mut self.pending, &["MULTI"]);
        }
        for record in records {
            if self.selected != Some(record.database) {
                let number = record.database.number().to_string();
                encode_command(&mut self.pending, &["SELECT", &number]);
                self.selected = Some(record.database);
            }
            encode_command(&mut self.pending, &record.arguments);
        }
        if is_framed {
            encode_command(&mut self.pending, &["EXEC"]);
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        self.is_unsynced = true;
        let outcome = self.write_pending();
        self.write_failure = failure_text(&outcome);
        outcome.map_err(StorageError::file("write", &self.path))
    }

    /// Writes on from where the latest write ended, so that a full disk leaves no gap and no
    /// repetition.
    fn write_pending(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            match (&*self.file).write(&self.pending) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.pending.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether there is something to sync, or to write once more.
    pub(super) fn is_behind(&self) -> bool {
        self.is_unsynced || self.failure().is_some()
    }

    pub(super) fn take_unsynced(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.is_unsynced).then(|| Arc::clone(&self.file))
    }

    pub(super) fn note_sync(&mut self, outcome: &io::Result<()>) {
        self.is_unsynced |= outcome.is_err();
        self.sync_failure = failure_text(outcome);
    }

    /// Writes and syncs everything.
    pub(super) fn finish(&mut self) -> Result<(), StorageError> {
        self.append(&[], false)?;
        self.file
            .sync_data()
            .map_err(StorageError::file("sync", &self.path))?;
        self.is_unsynced = false;
        Ok(())
    }
}

fn failure_text(outcome: &io::Result<()>) -> Option<String> {
    outcome.as_ref().err().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_kept() {
        let mut file = AppendFile::open(Path::new("/dev/full")).unwrap();
        let record = Record {
            database: DatabaseIndex::default(),
            arguments: vec![Bytes::from_static(b"FLUSHDB")],
        };
        assert!(file.append(&[record], false).is_err());
        assert!(file.failure().is_some());
        let pending = file.pending.clone();
        assert_eq!(
            pending.escape_ascii().to_string(),
            "*2\\r\\n$6\\r\\nSELECT\\r\\n$1\\r\\n0\\r\\n*1\\r\\n$7\\r\\nFLUSHDB\\r\\n"
        );

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        file.file = Arc::new(
            File::options()
                .create(true)
                .append(true)
                .open(&path)
                .unwrap(),
        );
        file.finish().unwrap();
        assert_eq!(file.failure(), None);
        assert_eq!(std::fs::read(&path).unwrap(), pending);
    }

    #[test]
    fn only_what_is_new_needs_syncing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AppendFile::open(&folder.path().join("file")).unwrap();
        assert!(file.take_unsynced().is_none());
        let record = Record {
            database: DatabaseIndex::default(),
            arguments: vec![Bytes::from_static(b"FLUSHDB")],
        };
        file.append(&[record], false).unwrap();
        assert!(file.take_unsynced().is_some());
        assert!(file.take_unsynced().is_none());
        file.note_sync(&Err(io::ErrorKind::Other.into()));
        assert!(file.failure().is_some());
        assert!(file.take_unsynced().is_some());
        file.note_sync(&Ok(()));
        assert_eq!(file.failure(), None);
    }
}
