//! How long a wait may last: in all, and in each phase. The phases' times are in `lib/phases.toml`.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::observed::lack::Phase;

const PHASES_TOML: &str = include_str!("../../../lib/phases.toml");

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    phase: String,
    service: Option<String>,
    seconds: u64,
    #[serde(default)]
    progress: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    total: u64,
    phase: Vec<Row>,
}

/// The deadlines of one wait.
#[derive(Debug)]
pub(super) struct Deadlines {
    total: Instant,
    patience: Duration,
    standard: Duration,
    rows: Vec<Row>,
    current: Option<Current>,
    progress: Option<String>,
}

#[derive(Debug)]
struct Current {
    phase: Phase,
    begun: Instant,
    row: Option<Row>,
}

impl Deadlines {
    /// Those of a service, from now on.
    pub(super) fn of(service: &str, patience: Duration) -> Self {
        // A test loads the embedded file; without it there would be the total only.
        let file: File = toml::from_str(PHASES_TOML).unwrap_or_default();
        let fits = |row: &Row| row.service.as_ref().is_none_or(|of| of == service);
        Self {
            total: Instant::now() + patience,
            patience,
            standard: Duration::from_secs(file.total),
            rows: file.phase.into_iter().filter(fits).collect(),
            current: None,
            progress: None,
        }
    }

    /// Says which phase the service is in.
    pub(super) fn enter(&mut self, phase: Phase) {
        if self.current.as_ref().is_some_and(|now| now.phase == phase) {
            return;
        }
        let mut rows = self.rows.iter();
        let row = rows.find(|row| row.phase == phase.word()).cloned();
        self.current = Some(Current {
            phase,
            begun: Instant::now(),
            row,
        });
    }

    /// Lets the phase begin anew when the log has a line that shows progress and was not there at
    /// the last look.
    pub(super) fn hear(&mut self, log: &[String]) {
        let Some(current) = &mut self.current else {
            return;
        };
        let signs = current.row.iter().flat_map(|row| &row.progress);
        let signs: Vec<&String> = signs.collect();
        let shows = |line: &&String| signs.iter().any(|sign| line.contains(sign.as_str()));
        let newest = log.iter().rev().find(shows);
        if let Some(newest) = newest
            && self.progress.as_ref() != Some(newest)
        {
            self.progress = Some(newest.clone());
            current.begun = Instant::now();
        }
    }

    /// When the next one passes.
    pub(super) fn next(&self) -> Instant {
        let phase = self.current.as_ref().and_then(|now| {
            let allowed = self.stretched(now.row.as_ref()?.seconds);
            Some(now.begun + allowed)
        });
        phase.map_or(self.total, |phase| phase.min(self.total))
    }

    /// Whether one has passed.
    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.next()
    }

    /// A patience beyond the standard one stretches every phase.
    fn stretched(&self, seconds: u64) -> Duration {
        let allowed = Duration::from_secs(seconds);
        if self.patience <= self.standard || self.standard.is_zero() {
            return allowed;
        }
        allowed.mul_f64(self.patience.as_secs_f64() / self.standard.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(deadlines: &Deadlines) -> u64 {
        // The moment of the test lies a little after the one at which the phase began.
        (deadlines.next() - Instant::now()).as_secs() + 1
    }

    #[test]
    fn the_shipped_rows_load() {
        let file: File = toml::from_str(PHASES_TOML).unwrap();
        assert!(file.total > 0);
        for row in &file.phase {
            let known = [
                Phase::Start,
                Phase::Health,
                Phase::Answer,
                Phase::Configuration,
            ];
            assert!(known.iter().any(|phase| phase.word() == row.phase));
        }
    }

    #[test]
    fn phases_are_cut_off_by_the_total_and_stretched_with_it() {
        for (patience, phase, expected) in [
            (600, Phase::Start, 60),
            (600, Phase::Health, 240),
            (30, Phase::Health, 30),
            (1200, Phase::Start, 120),
            (600, Phase::End, 600),
        ] {
            let mut deadlines = Deadlines::of("mongo", Duration::from_secs(patience));
            deadlines.enter(phase);
            assert_eq!(left(&deadlines), expected, "{patience} {phase:?}");
        }
    }

    #[test]
    fn only_new_lines_about_progress_begin_a_phase_anew() {
        let mut deadlines = Deadlines::of("mongo", Duration::from_secs(600));
        deadlines.enter(Phase::Health);
        let begun = |deadlines: &Deadlines| deadlines.current.as_ref().unwrap().begun;
        let recovery = r#"{"s":"I","c":"WTRECOV","msg":"WiredTiger message"}"#.to_owned();
        let noise = r#"{"s":"I","c":"NETWORK","msg":"Connection accepted"}"#.to_owned();
        let first = begun(&deadlines);
        deadlines.hear(std::slice::from_ref(&noise));
        assert_eq!(begun(&deadlines), first);
        deadlines.hear(&[recovery.clone(), noise.clone()]);
        let second = begun(&deadlines);
        assert!(second > first);
        deadlines.hear(&[recovery, noise]);
        assert_eq!(begun(&deadlines), second);
    }
}
