//! What services write about their work: lines become records with a time and a level, are chosen,
//! and come into one order.
//!
//! Pure: where lines come from is the business of `gather`, how they look that of `ui`.

pub mod assembler;
pub mod brief;
pub mod entry;
pub mod level;
pub mod merge;
pub mod moment;
pub mod overlap;
pub mod resume;
pub mod services;
pub mod splitter;

use regex::bytes::Regex;

use level::Level;

/// Nanoseconds since 1970, UTC.
pub type Moment = i64;

/// One thing that a service has said: a line with the lines that belong to it, such as a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Place of its source in the list of sources.
    pub source: usize,
    /// When it was said; that of the record before where it does not say so itself.
    pub time: Option<Moment>,
    /// Its level, where it has one.
    pub level: Option<Level>,
    /// Its lines as they were written, with their ends.
    pub text: Vec<u8>,
}

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// From this level on. What has none counts as information.
    pub level: Option<Level>,
    /// What one of its lines holds.
    pub pattern: Option<Regex>,
    /// From this moment on.
    pub since: Option<Moment>,
    /// Before this moment.
    pub until: Option<Moment>,
}

impl Filter {
    /// Whether every record passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.level.is_none()
            && self.pattern.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }

    /// Whether a record is wanted.
    #[must_use]
    pub fn passes(&self, record: &Record) -> bool {
        self.level
            .is_none_or(|least| record.level.unwrap_or(Level::INFO) >= least)
            && self
                .since
                .is_none_or(|since| record.time.is_some_and(|time| time >= since))
            && self
                .until
                .is_none_or(|until| record.time.is_none_or(|time| time < until))
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(&record.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_passes_by_level_time_and_words() {
        let record = |time, level, text: &str| Record {
            source: 0,
            time,
            level,
            text: text.as_bytes().to_vec(),
        };
        let error = record(Some(5), Some(Level::ERROR), "a\n  at b\n");
        let plain = record(None, None, "plain\n");
        let none = Filter::default();
        assert!(none.is_empty() && none.passes(&error) && none.passes(&plain));
        let level = |level| Filter {
            level: Some(level),
            ..Filter::default()
        };
        assert!(level(Level::INFO).passes(&plain));
        assert!(!level(Level::ERROR).passes(&plain));
        assert!(level(Level::ERROR).passes(&error));
        assert!(!level(Level::FATAL).passes(&error));
        let times = |since, until| Filter {
            since,
            until,
            ..Filter::default()
        };
        assert!(times(Some(5), Some(6)).passes(&error));
        assert!(!times(Some(6), None).passes(&error));
        assert!(!times(None, Some(5)).passes(&error));
        assert!(!times(Some(1), None).passes(&plain));
        let words = Filter {
            pattern: Some(Regex::new("at b").unwrap()),
            ..Filter::default()
        };
        assert!(words.passes(&error) && !words.passes(&plain));
    }
}
