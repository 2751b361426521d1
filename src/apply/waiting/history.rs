//! What was seen of a container while it was waited for, and whether it makes sense to go on.

use super::FailureKind;
use crate::engine::EngineEventKind;
use crate::observed::{Container, ContainerState};

/// Deaths after which a container counts as one that will never be ready. One alone may be a
/// dependency that was not there yet.
const DEATHS: u64 = 2;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct History {
    restarts_before: Option<u64>,
    deaths: u64,
    exit_code: Option<i64>,
    was_out_of_memory: bool,
    has_one_more: bool,
}

impl History {
    /// Takes an event in.
    pub(super) fn note(&mut self, kind: EngineEventKind) {
        match kind {
            EngineEventKind::Died { exit_code } => {
                self.deaths += 1;
                self.keep(exit_code);
            }
            EngineEventKind::OutOfMemory => self.was_out_of_memory = true,
            EngineEventKind::Started | EngineEventKind::Health(_) | EngineEventKind::Destroyed => {}
        }
    }

    /// The first code that tells of a failure stays; later ones are often its consequences.
    fn keep(&mut self, exit_code: i64) {
        if self.exit_code.is_none_or(|kept| kept == 0) {
            self.exit_code = Some(exit_code);
        }
    }

    /// Whether the kernel ended it for lack of memory.
    pub(super) fn was_out_of_memory(&self, container: Option<&Container>) -> bool {
        self.was_out_of_memory || container.is_some_and(|found| found.was_out_of_memory)
    }

    /// The exit code that was seen, if any.
    pub(super) fn exit_code(&self) -> Option<i64> {
        self.exit_code
    }

    /// Forgets the deaths so far: they were not the container's own fault.
    pub(super) fn forgive(&mut self, container: &Container) {
        self.restarts_before = Some(container.restarts);
        self.deaths = 0;
        self.exit_code = None;
    }

    /// Lets one more death pass, once: false where it has.
    pub(super) fn allow_one_more(&mut self) -> bool {
        !std::mem::replace(&mut self.has_one_more, true)
    }

    /// Whether waiting makes no sense any more.
    pub(super) fn hopeless(&mut self, container: &Container) -> Option<FailureKind> {
        let before = *self.restarts_before.get_or_insert(container.restarts);
        match container.state {
            ContainerState::Exited { exit_code } => return Some(FailureKind::Exited { exit_code }),
            ContainerState::Broken => return Some(FailureKind::Gone),
            ContainerState::Restarting { exit_code } => self.keep(exit_code),
            _ => {}
        }
        // It may happen to run at the moment of the look: a run that always ends late still loops.
        // Events can be lost and the engine's own count cannot, but it may lag behind them.
        let restarts = container.restarts.saturating_sub(before);
        let limit = DEATHS + u64::from(self.has_one_more);
        (restarts.max(self.deaths) >= limit).then_some(FailureKind::Looping {
            exit_code: self.exit_code,
            restarts: container.restarts,
        })
    }
}
