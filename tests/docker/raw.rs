//! What a person does to an engine by hand, past the program: plain requests on its socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The socket of the engine that the tests use.
pub fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let path = host.strip_prefix("unix://");
    PathBuf::from(path.unwrap_or("/var/run/docker.sock"))
}

/// Sends one request and gives the status and the body of the answer.
pub fn request(socket: &Path, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let kind = if path.starts_with("/images") {
        "application/x-tar"
    } else {
        "application/json"
    };
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

/// A request that changes something; one that the engine refuses fails the test.
pub fn order(method: &str, path: &str, body: &str) {
    let (status, answer) = request(&socket(), method, path, body.as_bytes());
    let answer = String::from_utf8_lossy(&answer);
    assert!((200..300).contains(&status), "{method} {path}: {answer}");
}

/// What the engine shows of a container.
pub fn inspect(name: &str) -> serde_json::Value {
    let path = format!("/containers/{name}/json");
    let (status, answer) = request(&socket(), "GET", &path, b"");
    assert_eq!(status, 200, "{name}");
    serde_json::from_slice(&answer).unwrap()
}

/// Something on the engine, by its path in the API such as `/volumes/NAME`, removed when this goes out
/// of scope.
pub struct Removed(pub String);

impl Drop for Removed {
    fn drop(&mut self) {
        // Clean-up goes on whatever fails; it may be gone already.
        let _ = request(&socket(), "DELETE", &self.0, b"");
    }
}
