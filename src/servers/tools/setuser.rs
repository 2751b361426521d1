//! `setuser USER PROGRAM ARGUMENT…`: runs a program as another user, as the base image of the
//! application's container has it.

#![expect(
    clippy::disallowed_methods,
    reason = "runs alone in a container and becomes another program"
)]

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use super::complain;

const NAME: &str = "setuser";
/// Exit codes of a shell for a program that cannot be run, and for one that is not there.
const NOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Becomes the program.
pub(super) fn run(arguments: &[String]) -> ExitCode {
    let [user, program, rest @ ..] = arguments else {
        complain(NAME, "usage: setuser USER PROGRAM [ARGUMENT…]");
        return ExitCode::from(1);
    };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let Some((id, group)) = ids(&users, user) else {
        complain(NAME, &format!("there is no user {user}"));
        return ExitCode::from(1);
    };
    let error = Command::new(program).args(rest).uid(id).gid(group).exec();
    complain(NAME, &format!("{program}: {error}"));
    let is_missing = error.kind() == std::io::ErrorKind::NotFound;
    ExitCode::from(if is_missing { NOT_FOUND } else { NOT_RUN })
}

/// Numbers of a user and its group in the text of a passwd file.
fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let id = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some((id, group))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_numbers() {
        let users = "root:x:0:0:root:/:/bin/sh\nwww-data:x:33:34:::\n";
        assert_eq!(ids(users, "www-data"), Some((33, 34)));
        assert_eq!(ids(users, "www"), None);
    }
}
