//! Versions of servers and kernels: numbers with dots, of any length.

/// A version. `8` stands for the newest `8.x`, `8.0` for the newest `8.0.x`: two versions compare
/// equal where one begins with the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dotted(Vec<u64>);

impl Dotted {
    /// The version at the beginning of a text such as `8.0.4-noble` or `v7.0`; `None` when it
    /// begins with no number.
    pub(super) fn at_start(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
        let numbers = text.get(..end.unwrap_or(text.len()))?;
        let numbers: Option<Vec<u64>> = numbers
            .trim_end_matches('.')
            .split('.')
            .map(|number| number.parse().ok())
            .collect();
        numbers.filter(|numbers| !numbers.is_empty()).map(Self)
    }

    /// Whether it comes before another, as far as both say.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        let decided = pairs
            .map(|(one, two)| one.cmp(two))
            .find(|order| order.is_ne());
        decided.is_some_and(std::cmp::Ordering::is_lt)
    }
}

/// As [`Dotted::is_below`], for texts; `None` when one of them is no version.
pub(super) fn is_below(version: &str, limit: &str) -> Option<bool> {
    let (version, limit) = (Dotted::at_start(version)?, Dotted::at_start(limit)?);
    Some(version.is_below(&limit))
}

/// The place of a version in a rising list of release series: the last that is not above it.
pub(super) fn place_in<'a>(version: &str, series: impl Iterator<Item = &'a str>) -> Option<usize> {
    let version = Dotted::at_start(version)?;
    let parsed: Vec<Dotted> = series.filter_map(Dotted::at_start).collect();
    parsed.iter().rposition(|start| !version.is_below(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_far_as_both_say() {
        for (version, limit, expected) in [
            ("8.0.4-noble", "8.0", Some(false)),
            ("8", "8.0.5", Some(false)),
            ("7.0", "8.0", Some(true)),
            ("10.0", "9.9", Some(false)),
            ("6.18.44-fc", "6.19", Some(true)),
            ("7.0.0-30-generic", "7.0.14", Some(true)),
            ("v1.2", "1.10", Some(true)),
            ("latest", "8.0", None),
            ("", "8.0", None),
            ("8..0", "8.0", None),
        ] {
            assert_eq!(is_below(version, limit), expected, "{version} {limit}");
        }
    }

    #[test]
    fn a_version_has_its_place_in_the_series() {
        let place = |version| {
            place_in(
                version,
                ["4.4", "5.0", "6.0", "7.0", "8.0", "8.2"].into_iter(),
            )
        };
        assert_eq!(place("4.4.29"), Some(0));
        assert_eq!(place("5.3.1"), Some(1));
        assert_eq!(place("8.0.4"), Some(4));
        assert_eq!(place("8"), Some(5));
        assert_eq!(place("3.6"), None);
    }
}
