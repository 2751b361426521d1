//! Durations as compose files write them and as Go prints them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A duration of the Compose Specification: `90s`, `1h30m`, `1.5m`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpecDuration(pub Duration);

/// The text is not a duration.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a duration; write for example `30s` or `5m`")]
pub struct DurationError(pub String);

const UNITS: [(&str, f64); 9] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
];

impl FromStr for SpecDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let refuse = || DurationError(text.to_owned());
        let mut seconds = 0.0;
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                .ok_or_else(refuse)?;
            let (number, tail) = rest.split_at(end);
            let unit_end = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let (_, factor) = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(refuse)?;
            seconds += number.parse::<f64>().map_err(|_| refuse())? * factor;
            rest = tail;
        }
        if text.is_empty() {
            return Err(refuse());
        }
        Duration::try_from_secs_f64(seconds)
            .map(Self)
            .map_err(|_| refuse())
    }
}

impl fmt::Display for SpecDuration {
    /// As Go prints it: `1m30s`, `1h0m0s`, `1.5s`, `200ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        if nanoseconds == 0 {
            return f.write_str("0s");
        }
        for (unit, scale) in [("ns", 1_u128), ("µs", 1_000), ("ms", 1_000_000)] {
            if nanoseconds < scale * 1000 {
                return write!(f, "{}{unit}", fraction(nanoseconds, scale));
            }
        }
        let seconds = self.0.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if seconds >= 60 {
            write!(f, "{minutes}m")?;
        }
        write!(
            f,
            "{}s",
            fraction(nanoseconds % 60_000_000_000, 1_000_000_000)
        )
    }
}

/// `value / scale` as a decimal number without trailing zeros.
fn fraction(value: u128, scale: u128) -> String {
    let whole = value / scale;
    let rest = value % scale;
    if rest == 0 {
        return whole.to_string();
    }
    let digits = scale.ilog10() as usize;
    format!(
        "{whole}.{}",
        format!("{rest:0digits$}").trim_end_matches('0')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        for (text, expected) in [
            ("60s", "1m0s"),
            ("1.5m", "1m30s"),
            ("1500ms", "1.5s"),
            ("1d", "24h0m0s"),
            ("1w", "168h0m0s"),
            ("1h30m", "1h30m0s"),
            ("0s", "0s"),
            ("200ms", "200ms"),
            ("10s", "10s"),
        ] {
            assert_eq!(text.parse::<SpecDuration>().unwrap().to_string(), expected);
        }
        for text in ["", "10", "s", "1x", "-1s"] {
            assert!(text.parse::<SpecDuration>().is_err(), "{text}");
        }
    }
}
