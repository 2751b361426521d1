//! The requests of the ports: the site (80), the internal API (3000), the history (3100), and for
//! programs in the container the document updater (3003) and the queues of the histories (3054).
//!
//! It routes and phrases answers; documents, files and logs have their own modules.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bson::doc;
use bson::oid::ObjectId;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::Body;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::header::HeaderValue;
use hyper::header::USER_AGENT;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;
use tokio::sync::watch;

use super::databases::DatabaseError;
use super::documents::DocumentError;
use super::documents::Documents;
use super::documents::Found;
use super::documents::LARGEST_TEXT;
use super::environment::Settings;
use super::log_requests;
use super::logs::Access;
use super::logs::Service;
use super::logs::ServiceLogs;
use super::shutdown;
use super::site_status::SiteStatus;
use crate::servers::container_log::with_causes;
use crate::servers::http::Reply;
use crate::servers::http::html;
use crate::servers::http::json as json_reply;
use crate::servers::http::method_not_allowed;
use crate::servers::http::read_body;
use crate::servers::http::text;

/// One of the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Site,
    Api,
    History,
    DocumentUpdater,
    ProjectHistory,
}

impl Port {
    /// The service that answers there.
    pub(super) fn service(self) -> Service {
        match self {
            Self::Site => Service::Web,
            Self::Api => Service::WebApi,
            Self::History => Service::HistoryV1,
            Self::DocumentUpdater => Service::DocumentUpdater,
            Self::ProjectHistory => Service::ProjectHistory,
        }
    }
}

/// What all requests share.
pub(super) struct Site {
    settings: Settings,
    documents: Documents,
    status: SiteStatus,
    logs: ServiceLogs,
    is_stopping: AtomicBool,
    under_way: watch::Sender<usize>,
}

impl Site {
    pub(super) fn new(settings: Settings, documents: Documents, logs: ServiceLogs) -> Self {
        Self {
            status: SiteStatus::new(settings.site_status.clone()),
            settings,
            documents,
            logs,
            is_stopping: AtomicBool::new(false),
            under_way: watch::Sender::new(0),
        }
    }

    pub(super) fn documents(&self) -> &Documents {
        &self.documents
    }

    pub(super) fn status(&self) -> &SiteStatus {
        &self.status
    }

    pub(super) fn logs(&self) -> &ServiceLogs {
        &self.logs
    }

    /// From now on `/status` of the site answers 503 and changes are refused.
    pub(super) fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Returns when no request is under way.
    pub(super) async fn requests_done(&self) {
        let mut under_way = self.under_way.subscribe();
        // The error would mean that the sender is gone, and `self` holds it.
        drop(under_way.wait_for(|count| *count == 0).await);
    }
}

/// Counts a request as under way while it lives.
struct UnderWay<'a>(&'a watch::Sender<usize>);

impl<'a> UnderWay<'a> {
    fn begin(counter: &'a watch::Sender<usize>) -> Self {
        counter.send_modify(|count| *count += 1);
        Self(counter)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Answers one request and writes it into the logs.
pub(super) async fn answer(
    site: Arc<Site>,
    port: Port,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Reply {
    let started = Instant::now();
    let _under_way = UnderWay::begin(&site.under_way);
    let method = request.method().clone();
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let agent = request
        .headers()
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or("-")
        .to_owned();

    let reply = match port {
        Port::Site => answer_site(&site, request, peer).await,
        Port::Api => answer_api(&site, &request).await,
        Port::History => answer_history(&request),
        Port::DocumentUpdater | Port::ProjectHistory => answer_flush(&site, port, &request).await,
    };

    let status = reply.status().as_u16();
    let length = reply.body().size_hint().lower();
    site.logs.info(
        port.service(),
        &format!("{method} {target}"),
        json!({
            "req": { "method": method.as_str(), "url": target, "remoteAddress": peer.ip() },
            "res": { "statusCode": status, "contentLength": length },
            "responseTimeMs": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }),
    );
    if port == Port::Site {
        site.logs.access(&Access {
            peer: peer.ip(),
            method: method.as_str(),
            target: &target,
            status,
            length,
            agent: &agent,
        });
    }
    reply
}

async fn answer_site(site: &Site, request: Request<Incoming>, peer: SocketAddr) -> Reply {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        ["status"] => read_only(&request, || site_status(site)),
        // nginx hides health checks from outside; inside the container they answer.
        ["health_check", "redis"] if peer.ip().is_loopback() => health(
            site,
            Service::Web,
            site.documents.databases().check_redis().await,
        ),
        [""] => read_only(&request, || page(site, "Welcome", HOME)),
        ["launchpad"] => read_only(&request, || page(site, "Launchpad", LAUNCHPAD)),
        ["oauth", "token", "info"] => token_info(site, &request).await,
        ["logs", rest @ ..] => {
            let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
            log_requests::answer(site, request, &rest).await
        }
        ["git", ..] if site.settings.is_git_bridge_enabled => text(
            StatusCode::NOT_IMPLEMENTED,
            "the toolkit's bundled server does not carry git traffic\n",
        ),
        ["project", project, rest @ ..] => {
            let Ok(project) = ObjectId::parse_str(project) else {
                return text(
                    StatusCode::BAD_REQUEST,
                    "the project id needs 24 hex digits\n",
                );
            };
            answer_project(site, request, project, rest).await
        }
        _ => not_found(),
    }
}

async fn answer_api(site: &Site, request: &Request<Incoming>) -> Reply {
    let path = request.uri().path();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        ["status"] => read_only(request, || text(StatusCode::OK, "web is alive (api)")),
        ["health_check", "redis"] => health(
            site,
            Service::WebApi,
            site.documents.databases().check_redis().await,
        ),
        ["health_check", "mongo"] => {
            let is_allowed = site.settings.is_admin_check_failure_allowed;
            let checked = site.documents.databases().check_mongo(is_allowed).await;
            health(site, Service::WebApi, checked)
        }
        ["api", "v0", "docs", project] => {
            let Ok(project) = ObjectId::parse_str(project) else {
                return not_found();
            };
            match site.documents.list(project).await {
                Ok(listed) => match listed.iter().map(|listed| listed.version).max() {
                    Some(version) => json_reply(
                        StatusCode::OK,
                        &json!({
                            "latestVerId": version,
                            "latestVerAt": null,
                            "latestVerBy": null,
                        }),
                    ),
                    None => not_found(),
                },
                Err(error) => failure(site, Service::WebApi, &error),
            }
        }
        _ => not_found(),
    }
}

/// `POST /project/ID/flush`, of documents or of a history, which nothing keeps here.
async fn answer_flush(site: &Site, port: Port, request: &Request<Incoming>) -> Reply {
    let path = request.uri().path();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let project = match segments.as_slice() {
        ["status"] => return text(StatusCode::OK, "alive\n"),
        ["project", project, "flush"] if request.method() == Method::POST => {
            ObjectId::parse_str(project)
        }
        _ => return not_found(),
    };
    match project {
        Err(_) => text(
            StatusCode::BAD_REQUEST,
            "the project id needs 24 hex digits\n",
        ),
        Ok(project) if port == Port::DocumentUpdater => flush(site, project).await,
        Ok(_) => text(StatusCode::NO_CONTENT, ""),
    }
}

fn answer_history(request: &Request<Incoming>) -> Reply {
    match request.uri().path() {
        "/status" => read_only(request, || {
            json_reply(StatusCode::OK, &json!({ "status": "ok" }))
        }),
        _ => not_found(),
    }
}

/// `GET` and `HEAD`; the HTTP layer leaves the body of an answer to `HEAD` away.
fn read_only(request: &Request<Incoming>, answer: impl FnOnce() -> Reply) -> Reply {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        answer()
    } else {
        method_not_allowed()
    }
}

fn not_found() -> Reply {
    text(StatusCode::NOT_FOUND, "not found\n")
}

fn site_status(site: &Site) -> Reply {
    if site.is_stopping() {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "web is shutting down (web)",
        )
    } else if site.status.is_closed() {
        text(StatusCode::OK, "web site is closed (web)")
    } else if !site.settings.is_editor_open {
        text(StatusCode::OK, "web editor is closed (web)")
    } else {
        text(StatusCode::OK, "web is alive (web)")
    }
}

fn health(site: &Site, service: Service, checked: Result<String, DatabaseError>) -> Reply {
    match checked {
        Ok(said) => text(StatusCode::OK, said + "\n"),
        Err(error) => failure(site, service, &error.into()),
    }
}

/// Whether the bearer token is one of the collection that holds git tokens, by its SHA-256.
async fn token_info(site: &Site, request: &Request<Incoming>) -> Reply {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|header| header.to_str().ok())
        .and_then(|header| header.strip_prefix("Bearer "));
    let unauthorised = || {
        json_reply(
            StatusCode::UNAUTHORIZED,
            &json!({ "error": "invalid_token" }),
        )
    };
    let Some(token) = token else {
        return unauthorised();
    };
    let hash: String = Sha256::digest(token.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let databases = site.documents.databases();
    let tokens = databases
        .mongo()
        .collection::<bson::Document>("oauthAccessTokens");
    let found = databases
        .in_mongo(
            "look up a token",
            tokens.find_one(doc! { "accessToken": hash }),
        )
        .await;
    match found {
        Ok(Some(found)) => json_reply(
            StatusCode::OK,
            &json!({ "user_id": found.get_object_id("user_id").ok().map(ObjectId::to_hex) }),
        ),
        Ok(None) => unauthorised(),
        Err(error) => failure(site, Service::Web, &error.into()),
    }
}

async fn answer_project(
    site: &Site,
    request: Request<Incoming>,
    project: ObjectId,
    rest: &[&str],
) -> Reply {
    let method = request.method().clone();
    let document = match rest {
        ["docs"] => return read_list(site, &request, project).await,
        ["flush"] if method == Method::POST => return flush(site, project).await,
        ["flush"] => return method_not_allowed(),
        ["doc", document] => ObjectId::parse_str(document),
        _ => return not_found(),
    };
    let Ok(document) = document else {
        return text(
            StatusCode::BAD_REQUEST,
            "the document id needs 24 hex digits\n",
        );
    };
    match method {
        Method::GET | Method::HEAD => match site.documents.find(project, document).await {
            Ok(Some(found)) => found_reply(found),
            Ok(None) => not_found(),
            Err(error) => failure(site, Service::DocumentUpdater, &error),
        },
        Method::PUT | Method::DELETE if is_closed(site) => closed(),
        Method::PUT => put(site, request, project, document).await,
        Method::DELETE => match site.documents.remove(project, document).await {
            Ok(true) => {
                note_change(site, "removed document", project, document, None);
                text(StatusCode::NO_CONTENT, "")
            }
            Ok(false) => not_found(),
            Err(error) => failure(site, Service::DocumentUpdater, &error),
        },
        _ => method_not_allowed(),
    }
}

fn is_closed(site: &Site) -> bool {
    site.is_stopping() || site.status.is_closed()
}

fn closed() -> Reply {
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        "the site is closed and takes no changes\n",
    )
}

fn found_reply(found: Found) -> Reply {
    let mut reply = text(StatusCode::OK, found.text);
    let headers = reply.headers_mut();
    headers.insert("x-document-version", HeaderValue::from(found.version));
    headers.insert(
        "x-document-place",
        HeaderValue::from_static(found.place.name()),
    );
    reply
}

async fn put(
    site: &Site,
    request: Request<Incoming>,
    project: ObjectId,
    document: ObjectId,
) -> Reply {
    let body = match read_body(request.into_body(), LARGEST_TEXT).await {
        Ok(body) => body,
        Err(error) => return text(error.status(), with_causes(&error) + "\n"),
    };
    let Ok(content) = std::str::from_utf8(&body) else {
        return text(StatusCode::BAD_REQUEST, "the document is not UTF-8\n");
    };
    match site.documents.put(project, document, content).await {
        Ok(version) => {
            note_change(site, "stored document", project, document, Some(version));
            json_reply(StatusCode::OK, &json!({ "version": version }))
        }
        Err(error) => failure(site, Service::DocumentUpdater, &error),
    }
}

fn note_change(
    site: &Site,
    message: &str,
    project: ObjectId,
    document: ObjectId,
    version: Option<i64>,
) {
    site.logs.info(
        Service::DocumentUpdater,
        message,
        json!({ "projectId": project.to_hex(), "docId": document.to_hex(), "version": version }),
    );
}

async fn read_list(site: &Site, request: &Request<Incoming>, project: ObjectId) -> Reply {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed();
    }
    match site.documents.list(project).await {
        Ok(listed) => {
            let documents: Vec<_> = listed
                .iter()
                .map(|listed| {
                    json!({
                        "id": listed.id.to_hex(),
                        "version": listed.version,
                        "place": listed.place.name(),
                    })
                })
                .collect();
            json_reply(StatusCode::OK, &json!({ "docs": documents }))
        }
        Err(error) => failure(site, Service::Docstore, &error),
    }
}

async fn flush(site: &Site, project: ObjectId) -> Reply {
    match site.documents.flush_project(project).await {
        Ok(flush) => {
            shutdown::report(site, &flush);
            let status = if flush.failures.is_empty() {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            json_reply(
                status,
                &json!({ "flushed": flush.flushed, "of": flush.total }),
            )
        }
        Err(error) => failure(site, Service::DocumentUpdater, &error),
    }
}

/// The answer to a request that failed; the log has it as well unless the client is at fault.
fn failure(site: &Site, service: Service, error: &DocumentError) -> Reply {
    let status = match error {
        DocumentError::Stopping => return closed(),
        DocumentError::OtherProject { .. } => StatusCode::CONFLICT,
        DocumentError::TooManyLines => StatusCode::PAYLOAD_TOO_LARGE,
        DocumentError::Database(_)
        | DocumentError::Incomplete { .. }
        | DocumentError::Malformed { .. }
        | DocumentError::NotAnId { .. }
        | DocumentError::Stuck { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status.is_server_error() {
        site.logs.error(service, "request failed", error, json!({}));
    }
    text(status, with_causes(error) + "\n")
}

const HOME: &str = "This is the toolkit's bundled server. It stands in for Overleaf in rehearsals \
     and tests, and is not Overleaf: there is no editor and no login.";

const LAUNCHPAD: &str = "This is the toolkit's bundled server, not Overleaf. Overleaf would let \
     you create the first administrator here.";

fn page(site: &Site, title: &str, content: &str) -> Reply {
    let name = escape(&site.settings.app_name);
    html(
        StatusCode::OK,
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
             <title>{title} - {name}</title></head>\n\
             <body><h1>{name}</h1>\n<p>{content}</p></body>\n</html>\n"
        ),
    )
}

/// Makes `text` safe between tags and inside quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(
            escape("<b onclick=\"x\">R&D's</b>"),
            "&lt;b onclick=&quot;x&quot;&gt;R&amp;D&#39;s&lt;/b&gt;"
        );
    }
}
