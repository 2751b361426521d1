//! What a container definition gives the server, parsed. Must not know how the server uses it.

use std::path::{Path, PathBuf};

const DEFAULT_PORT: u16 = 6379;

/// How the server runs.
#[derive(Clone)]
pub struct Options {
    /// Folder that holds the append-only file and the snapshot.
    pub data: PathBuf,
    /// Whether every change is recorded in the append-only file.
    pub append_only: bool,
    /// Password clients give with `AUTH`, if one is needed.
    pub password: Option<String>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Options")
            .field("data", &self.data)
            .field("append_only", &self.append_only)
            .field("has_password", &self.password.is_some())
            .finish()
    }
}

/// Arguments the bundled server cannot run with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// An argument that is no option of the bundled server.
    #[error("`{argument}` is not an option of the bundled redis server")]
    Unknown {
        /// The argument as given.
        argument: String,
    },
    /// An option with no value, or with more than it takes.
    #[error("`{option}` takes one value, not {count}")]
    ValueCount {
        /// The option.
        option: String,
        /// How many values it was given.
        count: usize,
    },
    /// A value of the wrong form.
    #[error("`{value}` is not a value for `{option}`, which takes {expected}")]
    Value {
        /// The option.
        option: String,
        /// The value as given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl Options {
    /// Parses what a container definition gives the real server: an optional leading
    /// `redis-server`, then `--appendonly yes|no`, `--requirepass X`, `--dir DIR` (relative to
    /// `default_data`), `--port N`. `--bind`, `--save`, `--protected-mode` and `--loglevel` are
    /// accepted and have no effect. A later option wins over an earlier one.
    ///
    /// # Errors
    ///
    /// Anything else is an error that names it.
    pub fn from_arguments(
        arguments: &[String],
        default_data: &Path,
    ) -> Result<(Self, u16), OptionsError> {
        let mut options = Self {
            data: default_data.to_owned(),
            append_only: false,
            password: None,
        };
        let mut port = DEFAULT_PORT;
        let mut rest = match arguments.split_first() {
            Some((first, rest)) if first == "redis-server" => rest,
            _ => arguments,
        };
        while let Some((option, after)) = rest.split_first() {
            let count = after
                .iter()
                .take_while(|value| !value.starts_with("--"))
                .count();
            let (values, following) = after.split_at(count);
            rest = following;
            let one = || match values {
                [value] => Ok(value),
                _ => Err(OptionsError::ValueCount {
                    option: option.clone(),
                    count: values.len(),
                }),
            };
            let wrong = |value: &str, expected| OptionsError::Value {
                option: option.clone(),
                value: value.to_owned(),
                expected,
            };
            match option.to_ascii_lowercase().as_str() {
                "--appendonly" => {
                    let value = one()?;
                    options.append_only =
                        is_yes(value).ok_or_else(|| wrong(value, "`yes` or `no`"))?;
                }
                "--protected-mode" => {
                    let value = one()?;
                    is_yes(value).ok_or_else(|| wrong(value, "`yes` or `no`"))?;
                }
                "--requirepass" => {
                    options.password = Some(one()?.clone()).filter(|password| !password.is_empty());
                }
                "--dir" => options.data = default_data.join(one()?),
                "--port" => {
                    let value = one()?;
                    port = value
                        .parse()
                        .ok()
                        .filter(|port| *port != 0)
                        .ok_or_else(|| wrong(value, "a number from 1 to 65535"))?;
                }
                "--loglevel" => {
                    one()?;
                }
                "--bind" | "--save" => {
                    if values.is_empty() {
                        one()?;
                    }
                }
                _ => {
                    return Err(OptionsError::Unknown {
                        argument: option.clone(),
                    });
                }
            }
        }
        Ok((options, port))
    }
}

fn is_yes(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<String, String> {
        let arguments: Vec<String> = line
            .split_whitespace()
            .map(|word| word.replace("''", ""))
            .collect();
        Options::from_arguments(&arguments, Path::new("/data"))
            .map(|(options, port)| {
                format!(
                    "{} {} {:?} {port}",
                    options.data.display(),
                    options.append_only,
                    options.password
                )
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_of_the_real_server_are_understood() {
        let cases = [
            ("", "/data false None 6379"),
            ("redis-server", "/data false None 6379"),
            ("redis-server --appendonly yes", "/data true None 6379"),
            (
                "--appendonly no --requirepass x",
                "/data false Some(\"x\") 6379",
            ),
            ("--requirepass ''", "/data false None 6379"),
            ("--dir /other --port 7000", "/other false None 7000"),
            ("--dir sub", "/data/sub false None 6379"),
            (
                "--bind 0.0.0.0 -::1 --save '' --protected-mode no --loglevel notice",
                "/data false None 6379",
            ),
            ("--save 60 1 --appendonly YES", "/data true None 6379"),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn other_arguments_are_named() {
        let cases = [
            (
                "redis-server /etc/redis.conf",
                "`/etc/redis.conf` is not an option of the bundled redis server",
            ),
            (
                "--maxmemory 1gb",
                "`--maxmemory` is not an option of the bundled redis server",
            ),
            ("--appendonly", "`--appendonly` takes one value, not 0"),
            ("--save", "`--save` takes one value, not 0"),
            (
                "--appendonly maybe",
                "`maybe` is not a value for `--appendonly`, which takes `yes` or `no`",
            ),
            (
                "--port 0",
                "`0` is not a value for `--port`, which takes a number from 1 to 65535",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let options = Options {
            data: PathBuf::from("/data"),
            append_only: false,
            password: Some("marker".to_owned()),
        };
        assert!(!format!("{options:?}").contains("marker"));
    }
}
