//! The bundled `mongo` server: speaks MongoDB's wire protocol well enough for drivers to initiate
//! and inspect a replica set of one member and to work with documents. It stands in for a real
//! MongoDB in rehearsals and tests, says so wherever it is asked, and keeps its data safely: a
//! confirmed write is on disk. It must not know anything of the rest of the program.
//!
//! What it does not do, it refuses with an error. The exceptions, which it accepts without effect:
//! indexes speed nothing up and `unique` and `expireAfterSeconds` are not enforced (the reply to
//! `createIndexes` says so), `hint`, read preferences, read concerns and `maxTimeMS` are ignored.
//! All data is held in memory, and commands run one after the other.
//!
//! Commands: `command`. Values: `order`, `path`, `matching`, `update`, `selection`. Data:
//! `catalog`, `storage`. Conversation: `wire`, `connection`, `request`, `failure`, `cursor`,
//! `session`. Talk: `log`.

mod catalog;
mod command;
mod connection;
mod cursor;
mod failure;
mod log;
mod matching;
mod order;
mod path;
mod request;
mod selection;
mod session;
mod storage;
mod update;
mod wire;

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::container_log::with_causes;
use command::Engine;
use command::Stop;
use connection::Server;
pub use connection::is_answering;
use log::Event;
use log::Log;
use request::Peer;
pub use storage::StorageError;

/// The port of MongoDB.
const DEFAULT_PORT: u16 = 27017;

/// How long a shutdown waits for clients to take the replies to their running commands.
const LAST_REPLIES: Duration = Duration::from_secs(5);

/// How long accepting pauses after it failed, so that a lack of file handles does not become a
/// busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The data folder, which has to exist.
    pub data: PathBuf,
    /// The name of the replica set; `None` for a server on its own.
    pub replica_set: Option<String>,
    /// The host name and port the server gives itself when it is initiated without a config, such
    /// as `mongo:27017`.
    pub address: String,
}

/// An argument a container definition gives that this server does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// An argument without a meaning here.
    #[error("unknown argument `{argument}`")]
    UnknownArgument {
        /// As it was given.
        argument: String,
    },
    /// An option at the end of the arguments lacks its value.
    #[error("the option `{option}` needs a value")]
    MissingValue {
        /// The option.
        option: String,
    },
    /// The value of `--port` is not a port.
    #[error("`{value}` is not a port from 1 to 65535")]
    InvalidPort {
        /// As it was given.
        value: String,
    },
}

impl Options {
    /// Reads the arguments a container definition gives real `mongod`: an optional leading
    /// `mongod`, `--replSet`, `--dbpath` (otherwise `default_data`), `--port` (otherwise 27017),
    /// each with its value after a space or `=`. `--bind_ip`, `--bind_ip_all`, `--notablescan` and
    /// `--quiet` are accepted without effect. Gives the options and the port; the address is
    /// `localhost` with that port, for the caller to replace.
    ///
    /// # Errors
    ///
    /// A [`UsageError`] naming the first argument that is something else.
    pub fn from_arguments(
        arguments: &[String],
        default_data: &Path,
    ) -> Result<(Self, u16), UsageError> {
        let mut data = default_data.to_owned();
        let mut replica_set = None;
        let mut port = DEFAULT_PORT;
        let skipped = usize::from(arguments.first().is_some_and(|first| first == "mongod"));
        let mut rest = arguments.iter().skip(skipped);
        while let Some(argument) = rest.next() {
            let (option, attached) = match argument.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (argument.as_str(), None),
            };
            let mut value = || {
                attached
                    .or_else(|| rest.next().map(String::as_str))
                    .filter(|value| !value.is_empty())
                    .ok_or_else(|| UsageError::MissingValue {
                        option: option.to_owned(),
                    })
            };
            match (option, attached) {
                ("--replSet", _) => replica_set = Some(value()?.to_owned()),
                ("--dbpath", _) => data = value()?.into(),
                ("--port", _) => {
                    let value = value()?;
                    let parsed = value.parse().ok().filter(|port| *port > 0);
                    let invalid = || UsageError::InvalidPort {
                        value: value.to_owned(),
                    };
                    port = parsed.ok_or_else(invalid)?;
                }
                ("--bind_ip", _) => {
                    value()?;
                }
                ("--bind_ip_all" | "--notablescan" | "--quiet", None) => {}
                _ => {
                    return Err(UsageError::UnknownArgument {
                        argument: argument.clone(),
                    });
                }
            }
        }
        Ok((
            Self {
                data,
                replica_set,
                address: format!("localhost:{port}"),
            },
            port,
        ))
    }
}

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MongoError {
    /// The data folder cannot be used, or failed while the server ran.
    #[error("the mongo server cannot use its data folder")]
    Storage(#[from] StorageError),
    /// A command failed in an unforeseen way, so nobody knows what the memory holds. What was
    /// confirmed is on disk.
    #[error("a command of the mongo server crashed")]
    Crashed,
    /// The listener cannot tell its address.
    #[error("the mongo server cannot use its listener")]
    Listener(#[source] std::io::Error),
}

/// Serves until `shutdown` completes or a client asks for it, one JSON line per event to `log`.
/// On the way out running commands finish, everything is synced and the folder is unlocked.
///
/// # Errors
///
/// A [`MongoError`] when the folder cannot be opened, or when writes can no longer be stored: then
/// the server stops, and a new start finds out what the disk holds.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
    log: impl Write + Send + 'static,
) -> Result<(), MongoError> {
    let log = Log::new(log);
    let address = listener.local_addr().map_err(MongoError::Listener)?;
    let connections = Arc::new(AtomicUsize::new(0));
    let engine = {
        let (shared_log, connections) = (log.clone(), Arc::clone(&connections));
        tokio::task::spawn_blocking(move || Engine::open(options, shared_log, connections))
            .await
            .map_err(|_| MongoError::Crashed)?
            .inspect_err(|error| {
                log.line(&Event::StartFailed {
                    error: &with_causes(error),
                });
            })?
    };
    let engine = Arc::new(Mutex::new(engine));
    log.line(&Event::Listening {
        address: &address.to_string(),
    });

    // A command that ends the server says so here; one word is enough.
    let (end, mut ended) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let server = Server {
        engine: Arc::clone(&engine),
        connections,
        end,
    };
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut number = 0_i32;
    let reason = loop {
        tokio::select! {
            () = &mut shutdown => break "asked from outside",
            _ = ended.recv() => break "a command ended the server",
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    number = number.wrapping_add(1);
                    let peer = Peer { address, connection: number };
                    tasks.spawn(connection::serve(stream, peer, server.clone(), stopped.clone()));
                }
                Err(error) => {
                    log.line(&Event::AcceptFailed { error: &error.to_string() });
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            // Finished connections are taken away, so that the set does not grow.
            Some(_) = tasks.join_next() => {}
        }
    };
    drop(listener);
    log.line(&Event::ShuttingDown { reason });
    stop.send_replace(true);
    let finish = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_REPLIES, finish).await.is_err() {
        tasks.shutdown().await;
    }
    close(engine, log).await
}

/// Waits for a command that still runs, then syncs and unlocks the folder.
async fn close(engine: Arc<Mutex<Engine>>, log: Log) -> Result<(), MongoError> {
    let closed = tokio::task::spawn_blocking(move || {
        let is_crashed = engine.is_poisoned();
        let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
        let is_requested = matches!(engine.stop(), None | Some(Stop::Requested));
        let closed = engine.close();
        if is_crashed {
            log.line(&Event::CommandCrashed);
            return Err(MongoError::Crashed);
        }
        closed?;
        if is_requested {
            log.line(&Event::Stopped);
        }
        Ok(())
    });
    closed.await.map_err(|_| MongoError::Crashed)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<(Options, u16), UsageError> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Options::from_arguments(&arguments, Path::new("/data/db"))
    }

    #[test]
    fn arguments_of_mongod_are_read() {
        let cases: [(&[&str], &str, Option<&str>, u16); 6] = [
            (&[], "/data/db", None, 27017),
            (
                &["mongod", "--replSet", "overleaf"],
                "/data/db",
                Some("overleaf"),
                27017,
            ),
            (
                &["--replSet=overleaf", "--notablescan"],
                "/data/db",
                Some("overleaf"),
                27017,
            ),
            (&["--dbpath", "/x", "--port", "5", "--quiet"], "/x", None, 5),
            (&["--dbpath=/x", "--port=5", "--bind_ip=::"], "/x", None, 5),
            (
                &["--bind_ip", "0.0.0.0", "--bind_ip_all"],
                "/data/db",
                None,
                27017,
            ),
        ];
        for (arguments, data, replica_set, port) in cases {
            let expected = Options {
                data: data.into(),
                replica_set: replica_set.map(str::to_owned),
                address: format!("localhost:{port}"),
            };
            assert_eq!(parsed(arguments), Ok((expected, port)), "{arguments:?}");
        }
    }

    #[test]
    fn other_arguments_are_named() {
        let unknown = |text: &str| UsageError::UnknownArgument {
            argument: text.to_owned(),
        };
        let missing = |text: &str| UsageError::MissingValue {
            option: text.to_owned(),
        };
        let port = |text: &str| UsageError::InvalidPort {
            value: text.to_owned(),
        };
        for (arguments, error) in [
            (&["--auth"][..], unknown("--auth")),
            (&["--quiet=1"], unknown("--quiet=1")),
            (&["mongod", "mongod"], unknown("mongod")),
            (&["--replSet"], missing("--replSet")),
            (&["--replSet="], missing("--replSet")),
            (&["--port", "0"], port("0")),
            (&["--port=65536"], port("65536")),
        ] {
            assert_eq!(parsed(arguments), Err(error), "{arguments:?}");
        }
    }
}
