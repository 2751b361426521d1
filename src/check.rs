//! Preflight checks: what stands in the way before anything is pulled or changed, and what `doctor`
//! shows.
//!
//! The checks are rows of `lib/checks.toml` ([`row`]), each with a small pure function in `looks`
//! over a [`World`]: the deployment, what was observed, and the facts of this machine. To have
//! looked and found nothing is told apart from not to have been able to look. Knows neither how
//! facts are obtained nor how findings are shown.

mod configured;
mod dotted;
mod engine;
mod looks;
mod machine;
mod names;
mod paths;
mod ports;
pub mod row;
mod space;
mod stores;

use std::collections::BTreeSet;

use thiserror::Error;

use crate::compose::Place;
use crate::deployment::Deployment;
use crate::likeness;
use crate::observed::Observed;
use crate::observed::Obstacle;
use crate::observed::machine::MachineFacts;
use crate::release::Catalogue;
use crate::release::CatalogueError;
use row::Check;
use row::Operation;
use row::Registry;
use row::RegistryError;
use row::Severity;

/// What the checks look at.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// What should be.
    pub deployment: &'a Deployment,
    /// What is, or why the engine cannot be asked.
    pub observed: Result<&'a Observed, &'a str>,
    /// This machine.
    pub machine: &'a MachineFacts,
}

/// What a check found to be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finding {
    /// What is wrong, in one line.
    pub text: String,
    /// Why that is in the way.
    pub because: String,
    /// What was measured.
    pub measured: String,
    /// What is needed.
    pub needed: String,
    /// What to do, in words.
    pub fix: String,
    /// The command that does it, where there is one.
    pub command: Option<String>,
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Passed {
        /// What was measured.
        measured: String,
        /// What is needed; empty where it says nothing more.
        needed: String,
    },
    /// Something is wrong, once or several times.
    Failed(Vec<Finding>),
    /// It could not be looked at.
    NotChecked {
        /// Why.
        because: String,
    },
    /// The check has nothing to do with this instance.
    NotNeeded {
        /// Why.
        because: String,
    },
}

/// One check with what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The check.
    pub check: &'a Check,
    /// What came of it.
    pub outcome: Outcome,
    /// Why the operator passes it all the same; `None` when it counts.
    pub ignored: Option<&'a str>,
}

impl Checked<'_> {
    /// Whether it keeps an operation from going on.
    #[must_use]
    pub fn blocks(&self) -> bool {
        let failed = matches!(self.outcome, Outcome::Failed(_));
        failed && self.check.severity == Severity::Block && self.ignored.is_none()
    }

    /// What it found to be wrong.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match &self.outcome {
            Outcome::Failed(findings) => findings,
            _ => &[],
        }
    }
}

/// The checks that the operator passes, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignores {
    ids: Vec<String>,
    reason: String,
}

/// A failing check that was passed; the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The check.
    pub id: String,
    /// Why it was passed, in the operator's words.
    pub reason: String,
    /// What was measured.
    pub measured: String,
}

/// What the operator asks to ignore cannot be ignored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IgnoreError {
    /// There is no such check.
    #[error("there is no check `{id}`")]
    Unknown {
        /// What was asked for.
        id: String,
        /// The nearest that there is.
        nearest: Option<String>,
    },
    /// The check guards against something that cannot work.
    #[error("the check `{id}` cannot be ignored")]
    Strict {
        /// The check.
        id: String,
        /// Why it exists.
        why: String,
    },
    /// No reason was given.
    #[error("a check is ignored for a reason only")]
    NoReason,
    /// A reason was given and no check.
    #[error("a reason was given, and no check to ignore")]
    NoCheck,
}

/// The shipped data does not hold together. Tests load it, so no user sees this.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The rows are broken.
    #[error(transparent)]
    Rows(#[from] RegistryError),
    /// The releases are broken.
    #[error(transparent)]
    Releases(#[from] CatalogueError),
}

/// Similarity from which an id counts as misspelt (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.7;

impl Ignores {
    /// Takes what the operator asked for. Ids may be in lower case.
    ///
    /// # Errors
    /// An id is unknown or cannot be ignored, or the reason is missing.
    pub fn new(
        registry: &Registry,
        ids: &[String],
        reason: Option<&str>,
    ) -> Result<Self, IgnoreError> {
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        let ids: Vec<String> = ids.iter().map(|id| id.to_uppercase()).collect();
        for id in &ids {
            let Some(check) = registry.checks.iter().find(|check| check.id == *id) else {
                let candidates = registry.checks.iter().map(|check| check.id.as_str());
                let nearest = likeness::nearest(candidates, id, SIMILAR).map(ToOwned::to_owned);
                let id = id.clone();
                return Err(IgnoreError::Unknown { id, nearest });
            };
            if !check.ignorable {
                let (id, why) = (id.clone(), check.why.clone());
                return Err(IgnoreError::Strict { id, why });
            }
        }
        match (ids.is_empty(), reason) {
            (false, None) => Err(IgnoreError::NoReason),
            (true, Some(_)) => Err(IgnoreError::NoCheck),
            (_, reason) => Ok(Self {
                ids,
                reason: reason.unwrap_or_default().to_owned(),
            }),
        }
    }

    fn of(&self, check: &Check) -> Option<&str> {
        self.ids.contains(&check.id).then_some(&*self.reason)
    }
}

/// Applies the checks that an operation asks for, in the order of the rows.
///
/// # Errors
/// The shipped data does not hold together.
pub fn run<'a>(
    registry: &'a Registry,
    world: &World<'_>,
    operation: Operation,
    ignores: &'a Ignores,
) -> Result<Vec<Checked<'a>>, CheckError> {
    let catalogue = Catalogue::load()?;
    let mut checked = Vec::new();
    for check in &registry.checks {
        if check.gates.contains(&operation) {
            let look = looks::find(&check.id)?;
            let view = View {
                deployment: world.deployment,
                observed: world.observed,
                machine: world.machine,
                registry,
                catalogue: &catalogue,
            };
            checked.push(Checked {
                check,
                outcome: match look(&view) {
                    Ok(outcome) | Err(outcome) => outcome,
                },
                ignored: ignores.of(check),
            });
        }
    }
    Ok(checked)
}

/// What was observed, as far as it is in the way of these services: ports and images of others do not
/// count, and a port that an orphan holds or a network that it is in does not where orphans are removed.
/// Other services are in the way of a network that is made anew.
#[must_use]
pub fn concerning(
    observed: &Observed,
    deployment: &Deployment,
    services: &BTreeSet<&str>,
    removes_orphans: bool,
) -> Observed {
    let mut seen = observed.clone();
    seen.taken_ports.retain(|taken| {
        let is_orphan = matches!(taken.obstacle, Obstacle::Orphan(_));
        services.contains(taken.service.as_str()) && !(is_orphan && removes_orphans)
    });
    let project = &deployment.project;
    let is_wanted = |name: &str| {
        services.iter().any(|service| {
            let mut numbers = 1..=project.scale(service);
            numbers.any(|number| project.numbered_name(service, number) == name)
        })
    };
    seen.strangers.retain(|stranger| is_wanted(&stranger.name));
    let differing = observed.differing_networks(project);
    let hindering = differing
        .iter()
        .flat_map(|found| observed.hindering(found.network, services, removes_orphans));
    seen.visitors = hindering.collect();
    let all = deployment.project.services.iter();
    let used = all.filter(|(name, _)| services.contains(name.as_str()));
    let used: BTreeSet<&String> = used.map(|(_, service)| &service.image).collect();
    seen.images.retain(|reference, _| used.contains(reference));
    seen
}

/// The checks of mongo's data that could not be made although another mongo is about to open it, with
/// the reason.
#[must_use]
pub fn blind<'a>(checked: &'a [Checked<'_>], world: &World<'_>) -> Vec<(&'a str, &'a str)> {
    if !stores::is_mongo_new(world) {
        return Vec::new();
    }
    let of_data = |found: &&Checked<'_>| stores::OF_DATA.contains(&&*found.check.id);
    let blind = checked.iter().filter(of_data).filter_map(|found| {
        let Outcome::NotChecked { because } = &found.outcome else {
            return None;
        };
        Some((&*found.check.id, because.as_str()))
    });
    blind.collect()
}

/// The failing checks among these that were passed, once for each finding.
#[must_use]
pub fn ignored(checked: &[Checked<'_>]) -> Vec<Ignored> {
    let passed = checked
        .iter()
        .filter_map(|checked| Some((checked, checked.ignored?)));
    let each = passed.flat_map(|(checked, reason)| {
        checked.findings().iter().map(|finding| Ignored {
            id: checked.check.id.clone(),
            reason: reason.to_owned(),
            measured: finding.measured.clone(),
        })
    });
    each.collect()
}

/// A [`World`] with the shipped data beside it.
struct View<'a> {
    deployment: &'a Deployment,
    observed: Result<&'a Observed, &'a str>,
    machine: &'a MachineFacts,
    registry: &'a Registry,
    catalogue: &'a Catalogue,
}

/// What a check's function gives: `Err` ends it early, with [`Outcome::NotChecked`] or
/// [`Outcome::NotNeeded`].
type Looked = Result<Outcome, Outcome>;

/// One check's function.
type Look = fn(&View<'_>) -> Looked;

impl<'a> View<'a> {
    /// What was observed.
    fn observed(&self) -> Result<&'a Observed, Outcome> {
        self.observed
            .map_err(|_| not_checked("the engine cannot be asked"))
    }

    /// A key of the definitions with the place where an operator's file says it.
    fn key_at(&self, path: &str, place: &Place) -> String {
        let file = place.file.strip_prefix(&self.deployment.root);
        let file = file.unwrap_or(&place.file).display();
        format!("`{path}` ({file}:{})", place.line)
    }

    /// Goes on only where paths and processors of this machine are those of the engine.
    fn here(&self) -> Result<(), Outcome> {
        match &self.machine.elsewhere {
            None => Ok(()),
            Some(because) => Err(not_checked(because)),
        }
    }

    /// Goes on only where the real images run.
    fn not_bundled(&self) -> Result<(), Outcome> {
        if self.deployment.bundled_images.is_empty() {
            Ok(())
        } else {
            Err(not_needed("the bundled servers are used"))
        }
    }
}

fn not_checked(because: &str) -> Outcome {
    Outcome::NotChecked {
        because: because.to_owned(),
    }
}

fn not_needed(because: &str) -> Outcome {
    Outcome::NotNeeded {
        because: because.to_owned(),
    }
}

/// Passed, unless something was found.
fn outcome(findings: Vec<Finding>, measured: impl Into<String>, needed: &str) -> Looked {
    Ok(if findings.is_empty() {
        Outcome::Passed {
            measured: measured.into(),
            needed: needed.to_owned(),
        }
    } else {
        Outcome::Failed(findings)
    })
}

#[cfg(test)]
mod tests;
