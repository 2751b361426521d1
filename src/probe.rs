//! Asks a running service whether it is ready, over its own protocol, and initiates mongo's replica
//! set. Every question has a deadline. Knows nothing of containers: it is given an address.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use thiserror::Error;
use tokio::net::TcpStream;

use crate::deployment::Probe;
use crate::deployment::ReplicaSet;
use crate::observed::Readiness;
use crate::secret::Secret;

/// Code of mongo's answer to an initiation of a set that is initiated.
const ALREADY_INITIALIZED: i32 = 23;

/// Largest HTTP answer that is read.
const LARGEST_ANSWER: usize = 1 << 16;

/// Longest part of an HTTP answer that is kept for a message.
const LONGEST_ANSWER: usize = 200;

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

/// Asks once.
pub async fn ask(probe: &Probe, address: IpAddr, deadline: Duration) -> Readiness {
    let answer = async {
        match probe {
            Probe::Mongo {
                port,
                needs_replica_set,
            } => {
                ask_mongo(
                    SocketAddr::new(address, *port),
                    *needs_replica_set,
                    deadline,
                )
                .await
            }
            Probe::Redis { port, password } => {
                ask_redis(SocketAddr::new(address, *port), password.as_ref()).await
            }
            Probe::Http { port, path } => ask_http(SocketAddr::new(address, *port), path).await,
        }
    };
    match tokio::time::timeout(deadline, answer).await {
        Ok(readiness) => readiness,
        Err(_) => not_ready(format!("no answer within {} s", deadline.as_secs())),
    }
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
    let host = ServerAddress::Tcp {
        host: address.ip().to_string(),
        port: Some(address.port()),
    };
    let options = ClientOptions::builder()
        .hosts(vec![host])
        .app_name("toolkit".to_owned())
        // The set's member name resolves inside the project's network only.
        .direct_connection(true)
        .connect_timeout(deadline)
        .server_selection_timeout(deadline)
        .max_pool_size(1)
        .build();
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
        return not_yet(format!("no answer within {} s", deadline.as_secs()));
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
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("PING")
        .query_async::<()>(&mut connection)
        .await?;
    redis::cmd("INFO")
        .arg("persistence")
        .query_async(&mut connection)
        .await
}

async fn ask_http(address: SocketAddr, path: &str) -> Readiness {
    match http_status(address, path).await {
        Ok((200, _)) => Readiness::Ready,
        Ok((status, text)) => not_ready(format!("{path} answers {status} {}", text.trim()).trim()),
        Err(error) => not_ready(first_line(&error.to_string())),
    }
}

/// A question over HTTP got no answer.
#[derive(Debug, Error)]
enum HttpError {
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    #[error("the answer is not HTTP: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
}

/// A task that ends with the question it was started for.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The status and the beginning of the body of `GET path`.
async fn http_status(address: SocketAddr, path: &str) -> Result<(u16, String), HttpError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = AbortOnDrop(tokio::spawn(connection));
    let request = Request::get(path)
        .header(hyper::header::HOST, address.ip().to_string())
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let limited = Limited::new(answer.into_body(), LARGEST_ANSWER);
    // A body that is too large or breaks off says no more than the status.
    let body = limited
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    drop(driver);
    let text: String = String::from_utf8_lossy(&body)
        .chars()
        .take(LONGEST_ANSWER)
        .collect();
    Ok((status, text))
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
