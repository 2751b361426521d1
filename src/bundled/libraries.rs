//! The shared libraries that a program needs, found by reading it: no `ldd`, nothing executed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::ReadCache;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use thiserror::Error;

use crate::host;
use crate::host::HostError;

/// Folders that dynamic loaders search by default, on the common distributions.
const FOLDERS: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// Libraries that glibc before 2.34 loads by name when it resolves host names. Newer ones have
/// that built in; what a machine does not have is not needed.
const RESOLVERS: [&str; 3] = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

/// The libraries cannot be found.
#[derive(Debug, Error)]
pub enum LibraryError {
    /// A file cannot be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A file is not a 64-bit program or library.
    #[error("`{}` is not a 64-bit ELF file that can be read", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: object::Error,
    },
    /// A library is not on this machine.
    #[error("the library `{name}`, which `{}` needs, was not found", needed_by.display())]
    Missing {
        /// Its name.
        name: String,
        /// Who needs it.
        needed_by: PathBuf,
    },
}

/// What one ELF file needs.
struct Needs {
    /// Path of the dynamic loader; `None` for a static program or a library.
    loader: Option<String>,
    /// Names of libraries.
    libraries: Vec<String>,
}

/// The loader and all libraries of a program: where each must lie for the loader to find it, and
/// the file it is. Empty for a static program.
///
/// # Errors
/// See [`LibraryError`].
pub(super) fn closure(program: &Path) -> Result<BTreeMap<String, PathBuf>, LibraryError> {
    let mut files = BTreeMap::new();
    let needs = needs(program)?;
    let Some(loader) = needs.loader else {
        return Ok(files);
    };
    files.insert(loader.clone(), host::canonical(Path::new(&loader)));
    let mut seen = BTreeSet::new();
    let mut open: Vec<(String, PathBuf)> = needs
        .libraries
        .into_iter()
        .map(|name| (name, program.to_path_buf()))
        .collect();
    while let Some((name, needed_by)) = open.pop() {
        if !seen.insert(name.clone()) || loader.ends_with(&format!("/{name}")) {
            continue;
        }
        let Some(found) = find(&name) else {
            return Err(LibraryError::Missing { name, needed_by });
        };
        let real = host::canonical(&found);
        for library in self::needs(&real)?.libraries {
            open.push((library, real.clone()));
        }
        files.insert(found.display().to_string(), real);
    }
    for name in RESOLVERS {
        if let Some(found) = find(name) {
            files.insert(found.display().to_string(), host::canonical(&found));
        }
    }
    Ok(files)
}

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| host::exists(path))
}

fn needs(path: &Path) -> Result<Needs, LibraryError> {
    let file = host::open(path)?;
    // Only the pieces that are looked at are read; the program is large.
    let data = ReadCache::new(file);
    read_needs(&data).map_err(|source| LibraryError::NotElf {
        path: path.to_path_buf(),
        source,
    })
}

fn read_needs(data: &ReadCache<std::fs::File>) -> object::Result<Needs> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let mut loader = None;
    for segment in header.program_headers(endian, data)? {
        if let Some(name) = segment.interpreter(endian, data)? {
            loader = Some(String::from_utf8_lossy(name).into_owned());
        }
    }
    let mut libraries = Vec::new();
    let sections = header.sections(endian, data)?;
    if let Some((entries, link)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        for entry in entries {
            if entry.d_tag(endian) == DT_NEEDED {
                let name = entry.string(endian, strings)?;
                libraries.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    Ok(Needs { loader, libraries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_brings_its_loader_and_libraries() {
        let program = host::program().unwrap();
        let files = closure(&program).unwrap();
        let names: Vec<&str> = files
            .keys()
            .map(|path| path.rsplit('/').next().unwrap())
            .collect();
        assert!(
            names.iter().any(|name| name.starts_with("ld-")),
            "{names:?}"
        );
        assert!(
            names.iter().any(|name| name.starts_with("libc.")),
            "{names:?}"
        );
        assert!(files.values().all(|source| source.is_file()), "{files:?}");
    }
}
