//! The way to the streams of a program in a container: a connection of its own that the engine turns
//! into those streams.
//!
//! bollard has one too, which looks for the frames of output without a terminal in what a terminal
//! carries: a byte 0, 1 or 2 there swallows what follows. Here the request says what comes.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf};
use tokio::net::{TcpStream, UnixStream};

use super::DockerEngine;
use crate::engine::inside::Output;

/// How long the engine may take to give the streams.
const PATIENCE: Duration = Duration::from_secs(120);

/// Most bytes of a piece of output.
const ROOM: usize = 64 << 10;

/// Most bytes that are kept of an answer that gives no streams.
pub(super) const LONGEST_ANSWER: usize = 64 << 10;

/// Bytes in front of each frame: the stream, three zeros, and the length, most significant first.
const HEADER: usize = 8;

/// The streams in frames: standard output, and the two kinds of errors, the program's and the engine's.
const INPUT: u8 = 0;
const ERROR: u8 = 2;
const OF_ENGINE: u8 = 3;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Door {
    /// A socket of this machine.
    Socket(PathBuf),
    /// A port, without encryption.
    Port {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl Door {
    /// Reads `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`; `None` for anything else.
    pub(super) fn read(place: &str) -> Option<Self> {
        if let Some(path) = place.strip_prefix("unix://") {
            return Some(Self::Socket(path.into()));
        }
        let rest = place.strip_prefix("tcp://");
        let rest = rest.or_else(|| place.strip_prefix("http://"))?;
        let uri: Uri = format!("http://{rest}").parse().ok()?;
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(80);
        Some(Self::Port { host, port })
    }

    /// A connection to it.
    pub(super) async fn open(&self) -> io::Result<Box<dyn Connection>> {
        Ok(match self {
            Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
            Self::Port { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Keys are small and must not wait for each other.
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

/// A connection of whichever kind.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// What a program writes, in pieces cut anywhere.
pub(super) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Output>> + Send>>;

/// The streams of a program. Dropping both closes the connection.
pub(super) struct Attached {
    /// What it writes.
    pub(super) output: Pieces,
    /// Its input. A shutdown is the end of it.
    pub(super) input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Starts a program that was made ready, and gives its streams.
pub(super) async fn start(
    engine: &DockerEngine,
    exec: &str,
    has_terminal: bool,
) -> Result<Attached, Error> {
    let prefix = &engine.prefix;
    let question = serde_json::json!({ "Detach": false, "Tty": has_terminal });
    let request = Request::post(format!("{prefix}/exec/{exec}/start"))
        .header(HOST, "engine")
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .body(Full::from(question.to_string()))?;
    let attaching = async { upgraded(engine.door.open().await?, request).await };
    let attached = tokio::time::timeout(PATIENCE, attaching).await;
    let stream = attached.unwrap_or(Err(Error::RequestTimeoutError))?;
    let (reader, writer) = tokio::io::split(TokioIo::new(stream));
    Ok(Attached {
        output: Box::pin(pieces(reader, Frames::new(has_terminal))),
        input: Box::pin(writer),
    })
}

/// The connection, once the engine has turned it into the streams.
async fn upgraded(
    stream: Box<dyn Connection>,
    request: Request<Full<Bytes>>,
) -> Result<Upgraded, Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer or hands the connection over; the answer tells what went wrong.
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(hyper::upgrade::on(answer).await?);
    }
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect();
    // An answer that breaks off says no more than its status.
    let body = body.await.map(http_body_util::Collected::to_bytes);
    Err(refusal(status, &body.unwrap_or_default()))
}

/// An answer that refuses what was asked.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> Error {
    Error::DockerResponseServerError {
        status_code: status.as_u16(),
        message: message(body),
    }
}

/// What an answer says: the `message` of its JSON, else its text.
fn message(body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = value.as_ref().and_then(|value| value.get("message"));
    match message.and_then(serde_json::Value::as_str) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    }
}

/// The pieces of an output, read when they are asked for: what nobody takes stays with the engine.
fn pieces(
    reader: ReadHalf<TokioIo<Upgraded>>,
    frames: Frames,
) -> impl Stream<Item = io::Result<Output>> + Send {
    futures_util::stream::try_unfold((reader, frames), |(mut reader, mut frames)| async move {
        loop {
            if let Some(piece) = frames.next() {
                return Ok(Some((piece, (reader, frames))));
            }
            frames.read.reserve(ROOM);
            let mut room = (&mut reader).take(ROOM as u64);
            if room.read_buf(&mut frames.read).await? == 0 {
                if frames.is_cut() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let rest = frames.rest();
                return Ok(rest.map(|rest| (rest, (reader, frames))));
            }
        }
    })
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The header of a frame.
    Header,
    /// The rest of a frame, from this stream and so many bytes.
    Frame { stream: u8, length: usize },
    /// Bytes without frames, to the end.
    Bare,
}

/// Output as it is read.
#[derive(Debug)]
struct Frames {
    due: Due,
    read: BytesMut,
}

impl Frames {
    fn new(has_terminal: bool) -> Self {
        let due = match has_terminal {
            true => Due::Bare,
            false => Due::Header,
        };
        let read = BytesMut::new();
        Self { due, read }
    }

    /// The next piece of what was read so far.
    fn next(&mut self) -> Option<Output> {
        loop {
            match self.due {
                Due::Header if !may_be_header(&self.read) => self.due = Due::Bare,
                Due::Header => {
                    let header = self.read.first_chunk::<HEADER>()?;
                    let [stream, _, _, _, length @ ..] = *header;
                    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                    self.read.advance(HEADER);
                    self.due = Due::Frame { stream, length };
                }
                Due::Frame { length: 0, .. } => self.due = Due::Header,
                Due::Frame { stream, length } => {
                    if self.read.is_empty() {
                        return None;
                    }
                    let piece = self.read.split_to(length.min(self.read.len())).freeze();
                    let length = length - piece.len();
                    self.due = Due::Frame { stream, length };
                    match stream {
                        INPUT => {}
                        ERROR | OF_ENGINE => return Some(Output::Error(piece)),
                        _ => return Some(Output::Out(piece)),
                    }
                }
                Due::Bare => return self.rest(),
            }
        }
    }

    /// Whether more would have to come: the connection was lost.
    fn is_cut(&self) -> bool {
        matches!(self.due, Due::Frame { length: 1.., .. })
    }

    /// All that is left.
    fn rest(&mut self) -> Option<Output> {
        let rest = self.read.split().freeze();
        (!rest.is_empty()).then_some(Output::Out(rest))
    }
}

/// Whether bytes are a header as far as they go. Older engines write in plain words that there is no
/// such program.
fn may_be_header(bytes: &[u8]) -> bool {
    let is_stream = bytes.first().is_none_or(|stream| *stream <= OF_ENGINE);
    is_stream && bytes.iter().skip(1).take(3).all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when bytes come in pieces of this size.
    fn passed(has_terminal: bool, bytes: &[u8], size: usize) -> (Vec<u8>, Vec<u8>) {
        let mut frames = Frames::new(has_terminal);
        let (mut out, mut error) = (Vec::new(), Vec::new());
        let mut note = |piece| match piece {
            Output::Out(bytes) => out.extend_from_slice(&bytes),
            Output::Error(bytes) => error.extend_from_slice(&bytes),
        };
        for piece in bytes.chunks(size) {
            frames.read.extend_from_slice(piece);
            while let Some(piece) = frames.next() {
                note(piece);
            }
        }
        frames.rest().into_iter().for_each(note);
        (out, error)
    }

    #[test]
    fn frames_are_told_apart_wherever_they_are_cut() {
        let framed = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x05error\0\0\0\0\0\0\0\x01x\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x01!\x01\0\0\0\0\0\0\x04\0two";
        for size in 1..=framed.len() {
            let (out, error) = passed(false, framed, size);
            assert_eq!((&*out, &*error), (&b"one\0two"[..], &b"error!"[..]));
        }
    }

    #[test]
    fn an_end_within_a_frame_is_none() {
        let framed = b"\x01\0\0\0\0\0\0\x03one";
        for length in 0..=framed.len() {
            let mut frames = Frames::new(false);
            frames.read.extend_from_slice(&framed[..length]);
            while frames.next().is_some() {}
            assert_eq!(frames.is_cut(), (8..11).contains(&length), "{length}");
        }
    }

    #[test]
    fn what_is_not_framed_passes_as_it_is() {
        for (has_terminal, text) in [
            (true, &b"\0\0\0\0\0\0\0\x09short"[..]),
            (true, b"\x01"),
            (false, b"OCI runtime exec failed: no such file\r\n"),
            (false, b"\x01x is no header"),
            (false, b"\x01\0\0"),
        ] {
            for size in 1..=text.len() {
                let (out, error) = passed(has_terminal, text, size);
                assert_eq!((&*out, &*error), (text, &b""[..]), "{size}");
            }
        }
    }

    #[test]
    fn a_place_is_a_socket_or_a_port() {
        let port = |host: &str, port| {
            let host = host.to_owned();
            Some(Door::Port { host, port })
        };
        for (place, door) in [
            (
                "unix:///run/a b.sock",
                Some(Door::Socket("/run/a b.sock".into())),
            ),
            ("tcp://192.0.2.1:2375", port("192.0.2.1", 2375)),
            ("tcp://[::1]:2375/", port("::1", 2375)),
            ("http://engine.example:1", port("engine.example", 1)),
            ("tcp://engine.example", port("engine.example", 80)),
            ("tcp://", None),
            ("https://engine.example:2376", None),
        ] {
            assert_eq!(Door::read(place), door, "{place}");
        }
    }

    #[test]
    fn an_answer_is_read_for_its_message() {
        assert_eq!(message(br#"{"message":"No such exec"}"#), "No such exec");
        assert_eq!(message(b"plain words"), "plain words");
    }
}
