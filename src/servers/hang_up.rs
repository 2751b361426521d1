//! Sends SIGHUP to the processes of this container that have a variable in their environment, as the
//! end of a terminal would. The toolkit runs it in the containers of the bundled servers.

#![expect(
    clippy::disallowed_methods,
    reason = "runs alone in a container and looks at its processes"
)]

use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// Tells all processes whose environment holds `mark`, a `NAME=value`, that their terminal is gone.
///
/// # Errors
/// The processes cannot be listed.
pub fn run(mark: &str) -> io::Result<()> {
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Those of other users, and those that end meanwhile, are none of its business.
        let environment = std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
        let is_marked = has(&environment, mark);
        if let (true, Some(process)) = (is_marked, Pid::from_raw(number)) {
            let _ = kill_process(process, Signal::HUP);
        }
    }
    Ok(())
}

fn has(environment: &[u8], mark: &str) -> bool {
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| variable == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_variable_counts() {
        assert!(has(b"A=1\0M=abc\0", "M=abc"));
        assert!(!has(b"A=M=abc\0M=abcd\0", "M=abc"));
        assert!(!has(b"", "M=abc"));
    }
}
