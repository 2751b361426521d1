//! Reaches a port in a container, or one that a container reaches, through the engine: a program in the
//! container connects to it and copies its own input and output. Which programs can do that is in
//! `lib/forwarders.toml`.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bollard::exec::CreateExecOptions;
use bollard::models::SystemVersion;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::DockerEngine;
use super::attach::{self, Attached, Pieces};
use crate::engine::inside::Output;
use crate::engine::{ByteStream, EngineError, Reach};

const FORWARDERS_TOML: &str = include_str!("../../../lib/forwarders.toml");

/// What a program writes first, so that its bytes are told from an error message.
const OPEN: &[u8] = b"toolkit-forward-open\n";

/// Exit codes that say that there is no such program.
const NO_PROGRAM: [i64; 2] = [126, 127];

/// Longest message of a program that is kept.
const LONGEST_MESSAGE: usize = 4096;

/// A program that can forward bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forwarder {
    program: String,
    command: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    forwarder: Vec<Forwarder>,
}

/// The program that was found in each container, by its id or name, as a place in the list.
pub(super) type Found = Arc<Mutex<HashMap<String, usize>>>;

/// Whether the addresses of the containers are reached from here, by what the engine says.
///
/// An engine behind TCP or SSH counts as far away: its addresses may also be those of an engine
/// nearby, and then the wrong container would answer.
pub(super) fn reach(endpoint: &str, version: &SystemVersion) -> Reach {
    let is_near = endpoint.starts_with("unix://") && std::env::consts::OS == "linux";
    let platform = version.platform.as_ref();
    let is_desktop = platform.is_some_and(|platform| platform.name.contains("Desktop"));
    let components = || version.components.iter().flatten();
    let is_rootless = components().any(|part| part.name == "rootlesskit");
    let is_podman = components().any(|part| part.name.contains("Podman"));
    if !is_near || is_desktop || is_rootless {
        Reach::Forwarded
    } else if is_podman {
        Reach::Unknown
    } else {
        Reach::Direct
    }
}

/// What a forwarder did when it was started.
enum Started {
    /// It is connected.
    Open(ByteStream),
    /// The image does not have it.
    Missing,
    /// It ended without a connection, with these words.
    Refused(String),
}

/// The container's own loopback address.
const LOOPBACK: &str = "127.0.0.1";

/// Opens a connection to a port on the container's own loopback address.
pub(super) async fn open(
    engine: &DockerEngine,
    container: &str,
    port: u16,
) -> Result<ByteStream, EngineError> {
    let doing = format!("reach port {port} in container `{container}`");
    let opened = open_at(engine, container, (LOOPBACK, port), &doing).await?;
    // Each program says in its own words that the connection was refused.
    opened.map_err(|_| EngineError::Refused {
        doing,
        message: format!("nothing listens at port {port} in the container"),
    })
}

/// Opens a connection to a port of another server from within the container.
pub(super) async fn open_from(
    engine: &DockerEngine,
    container: &str,
    host: &str,
    port: u16,
) -> Result<ByteStream, EngineError> {
    let doing = format!("reach `{host}:{port}` from container `{container}`");
    if !is_host(host) {
        let message = format!("`{host}` is no name or address of a machine");
        return Err(EngineError::Refused { doing, message });
    }
    let opened = open_at(engine, container, (host, port), &doing).await?;
    opened.map_err(|said| EngineError::Refused {
        doing,
        message: match said.trim() {
            "" => "no connection came about".to_owned(),
            said => said.lines().last().unwrap_or(said).to_owned(),
        },
    })
}

/// Whether a text is a name or an address and nothing that a shell understands.
fn is_host(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain)
}

/// Opens a connection; the inner error holds what a program said that could not connect.
async fn open_at(
    engine: &DockerEngine,
    container: &str,
    to: (&str, u16),
    doing: &str,
) -> Result<Result<ByteStream, String>, EngineError> {
    let broken = |cause: String| EngineError::Broken {
        doing: doing.to_owned(),
        cause,
    };
    let file: File = toml::from_str(FORWARDERS_TOML).map_err(|error| broken(error.to_string()))?;
    let known = || {
        engine
            .forwarders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    let first = known().get(container).copied();
    let rows = file.forwarder.iter().enumerate();
    let rows = rows.filter(|(place, _)| first.is_none_or(|first| first == *place));
    for (place, forwarder) in rows {
        match start(engine, container, to, forwarder, doing).await? {
            Started::Open(stream) => {
                known().insert(container.to_owned(), place);
                return Ok(Ok(stream));
            }
            Started::Missing => {}
            Started::Refused(said) => return Ok(Err(said)),
        }
    }
    // The container may have been made anew from another image.
    known().remove(container);
    let names: Vec<&str> = file
        .forwarder
        .iter()
        .map(|row| row.program.as_str())
        .collect();
    let message = format!("its image has none of {}", names.join(", "));
    let doing = doing.to_owned();
    Err(EngineError::Refused { doing, message })
}

async fn start(
    engine: &DockerEngine,
    container: &str,
    (host, port): (&str, u16),
    forwarder: &Forwarder,
    doing: &str,
) -> Result<Started, EngineError> {
    let failed = |error| engine.failure(doing, error);
    let command = forwarder.command.iter();
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        cmd: Some(
            command
                .map(|word| {
                    word.replace("{port}", &port.to_string())
                        .replace("{host}", host)
                })
                .collect(),
        ),
        ..CreateExecOptions::default()
    };
    let exec = engine.client.create_exec(container, options).await;
    let id = exec.map_err(failed)?.id;
    let Attached { mut output, input } = match attach::start(engine, &id, false).await {
        Ok(attached) => attached,
        // Newer engines say so at once, older ones on the output.
        Err(bollard::errors::Error::DockerResponseServerError { message, .. })
            if says_missing(&message) =>
        {
            return Ok(Started::Missing);
        }
        Err(error) => return Err(failed(error)),
    };
    let (mut came, mut said) = (BytesMut::new(), String::new());
    while came.len() < OPEN.len() && OPEN.starts_with(&came) {
        match output.next().await {
            Some(Ok(Output::Out(bytes))) => came.extend_from_slice(&bytes),
            Some(Ok(other)) => said.push_str(&String::from_utf8_lossy(&other.into_bytes())),
            Some(Err(_)) | None => break,
        }
        if said.len() > LONGEST_MESSAGE {
            break;
        }
    }
    if came.starts_with(OPEN) {
        came.advance(OPEN.len());
        let reader: Box<dyn AsyncRead + Send + Unpin> = Box::new(Outward {
            pieces: output,
            rest: came.freeze(),
        });
        let writer: Pin<Box<dyn AsyncWrite + Send>> = input;
        return Ok(Started::Open(tokio::io::join(reader, writer)));
    }
    let ended = engine.client.inspect_exec(&id).await.map_err(failed)?;
    let text = format!("{}{said}", String::from_utf8_lossy(&came));
    let code = ended.exit_code;
    if code.is_some_and(|code| NO_PROGRAM.contains(&code)) || says_missing(&text) {
        return Ok(Started::Missing);
    }
    Ok(Started::Refused(text))
}

fn says_missing(message: &str) -> bool {
    message.contains("executable file not found") || message.contains("no such file or directory")
}

/// The standard output of a program in a container.
struct Outward {
    pieces: Pieces,
    rest: Bytes,
}

impl AsyncRead for Outward {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.pieces.as_mut().poll_next(context)) {
                Some(Ok(Output::Out(bytes))) => self.rest = bytes,
                // What it writes to standard error is no part of the conversation.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{SystemVersionComponents, SystemVersionPlatform};

    #[test]
    fn the_shipped_rows_load_and_name_the_port() {
        let file: File = toml::from_str(FORWARDERS_TOML).unwrap();
        assert_eq!(file.forwarder[0].program, "toolkit");
        let open = String::from_utf8(OPEN.to_vec()).unwrap();
        for row in &file.forwarder {
            let command = row.command.join(" ");
            assert!(command.contains("{port}"), "{}", row.program);
            assert!(command.contains("{host}"), "{}", row.program);
            let is_ours = row.program == "toolkit";
            assert!(is_ours || command.contains(open.trim()), "{}", row.program);
        }
    }

    #[test]
    fn a_host_is_nothing_that_a_shell_understands() {
        for (text, expected) in [
            ("smtp.example.org", true),
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("a;reboot", false),
            ("$(id)", false),
            ("-e", false),
            ("", false),
        ] {
            assert_eq!(is_host(text), expected, "{text}");
        }
    }

    #[test]
    fn only_an_engine_on_this_machine_is_reached_directly() {
        let version = |platform: &str, component: &str| SystemVersion {
            platform: Some(SystemVersionPlatform {
                name: platform.to_owned(),
            }),
            components: Some(vec![SystemVersionComponents {
                name: component.to_owned(),
                ..SystemVersionComponents::default()
            }]),
            ..SystemVersion::default()
        };
        let plain = version("Docker Engine - Community", "Engine");
        for (endpoint, version, expected) in [
            ("unix:///var/run/docker.sock", plain.clone(), Reach::Direct),
            ("tcp://127.0.0.1:2375", plain.clone(), Reach::Forwarded),
            ("ssh://host", plain, Reach::Forwarded),
            (
                "unix:///home/a/.docker/desktop/docker.sock",
                version("Docker Desktop 4.30.0 (149282)", "Engine"),
                Reach::Forwarded,
            ),
            (
                "unix:///run/user/1000/docker.sock",
                version("", "rootlesskit"),
                Reach::Forwarded,
            ),
            (
                "unix:///run/podman/podman.sock",
                version("", "Podman Engine"),
                Reach::Unknown,
            ),
        ] {
            assert_eq!(reach(endpoint, &version), expected, "{endpoint}");
        }
    }
}
