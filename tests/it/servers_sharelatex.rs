//! The bundled sharelatex: with both bundled databases it starts, keeps documents, stops and starts
//! again; without them its start fails or is ended.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens, and owns its temporary folder"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bson::doc;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use toolkit::servers::sharelatex;
use toolkit::servers::sharelatex::Listeners;
use toolkit::servers::sharelatex::Options;

use crate::servers_log;
use crate::servers_log::Lines;
use crate::servers_log::Log;
use crate::servers_mongo;
use crate::servers_redis;

const PROJECT: &str = "64b7f0c0a1b2c3d4e5f60718";
const DOCUMENT: &str = "64b7f0c0a1b2c3d4e5f60719";

async fn listeners() -> Listeners {
    let bind = || TcpListener::bind("127.0.0.1:0");
    Listeners {
        site: bind().await.unwrap(),
        api: bind().await.unwrap(),
        history: bind().await.unwrap(),
        document_updater: bind().await.unwrap(),
        project_history: bind().await.unwrap(),
    }
}

fn options(root: &Path, environment: &[(&str, &str)]) -> Options {
    let environment: BTreeMap<String, String> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Options::new(environment, root.to_owned())
}

struct Container {
    site: SocketAddr,
    api: SocketAddr,
    history: SocketAddr,
    lines: Lines,
    stop: oneshot::Sender<()>,
    task: JoinHandle<u8>,
}

impl Container {
    async fn start(root: &Path, environment: &[(&str, &str)]) -> Self {
        let listeners = listeners().await;
        let (site, api, history) = (
            listeners.site.local_addr().unwrap(),
            listeners.api.local_addr().unwrap(),
            listeners.history.local_addr().unwrap(),
        );
        let options = options(root, environment);
        let (log, lines) = servers_log::lines();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            stopped.await.ok();
        };
        let task = tokio::spawn(sharelatex::serve(listeners, options, shutdown, log));
        Self {
            site,
            api,
            history,
            lines,
            stop,
            task,
        }
    }

    /// Exit code and the rest of the lines.
    async fn stop(mut self) -> (u8, Vec<String>) {
        self.stop.send(()).unwrap();
        let code = self.task.await.unwrap();
        (code, self.lines.rest().await)
    }
}

/// Status code, head and body.
async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server may answer and close before it has read everything.
    stream.write_all(body).await.ok();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = request(address, "GET", path, b"").await;
    (status, body)
}

fn owned(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

/// The bundled mongo, initiated, and the bundled redis; one pair per test, because the tests share
/// ids.
struct Databases {
    mongo: servers_mongo::Running,
    redis: servers_redis::Running,
    _folders: [TempDir; 2],
}

impl Databases {
    async fn start() -> Self {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [mongo_folder, redis_folder] = &folders;
        let mongo = servers_mongo::Running::start(mongo_folder.path(), Some("overleaf")).await;
        let host = mongo.address.to_string();
        let config = doc! {"_id": "overleaf", "members": [{"_id": 0, "host": host}]};
        mongo.admin(doc! {"replSetInitiate": config}).await.unwrap();
        let options = servers_redis::options(redis_folder.path(), true);
        Self {
            mongo,
            redis: servers_redis::Running::start(options).await,
            _folders: folders,
        }
    }

    fn mongo_url(&self) -> String {
        format!("mongodb://{}/sharelatex", self.mongo.address)
    }

    fn redis_port(&self) -> String {
        self.redis.address.port().to_string()
    }

    async fn stop(self) {
        self.mongo.stop().await.unwrap();
        self.redis.stop().await;
    }
}

#[tokio::test]
async fn documents_survive_a_stop_and_a_start() {
    let databases = Databases::start().await;
    let root = tempfile::tempdir().unwrap();
    let (url, port) = (databases.mongo_url(), databases.redis_port());
    let environment = [
        ("OVERLEAF_MONGO_URL", url.as_str()),
        ("OVERLEAF_REDIS_HOST", "127.0.0.1"),
        ("OVERLEAF_REDIS_PORT", port.as_str()),
        ("OVERLEAF_INVITE_TOKEN_SECRET", "0123456789abcdef"),
        ("OVERLEAF_APP_NAME", "R&D <Overleaf>"),
    ];
    let document = format!("/project/{PROJECT}/doc/{DOCUMENT}");
    let listing = format!("/project/{PROJECT}/docs");

    let mut first = Container::start(root.path(), &environment).await;
    let lines = first.lines.until("ready").await;
    let scripts: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("*** Running /etc/my_init.d/"))
        .collect();
    assert_eq!(
        scripts,
        [
            "000_check_for_old_bind_mounts_5.sh...",
            "000_check_for_old_env_vars_5.sh...",
            "000_check_missing_secrets.sh...",
            "100_make_overleaf_data_dirs.sh...",
            "100_restore_site_status.sh...",
            "500_check_db_access.sh...",
            "900_run_web_migrations.sh...",
        ]
    );
    assert!(lines.contains(&"Running migrations for server-ce".to_owned()));
    assert!(lines.contains(&"Finished migrations".to_owned()));
    let (site, api) = (first.site, first.api);
    assert!(sharelatex::is_answering(site).await);

    assert_eq!(get(site, "/status").await, owned(200, "web is alive (web)"));
    let (status, head, body) = request(site, "HEAD", "/status", b"").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 18"), "{head}");
    assert_eq!(get(api, "/status").await, owned(200, "web is alive (api)"));
    assert_eq!(get(first.history, "/status").await.0, 200);
    for (address, path, expected) in [
        (site, "/health_check/redis", 200),
        (site, "/health_check", 404),
        (site, "/metrics", 404),
        (site, "/launchpad", 200),
        (site, "/git/x", 404),
        (site, "/oauth/token/info", 401),
        (site, "/project/x/docs", 400),
        (api, "/health_check/redis", 200),
        (api, "/health_check/mongo", 200),
    ] {
        assert_eq!(get(address, path).await.0, expected, "{path}");
    }
    let (_, page) = get(site, "/").await;
    assert!(page.contains("<h1>R&amp;D &lt;Overleaf&gt;</h1>"), "{page}");
    assert!(page.contains("bundled server"), "{page}");

    assert_eq!(get(site, &document).await.0, 404);
    let text = "\\documentclass{article}\r\nä\n\n";
    for version in 1..=2 {
        let (status, _, body) = request(site, "PUT", &document, text.as_bytes()).await;
        assert_eq!(
            (status, body),
            owned(200, &format!("{{\"version\":{version}}}"))
        );
    }
    let (status, head, body) = request(site, "GET", &document, b"").await;
    assert_eq!((status, body), owned(200, text));
    assert!(head.contains("x-document-place: redis"), "{head}");
    let elsewhere = format!("/project/{DOCUMENT}/doc/{DOCUMENT}");
    for (method, path, body, expected) in [
        ("PUT", elsewhere.as_str(), b"x".as_slice(), 409),
        ("GET", elsewhere.as_str(), b"", 404),
        ("DELETE", elsewhere.as_str(), b"", 404),
        ("PUT", document.as_str(), b"\xff", 400),
        (
            "PUT",
            document.as_str(),
            &vec![b'x'; 2 * 1024 * 1024 + 1],
            413,
        ),
        ("PUT", document.as_str(), &vec![b'\n'; 900_000], 413),
        ("POST", document.as_str(), b"", 405),
    ] {
        let (status, _, _) = request(site, method, path, body).await;
        assert_eq!(status, expected, "{method} {path}");
    }

    let status_file = root.path().join("etc/overleaf/site_status");
    std::fs::write(&status_file, "closed for maintenance\n").unwrap();
    assert_eq!(
        get(site, "/status").await,
        owned(200, "web site is closed (web)")
    );
    assert_eq!(request(site, "PUT", &document, b"x").await.0, 503);
    assert_eq!(get(site, &document).await, owned(200, text));
    std::fs::write(&status_file, "open\n").unwrap();

    let (code, lines) = first.stop().await;
    assert_eq!(code, 2, "{lines:#?}");
    assert!(lines.contains(&"flushed 1 of 1 documents".to_owned()));
    assert_eq!(std::fs::read_to_string(&status_file).unwrap(), "closed\n");
    assert!(!sharelatex::is_answering(site).await);

    let mut second = Container::start(root.path(), &environment).await;
    second.lines.until("ready").await;
    let (site, api) = (second.site, second.api);
    assert_eq!(get(site, "/status").await, owned(200, "web is alive (web)"));
    let (status, head, body) = request(site, "GET", &document, b"").await;
    assert_eq!((status, body), owned(200, text));
    assert!(head.contains("x-document-place: mongo"), "{head}");
    assert!(head.contains("x-document-version: 2"), "{head}");
    let listed = |version: u32, place: &str| {
        format!(
            "{{\"docs\":[{{\"id\":\"{DOCUMENT}\",\"version\":{version},\"place\":\"{place}\"}}]}}"
        )
    };
    assert_eq!(get(site, &listing).await, owned(200, &listed(2, "mongo")));

    assert_eq!(
        request(site, "PUT", &document, b"new").await.2,
        "{\"version\":3}"
    );
    assert_eq!(get(site, &listing).await, owned(200, &listed(3, "redis")));
    let (status, _, body) = request(site, "POST", &format!("/project/{PROJECT}/flush"), b"").await;
    assert_eq!((status, body), owned(200, "{\"flushed\":1,\"of\":1}"));
    assert_eq!(get(site, &listing).await, owned(200, &listed(3, "mongo")));
    let (_, latest) = get(api, &format!("/api/v0/docs/{PROJECT}")).await;
    assert!(latest.contains("\"latestVerId\":3"), "{latest}");
    assert_eq!(request(site, "DELETE", &document, b"").await.0, 204);
    assert_eq!(get(site, &document).await.0, 404);
    assert_eq!(get(site, &listing).await, owned(200, "{\"docs\":[]}"));
    let (code, lines) = second.stop().await;
    assert_eq!(code, 2, "{lines:#?}");

    let log = |name: &str| {
        std::fs::read_to_string(root.path().join("var/log").join(name)).unwrap_or_default()
    };
    assert!(log("overleaf/web.log").contains("\"msg\":\"GET /status\""));
    assert!(log("overleaf/web-api.log").contains("\"msg\":\"GET /status\""));
    assert!(log("overleaf/document-updater.log").contains("\"msg\":\"stored document\""));
    assert!(log("overleaf/chat.log").contains("starting up"));
    assert!(log("nginx/access.log").contains("\"GET /status HTTP/1.1\" 200 18 "));
    databases.stop().await;
}

#[tokio::test]
async fn a_stuck_document_fails_the_stop_and_is_not_lost() {
    let databases = Databases::start().await;
    let root = tempfile::tempdir().unwrap();
    let (url, port) = (databases.mongo_url(), databases.redis_port());
    let sound = [
        ("SHARELATEX_MONGO_URL", url.as_str()),
        ("SHARELATEX_REDIS_HOST", "127.0.0.1"),
        ("SHARELATEX_REDIS_PORT", port.as_str()),
    ];
    let stuck = [
        sound.as_slice(),
        &[("TOOLKIT_BUNDLED_FAULT", "stuck-document")],
    ]
    .concat();
    let document = format!("/project/{PROJECT}/doc/{DOCUMENT}");

    let mut first = Container::start(root.path(), &stuck).await;
    first.lines.until("ready").await;
    assert_eq!(request(first.site, "PUT", &document, b"kept").await.0, 200);
    let (code, lines) = first.stop().await;
    assert_eq!(code, 1, "{lines:#?}");
    assert!(lines.contains(&"flushed 0 of 1 documents".to_owned()));
    assert!(
        lines
            .iter()
            .any(|line| line.contains("2 keys of documents are still in Redis"))
    );
    let log = root.path().join("var/log/sharelatex/document-updater.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("\"level\":50,\"err\":{\"message\":\"the flush of document"),
        "{log}"
    );

    let mut second = Container::start(root.path(), &sound).await;
    second.lines.until("ready").await;
    assert_eq!(get(second.site, &document).await, owned(200, "kept"));
    let (code, lines) = second.stop().await;
    assert_eq!(code, 2, "{lines:#?}");
    assert!(lines.contains(&"flushed 1 of 1 documents".to_owned()));
    databases.stop().await;
}

#[tokio::test]
async fn a_server_that_is_never_ready_answers_nothing_and_stops_with_2() {
    let databases = Databases::start().await;
    let root = tempfile::tempdir().unwrap();
    let (url, port) = (databases.mongo_url(), databases.redis_port());
    let environment = [
        ("SHARELATEX_MONGO_URL", url.as_str()),
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", port.as_str()),
        ("TOOLKIT_BUNDLED_FAULT", "never-ready"),
    ];
    let mut container = Container::start(root.path(), &environment).await;
    container.lines.until("answering nothing on request").await;
    let (code, _) = container.stop().await;
    assert_eq!(code, 2);
    databases.stop().await;
}

#[tokio::test]
async fn without_redis_the_start_fails() {
    let databases = Databases::start().await;
    let root = tempfile::tempdir().unwrap();
    let url = databases.mongo_url();
    let environment = [
        ("SHARELATEX_MONGO_URL", url.as_str()),
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", "1"),
    ];
    let mut container = Container::start(root.path(), &environment).await;
    let lines = container
        .lines
        .until("*** /etc/my_init.d/500_check_db_access.sh failed with status 1")
        .await;
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("cannot connect to Redis at `127.0.0.1:1`: ")),
        "{lines:#?}"
    );
    assert_eq!(container.task.await.unwrap(), 1);
    databases.stop().await;
}

/// Exit code and output of a start without databases; `shutdown` may end it.
async fn run(
    root: &Path,
    environment: &[(&str, &str)],
    shutdown: impl Future<Output = ()> + Send,
) -> (u8, String) {
    let mut options = options(root, environment);
    options.database_deadline = Duration::from_millis(300);
    let log = Log::default();
    let code = sharelatex::serve(listeners().await, options, shutdown, log.clone()).await;
    (code, log.text())
}

const SECRET: (&str, &str) = ("OVERLEAF_INVITE_TOKEN_SECRET", "0123456789abcdef");

#[tokio::test]
async fn failed_starts_exit_1_and_name_the_reason() {
    let unreachable = (
        "OVERLEAF_MONGO_URL",
        "mongodb://someone:hidden@127.0.0.1:1/sharelatex",
    );
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 6] = [
        (
            "old variable",
            &[unreachable, SECRET, ("SHARELATEX_APP_NAME", "x")],
            &[
                "set: `SHARELATEX_APP_NAME`;",
                "*** /etc/my_init.d/000_check_for_old_env_vars_5.sh failed with status 1",
            ],
        ),
        (
            "no secret",
            &[unreachable],
            &["`OVERLEAF_INVITE_TOKEN_SECRET` is missing or empty"],
        ),
        (
            "no database",
            &[unreachable, SECRET],
            &[
                "*** Running /etc/my_init.d/500_check_db_access.sh...",
                "cannot connect to MongoDB at `127.0.0.1:1`",
                "*** /etc/my_init.d/500_check_db_access.sh failed with status 1",
            ],
        ),
        (
            "no database, old brand",
            &[(
                "SHARELATEX_MONGO_URL",
                "mongodb://someone:hidden@127.0.0.1:1/sharelatex",
            )],
            &["cannot connect to MongoDB at `127.0.0.1:1`"],
        ),
        (
            "unusable url",
            &[("OVERLEAF_MONGO_URL", "mongodb//x:hidden@y"), SECRET],
            &["`OVERLEAF_MONGO_URL` is not a connection string"],
        ),
        (
            "unusable port",
            &[("REDIS_HOST", "redis"), ("REDIS_PORT", "none")],
            &["`REDIS_PORT` is `none`"],
        ),
    ];
    for (name, environment, expected) in cases {
        let root = tempfile::tempdir().unwrap();
        let (code, text) = run(root.path(), environment, std::future::pending()).await;
        assert_eq!(code, 1, "{name}: {text}");
        assert!(
            text.starts_with("This is the toolkit's bundled sharelatex server, not Overleaf\n"),
            "{name}: {text}"
        );
        for part in expected {
            assert!(text.contains(part), "{name}: {part:?} in {text}");
        }
        assert!(!text.contains("hidden"), "{name}: {text}");
    }
}

#[tokio::test]
async fn folders_and_status_file_are_ready_before_the_databases_are_asked() {
    let root = tempfile::tempdir().unwrap();
    let status = root.path().join("etc/overleaf/site_status");
    std::fs::create_dir_all(status.parent().unwrap()).unwrap();
    std::fs::write(&status, "closed\n").unwrap();
    let kept = root.path().join("etc/overleaf/site_status.bak.shutdown");
    std::fs::write(&kept, "open\n").unwrap();

    let url = ("OVERLEAF_MONGO_URL", "mongodb://127.0.0.1:1/sharelatex");
    let (code, _) = run(root.path(), &[url, SECRET], std::future::pending()).await;

    assert_eq!(code, 1);
    assert_eq!(std::fs::read_to_string(&status).unwrap(), "open\n");
    assert!(!kept.exists());
    for folder in ["data/template_files", "data/history", "tmp/uploads"] {
        let path = root.path().join("var/lib/overleaf").join(folder);
        assert!(path.is_dir(), "{folder}");
    }
}

#[tokio::test]
async fn a_stop_during_the_start_exits_2() {
    let root = tempfile::tempdir().unwrap();
    // Nobody accepts here, so the check of the database hangs until the stop.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mongodb://{}/sharelatex", silent.local_addr().unwrap());
    let environment = [("OVERLEAF_MONGO_URL", url.as_str()), SECRET];
    let (code, text) = run(root.path(), &environment, tokio::task::yield_now()).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("500_check_db_access"), "{text}");
}

#[tokio::test]
async fn faults_act_at_once() {
    let root = tempfile::tempdir().unwrap();
    let fault = |value| [("TOOLKIT_BUNDLED_FAULT", value)];
    let (code, _) = run(
        root.path(),
        &fault("exit-at-start:77"),
        std::future::pending(),
    )
    .await;
    assert_eq!(code, 77);
    let (code, text) = run(root.path(), &fault("other"), std::future::pending()).await;
    assert_eq!(code, 1);
    assert!(
        text.contains("`TOOLKIT_BUNDLED_FAULT` is `other`"),
        "{text}"
    );
}
