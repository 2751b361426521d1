//! The way to the engine of an instance.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::{Session, error::CommandError, exit};
use crate::engine::Engine;
use crate::engine::docker;
use crate::engine::docker::DockerEngine;
use crate::host;
use crate::host::tunnel::Tunnel;

/// Connects to the engine of the instance: the one that `DOCKER_HOST` names in the environment, else
/// in `config/toolkit.env`, else the one on the usual socket.
///
/// # Errors
/// No engine answers, or it may not be used.
pub async fn engine(session: &Session, root: &Path) -> Result<DockerEngine, CommandError> {
    connected(&endpoint(session, root)?, Asks::WhoItIs).await
}

/// What an engine is asked as soon as it is connected to, so that it answers meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Who it is, which takes it longer than all else.
    WhoItIs,
    /// Nothing: who it is may not matter.
    Nothing,
}

/// As [`engine`], and begun at once: the engine answers while something else is read. A tunnel is not
/// begun before it is needed, since it would outlive a run that is refused meanwhile.
pub fn engine_meanwhile(
    session: &Session,
    root: &Path,
    asks: Asks,
) -> impl Future<Output = Result<DockerEngine, CommandError>> + use<> {
    engine_ahead(session, root, asks).1
}

/// As [`engine_meanwhile`], with what to tell the project whose containers are looked at first: they are
/// asked for as soon as it is known.
pub fn engine_ahead(
    session: &Session,
    root: &Path,
    asks: Asks,
) -> (
    ProjectIs,
    impl Future<Output = Result<DockerEngine, CommandError>> + use<>,
) {
    let (tell, told) = oneshot::channel::<String>();
    let endpoint = endpoint(session, root);
    let begun = match &endpoint {
        Ok(endpoint) if !endpoint.starts_with(TUNNELLED) => {
            let endpoint = endpoint.clone();
            Some(tokio::spawn(async move {
                let engine = connected(&endpoint, asks).await?;
                // Who does not tell it drops the sender.
                if let Ok(project) = told.await {
                    engine.ask_ahead(&project);
                }
                Ok(engine)
            }))
        }
        _ => None,
    };
    let connection = async move {
        match begun {
            Some(begun) => {
                let connected = begun.await;
                connected.context("the connection to the engine was given up")?
            }
            None => connected(&endpoint?, asks).await,
        }
    };
    (ProjectIs(tell), connection)
}

/// Tells the project whose containers are looked at first.
#[derive(Debug)]
pub struct ProjectIs(oneshot::Sender<String>);

impl ProjectIs {
    /// It is this one.
    pub fn named(self, project: &str) {
        // Where nobody waits for it, it is asked for when it is needed.
        let _ = self.0.send(project.to_owned());
    }
}

async fn connected(endpoint: &str, asks: Asks) -> Result<DockerEngine, CommandError> {
    let connected = match endpoint.starts_with(TUNNELLED) {
        true => {
            let tunnel = Tunnel::open(endpoint, &std::env::temp_dir()).await;
            let tunnel = tunnel.map_err(|error| CommandError::from(error).state(UNTOUCHED))?;
            let socket = tunnel.socket().to_path_buf();
            DockerEngine::connect_through(endpoint, &socket, Arc::new(tunnel)).await
        }
        false => DockerEngine::connect(Some(endpoint)).await,
    };
    let connected = connected.map_err(|error| CommandError::from(error).state(UNTOUCHED))?;
    if asks == Asks::WhoItIs {
        let asked = connected.clone();
        // A failure comes again where the answer is needed.
        tokio::spawn(async move { asked.facts().await.is_ok() });
    }
    Ok(connected)
}

/// Where the engine of the instance is: as for [`engine`].
///
/// # Errors
/// `config/toolkit.env` cannot be read, or says something else.
pub fn endpoint(session: &Session, root: &Path) -> Result<String, CommandError> {
    let own = match &session.docker_host {
        Some(host) => Some(host.clone()),
        None => own_variables(root)?.remove(DOCKER_HOST),
    };
    let own = own.filter(|host| !host.is_empty());
    Ok(own.unwrap_or_else(|| docker::DEFAULT_ENDPOINT.to_owned()))
}

/// What an engine begins with to which a tunnel leads.
const TUNNELLED: &str = "ssh://";

/// What stands when the engine was not reached.
const UNTOUCHED: &str = "nothing was changed";

/// The one variable that `config/toolkit.env` may set.
const DOCKER_HOST: &str = "DOCKER_HOST";

/// The program's own variables of this instance. Plain `KEY=value` lines, so that the grammar of
/// dotenvy serves; variables.env, which Docker Compose reads in its own way, is another matter.
fn own_variables(root: &Path) -> Result<BTreeMap<String, String>, CommandError> {
    let file = root.join("config/toolkit.env");
    if !host::exists(&file) {
        return Ok(BTreeMap::new());
    }
    let text = host::read_text(&file)?;
    let refuse = |cause: String| {
        CommandError::new(
            "CONFIG_INVALID",
            exit::CONFIGURATION,
            format!("`{}` is wrong", file.display()),
        )
        .because(cause)
        .state("nothing was changed")
        .fix("it holds DOCKER_HOST=unix://PATH, DOCKER_HOST=tcp://HOST:PORT or DOCKER_HOST=ssh://USER@HOST and nothing else")
    };
    let mut variables = BTreeMap::new();
    for entry in dotenvy::from_read_iter(text.as_bytes()) {
        let (name, value) = entry.map_err(|error| refuse(error.to_string()))?;
        if name != DOCKER_HOST {
            return Err(refuse(format!("`{name}` is not known here")));
        }
        variables.insert(name, value);
    }
    Ok(variables)
}
