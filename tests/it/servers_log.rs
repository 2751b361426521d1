//! What the bundled servers print, for their tests to read.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::sync::mpsc;

/// A log that a test reads as a whole.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Everything written until now.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A log that sends every line to [`Lines`].
pub(crate) struct LineLog {
    partial: String,
    sender: mpsc::UnboundedSender<String>,
}

/// The lines of a log, so that a test waits for one instead of sleeping.
pub(crate) struct Lines(mpsc::UnboundedReceiver<String>);

/// A log and its lines.
pub(crate) fn lines() -> (LineLog, Lines) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let partial = String::new();
    (LineLog { partial, sender }, Lines(receiver))
}

impl Write for LineLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.partial.push_str(&String::from_utf8_lossy(bytes));
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            // A test that has read enough drops its end.
            self.sender.send(line.trim_end().to_owned()).ok();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The next line.
    pub(crate) async fn next(&mut self) -> String {
        self.0.recv().await.unwrap()
    }

    /// The lines up to the one that is `last`.
    pub(crate) async fn until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.0.recv().await {
            lines.push(line);
            if lines.last().is_some_and(|line| line == last) {
                return lines;
            }
        }
        panic!("ended without {last:?}: {lines:#?}");
    }

    /// The lines to the end of the server.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.0.recv().await {
            lines.push(line);
        }
        lines
    }
}
