//! An operation that an earlier run did not end: who may go on with it, and who has to wait.

use std::path::Path;

use serde_json::{Value, json};

use super::{Session, error::CommandError, exit, instance, operation, state_folder};
use crate::host;
use crate::journal::{self, JournalError, Unfinished};
use crate::settings::disclosure;
use crate::ui::words;

/// Commands that begin from whatever stands.
const MAY_GO_ON: [&str; 4] = ["up", "quickstart", "resume", "rollback"];

/// Looks for an unfinished operation, with the lock held or for a dry run. A command that may go on
/// with it says so and the history keeps that it was found; a dry run only gets to know.
///
/// # Errors
/// There is one and this command may not go on with it, or its journal cannot be read.
pub fn unfinished_gate(
    session: &Session,
    root: &Path,
    command: &str,
) -> Result<Option<Unfinished>, CommandError> {
    let found = journal::unfinished(&state_folder(root))?;
    let Some(found) = found.filter(|_| !session.dry_run) else {
        return Ok(None);
    };
    if !session.resumes && !MAY_GO_ON.contains(&command) {
        return Err(refusal(&found));
    }
    same_engine(session, root, &found)?;
    let operation = &found.operation;
    session.ui.say(&format!(
        "an earlier `toolkit {}` of {} did not end ({}): `{command}` goes on from what stands",
        operation.command,
        operation.started,
        progress(&found)
    ));
    operation::record_killed(session, root, &found)?;
    Ok(Some(found))
}

/// Refuses to go on with an operation of another engine.
///
/// # Errors
/// It was begun on another engine than this run uses.
pub(super) fn same_engine(
    session: &Session,
    root: &Path,
    found: &Unfinished,
) -> Result<(), CommandError> {
    let Some(then) = journal::endpoint(&found.operation) else {
        return Ok(());
    };
    let now = instance::endpoint(session, root)?;
    let now = disclosure::without_passwords(&now);
    if now == then {
        return Ok(());
    }
    let error = refusal(found).because(format!(
        "it worked on the engine at `{then}`, and this run uses the one at `{now}`"
    ));
    Err(error.fix(format!("set DOCKER_HOST to `{then}` for both")))
}

fn progress(found: &Unfinished) -> String {
    let steps = words::count(found.operation.steps.len(), "step");
    format!("{} of {steps} done", found.done.len())
}

fn refusal(found: &Unfinished) -> CommandError {
    let operation = &found.operation;
    let titles = |steps: &[usize]| -> Vec<String> {
        let titles = steps.iter();
        titles
            .filter_map(|step| operation.steps.get(*step).cloned())
            .collect()
    };
    let mut error = CommandError::new(
        "UNFINISHED_OPERATION",
        exit::UNFINISHED,
        format!("an earlier `toolkit {}` did not end", operation.command),
    )
    .because(format!(
        "it began at {} as operation {}; {}",
        operation.started,
        operation.id,
        progress(found)
    ));
    for (what, steps) in [("done", &found.done), ("begun, not done", &found.begun)] {
        if !steps.is_empty() {
            error = error.because(format!("{what}: {}", titles(steps).join("; ")));
        }
    }
    error
        .state("this run changed nothing")
        .command("toolkit resume")
        .command("toolkit rollback")
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Host(error) => error.into(),
            JournalError::Newer { .. } => {
                Self::new("JOURNAL_FORMAT", exit::UNFINISHED, error.to_string())
                    .because("a newer toolkit began an operation on this instance")
                    .state("this run changed nothing")
                    .fix("run `toolkit resume` with the newer toolkit")
            }
            JournalError::Damaged { ref path, .. } => {
                let fix = format!(
                    "look at what stands with `toolkit status`, move `{}` away, then `toolkit up`",
                    path.display()
                );
                Self::new("JOURNAL_DAMAGED", exit::UNFINISHED, error.to_string())
                    .because("it was changed by something else than this program")
                    .state("this run changed nothing")
                    .fix(fix)
            }
        }
    }
}

/// What the running command was asked for, and of which engine, so that `resume` can do it again.
///
/// # Errors
/// The file that names the engine cannot be read.
pub(super) fn request(session: &Session, root: &Path) -> Result<Value, CommandError> {
    let endpoint = instance::endpoint(session, root)?;
    let shown = session.shown_arguments();
    Ok(json!({
        "arguments": session.again.get().unwrap_or(&shown),
        "folder": session.current_folder,
        "endpoint": disclosure::without_passwords(&endpoint),
    }))
}

/// The arguments and the folder of a request.
pub(super) fn requested(request: &Value) -> Option<(Vec<String>, std::path::PathBuf)> {
    let arguments = request.get("arguments")?.as_array()?;
    let arguments = arguments
        .iter()
        .map(|word| word.as_str().map(str::to_owned));
    let folder = request.get("folder")?.as_str()?;
    Some((
        arguments.collect::<Option<_>>()?,
        host::canonical(Path::new(folder)),
    ))
}
