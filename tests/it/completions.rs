//! Completions, asked for as bash does it; manual pages; the version.

use std::path::Path;
use std::process::Command;

use super::sandbox::{PROGRAM, Sandbox};

/// What bash offers for the last word of a line.
fn offered(sandbox: &Sandbox, line: &[&str]) -> Vec<String> {
    let script = sandbox.root().join("completions.bash");
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let last = line.last().unwrap();
    let program = format!(
        "source '{}'\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_TYPE=9\n_clap_complete_toolkit toolkit '{last}' ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        script.display(),
        words.join(" "),
        line.len() - 1
    );
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-c", &program])
        .current_dir(sandbox.root())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::initialised(&["--port", "8080"]);
    let ran = sandbox.run(&["completions", "bash"]).succeeded();
    sandbox.write("completions.bash", &ran.stdout);
    sandbox
}

#[test]
fn completions_of_bash_know_commands_flags_and_names() {
    let sandbox = sandbox();
    let of = |line: &[&str]| offered(&sandbox, line);
    assert_eq!(of(&["toolkit", "quick"]), ["quickstart"]);
    assert_eq!(of(&["toolkit", "up", "--force"]), ["--force-recreate"]);
    assert_eq!(of(&["toolkit", "completions", "z"]), ["zsh"]);
    assert_eq!(of(&["toolkit", "stop", "sh"]), ["sharelatex"]);
    assert_eq!(
        of(&["toolkit", "restart", ""])[..3],
        ["mongo", "redis", "sharelatex"]
    );
    assert_eq!(
        of(&["toolkit", "config", "set", "OVERLEAF_PO"]),
        ["OVERLEAF_PORT"]
    );
    assert_eq!(
        of(&["toolkit", "config", "get", "WEB_API_PASS"]),
        ["WEB_API_PASSWORD"]
    );
    assert_eq!(of(&["toolkit", "logs", "web"]), ["web", "web-api"]);
    assert_eq!(of(&["toolkit", "error-logs", "cl"]), ["clsi"]);
    // Community Edition has none, and a setting decides about the other.
    assert_eq!(of(&["toolkit", "logs", "refer"]), [""]);
    assert_eq!(of(&["toolkit", "logs", "git"]), [""]);
    assert_eq!(of(&["toolkit", "logs", "sh"]), ["sharelatex"]);
    assert_eq!(of(&["toolkit", "stop", "we"]), [""]);
    assert_eq!(of(&["toolkit", "man", "quick"]), ["quickstart"]);
    assert_eq!(
        of(&["toolkit", "man", "site", ""])[..3],
        ["status", "close", "open"]
    );
    let releases = of(&["toolkit", "init", "--release", "6.2."]);
    assert!(releases.contains(&"6.2.2".to_owned()), "{releases:?}");
    let checks = of(&["toolkit", "up", "--ignore", "SPACE_"]);
    assert!(checks.contains(&"SPACE_DATA".to_owned()), "{checks:?}");
}

#[test]
fn completions_of_logs_know_the_files_of_a_mounted_folder() {
    let sandbox = sandbox();
    sandbox.replace(
        "config/overleaf.rc",
        "PROJECT_NAME=",
        "OVERLEAF_LOG_PATH=logs\nPROJECT_NAME=",
    );
    sandbox.write("logs/own-module.log", "a line\n");
    let of = |line: &[&str]| offered(&sandbox, line);
    assert_eq!(of(&["toolkit", "logs", "own"]), ["own-module"]);
    assert_eq!(of(&["toolkit", "stop", "own"]), [""]);
}

#[test]
fn completions_follow_the_definitions_and_the_root_of_the_line() {
    let (here, there) = (sandbox(), Sandbox::initialised(&[]));
    let extra = "services: {extra: {image: 'i:1'}}\n";
    there.write("config/docker-compose.override.yml", extra);
    let root = there.root().display().to_string();
    let of = |line: &[&str]| offered(&here, line);
    assert_eq!(of(&["toolkit", "stop", "ex"]), [""]);
    assert_eq!(of(&["toolkit", "--root", &root, "stop", "ex"]), ["extra"]);
    // A configuration that cannot be read offers nothing, and says nothing in between.
    here.write("config/version", "6.2\n");
    assert_eq!(of(&["toolkit", "stop", "sh"]), [""]);
}

#[test]
fn completions_of_other_shells_are_whole() {
    let sandbox = Sandbox::new();
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let ran = sandbox.run(&["completions", shell]).succeeded();
        for part in ["TOOLKIT_COMPLETE", PROGRAM] {
            assert!(ran.stdout.contains(part), "{shell} lacks {part}");
        }
        // Where the shell is there, it reads what it will be given.
        let Some(path) = ["/usr/bin", "/bin"]
            .iter()
            .map(|folder| Path::new(folder).join(shell))
            .find(|path| path.exists() && matches!(shell, "zsh" | "fish"))
        else {
            continue;
        };
        sandbox.write("script", &ran.stdout);
        let read = Command::new(path)
            .args(["-n", "script"])
            .current_dir(sandbox.root())
            .output()
            .unwrap();
        assert!(read.status.success(), "{shell}: {read:?}");
    }
}

#[test]
fn man_pages_are_there_for_every_command() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["man", "--output", "man1"]).succeeded();
    let names: Vec<String> = std::fs::read_dir(sandbox.root().join("man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(ran.stdout.contains(&format!("wrote {} pages", names.len())));
    for name in ["toolkit.1", "toolkit-up.1", "toolkit-config-set.1"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    assert!(
        !names.iter().any(|name| name.contains("rename")),
        "{names:?}"
    );
    let page = sandbox.read("man1/toolkit-up.1");
    assert!(page.contains(".SH EXAMPLES\n.nf\n"), "{page}");
    assert!(page.contains("\\-\\-force\\-recreate"), "{page}");
    let one = sandbox.run(&["man", "config", "set"]).succeeded();
    assert!(
        one.stdout.contains("toolkit\\-config\\-set"),
        "{}",
        one.stdout
    );
    sandbox.run(&["man", "nothing"]).ended_with(2);
    // Where a formatter is there, it has nothing to complain about.
    if Path::new("/usr/bin/groff").exists() {
        let read = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z", "man1/toolkit-up.1"])
            .current_dir(sandbox.root())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&read.stderr), "");
    }
}

#[test]
fn version_tells_what_the_program_knows() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["version", "--format", "json"]).succeeded();
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["schema"], "toolkit.version/v1");
    let data = &answer["data"];
    assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(data["build"], toolkit::bundled::TAG);
    let releases = data["releases"].as_array().unwrap();
    assert!(releases.iter().any(|release| release == "6.2.2"));
    let withdrawn = data["withdrawn"].as_array().unwrap();
    assert!(withdrawn.iter().any(|release| release == "5.0.1"));
    let ran = sandbox.run(&["version"]).succeeded();
    assert!(ran.stdout.starts_with("toolkit       "), "{}", ran.stdout);
    let line = sandbox.run(&["--version"]).succeeded();
    assert_eq!(line.stdout.lines().count(), 1, "{}", line.stdout);
}
