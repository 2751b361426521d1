//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What the operator asked for so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// Stop at the next safe point.
    Stop {
        /// Exit code that tells it: 130 after Ctrl-C, 143 after SIGTERM.
        exit_code: u8,
    },
    /// Stop now, wherever the work is.
    StopNow {
        /// Exit code, as above.
        exit_code: u8,
    },
}

/// Tells work in progress that the operator wants it to stop.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<Asked>);

impl Interrupt {
    /// Listens to SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// The system does not let the process handle signals.
    pub fn listen() -> std::io::Result<Self> {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let (sender, receiver) = watch::channel(Asked::Nothing);
        tokio::spawn(async move {
            loop {
                let exit_code = tokio::select! {
                    _ = interrupted.recv() => 130,
                    _ = terminated.recv() => 143,
                };
                sender.send_modify(|asked| {
                    *asked = match *asked {
                        Asked::Nothing => Asked::Stop { exit_code },
                        _ => Asked::StopNow { exit_code },
                    };
                });
            }
        });
        Ok(Self(receiver))
    }

    /// One that never comes; for work that nobody can interrupt.
    #[must_use]
    pub fn never() -> Self {
        Self(watch::channel(Asked::Nothing).1)
    }

    /// Exit code of the interruption, if one was asked for.
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        match *self.0.borrow() {
            Asked::Nothing => None,
            Asked::Stop { exit_code } | Asked::StopNow { exit_code } => Some(exit_code),
        }
    }

    /// Waits until a stop is asked for; forever if none ever is.
    pub async fn asked(&self) -> u8 {
        self.wait(|asked| match asked {
            Asked::Nothing => None,
            Asked::Stop { exit_code } | Asked::StopNow { exit_code } => Some(exit_code),
        })
        .await
    }

    /// Waits until a stop at once is asked for; forever if none ever is.
    pub async fn asked_twice(&self) -> u8 {
        self.wait(|asked| match asked {
            Asked::StopNow { exit_code } => Some(exit_code),
            _ => None,
        })
        .await
    }

    async fn wait(&self, exit_code: impl Fn(Asked) -> Option<u8>) -> u8 {
        let mut receiver = self.0.clone();
        loop {
            let asked = *receiver.borrow_and_update();
            if let Some(exit_code) = exit_code(asked) {
                return exit_code;
            }
            if receiver.changed().await.is_err() {
                // Nobody can ask any more.
                std::future::pending::<()>().await;
            }
        }
    }
}
