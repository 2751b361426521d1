//! A plan as a file: what was asked for, the steps, and enough of the world it was made for to tell
//! later whether that has moved. Holds no values of the configuration, only a digest of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::difference::disclosure::fingerprint;
use super::{Plan, PullWish, UpRequest};
use crate::compose::canonical;
use crate::deployment::Deployment;
use crate::labels;
use crate::observed::{Container, ContainerState, Observed, short_id};

/// Name and version of the form.
pub const SCHEMA: &str = "toolkit.plan-file/v1";

/// A plan with what it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    schema: String,
    /// Version of the toolkit that made it.
    toolkit: String,
    /// Root folder of the instance.
    root: String,
    services: Vec<String>,
    no_deps: bool,
    force_recreate: bool,
    remove_orphans: bool,
    pull: String,
    /// SHA-256 of the definitions.
    definitions: String,
    /// What was there, as a name and what was seen of it.
    world: BTreeMap<String, String>,
    steps: Vec<StepText>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    title: String,
    cause: String,
    needs: Vec<usize>,
}

/// Why a plan file cannot be used.
#[derive(Debug, Error)]
pub enum PlanFileError {
    /// It is not a plan file.
    #[error("it is not a plan file: {0}")]
    Form(#[from] serde_json::Error),
    /// It is one of another version.
    #[error("its form is `{found}`, and this program reads `{SCHEMA}`")]
    Schema {
        /// What it says.
        found: String,
    },
}

impl PlanFile {
    /// Puts a plan together with the world it was made for.
    #[must_use]
    pub fn new(
        plan: &Plan,
        request: &UpRequest,
        deployment: &Deployment,
        observed: &Observed,
    ) -> Self {
        let steps = plan.steps.iter().map(|step| StepText {
            title: step.action.to_string(),
            cause: step.cause.clone(),
            needs: step.needs.clone(),
        });
        Self {
            schema: SCHEMA.to_owned(),
            toolkit: env!("CARGO_PKG_VERSION").to_owned(),
            root: deployment.root.display().to_string(),
            services: request.services.clone(),
            no_deps: request.no_deps,
            force_recreate: request.force_recreate,
            remove_orphans: request.remove_orphans,
            pull: request.pull.to_string(),
            definitions: canonical::digest(canonical::json(&deployment.project).as_bytes()),
            world: world(deployment, observed),
            steps: steps.collect(),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// See [`PlanFileError`].
    pub fn read(text: &str) -> Result<Self, PlanFileError> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        let found = value.get("schema").and_then(serde_json::Value::as_str);
        match found {
            Some(SCHEMA) => Ok(serde_json::from_value(value)?),
            other => Err(PlanFileError::Schema {
                found: other.unwrap_or("none").to_owned(),
            }),
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value:#}\n")
    }

    /// What was asked for.
    #[must_use]
    pub fn request(&self) -> UpRequest {
        UpRequest {
            services: self.services.clone(),
            no_deps: self.no_deps,
            force_recreate: self.force_recreate,
            remove_orphans: self.remove_orphans,
            pull: match self.pull.as_str() {
                "always" => PullWish::Always,
                "missing" => PullWish::Missing,
                "never" => PullWish::Never,
                _ => PullWish::Policy,
            },
        }
    }

    /// In which respects the world is another one than that of a plan made now; empty when the plan
    /// still holds.
    #[must_use]
    pub fn moved(&self, now: &Self) -> Vec<String> {
        let mut moved = Vec::new();
        if self.root != now.root {
            moved.push(format!("it was made for the instance `{}`", self.root));
        }
        if self.toolkit != now.toolkit {
            moved.push(format!("it was made by toolkit {}", self.toolkit));
        }
        if self.definitions != now.definitions {
            moved.push("the configuration has changed".to_owned());
        }
        for (name, seen) in &self.world {
            match now.world.get(name) {
                None => moved.push(format!("{name} is gone")),
                Some(other) if other != seen => {
                    moved.push(format!("{name} was {seen} and is {other}"));
                }
                Some(_) => {}
            }
        }
        let new = now
            .world
            .keys()
            .filter(|name| !self.world.contains_key(*name));
        moved.extend(new.map(|name| format!("{name} is new")));
        if moved.is_empty() && self.steps != now.steps {
            moved.push("the steps have changed".to_owned());
        }
        moved
    }
}

/// Everything whose change would change a plan.
fn world(deployment: &Deployment, observed: &Observed) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    // The definitions name a variable or a file, and say nothing of what is in it.
    for (name, content) in &deployment.contents {
        let seen = content.as_ref().map_or("missing".to_owned(), |content| {
            fingerprint(deployment, name, content.expose())
        });
        all.insert(format!("the content of `{name}`"), seen);
    }
    for container in &observed.containers {
        let mut seen = format!("{} {}", short_id(&container.id), state(container));
        let networks = container.network_ids.iter().map(|id| short_id(id));
        let networks: Vec<String> = networks.collect();
        if !networks.is_empty() {
            seen.push_str(&format!(" in {}", networks.join(", ")));
        }
        all.insert(format!("container `{}`", container.name), seen);
    }
    for network in observed.networks.values().flatten() {
        let name = format!("network `{}` ({})", network.name, short_id(&network.id));
        let owner = network.labels.get(labels::PROJECT);
        let owner = owner.map_or("of nobody", |_| "of a project");
        all.insert(name, owner.to_owned());
    }
    for (reference, image) in &observed.images {
        let seen = image
            .as_ref()
            .map_or("missing".to_owned(), |image| short_id(&image.id));
        all.insert(format!("image `{reference}`"), seen);
    }
    all
}

fn state(container: &Container) -> &'static str {
    match container.state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting { .. } => "restarting",
        ContainerState::Exited { .. } => "stopped",
        ContainerState::Broken => "broken",
    }
}
