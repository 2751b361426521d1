//! Loading a definition never panics, and its canonical form loads to itself.
#![no_main]

use std::io;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use toolkit::compose::canonical;
use toolkit::compose::load::{File, Loaded, Request, load};

fn loaded(text: &str, is_literal: bool) -> Option<Loaded> {
    let file = File {
        path: PathBuf::from("docker-compose.override.yml"),
        text: text.to_owned(),
        is_literal,
    };
    let request = Request {
        name: "p",
        is_named: true,
        folder: Path::new("/p/lib"),
        files: &[file],
        variables: &|_| None,
        profiles: &[],
        home: Some("/home/me"),
        read: &|_| Err(io::ErrorKind::NotFound.into()),
        read_variables: &|_, _, _| Ok(Vec::new()),
    };
    load(&request).ok()
}

fuzz_target!(|text: &str| {
    let Some(once) = loaded(text, false) else {
        return;
    };
    let written = canonical::json(&once.project);
    // JSON is YAML; every `$` in it is doubled.
    if let Some(twice) = loaded(&written, false) {
        assert_eq!(canonical::json(&twice.project), written);
    }
});
