//! Facts of this machine: its kernel and processor, its filesystems, and what stands in a folder.
//! Reads only.
#![expect(
    clippy::disallowed_methods,
    reason = "part of the door to files and processes"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use super::HostError;

/// The kernel's version, such as `6.1.0-18-amd64`; `None` where it is not told.
#[must_use]
pub fn kernel() -> Option<String> {
    line_of("/proc/sys/kernel/osrelease")
}

/// The machine's name; `None` where it is not told.
#[must_use]
pub fn name() -> Option<String> {
    line_of("/proc/sys/kernel/hostname")
}

fn line_of(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// What the processor can do, in the kernel's words such as `avx` or `atomics`; `None` where it is
/// not told.
#[must_use]
pub fn processor_features() -> Option<BTreeSet<String>> {
    features(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// The features that all processors of a `/proc/cpuinfo` share.
fn features(text: &str) -> Option<BTreeSet<String>> {
    let lists = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        matches!(key.trim(), "flags" | "Features").then_some(value)
    });
    let sets = lists.map(|list| list.split_whitespace().map(str::to_owned).collect());
    sets.reduce(|one: BTreeSet<String>, other| one.intersection(&other).cloned().collect())
}

/// A filesystem and how much of it is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// Its kind in the kernel's words, such as `ext4` or `nfs4`; empty when not told.
    pub kind: String,
    /// Whether nothing can be written to it.
    pub is_read_only: bool,
    /// Bytes that a process other than root's may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Files that may still be made.
    pub free_files: u64,
    /// Files in all; 0 where there is no limit.
    pub total_files: u64,
}

/// The filesystem that holds an existing path.
///
/// # Errors
/// The path cannot be looked at.
pub fn filesystem(path: &Path) -> Result<Filesystem, HostError> {
    let found = rustix::fs::statvfs(path)
        .map_err(|error| HostError::file("look at", path, error.into()))?;
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Ok(Filesystem {
        kind: kind_of(&table, &super::canonical(path)).unwrap_or_default(),
        is_read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        free_files: found.f_favail,
        total_files: found.f_files,
    })
}

/// The kind of the filesystem that a path lies on, out of a table of mounts. Of several on one
/// place the last is the visible one.
fn kind_of(table: &str, path: &Path) -> Option<String> {
    let mounts = table.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let place = PathBuf::from(unescaped(left.split(' ').nth(4)?));
        Some((place, right.split(' ').next()?))
    });
    let around = mounts.filter(|(place, _)| path.starts_with(place));
    let nearest = around.max_by_key(|(place, _)| place.components().count());
    nearest.map(|(_, kind)| kind.to_owned())
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    let pairs = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let mut plain = text.to_owned();
    for (code, character) in pairs {
        plain = plain.replace(code, character);
    }
    plain
}

/// The path itself, or the nearest one above it that exists.
#[must_use]
pub fn nearest_existing(path: &Path) -> PathBuf {
    let mut upward = path.ancestors();
    let found = upward.find(|above| above.exists());
    found.unwrap_or(Path::new("/")).to_path_buf()
}

/// User, group and permission bits (`0o7777`) of a path; `None` when it cannot be looked at.
#[must_use]
pub fn ownership(path: &Path) -> Option<(u32, u32, u32)> {
    let found = fs::metadata(path).ok()?;
    Some((found.uid(), found.gid(), found.mode() & 0o7777))
}

/// A number that tells the filesystem of a path from others; `None` when it cannot be looked at.
#[must_use]
pub fn device(path: &Path) -> Option<u64> {
    Some(fs::metadata(path).ok()?.dev())
}

/// The names in a folder, sorted; `None` when it cannot be listed.
#[must_use]
pub fn names_in(folder: &Path) -> Option<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Some(names)
}

/// The first bytes of a file, at most `limit`.
///
/// # Errors
/// The file cannot be read.
pub fn read_beginning(path: &Path, limit: u64) -> Result<Vec<u8>, HostError> {
    let mut bytes = Vec::new();
    let file = super::open(path)?;
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(|source| HostError::file("read", path, source))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_those_of_every_processor() {
        let text = "processor\t: 0\nflags\t\t: fpu sse avx\n\nprocessor\t: 1\nflags\t\t: fpu avx\n";
        let expected: BTreeSet<String> = ["avx", "fpu"].map(str::to_owned).into();
        assert_eq!(features(text), Some(expected));
        let text = "BogoMIPS\t: 50\nFeatures\t: fp asimd atomics\n";
        assert!(features(text).unwrap().contains("atomics"));
        assert_eq!(features("model name\t: x\n"), None);
    }

    #[test]
    fn the_nearest_and_last_mount_counts() {
        let table = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:1 / /srv/my\\040data rw,x shared:1 - nfs4 h:/x rw\n3 1 0:2 / /srv rw - xfs /dev/b rw\n4 1 0:3 / /srv rw - tmpfs none rw\n";
        for (path, expected) in [
            ("/srv/my data/mongo", "nfs4"),
            ("/srv/other", "tmpfs"),
            ("/srvx", "ext4"),
        ] {
            let found = kind_of(table, Path::new(path));
            assert_eq!(found.as_deref(), Some(expected), "{path}");
        }
        assert_eq!(kind_of("", Path::new("/")), None);
    }

    #[test]
    fn a_real_folder_has_a_filesystem_and_an_owner() {
        let folder = tempfile::tempdir().unwrap();
        let found = filesystem(folder.path()).unwrap();
        assert!(found.total_bytes > 0 && found.free_bytes <= found.total_bytes);
        assert!(filesystem(&folder.path().join("none")).is_err());
        let below = folder.path().join("a/b");
        assert_eq!(nearest_existing(&below), folder.path());
        let (user, ..) = ownership(folder.path()).unwrap();
        assert_eq!(Some(user), super::super::user_id());
        assert_eq!(names_in(folder.path()), Some(Vec::new()));
        assert_eq!(names_in(&below), None);
    }
}
