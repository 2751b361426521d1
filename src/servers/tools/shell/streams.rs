//! The three streams of a command, and those of the shell itself.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::words::{Redirect, Target, Word};

/// The streams of one command.
pub(super) struct Streams {
    pub(super) input: OwnedFd,
    pub(super) output: OwnedFd,
    pub(super) error: OwnedFd,
}

impl Streams {
    /// Those of the shell, redirected in the order in which it is said.
    pub(super) fn new(
        redirects: &[Redirect],
        file_name: impl Fn(&Word) -> String,
    ) -> Result<Self, String> {
        let own = |stream: BorrowedFd<'_>| {
            let copy = stream.try_clone_to_owned();
            copy.map_err(|error| error.to_string())
        };
        let mut streams = Self {
            input: own(std::io::stdin().as_fd())?,
            output: own(std::io::stdout().as_fd())?,
            error: own(std::io::stderr().as_fd())?,
        };
        for redirect in redirects {
            let opened = match &redirect.target {
                Target::Read(word) => open(OpenOptions::new().read(true), &file_name(word))?,
                Target::Write(word) => {
                    let mut how = OpenOptions::new();
                    how.write(true).create(true).truncate(true);
                    open(&how, &file_name(word))?
                }
                Target::Append(word) => {
                    let mut how = OpenOptions::new();
                    how.append(true).create(true);
                    open(&how, &file_name(word))?
                }
                Target::Same(other) => own(streams.numbered(*other).as_fd())?,
            };
            *streams.numbered(redirect.stream) = opened;
        }
        Ok(streams)
    }

    fn numbered(&mut self, number: u8) -> &mut OwnedFd {
        match number {
            0 => &mut self.input,
            1 => &mut self.output,
            _ => &mut self.error,
        }
    }
}

fn open(how: &OpenOptions, path: &str) -> Result<OwnedFd, String> {
    let opened = how.open(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(opened.into())
}

/// The input of the shell, without a buffer that would keep what is meant for a program.
pub(super) fn input() -> Option<File> {
    let copy = std::io::stdin().as_fd().try_clone_to_owned();
    copy.ok().map(File::from)
}

/// Writes a prompt to standard error, as real shells do.
pub(super) fn say(text: &str) {
    let mut error = std::io::stderr().lock();
    // A terminal that is gone shows in the next read.
    let _ = error.write_all(text.as_bytes());
}
