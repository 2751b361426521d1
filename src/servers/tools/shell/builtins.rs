//! What the shell does itself.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::streams::Streams;
use super::words::is_name;
use super::{Flow, SYNTAX, Shell};

/// Arguments in; the status is left in the shell.
pub(super) type Builtin = fn(&mut Shell, &[String], Streams) -> Flow;

/// The builtin of a name.
pub(super) fn named(name: &str) -> Option<Builtin> {
    let builtin: Builtin = match name {
        ":" | "true" => |shell, _, _| shell.ends(0),
        "false" => |shell, _, _| shell.ends(1),
        "cd" => change_folder,
        "command" => command,
        "echo" => echo,
        "exec" => exec,
        "exit" => exit,
        "export" => export,
        "pwd" => |shell, _, streams| {
            let folder = shell.value("PWD").unwrap_or_default();
            write(shell, streams, &format!("{folder}\n"))
        },
        "read" => read,
        "set" => set,
        "shift" => shift,
        "source" | "." => source,
        "test" | "[" => test,
        "unset" => |shell, names, _| {
            for name in names {
                shell.variables.remove(name);
                shell.exported.remove(name);
            }
            shell.ends(0)
        },
        _ => return None,
    };
    Some(builtin)
}

impl Shell {
    fn ends(&mut self, status: i32) -> Flow {
        self.status = status;
        Flow::On
    }

    fn fails(&mut self, text: &str) -> Flow {
        self.complain(text);
        self.ends(1)
    }
}

fn write(shell: &mut Shell, streams: Streams, text: &str) -> Flow {
    let written = File::from(streams.output).write_all(text.as_bytes());
    shell.ends(i32::from(written.is_err()))
}

fn change_folder(shell: &mut Shell, arguments: &[String], _: Streams) -> Flow {
    let folder = arguments.first().cloned();
    let folder = folder.or_else(|| shell.value("HOME"));
    let folder = folder.unwrap_or_else(|| "/".to_owned());
    if let Err(error) = std::env::set_current_dir(&folder) {
        let text = match error.kind() {
            std::io::ErrorKind::NotFound => "No such file or directory".to_owned(),
            _ => error.to_string(),
        };
        return shell.fails(&format!("cd: {folder}: {text}"));
    }
    if let Ok(now) = std::env::current_dir() {
        shell.export("PWD", &now.display().to_string());
    }
    shell.ends(0)
}

/// `command -v NAME`.
fn command(shell: &mut Shell, arguments: &[String], streams: Streams) -> Flow {
    let [flag, name] = arguments else {
        return shell.fails("command: only `command -v NAME` is known to this stand-in");
    };
    if flag != "-v" {
        return shell.fails("command: only `command -v NAME` is known to this stand-in");
    }
    if named(name).is_some() {
        return write(shell, streams, &format!("{name}\n"));
    }
    let folders = shell.value("PATH").unwrap_or_default();
    let found = match name.contains('/') {
        true => Some(PathBuf::from(name)).filter(|path| path.exists()),
        false => folders
            .split(':')
            .map(|folder| Path::new(folder).join(name))
            .find(|path| path.is_file()),
    };
    match found {
        Some(path) => write(shell, streams, &format!("{}\n", path.display())),
        None => shell.ends(1),
    }
}

fn echo(shell: &mut Shell, arguments: &[String], streams: Streams) -> Flow {
    let (rest, end) = match arguments.split_first() {
        Some((flag, rest)) if flag == "-n" => (rest, ""),
        _ => (arguments, "\n"),
    };
    write(shell, streams, &format!("{}{end}", rest.join(" ")))
}

fn exec(shell: &mut Shell, arguments: &[String], streams: Streams) -> Flow {
    match arguments.split_first() {
        Some((program, arguments)) => Flow::End(shell.become_program(program, arguments, streams)),
        None => shell.ends(0),
    }
}

fn exit(shell: &mut Shell, arguments: &[String], _: Streams) -> Flow {
    let status = arguments.first().map(|text| text.parse().ok());
    match status {
        None => Flow::End(shell.status),
        Some(Some(status)) => Flow::End(status),
        Some(None) => {
            shell.complain("exit: numeric argument required");
            Flow::End(SYNTAX)
        }
    }
}

fn export(shell: &mut Shell, arguments: &[String], _: Streams) -> Flow {
    for argument in arguments {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        if !is_name(name) {
            return shell.fails(&format!("export: `{argument}': not a valid identifier"));
        }
        match value {
            Some(value) => shell.export(name, value),
            None => {
                shell.exported.insert(name.to_owned());
            }
        }
    }
    shell.ends(0)
}

/// `read [-r] NAME`: one line, and no byte beyond it.
fn read(shell: &mut Shell, arguments: &[String], streams: Streams) -> Flow {
    let mut names = arguments.iter().filter(|word| *word != "-r");
    let name = names.next_back().map_or("REPLY", String::as_str).to_owned();
    let mut input = File::from(streams.input);
    let (mut line, mut byte) = (Vec::new(), [0]);
    let is_whole = loop {
        match input.read(&mut byte) {
            Ok(1..) if byte == *b"\n" => break true,
            Ok(1..) => line.extend_from_slice(&byte),
            _ => break false,
        }
    };
    let line = String::from_utf8_lossy(&line).into_owned();
    shell.variables.insert(name, line);
    shell.ends(i32::from(!is_whole))
}

fn set(shell: &mut Shell, arguments: &[String], _: Streams) -> Flow {
    for argument in arguments {
        match argument.as_str() {
            "-e" => shell.is_strict = true,
            "+e" => shell.is_strict = false,
            other => {
                let text = format!("set: {other}: only -e is known to this stand-in");
                return shell.fails(&text);
            }
        }
    }
    shell.ends(0)
}

fn shift(shell: &mut Shell, arguments: &[String], _: Streams) -> Flow {
    let number = arguments.first().map_or(Ok(1), |text| text.parse());
    match number {
        Ok(number) if number <= shell.arguments.len() => {
            shell.arguments.drain(..number);
            shell.ends(0)
        }
        _ => shell.ends(1),
    }
}

fn source(shell: &mut Shell, arguments: &[String], _: Streams) -> Flow {
    let Some(file) = arguments.first() else {
        shell.complain("source: filename argument required");
        return shell.ends(SYNTAX);
    };
    match std::fs::read_to_string(file) {
        Ok(text) => shell.text(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            shell.fails(&format!("{file}: No such file or directory"))
        }
        Err(error) => shell.fails(&format!("{file}: {error}")),
    }
}

fn test(shell: &mut Shell, arguments: &[String], _: Streams) -> Flow {
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "]")
        .collect();
    let (is_negated, rest) = match arguments.split_first() {
        Some((&"!", rest)) => (true, rest),
        _ => (false, &arguments[..]),
    };
    let holds = match rest {
        [] => Some(false),
        [text] => Some(!text.is_empty()),
        [flag, text] => match *flag {
            "-n" => Some(!text.is_empty()),
            "-z" => Some(text.is_empty()),
            "-e" => Some(Path::new(text).exists()),
            "-f" => Some(Path::new(text).is_file()),
            "-d" => Some(Path::new(text).is_dir()),
            "-r" => Some(File::open(text).is_ok()),
            _ => None,
        },
        [left, sign, right] => match *sign {
            "=" | "==" => Some(left == right),
            "!=" => Some(left != right),
            "-eq" | "-ne" => {
                let numbers = (left.parse::<i64>().ok(), right.parse::<i64>().ok());
                match numbers {
                    (Some(left), Some(right)) => Some((left == right) == (*sign == "-eq")),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    };
    match holds {
        Some(holds) => shell.ends(i32::from(holds == is_negated)),
        None => {
            shell.complain("test: this comparison is not known to this stand-in");
            shell.ends(SYNTAX)
        }
    }
}

/// The user of this process, by its number.
pub(super) fn user_id() -> Option<u32> {
    super::super::everyday::ids().map(|(user, _)| user)
}
