//! How alike two names are: what every "did you mean" of this program asks.

/// What names count that are one slip apart, and the letters of the longer one from which on that means
/// something.
const ONE_SLIP: f64 = 0.95;
const LETTERS: usize = 3;

/// What is left of a likeness that counts for small and large letters as the same.
const OTHER_CASE: f64 = 0.99;

/// How alike two names are, 0 to 1. Two that differ by one letter wrong, missing or too much, or by two
/// that are swapped, are very alike however short they are; and two that differ in small and large
/// letters almost as much as without that.
#[must_use]
pub fn of(one: &str, other: &str) -> f64 {
    let (small, other_small) = (one.to_lowercase(), other.to_lowercase());
    let as_typed = as_written(one, other);
    match small == one && other_small == other {
        true => as_typed,
        false => as_typed.max(OTHER_CASE * as_written(&small, &other_small)),
    }
}

fn as_written(one: &str, other: &str) -> f64 {
    let similarity = strsim::jaro_winkler(one, other);
    let letters = one.chars().count().max(other.chars().count());
    match letters >= LETTERS && strsim::osa_distance(one, other) == 1 {
        true => similarity.max(ONE_SLIP),
        false => similarity,
    }
}

/// The name that is most like a wanted one, when it is more like it than `similar`; of equals the last.
pub fn nearest<'a>(
    names: impl Iterator<Item = &'a str>,
    wanted: &str,
    similar: f64,
) -> Option<&'a str> {
    names
        .map(|name| (of(name, wanted), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity > similar)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_found_in_short_names_too() {
        let names = || ["web", "web-api", "redis", "mongo", "clsi"].into_iter();
        for (wanted, expected) in [
            ("wbe", Some("web")),
            ("wev", Some("web")),
            ("eb", Some("web")),
            ("weeb", Some("web")),
            ("csli", Some("clsi")),
            ("rdis", Some("redis")),
            ("monog", Some("mongo")),
            ("webapi", Some("web-api")),
            ("WEB", Some("web")),
            ("Web-Api", Some("web-api")),
            ("WBE", Some("web")),
            ("xyz", None),
            ("wxy", None),
        ] {
            assert_eq!(nearest(names(), wanted, 0.75), expected, "{wanted}");
        }
        let both = ["Web", "web"].into_iter();
        assert_eq!(nearest(both, "Web", 0.75), Some("Web"));
        assert!((of("web", "web") - 1.0).abs() < f64::EPSILON);
    }
}
