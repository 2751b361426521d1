//! Reads a file of commands back. Must not know what the commands mean.

#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;

use super::super::resp::{Limits, RequestParser};
use super::StorageError;

/// Bytes read at a time.
const CHUNK: u64 = 256 * 1024;

/// What a file held.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Recorded {
    /// Commands that were applied.
    pub(in super::super) commands: u64,
    /// Bytes cut from the end, because the command they began was never finished.
    pub(in super::super) cut: u64,
}

/// Hands every command of a file to `apply`, in order; those of a transaction only once its end
/// has been read. An unfinished end is cut off if `may_cut` is set.
///
/// # Errors
///
/// A file that cannot be read, an end that may not be cut, a command that `apply` refuses, and
/// `is_cancelled`.
pub(in super::super) fn read_recorded(
    path: &Path,
    may_cut: bool,
    is_cancelled: &dyn Fn() -> bool,
    apply: &mut dyn FnMut(&[Bytes]) -> Result<(), String>,
) -> Result<Recorded, StorageError> {
    let mut file = File::options()
        .read(true)
        .write(may_cut)
        .open(path)
        .map_err(StorageError::file("open", path))?;
    let size = file
        .metadata()
        .map_err(StorageError::file("read", path))?
        .len();
    let end = end_without_zeros(&mut file, size).map_err(StorageError::file("read", path))?;
    file.seek(SeekFrom::Start(0))
        .map_err(StorageError::file("read", path))?;

    let damaged = |offset: u64, reason: String| StorageError::Damaged {
        path: path.to_owned(),
        offset,
        reason,
    };
    let mut parser = RequestParser::of_arrays();
    let mut transaction: Option<Vec<Vec<Bytes>>> = None;
    let mut commands = 0;
    // Up to here everything has been applied.
    let mut good = 0;
    // Up to here everything has been read.
    let mut complete = 0;
    let mut position = 0;
    while position < end {
        if is_cancelled() {
            return Err(StorageError::Cancelled {
                path: path.to_owned(),
            });
        }
        let wanted = CHUNK.min(end - position);
        let mut chunk = Vec::new();
        let count = (&mut file)
            .take(wanted)
            .read_to_end(&mut chunk)
            .map_err(StorageError::file("read", path))?;
        if count == 0 {
            break;
        }
        position += count as u64;
        parser.buffer().extend_from_slice(&chunk);
        loop {
            let command = match parser.next(Limits::FULL) {
                Ok(Some(command)) => command,
                Ok(None) => break,
                Err(error) => return Err(damaged(complete, error.to_string())),
            };
            let name = command.first().map(Bytes::as_ref).unwrap_or_default();
            let begins = name.eq_ignore_ascii_case(b"MULTI");
            let ends = name.eq_ignore_ascii_case(b"EXEC");
            match &mut transaction {
                None if begins => transaction = Some(Vec::new()),
                None if ends => {
                    let reason = "the end of a transaction without a beginning";
                    return Err(damaged(complete, reason.to_owned()));
                }
                None => {
                    apply(&command).map_err(|reason| damaged(complete, reason))?;
                    commands += 1;
                }
                Some(_) if begins => {
                    let reason = "a transaction inside another";
                    return Err(damaged(complete, reason.to_owned()));
                }
                Some(waiting) if ends => {
                    for command in std::mem::take(waiting) {
                        apply(&command).map_err(|reason| damaged(good, reason))?;
                        commands += 1;
                    }
                    transaction = None;
                }
                Some(waiting) => waiting.push(command),
            }
            complete = parser.consumed();
            if transaction.is_none() {
                good = parser.consumed();
            }
        }
    }

    let cut = size.saturating_sub(good);
    if cut > 0 {
        if !may_cut {
            return Err(damaged(
                good,
                "it ends in the middle of a command".to_owned(),
            ));
        }
        file.set_len(good)
            .and_then(|()| file.sync_all())
            .map_err(StorageError::file("cut", path))?;
    }
    Ok(Recorded { commands, cut })
}

/// Where the file ends if zeros at its end are left out. A command never ends with a zero; after
/// a power failure a file system may show some in place of what was not written.
fn end_without_zeros(file: &mut File, size: u64) -> io::Result<u64> {
    let mut end = size;
    while end > 0 {
        let begin = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(begin))?;
        let mut chunk = Vec::new();
        file.take(end - begin).read_to_end(&mut chunk)?;
        if let Some(position) = chunk.iter().rposition(|byte| *byte != 0) {
            return Ok(begin + position as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}
