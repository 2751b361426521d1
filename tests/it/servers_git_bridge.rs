//! The bundled git-bridge over real sockets.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens, and owns its temporary folder"
)]

use std::collections::BTreeMap;
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use toolkit::servers::git_bridge;
use toolkit::servers::git_bridge::GitBridgeError;
use toolkit::servers::git_bridge::Options;

use crate::servers_log;
use crate::servers_log::Lines;

const PROJECT: &str = "64b7f0c0a1b2c3d4e5f60718";

struct Bridge {
    address: std::net::SocketAddr,
    lines: Lines,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), GitBridgeError>>,
}

async fn start(root: &Path, api: &str) -> Bridge {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (log, lines) = servers_log::lines();
    let (stop, stopped) = oneshot::channel();
    let options = Options {
        environment: BTreeMap::from([("GIT_BRIDGE_API_BASE_URL".to_owned(), api.to_owned())]),
        root: root.to_owned(),
    };
    let shutdown = async {
        stopped.await.ok();
    };
    let task = tokio::spawn(git_bridge::serve(listener, options, shutdown, log));
    Bridge {
        address,
        lines,
        stop,
        task,
    }
}

/// Status code and body.
async fn request(address: std::net::SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn endpoints() {
    let root = tempfile::tempdir().unwrap();
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_address = api.local_addr().unwrap();
    let mut bridge = start(root.path(), &format!("http://{api_address}/api/v0/")).await;
    let first = bridge.lines.next().await;
    assert!(first.contains("toolkit's bundled git-bridge"), "{first}");

    // The API has not answered yet, and the status does not wait for it.
    assert!(git_bridge::is_answering(bridge.address).await);
    assert_eq!(
        request(bridge.address, "GET", "/status").await,
        (200, "ok\n".to_owned())
    );
    let (mut stream, _) = api.accept().await.unwrap();
    let mut head = [0; 1024];
    let length = stream.read(&mut head).await.unwrap();
    assert!(head[..length].starts_with(b"GET /status "));
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        bridge.lines.next().await,
        format!("the API at `{api_address}` answers")
    );

    let folder = root.path().join("data/git-bridge");
    std::fs::create_dir_all(folder.join(PROJECT).join("objects")).unwrap();
    let outside = root.path().join("data/outside");
    std::fs::create_dir_all(&outside).unwrap();
    let (status, metrics) = request(bridge.address, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("git_bridge_projects 1\n"), "{metrics}");
    assert!(metrics.contains("git_bridge_api_answered 1\n"), "{metrics}");
    assert!(metrics.contains("git_bridge_starts_total 1\n"), "{metrics}");

    for (method, path, expected) in [
        ("GET", "/health_check", 200),
        ("DELETE", "/api/projects/../outside", 404),
        ("DELETE", "/api/projects/..", 400),
        ("DELETE", "/api/projects/%2e%2e%2foutside", 400),
        ("DELETE", "/api/projects/.wlgb", 400),
        ("GET", &format!("/api/projects/{PROJECT}"), 405),
        ("POST", "/status", 405),
        ("GET", &format!("/{PROJECT}/info/refs"), 404),
        ("DELETE", &format!("/api/projects/{PROJECT}"), 204),
        ("DELETE", &format!("/api/projects/{PROJECT}"), 204),
    ] {
        let (status, _) = request(bridge.address, method, path).await;
        assert_eq!(status, expected, "{method} {path}");
    }
    assert!(!folder.join(PROJECT).exists());
    assert!(outside.exists() && folder.join(".wlgb").exists());

    std::fs::write(folder.join(".wlgb/state.json"), "broken").unwrap();
    let (status, reason) = request(bridge.address, "GET", "/health_check").await;
    assert_eq!(status, 500);
    assert!(reason.contains("is not a state file"), "{reason}");

    bridge.stop.send(()).unwrap();
    bridge.task.await.unwrap().unwrap();
    assert!(!git_bridge::is_answering(bridge.address).await);
}

#[tokio::test]
async fn an_unusable_api_address_or_state_ends_the_start() {
    let root = tempfile::tempdir().unwrap();
    let bridge = start(root.path(), "sharelatex").await;
    let error = bridge.task.await.unwrap().unwrap_err();
    assert!(matches!(error, GitBridgeError::ApiBaseUrl { .. }));

    let folder = root.path().join("data/git-bridge/.wlgb");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("state.json"), "{}").unwrap();
    let bridge = start(root.path(), "http://127.0.0.1:1/").await;
    let error = bridge.task.await.unwrap().unwrap_err();
    assert!(matches!(error, GitBridgeError::ParseState { .. }));
}
