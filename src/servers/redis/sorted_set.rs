//! Members ordered by score, then by name. Knows nothing of commands.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bytes::Bytes;

use super::dictionary::Dictionary;

/// A score: any floating-point number but "not a number". Both zeros are one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score(f64);

impl Eq for Score {}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Score {
    /// A score, unless `value` is not a number.
    pub(super) fn new(value: f64) -> Option<Self> {
        (!value.is_nan()).then_some(Self(value + 0.0))
    }

    pub(super) fn value(self) -> f64 {
        self.0
    }

    /// The shortest text that reads back as the same number.
    pub(super) fn to_text(self) -> String {
        let value = self.0;
        if value.is_infinite() {
            return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
        }
        let size = value.abs();
        if size != 0.0 && !(1e-5..1e21).contains(&size) {
            let text = format!("{value:e}");
            return if text.contains("e-") {
                text
            } else {
                text.replace('e', "e+")
            };
        }
        value.to_string()
    }
}

/// One end of a range of scores.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScoreLimit {
    pub(super) score: Score,
    pub(super) is_exclusive: bool,
}

/// A set whose members have scores.
#[derive(Debug, Clone, Default)]
pub(super) struct SortedSet {
    scores: Dictionary<Score>,
    order: BTreeSet<(Score, Bytes)>,
}

impl SortedSet {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn score(&self, member: &Bytes) -> Option<Score> {
        self.scores.value(member).copied()
    }

    pub(super) fn insert(&mut self, member: &Bytes, score: Score) {
        if let Some(previous) = self.scores.insert(member, score) {
            self.order.remove(&(previous, member.clone()));
        }
        self.order.insert((score, member.clone()));
    }

    /// Takes a member out; whether it was there.
    pub(super) fn remove(&mut self, member: &Bytes) -> bool {
        match self.scores.remove(member) {
            Some(score) => self.order.remove(&(score, member.clone())),
            None => false,
        }
    }

    /// All members in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Score, Bytes)> {
        self.order.iter()
    }

    /// The members between two scores, in order.
    pub(super) fn between(
        &self,
        low: ScoreLimit,
        high: ScoreLimit,
    ) -> impl Iterator<Item = &(Score, Bytes)> {
        self.order
            .range((low.score, Bytes::new())..)
            .skip_while(move |(score, _)| low.is_exclusive && *score == low.score)
            .take_while(move |(score, _)| {
                *score < high.score || (*score == high.score && !high.is_exclusive)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_read_back_as_written() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (-2.5, "-2.5"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (1_790_000_000_123.0, "1790000000123"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, expected) in cases {
            let text = Score::new(value).unwrap().to_text();
            assert_eq!(text, expected);
            assert_eq!(text.parse::<f64>().unwrap(), value);
        }
        assert_eq!(Score::new(f64::NAN), None);
    }
}
