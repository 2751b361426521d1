//! Sizes as compose files write them: `512m`, `1.5G`, `1kib`, or a number of bytes.

/// Bytes of a size; units are powers of 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let letter = match unit.as_str() {
        "" | "b" => "",
        unit => unit
            .strip_suffix("ib")
            .or(unit.strip_suffix('b'))
            .unwrap_or(unit),
    };
    let power = ["", "k", "m", "g", "t", "p"]
        .iter()
        .position(|known| *known == letter)?;
    let number: f64 = number.parse().ok()?;
    let factor = (0..power).fold(1.0, |factor, _| factor * 1024.0);
    let bytes = (number * factor).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number within range"
    )]
    (0.0..9.0e18).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_docker_compose_makes_of_them() {
        for (text, expected) in [
            ("512m", Some(536_870_912)),
            ("1.5G", Some(1_610_612_736)),
            ("1024", Some(1024)),
            ("1kib", Some(1024)),
            ("64mb", Some(67_108_864)),
            ("1.5gb", Some(1_610_612_736)),
            ("5b", Some(5)),
            ("x", None),
            ("", None),
            ("5 parsecs", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
