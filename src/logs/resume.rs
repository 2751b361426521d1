//! Goes on with a source that was read before: the same lines come once more, and those that were
//! delivered are told from those that are new.

use std::collections::{HashMap, VecDeque};

use super::Moment;
use super::overlap::{Overlap, digest};

/// A line as it is recognised: its time and a digest of its bytes.
type Mark = (Moment, u64);

/// How far back equal lines are counted, in nanoseconds. Lines of one source are nearly in order.
const KEPT: Moment = 2_000_000_000;

/// Most different lines that are counted, for sources whose lines have no time.
const MOST_KEPT: usize = 100_000;

/// Most lines without a time that are known in their order.
const MOST_RECENT: usize = 20_000;

/// What was delivered of a source.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    /// How often each of the last lines came.
    counts: HashMap<Mark, u32>,
    /// The last line.
    last: Option<Mark>,
    /// The latest time.
    latest: Moment,
    /// While lines come again: how often the last one has come.
    again: Option<u32>,
    /// The last lines in their order, as long as none has a time.
    recent: VecDeque<u64>,
}

impl Resume {
    /// The latest time of a delivered line; `None` when nothing was delivered yet.
    #[must_use]
    pub fn latest(&self) -> Option<Moment> {
        self.last.map(|_| self.latest)
    }

    /// The last lines in their order, of a source that has delivered lines and no time.
    #[must_use]
    pub fn overlap(&self) -> Option<Overlap> {
        let is_timeless = self.last.is_some() && self.latest == 0;
        is_timeless.then(|| Overlap::new(self.recent.iter().copied().collect()))
    }

    /// From now on lines come again, from one that was delivered or one before.
    pub fn begin(&mut self) {
        self.again = self.last.map(|_| 0);
    }

    /// Takes the next line and tells whether it was not delivered before.
    pub fn is_new(&mut self, time: Option<Moment>, line: &[u8]) -> bool {
        let time = time.unwrap_or(0);
        let mark = (time, digest(line));
        if let (Some(times), Some(last)) = (self.again, self.last) {
            // What is later than everything delivered is new, also if the last line is gone.
            if time <= self.latest {
                if mark == last {
                    let times = times + 1;
                    let all = self.counts.get(&last).copied().unwrap_or(1);
                    self.again = (times < all).then_some(times);
                }
                return false;
            }
            self.again = None;
        }
        if time > self.latest.saturating_add(KEPT) {
            self.counts.clear();
        }
        self.latest = self.latest.max(time);
        if self.latest > 0 {
            self.recent = VecDeque::new();
        } else {
            if self.recent.len() >= MOST_RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(mark.1);
        }
        if self.counts.len() >= MOST_KEPT {
            let latest = self.latest;
            self.counts.retain(|(time, _), _| *time >= latest - KEPT);
            if self.counts.len() >= MOST_KEPT {
                self.counts.clear();
            }
        }
        *self.counts.entry(mark).or_default() += 1;
        self.last = Some(mark);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_lines(resume: &mut Resume, lines: &[(Moment, &str)]) -> Vec<String> {
        let new = lines
            .iter()
            .filter(|(time, line)| resume.is_new(Some(*time), line.as_bytes()));
        new.map(|(_, line)| (*line).to_owned()).collect()
    }

    #[test]
    fn what_was_delivered_does_not_come_twice() {
        let mut resume = Resume::default();
        resume.begin();
        assert_eq!(
            new_lines(&mut resume, &[(1, "a"), (2, "b"), (2, "c")]).len(),
            3
        );
        resume.begin();
        let again = [(1, "a"), (2, "b"), (2, "c"), (2, "d"), (3, "e")];
        assert_eq!(new_lines(&mut resume, &again), ["d", "e"]);
    }

    #[test]
    fn equal_lines_of_one_moment_are_counted() {
        let mut resume = Resume::default();
        new_lines(&mut resume, &[(5, "x"), (5, "y"), (5, "x")]);
        resume.begin();
        let again = [(5, "x"), (5, "y"), (5, "x"), (5, "x"), (5, "y")];
        assert_eq!(new_lines(&mut resume, &again), ["x", "y"]);
    }

    #[test]
    fn a_source_that_began_anew_is_new() {
        let mut resume = Resume::default();
        new_lines(&mut resume, &[(5, "x")]);
        resume.begin();
        assert_eq!(new_lines(&mut resume, &[(6, "y"), (6, "z")]), ["y", "z"]);
    }

    #[test]
    fn lines_a_little_out_of_order_come_once() {
        let mut resume = Resume::default();
        let lines = [(10, "a"), (12, "out"), (11, "err")];
        assert_eq!(new_lines(&mut resume, &lines).len(), 3);
        resume.begin();
        assert_eq!(new_lines(&mut resume, &lines), Vec::<String>::new());
        assert_eq!(new_lines(&mut resume, &[(11, "late")]), ["late"]);
    }
}
