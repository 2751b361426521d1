//! Which step when: each as soon as those it needs are done, many at once, few that move many bytes.

use std::collections::BTreeSet;
use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{ApplyError, StepError, Work};
use crate::engine::Engine;
use crate::event::Event;
use crate::plan::{Action, Plan, Step};

/// How many transfers go on at once: each saturates a connection or the disk by itself.
const TRANSFERS: usize = 3;

/// How many other steps go on at once. An engine works on a container at a time behind few locks;
/// more at once only wait there.
const STEPS: usize = 16;

/// A step that goes on.
type Running<'a> = Pin<Box<dyn Future<Output = (usize, Result<(), StepError>)> + 'a>>;

/// What is done, what goes on and what is left.
struct Progress {
    left: BTreeSet<usize>,
    running: BTreeSet<usize>,
    done: BTreeSet<usize>,
}

impl Progress {
    /// The next step that may begin beside those that go on.
    fn next(&self, plan: &Plan) -> Option<usize> {
        let transfers = |at: &usize| is(plan, *at, Action::is_transfer);
        let waits = |at: &usize| is(plan, *at, Action::is_wait);
        let moving = self.running.iter().filter(|at| transfers(at)).count();
        let waiting = self.running.iter().filter(|at| waits(at)).count();
        let others = self.running.len() - moving - waiting;
        self.left.iter().copied().find(|at| {
            let needs = plan.steps.get(*at).map(|step| step.needs.as_slice());
            let needs = needs.unwrap_or_default();
            let has_room = if transfers(at) {
                moving < TRANSFERS
            } else {
                waits(at) || others < STEPS
            };
            // A need that is no step of this plan was dealt with before.
            let is_open = |need: &usize| self.left.contains(need) || self.running.contains(need);
            has_room && !needs.iter().any(is_open)
        })
    }
}

fn is(plan: &Plan, at: usize, kind: fn(&Action) -> bool) -> bool {
    plan.steps.get(at).is_some_and(|step| kind(&step.action))
}

impl<E: Engine> Work<'_, E> {
    /// Carries out every step.
    ///
    /// After a failure nothing new begins: what goes on is finished, what only waits or transfers is
    /// given up.
    ///
    /// # Errors
    /// The first step that fails; what is done stays done and is not repeated by the next plan.
    pub async fn apply(&self, plan: &Plan) -> Result<(), ApplyError> {
        let steps = plan.steps.len();
        (self.reporter)(Event::Started { steps });
        let mut progress = Progress {
            left: (0..steps).collect(),
            running: BTreeSet::new(),
            done: BTreeSet::new(),
        };
        let mut running: FuturesUnordered<Running<'_>> = FuturesUnordered::new();
        let mut ended: Option<(usize, StepError)> = None;
        while !(progress.left.is_empty() && progress.running.is_empty()) {
            if let (None, Some(code)) = (&ended, self.interrupt.exit_code()) {
                ended = Some((0, StepError::Interrupted(code)));
            }
            while let (None, Some(at)) = (&ended, progress.next(plan)) {
                progress.left.remove(&at);
                progress.running.insert(at);
                if let Some(step) = plan.steps.get(at) {
                    running.push(Box::pin(self.told(at, steps, step)));
                }
            }
            let only_waits = progress.running.iter().all(|at| {
                let action = plan.steps.get(*at).map(|step| &step.action);
                action.is_some_and(|action| action.is_wait() || action.is_transfer())
            });
            // What waits for a service, or transfers, is at a safe point at any time.
            if ended.is_some() && only_waits {
                break;
            }
            let finished = tokio::select! {
                finished = running.next() => finished,
                code = self.interrupt.asked_twice() => {
                    ended.get_or_insert((0, StepError::Interrupted(code)));
                    break;
                }
            };
            let Some((at, outcome)) = finished else {
                // Only a plan in which steps wait for each other gets here.
                let what = "step that can begin".to_owned();
                ended.get_or_insert((0, StepError::Foreign(what)));
                break;
            };
            progress.running.remove(&at);
            match outcome {
                Ok(()) => {
                    progress.done.insert(at);
                }
                // The first failure is the cause of those that follow.
                Err(error) => {
                    ended.get_or_insert((at, error));
                }
            }
        }
        drop(running);
        match ended {
            None => Ok(()),
            Some((at, error)) => {
                let title = plan.steps.get(at).map(|step| step.action.to_string());
                Err(failure(
                    title.unwrap_or_default(),
                    progress.done.len(),
                    steps,
                    error,
                ))
            }
        }
    }

    /// Carries one step out, writes down that it begins and that it is done, and tells both.
    async fn told(&self, at: usize, steps: usize, step: &Step) -> (usize, Result<(), StepError>) {
        let number = at + 1;
        let title = step.action.to_string();
        let service = step.action.service().map(str::to_owned);
        let begun = Instant::now();
        (self.reporter)(Event::StepStarted {
            number,
            steps,
            title: title.clone(),
            cause: step.cause.clone(),
            service: service.clone(),
        });
        let work = async {
            if let Some(journal) = self.journal {
                journal.intent(at)?;
            }
            self.step(number, &step.action).await?;
            if let Some(journal) = self.journal {
                journal.done(at)?;
            }
            Ok(())
        };
        let outcome: Result<(), StepError> = work.await;
        if let (Some(journal), Err(error)) = (self.journal, &outcome) {
            // The failure itself is what the operator is told.
            let _ = journal.failed(at, &error.to_string());
        }
        if outcome.is_ok() {
            (self.reporter)(Event::StepFinished {
                number,
                steps,
                title,
                elapsed: begun.elapsed(),
                service,
            });
        }
        (at, outcome)
    }
}

fn failure(title: String, done: usize, steps: usize, error: StepError) -> ApplyError {
    match error {
        StepError::Interrupted(exit_code) => ApplyError::Interrupted {
            exit_code,
            done,
            steps,
        },
        StepError::Service(failure) => ApplyError::Service(failure),
        source => ApplyError::Step {
            title,
            done,
            steps,
            source: Box::new(source),
        },
    }
}
