//! The configuration as text and as JSON: what is in force, and why one name has its value.

use std::path::Path;

use serde_json::{Value, json};

use super::reference;
use super::words::Style;
use crate::settings::Origin;
use crate::settings::effective::{Configured, Effective};
use crate::settings::explain::{Explanation, Subject};
use crate::settings::problem::Place;
use crate::settings::{RC_FILE, VARIABLES_FILE, VERSION_FILE};

/// Widest value that the column behind it keeps clear of.
const WIDEST: usize = 44;

/// What is shown of a configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    /// Names that are not set as well.
    pub all: bool,
    /// The default beside each value that differs from it.
    pub defaults: bool,
}

/// What is in force, for people; changed values come first. `version` is the text of the version
/// file.
#[must_use]
pub fn view(
    configured: &Configured,
    version: &str,
    root: &Path,
    what: Shown,
    style: Style,
) -> String {
    let groups = [
        (RC_FILE, chosen(&configured.settings, what)),
        (VARIABLES_FILE, chosen(&configured.variables, what)),
    ];
    let rows = || groups.iter().flat_map(|(_, rows)| rows);
    let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let names = widest(&mut rows().map(|one| one.name.len()));
    let values = widest(&mut rows().map(|one| value(one).chars().count().min(WIDEST)));
    let mut text = format!("{}\n  {version}\n", style.dim(VERSION_FILE));
    for (file, rows) in &groups {
        text.push_str(&format!("\n{}\n", style.dim(file)));
        for one in rows {
            let mark = if one.is_changed { "*" } else { " " };
            let value = value(one);
            let gap = " ".repeat(values.saturating_sub(value.chars().count()));
            let from = style.dim(&from(one, root, what));
            text.push_str(&format!(
                "{} {:<names$}  {value}{gap}  {from}\n",
                style.green(mark),
                one.name
            ));
        }
    }
    text
}

fn chosen(all: &[Effective], what: Shown) -> Vec<&Effective> {
    let mut chosen: Vec<&Effective> = all
        .iter()
        .filter(|one| what.all || one.origin.is_some())
        .collect();
    // Stable, so that the order of the catalogue stays within each part.
    chosen.sort_by_key(|one| (!one.is_changed, one.origin.is_none()));
    chosen
}

fn value(one: &Effective) -> String {
    one.shown.as_deref().map_or("-".to_owned(), one_line)
}

fn from(one: &Effective, root: &Path, what: Shown) -> String {
    let mut text = match &one.origin {
        Some(origin) => origin_words(origin, root),
        None => "not set".to_owned(),
    };
    if what.defaults
        && one.origin != Some(Origin::Default)
        && let Some(default) = &one.default
    {
        text.push_str(&format!(" (default: {})", one_line(default)));
    }
    if !one.is_known {
        text.push_str(" (not a name this program knows)");
    }
    text
}

/// A value on one line: line ends and other control characters as escapes.
fn one_line(value: &str) -> String {
    value
        .chars()
        .map(|c| match c.is_control() {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        })
        .collect()
}

fn origin_words(origin: &Origin, root: &Path) -> String {
    match origin {
        Origin::File(place) => place_words(place, root),
        other => other.to_string(),
    }
}

/// A place as people read it: relative to the instance, without a column.
fn place_words(place: &Place, root: &Path) -> String {
    let file = place.file.strip_prefix(root).unwrap_or(&place.file);
    format!("{}:{}", file.display(), place.line)
}

/// What is in force, for machines.
#[must_use]
pub fn data(configured: &Configured, version: &str, root: &Path, what: Shown) -> Value {
    let list = |all: &[Effective]| -> Vec<Value> {
        chosen(all, what).into_iter().map(effective_data).collect()
    };
    json!({
        "root": root,
        "version": version,
        "settings": list(&configured.settings),
        "variables": list(&configured.variables),
    })
}

/// One name with what is in force for it, for machines. A secret is masked.
#[must_use]
pub fn effective_data(one: &Effective) -> Value {
    json!({
        "name": one.name,
        "value": one.shown,
        "origin": one.origin.as_ref().map(origin_data),
        "default": one.default,
        "changed": one.is_changed,
        "known": one.is_known,
        "secret": one.is_secret,
    })
}

fn origin_data(origin: &Origin) -> Value {
    match origin {
        Origin::Default => json!({ "kind": "default" }),
        Origin::Environment => json!({ "kind": "environment" }),
        Origin::File(place) => json!({
            "kind": "file",
            "file": place.file,
            "line": place.line,
            "column": place.column,
        }),
    }
}

fn place_data(place: &Place) -> Value {
    json!({ "file": place.file, "line": place.line, "column": place.column })
}

/// Why a name has its value, for people.
#[must_use]
pub fn explanation(found: &Explanation, root: &Path, style: Style) -> String {
    let (what, texts, facts) = subject(&found.subject);
    let mut text = format!("{}  {}\n", style.green(&found.name), style.dim(what));
    for line in texts {
        text.push_str(&format!("  {line}\n"));
    }
    let mut facts = facts;
    facts.push((String::new(), String::new()));
    facts.extend(value_facts(found, root));
    let widest = facts.iter().map(|(label, _)| label.len()).max();
    let width = widest.unwrap_or(0) + 1;
    for (label, fact) in facts {
        let label = if label.is_empty() {
            label
        } else {
            format!("{label}:")
        };
        let line = format!("  {label:<width$}  {fact}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What a subject is in words, the lines of its text, and its facts with their labels.
fn subject(subject: &Subject) -> (&'static str, Vec<String>, Vec<(String, String)>) {
    match subject {
        Subject::Setting(row) => (
            "setting of config/overleaf.rc",
            vec![row.text.clone()],
            reference::setting_facts(row),
        ),
        Subject::Variable(rows) => {
            let mut facts = Vec::new();
            for row in rows {
                facts.extend(reference::variable_facts(row));
            }
            (
                "variable of config/variables.env",
                rows.iter().map(|row| row.text.clone()).collect(),
                facts,
            )
        }
        Subject::Helper => (
            "name in config/overleaf.rc",
            vec!["Not a setting: it has an effect only where other lines refer to it".to_owned()],
            Vec::new(),
        ),
        Subject::Stranger => (
            "name in the environment of the containers",
            vec!["Not a variable this program knows; it is handed over as it is".to_owned()],
            Vec::new(),
        ),
    }
}

fn value_facts(found: &Explanation, root: &Path) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut add = |label: &str, fact: String| facts.push((label.to_owned(), fact));
    let effective = found.effective.as_ref();
    let shown = effective.and_then(|one| one.shown.as_deref());
    let is_masked = effective.is_some_and(|one| one.is_secret);
    add(
        "value",
        match shown {
            Some("") => "empty".to_owned(),
            Some(value) if is_masked => format!(
                "{} (secret; `toolkit config get {} --reveal` shows it)",
                one_line(value),
                found.name
            ),
            Some(value) => one_line(value),
            None => "not set".to_owned(),
        },
    );
    match effective.and_then(|one| one.origin.as_ref()) {
        Some(Origin::File(place)) => add("set by", place_words(place, root)),
        Some(other) => add("from", other.to_string()),
        None => {}
    }
    for line in found.lines.iter().filter(|line| !line.is_in_force) {
        let place = place_words(&line.place, root);
        add("overrides", format!("{place}  {}", one_line(&line.shown)));
    }
    if let Some(offered) = &found.offered {
        add(
            "offered",
            format!("{}, commented out", place_words(offered, root)),
        );
    }
    match &found.received {
        Some(all) if all.is_empty() => add("containers", "none receives it".to_owned()),
        Some(all) => {
            for one in all {
                let from = if one.is_from_variables {
                    VARIABLES_FILE
                } else {
                    "set by the definition or docker-compose.override.yml"
                };
                let value = one_line(&one.shown);
                add(
                    "containers",
                    format!("`{}` gets {value} ({from})", one.service),
                );
            }
        }
        None => {}
    }
    if let Some(objection) = &found.objection {
        add("problem", objection.clone());
    }
    for note in &found.notes {
        add("note", note.replace(&format!("{}/", root.display()), ""));
    }
    facts
}

/// Why a name has its value, for machines.
#[must_use]
pub fn explanation_data(found: &Explanation) -> Value {
    let (kind, rows) = match &found.subject {
        Subject::Setting(row) => ("setting", vec![reference::setting_data(row)]),
        Subject::Variable(rows) => (
            "variable",
            rows.iter().map(reference::variable_data).collect(),
        ),
        Subject::Helper => ("helper", Vec::new()),
        Subject::Stranger => ("unknown", Vec::new()),
    };
    let lines = found.lines.iter().map(|line| {
        json!({
            "where": place_data(&line.place),
            "written": line.shown,
            "in_force": line.is_in_force,
        })
    });
    let received = found.received.as_ref().map(|all| {
        let all = all.iter().map(|one| {
            json!({
                "service": one.service,
                "value": one.shown,
                "from_variables": one.is_from_variables,
            })
        });
        all.collect::<Vec<Value>>()
    });
    json!({
        "name": found.name,
        "kind": kind,
        "reference": rows,
        "effective": found.effective.as_ref().map(effective_data),
        "lines": lines.collect::<Vec<Value>>(),
        "offered": found.offered.as_ref().map(place_data),
        "containers": received,
        "problem": found.objection,
        "notes": found.notes,
    })
}

/// Names to choose from: `A`, `B` or `C`.
#[must_use]
pub fn choice(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}
