//! An engine of a test's own, which may be stopped and killed at will.
//!
//! It lives in namespaces of its own for network, mounts and processes, so that neither its packet
//! filter nor its mounts can touch the main engine, and so that all of it is gone with one process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use super::instance::unique_name;
use super::raw;
use crate::sandbox::{PROGRAM, Ran, Sandbox};

/// What keeps the namespaces: it waits for ever and takes in the processes that lose their parent.
const HOLDER: &str = "while :; do sleep 1000 & wait $!; done";

/// Whether this machine has a program.
pub fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// An engine.
pub struct PrivateEngine {
    holder: Child,
    inner: String,
    folder: TempDir,
    cgroup: String,
    driver: String,
    daemon: Option<Child>,
}

impl PrivateEngine {
    /// A running one; `None`, with the reason on stderr, where this machine or this user cannot.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub fn start() -> Option<Self> {
        let skip = |why: &str| {
            eprintln!("skipped: {why}");
            None
        };
        for program in ["dockerd", "unshare", "nsenter", "bash", "curl", "ip"] {
            if !has(program) {
                return skip(&format!("there is no `{program}`"));
            }
        }
        let (status, facts) = match std::os::unix::net::UnixStream::connect(raw::socket()) {
            Ok(_) => raw::request(&raw::socket(), "GET", "/info", b""),
            Err(_) => return skip("there is no engine whose storage could be imitated"),
        };
        assert_eq!(status, 200);
        let facts: serde_json::Value = serde_json::from_slice(&facts).unwrap();
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "bash", "-c", &format!("echo; {HOLDER}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let told = BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line);
        if told.unwrap() == 0 {
            holder.wait().unwrap();
            return skip("this user may not make namespaces");
        }
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let inner = std::fs::read_to_string(children).unwrap().trim().to_owned();
        let mut engine = Self {
            holder,
            inner,
            folder: tempfile::tempdir().unwrap(),
            cgroup: unique_name(),
            driver: facts["Driver"].as_str().unwrap().to_owned(),
            daemon: None,
        };
        std::fs::write(engine.path("daemon.json"), "{}").unwrap();
        assert!(
            engine
                .inside("ip", &["link", "set", "lo", "up"])
                .status()
                .unwrap()
                .success()
        );
        engine.begin();
        Some(engine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    /// A program that runs where the engine runs.
    pub fn inside(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.inner, "--net", "--mount", "--pid", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Starts it, and waits until it answers.
    pub fn begin(&mut self) {
        let path = |name: &str| self.path(name).display().to_string();
        let arguments = [
            format!("--config-file={}", path("daemon.json")),
            format!("--data-root={}", path("data")),
            format!("--exec-root={}", path("exec")),
            format!("--pidfile={}", path("pid")),
            format!("--host=unix://{}", path("socket")),
            format!("--storage-driver={}", self.driver),
            format!("--cgroup-parent=/{}", self.cgroup),
            "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
            "--bridge=none".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut daemon = self
            .inside("dockerd", &arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
        let is_ready = lines.by_ref().map_while(Result::ok).any(|line| {
            said.push(line.clone());
            line.contains("API listen on")
        });
        assert!(is_ready, "{}", said.join("\n"));
        // It goes on talking, and must not wait for somebody who listens.
        std::thread::spawn(move || lines.count());
        self.daemon = Some(daemon);
    }

    fn kill(&self, signal: &str) {
        let order = format!("kill -{signal} \"$(cat '{}')\"", self.path("pid").display());
        assert!(
            self.inside("bash", &["-c", &order])
                .status()
                .unwrap()
                .success()
        );
    }

    fn wait(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.wait().unwrap();
        }
    }

    /// Stops it in order, as a restart of its service does.
    pub fn stop(&mut self) {
        self.kill("TERM");
        self.wait();
    }

    /// Kills the engine alone; its containers go on.
    pub fn kill_engine(&mut self) {
        self.kill("KILL");
        self.wait();
        std::fs::remove_file(self.path("pid")).unwrap();
    }

    /// Takes the power away: every process ends, and what is kept in memory is gone.
    pub fn cut_power(&mut self) {
        // The one that orders it goes too.
        let _ = self
            .inside("bash", &["-c", "kill -KILL -1"])
            .status()
            .unwrap();
        self.wait();
        std::fs::remove_file(self.path("pid")).unwrap();
        std::fs::remove_dir_all(self.path("exec")).unwrap();
    }

    /// The program on an instance, where the engine runs.
    pub fn toolkit(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let root = sandbox.root().display().to_string();
        let mut command = self.inside(PROGRAM, &[&["--root", &root], arguments].concat());
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", sandbox.root())
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        command
    }

    /// Runs the program on an instance to its end.
    #[must_use = "a run means nothing until its exit code is compared"]
    pub fn run(&self, sandbox: &Sandbox, arguments: &[&str]) -> Ran {
        sandbox.ran(&self.toolkit(sandbox, arguments).output().unwrap())
    }

    /// What a request of `curl` from beside the engine gives.
    pub fn curl(&self, arguments: &[&str]) -> Output {
        let usual = ["--silent", "--show-error", "--fail", "--max-time", "20"];
        self.inside("curl", &[&usual[..], arguments].concat())
            .output()
            .unwrap()
    }

    /// Name, id and whether it runs, of every container.
    pub fn containers(&self) -> Vec<(String, String, bool)> {
        let (status, answer) =
            raw::request(&self.socket(), "GET", "/containers/json?all=true", b"");
        assert_eq!(status, 200);
        let all: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let mut found: Vec<(String, String, bool)> = all
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                (
                    text(&one["Names"][0]),
                    text(&one["Id"]),
                    one["State"] == "running",
                )
            })
            .collect();
        found.sort();
        found
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        // With the first process of a namespace all others end, and the mounts go with them. Its
        // parent ends when all of them are gone.
        let first = Command::new("kill").args(["-KILL", &self.inner]).status();
        if !first.is_ok_and(|status| status.success()) {
            let _ = self.holder.kill();
        }
        let _ = self.holder.wait();
        self.daemon.take().map(|mut daemon| daemon.wait());
        let controllers = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten();
        for controller in controllers.flatten() {
            remove_groups(&controller.path().join(&self.cgroup));
        }
        remove_groups(&Path::new("/sys/fs/cgroup").join(&self.cgroup));
    }
}

/// Removes the empty groups that killed containers left.
fn remove_groups(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}
