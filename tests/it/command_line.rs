//! The program without an engine: configuration, definitions, wrong input, exit codes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::sandbox::{Sandbox, project};

/// An engine that is not there.
const NO_ENGINE: &str = "unix:///nonexistent/engine.sock";

#[test]
fn init_writes_private_files_and_never_overwrites() {
    let sandbox = Sandbox::new();
    let ran = sandbox
        .run(&["init", "--no-input", "--port", "8080"])
        .succeeded();
    insta::assert_snapshot!(ran.stderr, @r"
    wrote config/version
    wrote config/variables.env
    wrote config/overleaf.rc
    next: look at config/overleaf.rc and config/variables.env, then run `toolkit up`
    ");
    let mode = |path: &str| {
        std::fs::metadata(sandbox.root().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("config"), 0o700);
    for file in [
        "config/overleaf.rc",
        "config/variables.env",
        "config/version",
    ] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    let before = sandbox.read("config/variables.env");
    let ran = sandbox.run(&["init", "--no-input"]).succeeded();
    assert_eq!(
        ran.stderr,
        "kept config/version\nkept config/variables.env\nkept config/overleaf.rc\n"
    );
    assert_eq!(sandbox.read("config/variables.env"), before);
    let ran = sandbox.run(&["init", "--port", "81"]).ended_with(1);
    insta::assert_snapshot!(ran.stderr, @r"
    error[INIT_EXISTS]: this instance is configured already
      because: `[ROOT]/config/overleaf.rc` exists, and init never overwrites
      state:   nothing was changed
      fix:     change the values in that file, or start elsewhere with --root DIR
    ");
}

#[test]
fn definitions_are_printed_without_an_engine() {
    let sandbox =
        Sandbox::initialised(&["--edition", "pro", "--git-bridge", "--project-name", "p"])
            .environment("DOCKER_HOST", NO_ENGINE);
    sandbox.write("config/variables.env", "OVERLEAF_APP_NAME='A $ign'\n");
    let ran = sandbox
        .run(&["compose", "config", "--format", "json"])
        .succeeded();
    insta::assert_snapshot!(ran.stdout);
    let yaml = sandbox.run(&["compose", "config"]).succeeded();
    // Brackets mean something in YAML.
    let plain = |text: &str| text.replace("[ROOT]", "/root");
    let json: serde_json::Value = serde_json::from_str(&plain(&ran.stdout)).unwrap();
    let read: serde_json::Value = serde_saphyr::from_str(&plain(&yaml.stdout)).unwrap();
    assert_eq!(read, json, "YAML and JSON differ");
    let hashes = sandbox.run(&["compose", "hash"]).succeeded();
    assert_eq!(hashes.stdout.lines().count(), 4);
}

#[test]
fn every_problem_of_the_files_is_shown_with_its_line() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write(
        "config/overleaf.rc",
        "OVERLEAF_DATA_PATH=data/overleaf\nMONGO_IMAGE=mongo\nMONGO_VERSION=$(date)\nOVERLEAF_PORT=http\n  if true; then\n",
    );
    sandbox.write("config/version", "6.2\n");
    let ran = sandbox.run(&["compose", "config"]).ended_with(3);
    insta::assert_snapshot!(ran.stderr);
    let ran = sandbox
        .run(&["compose", "config", "--format", "json"])
        .ended_with(3);
    let error: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(error["ok"], false);
    assert_eq!(error["error"]["exit"], 3);
    assert_eq!(error["error"]["problems"][0]["where"]["line"], 3);
}

#[test]
fn a_missing_instance_or_file_names_the_next_command() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["plan"]).ended_with(3);
    insta::assert_snapshot!(ran.stderr, @r"
    error[NO_INSTANCE]: no instance was found
      because: neither `[ROOT]` nor a folder above it holds config/overleaf.rc
      fix:     toolkit init
    ");
    let sandbox = Sandbox::initialised(&[]);
    std::fs::remove_file(sandbox.root().join("config/version")).unwrap();
    let ran = sandbox.run(&["plan"]).ended_with(3);
    insta::assert_snapshot!(ran.stderr, @r"
    error[CONFIG_MISSING]: `[ROOT]/config/version` does not exist
      state:   nothing was changed
      fix:     write the release that ran last into it, such as `6.2.2`; the tag of the container's image tells it
    ");
    std::fs::create_dir(sandbox.root().join("config/version")).unwrap();
    let ran = sandbox.run(&["plan"]).ended_with(3);
    insta::assert_snapshot!(ran.stderr, @r"
    error[CONFIG_UNREADABLE]: cannot read `[ROOT]/config/version`
      because: Is a directory (os error 21)
      state:   nothing was changed
      fix:     make it a text file in UTF-8
    ");
}

#[test]
fn a_wrong_configuration_is_told_before_an_engine_that_is_away() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write("config/version", "no version\n");
    for command in [
        "plan", "up", "status", "stop", "start", "restart", "down", "logs",
    ] {
        let command = sandbox
            .command(&[command])
            .env("DOCKER_HOST", NO_ENGINE)
            .output();
        let ran = sandbox.ran(&command.unwrap()).ended_with(3);
        assert!(!ran.stderr.contains("ENGINE"), "{}", ran.stderr);
    }
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let sandbox = Sandbox::initialised(&[]);
    for command in ["plan", "up", "status", "stop", "start", "restart", "down"] {
        let ran = sandbox
            .command(&[command])
            .env("DOCKER_HOST", NO_ENGINE)
            .output()
            .unwrap();
        let ran = sandbox.ran(&ran).ended_with(8);
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.stderr, @r"
            error[ENGINE_UNREACHABLE]: no container engine answers at `unix:///nonexistent/engine.sock`
              because: `/nonexistent/engine.sock` does not exist
              state:   nothing was changed
              fix:     start the engine (`systemctl start docker`), or point DOCKER_HOST at one
            ");
        }
    }
    for (host, id) in [
        ("tcp://127.0.0.1:1", "ENGINE_UNREACHABLE"),
        ("ftp://example", "ENGINE_ENDPOINT"),
    ] {
        let ran = sandbox
            .command(&["plan"])
            .env("DOCKER_HOST", host)
            .output()
            .unwrap();
        let ran = sandbox.ran(&ran).ended_with(8);
        assert!(
            ran.stderr.starts_with(&format!("error[{id}]")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn an_instance_can_name_its_engine() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write(
        "config/toolkit.env",
        "# where this instance lives\nDOCKER_HOST='unix:///nonexistent/other.sock'\n",
    );
    let run = |host: Option<&str>| {
        let mut command = sandbox.command(&["status"]);
        command.env_remove("DOCKER_HOST");
        command.envs(host.map(|host| ("DOCKER_HOST", host)));
        sandbox.ran(&command.output().unwrap()).ended_with(8)
    };
    assert!(
        run(None)
            .stderr
            .contains("`unix:///nonexistent/other.sock`")
    );
    assert!(
        run(Some(NO_ENGINE)).stderr.contains(NO_ENGINE),
        "the environment counts more"
    );
    sandbox.write("config/toolkit.env", "OTHER=1\n");
    let ran = sandbox
        .command(&["status"])
        .env_remove("DOCKER_HOST")
        .output()
        .unwrap();
    let ran = sandbox.ran(&ran).ended_with(3);
    assert!(
        ran.stderr.contains("`OTHER` is not known here"),
        "{}",
        ran.stderr
    );
}

#[test]
fn wrong_usage_ends_with_2() {
    let sandbox = Sandbox::initialised(&[]);
    for arguments in [
        &["frobnicate"][..],
        &["up", "--nope"],
        &["plan", "--timeout", "soon"],
        &["init", "--edition", "gold"],
        &["serve", "postgres"],
        &["stop", "mango"],
        &["logs", "--since", "1h", "--until", "2h"],
        &["up", "--no-recreate"],
    ] {
        let ran = sandbox.run(arguments).ended_with(2);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    for (arguments, expected) in [
        (&["stop", "mango"][..], "did you mean `mongo`?"),
        (&["exec", "MONGO", "ls"], "did you mean `mongo`?"),
        (&["exec", "web", "ls"], "name `sharelatex` instead"),
        (&["shell", "Clsi"], "`clsi` is a part of the application"),
        (
            &["logs", "--since", "1h", "--until", "2h"],
            "`--since 1h` is later than `--until 2h`",
        ),
    ] {
        let ran = sandbox.run(arguments).ended_with(2);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

#[test]
fn what_up_passed_on_once_and_does_not_do_says_what_to_do() {
    let sandbox = Sandbox::initialised(&[]);
    let ran = sandbox
        .run(&["up", "-d", "--quiet-pull", "--build"])
        .ended_with(2);
    insta::assert_snapshot!(ran.stderr, @r"
    error[USAGE]: `--build` of `up` is not carried out
      because: images are not built here
      state:   nothing was changed
      fix:     build the image with `docker build`, and name it in config/docker-compose.override.yml
    ");
}

#[test]
fn an_override_file_changes_the_definitions() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write(
        "config/docker-compose.override.yml",
        "services:\n  sharelatex:\n    hostname: tex\n    environment: {A: '${NOPE:-b}'}\n  extra:\n    image: busybox\n    command: sleep 1\n",
    );
    let ran = sandbox
        .run(&["compose", "config", "--format", "json"])
        .ended_with(0);
    let model: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let sharelatex = &model["services"]["sharelatex"];
    assert_eq!(sharelatex["hostname"], "tex");
    assert_eq!(sharelatex["environment"]["A"], "b");
    assert_eq!(
        model["services"]["extra"]["command"],
        serde_json::json!(["sleep", "1"])
    );
}

#[test]
fn every_mistake_of_an_override_file_is_named_with_its_line() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write(
        "config/docker-compose.override.yml",
        "services:\n  sharelatex:\n    enviroment: {A: b}\n    hostname: 5\n    ports: ['8080:a']\n",
    );
    let ran = sandbox.run(&["compose", "config"]).ended_with(3);
    for expected in [
        "docker-compose.override.yml:3:5",
        "did you mean `environment`?",
        "docker-compose.override.yml:4:5",
        "docker-compose.override.yml:5:13",
        "`a` is not a port of the container",
    ] {
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
}

#[test]
fn other_files_of_variables_take_the_place_of_the_one_in_lib() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write("lib/.env", "TAG=lib\n");
    sandbox.write("a.env", "TAG=a");
    sandbox.write(
        "config/docker-compose.override.yml",
        "services: {extra: {image: 'i:${TAG:-none}'}}\n",
    );
    let file = sandbox.root().join("a.env");
    for (name, value, expected) in [
        ("UNRELATED", "1", "i:lib"),
        ("COMPOSE_DISABLE_ENV_FILE", "true", "i:none"),
        ("COMPOSE_ENV_FILES", file.to_str().unwrap(), "i:a"),
    ] {
        let output = sandbox
            .command(&["compose", "config"])
            .env(name, value)
            .output()
            .unwrap();
        let ran = sandbox.ran(&output).succeeded();
        assert!(ran.stdout.contains(expected), "{name}: {}", ran.stdout);
    }
}

#[test]
fn a_secret_in_an_override_file_is_not_shown_with_its_mistake() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write(
        "config/docker-compose.override.yml",
        "services:\n  sharelatex:\n    environment: {DB_PASS: hunter2, B: '${'}\n",
    );
    let ran = sandbox.run(&["compose", "config"]).ended_with(3);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn a_withdrawn_release_is_refused_unless_it_is_asked_for() {
    let sandbox = Sandbox::initialised(&["--release", "5.0.1"]);
    let ran = sandbox.run(&["compose", "hash"]).ended_with(3);
    assert!(
        ran.stderr.starts_with("error[RELEASE_RETRACTED]"),
        "{}",
        ran.stderr
    );
    sandbox.replace(
        "config/overleaf.rc",
        "PROJECT_NAME=overleaf",
        "PROJECT_NAME=overleaf\nOVERLEAF_SKIP_RETRACTION_CHECK=5.0.1",
    );
    sandbox.run(&["compose", "hash"]).succeeded();
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::initialised(&[]);
    let mut child = sandbox
        .command(&["compose", "config"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_instance_is_found_from_a_folder_below() {
    let sandbox = Sandbox::initialised(&[]);
    let below = sandbox.root().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    let output = sandbox
        .command(&["compose", "hash"])
        .current_dir(below)
        .output()
        .unwrap();
    sandbox.ran(&output).succeeded();
}

#[test]
fn a_compose_file_for_other_hands_initiates_the_replica_set_and_holds_no_other_file() {
    let sandbox = Sandbox::initialised(&[]);
    let ran = sandbox
        .run(&["compose", "file", "--output", "compose.yaml"])
        .ended_with(0);
    assert!(ran.stdout.contains("compose.yaml"), "{}", ran.stdout);
    let path = sandbox.root().join("compose.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("rs.initiate"), "{text}");
    assert!(!text.contains("env_file"), "{text}");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_program_that_is_older_than_its_sources_is_told() {
    let checkout = Sandbox::new();
    let script = std::fs::read_to_string(project().join("bin/toolkit")).unwrap();
    checkout.program("toolkit", &script);
    checkout.program("cargo", "#!/bin/sh\nexit 1\n");
    checkout.program("built", "#!/bin/sh\necho \"ran $*\"\n");
    let root = checkout.root();
    let built = "target/release/toolkit";
    std::fs::create_dir_all(root.join("target/release")).unwrap();
    std::fs::rename(root.join("bin/built"), root.join(built)).unwrap();
    let files = [
        "Cargo.toml",
        "Cargo.lock",
        "build.rs",
        "src/main.rs",
        "lib/a.toml",
        "lib/config-seed/a",
        "templates/a",
        // A file of the operator.
        "lib/.env",
    ];
    let folders = ["src", "lib", "lib/config-seed", "templates"];
    for path in files {
        checkout.write(path, "");
    }
    let now = SystemTime::now();
    let aged = |path: &str, hours: u64| {
        let file = std::fs::File::open(root.join(path)).unwrap();
        let age = Duration::from_hours(hours);
        file.set_modified(now - age).unwrap();
    };
    aged(built, 2);
    let bin = root.join("bin");
    let with_cargo = format!("/usr/bin:/bin:{}", bin.display());
    for newer in files {
        for path in files.into_iter().chain(folders) {
            aged(path, 3);
        }
        aged(newer, 1);
        let bare = ("/usr/bin:/bin", Path::new("/usr/bin/cargo").exists());
        for (path, can_build) in [(&*with_cargo, true), bare] {
            let output = Command::new(bin.join("toolkit"))
                .arg("up")
                .env_clear()
                .env("PATH", path)
                .output()
                .unwrap();
            let ran = checkout.ran(&output).succeeded();
            assert_eq!(ran.stdout, "ran up\n");
            let note = "note: the toolkit was built before its sources changed; `cargo build --release --locked` in [ROOT] builds it anew\n";
            let expected = match can_build && newer != "lib/.env" {
                true => note,
                false => "",
            };
            assert_eq!(ran.stderr, expected, "{newer}");
        }
    }
}
