//! HTTP/1.1 for the bundled servers: replies, reading a body, accepting connections until told to
//! stop, and asking another server for its status.
//!
//! It knows no path and no server; routing is the business of each server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Empty;
use http_body_util::Full;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Body;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::header::HOST;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A complete answer; all bundled pages are small enough to be built in memory.
pub(super) type Reply = Response<Full<Bytes>>;

/// How long a client may take for its request head or its body.
const CLIENT_DEADLINE: Duration = Duration::from_secs(30);

/// How long connections may go on after the listener is closed.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// How long another server may take to answer a status request.
const STATUS_DEADLINE: Duration = Duration::from_secs(5);

/// Pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Plain text.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

/// A page.
pub(super) fn html(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/html; charset=utf-8", body)
}

/// A JSON document.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Reply {
    reply(status, "application/json", body.to_string())
}

/// The answer for a path that exists with another method.
pub(super) fn method_not_allowed() -> Reply {
    text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// Why the body of a request could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// More than the limit.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It did not arrive in time.
    #[error("the body did not arrive within {} s", .deadline.as_secs())]
    TooSlow {
        /// How long was waited.
        deadline: Duration,
    },
    /// The connection broke.
    #[error("the body ended early")]
    Broken {
        /// What the connection said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BodyError {
    /// The status code for the client.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Broken { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read_body(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    // An announced length is judged before reading, so that a client that waits for
    // `100 Continue` gets the answer instead of a broken connection.
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    match timeout(CLIENT_DEADLINE, Limited::new(body, limit).collect()).await {
        Err(_elapsed) => Err(BodyError::TooSlow {
            deadline: CLIENT_DEADLINE,
        }),
        Ok(Err(source)) if source.is::<LengthLimitError>() => Err(BodyError::TooLarge { limit }),
        Ok(Err(source)) => Err(BodyError::Broken { source }),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

/// Answers connections of `listener` with `handler` until `stop` holds `true` (or its sender is
/// gone); then closes the listener and lets connections end, for a few seconds at most.
pub(super) async fn serve_connections<H, F>(
    listener: TcpListener,
    handler: H,
    mut stop: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve_connection(stream, peer, handler.clone(), stop.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    let drained = timeout(DRAIN_DEADLINE, async {
        while connections.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve_connection<H, F>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: H,
    mut stop: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>, SocketAddr) -> F,
    F: Future<Output = Reply>,
{
    let service = service_fn(move |request| {
        let answer = handler(request, peer);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(CLIENT_DEADLINE)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // An error here means that the client went away, which is its right.
    drop(ended);
}

/// Returns when `stop` holds `true` or nobody can set it any more.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The error says that the sender is gone, which is a stop as well.
    drop(stop.wait_for(|is_stopped| *is_stopped).await);
}

/// Why another server gave no status.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// No connection, for example because the name is unknown or the port is closed.
    #[error("cannot connect to `{address}`")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The conversation failed.
    #[error("`{address}` does not speak HTTP")]
    Talk {
        /// Host and port.
        address: String,
        /// What went wrong.
        #[source]
        source: hyper::Error,
    },
    /// The address or the path cannot be written into a request.
    #[error("`{address}` is not an address for a request")]
    Request {
        /// Host and port.
        address: String,
        /// What is wrong with it.
        #[source]
        source: hyper::http::Error,
    },
    /// Too slow.
    #[error("`{address}` did not answer within {} s", STATUS_DEADLINE.as_secs())]
    Late {
        /// Host and port.
        address: String,
    },
}

/// The status code of `GET <path>` at `address` (`host:port`), within five seconds.
pub(super) async fn ask_status(address: &str, path: &str) -> Result<StatusCode, AskError> {
    match timeout(STATUS_DEADLINE, exchange(address, path)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(AskError::Late {
            address: address.to_owned(),
        }),
    }
}

async fn exchange(address: &str, path: &str) -> Result<StatusCode, AskError> {
    let request = Request::builder()
        .uri(path)
        .header(HOST, address)
        .body(Empty::<Bytes>::new())
        .map_err(|source| AskError::Request {
            address: address.to_owned(),
            source,
        })?;
    let talk = |source| AskError::Talk {
        address: address.to_owned(),
        source,
    };
    let stream = TcpStream::connect(address)
        .await
        .map_err(|source| AskError::Connect {
            address: address.to_owned(),
            source,
        })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(talk)?;
    let mut connection = pin!(connection);
    let mut response = pin!(sender.send_request(request));
    // The connection only ends first when it broke, and then the response has the reason.
    let response = tokio::select! {
        response = response.as_mut() => response,
        _broken = connection.as_mut() => response.await,
    };
    Ok(response.map_err(talk)?.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn serves_until_stopped_and_is_asked_for_its_status() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = watch::channel(false);
        let handler = |request: Request<Incoming>, _peer| async move {
            match request.uri().path() {
                "/status" => text(StatusCode::OK, "fine\n"),
                _ => text(StatusCode::NOT_FOUND, "unknown\n"),
            }
        };
        let server = tokio::spawn(serve_connections(listener, handler, stopped));

        assert_eq!(ask_status(&address, "/status").await.unwrap(), 200);
        assert_eq!(ask_status(&address, "/other").await.unwrap(), 404);
        stop.send_replace(true);
        server.await.unwrap();
        assert!(matches!(
            ask_status(&address, "/status").await,
            Err(AskError::Connect { .. })
        ));
    }
}
