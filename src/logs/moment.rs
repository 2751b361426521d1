//! Times: those that lines begin with, and those that a person asks for.

use std::time::Duration;

use thiserror::Error;
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use super::Moment;

const NANOSECONDS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// The text is not a time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is no time; write a duration back from now (`2h`), a local time (`18:00`, `2026-01-31`, `2026-01-31 18:00`) or RFC 3339"
)]
pub struct MomentError(pub String);

/// The moment of a time.
#[must_use]
pub fn of(time: OffsetDateTime) -> Moment {
    i64::try_from(time.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

/// The time of a moment, in UTC.
#[must_use]
pub fn to_time(moment: Moment) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The moment that a person means. `now` has the zone of the person; `age` understands durations.
///
/// # Errors
/// It is none of the forms.
pub fn asked(
    text: &str,
    now: OffsetDateTime,
    age: impl Fn(&str) -> Option<Duration>,
) -> Result<Moment, MomentError> {
    let refuse = || MomentError(text.to_owned());
    let text = text.trim();
    if let Some(age) = age(text) {
        let age = i64::try_from(age.as_nanos()).map_err(|_| refuse())?;
        return Ok(of(now).saturating_sub(age));
    }
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(of(time));
    }
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (Some(date), Some(clock)),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let day = match date {
        Some(date) => day(date).ok_or_else(refuse)?,
        None => now.date(),
    };
    let clock = match clock {
        Some(clock) => time_of_day(clock).ok_or_else(refuse)?,
        None => Time::MIDNIGHT,
    };
    Ok(of(day.with_time(clock).assume_offset(now.offset())))
}

fn day(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let mut part = || parts.next()?.parse::<u16>().ok();
    let (year, month, day) = (part()?, part()?, part()?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
}

fn time_of_day(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = match parts.next() {
        Some(text) => text.parse().ok()?,
        None => 0,
    };
    Time::from_hms(hour, minute, second).ok()
}

/// Reads digits and separators of a line one after the other.
pub(super) struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A number of exactly so many digits.
    pub(super) fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        self.rest = rest;
        Some(number)
    }

    /// One of these bytes.
    pub(super) fn byte(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        if !allowed.contains(first) {
            return None;
        }
        self.rest = rest;
        Some(*first)
    }

    /// The short English name of a month, as its number.
    pub(super) fn month(&mut self) -> Option<i64> {
        const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let (name, rest) = self.rest.split_at_checked(3)?;
        let at = MONTHS.chunks(3).position(|month| month == name)?;
        self.rest = rest;
        i64::try_from(at + 1).ok()
    }

    /// `HH:MM:SS` with an optional fraction behind a point or a comma, in nanoseconds.
    pub(super) fn clock(&mut self) -> Option<i64> {
        let hours = self.digits(2)?;
        self.byte(b":")?;
        let minutes = self.digits(2)?;
        self.byte(b":")?;
        let seconds = self.digits(2)?;
        let mut nanoseconds = 0;
        if self.byte(b".,").is_some() {
            let mut worth = NANOSECONDS / 10;
            while let Some(digit) = self.digits(1) {
                nanoseconds += digit * worth;
                worth /= 10;
            }
        }
        if hours > 23 || minutes > 59 || seconds > 60 {
            return None;
        }
        Some((hours * 3600 + minutes * 60 + seconds) * NANOSECONDS + nanoseconds)
    }

    /// `Z`, `+HH:MM`, `+HHMM`, or nothing, which means UTC; in nanoseconds.
    pub(super) fn zone(&mut self) -> Option<i64> {
        let sign = match self.byte(b"Z+-") {
            None | Some(b'Z') => return Some(0),
            Some(b'-') => -1,
            Some(_) => 1,
        };
        let hours = self.digits(2)?;
        // The colon is left out by some.
        let _ = self.byte(b":");
        let minutes = self.digits(2)?;
        Some(sign * (hours * 3600 + minutes * 60) * NANOSECONDS)
    }

    /// A time as RFC 3339 and its relatives write it; `separator` stands between year, month and day.
    pub(super) fn moment(&mut self, separator: u8) -> Option<Moment> {
        let year = self.digits(4)?;
        self.byte(&[separator])?;
        let month = self.digits(2)?;
        self.byte(&[separator])?;
        let day = self.digits(2)?;
        self.byte(b"T ")?;
        let clock = self.clock()?;
        let zone = self.zone()?;
        combined(year, month, day, clock, zone)
    }
}

/// The moment of a day and a clock.
pub(super) fn combined(year: i64, month: i64, day: i64, clock: i64, zone: i64) -> Option<Moment> {
    if !(1970..2260).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 with the year beginning in March, so that the leap day is its last.
    let shifted = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = shifted / 4 - shifted / 100 + shifted / 400;
    let days = shifted * 365 + leap_days + day_of_year - 719_468;
    Some(days * DAY * NANOSECONDS + clock - zone)
}

/// Writes the time of a moment in a zone as people read it: `2026-11-21 18:41:40.500`.
pub fn write_local(moment: Moment, zone: UtcOffset, text: &mut Vec<u8>) {
    let seconds = moment.div_euclid(NANOSECONDS) + i64::from(zone.whole_seconds());
    let milliseconds = moment.rem_euclid(NANOSECONDS) / 1_000_000;
    let (days, clock) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    // As in `combined`: the year begins in March, in an era of 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let mut digits = |number: i64, worth: i64, behind: &[u8]| {
        let mut worth = worth;
        while worth > 0 {
            // A digit is less than ten.
            text.push(b'0' + u8::try_from(number / worth % 10).unwrap_or(0));
            worth /= 10;
        }
        text.extend_from_slice(behind);
    };
    digits(year, 1000, b"-");
    digits(month, 10, b"-");
    digits(day, 10, b" ");
    digits(clock / 3600, 10, b":");
    digits(clock / 60 % 60, 10, b":");
    digits(clock % 60, 10, b".");
    digits(milliseconds, 100, b"");
}

/// The time that the engine puts before a line, and where the line begins.
#[must_use]
pub fn stamped(piece: &[u8]) -> Option<(Moment, &[u8])> {
    let mut scanner = Scanner::new(piece);
    let moment = scanner.moment(b'-')?;
    scanner.byte(b" ")?;
    Some((moment, scanner.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn hours(text: &str) -> Option<Duration> {
        let hours = text.strip_suffix('h')?.parse::<u64>().ok()?;
        Some(Duration::from_secs(hours * 3600))
    }

    #[test]
    fn a_person_asks_in_several_forms() {
        let now = datetime!(2026-11-21 18:30:00 +2);
        for (text, expected) in [
            ("2h", datetime!(2026-11-21 16:30:00 +2)),
            ("2026-11-20T10:00:00Z", datetime!(2026-11-20 10:00 UTC)),
            ("2026-11-20", datetime!(2026-11-20 00:00 +2)),
            ("2026-11-20 10:15", datetime!(2026-11-20 10:15 +2)),
            ("2026-11-20T10:15:07", datetime!(2026-11-20 10:15:07 +2)),
            ("09:05", datetime!(2026-11-21 09:05 +2)),
        ] {
            assert_eq!(asked(text, now, hours), Ok(of(expected)), "{text}");
        }
        for text in ["", "noon", "2026-13-01", "25:00", "2026-11-20 x"] {
            assert_eq!(
                asked(text, now, hours),
                Err(MomentError(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_local_time_is_written_as_the_calendar_has_it() {
        let form = time::macros::format_description!(
            version = 2,
            "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]"
        );
        for zone in [-43_200, -1, 0, 7200, 20_700] {
            let zone = UtcOffset::from_whole_seconds(zone).unwrap();
            // All kinds of days, some before 1970.
            for number in -500..4000_i64 {
                let moment = number * 2_203_199_876_543_210;
                let mut text = Vec::new();
                write_local(moment, zone, &mut text);
                let expected = to_time(moment).to_offset(zone).format(form).unwrap();
                assert_eq!(String::from_utf8(text).unwrap(), expected);
            }
        }
    }

    #[test]
    fn days_are_counted_as_the_calendar_has_them() {
        for time in [
            datetime!(1970-01-01 00:00 UTC),
            datetime!(2000-02-29 12:00 UTC),
            datetime!(2026-11-21 23:59:59.123456789 UTC),
            datetime!(2100-03-01 00:00 UTC),
        ] {
            let text = time.format(&Rfc3339).unwrap();
            let line = format!("{text} rest");
            let (moment, rest) = stamped(line.as_bytes()).unwrap();
            assert_eq!(moment, of(time), "{text}");
            assert_eq!(rest, b"rest");
            assert_eq!(to_time(moment), time);
        }
        let zoned = stamped(b"2026-11-21T01:00:00+02:00 x").unwrap().0;
        assert_eq!(zoned, of(datetime!(2026-11-20 23:00 UTC)));
        assert_eq!(stamped(b"2026-11-21 x"), None);
        assert_eq!(stamped(b""), None);
    }
}
