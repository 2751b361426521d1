//! The rules as data: `lib/lint.toml`, embedded. What a rule looks for is a function; what it is
//! called, how bad it is and why it exists stands in that file, and the reference is made of it.

use serde::Deserialize;
use thiserror::Error;

use crate::settings::problem::ProblemKind;

const LINT_TOML: &str = include_str!("../../lib/lint.toml");

/// How bad a finding of a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It does not start, loses data, or locks people out.
    Error,
    /// It works, but probably not as meant.
    Warning,
}

impl Severity {
    /// The word of the data file and of the reference.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }

    /// The kind of problem that goes with it.
    #[must_use]
    pub fn kind(self) -> ProblemKind {
        match self {
            Self::Error => ProblemKind::Error,
            Self::Warning => ProblemKind::Warning,
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable id in kebab case.
    pub id: String,
    /// How bad a finding is.
    pub severity: Severity,
    /// What it looks for, in one line without a final period.
    pub title: String,
    /// What goes wrong without it.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// Where that is known from.
    pub source: String,
    /// Names of settings or variables that it looks at, where it has a list of its own.
    #[serde(default)]
    pub names: Vec<String>,
    /// Values that it looks for.
    #[serde(default)]
    pub values: Vec<String>,
    /// Ports that it looks for.
    #[serde(default)]
    pub ports: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

/// The embedded file is not well-formed. A test loads it, so no user sees this.
#[derive(Debug, Error)]
pub enum RulesError {
    /// It is not the TOML that is expected.
    #[error("`lib/lint.toml` does not have the expected form")]
    Form(#[from] toml::de::Error),
    /// A rule has no row.
    #[error("`lib/lint.toml` has no rule `{0}`")]
    Missing(String),
}

/// Loads all rules, in the order of the file.
///
/// # Errors
/// The embedded file is not well-formed; a unit test keeps this from happening.
pub fn load() -> Result<Vec<Rule>, RulesError> {
    let file: File = toml::from_str(LINT_TOML)?;
    Ok(file.rule)
}

/// The row of an id.
///
/// # Errors
/// There is none; a unit test keeps this from happening.
pub fn find<'a>(rules: &'a [Rule], id: &str) -> Result<&'a Rule, RulesError> {
    let row = rules.iter().find(|rule| rule.id == id);
    row.ok_or_else(|| RulesError::Missing(id.to_owned()))
}

/// The reference of all rules, as Markdown: `docs/lint.md`.
#[must_use]
pub fn reference(rules: &[Rule]) -> String {
    let rows = rules.iter().map(|rule| {
        let (id, severity, title) = (&rule.id, rule.severity.word(), &rule.title);
        format!("| [`{id}`](#{id}) | {severity} | {title} |\n")
    });
    let sections = rules.iter().map(|rule| {
        let severity = rule.severity.word();
        format!(
            "\n### {}\n\n{severity}: {}.\n\n- Why: {}.\n- Fix: {}.\n- Source: {}.\n",
            rule.id, rule.title, rule.why, rule.fix, rule.source
        )
    });
    let head = include_str!("../../lib/lint.md");
    format!(
        "{head}\n## Rules\n\n| rule | severity | finds |\n| --- | --- | --- |\n{}{}",
        rows.collect::<String>(),
        sections.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_says_what_why_and_what_to_do() {
        let rules = load().unwrap();
        for rule in &rules {
            let is_kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(rule.id.chars().all(is_kebab), "{}", rule.id);
            for text in [&rule.title, &rule.why, &rule.fix, &rule.source] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{}", rule.id);
            }
        }
        let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(ids.len(), rules.len(), "a rule is listed twice");
        let checks: BTreeSet<&str> = super::super::rules::CHECKS
            .iter()
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(ids, checks, "the rows and the functions differ");
    }

    #[test]
    fn every_rule_is_shown_to_find_something() {
        let tests = [
            include_str!("tests.rs"),
            include_str!("tests/names.rs"),
            include_str!("tests/site.rs"),
        ]
        .concat();
        for rule in load().unwrap() {
            let is_expected = [" ", "\""]
                .iter()
                .any(|end| tests.contains(&format!("\"{}{end}", rule.id)));
            assert!(is_expected, "no test expects {}", rule.id);
        }
    }
}
