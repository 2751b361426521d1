//! Lines and rotations of logs on request, so that what reads logs can be tried.
//!
//! | Request | Effect |
//! |---|---|
//! | `POST /logs/<service>?count=n&level=error` | writes the body as a message, n times with a number behind it; from level `error` on with a stack |
//! | `POST /logs/container` | the same on the container's output |
//! | `POST /logs/<service>/rotate?by=copy` | copies the file away and cuts it, or with `by=rename` renames it |

use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::json;

use super::logs::Rotation;
use super::logs::Service;
use super::site::Site;
use crate::servers::container_log::with_causes;
use crate::servers::http::Reply;
use crate::servers::http::method_not_allowed;
use crate::servers::http::read_body;
use crate::servers::http::text;

/// The longest message, in bytes.
const LONGEST: usize = 64 * 1024;

/// The most lines of one request.
const MOST_LINES: usize = 1_000_000;

/// The name that stands for the container's output.
const CONTAINER: &str = "container";

/// Answers a request below `/logs`.
pub(super) async fn answer(site: &Site, request: Request<Incoming>, rest: &[String]) -> Reply {
    if request.method() != Method::POST {
        return method_not_allowed();
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.to_owned())
    };
    let [name, rest @ ..] = rest else {
        return text(StatusCode::NOT_FOUND, "not found\n");
    };
    let service = Service::named(name);
    if service.is_none() && name != CONTAINER {
        return text(StatusCode::NOT_FOUND, "there is no such log\n");
    }
    if let ([what], Some(service)) = (rest, service)
        && what == "rotate"
    {
        let by = match value("by").as_deref() {
            None | Some("copy") => Rotation::Copy,
            Some("rename") => Rotation::Rename,
            Some(_) => return text(StatusCode::BAD_REQUEST, "`by` is copy or rename\n"),
        };
        return match site.logs().rotate(service, by) {
            Ok(()) => text(StatusCode::NO_CONTENT, ""),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        };
    }
    if !rest.is_empty() {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    let level = match value("level").as_deref() {
        Some("trace") => 10,
        Some("debug") => 20,
        None | Some("info") => 30,
        Some("warn") => 40,
        Some("error") => 50,
        Some("fatal") => 60,
        Some(_) => return text(StatusCode::BAD_REQUEST, "`level` is the name of a level\n"),
    };
    let count = match value("count").map(|count| count.parse::<usize>()) {
        None => 1,
        Some(Ok(count)) if count <= MOST_LINES => count,
        Some(_) => {
            return text(
                StatusCode::BAD_REQUEST,
                "`count` is a number up to a million\n",
            );
        }
    };
    let body = match read_body(request.into_body(), LONGEST).await {
        Ok(body) => body,
        Err(error) => return text(error.status(), with_causes(&error) + "\n"),
    };
    let message = String::from_utf8_lossy(&body).replace('\n', " ");
    for number in 1..=count {
        let message = match count {
            1 => message.clone(),
            _ => format!("{message} {number}"),
        };
        match service {
            Some(service) => site.logs().message(service, level, &message, json!({})),
            None => site.logs().container(&message),
        }
    }
    text(StatusCode::NO_CONTENT, "")
}
