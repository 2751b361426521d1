//! The bundled `redis` server: speaks RESP2 and keeps its data in files of its own. It stands in
//! for Redis in rehearsals and tests, says so in its log and in `INFO` (`toolkit_bundled:1`), and
//! refuses the data of a real Redis. Must not know deployments, containers or the command line.
//!
//! One lock guards the whole state (`engine.rs`), so commands run one after another as clients of
//! Redis expect. A command never waits for a client while it holds the lock. It does wait for the
//! disk: changes are handed to the system before the reply, and `BGREWRITEAOF`, `SAVE`, `BGSAVE`
//! and `CONFIG SET appendonly yes` are done when they are answered. Every second the append-only
//! file is synced beside the lock.

mod clients;
mod command;
mod connection;
mod database;
mod dictionary;
mod engine;
mod glob;
mod journal;
mod options;
mod persistence;
mod resp;
mod session;
mod sorted_set;
#[cfg(test)]
mod testing;

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::MissedTickBehavior;

pub use self::options::{Options, OptionsError};
pub use self::persistence::StorageError;

use super::container_log::with_causes;

use self::command::Replay;
use self::connection::Server;
use self::database::Keyspace;
use self::engine::{Engine, Setup};
use self::journal::{Journal, now_milliseconds};
use self::persistence::{Recorded, Source, Storage, read_recorded};

/// How often keys are removed whose deadline has come and nobody has asked for.
const TICK: Duration = Duration::from_millis(100);

/// Ticks between two syncs of the append-only file: what a power failure can cost is a second.
const TICKS_PER_SYNC: u32 = 10;

/// What clients get at a stop to take their last replies.
const FAREWELL: Duration = Duration::from_secs(2);

/// Wait after a connection could not be accepted, for instance because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What [`is_answering`] gives a server.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Longest answer to a probe that is read, in bytes.
const PROBE_LENGTH: u64 = 512;

/// Why the server ended, other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The data folder or a file in it cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The listener has no address.
    #[error("cannot tell the address of the listener")]
    Address(#[source] io::Error),
    /// Loading the dataset ended in a defect.
    #[error("loading the dataset broke off")]
    Load(#[source] JoinError),
}

/// Runs the server on `listener` until `shutdown` resolves or a client sends `SHUTDOWN`. Log
/// lines go to `log`.
///
/// Connections are accepted at once; while the dataset is being loaded they are told so. At the
/// end no more connections are accepted, requests that have been read are answered, and the
/// append-only file or, without it, a snapshot is on the disk when this returns.
///
/// # Errors
///
/// When the data folder is locked, belongs to a real Redis, cannot be read or written, or holds a
/// damaged file; and when the data could not be put on the disk at the end.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
    log: impl Write + Send + 'static,
) -> Result<(), RedisError> {
    let journal = Arc::new(Journal::new(log));
    journal.notice("This is the bundled redis server of the toolkit, not Redis");
    let outcome = run(listener, options, shutdown, &journal).await;
    match &outcome {
        Ok(()) => journal.notice("Stopped"),
        Err(error) => journal.warning(&format!("Stopped by an error: {}", with_causes(error))),
    }
    outcome
}

async fn run(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
    journal: &Arc<Journal>,
) -> Result<(), RedisError> {
    let port = listener.local_addr().map_err(RedisError::Address)?.port();
    let storage = Storage::open(&options.data)?;
    let source = storage.source(options.append_only);
    warn_of_ignored_files(&storage, options.append_only, &source, journal);

    let engine = Engine::new(Setup {
        storage,
        journal: Arc::clone(journal),
        append_only: options.append_only,
        password: options.password,
        port,
        now: now_milliseconds(),
    });
    let stop = Arc::clone(&engine.stop);
    let server = Arc::new(Server::new(engine));
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut loading = None;
    if source == Source::Empty {
        // Nobody needs to be told to wait for nothing.
        begin(
            &server,
            Keyspace::default(),
            Recorded::default(),
            &source,
            journal,
        )?;
    } else {
        let cancelled = Arc::clone(&cancelled);
        let source = source.clone();
        loading = Some(spawn_blocking(move || load(&source, &cancelled)));
    }

    let (stopping, is_stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let outcome = tokio::select! {
        outcome = work(&server, loading.as_mut(), &source, journal) => {
            outcome.map(|never| match never {})
        }
        never = accept(&listener, &server, journal, &is_stopping, &mut connections) => {
            match never {}
        }
        () = shutdown => Ok(()),
        () = stop.notified() => Ok(()),
    };

    drop(listener);
    journal.notice("Stopping");
    cancelled.store(true, Ordering::Relaxed);
    if let Some(loading) = loading
        && !loading.is_finished()
    {
        // Cancelled: its outcome says nothing more, but it must not go on in a folder that is
        // about to be free.
        loading.await.ok();
    }
    stopping.send_replace(true);
    let farewell = async { while connections.join_next().await.is_some() {} };
    // Clients that do not take their replies in time are dropped by the next line.
    tokio::time::timeout(FAREWELL, farewell).await.ok();
    connections.shutdown().await;

    let finished = server.engine().finish(now_milliseconds());
    outcome.and(finished.map_err(RedisError::from))
}

/// Says which files in the data folder do not count, because that is how data gets lost.
fn warn_of_ignored_files(storage: &Storage, append_only: bool, source: &Source, journal: &Journal) {
    let snapshot = storage.snapshot_path();
    let append_file = storage.append_path();
    if append_only && *source == Source::Empty && snapshot.exists() {
        journal.warning(&format!(
            "The append-only file is on and does not exist yet, so the server starts EMPTY: the \
             data in {} is not loaded, exactly as Redis would do. To keep that data, start \
             without --appendonly, send CONFIG SET appendonly yes, then start with it",
            snapshot.display()
        ));
    }
    if !append_only && append_file.exists() {
        journal.warning(&format!(
            "The append-only file is off, so the data in {} is not loaded",
            append_file.display()
        ));
    }
}

/// Reads the dataset.
fn load(source: &Source, cancelled: &AtomicBool) -> Result<(Keyspace, Recorded), StorageError> {
    let mut replay = Replay::default();
    let is_cancelled = || cancelled.load(Ordering::Relaxed);
    let recorded = match source {
        Source::Empty => Recorded::default(),
        Source::Snapshot(path) => read_recorded(path, false, &is_cancelled, &mut |command| {
            replay.apply(command)
        })?,
        Source::AppendFile(path) => read_recorded(path, true, &is_cancelled, &mut |command| {
            replay.apply(command)
        })?,
    };
    Ok((replay.into_keyspace(), recorded))
}

/// Waits for the dataset if it is still being loaded, then looks after it for as long as the server runs.
async fn work(
    server: &Server,
    loading: Option<&mut JoinHandle<Result<(Keyspace, Recorded), StorageError>>>,
    source: &Source,
    journal: &Journal,
) -> Result<Infallible, RedisError> {
    if let Some(loading) = loading {
        let (keyspace, recorded) = loading.await.map_err(RedisError::Load)??;
        begin(server, keyspace, recorded, source, journal)?;
    }
    Ok(maintain(server).await)
}

/// Begins to answer with a dataset that has been loaded.
fn begin(
    server: &Server,
    keyspace: Keyspace,
    recorded: Recorded,
    source: &Source,
    journal: &Journal,
) -> Result<(), StorageError> {
    let loaded = keyspace.len();
    let ended = server.engine().begin(keyspace, now_milliseconds())?;
    let kind = match source {
        Source::Empty => None,
        Source::Snapshot(_) => Some("snapshot"),
        Source::AppendFile(_) => Some("append-only file"),
    };
    if recorded.cut > 0 {
        journal.warning(&format!(
            "The append-only file ended in the middle of a command: {} bytes were cut off",
            recorded.cut
        ));
    }
    match kind {
        Some(kind) => journal.notice(&format!(
            "Data loaded from the {kind}: {} commands, {loaded} keys, of which {ended} had expired",
            recorded.commands
        )),
        None => journal.notice("No data to load"),
    }
    journal.notice("Ready to accept connections tcp");
    Ok(())
}

/// Removes keys whose time has come and syncs the append-only file, for as long as the server
/// runs. Where there is nothing of both, it sleeps until the next request.
async fn maintain(server: &Server) -> Infallible {
    let stirred = Arc::clone(&server.engine().stirred);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0;
    loop {
        ticks.tick().await;
        server.engine().tick(now_milliseconds());
        if server.engine().is_at_rest() {
            stirred.notified().await;
            ticks.reset();
        }
        count += 1;
        if count < TICKS_PER_SYNC {
            continue;
        }
        count = 0;
        let unsynced = server.engine().storage.unsynced();
        if let Some(file) = unsynced {
            let outcome = spawn_blocking(move || file.sync_data())
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)));
            server.engine().note_sync(&outcome);
        }
    }
}

/// Accepts connections for as long as the server runs.
async fn accept(
    listener: &TcpListener,
    server: &Arc<Server>,
    journal: &Journal,
    is_stopping: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                let server = Arc::clone(server);
                let is_stopping = is_stopping.clone();
                connections.spawn(async move {
                    connection::talk(&server, socket, address, is_stopping).await;
                });
                while connections.try_join_next().is_some() {}
            }
            Err(error) => {
                journal.warning(&format!("A connection could not be accepted: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether a server at `address` answers `PING` within a few seconds. One that asks for a password
/// answers; one that is still loading its dataset does not.
pub async fn is_answering(address: SocketAddr) -> bool {
    let probe = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
        let mut line = Vec::new();
        BufReader::new(tokio::io::AsyncReadExt::take(socket, PROBE_LENGTH))
            .read_until(b'\n', &mut line)
            .await?;
        io::Result::Ok(line)
    };
    match tokio::time::timeout(PROBE_PATIENCE, probe).await {
        Ok(Ok(line)) => line == b"+PONG\r\n" || line.starts_with(b"-NOAUTH"),
        Ok(Err(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    /// Each poll goes on until there is nothing left to do at once, so that the server is at rest
    /// between the requests here.
    #[tokio::test]
    async fn every_request_ends_a_rest() {
        let folder = tempfile::tempdir().unwrap();
        let mut engine = Engine::new(Setup {
            storage: Storage::open(folder.path()).unwrap(),
            journal: Arc::new(Journal::new(io::sink())),
            append_only: false,
            password: None,
            port: 0,
            now: 0,
        });
        engine.begin(Keyspace::default(), 0).unwrap();
        let mut session = engine.connect(None, 0);
        let server = Server::new(engine);
        let mut maintained = pin!(maintain(&server));
        assert!(poll!(&mut maintained).is_pending());
        for _ in 0..2 {
            assert!(server.engine().is_at_rest());
            // It ends in 1970, which has come for the next look.
            let request = ["SET", "key", "value", "PX", "1"];
            let request = request.map(|word| word.as_bytes().to_vec().into());
            server.engine().execute(&mut session, request.to_vec(), 0);
            assert_eq!(server.engine().keyspace.len(), 1);
            let ended = async {
                while server.engine().keyspace.len() > 0 {
                    assert!(poll!(&mut maintained).is_pending());
                    tokio::task::yield_now().await;
                }
            };
            let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
            assert!(ended.is_ok(), "nobody looked after the request");
        }
    }
}
