//! Copies of a folder, as a folder, a tar or a zip archive: readable for their owner only, and complete
//! or not there at all.
#![expect(clippy::disallowed_methods, reason = "part of the door to files")]

mod zip;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{HostError, durable, suffixed};

/// Modes of what is made: such a copy may hold secrets.
const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// How deep folders may lie in each other. Links are followed, and may lead round.
const DEEPEST: usize = 32;

/// What a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A folder.
    Folder,
    /// A tar archive.
    Tar,
    /// A zip archive.
    Zip,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many files.
    pub files: usize,
    /// What was left out: broken links, and what is neither a file nor a folder.
    pub left_out: Vec<PathBuf>,
}

/// A file or a folder that is copied.
struct Entry {
    /// Below the folder.
    path: PathBuf,
    is_folder: bool,
}

/// Copies a folder with all that is in it; links are followed. In an archive every name begins with the
/// name of the folder.
///
/// # Errors
/// There is something at `target` already, or beside it where the copy is made
/// ([`HostError::is_present`], with the path), or a file cannot be read or written; there is no copy then.
pub fn take(folder: &Path, target: &Path, form: Form) -> Result<Copied, HostError> {
    let beside = suffixed(target, ".partial");
    // What is there already is somebody's: it is neither written to nor taken away after a failure.
    for path in [target, &beside] {
        if fs::symlink_metadata(path).is_ok() {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(HostError::file("create", path, source));
        }
    }
    let mut copied = Copied::default();
    let mut entries = Vec::new();
    collect(folder, Path::new(""), &mut entries, &mut copied)?;
    copied.files = entries.iter().filter(|entry| !entry.is_folder).count();
    let made = match form {
        Form::Folder => to_folder(folder, &beside, &entries),
        Form::Tar => to_tar(folder, &beside, &entries),
        Form::Zip => to_zip(folder, &beside, &entries),
    };
    let placed = made.and_then(|()| durable::rename(&beside, target));
    if let Err(error) = placed {
        // Half a copy is of no use; what is left of it holds secrets.
        let _ = match form {
            Form::Folder => fs::remove_dir_all(&beside),
            Form::Tar | Form::Zip => fs::remove_file(&beside),
        };
        return Err(error);
    }
    Ok(copied)
}

/// Everything below a folder, each folder before what is in it.
fn collect(
    root: &Path,
    below: &Path,
    entries: &mut Vec<Entry>,
    copied: &mut Copied,
) -> Result<(), HostError> {
    let folder = root.join(below);
    let failed = |source| HostError::file("read", &folder, source);
    let found = fs::read_dir(&folder).map_err(failed)?;
    let names: Result<Vec<_>, _> = found.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names.map_err(failed)?;
    names.sort();
    for name in names {
        let path = below.join(name);
        let kind = fs::metadata(root.join(&path)).ok();
        let is_deep = path.components().count() > DEEPEST;
        match kind {
            Some(kind) if kind.is_dir() && !is_deep => {
                entries.push(Entry {
                    path: path.clone(),
                    is_folder: true,
                });
                collect(root, &path, entries, copied)?;
            }
            Some(kind) if kind.is_file() => entries.push(Entry {
                path,
                is_folder: false,
            }),
            _ => copied.left_out.push(path),
        }
    }
    Ok(())
}

fn to_folder(folder: &Path, target: &Path, entries: &[Entry]) -> Result<(), HostError> {
    make_folder(target)?;
    for entry in entries {
        let path = target.join(&entry.path);
        if entry.is_folder {
            make_folder(&path)?;
        } else {
            let content = read(&folder.join(&entry.path))?;
            let mut file = new_file(&path)?;
            let written = file.write_all(&content).and_then(|()| file.sync_all());
            written.map_err(|source| HostError::file("write", &path, source))?;
        }
    }
    Ok(())
}

fn to_tar(folder: &Path, target: &Path, entries: &[Entry]) -> Result<(), HostError> {
    let file = new_file(target)?;
    let failed = |source| HostError::file("write", target, source);
    let mut builder = tar::Builder::new(file);
    for entry in entries {
        let path = folder.join(&entry.path);
        let mut header = tar::Header::new_gnu();
        header.set_mtime(modified(&path));
        let content = if entry.is_folder {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(FOLDER);
            Vec::new()
        } else {
            header.set_mode(FILE);
            read(&path)?
        };
        header.set_size(content.len() as u64);
        let name = named(folder, &entry.path);
        let added = builder.append_data(&mut header, name, content.as_slice());
        added.map_err(failed)?;
    }
    let file = builder.into_inner().map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn to_zip(folder: &Path, target: &Path, entries: &[Entry]) -> Result<(), HostError> {
    let mut archive = zip::Writer::default();
    for entry in entries {
        let path = folder.join(&entry.path);
        let name = named(folder, &entry.path);
        let name = name.to_string_lossy();
        if entry.is_folder {
            archive.add(&format!("{name}/"), FOLDER | 0o040_000, &[]);
        } else {
            archive.add(&name, FILE | 0o100_000, &read(&path)?);
        }
    }
    let failed = |source| HostError::file("write", target, source);
    let content = archive.finish().map_err(failed)?;
    let mut file = new_file(target)?;
    let written = file.write_all(&content).and_then(|()| file.sync_all());
    written.map_err(failed)
}

/// The name of an entry in an archive.
fn named(folder: &Path, path: &Path) -> PathBuf {
    Path::new(folder.file_name().unwrap_or_default()).join(path)
}

fn read(path: &Path) -> Result<Vec<u8>, HostError> {
    fs::read(path).map_err(|source| HostError::file("read", path, source))
}

/// When a file was changed, in seconds since 1970.
fn modified(path: &Path) -> u64 {
    let changed = fs::metadata(path).and_then(|found| found.modified()).ok();
    let since = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

fn make_folder(path: &Path) -> Result<(), HostError> {
    let made = fs::DirBuilder::new().mode(FOLDER).create(path);
    made.map_err(|source| HostError::file("create the folder", path, source))
}

fn new_file(path: &Path) -> Result<fs::File, HostError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(FILE);
    options
        .open(path)
        .map_err(|source| HostError::file("create", path, source))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn source() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        fs::create_dir_all(config.join("nginx/certs")).unwrap();
        fs::write(config.join("overleaf.rc"), "A=1\n").unwrap();
        fs::write(config.join("nginx/certs/key.pem"), "key").unwrap();
        fs::write(folder.path().join("outside"), "linked").unwrap();
        symlink("../outside", config.join("link")).unwrap();
        symlink("nowhere", config.join("broken")).unwrap();
        folder
    }

    fn expected() -> Vec<(String, String)> {
        [
            ("link", "linked"),
            ("nginx/certs/key.pem", "key"),
            ("overleaf.rc", "A=1\n"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .to_vec()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_copy_is_whole_and_private_in_each_form() {
        let folder = source();
        let config = folder.path().join("config");
        for form in [Form::Folder, Form::Tar, Form::Zip] {
            let target = folder.path().join(format!("{form:?}"));
            let copied = take(&config, &target, form).unwrap();
            assert_eq!(copied.files, 3);
            assert_eq!(copied.left_out, [PathBuf::from("broken")]);
            let mut found = Vec::new();
            match form {
                Form::Folder => {
                    assert_eq!(mode(&target), 0o700);
                    assert_eq!(mode(&target.join("nginx/certs")), 0o700);
                    for (path, _) in expected() {
                        assert_eq!(mode(&target.join(&path)), 0o600);
                        let text = fs::read_to_string(target.join(&path)).unwrap();
                        found.push((path, text));
                    }
                }
                Form::Tar => {
                    assert_eq!(mode(&target), 0o600);
                    let mut archive = tar::Archive::new(fs::File::open(&target).unwrap());
                    for entry in archive.entries().unwrap() {
                        let mut entry = entry.unwrap();
                        let path = entry.path().unwrap().display().to_string();
                        let mut text = String::new();
                        entry.read_to_string(&mut text).unwrap();
                        let path = path.strip_prefix("config/").unwrap().to_owned();
                        if entry.header().entry_type().is_file() {
                            found.push((path, text));
                        }
                    }
                }
                Form::Zip => {
                    assert_eq!(mode(&target), 0o600);
                    let all: BTreeMap<String, Vec<u8>> =
                        zip::testing::read(&fs::read(&target).unwrap());
                    for (path, content) in all {
                        let path = path.strip_prefix("config/").unwrap().to_owned();
                        if !path.ends_with('/') {
                            found.push((path, String::from_utf8(content).unwrap()));
                        }
                    }
                }
            }
            assert_eq!(found, expected(), "{form:?}");
            let again = take(&config, &target, form).unwrap_err();
            assert!(again.is_present(), "{again}");
            // What an earlier run left, or somebody else has there, stays.
            let other = target.with_file_name("other");
            let beside = target.with_file_name("other.partial");
            match form {
                Form::Folder => fs::create_dir_all(&beside).unwrap(),
                Form::Tar | Form::Zip => fs::write(&beside, "theirs").unwrap(),
            }
            let refused = take(&config, &other, form).unwrap_err();
            assert!(refused.is_present(), "{refused}");
            assert!(refused.to_string().contains("other.partial"), "{refused}");
            assert!(beside.exists());
            match form {
                Form::Folder => fs::remove_dir(&beside).unwrap(),
                Form::Tar | Form::Zip => fs::remove_file(&beside).unwrap(),
            }
        }
    }

    #[test]
    fn half_a_copy_is_none() {
        let folder = source();
        let config = folder.path().join("config");
        let target = folder.path().join("missing/copy");
        for form in [Form::Folder, Form::Tar, Form::Zip] {
            take(&config, &target, form).unwrap_err();
        }
        symlink("..", config.join("round")).unwrap();
        let target = folder.path().join("copy");
        let copied = take(&config, &target, Form::Tar).unwrap();
        assert!(!copied.left_out.is_empty());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 3);
    }
}
