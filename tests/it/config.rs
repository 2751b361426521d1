//! `toolkit config`: what is shown, what is written, what is refused, and that no secret appears.

use std::io::Write;
use std::process::Stdio;

use super::sandbox::{Ran, Sandbox, project};

/// A value that no output may hold.
const MARKER: &str = "hidden-4711";

/// An instance of few lines, with secrets of every kind.
fn small() -> Sandbox {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write(
        "config/overleaf.rc",
        "# the instance\nPROJECT_NAME=thesis\nOVERLEAF_DATA_PATH=data/overleaf\nMONGO_DATA_PATH=data/mongo\nMONGO_IMAGE=mongo\nMONGO_VERSION=8.0\nOVERLEAF_PORT=80\nOVERLEAF_PORT=8080 # why\nMY_BASE=/srv\n",
    );
    sandbox.write(
        "config/variables.env",
        &format!(
            "OVERLEAF_INVITE_TOKEN_SECRET={MARKER}-0123456789\nOVERLEAF_SITE_URL=https://old.example.org\n# OVERLEAF_NAV_TITLE='Old'\nOVERLEAF_SITE_URL=https://tex.example.org\nMY_PASSWORD='{MARKER}'\nMY_PROXY=http://me:{MARKER}@proxy\nREDIS_HOST=elsewhere\n"
        ),
    );
    sandbox
}

/// Runs with a text on stdin.
fn run_with(sandbox: &Sandbox, arguments: &[&str], input: &str) -> Ran {
    let mut command = sandbox.command(arguments);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    sandbox.ran(&child.wait_with_output().unwrap())
}

#[test]
fn show_tells_each_value_with_its_origin() {
    let sandbox = small();
    let ran = sandbox.run(&["config", "show"]).succeeded();
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(ran.stderr, "");
    let ran = sandbox.run(&["config", "show", "--defaults"]).succeeded();
    assert!(
        ran.stdout.contains("config/overleaf.rc:8 (default: 80)\n"),
        "{}",
        ran.stdout
    );
    let ran = sandbox
        .run(&["config", "show", "--all", "--format", "json"])
        .succeeded();
    let shown: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown["schema"], "toolkit.config-show/v1");
    let find = |list: &str, name: &str| {
        let list = shown["data"][list].as_array().unwrap();
        list.iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let port = find("settings", "OVERLEAF_PORT");
    assert_eq!(port["value"], "8080");
    assert_eq!(port["origin"]["line"], 8);
    assert_eq!(port["changed"], true);
    assert_eq!(find("settings", "REDIS_PORT")["origin"]["kind"], "default");
    let unset = find("variables", "COMPILE_TIMEOUT");
    assert_eq!(unset["origin"], serde_json::Value::Null);
    assert_eq!(unset["default"], "180");
}

#[test]
fn explain_names_the_line_that_counts_and_what_the_containers_get() {
    let sandbox = small();
    for key in [
        "OVERLEAF_SITE_URL",
        "REDIS_HOST",
        "OVERLEAF_PORT",
        "OVERLEAF_NAV_TITLE",
    ] {
        let ran = sandbox.run(&["config", "explain", key]).succeeded();
        insta::assert_snapshot!(format!("explain_{key}"), ran.stdout);
    }
    let ran = sandbox.run(&["config", "explain", "SHARELATEX_SITE_URL"]);
    let ran = ran.succeeded();
    assert!(
        ran.stdout.starts_with("OVERLEAF_SITE_URL "),
        "{}",
        ran.stdout
    );
    let ran = sandbox.run(&["config", "explain", "OVERLEAF_SITE_ULR"]);
    insta::assert_snapshot!(ran.ended_with(2).stderr, @r"
    error[UNKNOWN_KEY]: `OVERLEAF_SITE_ULR` is neither a setting nor a variable
      because: no file sets it, and neither config/overleaf.rc nor config/variables.env has a key of that name
      fix:     did you mean `OVERLEAF_SITE_URL`?
    ");
}

#[test]
fn explain_works_while_a_value_is_wrong() {
    let sandbox = small();
    sandbox.replace("config/overleaf.rc", "8080", "http");
    let ran = sandbox
        .run(&["config", "explain", "OVERLEAF_PORT"])
        .succeeded();
    for part in [
        "`http` is not a port",
        "the configuration cannot be used",
        "config/overleaf.rc:8",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    sandbox.replace("config/overleaf.rc", "PORT=http", "PORT=$(id)");
    let ran = sandbox
        .run(&["config", "explain", "OVERLEAF_PORT"])
        .ended_with(3);
    assert!(
        ran.stderr.contains("config/overleaf.rc:8:"),
        "{}",
        ran.stderr
    );
}

#[test]
fn get_prints_the_plain_value_or_fails() {
    let sandbox = small();
    for (key, value) in [
        ("OVERLEAF_PORT", "8080"),
        ("REDIS_PORT", "6379"),
        ("MY_BASE", "/srv"),
        ("OVERLEAF_SITE_URL", "https://tex.example.org"),
    ] {
        let ran = sandbox.run(&["config", "get", key]).succeeded();
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.as_str()),
            (&*format!("{value}\n"), "")
        );
    }
    for (key, code, id) in [
        ("COMPILE_TIMEOUT", 1, "NOT_SET"),
        ("NOTHING", 2, "UNKNOWN_KEY"),
        ("MY_PASSWORD", 2, "SECRET"),
        ("MY_PROXY", 2, "SECRET"),
    ] {
        let ran = sandbox.run(&["config", "get", key]).ended_with(code);
        assert_eq!(ran.stdout, "");
        assert!(
            ran.stderr.starts_with(&format!("error[{id}]")),
            "{}",
            ran.stderr
        );
    }
    let ran = sandbox.run(&["config", "get", "MY_PASSWORD", "--reveal"]);
    assert_eq!(ran.succeeded().stdout, format!("{MARKER}\n"));
}

#[test]
fn set_changes_one_line_and_keeps_the_old_text() {
    let sandbox = small();
    let before = sandbox.read("config/overleaf.rc");
    let set = ["config", "set", "OVERLEAF_PORT", "8081"];
    let ran = sandbox
        .run(&[&set[..], &["--dry-run"]].concat())
        .succeeded();
    assert_eq!(sandbox.read("config/overleaf.rc"), before);
    let written = sandbox.run(&set).succeeded();
    assert_eq!(ran.stdout, written.stdout, "--dry-run shows another change");
    insta::assert_snapshot!(written.all(), @r"
    exit 0
    --- stdout
    --- config/overleaf.rc
    +++ config/overleaf.rc
    @@ -5,5 +5,5 @@
     MONGO_IMAGE=mongo
     MONGO_VERSION=8.0
     OVERLEAF_PORT=80
    -OVERLEAF_PORT=8080 # why
    +OVERLEAF_PORT=8081 # why
     MY_BASE=/srv
    --- stderr
    config/overleaf.rc sets `OVERLEAF_PORT` more than once; the last line counts and is changed
    wrote config/overleaf.rc; the old text is kept as config/overleaf.rc.bak; `toolkit up` applies the change
    ");
    let after = sandbox.read("config/overleaf.rc");
    assert_eq!(after, before.replace("8080", "8081"));
    assert_eq!(sandbox.read("config/overleaf.rc.bak"), before);
    let ran = sandbox.run(&set).succeeded();
    assert_eq!(ran.stdout, "");
    let ran = sandbox.run(&["config", "set", "OVERLEAF_NAV_TITLE", "It's ours"]);
    ran.succeeded();
    let ran = sandbox
        .run(&["config", "get", "OVERLEAF_NAV_TITLE"])
        .succeeded();
    assert_eq!(ran.stdout, "It's ours\n");
    let text = sandbox.read("config/variables.env");
    assert!(
        text.contains("# OVERLEAF_NAV_TITLE='Old'\nOVERLEAF_NAV_TITLE="),
        "{text}"
    );
    let ran = sandbox.run(&["config", "unset", "OVERLEAF_SITE_URL", "--format", "json"]);
    let data: serde_json::Value = serde_json::from_str(&ran.succeeded().stdout).unwrap();
    assert_eq!(data["schema"], "toolkit.config-unset/v1");
    assert_eq!(data["data"]["backup"], "config/variables.env.bak");
    let ran = sandbox.run(&["config", "get", "OVERLEAF_SITE_URL"]);
    ran.ended_with(1);
}

#[test]
fn set_refuses_what_would_not_work_and_writes_nothing() {
    let sandbox = small();
    let texts = || {
        (
            sandbox.read("config/overleaf.rc"),
            sandbox.read("config/variables.env"),
        )
    };
    let before = texts();
    for (arguments, code, id) in [
        (&["OVERLEAF_PORT", "http"][..], 3, "VALUE_INVALID"),
        (&["COMPILE_TIMEOUT", "3m"], 3, "VALUE_INVALID"),
        (
            &["OVERLEAF_INVITE_TOKEN_SECRET", "hidden-4711"],
            3,
            "VALUE_INVALID",
        ),
        (&["OVERLEAF_PROT", "80"], 2, "UNKNOWN_KEY"),
        (&["MY OWN", "1", "--file", "rc"], 2, "NAME_INVALID"),
        (
            &["SHARELATEX_SITE_URL", "http://x"],
            2,
            "NAME_OF_ANOTHER_RELEASE",
        ),
    ] {
        let ran = sandbox.run(&[&["config", "set"][..], arguments].concat());
        let ran = ran.ended_with(code);
        assert!(
            ran.stderr.contains(&format!("error[{id}]")),
            "{}",
            ran.stderr
        );
        assert!(!ran.all().contains(MARKER), "{}", ran.all());
    }
    assert_eq!(texts(), before);
    assert!(!sandbox.root().join("config/overleaf.rc.bak").exists());
}

#[test]
fn set_tells_what_the_change_makes_wrong_elsewhere() {
    let sandbox = small();
    let ran = sandbox.run(&["config", "unset", "MONGO_IMAGE"]).succeeded();
    assert!(
        ran.stderr.contains("MONGO_IMAGE: is not set"),
        "{}",
        ran.stderr
    );
    let ran = sandbox.run(&["config", "set", "MONGO_IMAGE", "mongo"]);
    assert!(!ran.succeeded().stderr.contains("is not set"));
}

#[test]
fn set_warns_of_a_line_without_effect() {
    let sandbox = small();
    let arguments = [
        "config",
        "set",
        "OVERLEAF_PORT",
        "81",
        "--file",
        "variables",
    ];
    let ran = sandbox.run(&arguments).succeeded();
    assert!(
        ran.stderr
            .starts_with("warning: `OVERLEAF_PORT` belongs into config/overleaf.rc"),
        "{}",
        ran.stderr
    );
    let ran = sandbox.run(&["config", "set", "V1_HISTORY_URL", "http://x"]);
    let ran = ran.succeeded();
    assert!(
        ran.stderr.contains("the definition sets it"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_secret_comes_from_stdin_and_shows_nowhere() {
    let sandbox = small();
    let key = "OVERLEAF_EMAIL_SMTP_PASS";
    let value = format!("{MARKER} $x 'y' #z");
    let ran = run_with(
        &sandbox,
        &["config", "set", key, "-"],
        &format!("{value}\n"),
    )
    .succeeded();
    assert!(
        ran.stdout
            .contains("+OVERLEAF_EMAIL_SMTP_PASS=******** (new)"),
        "{}",
        ran.all()
    );
    let get = ["config", "get", key, "--reveal"];
    assert_eq!(sandbox.run(&get).succeeded().stdout, format!("{value}\n"));
    let mut all = ran.all();
    for arguments in [
        &["config", "show"][..],
        &["config", "show", "--all", "--defaults", "--format", "json"],
        &["config", "explain", key],
        &["config", "explain", "MY_PASSWORD", "--format", "json"],
        &["config", "explain", "MY_PROXY"],
        &["config", "explain", "OVERLEAF_INVITE_TOKEN_SECRET"],
        &["config", "get", key],
        &[
            "config",
            "set",
            "MY_PASSWORD",
            "new",
            "--file",
            "variables",
            "--dry-run",
        ],
        &[
            "config",
            "set",
            "MY_PROXY",
            "x",
            "--file",
            "variables",
            "--dry-run",
            "--format",
            "json",
        ],
        &["config", "unset", "MY_PASSWORD"],
        &[
            "config",
            "unset",
            "OVERLEAF_INVITE_TOKEN_SECRET",
            "--format",
            "json",
        ],
    ] {
        all.push_str(&sandbox.run(arguments).all());
    }
    assert!(!all.contains(MARKER), "{all}");
}

#[test]
fn a_change_waits_for_the_lock_as_others_do() {
    let sandbox = small();
    let state = sandbox.root().join(".toolkit");
    std::fs::create_dir_all(&state).unwrap();
    let held = std::fs::File::create(state.join("lock")).unwrap();
    held.lock().unwrap();
    for command in ["set", "unset"] {
        let value: &[&str] = if command == "set" { &["81"] } else { &[] };
        let arguments = [&["config", command, "OVERLEAF_PORT"][..], value].concat();
        sandbox.run(&arguments).ended_with(7);
        let dry = [&arguments[..], &["--dry-run"]].concat();
        sandbox.run(&dry).succeeded();
    }
}

#[test]
fn docs_find_names_and_words_and_need_no_instance() {
    let sandbox = Sandbox::new();
    let ran = sandbox
        .run(&["config", "docs", "overleaf_port"])
        .succeeded();
    assert!(ran.stdout.contains("### OVERLEAF_PORT\n"), "{}", ran.stdout);
    let ran = sandbox
        .run(&["config", "docs", "OVERLEAF_PORT"])
        .succeeded();
    insta::assert_snapshot!(ran.stdout, @r"
    ## config/overleaf.rc

    ### OVERLEAF_PORT

    Port on the host where the application listens with plain HTTP; a change recreates `sharelatex`

    type: port; default: 80; editions: ce, pro, cep
    ");
    let ran = sandbox
        .run(&["config", "docs", "--format", "json"])
        .succeeded();
    let data: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(data["data"]["settings"][0]["name"], "PROJECT_NAME");
    let ran = sandbox.run(&["config", "docs", "gibberish"]).ended_with(1);
    assert!(ran.stderr.starts_with("error[NOTHING_FOUND]"));
}

#[test]
fn the_reference_page_is_what_the_program_prints() {
    let printed = Sandbox::new().run(&["config", "docs"]).succeeded().stdout;
    let page = std::fs::read_to_string(project().join("docs/reference.md")).unwrap_or_default();
    assert!(
        page == printed,
        "docs/reference.md is not what the catalogues say; write it anew: toolkit config docs > docs/reference.md"
    );
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--no-input"]).succeeded();
    let file = sandbox.root().join("config/variables.env");
    std::fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    let ran = sandbox.run(&["config", "show"]).ended_with(3);
    assert!(ran.stderr.contains("it is a pipe"), "{}", ran.stderr);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_version() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--no-input"]).succeeded();
    let version = sandbox.read("config/version");
    sandbox.write("config/version", &format!("\u{feff}{version}"));
    sandbox.run(&["config", "lint"]).succeeded();
    sandbox.run(&["compose", "hash"]).succeeded();
}

#[test]
fn compose_file_answers_in_json_when_asked() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--no-input"]).succeeded();
    let json = |args: &[&str]| -> serde_json::Value {
        let ran = sandbox.run(args).succeeded();
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let file = json(&["compose", "file", "--format", "json"]);
    assert!(file["services"]["mongo"].is_object(), "{file}");
    let args = ["compose", "file", "--output", "x.yaml", "--format", "json"];
    let dry = json(&[&args[..], &["--dry-run"]].concat());
    assert_eq!(dry["data"]["written"], false);
    let answer = json(&args);
    assert_eq!(answer["schema"], "toolkit.compose-file/v1");
    assert_eq!(answer["data"]["written"], true);
}
