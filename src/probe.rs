//! Asks a running service whether it is ready, over its own protocol, and initiates mongo's replica
//! set. Every question has a deadline; [`way`] finds the address it goes to.

pub mod certificate;
pub mod condition;
mod http;
pub mod projects;
pub mod store;
mod tls;
pub mod way;

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use mongodb::bson::{Document, doc};
use thiserror::Error;
use tokio::net::TcpStream;

use crate::deployment::Probe;
use crate::deployment::ReplicaSet;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::Reach;
use crate::observed::Container;
use crate::observed::Readiness;
use crate::secret::Secret;

/// Code of mongo's answer to an initiation of a set that is initiated.
const ALREADY_INITIALIZED: i32 = 23;

/// How many times longer an answer may take that comes through the engine.
const FORWARDED: u32 = 3;

/// Codes of refusals that pass: mongo is still starting, or cannot reach its own name yet.
const PASSING: [i32; 5] = [6, 7, 74, 89, 93];

/// Mongo's replica set could not be initiated.
#[derive(Debug, Error)]
#[error("mongo at {address} does not initiate the replica set")]
pub struct InitiateError {
    address: SocketAddr,
    #[source]
    source: Box<mongodb::error::Error>,
}

/// How an initiation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initiation {
    /// The set is initiated.
    Done,
    /// Mongo is not ready for it yet.
    NotYet {
        /// What it says.
        because: String,
    },
}

/// Asks the service in a container once, by its address or through the engine, which may take three
/// times the deadline.
pub async fn ask_container(
    engine: &impl Engine,
    container: &Container,
    probe: &Probe,
    deadline: Duration,
) -> Readiness {
    // The way through the engine starts a program for each connection.
    let deadline = match engine.reaches_addresses() {
        Reach::Direct => deadline,
        Reach::Forwarded | Reach::Unknown => deadline * FORWARDED,
    };
    let question = way::to(engine, container, probe.port(), async |address| {
        ask(probe, address, deadline).await
    });
    match question.await {
        Ok(readiness) => readiness,
        Err(error) => not_ready(with_cause(&error)),
    }
}

/// The engine's own words say more than that something was refused.
#[must_use]
pub fn with_cause(error: &EngineError) -> String {
    match error {
        EngineError::Refused { message, .. } => first_line(message),
        other => other.to_string(),
    }
}

/// Asks once.
pub async fn ask(probe: &Probe, address: SocketAddr, deadline: Duration) -> Readiness {
    let answer = async {
        match probe {
            Probe::Mongo {
                needs_replica_set, ..
            } => ask_mongo(address, *needs_replica_set, deadline).await,
            Probe::Redis { password, .. } => ask_redis(address, password.as_ref()).await,
            Probe::Http { path, .. } => http::ask(address, path).await,
            Probe::Tls(proxy) => tls::ask(proxy, address).await,
        }
    };
    match tokio::time::timeout(deadline, answer).await {
        Ok(readiness) => readiness,
        Err(_) => not_ready(silent(deadline)),
    }
}

/// Status and beginning of the text of `GET path` at a port of a container.
///
/// # Errors
/// Nothing answers in time, or not in HTTP; the text says why.
pub async fn get(
    engine: &impl Engine,
    container: &Container,
    port: u16,
    path: &str,
    deadline: Duration,
) -> Result<(u16, String), String> {
    let question = way::to(engine, container, port, async |address: SocketAddr| {
        let answer = async {
            let stream = TcpStream::connect(address).await?;
            http::get(stream, &address.ip().to_string(), path).await
        };
        in_time(deadline, answer).await
    });
    question.await.map_err(|error| with_cause(&error))?
}

/// Sends `POST path` without a body to a port that only programs in the container reach.
///
/// # Errors
/// Nothing answers in time, or not in HTTP; the text says why.
pub async fn post_inside(
    engine: &impl Engine,
    container: &Container,
    port: u16,
    path: &str,
    deadline: Duration,
) -> Result<(u16, String), String> {
    let stream = engine.open_stream(&container.id, port).await;
    let stream = stream.map_err(|error| with_cause(&error))?;
    in_time(
        deadline,
        http::send(stream, Method::POST, "127.0.0.1", path),
    )
    .await
}

async fn in_time<T, E: std::fmt::Display>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(answer) => answer.map_err(|error| first_line(&error.to_string())),
        Err(_) => Err(silent(deadline)),
    }
}

fn silent(deadline: Duration) -> String {
    format!("no answer within {} s", deadline.as_secs())
}

fn not_ready(because: impl Into<String>) -> Readiness {
    Readiness::NotReady {
        because: because.into(),
    }
}

async fn mongo(
    address: SocketAddr,
    deadline: Duration,
) -> Result<mongodb::Client, mongodb::error::Error> {
    let mut options = store::without_login(address);
    store::bound(&mut options, deadline, 1);
    mongodb::Client::with_options(options)
}

async fn ask_mongo(address: SocketAddr, needs_replica_set: bool, deadline: Duration) -> Readiness {
    let hello = async {
        let client = mongo(address, deadline).await?;
        let hello = client
            .database("admin")
            .run_command(doc! { "hello": 1 })
            .await;
        client.shutdown().immediate(true).await;
        hello
    };
    match hello.await {
        Ok(hello) => mongo_readiness(&hello, needs_replica_set),
        Err(error) => not_ready(first_line(&error.to_string())),
    }
}

fn mongo_readiness(hello: &Document, needs_replica_set: bool) -> Readiness {
    let is_primary = hello.get_bool("isWritablePrimary").unwrap_or(false);
    let has_set = hello.get_str("setName").is_ok();
    if hello.get_bool("isreplicaset").unwrap_or(false) {
        return Readiness::NotInitiated;
    }
    match (is_primary, has_set || !needs_replica_set) {
        (true, true) => Readiness::Ready,
        (true, false) => not_ready("it runs without a replica set"),
        (false, _) => not_ready("it is not a writable primary yet"),
    }
}

/// Initiates the replica set with its one member. A set that is initiated already is no error.
///
/// # Errors
/// Mongo refuses for good.
pub async fn initiate(
    set: &ReplicaSet,
    address: SocketAddr,
    deadline: Duration,
) -> Result<Initiation, InitiateError> {
    let not_yet = |because: String| Ok(Initiation::NotYet { because });
    let answer = async {
        let client = mongo(address, deadline).await?;
        let command = doc! {
            "replSetInitiate": {
                "_id": &set.name,
                "members": [{ "_id": 0, "host": &set.member }],
            },
        };
        let answer = client.database("admin").run_command(command).await;
        client.shutdown().immediate(true).await;
        answer
    };
    // The driver has no deadline for the answer itself.
    let Ok(answer) = tokio::time::timeout(deadline, answer).await else {
        return not_yet(silent(deadline));
    };
    let Err(error) = answer else {
        return Ok(Initiation::Done);
    };
    match &*error.kind {
        mongodb::error::ErrorKind::Command(refusal) if refusal.code == ALREADY_INITIALIZED => {
            Ok(Initiation::Done)
        }
        mongodb::error::ErrorKind::Command(refusal) if !PASSING.contains(&refusal.code) => {
            Err(InitiateError {
                address,
                source: Box::new(error),
            })
        }
        _ => not_yet(first_line(&error.to_string())),
    }
}

async fn ask_redis(address: SocketAddr, password: Option<&Secret>) -> Readiness {
    let info = redis_info(address, password).await;
    match info {
        Ok(info) if info.lines().any(|line| line.trim() == "loading:0") => Readiness::Ready,
        Ok(_) => not_ready("it is loading its data"),
        Err(error) => not_ready(first_line(&error.to_string())),
    }
}

async fn redis_info(
    address: SocketAddr,
    password: Option<&Secret>,
) -> Result<String, redis::RedisError> {
    let settings = redis::RedisConnectionInfo::default();
    let settings = match password {
        Some(password) => settings.set_password(password.expose()),
        None => settings,
    };
    let target = redis::ConnectionAddr::Tcp(address.ip().to_string(), address.port());
    let connection = redis::IntoConnectionInfo::into_connection_info(target)?;
    let client = redis::Client::open(connection.set_redis_settings(settings))?;
    // The question has a deadline of its own; the client's is too short for a busy machine.
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&patient)
        .await?;
    redis::cmd("PING")
        .query_async::<()>(&mut connection)
        .await?;
    redis::cmd("INFO")
        .arg("persistence")
        .query_async(&mut connection)
        .await
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_writable_primary_counts() {
        let ready = Readiness::Ready;
        for (hello, needs_set, expected) in [
            (
                doc! { "isWritablePrimary": true, "setName": "overleaf" },
                true,
                ready.clone(),
            ),
            (doc! { "isWritablePrimary": true }, false, ready.clone()),
            (
                doc! { "isWritablePrimary": true },
                true,
                not_ready("it runs without a replica set"),
            ),
            (
                doc! { "isWritablePrimary": false, "secondary": true, "setName": "overleaf" },
                true,
                not_ready("it is not a writable primary yet"),
            ),
            (
                doc! { "isWritablePrimary": false, "isreplicaset": true },
                true,
                Readiness::NotInitiated,
            ),
        ] {
            assert_eq!(mongo_readiness(&hello, needs_set), expected, "{hello}");
        }
    }
}
