//! The terminal of this process: its size, raw mode that is undone whatever happens, and the signals
//! that concern it.

use std::io::{self, IsTerminal};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is added to the number of a signal that ends a program to get its exit code.
const BY_SIGNAL: u8 = 128;

/// Exit code of a program whose terminal goes away.
pub const HUNG_UP: u8 = BY_SIGNAL + 1;

/// Exit code of a program whose output nobody reads any more.
pub const NO_READER: u8 = BY_SIGNAL + 13;

/// Whether standard input and output are both terminals, so that a conversation can be held.
#[must_use]
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Lines and columns of the terminal on standard output; `None` without one, or while it has no size.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Raw mode: every key goes on as it is, Ctrl-C too. It ends when this goes out of scope, also by a
/// panic.
pub struct Raw {
    before: Termios,
    raw: Termios,
}

impl Raw {
    /// Puts the terminal on standard input into raw mode.
    ///
    /// # Errors
    /// The terminal cannot be set.
    pub fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        let entered = Self { before, raw };
        entered.again()?;
        Ok(entered)
    }

    /// As [`Raw::enter`], after something else has set the terminal, as a shell does that was told to
    /// go on with this process.
    ///
    /// # Errors
    /// The terminal cannot be set.
    pub fn again(&self) -> io::Result<()> {
        Ok(tcsetattr(io::stdin(), OptionalActions::Now, &self.raw)?)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// The terminal has another size.
    Resized,
    /// The process goes on after a stop.
    Continued,
    /// The process has to end.
    End {
        /// Exit code that tells why.
        exit_code: u8,
    },
}

/// The signals that concern a conversation. While this process listens, none of them ends it.
pub struct Signals {
    resized: Signal,
    continued: Signal,
    hung_up: Signal,
    interrupted: Signal,
    quit: Signal,
    terminated: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system does not let the process handle signals.
    pub fn listen() -> io::Result<Self> {
        /// SIGCONT, which has the same number on all architectures of Linux that Docker runs on.
        const CONTINUE: i32 = 18;
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            continued: signal(SignalKind::from_raw(CONTINUE))?,
            hung_up: signal(SignalKind::hangup())?,
            interrupted: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminated: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signalled {
        let number = tokio::select! {
            _ = self.resized.recv() => return Signalled::Resized,
            _ = self.continued.recv() => return Signalled::Continued,
            _ = self.hung_up.recv() => 1,
            _ = self.interrupted.recv() => 2,
            _ = self.quit.recv() => 3,
            _ = self.terminated.recv() => 15,
        };
        Signalled::End {
            exit_code: BY_SIGNAL + number,
        }
    }
}
