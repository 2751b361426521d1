//! The programs that forward bytes out of a container, run here as they are run there.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::sandbox::{PROGRAM, project};

const OPEN: &str = "toolkit-forward-open\n";

/// A question with every byte, and its answer: the same bytes backwards.
fn question() -> Vec<u8> {
    (0..=255).cycle().take(100_000).collect()
}

/// Answers one question of a known length and closes the connection.
fn answer_once(listener: &TcpListener) {
    let (mut socket, _) = listener.accept().unwrap();
    let mut asked = vec![0; question().len()];
    socket.read_exact(&mut asked).unwrap();
    asked.reverse();
    socket.write_all(&asked).unwrap();
}

#[test]
fn every_program_of_this_machine_carries_bytes_both_ways() {
    let text = std::fs::read_to_string(project().join("lib/forwarders.toml")).unwrap();
    let rows: toml::Table = text.parse().unwrap();
    let mut tried = Vec::new();
    for row in rows["forwarder"].as_array().unwrap() {
        let name = row["program"].as_str().unwrap();
        let is_here = ["/bin", "/usr/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(name).exists());
        if !is_here && name != "toolkit" {
            continue;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let words = row["command"].as_array().unwrap().iter();
        let words: Vec<String> = words
            .map(|word| word.as_str().unwrap())
            .map(|word| word.replace("{port}", &port).replace("{host}", "127.0.0.1"))
            .collect();
        let program = match name {
            "toolkit" => PROGRAM,
            _ => &words[0],
        };
        let server = std::thread::spawn(move || answer_once(&listener));
        let mut child = Command::new(program)
            .args(&words[1..])
            // As in a container, where it leads a group of its own.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut open = vec![0; OPEN.len()];
        output.read_exact(&mut open).unwrap();
        assert_eq!(open, OPEN.as_bytes(), "{name}");
        input.write_all(&question()).unwrap();
        let mut answer = Vec::new();
        output.read_to_end(&mut answer).unwrap();
        answer.reverse();
        assert!(answer == question(), "{name}: {} bytes", answer.len());
        drop(input);
        child.wait().unwrap();
        server.join().unwrap();
        tried.push(name.to_owned());
    }
    assert!(tried.contains(&"toolkit".to_owned()), "{tried:?}");
    assert!(tried.contains(&"bash".to_owned()), "{tried:?}");
}
