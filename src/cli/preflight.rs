//! The gate before every change: runs the checks that an operation asks for, says what the operator
//! passes, and refuses the rest.

use super::{Session, error, error::CommandError, exit, instance::Instance};
use crate::check::row::{self, Operation, Severity};
use crate::check::{self, IgnoreError, Ignored, Ignores, World};
use crate::engine::Engine;
use crate::observe::machine::{self, Thoroughness};
use crate::observed::Observed;
use crate::observed::machine::MachineFacts;
use crate::plan::{self, UpRequest};

/// What `--ignore` and `--reason` ask for.
///
/// # Errors
/// A check is unknown or cannot be ignored, or one of the two is missing (exit code 2).
pub fn ignores(ids: &[String], reason: Option<&str>) -> Result<Ignores, CommandError> {
    // Every command begins here, the health checks of the bundled servers too.
    if ids.is_empty() && reason.is_none() {
        return Ok(Ignores::default());
    }
    let registry = row::load().map_err(check::CheckError::from)?;
    Ignores::new(&registry, ids, reason).map_err(|error| {
        let usage =
            CommandError::new("USAGE", exit::USAGE, error.to_string()).state("nothing was changed");
        match error {
            IgnoreError::Unknown {
                nearest: Some(nearest),
                ..
            } => usage.fix(format!("did you mean `{nearest}`?")),
            IgnoreError::Unknown { nearest: None, .. } => {
                usage.fix("`toolkit doctor --all` lists the checks")
            }
            IgnoreError::Strict { why, .. } => usage.because(why).fix("mend what it finds"),
            IgnoreError::NoReason => usage.fix("say why: --reason TEXT; the history keeps it"),
            IgnoreError::NoCheck => usage.fix("name the check: --ignore CHECK"),
        }
    })
}

/// Refuses an operation while a check that blocks it fails, all failing ones in one refusal. Gives
/// the failing checks that the operator passes with `--ignore`, for the history; they are said on
/// stderr. Reads only.
///
/// `request` is what an `up` is about: ports and images of other services do not stand in its way.
///
/// # Errors
/// A check fails (exit code 6).
pub async fn gate(
    session: &Session,
    instance: &Instance,
    engine: &impl Engine,
    observed: &Observed,
    operation: Operation,
    request: Option<&UpRequest>,
) -> Result<Vec<Ignored>, CommandError> {
    let deployment = &instance.deployment;
    let concerning = request.map(|request| {
        let chosen = plan::chosen(deployment, request);
        check::concerning(observed, deployment, &chosen, request.remove_orphans)
    });
    let observed = concerning.as_ref().unwrap_or(observed);
    let machine = machine::facts(
        Some(engine),
        deployment,
        Some(observed),
        Thoroughness::Needed,
    )
    .await;
    let registry = row::load().map_err(check::CheckError::from)?;
    let world = World {
        deployment,
        observed: Ok(observed),
        machine: &machine,
    };
    let checked = check::run(&registry, &world, operation, &session.ignores)?;
    for found in checked.iter().filter(|found| found.ignored.is_none()) {
        if found.check.severity == Severity::Warn {
            for finding in found.findings() {
                let (id, text, because) = (&found.check.id, &finding.text, &finding.because);
                session.ui.warn(&format!("[{id}] {text}: {because}"));
            }
        }
    }
    if checked.iter().any(check::Checked::blocks) {
        return Err(error::of_checks(&checked));
    }
    for (id, because) in check::blind(&checked, &world) {
        session.ui.warn(&format!(
            "[{id}] could not be checked, and another mongo is about to open the data: {because}"
        ));
    }
    let ignored = check::ignored(&checked);
    for passed in &ignored {
        let Ignored {
            id,
            reason,
            measured,
        } = passed;
        session
            .ui
            .warn(&format!("[{id}] is ignored ({measured}): {reason}"));
    }
    Ok(ignored)
}

/// Refuses to stop or remove what another instance made under the same project name.
///
/// # Errors
/// The containers belong to another instance (exit code 6).
pub fn ours(instance: &Instance, observed: &Observed) -> Result<(), CommandError> {
    if observed.other_instance.is_none() {
        // Nearly always; the registry need not be read for that.
        return Ok(());
    }
    let registry = row::load().map_err(check::CheckError::from)?;
    let world = World {
        deployment: &instance.deployment,
        observed: Ok(observed),
        machine: &MachineFacts::default(),
    };
    let ignores = Ignores::default();
    let checked = check::run(&registry, &world, Operation::Down, &ignores)?;
    if checked.iter().any(check::Checked::blocks) {
        return Err(error::of_checks(&checked));
    }
    Ok(())
}
