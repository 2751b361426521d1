//! One question over HTTP/1.1, on a connection of any kind.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Method;
use hyper::Request;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{first_line, not_ready};
use crate::observed::Readiness;

/// Largest HTTP answer that is read.
const LARGEST_ANSWER: usize = 1 << 16;

/// Longest part of an HTTP answer that is kept for a message.
const LONGEST_ANSWER: usize = 200;

/// A question over HTTP got no answer.
#[derive(Debug, Error)]
pub(super) enum HttpError {
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

/// Whether `GET path` is answered with 200.
pub(super) async fn ask(address: SocketAddr, path: &str) -> Readiness {
    let answer = async {
        let stream = TcpStream::connect(address).await?;
        get(stream, &address.ip().to_string(), path).await
    };
    match answer.await {
        Ok((200, _)) => Readiness::Ready,
        Ok((status, text)) => not_ready(format!("{path} answers {status} {}", text.trim()).trim()),
        Err(error) => not_ready(first_line(&error.to_string())),
    }
}

/// The status and the beginning of the body of `GET path`.
pub(super) async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
) -> Result<(u16, String), HttpError> {
    send(stream, Method::GET, host, path).await
}

/// The status and the beginning of the body of an answer to a request without a body.
pub(super) async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: Method,
    host: &str,
    path: &str,
) -> Result<(u16, String), HttpError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = AbortOnDrop(tokio::spawn(connection));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, host)
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
