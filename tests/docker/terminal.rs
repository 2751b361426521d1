//! Programs in containers on a real terminal, which tmux provides.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::inside::{await_none, await_some};
use super::instance::{Instance, signal};
use crate::sandbox::PROGRAM;

/// How long something may take to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a shell of this machine on it.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(instance: &Instance) -> Self {
        let terminal = Self {
            socket: instance.project.clone(),
        };
        let root = instance.sandbox.root();
        let root = root.to_str().unwrap();
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        let shell = format!(
            "env -i PATH=/usr/bin:/bin TERM=xterm DOCKER_HOST={host} HOME={root} PS1=host: bash --norc --noprofile"
        );
        let size = ["-x", "80", "-y", "24", "-c", root];
        let opened = terminal.order(&[&["new-session", "-d"][..], &size, &[&shell]].concat());
        assert!(opened.status.success(), "{opened:?}");
        // Its line at the bottom would be one of the 24.
        terminal.order(&["set-option", "-g", "status", "off"]);
        terminal.await_shown("host:");
        terminal
    }

    fn order(&self, arguments: &[&str]) -> Output {
        let own = ["-f", "/dev/null", "-L", &self.socket];
        let mut tmux = Command::new("tmux");
        tmux.args(own).args(arguments).env("LC_ALL", "C.UTF-8");
        tmux.output().unwrap()
    }

    /// Types a line.
    fn line(&self, text: &str) {
        self.order(&["send-keys", "-l", text]);
        self.order(&["send-keys", "Enter"]);
    }

    fn shown(&self) -> String {
        let shown = self.order(&["capture-pane", "-p", "-J"]);
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }

    /// Looks until a line of the screen ends with a text.
    #[track_caller]
    fn await_shown(&self, text: &str) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown();
            if shown.lines().any(|line| line.trim_end().ends_with(text)) {
                return;
            }
            assert!(Instant::now() < give_up, "`{text}` does not show:\n{shown}");
        }
    }

    /// Empties the screen, in the shell of this machine.
    fn clear(&self) {
        self.line("clear");
        let give_up = Instant::now() + PATIENCE;
        while self.shown().trim() != "host:" {
            assert!(Instant::now() < give_up, "{}", self.shown());
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.order(&["kill-server"]);
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn has_tmux() -> bool {
    let found = Command::new("tmux").arg("-V").output().is_ok();
    let is_required = std::env::var("TOOLKIT_TEST_DOCKER").as_deref() == Ok("1");
    assert!(found || !is_required, "this test needs tmux");
    if !found {
        println!("skipped: there is no tmux");
    }
    found
}

fn text(root: &Path, name: &str) -> String {
    std::fs::read_to_string(root.join(name)).unwrap()
}

#[test]
fn a_terminal_is_a_terminal_inside_and_is_itself_again_after() {
    if !has_tmux() {
        return;
    }
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let root = instance.sandbox.root();
    let terminal = Terminal::open(&instance);
    let around = |command: &str| {
        format!("stty -a > before; {command}; echo ended=$?; stty -a > after; echo looked=$?")
    };
    let is_restored = || {
        terminal.await_shown("looked=0");
        // The first line holds the size, which changes on purpose.
        let settings = |name: &str| -> Vec<String> {
            let text = text(&root, name);
            text.lines().skip(1).map(ToOwned::to_owned).collect()
        };
        assert!(!settings("before").is_empty());
        assert_eq!(settings("before"), settings("after"));
    };

    // A shell: size, Ctrl-C, keys that the engine would keep for itself, and its end.
    terminal.line(&around(&format!("{PROGRAM} shell")));
    terminal.await_shown("bundled:/#");
    terminal.line("stty size");
    terminal.await_shown("24 80");
    terminal.order(&["resize-window", "-x", "100", "-y", "30"]);
    let give_up = Instant::now() + PATIENCE;
    while !terminal.shown().lines().any(|line| line.trim() == "30 100") {
        // The new size is on its way.
        terminal.line("stty size");
        assert!(Instant::now() < give_up, "{}", terminal.shown());
    }
    terminal.line("sleep 4711");
    await_some(&instance, "sharelatex", "4711");
    terminal.order(&["send-keys", "C-c"]);
    terminal.line("echo status=$?");
    terminal.await_shown("status=130");
    terminal.line("cat");
    terminal.line("through");
    terminal.order(&["send-keys", "C-d"]);
    terminal.line("echo status=$?");
    terminal.await_shown("status=0");
    terminal.line("exit 7");
    terminal.await_shown("ended=7");
    is_restored();

    // mongo's shell.
    terminal.clear();
    terminal.line(&around(&format!("{PROGRAM} mongo")));
    terminal.await_shown("sharelatex>");
    terminal.line("db.runCommand({ping: 1}).ok + 1");
    terminal.line("db.hello().setName");
    terminal.await_shown("overleaf");
    terminal.line("exit");
    terminal.await_shown("ended=0");
    is_restored();

    // No terminal where none is wanted.
    terminal.clear();
    terminal.line(&format!(
        "{PROGRAM} exec -T sharelatex stty size; echo ended=$?"
    ));
    terminal.await_shown("ended=1");

    // Keys reach a program without a shell, whose end by a signal is told.
    terminal.clear();
    terminal.line(&around(&format!("{PROGRAM} exec redis sleep 4716")));
    await_some(&instance, "redis", "sleep 4716");
    terminal.order(&["send-keys", "C-c"]);
    terminal.await_shown("ended=130");
    is_restored();

    // One that has let go of its terminal is waited for, until a key ends the wait. A key that is
    // typed too early goes to a terminal that nobody has any more, one that is typed too late to
    // what comes after, which therefore goes on. Such keys may push everything out of sight, so that
    // the end stands in a file, and what is looked for is shown again behind them.
    terminal.clear();
    let script = format!(
        "trap : INT; stty -a > before; {PROGRAM} exec redis sh -c '{}'; ended=$?; \
         until stty -a > after; do :; done; echo $ended > ended",
        "exec sleep 4715 </dev/null >/dev/null 2>&1"
    );
    std::fs::write(root.join("waits"), script).unwrap();
    terminal.line("sh waits");
    await_some(&instance, "redis", "sleep 4715");
    let give_up = Instant::now() + PATIENCE;
    let ended = || std::fs::read_to_string(root.join("ended")).unwrap_or_default();
    while !ended().ends_with('\n') {
        terminal.order(&["send-keys", "C-c"]);
        assert!(Instant::now() < give_up, "{}", terminal.shown());
    }
    assert_eq!(ended(), "130\n");
    terminal.line("echo looked=$?");
    terminal.line("test -s after; echo looked=$?");
    is_restored();
    await_none(&instance, "redis", "4715");

    // Something outside ends it.
    terminal.clear();
    let command = format!("sh -c 'echo $$ > pid; exec {PROGRAM} shell redis'");
    terminal.line(&around(&command));
    terminal.await_shown("bundled:/#");
    terminal.line("sleep 4712");
    await_some(&instance, "redis", "4712");
    signal(text(&root, "pid").trim().parse().unwrap(), "TERM");
    terminal.await_shown("ended=143");
    is_restored();
    await_none(&instance, "redis", "4712");
    await_none(&instance, "redis", "bash");

    // The terminal goes away.
    terminal.clear();
    terminal.line(&format!(
        "sh -c 'echo $$ > pid; exec {PROGRAM} shell redis'"
    ));
    terminal.await_shown("bundled:/#");
    terminal.line("sleep 4713");
    await_some(&instance, "redis", "4713");
    let process = text(&root, "pid").trim().to_owned();
    terminal.order(&["kill-server"]);
    await_none(&instance, "redis", "4713");
    await_none(&instance, "redis", "bash");
    let give_up = Instant::now() + PATIENCE;
    let own = format!("/proc/{process}/exe");
    while std::fs::read_link(&own).is_ok_and(|path| path == Path::new(PROGRAM)) {
        assert!(Instant::now() < give_up, "process {process} goes on");
    }
}

#[test]
fn a_screen_that_is_watched_in_a_low_window_keeps_its_top() {
    if !has_tmux() {
        return;
    }
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up", "-d"]).succeeded();
    let terminal = Terminal::open(&instance);
    terminal.order(&["resize-window", "-x", "60", "-y", "8"]);
    terminal.clear();
    let scrolled = || {
        terminal
            .order(&["display-message", "-p", "#{history_size}"])
            .stdout
    };
    let before = scrolled();
    terminal.line(&format!("{PROGRAM} status --watch 1"));
    terminal.await_shown("more lines: the window is too low");
    let date = || {
        let shown = terminal.shown();
        shown.lines().next().unwrap_or_default().to_owned()
    };
    let mut dates = std::collections::BTreeSet::new();
    let give_up = Instant::now() + PATIENCE;
    while dates.len() < 4 {
        dates.insert(date());
        assert!(Instant::now() < give_up, "{}", terminal.shown());
    }
    let shown = terminal.shown();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("20"), "{shown}");
    assert!(lines[1].starts_with("Community Edition"), "{shown}");
    assert!(lines[4].starts_with("SERVICE "), "{shown}");
    assert_eq!(scrolled(), before, "{shown}");
    terminal.order(&["send-keys", "C-c"]);
    instance.run(&["down"]).succeeded();
}
