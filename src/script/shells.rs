//! The shells that images have, and the end of a session whose terminal is gone.

use std::time::Duration;

use serde::Deserialize;

use super::{ScriptError, run};
use crate::engine::EngineError;
use crate::engine::inside::ExecRequest;
use crate::engine::inside::Inside;

const SHELLS_TOML: &str = include_str!("../../lib/shells.toml");

/// The variable by which the processes of a session are known.
const MARK: &str = "TOOLKIT_SESSION";

/// How long the end of a session may take.
const END: Duration = Duration::from_secs(10);

/// Exit codes of a program that cannot be run, and of one that is not there.
const NO_PROGRAM: [i64; 2] = [126, 127];

/// What engines write where a program would, when there is none. Newer ones answer so.
pub const REFUSAL: &str = "OCI runtime exec failed";

/// The same for a user that the container does not know.
pub const NO_USER: &str = "unable to find user";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    program: String,
    command: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    shell: Vec<Row>,
    hang_up: Vec<Row>,
}

fn rows() -> Result<File, ScriptError> {
    toml::from_str(SHELLS_TOML).map_err(|error| ScriptError::Catalogue(Box::new(error)))
}

/// The command of the best shell that a container has; without one, the names of those looked for.
///
/// # Errors
/// The engine cannot be asked, or the shipped rows are broken.
pub async fn shell(
    engine: &impl Inside,
    container: &str,
) -> Result<Result<Vec<String>, Vec<String>>, ScriptError> {
    let mut names = Vec::new();
    for row in rows()?.shell {
        let mut asked = row.command.clone();
        asked.extend(["-c", "exit 0"].map(str::to_owned));
        if is_there(engine, container, &asked).await? {
            return Ok(Ok(row.command));
        }
        names.push(row.program);
    }
    Ok(Err(names))
}

/// Whether a program is in a container, found out by running it with arguments that do nothing.
///
/// # Errors
/// The engine cannot be asked.
pub async fn is_there(
    engine: &impl Inside,
    container: &str,
    command: &[String],
) -> Result<bool, ScriptError> {
    let request = ExecRequest::new(command.iter().cloned());
    match run(engine, container, &request, None).await {
        Ok(finished) => Ok(!NO_PROGRAM.contains(&finished.exit_code)),
        Err(ScriptError::Engine(EngineError::Refused { message, .. }))
            if message.contains(REFUSAL) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// A session in a container, all of whose processes can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMark(String);

impl SessionMark {
    /// Marks what a request runs with a word that nothing else has.
    #[must_use]
    pub fn set(request: &mut ExecRequest, word: &str) -> Self {
        let environment = &mut request.environment;
        environment.insert(MARK.to_owned(), word.to_owned());
        Self(format!("{MARK}={word}"))
    }

    /// Sends SIGHUP to all processes of the session that run as one of these users; `None` is the
    /// container's own. A user can reach no others, nor can root in a container.
    pub async fn hang_up(&self, engine: &impl Inside, container: &str, users: &[Option<String>]) {
        // A container that is gone, and an image that has nothing for it, leave nothing to do.
        let Ok(file) = rows() else { return };
        for user in users {
            for row in &file.hang_up {
                let command = row.command.iter();
                let request = ExecRequest {
                    user: user.clone(),
                    ..ExecRequest::new(command.map(|word| word.replace("{mark}", &self.0)))
                };
                let told = run(engine, container, &request, None);
                let told = tokio::time::timeout(END, told).await;
                if matches!(told, Ok(Ok(finished)) if finished.is_success()) {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rows_load_and_name_the_mark() {
        let file = rows().unwrap();
        assert_eq!(file.shell[0].command, ["bash"]);
        for row in &file.hang_up {
            assert!(row.command.join(" ").contains("{mark}"), "{}", row.program);
        }
    }
}
