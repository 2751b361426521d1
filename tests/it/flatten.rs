//! `toolkit config flatten`: the only command that runs the operator's file.

use super::sandbox::Sandbox;

/// An overleaf.rc that works with the upstream toolkit and needs a shell.
const SHELL: &str = r#"# Where things are.
PROJECT_NAME=overleaf
BASE=$(pwd)/data   # all data
OVERLEAF_DATA_PATH=$BASE/overleaf
for service in mongo redis; do
  declare "${service^^}_DATA_PATH=$BASE/$service"
done
MONGO_IMAGE=mongo
MONGO_VERSION=8.0
REDIS_IMAGE=redis:7.4
if [[ "$(echo tex)" == tex ]]; then
  OVERLEAF_PORT=8080
fi
MONGO_URL="mongodb://u:hunter2@$(echo mongo)/sharelatex"
echo "a line on stdout"
OVERLEAF_LISTEN_IP=127.0.0.1"#;

fn sandbox(rc: &str) -> Sandbox {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write("config/overleaf.rc", rc);
    sandbox
}

#[test]
fn a_file_that_needs_a_shell_becomes_plain_and_keeps_its_values() {
    let sandbox = sandbox(SHELL);
    sandbox.run(&["compose", "config"]).ended_with(3);
    let ran = sandbox.run(&["config", "flatten", "--yes"]).succeeded();
    insta::assert_snapshot!(ran.all());
    assert!(!ran.all().contains("hunter2"), "a secret is shown");
    let flat = sandbox.read("config/overleaf.rc");
    let flat = flat.replace(&*sandbox.root().to_string_lossy(), "[ROOT]");
    insta::assert_snapshot!(flat);
    assert_eq!(sandbox.read("config/overleaf.rc.bak"), SHELL);
    let ran = sandbox.run(&["compose", "config"]).succeeded();
    assert!(ran.stdout.contains("published: \"8080\""), "{}", ran.stdout);
    let ran = sandbox.run(&["config", "flatten"]).succeeded();
    assert_eq!(
        ran.stderr,
        "nothing to do: config/overleaf.rc needs no shell\n"
    );
}

#[test]
fn without_a_yes_nothing_is_written() {
    let sandbox = sandbox(SHELL);
    let ran = sandbox.run(&["config", "flatten"]).ended_with(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    let ran = sandbox
        .run(&["config", "flatten", "--dry-run", "--format", "json"])
        .succeeded();
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["schema"], "toolkit.flatten/v1");
    assert_eq!(answer["data"]["written"], false);
    assert_eq!(
        answer["data"]["replaced_lines"],
        serde_json::json!([3, 5, 11, 14, 15])
    );
    assert_eq!(sandbox.read("config/overleaf.rc"), SHELL);
}

/// No other command may run it, and a plain file has no need to.
#[test]
fn a_plain_file_is_never_run() {
    let rc = "A='$(touch ran)'\n";
    let sandbox = sandbox(rc);
    sandbox.run(&["config", "flatten", "--yes"]).succeeded();
    sandbox.write("config/overleaf.rc", "A=$(touch ran)\n");
    for command in [&["plan"][..], &["config", "migrate", "--yes"]] {
        sandbox.run(command).ended_with(3);
    }
    assert!(!sandbox.root().join("ran").exists());
}

#[test]
fn a_failing_line_is_named_and_nothing_changes() {
    for (rc, place) in [
        ("A=1\n\nB=$(exit 4)\nC=2\n", "config/overleaf.rc:3"),
        (
            "A=1\nif true\nthen B=$UNSET_NAME; fi\n",
            "config/overleaf.rc:2",
        ),
        ("A=1\nB=$(cat)\nexit 0\n", "config/overleaf.rc:3"),
    ] {
        let sandbox = sandbox(rc);
        let ran = sandbox.run(&["config", "flatten", "--yes"]).ended_with(1);
        assert!(
            ran.stderr.contains("error[FLATTEN_FAILED]"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains(&format!("`{place}`")), "{}", ran.stderr);
        assert_eq!(sandbox.read("config/overleaf.rc"), rc);
    }
}

#[test]
fn the_environment_of_the_caller_is_not_seen() {
    let sandbox = sandbox("A=${SECRET_OF_THE_CALLER-none}$(true)\n")
        .environment("SECRET_OF_THE_CALLER", "hunter2");
    sandbox.run(&["config", "flatten", "--yes"]).succeeded();
    assert!(sandbox.read("config/overleaf.rc").ends_with("\nA=none\n"));
}
