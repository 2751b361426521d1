//! docker-compose.override.yml on the command line: where it is, and what is said about it.

use std::path::Path;

use super::instance::{Instance, masked};
use super::{Session, error::CommandError};
use crate::compose::LoadError;
use crate::compose::load::{File, Finding};
use crate::deployment::DeploymentError;
use crate::engine::limits;
use crate::host;
use crate::settings;
use crate::settings::problem::{Place, Problem, ProblemKind};

/// Says which keys of the definitions are rendered and not carried out, before anything changes.
pub(super) fn say_not_applied(session: &Session, instance: &Instance) {
    for found in limits::not_applied(&instance.deployment.project) {
        let place = found.place.map(|place| Place {
            file: place.file,
            line: place.line,
            column: place.column,
        });
        let line = place
            .as_ref()
            .and_then(|at| definition_line(&at.file, at.line));
        let problem = Problem {
            kind: ProblemKind::Warning,
            place,
            text: format!("`{}` is not carried out", found.path),
            advice: found.advice.to_owned(),
        };
        session.ui.problem(&problem, line.as_deref());
    }
}

/// What is wrong with a definition, as a problem of the configuration.
pub(super) fn of_finding(finding: &Finding, kind: ProblemKind) -> Problem {
    let place = (finding.place.line > 0).then(|| Place {
        file: finding.place.file.clone(),
        line: finding.place.line,
        column: finding.place.column,
    });
    Problem {
        kind,
        place,
        text: finding.text.clone(),
        advice: String::new(),
    }
}

pub(super) fn of_deployment(
    error: DeploymentError,
    line_of: &dyn Fn(&Path, usize) -> Option<String>,
) -> CommandError {
    match error {
        DeploymentError::Definition(LoadError(findings)) => {
            let problems = findings.iter();
            let problems = problems.map(|finding| of_finding(finding, ProblemKind::Error));
            super::error::of_problems(problems.collect(), line_of)
        }
        other => other.into(),
    }
}

/// The operator's changes to the definitions, when there are any.
pub(super) fn override_file(root: &Path) -> Result<Vec<File>, CommandError> {
    let path = root.join(settings::OVERRIDE_FILE);
    if !host::exists(&path) {
        return Ok(Vec::new());
    }
    let text = host::read_text(&path)?;
    Ok(vec![File {
        path,
        text,
        is_literal: false,
    }])
}

/// A line of a definition. It may hold a secret anywhere; its keys say enough.
pub(super) fn definition_line(file: &Path, line: usize) -> Option<String> {
    let text = host::read_text(file).ok()?;
    text.lines().nth(line.checked_sub(1)?).map(masked)
}
