//! What goes on inside containers: programs run in them, what they write, what they use.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use tokio::io::AsyncWrite;

use super::{ArchiveStream, ByteStream, Engine, EngineError, PutFile};

/// A program to be run in a running container, beside its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The program and its arguments. The engine and everybody on its machine can read them: no secrets.
    pub command: Vec<String>,
    /// Variables on top of those of the container. As readable as the command.
    pub environment: BTreeMap<String, String>,
    /// User, as a name or number of the container; `None` for the container's own.
    pub user: Option<String>,
    /// Folder it runs in; `None` for the container's own.
    pub folder: Option<String>,
    /// Size of the terminal it gets; `None` for pipes.
    pub terminal: Option<TerminalSize>,
    /// Whether it has an input. Without one it reads the end at once.
    pub has_input: bool,
}

impl ExecRequest {
    /// A program without input or terminal.
    #[must_use]
    pub fn new<T: Into<String>>(command: impl IntoIterator<Item = T>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// A piece of what a program writes. Pieces are cut anywhere, also inside a character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To its standard output, or to its terminal.
    Out(Bytes),
    /// To its standard error.
    Error(Bytes),
}

impl Output {
    /// The bytes, wherever they were written to.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Out(bytes) | Self::Error(bytes) => bytes,
        }
    }
}

/// What a program writes, until it ends or the conversation is dropped.
pub type OutputStream<'a> = Pin<Box<dyn Stream<Item = Result<Output, EngineError>> + Send + 'a>>;

/// A program that runs in a container. Dropping this ends the conversation: the program sees the end of
/// its input, and is not killed.
pub struct Exec {
    /// What the engine calls it.
    pub id: String,
    /// What it writes.
    pub output: OutputStream<'static>,
    /// Its input. A shutdown is the end of it.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// What became of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecState {
    /// Whether it still runs.
    pub is_running: bool,
    /// How it ended; `None` while it runs.
    pub exit_code: Option<i64>,
}

/// Which part of a container's output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogRequest {
    /// Lines from the end; `None` for all.
    pub tail: Option<u64>,
    /// From this second on, by the engine's clock, since 1970.
    pub since: Option<i64>,
    /// Up to this second, since 1970.
    pub until: Option<i64>,
    /// Whether to go on until the container stops.
    pub follow: bool,
    /// Whether each line begins with the time of the engine, RFC 3339 with nanoseconds, and a blank.
    pub timestamps: bool,
}

/// The processes of a container, as `ps` on the engine's machine shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// Names of the columns.
    pub titles: Vec<String>,
    /// One row per process.
    pub rows: Vec<Vec<String>>,
}

/// What a running container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time so far, in nanoseconds.
    pub processor: u64,
    /// Memory in bytes, without what the kernel can drop at once.
    pub memory: u64,
    /// The most memory it may have, in bytes; that of the machine without a limit.
    pub memory_limit: u64,
    /// Processes and threads.
    pub processes: u64,
}

/// An engine that lets programs run in its containers.
pub trait Inside: Engine {
    /// Runs a program in a running container. One that is not there ends with exit code 126 or 127, or
    /// is refused, depending on the engine.
    fn exec(
        &self,
        container: &str,
        request: &ExecRequest,
    ) -> impl Future<Output = Result<Exec, EngineError>> + Send;

    /// Tells the terminal of a running program its size.
    fn resize(
        &self,
        exec: &str,
        size: TerminalSize,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// What became of a program. Right after its output has ended it may still be running.
    fn exec_state(&self, exec: &str)
    -> impl Future<Output = Result<ExecState, EngineError>> + Send;

    /// Opens a connection from within a running container to a port of another server, by the name or
    /// address under which the container knows it. A refusal says why in the words of whoever tried.
    fn open_stream_from(
        &self,
        container: &str,
        host: &str,
        port: u16,
    ) -> impl Future<Output = Result<ByteStream, EngineError>> + Send;

    /// Puts files into a container, whether it runs or not; what is there is replaced.
    fn put_files(
        &self,
        container: &str,
        files: &[PutFile],
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// What a container has written.
    fn logs(&self, container: &str, request: LogRequest) -> OutputStream<'_>;

    /// A file or folder of a container, whether it runs or not, as an archive whose names begin with
    /// the last part of the path; `None` where there is nothing.
    fn archive(
        &self,
        container: &str,
        path: &str,
    ) -> impl Future<Output = Result<Option<ArchiveStream>, EngineError>> + Send;

    /// The processes of a running container.
    fn processes(
        &self,
        container: &str,
    ) -> impl Future<Output = Result<Processes, EngineError>> + Send;

    /// Sends a signal, such as `HUP`, to the first process of a running container.
    fn signal(
        &self,
        container: &str,
        signal: &str,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// What a running container uses.
    fn usage(&self, container: &str) -> impl Future<Output = Result<Usage, EngineError>> + Send;
}
