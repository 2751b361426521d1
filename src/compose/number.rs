//! Plain YAML scalars as Docker Compose's YAML library (Go's yaml.v3) resolves them, and numbers as
//! Go prints them.
//!
//! Not quite YAML 1.2: octal numbers may start with `0`, digits may hold `_`, `0b101` is a number,
//! and a bare date is a point in time.

use super::node::NodeKind;

/// What a plain scalar is.
#[must_use]
pub(super) fn resolved(plain: &str) -> NodeKind {
    match plain {
        "" | "~" | "null" | "Null" | "NULL" => return NodeKind::Null,
        "true" | "True" | "TRUE" => return NodeKind::Bool(true),
        "false" | "False" | "FALSE" => return NodeKind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return NodeKind::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return NodeKind::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return NodeKind::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let starts_a_number =
        plain.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if !starts_a_number {
        return NodeKind::Text(plain.to_owned());
    }
    if let Some(time) = time(plain) {
        return NodeKind::Time(time);
    }
    let digits = plain.replace('_', "");
    if let Some(number) = integer(&digits) {
        return NodeKind::Integer(number);
    }
    if is_float(&digits)
        && let Ok(number) = digits.parse()
    {
        return NodeKind::Float(number);
    }
    NodeKind::Text(plain.to_owned())
}

/// A whole number of 64 bits in base 10, 16 (`0x`), 8 (`0o` or `0`) or 2 (`0b`).
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = if let Some(rest) = lower.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (rest, 8)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (rest, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (lower.get(1..).unwrap_or_default(), 8)
    } else {
        (lower.as_str(), 10)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if negative { -number } else { number };
    let fits = i64::try_from(number).is_ok() || u64::try_from(number).is_ok();
    (fits && !(text.starts_with('+') && number > i128::from(i64::MAX))).then_some(number)
}

/// `[-+]? ( .digits | digits [. digits?] ) ( e [-+]? digits )?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_is_sound = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && all_digits(fraction),
        Some((whole, fraction)) => all_digits(whole) && all_digits(fraction),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent_is_sound = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_is_sound && exponent_is_sound
}

/// A bare date or date with time, as Go prints a `time.Time`; `None` when it is none.
///
/// Docker Compose refuses a time almost everywhere; where it does not, this text is the value.
fn time(text: &str) -> Option<String> {
    let (date, clock) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, ""),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |part: &str, longest: usize| -> Option<u8> {
        let is_sound =
            (1..=longest).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_sound.then(|| part.parse().ok()).flatten()
    };
    let year_is_sound = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    let (month, day) = (number(month, 2)?, number(day, 2)?);
    if parts.next().is_some() || !year_is_sound {
        return None;
    }
    let month = time::Month::try_from(month).ok()?;
    let _ = time::Date::from_calendar_date(year.parse().ok()?, month, day).ok()?;
    let month = u8::from(month);
    if clock.is_empty() {
        return (date.len() == text.len())
            .then(|| format!("{year}-{month:02}-{day:02} 00:00:00 +0000 UTC"));
    }
    let end = clock
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.')))
        .unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(end);
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = whole.split(':');
    let hour = number(parts.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = number(parts.next()?, 2).filter(|minute| *minute < 60)?;
    let second = number(parts.next()?, 2).filter(|second| *second < 60)?;
    if parts.next().is_some() || !matches!(zone.trim(), "" | "Z") {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{point}{fraction} +0000 UTC"
    ))
}

/// A number as Go's `%v` prints it: the shortest digits that give the same number, with an exponent
/// below 1e-4 and from 1e6 on.
#[must_use]
pub(super) fn printed(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(plain: &str) -> String {
        super::super::node::Node::new(resolved(plain)).printed_with_containers()
    }

    /// Rows recorded from Docker Compose 2.40.3.
    #[test]
    fn plain_scalars_are_what_docker_compose_makes_of_them() {
        for (plain, expected) in [
            ("yes", "yes"),
            ("True", "true"),
            ("tRUE", "tRUE"),
            ("01", "1"),
            ("017", "15"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("+1", "1"),
            ("-0", "0"),
            ("1.0", "1"),
            ("1.10", "1.1"),
            ("1.", "1"),
            (".5", "0.5"),
            ("1e3", "1000"),
            ("1e6", "1e+06"),
            ("1e20", "1e+20"),
            ("1e21", "1e+21"),
            ("123456789.0", "1.23456789e+08"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            (".inf", "+Inf"),
            ("-.Inf", "-Inf"),
            (".nan", "NaN"),
            ("08", "8"),
            ("09.5", "9.5"),
            ("0o8", "0o8"),
            ("0b2", "0b2"),
            ("1__0", "10"),
            ("0_7", "7"),
            ("-017", "-15"),
            ("0xZ", "0xZ"),
            ("1e", "1e"),
            ("22:22", "22:22"),
            ("12345678901234567890", "12345678901234567890"),
            ("2024-01-02", "2024-01-02 00:00:00 +0000 UTC"),
            ("-", "-"),
            ("+", "+"),
            ("1.2.3", "1.2.3"),
        ] {
            assert_eq!(shown(plain), expected, "{plain}");
        }
    }
}
