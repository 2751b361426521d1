//! What an engine tells about one container, across connections that break.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::engine::EngineEvent;
use crate::engine::EventStream;

/// Pause before the connection is made again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Somebody who listens.
pub(super) struct News<'a, E> {
    engine: &'a E,
    container: String,
    since: Option<i64>,
    stream: Option<EventStream<'a>>,
    pause: Duration,
    again: Instant,
}

impl<'a, E: Engine> News<'a, E> {
    /// Everything since a moment, by the engine's clock in nanoseconds since 1970.
    pub(super) fn of(engine: &'a E, container: &str, since: Option<i64>) -> Self {
        Self {
            engine,
            container: container.to_owned(),
            since,
            stream: Some(engine.events(container, since)),
            pause: FIRST_PAUSE,
            again: Instant::now(),
        }
    }

    /// The next event. It may be waited for again after a wait that was given up: nothing is lost.
    pub(super) async fn next(&mut self) -> EngineEvent {
        loop {
            let Some(stream) = &mut self.stream else {
                tokio::time::sleep_until(self.again).await;
                self.stream = Some(self.engine.events(&self.container, self.since));
                continue;
            };
            match stream.next().await {
                // A new connection tells the last event once more.
                Some(Ok(event)) if self.since.is_some_and(|since| event.at <= since) => {}
                Some(Ok(event)) => {
                    self.since = Some(event.at);
                    self.pause = FIRST_PAUSE;
                    return event;
                }
                // An engine that is gone for good is noticed by those who ask it something.
                Some(Err(_)) | None => {
                    self.stream = None;
                    self.again = Instant::now() + self.pause;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
