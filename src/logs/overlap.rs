//! Goes on with a source whose lines have no time: its last lines come once more, and what stands
//! behind the ones that were delivered is new.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What a line is recognised by.
#[must_use]
pub fn digest(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

/// Lines that come again, of which some may be new.
#[derive(Debug, Default)]
pub struct Overlap {
    /// The last lines that were delivered.
    known: Vec<u64>,
    /// The lines that came, as long as it is not clear which of them are new.
    digests: Vec<u64>,
    held: Vec<Vec<u8>>,
}

impl Overlap {
    /// The digests of the last lines that were delivered: all of the source, or as many as come again
    /// at least.
    #[must_use]
    pub fn new(known: Vec<u64>) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// Takes the next line, and hands on those that are new as soon as that is clear.
    pub fn push(&mut self, line: &[u8], new: &mut dyn FnMut(&[u8])) {
        if self.known.is_empty() {
            new(line);
            return;
        }
        self.digests.push(digest(line));
        self.held.push(line.to_vec());
        if self.held.len() == self.known.len() {
            self.settle(new);
        }
    }

    /// How many delivered lines are known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Whether lines are held.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// No further line comes for now. What differs from everything that was delivered is new.
    pub fn pause(&mut self, new: &mut dyn FnMut(&[u8])) {
        let mut places = self.known.windows(self.digests.len().max(1));
        if self.is_waiting() && !places.any(|known| known == self.digests) {
            self.settle(new);
        }
    }

    /// The delivered lines end where most of them are found; without any of them all is new.
    fn settle(&mut self, new: &mut dyn FnMut(&[u8])) {
        let lengths = (1..=self.known.len().min(self.digests.len())).rev();
        let mut lengths = lengths.filter(|length| {
            let end = self.known.get(self.known.len() - length..);
            end == self.digests.get(..*length)
        });
        let old = lengths.next().unwrap_or(0);
        self.held.drain(..).skip(old).for_each(|line| new(&line));
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is new of lines, each a letter, when these were delivered.
    fn new(known: &str, lines: &str) -> String {
        let known = known.bytes().map(|letter| digest(&[letter])).collect();
        let (mut overlap, mut found) = (Overlap::new(known), Vec::new());
        let mut take = |line: &[u8]| found.extend_from_slice(line);
        for letter in lines.bytes() {
            overlap.push(&[letter], &mut take);
        }
        overlap.pause(&mut take);
        String::from_utf8(found).unwrap()
    }

    #[test]
    fn what_stands_behind_the_delivered_lines_is_new() {
        for (known, lines, expected) in [
            ("", "abc", "abc"),
            ("abc", "abc", ""),
            ("abc", "abcd", "d"),
            ("abc", "bcd", "d"),
            // Equal lines are counted.
            ("aaa", "aaaa", "a"),
            ("abab", "ababab", "ab"),
            ("abab", "baba", "a"),
            // Another file.
            ("abc", "xyz", "xyz"),
            ("abc", "x", "x"),
            ("abc", "abx", "abx"),
            // Not clear yet.
            ("abc", "ab", ""),
        ] {
            assert_eq!(new(known, lines), expected, "{known} {lines}");
        }
    }
}
