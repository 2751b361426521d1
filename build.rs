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
    "lib",
    "src",
    "templates",
];

/// What else decides how it is built.
const VARIABLES: [&str; 4] = ["PROFILE", "TARGET", "OPT_LEVEL", "CARGO_ENCODED_RUSTFLAGS"];

fn main() {
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        hash_path(Path::new(source), &mut hasher);
    }
    for variable in VARIABLES {
        std::env::var(variable)
            .unwrap_or_default()
            .hash(&mut hasher);
    }
    println!("cargo::rustc-env=TOOLKIT_BUILD={:016x}", hasher.finish());
}

fn hash_path(path: &Path, hasher: &mut DefaultHasher) {
    if let Ok(entries) = std::fs::read_dir(path) {
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            hash_path(&path, hasher);
        }
    } else if let Ok(content) = std::fs::read(path) {
        path.to_string_lossy().hash(hasher);
        content.hash(hasher);
    }
}
