//! What changed between the releases: `lib/migration.toml`, embedded.

use serde::Deserialize;

use crate::settings::catalogue::SettingsTomlError;

const MIGRATION_TOML: &str = include_str!("../../../lib/migration.toml");

/// The form of `lib/migration.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) host_paths: Vec<String>,
    pub(super) brand: Brand,
    pub(super) path: Vec<MovedPath>,
    pub(super) remove: Vec<Removal>,
    pub(super) split: Vec<Split>,
    pub(super) untag: Vec<Untag>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brand {
    pub(super) old: String,
    pub(super) new: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MovedPath {
    pub(super) from: String,
    pub(super) to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Split {
    pub(super) image: String,
    pub(super) tag: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Untag {
    pub(super) image: String,
    pub(super) why: String,
}

impl Rules {
    /// Loads the rules that the program carries.
    ///
    /// # Errors
    /// The embedded file is not well-formed; every test of a migration loads it.
    pub(super) fn load() -> Result<Self, SettingsTomlError> {
        Ok(toml::from_str(MIGRATION_TOML)?)
    }
}
