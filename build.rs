//! Gives the program an identity: a hash over everything it is built from. The images of the
//! bundled servers carry it as their tag, so that a container runs the servers of the program that
//! deployed it, and the same sources give the same tag without reading the program at every start.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads what it hashes"
)]

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// What the program is made of.
const SOURCES: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "lib/config-seed",
    "src",
    "templates",
];

/// The ends of the names of its tables. Beside them operators keep files of their own: `.env`, and what
/// their definitions name.
const TABLES: [&str; 2] = ["toml", "md"];

/// What else decides how it is built.
const VARIABLES: [&str; 4] = ["PROFILE", "TARGET", "OPT_LEVEL", "CARGO_ENCODED_RUSTFLAGS"];

fn main() {
    let mut hasher = DefaultHasher::new();
    let mut sources: Vec<PathBuf> = SOURCES.iter().map(PathBuf::from).collect();
    sources.extend(files("lib").into_iter().filter(|path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| TABLES.contains(&ending))
    }));
    for source in sources {
        println!("cargo::rerun-if-changed={}", source.display());
        hash_path(&source, &mut hasher);
    }
    for variable in VARIABLES {
        std::env::var(variable)
            .unwrap_or_default()
            .hash(&mut hasher);
    }
    println!("cargo::rustc-env=TOOLKIT_BUILD={:016x}", hasher.finish());
}

/// What a folder holds, by name.
fn files(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn hash_path(path: &Path, hasher: &mut DefaultHasher) {
    if path.is_dir() {
        for path in files(path) {
            hash_path(&path, hasher);
        }
    } else if let Ok(content) = std::fs::read(path) {
        path.to_string_lossy().hash(hasher);
        content.hash(hasher);
    }
}
