//! An operation from its first to its last word: the journal while it goes on, the record of what
//! was applied, and the history when it is over.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::instance::{self, Instance, Task};
use super::{Session, error::CommandError, exit, state_folder, unfinished};
use crate::applied::{self, Applied, AppliedError};
use crate::check;
use crate::engine::Engine;
use crate::engine::stock::Stock;
use crate::history::{self, Change, HistoryError, Ignored, Record, Step, Who};
use crate::host;
use crate::journal::{self, Existing, Held, Journal, Operation, Outcome, Unfinished};
use crate::observed::{Container, Observed};
use crate::plan::Plan;
use crate::settings::assignments::Dialect;
use crate::settings::disclosure::{self, Masker};
use crate::settings::{RC_FILE, VARIABLES_FILE};
use crate::ui;

/// A test aid of debug builds: the process is killed as soon as its journal holds so many records.
#[cfg(debug_assertions)]
const DIE_AT_RECORD: &str = "TOOLKIT_DIE_AT_RECORD";

/// How much of the deployment an operation makes true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// All of it: when it ends well, the project counts as applied.
    Whole,
    /// Some services, or nothing of it, as `stop` does.
    Part,
}

/// An operation that is going on.
#[derive(Debug)]
pub struct Running {
    /// The journal; `None` when there is nothing to do.
    pub journal: Option<Journal>,
    /// What is going on.
    pub operation: Operation,
    state: PathBuf,
    steps: Vec<Step>,
    changes: Vec<Change>,
    begun: time::OffsetDateTime,
    /// What is applied when it ends well: files that are edited meanwhile are not. `None` of an operation
    /// that makes a part of the deployment true.
    intended: Option<Result<Applied, CommandError>>,
}

/// Begins an operation that carries a task out, before its first change and with the lock held.
///
/// # Errors
/// The journal cannot be written; nothing may be changed then.
pub fn begin(
    session: &Session,
    instance: &Instance,
    task: &Task<'_>,
) -> Result<Running, CommandError> {
    let (plan, existing) = (task.plan, &task.observed.containers);
    let state = state_folder(&instance.root);
    let before = existing.iter().map(|found| Existing {
        service: found.service.clone(),
        container: found.name.clone(),
        running: found.state.may_run(),
    });
    let steps = steps_of(plan);
    let last = journal::last(&state)?;
    // One that finds nothing to do ends what failed before: it stands as it should.
    let is_needed = !plan.is_empty() || last.as_ref().is_some_and(|last| !last.is_settled());
    let left_behind = last.map(Unfinished::left_behind).unwrap_or_default();
    let operation = Operation {
        id: journal::new_id()?,
        command: task.command.to_owned(),
        request: unfinished::request(session, &instance.root)?,
        steps: titles(&steps),
        before: before.collect(),
        started: host::stamp(host::now()),
        follows: None,
        volumes: held(left_behind, existing),
    };
    let by = is_needed.then_some(&*operation.id);
    let intended = (task.applies == Applies::Whole).then(|| {
        let intended = applied::of(&instance.deployment.project, &instance.root, by);
        intended.map_err(CommandError::from)
    });
    let (journal, changes) = match is_needed {
        true => {
            let changes = changes(&state, &instance.root)?;
            let journal = Journal::begin(&state, &operation)?;
            #[cfg(debug_assertions)]
            if let Some(text) = super::environment(DIE_AT_RECORD) {
                journal.die_at(text.parse().unwrap_or_default());
            }
            (Some(journal), changes)
        }
        false => (None, Vec::new()),
    };
    if let (Some(told), true) = (session.told.get(), is_needed) {
        told.operation(&operation.id)?;
    }
    Ok(Running {
        journal,
        operation,
        state,
        steps,
        changes,
        begun: host::now(),
        intended,
    })
}

fn steps_of(plan: &Plan) -> Vec<Step> {
    let steps = plan.steps.iter().map(|step| Step {
        title: step.action.to_string(),
        cause: step.cause.clone(),
    });
    steps.collect()
}

fn titles(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| step.title.clone()).collect()
}

/// The anonymous volumes of the containers there are, and those left behind of others.
fn held(left_behind: Vec<Held>, existing: &[Container]) -> Vec<Held> {
    let left = left_behind.into_iter().map(|held| Held {
        is_gone: true,
        ..held
    });
    let is_there = |held: &Held| {
        let mut existing = existing.iter();
        existing.any(|found| (&found.service, found.number()) == (&held.service, held.number))
    };
    let present = existing.iter().filter(|found| !found.anonymous.is_empty());
    let present = present.map(|found| Held {
        service: found.service.clone(),
        number: found.number(),
        is_gone: false,
        volumes: found.anonymous.clone(),
    });
    left.filter(|held| !is_there(held)).chain(present).collect()
}

impl Running {
    /// Adds the steps of a plan that could only be made after what is done so far. They come next.
    ///
    /// # Errors
    /// The journal cannot be written; nothing more may be changed then.
    pub fn extend(&mut self, plan: &Plan) -> Result<(), CommandError> {
        let steps = steps_of(plan);
        if let Some(journal) = &mut self.journal {
            journal.extend(&titles(&steps))?;
        }
        self.steps.extend(steps);
        Ok(())
    }

    /// Ends an operation: keeps what was applied, writes the history, which is left alone where
    /// nothing was to do and nothing went wrong, and closes the journal.
    ///
    /// # Errors
    /// That of the operation, or a file of the state folder cannot be written.
    pub fn finish<T>(
        self,
        session: &Session,
        ignored: &[check::Ignored],
        result: Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let error = result.as_ref().err();
        let kept = self.keep_all(session, ignored, error);
        match (result, kept) {
            (Err(error), Err(other)) => Err(error.because(other.failure.message.clone())),
            (Err(error), Ok(())) => Err(error),
            (Ok(given), kept) => kept.map(|()| given),
        }
    }

    fn keep_all(
        mut self,
        session: &Session,
        ignored: &[check::Ignored],
        error: Option<&CommandError>,
    ) -> Result<(), CommandError> {
        let outcome = outcome(error);
        let is_quiet = self.journal.is_none() && error.is_none();
        // What cannot be kept is an error, but the operation is over: what comes after is written
        // all the same, or each later command would take it for one that was killed.
        let kept = match outcome {
            Outcome::Done => self.keep(),
            _ => Ok(()),
        };
        let written = if is_quiet {
            Ok(())
        } else {
            let mut record = self.record(session, error);
            let ignored = ignored.iter().map(|passed| Ignored {
                check: passed.id.clone(),
                reason: passed.reason.clone(),
            });
            record.ignored = ignored.collect();
            history::record(&self.state, &record).map_err(CommandError::from)
        };
        // Last, so that whatever a crash leaves undone before is found.
        let closed = match self.journal.take() {
            Some(journal) => journal.close(outcome).map_err(CommandError::from),
            None => Ok(()),
        };
        kept.and(written).and(closed)
    }

    /// Keeps the project as applied, if all of it is, unless it is what is kept already.
    fn keep(&mut self) -> Result<(), CommandError> {
        let now = match &mut self.intended {
            None => return Ok(()),
            Some(Ok(now)) => now,
            Some(Err(error)) => return Err(error.clone()),
        };
        now.at = host::stamp(host::now());
        if self.journal.is_some() || !applied::is_kept(&self.state, now) {
            applied::save(&self.state, now)?;
        }
        Ok(())
    }

    fn record(&self, session: &Session, error: Option<&CommandError>) -> Record {
        let done = match &self.journal {
            Some(_) => journal::unfinished(&self.state).ok().flatten(),
            None => None,
        };
        Record {
            id: self.operation.id.clone(),
            command: self.operation.command.clone(),
            started: self.operation.started.clone(),
            steps: self.steps.clone(),
            done: done.map_or(0, |found| found.done.len()),
            changes: self.changes.clone(),
            ..ended(session, self.begun, error)
        }
    }
}

fn outcome(error: Option<&CommandError>) -> Outcome {
    match error.map(|error| error.failure.exit_code) {
        None => Outcome::Done,
        Some(130 | 143) => Outcome::Interrupted,
        Some(_) => Outcome::Failed,
    }
}

/// A record of what this run has just ended, with what does not depend on what it was: who, how long,
/// and how it ended.
pub(super) fn ended(
    session: &Session,
    begun: time::OffsetDateTime,
    error: Option<&CommandError>,
) -> Record {
    let failure = error.map(|error| &error.failure);
    let elapsed = host::now() - begun;
    Record {
        command_line: session.command_line(),
        by: who(),
        started: host::stamp(begun),
        duration_ms: u64::try_from(elapsed.whole_milliseconds()).ok(),
        result: match outcome(error) {
            Outcome::Done | Outcome::RolledBack => "done",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        }
        .to_owned(),
        error: failure.map(|failure| format!("{}: {}", failure.id, failure.message)),
        exit_code: Some(failure.map_or(exit::DONE, |failure| failure.exit_code)),
        toolkit: env!("CARGO_PKG_VERSION").to_owned(),
        ..Record::default()
    }
}

/// Begins an operation by looking for newer images under the same names: only then it is known what
/// follows from them. Gives the operation with what is there now.
///
/// # Errors
/// An image cannot be pulled, or the operator stops the work; the operation has then ended.
pub async fn pull_newer(
    session: &Session,
    instance: &Instance,
    engine: &impl Stock,
    task: Task<'_>,
) -> Result<(Running, Observed), CommandError> {
    let running = begin(session, instance, &task)?;
    let journal = running.journal.as_ref();
    let outcome = instance::work(session, instance, engine, task, journal).await;
    // Until the next work begins, Ctrl-C ends the command at once again.
    session.works.store(false, Ordering::Relaxed);
    let observed = match outcome {
        Ok(_) => instance::observe(engine, instance).await,
        Err(error) => Err(error),
    };
    let error = match observed {
        Ok(observed) => return Ok((running, observed)),
        Err(error) => error,
    };
    let ended: Result<(), _> = running.finish(session, task.ignored, Err(error.clone()));
    Err(ended.err().unwrap_or(error))
}

/// Carries out a plan of transfers alone. Images that have come are used by the next plan, so that
/// nothing is left to clear up, and nothing is journalled.
///
/// # Errors
/// An image cannot be had, or the operator stops the work.
pub async fn transfer(
    session: &Session,
    instance: &Instance,
    engine: &impl Engine,
    plan: &Plan,
    observed: &Observed,
) -> Result<(), CommandError> {
    let task = Task::new("pull", plan, observed);
    let outcome = instance::work(session, instance, engine, task, None).await;
    // Until the next work begins, Ctrl-C ends the command at once again.
    session.works.store(false, Ordering::Relaxed);
    outcome.map(|_| ())
}

/// Carries a plan out as the rest of an operation that has begun, which told how much it applies; gives
/// what [`instance::carry_out`] gives.
///
/// # Errors
/// As for [`instance::carry_out`].
pub async fn carry_on(
    session: &Session,
    instance: &Instance,
    engine: &impl Engine,
    task: Task<'_>,
    mut running: Running,
) -> Result<Vec<String>, CommandError> {
    let outcome = match running.extend(task.plan) {
        Ok(()) => {
            let journal = running.journal.as_ref();
            instance::work(session, instance, engine, task, journal).await
        }
        Err(error) => Err(error),
    };
    running.finish(session, task.ignored, outcome)
}

/// Keeps in the history that an operation was found which its run did not end; once.
///
/// # Errors
/// The history cannot be written.
pub(super) fn record_killed(
    session: &Session,
    root: &Path,
    found: &Unfinished,
) -> Result<(), CommandError> {
    let state = state_folder(root);
    let operation = &found.operation;
    match history::read(&state) {
        Ok(known) if known.iter().any(|record| record.id == operation.id) => return Ok(()),
        Ok(_) => {}
        Err(error) => {
            // What is broken was broken before; the work goes on, and `history` says where. Whether
            // the record is there already cannot be known, so that none is added.
            session.ui.warn(&error.to_string());
            return Ok(());
        }
    }
    let steps = operation.steps.iter().map(|title| Step {
        title: title.clone(),
        cause: String::new(),
    });
    let record = Record {
        id: operation.id.clone(),
        command: operation.command.clone(),
        command_line: unfinished::typed(&operation.request),
        by: Who {
            user: String::new(),
            sudo_user: None,
            machine: host::identity::machine(),
        },
        started: operation.started.clone(),
        steps: steps.collect(),
        done: found.done.len(),
        result: "killed".to_owned(),
        toolkit: env!("CARGO_PKG_VERSION").to_owned(),
        ..Record::default()
    };
    Ok(history::record(&state, &record)?)
}

/// Who runs this program.
#[must_use]
pub fn who() -> Who {
    Who {
        user: host::identity::user(),
        sudo_user: super::environment("SUDO_USER").filter(|name| !name.is_empty()),
        machine: host::identity::machine(),
    }
}

/// What changed in the configuration since it was last applied, without secrets.
///
/// # Errors
/// A file of the configuration cannot be read.
pub fn changes(state: &Path, root: &Path) -> Result<Vec<Change>, CommandError> {
    let Ok(Some(before)) = applied::kept_texts(state) else {
        // There is nothing to compare with, or nothing that this program can read.
        return Ok(Vec::new());
    };
    let after = applied::texts(root)?;
    let masker = disclosure::carried();
    let empty = String::new();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let mut changes = Vec::new();
    for file in names {
        let old = before.get(file).unwrap_or(&empty);
        let new = after.get(file).unwrap_or(&empty);
        if old != new {
            let diff = shown_difference(masker, file, old, new);
            let file = file.clone();
            changes.push(Change { file, diff });
        }
    }
    Ok(changes)
}

/// The difference between two texts of a file of the configuration. The definitions of an override
/// file may hold a secret anywhere; their keys say enough.
fn shown_difference(masker: &Masker, file: &str, old: &str, new: &str) -> String {
    let (old, new) = match file {
        RC_FILE => masker.texts(old, new, Dialect::Shell),
        VARIABLES_FILE => masker.texts(old, new, Dialect::EnvFile),
        _ if file.ends_with("version") => (old.to_owned(), new.to_owned()),
        _ if file.ends_with(".env") => masker.texts(old, new, Dialect::EnvFile),
        _ => return definitions_changed(file, old, new),
    };
    ui::diff::unified(file, &old, &new)
}

/// The changed lines of definitions, each cut behind its key.
fn definitions_changed(file: &str, old: &str, new: &str) -> String {
    let diff = ui::diff::unified(file, old, new);
    let lines = diff.lines().map(|line| {
        let is_head = ["--- ", "+++ ", "@@"]
            .iter()
            .any(|mark| line.starts_with(mark));
        match is_head {
            true => format!("{line}\n"),
            false => {
                let (mark, text) = line.split_at_checked(1).unwrap_or(("", line));
                format!("{mark}{}\n", super::files::masked(text))
            }
        }
    });
    lines.collect()
}

impl From<AppliedError> for CommandError {
    fn from(error: AppliedError) -> Self {
        match error {
            AppliedError::Host(error) => error.into(),
            AppliedError::Unreadable { .. } | AppliedError::Project { .. } => {
                Self::new("APPLIED_UNREADABLE", exit::FAILED, error.to_string())
                    .because("it was changed, or a newer toolkit wrote it")
                    .fix("run the newer toolkit, or `toolkit up`, which writes it anew")
            }
        }
    }
}

impl From<HistoryError> for CommandError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Host(error) => error.into(),
            HistoryError::Newer { .. } => {
                Self::new("HISTORY_FORMAT", exit::FAILED, error.to_string())
                    .fix("read it with the newer toolkit")
            }
            HistoryError::Broken {
                ref path, ref id, ..
            } => {
                let found = Self::new("HISTORY_BROKEN", exit::INTEGRITY, error.to_string());
                let found = match id {
                    Some(id) => found.because(format!("its identifier is {id}")),
                    None => found,
                };
                found
                    .state("the instance itself is not concerned")
                    .fix(format!(
                        "compare `{}` with a backup; move it away to begin a new history",
                        path.display()
                    ))
            }
        }
    }
}
