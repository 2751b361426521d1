//! Runs the program the way a person does, in a folder of its own and with a cleared environment,
//! and compares everything that comes out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use toolkit::compose::Project;
use toolkit::deployment::Deployment;
use toolkit::release::{Edition, Version};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_toolkit");

/// A folder of its own in which the program runs.
#[must_use]
pub struct Sandbox {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run left.
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// stdout, with the sandbox's folder shown as `[ROOT]`.
    pub stdout: String,
    /// stderr, likewise.
    pub stderr: String,
}

impl Sandbox {
    /// An empty folder.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            folder,
            environment: Vec::new(),
        }
    }

    /// A folder with the configuration of a new instance.
    pub fn initialised(flags: &[&str]) -> Self {
        let sandbox = Self::new();
        let flags: Vec<&str> = [&["init", "--no-input"], flags].concat();
        sandbox.run(&flags).succeeded();
        sandbox
    }

    /// Sets an environment variable for all runs.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder.
    pub fn root(&self) -> PathBuf {
        self.folder
            .path()
            .canonicalize()
            .expect("the sandbox exists")
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Writes a script below `bin`, which can be run.
    pub fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = format!("bin/{name}");
        self.write(&path, text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.root().join(path), mode).expect("a mode");
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).expect("the file exists")
    }

    /// Changes the text of a file.
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} does not hold {from:?}");
        self.write(path, &text.replace(from, to));
    }

    /// The command, ready to run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.root())
            .stdin(Stdio::null());
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            command.env("DOCKER_HOST", host);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    #[must_use = "a run means nothing until its exit code is compared"]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("the program runs");
        self.ran(&output)
    }

    /// What a finished process left.
    pub fn ran(&self, output: &Output) -> Ran {
        let shown = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes).replace(&*self.root().to_string_lossy(), "[ROOT]")
        };
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: shown(&output.stdout),
            stderr: shown(&output.stderr),
        }
    }
}

impl Ran {
    /// Everything as one text.
    pub fn all(&self) -> String {
        format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }

    /// Requires exit code 0.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    /// Requires an exit code.
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }
}

/// The folder of the project.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the project with an ending.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![project().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder exists") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A deployment of a project with nothing around it: no folders, probes or settings.
pub fn bare(root: &str, project: Project) -> Deployment {
    Deployment {
        project,
        root: root.into(),
        edition: Edition::Community,
        version: Version::new(6, 2, 2),
        folders: Vec::new(),
        files: Vec::new(),
        missing_variables: Vec::new(),
        probes: BTreeMap::new(),
        replica_set: None,
        mongo_shell: "mongosh".to_owned(),
        bundled_images: BTreeMap::new(),
        texlive: None,
        bundled_architecture: "amd64".to_owned(),
        urls: Vec::new(),
        warnings: Vec::new(),
        origins: BTreeMap::new(),
        contents: BTreeMap::new(),
        additions: Vec::new(),
        proxies: BTreeMap::new(),
        inactive: BTreeMap::new(),
    }
}
