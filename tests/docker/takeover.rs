//! A project that Docker Compose started is taken over as it is, and one that this program brought up
//! is left as it is by Docker Compose.
//!
//! The program is the one that `TOOLKIT_TEST_COMPOSE` names, or a Docker Compose 2 on the path; without
//! one there is nothing to compare with, and the test says that it was skipped.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use super::instance::Instance;

/// The words that start Docker Compose 2 on this machine.
fn compose() -> Option<Vec<String>> {
    let named = std::env::var("TOOLKIT_TEST_COMPOSE").ok();
    let named = named.filter(|name| !name.is_empty()).map(|name| vec![name]);
    let on_path = [vec!["docker", "compose"], vec!["docker-compose"]];
    let on_path = on_path.map(|words| words.into_iter().map(ToOwned::to_owned).collect());
    named
        .into_iter()
        .chain(on_path)
        .find(|words: &Vec<String>| {
            let version = Command::new(&words[0])
                .args(&words[1..])
                .args(["version", "--short"])
                .output();
            version.is_ok_and(|output| {
                let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                output.status.success() && text.trim_start_matches('v').starts_with("2.")
            })
        })
}

/// Runs Docker Compose on a file.
fn run(words: &[String], file: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(&words[0])
        .args(&words[1..])
        .arg("-f")
        .arg(file)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The hash of each service that Docker Compose would write.
fn hashes(words: &[String], file: &Path) -> BTreeMap<String, String> {
    let output = run(words, file, &["config", "--hash", "*"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(service, hash)| (service.to_owned(), hash.to_owned()))
        .collect()
}

#[test]
fn compose_and_the_toolkit_leave_each_others_containers_alone() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let Some(words) = compose() else {
        eprintln!("skipped: there is no Docker Compose 2 and TOOLKIT_TEST_COMPOSE is not set");
        return;
    };
    // Makes the images of the bundled servers.
    instance.run(&["up", "-d"]).succeeded();
    instance.run(&["down"]).succeeded();
    let file = instance.sandbox.root().join("compose.yaml");
    let write = || {
        let arguments = ["compose", "file", "--output", "compose.yaml"];
        instance.run(&arguments).succeeded();
    };

    // What Docker Compose made is recognised, and nothing is to do.
    write();
    run(&words, &file, &["up", "-d"]);
    let made: Vec<_> = instance.ids();
    assert_eq!(made.len(), 3);
    let ran = instance.run(&["plan", "--detailed-exitcode"]).ended_with(0);
    assert_eq!(instance.plan(), "", "{}", ran.stdout);

    // One changed setting is one difference.
    let variables = "config/variables.env";
    let text = instance.sandbox.read(variables);
    let line = text.lines().count() + 1;
    let text = format!(
        "{}\nOVERLEAF_NAV_TITLE=Taken Over\n",
        text.trim_end_matches('\n')
    );
    instance.sandbox.write(variables, &text);
    let ran = instance.run(&["plan", "--detailed-exitcode"]).ended_with(4);
    let expected = format!(
        "environment OVERLEAF_NAV_TITLE: unset → \"Taken Over\" (config/variables.env:{line})"
    );
    assert!(ran.stdout.contains(&expected), "{}", ran.stdout);
    for other in ["mongo", "redis"] {
        let name = format!("{}-{other}-1", instance.project);
        assert!(!ran.stdout.contains(&name), "{}", ran.stdout);
    }
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.plan(), "");
    let ours: BTreeMap<String, String> = instance.ids().into_iter().collect();
    for (service, id) in made {
        assert_eq!(ours[&service] == id, service != "sharelatex", "{service}");
    }

    // Docker Compose finds nothing to do either, as far as its hash is that of 2.40: an older one
    // counts dependencies.
    write();
    let theirs = hashes(&words, &file);
    let labels: BTreeMap<String, Option<String>> = instance
        .containers()
        .into_iter()
        .map(|mut found| {
            let hash = found.labels.remove(toolkit::labels::CONFIG_HASH);
            (found.service, hash)
        })
        .collect();
    let agreed: Vec<&String> = theirs
        .iter()
        .filter(|(service, hash)| labels[*service].as_ref() == Some(*hash))
        .map(|(service, _)| service)
        .collect();
    assert!(agreed.len() >= 2, "{theirs:?} {labels:?}");
    let output = run(&words, &file, &["up", "-d"]);
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(!said.contains("incorrect label"), "{said}");
    assert!(!said.contains("was not created by"), "{said}");
    let after: BTreeMap<String, String> = instance.ids().into_iter().collect();
    for service in agreed {
        assert_eq!(after[service], ours[service], "{service}: {said}");
    }
    // And whatever an older one did, there is nothing for us to do about it.
    assert_eq!(instance.plan(), "");
    instance.run(&["down"]).succeeded();
}

#[test]
fn compose_with_the_definitions_of_the_toolkit_leaves_its_stores_alone() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let Some(words) = compose() else {
        eprintln!("skipped: there is no Docker Compose 2 and TOOLKIT_TEST_COMPOSE is not set");
        return;
    };
    let script = format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "));
    instance.sandbox.program("docker-compose", &script);
    let path = format!(
        "{}:/usr/bin:/bin",
        instance.sandbox.root().join("bin").display()
    );
    let compose = |arguments: &[&str]| {
        instance.note_volumes();
        let output = instance
            .sandbox
            .command(&[&["docker-compose"], arguments].concat())
            .env("PATH", &path)
            .output()
            .unwrap();
        instance.sandbox.ran(&output).succeeded()
    };
    let stores = || -> BTreeMap<String, String> {
        let mut ids: BTreeMap<_, _> = instance.ids().into_iter().collect();
        ids.retain(|service, _| service != "sharelatex");
        ids
    };
    instance.run(&["up"]).succeeded();
    let made = stores();
    assert_eq!(made.len(), 2);
    let ran = compose(&["up", "-d", "mongo", "redis"]);
    assert_eq!(stores(), made, "{}", ran.all());
    assert_eq!(instance.plan(), "");

    // Where there is none, mongo comes up with what initiates its replica set, and stays so.
    compose(&["down"]);
    compose(&["up", "-d", "mongo", "redis"]);
    let made = stores();
    assert_eq!(made.len(), 2);
    let ran = compose(&["up", "-d", "mongo", "redis"]);
    assert_eq!(stores(), made, "{}", ran.all());
    instance.run(&["down"]).succeeded();
}
