//! Files that survive a crash: after a call returns, what it wrote is on the disk, and a file is
//! either the old one or the new one.
#![expect(clippy::disallowed_methods, reason = "part of the door to files")]

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{HostError, suffixed, write_new};

/// Mode of what this module makes: such files tell what an operator does, and may hold secrets.
const PRIVATE: u32 = 0o600;

/// Mode of what is meant for other programs, as far as the process' own mask lets them.
const PUBLIC: u32 = 0o644;

/// A file of lines that only grows. Each line is synced before the call returns.
#[derive(Debug)]
pub struct AppendFile {
    file: fs::File,
    path: PathBuf,
    length: u64,
}

impl AppendFile {
    /// Makes the file with its first line in place of one that may be there. It never exists
    /// without that line.
    ///
    /// # Errors
    /// The file cannot be written or put in place; one that was there is then untouched.
    pub fn create(path: &Path, first: &str) -> Result<Self, HostError> {
        let beside = suffixed(path, ".new");
        remove(&beside)?;
        let mut file = open_to_append(&beside)?;
        let line = format!("{first}\n");
        let written = file
            .write_all(line.as_bytes())
            .and_then(|()| file.sync_all());
        written.map_err(|source| HostError::file("write", &beside, source))?;
        rename(&beside, path)?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            length: line.len() as u64,
        })
    }

    /// Opens the file, which is made when missing. A last line without an end is what a crash left
    /// of an addition that was never confirmed: it is cut off.
    ///
    /// # Errors
    /// The file cannot be opened or cut.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        Self::mended(open_or_make(path)?, path)
    }

    /// As [`AppendFile::open`], after everybody else who opened it so is done with it.
    ///
    /// # Errors
    /// As there, or it cannot be locked.
    pub fn open_alone(path: &Path) -> Result<Self, HostError> {
        let file = open_or_make(path)?;
        // The kernel frees it with the file.
        file.lock()
            .map_err(|source| HostError::file("lock", path, source))?;
        Self::mended(file, path)
    }

    fn mended(mut file: fs::File, path: &Path) -> Result<Self, HostError> {
        let length = whole_length(&mut file)
            .and_then(|length| file.set_len(length).map(|()| length))
            .map_err(|source| HostError::file("mend", path, source))?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            length,
        })
    }

    /// Adds a line, or several with an end between them.
    ///
    /// # Errors
    /// It cannot be written or synced, such as on a full disk. What was written of it is taken back
    /// as far as the system permits.
    pub fn append(&mut self, line: &str) -> Result<(), HostError> {
        let line = format!("{line}\n");
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // A reader drops a line without an end, should this fail too.
            let _ = self.file.set_len(self.length);
            return Err(HostError::file("add to", &self.path, source));
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

/// Opens a file, which is made when missing, and is then in its folder for good.
fn open_or_make(path: &Path) -> Result<fs::File, HostError> {
    let is_new = !path.exists();
    let file = open_to_append(path)?;
    if is_new {
        sync_folder(path)?;
    }
    Ok(file)
}

fn open_to_append(path: &Path) -> Result<fs::File, HostError> {
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true).mode(PRIVATE);
    options
        .open(path)
        .map_err(|source| HostError::file("open", path, source))
}

/// Length up to the end of the last whole line.
fn whole_length(file: &mut fs::File) -> io::Result<u64> {
    const BLOCK: u64 = 4096;
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(file)
            .take(end - start)
            .read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The whole lines of a file, `None` when there is no file. What follows the last line end is not
/// part of them.
///
/// # Errors
/// The file cannot be read.
pub fn whole_lines(path: &Path) -> Result<Option<Vec<String>>, HostError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HostError::file("read", path, source)),
    };
    let mut lines: Vec<String> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    lines.pop();
    Ok(Some(lines))
}

/// Puts a whole private file in place: written beside, synced, renamed.
///
/// # Errors
/// Any of these steps fails; the old file is then whole.
pub fn put_private(path: &Path, text: &str) -> Result<(), HostError> {
    put(path, text, PRIVATE)
}

/// As [`put_private`], for a file that everybody may read.
///
/// # Errors
/// As there.
pub fn put_public(path: &Path, text: &str) -> Result<(), HostError> {
    put(path, text, PUBLIC)
}

fn put(path: &Path, text: &str, mode: u32) -> Result<(), HostError> {
    // Two processes may put the same file in place at once.
    let beside = suffixed(path, &format!(".{}.new", std::process::id()));
    remove(&beside)?;
    write_new(&beside, text, mode)?;
    rename(&beside, path)
}

/// Renames a file and syncs its folder.
///
/// # Errors
/// The system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), HostError> {
    fs::rename(from, to).map_err(|source| HostError::file("replace", to, source))?;
    sync_folder(to)
}

/// Removes a file; one that is gone already is no error.
///
/// # Errors
/// The system refuses.
pub fn remove(path: &Path) -> Result<(), HostError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(HostError::file("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Syncs the folder of a file, so that its name is on the disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), HostError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| HostError::file("sync", folder, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_a_crash_left_of_a_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = AppendFile::create(&path, "one").unwrap();
        file.append("two").unwrap();
        drop(file);
        let whole = fs::read(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let expected: &[&str] = match length {
                0..4 => &[],
                4..8 => &["one"],
                _ => &["one", "two"],
            };
            assert_eq!(whole_lines(&path).unwrap().unwrap(), expected, "{length}");
            let mut file = AppendFile::open(&path).unwrap();
            file.append("three").unwrap();
            assert_eq!(
                whole_lines(&path).unwrap().unwrap(),
                [expected, &["three"]].concat(),
                "{length}"
            );
        }
        let long = "x".repeat(10_000);
        fs::write(&path, format!("one\n{long}")).unwrap();
        AppendFile::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        assert_eq!(whole_lines(&folder.path().join("none")).unwrap(), None);
    }

    #[test]
    fn a_file_that_takes_no_more_is_an_error() {
        let mut full = AppendFile {
            file: fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap(),
            path: PathBuf::from("/dev/full"),
            length: 0,
        };
        let error = full.append("line").unwrap_err();
        assert_eq!(error.to_string(), "cannot add to `/dev/full`");
    }
}
