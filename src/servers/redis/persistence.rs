//! The data folder: who may use it, which files it holds, and how they are written and read. Must
//! not know what commands mean; a file is a sequence of them, and reading hands each to the caller.
//!
//! The append-only file and the snapshot hold commands in their wire form, with deadlines as
//! absolute times. Neither is a format of Redis, and a folder with files of Redis is refused.

#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

mod append_file;
mod dataset;
mod recording;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use append_file::Record;
pub(super) use recording::{Recorded, read_recorded};

use self::append_file::AppendFile;
use super::database::Keyspace;

const LOCK: &str = "toolkit-redis.lock";
const SNAPSHOT: &str = "dump.toolkit";
const APPEND_FOLDER: &str = "appendonlydir";
const APPEND_FILE: &str = "appendonly.aof";
/// Added to the name of a file while it is being written.
const UNFINISHED: &str = "unfinished";

/// Files of the real server: in the data folder itself, up to Redis 6, and in [`APPEND_FOLDER`].
const REAL_IN_DATA: [&str; 2] = [".rdb", "appendonly.aof"];
const REAL_IN_APPEND_FOLDER: [&str; 4] = [".rdb", ".manifest", ".incr.aof", ".base.aof"];

/// A data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The folder belongs to a real Redis.
    #[error(
        "`{}` is data of a real Redis, which the bundled redis server does not touch",
        path.display()
    )]
    RealData {
        /// The file that shows it.
        path: PathBuf,
    },
    /// Another server uses the folder.
    #[error("another server uses the data folder, it holds the lock `{}`", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file does not hold what the server wrote.
    #[error("`{}` is damaged at byte {offset}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first command that cannot be read begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading was given up because the server stops.
    #[error("loading `{}` was given up", path.display())]
    Cancelled {
        /// The file.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {verb} `{}`", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl StorageError {
    fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            verb,
            path: path.to_owned(),
            source,
        }
    }
}

/// What a server begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Empty,
    Snapshot(PathBuf),
    AppendFile(PathBuf),
}

/// The data folder of a running server. Its lock is held until this is dropped.
#[derive(Debug)]
pub(super) struct Storage {
    folder: PathBuf,
    append_file: Option<AppendFile>,
    is_rewrite_ok: bool,
    is_save_ok: bool,
    _lock: File,
}

impl Storage {
    /// Takes the folder for this process; it is created when missing.
    pub(super) fn open(folder: &Path) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(StorageError::file("create", folder))?;
        refuse_real_data(folder, &REAL_IN_DATA)?;
        refuse_real_data(&folder.join(APPEND_FOLDER), &REAL_IN_APPEND_FOLDER)?;
        let lock_path = folder.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(StorageError::file("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(StorageError::Locked { path: lock_path });
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(StorageError::file("lock", &lock_path)(source));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            append_file: None,
            is_rewrite_ok: true,
            is_save_ok: true,
            _lock: lock,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn snapshot_path(&self) -> PathBuf {
        self.folder.join(SNAPSHOT)
    }

    pub(super) fn append_path(&self) -> PathBuf {
        self.folder.join(APPEND_FOLDER).join(APPEND_FILE)
    }

    /// What to load, like the real server: with the append-only file on, nothing but that file
    /// counts, even when there is only a snapshot.
    pub(super) fn source(&self, append_only: bool) -> Source {
        let path = if append_only {
            self.append_path()
        } else {
            self.snapshot_path()
        };
        match (path.exists(), append_only) {
            (false, _) => Source::Empty,
            (true, true) => Source::AppendFile(path),
            (true, false) => Source::Snapshot(path),
        }
    }

    /// Whether changes are recorded.
    pub(super) fn is_append_only(&self) -> bool {
        self.append_file.is_some()
    }

    /// Begins to record into the append-only file there is, or into a new empty one.
    pub(super) fn start_append_file(&mut self) -> Result<(), StorageError> {
        let path = self.append_path();
        self.create_append_folder()?;
        self.append_file = Some(AppendFile::open(&path)?);
        dataset::sync_parent(&path)
    }

    /// Ends recording; what was recorded is on the disk afterwards and stays there.
    pub(super) fn stop_append_file(&mut self) -> Result<(), StorageError> {
        if let Some(append_file) = &mut self.append_file {
            append_file.finish()?;
        }
        self.append_file = None;
        Ok(())
    }

    /// Records changes; nothing happens while the append-only file is off. What cannot be
    /// written is kept and tried again with the next call.
    pub(super) fn append(
        &mut self,
        records: &[Record],
        is_transaction: bool,
    ) -> Result<(), StorageError> {
        match &mut self.append_file {
            Some(append_file) => append_file.append(records, is_transaction),
            None => Ok(()),
        }
    }

    /// Why the latest change could not be recorded, while that is so.
    pub(super) fn append_failure(&self) -> Option<&str> {
        self.append_file.as_ref().and_then(AppendFile::failure)
    }

    /// Whether the append-only file lacks bytes, or has some that may not be on the disk yet.
    pub(super) fn is_behind(&self) -> bool {
        self.append_file.as_ref().is_some_and(AppendFile::is_behind)
    }

    /// The append-only file, if it has bytes that may not be on the disk yet. The caller syncs it
    /// without holding up the server and reports with [`Storage::note_sync`].
    pub(super) fn unsynced(&mut self) -> Option<Arc<File>> {
        self.append_file
            .as_mut()
            .and_then(AppendFile::take_unsynced)
    }

    /// Takes the outcome of syncing what [`Storage::unsynced`] gave.
    pub(super) fn note_sync(&mut self, outcome: &io::Result<()>) {
        if let Some(append_file) = &mut self.append_file {
            append_file.note_sync(outcome);
        }
    }

    /// Puts the dataset into a fresh append-only file and records there from now on if `turn_on`
    /// is set or recording was on. On failure everything stays as it was.
    pub(super) fn rewrite(
        &mut self,
        keyspace: &Keyspace,
        turn_on: bool,
    ) -> Result<(), StorageError> {
        let outcome = self.try_rewrite(keyspace, turn_on);
        self.is_rewrite_ok = outcome.is_ok();
        outcome
    }

    fn try_rewrite(&mut self, keyspace: &Keyspace, turn_on: bool) -> Result<(), StorageError> {
        let path = self.append_path();
        self.create_append_folder()?;
        let unfinished = dataset::write_beside(&path, keyspace)?;
        // Opened before the rename: a failure in between would leave a server that records into
        // a file nobody can find.
        let append_file = AppendFile::open_before_rename(&unfinished, &path)?;
        dataset::replace(&unfinished, &path)?;
        if turn_on || self.append_file.is_some() {
            self.append_file = Some(append_file);
        }
        dataset::sync_parent(&path)
    }

    pub(super) fn is_rewrite_ok(&self) -> bool {
        self.is_rewrite_ok
    }

    /// Writes the snapshot.
    pub(super) fn save(&mut self, keyspace: &Keyspace) -> Result<(), StorageError> {
        let outcome = dataset::write(&self.snapshot_path(), keyspace);
        self.is_save_ok = outcome.is_ok();
        outcome
    }

    pub(super) fn is_save_ok(&self) -> bool {
        self.is_save_ok
    }

    fn create_append_folder(&self) -> Result<(), StorageError> {
        let folder = self.folder.join(APPEND_FOLDER);
        fs::create_dir_all(&folder).map_err(StorageError::file("create", &folder))?;
        dataset::sync_parent(&folder)
    }
}

/// Refuses a folder that has a file whose name ends like one of the real server's.
fn refuse_real_data(folder: &Path, endings: &[&str]) -> Result<(), StorageError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StorageError::file("list", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(StorageError::file("list", folder))?.path();
        let is_real = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            endings.iter().any(|ending| name.ends_with(ending))
        });
        if is_real {
            return Err(StorageError::RealData { path });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::command::Replay;
    use super::super::database::{DatabaseIndex, Value};
    use super::*;

    fn record(database: i64, line: &str) -> Record {
        Record {
            database: DatabaseIndex::new(database).unwrap(),
            arguments: line
                .split(' ')
                .map(|word| Bytes::from(word.to_owned()))
                .collect(),
        }
    }

    fn load(storage: &Storage) -> Result<(Keyspace, Recorded), StorageError> {
        let mut replay = Replay::default();
        let recorded = match storage.source(true) {
            Source::Empty => Recorded::default(),
            Source::AppendFile(path) | Source::Snapshot(path) => {
                read_recorded(&path, true, &|| false, &mut |command| replay.apply(command))?
            }
        };
        Ok((replay.into_keyspace(), recorded))
    }

    fn text(keyspace: &Keyspace, database: i64, key: &'static str) -> Option<String> {
        match keyspace
            .database(DatabaseIndex::new(database).unwrap())
            .value(&Bytes::from_static(key.as_bytes()))
        {
            Some(Value::Text(text)) => Some(text.escape_ascii().to_string()),
            _ => None,
        }
    }

    #[test]
    fn recorded_changes_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = Storage::open(folder.path()).unwrap();
        storage.start_append_file().unwrap();
        storage.append(&[record(0, "SET a 1")], false).unwrap();
        storage
            .append(&[record(3, "SET b 2"), record(0, "INCR a")], true)
            .unwrap();
        let (keyspace, recorded) = load(&storage).unwrap();
        assert_eq!(text(&keyspace, 0, "a").as_deref(), Some("2"));
        assert_eq!(text(&keyspace, 3, "b").as_deref(), Some("2"));
        assert_eq!((recorded.commands, recorded.cut), (6, 0));
    }

    #[test]
    fn a_torn_end_is_cut_at_every_byte() {
        let whole = tempfile::tempdir().unwrap();
        let mut storage = Storage::open(whole.path()).unwrap();
        storage.start_append_file().unwrap();
        storage.append(&[record(0, "SET a 1")], false).unwrap();
        let kept = fs::read(storage.append_path()).unwrap().len();
        storage
            .append(&[record(0, "SET a 2"), record(0, "SET b 2")], true)
            .unwrap();
        let content = fs::read(storage.append_path()).unwrap();

        for length in kept..content.len() {
            for is_zero_filled in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let mut storage = Storage::open(folder.path()).unwrap();
                storage.start_append_file().unwrap();
                let mut torn = content[..length].to_vec();
                if is_zero_filled {
                    torn.resize(content.len() + 5_000, 0);
                }
                let cut = (torn.len() - kept) as u64;
                fs::write(storage.append_path(), &torn).unwrap();
                let (keyspace, recorded) = load(&storage).unwrap();
                assert_eq!(text(&keyspace, 0, "a").as_deref(), Some("1"), "at {length}");
                assert_eq!(text(&keyspace, 0, "b"), None, "at {length}");
                assert_eq!(recorded.cut, cut);
                assert_eq!(fs::read(storage.append_path()).unwrap().len(), kept);
                // What is recorded next follows what was kept.
                storage.start_append_file().unwrap();
                storage.append(&[record(1, "SET c 3")], false).unwrap();
                let (keyspace, _) = load(&storage).unwrap();
                assert_eq!(text(&keyspace, 1, "c").as_deref(), Some("3"));
            }
        }
    }

    #[test]
    fn damage_elsewhere_is_refused_and_kept() {
        let cases = [
            ("nonsense\r\n", "expected '*', got 'n'"),
            (
                "*1\r\n$7\r\nUNKNOWN\r\n",
                "`UNKNOWN` is not a recorded command",
            ),
            (
                "*1\r\n$4\r\nINCR\r\n",
                "ERR wrong number of arguments for 'incr' command",
            ),
            (
                "*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n",
                "ERR DB index is out of range",
            ),
            (
                "*1\r\n$4\r\nEXEC\r\n",
                "the end of a transaction without a beginning",
            ),
        ];
        for (content, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let mut storage = Storage::open(folder.path()).unwrap();
            storage.start_append_file().unwrap();
            storage.append(&[record(0, "SET a 1")], false).unwrap();
            let good = fs::read(storage.append_path()).unwrap();
            let all = [&good, content.as_bytes(), &good].concat();
            fs::write(storage.append_path(), &all).unwrap();
            match load(&storage) {
                Err(StorageError::Damaged { offset, reason, .. }) => {
                    assert_eq!((offset, reason.as_str()), (good.len() as u64, expected));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(fs::read(storage.append_path()).unwrap(), all);
        }
    }

    #[test]
    fn a_rewrite_holds_the_same_dataset_in_less() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = Storage::open(folder.path()).unwrap();
        storage.start_append_file().unwrap();
        let mut replay = Replay::default();
        let mut run = |storage: &mut Storage, line: &str| {
            let record = record(0, line);
            replay.apply(&record.arguments).unwrap();
            storage.append(&[record], false).unwrap();
        };
        for number in 0..200 {
            run(&mut storage, &format!("SET a {number}"));
            run(&mut storage, &format!("RPUSH l {number}"));
            run(&mut storage, &format!("SADD s {number}"));
            run(&mut storage, &format!("HSET h f{number} {number}"));
            run(&mut storage, &format!("ZADD z {number}.5 m{number}"));
        }
        run(&mut storage, "PEXPIREAT a 4102444800000");
        let before = fs::metadata(storage.append_path()).unwrap().len();
        let keyspace = replay.into_keyspace();
        storage.rewrite(&keyspace, false).unwrap();
        assert!(fs::metadata(storage.append_path()).unwrap().len() < before);
        storage.append(&[record(0, "SET b 1")], false).unwrap();

        let (loaded, _) = load(&storage).unwrap();
        assert_eq!(text(&loaded, 0, "b").as_deref(), Some("1"));
        let database = |keyspace: &Keyspace| -> Vec<String> {
            keyspace
                .database(DatabaseIndex::default())
                .iter()
                .filter(|(key, ..)| key.as_ref() != b"b")
                .map(|(key, value, deadline)| format!("{key:?} {value:?} {deadline:?}"))
                .collect()
        };
        assert_eq!(database(&loaded), database(&keyspace));
    }

    #[test]
    fn an_unfinished_rewrite_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = Storage::open(folder.path()).unwrap();
        storage.start_append_file().unwrap();
        storage.append(&[record(0, "SET a 1")], false).unwrap();
        // A folder in the place of the unfinished file makes the rewrite fail.
        let mut blocked = storage.append_path().into_os_string();
        blocked.push(format!(".{UNFINISHED}"));
        fs::create_dir(&blocked).unwrap();
        assert!(matches!(
            storage.rewrite(&Keyspace::default(), false),
            Err(StorageError::File { .. })
        ));
        assert!(!storage.is_rewrite_ok());
        storage.append(&[record(0, "SET b 2")], false).unwrap();
        let (keyspace, _) = load(&storage).unwrap();
        assert_eq!(text(&keyspace, 0, "b").as_deref(), Some("2"));
    }

    #[test]
    fn a_torn_snapshot_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        fs::write(storage.snapshot_path(), "*2\r\n$6\r\nSELECT\r\n$1\r\n0").unwrap();
        let outcome = read_recorded(&storage.snapshot_path(), false, &|| false, &mut |_| Ok(()));
        assert!(matches!(
            outcome,
            Err(StorageError::Damaged { offset: 0, .. })
        ));
    }

    #[test]
    fn two_servers_cannot_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Storage::open(folder.path()).unwrap();
        assert!(matches!(
            Storage::open(folder.path()),
            Err(StorageError::Locked { .. })
        ));
        drop(first);
        Storage::open(folder.path()).unwrap();
    }

    #[test]
    fn data_of_a_real_redis_is_not_touched() {
        for name in [
            "dump.rdb",
            "appendonly.aof",
            "appendonlydir/appendonly.aof.1.base.rdb",
            "appendonlydir/appendonly.aof.1.incr.aof",
            "appendonlydir/appendonly.aof.manifest",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "REDIS0011").unwrap();
            match Storage::open(folder.path()) {
                Err(StorageError::RealData { path: found }) => assert_eq!(found, path),
                other => panic!("{other:?}"),
            }
            assert!(!folder.path().join(LOCK).exists(), "{name}");
        }
    }

    #[test]
    fn the_append_only_file_alone_counts_when_it_is_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = Storage::open(folder.path()).unwrap();
        assert_eq!(storage.source(false), Source::Empty);
        storage.save(&Keyspace::default()).unwrap();
        assert_eq!(storage.source(true), Source::Empty);
        assert_eq!(
            storage.source(false),
            Source::Snapshot(storage.snapshot_path())
        );
        storage.start_append_file().unwrap();
        assert_eq!(
            storage.source(true),
            Source::AppendFile(storage.append_path())
        );
        assert_eq!(
            storage.source(false),
            Source::Snapshot(storage.snapshot_path())
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Storage::open(&file.join("data")).unwrap_err();
        assert!(error.to_string().starts_with("cannot create `"), "{error}");
    }

    #[test]
    fn loading_can_be_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = Storage::open(folder.path()).unwrap();
        storage.start_append_file().unwrap();
        storage.append(&[record(0, "SET a 1")], false).unwrap();
        let outcome = read_recorded(&storage.append_path(), true, &|| true, &mut |_| Ok(()));
        assert!(matches!(outcome, Err(StorageError::Cancelled { .. })));
    }
}
