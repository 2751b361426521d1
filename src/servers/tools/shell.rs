//! `bash` and `sh`: as much of a shell as the containers' own calling patterns need. Words, quotes,
//! names, redirections, `&&`, `||` and `;`, the programs of the PATH, a prompt on a terminal. Pipes,
//! loops, substitutions and job control are refused, each by its name.

#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own in a container, with that container's environment and files"
)]

mod builtins;
mod streams;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::complain;
use streams::Streams;
use words::{Link, Part, Simple, SyntaxError, Word};

/// Exit codes of a shell: wrong usage or syntax, a program that cannot be run, one that is not there.
const SYNTAX: i32 = 2;
const NOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;
/// What is added to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;
/// Time to notice a signal that has come.
const MOMENT: Duration = Duration::from_millis(1);

/// A shell and what it knows.
struct Shell {
    /// `$0`, for messages.
    name: String,
    /// `$1` and so on.
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    /// Names that programs get.
    exported: BTreeSet<String>,
    /// `$?`.
    status: i32,
    /// Whether the first failure ends it.
    is_strict: bool,
    is_interactive: bool,
}

/// Whether the shell goes on.
enum Flow {
    On,
    End(i32),
}

/// What the options of a shell ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    text: Option<String>,
    file: Option<String>,
    name: Option<String>,
    arguments: Vec<String>,
    is_strict: bool,
    is_interactive: bool,
}

/// Becomes the shell.
pub(super) fn run(arguments: &[String]) -> ExitCode {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(text) => {
            complain("sh", &text);
            return code(SYNTAX);
        }
    };
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
    let is_prompted = options.is_interactive || is_terminal;
    let name = options.name.or_else(|| options.file.clone());
    let mut shell = Shell {
        name: name.unwrap_or_else(|| "bash".to_owned()),
        arguments: options.arguments,
        exported: variables.keys().cloned().collect(),
        variables,
        status: 0,
        is_strict: options.is_strict,
        is_interactive: options.text.is_none() && options.file.is_none() && is_prompted,
    };
    if let Ok(folder) = std::env::current_dir() {
        shell.export("PWD", &folder.display().to_string());
    }
    let status = match (options.text, options.file) {
        (Some(text), _) => shell.script(&text),
        (None, Some(file)) => match std::fs::read_to_string(&file) {
            Ok(text) => shell.script(&text),
            Err(error) => {
                shell.complain(&format!("{file}: {error}"));
                NOT_FOUND
            }
        },
        (None, None) if shell.is_interactive => shell.converse(),
        (None, None) => shell.read_on(),
    };
    code(status)
}

fn code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(u8::MAX))
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let mut found = Options::default();
    let mut has_text = false;
    let mut rest = arguments.iter();
    for argument in rest.by_ref() {
        match argument.as_str() {
            "--" => break,
            "--login" | "--norc" | "--noprofile" => {}
            flags if flags.starts_with('-') && flags.len() > 1 => {
                for flag in flags.chars().skip(1) {
                    match flag {
                        'c' => has_text = true,
                        'e' => found.is_strict = true,
                        'i' => found.is_interactive = true,
                        'l' | 's' => {}
                        _ => return Err(format!("{flags}: invalid option")),
                    }
                }
            }
            other => {
                match has_text {
                    true => found.text = Some(other.to_owned()),
                    false => found.file = Some(other.to_owned()),
                }
                break;
            }
        }
    }
    if has_text && found.text.is_none() {
        found.text = Some(
            rest.next()
                .ok_or("-c: option requires an argument")?
                .clone(),
        );
    }
    if has_text {
        found.name = rest.next().cloned();
    }
    found.arguments = rest.cloned().collect();
    Ok(found)
}

impl Shell {
    fn export(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
        self.exported.insert(name.to_owned());
    }

    fn complain(&self, text: &str) {
        complain(&self.name, text);
    }

    /// Runs a whole text; its exit status.
    fn script(&mut self, text: &str) -> i32 {
        match self.text(text) {
            Flow::On => self.status,
            Flow::End(status) => status,
        }
    }

    fn text(&mut self, text: &str) -> Flow {
        match words::parse(text) {
            Ok(commands) => self.commands(&commands),
            Err(error) => {
                self.complain(&error.to_string());
                self.status = SYNTAX;
                Flow::On
            }
        }
    }

    /// Reads commands from the input, line by line and no further, so that a command can read the rest.
    fn read_on(&mut self) -> i32 {
        let mut text = String::new();
        loop {
            let line = line_of_input();
            let is_end = line.is_none();
            text.push_str(&line.unwrap_or_default());
            let commands = match words::parse(&text) {
                Err(SyntaxError::Unfinished) if !is_end => continue,
                Err(error) => {
                    self.complain(&error.to_string());
                    return SYNTAX;
                }
                Ok(commands) => commands,
            };
            text.clear();
            if let Flow::End(status) = self.commands(&commands) {
                return status;
            }
            if is_end {
                return self.status;
            }
        }
    }

    fn commands(&mut self, commands: &[Simple]) -> Flow {
        for (place, command) in commands.iter().enumerate() {
            let is_due = match command.link {
                Link::Next => true,
                Link::And => self.status == 0,
                Link::Or => self.status != 0,
            };
            if !is_due {
                continue;
            }
            if let Flow::End(status) = self.command(command) {
                return Flow::End(status);
            }
            let next = commands.get(place + 1);
            let is_last = next.is_none_or(|next| next.link == Link::Next);
            if self.is_strict && self.status != 0 && is_last && !command.is_negated {
                return Flow::End(self.status);
            }
        }
        Flow::On
    }

    fn command(&mut self, command: &Simple) -> Flow {
        let words: Vec<String> = command
            .words
            .iter()
            .flat_map(|word| self.expanded(word))
            .collect();
        let assignments: Vec<(String, String)> = command
            .assignments
            .iter()
            .map(|(name, value)| (name.clone(), self.expanded(value).join(" ")))
            .collect();
        let streams = match Streams::new(&command.redirects, |word| self.expanded(word).concat()) {
            Ok(streams) => streams,
            Err(text) => {
                self.complain(&text);
                self.status = 1;
                return Flow::On;
            }
        };
        let flow = match words.split_first() {
            None => {
                self.variables.extend(assignments);
                self.status = 0;
                Flow::On
            }
            Some((program, arguments)) => match builtins::named(program) {
                Some(builtin) => {
                    self.variables.extend(assignments);
                    builtin(self, arguments, streams)
                }
                None => {
                    self.status = self.program(program, arguments, assignments, streams);
                    Flow::On
                }
            },
        };
        if command.is_negated {
            self.status = i32::from(self.status == 0);
        }
        flow
    }

    /// A program, ready to run.
    fn prepared(&self, program: &str, arguments: &[String], streams: Streams) -> Command {
        let mut command = Command::new(program);
        let exported = self.exported.iter();
        let variables = exported.filter_map(|name| Some((name, self.variables.get(name)?)));
        command.args(arguments).env_clear().envs(variables);
        command
            .stdin(streams.input)
            .stdout(streams.output)
            .stderr(streams.error);
        command
    }

    fn program(
        &self,
        program: &str,
        arguments: &[String],
        assignments: Vec<(String, String)>,
        streams: Streams,
    ) -> i32 {
        let mut command = self.prepared(program, arguments, streams);
        command.envs(assignments);
        match command.status() {
            Ok(status) => Self::ended(status),
            Err(error) => self.not_run(program, &error),
        }
    }

    /// The status of a program that has ended.
    fn ended(status: ExitStatus) -> i32 {
        let by_signal = status.signal().map(|signal| BY_SIGNAL + signal);
        by_signal.or(status.code()).unwrap_or(1)
    }

    fn not_run(&self, program: &str, error: &std::io::Error) -> i32 {
        if error.kind() == std::io::ErrorKind::NotFound {
            let text = match program.contains('/') {
                true => "No such file or directory",
                false => "command not found",
            };
            self.complain(&format!("{program}: {text}"));
            return NOT_FOUND;
        }
        self.complain(&format!("{program}: {error}"));
        NOT_RUN
    }

    /// Becomes a program; returns only when that fails.
    fn become_program(&self, program: &str, arguments: &[String], streams: Streams) -> i32 {
        let error = self.prepared(program, arguments, streams).exec();
        self.not_run(program, &error)
    }

    /// A word with its names replaced: one text, none, or several.
    fn expanded(&self, word: &Word) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        // Whether the next part begins a new text.
        let mut is_apart = true;
        let mut add = |text: &str, is_apart: &mut bool| match texts.last_mut() {
            Some(last) if !*is_apart => last.push_str(text),
            _ => {
                texts.push(text.to_owned());
                *is_apart = false;
            }
        };
        for part in word {
            match part {
                Part::Literal(text) => add(text, &mut is_apart),
                Part::Empty => add("", &mut is_apart),
                Part::All => {
                    for (place, argument) in self.arguments.iter().enumerate() {
                        is_apart |= place > 0;
                        add(argument, &mut is_apart);
                    }
                }
                Part::Name {
                    name,
                    default,
                    is_quoted,
                } => {
                    let value = self.value(name).filter(|value| !value.is_empty());
                    let value = value.or_else(|| default.clone()).unwrap_or_default();
                    if *is_quoted {
                        add(&value, &mut is_apart);
                        continue;
                    }
                    is_apart |= value.starts_with(char::is_whitespace);
                    for piece in value.split_whitespace() {
                        add(piece, &mut is_apart);
                        is_apart = true;
                    }
                    is_apart = value.is_empty() && is_apart || value.ends_with(char::is_whitespace);
                }
            }
        }
        texts
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "#" => Some(self.arguments.len().to_string()),
            "$" => Some(std::process::id().to_string()),
            "0" => Some(self.name.clone()),
            digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                let place: usize = digits.parse().ok()?;
                self.arguments.get(place.checked_sub(1)?).cloned()
            }
            name => self.variables.get(name).cloned(),
        }
    }

    /// A conversation on a terminal. Ctrl-C ends the program that runs, or drops the line.
    fn converse(&mut self) -> i32 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                self.complain(&error.to_string());
                return NOT_RUN;
            }
        };
        // From here on Ctrl-C ends the programs only, which have the signal as it was.
        let listening = runtime.block_on(async { signal(SignalKind::interrupt()) });
        let mut interrupts = match listening {
            Ok(interrupts) => interrupts,
            Err(error) => {
                self.complain(&error.to_string());
                return NOT_RUN;
            }
        };
        let mut text = String::new();
        loop {
            let prompt = match text.is_empty() {
                true => self.prompt(),
                false => "> ".to_owned(),
            };
            let line = runtime.block_on(async {
                // One that ended a program is over.
                let _ = tokio::time::timeout(MOMENT, interrupts.recv()).await;
                streams::say(&prompt);
                let mut line = tokio::task::spawn_blocking(line_of_input);
                loop {
                    tokio::select! {
                        line = &mut line => return line.ok().flatten(),
                        _ = interrupts.recv() => {
                            text.clear();
                            streams::say(&format!("\n{}", self.prompt()));
                        }
                    }
                }
            });
            let Some(line) = line else {
                streams::say("exit\n");
                return self.status;
            };
            text.push_str(&line);
            if matches!(words::parse(&text), Err(SyntaxError::Unfinished)) {
                continue;
            }
            if let Flow::End(status) = self.text(&std::mem::take(&mut text)) {
                return status;
            }
        }
    }

    fn prompt(&self) -> String {
        let folder = self.value("PWD").unwrap_or_default();
        let mark = if builtins::user_id() == Some(0) {
            '#'
        } else {
            '$'
        };
        format!("bundled:{folder}{mark} ")
    }
}

/// The next line of the input with its end, read byte by byte; `None` at the end of the input.
fn line_of_input() -> Option<String> {
    let mut input = streams::input()?;
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.extend_from_slice(&byte),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        if byte == *b"\n" {
            break;
        }
    }
    match line.is_empty() {
        true => None,
        false => Some(String::from_utf8_lossy(&line).into_owned()),
    }
}

#[cfg(test)]
mod tests;
