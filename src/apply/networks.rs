//! Networks of one name, and the second one that an interrupted run can leave.
//!
//! An engine goes on with a request whose sender was killed. Engines before API 1.44 make a second
//! network of the same name without a word, and then start no container in either: the name is
//! ambiguous. A snapshot may be too early to show it, so the steps that need a network look again: once
//! per run for the containers that are made in it, and whenever the engine refuses a start for it.

use super::{Run, StepError, Work};
use crate::engine::{Engine, EngineError};
use crate::event::Event;
use crate::labels;
use crate::observed;
use crate::observed::Network;
use crate::plan::{Action, Plan};

/// What the engine says when a name means several networks (Docker Engine 20.10).
const AMBIGUOUS: &str = "is ambiguous";

/// What the engine says when it counts users of a network (Docker Engine). One of 20.10 loses count
/// under load: containers that are gone still count.
const IN_USE: &str = "has active endpoints";

impl<E: Engine> Work<'_, E> {
    /// Makes a network unless there is one.
    pub(super) async fn create_network(&self, key: &str) -> Result<(), StepError> {
        let networks = &self.deployment.project.networks;
        let network = networks
            .get(key)
            .ok_or_else(|| StepError::Foreign(key.to_owned()))?;
        if self.single_network(&network.name).await?.is_some() {
            return Ok(());
        }
        let mut all = self.own_labels();
        all.insert(labels::NETWORK.to_owned(), key.to_owned());
        all.extend(network.labels.clone());
        match self.engine.create_network(network, &all).await {
            Ok(_) | Err(EngineError::NameTaken { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.single_network(&network.name).await?;
        Ok(())
    }

    /// Removes a network. One that an engine counts users of, and names none, stays with a warning:
    /// nothing but a restart of the engine frees it, and the next `up` uses it as it is. Where the plan
    /// makes it anew, that is no way out.
    pub(super) async fn remove_network(
        &self,
        name: &str,
        id: &str,
        plan: &Plan,
    ) -> Result<(), StepError> {
        let refusal = match self.engine.remove_network(id).await {
            Err(EngineError::Refused { doing, message }) if message.contains(IN_USE) => {
                EngineError::Refused { doing, message }
            }
            other => return Ok(other?),
        };
        let networks = &self.deployment.project.networks;
        let comes_back = plan.steps.iter().any(|step| match &step.action {
            Action::CreateNetwork { key, .. } => networks.get(key).is_some_and(|n| n.name == name),
            _ => false,
        });
        if comes_back || !self.engine.connected(id).await?.is_empty() {
            return Err(refusal.into());
        }
        let text = format!(
            "network `{name}` stays: the engine still counts containers in it, though there are none; the next `toolkit up` uses it, and a restart of the engine frees it"
        );
        (self.reporter)(Event::Warning { text });
        Ok(())
    }

    /// Id of the network of this name. Of several, one is kept and those of this project that
    /// nobody uses are removed.
    pub(super) async fn single_network(&self, name: &str) -> Result<Option<String>, EngineError> {
        let found = self.engine.networks(name).await?;
        if let [] | [_] = found.as_slice() {
            return Ok(found.into_iter().next().map(|network| network.id));
        }
        let project = &self.deployment.project.name;
        let containers = self.engine.project_containers(project).await?;
        let chosen =
            observed::choose_network(&found.iter().collect::<Vec<&Network>>(), &containers);
        for network in &found {
            let is_ours = network.labels.get(labels::PROJECT) == Some(project);
            if is_ours && Some(&network.id) != chosen.as_ref() {
                self.engine.remove_network(&network.id).await?;
            }
        }
        Ok(chosen)
    }

    /// Starts a container, after clearing up a network that came meanwhile.
    pub(super) async fn start(&self, name: &str, run: &Run<'_>) -> Result<(), StepError> {
        match self.engine.start(name).await {
            Err(EngineError::Refused { message, .. }) if message.contains(AMBIGUOUS) => {
                // Who asks meanwhile looks anew, and nobody goes on with what was removed here.
                run.networks.forget();
                for network in self.deployment.project.networks.values() {
                    let outcome = self.single_network(&network.name).await;
                    run.networks.forget();
                    outcome?;
                }
                Ok(self.engine.start(name).await?)
            }
            Err(refusal @ EngineError::HalfStarted { .. }) => {
                self.start_anew(name, refusal, run).await
            }
            other => Ok(other?),
        }
    }

    /// Makes a container anew that the engine was killed over while it started it for the first time,
    /// and starts it. One that has run before is left alone: it may hold something.
    async fn start_anew(
        &self,
        name: &str,
        refusal: EngineError,
        run: &Run<'_>,
    ) -> Result<(), StepError> {
        let found = self.engine.container(name).await?;
        let Some(found) = found.filter(super::never_ran) else {
            return Err(refusal.into());
        };
        self.engine.remove(name).await?;
        // It is made much later than the others.
        run.networks.forget();
        run.images.forget();
        let of = (name, found.number());
        self.create_container(&found.service, of, &found.anonymous, None, run)
            .await?;
        Ok(self.engine.start(name).await?)
    }
}
