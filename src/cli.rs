//! The command line: parses what was typed, wires the layers, turns errors into exit codes. The
//! only module that reads the environment, the current directory and the arguments.

pub mod commands;
pub mod completion;
mod connection;
pub mod conversation;
mod deed;
mod definitions;
mod dispatch;
pub mod docker_compose;
pub mod error;
pub mod exit;
pub mod files;
pub mod grace;
pub mod instance;
mod instead;
mod log_error;
mod named;
mod old_words;
pub mod operation;
mod pass_through;
pub mod people;
pub mod preflight;
mod proxies;
pub mod question;
pub mod report;
pub mod target;
pub mod unfinished;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;

use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use time::UtcOffset;

use crate::check::Ignores;
use crate::compose::SpecDuration;
use crate::host;
use crate::host::interrupt::Interrupt;
use crate::host::lock::Told;
use crate::settings::disclosure;
use crate::ui::{Color, Format, Manners, Progress, Ui};
use dispatch::{Command, dispatch};
use error::CommandError;

/// The version with the identity of the build, which is also the tag of the bundled images.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (build ",
    env!("TOOLKIT_BUILD"),
    ")"
);

/// Bring up and look after a self-hosted Overleaf
#[derive(Debug, Parser)]
#[command(name = "toolkit", version, long_version = LONG_VERSION, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command understands.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Folder that holds config/ and data/ [default: the nearest one upward with config/overleaf.rc]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "TOOLKIT_ROOT",
        hide_env_values = true
    )]
    root: Option<PathBuf>,
    /// How answers are written [default: text; of logs that go to no terminal: raw]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    format: Option<FormatArg>,
    /// How progress is shown
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "HOW",
        default_value = "auto"
    )]
    progress: ProgressArg,
    /// When colour is used
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto"
    )]
    color: ColorArg,
    /// Say less on stderr
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more on stderr
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Accept ordinary questions
    #[arg(short, long, global = true)]
    yes: bool,
    /// Never ask: a question is an error that names the flag which answers it
    #[arg(long, global = true)]
    no_input: bool,
    /// Show the plan and change nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// How long to wait for another run on the same instance
    #[arg(long, global = true, value_name = "DURATION", default_value = "0s")]
    lock_wait: SpecDuration,
    /// How long to wait until the services are ready
    #[arg(long, global = true, value_name = "DURATION", default_value = "10m")]
    timeout: SpecDuration,
    /// Pass one failing preflight check; needs --reason
    #[arg(long, global = true, value_name = "CHECK")]
    ignore: Vec<String>,
    /// Why checks are ignored; recorded in the history
    #[arg(long, global = true, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
enum FormatArg {
    Text,
    Json,
    /// Only for `compose config`
    Yaml,
    /// Only for `logs` and `error-logs`: what was written, byte for byte
    Raw,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProgressArg {
    Auto,
    Tty,
    Plain,
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ColorArg {
    Auto,
    Always,
    Never,
}

/// What every command gets: the user interface and the flags that concern all.
#[derive(Debug)]
pub struct Session {
    /// The user interface.
    pub ui: Ui,
    /// The folder that `--root` or `TOOLKIT_ROOT` names.
    pub root: Option<PathBuf>,
    /// The current folder.
    pub current_folder: PathBuf,
    /// What `DOCKER_HOST` says.
    pub docker_host: Option<String>,
    /// Whether nobody can or may be asked.
    pub no_input: bool,
    /// Whether ordinary questions are answered with yes.
    pub yes: bool,
    /// Whether nothing may be changed.
    pub dry_run: bool,
    /// Whether the answer is wanted as YAML.
    pub yaml: bool,
    /// Whether the answer is wanted as it was written.
    pub raw: bool,
    /// Logs are shown as they were written.
    pub logs_are_raw: bool,
    /// How long to wait for another run.
    pub lock_wait: Duration,
    /// How long to wait for readiness.
    pub timeout: Duration,
    /// Whether a plan is being carried out, which then answers Ctrl-C itself.
    pub works: AtomicBool,
    /// The preflight checks that the operator passes.
    pub ignores: Ignores,
    /// What was typed, the name of the program first.
    pub arguments: Vec<String>,
    /// Whether the command goes on with an unfinished operation.
    pub resumes: bool,
    /// The command that does the same from whatever stands, where that is not what was typed.
    pub again: OnceLock<Vec<String>>,
    /// The options of this run that an operation which goes on needs again.
    pub common: Vec<String>,
    /// Whether the arguments of the command may hold secrets.
    pub hides_arguments: bool,
    /// What those are told who wait for the lock, once this run holds it.
    pub told: OnceLock<Arc<Told>>,
}

impl Session {
    /// What was typed, without secrets. The commands that take one as an argument are named only.
    #[must_use]
    pub fn shown_arguments(&self) -> Vec<String> {
        let mut shown: Vec<String> = Vec::new();
        let mut left = usize::MAX;
        for word in &self.arguments {
            if left == 0 {
                break;
            }
            left -= 1;
            if self.hides_arguments && word == "config" {
                left = 1;
            }
            shown.push(disclosure::without_passwords(word));
        }
        if let Some(program) = shown.first_mut() {
            "toolkit".clone_into(program);
        }
        shown
    }

    /// What was typed as one line, without secrets.
    #[must_use]
    pub fn command_line(&self) -> String {
        self.shown_arguments().join(" ")
    }

    /// The session in which an unfinished operation of the instance goes on.
    fn resumed(
        &self,
        root: &Path,
        current_folder: PathBuf,
        arguments: Vec<String>,
        cli: &Cli,
    ) -> Result<Self, CommandError> {
        let global = &cli.global;
        // What is said now comes before what was said then.
        let ignores = match self.ignores == Ignores::default() {
            true => preflight::ignores(&global.ignore, global.reason.as_deref())?,
            false => self.ignores.clone(),
        };
        let is_said = self.timeout != DEFAULT_TIMEOUT;
        let timeout = if is_said {
            self.timeout
        } else {
            global.timeout.0
        };
        Ok(Self {
            ui: self.ui.clone(),
            root: Some(root.to_path_buf()),
            current_folder,
            docker_host: self.docker_host.clone(),
            no_input: self.no_input,
            yes: self.yes || global.yes,
            dry_run: self.dry_run,
            yaml: false,
            raw: false,
            logs_are_raw: false,
            lock_wait: self.lock_wait,
            timeout,
            works: AtomicBool::new(false),
            arguments,
            ignores,
            resumes: true,
            again: OnceLock::new(),
            common: global.common(),
            hides_arguments: cli.command.hides_arguments(),
            told: OnceLock::new(),
        })
    }
}

impl GlobalArgs {
    /// Whether logs are shown as they were written: asked for, or because a program reads them and nobody
    /// asked for what only people read.
    fn wants_raw_logs(&self) -> bool {
        let is_for_people = self.verbose > 0 || matches!(self.color, ColorArg::Always);
        match self.format {
            Some(format) => format == FormatArg::Raw,
            None => !is_for_people && !std::io::IsTerminal::is_terminal(&std::io::stdout()),
        }
    }

    /// Those that an operation which goes on needs again, as they are typed.
    fn common(&self) -> Vec<String> {
        let mut words = vec![format!("--timeout={}ms", self.timeout.0.as_millis())];
        let ignored = self.ignore.iter();
        words.extend(ignored.map(|check| format!("--ignore={check}")));
        words.extend(self.reason.iter().map(|why| format!("--reason={why}")));
        words
    }
}

/// How long is waited for readiness where nothing is said; that of `--timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);

/// Goes on with an unfinished operation of the instance by running its command again; `None` when
/// its arguments are none of this program, or ask for `resume`, which would not end.
fn run_again(
    arguments: &[String],
    session: &Session,
    root: &Path,
    folder: PathBuf,
) -> Option<Result<u8, CommandError>> {
    let cli = parse(arguments.iter().map(OsString::from).collect()).ok()?;
    if matches!(cli.command, Command::Resume(_)) {
        return None;
    }
    let again = session.resumed(root, folder, arguments.to_vec(), &cli);
    Some(again.and_then(|again| dispatch(&cli.command, &again)))
}

/// Runs the program with the arguments and the environment of the process.
#[must_use]
pub fn main() -> ExitCode {
    // Asked while there is one thread only: the C library's answer is not safe beside others.
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let _ = LOCAL_OFFSET.set(offset);
    let outcome = std::panic::catch_unwind(|| run(std::env::args_os().collect()));
    ExitCode::from(outcome.unwrap_or(exit::BUG))
}

/// The local zone, for times that people read.
static LOCAL_OFFSET: OnceLock<UtcOffset> = OnceLock::new();

fn run(arguments: Vec<OsString>) -> u8 {
    if let Some(names) = completion::answer(&arguments) {
        Ui::new(Manners::default()).answer(&String::from_utf8_lossy(&names));
        return exit::DONE;
    }
    let typed = arguments.iter();
    let typed: Vec<String> = typed
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(Unparsed::Refused(error)) => {
            Ui::new(Manners::default()).fail(&error.failure);
            return error.failure.exit_code;
        }
        Err(Unparsed::Mistyped(error)) => {
            // Help and version go to stdout, mistakes to stderr; a closed stream is no failure.
            let _ = error.print();
            return if error.use_stderr() {
                exit::USAGE
            } else {
                exit::DONE
            };
        }
    };
    let session = match session(&cli, typed) {
        Ok(session) => session,
        Err(error) => {
            Ui::new(Manners::default()).fail(&error.failure);
            return error.failure.exit_code;
        }
    };
    match dispatch(&cli.command, &session) {
        Ok(code) => code,
        Err(error) => {
            session.ui.fail(&error.failure);
            error.failure.exit_code
        }
    }
}

/// Why there is no command.
#[derive(Debug)]
enum Unparsed {
    /// A word that was understood once.
    Refused(CommandError),
    /// Help, the version, or a mistake.
    Mistyped(clap::Error),
}

fn parse(arguments: Vec<OsString>) -> Result<Cli, Unparsed> {
    let definition = command();
    let arguments = old_words::replaced(arguments, &definition).map_err(Unparsed::Refused)?;
    let arguments = pass_through::separated(arguments, &definition);
    let matches = definition.try_get_matches_from(arguments);
    let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    cli.map_err(Unparsed::Mistyped)
}

/// The definition of the command line, for help texts, completions and tests.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn session(cli: &Cli, arguments: Vec<String>) -> Result<Session, CommandError> {
    let global = &cli.global;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| variable(name));
    let is_utf8 = |locale: String| locale.to_lowercase().replace('-', "").contains("utf8");
    let manners = Manners {
        format: match global.format {
            Some(FormatArg::Json) => Format::Json,
            Some(FormatArg::Text | FormatArg::Yaml | FormatArg::Raw) | None => Format::Text,
        },
        progress: match global.progress {
            ProgressArg::Auto => Progress::Auto,
            ProgressArg::Tty => Progress::Tty,
            ProgressArg::Plain => Progress::Plain,
            ProgressArg::None => Progress::None,
        },
        color: match global.color {
            ColorArg::Auto => Color::Auto,
            ColorArg::Always => Color::Always,
            ColorArg::Never => Color::Never,
        },
        no_color: variable("NO_COLOR").is_some(),
        unicode: locale.is_some_and(is_utf8),
        quiet: global.quiet,
        verbosity: global.verbose,
    };
    let current_folder = std::env::current_dir().context("the current folder is gone")?;
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
    Ok(Session {
        ui: Ui::new(manners),
        root: global.root.clone(),
        current_folder,
        docker_host: variable("DOCKER_HOST"),
        no_input: global.no_input || global.yes || !is_terminal,
        yes: global.yes,
        dry_run: global.dry_run,
        yaml: global.format == Some(FormatArg::Yaml),
        raw: global.format == Some(FormatArg::Raw),
        logs_are_raw: global.wants_raw_logs(),
        lock_wait: global.lock_wait.0,
        timeout: global.timeout.0,
        works: AtomicBool::new(false),
        arguments,
        resumes: false,
        again: OnceLock::new(),
        common: global.common(),
        hides_arguments: cli.command.hides_arguments(),
        told: OnceLock::new(),
        ignores: preflight::ignores(&global.ignore, global.reason.as_deref())?,
    })
}

/// The value of an environment variable of the process.
#[expect(
    clippy::disallowed_methods,
    reason = "the layers below are handed this look-up"
)]
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The whole environment of the process, for a bundled server.
#[expect(
    clippy::disallowed_methods,
    reason = "a bundled server is configured by its container's environment"
)]
fn whole_environment() -> std::collections::BTreeMap<String, String> {
    std::env::vars().collect()
}

/// Runs a command to its end on a runtime of its own. Ctrl-C ends it at once, unless a plan is being
/// carried out: that stops at its own safe points.
fn wait<T>(
    session: &Session,
    command: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    // Two threads beside this one spend more on waking each other than they save.
    let runtime = runtime(1)?;
    let outcome = runtime.block_on(async {
        let interrupt = Interrupt::listen().context("signals cannot be handled")?;
        let idle = async {
            let exit_code = interrupt.asked().await;
            if session.works.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            exit_code
        };
        tokio::select! {
            outcome = command => outcome,
            exit_code = idle => {
                let error = CommandError::new("INTERRUPTED", exit_code, "stopped on request");
                Err(error.state("nothing was changed on the engine"))
            }
        }
    });
    // Drivers leave watchers behind that have nothing left to say.
    runtime.shutdown_background();
    outcome
}

/// A runtime with so many threads for what goes on beside the thread that waits for it.
fn runtime(beside: usize) -> Result<tokio::runtime::Runtime, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(beside)
        .enable_all()
        .build();
    Ok(runtime.context("no runtime can be started")?)
}

/// The state folder of an instance.
fn state_folder(root: &Path) -> PathBuf {
    root.join(".toolkit")
}

/// The time now in the local zone, as the user interface wants it.
fn now() -> time::OffsetDateTime {
    host::now().to_offset(*LOCAL_OFFSET.get().unwrap_or(&UtcOffset::UTC))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }

    fn session(words: &[&str]) -> super::Session {
        let typed: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let cli = super::parse(typed.iter().map(Into::into).collect()).unwrap();
        super::session(&cli, typed).unwrap()
    }

    #[test]
    fn only_the_arguments_of_config_are_left_out() {
        let shown = |words: &[&str]| session(words).command_line();
        let line = shown(&["toolkit", "config", "set", "PASSWORD", "s3cret"]);
        assert_eq!(line, "toolkit config set");
        let words = ["toolkit", "--root", "config", "up", "redis", "--timeout=5m"];
        assert_eq!(shown(&words), words.join(" "));
    }

    #[test]
    fn what_goes_on_keeps_its_options_unless_others_are_given() {
        let words = [
            "toolkit",
            "up",
            "--timeout",
            "3m",
            "--ignore",
            "MONGO_TOO_NEW",
        ];
        let words = [&words[..], &["--reason", "tested"]].concat();
        let typed: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let cli = super::parse(typed.iter().map(Into::into).collect()).unwrap();
        let resumed = |now: &[&str]| {
            let now = session(now);
            now.resumed("/srv".as_ref(), "/".into(), typed.clone(), &cli)
                .unwrap()
        };
        let like_before = resumed(&["toolkit", "resume"]);
        let before = super::session(&cli, typed.clone()).unwrap();
        assert_eq!(like_before.timeout, before.timeout);
        assert_eq!(like_before.ignores, before.ignores);
        assert_ne!(like_before.ignores, super::Ignores::default());
        let other = resumed(&["toolkit", "resume", "--timeout", "1m"]);
        assert_eq!(other.timeout, super::Duration::from_mins(1));
    }
}
