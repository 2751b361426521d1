//! A small HTTP server on one address of this machine, for pages that are made when they are asked
//! for. It speaks plain HTTP/1.1, knows GET and HEAD only, and no path: what a path means is for the
//! caller to say.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

/// How long a client may take for the head of its request.
const CLIENT_DEADLINE: Duration = Duration::from_secs(10);

/// Connections at once; more wait until one ends.
const MOST_CONNECTIONS: usize = 16;

/// Pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Status code.
    pub status: u16,
    /// Kind of the text.
    pub content_type: &'static str,
    /// The text.
    pub text: String,
}

/// Answers connections until the value is dropped.
pub async fn serve(listener: TcpListener, page: impl AsyncFn(&str) -> Page) {
    let mut connections = FuturesUnordered::new();
    loop {
        let has_room = connections.len() < MOST_CONNECTIONS;
        tokio::select! {
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => connections.push(connection(stream, &page)),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(()) = connections.next() => {}
        }
    }
}

async fn connection(stream: TcpStream, page: &impl AsyncFn(&str) -> Page) {
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(answer(&request, page).await)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CLIENT_DEADLINE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // An error here means that the client went away, which is its right.
    drop(served);
}

async fn answer(
    request: &Request<Incoming>,
    page: &impl AsyncFn(&str) -> Page,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = Response::new(Full::new(Bytes::from_static(b"only GET is answered\n")));
        *refusal.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = HeaderValue::from_static("GET, HEAD");
        refusal.headers_mut().insert(ALLOW, allowed);
        return refusal;
    }
    let page = page(request.uri().path()).await;
    let mut response = Response::new(Full::new(Bytes::from(page.text)));
    *response.status_mut() =
        StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(page.content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_page_is_made_for_each_request_and_nothing_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let page = async |path: &str| Page {
            status: if path == "/a" { 200 } else { 404 },
            content_type: "text/plain",
            text: format!("at {path}\n"),
        };
        let questions = async {
            let found = ask(address, "GET /a").await;
            assert!(found.starts_with("HTTP/1.1 200 "), "{found}");
            assert!(found.ends_with("at /a\n"), "{found}");
            assert!(ask(address, "GET /b").await.starts_with("HTTP/1.1 404 "));
            assert!(ask(address, "POST /a").await.starts_with("HTTP/1.1 405 "));
        };
        tokio::select! {
            () = serve(listener, page) => {}
            () = questions => {}
        }
    }
}
