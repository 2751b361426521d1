//! Puts the lines of one source together to records: a line that has neither time nor level belongs
//! to the record before it.

use super::entry::{self, Head};
use super::level::Level;
use super::overlap::Overlap;
use super::resume::Resume;
use super::{Moment, Record};

/// Longest record. What is longer comes in several, so that memory has an end.
const LONGEST: usize = 256 << 10;

/// The lines of one source.
#[derive(Debug, Default)]
pub struct Assembler {
    source: usize,
    pending: Option<Record>,
    /// Time and level of the last line that began a record.
    last: Option<(Option<Moment>, Option<Level>)>,
    resume: Option<Resume>,
}

impl Assembler {
    /// For the source at this place of the list.
    #[must_use]
    pub fn new(source: usize) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }

    /// As `new`, for a source that may be read again: what was delivered is remembered.
    #[must_use]
    pub fn resumable(source: usize) -> Self {
        Self {
            source,
            resume: Some(Resume::default()),
            ..Self::default()
        }
    }

    /// The latest time of what was delivered; `None` when nothing was, or it is not remembered.
    #[must_use]
    pub fn latest(&self) -> Option<Moment> {
        self.resume.as_ref().and_then(Resume::latest)
    }

    /// The lines come again, from one that was delivered or one before.
    pub fn read_again(&mut self) {
        if let Some(resume) = &mut self.resume {
            resume.begin();
            // Where they begin is before what was delivered last.
            self.last = None;
        }
    }

    /// What tells new lines from delivered ones, where neither has a time; the former go to `push`.
    #[must_use]
    pub fn overlap(&self) -> Option<Overlap> {
        self.resume.as_ref().and_then(Resume::overlap)
    }

    /// Takes what was delivered to `before` as delivered: a line without a time is of its last record.
    pub fn go_on_behind(&mut self, before: Self) {
        self.resume = before.resume;
        self.last = before.last;
    }

    /// Another source takes the place of this one: nothing of it was delivered yet.
    pub fn begin_anew(&mut self) {
        self.resume = self.resume.take().map(|_| Resume::default());
        self.last = None;
    }

    /// Takes a line with its end, and the time that the engine gives it. Returns the record before,
    /// if this line begins another.
    pub fn push(&mut self, line: &[u8], stamp: Option<Moment>) -> Option<Record> {
        let head = entry::head(line);
        let (begins, time) = match stamp {
            Some(stamp) => (!goes_on(line, &head), Some(stamp)),
            None => (head.begins(), head.time),
        };
        // Before the first record of a source, and where no line has a time, each line is a record.
        let begins = begins || self.last.is_none();
        let (own_time, level) = match (begins, self.last) {
            (false, Some(last)) => (stamp.or(last.0), last.1),
            (_, last) => (time.or(last.and_then(|last| last.0)), head.level),
        };
        // A line that comes again tells the time of those that belong to it, too.
        if begins && (stamp.is_some() || head.begins()) {
            self.last = Some((own_time, level));
        }
        if let Some(resume) = &mut self.resume
            && !resume.is_new(own_time, line)
        {
            return None;
        }
        if let Some(pending) = &mut self.pending
            && !begins
            && pending.text.len() + line.len() <= LONGEST
        {
            pending.text.extend_from_slice(line);
            return None;
        }
        self.pending.replace(Record {
            source: self.source,
            time: own_time,
            level,
            text: line.to_vec(),
        })
    }

    /// Whether a record waits for further lines.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// The record that no further line belongs to.
    pub fn finish(&mut self) -> Option<Record> {
        self.pending.take()
    }
}

/// Whether a line that the engine has given a time goes on with the one before.
#[must_use]
fn goes_on(line: &[u8], head: &Head) -> bool {
    let is_indented =
        matches!(line, [b' ' | b'\t', ..]) && line.iter().any(|b| !b.is_ascii_whitespace());
    !head.begins() && (is_indented || line.starts_with(b"Caused by:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(lines: &[&str]) -> Vec<(Option<Moment>, Option<Level>, String)> {
        let mut assembler = Assembler::new(3);
        let mut found = Vec::new();
        for line in lines {
            found.extend(assembler.push(line.as_bytes(), None));
        }
        found.extend(assembler.finish());
        let parts = found.into_iter().map(|record| {
            assert_eq!(record.source, 3);
            let text = String::from_utf8(record.text).unwrap();
            (record.time, record.level, text)
        });
        parts.collect()
    }

    #[test]
    fn a_stack_belongs_to_its_error() {
        let found = records(&[
            "cut off\n",
            "1970-01-01T00:00:01Z [error] it failed\n",
            "Error: x\n",
            "  at y\n",
            "1970-01-01T00:00:02Z next\n",
        ]);
        let second = 1_000_000_000;
        let stack = "1970-01-01T00:00:01Z [error] it failed\nError: x\n  at y\n";
        assert_eq!(
            found,
            [
                (None, None, "cut off\n".to_owned()),
                (Some(second), Some(Level::ERROR), stack.to_owned()),
                (
                    Some(2 * second),
                    None,
                    "1970-01-01T00:00:02Z next\n".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn lines_without_any_time_stand_alone() {
        assert_eq!(records(&["a\n", "b\n", " c\n"]).len(), 3);
    }

    #[test]
    fn lines_of_the_engine_have_its_time_and_go_on_only_when_indented() {
        let mut assembler = Assembler::new(0);
        assert_eq!(assembler.push(b"*** Running x\n", Some(1)), None);
        let first = assembler.push(b"java.lang.Error: no\n", Some(2)).unwrap();
        assert_eq!(first.time, Some(1));
        assert_eq!(assembler.push(b"\tat a.b\n", Some(3)), None);
        let last = assembler.finish().unwrap();
        assert_eq!((last.time, last.text.len()), (Some(2), 28));
    }

    #[test]
    fn a_record_has_a_longest_length() {
        let mut assembler = Assembler::new(0);
        let mut lengths = Vec::new();
        let mut push = |line: &[u8]| {
            lengths.extend(
                assembler
                    .push(line, None)
                    .map(|record| (record.level, record.text.len())),
            );
        };
        push(b"1970-01-01T00:00:01Z [error] x\n");
        for _ in 0..40 {
            push(&[b'y'; 10_000]);
        }
        assert_eq!(lengths, [(Some(Level::ERROR), 31 + 260_000)]);
    }
}
