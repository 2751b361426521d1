//! A server without sockets for tests: one client, a temporary folder, and the time given with
//! each request.

#![expect(
    clippy::disallowed_methods,
    reason = "a test reads the file its server has written"
)]

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::command::Replay;
use super::engine::{Engine, Setup};
use super::journal::Journal;
use super::persistence::{Source, Storage, read_recorded};
use super::resp::{Limits, Reply, RequestParser};
use super::session::Session;

/// The time at which tests begin, in milliseconds since 1970.
pub(super) const START: i64 = 1_000_000_000;

/// One server and one client.
pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) session: Session,
    append_only: bool,
    folder: TempDir,
}

impl Default for Bench {
    fn default() -> Self {
        Self::open(tempfile::tempdir().unwrap(), false, Some(START))
    }
}

impl Bench {
    pub(super) fn append_only() -> Self {
        Self::open(tempfile::tempdir().unwrap(), true, Some(START))
    }

    pub(super) fn loading() -> Self {
        Self::open(tempfile::tempdir().unwrap(), false, None)
    }

    /// A server whose append-only file cannot take anything.
    pub(super) fn with_full_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("appendonlydir")).unwrap();
        let path = folder.path().join("appendonlydir/appendonly.aof");
        std::os::unix::fs::symlink("/dev/full", path).unwrap();
        Self::open(folder, true, Some(START))
    }

    fn open(folder: TempDir, append_only: bool, now: Option<i64>) -> Self {
        let storage = Storage::open(folder.path()).unwrap();
        let source = storage.source(append_only);
        let mut engine = Engine::new(Setup {
            storage,
            journal: Arc::new(Journal::new(std::io::sink())),
            append_only,
            password: None,
            port: 6379,
            now: now.unwrap_or(START),
        });
        if let Some(now) = now {
            let mut replay = Replay::default();
            if let Source::AppendFile(path) | Source::Snapshot(path) = source {
                read_recorded(&path, true, &|| false, &mut |command| replay.apply(command))
                    .unwrap();
            }
            engine.begin(replay.into_keyspace(), now).unwrap();
            engine.tick(now);
        }
        let session = engine.connect(None, START);
        Self {
            engine,
            session,
            append_only,
            folder,
        }
    }

    /// The server after a kill and a start.
    pub(super) fn restarted(self, now: i64) -> Self {
        let append_only = self.append_only;
        self.restarted_with(append_only, now)
    }

    pub(super) fn restarted_with(self, append_only: bool, now: i64) -> Self {
        let Self { engine, folder, .. } = self;
        drop(engine);
        Self::open(folder, append_only, Some(now))
    }

    /// The server after a kill and a start, still loading.
    pub(super) fn restarted_loading(self) -> Self {
        let Self {
            engine,
            folder,
            append_only,
            ..
        } = self;
        drop(engine);
        Self::open(folder, append_only, None)
    }

    /// Another client.
    pub(super) fn connect(&mut self) -> Session {
        self.engine.connect(None, START)
    }

    /// Sends one inline command; the reply as text.
    pub(super) fn run(&mut self, now: i64, line: &str) -> String {
        text(&self.engine.execute(&mut self.session, request(line), now))
    }

    /// Sends one inline command as another client.
    pub(super) fn run_as(&mut self, session: &mut Session, line: &str) -> String {
        text(&self.engine.execute(session, request(line), START))
    }

    pub(super) fn check_at(&mut self, now: i64, script: &[(&str, &str)]) {
        for (line, expected) in script {
            assert_eq!(self.run(now, line), *expected, "{line}");
        }
    }

    /// The commands in the append-only file.
    pub(super) fn recorded(&self) -> Vec<String> {
        let content = std::fs::read(self.engine.storage.append_path()).unwrap();
        let mut parser = RequestParser::of_arrays();
        parser.buffer().extend_from_slice(&content);
        let mut commands = Vec::new();
        while let Some(command) = parser.next(Limits::FULL).unwrap() {
            let words: Vec<String> = command
                .iter()
                .map(|word| word.escape_ascii().to_string())
                .collect();
            commands.push(words.join(" "));
        }
        commands
    }
}

/// Runs a script of commands and replies on a fresh server.
pub(super) fn check(script: &[(&str, &str)]) {
    Bench::default().check_at(START, script);
}

fn request(line: &str) -> Vec<Bytes> {
    let mut parser = RequestParser::default();
    parser.buffer().extend_from_slice(line.as_bytes());
    parser.buffer().extend_from_slice(b"\r\n");
    parser.next(Limits::FULL).unwrap().unwrap()
}

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Status(status) => format!("+{status}"),
        Reply::Error(error) => format!("-{error}"),
        Reply::Integer(number) => number.to_string(),
        Reply::Bulk(bytes) => bytes.escape_ascii().to_string(),
        Reply::Nil => "nil".to_owned(),
        Reply::NilArray => "nil-array".to_owned(),
        Reply::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            format!("[{}]", items.join(" "))
        }
        Reply::Several(replies) => {
            let replies: Vec<String> = replies.iter().map(text).collect();
            replies.join("; ")
        }
        Reply::Nothing => String::new(),
    }
}
