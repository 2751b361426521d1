//! Scripts of the application by action and release: the rows of `lib/people.toml`.

use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

use crate::engine::EngineError;
use crate::engine::inside::Inside;
use crate::release::Version;
use crate::script;
use crate::script::Finished;
use crate::script::Script;
use crate::script::ScriptError;

const PEOPLE_TOML: &str = include_str!("../../lib/people.toml");

/// What a script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Makes an account, or a new link for the password of one that there is.
    Create,
    /// The same for an administrator.
    CreateAdmin,
    /// Deletes an account with its projects.
    Delete,
    /// The same, and the user is not told.
    DeleteSilently,
    /// Sets how long a compile may take.
    SetTimeout,
    /// Gives all projects to somebody else.
    Transfer,
    /// Sends everybody out of the editor.
    Disconnect,
    /// Writes documents from redis to mongo.
    FlushDocuments,
    /// Works off what waits for the history.
    FlushHistory,
    /// Gives projects another image for their compiles.
    RemapImages,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 10] = [
        Self::Create,
        Self::CreateAdmin,
        Self::Delete,
        Self::DeleteSilently,
        Self::SetTimeout,
        Self::Transfer,
        Self::Disconnect,
        Self::FlushDocuments,
        Self::FlushHistory,
        Self::RemapImages,
    ];

    /// Its name in the rows.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateAdmin => "create-admin",
            Self::Delete => "delete",
            Self::DeleteSilently => "delete-silently",
            Self::SetTimeout => "set-timeout",
            Self::Transfer => "transfer",
            Self::Disconnect => "disconnect",
            Self::FlushDocuments => "flush-documents",
            Self::FlushHistory => "flush-history",
            Self::RemapImages => "remap-images",
        }
    }
}

/// A script cannot be run, or did not do its work.
#[derive(Debug, Error)]
pub enum ActionError {
    /// No image of the release has it.
    #[error("Overleaf {version} has no script for this")]
    NotInRelease {
        /// The release.
        version: Version,
        /// What is known about other releases.
        known: Option<String>,
    },
    /// The image does not have it.
    #[error("the image has no script for this")]
    NotInImage {
        /// Where it was looked for.
        paths: Vec<String>,
        /// What is known about releases.
        known: Option<String>,
    },
    /// It ended with an error.
    #[error("the script `{path}` ends with exit code {exit_code}")]
    Failed {
        /// The script.
        path: String,
        /// How it ended.
        exit_code: i64,
        /// The last lines that it wrote.
        lines: Vec<String>,
    },
    /// It could not be run to its end.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The engine cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The shipped rows are broken.
    #[error("lib/people.toml cannot be read")]
    Rows(#[source] Box<toml::de::Error>),
}

/// How many of the last lines of a script an error holds.
const SHOWN_LINES: usize = 12;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    script: Vec<Row>,
    help: Vec<HelpRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HelpRow {
    about: String,
    service: String,
    path: String,
    text: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    action: String,
    since: Option<String>,
    until: Option<String>,
    service: String,
    paths: Vec<String>,
    arguments: Vec<String>,
    known: Option<String>,
}

impl Row {
    fn is_for(&self, version: &Version) -> bool {
        let numbers = |text: &Option<String>| {
            let version = text.as_deref().map(Version::from_str)?;
            version.ok().map(|version| version.numbers())
        };
        let own = version.numbers();
        numbers(&self.since).is_none_or(|since| since <= own)
            && numbers(&self.until).is_none_or(|until| own < until)
    }
}

fn file() -> Result<File, ActionError> {
    toml::from_str(PEOPLE_TOML).map_err(|error| ActionError::Rows(Box::new(error)))
}

fn rows() -> Result<Vec<Row>, ActionError> {
    file().map(|file| file.script)
}

/// What a flush leaves behind that a script can help with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Documents.
    Documents,
    /// Changes that are not part of a document yet.
    Updates,
    /// Changes that wait for a history.
    Histories,
}

impl About {
    fn word(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Updates => "updates",
            Self::Histories => "histories",
        }
    }
}

/// A script that helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help {
    /// Service of the application that it belongs to.
    pub service: String,
    /// Its path below the folder of the service.
    pub path: String,
    /// What it does.
    pub text: String,
}

/// The scripts of a container that help with what a flush leaves behind.
///
/// # Errors
/// The engine cannot be asked.
pub async fn helping(
    engine: &impl Inside,
    container: &str,
    version: &Version,
    about: &[About],
) -> Result<Vec<Help>, ActionError> {
    let calling = script::calling(version)?;
    let mut found = Vec::new();
    for row in file()?.help {
        let is_asked = about.iter().any(|about| about.word() == row.about);
        let full = format!("{}/{}", calling.folder(&row.service), row.path);
        if is_asked && engine.file(container, &full).await?.is_some() {
            found.push(Help {
                service: row.service,
                path: row.path,
                text: row.text,
            });
        }
    }
    Ok(found)
}

/// A script that a container has, for one action.
#[derive(Debug, Clone)]
pub struct Found {
    version: Version,
    container: String,
    service: String,
    path: String,
    arguments: Vec<String>,
}

/// Looks for the script of an action in a container; nothing is run.
///
/// # Errors
/// The release or the image has none, or the engine cannot be asked.
pub async fn find(
    engine: &impl Inside,
    container: &str,
    version: &Version,
    action: Action,
) -> Result<Found, ActionError> {
    let rows = rows()?;
    let mut known = None;
    let of_action = rows.iter().filter(|row| row.action == action.word());
    let mut fitting = None;
    for row in of_action {
        known = known.or_else(|| row.known.clone());
        if row.is_for(version) {
            fitting = Some(row);
            break;
        }
    }
    let Some(row) = fitting else {
        let version = version.clone();
        return Err(ActionError::NotInRelease { version, known });
    };
    let folder = script::calling(version)?.folder(&row.service);
    let mut looked_for = Vec::new();
    for path in &row.paths {
        let full = format!("{folder}/{path}");
        if engine.file(container, &full).await?.is_some() {
            return Ok(Found {
                version: version.clone(),
                container: container.to_owned(),
                service: row.service.clone(),
                path: path.clone(),
                arguments: row.arguments.clone(),
            });
        }
        looked_for.push(full);
    }
    Err(ActionError::NotInImage {
        paths: looked_for,
        known,
    })
}

impl Found {
    /// The script with values in the place of the names in its arguments.
    #[must_use]
    pub fn script(&self, values: &[(&str, &str)]) -> Script {
        let filled = |argument: &String| {
            let mut filled = argument.clone();
            for (name, value) in values {
                filled = filled.replace(&format!("{{{name}}}"), value);
            }
            filled
        };
        Script {
            service: self.service.clone(),
            path: self.path.clone(),
            arguments: self.arguments.iter().map(filled).collect(),
        }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be run, or ends with an error.
    pub async fn run(
        &self,
        engine: &impl Inside,
        values: &[(&str, &str)],
    ) -> Result<Finished, ActionError> {
        let request = script::calling(&self.version)?.request(&self.script(values));
        let finished = script::run(engine, &self.container, &request, None).await?;
        if finished.is_success() {
            return Ok(finished);
        }
        Err(ActionError::Failed {
            path: self.path.clone(),
            exit_code: finished.exit_code,
            lines: last_lines(&finished),
        })
    }
}

/// The last lines that a script wrote, those of its output first.
fn last_lines(finished: &Finished) -> Vec<String> {
    let both = [&finished.out, &finished.error].map(|bytes| String::from_utf8_lossy(bytes));
    let lines = both.iter().flat_map(|text| text.lines());
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    let first = lines.len().saturating_sub(SHOWN_LINES);
    let last = lines.iter().skip(first);
    last.map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_row_in_the_newest_release() {
        let rows = rows().unwrap();
        let newest = Version::new(6, 2, 2);
        for action in Action::ALL {
            let row = rows
                .iter()
                .find(|row| row.action == action.word() && row.is_for(&newest));
            assert!(row.is_some_and(|row| !row.paths.is_empty()), "{action:?}");
        }
        for row in &rows {
            let is_known = Action::ALL.iter().any(|action| action.word() == row.action);
            assert!(is_known, "{}", row.action);
            for version in [&row.since, &row.until].into_iter().flatten() {
                version.parse::<Version>().unwrap();
            }
        }
    }

    #[test]
    fn a_release_range_decides() {
        let rows = rows().unwrap();
        let has = |action: &str, version: &str| {
            let version = version.parse().unwrap();
            let mut rows = rows.iter().filter(|row| row.action == action);
            rows.any(|row| row.is_for(&version))
        };
        for (action, version, expected) in [
            ("delete-silently", "5.4.1", false),
            ("delete-silently", "5.5.0", true),
            ("delete-silently", "6.2.0-ext-v5.0", true),
            ("create", "2.7.1", false),
            ("disconnect", "3.3.1", false),
        ] {
            assert_eq!(has(action, version), expected, "{action} {version}");
        }
    }

    #[test]
    fn values_come_into_the_arguments() {
        let found = Found {
            version: Version::new(6, 2, 2),
            container: "c".to_owned(),
            service: "web".to_owned(),
            path: "x.mjs".to_owned(),
            arguments: vec!["--email={email}".to_owned()],
        };
        let script = found.script(&[("email", "a@example.org")]);
        assert_eq!(script.arguments, ["--email=a@example.org"]);
    }
}
