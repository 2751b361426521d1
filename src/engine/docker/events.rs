//! The engine's stream of events, as far as it concerns one container.

use std::collections::HashMap;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;

use super::DockerEngine;
use crate::engine::{EngineEvent, EngineEventKind, EventStream};
use crate::observed::Health;

/// The kinds that are asked for. Without this list every health check sends three more.
const KINDS: [&str; 5] = ["start", "die", "oom", "destroy", "health_status"];

const NANOSECONDS: i64 = 1_000_000_000;

/// The events of a container from a moment on, past ones first. Nothing is sent to the engine
/// before the stream is polled, so whoever must not miss anything gives the moment.
pub(super) fn of_container<'a>(
    engine: &'a DockerEngine,
    container: &str,
    since: Option<i64>,
) -> EventStream<'a> {
    let filters = HashMap::from([
        ("type", vec!["container"]),
        ("container", vec![container]),
        ("event", KINDS.to_vec()),
    ]);
    let mut options = EventsOptionsBuilder::new().filters(&filters);
    if let Some(at) = since {
        let (seconds, rest) = (at / NANOSECONDS, at % NANOSECONDS);
        options = options.since(&format!("{seconds}.{rest:09}"));
    }
    let wanted = container.to_owned();
    let messages = engine.client.events(Some(options.build()));
    Box::pin(messages.filter_map(move |message| {
        let event = match message {
            Ok(message) => event(message, &wanted).map(Ok),
            Err(error) => Some(Err(engine.failure("tell what happens", error))),
        };
        std::future::ready(event)
    }))
}

/// The event in a message; the engine's filter also lets names through that only begin alike.
fn event(message: EventMessage, wanted: &str) -> Option<EngineEvent> {
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let name = attributes.get("name").cloned().unwrap_or_default();
    if name != wanted && actor.id.as_deref() != Some(wanted) {
        return None;
    }
    let kind = match message.action.as_deref()? {
        "start" => EngineEventKind::Started,
        "die" => EngineEventKind::Died {
            exit_code: attributes
                .get("exitCode")
                .and_then(|code| code.parse().ok())
                .unwrap_or(0),
        },
        "oom" => EngineEventKind::OutOfMemory,
        "destroy" => EngineEventKind::Destroyed,
        "health_status: healthy" => EngineEventKind::Health(Health::Healthy),
        "health_status: unhealthy" => EngineEventKind::Health(Health::Unhealthy),
        _ => return None,
    };
    Some(EngineEvent {
        container: name,
        at: message.time_nano.unwrap_or(0),
        kind,
    })
}
