//! A conversation with a program in a container: this terminal, or pipes, at one end.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Session, environment, error::CommandError, exit};
use crate::engine::EngineError;
use crate::engine::inside::{Exec, ExecRequest, Inside, Output, TerminalSize};
use crate::host;
use crate::host::terminal::{self, Raw, Signalled, Signals};
use crate::observed::Container;
use crate::script::ScriptError;
use crate::script::ended;
use crate::script::shells::{NO_USER, REFUSAL, SessionMark};

/// Room for a piece of input.
const ROOM: usize = 64 << 10;

/// Most that is kept of what an engine writes in place of a program.
const LONGEST_REFUSAL: usize = 4096;

/// How often and in what time the engine is told the first size: the program may not run yet.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(20);

/// How long a program may take to end after it was told that its terminal is gone.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is to be talked with.
#[derive(Debug, Clone)]
pub struct Conversation<'a> {
    /// Where it runs.
    pub container: &'a Container,
    /// What runs. Input and terminal are set here.
    pub request: ExecRequest,
    /// Whether it gets no terminal, although there is one.
    pub no_terminal: bool,
    /// Users that it becomes, besides the one it begins as.
    pub becomes: Vec<String>,
}

/// How it ended.
enum Ended {
    /// The output of the program ended, as it does with the program.
    Itself,
    /// This end is gone, or was told to go.
    Gone(u8),
    /// What the program wrote cannot be written here.
    Unwritten(String),
}

/// Runs the program, passes everything on both ways, and gives back its exit status.
///
/// # Errors
/// The program cannot be run, the engine fails, or this process is told to end.
pub async fn hold(
    session: &Session,
    engine: &impl Inside,
    conversation: Conversation<'_>,
) -> Result<u8, CommandError> {
    let Conversation {
        container,
        mut request,
        no_terminal,
        becomes,
    } = conversation;
    if session.dry_run {
        let words = request.command.join(" ");
        let name = &container.name;
        session
            .ui
            .say(&format!("would run in container `{name}`: {words}"));
        return Ok(exit::DONE);
    }
    let is_terminal = !no_terminal && terminal::is_there();
    let mark = SessionMark::set(&mut request, &host::new_secret()?);
    request.has_input = true;
    if is_terminal {
        request.terminal = Some(size());
        if let Some(kind) = environment("TERM") {
            request.environment.entry("TERM".to_owned()).or_insert(kind);
        }
    }
    let mut signals = Signals::listen().context("signals cannot be handled")?;
    // From here on the signals are answered here, not by the end of this process.
    session.works.store(true, Ordering::Relaxed);
    let exec = match engine.exec(&container.id, &request).await {
        Ok(exec) => exec,
        Err(error) => return Err(not_begun(container, &request, error)),
    };
    let id = exec.id.clone();
    let mut held = Held::default();
    let ended_how = {
        let raw = if is_terminal { Raw::enter().ok() } else { None };
        talk(engine, exec, &mut signals, raw.as_ref(), &mut held).await
    };
    let hang_up = async || {
        let mut users = vec![request.user.clone()];
        users.extend(becomes.into_iter().map(Some));
        mark.hang_up(engine, &container.id, &users).await;
        // One that goes on all the same has been told.
        let _ = tokio::time::timeout(LAST_WORDS, ended(engine, &id)).await;
    };
    match ended_how? {
        Ended::Itself => {
            // It may go on without an output. The terminal is itself again, and Ctrl-C a signal.
            let exit_code = tokio::select! {
                exit_code = ended(engine, &id) => exit_code?,
                exit_code = told_to_end(&mut signals) => {
                    hang_up().await;
                    return gone(container, exit_code);
                }
            };
            held.answer(container, &request, exit_code).await
        }
        Ended::Gone(exit_code) => {
            hang_up().await;
            gone(container, exit_code)
        }
        Ended::Unwritten(cause) => {
            hang_up().await;
            Err(unwritten(cause))
        }
    }
}

/// What was written inside has no place here, such as on a full disk: what came so far is cut.
fn unwritten(cause: String) -> CommandError {
    CommandError::new("OUTPUT", exit::FAILED, "the output cannot be written")
        .because(cause)
        .state("what was written so far is not whole, and the program inside was ended")
}

/// What this process ends with when its end of the conversation is gone.
fn gone(container: &Container, exit_code: u8) -> Result<u8, CommandError> {
    if matches!(exit_code, terminal::HUNG_UP | terminal::NO_READER) {
        // There is nobody left to tell.
        return Ok(exit_code);
    }
    let error = CommandError::new("INTERRUPTED", exit_code, "stopped on request");
    let name = &container.name;
    Err(error.state(format!(
        "the program in container `{name}` was told that its terminal is gone"
    )))
}

/// The exit code that a signal asks for, once one does.
async fn told_to_end(signals: &mut Signals) -> u8 {
    loop {
        if let Signalled::End { exit_code } = signals.next().await {
            return exit_code;
        }
    }
}

fn size() -> TerminalSize {
    let (rows, columns) = terminal::size().unwrap_or((24, 80));
    TerminalSize { rows, columns }
}

/// Passes everything on until one end is gone.
async fn talk(
    engine: &impl Inside,
    exec: Exec,
    signals: &mut Signals,
    raw: Option<&Raw>,
    held: &mut Held,
) -> Result<Ended, CommandError> {
    let Exec {
        id,
        mut output,
        mut input,
    } = exec;
    let inward = async {
        let mut from = tokio::io::stdin();
        let mut room = vec![0; ROOM];
        let is_over = loop {
            let Ok(length @ 1..) = from.read(&mut room).await else {
                break true;
            };
            let piece = room.get(..length).unwrap_or_default();
            // A program that reads no more may still have something to say.
            if input.write_all(piece).await.is_err() {
                break false;
            }
        };
        let _ = input.shutdown().await;
        // The end of a file is no end of the conversation; that of a terminal is.
        if raw.is_none() || !is_over {
            std::future::pending::<()>().await;
        }
    };
    let outward = async {
        while let Some(piece) = output.next().await {
            let written = match piece? {
                Output::Out(bytes) => match held.pass(bytes) {
                    Some(bytes) => write(tokio::io::stdout(), &bytes).await,
                    None => Ok(()),
                },
                Output::Error(bytes) => write(tokio::io::stderr(), &bytes).await,
            };
            match written {
                Ok(()) => {}
                Err(_) if raw.is_some() => return Ok(Ended::Gone(terminal::HUNG_UP)),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Ok(Ended::Gone(terminal::NO_READER));
                }
                Err(error) => return Ok(Ended::Unwritten(error.to_string())),
            }
        }
        Ok(Ended::Itself)
    };
    let watch = async {
        if raw.is_some() {
            for turn in 1..=TRIES {
                if engine.resize(&id, size()).await.is_ok() {
                    break;
                }
                tokio::time::sleep(PAUSE * turn).await;
            }
        }
        loop {
            match signals.next().await {
                Signalled::End { exit_code } => break exit_code,
                Signalled::Continued => {
                    if let Some(raw) = raw {
                        // The next key shows whether the terminal is still there.
                        let _ = raw.again();
                    }
                }
                Signalled::Resized => {}
            }
            if raw.is_some() {
                // A program that has ended needs none.
                let _ = engine.resize(&id, size()).await;
            }
        }
    };
    tokio::select! {
        outcome = outward => outcome,
        () = inward => Ok(Ended::Gone(terminal::HUNG_UP)),
        exit_code = watch => Ok(Ended::Gone(exit_code)),
    }
}

async fn write(mut to: impl AsyncWrite + Unpin, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// The beginning of an output, kept back while it may be the engine's own word that there is no such
/// program: older engines write that to the output.
#[derive(Debug, Default)]
struct Held {
    text: Vec<u8>,
    is_over: bool,
}

impl Held {
    /// What of a piece, and of what was kept, is to be written.
    fn pass(&mut self, bytes: Bytes) -> Option<Bytes> {
        if self.is_over {
            return Some(bytes);
        }
        self.text.extend_from_slice(&bytes);
        let is_like = |refusal: &str| {
            let common = self.text.len().min(refusal.len());
            self.text.get(..common) == refusal.as_bytes().get(..common)
        };
        let is_like = is_like(REFUSAL) || is_like(NO_USER);
        if is_like && self.text.len() <= LONGEST_REFUSAL {
            return None;
        }
        self.is_over = true;
        Some(std::mem::take(&mut self.text).into())
    }

    /// The end of a conversation in which the program ended with a status.
    async fn answer(
        self,
        container: &Container,
        request: &ExecRequest,
        exit_code: i64,
    ) -> Result<u8, CommandError> {
        let text = String::from_utf8_lossy(&self.text);
        let is_refusal = text.starts_with(REFUSAL) || text.starts_with(NO_USER);
        if is_refusal && matches!(exit_code, 126 | 127) {
            return Err(refused(container, request, &text));
        }
        // It only looked like that.
        let _ = write(tokio::io::stdout(), &self.text).await;
        Ok(u8::try_from(exit_code).unwrap_or(exit::FAILED))
    }
}

fn not_begun(container: &Container, request: &ExecRequest, error: EngineError) -> CommandError {
    match error {
        EngineError::Refused { message, .. }
            if message.contains(REFUSAL) || message.contains(NO_USER) =>
        {
            refused(container, request, &message)
        }
        other => other.into(),
    }
}

/// The engine found nothing to run.
fn refused(container: &Container, request: &ExecRequest, text: &str) -> CommandError {
    let program = request.command.first().cloned().unwrap_or_default();
    let name = &container.name;
    let folder = request.folder.clone().filter(|_| text.contains("chdir"));
    if text.contains(NO_USER) {
        let user = request.user.clone().unwrap_or_default();
        let message = format!("there is no user `{user}` in container `{name}`");
        return CommandError::new("NO_SUCH_USER", exit::NOT_RUN_INSIDE, message)
            .state("nothing was run");
    }
    let is_missing = text.contains("not found") || text.contains("no such file");
    let (id, exit_code, message) = match (folder, is_missing) {
        (Some(folder), _) => (
            "NO_SUCH_FOLDER",
            exit::NOT_RUN_INSIDE,
            format!("there is no folder `{folder}` in container `{name}`"),
        ),
        (None, true) => (
            "NO_SUCH_PROGRAM",
            exit::NOT_FOUND_INSIDE,
            format!("there is no program `{program}` in container `{name}`"),
        ),
        (None, false) => (
            "PROGRAM_NOT_RUN",
            exit::NOT_RUN_INSIDE,
            format!("`{program}` in container `{name}` cannot be run"),
        ),
    };
    // The engine's own words come in layers; the last says what it is.
    let cause = text.trim().trim_end_matches(": unknown");
    let cause = cause
        .rsplit_once("caused: ")
        .map_or(cause, |(_, last)| last);
    CommandError::new(id, exit_code, message)
        .because(cause.to_owned())
        .state("nothing was run")
}

impl From<ScriptError> for CommandError {
    fn from(error: ScriptError) -> Self {
        match error {
            ScriptError::Engine(error) => error.into(),
            ScriptError::TooMuch { .. } | ScriptError::Endless => {
                Self::new("PROGRAM_ENDLESS", exit::FAILED, error.to_string())
                    .fix("look at what runs in the container: toolkit exec SERVICE ps aux")
            }
            ScriptError::Catalogue(ref cause) => {
                Self::new("BUG", exit::BUG, error.to_string()).because(cause.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pieces: &[&str]) -> (String, String) {
        let mut held = Held::default();
        let passed: Vec<Bytes> = pieces
            .iter()
            .filter_map(|piece| held.pass(Bytes::copy_from_slice(piece.as_bytes())))
            .collect();
        let passed = passed.concat();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&passed), text(&held.text))
    }

    #[test]
    fn only_what_may_be_the_engines_word_is_kept_back() {
        let own = |pieces: &[&str]| passed(pieces);
        assert_eq!(own(&["hello"]), ("hello".into(), String::new()));
        assert_eq!(own(&["O", "h no"]), ("Oh no".into(), String::new()));
        assert_eq!(own(&["OCI"]), (String::new(), "OCI".into()));
        let refusal = "OCI runtime exec failed: x";
        assert_eq!(
            own(&["OCI run", "time exec failed: x"]),
            (String::new(), refusal.into())
        );
        let long = "x".repeat(LONGEST_REFUSAL);
        assert_eq!(own(&[refusal, &long]).0, format!("{refusal}{long}"));
    }
}
