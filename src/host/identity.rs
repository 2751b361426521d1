//! Who this process is: the user, the machine, and since when a process lives; and its end by its own
//! hand, for tests.
#![expect(
    clippy::disallowed_methods,
    reason = "part of the door to files and processes"
)]

use std::fs;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::user_id;

/// Ticks of a second in `/proc/PID/stat`; the kernel shows 100 to every program on Linux.
const TICKS: i64 = 100;

/// Position of the start time in `/proc/PID/stat` behind the name of the program (proc(5)).
const START_TIME: usize = 19;

/// Name of the user that this process acts as; its number where it has no name.
#[must_use]
pub fn user() -> String {
    let Some(id) = user_id() else {
        return String::new();
    };
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}

/// Ends this process at once, as `kill -9` does: nothing is tidied up. Only debug builds have it, for
/// tests of what a kill leaves.
#[cfg(debug_assertions)]
pub fn kill_itself() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    // Nobody may forbid it; should somebody, the abort below tidies up as little.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

/// Name of this machine; empty where the system does not tell.
#[must_use]
pub fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// When a process began, RFC 3339 in UTC; `None` when there is no such process. With the id it
/// names a process for good, since ids are used again.
#[must_use]
pub fn began(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program may hold anything, also brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: i64 = fields.split_whitespace().nth(START_TIME)?.parse().ok()?;
    let kernel = fs::read_to_string("/proc/stat").ok()?;
    let boot = kernel
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    let boot: i64 = boot.trim().parse().ok()?;
    let began = OffsetDateTime::from_unix_timestamp(boot + ticks / TICKS).ok()?;
    began.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_user_a_machine_and_a_beginning() {
        assert!(!user().is_empty());
        assert!(!machine().is_empty());
        let itself = began(std::process::id()).unwrap();
        let itself = OffsetDateTime::parse(&itself, &Rfc3339).unwrap();
        let age = super::super::now() - itself;
        assert!(age < time::Duration::hours(1), "{age}");
        assert_eq!(began(u32::MAX), None);
    }
}
