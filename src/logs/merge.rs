//! Brings the records of several sources into the order of their times: all of them where they have
//! an end, and those of a short while where they go on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use super::{Moment, Record};

/// Merges sources that are in order themselves. Of each, one record is held.
#[derive(Debug)]
pub struct Merge<S> {
    sources: Vec<S>,
    heads: Vec<Option<Record>>,
    order: BinaryHeap<Reverse<(Option<Moment>, usize)>>,
}

impl<S: Iterator<Item = Record>> Merge<S> {
    /// Waits for the first record of each source.
    #[must_use]
    pub fn new(sources: Vec<S>) -> Self {
        let mut merge = Self {
            heads: sources.iter().map(|_| None).collect(),
            order: BinaryHeap::new(),
            sources,
        };
        for at in 0..merge.sources.len() {
            merge.advance(at);
        }
        merge
    }

    fn advance(&mut self, at: usize) {
        let next = self.sources.get_mut(at).and_then(Iterator::next);
        if let (Some(head), Some(record)) = (self.heads.get_mut(at), next) {
            self.order.push(Reverse((record.time, at)));
            *head = Some(record);
        }
    }
}

impl<S: Iterator<Item = Record>> Iterator for Merge<S> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let Reverse((_, at)) = self.order.pop()?;
        let record = self.heads.get_mut(at)?.take();
        self.advance(at);
        record
    }
}

/// How long a record is held for earlier ones of other sources.
pub const WINDOW: Duration = Duration::from_millis(250);

/// Most bytes that are held.
const MOST_HELD: usize = 4 << 20;

/// Holds records for a short while and gives them in the order of their times.
#[derive(Debug, Default)]
pub struct Window {
    held: BTreeMap<(Option<Moment>, u64), Record>,
    arrivals: VecDeque<(Duration, (Option<Moment>, u64))>,
    bytes: usize,
    sequence: u64,
}

impl Window {
    /// Takes a record that arrives now; `now` is counted from any moment.
    pub fn push(&mut self, record: Record, now: Duration) {
        self.sequence += 1;
        let key = (record.time, self.sequence);
        self.bytes += record.text.len();
        self.arrivals.push_back((now, key));
        self.held.insert(key, record);
    }

    /// The records that were held long enough, with all that come before them.
    pub fn release(&mut self, now: Duration) -> Vec<Record> {
        let mut released = Vec::new();
        while let Some((arrived, key)) = self.arrivals.front().copied() {
            let is_due = now.saturating_sub(arrived) >= WINDOW || self.bytes > MOST_HELD;
            if !is_due && self.held.contains_key(&key) {
                break;
            }
            self.arrivals.pop_front();
            if !self.held.contains_key(&key) {
                continue;
            }
            while let Some(entry) = self.held.first_entry() {
                if *entry.key() > key {
                    break;
                }
                let record = entry.remove();
                self.bytes -= record.text.len();
                released.push(record);
            }
        }
        released
    }

    /// When the next record is due.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let (arrived, _) = self.arrivals.front()?;
        Some(*arrived + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(source: usize, time: Option<Moment>) -> Record {
        Record {
            source,
            time,
            level: None,
            text: b"x\n".to_vec(),
        }
    }

    fn times(records: impl IntoIterator<Item = Record>) -> Vec<(usize, Option<Moment>)> {
        let records = records.into_iter();
        records.map(|record| (record.source, record.time)).collect()
    }

    #[test]
    fn sources_come_in_the_order_of_their_times() {
        let source = |at: usize, times: &[i64]| {
            let records: Vec<Record> = times.iter().map(|time| record(at, Some(*time))).collect();
            records.into_iter()
        };
        let merged = Merge::new(vec![
            source(0, &[1, 4, 4]),
            source(1, &[]),
            source(2, &[2, 4, 9]),
        ]);
        let expected = [(0, 1), (2, 2), (0, 4), (0, 4), (2, 4), (2, 9)];
        assert_eq!(times(merged), expected.map(|(at, time)| (at, Some(time))));
    }

    #[test]
    fn a_source_keeps_its_own_order() {
        let records = vec![record(0, None), record(0, Some(5)), record(0, Some(3))];
        let other = vec![record(1, Some(4))];
        let merged = Merge::new(vec![records.into_iter(), other.into_iter()]);
        assert_eq!(
            times(merged),
            [(0, None), (1, Some(4)), (0, Some(5)), (0, Some(3))]
        );
    }

    #[test]
    fn a_window_holds_for_a_while_and_sorts() {
        let at = Duration::from_millis;
        let mut window = Window::default();
        window.push(record(0, Some(5)), at(0));
        window.push(record(1, Some(4)), at(100));
        window.push(record(1, Some(8)), at(200));
        assert_eq!(times(window.release(at(249))), []);
        assert_eq!(window.due(), Some(at(250)));
        assert_eq!(times(window.release(at(250))), [(1, Some(4)), (0, Some(5))]);
        assert_eq!(window.due(), Some(at(450)));
        assert_eq!(times(window.release(at(400))), []);
        assert_eq!(times(window.release(at(450))), [(1, Some(8))]);
        assert_eq!(window.due(), None);
    }

    #[test]
    fn a_window_does_not_hold_without_end() {
        let mut window = Window::default();
        let mut large = record(0, Some(1));
        large.text = vec![b'x'; MOST_HELD];
        window.push(large, Duration::ZERO);
        window.push(record(0, Some(2)), Duration::ZERO);
        assert_eq!(times(window.release(Duration::ZERO)), [(0, Some(1))]);
    }
}
