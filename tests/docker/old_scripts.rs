//! Every script name of the upstream toolkit, called as its documentation says, on an instance of the
//! bundled servers: through `bin/`, as people and their cron jobs do.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::instance::Instance;
use crate::sandbox::{PROGRAM, Ran, Sandbox, files, project};

/// A copy of `bin/` in a sandbox, with the program on the path as an installed one is.
struct Scripts<'a> {
    sandbox: &'a Sandbox,
    called: BTreeSet<String>,
}

impl<'a> Scripts<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let root = sandbox.root();
        for folder in ["bin", "installed"] {
            std::fs::create_dir(root.join(folder)).unwrap();
        }
        for script in files("bin", "") {
            let name = script.file_name().unwrap();
            std::fs::copy(&script, root.join("bin").join(name)).unwrap();
        }
        symlink(PROGRAM, root.join("installed/toolkit")).unwrap();
        Self {
            sandbox,
            called: BTreeSet::new(),
        }
    }

    /// Runs `bin/NAME` with arguments and a text on its standard input.
    fn run(&mut self, line: &str, input: &str) -> Ran {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.called.insert(words[0].to_owned());
        let root = self.sandbox.root();
        let mut command = Command::new(root.join("bin").join(words[0]));
        command
            .args(&words[1..])
            .env_clear()
            .env(
                "PATH",
                format!("{}/installed:/usr/bin:/bin", root.display()),
            )
            .env("HOME", &root)
            // The scripts find their instance by where they lie.
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            command.env("DOCKER_HOST", host);
        }
        let mut child = command.spawn().unwrap();
        // A program that needs no input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        self.sandbox.ran(&child.wait_with_output().unwrap())
    }
}

#[test]
fn every_old_script_does_what_its_documentation_says() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let mut scripts = Scripts::new(&instance.sandbox);
    let root = instance.sandbox.root();
    let states = || -> Vec<(String, bool)> {
        let all = instance.containers().into_iter();
        all.map(|found| (found.service, found.state.is_running()))
            .collect()
    };
    let of = |state: bool| ["mongo", "redis", "sharelatex"].map(|name| (name.to_owned(), state));

    // A configuration that is there is not made again.
    let before = instance.sandbox.read("config/overleaf.rc");
    scripts.run("init", "").succeeded();
    assert_eq!(instance.sandbox.read("config/overleaf.rc"), before);
    // Its one flag adds the files of the TLS proxy and switches nothing on.
    scripts.run("init --tls", "").succeeded();
    for name in [
        "nginx.conf",
        "certs/overleaf_key.pem",
        "certs/overleaf_certificate.pem",
    ] {
        assert!(root.join("config/nginx").join(name).is_file(), "{name}");
    }
    assert_eq!(instance.sandbox.read("config/overleaf.rc"), before);

    scripts.run("up -d", "").succeeded();
    assert_eq!(states(), of(true));
    scripts.run("start", "").succeeded();
    let ran = scripts.run("doctor", "").succeeded();
    assert!(
        ran.stdout.contains("\n0 blocking failures"),
        "{}",
        ran.all()
    );

    let ran = scripts.run("docker-compose ps", "").succeeded();
    assert!(ran.stdout.starts_with("NAME"), "{}", ran.all());
    assert_eq!(ran.stdout.lines().count(), 4, "{}", ran.all());
    let ran = scripts.run("logs -n 1 web", "").succeeded();
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.all());
    let written: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(written["name"], "web", "as it was written");
    let ran = scripts.run("logs --format text -n 1 web", "").succeeded();
    assert!(ran.stdout.contains("  web  "), "{}", ran.all());
    let all = scripts.run("logs -n all web", "").succeeded();
    assert!(all.stdout.lines().count() > 1, "{}", all.all());
    let ran = scripts.run("error-logs -n 5 web", "").succeeded();
    assert_eq!(ran.stdout, "", "no error happened");

    let ran = scripts.run("shell", "id -u; exit 3\n").ended_with(3);
    assert_eq!(ran.stdout, "0\n", "{}", ran.all());
    let ran = scripts
        .run("mongo", "db.runCommand({ping: 1})\n")
        .succeeded();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["ok"], 1.0, "{}", ran.all());
    let ran = scripts.run("run-script ls", "").succeeded();
    let script = "modules/server-ce-scripts/scripts/create-user.mjs";
    assert!(ran.stdout.contains(script), "{}", ran.all());
    let line = format!("run-script {script} --admin --email=joe@example.org");
    let ran = scripts.run(&line, "").succeeded();
    assert!(
        ran.stdout.contains("/user/activate?token="),
        "{}",
        ran.all()
    );
    let ran = scripts.run("images", "").succeeded();
    assert!(ran.stdout.starts_with("IMAGE "), "{}", ran.all());

    // What is named is what is made.
    for (mode, name) in [
        ("zip", "overleaf-config-backup.zip"),
        ("tar", "overleaf-config-backup.tar"),
        ("copy", "overleaf-config-backup"),
    ] {
        let made = root.join(name);
        let line = format!("backup-config -m {mode} {}", made.display());
        scripts.run(&line, "").succeeded();
        let first = match mode {
            "copy" => std::fs::read(made.join("overleaf.rc")).unwrap(),
            _ => std::fs::read(&made).unwrap(),
        };
        let magic: &[u8] = match mode {
            "copy" => b"#",
            "zip" => b"PK",
            _ => b"config/",
        };
        assert!(first.starts_with(magic), "{mode}");
        scripts
            .run(&line, "")
            .ended_with(if mode == "copy" { 0 } else { 1 });
    }

    // The old word for help and old flags.
    let commands = [
        "init",
        "up",
        "stop",
        "start",
        "upgrade",
        "doctor",
        "logs",
        "error-logs",
        "run-script",
        "backup-config",
        "rename-rc-vars",
        "rename-env-vars-5-0",
        "shell",
        "mongo",
    ];
    for command in commands {
        let ran = scripts.run(&format!("{command} help"), "").succeeded();
        assert!(ran.stdout.contains("\nUsage: "), "{}", ran.all());
    }
    assert!(!std::path::Path::new("/help").exists());
    let listed = scripts.run("run-script ls", "").succeeded().stdout;
    let ran = scripts.run("run-script --ls", "").succeeded();
    assert_eq!(ran.stdout, listed);
    let ran = scripts.run("upgrade --skip-git-update", "").ended_with(2);
    assert!(ran.stderr.contains("error[NO_ANSWER]"), "{}", ran.all());

    // An upgrade shows what changes and asks; nobody answers.
    let ran = scripts.run("upgrade", "").ended_with(2);
    assert!(ran.stdout.contains("+++ config/version"), "{}", ran.all());
    assert!(ran.stderr.contains("error[NO_ANSWER]"), "{}", ran.all());

    scripts.run("stop", "").succeeded();
    assert_eq!(states(), of(false));
    scripts.run("start", "").succeeded();
    assert_eq!(states(), of(true));
    // Docker Compose had these from the script.
    scripts.run("stop -t 5 redis", "").succeeded();
    assert!(states().contains(&("redis".to_owned(), false)));
    scripts.run("start redis", "").succeeded();
    scripts.run("stop --timeout 5 redis", "").succeeded();
    assert!(states().contains(&("redis".to_owned(), false)));

    instance
        .sandbox
        .write("config/variables.env", "SHARELATEX_APP_NAME=Ours\n");
    scripts.run("rename-env-vars-5-0 --yes", "").succeeded();
    let renamed = instance.sandbox.read("config/variables.env");
    assert!(renamed.contains("OVERLEAF_APP_NAME=Ours"), "{renamed}");
    let old = instance.sandbox.read("config/overleaf.rc");
    let old = old.replace("\nOVERLEAF_PORT=", "\nSHARELATEX_PORT=");
    assert!(old.contains("\nSHARELATEX_PORT="), "{old}");
    instance.sandbox.write("config/overleaf.rc", &old);
    scripts.run("rename-rc-vars --yes", "").succeeded();
    let renamed = instance.sandbox.read("config/overleaf.rc");
    assert!(renamed.contains("\nOVERLEAF_PORT="), "{renamed}");

    scripts.run("docker-compose down", "").succeeded();
    assert_eq!(states(), []);

    // Those are new: they build the program, make an instance at once, or are for this project itself.
    let new = ["quickstart", "test", "toolkit"].map(str::to_owned);
    let all = files("bin", "").into_iter();
    let all = all.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let old: BTreeSet<String> = all.filter(|name| !new.contains(name)).collect();
    assert_eq!(scripts.called, old, "below {}", project().display());
}

#[test]
fn up_stops_within_the_seconds_that_docker_compose_was_given() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    // Killed after minutes by its definition, since it does not listen.
    let deaf = "services:\n  sharelatex: {profiles: [aside]}\n  mongo: {profiles: [aside]}\n  redis: {stop_signal: SIGCONT, stop_grace_period: 5m}\n";
    let file = "config/docker-compose.override.yml";
    instance.sandbox.write(file, deaf);
    instance.run(&["up"]).succeeded();
    for grace in [&["-t", "1"][..], &["--timeout", "1"]] {
        let before = instance.ids();
        let began = Instant::now();
        instance
            .run(&[&["up", "-d", "--force-recreate"], grace].concat())
            .succeeded();
        assert!(began.elapsed() < Duration::from_secs(60), "{grace:?}");
        assert_ne!(instance.ids(), before);
    }
    let down = instance.run(&["down", "-t", "1"]).succeeded();
    let killed = "`redis` was killed after 1 s; it did not stop by itself";
    assert!(down.stderr.contains(killed), "{}", down.stderr);
}
