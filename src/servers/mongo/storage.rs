//! The data folder: an append-only file of operations, replayed at start, and a lock that keeps a
//! second server out. Knows files and operations; must not know commands or the protocol.
//!
//! Each list of operations is one record and is on disk before [`Store::append`] returns. A record
//! that a crash cut off is removed at the next start; damage anywhere else is an error, because
//! cutting there would lose confirmed writes. A folder with files of a real MongoDB is refused
//! before anything is written to it.
#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

mod record;

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::catalog::Catalog;
use super::catalog::Operation;
use record::EncodeError;
use record::Next;

const OPERATIONS_FILE: &str = "toolkit-mongo.operations";
const FRESH_FILE: &str = "toolkit-mongo.operations.new";
const LOCK_FILE: &str = "toolkit-mongo.lock";

/// The first line of the operations file: what it is and the version of its format.
const FILE_HEADER: &[u8] = b"toolkit mongo operations 1\n";

/// The payload bytes after which a rewritten file starts a new record.
const OPERATIONS_PER_RECORD: usize = 1000;

/// Why the data folder cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The data folder does not exist.
    #[error("the data folder `{}` does not exist", folder.display())]
    NoFolder {
        /// The data folder.
        folder: PathBuf,
    },
    /// Another server holds the folder's lock.
    #[error("DBPathInUse: unable to lock `{}`: another server is already running on this data folder", lock.display())]
    InUse {
        /// The lock file.
        lock: PathBuf,
    },
    /// The folder belongs to a real MongoDB.
    #[error("the data folder `{}` holds files of a real MongoDB (`{file}`); the bundled server does not touch them", folder.display())]
    RealData {
        /// The data folder.
        folder: PathBuf,
        /// The name of the file that shows it.
        file: String,
    },
    /// The operations file has another format.
    #[error("`{}` is not an operations file this version can read", file.display())]
    UnknownFormat {
        /// The operations file.
        file: PathBuf,
    },
    /// The operations file is damaged before its end.
    #[error("`{}` is damaged at byte {offset}, before its end; restore it from a backup", file.display())]
    Damaged {
        /// The operations file.
        file: PathBuf,
        /// Where the first unreadable record begins.
        offset: usize,
    },
    /// Reading, writing or syncing failed.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// The verb: read, write, sync, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Operations have no stored form.
    #[error("cannot store an operation: {reason}")]
    Encode {
        /// Why not.
        reason: String,
    },
}

impl From<EncodeError> for StorageError {
    fn from(error: EncodeError) -> Self {
        let reason = match &error {
            EncodeError::Document(source) => format!("{error}: {source}"),
            EncodeError::TooLong { .. } => error.to_string(),
        };
        Self::Encode { reason }
    }
}

/// What opening a folder found and did; sizes in bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recovery {
    /// Complete records read.
    pub(super) records: u64,
    /// The length of the interrupted record that was cut off.
    pub(super) torn: Option<usize>,
    /// The length of the file before and after it was rewritten.
    pub(super) compacted: Option<(usize, usize)>,
}

/// An opened data folder.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    file: File,
    lock: File,
}

impl Store {
    /// Locks the folder and replays its operations. The folder has to exist.
    pub(super) fn open(folder: &Path) -> Result<(Self, Catalog, Recovery), StorageError> {
        refuse_real_data(folder)?;
        let lock = lock(folder)?;
        let path = folder.join(OPERATIONS_FILE);
        let fresh = folder.join(FRESH_FILE);
        remove_if_present(&fresh)?;
        if !path.try_exists().map_err(failed("look for", &path))? {
            replace(folder, &path, &fresh, FILE_HEADER)?;
        }
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        let (catalog, mut recovery) = replay(&path, &bytes)?;
        if let Some(torn) = recovery.torn {
            let file = OpenOptions::new()
                .write(true)
                .open(&path)
                .map_err(failed("open", &path))?;
            let length = u64::try_from(bytes.len() - torn).unwrap_or(u64::MAX);
            file.set_len(length).map_err(failed("cut", &path))?;
            file.sync_all().map_err(failed("sync", &path))?;
        }
        let image = image(&catalog)?;
        if bytes.len() / 2 > image.len() {
            replace(folder, &path, &fresh, &image)?;
            recovery.compacted = Some((bytes.len(), image.len()));
        }
        let mut file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(failed("open", &path))?;
        file.seek(SeekFrom::End(0)).map_err(failed("open", &path))?;
        Ok((Self { path, file, lock }, catalog, recovery))
    }

    /// Writes all `operations` as one record and waits until the disk has it. After an error
    /// nobody knows what the disk holds: the server has to stop, and the next start finds out.
    pub(super) fn append(&mut self, operations: &[Operation]) -> Result<(), StorageError> {
        let record = record::encode(operations)?;
        self.file
            .write_all(&record)
            .map_err(failed("write", &self.path))?;
        self.sync()
    }

    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(failed("sync", &self.path))
    }

    /// Makes every further write fail, as a broken disk does.
    #[cfg(test)]
    pub(super) fn break_writes(&mut self) {
        self.file = File::open(&self.path).unwrap();
    }

    /// Lets the next server in, even while something still holds this value.
    pub(super) fn release(&self) -> Result<(), StorageError> {
        self.lock.unlock().map_err(failed("unlock", &self.path))
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StorageError + 'a {
    move |source| StorageError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

fn refuse_real_data(folder: &Path) -> Result<(), StorageError> {
    if !folder.try_exists().map_err(failed("look for", folder))? {
        return Err(StorageError::NoFolder {
            folder: folder.to_owned(),
        });
    }
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let name = entry.map_err(failed("list", folder))?.file_name();
        let file = name.to_string_lossy().into_owned();
        let is_real = file.starts_with("WiredTiger")
            || file.ends_with(".wt")
            || ["storage.bson", "mongod.lock", "local.ns", "local.0"].contains(&file.as_str());
        if is_real {
            return Err(StorageError::RealData {
                folder: folder.to_owned(),
                file,
            });
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, StorageError> {
    let path = folder.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::InUse { lock: path }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}

fn remove_if_present(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Puts a new file in the place of an old one: written beside, synced, renamed, folder synced.
fn replace(folder: &Path, path: &Path, fresh: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let mut file = File::create(fresh).map_err(failed("create", fresh))?;
    file.write_all(bytes).map_err(failed("write", fresh))?;
    file.sync_all().map_err(failed("sync", fresh))?;
    fs::rename(fresh, path).map_err(failed("rename", fresh))?;
    let directory = File::open(folder).map_err(failed("open", folder))?;
    directory.sync_all().map_err(failed("sync", folder))
}

fn replay(path: &Path, bytes: &[u8]) -> Result<(Catalog, Recovery), StorageError> {
    let mut rest = bytes
        .strip_prefix(FILE_HEADER)
        .ok_or_else(|| StorageError::UnknownFormat {
            file: path.to_owned(),
        })?;
    let mut catalog = Catalog::default();
    let mut recovery = Recovery::default();
    loop {
        match record::next(rest) {
            Next::End => return Ok((catalog, recovery)),
            Next::Torn => {
                recovery.torn = Some(rest.len());
                return Ok((catalog, recovery));
            }
            Next::Damaged => {
                let offset = bytes.len() - rest.len();
                return Err(StorageError::Damaged {
                    file: path.to_owned(),
                    offset,
                });
            }
            Next::Record { operations, bytes } => {
                for operation in &operations {
                    catalog.apply(operation);
                }
                recovery.records += 1;
                rest = rest.get(bytes..).unwrap_or_default();
            }
        }
    }
}

/// The shortest operations file with the same content.
fn image(catalog: &Catalog) -> Result<Vec<u8>, StorageError> {
    let operations: Vec<Operation> = catalog.operations().collect();
    let mut image = FILE_HEADER.to_vec();
    for operations in operations.chunks(OPERATIONS_PER_RECORD) {
        image.extend(record::encode(operations)?);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bson::Bson;
    use bson::Document;
    use bson::Uuid;
    use bson::doc;
    use tempfile::TempDir;

    use super::super::catalog::Namespace;
    use super::*;

    fn namespace() -> Namespace {
        Namespace::new("shop", "orders")
    }

    fn put(id: i32, text: &str) -> Operation {
        let document = Arc::new(doc! {"_id": id, "text": text});
        Operation::Put {
            namespace: namespace(),
            document,
        }
    }

    fn filled() -> TempDir {
        let folder = TempDir::new().unwrap();
        let (mut store, _, recovery) = Store::open(folder.path()).unwrap();
        assert_eq!(recovery, Recovery::default());
        let create = Operation::Create {
            namespace: namespace(),
            uuid: Uuid::from_bytes([1; 16]),
        };
        store.append(&[create, put(1, "one")]).unwrap();
        store.append(&[put(2, "two")]).unwrap();
        folder
    }

    fn documents(catalog: &Catalog) -> Vec<Document> {
        let collection = catalog.collection(&namespace()).unwrap();
        collection
            .documents()
            .map(|document| (**document).clone())
            .collect()
    }

    fn operations_file(folder: &TempDir) -> PathBuf {
        folder.path().join(OPERATIONS_FILE)
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let folder = filled();
        let (mut store, catalog, recovery) = Store::open(folder.path()).unwrap();
        assert_eq!(
            recovery,
            Recovery {
                records: 2,
                ..Recovery::default()
            }
        );
        assert_eq!(
            documents(&catalog),
            [
                doc! {"_id": 1, "text": "one"},
                doc! {"_id": 2, "text": "two"}
            ]
        );
        store
            .append(&[Operation::Remove {
                namespace: namespace(),
                id: Bson::Int32(1),
            }])
            .unwrap();
        drop(store);
        let (_, catalog, _) = Store::open(folder.path()).unwrap();
        assert_eq!(documents(&catalog), [doc! {"_id": 2, "text": "two"}]);
    }

    #[test]
    fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
        let folder = filled();
        let path = operations_file(&folder);
        let complete = fs::read(&path).unwrap();
        let last = record::encode(&[put(2, "two")]).unwrap().len();
        for kept in 1..last {
            let length = complete.len() - last + kept;
            fs::write(&path, &complete[..length]).unwrap();
            let (mut store, catalog, recovery) = Store::open(folder.path()).unwrap();
            assert_eq!(recovery.torn, Some(kept));
            assert_eq!(documents(&catalog), [doc! {"_id": 1, "text": "one"}]);
            store.append(&[put(3, "three")]).unwrap();
            drop(store);
            let (_, catalog, recovery) = Store::open(folder.path()).unwrap();
            assert_eq!(recovery.torn, None);
            assert_eq!(documents(&catalog).len(), 2);
        }
    }

    #[test]
    fn damage_before_the_end_is_an_error_and_changes_nothing() {
        let folder = filled();
        let path = operations_file(&folder);
        let mut bytes = fs::read(&path).unwrap();
        bytes[FILE_HEADER.len() + 20] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(
            matches!(error, StorageError::Damaged { offset, .. } if offset == FILE_HEADER.len()),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn another_format_is_refused() {
        let folder = filled();
        fs::write(operations_file(&folder), "toolkit mongo operations 2\n").unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(
            matches!(error, StorageError::UnknownFormat { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_file_more_than_twice_its_content_is_rewritten() {
        let folder = filled();
        let (mut store, _, _) = Store::open(folder.path()).unwrap();
        for round in 0..20 {
            store.append(&[put(1, &round.to_string())]).unwrap();
        }
        drop(store);
        fs::write(folder.path().join(FRESH_FILE), "left by a crash").unwrap();
        let (store, catalog, recovery) = Store::open(folder.path()).unwrap();
        let (before, after) = recovery.compacted.unwrap();
        assert!(after * 2 < before);
        let expected = [
            doc! {"_id": 1, "text": "19"},
            doc! {"_id": 2, "text": "two"},
        ];
        assert_eq!(documents(&catalog), expected);
        drop(store);
        let (_, catalog, recovery) = Store::open(folder.path()).unwrap();
        assert_eq!(
            recovery,
            Recovery {
                records: 1,
                ..Recovery::default()
            }
        );
        assert_eq!(documents(&catalog), expected);
        assert!(!folder.path().join(FRESH_FILE).exists());
    }

    #[test]
    fn a_second_server_is_kept_out_until_the_first_lets_go() {
        let folder = filled();
        let (store, _, _) = Store::open(folder.path()).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StorageError::InUse { .. }), "{error}");
        assert!(error.to_string().starts_with("DBPathInUse: "));
        store.release().unwrap();
        Store::open(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_of_a_real_mongodb_is_refused_untouched() {
        for file in [
            "WiredTiger",
            "WiredTiger.wt",
            "storage.bson",
            "collection-0.wt",
            "mongod.lock",
        ] {
            let folder = TempDir::new().unwrap();
            fs::write(folder.path().join(file), "real").unwrap();
            let error = Store::open(folder.path()).unwrap_err();
            assert!(matches!(error, StorageError::RealData { .. }), "{error}");
            let names: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            assert_eq!(names, [file]);
        }
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = TempDir::new().unwrap();
        let missing = folder.path().join("none");
        let error = Store::open(&missing).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the data folder `{}` does not exist", missing.display())
        );
    }
}
