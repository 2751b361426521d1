//! Small programs that people reach for in any container: `cat`, `ls`, `env`, `id`, `sleep` and `stty size`.

#![expect(
    clippy::disallowed_methods,
    reason = "programs of their own in a container, with that container's environment and files"
)]

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use super::complain;

/// Exit codes of a program that cannot be run, and of one that is not there.
const NOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

fn code(tool: &str, outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads on, which is no failure of this program.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(tool, &error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// `cat [FILE…]`.
pub(super) fn cat(arguments: &[String]) -> ExitCode {
    let mut output = io::stdout().lock();
    let files: Vec<&String> = arguments.iter().filter(|word| *word != "-u").collect();
    if files.is_empty() {
        return code("cat", copy(io::stdin().lock(), &mut output));
    }
    let mut last = ExitCode::SUCCESS;
    for file in files {
        let copied = match file.as_str() {
            "-" => copy(io::stdin().lock(), &mut output),
            path => File::open(path)
                .and_then(|file| copy(file, &mut output))
                .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}"))),
        };
        if copied.is_err() {
            last = code("cat", copied);
        }
    }
    last
}

/// Passes on what comes as it comes.
fn copy(mut input: impl io::Read, output: &mut impl Write) -> io::Result<()> {
    let mut room = [0; 1 << 16];
    loop {
        let length = match input.read(&mut room) {
            Ok(0) => return output.flush(),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        output.write_all(room.get(..length).unwrap_or_default())?;
        output.flush()?;
    }
}

/// `ls [-a] [PATH…]`: one name a line.
pub(super) fn ls(arguments: &[String]) -> ExitCode {
    let (flags, paths): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|word| word.starts_with('-'));
    let is_all = flags.iter().any(|flags| flags.contains(['a', 'A']));
    let paths: Vec<&str> = match paths.is_empty() {
        true => vec!["."],
        false => paths.iter().map(|path| path.as_str()).collect(),
    };
    let mut last = ExitCode::SUCCESS;
    for path in &paths {
        let listed = names(path, is_all).and_then(|names| {
            let mut output = io::stdout().lock();
            if paths.len() > 1 {
                writeln!(output, "{path}:")?;
            }
            names.iter().try_for_each(|name| writeln!(output, "{name}"))
        });
        let listed =
            listed.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")));
        if listed.is_err() {
            last = code("ls", listed);
        }
    }
    last
}

fn names(path: &str, is_all: bool) -> io::Result<Vec<String>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if is_all || !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// `env [NAME=VALUE…] [PROGRAM ARGUMENT…]`.
pub(super) fn env(arguments: &[String]) -> ExitCode {
    let is_assignment = |word: &&String| word.contains('=');
    let assignments = arguments.iter().take_while(is_assignment);
    let pairs: Vec<(&str, &str)> = assignments
        .filter_map(|word| word.split_once('='))
        .collect();
    let rest = arguments.get(pairs.len()..).unwrap_or_default();
    if let Some((program, arguments)) = rest.split_first() {
        let error = Command::new(program).args(arguments).envs(pairs).exec();
        complain("env", &format!("{program}: {error}"));
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        return ExitCode::from(if is_missing { NOT_FOUND } else { NOT_RUN });
    }
    let mut variables: Vec<(String, String)> = std::env::vars().collect();
    variables.extend(
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into())),
    );
    let mut output = io::stdout().lock();
    let mut variables = variables.iter();
    code(
        "env",
        variables.try_for_each(|(name, value)| writeln!(output, "{name}={value}")),
    )
}

/// `id [-u | -g]`.
pub(super) fn id(arguments: &[String]) -> ExitCode {
    let Some((user, group)) = ids() else {
        complain("id", "/proc does not tell");
        return ExitCode::FAILURE;
    };
    let text = match arguments.first().map(String::as_str) {
        Some("-u") => user.to_string(),
        Some("-g") => group.to_string(),
        _ => format!("uid={user} gid={group}"),
    };
    code("id", writeln!(io::stdout(), "{text}"))
}

/// Effective user and group of this process.
pub(super) fn ids() -> Option<(u32, u32)> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((number("Uid:")?, number("Gid:")?))
}

/// `sleep SECONDS`.
pub(super) fn sleep(arguments: &[String]) -> ExitCode {
    let seconds = arguments.first().and_then(|text| text.parse().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let Some(time) = time else {
        complain("sleep", "usage: sleep SECONDS");
        return ExitCode::FAILURE;
    };
    std::thread::sleep(time);
    ExitCode::SUCCESS
}

/// `stty size`: lines and columns of the terminal.
pub(super) fn stty(arguments: &[String]) -> ExitCode {
    if arguments != ["size"] {
        complain("stty", "only `stty size` is known to this stand-in");
        return ExitCode::FAILURE;
    }
    let size = rustix::termios::tcgetwinsize(io::stdin());
    let shown = size.map_err(io::Error::from).and_then(|size| {
        let (rows, columns) = (size.ws_row, size.ws_col);
        writeln!(io::stdout(), "{rows} {columns}")
    });
    code("stty", shown)
}
