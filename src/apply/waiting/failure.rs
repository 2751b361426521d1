//! A service that does not do what it should, with all that is known about it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::history::History;
use crate::apply::{KILLED, StepError, Work};
use crate::diagnosis::{self, Diagnosis, Symptom};
use crate::engine::Engine;
use crate::observed::Container;
use crate::observed::lack::Phase;

/// Lines of a failed service's log that are read.
const LOG_LINES: usize = 200;

/// A service that does not do what it should.
#[derive(Debug, Error)]
pub struct ServiceFailure {
    /// The service.
    pub service: String,
    /// Its container.
    pub container: String,
    /// What happened.
    pub kind: FailureKind,
    /// The lines of its log that tell most, without credentials.
    pub log: Vec<String>,
    /// What that means, if it is known.
    pub diagnosis: Option<Diagnosis>,
}

/// What happened to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureKind {
    /// Its container does not exist any more.
    Gone,
    /// Its container ended.
    Exited {
        /// Exit code.
        exit_code: i64,
    },
    /// Its container ends and is started over and over.
    Looping {
        /// Exit code of the first run that failed, where it was seen.
        exit_code: Option<i64>,
        /// How often it was started again.
        restarts: u64,
    },
    /// Its health check fails.
    Unhealthy,
    /// Others wait for its health, and it has no health check.
    NoHealthCheck,
    /// It was not ready in time.
    NotInTime {
        /// The phase in which it stayed.
        phase: Phase,
        /// What was missing at the end.
        because: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl fmt::Display for ServiceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = &self.service;
        match &self.kind {
            FailureKind::Gone => write!(f, "the container of `{service}` is gone"),
            FailureKind::Exited { exit_code } => {
                write!(
                    f,
                    "`{service}` ended with exit code {}",
                    diagnosis::decode(*exit_code)
                )
            }
            FailureKind::Looping {
                exit_code,
                restarts,
            } => {
                let code = exit_code.map(|code| format!("exit code {}, ", diagnosis::decode(code)));
                let code = code.unwrap_or_default();
                write!(
                    f,
                    "`{service}` ends again and again: {code}{restarts} restarts"
                )
            }
            FailureKind::NoHealthCheck => write!(
                f,
                "`{service}` has no health check, and others wait for its health"
            ),
            FailureKind::Unhealthy => write!(f, "the health check of `{service}` fails"),
            FailureKind::NotInTime { waited, phase, .. } => {
                let seconds = waited.as_secs();
                let stuck = match phase {
                    Phase::Start => "its container does not run",
                    Phase::Health => "its health check does not succeed",
                    Phase::Answer => "it does not answer as it should",
                    Phase::Configuration => "it does not run as configured",
                    Phase::End => "it has not ended",
                };
                write!(f, "`{service}` is not ready after {seconds} s: {stuck}")
            }
        }
    }
}

/// Puts together what is known.
pub(super) async fn of<E: Engine>(
    work: &Work<'_, E>,
    service: &str,
    name: &str,
    container: Option<&Container>,
    history: &History,
    kind: FailureKind,
) -> StepError {
    // The failure matters more than a log that cannot be read.
    let log = work.engine.log_tail(name, LOG_LINES).await;
    let log = log.unwrap_or_default();
    let was_out_of_memory = history.was_out_of_memory(container);
    let exit_code = match &kind {
        _ if was_out_of_memory => Some(KILLED),
        FailureKind::Exited { exit_code } => Some(*exit_code),
        FailureKind::Looping { exit_code, .. } => *exit_code,
        // A container that died once and did not come up is explained by its death.
        FailureKind::Gone
        | FailureKind::Unhealthy
        | FailureKind::NoHealthCheck
        | FailureKind::NotInTime { .. } => history.exit_code(),
    };
    let facts = work.engine.facts().await.unwrap_or_default();
    let diagnosis = diagnosis::find(&Symptom {
        service,
        exit_code,
        log: &log,
        image: container
            .map(|found| found.image.as_str())
            .unwrap_or_default(),
        kernel: &facts.kernel,
        out_of_memory: Some(was_out_of_memory),
    });
    StepError::Service(Box::new(ServiceFailure {
        service: service.to_owned(),
        container: name.to_owned(),
        kind,
        log: diagnosis::log::telling(&log),
        diagnosis,
    }))
}
