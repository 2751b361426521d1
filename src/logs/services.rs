//! What `lib/services.toml` knows about the services of the application in each release.

use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

use crate::release::Edition;
use crate::release::Version;
use crate::release::VersionError;

const SERVICES_TOML: &str = include_str!("../../lib/services.toml");

/// One service.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// First release that has it.
    since: Option<String>,
    /// First release that does not have it any more.
    until: Option<String>,
    /// Editions that have it; empty for all.
    #[serde(default)]
    pub editions: Vec<String>,
    /// What does its work now, or did before.
    instead: Option<String>,
    /// Whose log to look at instead.
    pub now: Option<String>,
    /// Only releases that are older than all that are told apart here had it.
    #[serde(default)]
    gone: bool,
    /// The setting that has to be on for the project to have it.
    pub setting: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: Vec<Row>,
}

/// The rows do not load.
#[derive(Debug, Error)]
pub enum ServicesError {
    /// They are not in the form.
    #[error("lib/services.toml is broken")]
    Form(#[from] toml::de::Error),
    /// A version is none.
    #[error("lib/services.toml names a version that is none")]
    Version(#[from] VersionError),
}

/// Loads the rows.
///
/// # Errors
/// The file is broken, which a test excludes.
pub fn load() -> Result<Vec<Row>, ServicesError> {
    let file: File = toml::from_str(SERVICES_TOML)?;
    for row in &file.service {
        for version in row.since.iter().chain(&row.until) {
            Version::from_str(version)?;
        }
    }
    Ok(file.service)
}

impl Row {
    /// Why a release or an edition does not have it, in words; `None` when both do.
    #[must_use]
    pub fn lack(&self, version: &Version, edition: Edition) -> Option<String> {
        let name = &self.name;
        if !self.editions.is_empty() && !self.editions.iter().any(|id| id == edition.id()) {
            let others = self.editions.iter().filter_map(|id| id.parse().ok());
            let others: Vec<String> = others.map(|one: Edition| one.to_string()).collect();
            let have = if others.len() == 1 { "has" } else { "have" };
            let others = others.join(" and ");
            return Some(format!("{edition} has no `{name}`; {others} {have} it"));
        }
        let (since, until) = (self.since.as_deref(), self.until.as_deref());
        let sentence = match (since.and_then(numbers), until.and_then(numbers)) {
            (_, Some((until, shown))) if version.numbers() >= until => {
                format!("`{name}` is gone since Overleaf {shown}")
            }
            (Some((since, shown)), _) if version.numbers() < since => {
                format!("`{name}` comes with Overleaf {shown}")
            }
            _ if self.gone => format!("`{name}` was part of old releases of Overleaf only"),
            _ => return None,
        };
        Some(match &self.instead {
            Some(instead) => format!("{sentence}: {instead}"),
            None => sentence,
        })
    }

    /// Whether every application of a release and an edition has it.
    #[must_use]
    pub fn is_kept(&self, version: &Version, edition: Edition) -> bool {
        self.setting.is_none() && self.lack(version, edition).is_none()
    }

    /// Why the project does not have it although its release and edition do, in words; `None` where no
    /// setting decides that.
    #[must_use]
    pub fn off(&self) -> Option<String> {
        let (name, setting) = (&self.name, self.setting.as_ref()?);
        let sentence = format!("this instance has no `{name}`: {setting} is off");
        Some(match &self.instead {
            Some(instead) => format!("{sentence}, {instead}"),
            None => sentence,
        })
    }
}

/// A version to compare with, and as people write it: `5.3` for `5.3.0`.
fn numbers(version: &str) -> Option<((u64, u64, u64), &str)> {
    let parsed = Version::from_str(version).ok()?;
    Some((
        parsed.numbers(),
        version.strip_suffix(".0").unwrap_or(version),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rows_load_and_point_to_each_other() {
        let rows = load().unwrap();
        for row in &rows {
            for edition in &row.editions {
                assert!(edition.parse::<Edition>().is_ok());
            }
            let is_limited = row.since.is_some() || row.until.is_some();
            assert!(!is_limited || row.instead.is_some(), "{}", row.name);
            if let Some(now) = &row.now {
                assert!(rows.iter().any(|row| row.name == *now), "{now}");
            }
        }
    }

    #[test]
    fn a_name_of_another_release_is_explained() {
        let rows = load().unwrap();
        let lack = |name: &str, version: &str| {
            let row = rows.iter().find(|row| row.name == name).unwrap();
            row.lack(&version.parse().unwrap(), Edition::Community)
        };
        assert_eq!(lack("spelling", "5.2.1"), None);
        assert!(
            lack("spelling", "5.3.0")
                .unwrap()
                .starts_with("`spelling` is gone since Overleaf 5.3: ")
        );
        assert!(
            lack("web-api", "4.1.6")
                .unwrap()
                .starts_with("`web-api` comes with Overleaf 4.2: ")
        );
        assert_eq!(lack("web", "6.2.2"), None);
        let old = lack("tags", "6.2.2").unwrap();
        assert!(old.starts_with("`tags` was part of old releases"), "{old}");
    }

    #[test]
    fn a_name_of_another_edition_is_explained() {
        let rows = load().unwrap();
        let lack = |name: &str, edition| {
            let row = rows.iter().find(|row| row.name == name).unwrap();
            row.lack(&"6.2.2".parse().unwrap(), edition)
        };
        for (name, edition, expected) in [
            (
                "references",
                Edition::Community,
                Some("Community Edition has no `references`; Server Pro and CEP have it"),
            ),
            ("references", Edition::Extended, None),
            (
                "templates",
                Edition::Extended,
                Some("CEP has no `templates`; Server Pro has it"),
            ),
            (
                "linked-url-proxy",
                Edition::ServerPro,
                Some("Server Pro has no `linked-url-proxy`; CEP has it"),
            ),
            ("git-bridge", Edition::ServerPro, None),
        ] {
            assert_eq!(lack(name, edition).as_deref(), expected, "{name}");
        }
    }
}
