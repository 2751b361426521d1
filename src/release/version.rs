//! Versions of Overleaf releases.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The version of one Overleaf release, `6.2.2`, `6.0.0-RC2` or `5.5.1-with-texlive-full`.
///
/// Ordered by its three numbers; a release candidate comes before its release. An image suffix
/// such as `-with-texlive-full` or `-ext-v4.1` does not count in the order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    suffix: String,
}

/// The text is not a version.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not an Overleaf version; write it as `6.2.2`")]
pub struct VersionError(pub String);

impl Version {
    /// A version from its three numbers, without a suffix.
    #[must_use]
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self {
            major,
            minor,
            patch,
            suffix: String::new(),
        }
    }

    /// The three numbers, for comparisons with the catalogue.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64, u64) {
        (self.major, self.minor, self.patch)
    }

    /// The version without the suffix of CEP's own images, as the images of Overleaf have it.
    #[must_use]
    pub fn upstream_tag(&self) -> String {
        let suffix = self.suffix.split("-ext-v").next().unwrap_or_default();
        format!("{}.{}.{}{suffix}", self.major, self.minor, self.patch)
    }

    /// This version with the image suffix of another one, as far as it goes with any release.
    #[must_use]
    pub fn with_suffix_of(mut self, other: &Self) -> Self {
        if other.suffix.contains(FULL_TEXLIVE) {
            FULL_TEXLIVE.clone_into(&mut self.suffix);
        }
        self
    }

    /// Whether it is a tag of CEP's own, whose suffix nobody can guess for another release.
    #[must_use]
    pub fn is_of_cep(&self) -> bool {
        self.suffix.contains("-ext-v")
    }

    /// Whether it comes before another one by its numbers, or as a candidate for it. Other suffixes
    /// have no order.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        self.rank() < other.rank()
    }

    /// What the order goes by: the numbers, a candidate before its release.
    fn rank(&self) -> ((u64, u64, u64), (u8, u64)) {
        let candidate = self.candidate().map_or((1, 0), |number| (0, number));
        (self.numbers(), candidate)
    }

    fn candidate(&self) -> Option<u64> {
        self.suffix
            .strip_prefix("-RC")
            .map(|number| number.parse().unwrap_or(0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank()
            .cmp(&other.rank())
            // Keeps the order consistent with equality; image suffixes have no order of their own.
            .then_with(|| self.suffix.cmp(&other.suffix))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}{}",
            self.major, self.minor, self.patch, self.suffix
        )
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refuse = || VersionError(text.to_owned());
        let (numbers, suffix) = match text.find('-') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let parsed: Vec<u64> = numbers
            .split('.')
            .map(|number| {
                let is_plain = !number.is_empty()
                    && number.bytes().all(|b| b.is_ascii_digit())
                    && (number == "0" || !number.starts_with('0'));
                if is_plain {
                    number.parse().map_err(|_| refuse())
                } else {
                    Err(refuse())
                }
            })
            .collect::<Result<_, _>>()?;
        let &[major, minor, patch] = parsed.as_slice() else {
            return Err(refuse());
        };
        if !(suffix.is_empty() || is_known_suffix(suffix)) {
            return Err(refuse());
        }
        Ok(Self {
            major,
            minor,
            patch,
            suffix: suffix.to_owned(),
        })
    }
}

/// Suffix of the images of Community Edition with all of TeX Live.
const FULL_TEXLIVE: &str = "-with-texlive-full";

/// Release candidates, the full TeX Live images of Community Edition, and CEP's own tags.
fn is_known_suffix(suffix: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let rest = suffix.strip_suffix(FULL_TEXLIVE).unwrap_or(suffix);
    rest.is_empty()
        || rest.strip_prefix("-RC").is_some_and(digits)
        || rest.strip_prefix("-ext-v").is_some_and(|tail| {
            !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_as_versions() {
        let ascending = [
            "4.2.9",
            "5.0.1",
            "5.0.11",
            "6.0.0-RC2",
            "6.0.0-RC12",
            "6.0.0",
            "6.2.2",
            "6.10.0",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn other_texts_are_no_versions() {
        for text in [
            "",
            "4.1",
            "6.2.2 ",
            " 6.2.2",
            "6.2.2\r",
            "6.2.x",
            "6.2.2-foo",
            "6..2",
            "-RC",
            "08.1.0",
            "6.02.2",
        ] {
            assert_eq!(text.parse::<Version>(), Err(VersionError(text.to_owned())));
        }
        assert_eq!(version("6.1.2-ext-v4.1").to_string(), "6.1.2-ext-v4.1");
        assert_eq!(version("5.0.0-RC1-with-texlive-full").numbers(), (5, 0, 0));
        assert_eq!(version("6.0.0-RC").to_string(), "6.0.0-RC");
    }

    #[test]
    fn the_images_of_overleaf_have_no_suffix_of_cep() {
        for (text, expected) in [
            ("6.2.2", "6.2.2"),
            ("6.0.0-RC2", "6.0.0-RC2"),
            ("6.2.2-with-texlive-full", "6.2.2-with-texlive-full"),
            ("6.1.2-ext-v4.1", "6.1.2"),
        ] {
            assert_eq!(version(text).upstream_tag(), expected);
        }
    }
}
