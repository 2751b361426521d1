//! Small stand-ins for programs that people and scripts run inside the containers. The images of the
//! bundled servers have them under the usual names, each a link to this program, which looks at the
//! name it was called by.

mod everyday;
mod mongosh;
mod node;
mod redis_cli;
pub mod scripts;
mod setuser;
mod shell;
mod tlmgr;

use std::process::ExitCode;

/// A stand-in: its arguments without its own name in, its exit code out.
pub type Tool = fn(&[String]) -> ExitCode;

/// Where each stand-in lies in the images, without the leading slash.
pub const TOOLS: &[(&str, Tool)] = &[
    ("bin/bash", shell::run),
    ("bin/cat", everyday::cat),
    ("bin/ls", everyday::ls),
    ("bin/sh", shell::run),
    ("bin/sleep", everyday::sleep),
    ("bin/stty", everyday::stty),
    ("sbin/setuser", setuser::run),
    ("usr/bin/env", everyday::env),
    ("usr/bin/id", everyday::id),
    ("usr/bin/mongosh", mongosh::run),
    ("usr/bin/node", node::run),
    ("usr/bin/redis-cli", redis_cli::run),
    ("usr/bin/tlmgr", tlmgr::run),
];

/// Folders that stand-ins work in, without the leading slash.
pub const FOLDERS: &[&str] = &[tlmgr::FOLDER];

/// The stand-in that a program was called as, by its name alone or with a path.
#[must_use]
pub fn named(program: &str) -> Option<Tool> {
    let name = program.rsplit('/').next()?;
    let mut tools = TOOLS.iter();
    let found = tools.find(|(path, _)| path.rsplit('/').next() == Some(name))?;
    Some(found.1)
}

/// Says on standard error why a stand-in cannot do something.
#[expect(clippy::print_stderr, reason = "a stand-in is a program of its own")]
fn complain(tool: &str, text: &str) {
    eprintln!("{tool}: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_by_its_name_and_its_path() {
        assert!(named("/sbin/setuser").is_some());
        assert!(named("setuser").is_some());
        assert!(named("/toolkit").is_none());
        assert!(named("").is_none());
    }
}
