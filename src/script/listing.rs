//! Which scripts an image has, read from its files: that needs no program in the image, and no running
//! container.

use std::io::{Cursor, Read};

use futures_util::StreamExt;

use super::{Calling, Script, ScriptError};
use crate::engine::EngineError;
use crate::engine::inside::Inside;
use crate::likeness;

/// Most bytes of one folder of scripts, and of the beginning of one script.
const LARGEST: usize = 256 << 20;
const BEGINNING: u64 = 2048;

/// Ends of the names of scripts, and what was renamed to what.
const ENDS: [&str; 4] = [".mjs", ".js", ".sh", ".ts"];

/// Most names that are near enough to be named.
const NEAREST: usize = 3;
/// Similarity from which a name counts as meant (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.75;

/// A script that an image has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The service of the application that it belongs to.
    pub service: String,
    /// Its path, from the folder of the service on.
    pub path: String,
    /// The first line of its first comment; empty when there is none.
    pub about: String,
}

/// What is found at a path of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// Nothing.
    Nothing,
}

/// The scripts of services of the application, in order.
///
/// # Errors
/// The engine cannot be asked, or answers with something else than an archive.
pub async fn list(
    engine: &impl Inside,
    container: &str,
    calling: &Calling,
    services: &[String],
) -> Result<Vec<Listed>, ScriptError> {
    let mut all = Vec::new();
    for service in services {
        let root = format!("{}/", calling.folder(service));
        for folder in calling.script_folders(service) {
            let Some(bytes) = bytes(engine, container, &folder, LARGEST).await? else {
                continue;
            };
            // Names in the archive begin with the last part of the path.
            let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            for (name, about) in scripts(&bytes, &calling.hidden).map_err(|error| broken(&error))? {
                let path = format!("{parent}/{name}");
                let path = path.strip_prefix(&root).unwrap_or(&path).to_owned();
                all.push(Listed {
                    service: service.clone(),
                    path,
                    about,
                });
            }
        }
    }
    all.sort();
    Ok(all)
}

/// What a path of a container is.
///
/// # Errors
/// The engine cannot be asked.
pub async fn found(
    engine: &impl Inside,
    container: &str,
    path: &str,
) -> Result<Found, ScriptError> {
    // The first header tells; of a folder no more is read.
    let Some(bytes) = bytes(engine, container, path, 512).await? else {
        return Ok(Found::Nothing);
    };
    let mut header = tar::Header::new_old();
    let Some(first) = bytes.first_chunk::<512>() else {
        return Ok(Found::Nothing);
    };
    *header.as_mut_bytes() = *first;
    // A link says nothing of where it leads; running it will.
    Ok(match header.entry_type().is_dir() {
        true => Found::Folder,
        false => Found::File,
    })
}

/// Where else a script may be that is not where it is looked for: the same under another ending.
#[must_use]
pub fn renamed(path: &str) -> Option<String> {
    let other =
        |end: &str, other: &str| path.strip_suffix(end).map(|stem| format!("{stem}{other}"));
    other(".mjs", ".js").or_else(|| other(".js", ".mjs"))
}

/// The scripts whose names are nearest to one that is not there, best first.
#[must_use]
pub fn nearest<'a>(listed: &'a [Listed], wanted: &Script) -> Vec<&'a Listed> {
    let stem = |path: &str| -> String {
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let end = ENDS.iter().find_map(|end| name.strip_suffix(end));
        end.map(ToOwned::to_owned).unwrap_or(name).replace('_', "-")
    };
    let wanted_stem = stem(&wanted.path);
    let mut rated: Vec<(f64, &Listed)> = listed
        .iter()
        .map(|one| (likeness::of(&stem(&one.path), &wanted_stem), one))
        .filter(|(similarity, _)| *similarity > SIMILAR)
        .collect();
    rated.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    rated
        .into_iter()
        .take(NEAREST)
        .map(|(_, one)| one)
        .collect()
}

fn broken(error: &std::io::Error) -> ScriptError {
    ScriptError::Engine(EngineError::Broken {
        doing: "read files of a container".to_owned(),
        cause: error.to_string(),
    })
}

/// The archive of a path, up to a number of bytes.
async fn bytes(
    engine: &impl Inside,
    container: &str,
    path: &str,
    limit: usize,
) -> Result<Option<Vec<u8>>, ScriptError> {
    let Some(mut stream) = engine.archive(container, path).await? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.map_err(|error| broken(&error))?);
        if bytes.len() >= limit {
            break;
        }
    }
    Ok(Some(bytes))
}

/// The scripts in an archive, each with what it says about itself.
fn scripts(bytes: &[u8], hidden: &[String]) -> std::io::Result<Vec<(String, String)>> {
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut found = Vec::new();
    for entry in archive.entries()? {
        let entry = entry?;
        let name = entry.path()?.display().to_string();
        let is_script = ENDS.iter().any(|end| name.ends_with(end));
        let is_hidden = name
            .split('/')
            .any(|part| hidden.iter().any(|one| one == part));
        if entry.header().entry_type().is_dir() || !is_script || is_hidden {
            continue;
        }
        let mut beginning = Vec::new();
        entry.take(BEGINNING).read_to_end(&mut beginning)?;
        let about = about(&String::from_utf8_lossy(&beginning));
        found.push((name, about));
    }
    Ok(found)
}

/// The first line of the first comment of a script that says something to people.
fn about(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let mut is_inside = false;
    for line in lines {
        let is_begun = line.starts_with("/*");
        let is_shell = line.starts_with('#') && !line.starts_with("#!");
        let is_comment = is_inside || is_begun || is_shell || line.starts_with("//");
        if is_begun {
            is_inside = true;
        }
        if line.contains("*/") {
            is_inside = false;
        }
        if !is_comment {
            let is_setting =
                line.is_empty() || line.starts_with("#!") || line.contains("use strict");
            match is_setting || line.starts_with("import ") {
                true => continue,
                false => return String::new(),
            }
        }
        let said = line
            .trim_matches(|letter: char| "/*#!".contains(letter))
            .trim();
        let is_for_tools = ["eslint", "@ts-", "prettier", "global ", "@"]
            .iter()
            .any(|word| said.starts_with(word));
        if !said.is_empty() && !is_for_tools {
            return said.to_owned();
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memory::MemoryEngine;
    use crate::script::calling;

    #[test]
    fn the_first_comment_for_people_is_found() {
        for (text, said) in [
            ("// Sends all away\n", "Sends all away"),
            ("#!/usr/bin/env node\n\n// One\n// Two\n", "One"),
            ("/* eslint-disable x */\n/**\n * Does it\n */\n", "Does it"),
            ("// @ts-check\n'use strict'\nconst a = 1\n// later\n", ""),
            ("import a from 'a'\n// After imports\n", "After imports"),
            ("#!/bin/sh\n# For shells\n", "For shells"),
            ("const a = 1", ""),
            ("", ""),
        ] {
            assert_eq!(about(text), said, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_has_neighbours() {
        let one = |service: &str, path: &str| Listed {
            service: service.to_owned(),
            path: path.to_owned(),
            about: String::new(),
        };
        let listed = [
            one("document-updater", "scripts/flush_all.js"),
            one("web", "modules/server-ce-scripts/scripts/create-user.mjs"),
            one("web", "scripts/disconnect_all_users.mjs"),
        ];
        let near = |path: &str| {
            let script = Script {
                service: "web".to_owned(),
                path: path.to_owned(),
                arguments: Vec::new(),
            };
            let found = nearest(&listed, &script);
            found.first().map(|one| one.path.clone())
        };
        let create = Some(listed[1].path.clone());
        assert_eq!(near("create-user"), create);
        assert_eq!(near("scripts/create_user.js"), create);
        assert_eq!(near("flush-all.mjs"), Some(listed[0].path.clone()));
        assert_eq!(near("zzz"), None);
        assert_eq!(renamed("a.js").as_deref(), Some("a.mjs"));
        assert_eq!(renamed("a.mjs").as_deref(), Some("a.js"));
        assert_eq!(renamed("a.sh"), None);
    }

    #[tokio::test]
    async fn nothing_is_listed_of_a_container_without_scripts() {
        let engine = MemoryEngine::default();
        let calling = calling(&"6.2.2".parse().unwrap()).unwrap();
        let listed = list(&engine, "x", &calling, &["web".to_owned()]).await;
        assert_eq!(listed.unwrap(), []);
        let there = found(&engine, "x", "/overleaf").await;
        assert_eq!(there.unwrap(), Found::Nothing);
    }
}
