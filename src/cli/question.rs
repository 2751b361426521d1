//! Questions before something is changed: yes or no, or the name of what is lost.

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
    let answer = ask(format!("{question} [y/N]")).await?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(
            CommandError::new("DECLINED", exit::FAILED, "stopped: the answer was no")
                .state("nothing was changed"),
        ),
    }
}

/// Lets somebody type a name before it is lost what has that name. `given` is what a flag says in the
/// place of the answer; `--yes` does not answer this.
///
/// # Errors
/// Something else is said or typed, or nobody can be asked.
pub async fn type_out(
    session: &Session,
    question: &str,
    expected: &str,
    (flag, given): (&str, Option<&str>),
) -> Result<(), CommandError> {
    let (said, id) = match given {
        Some(given) => (given.to_owned(), exit::USAGE),
        None if session.no_input => {
            let error = CommandError::new("NO_ANSWER", exit::USAGE, "a question was not answered");
            return Err(error
                .because(format!("{question}, and nobody can be asked"))
                .state("nothing was changed")
                .fix(format!("if it is meant so: {flag} {expected}")));
        }
        None => (
            ask(format!("{question}; type `{expected}`")).await?,
            exit::FAILED,
        ),
    };
    if said.trim().eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let error = CommandError::new(
        "DECLINED",
        id,
        "stopped: that is not what was to be confirmed",
    );
    Err(error
        .because(format!("`{}` is not `{expected}`", said.trim()))
        .state("nothing was changed"))
}

async fn ask(prompt: String) -> Result<String, CommandError> {
    // On a thread of its own, so that a signal is heard while the question stands.
    let asked = tokio::task::spawn_blocking(move || {
        // A text and not a yes-or-no prompt: that one hides the cursor, and Ctrl-C would leave it so.
        dialoguer::Input::<String>::new()
            .with_prompt(prompt)
            .allow_empty(true)
            .interact_text()
    });
    let answer = asked.await.context("the question was not asked")?;
    answer.map_err(unanswered)
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
