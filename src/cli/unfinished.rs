//! An operation that an earlier run did not end: who may go on with it, and who has to wait.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Session, error::CommandError, exit, instance, operation, state_folder};
use crate::engine::Engine;
use crate::host::{self, lock};
use crate::journal::{self, JournalError, Operation, Unfinished};
use crate::observed::Container;
use crate::settings::disclosure;
use crate::ui::words;

/// Commands that begin from whatever stands.
const MAY_GO_ON: [&str; 4] = ["up", "quickstart", "resume", "rollback"];

/// Whether this run goes on with an operation of which every step is done, so that only its wait is left.
///
/// # Errors
/// The journal cannot be read.
pub fn only_waits(session: &Session, root: &Path) -> Result<bool, CommandError> {
    if !session.resumes {
        return Ok(false);
    }
    let found = journal::unsettled(&state_folder(root))?;
    Ok(found.is_some_and(|found| found.done.len() == found.operation.steps.len()))
}

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

/// Tells of an operation that is going on or did not end, for a command that only looks: a warning
/// on stderr, and one of the answer.
pub fn mention(session: &Session, root: &Path, warnings: &mut Vec<String>) {
    let state = state_folder(root);
    let found = match journal::unfinished(&state) {
        Ok(None) => return,
        Ok(Some(found)) => found,
        Err(error) => {
            warn(session, warnings, error.to_string());
            return;
        }
    };
    let Operation {
        command, started, ..
    } = &found.operation;
    let text = match lock::holder(&state) {
        Some(owner) => format!(
            "`toolkit {command}` (pid {}) is going on since {started}: what is shown may change",
            owner.process
        ),
        None => format!(
            "an earlier `toolkit {command}` of {started} did not end ({}): `toolkit resume` goes on with it, `toolkit rollback` takes it back",
            progress(&found)
        ),
    };
    warn(session, warnings, text);
}

fn warn(session: &Session, warnings: &mut Vec<String>, text: String) {
    session.ui.warn(&text);
    warnings.push(text);
}

/// Waits until the engine is through with what the last operation asked it to stop, with the lock held.
/// It goes on with a stop whose run was killed, and a container that still runs ends a moment later: a
/// plan that was made meanwhile would leave it so. To ask again is to wait for the same end.
///
/// # Errors
/// The journal cannot be read, or the engine does not stop a container.
pub async fn stops(
    session: &Session,
    root: &Path,
    engine: &impl Engine,
) -> Result<(), CommandError> {
    if session.dry_run {
        return Ok(());
    }
    let Some(last) = journal::last(&state_folder(root))? else {
        return Ok(());
    };
    if last.stopping.is_empty() || same_engine(session, root, &last).is_err() {
        return Ok(());
    }
    // What was asked before may say that a container runs which has ended since.
    engine.look_again();
    let now = host::now();
    for (stop, asked) in &last.stopping {
        let asked = OffsetDateTime::parse(asked, &Rfc3339).unwrap_or(now);
        if now - asked > Duration::from_secs(stop.grace_s) + SLOWNESS {
            continue;
        }
        let name = &stop.container;
        let found = engine.container(name).await?;
        // One that was started since has that stop behind it. Times of the journal are whole seconds.
        let is_meant = |found: &Container| {
            let started = OffsetDateTime::parse(&found.started_at, &Rfc3339);
            found.state.may_run() && started.is_ok_and(|at| at <= asked + Duration::from_secs(1))
        };
        if found.as_ref().is_some_and(is_meant) {
            session.ui.say(&format!(
                "an earlier run asked the engine to stop `{name}`: waits for that first"
            ));
            engine.stop(name, Duration::from_secs(stop.grace_s)).await?;
        }
    }
    Ok(())
}

/// How long an engine may take for a stop beyond the grace period of the container.
const SLOWNESS: Duration = Duration::from_secs(120);

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
        "typed": shown,
        "arguments": session.again.get().unwrap_or(&shown),
        "folder": session.current_folder,
        "endpoint": disclosure::without_passwords(&endpoint),
    }))
}

/// The command line of a request as it was typed. An older program wrote only what does the same
/// again.
pub(super) fn typed(request: &Value) -> String {
    let words = request.get("typed").or_else(|| request.get("arguments"));
    let words = words.and_then(Value::as_array).into_iter().flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    words.join(" ")
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
