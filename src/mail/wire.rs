//! Lines to and from a mail server, on a connection of any kind, and the change to TLS on it.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::tls::{self, TlsTrouble, Trust};

/// Longest line of a reply; the standard allows 512 bytes.
const LONGEST_LINE: usize = 4096;

/// Bytes that are read at once.
const PIECE: usize = 4096;

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a line did not come or go.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// The other side has ended the connection.
    #[error("the server ends the connection")]
    Ended,
    /// Nothing came in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// A line is too long, or not text.
    #[error("the server does not answer in lines")]
    NotLines,
    /// The system says why.
    #[error("the connection breaks: {0}")]
    Broken(String),
}

/// A connection that carries lines.
pub struct Wire {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    deadline: Duration,
}

impl Wire {
    /// Lines over a connection; each answer may take as long as the deadline.
    #[must_use]
    pub fn new(stream: impl Stream + 'static, deadline: Duration) -> Self {
        Self {
            stream: Box::new(stream),
            received: Vec::new(),
            deadline,
        }
    }

    /// The next line without its end. What is no text or would move the cursor is replaced.
    ///
    /// # Errors
    /// None comes.
    pub async fn line(&mut self) -> Result<String, WireError> {
        let read = tokio::time::timeout(self.deadline, self.line_bytes()).await;
        let bytes = read.map_err(|_| WireError::Silent(self.deadline))??;
        let text = String::from_utf8_lossy(&bytes);
        let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        Ok(text.trim_end().chars().map(plain).collect())
    }

    async fn line_bytes(&mut self) -> Result<Vec<u8>, WireError> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.received.drain(..=end).collect();
                line.pop();
                return Ok(line);
            }
            if self.received.len() > LONGEST_LINE {
                return Err(WireError::NotLines);
            }
            let mut piece = [0; PIECE];
            let number = self
                .stream
                .read(&mut piece)
                .await
                .map_err(|error| of_io(&error))?;
            match piece.get(..number) {
                None | Some([]) => return Err(WireError::Ended),
                Some(bytes) => self.received.extend_from_slice(bytes),
            }
        }
    }

    /// Sends a text as it is.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send(&mut self, text: &str) -> Result<(), WireError> {
        let sent = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.deadline, sent).await {
            Ok(outcome) => outcome.map_err(|error| of_io(&error)),
            Err(_) => Err(WireError::Silent(self.deadline)),
        }
    }

    /// Speaks TLS from here on; gives its version.
    ///
    /// # Errors
    /// The server does not, or its certificate is refused.
    pub async fn into_tls(self, host: &str, trust: &Trust) -> Result<(Self, String), TlsTrouble> {
        // What came before the handshake was not protected and must not count as if it were.
        if !self.received.is_empty() {
            return Err(TlsTrouble::NotTls);
        }
        let handshake = tls::connect(self.stream, host, trust);
        let stream = match tokio::time::timeout(self.deadline, handshake).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(TlsTrouble::Silent(self.deadline)),
        };
        let version = stream.get_ref().1.protocol_version();
        let version = version.and_then(|version| version.as_str());
        let version = version
            .unwrap_or("TLS")
            .replace('_', ".")
            .replacen("TLSv", "TLS ", 1);
        let wire = Self {
            stream: Box::new(stream),
            received: Vec::new(),
            deadline: self.deadline,
        };
        Ok((wire, version))
    }
}

fn of_io(error: &io::Error) -> WireError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => WireError::Ended,
        _ => WireError::Broken(error.to_string()),
    }
}
