//! Finds where in a file of this machine the wanted records begin, from its end.

use std::fs::File;
use std::io;

use super::Wanted;
use crate::host::tail::{self, Lines};
use crate::logs::Record;
use crate::logs::entry;

/// Bytes of one record that a pattern looks at, behind its first line.
const LONGEST: usize = 4 << 20;

/// Where the first wanted record of a file begins.
pub(super) fn beginning(file: &File, end: u64, wanted: &Wanted) -> io::Result<u64> {
    let filter = &wanted.filter;
    if filter.is_empty() || (wanted.lines == Lines::All && filter.since.is_none()) {
        return tail::start_of(file, end, wanted.lines);
    }
    let most = match wanted.lines {
        Lines::All => u64::MAX,
        Lines::Last(count) => count,
    };
    let (mut first, mut found) = (end, 0);
    // Where the first line stands that begins a record, of those that were looked at.
    let mut earliest = end;
    // The lines behind one that begins a record, the last first.
    let (mut behind, mut held) = (Vec::<Vec<u8>>::new(), 0);
    if most == 0 {
        return Ok(end);
    }
    tail::backwards(file, end, &mut |at, line| {
        let head = entry::head(line);
        if !head.begins() {
            // Only a pattern looks at them.
            if filter.pattern.is_some() && held + line.len() <= LONGEST {
                held += line.len();
                behind.push(line.to_vec());
            }
            return true;
        }
        earliest = at;
        if filter
            .since
            .is_some_and(|since| head.time.is_some_and(|time| time < since))
        {
            found = most;
            return false;
        }
        let mut text = line.to_vec();
        held = 0;
        behind.drain(..).rev().for_each(|line| text.extend(line));
        let record = Record {
            source: 0,
            time: head.time,
            level: head.level,
            text,
        };
        if filter.passes(&record) {
            first = at;
            found += 1;
        }
        found < most
    })?;
    // What has no time is of no time that is asked for.
    if found == most || filter.since.is_some() {
        return Ok(first);
    }
    // Before the first line that tells something of itself, each is a record.
    tail::backwards(file, earliest, &mut |at, line| {
        let record = Record {
            source: 0,
            time: None,
            level: None,
            text: line.to_vec(),
        };
        if filter.passes(&record) {
            first = at;
            found += 1;
        }
        found < most
    })?;
    Ok(first)
}
