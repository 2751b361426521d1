//! What an engine says of itself at once: the headers of its answer to a ping. To tell more takes it
//! longer, since it asks the programs below it.
//!
//! Source: Docker Engine API, `GET /_ping`, header `Api-Version`; Podman answers with
//! `Libpod-Api-Version` beside it.

use bollard::errors::Error;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use super::ask;
use super::attach::{Door, LONGEST_ANSWER, refusal};
use crate::observed::EngineFacts;

/// Header with the newest API that an engine has.
const API: &str = "api-version";

/// Header that only Podman has.
const OF_PODMAN: &str = "libpod-api-version";

/// Asks for it; `None` from what answers and is no engine.
///
/// # Errors
/// Nothing answers, or with an error.
pub(super) async fn ask(door: &Door, endpoint: &str) -> Result<Option<EngineFacts>, Error> {
    let request = Request::get("/_ping")
        .header(HOST, "engine")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(door.open().await?)).await?;
    let asking = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(of(answer.headers(), endpoint));
        }
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect();
        let body = body.await.map(http_body_util::Collected::to_bytes);
        Err(refusal(status, &body.unwrap_or_default()))
    };
    ask::driven(connection, asking).await
}

fn of(headers: &HeaderMap, endpoint: &str) -> Option<EngineFacts> {
    let api = headers.get(API)?.to_str().ok()?;
    let (major, minor) = api.trim().split_once('.')?;
    let product = match headers.contains_key(OF_PODMAN) {
        true => "Podman Engine",
        false => "Docker Engine",
    };
    Some(EngineFacts {
        product: product.to_owned(),
        api: (major.parse().ok()?, minor.parse().ok()?),
        endpoint: endpoint.to_owned(),
        ..EngineFacts::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeted(headers: &[(&'static str, &'static str)]) -> Option<(String, (u32, u32))> {
        let headers = headers.iter().map(|(name, value)| {
            let value = hyper::header::HeaderValue::from_static(value);
            (hyper::header::HeaderName::from_static(name), value)
        });
        let facts = of(&headers.collect(), "unix:///x")?;
        Some((facts.product, facts.api))
    }

    #[test]
    fn podman_is_told_from_docker() {
        let docker = [
            ("api-version", "1.41"),
            ("server", "Docker/20.10.24 (linux)"),
        ];
        let told = greeted(&docker);
        assert_eq!(told, Some(("Docker Engine".to_owned(), (1, 41))));
        let podman = [("api-version", "1.41"), ("libpod-api-version", "5.4.2")];
        let told = greeted(&podman);
        assert_eq!(told, Some(("Podman Engine".to_owned(), (1, 41))));
    }

    #[test]
    fn what_names_no_api_is_no_engine() {
        assert_eq!(greeted(&[("server", "nginx")]), None);
        assert_eq!(greeted(&[("api-version", "new")]), None);
    }
}
