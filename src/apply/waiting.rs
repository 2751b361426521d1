//! Waits for services, with a deadline in all and one for each phase, and recognises those that will
//! never be ready: a container that has ended, or that the engine starts again and again.
//!
//! The engine tells what happens to a container; it is asked only when it has told something, and
//! every few seconds in case something got lost. Only what nobody tells, the answer to a probe, is
//! asked for again and again, with growing pauses.

mod deadlines;
mod failure;
mod history;
mod news;

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use super::{StepError, Work};
use crate::compose::Condition;
use crate::diagnosis;
use crate::engine::Engine;
use crate::engine::EngineEvent;
use crate::engine::EngineEventKind;
use crate::event::Event;
use crate::host;
use crate::observed::lack::{self, Lack, Phase};
use crate::observed::{Container, ContainerState, Health, Readiness};
use crate::probe;
use deadlines::Deadlines;
use history::History;
use news::News;

pub use failure::{FailureKind, ServiceFailure};

/// Time between two questions to a service: short at first, because most take a moment only.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// How often the engine is asked about a container of which it tells nothing.
const FALLBACK: Duration = Duration::from_secs(3);

/// How often a wait is reported, and how much of the log is looked at for that.
const REPORT: Duration = Duration::from_secs(1);
const REPORT_LINES: usize = 20;

/// How long one probe may take.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// A service that ends because a store does not answer is forgiven if it was started this soon after the
/// store: later, the store is no reason to begin again.
const STARTING: Duration = Duration::from_secs(15);

/// What a look at a running container is ended by.
enum Turn {
    Looked(Option<Lack>),
    Told(EngineEvent),
    Passed,
    Interrupted(u8),
}

/// Waits until `look` finds nothing missing any more. `look` is asked while the container runs and
/// says what is missing.
pub(super) async fn until<E: Engine, L: Into<Lack>>(
    work: &Work<'_, E>,
    service: &str,
    name: &str,
    mut look: impl AsyncFnMut(&Container) -> Result<Option<L>, StepError>,
) -> Result<(), StepError> {
    let mut wait = Wait::begin(work, service, name);
    let mut container = wait.inspect().await?;
    loop {
        if let Some(kind) = wait.history.hopeless(&container) {
            let is_loop = matches!(kind, FailureKind::Looping { .. });
            if !is_loop || !wait.forgives(&container).await? {
                return Err(wait.failed(Some(&container), kind).await);
            }
        }
        let turn = match container.state {
            ContainerState::Running => {
                let deadline = wait.deadlines.next();
                tokio::select! {
                    answer = look(&container) => Turn::Looked(answer?.map(Into::into)),
                    event = wait.told() => Turn::Told(event),
                    () = tokio::time::sleep_until(deadline) => Turn::Passed,
                    exit_code = work.interrupt.asked() => Turn::Interrupted(exit_code),
                }
            }
            _ => Turn::Looked(lack::of(&container, None, None)),
        };
        let lack = match turn {
            Turn::Looked(None) => return Ok(()),
            Turn::Looked(Some(lack)) => lack,
            Turn::Passed => wait.lack.clone(),
            Turn::Interrupted(exit_code) => return Err(StepError::Interrupted(exit_code)),
            Turn::Told(event) => {
                container = wait.after(event, container).await?;
                continue;
            }
        };
        wait.deadlines.enter(lack.phase);
        wait.lack = lack.clone();
        wait.report(&lack).await;
        if wait.deadlines.has_passed() {
            let (phase, because) = (lack.phase, lack.because);
            let waited = wait.begun.elapsed();
            let kind = FailureKind::NotInTime {
                phase,
                because,
                waited,
            };
            return Err(wait.failed(Some(&container), kind).await);
        }
        container = wait.pause(lack.phase, container).await?;
    }
}

/// How far stores are that a service which ends again and again depends on; the least of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stores {
    /// One does not answer yet: the engine starts the service again until it does.
    Starting,
    /// One was started a moment before the service. It answers, and may not have when the service ended.
    JustReady,
    /// They are no reason for an end.
    Ready,
}

/// A wait that goes on.
struct Wait<'a, 'w, E> {
    work: &'a Work<'w, E>,
    service: &'a str,
    name: &'a str,
    begun: Instant,
    deadlines: Deadlines,
    history: History,
    news: Option<News<'a, E>>,
    inspected: Instant,
    reported: Instant,
    pause: Duration,
    /// What was missing at the last look.
    lack: Lack,
}

impl<'a, 'w, E: Engine> Wait<'a, 'w, E> {
    fn begin(work: &'a Work<'w, E>, service: &'a str, name: &'a str) -> Self {
        let now = Instant::now();
        Self {
            work,
            service,
            name,
            begun: now,
            deadlines: Deadlines::of(service, work.patience),
            history: History::default(),
            news: None,
            inspected: now,
            reported: now,
            pause: FIRST_PAUSE,
            lack: Lack::new(Phase::Answer, "no answer"),
        }
    }

    async fn inspect(&mut self) -> Result<Container, StepError> {
        self.inspected = Instant::now();
        match self.work.engine.container(self.name).await? {
            Some(container) => Ok(container),
            None => Err(self.failed(None, FailureKind::Gone).await),
        }
    }

    /// Whether the container may end some more, for the sake of the stores that its service depends on.
    async fn forgives(&mut self, container: &Container) -> Result<bool, StepError> {
        let stores = tokio::select! {
            stores = self.stores(container) => stores,
            () = tokio::time::sleep_until(self.deadlines.next()) => Stores::Ready,
            exit_code = self.work.interrupt.asked() => return Err(StepError::Interrupted(exit_code)),
        };
        Ok(match stores {
            Stores::Starting => {
                self.history.forgive(container);
                true
            }
            Stores::JustReady => self.history.allow_one_more(),
            Stores::Ready => false,
        })
    }

    /// How far the stores are that the service depends on, of those that were started a moment before it.
    async fn stores(&self, container: &Container) -> Stores {
        let (engine, deployment) = (self.work.engine, self.work.deployment);
        let project = &deployment.project;
        let Some(definition) = project.services.get(self.service) else {
            return Stores::Ready;
        };
        let containers = engine.project_containers(&project.name).await;
        let started = moment(&container.started_at);
        let is_new = |found: &Container| {
            // Both by the engine's clock.
            let both = started.zip(moment(&found.started_at));
            both.is_some_and(|(own, needed)| own - needed < STARTING)
        };
        let mut needed = containers.unwrap_or_default();
        needed.retain(|found| definition.depends_on.contains_key(&found.service));
        needed.retain(|found| found.state.is_running() && is_new(found));
        let asked = needed.iter().filter_map(|found| {
            let probe = deployment.probes.get(&found.service)?;
            Some(probe::ask_container(engine, found, probe, PROBE_DEADLINE))
        });
        let answers = futures_util::future::join_all(asked).await;
        let far = answers.iter().map(|answer| match answer {
            Readiness::NotReady { .. } | Readiness::NotInitiated => Stores::Starting,
            Readiness::Ready => Stores::JustReady,
            Readiness::Misconfigured { .. } => Stores::Ready,
        });
        far.min().unwrap_or(Stores::Ready)
    }

    /// The next thing that the engine tells; never, before it is listened to.
    async fn told(&mut self) -> EngineEvent {
        match &mut self.news {
            Some(news) => news.next().await,
            None => std::future::pending().await,
        }
    }

    /// Takes an event in, and gives the container as it is then.
    async fn after(
        &mut self,
        event: EngineEvent,
        container: Container,
    ) -> Result<Container, StepError> {
        self.history.note(event.kind);
        // That it has started is known when it runs.
        let is_known = event.kind == EngineEventKind::Started
            && container.state == ContainerState::Running
            && !container.addresses.is_empty();
        if is_known {
            return Ok(container);
        }
        self.pause = FIRST_PAUSE;
        self.inspect().await
    }

    /// Lets time pass until something may have changed, and gives the container as it is then.
    async fn pause(
        &mut self,
        phase: Phase,
        mut container: Container,
    ) -> Result<Container, StepError> {
        if self.news.is_none() {
            let since = nanoseconds(&container.started_at);
            self.news = Some(News::of(self.work.engine, self.name, since));
            if since.is_none() {
                // Without a moment to begin at, something may have happened before.
                container = self.inspect().await?;
            }
        }
        let is_asked = phase == Phase::Answer && container.state == ContainerState::Running;
        let pause = if is_asked {
            let pause = self.pause;
            self.pause = (pause * 2).min(LONGEST_PAUSE);
            pause
        } else {
            REPORT
        };
        let end = (Instant::now() + pause).min(self.deadlines.next());
        let interrupt = self.work.interrupt;
        tokio::select! {
            event = self.told() => return self.after(event, container).await,
            () = tokio::time::sleep_until(end) => {}
            exit_code = interrupt.asked() => return Err(StepError::Interrupted(exit_code)),
        }
        if self.inspected.elapsed() >= FALLBACK {
            container = self.inspect().await?;
        }
        Ok(container)
    }

    /// Tells what is missing, once in a while, and listens to the log for progress.
    async fn report(&mut self, lack: &Lack) {
        if self.reported.elapsed() < REPORT {
            return;
        }
        self.reported = Instant::now();
        // A log that cannot be read is no reason to stop waiting.
        let log = self.work.engine.log_tail(self.name, REPORT_LINES).await;
        let log = log.unwrap_or_default();
        self.deadlines.hear(&log);
        (self.work.reporter)(Event::Waiting {
            service: self.service.to_owned(),
            what: lack.because.clone(),
            elapsed: self.begun.elapsed(),
            last_log_line: log.last().map(|line| diagnosis::log::line(line)),
        });
    }

    async fn failed(&self, container: Option<&Container>, kind: FailureKind) -> StepError {
        let (service, name) = (self.service, self.name);
        failure::of(self.work, service, name, container, &self.history, kind).await
    }
}

/// A moment of the engine's clock.
fn moment(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// As [`moment`], in nanoseconds since 1970.
fn nanoseconds(text: &str) -> Option<i64> {
    i64::try_from(moment(text)?.unix_timestamp_nanos()).ok()
}

/// Waits until a service has reached what another one needs of it. Where that one can do without, a
/// failure is a warning, and a failing health check is not waited out.
pub(super) async fn condition<E: Engine>(
    work: &Work<'_, E>,
    (service, name): (&str, &str),
    condition: Condition,
    required: bool,
) -> Result<(), StepError> {
    let waited = match condition {
        Condition::Started => until(work, service, name, async |_| Ok(None::<Lack>)).await,
        Condition::Healthy => {
            until(work, service, name, async |container| {
                Ok(match container.health {
                    Some(Health::Healthy) => None,
                    Some(Health::Unhealthy) if !required => {
                        let kind = FailureKind::Unhealthy;
                        return Err(at_once(work, service, container, kind).await);
                    }
                    // A container gets no health check while it runs.
                    None => {
                        let kind = FailureKind::NoHealthCheck;
                        return Err(at_once(work, service, container, kind).await);
                    }
                    Some(_) => lack::of(container, None, None),
                })
            })
            .await
        }
        Condition::Completed => completed(work, service, name).await,
    };
    work.unless_optional(!required, waited).map(|_| ())
}

/// The failure of a service that is certain as soon as it is looked at.
async fn at_once<E: Engine>(
    work: &Work<'_, E>,
    service: &str,
    container: &Container,
    kind: FailureKind,
) -> StepError {
    let (name, history) = (&container.name, History::default());
    failure::of(work, service, name, Some(container), &history, kind).await
}

async fn completed<E: Engine>(
    work: &Work<'_, E>,
    service: &str,
    name: &str,
) -> Result<(), StepError> {
    let waited = until(work, service, name, async |_| {
        Ok(Some(Lack::new(Phase::End, "it still runs")))
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
    /// Waits until every one of the services does its work; gives those that do not and that others
    /// can do without.
    ///
    /// # Errors
    /// A service that fails, that is not ready at the deadline, or the wish of the operator to stop.
    pub async fn await_ready(&self, services: &[&str]) -> Result<Vec<String>, super::ApplyError> {
        let containers = self.containers_of(services).await;
        let project = &self.deployment.project;
        // One that was asked for by itself is not there for others only.
        let is_for_others = |service: &str| {
            let mut others = services
                .iter()
                .filter_map(|other| project.services.get(*other));
            project.is_optional(service)
                && others.any(|other| other.depends_on.contains_key(service))
        };
        let waits = containers
            .iter()
            .map(|(service, name)| self.ready(service, name, is_for_others(service)));
        let outcome = futures_util::future::try_join_all(waits).await;
        match outcome {
            Ok(are_ready) => {
                let all = containers.into_iter().zip(are_ready);
                let without = all.filter(|(_, is_ready)| !is_ready);
                let mut without: Vec<String> = without.map(|((name, _), _)| name).collect();
                without.dedup();
                Ok(without)
            }
            Err(StepError::Service(failure)) => Err(failure.into()),
            Err(StepError::Interrupted(exit_code)) => Err(super::ApplyError::Interrupted {
                exit_code,
                done: 0,
                begun: 0,
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

    /// What became of a wait, where the failure of a service that nothing needs is a warning: whether
    /// what was waited for has come.
    fn unless_optional(
        &self,
        is_optional: bool,
        waited: Result<(), StepError>,
    ) -> Result<bool, StepError> {
        match waited {
            Err(StepError::Service(failure)) if is_optional => {
                let text = format!("{failure}; what depends on it can do without it");
                (self.reporter)(Event::Warning { text });
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    /// Each service with the names of its containers, which may be others than new ones would get:
    /// an installation that was taken over keeps its own.
    async fn containers_of(&self, services: &[&str]) -> Vec<(String, String)> {
        let project = &self.deployment.project;
        // An engine that does not answer is told of by the wait itself.
        let existing = self.engine.project_containers(&project.name).await;
        let existing = existing.unwrap_or_default();
        let mut all = Vec::new();
        for service in services {
            let own = existing.iter().filter(|found| found.service == *service);
            let mut names: Vec<String> = own.map(|found| found.name.clone()).collect();
            if names.is_empty() && project.scale(service) > 0 {
                names.push(project.container_name(service));
            }
            all.extend(names.into_iter().map(|name| ((*service).to_owned(), name)));
        }
        all
    }

    /// Waits for one container; whether it is ready, which one that nothing needs may not be.
    async fn ready(&self, service: &str, name: &str, is_optional: bool) -> Result<bool, StepError> {
        let begun = Instant::now();
        let project = &self.deployment.project;
        // When it was first seen to run, of the run that goes on.
        let mut seen: Option<(String, Instant)> = None;
        let waited = until(self, service, name, async |container| {
            if is_optional && container.health == Some(Health::Unhealthy) {
                return Err(at_once(self, service, container, FailureKind::Unhealthy).await);
            }
            let lost = container.lost_network(project);
            let probe = self.deployment.probes.get(service);
            let readiness = match probe.filter(|_| lost.is_none()) {
                Some(probe) => {
                    let asked = probe::ask_container(self.engine, container, probe, PROBE_DEADLINE);
                    Some(asked.await)
                }
                None => None,
            };
            let since = match seen.take() {
                Some((started, since)) if started == container.started_at => since,
                _ => Instant::now(),
            };
            seen = Some((container.started_at.clone(), since));
            let is_asked = readiness.is_some() || container.health.is_some();
            let settled = || lack::unsettled(container, host::now(), since.elapsed());
            Ok(lack::of(container, lost.as_deref(), readiness.as_ref())
                .or_else(|| (!is_asked).then(settled).flatten()))
        });
        match waited.await {
            // A task that is done is as ready as it gets.
            Err(StepError::Service(failure))
                if failure.kind == (FailureKind::Exited { exit_code: 0 })
                    && self.may_end(service) => {}
            other if other.is_err() => return self.unless_optional(is_optional, other),
            _ => {}
        }
        let (service, elapsed) = (service.to_owned(), begun.elapsed());
        (self.reporter)(Event::Ready { service, elapsed });
        Ok(true)
    }
}
