//! Finds everything that is wrong with an instance's files, in one run, and says how to mend it.
//!
//! The rules are rows of `lib/lint.toml` ([`rule`]), each with a small function in `rules`. A rule
//! sees the parsed files, so it works even when no settings can be made of them; what
//! [`settings::resolve`] finds is taken over. Pure: the caller hands in texts, environment and
//! file modes. Secrets appear neither in a text nor in a shown line.

mod findings;
mod folder;
pub mod rule;
mod rules;
mod source_line;

use std::collections::BTreeMap;
use std::path::Path;

use thiserror::Error;

use crate::release::CatalogueError;
use crate::settings::problem::{Place, Problem, ProblemKind};
use crate::settings::reference::ReferenceError;
use crate::settings::{self, Sources};
use findings::Findings;
use folder::Folder;

/// What is looked at.
pub struct Input<'a> {
    /// The operator's files and the look-ups that belong to them.
    pub sources: &'a Sources<'a>,
    /// Permission bits (`0o7777`) of a file, `None` when it cannot be looked at.
    pub mode: &'a dyn Fn(&Path) -> Option<u32>,
    /// Problems of the definitions and the override file, found elsewhere, each with its line as it
    /// may be shown.
    pub further: Vec<(Problem, Option<String>)>,
    /// A line of another file than the three, by its number from 1, as it may be shown.
    pub other_line: &'a dyn Fn(&Path, usize) -> Option<String>,
    /// What the override file says about the application.
    pub changes: Changes,
}

/// What the override file says about the application's container.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The image, with the place of its key.
    pub image: Option<(String, Place)>,
    /// The variables that it makes exactly `true`, with their places.
    pub switched_on: BTreeMap<String, Place>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id, as in `lib/lint.toml`.
    pub rule: String,
    /// What, where, and what to write instead.
    pub problem: Problem,
    /// The line it stands on, without secrets; `None` when it is about a whole file.
    pub line: Option<String>,
}

/// Everything that is wrong, sorted by file, line and column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings keep the configuration from being used.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(ProblemKind::Error)
    }

    /// How many findings are probably not as meant.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(ProblemKind::Warning)
    }

    fn count(&self, kind: ProblemKind) -> usize {
        let findings = self.findings.iter();
        findings.filter(|found| found.problem.kind == kind).count()
    }
}

/// The shipped data does not hold together. Tests load it, so no user sees this.
#[derive(Debug, Error)]
pub enum LintError {
    /// The rules are broken.
    #[error(transparent)]
    Rules(#[from] rule::RulesError),
    /// The settings or variables are broken.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The releases are broken.
    #[error(transparent)]
    Releases(#[from] CatalogueError),
}

/// Applies every rule.
///
/// # Errors
/// The shipped data does not hold together.
pub fn check(input: &Input<'_>) -> Result<Report, LintError> {
    let rules = rule::load()?;
    let folder = Folder::read(input)?;
    let mut findings = Findings::default();
    for (id, apply) in rules::CHECKS {
        apply(rule::find(&rules, id)?, &folder, &mut findings);
    }
    Ok(Report {
        findings: findings.finish(&folder),
    })
}

/// The files whose lines are shown, by their place below the root of an instance.
const FILES: [&str; 4] = [
    settings::RC_FILE,
    settings::VARIABLES_FILE,
    settings::VERSION_FILE,
    settings::DOTENV_FILE,
];

#[cfg(test)]
mod tests;
