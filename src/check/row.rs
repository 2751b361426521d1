//! The checks as data: `lib/checks.toml`, embedded. What a check looks at is a function; what it is
//! called, how bad it is, what it is compared with and what it keeps from going on stands in that
//! file, and the reference is made of it.

use serde::Deserialize;
use thiserror::Error;

const CHECKS_TOML: &str = include_str!("../../lib/checks.toml");

/// How bad it is when a check fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The operation is refused.
    Block,
    /// It works, with a danger or a limit.
    Warn,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// The word of the data file and of the reference.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Warn => "warn",
            Self::Info => "info",
        }
    }
}

/// What asks for checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// `up`, and what does the same.
    Up,
    /// `plan`.
    Plan,
    /// `restart`.
    Restart,
    /// `start`.
    Start,
    /// `down`.
    Down,
    /// `doctor`, which runs every check.
    Doctor,
}

impl Operation {
    /// The word of the data file and of the reference.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Plan => "plan",
            Self::Restart => "restart",
            Self::Start => "start",
            Self::Down => "down",
            Self::Doctor => "doctor",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Stable id.
    pub id: String,
    /// How bad it is when it fails.
    pub severity: Severity,
    /// What is looked at, in one line without a final period.
    pub title: String,
    /// What goes wrong without it.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// Where that is known from.
    pub source: String,
    /// Whether `--ignore` passes it.
    #[serde(default = "yes")]
    pub ignorable: bool,
    /// The operations that run it.
    pub gates: Vec<Operation>,
}

fn yes() -> bool {
    true
}

/// A range of kernels on which some MongoDB servers do not run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KernelRow {
    /// First MongoDB concerned.
    pub(super) mongo_from: String,
    /// First kernel concerned.
    pub(super) kernel_from: String,
    /// First kernel that works again.
    pub(super) kernel_until: String,
    /// What happens there.
    pub(super) why: String,
    /// Variable of the mongo container that avoids it, and what its value has to contain.
    pub(super) variable: String,
    pub(super) value: String,
}

/// What a processor has to offer to some MongoDB servers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessorRow {
    /// First MongoDB concerned.
    pub(super) mongo_from: String,
    /// Architecture in Go's words.
    pub(super) architecture: String,
    /// Name in `/proc/cpuinfo`.
    pub(super) feature: String,
    /// Name for people.
    pub(super) name: String,
}

/// A series of MongoDB releases; the rows rise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MongoRow {
    /// The series.
    pub(super) series: String,
    /// Lowest feature compatibility version of data that it opens.
    pub(super) opens_from: String,
}

/// Who has to own a folder for data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnerRow {
    /// The setting that names the folder.
    pub(super) setting: String,
    /// The service.
    pub(super) service: String,
    /// User of the image.
    pub(super) user: u32,
    /// Group of the image.
    pub(super) group: u32,
    /// Whether the image, started as root, gives the folder to its user.
    pub(super) takes_over: bool,
    /// Whether the user makes files right in it; otherwise it only passes through.
    pub(super) writes: bool,
}

/// How much has to be left.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpaceRow {
    /// MiB where images live while an image is to be pulled.
    pub(super) pull_mib: u64,
    /// MiB where images live otherwise.
    pub(super) run_mib: u64,
    /// MiB where data lives.
    pub(super) data_mib: u64,
    /// Hundredth parts where data lives below which the application itself speaks of little space.
    pub(super) low_percent: u64,
    /// Files that may still be made, everywhere.
    pub(super) files: u64,
}

/// What is asked of the engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EngineRow {
    /// Oldest API that works.
    pub(super) oldest_api: (u32, u32),
    /// Product that brought it.
    pub(super) oldest_product: String,
    /// Oldest API that is recommended.
    pub(super) recommended_api: (u32, u32),
    /// Product that brought it.
    pub(super) recommended_product: String,
    /// Where a snap's engine keeps its things.
    pub(super) snap_root: String,
    /// The only place that a snap's engine sees.
    pub(super) snap_sees: String,
    /// Pairs of architectures: a machine of the first runs images of the second.
    pub(super) also_runs: Vec<(String, String)>,
    /// First port that needs no privilege.
    pub(super) first_free_port: u16,
}

/// Kinds of filesystems; one that ends in `.*` stands for all that begin so.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesystemRow {
    /// On which mongo loses data or does not start.
    pub(super) not_for_mongo: Vec<String>,
    /// Whose content ends with a reboot.
    pub(super) volatile: Vec<String>,
}

/// All that the checks are compared with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The checks, in the order in which they are applied and shown.
    #[serde(rename = "check")]
    pub checks: Vec<Check>,
    pub(super) engine: EngineRow,
    #[serde(rename = "kernel")]
    pub(super) kernels: Vec<KernelRow>,
    #[serde(rename = "processor")]
    pub(super) processors: Vec<ProcessorRow>,
    pub(super) mongo: Vec<MongoRow>,
    #[serde(rename = "owner")]
    pub(super) owners: Vec<OwnerRow>,
    pub(super) space: SpaceRow,
    pub(super) filesystem: FilesystemRow,
}

/// The embedded file is not well-formed. A test loads it, so no user sees this.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// It is not the TOML that is expected.
    #[error("`lib/checks.toml` does not have the expected form")]
    Form(#[from] toml::de::Error),
    /// A row has no function.
    #[error("`lib/checks.toml` has a check `{0}` without a function")]
    Unknown(String),
}

/// Loads all rows, in the order of the file.
///
/// # Errors
/// The embedded file is not well-formed; a unit test keeps this from happening.
pub fn load() -> Result<Registry, RegistryError> {
    Ok(toml::from_str(CHECKS_TOML)?)
}

/// The reference of all checks, as Markdown: `docs/checks.md`.
#[must_use]
pub fn reference(registry: &Registry) -> String {
    let checks = &registry.checks;
    let rows = checks.iter().map(|check| {
        let (id, severity, title) = (&check.id, check.severity.word(), &check.title);
        let anchor = id.to_lowercase();
        format!("| [`{id}`](#{anchor}) | {severity} | {title} |\n")
    });
    let sections = checks.iter().map(|check| {
        let words: Vec<&str> = check.gates.iter().map(|gate| gate.word()).collect();
        let passed = if check.ignorable {
            format!("`--ignore {} --reason TEXT` passes it", check.id)
        } else {
            "it cannot be ignored".to_owned()
        };
        format!(
            "\n### {}\n\n{}: {}.\n\n- Why: {}.\n- Fix: {}.\n- Run by: {}; {passed}.\n- Source: {}.\n",
            check.id,
            check.severity.word(),
            check.title,
            check.why,
            check.fix,
            words.join(", "),
            check.source
        )
    });
    let head = include_str!("../../lib/checks.md");
    format!(
        "{head}\n## Checks\n\n| check | severity | looks at |\n| --- | --- | --- |\n{}{}",
        rows.collect::<String>(),
        sections.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_says_what_why_and_what_to_do() {
        let registry = load().unwrap();
        for check in &registry.checks {
            let is_plain = |c: char| c.is_ascii_uppercase() || c == '_';
            assert!(check.id.chars().all(is_plain), "{}", check.id);
            for text in [&check.title, &check.why, &check.fix, &check.source] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{}", check.id);
            }
            let by_doctor = check.gates.contains(&Operation::Doctor);
            assert!(by_doctor, "doctor does not run {}", check.id);
        }
        let ids: BTreeSet<&str> = registry.checks.iter().map(|check| &*check.id).collect();
        assert_eq!(ids.len(), registry.checks.len(), "a check is listed twice");
        let looks: BTreeSet<&str> = super::super::looks::LOOKS
            .iter()
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(ids, looks, "the rows and the functions differ");
    }

    #[test]
    fn every_check_is_shown_to_fail_and_to_pass() {
        let tests = [
            include_str!("tests.rs"),
            include_str!("tests/engine.rs"),
            include_str!("tests/paths.rs"),
            include_str!("tests/ports.rs"),
            include_str!("tests/stores.rs"),
        ]
        .concat();
        for check in load().unwrap().checks {
            for word in ["fails", "passes"] {
                let expected = format!("{word}(\"{}\"", check.id);
                assert!(tests.contains(&expected), "no test says {expected})");
            }
        }
    }
}
