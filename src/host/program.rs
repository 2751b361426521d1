//! Other programs of this machine: asks one for a line, and becomes one.
#![expect(clippy::disallowed_methods, reason = "part of the door to processes")]

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::HostError;

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name, which is looked for where the environment says, or its path.
    pub name: String,
    /// What it gets.
    pub arguments: Vec<OsString>,
    /// Variables on top of those of this process.
    pub environment: Vec<(String, String)>,
}

/// The first line that a program prints; `None` where there is no such program, it fails, or takes
/// longer than the deadline.
pub async fn first_line(name: &str, arguments: &[&str], deadline: Duration) -> Option<String> {
    let asked = tokio::process::Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let answer = tokio::time::timeout(deadline, asked).await.ok()?.ok()?;
    if !answer.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&answer.stdout);
    Some(text.lines().next()?.trim().to_owned())
}

/// Becomes another program: terminal, signals and exit code are then its own. Returns only when that
/// is not possible.
#[must_use]
pub fn become_program(program: &Program) -> HostError {
    let variables = program.environment.iter().cloned();
    let refused: io::Error = std::process::Command::new(&program.name)
        .args(&program.arguments)
        .envs(variables)
        .exec();
    HostError::file("run", &PathBuf::from(&program.name), refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_program_is_asked_for_a_line() {
        let said = first_line("echo", &["a b"], DEADLINE).await;
        assert_eq!(said.as_deref(), Some("a b"));
        assert_eq!(first_line("false", &[], DEADLINE).await, None);
        assert_eq!(first_line("no-such-program", &[], DEADLINE).await, None);
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let program = Program {
            name: "/nonexistent/program".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        let error = become_program(&program);
        assert_eq!(error.to_string(), "cannot run `/nonexistent/program`");
    }
}
