//! `toolkit metrics`: every line of the text is one that Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::sandbox::Sandbox;
use super::status::{ill, measured, metrics_text, well};

/// An engine that is not there.
const NO_ENGINE: &str = "unix:///nonexistent/engine.sock";

/// A sample: its name and labels as they stand, and its value.
pub type Samples = BTreeMap<String, f64>;

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Reads labels `a="b",c="d"` with their escapes.
fn labels(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect(text);
        assert!(is_name(name), "{text}");
        let mut read = String::new();
        let mut characters = value.char_indices();
        let end = loop {
            let (at, character) = characters.next().expect(text);
            assert_ne!(character, '\n', "{text}");
            match character {
                '"' => break at,
                '\\' => {
                    let escape = characters.next().expect(text).1;
                    assert!(matches!(escape, 'n' | '\\' | '"'), "{text}");
                    read.push(if escape == 'n' { '\n' } else { escape });
                }
                other => read.push(other),
            }
        };
        assert!(found.insert(name.to_owned(), read).is_none(), "{text}");
        rest = &value[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    found
}

/// Reads a text as Prometheus does, and requires what its format does: each family once, with HELP
/// and TYPE before its samples, and no sample twice.
pub fn checked(text: &str) -> Samples {
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut samples = Samples::new();
    let mut families = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect(line);
            assert!(words.ends_with('.'), "{line}");
            assert!(families.insert(name.to_owned()), "{name} begins twice");
            (family, kind) = (name.to_owned(), String::new());
            continue;
        }
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, word) = typed.split_once(' ').expect(line);
            assert_eq!(name, family, "{line}");
            assert!(matches!(word, "gauge" | "counter"), "{line}");
            assert_eq!(word == "counter", name.ends_with("_total"), "{line}");
            kind = word.to_owned();
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect(line);
        let name = sample.split('{').next().unwrap();
        assert_eq!(name, family, "{line}");
        assert!(is_name(name) && name.starts_with("toolkit_"), "{line}");
        assert!(!kind.is_empty(), "{line} has no TYPE");
        if let Some(inner) = sample.strip_prefix(name).unwrap().strip_prefix('{') {
            labels(inner.strip_suffix('}').expect(line));
        }
        let value: f64 = value.parse().expect(line);
        assert!(value.is_finite(), "{line}");
        assert!(samples.insert(sample.to_owned(), value).is_none(), "{line}");
    }
    samples
}

#[test]
fn metrics_of_a_made_up_instance() {
    let text = metrics_text(&measured(well()));
    checked(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn metrics_leave_out_what_is_not_known() {
    let samples = checked(&metrics_text(&measured(ill())));
    assert_eq!(samples["toolkit_operation_unfinished"], 1.0);
    assert_eq!(samples["toolkit_store_answering{store=\"redis\"}"], 0.0);
    assert_eq!(samples["toolkit_mongo_takes_writes"], 0.0);
    for name in ["toolkit_pending_documents", "toolkit_mongo_disk_bytes"] {
        assert!(!samples.contains_key(name), "{name}");
    }
    let mut lost = measured(well());
    lost.engine = Err("no engine".to_owned());
    let samples = checked(&metrics_text(&lost));
    assert_eq!(samples["toolkit_engine_reachable"], 0.0);
    assert!(samples.contains_key("toolkit_disk_free_bytes{holds=\"images\"}"));
}

#[test]
fn metrics_escape_what_would_end_a_label() {
    let mut odd = measured(well());
    if let Some(file) = &mut odd.local.certificate
        && let Ok(found) = &mut file.found
    {
        found.subject = "a\"b\\c\nd".to_owned();
    }
    let text = metrics_text(&odd);
    checked(&text);
    assert!(text.contains(r#"{subject="a\"b\\c\nd"}"#), "{text}");
}

#[test]
fn metrics_go_into_a_file_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::initialised(&[]).environment("DOCKER_HOST", NO_ENGINE);
    sandbox.write(
        "config/variables.env",
        "OVERLEAF_EMAIL_SMTP_PASS=hunter2hunter2\n",
    );
    let ran = sandbox
        .run(&["metrics", "--output", "overleaf.prom"])
        .succeeded();
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr.contains("no container engine answers"),
        "{}",
        ran.stderr
    );
    let text = sandbox.read("overleaf.prom");
    let samples = checked(&text);
    assert_eq!(samples["toolkit_engine_reachable"], 0.0);
    assert!(!text.contains("hunter2"), "{text}");
    let path = sandbox.root().join("overleaf.prom");
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert!(!sandbox.root().join("overleaf.prom.new").exists());
    sandbox.run(&["metrics", "--format", "json"]).ended_with(2);
}

#[test]
fn metrics_are_served_to_this_machine_until_asked_to_stop() {
    let sandbox = Sandbox::initialised(&[]).environment("DOCKER_HOST", NO_ENGINE);
    let ran = sandbox
        .run(&["metrics", "serve", "--listen", "0.0.0.0:0"])
        .ended_with(2);
    insta::assert_snapshot!(ran.stderr);
    let mut server = sandbox
        .command(&["metrics", "serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut errors = BufReader::new(server.stderr.take().unwrap());
    errors.read_line(&mut said).unwrap();
    let port = said.split("127.0.0.1:").nth(1).expect(&said);
    let port: u16 = port.split('/').next().unwrap().parse().unwrap();
    let (status, text) = super::docker::http(port, "GET", "/metrics", "");
    assert_eq!(status, 200);
    assert_eq!(checked(&text)["toolkit_engine_reachable"], 0.0);
    assert_eq!(super::docker::http(port, "GET", "/", "").0, 404);
    // A mistake in the configuration is told, and mended without a new start.
    let before = sandbox.read("config/version");
    sandbox.write("config/version", "6.2\n");
    let (status, text) = super::docker::http(port, "GET", "/metrics", "");
    assert_eq!(
        (status, text.contains("configuration")),
        (500, true),
        "{text}"
    );
    sandbox.write("config/version", &before);
    assert_eq!(super::docker::http(port, "GET", "/metrics", "").0, 200);
    super::docker::signal(server.id(), "TERM");
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn only_a_file_is_replaced_and_a_dry_run_writes_nothing() {
    let sandbox = Sandbox::initialised(&[]).environment("DOCKER_HOST", NO_ENGINE);
    let (file, link) = (sandbox.root().join("kept"), sandbox.root().join("link"));
    std::fs::write(&file, "kept").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let ran = sandbox.run(&["metrics", "--output", "link"]).ended_with(2);
    assert!(
        ran.stderr.contains("error[OUTPUT_NOT_A_FILE]"),
        "{}",
        ran.stderr
    );
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let ran = sandbox.run(&["metrics", "--output", "kept", "--dry-run"]);
    assert!(ran.succeeded().stdout.contains("toolkit_info"));
    assert_eq!(sandbox.read("kept"), "kept");
    sandbox.run(&["metrics", "--output", "kept"]).succeeded();
    assert!(sandbox.read("kept").contains("toolkit_engine_reachable 0"));
}
