//! The programs that read files in containers: rows of `lib/followers.toml`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;
use serde::Deserialize;

use super::GatherError;
use crate::engine::EngineError;
use crate::engine::inside::{Exec, ExecRequest, Inside, Output};

const FOLLOWERS_TOML: &str = include_str!("../../lib/followers.toml");

/// Exit codes that say that there is no such program.
const NO_PROGRAM: [i64; 2] = [126, 127];

/// How often the engine is asked whether a program has ended whose output has.
const ASKED: usize = 20;

/// A program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    program: String,
    list: Vec<String>,
    read: Vec<String>,
    follow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    follower: Vec<Row>,
}

/// The program that was found in each container, by its id.
static FOUND: Mutex<BTreeMap<String, Row>> = Mutex::new(BTreeMap::new());

/// The program that was found in a container before.
fn known(container: &str) -> Option<Row> {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    found.get(container).cloned()
}

/// The program that works in a running container.
pub(super) async fn program(engine: &impl Inside, container: &str) -> Result<Row, GatherError> {
    if let Some(row) = known(container) {
        return Ok(row);
    }
    let (row, _) = list(engine, container, &[]).await?;
    Ok(row)
}

/// Finds the program that works in a running container, and the log files in its folders.
pub(super) async fn list(
    engine: &impl Inside,
    container: &str,
    folders: &[&str],
) -> Result<(Row, Vec<String>), GatherError> {
    let file: File = toml::from_str(FOLLOWERS_TOML)?;
    let mut tried = Vec::new();
    // An engine notes each program that an image does not have as an error of its own.
    for row in known(container).into_iter().chain(file.follower) {
        let words = row.list.iter().flat_map(|word| match word.as_str() {
            "{folders}" => folders.iter().map(ToString::to_string).collect(),
            word => vec![word.to_owned()],
        });
        let request = ExecRequest::new(words);
        match run(engine, container, &request).await? {
            Some(text) => {
                let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(container.to_owned(), row.clone());
                let paths = text.lines().filter(|line| line.starts_with('/'));
                return Ok((row, paths.map(ToOwned::to_owned).collect()));
            }
            None => tried.push(format!("`{}`", row.program)),
        }
    }
    Err(GatherError::NoProgram {
        container: container.to_owned(),
        programs: tried.join(", "),
    })
}

/// What a program prints; `None` where the image does not have it.
async fn run(
    engine: &impl Inside,
    container: &str,
    request: &ExecRequest,
) -> Result<Option<String>, EngineError> {
    let mut exec = match engine.exec(container, request).await {
        // Newer engines say at once that there is no such program.
        Err(EngineError::Refused { message, .. }) if says_missing(&message) => return Ok(None),
        other => other?,
    };
    let mut text = Vec::new();
    while let Some(piece) = exec.output.next().await {
        if let Output::Out(bytes) = piece? {
            text.extend_from_slice(&bytes);
        }
    }
    let mut code = None;
    for _ in 0..ASKED {
        code = engine.exec_state(&exec.id).await?.exit_code;
        if code.is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let is_missing = code.is_some_and(|code| NO_PROGRAM.contains(&code)) || says_missing(&text);
    Ok((!is_missing).then_some(text))
}

fn says_missing(message: &str) -> bool {
    message.contains("executable file not found") || message.contains("no such file or directory")
}

impl Row {
    /// Runs the program that prints the last lines, in the form of `tail`.
    pub(super) async fn read(
        &self,
        engine: &impl Inside,
        container: &str,
        lines: &str,
        path: &str,
    ) -> Result<Exec, EngineError> {
        run_with_input(engine, container, filled(&self.read, lines, path)).await
    }

    /// Runs the program that goes on.
    pub(super) async fn follow(
        &self,
        engine: &impl Inside,
        container: &str,
        lines: &str,
        path: &str,
    ) -> Result<Exec, EngineError> {
        run_with_input(engine, container, filled(&self.follow, lines, path)).await
    }
}

/// Runs a program that ends with the conversation, by the end of its input.
async fn run_with_input(
    engine: &impl Inside,
    container: &str,
    command: Vec<String>,
) -> Result<Exec, EngineError> {
    let request = ExecRequest {
        has_input: true,
        ..ExecRequest::new(command)
    };
    engine.exec(container, &request).await
}

fn filled(words: &[String], lines: &str, path: &str) -> Vec<String> {
    let filled = words.iter().map(|word| match word.as_str() {
        "{lines}" => lines.to_owned(),
        "{path}" => path.to_owned(),
        word => word.to_owned(),
    });
    filled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rows_load_and_name_what_they_need() {
        let file: File = toml::from_str(FOLLOWERS_TOML).unwrap();
        assert_eq!(file.follower[0].program, "toolkit");
        for row in &file.follower {
            assert!(row.list.iter().any(|word| word == "{folders}"));
            for words in [&row.read, &row.follow] {
                let filled = filled(words, "7", "/a b");
                for word in ["7", "/a b"] {
                    assert!(filled.iter().any(|found| found == word), "{}", row.program);
                }
            }
        }
    }
}
