//! Which step when: each as soon as those it needs are done, many at once, few that move many bytes.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::{ApplyError, Run, StepError, Work};
use crate::engine::Engine;
use crate::event::Event;
use crate::journal::{Note, Stop};
use crate::plan::{Action, Plan, Step};

/// How many transfers go on at once: each saturates a connection or the disk by itself.
const TRANSFERS: usize = 3;

/// How many other steps go on at once. An engine works on a container at a time behind few locks;
/// more at once only wait there.
const STEPS: usize = 16;

/// A step, how it ended, and after what time.
type Ended = (usize, Result<(), StepError>, Duration);

/// A step that goes on.
type Running<'a> = Pin<Box<dyn Future<Output = Ended> + 'a>>;

/// A step that has ended and is not written down yet.
struct Finished {
    at: usize,
    elapsed: Duration,
    failure: Option<String>,
}

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

    /// The steps that go on and change something. What waits for a service, or transfers, is at a safe
    /// point at any time.
    fn changing<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a Action> {
        let actions = self.running.iter().filter_map(|at| plan.steps.get(*at));
        let actions = actions.map(|step| &step.action);
        actions.filter(|action| !action.is_wait() && !action.is_transfer())
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
        let run = Run::of(plan);
        let mut progress = Progress {
            left: (0..steps).collect(),
            running: BTreeSet::new(),
            done: BTreeSet::new(),
        };
        let mut running: FuturesUnordered<Running<'_>> = FuturesUnordered::new();
        let mut finished: Vec<Finished> = Vec::new();
        let mut ended: Option<(usize, StepError)> = None;
        let mut is_told = false;
        loop {
            // Where nothing is left to do, there is nothing to stop.
            let has_more = !progress.left.is_empty();
            let is_over = !has_more && progress.running.is_empty();
            if let (None, true, Some(code)) = (&ended, has_more, self.interrupt.exit_code()) {
                ended = Some((0, StepError::Interrupted(code)));
            }
            let mut begun = Vec::new();
            while let (None, Some(at)) = (&ended, progress.next(plan)) {
                progress.left.remove(&at);
                progress.running.insert(at);
                begun.push(at);
                self.tell_begun(plan, at);
            }
            // What ended and what begins is on the disk before anything else happens.
            if let Err(error) = self.note(plan, &finished, &begun) {
                let at = finished
                    .first()
                    .map(|one| one.at)
                    .or(begun.first().copied());
                ended.get_or_insert((at.unwrap_or_default(), error));
                for one in finished.drain(..) {
                    progress.done.remove(&one.at);
                }
                for at in begun.drain(..) {
                    progress.running.remove(&at);
                }
            }
            for one in finished.drain(..).filter(|one| one.failure.is_none()) {
                self.tell_finished(plan, &one);
            }
            for at in begun {
                if let Some(step) = plan.steps.get(at) {
                    running.push(Box::pin(self.carried_out(at, step, &run)));
                }
            }
            if is_over {
                break;
            }
            if ended.is_some() && progress.changing(plan).next().is_none() {
                break;
            }
            let first = tokio::select! {
                first = running.next() => first,
                _ = self.interrupt.asked(), if !is_told => {
                    is_told = true;
                    self.tell_stopping(plan, &progress);
                    continue;
                }
                code = self.interrupt.asked_twice() => {
                    ended.get_or_insert((0, StepError::Interrupted(code)));
                    break;
                }
            };
            let Some(first) = first else {
                // Only a plan in which steps wait for each other gets here.
                let what = "step that can begin".to_owned();
                ended.get_or_insert((0, StepError::Foreign(what)));
                break;
            };
            let mut all = vec![first];
            while let Some(Some(next)) = running.next().now_or_never() {
                all.push(next);
            }
            for (at, outcome, elapsed) in all {
                progress.running.remove(&at);
                let failure = outcome.as_ref().err().map(ToString::to_string);
                match outcome {
                    Ok(()) => {
                        progress.done.insert(at);
                    }
                    // The first failure is the cause of those that follow.
                    Err(error) => {
                        ended.get_or_insert((at, error));
                    }
                }
                finished.push(Finished {
                    at,
                    elapsed,
                    failure,
                });
            }
        }
        drop(running);
        match ended {
            None => Ok(()),
            Some((at, error)) => {
                let title = plan.steps.get(at).map(|step| step.action.to_string());
                let begun = progress.changing(plan).count();
                Err(failure(
                    title.unwrap_or_default(),
                    (progress.done.len(), begun, steps),
                    error,
                ))
            }
        }
    }

    /// Writes down what ended and what begins, where there is a journal.
    fn note(&self, plan: &Plan, finished: &[Finished], begun: &[usize]) -> Result<(), StepError> {
        let Some(journal) = self.journal else {
            return Ok(());
        };
        let ended = finished.iter().map(|one| match &one.failure {
            None => Note::Done(one.at),
            Some(text) => Note::Failed(one.at, text.clone()),
        });
        let begins = begun.iter().map(|at| {
            let action = plan.steps.get(*at).map(|step| &step.action);
            Note::Intent(*at, action.and_then(stop_of))
        });
        Ok(journal.note(&ended.chain(begins).collect::<Vec<Note>>())?)
    }

    fn tell_begun(&self, plan: &Plan, at: usize) {
        let Some(step) = plan.steps.get(at) else {
            return;
        };
        (self.reporter)(Event::StepStarted {
            number: at + 1,
            steps: plan.steps.len(),
            title: step.action.to_string(),
            cause: step.cause.clone(),
            service: step.action.service().map(str::to_owned),
        });
    }

    /// Tells who asked for a stop what it waits for.
    fn tell_stopping(&self, plan: &Plan, progress: &Progress) {
        let changing: Vec<String> = progress.changing(plan).map(Action::to_string).collect();
        if !changing.is_empty() {
            let stops = match progress.left.is_empty() {
                // Then the work is done all the same.
                true => "ends with",
                false => "stops after",
            };
            let text = format!(
                "{stops} what has begun ({}); once more, and the engine is left alone with it",
                changing.join(", ")
            );
            (self.reporter)(Event::Warning { text });
        }
    }

    fn tell_finished(&self, plan: &Plan, one: &Finished) {
        let Some(step) = plan.steps.get(one.at) else {
            return;
        };
        (self.reporter)(Event::StepFinished {
            number: one.at + 1,
            steps: plan.steps.len(),
            title: step.action.to_string(),
            elapsed: one.elapsed,
            service: step.action.service().map(str::to_owned),
        });
    }

    async fn carried_out(&self, at: usize, step: &Step, run: &Run<'_>) -> Ended {
        let begun = Instant::now();
        let outcome = self.step(at + 1, &step.action, run).await;
        (at, outcome, begun.elapsed())
    }
}

/// What an action stops.
fn stop_of(action: &Action) -> Option<Stop> {
    match action {
        Action::StopContainer { name, grace, .. } => Some(Stop {
            container: name.clone(),
            grace_s: grace.as_secs(),
        }),
        _ => None,
    }
}

fn failure(
    title: String,
    (done, begun, steps): (usize, usize, usize),
    error: StepError,
) -> ApplyError {
    match error {
        StepError::Interrupted(exit_code) => ApplyError::Interrupted {
            exit_code,
            done,
            begun,
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
