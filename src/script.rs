//! Programs that run in a container to their end, and the scripts of the application among them: how
//! each release wants them called is in `lib/scripts.toml`.
//!
//! Knows the engine and the releases; nothing of the command line, and it asks nobody anything.

pub mod listing;
pub mod shells;

use std::str::FromStr;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use crate::engine::EngineError;
use crate::engine::inside::ExecRequest;
use crate::engine::inside::Inside;
use crate::engine::inside::Output;
use crate::release::Version;

const SCRIPTS_TOML: &str = include_str!("../lib/scripts.toml");

/// Most bytes that [`run`] keeps of one stream.
pub const LARGEST: usize = 16 << 20;

/// How long a program that is [`run`] may go on after its output has ended, and the engine may take to
/// say how one ended.
const END: Duration = Duration::from_secs(30);
/// How often is looked whether a program has ended, first and last.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(500);

/// What a program left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit_code: i64,
    /// What it wrote to its standard output.
    pub out: Vec<u8>,
    /// What it wrote to its standard error.
    pub error: Vec<u8>,
}

impl Finished {
    /// Whether it says that all went well.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.exit_code == 0
    }

    /// Its standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// The last line that it wrote to its standard error, else to its output; for messages.
    #[must_use]
    pub fn last_line(&self) -> String {
        let of = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let line = text.lines().rev().find(|line| !line.trim().is_empty());
            line.map(|line| line.trim().to_owned())
        };
        of(&self.error)
            .or_else(|| of(&self.out))
            .unwrap_or_default()
    }
}

/// A program in a container cannot be run to its end.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It wrote more than is kept.
    #[error("a program in container `{container}` wrote more than {limit} bytes")]
    TooMuch {
        /// The container.
        container: String,
        /// The limit.
        limit: usize,
    },
    /// Its output has ended and it has not.
    #[error("a program in a container has closed its output and does not end")]
    Endless,
    /// The shipped rows are broken.
    #[error("lib/scripts.toml cannot be read")]
    Catalogue(#[source] Box<toml::de::Error>),
}

/// Runs a program in a container to its end, gives it `input`, and keeps what it writes.
///
/// # Errors
/// The engine does not run it, it writes more than [`LARGEST`] to a stream, or it does not end.
pub async fn run(
    engine: &impl Inside,
    container: &str,
    request: &ExecRequest,
    input: Option<&[u8]>,
) -> Result<Finished, ScriptError> {
    let request = ExecRequest {
        has_input: input.is_some(),
        ..request.clone()
    };
    let mut exec = engine.exec(container, &request).await?;
    let mut finished = Finished::default();
    let mut to = exec.input;
    let give = async {
        // A program that does not read to the end has its reasons; how it ends tells.
        let _ = to.write_all(input.unwrap_or_default()).await;
        let _ = to.shutdown().await;
    };
    let take = async {
        while let Some(piece) = exec.output.try_next().await? {
            let (stream, bytes) = match piece {
                Output::Out(bytes) => (&mut finished.out, bytes),
                Output::Error(bytes) => (&mut finished.error, bytes),
            };
            if stream.len() + bytes.len() > LARGEST {
                return Err(ScriptError::TooMuch {
                    container: container.to_owned(),
                    limit: LARGEST,
                });
            }
            stream.extend_from_slice(&bytes);
        }
        Ok(())
    };
    // The output may end while the program still does not read.
    let mut take = std::pin::pin!(take);
    tokio::select! {
        taken = &mut take => taken?,
        () = give => take.await?,
    }
    let ended = tokio::time::timeout(END, ended(engine, &exec.id)).await;
    finished.exit_code = ended.unwrap_or(Err(ScriptError::Endless))?;
    Ok(finished)
}

/// How a program ended whose output has ended, however long it goes on without one.
///
/// # Errors
/// The engine cannot be asked, or does not say how it ended.
pub async fn ended(engine: &impl Inside, exec: &str) -> Result<i64, ScriptError> {
    let (mut pause, mut unsaid) = (SHORTEST, Duration::ZERO);
    loop {
        let state = engine.exec_state(exec).await?;
        match (state.is_running, state.exit_code) {
            (false, Some(exit_code)) => return Ok(exit_code),
            (false, None) if unsaid > END => {
                return Err(ScriptError::Engine(EngineError::Broken {
                    doing: "tell how a program ended".to_owned(),
                    cause: "it does not run any more and has no exit code".to_owned(),
                }));
            }
            // The engine may need a moment to notice.
            (false, None) => unsaid += pause,
            (true, _) => unsaid = Duration::ZERO,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// How one range of releases wants scripts called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calling {
    since: Version,
    /// Folder that holds a folder for each service of the application.
    pub services: String,
    /// The service that scripts belong to where none is said.
    pub service: String,
    environment: Vec<String>,
    optional: Vec<String>,
    /// User that scripts run as; `None` for the container's own.
    pub user: Option<String>,
    runner: Vec<String>,
    folders: Vec<String>,
    /// The services whose scripts are listed where none is said.
    pub listed: Vec<String>,
    /// Names of folders among the scripts that hold what is no script of its own.
    pub hidden: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    since: String,
    services: String,
    service: String,
    environment: Vec<String>,
    optional: Vec<String>,
    user: Option<String>,
    runner: Vec<String>,
    folders: Vec<String>,
    listed: Vec<String>,
    hidden: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    release: Vec<Row>,
}

/// How scripts are called in a release.
///
/// # Errors
/// The shipped rows are broken.
pub fn calling(version: &Version) -> Result<Calling, ScriptError> {
    let broken = |error| ScriptError::Catalogue(Box::new(error));
    let file: File = toml::from_str(SCRIPTS_TOML).map_err(broken)?;
    let own = |text: String| <toml::de::Error as serde::de::Error>::custom(text);
    let mut found: Option<Calling> = None;
    for row in file.release {
        let since =
            Version::from_str(&row.since).map_err(|error| broken(own(error.to_string())))?;
        let is_due = found.is_none() || since.numbers() <= version.numbers();
        if !is_due {
            continue;
        }
        found = Some(Calling {
            since,
            services: row.services,
            service: row.service,
            environment: row.environment,
            optional: row.optional,
            user: row.user,
            runner: row.runner,
            folders: row.folders,
            listed: row.listed,
            hidden: row.hidden,
        });
    }
    found.ok_or_else(|| broken(own("there is no row".to_owned())))
}

/// A script of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The service of the application that it belongs to, such as `web` or `document-updater`.
    pub service: String,
    /// Its path, from the folder of the service on.
    pub path: String,
    /// Its arguments. Everybody on the engine's machine can read them: no secrets.
    pub arguments: Vec<String>,
}

impl Calling {
    /// The folder of a service.
    #[must_use]
    pub fn folder(&self, service: &str) -> String {
        format!("{}/{service}", self.services)
    }

    /// The folders in which the scripts of a service lie, absolute.
    #[must_use]
    pub fn script_folders(&self, service: &str) -> Vec<String> {
        let folder = self.folder(service);
        let below = self.folders.iter();
        below.map(|below| format!("{folder}/{below}")).collect()
    }

    /// What is run for a script: with the environment of the application, in the folder of its
    /// service, and as the application's user.
    #[must_use]
    pub fn request(&self, script: &Script) -> ExecRequest {
        let optional = self.optional.iter();
        // First, where what follows runs whether the file is there or not.
        let optional = optional.map(|file| format!("[ ! -f {file} ] || {}", read(file)));
        let required = self.environment.iter().map(|file| read(file));
        let mut steps: Vec<String> = optional.chain(required).collect();
        steps.push("cd \"$1\"".to_owned());
        steps.push("shift".to_owned());
        let switch = match &self.user {
            Some(user) => format!("/sbin/setuser {user} "),
            None => String::new(),
        };
        let runner = self.runner.join(" ");
        steps.push(format!("exec {switch}{runner} \"$@\""));
        // Folder, script and arguments are words of their own: no shell looks into them.
        let text = steps.join(" && ");
        let fixed = ["bash", "-c", text.as_str(), "bash"].map(str::to_owned);
        let own = [self.folder(&script.service), script.path.clone()];
        let arguments = script.arguments.iter().cloned();
        ExecRequest::new(fixed.into_iter().chain(own).chain(arguments))
    }
}

fn read(file: &str) -> String {
    format!("source {file}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memory::MemoryEngine;

    fn request(version: &str, script: &str) -> Vec<String> {
        let version = Version::from_str(version).unwrap();
        let script = Script {
            service: "web".to_owned(),
            path: script.to_owned(),
            arguments: vec!["--email=a b@example.com".to_owned()],
        };
        calling(&version).unwrap().request(&script).command
    }

    #[test]
    fn each_release_has_its_calling_pattern() {
        let since = |version: &str| request(version, "scripts/x.mjs")[2].clone();
        let new = "source /etc/container_environment.sh && source /etc/overleaf/env.sh && cd \"$1\" && shift && exec ";
        assert_eq!(
            since("5.5.4"),
            format!("{new}/sbin/setuser www-data node \"$@\"")
        );
        assert_eq!(since("6.2.2"), since("5.5.4"));
        assert_eq!(since("6.2.0-ext-v5.0"), since("5.5.4"));
        assert_eq!(since("5.5.3"), format!("{new}node \"$@\""));
        assert_eq!(since("5.0.3"), since("5.5.3"));
        assert_eq!(
            since("4.2.9"),
            "[ ! -f /etc/sharelatex/env.sh ] || source /etc/sharelatex/env.sh && source /etc/container_environment.sh && cd \"$1\" && shift && exec node \"$@\""
        );
        assert_eq!(
            since("2.7.1"),
            "source /etc/container_environment.sh && cd \"$1\" && shift && exec node \"$@\""
        );
    }

    #[test]
    fn folder_script_and_arguments_are_words_of_their_own() {
        let command = request("6.2.2", "scripts/x.mjs");
        assert_eq!(command[..2], ["bash", "-c"]);
        assert_eq!(
            command[3..],
            [
                "bash",
                "/overleaf/services/web",
                "scripts/x.mjs",
                "--email=a b@example.com"
            ]
        );
        assert_eq!(request("2.7.1", "x.js")[4], "/var/www/sharelatex/web");
    }

    #[test]
    fn the_rows_are_in_the_order_of_releases() {
        let file: File = toml::from_str(SCRIPTS_TOML).unwrap();
        let since: Vec<Version> = file
            .release
            .iter()
            .map(|row| row.since.parse().unwrap())
            .collect();
        assert!(since.is_sorted(), "{since:?}");
    }

    #[test]
    fn the_last_line_of_an_error_is_found() {
        let finished = Finished {
            exit_code: 1,
            out: b"out\n".to_vec(),
            error: b"first\nlast \n\n".to_vec(),
        };
        assert_eq!(finished.last_line(), "last");
        let silent = Finished {
            error: Vec::new(),
            ..finished
        };
        assert_eq!(silent.last_line(), "out");
    }

    #[tokio::test]
    async fn a_container_that_is_not_there_is_an_error() {
        let engine = MemoryEngine::default();
        let request = ExecRequest::new(["true"]);
        let outcome = run(&engine, "nobody", &request, None).await;
        assert!(matches!(
            outcome,
            Err(ScriptError::Engine(EngineError::Missing { .. }))
        ));
    }
}
