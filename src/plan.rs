//! From the desired and the observed to a graph of changes.
//!
//! Pure and deterministic: equal inputs give equal plans. A step is one call to the engine or the
//! host that may be repeated; it names its cause and the earlier steps it needs, and steps that do
//! not need each other may be carried out at once. A plan made after its own application is empty.
//! Knows nothing of IO, time or the user interface.

pub mod action;
mod change;
pub mod difference;
mod draft;
pub mod file;
mod halt;
mod inherit;
mod networks;
pub mod pull;
mod start;
mod up;

use std::time::Duration;

pub use action::Action;
pub use halt::{down, stop};
pub use pull::PullWish;
pub use start::{restart, start};
pub use up::{chosen, orphans, up, whole};

/// How long a container gets to stop when its definition does not say (the engine's default).
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Changes in an order in which each comes after those it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The changes.
    pub steps: Vec<Step>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why it is needed.
    pub cause: String,
    /// Positions of the earlier steps that must be done before, ascending. What follows from others
    /// is left out.
    pub needs: Vec<usize>,
}

impl Plan {
    /// Whether nothing is to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Gives every container that stops another time to do so.
    pub fn stop_within(&mut self, time: Duration) {
        for step in &mut self.steps {
            if let Action::StopContainer { grace, .. } = &mut step.action {
                *grace = time;
            }
        }
    }

    /// Puts another plan before this one: its steps come first, and this one's after all of them.
    pub fn put_before(&mut self, first: Self) {
        let shift = first.steps.len();
        let last: Vec<usize> = (0..shift).collect();
        let mut steps = first.steps;
        for mut step in std::mem::take(&mut self.steps) {
            if step.needs.is_empty() {
                step.needs.clone_from(&last);
            } else {
                step.needs.iter_mut().for_each(|need| *need += shift);
            }
            steps.push(step);
        }
        self.steps = steps;
    }

    /// Whether every step only needs earlier ones.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        let mut steps = self.steps.iter().enumerate();
        steps.all(|(at, step)| step.needs.iter().all(|need| *need < at))
    }
}

/// What an `up` is asked for beyond the deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpRequest {
    /// Services it is about, with what they need; all when none is named.
    pub services: Vec<String>,
    /// Leaves what the named services need as it is.
    pub no_deps: bool,
    /// Makes the containers of the named services anew, whether they differ or not.
    pub force_recreate: bool,
    /// Removes containers of the project whose service is gone.
    pub remove_orphans: bool,
    /// Which images are pulled.
    pub pull: PullWish,
}
