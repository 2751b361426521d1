//! Runs texts with bash, which nothing but `config flatten` may do. Each run has an empty
//! environment, a process group of its own and a deadline, after which the whole group is killed.

use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where programs are looked for: the folders of a system, none of a user.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Options that keep bash from reading files of its own.
const NO_FILES: [&str; 2] = ["--noprofile", "--norc"];

/// A text could not be run.
#[derive(Debug, Error)]
pub enum BashError {
    /// There is no bash.
    #[error("there is no `bash` in {SEARCH_PATH}")]
    Missing,
    /// The process cannot be made or talked to.
    #[error("cannot run `bash`")]
    Process(#[source] io::Error),
    /// It did not end in time.
    #[error("`bash` did not end within {} s", .0.as_secs())]
    Deadline(Duration),
}

impl From<io::Error> for BashError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Process(error),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What it wrote to stdout.
    pub output: Vec<u8>,
    /// Exit code; `None` after a signal.
    pub exit_code: Option<i32>,
}

/// Whether a text is one or more whole commands. Nothing is run.
///
/// # Errors
/// bash cannot be started.
pub fn is_whole(text: &str) -> Result<bool, BashError> {
    let mut child = std::process::Command::new("bash")
        .args(NO_FILES)
        .arg("-n")
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(text.as_bytes()) {
            // It stops reading at the first mistake.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    let output = child.wait_with_output()?;
    // An open here-document is a warning only.
    Ok(output.status.success() && output.stderr.is_empty())
}

/// Runs `program` (which finds `input` on its stdin) with nothing but `environment`. It has ended
/// when its output ends with `end`, or when nothing holds its output any more. What it leaves behind
/// is killed. Its stderr is ours.
///
/// # Errors
/// See [`BashError`].
pub async fn run(
    program: &str,
    input: &str,
    environment: &[(&str, &str)],
    folder: &Path,
    end: &[u8],
    deadline: Duration,
) -> Result<Ended, BashError> {
    let mut child = tokio::process::Command::new("bash")
        .args(NO_FILES)
        .args(["-c", program])
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .envs(environment.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn()?;
    let _group = child.id().map(Group);
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let talk = async {
        let write = async {
            if let Some(mut stdin) = stdin {
                // A run that ends early reads no more; its exit code tells why.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let read = async {
            let mut output = Vec::new();
            if let Some(mut stdout) = stdout {
                while !output.ends_with(end) && stdout.read_buf(&mut output).await? > 0 {}
            }
            Ok::<_, io::Error>(output)
        };
        let ((), output) = tokio::join!(write, read);
        let (output, status) = (output?, child.wait().await?);
        Ok(Ended {
            output,
            exit_code: status.code(),
        })
    };
    tokio::time::timeout(deadline, talk)
        .await
        .unwrap_or(Err(BashError::Deadline(deadline)))
}

/// A process group, which is killed with the value.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        // Usually nothing is left of it, and the command says so with an error that means nothing.
        let _ = std::process::Command::new("bash")
            .args(NO_FILES)
            .args(["-c", "kill -KILL -- \"-$0\"", &self.0.to_string()])
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn open_commands_are_not_whole() {
        for (text, expected) in [
            ("A=1\n", true),
            ("if true; then\n", false),
            ("if true; then A=1\nfi\n", true),
            ("A='x\n", false),
            ("A=(1\n", false),
            ("cat <<E\nx\n", false),
            ("cat <<E\nx\nE\n", true),
            ("f() {\n", false),
        ] {
            assert_eq!(is_whole(text).unwrap(), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_run_sees_an_empty_environment_and_its_input() {
        let environment = [("GIVEN", "g")];
        let ended = run(
            "echo \"${HOME-none} $GIVEN $PWD\"; . /dev/stdin; exit 3",
            "echo sourced\n",
            &environment,
            Path::new("/"),
            b"never",
            LONG,
        );
        let ended = ended.await.unwrap();
        assert_eq!(
            String::from_utf8_lossy(&ended.output),
            "none g /\nsourced\n"
        );
        assert_eq!(ended.exit_code, Some(3));
    }

    #[tokio::test]
    async fn a_run_without_end_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let program = "(sleep 600 & echo $! >child; wait)";
        let ended = run(
            program,
            "",
            &[],
            folder.path(),
            b"never",
            Duration::from_secs(1),
        )
        .await;
        assert!(matches!(ended, Err(BashError::Deadline(_))), "{ended:?}");
        let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
        let is_gone = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.trim()));
            status.map_or(true, |status| status.contains("State:\tZ"))
        };
        let give_up = std::time::Instant::now() + LONG;
        while !is_gone() {
            assert!(std::time::Instant::now() < give_up, "{child} lives on");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_stays_in_the_background_does_not_hold_the_answer() {
        let program = "sleep 600 & echo done";
        let ended = run(program, "", &[], Path::new("/"), b"done\n", LONG).await;
        assert_eq!(ended.unwrap().output, b"done\n");
    }
}
