//! How numbers, lists, times and colours read. One voice for the whole program.

use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

/// Colours and symbols.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Whether colour is used.
    pub color: bool,
    /// Whether symbols beyond ASCII are used.
    pub unicode: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// For errors.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// For warnings.
    #[must_use]
    pub fn yellow(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    /// For what is well.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For what is less important.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// The mark of what is done.
    #[must_use]
    pub fn done(self) -> String {
        self.green(if self.unicode { "✓" } else { "ok" })
    }

    /// The mark of what failed.
    #[must_use]
    pub fn failed(self) -> String {
        self.red(if self.unicode { "✗" } else { "!!" })
    }
}

/// `1 step`, `2 steps`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// How many are named where there may be hundreds.
const FEW: usize = 5;

/// As [`list`], with no more than a few by name: `a, b, c, d, e and 95 others`.
#[must_use]
pub fn few(items: &[String]) -> String {
    match items.split_at_checked(FEW) {
        Some((first, rest)) if rest.len() > 1 => {
            format!("{} and {} others", first.join(", "), rest.len())
        }
        _ => list(items),
    }
}

/// What is left out of "all is ready": `, except for `a` and `b``; nothing for none.
#[must_use]
pub fn except_for(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(", except for {}", few(&names)),
    }
}

/// `0.4s`, `12s`, `4m10s`, `3h20m`, `2d4h`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `2026-01-02 03:04:05 +00:00`, in the zone that the time has.
#[must_use]
pub fn moment(at: OffsetDateTime) -> String {
    let format = format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory]:[offset_minute]"
    );
    at.format(&format).unwrap_or_default()
}

/// `812 KiB`, `13.4 MiB`, `1.5 GiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let number = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.0} KiB", number / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", number / 1_048_576.0),
        _ => format!("{:.1} GiB", number / 1_073_741_824.0),
    }
}

/// Rows with their cells below each other; a line ends with its last cell that is not empty.
#[must_use]
pub fn columns(rows: &[Vec<String>], gap: &str) -> String {
    let number = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..number).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let missing = width.saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(missing))
        });
        let line = cells.collect::<Vec<_>>().join(gap);
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// The lines that differ between two versions of a text: `- old` and `+ new`.
#[must_use]
pub fn changed_lines(old: &str, new: &str) -> Vec<String> {
    let (mut before, mut after): (Vec<&str>, Vec<&str>) =
        (old.lines().collect(), new.lines().collect());
    let same = before
        .iter()
        .zip(&after)
        .take_while(|(a, b)| a == b)
        .count();
    before.drain(..same);
    after.drain(..same);
    while before.last().is_some() && before.last() == after.last() {
        before.pop();
        after.pop();
    }
    let removed = before.into_iter().map(|line| format!("- {line}"));
    removed
        .chain(after.into_iter().map(|line| format!("+ {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_shown_old_and_new() {
        assert_eq!(changed_lines("a\nb\nc\n", "a\nx\nc\n"), ["- b", "+ x"]);
        assert_eq!(changed_lines("a\n", "a\nb\n"), ["+ b"]);
        assert_eq!(changed_lines("a\n", "a\n"), Vec::<String>::new());
    }

    #[test]
    fn numbers_read_evenly() {
        assert_eq!(count(1, "step"), "1 step");
        assert_eq!(count(0, "step"), "0 steps");
        let items = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(list(&items(&["a"])), "a");
        assert_eq!(list(&items(&["a", "b", "c"])), "a, b and c");
        assert_eq!(
            few(&items(&["a", "b", "c", "d", "e", "f"])),
            "a, b, c, d, e and f"
        );
        let many = few(&items(&["a", "b", "c", "d", "e", "f", "g"]));
        assert_eq!(many, "a, b, c, d, e and 2 others");
        assert_eq!(duration(Duration::from_millis(440)), "0.4s");
        assert_eq!(duration(Duration::from_secs(250)), "4m10s");
        assert_eq!(duration(Duration::from_secs(12_000)), "3h20m");
        assert_eq!(size(13 * 1_048_576 + 400_000), "13.4 MiB");
    }
}
