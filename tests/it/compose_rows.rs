//! Inputs and results recorded from Docker Compose 2.40.3, row by row: `tests/data/compose-rows.json`.
//!
//! Each row has files whose first defines the service `s`, the variables of the run, and either the
//! value at a path of the canonical form, `absent`, or `error`. Rows of the section `2.26.1` were seen
//! with that version, where nothing is known to have changed since.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use toolkit::compose::canonical;
use toolkit::compose::load::{File, Request, load};

#[derive(Deserialize)]
struct Row {
    section: String,
    input: String,
    files: Vec<String>,
    path: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    error: bool,
    #[serde(default)]
    absent: bool,
    #[serde(default)]
    value: Value,
}

const FOLDER: &str = "/p/lib";

/// Files of variables that rows name.
fn read(path: &Path) -> io::Result<String> {
    match path.to_str().unwrap_or_default() {
        "/p/lib/a.env" => Ok("A=1\nC=a\n".to_owned()),
        "/p/lib/b.env" => Ok("A=2\nB=2\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn rendered(row: &Row) -> Result<Value, String> {
    let files: Vec<File> = row
        .files
        .iter()
        .enumerate()
        .map(|(at, text)| File {
            path: PathBuf::from(format!("f{at}.yml")),
            text: text.clone(),
            is_literal: false,
        })
        .collect();
    let variables = |name: &str| match name {
        "COMPOSE_PROJECT_NAME" => Some("p".to_owned()),
        "PWD" => Some("<cwd>".to_owned()),
        "HOME" => Some("@HOME@".to_owned()),
        name => row.variables.get(name).cloned(),
    };
    let loaded = load(&Request {
        name: "p",
        is_named: true,
        folder: Path::new(FOLDER),
        files: &files,
        variables: &variables,
        profiles: &[],
        home: Some("/home/me"),
        read: &read,
        read_variables: &|text, _, _| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            Ok(lines
                .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
                .collect())
        },
    });
    let loaded = loaded.map_err(|error| error.to_string())?;
    let text = canonical::value(&loaded.project).to_string();
    let text = text.replace("$$", "$").replace("/p/", "@P@/");
    let text = text.replace("/home/me", "@HOME@");
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn at(value: &Value, path: &[String]) -> Option<Value> {
    let mut found = value;
    for key in path {
        found = found.get(key)?;
    }
    Some(found.clone())
}

#[test]
fn every_row_gives_what_docker_compose_gives() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("../data/compose-rows.json")).unwrap();
    let mut wrong = Vec::new();
    for row in &rows {
        let title = format!("[{}] {}", row.section, row.input);
        match rendered(row) {
            Err(error) if !row.error => wrong.push(format!("{title}\n    refused: {error}")),
            Err(_) => {}
            Ok(model) => {
                let found = at(&model, &row.path);
                if row.error {
                    wrong.push(format!("{title}\n    not refused: {found:?}"));
                } else if row.absent && found.is_some() {
                    wrong.push(format!("{title}\n    there: {found:?}"));
                } else if !row.absent && found.as_ref().unwrap_or(&Value::Null) != &row.value {
                    let found = found.unwrap_or_default();
                    wrong.push(format!("{title}\n    want {}\n    got  {found}", row.value));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows differ:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}
