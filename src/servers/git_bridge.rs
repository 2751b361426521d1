//! The bundled `git-bridge` server: stands in for Overleaf's git-bridge container in rehearsals
//! and tests. It keeps the folder and answers the endpoints of the real one, but no git traffic.
//!
//! It must not know how it is deployed, nor the other bundled servers: it meets `sharelatex` only
//! at the address in `GIT_BRIDGE_API_BASE_URL`, which need not answer yet when this one starts.
//! The container's command `/server-pro-start.sh` is nothing to it; whoever calls [`serve`] drops
//! that argument.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /status` | 200 `ok` |
//! | `GET /health_check` | 200 when the root folder takes a file and the state file is readable, else 500 with the reason |
//! | `GET /metrics` | a few lines in Prometheus' format |
//! | `DELETE /api/projects/<id>` | 204, the project's folder is gone; 400 unless the id has 24 hex digits |
#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bson::oid::ObjectId;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::Uri;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::servers::container_log::ContainerLog;
use crate::servers::container_log::with_causes;
use crate::servers::http::Reply;
use crate::servers::http::ask_status;
use crate::servers::http::method_not_allowed;
use crate::servers::http::serve_connections;
use crate::servers::http::text;

/// The user that the real server runs as (`node`).
const BRIDGE_USER: u32 = 1000;

/// Pause between two attempts to reach `sharelatex`.
const API_PAUSE: Duration = Duration::from_secs(1);

/// The version of the state file.
const STATE_FORMAT: u32 = 1;

/// What the container is given.
#[derive(Clone)]
pub struct Options {
    /// The environment of the container.
    pub environment: BTreeMap<String, String>,
    /// The folder that all absolute paths are below; `/` in the container.
    pub root: PathBuf,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum GitBridgeError {
    /// The address of the API cannot be used.
    #[error(
        "`GIT_BRIDGE_API_BASE_URL` is `{value}`, expected an address like `http://sharelatex:3000/api/v0/`"
    )]
    ApiBaseUrl {
        /// What the variable holds.
        value: String,
    },
    /// A folder cannot be made or given to the server's user.
    #[error("cannot prepare folder `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state file cannot be written.
    #[error("cannot write state file `{path}`")]
    WriteState {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state file cannot be read.
    #[error("cannot read state file `{path}`")]
    ReadState {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state file is not one.
    #[error("`{path}` is not a state file")]
    ParseState {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

/// What the state file holds.
#[derive(Serialize, Deserialize)]
struct State {
    format: u32,
    /// How many times the server has started on this folder.
    starts: u64,
}

/// What all requests share.
struct Bridge {
    folder: PathBuf,
    is_api_answering: AtomicBool,
    log: ContainerLog,
}

/// Prepares the root folder and serves until `shutdown`; `log` is the container's standard output.
///
/// # Errors
///
/// When the environment or the root folder is unusable; once it serves it does not fail.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
    log: impl Write + Send + 'static,
) -> Result<(), GitBridgeError> {
    let log = ContainerLog::new(log);
    let mut shutdown = pin!(shutdown);
    log.line("This is the toolkit's bundled git-bridge server, not Overleaf's git-bridge");
    let value = |name: &str, default: &str| {
        options
            .environment
            .get(name)
            .filter(|value| !value.is_empty())
            .map_or_else(|| default.to_owned(), Clone::clone)
    };
    let api = api_address(&value(
        "GIT_BRIDGE_API_BASE_URL",
        "http://sharelatex:3000/api/v0/",
    ))?;
    let folder = value("GIT_BRIDGE_ROOT_DIR", "/data/git-bridge");
    let bridge = Arc::new(Bridge {
        folder: options.root.join(folder.trim_start_matches('/')),
        is_api_answering: AtomicBool::new(false),
        log,
    });
    bridge.prepare()?;

    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let answering = Arc::clone(&bridge);
    let answer = move |request, _peer| {
        let bridge = Arc::clone(&answering);
        async move { bridge.answer(&request) }
    };
    tasks.spawn(serve_connections(listener, answer, stopped));
    let mut watching = JoinSet::new();
    watching.spawn(watch_api(Arc::clone(&bridge), api));

    shutdown.as_mut().await;
    bridge.log.line("stopping");
    watching.shutdown().await;
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Asks `sharelatex` until it answers once; `sharelatex` may start after this server.
async fn watch_api(bridge: Arc<Bridge>, api: String) {
    let mut is_waiting_said = false;
    loop {
        match ask_status(&api, "/status").await {
            Ok(StatusCode::OK) => break,
            _ if is_waiting_said => {}
            Ok(status) => bridge.log.line(format_args!(
                "the API at `{api}` answers {status}, waiting for it"
            )),
            Err(error) => bridge
                .log
                .line(format_args!("waiting for the API: {}", with_causes(&error))),
        }
        is_waiting_said = true;
        tokio::time::sleep(API_PAUSE).await;
    }
    bridge.is_api_answering.store(true, Ordering::SeqCst);
    bridge.log.line(format_args!("the API at `{api}` answers"));
}

/// Host and port of the API's base URL.
fn api_address(url: &str) -> Result<String, GitBridgeError> {
    let unusable = || GitBridgeError::ApiBaseUrl {
        value: url.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| unusable())?;
    let host = uri.host().filter(|host| !host.is_empty());
    match (uri.scheme_str(), host) {
        (Some("http"), Some(host)) => Ok(format!("{host}:{}", uri.port_u16().unwrap_or(80))),
        _ => Err(unusable()),
    }
}

impl Bridge {
    fn state_file(&self) -> PathBuf {
        self.folder.join(".wlgb/state.json")
    }

    /// Makes the folders, gives them to the server's user, and counts the start.
    fn prepare(&self) -> Result<(), GitBridgeError> {
        for path in [self.folder.clone(), self.folder.join(".wlgb")] {
            let prepared = std::fs::create_dir_all(&path).and_then(|()| give(&path));
            match prepared {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.is_dir() => {
                    let path = path.display();
                    self.log
                        .line(format_args!("{path} keeps its owner: {error}"));
                }
                Err(source) => return Err(GitBridgeError::Folder { path, source }),
            }
        }
        let path = self.state_file();
        let starts = if path.exists() {
            self.read_state()?.starts
        } else {
            0
        };
        let state = State {
            format: STATE_FORMAT,
            starts: starts.saturating_add(1),
        };
        let beside = path.with_extension("json.new");
        serde_json::to_vec(&state)
            .map_err(io::Error::from)
            .and_then(|bytes| write_synced(&beside, &bytes))
            .and_then(|()| std::fs::rename(&beside, &path))
            .map_err(|source| GitBridgeError::WriteState { path, source })
    }

    fn read_state(&self) -> Result<State, GitBridgeError> {
        let path = self.state_file();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| GitBridgeError::ParseState { path, source }),
            Err(source) => Err(GitBridgeError::ReadState { path, source }),
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Reply {
        let path = request.uri().path();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match segments.as_slice() {
            ["status"] if is_read => text(StatusCode::OK, "ok\n"),
            ["health_check"] if is_read => match self.check() {
                Ok(()) => text(StatusCode::OK, "ok\n"),
                Err(error) => self.failure(&error),
            },
            ["metrics"] if is_read => text(StatusCode::OK, self.metrics()),
            ["api", "projects", id] if request.method() == Method::DELETE => self.remove(id),
            ["status" | "health_check" | "metrics"] | ["api", "projects", _] => {
                method_not_allowed()
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "the toolkit's bundled git-bridge has no repositories\n",
            ),
        }
    }

    /// The folder takes a file and the state can be read.
    fn check(&self) -> Result<(), GitBridgeError> {
        let path = self.folder.join(".wlgb/health_check");
        std::fs::write(&path, "")
            .and_then(|()| std::fs::remove_file(&path))
            .map_err(|source| GitBridgeError::Folder {
                path: self.folder.clone(),
                source,
            })?;
        self.read_state().map(|_state| ())
    }

    fn metrics(&self) -> String {
        let api = u8::from(self.is_api_answering.load(Ordering::SeqCst));
        let starts = self.read_state().map(|state| state.starts);
        let projects = self.count_projects();
        let mut text = format!(
            "# TYPE git_bridge_up gauge\ngit_bridge_up 1\n\
             # TYPE git_bridge_api_answered gauge\ngit_bridge_api_answered {api}\n"
        );
        // A value that cannot be read is left out, which is how this format says unknown.
        if let Ok(projects) = projects {
            text += &format!("# TYPE git_bridge_projects gauge\ngit_bridge_projects {projects}\n");
        }
        if let Ok(starts) = starts {
            text += &format!(
                "# TYPE git_bridge_starts_total counter\ngit_bridge_starts_total {starts}\n"
            );
        }
        text
    }

    fn count_projects(&self) -> io::Result<usize> {
        let mut count = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if name
                .to_str()
                .is_some_and(|name| ObjectId::parse_str(name).is_ok())
            {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Removes the folder of a project; one that is not there is as good as removed.
    fn remove(&self, id: &str) -> Reply {
        let Ok(id) = ObjectId::parse_str(id) else {
            return text(
                StatusCode::BAD_REQUEST,
                "the project id needs 24 hex digits\n",
            );
        };
        let path = self.folder.join(id.to_hex());
        match std::fs::remove_dir_all(&path) {
            Ok(()) => {
                self.log.line(format_args!("removed project {id}"));
                text(StatusCode::NO_CONTENT, "")
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                text(StatusCode::NO_CONTENT, "")
            }
            Err(source) => self.failure(&GitBridgeError::Folder { path, source }),
        }
    }

    fn failure(&self, error: &GitBridgeError) -> Reply {
        let reason = with_causes(error);
        self.log.line(&reason);
        text(StatusCode::INTERNAL_SERVER_ERROR, reason + "\n")
    }
}

/// Writes a file that is on the disk afterwards: renamed before that, it could be found empty after
/// a power failure, and no start would get past it.
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes `path` belong to the server's user, if this process is the one that may do so.
fn give(path: &Path) -> io::Result<()> {
    // Only root can give things away, and tests run as somebody else.
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|itself| itself.uid() == 0);
    if is_root {
        std::os::unix::fs::chown(path, Some(BRIDGE_USER), Some(BRIDGE_USER))
    } else {
        Ok(())
    }
}

/// Whether `GET /status` at `address` answers 200 within five seconds.
pub async fn is_answering(address: SocketAddr) -> bool {
    ask_status(&address.to_string(), "/status")
        .await
        .is_ok_and(|status| status == StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_address_comes_from_the_base_url() {
        for (url, expected) in [
            ("http://sharelatex:3000/api/v0/", Some("sharelatex:3000")),
            ("http://sharelatex/api/v0/", Some("sharelatex:80")),
            ("http://[::1]:3000/", Some("[::1]:3000")),
            ("https://sharelatex/api/v0/", None),
            ("sharelatex:3000", None),
            ("http://", None),
            ("", None),
        ] {
            assert_eq!(api_address(url).ok().as_deref(), expected, "{url}");
        }
    }
}
