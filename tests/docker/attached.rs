//! What a terminal in a container carries, byte by byte, over each way to the engine; and output that
//! ends before its program.

use std::io::{self, BufRead, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use toolkit::engine::PutFile;
use toolkit::engine::docker::DockerEngine;
use toolkit::engine::inside::{Exec, ExecRequest, Inside, TerminalSize};
use toolkit::script;
use toolkit::secret::Secret;

use super::inside::await_none;
use super::instance::{Instance, signal};

/// How long something may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Leads from a port of this machine to the socket of the engine, as long as the test runs.
struct Relay {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn new() -> Self {
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        let socket = host.strip_prefix("unix://");
        let socket = socket.unwrap_or("/var/run/docker.sock").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let known = Arc::clone(&open);
        thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), UnixStream::connect(&socket).unwrap());
                known.lock().unwrap().push(near.try_clone().unwrap());
                pass(near, far);
            }
        });
        Self { address, open }
    }

    /// What `DOCKER_HOST` says to go this way.
    fn place(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Ends all connections, as an engine does when it has nothing more to say.
    fn cut(&self) {
        for near in self.open.lock().unwrap().drain(..) {
            // Most have ended before.
            let _ = near.shutdown(Shutdown::Both);
        }
    }
}

/// Passes everything on both ways. What breaks off is as good as ended.
fn pass(mut near: TcpStream, mut far: UnixStream) {
    let (mut from_near, mut to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from_near, &mut to_far);
        let _ = to_far.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut far, &mut near);
        let _ = near.shutdown(Shutdown::Both);
    });
}

/// Takes output until it ends with a text.
async fn until(exec: &mut Exec, came: &mut Vec<u8>, end: &[u8]) {
    let take = async {
        while !came.ends_with(end) {
            let piece = exec.output.next().await.expect("the output goes on");
            came.extend_from_slice(&piece.unwrap().into_bytes());
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, take).await;
    assert!(outcome.is_ok(), "{end:?} does not come: {came:?}");
}

async fn check(engine: &DockerEngine, container: &str) {
    // Its beginnings look like those of the frames in which output without a terminal comes.
    let text = "\0\0\0\0\0\0\0\u{3}after nothing\n\u{1}after one\n\u{2}\0\0\0\u{7f}after two";
    let file = PutFile {
        target: "/raw".to_owned(),
        content: Secret::new(text),
        mode: 0o644,
        owner: (0, 0),
    };
    engine.put_files(container, &[file]).await.unwrap();
    for first in [
        "cat /raw",
        "echo '\u{1}x'; cat /raw",
        "echo '\u{2}'; cat /raw",
    ] {
        let request = ExecRequest {
            terminal: Some(TerminalSize {
                rows: 24,
                columns: 80,
            }),
            has_input: true,
            ..ExecRequest::new(["sh", "-c", &format!("{first}; cat")])
        };
        let mut exec = engine.exec(container, &request).await.unwrap();
        let mut came = Vec::new();
        until(&mut exec, &mut came, b"after two").await;
        let whole = text.replace('\n', "\r\n");
        assert!(came.ends_with(whole.as_bytes()), "{came:?}");

        // The terminal shows such keys when they arrive; none waits for the next.
        for (key, shown) in [
            (0x1e, "^^"),
            (0x1d, "^]"),
            (0x10, "^P"),
            (0x1f, "^_"),
            (0x1b, "^["),
        ] {
            exec.input.write_all(&[key]).await.unwrap();
            exec.input.flush().await.unwrap();
            until(&mut exec, &mut came, shown.as_bytes()).await;
        }
        exec.input.write_all(b"\n\x04").await.unwrap();
        while let Some(piece) = exec.output.next().await {
            piece.unwrap();
        }
        assert_eq!(script::ended(engine, &exec.id).await.unwrap(), 0);
    }
    // One that is not there is said in words, on whichever way.
    let request = ExecRequest {
        terminal: Some(TerminalSize {
            rows: 24,
            columns: 80,
        }),
        ..ExecRequest::new(["nosuch"])
    };
    if let Ok(exec) = engine.exec(container, &request).await {
        let exit_code = script::ended(engine, &exec.id).await.unwrap();
        assert!(matches!(exit_code, 126 | 127), "{exit_code}");
    }
}

#[test]
fn a_terminal_carries_every_byte_at_once() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up", "redis"]).succeeded();
    let containers = instance.containers();
    let container = containers.iter().find(|found| found.service == "redis");
    let id = &container.unwrap().id;
    instance.runtime.block_on(async {
        check(&instance.engine, id).await;
        let relay = Relay::new();
        let far = DockerEngine::connect(Some(&relay.place())).await.unwrap();
        check(&far, id).await;
    });
    an_end_of_output_is_no_end(&instance);
}

/// Some engines end the output when a program has closed it, and the program goes on.
fn an_end_of_output_is_no_end(instance: &Instance) {
    let begin = |text: &str| {
        let relay = Relay::new();
        let mut child = instance
            .sandbox
            .command(&["exec", "redis", "sh", "-c", text])
            .env("DOCKER_HOST", relay.place())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "begun");
        relay.cut();
        child
    };
    // It goes on for longer than any limit of ours.
    let long = begin("echo begun; sleep 35; exit 7");
    let mut told = begin("echo begun; exec sleep 4717");
    signal(told.id(), "INT");
    assert_eq!(told.wait().unwrap().code(), Some(130));
    await_none(instance, "redis", "4717");
    let output = long.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(7), ""));
}
