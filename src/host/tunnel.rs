//! A way to a socket of another machine, through the machine's own `ssh`, for as long as the value
//! lives. Keys, known hosts and jump hosts are those of the user's ssh configuration.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin};

use super::{HostError, new_secret};

/// How long the other machine may take to open the way.
const DEADLINE: Duration = Duration::from_secs(30);

/// Socket of an engine on a machine whose address names no other.
const USUAL_SOCKET: &str = "/var/run/docker.sock";

/// What the other machine says when the way is open. The shell there then waits for the end of its
/// input, which comes with the end of this process, however it ends.
const REMOTE_COMMAND: &str = "echo toolkit-tunnel-open; exec cat >/dev/null";
const OPEN: &str = "toolkit-tunnel-open";

/// There is no way.
#[derive(Debug, Error)]
pub enum TunnelError {
    /// `ssh` cannot be run.
    #[error("`ssh` cannot be run")]
    Program(#[source] io::Error),
    /// No folder can be made for the socket.
    #[error("the folder `{}` cannot be made", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No name can be found for the folder.
    #[error(transparent)]
    Host(#[from] HostError),
    /// `ssh` gave up.
    #[error("`ssh {destination}` opens no way: {said}")]
    Refused {
        /// Where to.
        destination: String,
        /// Its last words.
        said: String,
    },
}

/// The way.
#[derive(Debug)]
pub struct Tunnel {
    folder: PathBuf,
    socket: PathBuf,
    _process: Child,
    _input: Option<ChildStdin>,
}

impl Tunnel {
    /// Opens the way to the engine that `ssh://[USER@]HOST[:PORT][/SOCKET]` names; `below` is a
    /// folder for temporary files.
    ///
    /// # Errors
    /// See [`TunnelError`].
    pub async fn open(endpoint: &str, below: &Path) -> Result<Self, TunnelError> {
        let (destination, remote) = split(endpoint);
        let mut name = new_secret()?;
        name.truncate(16);
        let folder = below.join(format!("toolkit-{name}"));
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|source| TunnelError::Folder {
            path: folder.clone(),
            source,
        })?;
        let socket = folder.join("engine.sock");
        let forward = format!("{}:{remote}", socket.display());
        let mut command = tokio::process::Command::new("ssh");
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=15",
            "ExitOnForwardFailure=yes",
            "ServerAliveInterval=30",
        ] {
            command.args(["-o", option]);
        }
        command
            .args(["-T", "-L", &forward, "--", &destination, REMOTE_COMMAND])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for this program, which still needs the way to its next safe point.
            .process_group(0)
            .kill_on_drop(true);
        let spawned = command.spawn();
        // From here on the folder goes with the value.
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                let _ = fs::remove_dir(&folder);
                return Err(TunnelError::Program(error));
            }
        };
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let tunnel = Self {
            folder,
            socket,
            _input: child.stdin.take(),
            _process: child,
        };
        let opened = async {
            let Some(output) = output else { return false };
            let mut lines = BufReader::new(output).lines();
            // What a shell on the other side says by itself comes before.
            while let Ok(Some(line)) = lines.next_line().await {
                if line.trim() == OPEN {
                    return true;
                }
            }
            false
        };
        let refused = |said: String| TunnelError::Refused {
            destination: destination.clone(),
            said,
        };
        match tokio::time::timeout(DEADLINE, opened).await {
            Ok(true) => Ok(tunnel),
            Ok(false) => {
                let mut said = String::new();
                if let Some(mut errors) = errors {
                    // Words that cannot be read are missing from the message only.
                    let _ = errors.read_to_string(&mut said).await;
                }
                let last = said.lines().rfind(|line| !line.trim().is_empty());
                Err(refused(last.unwrap_or("it said nothing").trim().to_owned()))
            }
            Err(_) => Err(refused(format!("no answer in {} s", DEADLINE.as_secs()))),
        }
    }

    /// The socket on this machine.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // ssh takes its socket away itself when it has the time for it.
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The machine as ssh knows it, and the socket there.
fn split(endpoint: &str) -> (String, &str) {
    let rest = endpoint.strip_prefix("ssh://").unwrap_or(endpoint);
    let (machine, socket) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let socket = match socket {
        "" | "/" => USUAL_SOCKET,
        socket => socket,
    };
    (format!("ssh://{machine}"), socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_names_a_machine_and_perhaps_a_socket() {
        for (endpoint, machine, socket) in [
            ("ssh://a@b:22", "ssh://a@b:22", USUAL_SOCKET),
            ("ssh://b/", "ssh://b", USUAL_SOCKET),
            (
                "ssh://b/run/user/1/docker.sock",
                "ssh://b",
                "/run/user/1/docker.sock",
            ),
        ] {
            assert_eq!(split(endpoint), (machine.to_owned(), socket), "{endpoint}");
        }
    }
}
