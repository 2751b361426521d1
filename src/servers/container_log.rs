//! The lines a bundled server prints on its standard output, which `docker logs` shows.
//!
//! It knows only how several tasks share one writer; what is said is up to the servers.

use std::error::Error;
use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// One writer shared by all tasks of a server; every call writes one whole line.
#[derive(Clone)]
pub(super) struct ContainerLog {
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
}

impl ContainerLog {
    /// Takes over `writer`.
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        Self {
            writer: Arc::new(Mutex::new(Box::new(writer))),
        }
    }

    /// Writes `text` and a line end.
    pub(super) fn line(&self, text: impl Display) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writeln!(writer, "{text}").and_then(|()| writer.flush());
        // Nobody is left to tell when standard output is gone, and the server is still useful.
        drop(written);
    }
}

/// The message of `error` and of all its causes, joined by colons, on one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Several crates repeat the cause in their own message; once is enough.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read `a`")]
        struct Outer(#[source] std::io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Repeating(#[source] std::io::Error);

        let cause = || std::io::Error::other("no\nluck");
        assert_eq!(with_causes(&Outer(cause())), "cannot read `a`: no luck");
        assert_eq!(with_causes(&Repeating(cause())), "outer: no luck");
    }
}
