//! Everything the program knows about names: the settings of overleaf.rc and the variables of
//! variables.env, with look-up, search and the nearest name of a misspelt one.

use crate::likeness;
use std::collections::BTreeSet;

use thiserror::Error;

use super::catalogue::{self, SettingRow, SettingsTomlError};
use super::variables::{self, VariableRow, VariablesTomlError};

/// Similarity from which a name is offered in place of an unknown one (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.85;

/// How much less similar than the best one a name may be that is offered beside it.
const AS_GOOD: f64 = 0.04;

/// Most names offered in place of an unknown one.
const OFFERED: usize = 3;

/// The embedded data is not well-formed. Tests load it, so no user sees this.
#[derive(Debug, Error)]
pub enum ReferenceError {
    /// That of the settings.
    #[error(transparent)]
    Settings(#[from] SettingsTomlError),
    /// That of the variables.
    #[error(transparent)]
    Variables(#[from] VariablesTomlError),
}

/// All settings and variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The settings, in the order of the file.
    pub settings: Vec<SettingRow>,
    /// The variables, in the order of the file.
    pub variables: Vec<VariableRow>,
}

impl Reference {
    /// Loads what the program carries.
    ///
    /// # Errors
    /// The embedded data is not well-formed; unit tests keep this from happening.
    pub fn load() -> Result<Self, ReferenceError> {
        Ok(Self {
            settings: catalogue::load()?,
            variables: variables::load()?,
        })
    }

    /// The setting of a name.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&SettingRow> {
        self.settings.iter().find(|row| row.name == name)
    }

    /// The setting that had this name before the application changed its own.
    #[must_use]
    pub fn setting_once(&self, name: &str) -> Option<&SettingRow> {
        let rest = name.strip_prefix("SHARELATEX_")?;
        self.setting(&format!("OVERLEAF_{rest}"))
    }

    /// The variables of a name, today's or that below 5.0; one for each service that reads it.
    #[must_use]
    pub fn variables_of(&self, name: &str) -> Vec<&VariableRow> {
        let is_meant = |row: &&VariableRow| row.name == name || row.legacy.as_deref() == Some(name);
        self.variables.iter().filter(is_meant).collect()
    }

    /// Whether either kind has the name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.setting(name).is_some() || !self.variables_of(name).is_empty()
    }

    /// The known names that an unknown one is probably meant to be, the most similar first.
    #[must_use]
    pub fn nearest(&self, unknown: &str) -> Vec<&str> {
        let wanted = unknown.to_uppercase().replace('-', "_");
        let settings = self.settings.iter().map(|row| row.name.as_str());
        let variables = self.variables.iter();
        let variables = variables
            .flat_map(|row| std::iter::once(row.name.as_str()).chain(row.legacy.as_deref()));
        let names: BTreeSet<&str> = settings.chain(variables).collect();
        let mut rated: Vec<(f64, &str)> = names
            .into_iter()
            .map(|name| (similarity(name, &wanted), name))
            .filter(|(similarity, _)| *similarity >= SIMILAR)
            .collect();
        rated.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best = rated.first().map_or(1.0, |(similarity, _)| *similarity);
        rated.retain(|(similarity, _)| best - similarity < AS_GOOD);
        rated.truncate(OFFERED);
        rated.into_iter().map(|(_, name)| name).collect()
    }

    /// The rows that hold every word, in their name, their text or nearly in their name. One word
    /// that is a whole name finds that name only.
    #[must_use]
    pub fn search(&self, words: &[String]) -> Self {
        if let [name] = words
            && self.knows(name)
        {
            return Self {
                settings: self.setting(name).into_iter().cloned().collect(),
                variables: self.variables_of(name).into_iter().cloned().collect(),
            };
        }
        let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let settings = self.settings.iter();
        let settings = settings.filter(|row| holds(&words, &[&row.name], &row.text));
        let variables = self.variables.iter().filter(|row| {
            let names: Vec<&str> = std::iter::once(row.name.as_str())
                .chain(row.legacy.as_deref())
                .collect();
            holds(&words, &names, &row.text)
        });
        Self {
            settings: settings.cloned().collect(),
            variables: variables.cloned().collect(),
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.variables.is_empty()
    }
}

/// How alike two names are, 0 to 1. The end of a name, such as `SITE_URL`, counts as very alike.
fn similarity(name: &str, wanted: &str) -> f64 {
    if name == wanted {
        return 1.0;
    }
    let is_end = name
        .strip_suffix(wanted)
        .is_some_and(|front| front.ends_with('_'));
    if is_end && !wanted.is_empty() {
        return 0.99;
    }
    likeness::of(name, wanted)
}

fn holds(words: &[String], names: &[&str], text: &str) -> bool {
    let text = text.to_lowercase();
    let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    words.iter().all(|word| {
        text.contains(word)
            || names.iter().any(|name| {
                name.contains(&word.replace('-', "_"))
                    || name.split('_').any(|part| is_nearly(part, word))
            })
    })
}

/// Whether a part of a name is a word with one letter wrong, missing or too much, or two swapped.
fn is_nearly(part: &str, word: &str) -> bool {
    word.chars().count() > 3 && strsim::osa_distance(part, word) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let found = Reference::load().unwrap().search(&words);
        let settings = found.settings.into_iter().map(|row| row.name);
        settings
            .chain(found.variables.into_iter().map(|row| row.name))
            .collect()
    }

    #[test]
    fn an_unknown_name_finds_those_it_may_be() {
        let reference = Reference::load().unwrap();
        let first = |name: &str| reference.nearest(name).first().copied();
        assert_eq!(first("OVERLEAF_PROT"), Some("OVERLEAF_PORT"));
        assert_eq!(first("overleaf_port"), Some("OVERLEAF_PORT"));
        assert_eq!(first("overleaf-port"), Some("OVERLEAF_PORT"));
        assert_eq!(first("PRIVATE_KEY_PATH"), Some("TLS_PRIVATE_KEY_PATH"));
        assert_eq!(first("COMPILE_TIMEOUT_S"), Some("COMPILE_TIMEOUT"));
        assert_eq!(first("ZZZ"), None);
        assert_eq!(first(""), None);
    }

    #[test]
    fn a_search_looks_into_names_and_texts_and_forgives_one_letter() {
        assert_eq!(found(&["OVERLEAF_PORT"]), ["OVERLEAF_PORT"]);
        assert_eq!(found(&["SHARELATEX_SITE_URL"]), ["OVERLEAF_SITE_URL"]);
        assert_eq!(found(&["append"]), found(&["REDIS_AOF_PERSISTENCE"]));
        assert_eq!(found(&["site-url"]), ["OVERLEAF_SITE_URL"]);
        assert!(found(&["timeuot"]).contains(&"COMPILE_TIMEOUT".to_owned()));
        assert!(found(&["mongo", "folder"]).contains(&"MONGO_DATA_PATH".to_owned()));
        assert_eq!(found(&["mongo", "gibberish"]), Vec::<String>::new());
    }
}
