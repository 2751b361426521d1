//! Programs in containers, run without a terminal: status, streams, users, scripts and the shells of the
//! databases.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use toolkit::engine::inside::{ExecRequest, Inside};
use toolkit::script;

use super::instance::{Instance, signal};
use crate::sandbox::Ran;

/// What comes back when this is written to the program's input.
fn with_input(instance: &Instance, arguments: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
    let mut child = instance
        .sandbox
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || to.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // One that ends early does not read to the end.
    let _ = writer.join().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), output.stdout, error)
}

/// The commands of the processes of a service.
pub fn commands(instance: &Instance, service: &str) -> Vec<String> {
    let containers = instance.containers();
    let container = containers.iter().find(|found| found.service == service);
    let id = container.unwrap().id.clone();
    let processes = instance.runtime.block_on(instance.engine.processes(&id));
    let processes = processes.unwrap();
    // A number may be that of a process, too.
    assert_eq!(processes.titles.last().unwrap(), "CMD");
    let command = |mut row: Vec<String>| row.pop().unwrap();
    processes.rows.into_iter().map(command).collect()
}

/// How many processes of a service have a word in their command.
fn processes(instance: &Instance, service: &str, word: &str) -> usize {
    let commands = commands(instance, service);
    let found = commands.iter().filter(|command| command.contains(word));
    found.count()
}

/// Looks until a process of a service has a word in its command.
pub fn await_some(instance: &Instance, service: &str, word: &str) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while processes(instance, service, word) == 0 {
        assert!(
            Instant::now() < give_up,
            "`{word}` does not run in {service}"
        );
    }
}

/// Looks until no process of a service has a word in its command.
pub fn await_none(instance: &Instance, service: &str, word: &str) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while processes(instance, service, word) > 0 {
        assert!(Instant::now() < give_up, "`{word}` goes on in {service}");
    }
}

#[track_caller]
fn fails(ran: &Ran, code: i32, id: &str, part: &str) {
    assert_eq!(ran.code, code, "{}", ran.all());
    let begin = format!("error[{id}]");
    assert!(ran.stderr.starts_with(&begin), "{}", ran.stderr);
    assert!(ran.stderr.contains(part), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[test]
fn programs_run_in_containers_and_everything_passes_through() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let ran = instance.run(&["exec", "sharelatex", "true"]);
    fails(&ran, 1, "NOT_RUNNING", "toolkit up sharelatex");
    instance.run(&["up"]).succeeded();
    let silent = silent(&instance);
    streams_and_status(&instance);
    much(&instance);
    user_folder_and_environment(&instance);
    what_cannot_be_run(&instance);
    shells(&instance);
    databases(&instance);
    scripts(&instance);
    helper(&instance);
    an_end_from_outside(&instance);
    silent_to_the_end(silent);

    instance.run(&["stop", "sharelatex"]).succeeded();
    let ran = instance.run(&["exec", "sharelatex", "true"]);
    fails(&ran, 1, "NOT_RUNNING", "toolkit start sharelatex");
    // Files need no running container.
    let ran = instance.run(&["run-script", "ls"]).succeeded();
    assert!(ran.stdout.contains("scripts/disconnect_all_users.mjs"));
}

fn streams_and_status(instance: &Instance) {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = instance.sandbox.command(&["exec", "-T", "redis", "env"]);
    let output = command.stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error[OUTPUT]"), "{said}");
    let text = "echo out; echo err >&2; exit 7";
    let ran = instance.run(&["exec", "sharelatex", "sh", "-c", text]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (7, "out\n", "err\n")
    );
    let ran = instance.run(&["exec", "redis", "bash", "-c", "exit 127"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (127, ""));

    let input: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    let arguments = ["exec", "sharelatex", "cat"];
    let (code, output, error) = with_input(instance, &arguments, &input);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(output == input, "{} bytes came back", output.len());
    // A program that reads nothing ends all the same.
    let arguments = ["exec", "sharelatex", "echo", "done"];
    let (code, output, _) = with_input(instance, &["exec", "sharelatex", "env", "A=1"], &input);
    assert_eq!(code, 0);
    assert!(output.ends_with(b"A=1\n"));
    let ran = instance.run(&arguments);
    assert_eq!(ran.code, 127, "echo is of the shell only");

    let ran = instance.run(&["exec", "--dry-run", "redis", "false"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("would run in container"));
}

/// A program that closes its output and goes on.
fn silent(instance: &Instance) -> Child {
    let text = "exec sh -c 'sleep 3; exit 7' >/dev/null 2>&1";
    let arguments = ["exec", "redis", "sh", "-c", text];
    let mut command = instance.sandbox.command(&arguments);
    command.stderr(Stdio::piped()).spawn().unwrap()
}

fn silent_to_the_end(child: Child) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(7), ""));
}

/// The most memory that a process has had so far, in KiB.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

/// However much passes through, and whoever is the slower one: it is not kept.
fn much(instance: &Instance) {
    const MUCH: usize = 100 << 20;
    const LITTLE: u64 = 16 << 10;
    let mut room = vec![0; 4096];
    let mut child = instance
        .sandbox
        .command(&["exec", "redis", "cat", "/dev/zero"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut room).unwrap();
    let before = peak(child.id());
    for _ in 0..MUCH / room.len() {
        output.read_exact(&mut room).unwrap();
    }
    let grown = peak(child.id()) - before;
    assert!(grown < LITTLE, "{grown} KiB for output");
    drop(output);
    assert_eq!(child.wait().unwrap().code(), Some(141));

    let text = "echo begun; cat >/dev/null; exit 9";
    let mut child = instance
        .sandbox
        .command(&["exec", "redis", "sh", "-c", text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "begun");
    let before = peak(child.id());
    let mut input = child.stdin.take().unwrap();
    for _ in 0..MUCH / room.len() {
        input.write_all(&room).unwrap();
    }
    let grown = peak(child.id()) - before;
    assert!(grown < LITTLE, "{grown} KiB for input");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

fn user_folder_and_environment(instance: &Instance) {
    let out = |arguments: &[&str]| instance.run(arguments).succeeded().stdout;
    assert_eq!(out(&["exec", "sharelatex", "id", "-u"]), "0\n");
    let arguments = ["exec", "--user", "www-data", "sharelatex", "id", "-u"];
    assert_eq!(out(&arguments), "33\n");
    let arguments = ["exec", "-u", "12:34", "sharelatex", "id"];
    assert_eq!(out(&arguments), "uid=12 gid=34\n");
    let arguments = ["exec", "-w", "/overleaf", "sharelatex", "ls"];
    assert_eq!(out(&arguments), "services\n");
    let text = "echo \"$A|$B\"";
    let set = ["exec", "-e", "A=x y", "--env", "B=", "sharelatex"];
    assert_eq!(out(&[&set[..], &["sh", "-c", text]].concat()), "x y|\n");
    let arguments = ["exec", "--index", "1", "sharelatex", "id", "-g"];
    assert_eq!(out(&arguments), "0\n");
    // A flag behind the program is the program's.
    let arguments = ["exec", "sharelatex", "sh", "-c", "echo $1", "x", "--quiet"];
    assert_eq!(out(&arguments), "--quiet\n");
}

fn what_cannot_be_run(instance: &Instance) {
    let ran = |arguments: &[&str]| instance.run(arguments);
    let found = ran(&["exec", "sharelatex", "nosuch", "x"]);
    fails(&found, 127, "NO_SUCH_PROGRAM", "`nosuch`");
    let found = ran(&["exec", "sharelatex", "/etc/passwd"]);
    fails(&found, 126, "PROGRAM_NOT_RUN", "`/etc/passwd`");
    let found = ran(&["exec", "-w", "/nowhere", "sharelatex", "ls"]);
    fails(&found, 126, "NO_SUCH_FOLDER", "`/nowhere`");
    let found = ran(&["exec", "-u", "nobody-here", "sharelatex", "ls"]);
    fails(&found, 126, "NO_SUCH_USER", "`nobody-here`");
    let found = ran(&["exec", "sharelatx", "ls"]);
    fails(&found, 2, "UNKNOWN_SERVICE", "did you mean `sharelatex`?");
    let found = ran(&["exec", "--index", "2", "sharelatex", "ls"]);
    fails(&found, 1, "NOT_RUNNING", "number 2");
    let found = ran(&["exec", "--env", "NOT_SET_HERE", "sharelatex", "ls"]);
    fails(&found, 2, "USAGE", "NOT_SET_HERE");
    let found = ran(&["shell", "nginx"]);
    fails(&found, 2, "UNKNOWN_SERVICE", "`nginx`");
}

fn shells(instance: &Instance) {
    let script = b"cd /overleaf\nls\nexit 3\n";
    let (code, output, error) = with_input(instance, &["shell"], script);
    assert_eq!((code, error.as_str()), (3, ""));
    assert_eq!(output, b"services\n");
    let arguments = ["shell", "--user", "33", "redis"];
    let (code, output, _) = with_input(instance, &arguments, b"id -u");
    assert_eq!((code, output.as_slice()), (0, &b"33\n"[..]));
}

fn databases(instance: &Instance) {
    let out = |arguments: &[&str]| instance.run(arguments).succeeded().stdout;
    let arguments = ["mongo", "--quiet", "--eval", "db.getName()"];
    assert_eq!(out(&arguments), "sharelatex\n");
    let arguments = ["mongo", "admin", "--eval", "db"];
    assert_eq!(out(&arguments), "admin\n");
    assert_eq!(out(&["mongo", "--eval", "rs.status().set"]), "overleaf\n");
    let text = "db.term.insertOne({n: 1});\ndb.term.countDocuments({n: {$gt: 0}})\ndb.term.find({}, {_id: 0}).limit(1)\nshow collections\n";
    let (code, output, error) = with_input(instance, &["mongo"], text.as_bytes());
    assert_eq!(code, 0, "{error}");
    let output = String::from_utf8(output).unwrap();
    assert!(
        output.contains("\n1\n[\n  {\n    \"n\": 1\n  }\n]\n"),
        "{output}"
    );
    assert!(output.contains("\nterm\n"), "{output}");
    let ran = instance.run(&["mongo", "--eval", "db.runCommand({nonsense: 1})"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stderr.contains("CommandNotFound"), "{}", ran.stderr);
    // The way to a mongo outside: the URL stays in the environment.
    let connect = "db = connect(process.env.OVERLEAF_MONGO_URL)";
    let arguments = ["exec", "sharelatex", "mongosh", "--nodb", "--eval", connect];
    let asked = ["--eval", "db.getName(); db.hello().ok"];
    assert_eq!(out(&[&arguments[..], &asked].concat()), "sharelatex\n1.0\n");

    assert_eq!(out(&["redis", "ping"]), "PONG\n");
    assert_eq!(out(&["redis", "-n", "3", "set", "a", "b c"]), "OK\n");
    let (code, output, _) = with_input(instance, &["redis", "-n", "3"], b"get a\ndel a\n");
    assert_eq!((code, output.as_slice()), (0, &b"b c\n1\n"[..]));
}

fn scripts(instance: &Instance) {
    let ran = instance.run(&["run-script", "ls"]).succeeded();
    for line in [
        "document-updater/scripts/flush_all.js ",
        "project-history/scripts/flush_all.js ",
        "scripts/disconnect_all_users.mjs ",
    ] {
        let found = ran.stdout.lines().any(|shown| shown.starts_with(line));
        assert!(found, "{}", ran.stdout);
    }
    // What is said of the list counts on both sides of its word.
    for (words, service) in [
        ("--format json run-script --service web ls", "web"),
        ("run-script ls --format json --service web", "web"),
        (
            "run-script --format json ls --service=document-updater",
            "document-updater",
        ),
        (
            "--format json run-script --service document-updater ls --format=json",
            "document-updater",
        ),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let ran = instance.run(&words).succeeded();
        let listed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let scripts = listed["data"]["scripts"].as_array().unwrap();
        assert!(!scripts.is_empty(), "{words:?}");
        assert!(scripts.iter().all(|one| one["service"] == service));
    }
    let ran = instance.run(&["run-script", "ls", "--nonsense"]);
    fails(
        &ran,
        2,
        "USAGE",
        "behind `ls`: unexpected argument '--nonsense'",
    );
    let ran = instance.run(&["run-script", "ls", "web"]);
    fails(&ran, 2, "USAGE", "`ls` takes `--service NAME`");
    for script in ["ls", "scripts/x.js"] {
        let ran = instance.run(&["run-script", "--service", "nonsense", script]);
        fails(&ran, 2, "UNKNOWN_SERVICE", "no service `nonsense`");
    }

    let ran = instance.run(&["run-script", "scripts/disconnect-all-user"]);
    let near = "did you mean `scripts/disconnect_all_users.mjs`?";
    fails(&ran, 2, "NO_SUCH_SCRIPT", near);
    let ran = instance.run(&["run-script", "scripts"]);
    fails(&ran, 2, "NO_SUCH_SCRIPT", "is a folder");
    let dry = ["run-script", "--dry-run"];
    let path = "document-updater/scripts/flush_all.mjs";
    let ran = instance.run(&[&dry[..], &[path, "--limit"]].concat());
    let ran = ran.succeeded();
    assert!(
        ran.stderr.contains("is named `scripts/flush_all.js`"),
        "{}",
        ran.stderr
    );
    let words = "/overleaf/services/document-updater scripts/flush_all.js --limit";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

/// The calling pattern reads the files that the container's start has written, and the helper for other
/// commands keeps what is written.
fn helper(instance: &Instance) {
    let containers = instance.containers();
    let container = containers
        .iter()
        .find(|found| found.service == "sharelatex");
    let id = container.unwrap().id.clone();
    let pattern = "source /etc/container_environment.sh && source /etc/overleaf/env.sh && exec /sbin/setuser www-data sh -c 'id -u; echo $WEB_PORT; [ -n \"$OVERLEAF_MONGO_URL\" ]; read A; echo $A >&2; exit 4'";
    let request = ExecRequest::new(["bash", "-c", pattern]);
    let ran = script::run(&instance.engine, &id, &request, Some(b"given\n"));
    let finished = instance.runtime.block_on(ran).unwrap();
    assert_eq!(finished.text(), "33\n3000\n");
    assert_eq!(finished.last_line(), "given");
    assert_eq!(finished.exit_code, 4);
}

/// A run that is told to end, or that nobody listens to any more, takes what it runs with it.
fn an_end_from_outside(instance: &Instance) {
    let mut child = instance
        .sandbox
        .command(&["exec", "redis", "cat", "/dev/zero"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut byte = [1];
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut byte).unwrap();
    drop(output);
    assert_eq!(child.wait().unwrap().code(), Some(141));
    await_none(instance, "redis", "/dev/zero");
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let text = "echo begun; exec sleep 4711";
        let mut child = instance
            .sandbox
            .command(&["exec", "redis", "sh", "-c", text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "begun");
        signal(child.id(), name);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
        await_none(instance, "redis", "4711");
    }
    // One that says nothing any more is told all the same.
    let text = "exec sh -c 'exec sleep 4714' >/dev/null 2>&1";
    let mut child = instance
        .sandbox
        .command(&["exec", "redis", "sh", "-c", text])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    await_some(instance, "redis", "sleep 4714");
    signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    await_none(instance, "redis", "4714");
}
