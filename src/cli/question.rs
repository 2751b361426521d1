//! Ordinary questions: yes or no, before something is changed.

use std::io::ErrorKind;

use anyhow::Context as _;

use super::{Session, error::CommandError, exit};

/// Asks whether to go on. `--yes` answers it; where nobody can be asked, it is an error.
///
/// # Errors
/// The answer is no, or nobody can be asked.
pub async fn confirm(session: &Session, question: &str) -> Result<(), CommandError> {
    if session.yes {
        return Ok(());
    }
    if session.no_input {
        let error = CommandError::new("NO_ANSWER", exit::USAGE, "a question was not answered");
        return Err(error
            .because(format!(
                "`{question}` needs an answer, and nobody can be asked"
            ))
            .state("nothing was changed")
            .fix("look at the changes above, then run the command again with --yes"));
    }
    let prompt = format!("{question} [y/N]");
    // On a thread of its own, so that a signal is heard while the question stands.
    let asked = tokio::task::spawn_blocking(move || {
        // A text and not a yes-or-no prompt: that one hides the cursor, and Ctrl-C would leave it so.
        dialoguer::Input::<String>::new()
            .with_prompt(prompt)
            .allow_empty(true)
            .interact_text()
    });
    let answer = asked.await.context("the question was not asked")?;
    match answer.map_err(unanswered)?.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(
            CommandError::new("DECLINED", exit::FAILED, "stopped: the answer was no")
                .state("nothing was changed"),
        ),
    }
}

/// A question that was left without an answer.
#[must_use]
pub fn unanswered(error: dialoguer::Error) -> CommandError {
    let dialoguer::Error::IO(cause) = error;
    if cause.kind() == ErrorKind::Interrupted {
        return CommandError::new("INTERRUPTED", 130, "stopped on request")
            .state("nothing was changed");
    }
    CommandError::new("NO_ANSWER", exit::USAGE, "a question was not answered")
        .because(cause.to_string())
        .state("nothing was changed")
}
