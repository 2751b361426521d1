//! Collects what the rules find and makes the report of it: sorted, each with its line, and
//! without secrets.

use std::collections::BTreeSet;
use std::path::Path;

use super::Finding;
use super::folder::Folder;
use super::rule::Rule;
use super::source_line;
use crate::settings::problem::{Place, Problem, ProblemKind};

/// Secrets shorter than this are not searched for in texts: they would hit ordinary words.
const SHORTEST_SECRET: usize = 8;

/// What the rules found so far.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Found>,
    named: BTreeSet<String>,
    /// Problems that somebody else found and that a finding covers.
    settled: Vec<Problem>,
}

struct Found {
    finding: Finding,
    /// Whether the place is a line of one of the three files, and not a file as a whole.
    has_line: bool,
}

impl Findings {
    /// Adds a finding about a setting or variable. An empty `advice` stands for the rule's own.
    pub(super) fn add(&mut self, rule: &Rule, name: &str, place: Place, text: &str, advice: &str) {
        self.mark(name);
        self.push(rule, place, text, advice);
    }

    /// Adds a finding that is about no single name.
    pub(super) fn push(&mut self, rule: &Rule, place: Place, text: &str, advice: &str) {
        self.insert(rule, place, text, advice, true);
    }

    /// Adds a finding about a file as a whole.
    pub(super) fn push_file(&mut self, rule: &Rule, file: &Path, text: &str, advice: &str) {
        let place = Place {
            file: file.to_path_buf(),
            line: 1,
            column: 1,
        };
        self.insert(rule, place, text, advice, false);
    }

    fn insert(&mut self, rule: &Rule, place: Place, text: &str, advice: &str, has_line: bool) {
        let advice = if advice.is_empty() { &rule.fix } else { advice };
        let problem = Problem {
            kind: rule.severity.kind(),
            place: Some(place),
            text: text.to_owned(),
            advice: advice.to_owned(),
        };
        self.found.push(Found {
            finding: Finding {
                rule: rule.id.clone(),
                problem,
                line: None,
            },
            has_line,
        });
    }

    /// Adds a problem that somebody else found, with the line that goes with it.
    pub(super) fn take(&mut self, rule: &Rule, problem: Problem, line: Option<String>) {
        self.settle(&problem);
        self.found.push(Found {
            finding: Finding {
                rule: rule.id.clone(),
                problem,
                line,
            },
            has_line: true,
        });
    }

    /// Notes that a finding says what somebody else found.
    pub(super) fn settle(&mut self, problem: &Problem) {
        self.settled.push(problem.clone());
    }

    /// Whether a finding says already what somebody else found.
    pub(super) fn is_settled(&self, problem: &Problem) -> bool {
        self.settled.contains(problem)
    }

    /// Notes that something is said about a name.
    pub(super) fn mark(&mut self, name: &str) {
        self.named.insert(name.to_owned());
    }

    /// Whether there is a finding about this name already: the more telling rules come first.
    pub(super) fn has(&self, name: &str) -> bool {
        self.named.contains(name)
    }

    /// The report.
    pub(super) fn finish(self, folder: &Folder<'_>) -> Vec<Finding> {
        let secrets = folder.secret_values();
        let mut found = Vec::new();
        for Found {
            mut finding,
            has_line,
        } in self.found
        {
            let problem = &mut finding.problem;
            for text in [&mut problem.text, &mut problem.advice] {
                *text = without(text, &secrets);
            }
            if has_line && finding.line.is_none() {
                let place = problem.place.as_ref();
                let line = place.and_then(|place| folder.shown_line(place));
                finding.line = line.map(|line| without(&line, &secrets));
            }
            found.push(finding);
        }
        found.sort_by_key(|finding: &Finding| {
            let place = finding.problem.place.clone();
            let key = place.map(|at| (at.file, at.line, at.column));
            (key, finding.problem.kind == ProblemKind::Warning)
        });
        found
    }
}

/// The text without the values of secrets and without user information of URLs.
fn without(text: &str, secrets: &[String]) -> String {
    let long = secrets
        .iter()
        .filter(|secret| secret.len() >= SHORTEST_SECRET);
    let text = long.fold(text.to_owned(), |text, secret| {
        text.replace(secret.as_str(), "…")
    });
    source_line::without_user(&text)
}
