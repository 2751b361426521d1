//! Log lines in the shape operators know from Redis, and the clock they and the server read.
//! Must not know what is logged.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const STAMP: &[BorrowedFormatItem<'_>] = format_description!(
    "[day] [month repr:short] [year] [hour]:[minute]:[second].[subsecond digits:3]"
);

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Notice,
    Warning,
}

/// Where log lines go.
pub(super) struct Journal {
    output: Mutex<Box<dyn Write + Send>>,
    process_id: u32,
}

impl Journal {
    pub(super) fn new(output: impl Write + Send + 'static) -> Self {
        Self {
            output: Mutex::new(Box::new(output)),
            process_id: std::process::id(),
        }
    }

    pub(super) fn notice(&self, text: &str) {
        self.write(Level::Notice, text);
    }

    pub(super) fn warning(&self, text: &str) {
        self.write(Level::Warning, text);
    }

    fn write(&self, level: Level, text: &str) {
        let line = line(self.process_id, now_milliseconds(), level, text);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written has nowhere to say so, and must not stop the server.
        output
            .write_all(line.as_bytes())
            .and_then(|()| output.flush())
            .ok();
    }
}

fn line(process_id: u32, now: i64, level: Level, text: &str) -> String {
    let stamp = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(STAMP).ok())
        .unwrap_or_else(|| now.to_string());
    let mark = match level {
        Level::Notice => '*',
        Level::Warning => '#',
    };
    format!("{process_id}:M {stamp} {mark} {text}\n")
}

/// Milliseconds since 1970 by the system clock.
pub(super) fn now_milliseconds() -> i64 {
    let nanoseconds = OffsetDateTime::now_utc().unix_timestamp_nanos();
    i64::try_from(nanoseconds / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_known_shape() {
        assert_eq!(
            line(
                1,
                1_795_216_696_000,
                Level::Notice,
                "Ready to accept connections tcp"
            ),
            "1:M 20 Nov 2026 23:18:16.000 * Ready to accept connections tcp\n"
        );
        assert_eq!(
            line(7, 1_795_216_696_042, Level::Warning, "text"),
            "7:M 20 Nov 2026 23:18:16.042 # text\n"
        );
    }
}
