//! The variables that the containers read: `lib/variables.toml`, embedded. `variables.env` may hold
//! any name; what the application makes of a known one stands in that file.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;

use super::catalogue;
use crate::likeness;
use crate::release::Edition;
use crate::release::Version;

const VARIABLES_TOML: &str = include_str!("../../lib/variables.toml");

/// Similarity from which an unknown name counts as a misspelt one (Jaro-Winkler, 0 to 1).
const MISSPELT: f64 = 0.95;

/// What the application makes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariableType {
    /// Any text.
    Text,
    /// On for exactly `true`, off for everything else.
    Flag,
    /// Off for exactly `false`, on for everything else.
    FlagOn,
    /// On for any text that is not empty, `false` included.
    Presence,
    /// A JSON document.
    Json,
    /// `true` or `false`, read as JSON.
    JsonFlag,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A URL with scheme and host.
    Url,
    /// A host name or an IP address.
    Host,
    /// A port.
    Port,
    /// An IP address.
    Address,
    /// A path in the container or, where the text says so, of the host.
    Path,
    /// An e-mail address.
    Email,
    /// Values separated by commas.
    List,
    /// Values separated by blanks.
    Words,
    /// One of `choices`.
    Choice,
    /// An image reference.
    Image,
}

impl VariableType {
    /// The word of the data file and of the reference.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Flag => "flag",
            Self::FlagOn => "flag-on",
            Self::Presence => "presence",
            Self::Json => "json",
            Self::JsonFlag => "json-flag",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Url => "url",
            Self::Host => "host",
            Self::Port => "port",
            Self::Address => "address",
            Self::Path => "path",
            Self::Email => "email",
            Self::List => "list",
            Self::Words => "words",
            Self::Choice => "choice",
            Self::Image => "image",
        }
    }
}

/// One variable.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariableRow {
    /// The name, from Overleaf 5.0 on.
    pub name: String,
    /// The name below 5.0, where it differs.
    pub legacy: Option<String>,
    /// What its value must look like.
    #[serde(rename = "type")]
    pub kind: VariableType,
    /// Unit of a number, such as `ms` or `bytes`.
    pub unit: Option<String>,
    /// What the application does when it is unset.
    pub default: Option<String>,
    /// Editions that read it, by [`crate::release::Edition::id`].
    pub editions: Vec<String>,
    /// The service that reads it.
    pub service: String,
    /// First release that reads it; `None` when the oldest known release does.
    pub since: Option<String>,
    /// Last release line that reads it; `None` when the newest does.
    pub until: Option<String>,
    /// Whether the value is a secret.
    #[serde(default)]
    pub secret: bool,
    /// Whether the toolkit sets it itself, so that a value in variables.env has no effect.
    #[serde(default)]
    pub set_by_toolkit: bool,
    /// Whether a value of the wrong form keeps the services from starting.
    #[serde(default)]
    pub fatal: bool,
    /// Allowed values of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Smallest allowed number.
    pub min: Option<i64>,
    /// Largest number that has an effect.
    pub max: Option<i64>,
    /// Smallest allowed number of characters.
    pub min_length: Option<usize>,
    /// One line on what it does.
    pub text: String,
    /// Where that is known from.
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    variable: Vec<VariableRow>,
}

/// The embedded file is not well-formed. A test loads it, so no user sees this.
#[derive(Debug, Error)]
#[error("`lib/variables.toml` does not have the expected form")]
pub struct VariablesTomlError(#[from] toml::de::Error);

/// Loads all variables the program knows, in the order of the file.
///
/// # Errors
/// The embedded file is not well-formed; a unit test keeps this from happening.
pub fn load() -> Result<Vec<VariableRow>, VariablesTomlError> {
    let file: File = toml::from_str(VARIABLES_TOML)?;
    Ok(file.variable)
}

/// The row of a name, by its name today or below 5.0.
#[must_use]
pub fn find<'a>(rows: &'a [VariableRow], name: &str) -> Option<&'a VariableRow> {
    rows.iter()
        .find(|row| row.name == name || row.legacy.as_deref() == Some(name))
}

/// The known name that an unknown one is probably meant to be.
#[must_use]
pub fn nearest<'a>(rows: &'a [VariableRow], name: &str) -> Option<&'a str> {
    let names: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| [Some(row.name.as_str()), row.legacy.as_deref()])
        .flatten()
        .collect();
    names
        .into_iter()
        .map(|known| (likeness::of(known, name), known))
        .filter(|(similarity, _)| *similarity >= MISSPELT)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

impl VariableRow {
    /// Whether the edition reads it.
    #[must_use]
    pub fn is_read_by(&self, edition: Edition) -> bool {
        self.editions.iter().any(|id| id == edition.id())
    }

    /// The name under which a release reads it.
    #[must_use]
    pub fn name_for(&self, version: &Version) -> &str {
        match &self.legacy {
            Some(legacy) if version.numbers() < (5, 0, 0) => legacy,
            _ => &self.name,
        }
    }

    /// What is wrong with a value, `None` when it is sound. The text never holds the value of a
    /// secret.
    #[must_use]
    pub fn objection(&self, value: &str) -> Option<String> {
        let shown = if self.secret { "the value" } else { value };
        if let Some(least) = self.min_length
            && value.chars().count() < least
        {
            return Some(format!("it needs at least {least} characters"));
        }
        match self.kind {
            VariableType::Text
            | VariableType::Presence
            | VariableType::Host
            | VariableType::Path
            | VariableType::List
            | VariableType::Words => None,
            VariableType::Flag | VariableType::FlagOn => (!matches!(value, "true" | "false"))
                .then(|| format!("`{shown}` is neither `true` nor `false`")),
            VariableType::Json => serde_json::from_str::<serde_json::Value>(value)
                .err()
                .map(|error| format!("it is not JSON: {error}")),
            VariableType::JsonFlag => (!matches!(value.trim(), "true" | "false"))
                .then(|| format!("`{shown}` is neither `true` nor `false`")),
            VariableType::Integer => match value.parse::<i64>() {
                Err(_) => Some(format!("`{shown}` is not a whole number")),
                Ok(number) if self.min.is_some_and(|min| number < min) => {
                    self.min.map(|min| format!("the smallest value is {min}"))
                }
                Ok(number) if self.max.is_some_and(|max| number > max) => {
                    self.max.map(|max| format!("the largest value is {max}"))
                }
                Ok(_) => None,
            },
            VariableType::Number => value
                .parse::<f64>()
                .is_err()
                .then(|| format!("`{shown}` is not a number")),
            VariableType::Url => {
                (!catalogue::is_url(value)).then(|| format!("`{shown}` is not a URL"))
            }
            VariableType::Port => {
                (!catalogue::is_port(value)).then(|| format!("`{shown}` is not a port"))
            }
            VariableType::Address => (value.parse::<std::net::IpAddr>().is_err())
                .then(|| format!("`{shown}` is not an IP address")),
            VariableType::Email => {
                (!value.contains('@')).then(|| format!("`{shown}` is not an e-mail address"))
            }
            VariableType::Choice => (!self.choices.iter().any(|choice| choice == value))
                .then(|| format!("`{shown}` is not one of {}", self.choices.join(", "))),
            VariableType::Image => (value.is_empty() || value.contains(char::is_whitespace))
                .then(|| format!("`{shown}` is not an image reference")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_variables_load_and_hold_together() {
        let rows = load().unwrap();
        let mut names = BTreeSet::new();
        for row in &rows {
            assert!(
                names.insert((&row.name, &row.service)),
                "{} is listed twice",
                row.name
            );
            assert!(
                !row.text.is_empty() && !row.text.ends_with('.'),
                "{}",
                row.name
            );
            assert!(!row.editions.is_empty(), "{}", row.name);
            if let Some(default) = &row.default {
                assert_eq!(row.objection(default), None, "{}", row.name);
            }
            assert_eq!(
                row.kind == VariableType::Choice,
                !row.choices.is_empty(),
                "{}",
                row.name
            );
            for version in [&row.since, &row.until].into_iter().flatten() {
                let parts = version.split('.');
                assert!(parts.clone().count() >= 2, "{}: {version}", row.name);
                for part in parts {
                    assert!(part.parse::<u64>().is_ok(), "{}: {version}", row.name);
                }
            }
        }
    }

    #[test]
    fn values_are_checked_by_what_the_application_makes_of_them() {
        let rows = load().unwrap();
        let check = |name: &str, value: &str| find(&rows, name).unwrap().objection(value).is_none();
        assert!(check("COMPILE_TIMEOUT", "600"));
        assert!(!check("COMPILE_TIMEOUT", "601"));
        assert!(!check("COMPILE_TIMEOUT", "3m"));
        assert!(check("OVERLEAF_EMAIL_SMTP_SECURE", "true"));
        assert!(!check("OVERLEAF_EMAIL_SMTP_SECURE", "yes"));
        assert!(!check("OVERLEAF_LEFT_FOOTER", "[{]"));
        assert!(check("SHARELATEX_SITE_URL", "https://tex.example.org"));
        assert!(!check("OVERLEAF_SITE_URL", "tex.example.org"));
        assert!(!check("OVERLEAF_INVITE_TOKEN_SECRET", "short"));
    }

    #[test]
    fn a_misspelt_variable_finds_its_name() {
        let rows = load().unwrap();
        assert_eq!(
            nearest(&rows, "OVERLEAF_SITE_ULR"),
            Some("OVERLEAF_SITE_URL")
        );
        assert_eq!(nearest(&rows, "MY_OWN_THING"), None);
    }
}
