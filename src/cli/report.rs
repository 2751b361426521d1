//! Brings together what `status` and `metrics` tell: the engine's side, the stores, and what runs of
//! this program left in the state folder. Everything is asked at once and nothing is changed.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::join_all;

use super::instance::Instance;
use super::{Session, error::CommandError, instance, operation, state_folder};
use crate::applied;
use crate::engine::inside::{Inside, Usage};
use crate::engine::stock::Stock;
use crate::host::lock;
use crate::journal::{self, Outcome};
use crate::observe;
use crate::observed::{Container, EngineFacts, Observed};
use crate::plan::{self, UpRequest};
use crate::report::{Configuration, Ending, Operation, Report, Run, Told};

/// Everything about an instance.
///
/// # Errors
/// The engine cannot be asked.
pub async fn everything(
    engine: &impl Stock,
    instance: &Instance,
) -> Result<(Observed, Report), CommandError> {
    let nothing = async |_: &[Container]| ();
    let (observed, report, ()) = everything_beside(engine, instance, nothing).await?;
    Ok((observed, report))
}

/// As [`everything`], with other questions about the containers beside it.
///
/// # Errors
/// The engine cannot be asked.
pub async fn everything_beside<T>(
    engine: &impl Stock,
    instance: &Instance,
    beside: impl AsyncFnOnce(&[Container]) -> T,
) -> Result<(Observed, Report, T), CommandError> {
    let deployment = &instance.deployment;
    let state = state_folder(&instance.root);
    let questions = async |containers: &[Container], about: &EngineFacts| {
        let conditions = observe::condition::all(engine, deployment, containers, about);
        futures_util::join!(conditions, beside(containers))
    };
    let asked = observe::everything_beside(engine, deployment, questions);
    let (mut observed, (conditions, beside)) = asked.await?;
    // A journal that cannot be read is told below; the plan goes without it.
    let left_behind = journal::left_behind(&state).unwrap_or_default();
    let left_behind = left_behind.into_iter();
    observed.left_behind = left_behind
        .map(|held| ((held.service, held.number), held.volumes))
        .collect();
    instance::know_earlier(instance, &mut observed);
    let plan = plan::whole(deployment, &observed, &UpRequest::default());
    let steps = plan.steps.iter().map(|step| step.action.to_string());
    let changed = operation::changes(&state, &instance.root);
    let report = Report {
        conditions,
        operation: operation_of(&state),
        configuration: Configuration {
            steps: steps.collect(),
            applied: applied::applied_at(&state).map_err(|error| error.to_string()),
            // A file that cannot be read has stopped the command before.
            changed: changed
                .unwrap_or_default()
                .into_iter()
                .map(|change| change.file)
                .collect(),
        },
    };
    Ok((observed, report, beside))
}

/// An instance that is looked at again and again.
#[derive(Default)]
pub struct Kept {
    instance: Option<Instance>,
    texts: BTreeMap<String, String>,
}

impl Kept {
    /// The instance as it is configured now. It is read again only when its configuration changed, so
    /// that a warning about it is said once.
    ///
    /// # Errors
    /// A file is missing or unreadable, or the configuration is wrong.
    pub fn current(&mut self, session: &Session, root: &Path) -> Result<&Instance, CommandError> {
        let texts = applied::texts(root)?;
        let instance = match self.instance.take() {
            Some(instance) if texts == self.texts => instance,
            _ => instance::load_at(session, root)?,
        };
        self.texts = texts;
        Ok(self.instance.insert(instance))
    }
}

/// The operation that goes on or did not come to its end; why that is not known.
pub fn operation_of(state: &Path) -> Result<Option<Operation>, String> {
    let found = journal::unsettled(state).map_err(|error| error.to_string())?;
    let Some(found) = found else { return Ok(None) };
    let operation = found.operation;
    // The run that holds the lock can be another one, which has not begun to work yet.
    let holder =
        lock::holder(state).filter(|owner| owner.operation.as_ref() == Some(&operation.id));
    Ok(Some(Operation {
        run: holder.map(|owner| Run {
            process: owner.process,
            step: owner.step,
        }),
        id: operation.id,
        command: operation.command,
        started: operation.started,
        ending: found.outcome.and_then(|outcome| match outcome {
            Outcome::Failed => Some(Ending::Failed),
            Outcome::Interrupted => Some(Ending::Interrupted),
            Outcome::Done | Outcome::RolledBack => None,
        }),
        done: found.done.len(),
        steps: operation.steps.len(),
    }))
}

/// As [`everything`], with what the running containers use.
///
/// # Errors
/// The engine cannot be asked.
pub async fn measured(
    engine: &(impl Inside + Stock),
    instance: &Instance,
) -> Result<Told, CommandError> {
    let usage = async |containers: &[Container]| {
        let running = containers.iter().filter(|found| found.state.is_running());
        let asked = running.map(async |found| {
            // A container that has just ended uses nothing.
            let usage = engine.usage(&found.id).await.ok()?;
            Some((found.name.clone(), usage))
        });
        let all = join_all(asked).await.into_iter().flatten();
        all.collect::<BTreeMap<String, Usage>>()
    };
    let (observed, report, usage) = everything_beside(engine, instance, usage).await?;
    Ok(Told {
        observed,
        report,
        usage,
    })
}
