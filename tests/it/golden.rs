//! Whole configuration folders with what Docker Compose 2.40.3 makes of them under the upstream
//! toolkit (commit 1ddb723): `tests/data/golden.json`. Every case is equal, hash labels included,
//! or stands in `tests/data/golden-exceptions.toml` with the reason why ours is better. That list also
//! names cases of the same kinds that are not in this selection.
//!
//! `@ROOT@`, `@EXT@` and `@HOME@` stand for folders that are made for each case.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Case {
    name: String,
    refused: bool,
    inputs: Inputs,
    #[serde(default)]
    config: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Inputs {
    files: BTreeMap<String, String>,
    symlinks: BTreeMap<String, String>,
    dirs: Vec<String>,
    remove: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: Option<String>,
}

#[derive(Deserialize)]
struct Exceptions {
    exception: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    case: String,
    reason: String,
}

/// The folders of one case.
struct Place {
    base: tempfile::TempDir,
}

impl Place {
    fn made_for(inputs: &Inputs) -> Self {
        let place = Self {
            base: tempfile::tempdir().unwrap(),
        };
        for folder in ["toolkit/config", "toolkit/data", "ext", "home"] {
            fs::create_dir_all(place.base.path().join(folder)).unwrap();
        }
        for folder in &inputs.dirs {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        for (path, text) in &inputs.files {
            let path = place.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, place.real(text)).unwrap();
        }
        for (path, target) in &inputs.symlinks {
            let path = place.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let _ = fs::remove_file(&path);
            symlink(place.real(target), path).unwrap();
        }
        for path in &inputs.remove {
            let path = place.path(path);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                let _ = fs::remove_file(path);
            }
        }
        place
    }

    fn root(&self) -> PathBuf {
        self.base.path().join("toolkit")
    }

    fn tokens(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("@ROOT@", self.root()),
            ("@EXT@", self.base.path().join("ext")),
            ("@HOME@", self.base.path().join("home")),
        ]
    }

    fn real(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (token, path) in self.tokens() {
            text = text.replace(token, path.to_str().unwrap());
        }
        text
    }

    fn path(&self, text: &str) -> PathBuf {
        self.root().join(self.real(text))
    }

    fn run(&self, inputs: &Inputs, arguments: &[&str]) -> Output {
        let folder = inputs
            .cwd
            .as_ref()
            .map_or_else(|| self.root(), |cwd| self.path(cwd));
        let mut command = Command::new(env!("CARGO_BIN_EXE_toolkit"));
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", self.base.path().join("home"))
            .env("TOOLKIT_ROOT", self.root())
            .stdin(Stdio::null());
        for (name, value) in &inputs.env {
            command.env(name, self.real(value));
        }
        command.output().unwrap()
    }
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What differs, `None` when nothing does.
fn difference(case: &Case) -> Option<String> {
    let place = Place::made_for(&case.inputs);
    let ran = place.run(&case.inputs, &["compose", "config", "--format", "json"]);
    if case.refused {
        return ran
            .status
            .success()
            .then(|| "upstream refuses it, and ours does not".to_owned());
    }
    if !ran.status.success() {
        return Some(format!("refused: {}", String::from_utf8_lossy(&ran.stdout)));
    }
    let found: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let wanted = case.config.as_ref()?.to_string();
    let wanted: Value = serde_json::from_str(&place.real(&wanted)).unwrap();
    let mut differences = Vec::new();
    compare(&wanted, &found, "", &mut differences);
    (!differences.is_empty()).then(|| differences.join("\n    "))
}

/// Keys under which Docker Compose's own order says nothing.
const UNORDERED: [&str; 6] = [
    "ports",
    "volumes",
    "links",
    "expose",
    "extra_hosts",
    "security_opt",
];

fn compare(wanted: &Value, found: &Value, path: &str, out: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let keys: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (wanted.get(key), found.get(key)) {
                    (Some(wanted), Some(found)) => compare(wanted, found, &path, out),
                    (wanted, found) => out.push(format!("{path}: want {wanted:?}, got {found:?}")),
                }
            }
        }
        (Value::Array(wanted), Value::Array(found)) => {
            let key = path.rsplit('.').next().unwrap_or_default();
            let sorted = |items: &[Value]| {
                let mut texts: Vec<String> = items.iter().map(ordered).collect();
                if UNORDERED.contains(&key) {
                    texts.sort();
                }
                texts
            };
            if sorted(wanted) != sorted(found) {
                out.push(format!("{path}: want {wanted:?}, got {found:?}"));
            }
        }
        _ if wanted == found => {}
        _ => out.push(format!("{path}: want {wanted}, got {found}")),
    }
}

/// A value as text, whatever the order of its keys.
fn ordered(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, String> = map
                .iter()
                .map(|(key, value)| (key, ordered(value)))
                .collect();
            format!("{sorted:?}")
        }
        other => other.to_string(),
    }
}

#[test]
fn every_case_is_equal_or_better_for_a_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden-exceptions.toml");
    let exceptions: Exceptions = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut excused: BTreeMap<String, String> = exceptions
        .exception
        .into_iter()
        .map(|exception| (exception.case, exception.reason))
        .collect();
    let cases = cases();
    let (mut equal, mut wrong) = (0, Vec::new());
    for case in &cases {
        match (difference(case), excused.remove(&case.name)) {
            (None, None) => equal += 1,
            (Some(_), Some(reason)) => assert!(!reason.is_empty(), "{}", case.name),
            (Some(text), None) => wrong.push(format!("{}\n    {text}", case.name)),
            (None, Some(_)) => wrong.push(format!("{}: equal, so no exception", case.name)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ ({equal} equal):\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
