//! `toolkit rollback`: back to what stood before the last operation that did not come to its end.

use super::super::files::Texts;
use super::super::instance::{Instance, Task, Then};
use super::super::{
    Session, error::CommandError, exit, instance, preflight, state_folder, unfinished,
};
use super::resume;
use crate::applied;
use crate::applied::Applied;
use crate::compose::load::File;
use crate::journal::{self, Outcome, Unfinished};
use crate::rollback;
use crate::rollback::Downgrade;
use crate::settings;

/// Go back to what stood before an operation that failed or was killed
///
/// Containers that are new go, those that stood are made again from what was last applied, and run
/// or not as before. Data and config/ are left as they are. Refused where an older release or an older
/// mongo would be started on data that a newer one has used.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  toolkit rollback --dry-run\n  toolkit rollback")]
pub struct Args {
    /// Start older images on data that newer ones have used; it may not open, or be damaged
    #[arg(long)]
    accept_downgrade: bool,
}

/// Rolls back.
///
/// # Errors
/// What stood before is not known, or it cannot be brought back.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "rollback").await?;
    let state = state_folder(&root);
    let Some(found) = journal::unsettled(&state)? else {
        return Ok(resume::nothing(session, "rollback"));
    };
    unfinished::unfinished_gate(session, &root, "rollback")?;
    unfinished::same_engine(session, &root, &found)?;
    let before = &found.operation.before;
    let instance = previous(session, &root, &found)?;
    let engine = instance::engine(session, &root).await?;
    unfinished::stops(session, &root, &engine).await?;
    let observed = instance::observe(&engine, &instance).await?;
    preflight::ours(&instance, &observed)?;
    let plan = rollback::plan(&instance.deployment, &observed, before);
    if instance::shown_only(session, &instance, &plan) {
        return Ok(exit::DONE);
    }
    upgraded(
        args,
        session,
        &rollback::downgrades(&instance.deployment, &observed, before),
    )?;
    let running = rollback::running(&instance.deployment, before);
    let then = match running.is_empty() {
        true => Then::Return,
        false => Then::AwaitReady(&running),
    };
    let task = Task {
        then,
        ..Task::new("rollback", &plan, &observed)
    };
    let done = instance::carry_out(session, &instance, &engine, task).await;
    done.map_err(failed)?;
    journal::settle(&state, Outcome::RolledBack)?;
    instance::conclude(
        session,
        &instance,
        "rollback",
        &plan,
        "rolled back; config/ is as it was, and `toolkit plan` shows what it would change",
    );
    Ok(exit::DONE)
}

/// Refuses older images on newer data, unless that is asked for.
fn upgraded(args: &Args, session: &Session, downgrades: &[Downgrade]) -> Result<(), CommandError> {
    let told = |found: &Downgrade| {
        let Downgrade { service, to, from } = found;
        format!("`{service}` would go back to `{to}`, and `{from}` has used its data")
    };
    if downgrades.is_empty() || args.accept_downgrade {
        for found in downgrades {
            session.ui.warn(&told(found));
        }
        return Ok(());
    }
    let message = "older images would be started on data that newer ones have used";
    let error = CommandError::new("ROLLBACK_DOWNGRADE", exit::NOT_ROLLED_BACK, message);
    let error = downgrades
        .iter()
        .map(told)
        .fold(error, CommandError::because);
    Err(error
        .state("nothing was changed")
        .command("toolkit up")
        .fix("restore a backup that was made before, then `toolkit rollback --accept-downgrade`"))
}

/// The instance as it was last applied, which tells how to make again what stood.
fn previous(
    session: &Session,
    root: &std::path::Path,
    found: &Unfinished,
) -> Result<Instance, CommandError> {
    let applied = applied::load(&state_folder(root))?;
    let Some(applied) = applied else {
        if found.operation.before.is_empty() {
            // Everything goes, so that it does not matter how it was to be.
            return instance::load_at(session, root);
        }
        // Only what did not end can be resumed.
        let again = match found.outcome {
            None => "toolkit resume",
            Some(_) => "toolkit up",
        };
        return Err(CommandError::new(
            "ROLLBACK_UNKNOWN",
            exit::NOT_ROLLED_BACK,
            "what stood before is not known",
        )
        .because("no `toolkit up` has come to its end on this instance yet")
        .state("nothing was changed")
        .fix("bring the configuration back to what it was")
        .command(again));
    };
    let mut instance = match texts(&applied) {
        // Nothing of the present files: what is wrong with them now does not matter for the way back.
        Some(texts) => {
            let text = |name: &str| applied.texts.get(name).cloned();
            let dotenv = text(settings::DOTENV_FILE).unwrap_or_default();
            let files = text(settings::OVERRIDE_FILE).map(|text| File {
                path: root.join(settings::OVERRIDE_FILE),
                text,
                is_literal: false,
            });
            instance::from_all_texts(session, root, &texts, &dotenv, files.into_iter().collect())?
        }
        None => instance::load_at(session, root)?,
    };
    instance.deployment.project = applied.project;
    Ok(instance)
}

fn texts(applied: &Applied) -> Option<Texts> {
    let text = |name: &str| applied.texts.get(name).cloned();
    Some(Texts {
        rc: text(settings::RC_FILE)?,
        variables: text(settings::VARIABLES_FILE)?,
        version: text(settings::VERSION_FILE)?,
    })
}

/// A rollback that does not come to its end needs a person, unless it was stopped on request.
fn failed(mut error: CommandError) -> CommandError {
    if !matches!(error.failure.exit_code, 130 | 143) {
        error.failure.exit_code = exit::NOT_ROLLED_BACK;
        let cause = format!("[{}] while rolling back", error.failure.id);
        error = error.because(cause);
        "ROLLBACK_FAILED".clone_into(&mut error.failure.id);
    }
    error.command("toolkit rollback").command("toolkit up")
}
