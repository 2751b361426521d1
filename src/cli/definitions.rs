//! docker-compose.override.yml on the command line: where it is, and what is said about it.

use std::path::Path;

use super::files::{Texts, masked};
use super::instance::Instance;
use super::{Session, error::CommandError, files, instance};
use crate::compose;
use crate::compose::LoadError;
use crate::compose::Project;
use crate::compose::load::{File, Finding};
use crate::deployment::{Deployment, DeploymentError};
use crate::engine::limits;
use crate::host;
use crate::lint::Changes;
use crate::settings::problem::{Place, Problem, ProblemKind};
use crate::settings::{self, Sources};

/// Says which keys of the definitions are rendered and have no effect, before anything changes.
pub(super) fn say_not_applied(session: &Session, instance: &Instance) {
    for problem in not_applied(&instance.deployment) {
        session.ui.problem(&problem, line_of(&problem).as_deref());
    }
}

fn not_applied(deployment: &Deployment) -> Vec<Problem> {
    let found = limits::not_applied(&deployment.project).into_iter();
    found
        .map(|found| Problem {
            kind: ProblemKind::Warning,
            place: found.place.as_ref().map(of_place),
            text: format!("`{}` is not carried out", found.path),
            advice: found.advice,
        })
        .collect()
}

/// What `up` refuses whatever the engine is.
fn refused(deployment: &Deployment) -> Vec<Problem> {
    let found = limits::refused(&deployment.project, None).into_iter();
    found
        .map(|found| Problem {
            kind: ProblemKind::Error,
            place: found.place.as_ref().map(of_place),
            text: format!("`{}` cannot be carried out", found.path),
            advice: found.fix,
        })
        .collect()
}

/// The place of a definition as one of the configuration.
fn of_place(place: &compose::Place) -> Place {
    Place {
        file: place.file.clone(),
        line: place.line,
        column: place.column,
    }
}

fn line_of(problem: &Problem) -> Option<String> {
    let place = problem.place.as_ref()?;
    definition_line(&place.file, place.line)
}

/// What a look at the definitions gives.
#[derive(Default)]
pub(super) struct Look {
    /// Everything that `up` would refuse or warn of, each with its line.
    pub(super) problems: Vec<(Problem, Option<String>)>,
    /// What the override file says about the application.
    pub(super) changes: Changes,
}

/// Looks at the definitions. Nothing can be said while the settings are wrong: they are what the
/// definitions are made of.
pub(super) fn look(texts: &Texts, sources: &Sources<'_>) -> Result<Look, CommandError> {
    let files = override_file(sources.root)?;
    let Ok((mut settings, _)) = settings::resolve(sources) else {
        return Ok(Look::default());
    };
    // A withdrawn release is another matter.
    settings.accepted_retraction = Some(settings.version.to_string());
    let mut look = Look::default();
    let problems = match instance::deployment_of(
        sources.root,
        texts,
        &settings,
        files,
        sources.environment,
        &[],
    ) {
        Ok(deployment) => {
            look.changes = changes(&deployment.project);
            let mut problems = of_findings(&deployment.warnings, ProblemKind::Warning);
            problems.extend(not_applied(&deployment));
            problems.extend(refused(&deployment));
            problems
        }
        Err(DeploymentError::Definition(LoadError(findings))) => {
            of_findings(&findings, ProblemKind::Error)
        }
        Err(other) => return Err(other.into()),
    };
    let shown = |problem: Problem| {
        let place = problem.place.as_ref();
        let line = place.and_then(|at| files::shown_line(texts, &at.file, at.line));
        (problem, line)
    };
    look.problems = problems.into_iter().map(shown).collect();
    Ok(look)
}

fn changes(project: &Project) -> Changes {
    let place = |key: &str| {
        let place = project.places.get(&format!("services.sharelatex.{key}"))?;
        Some(Place {
            file: place.file.clone(),
            line: place.line,
            column: place.column,
        })
    };
    let Some(service) = project.services.get("sharelatex") else {
        return Changes::default();
    };
    let variables = service.environment.0.iter();
    let switched_on = variables.filter(|(_, value)| value.as_deref() == Some("true"));
    Changes {
        image: place("image").map(|at| (service.image.clone(), at)),
        switched_on: switched_on
            .filter_map(|(name, _)| Some((name.clone(), place(&format!("environment.{name}"))?)))
            .collect(),
    }
}

fn of_findings(findings: &[Finding], kind: ProblemKind) -> Vec<Problem> {
    let findings = findings.iter();
    findings.map(|finding| of_finding(finding, kind)).collect()
}

/// What is wrong with a definition, as a problem of the configuration.
pub(super) fn of_finding(finding: &Finding, kind: ProblemKind) -> Problem {
    let place = (finding.place.line > 0).then(|| of_place(&finding.place));
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
