//! The events of the engine in memory, and how a test makes things happen on it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::MemoryEngine;
use crate::engine::{EngineError, EngineEvent, EngineEventKind, EventStream};
use crate::observed::{ContainerState, Health};

/// All that has happened, and whoever waits for more.
#[derive(Debug, Default)]
pub(super) struct Events {
    past: watch::Sender<Vec<EngineEvent>>,
    muted: Mutex<BTreeSet<String>>,
    breaks: watch::Sender<usize>,
}

impl Events {
    /// The moment of the next event in RFC 3339: a clock that events move on, a nanosecond each.
    pub(super) fn now(&self) -> String {
        format!("1970-01-01T00:00:00.{:09}Z", self.past.borrow().len() + 1)
    }

    /// Adds an event.
    pub(super) fn tell(&self, container: &str, kind: EngineEventKind) {
        let muted = self.muted.lock().unwrap_or_else(PoisonError::into_inner);
        if muted.contains(container) {
            return;
        }
        self.past.send_modify(|past| {
            let at = i64::try_from(past.len()).unwrap_or(i64::MAX) + 1;
            past.push(EngineEvent {
                container: container.to_owned(),
                at,
                kind,
            });
        });
    }

    pub(super) fn of(&self, container: &str, since: Option<i64>) -> EventStream<'_> {
        let begin = match since {
            Some(at) => usize::try_from(at - 1).unwrap_or(0),
            None => self.past.borrow().len(),
        };
        let state = State {
            container: container.to_owned(),
            next: begin,
            past: self.past.subscribe(),
            breaks: self.breaks.subscribe(),
        };
        Box::pin(futures_util::stream::unfold(state, State::step))
    }
}

/// One who listens.
struct State {
    container: String,
    next: usize,
    past: watch::Receiver<Vec<EngineEvent>>,
    breaks: watch::Receiver<usize>,
}

impl State {
    async fn step(mut self) -> Option<(Result<EngineEvent, EngineError>, Self)> {
        loop {
            let found = self.past.borrow_and_update().get(self.next).cloned();
            if let Some(event) = found {
                self.next += 1;
                if event.container == self.container {
                    return Some((Ok(event), self));
                }
                continue;
            }
            tokio::select! {
                changed = self.past.changed() => changed.ok()?,
                broken = self.breaks.changed() => {
                    broken.ok()?;
                    return None;
                }
            }
        }
    }
}

impl MemoryEngine {
    /// Lets something happen to a container: its state changes, and whoever listens is told.
    pub fn happen(&self, name: &str, kind: EngineEventKind) {
        let mut world = self.world();
        let Some(stored) = world.containers.get_mut(name) else {
            return;
        };
        let container = &mut stored.container;
        match kind {
            EngineEventKind::Started => {
                container.state = ContainerState::Running;
                container.started_at = self.events.now();
            }
            EngineEventKind::Died { exit_code } => {
                container.state = if stored.is_restarted {
                    container.restarts += 1;
                    ContainerState::Restarting { exit_code }
                } else {
                    ContainerState::Exited { exit_code }
                };
            }
            EngineEventKind::OutOfMemory => container.was_out_of_memory = true,
            EngineEventKind::Health(health) => container.health = Some(health),
            EngineEventKind::Destroyed => {
                world.containers.remove(name);
            }
        }
        self.events.tell(name, kind);
    }

    /// Sets the health of a container without telling anybody.
    pub fn set_health(&self, name: &str, health: Health) {
        if let Some(stored) = self.world().containers.get_mut(name) {
            stored.container.health = Some(health);
        }
    }

    /// Lets a container write lines.
    pub fn write(&self, name: &str, lines: &[&str]) {
        if let Some(stored) = self.world().containers.get_mut(name) {
            stored.lines.extend(lines.iter().map(ToString::to_string));
        }
    }

    /// Loses all further events of a container.
    pub fn mute(&self, name: &str) {
        let muted = self.events.muted.lock();
        let mut muted = muted.unwrap_or_else(PoisonError::into_inner);
        muted.insert(name.to_owned());
    }

    /// Breaks the connections of all who listen.
    pub fn break_events(&self) {
        self.events.breaks.send_modify(|breaks| *breaks += 1);
    }

    /// How many listen to events now.
    pub fn listeners(&self) -> usize {
        self.events.past.receiver_count()
    }
}
