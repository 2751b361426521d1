//! The operator's files on the command line: read, and shown without their secrets.

use std::path::{Path, PathBuf};

use super::definitions::definition_line;
use super::{error::CommandError, exit};
use crate::host;
use crate::settings;

/// The texts of the operator's files.
#[derive(Clone, PartialEq, Eq)]
pub struct Texts {
    /// overleaf.rc.
    pub rc: String,
    /// variables.env.
    pub variables: String,
    /// The version file.
    pub version: String,
}

/// They hold secrets.
impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}

/// Reads the operator's files.
///
/// # Errors
/// A file is missing or unreadable.
pub fn read_all(root: &Path) -> Result<Texts, CommandError> {
    let version = read(root, settings::VERSION_FILE)?;
    Ok(Texts {
        rc: read(root, settings::RC_FILE)?,
        variables: read(root, settings::VARIABLES_FILE)?,
        // Editors on Windows write a byte order mark, which nobody sees.
        version: version.trim_start_matches('\u{feff}').to_owned(),
    })
}

/// The text of `lib/.env`, which Docker Compose reads unless it is told not to, or to read others:
/// those that `COMPOSE_ENV_FILES` lists with commas between them, from the current folder.
///
/// # Errors
/// It exists and cannot be read, or one of the others cannot.
pub fn dotenv(root: &Path) -> Result<String, CommandError> {
    let file = root.join(settings::DOTENV_FILE);
    let is_off = super::environment("COMPOSE_DISABLE_ENV_FILE");
    let is_off = is_off.is_some_and(|value| {
        let word = value.to_ascii_lowercase();
        matches!(word.as_str(), "1" | "t" | "true" | "y" | "yes")
    });
    let others = super::environment("COMPOSE_ENV_FILES").filter(|list| !list.is_empty());
    if let Some(list) = others
        && !is_off
    {
        let mut text = String::new();
        for path in list.split(',') {
            text.push_str(&host::read_text(Path::new(path))?);
            text.push('\n');
        }
        return Ok(text);
    }
    if is_off || !host::exists(&file) {
        return Ok(String::new());
    }
    read(root, settings::DOTENV_FILE)
}

/// The path that a path really leads to, or what is wrong with it.
///
/// # Errors
/// Links lead round, or a part of the path cannot be looked at.
pub fn real_path(path: &Path) -> Result<PathBuf, String> {
    host::resolve(path).map_err(|error| with_cause(&error))
}

fn with_cause(error: &host::HostError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A line of one of the files, without what may be a secret: values of variables.env, and of
/// settings that the catalogue calls secret.
#[must_use]
pub fn shown_line(texts: &Texts, file: &Path, line: usize) -> Option<String> {
    let number = line.checked_sub(1)?;
    if file.ends_with(settings::RC_FILE) {
        let line = texts.rc.lines().nth(number)?;
        return Some(if settings::catalogue::is_secret(line) {
            masked(line)
        } else {
            line.to_owned()
        });
    }
    if file.ends_with(settings::VARIABLES_FILE) {
        return texts.variables.lines().nth(number).map(masked);
    }
    if file.ends_with(settings::VERSION_FILE) {
        return texts.version.lines().nth(number).map(ToOwned::to_owned);
    }
    definition_line(file, line)
}

/// A line cut behind its key, `…` alone where it does not begin with one: what stands there may be
/// an argument or a line of a text, and so a secret.
pub(super) fn masked(line: &str) -> String {
    let is_key = |text: &str| {
        let allowed = |letter: char| letter.is_alphanumeric() || "_.-".contains(letter);
        !text.is_empty() && text.chars().all(allowed)
    };
    let content = line.trim_start();
    let content = content.strip_prefix("- ").unwrap_or(content).trim_start();
    let content = content.strip_prefix("export ").unwrap_or(content);
    let found = content.split_once(['=', ':']).filter(|(key, rest)| {
        let separator = content.get(key.len()..).unwrap_or_default();
        match separator.starts_with(':') {
            true => rest.is_empty() || rest.starts_with(char::is_whitespace),
            // Base64 ends like that.
            false => !matches!(rest.trim_end(), "" | "="),
        }
    });
    match found {
        Some((key, rest)) if is_key(key.trim_end()) => {
            let end = line.len() - rest.len();
            format!("{}…", line.split_at(end).0)
        }
        _ => "…".to_owned(),
    }
}

fn read(root: &Path, name: &str) -> Result<String, CommandError> {
    let path = root.join(name);
    host::read_text(&path).map_err(|error| {
        if error.is_missing() {
            let failure = CommandError::new(
                "CONFIG_MISSING",
                exit::CONFIGURATION,
                format!("`{}` does not exist", path.display()),
            )
            .state("nothing was changed");
            return missing_file(root, name, failure);
        }
        let is_denied = error.is_denied();
        let mut error = CommandError::from(error);
        "CONFIG_UNREADABLE".clone_into(&mut error.failure.id);
        error.failure.exit_code = exit::CONFIGURATION;
        error.failure.fixes.clear();
        error.state("nothing was changed").fix(if is_denied {
            "run as the user who owns the configuration"
        } else {
            "make it a text file in UTF-8"
        })
    })
}

/// What to do about a missing file. In an instance that was configured before, `init` would put a
/// release or secrets in its place that the data does not belong to.
fn missing_file(root: &Path, name: &str, failure: CommandError) -> CommandError {
    let is_configured = host::exists(&root.join(settings::RC_FILE));
    match name {
        settings::VERSION_FILE if is_configured => failure.fix(
            "write the release that ran last into it, such as `6.2.2`; the tag of the container's image tells it",
        ),
        settings::VARIABLES_FILE if is_configured => {
            failure.fix("restore it from a backup: it holds the secrets that belong to the data")
        }
        _ => failure.command("toolkit init"),
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn only_a_key_is_shown_of_a_line() {
        for (line, shown) in [
            ("    environment:", "    environment:…"),
            ("      KEY: s3cret", "      KEY:…"),
            ("      - KEY=s3cret=1", "      - KEY=…"),
            ("export KEY=s3cret", "export KEY=…"),
            ("- redis-server --requirepass s3cret --port=1", "…"),
            ("        s3cret words: here", "…"),
            ("        AAs3cret==", "…"),
            ("        s3cret:x", "…"),
            ("  'KEY': s3cret", "…"),
            ("s3cret", "…"),
            ("", "…"),
        ] {
            assert_eq!(masked(line), shown, "{line}");
        }
    }
}
