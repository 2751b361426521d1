//! Cuts what a source delivers into lines. Pieces are cut anywhere; a line is handed on with its end.

use super::Moment;
use super::moment;

/// Longest line. What is longer comes in several, so that memory has an end.
const LONGEST: usize = 1 << 20;

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Takes a piece and hands on each line that is complete with it.
    pub fn push(&mut self, mut piece: &[u8], line: &mut dyn FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let Some((complete, rest)) = piece.split_at_checked(end + 1) else {
                return;
            };
            if self.rest.is_empty() {
                line(complete);
            } else {
                self.rest.extend_from_slice(complete);
                line(&self.rest);
                self.rest.clear();
            }
            piece = rest;
        }
        self.rest.extend_from_slice(piece);
        if self.rest.len() >= LONGEST {
            line(&self.rest);
            self.rest.clear();
        }
    }

    /// Hands on what has no end.
    pub fn finish(&mut self, line: &mut dyn FnMut(&[u8])) {
        if !self.rest.is_empty() {
            line(&self.rest);
            self.rest.clear();
        }
    }
}

/// Cuts a container's output, of which each piece begins with the time of the engine, into lines. The
/// engine gives a long line in several pieces, each with a time of its own.
#[derive(Debug, Default)]
pub struct StampedSplitter {
    stamp: Option<Moment>,
    rest: Vec<u8>,
}

impl StampedSplitter {
    /// Takes a piece and hands on the line that is complete with it.
    pub fn push(&mut self, piece: &[u8], line: &mut dyn FnMut(Option<Moment>, &[u8])) {
        let (stamp, text) = match moment::stamped(piece) {
            Some((stamp, text)) => (Some(stamp), text),
            None => (None, piece),
        };
        let is_complete = text.ends_with(b"\n");
        if self.rest.is_empty() && is_complete {
            line(stamp, text);
            return;
        }
        if self.rest.is_empty() {
            self.stamp = stamp;
        }
        self.rest.extend_from_slice(text);
        if is_complete || self.rest.len() >= LONGEST {
            line(self.stamp, &self.rest);
            self.rest.clear();
        }
    }

    /// Hands on what has no end.
    pub fn finish(&mut self, line: &mut dyn FnMut(Option<Moment>, &[u8])) {
        if !self.rest.is_empty() {
            line(self.stamp, &self.rest);
            self.rest.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines_wherever_they_are_cut() {
        let text = b"one\ntwo\n\nfour";
        for length in 1..=text.len() {
            let mut splitter = Splitter::default();
            let mut lines: Vec<Vec<u8>> = Vec::new();
            let mut take = |line: &[u8]| lines.push(line.to_vec());
            for piece in text.chunks(length) {
                splitter.push(piece, &mut take);
            }
            splitter.finish(&mut take);
            assert_eq!(lines, [&b"one\n"[..], b"two\n", b"\n", b"four"], "{length}");
        }
    }

    #[test]
    fn a_long_line_of_the_engine_is_put_together() {
        let mut splitter = StampedSplitter::default();
        let mut lines = Vec::new();
        let mut take = |stamp, line: &[u8]| lines.push((stamp, line.to_vec()));
        splitter.push(b"1970-01-01T00:00:00.000000001Z a", &mut take);
        splitter.push(b"1970-01-01T00:00:00.000000002Z b\n", &mut take);
        splitter.push(b"1970-01-01T00:00:00.000000003Z c\n", &mut take);
        splitter.push(b"1970-01-01T00:00:00.000000004Z d", &mut take);
        splitter.finish(&mut take);
        let expected = [(1, "ab\n"), (3, "c\n"), (4, "d")];
        let expected = expected.map(|(stamp, line)| (Some(stamp), line.as_bytes().to_vec()));
        assert_eq!(lines, expected);
    }
}
