//! The history of what has no plan: accounts, the site, images that go.

use std::future::Future;
use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::Context;

use super::{Session, error::CommandError, operation, state_folder};
use crate::history::{self, Record, Step};
use crate::host;
use crate::host::interrupt::Interrupt;
use crate::journal;

/// Does one thing, and keeps in the history who did it, when, and how it ended. `command` is what was
/// typed, without its arguments; `title` says what happens, as a step of a plan does.
///
/// A signal ends it where it is, which is kept as well.
///
/// # Errors
/// Those of the deed, or the history cannot be written: then nothing is done.
pub(super) async fn kept<T>(
    session: &Session,
    root: &Path,
    command: &str,
    title: String,
    deed: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let state = state_folder(root);
    host::create_folder(&state, 0o700)?;
    history::writable(&state)?;
    let (id, begun) = (journal::new_id()?, host::now());
    let interrupt = Interrupt::listen().context("signals cannot be handled")?;
    session.works.store(true, Ordering::Relaxed);
    let done = tokio::select! {
        done = deed => done,
        exit_code = interrupt.asked() => {
            let error = CommandError::new("INTERRUPTED", exit_code, "stopped on request");
            Err(error.state("a part of it may be done, or be going on in the container"))
        }
    };
    session.works.store(false, Ordering::Relaxed);
    let record = Record {
        id,
        command: command.to_owned(),
        steps: vec![Step {
            title,
            cause: String::new(),
        }],
        done: usize::from(done.is_ok()),
        ..operation::ended(session, begun, done.as_ref().err())
    };
    // What was done has an answer that may be had only once, such as the link of a new account.
    if let Err(error) = history::record(&state, &record) {
        session.ui.warn(&format!("the history lacks this: {error}"));
    }
    done
}
