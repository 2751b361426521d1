//! Events as plain lines: one line per change with a time, and a heartbeat while waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

use super::words;
use crate::event::Event;

/// Time between two lines about the same wait.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Turns events into lines.
#[derive(Debug)]
pub struct Plain {
    now: fn() -> OffsetDateTime,
    waiting: BTreeMap<String, Duration>,
}

impl Plain {
    /// Starts; `now` tells the time of a line.
    #[must_use]
    pub fn new(now: fn() -> OffsetDateTime) -> Self {
        Self {
            now,
            waiting: BTreeMap::new(),
        }
    }

    /// The line for an event, if it has one.
    pub fn line(&mut self, event: &Event, with_causes: bool) -> Option<String> {
        let text = self.text(event, with_causes)?;
        let clock = format_description!("[hour]:[minute]:[second][offset_hour sign:mandatory]");
        let now = (self.now)().format(clock).unwrap_or_default();
        Some(format!("{now} {text}"))
    }

    fn text(&mut self, event: &Event, with_causes: bool) -> Option<String> {
        Some(match event {
            Event::Started { .. } | Event::Transfer { .. } => return None,
            Event::StepStarted {
                number,
                steps,
                title,
                cause,
                ..
            } => {
                let because = if with_causes {
                    format!(" ({cause})")
                } else {
                    String::new()
                };
                format!("[{number}/{steps}] {title}{because}")
            }
            Event::StepFinished {
                number,
                steps,
                title,
                elapsed,
                ..
            } => {
                // A short step has been told already.
                if *elapsed < Duration::from_secs(1) {
                    return None;
                }
                format!(
                    "[{number}/{steps}] {title}: done in {}",
                    words::duration(*elapsed)
                )
            }
            Event::Waiting {
                service,
                what,
                elapsed,
                last_log_line,
            } => {
                let last = self.waiting.entry(service.clone()).or_default();
                if *elapsed < *last + HEARTBEAT && *elapsed >= *last {
                    return None;
                }
                *last = *elapsed;
                let log = last_log_line.as_deref().map(|line| format!(" | {line}"));
                format!(
                    "waiting for `{service}` since {}: {what}{}",
                    words::duration(*elapsed),
                    log.unwrap_or_default()
                )
            }
            Event::Ready { service, elapsed } => {
                format!("`{service}` is ready ({})", words::duration(*elapsed))
            }
            Event::Warning { text } => format!("warning: {text}"),
            Event::Note { text } => text.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_wait_is_told_every_half_minute() {
        let mut plain = Plain::new(|| datetime!(2026-01-02 03:04:05 UTC));
        let waiting = |seconds| Event::Waiting {
            service: "mongo".to_owned(),
            what: "a writable primary".to_owned(),
            elapsed: Duration::from_secs(seconds),
            last_log_line: None,
        };
        let told: Vec<u64> = (1..100)
            .filter(|second| plain.line(&waiting(*second), false).is_some())
            .collect();
        assert_eq!(told, [30, 60, 90]);
        let ready = Event::Ready {
            service: "mongo".to_owned(),
            elapsed: Duration::from_secs(100),
        };
        assert_eq!(
            plain.line(&ready, false).unwrap(),
            "03:04:05+00 `mongo` is ready (1m40s)"
        );
    }
}
