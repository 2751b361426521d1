//! The only door to files, processes, sockets, the lock, signals and the clock of this machine.
//!
//! Every error names the path and what was tried. Knows neither Docker nor Overleaf.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the door that the list protects"
)]

pub mod bash;
pub mod durable;
pub mod http;
pub mod identity;
pub mod interrupt;
pub mod lock;
pub mod machine;
pub mod output;
pub mod ports;
pub mod program;
pub mod snapshot;
pub mod tail;
pub mod terminal;
pub mod tunnel;

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Something on this machine could not be done.
#[derive(Debug, Error)]
pub enum HostError {
    /// A file operation failed.
    #[error("cannot {verb} `{}`", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}

impl HostError {
    fn file(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            verb,
            path: path.to_path_buf(),
            source,
        }
    }

    /// Whether the path does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the system does not permit it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether the path exists already.
    #[must_use]
    pub fn is_present(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }
}

/// Reads a text file.
///
/// # Errors
/// The file cannot be read or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, HostError> {
    let failed = |source| HostError::file("read", path, source);
    // To open a pipe would wait for somebody who writes into it, and no signal ends that.
    if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        return Err(failed(io::Error::other("it is a pipe, not a file")));
    }
    fs::read_to_string(path).map_err(failed)
}

/// Opens a file for reading.
///
/// # Errors
/// The file cannot be opened.
pub fn open(path: &Path) -> Result<fs::File, HostError> {
    fs::File::open(path).map_err(|source| HostError::file("open", path, source))
}

/// Whether there is anything at the path; symbolic links count by what they point to.
#[must_use]
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Writes a new file with the given mode.
///
/// # Errors
/// The file exists already ([`HostError::is_present`]) or cannot be written.
pub fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), HostError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options
        .open(path)
        .map_err(|source| HostError::file("create", path, source))?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|source| HostError::file("write", path, source))
}

/// Replaces a file: writes beside it, syncs, renames. The file keeps its mode and owner; a symbolic
/// link stays one and the file it points to is replaced. The old text is kept beside as `NAME.bak`.
///
/// # Errors
/// Any of these steps fails; the old file is then whole.
pub fn replace(path: &Path, text: &str) -> Result<(), HostError> {
    let path = &canonical(path);
    let metadata = fs::metadata(path).map_err(|source| HostError::file("look at", path, source))?;
    let old = read_text(path)?;
    put(&suffixed(path, ".bak"), &old, &metadata)?;
    put(path, text, &metadata)?;
    durable::sync_folder(path)
}

/// Replaces several files as one change, as [`replace`] does with each: all new texts are written
/// beside the old ones before the first is renamed, in the given order. A rename that fails puts the
/// earlier files back.
///
/// # Errors
/// Any of these steps fails; all files then hold their old text.
pub fn replace_all(files: &[(PathBuf, String)]) -> Result<(), HostError> {
    let outcome = write_all_beside(files).and_then(|ready| rename_all(&ready));
    if outcome.is_err() {
        for (path, _) in files {
            // What was written beside is of no use any more; it may never have been written.
            let _ = fs::remove_file(suffixed(&canonical(path), ".new"));
        }
    }
    outcome
}

/// A file whose new text stands beside it, with its old text.
type Ready = (PathBuf, String, fs::Metadata);

fn write_all_beside(files: &[(PathBuf, String)]) -> Result<Vec<Ready>, HostError> {
    let mut ready = Vec::new();
    for (path, text) in files {
        let path = canonical(path);
        let metadata =
            fs::metadata(&path).map_err(|source| HostError::file("look at", &path, source))?;
        let old = read_text(&path)?;
        put(&suffixed(&path, ".bak"), &old, &metadata)?;
        write_beside(&path, text, &metadata)?;
        ready.push((path, old, metadata));
    }
    Ok(ready)
}

fn rename_all(ready: &[Ready]) -> Result<(), HostError> {
    for (number, (path, ..)) in ready.iter().enumerate() {
        if let Err(source) = fs::rename(suffixed(path, ".new"), path) {
            for (earlier, old, metadata) in ready.iter().take(number) {
                put(earlier, old, metadata)?;
            }
            return Err(HostError::file("replace", path, source));
        }
    }
    for (path, ..) in ready {
        durable::sync_folder(path)?;
    }
    Ok(())
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Puts a whole file in place, with the mode and owner of another one.
fn put(path: &Path, text: &str, like: &fs::Metadata) -> Result<(), HostError> {
    let beside = write_beside(path, text, like)?;
    fs::rename(&beside, path).map_err(|source| HostError::file("replace", path, source))
}

/// Writes the text that is to replace a file beside it, with the mode and owner of another one.
fn write_beside(path: &Path, text: &str, like: &fs::Metadata) -> Result<PathBuf, HostError> {
    let beside = suffixed(path, ".new");
    durable::remove(&beside)?;
    write_new(&beside, text, like.permissions().mode() & 0o7777)?;
    // Only root may give a file away; for everybody else the owner is right already.
    let owner = (like.uid(), like.gid());
    if let Err(error) = give_to(&beside, owner)
        && fs::metadata(&beside).is_ok_and(|new| (new.uid(), new.gid()) != owner)
    {
        return Err(error);
    }
    Ok(beside)
}

/// Makes a folder with its parents; those that are made get the mode, an existing one is left.
///
/// # Errors
/// The path is something else or cannot be made.
pub fn create_folder(path: &Path, mode: u32) -> Result<(), HostError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path);
    made.map_err(|source| HostError::file("create the folder", path, source))
}

/// Makes a folder that belongs to a user and a group from its first moment on: made beside, given
/// away, renamed. Parents are made as [`create_folder`] makes them.
///
/// # Errors
/// The folder cannot be made. Whether it could be given away is the inner result: without root it
/// cannot, and the folder stays with this user.
pub fn create_folder_for(
    path: &Path,
    mode: u32,
    owner: (u32, u32),
) -> Result<Result<(), HostError>, HostError> {
    let beside = suffixed(path, ".new");
    create_folder(&beside, mode)?;
    let given = give_to(&beside, owner);
    fs::rename(&beside, path)
        .map_err(|source| HostError::file("create the folder", path, source))?;
    Ok(given)
}

/// Sets the mode of a path.
///
/// # Errors
/// The system refuses.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), HostError> {
    let set = fs::set_permissions(path, fs::Permissions::from_mode(mode));
    set.map_err(|source| HostError::file("change the mode of", path, source))
}

/// The permission bits of a path (`0o7777`), `None` when it cannot be looked at.
#[must_use]
pub fn mode(path: &Path) -> Option<u32> {
    let metadata = fs::metadata(path).ok()?;
    Some(metadata.permissions().mode() & 0o7777)
}

/// Gives a path to a user and a group.
///
/// # Errors
/// The system refuses, for example because this process is not root.
pub fn give_to(path: &Path, (user, group): (u32, u32)) -> Result<(), HostError> {
    let given = std::os::unix::fs::chown(path, Some(user), Some(group));
    given.map_err(|source| HostError::file("change the owner of", path, source))
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing.
    Missing,
    /// A folder.
    Folder,
    /// Something else, or something else in place of one of its parents.
    Other,
    /// It cannot be looked at.
    Unreadable {
        /// What the system says.
        cause: String,
    },
}

/// What stands at a path.
#[must_use]
pub fn path_kind(path: &Path) -> PathKind {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => PathKind::Folder,
        Ok(_) => PathKind::Other,
        Err(error) => match error.kind() {
            // A link that points to nothing is in the way of a folder.
            io::ErrorKind::NotFound if fs::symlink_metadata(path).is_ok() => PathKind::Other,
            io::ErrorKind::NotFound => PathKind::Missing,
            io::ErrorKind::NotADirectory => PathKind::Other,
            _ => PathKind::Unreadable {
                cause: error.to_string(),
            },
        },
    }
}

/// How many symbolic links one path may lead through, as in Linux.
const MOST_LINKS: usize = 40;

/// The path with symbolic links resolved as far as it exists, also one that points to nothing, and
/// `.` and `..` removed.
///
/// # Errors
/// Symbolic links lead round in a circle.
pub fn resolve(path: &Path) -> Result<PathBuf, HostError> {
    let parts = |path: &Path| -> Vec<OsString> {
        let parts = path.components().rev();
        parts.map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut left = parts(path);
    let mut real = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        if part != "." {
            real.push(part);
        }
        // What is no link, or cannot be looked at, stands for itself.
        let Ok(target) = fs::read_link(&real) else {
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            let source = io::Error::other("its symbolic links lead round in a circle");
            return Err(HostError::file("resolve", path, source));
        }
        real.pop();
        left.extend(parts(&target));
    }
    Ok(real)
}

/// As [`resolve`]; a path whose links lead round in a circle stays as it is.
#[must_use]
pub fn canonical(path: &Path) -> PathBuf {
    resolve(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Whether a file may be put in place at a path: there is nothing, or an ordinary file.
#[must_use]
pub fn is_replaceable(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(found) => found.is_file(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Whether a folder stands at the path, or a link to one.
#[must_use]
pub fn is_folder(path: &Path) -> bool {
    path_kind(path) == PathKind::Folder
}

/// The user that this process acts as; `None` where the system does not tell.
#[must_use]
pub fn user_id() -> Option<u32> {
    let itself = fs::metadata("/proc/self").ok()?;
    Some(itself.uid())
}

/// A fresh secret of 32 random bytes, as 64 hexadecimal digits.
///
/// # Errors
/// The system gives no random numbers.
pub fn new_secret() -> Result<String, HostError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hexadecimal(&bytes))
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A moment in whole seconds, RFC 3339: the form in which this program keeps times.
#[must_use]
pub fn stamp(at: OffsetDateTime) -> String {
    let at = at.truncate_to_second().format(&Rfc3339);
    at.unwrap_or_default()
}

/// What a file holds, in a form that can be kept and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 of its first [`MOST_HASHED`] bytes, in hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub length: u64,
    /// When it was last changed, or put at its path; setting its own times back does not hide that.
    pub modified: Option<OffsetDateTime>,
}

/// Bytes of a file that its fingerprint covers. What a service is configured by is smaller.
pub const MOST_HASHED: u64 = 16 * 1024 * 1024;

/// What a file holds; `None` when there is no file at the path.
///
/// # Errors
/// It cannot be read.
pub fn fingerprint(path: &Path) -> Result<Option<Fingerprint>, HostError> {
    let failed = |source| HostError::file("read", path, source);
    let metadata = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => return Ok(None),
    };
    let mut hash = Sha256::new();
    let file = fs::File::open(path).map_err(failed)?;
    let mut reader = io::BufReader::new(file.take(MOST_HASHED));
    loop {
        let block = reader.fill_buf().map_err(failed)?;
        if block.is_empty() {
            break;
        }
        hash.update(block);
        let length = block.len();
        reader.consume(length);
    }
    Ok(Some(Fingerprint {
        sha256: hexadecimal(&hash.finalize()),
        length: metadata.len(),
        modified: OffsetDateTime::from_unix_timestamp_nanos(
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        )
        .ok(),
    }))
}

/// The file of the running program.
///
/// # Errors
/// The system does not tell.
pub fn program() -> Result<PathBuf, HostError> {
    let link = Path::new("/proc/self/exe");
    std::env::current_exe().map_err(|source| HostError::file("find", link, source))
}

/// The time now, in UTC.
#[must_use]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_to_nothing_leads_where_it_points() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("a")).unwrap();
        symlink("../gone/file", root.join("a/link")).unwrap();
        symlink("a", root.join("b")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (path, expected) in [
            ("a/link", "gone/file"),
            ("b/link/more", "gone/file/more"),
            ("b/./../a//x", "a/x"),
            ("none/../a", "a"),
        ] {
            assert_eq!(resolve(&root.join(path)).unwrap(), root.join(expected));
        }
        assert!(resolve(&root.join("loop/x")).is_err());
        assert_eq!(canonical(&root.join("loop")), root.join("loop"));
    }

    #[test]
    fn a_new_file_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_new(&path, "1", 0o600).unwrap();
        assert!(write_new(&path, "2", 0o600).unwrap_err().is_present());
        assert_eq!(read_text(&path).unwrap(), "1");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_replaced_file_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_new(&path, "1", 0o640).unwrap();
        replace(&path, "2").unwrap();
        assert_eq!(read_text(&path).unwrap(), "2");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(read_text(&folder.path().join("a.bak")).unwrap(), "1");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        replace(&link, "3").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read_text(&path).unwrap(), "3");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn several_files_change_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write_new(&path("a"), "1", 0o640).unwrap();
        write_new(&path("b"), "2", 0o600).unwrap();
        let both = [(path("a"), "3".to_owned()), (path("b"), "4".to_owned())];
        replace_all(&both).unwrap();
        assert_eq!(read_text(&path("a")).unwrap(), "3");
        assert_eq!(read_text(&path("b")).unwrap(), "4");
        assert_eq!(read_text(&path("b.bak")).unwrap(), "2");
        let missing = [(path("a"), "5".to_owned()), (path("c"), "6".to_owned())];
        assert!(replace_all(&missing).unwrap_err().is_missing());
        assert_eq!(read_text(&path("a")).unwrap(), "3");
        // The second one cannot be backed up, so the first must not change either.
        fs::create_dir(path("b.bak.new")).unwrap();
        replace_all(&both.map(|(path, _)| (path, "7".to_owned()))).unwrap_err();
        assert_eq!(read_text(&path("a")).unwrap(), "3");
        fs::remove_dir(path("b.bak.new")).unwrap();
        // A file named twice cannot be renamed twice, which fails after the first was replaced.
        let twice = ["a", "b", "b"].map(|name| (path(name), "8".to_owned()));
        replace_all(&twice).unwrap_err();
        assert_eq!(read_text(&path("a")).unwrap(), "3");
        assert_eq!(read_text(&path("b")).unwrap(), "4");
        let left = fs::read_dir(folder.path()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "a.bak", "b", "b.bak"]);
    }

    #[test]
    fn paths_become_canonical_as_far_as_they_exist() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();
        for (given, expected) in [
            ("link/x/y", "real/x/y"),
            ("./a/../real//b", "real/b"),
            ("missing/c", "missing/c"),
            ("real", "real"),
        ] {
            assert_eq!(canonical(&root.join(given)), root.join(expected), "{given}");
        }
    }

    #[test]
    fn folders_are_told_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        write_new(&file, "", 0o600).unwrap();
        assert_eq!(path_kind(folder.path()), PathKind::Folder);
        assert_eq!(path_kind(&file), PathKind::Other);
        assert_eq!(path_kind(&file.join("x")), PathKind::Other);
        assert_eq!(path_kind(&folder.path().join("x")), PathKind::Missing);
    }
}
