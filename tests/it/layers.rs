//! The arrows between modules: who may use whom. The tree is the architecture only as long as this
//! table is.

use std::collections::BTreeSet;

use super::sandbox::{files, project};

/// Each module with the modules it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("interpolation", &[]),
    ("image", &[]),
    ("labels", &[]),
    ("likeness", &[]),
    ("percent", &[]),
    ("secret", &[]),
    ("tls", &[]),
    ("event", &[]),
    ("observed", &["compose", "labels"]),
    ("diagnosis", &[]),
    ("servers", &[]),
    ("host", &[]),
    ("release", &[]),
    ("logs", &["release"]),
    (
        "gather",
        &["engine", "host", "likeness", "logs", "observed", "release"],
    ),
    ("journal", &["host"]),
    ("history", &["host"]),
    ("compose", &["interpolation", "likeness"]),
    ("texlive", &["compose"]),
    (
        "settings",
        &[
            "image",
            "interpolation",
            "likeness",
            "release",
            "secret",
            "texlive",
        ],
    ),
    ("lint", &["image", "release", "settings"]),
    (
        "deployment",
        &[
            "compose", "image", "release", "secret", "settings", "texlive",
        ],
    ),
    ("applied", &["compose", "host"]),
    ("plan", &["compose", "deployment", "labels", "observed"]),
    (
        "check",
        &[
            "compose",
            "deployment",
            "image",
            "labels",
            "likeness",
            "observed",
            "release",
            "settings",
        ],
    ),
    (
        "drift",
        &[
            "applied",
            "compose",
            "deployment",
            "labels",
            "observed",
            "plan",
        ],
    ),
    (
        "rollback",
        &[
            "deployment",
            "image",
            "journal",
            "labels",
            "observed",
            "plan",
            "release",
            "texlive",
        ],
    ),
    (
        "compiles",
        &[
            "compose", "engine", "image", "labels", "observed", "release",
        ],
    ),
    (
        "images",
        &[
            "compiles",
            "compose",
            "deployment",
            "engine",
            "image",
            "labels",
            "release",
            "texlive",
        ],
    ),
    (
        "engine",
        &[
            "compose", "image", "labels", "observed", "percent", "secret",
        ],
    ),
    (
        "probe",
        &[
            "deployment",
            "engine",
            "host",
            "observed",
            "release",
            "secret",
            "tls",
        ],
    ),
    (
        "observe",
        &[
            "compose",
            "deployment",
            "engine",
            "host",
            "labels",
            "observed",
            "probe",
            "release",
            "secret",
            "tls",
        ],
    ),
    ("report", &["engine", "observed"]),
    ("script", &["engine", "likeness", "release"]),
    (
        "stores",
        &[
            "compose",
            "deployment",
            "engine",
            "observed",
            "probe",
            "release",
            "secret",
            "tls",
        ],
    ),
    ("mail", &["secret", "tls"]),
    ("flush", &["engine", "stores"]),
    (
        "people",
        &[
            "engine", "likeness", "percent", "release", "script", "stores",
        ],
    ),
    (
        "site",
        &[
            "deployment",
            "engine",
            "host",
            "observed",
            "probe",
            "release",
            "secret",
            "stores",
        ],
    ),
    ("bundled", &["engine", "host", "labels", "servers"]),
    ("seed", &["host", "release", "settings"]),
    (
        "apply",
        &[
            "bundled",
            "compose",
            "deployment",
            "diagnosis",
            "engine",
            "event",
            "host",
            "journal",
            "labels",
            "observed",
            "plan",
            "probe",
            "secret",
            "texlive",
        ],
    ),
    (
        "ui",
        &[
            "check",
            "compiles",
            "deployment",
            "diagnosis",
            "drift",
            "engine",
            "event",
            "flush",
            "history",
            "images",
            "labels",
            "logs",
            "mail",
            "observed",
            "people",
            "plan",
            "report",
            "script",
            "settings",
            "site",
            "texlive",
        ],
    ),
    (
        "cli",
        &[
            "applied",
            "apply",
            "bundled",
            "check",
            "compiles",
            "compose",
            "deployment",
            "diagnosis",
            "drift",
            "engine",
            "event",
            "flush",
            "gather",
            "history",
            "host",
            "image",
            "images",
            "journal",
            "labels",
            "likeness",
            "lint",
            "logs",
            "mail",
            "observe",
            "observed",
            "people",
            "plan",
            "probe",
            "release",
            "report",
            "rollback",
            "script",
            "seed",
            "secret",
            "servers",
            "settings",
            "site",
            "stores",
            "texlive",
            "tls",
            "ui",
        ],
    ),
];

/// The modules that a text names, and where.
fn arrows(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("crate::") {
            let name: String = line[at + 7..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            found.push((number + 1, name));
        }
    }
    found
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for file in files("src", ".rs") {
        let relative = file.strip_prefix(project().join("src")).unwrap();
        let first = relative.iter().next().unwrap().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let row = ALLOWED.iter().find(|(name, _)| *name == module);
        let (_, allowed) = row.unwrap_or_else(|| panic!("`{module}` is not in the table"));
        seen.insert(module.clone());
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (line, used) in arrows(code) {
            if used.is_empty() {
                wrong.push(format!(
                    "{}:{line}: one `use crate::…` per module",
                    relative.display()
                ));
            } else if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}:{line}: {module} → {used}", relative.display()));
            }
        }
    }
    let listed: BTreeSet<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(seen, listed, "the table and the tree differ");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_docker_adapter_is_named_only_by_the_command_line() {
    for file in files("src", ".rs") {
        let relative = file
            .strip_prefix(project().join("src"))
            .unwrap()
            .to_path_buf();
        if relative.starts_with("cli") || relative.starts_with("engine") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for name in ["engine::docker", "bollard::"] {
            assert!(!text.contains(name), "{} names {name}", relative.display());
        }
    }
}
