//! The command line of Docker Compose in this program's words, from `lib/docker-compose.toml`.

use std::ffi::OsString;

use serde::Deserialize;
use thiserror::Error;

const DOCKER_COMPOSE_TOML: &str = include_str!("../../lib/docker-compose.toml");

/// The rows of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The sub-commands.
    #[serde(rename = "command")]
    pub commands: Vec<Row>,
}

/// A sub-command.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What is typed.
    pub name: String,
    /// The command of this program.
    pub becomes: Vec<String>,
    /// Whether it is answered by `docker-compose` itself.
    #[serde(default)]
    pub own: bool,
    /// Whether what follows the first service is a program with arguments of its own.
    #[serde(default)]
    pub passes_on: bool,
    /// Its flags.
    pub flag: Vec<Flag>,
    /// Flags that people type and that are not carried out.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// A flag that is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// How it is written.
    pub names: Vec<String>,
    /// Why not.
    pub because: String,
    /// What to do instead.
    pub fix: String,
}

/// A flag.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// How it is written.
    pub names: Vec<String>,
    /// Whether a value follows.
    #[serde(default)]
    pub value: bool,
    /// The words of this program, `{}` for the value.
    pub becomes: Vec<String>,
}

/// A command line in this program's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// Whether `docker-compose` answers it itself.
    pub own: bool,
    /// The words.
    pub words: Vec<String>,
}

/// What cannot be said in this program's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Untranslated {
    /// No sub-command.
    #[error("no command of Docker Compose was given")]
    Nothing,
    /// A flag before the sub-command.
    #[error("`{0}` before the command is for Docker Compose alone")]
    Global(String),
    /// A sub-command.
    #[error("`{0}` is not answered without Docker Compose")]
    Command(String),
    /// A flag of a sub-command.
    #[error("`{flag}` of `{command}` is not answered without Docker Compose")]
    Flag {
        /// The sub-command.
        command: String,
        /// The flag.
        flag: String,
    },
    /// A flag of a sub-command that is not carried out, with the reason.
    #[error("`{flag}` of `{command}` is not carried out")]
    Refused {
        /// The sub-command.
        command: String,
        /// The flag.
        flag: String,
        /// The reason, and what to do instead.
        row: Refused,
    },
    /// A flag without the value that it needs.
    #[error("`{flag}` of `{command}` needs a value")]
    NoValue {
        /// The sub-command.
        command: String,
        /// The flag.
        flag: String,
    },
}

/// Loads the rows that the program carries.
///
/// # Errors
/// The embedded file is not well-formed; a test loads it, so no user sees this.
pub fn load() -> Result<Table, toml::de::Error> {
    toml::from_str(DOCKER_COMPOSE_TOML)
}

impl Table {
    /// The arguments of Docker Compose in this program's words.
    ///
    /// # Errors
    /// Something of it cannot be said.
    pub fn translate(&self, arguments: &[String]) -> Result<Translated, Untranslated> {
        let (name, rest) = arguments.split_first().ok_or(Untranslated::Nothing)?;
        let row = self.commands.iter().find(|row| row.name == *name);
        let row = row.ok_or_else(|| match name.starts_with('-') {
            true => Untranslated::Global(name.clone()),
            false => Untranslated::Command(name.clone()),
        })?;
        Ok(Translated {
            own: row.own,
            words: [row.becomes.clone(), row.arguments(rest)?].concat(),
        })
    }

    /// Arguments of this program's command of the same name, with the flags that only Docker Compose has
    /// in this program's words. What neither has is left as it is.
    ///
    /// # Errors
    /// A flag is refused, or has no value.
    pub fn understood(
        &self,
        command: &str,
        typed: Vec<OsString>,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<Vec<OsString>, Untranslated> {
        let Some(row) = self.commands.iter().find(|row| row.name == command) else {
            return Ok(typed);
        };
        let mut words = Vec::new();
        let mut left = typed.into_iter();
        while let Some(word) = left.next() {
            if word == "--" {
                words.push(word);
                words.extend(left);
                break;
            }
            let text = word.to_string_lossy().into_owned();
            let name = text.split('=').next().unwrap_or_default();
            if !name.starts_with("--") || is_own(name) {
                words.push(word);
                continue;
            }
            let mut flags = row.flag.iter();
            let known = flags.find(|flag| flag.names.iter().any(|known| known == name));
            let takes_next = known.is_some_and(|flag| flag.value) && !text.contains('=');
            let value = takes_next.then(|| left.next()).flatten();
            let value = value.map(|value| value.to_string_lossy().into_owned());
            let foreign: Vec<String> = std::iter::once(text).chain(value).collect();
            match row.arguments(&foreign) {
                Ok(translated) => words.extend(translated.into_iter().map(OsString::from)),
                Err(Untranslated::Flag { .. }) => words.push(word),
                Err(error) => return Err(error),
            }
        }
        Ok(words)
    }

    /// The names of the sub-commands.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let rows = self.commands.iter();
        let rows = rows.filter(|row| !row.name.starts_with('-'));
        rows.map(|row| format!("`{}`", row.name)).collect()
    }
}

impl Row {
    fn arguments(&self, typed: &[String]) -> Result<Vec<String>, Untranslated> {
        let mut words = Vec::new();
        let mut left = typed.iter();
        while let Some(word) = left.next() {
            if word == "--" {
                words.extend(left.cloned());
                break;
            }
            if !word.starts_with('-') || word == "-" {
                words.push(word.clone());
                if self.passes_on {
                    words.extend(left.cloned());
                    break;
                }
                continue;
            }
            let (name, mut given) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ if let Some((name, value)) = self.with_value(word) => {
                    (name, Some(value.to_owned()))
                }
                _ => (word.as_str(), None),
            };
            let flags = self.flags(name)?;
            for (at, flag) in flags.iter().enumerate() {
                let is_last = at + 1 == flags.len();
                let value = match (flag.value, is_last) {
                    (true, true) => given.take().or_else(|| left.next().cloned()),
                    (true, false) => None,
                    (false, _) => Some(String::new()),
                };
                let value = value.ok_or_else(|| Untranslated::NoValue {
                    command: self.name.clone(),
                    flag: name.to_owned(),
                })?;
                words.extend(flag.becomes.iter().map(|word| word.replace("{}", &value)));
            }
            if given.is_some() {
                // A value that its flag does not take, such as `--wait=false`.
                return Err(self.unknown(word));
            }
        }
        Ok(words)
    }

    /// The short flag with its value in one word, such as `-t5`.
    fn with_value<'a>(&self, word: &'a str) -> Option<(&'a str, &'a str)> {
        let (name, value) = word.split_at_checked(2)?;
        let is_short = !name.ends_with('-') && !value.is_empty();
        let mut flags = self.flag.iter();
        let takes = flags.any(|flag| flag.value && flag.names.iter().any(|known| known == name));
        (is_short && takes).then_some((name, value))
    }

    /// The flag that a word means, or the short ones that it is made of, such as `-fs`.
    fn flags(&self, word: &str) -> Result<Vec<&Flag>, Untranslated> {
        let find = |name: &str| {
            let mut flags = self.flag.iter();
            flags.find(|flag| flag.names.iter().any(|known| known == name))
        };
        if let Some(flag) = find(word) {
            return Ok(vec![flag]);
        }
        let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        let found: Option<Vec<&Flag>> = letters.and_then(|letters| {
            let letters = letters.chars().map(|letter| find(&format!("-{letter}")));
            letters.collect()
        });
        found.ok_or_else(|| self.unknown(word))
    }

    fn unknown(&self, word: &str) -> Untranslated {
        let (command, flag) = (self.name.clone(), word.to_owned());
        let name = word.split('=').next().unwrap_or_default();
        let mut refused = self.refused.iter();
        match refused.find(|row| row.names.iter().any(|known| known == name)) {
            Some(row) => Untranslated::Refused {
                command,
                flag: name.to_owned(),
                row: row.clone(),
            },
            None => Untranslated::Flag { command, flag },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let translated = load().unwrap().translate(&words);
        translated
            .map(|found| found.words.join(" "))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_people_type_is_understood() {
        for (typed, expected) in [
            ("up -d", "up --detach"),
            (
                "up -d --force-recreate redis",
                "up --detach --force-recreate redis",
            ),
            ("up --pull=always", "up --pull=always"),
            ("up --pull always mongo", "up --pull=always mongo"),
            ("up -d -t 5", "up --detach --grace=5"),
            ("down --remove-orphans", "down"),
            ("ps -aq", "ps --all --quiet"),
            ("rm -fs redis", "rm --force --stop redis"),
            (
                "logs -f --tail 20 sharelatex",
                "logs --tail=all --containers --follow --tail=20 sharelatex",
            ),
            (
                "logs -fn 20",
                "logs --tail=all --containers --follow --tail=20",
            ),
            ("logs", "logs --tail=all --containers"),
            ("stop -t 5 redis", "stop --grace=5 redis"),
            ("down --timeout=5", "down --grace=5"),
            ("restart -t5", "restart --grace=5"),
            ("rm -fsv", "rm --force --stop --volumes"),
            ("config --services", "compose config --services"),
            ("ps --format json", "ps --format=json"),
            ("--version", "version"),
            ("pull -q redis", "images pull --newer --quiet redis"),
            (
                "exec -T mongo mongosh --quiet -f x",
                "exec --no-tty mongo mongosh --quiet -f x",
            ),
            ("config", "compose config"),
            ("stop -- redis", "stop redis"),
        ] {
            assert_eq!(said(typed).as_deref(), Ok(expected), "{typed}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (typed, expected) in [
            ("", "no command of Docker Compose was given"),
            (
                "-f x.yaml ps",
                "`-f` before the command is for Docker Compose alone",
            ),
            ("build", "`build` is not answered without Docker Compose"),
            (
                "down -v",
                "`-v` of `down` is not answered without Docker Compose",
            ),
            (
                "ps -ax",
                "`-ax` of `ps` is not answered without Docker Compose",
            ),
            ("logs --tail", "`--tail` of `logs` needs a value"),
            ("up -d --build", "`--build` of `up` is not carried out"),
            (
                "up --scale=worker=2",
                "`--scale` of `up` is not carried out",
            ),
            (
                "up --wait=false",
                "`--wait=false` of `up` is not answered without Docker Compose",
            ),
        ] {
            assert_eq!(said(typed), Err(expected.to_owned()), "{typed}");
        }
    }

    #[test]
    fn every_word_of_a_row_is_one_of_this_program() {
        let program = super::super::command();
        for row in load().unwrap().commands {
            let mut command = Some(&program);
            let names = row.becomes.iter().filter(|word| !word.starts_with('-'));
            for word in names {
                command = command.and_then(|command| command.find_subcommand(word));
            }
            let Some(command) = command.filter(|_| !row.own) else {
                continue;
            };
            let all: Vec<&clap::Arg> = command
                .get_arguments()
                .chain(program.get_arguments())
                .collect();
            let own = row.becomes.iter().filter(|word| word.starts_with('-'));
            for word in row.flag.iter().flat_map(|flag| &flag.becomes).chain(own) {
                let name = word.trim_start_matches('-').split('=').next().unwrap();
                let is_known = all.iter().any(|known| known.get_long() == Some(name));
                assert!(is_known, "`{}`: `{word}`", row.name);
            }
        }
    }
}
