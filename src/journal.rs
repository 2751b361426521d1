//! The journal of the operation that is going on: what it intends and what is done, each on the
//! disk before the work goes on.
//!
//! `.toolkit/journal` holds one operation. It is there from before the first change until the
//! operation has ended in order, well or not; then it becomes `.toolkit/journal.last`. A run that
//! finds one knows that an earlier run was killed. Knows nothing of plans or the engine.
//!
//! A debug build can be killed at any record, see [`Journal::die_at`]: tests of what a kill leaves
//! then meet each of them, instead of those that a poll of the file happens to see.

mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use crate::host;
use crate::host::HostError;
use crate::host::durable;
use crate::host::durable::AppendFile;
use file::Record;

pub use file::{Existing, Held, Operation, Outcome, Stop};

/// The version of the format that this program writes and the newest that it reads.
pub const FORMAT: u64 = 2;

/// Characters of the random part of an identifier.
const RANDOM: usize = 6;

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A newer program wrote it.
    #[error("`{}` has the format {found}, and this program reads up to {FORMAT}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// A whole line of it is no record.
    #[error("line {line} of `{}` is not a record", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// What becomes of a step, which is counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It is about to change something; a stop, if that is what it does.
    Intent(usize, Option<Stop>),
    /// It is done.
    Done(usize),
    /// It failed; the text says why, without secrets.
    Failed(usize, String),
}

/// An operation that an earlier run did not end.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfinished {
    /// What it is.
    pub operation: Operation,
    /// Steps that were begun and not known to be done, from 0 and in the order of their beginning.
    pub begun: Vec<usize>,
    /// Steps that are done.
    pub done: Vec<usize>,
    /// Stops that were asked for and not known to be over, with the time, RFC 3339 in UTC.
    pub stopping: Vec<(Stop, String)>,
    /// How it ended, `None` when it was killed.
    pub outcome: Option<Outcome>,
}

impl Unfinished {
    /// Whether it came to its end and nothing is left to be done.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Done | Outcome::RolledBack))
    }

    /// See [`left_behind()`].
    #[must_use]
    pub fn left_behind(self) -> Vec<Held> {
        let is_settled = self.is_settled();
        let is_down = self.operation.command == "down";
        let mut held = self.operation.volumes;
        held.retain(|held| !is_settled || (held.is_gone && !is_down));
        held
    }
}

/// A new identifier of an operation: the time, so that identifiers sort, and something random.
///
/// # Errors
/// The system gives no random numbers.
pub fn new_id() -> Result<String, HostError> {
    let time = stamp().replace(['-', ':'], "");
    let random: String = host::new_secret()?.chars().take(RANDOM).collect();
    Ok(format!("{time}-{random}"))
}

fn stamp() -> String {
    host::stamp(host::now())
}

fn current(state: &Path) -> PathBuf {
    state.join("journal")
}

fn previous(state: &Path) -> PathBuf {
    state.join("journal.last")
}

/// The journal of the running operation. Its calls may come from several tasks at once.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<AppendFile>,
    state: PathBuf,
    /// How many steps there are.
    steps: usize,
    /// The first of those that are counted now.
    first: usize,
    /// How many records are left until the process is killed.
    #[cfg(debug_assertions)]
    left: AtomicUsize,
}

impl Journal {
    /// Begins an operation. The state folder exists and its lock is held. Where an unfinished
    /// operation is there, the new one takes its place and inherits what stood before it; so it does
    /// after one that failed on the same engine, because what stands now may be half of something.
    ///
    /// # Errors
    /// It cannot be written; nothing may be changed then.
    pub fn begin(state: &Path, operation: &Operation) -> Result<Self, JournalError> {
        let mut operation = operation.clone();
        if let Some(earlier) = unfinished(state)? {
            operation.before = earlier.operation.before;
            operation.follows = Some(earlier.operation.id);
        } else if let Some(earlier) = last_failed(state).ok().flatten()
            && endpoint(&earlier.operation) == endpoint(&operation)
        {
            operation.before = earlier.operation.before;
        }
        let steps = operation.steps.len();
        let first = Record::Begin {
            format: FORMAT,
            operation,
        };
        let file = AppendFile::create(&current(state), &first.line())?;
        Ok(Self {
            file: Mutex::new(file),
            state: state.to_path_buf(),
            steps,
            first: 0,
            #[cfg(debug_assertions)]
            left: AtomicUsize::new(usize::MAX),
        })
    }

    /// Lets the process be killed as soon as so many records are on the disk, the beginning of the
    /// operation included. A test aid that only debug builds have; the command line takes the number
    /// from the environment.
    #[cfg(debug_assertions)]
    pub fn die_at(&self, record: usize) {
        self.left.store(record, Ordering::Relaxed);
        // The beginning is there already.
        self.count();
    }

    #[cfg(debug_assertions)]
    fn count(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            host::identity::kill_itself();
        }
    }

    /// Writes records down, all in one go: the disk is waited for once.
    fn add(&self, records: &[Record]) -> Result<(), HostError> {
        let lines: Vec<String> = records.iter().map(Record::line).collect();
        // The file is right after a panic elsewhere: lines are added whole or not at all.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(debug_assertions)]
        if self.left.load(Ordering::Relaxed) <= lines.len() {
            // The process dies behind one of them.
            for line in &lines {
                file.append(line)?;
                self.count();
            }
        }
        file.append(&lines.join("\n"))?;
        #[cfg(debug_assertions)]
        lines.iter().for_each(|_| self.count());
        Ok(())
    }

    /// Adds steps that could only be planned after those so far. From here on steps are counted from
    /// the first of these.
    ///
    /// # Errors
    /// It cannot be written; none of them may be carried out then.
    pub fn extend(&mut self, steps: &[String]) -> Result<(), HostError> {
        if !steps.is_empty() {
            let (steps, at) = (steps.to_vec(), stamp());
            self.add(&[Record::Extend { steps, at }])?;
        }
        self.first = self.steps;
        self.steps += steps.len();
        Ok(())
    }

    /// Writes down what becomes of steps.
    ///
    /// # Errors
    /// It cannot be written: those that were to begin may not be carried out, and those that are done
    /// count as not done.
    pub fn note(&self, notes: &[Note]) -> Result<(), HostError> {
        if notes.is_empty() {
            return Ok(());
        }
        let at = stamp();
        let record = |note: &Note| {
            let at = at.clone();
            match note {
                Note::Intent(step, stop) => Record::Intent {
                    step: self.first + step,
                    at,
                    stop: stop.clone(),
                },
                Note::Done(step) => Record::Done {
                    step: self.first + step,
                    at,
                },
                Note::Failed(step, text) => Record::Failed {
                    step: self.first + step,
                    at,
                    text: text.clone(),
                },
            }
        };
        self.add(&notes.iter().map(record).collect::<Vec<Record>>())
    }

    /// Ends the operation in order, well or not.
    ///
    /// # Errors
    /// It cannot be written; the operation then counts as unfinished.
    pub fn close(self, outcome: Outcome) -> Result<(), HostError> {
        let at = stamp();
        self.add(&[Record::Close { outcome, at }])?;
        durable::rename(&current(&self.state), &previous(&self.state))
    }
}

/// The operation that an earlier run did not end, if there is one. With the lock held, it is not
/// one that is still going on.
///
/// # Errors
/// The journal cannot be read, is damaged, or a newer program wrote it.
pub fn unfinished(state: &Path) -> Result<Option<Unfinished>, JournalError> {
    let found = read(&current(state))?;
    Ok(found.filter(|found| found.outcome.is_none()))
}

/// Where an operation has its engine, in the words of its request; `None` where an older program
/// did not write it.
#[must_use]
pub fn endpoint(operation: &Operation) -> Option<&str> {
    operation.request.get("endpoint")?.as_str()
}

/// The last operation that ended in order and not well, if nothing came after it.
///
/// # Errors
/// As for [`left_behind`].
pub fn last_failed(state: &Path) -> Result<Option<Unfinished>, JournalError> {
    let found = last(state)?;
    Ok(found.filter(|found| found.outcome.is_some() && !found.is_settled()))
}

/// The last operation, unless it came to its end: one that an earlier run did not end, or that failed.
///
/// # Errors
/// As for [`unfinished`].
pub fn unsettled(state: &Path) -> Result<Option<Unfinished>, JournalError> {
    match unfinished(state)? {
        Some(found) => Ok(Some(found)),
        None => last_failed(state),
    }
}

/// The anonymous volumes that the last operation took from containers and may not have given to new
/// ones. One that came to its end has left none but those that were left before it began; a `down`
/// leaves none on purpose.
///
/// # Errors
/// As for [`unfinished`]; a journal of an operation that ended is as good as none if it is not one
/// that this program reads.
pub fn left_behind(state: &Path) -> Result<Vec<Held>, JournalError> {
    Ok(last(state)?
        .map(Unfinished::left_behind)
        .unwrap_or_default())
}

/// The last operation, whether it has ended or not. Of one that is done, only its beginning and its end
/// are read.
///
/// # Errors
/// As for [`left_behind`].
pub fn last(state: &Path) -> Result<Option<Unfinished>, JournalError> {
    if let Some(current) = read(&current(state))? {
        return Ok(Some(current));
    }
    match read_previous(&previous(state)) {
        Err(JournalError::Newer { .. } | JournalError::Damaged { .. }) => Ok(None),
        other => other,
    }
}

/// Closes the journal of an operation that is known to be settled, such as by a rollback that had
/// nothing to do.
///
/// # Errors
/// The file cannot be moved.
pub fn settle(state: &Path, outcome: Outcome) -> Result<(), JournalError> {
    let path = current(state);
    if !host::exists(&path) {
        return Ok(());
    }
    let mut file = AppendFile::open(&path)?;
    let at = stamp();
    file.append(&Record::Close { outcome, at }.line())?;
    Ok(durable::rename(&path, &previous(state))?)
}

fn read(path: &Path) -> Result<Option<Unfinished>, JournalError> {
    match durable::whole_lines(path)? {
        Some(lines) => of_lines(path, &lines),
        None => Ok(None),
    }
}

/// As [`read()`], for the journal of an operation that has ended.
fn read_previous(path: &Path) -> Result<Option<Unfinished>, JournalError> {
    let Some(mut lines) = durable::whole_lines(path)? else {
        return Ok(None);
    };
    let end = lines.last().and_then(|line| Record::read(line).ok());
    if let Some(Record::Close { outcome, .. }) = end
        && outcome == Outcome::Done
    {
        let last = lines.len() - 1;
        lines.drain(1..last.max(1));
    }
    of_lines(path, &lines)
}

fn of_lines(path: &Path, lines: &[String]) -> Result<Option<Unfinished>, JournalError> {
    let mut found: Option<Unfinished> = None;
    let mut stopping: BTreeMap<usize, (Stop, String)> = BTreeMap::new();
    for (at, text) in lines.iter().enumerate() {
        let damaged = || JournalError::Damaged {
            path: path.to_path_buf(),
            line: at + 1,
        };
        let record = Record::read(text).map_err(|newer| match newer {
            Some(found) => JournalError::Newer {
                path: path.to_path_buf(),
                found,
            },
            None => damaged(),
        })?;
        match (record, &mut found) {
            (Record::Begin { operation, .. }, None) => {
                found = Some(Unfinished {
                    operation,
                    begun: Vec::new(),
                    done: Vec::new(),
                    stopping: Vec::new(),
                    outcome: None,
                });
            }
            (Record::Extend { steps, .. }, Some(found)) => found.operation.steps.extend(steps),
            (Record::Intent { step, at, stop }, Some(found)) => {
                found.begun.push(step);
                stopping.extend(stop.map(|stop| (step, (stop, at))));
            }
            (Record::Done { step, .. }, Some(found)) => {
                found.begun.retain(|begun| *begun != step);
                found.done.push(step);
                stopping.remove(&step);
            }
            (Record::Failed { step, .. }, Some(_)) => {
                stopping.remove(&step);
            }
            (Record::Close { outcome, .. }, Some(found)) => found.outcome = Some(outcome),
            _ => return Err(damaged()),
        }
    }
    if let Some(found) = &mut found {
        found.stopping = stopping.into_values().collect();
    }
    Ok(found)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests look at the world directly"
)]
mod tests;
