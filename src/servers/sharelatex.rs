//! The bundled `sharelatex` server: stands in for the Overleaf container in rehearsals and tests
//! of a deployment. It boots, checks, serves, and stops as the real container does, with the same
//! environment, files, databases, log lines and exit codes; it has no editor and no users.
//!
//! It must not know how it is deployed, nor the other bundled servers: it meets them only over the
//! network, and so works with real MongoDB and Redis servers too.
//!
//! # Documents
//!
//! In place of an editor the site port has a small API. Ids have 24 hex digits.
//!
//! | Request | Answer |
//! |---|---|
//! | `PUT /project/<project>/doc/<document>` | stores the body (UTF-8, up to 2 MiB) in Redis; `{"version":n}` |
//! | `GET /project/<project>/doc/<document>` | the text, with the headers `x-document-version` and `x-document-place` (`redis` or `mongo`) |
//! | `DELETE /project/<project>/doc/<document>` | 204, removed from both |
//! | `GET /project/<project>/docs` | `{"docs":[{"id","version","place"}]}` |
//! | `POST /project/<project>/flush` | moves the project's documents to MongoDB; `{"flushed":n,"of":m}` |
//!
//! A change is answered with 503 while the site is closed, with 409 when the id belongs to another
//! project. `/logs` writes and rotates logs on request. There is no login, so the port is for closed networks.
//!
//! # Faults on request
//!
//! `TOOLKIT_BUNDLED_FAULT` makes it misbehave: `exit-at-start:<code>` ends at once with that code,
//! `never-ready` boots and then answers nothing until stopped, `stuck-document` refuses every
//! flush, so that documents stay in Redis and the exit code is 1; `stuck-document:<id>` does so with
//! one document.

mod boot;
mod databases;
mod documents;
mod environment;
mod environment_files;
mod log_requests;
mod logs;
pub mod scripts;
mod shutdown;
mod site;
mod site_status;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::servers::container_log::ContainerLog;
use crate::servers::container_log::with_causes;
use crate::servers::http::ask_status;
use crate::servers::http::serve_connections;
use documents::Documents;
use environment::Fault;
use environment::Settings;
use logs::Service;
use logs::ServiceLogs;
use site::Port;
use site::Site;

/// How long MongoDB and Redis may take to answer. The real checks fail at once too, rather than
/// retry for minutes: the container's restart policy does the retrying.
const DATABASE_DEADLINE: Duration = Duration::from_secs(10);

/// The exit code of a stop on request, which phusion's `my_init` uses for every such stop.
const STOPPED: u8 = 2;

/// The exit code after a failed step of the start or of the stop.
const FAILED: u8 = 1;

/// What the container is given.
#[derive(Clone)]
pub struct Options {
    /// The environment of the container.
    pub environment: BTreeMap<String, String>,
    /// The folder that all absolute paths are below; `/` in the container.
    pub root: PathBuf,
    /// How long a database may take to answer; 10 s unless a test shortens it.
    pub database_deadline: Duration,
}

impl Options {
    /// With the default deadline.
    #[must_use]
    pub fn new(environment: BTreeMap<String, String>, root: PathBuf) -> Self {
        Self {
            environment,
            root,
            database_deadline: DATABASE_DEADLINE,
        }
    }
}

/// The ports. No connection is accepted before the start is finished.
pub struct Listeners {
    /// Port 80: what users see.
    pub site: TcpListener,
    /// Port 3000: the internal API.
    pub api: TcpListener,
    /// Port 3100: the history service.
    pub history: TcpListener,
    /// Port 3003, for programs in the container: the document updater.
    pub document_updater: TcpListener,
    /// Port 3054, for programs in the container: the queues of the histories.
    pub project_history: TcpListener,
}

/// Boots, serves until `shutdown` and stops; `log` is the container's standard output.
///
/// Returns the exit code of the container: 2 after a stop on request, also one during the start; 1
/// when a step of the start or of the stop failed.
pub async fn serve(
    listeners: Listeners,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
    log: impl Write + Send + 'static,
) -> u8 {
    let log = ContainerLog::new(log);
    let mut shutdown = pin!(shutdown);
    log.line("This is the toolkit's bundled sharelatex server, not Overleaf");
    let settings = match environment::read(&options.environment, &options.root) {
        Ok(settings) => settings,
        Err(error) => {
            log.line(error);
            return FAILED;
        }
    };
    if let Some(Fault::ExitAtStart(code)) = settings.fault {
        log.line(format_args!("ending with code {code} on request"));
        return code;
    }

    let written = environment_files::write(&options.environment, &options.root, settings.brand);
    if let Err(error) = written {
        // Scripts need them, the server does not.
        log.line(format_args!(
            "the environment cannot be kept in /etc: {error}"
        ));
    }

    let booted = tokio::select! {
        booted = boot::boot(
            &options.environment,
            &options.root,
            &settings,
            options.database_deadline,
            &log,
        ) => booted,
        () = &mut shutdown => {
            log.line("*** Init system aborted.");
            return STOPPED;
        }
    };
    let databases = match booted {
        Ok(databases) => databases,
        Err(error) => {
            log.line(with_causes(&error.source));
            let script = error.script;
            log.line(format_args!(
                "*** /etc/my_init.d/{script} failed with status {FAILED}"
            ));
            return FAILED;
        }
    };
    if settings.fault == Some(Fault::NeverReady) {
        log.line("answering nothing on request");
        shutdown.await;
        return STOPPED;
    }

    let stuck = environment::stuck(&settings);
    let site = start(settings, Documents::new(databases, stuck), &log);
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    for (port, listener) in [
        (Port::Site, listeners.site),
        (Port::Api, listeners.api),
        (Port::History, listeners.history),
        (Port::DocumentUpdater, listeners.document_updater),
        (Port::ProjectHistory, listeners.project_history),
    ] {
        let site = Arc::clone(&site);
        let answer = move |request, peer| site::answer(Arc::clone(&site), port, request, peer);
        servers.spawn(serve_connections(listener, answer, stopped.clone()));
    }
    log.line("ready");

    shutdown.await;
    log.line("*** Shutting down...");
    let outcome = shutdown::stop(&site, &log).await;
    stop.send_replace(true);
    while servers.join_next().await.is_some() {}
    match outcome {
        Ok(()) => {
            log.line("*** Shutdown complete");
            STOPPED
        }
        Err(error) => {
            log.line(with_causes(&error));
            log.line(format_args!(
                "*** Pre-shutdown failed with status {FAILED}, skipping the rest"
            ));
            FAILED
        }
    }
}

/// Opens the logs and lets every service say that it runs.
fn start(settings: Settings, documents: Documents, log: &ContainerLog) -> Arc<Site> {
    log.line("*** Booting runit daemon...");
    log.line(format_args!(
        "*** Runit started as PID {}",
        std::process::id()
    ));
    let logs = ServiceLogs::open(&settings, log);
    for service in Service::of(settings.brand) {
        let message = format!("{} starting up (bundled server)", service.name());
        logs.info(service, &message, json!({}));
    }
    Arc::new(Site::new(settings, documents, logs))
}

/// Whether `GET /status` at `address`, the site's port, answers 200 within five seconds.
pub async fn is_answering(address: SocketAddr) -> bool {
    ask_status(&address.to_string(), "/status")
        .await
        .is_ok_and(|status| status == StatusCode::OK)
}
