//! Waits for services, with a deadline, and recognises those that will never be ready: a container
//! that has ended, or that the engine starts again and again.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use super::{StepError, Work};
use crate::compose::Condition;
use crate::diagnosis::{self, Diagnosis};
use crate::engine::Engine;
use crate::event::Event;
use crate::observed::{Container, ContainerState, Health, Readiness};
use crate::probe;

/// Lines of a failed service's log that are shown.
const LOG_LINES: usize = 30;

/// Restarts after which a container counts as one that will never be ready.
const RESTARTS: u64 = 2;

/// Time between two looks: short at first, because most things take a moment only.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// How often a wait is reported.
const REPORT: Duration = Duration::from_secs(1);

/// How long one probe may take.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// A service that does not do what it should.
#[derive(Debug, Error)]
pub struct ServiceFailure {
    /// The service.
    pub service: String,
    /// Its container.
    pub container: String,
    /// What happened.
    pub kind: FailureKind,
    /// The last lines of its log.
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
        /// Exit code of the last run, where it was seen.
        exit_code: Option<i64>,
        /// How often it was started again.
        restarts: u64,
    },
    /// It was not ready in time.
    NotInTime {
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
            FailureKind::NotInTime { waited, .. } => {
                write!(f, "`{service}` is not ready after {} s", waited.as_secs())
            }
        }
    }
}

/// Waits until `look` finds nothing missing any more. `look` is asked while the container runs and
/// says what is missing.
pub(super) async fn until<E: Engine>(
    work: &Work<'_, E>,
    service: &str,
    name: &str,
    mut look: impl AsyncFnMut(&Container) -> Result<Option<String>, StepError>,
) -> Result<(), StepError> {
    let begun = Instant::now();
    let deadline = begun + work.patience;
    let mut reported = begun;
    let mut pause = FIRST_PAUSE;
    let mut history = History::default();
    loop {
        let Some(container) = work.engine.container(name).await? else {
            return Err(failure(work, service, name, None, FailureKind::Gone).await);
        };
        if let Some(kind) = history.hopeless(&container) {
            return Err(failure(work, service, name, Some(&container), kind).await);
        }
        let missing = match container.state {
            ContainerState::Running => tokio::select! {
                missing = look(&container) => missing?,
                () = tokio::time::sleep_until(deadline) => Some("no answer".to_owned()),
                exit_code = work.interrupt.asked() => return Err(StepError::Interrupted(exit_code)),
            },
            _ => Some("its container does not run".to_owned()),
        };
        let Some(because) = missing else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            let waited = begun.elapsed();
            let kind = FailureKind::NotInTime { because, waited };
            return Err(failure(work, service, name, Some(&container), kind).await);
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            // A log that cannot be read is no reason to stop waiting.
            let last = work
                .engine
                .log_tail(name, 1)
                .await
                .unwrap_or_default()
                .pop();
            (work.reporter)(Event::Waiting {
                service: service.to_owned(),
                what: because.clone(),
                elapsed: begun.elapsed(),
                last_log_line: last,
            });
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            exit_code = work.interrupt.asked() => return Err(StepError::Interrupted(exit_code)),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What was seen of a container while it was waited for.
#[derive(Default)]
struct History {
    restarts_before: Option<u64>,
    last_exit_code: Option<i64>,
}

impl History {
    /// Whether waiting makes no sense any more.
    fn hopeless(&mut self, container: &Container) -> Option<FailureKind> {
        let before = *self.restarts_before.get_or_insert(container.restarts);
        match container.state {
            ContainerState::Exited { exit_code } => return Some(FailureKind::Exited { exit_code }),
            ContainerState::Broken => return Some(FailureKind::Gone),
            ContainerState::Restarting { exit_code } => self.last_exit_code = Some(exit_code),
            _ => {}
        }
        // It may happen to run at the moment of the look: a run that always ends late still loops.
        let restarts = container.restarts.saturating_sub(before);
        (restarts >= RESTARTS).then_some(FailureKind::Looping {
            exit_code: self.last_exit_code,
            restarts: container.restarts,
        })
    }
}

async fn failure<E: Engine>(
    work: &Work<'_, E>,
    service: &str,
    name: &str,
    container: Option<&Container>,
    kind: FailureKind,
) -> StepError {
    // The failure matters more than a log that cannot be read.
    let log = work
        .engine
        .log_tail(name, LOG_LINES)
        .await
        .unwrap_or_default();
    let exit_code = match &kind {
        FailureKind::Exited { exit_code } => Some(*exit_code),
        FailureKind::Looping { exit_code, .. } => *exit_code,
        _ => None,
    };
    let was_out_of_memory = container.is_some_and(|container| container.was_out_of_memory);
    let exit_code = if was_out_of_memory {
        Some(super::KILLED)
    } else {
        exit_code
    };
    let diagnosis = diagnosis::find(service, exit_code, &log);
    StepError::Service(Box::new(ServiceFailure {
        service: service.to_owned(),
        container: name.to_owned(),
        kind,
        log,
        diagnosis,
    }))
}

/// Waits until a service has reached what another one needs of it.
pub(super) async fn condition<E: Engine>(
    work: &Work<'_, E>,
    service: &str,
    name: &str,
    condition: Condition,
) -> Result<(), StepError> {
    match condition {
        Condition::Started => until(work, service, name, async |_| Ok(None)).await,
        Condition::Healthy => {
            until(work, service, name, async |container| {
                Ok(match container.health {
                    Some(Health::Healthy) => None,
                    Some(Health::Unhealthy) => Some("the check fails".to_owned()),
                    Some(Health::Starting) => Some("no check has succeeded yet".to_owned()),
                    None => Some("it has no health check".to_owned()),
                })
            })
            .await
        }
        Condition::Completed => completed(work, service, name).await,
    }
}

async fn completed<E: Engine>(
    work: &Work<'_, E>,
    service: &str,
    name: &str,
) -> Result<(), StepError> {
    let waited = until(work, service, name, async |_| {
        Ok(Some("it still runs".to_owned()))
    });
    match waited.await {
        Err(StepError::Service(failure))
            if failure.kind == (FailureKind::Exited { exit_code: 0 }) =>
        {
            Ok(())
        }
        other => other,
    }
}

impl<E: Engine> Work<'_, E> {
    /// Waits until every one of the services does its work.
    ///
    /// # Errors
    /// A service that fails, that is not ready at the deadline, or the wish of the operator to stop.
    pub async fn await_ready(&self, services: &[&str]) -> Result<(), super::ApplyError> {
        let waits = services.iter().map(|service| self.ready(service));
        let outcome = futures_util::future::try_join_all(waits).await;
        match outcome {
            Ok(_) => Ok(()),
            Err(StepError::Service(failure)) => Err(failure.into()),
            Err(StepError::Interrupted(exit_code)) => Err(super::ApplyError::Interrupted {
                exit_code,
                done: 0,
                steps: 0,
            }),
            Err(source) => Err(super::ApplyError::Step {
                title: "wait for the services".to_owned(),
                done: 0,
                steps: 0,
                source: Box::new(source),
            }),
        }
    }

    /// Whether the service may end by itself: nothing starts it again then, or somebody waits for it.
    fn may_end(&self, service: &str) -> bool {
        let project = &self.deployment.project;
        let policy = project
            .services
            .get(service)
            .map(|service| &service.restart);
        let is_kept = policy
            .and_then(Option::as_deref)
            .is_some_and(|policy| matches!(policy, "always" | "unless-stopped"));
        !is_kept || project.is_one_shot(service)
    }

    async fn ready(&self, service: &str) -> Result<(), StepError> {
        let begun = Instant::now();
        let name = self.deployment.project.container_name(service);
        let waited = until(self, service, &name, async |container| {
            let readiness = match self.deployment.probes.get(service) {
                Some(probe) => match container.address() {
                    Some(address) => probe::ask(probe, address, PROBE_DEADLINE).await,
                    None => Readiness::NotReady {
                        because: "it has no address yet".to_owned(),
                    },
                },
                None => Readiness::Ready,
            };
            Ok(match readiness {
                Readiness::NotReady { because } => Some(because),
                Readiness::NotInitiated => Some("its replica set is not initiated".to_owned()),
                Readiness::Ready => match container.health {
                    Some(Health::Starting) => Some("its first health check is due".to_owned()),
                    Some(Health::Unhealthy) => Some("its health check fails".to_owned()),
                    Some(Health::Healthy) | None => None,
                },
            })
        });
        match waited.await {
            // A task that is done is as ready as it gets.
            Err(StepError::Service(failure))
                if failure.kind == (FailureKind::Exited { exit_code: 0 })
                    && self.may_end(service) => {}
            other => other?,
        }
        let (service, elapsed) = (service.to_owned(), begun.elapsed());
        (self.reporter)(Event::Ready { service, elapsed });
        Ok(())
    }
}
