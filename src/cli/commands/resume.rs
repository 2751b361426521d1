//! `toolkit resume`: does again what an operation was asked for that did not come to its end.

use super::super::{Session, error::CommandError, exit, instance, state_folder, unfinished};
use crate::journal;

/// Finish what an earlier run was asked for and did not end
///
/// Does the same command again, from whatever stands: that of a run that was cut off, or of the last one
/// when it failed or was interrupted. When the last one came to its end, nothing is done.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  toolkit resume\n  toolkit resume --dry-run")]
pub struct Args {}

/// Runs the command of the unfinished operation.
///
/// # Errors
/// The journal cannot be read, or the command ends with an error.
pub fn run(_args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let state = state_folder(&root);
    let Some(found) = journal::unsettled(&state)? else {
        return Ok(nothing(session, "resume"));
    };
    unfinished::same_engine(session, &root, &found)?;
    let operation = &found.operation;
    let Some((arguments, folder)) = unfinished::requested(&operation.request) else {
        return Err(not_repeatable(&operation.command));
    };
    let (arguments, folder) = match operation.command.as_str() {
        // It asks for nothing but what the journal says already.
        "rollback" => {
            let mut again = words(&["toolkit", "rollback"]);
            again.extend(arguments.into_iter().filter(|word| word == ACCEPT));
            (again, folder)
        }
        _ => (arguments, folder),
    };
    session.ui.say(&format!("again: {}", arguments.join(" ")));
    super::super::run_again(&arguments, session, &root, folder)
        .unwrap_or_else(|| Err(not_repeatable(&operation.command)))
}

/// The one thing that a rollback asks for.
const ACCEPT: &str = "--accept-downgrade";

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Says that there is no operation to go on with.
pub(super) fn nothing(session: &Session, operation: &str) -> u8 {
    if session.ui.is_json() {
        let data = serde_json::json!({ "changed": false });
        session
            .ui
            .document(&format!("toolkit.{operation}/v1"), &data, &[]);
    } else {
        session
            .ui
            .say("nothing to do: the last operation came to its end");
    }
    exit::DONE
}

fn not_repeatable(command: &str) -> CommandError {
    CommandError::new(
        "NOT_REPEATABLE",
        exit::UNFINISHED,
        format!("`toolkit {command}` cannot be done again"),
    )
    .because("this version does not know what it was asked for")
    .state("nothing was changed")
    .command("toolkit rollback")
    .command("toolkit up")
}
