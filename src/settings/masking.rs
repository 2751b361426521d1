//! Covers the values that a diff must not show. Only values of known settings and variables that are
//! no secrets are shown: nobody knows what an unknown one holds.

use std::collections::BTreeSet;

use super::catalogue;
use super::statements::{self, Grammar};
use super::variables;

/// The names whose values may be shown.
#[derive(Debug)]
pub struct Shown {
    settings: BTreeSet<String>,
    variables: BTreeSet<String>,
}

impl Shown {
    /// Takes them from the shipped data, with their names of the old brand.
    #[must_use]
    pub fn load() -> Self {
        let old = |name: &str| name.replacen("OVERLEAF_", "SHARELATEX_", 1);
        // Shipped data that does not load shows nothing, which is the safe side.
        let settings = catalogue::load().unwrap_or_default().into_iter();
        let settings = settings
            .filter(|row| !row.secret)
            .flat_map(|row| [old(&row.name), row.name]);
        let variables = variables::load().unwrap_or_default().into_iter();
        let variables = variables.filter(|row| !row.secret).flat_map(|row| {
            let legacy = row.legacy.unwrap_or_else(|| old(&row.name));
            [legacy, row.name]
        });
        Self {
            settings: settings.collect(),
            variables: variables.collect(),
        }
    }

    /// Whether the value of a name may be shown.
    #[must_use]
    pub fn holds(&self, grammar: Grammar, name: &str) -> bool {
        match grammar {
            Grammar::Shell => self.settings.contains(name),
            Grammar::EnvFile => self.variables.contains(name),
        }
    }

    /// The text of a file with all other values covered, in comments as well.
    #[must_use]
    pub fn masked(&self, text: &str, grammar: Grammar) -> String {
        statements::masked(text, grammar, &|name| !self.holds(grammar, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_unknown_names_are_covered() {
        let shown = Shown::load();
        let rc = "SHARELATEX_PORT=80\nMONGO_URL=mongodb://u:p@h/d\nMY_PASSWORD=x\n";
        assert_eq!(
            shown.masked(rc, Grammar::Shell),
            "SHARELATEX_PORT=80\nMONGO_URL=…\nMY_PASSWORD=…\n"
        );
        let env = "COMPILE_TIMEOUT=60\nOVERLEAF_INVITE_TOKEN_SECRET=x\n";
        assert_eq!(
            shown.masked(env, Grammar::EnvFile),
            "COMPILE_TIMEOUT=60\nOVERLEAF_INVITE_TOKEN_SECRET=…\n"
        );
    }
}
