//! Reads what arguments say: numbers, times, ranges, option words. Must not know commands.

use std::ops::Range;

use bytes::Bytes;

use super::super::database::DatabaseIndex;
use super::super::sorted_set::{Score, ScoreLimit};
use super::Refusal;

/// Milliseconds in a second.
pub(super) const SECOND: i64 = 1_000;

/// The argument of a command that has one.
pub(super) fn only(arguments: &[Bytes]) -> Result<&Bytes, Refusal> {
    match arguments {
        [argument] => Ok(argument),
        _ => Err(Refusal::Syntax),
    }
}

/// The first argument and those after it.
pub(super) fn first(arguments: &[Bytes]) -> Result<(&Bytes, &[Bytes]), Refusal> {
    arguments.split_first().ok_or(Refusal::Syntax)
}

/// Both arguments of a command that has two.
pub(super) fn pair(arguments: &[Bytes]) -> Result<(&Bytes, &Bytes), Refusal> {
    match arguments {
        [first, second] => Ok((first, second)),
        _ => Err(Refusal::Syntax),
    }
}

/// The arguments of a command that has three.
pub(super) fn triple(arguments: &[Bytes]) -> Result<(&Bytes, &Bytes, &Bytes), Refusal> {
    match arguments {
        [first, second, third] => Ok((first, second, third)),
        _ => Err(Refusal::Syntax),
    }
}

/// The arguments two by two; the refusal if one is left.
pub(super) fn pairs<'a>(
    arguments: &'a [Bytes],
    command: &str,
) -> Result<Vec<(&'a Bytes, &'a Bytes)>, Refusal> {
    arguments
        .chunks(2)
        .map(|chunk| {
            pair(chunk).map_err(|_| Refusal::ArgumentCount {
                command: command.to_owned(),
            })
        })
        .collect()
}

/// The upper-case form of an option word.
pub(super) fn word(argument: &[u8]) -> String {
    String::from_utf8_lossy(argument).to_ascii_uppercase()
}

/// A whole number in its only form: no sign but a minus, no leading zero, no space.
pub(super) fn integer(argument: &Bytes) -> Result<i64, Refusal> {
    plain_integer(argument).ok_or(Refusal::NotInteger)
}

/// See [`integer`].
pub(super) fn plain_integer(argument: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(argument).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A whole number that is zero or more.
pub(super) fn count(argument: &Bytes) -> Result<usize, Refusal> {
    plain_integer(argument)
        .and_then(|number| usize::try_from(number).ok())
        .ok_or(Refusal::NotPositive)
}

/// The number of a database.
pub(super) fn database_index(number: i64) -> Result<DatabaseIndex, Refusal> {
    DatabaseIndex::new(number).ok_or(Refusal::DatabaseIndex)
}

/// A score.
pub(super) fn score(argument: &[u8]) -> Option<Score> {
    let text = std::str::from_utf8(argument).ok()?;
    Score::new(text.parse().ok()?)
}

/// One end of a range of scores: a round bracket in front leaves the score itself out.
pub(super) fn score_limit(argument: &Bytes) -> Result<ScoreLimit, Refusal> {
    let (text, is_exclusive) = match argument.strip_prefix(b"(") {
        Some(text) => (text, true),
        None => (argument.as_ref(), false),
    };
    Ok(ScoreLimit {
        score: score(text).ok_or(Refusal::NotScoreRange)?,
        is_exclusive,
    })
}

/// The point in time `amount` units after `base`, in milliseconds; `None` beyond all times.
pub(super) fn moment(amount: i64, unit: i64, base: i64) -> Option<i64> {
    amount.checked_mul(unit)?.checked_add(base)
}

/// The positions from `start` to `stop` (both included, negative ones count from the end) in
/// something of `length` elements.
pub(super) fn span(start: &Bytes, stop: &Bytes, length: usize) -> Result<Range<usize>, Refusal> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_end = |position: i64| {
        if position < 0 {
            position.saturating_add(length)
        } else {
            position
        }
    };
    let start = from_end(integer(start)?).max(0);
    let stop = from_end(integer(stop)?).min(length - 1);
    if start > stop {
        return Ok(0..0);
    }
    let start = usize::try_from(start).unwrap_or(0);
    let stop = usize::try_from(stop).unwrap_or(0);
    Ok(start..stop + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.to_owned())
    }

    #[test]
    fn integers_have_one_form() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("+1", None),
            ("01", None),
            ("-0", None),
            (" 1", None),
            ("1.0", None),
            ("", None),
        ] {
            assert_eq!(plain_integer(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn spans_stay_inside() {
        for (start, stop, length, expected) in [
            ("0", "-1", 3, 0..3),
            ("0", "0", 3, 0..1),
            ("-2", "-1", 3, 1..3),
            ("-100", "100", 3, 0..3),
            ("2", "1", 3, 0..0),
            ("5", "9", 3, 0..0),
            ("0", "-1", 0, 0..0),
            ("-9223372036854775808", "9223372036854775807", 2, 0..2),
        ] {
            assert_eq!(
                span(&bytes(start), &bytes(stop), length),
                Ok(expected),
                "{start} {stop} of {length}"
            );
        }
    }

    #[test]
    fn scores_are_numbers() {
        for (text, expected) in [
            ("1.5", Some(1.5)),
            ("+inf", Some(f64::INFINITY)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("1e3", Some(1_000.0)),
            ("nan", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(score(text.as_bytes()).map(Score::value), expected, "{text}");
        }
    }
}
