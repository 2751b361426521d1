//! Rules about single values: form, limits, and whether anybody reads them.

use super::super::findings::Findings;
use super::super::folder::Folder;
use super::super::rule::Rule;
use super::names::is_needed_later;
use crate::release::Edition;
use crate::release::Version;
use crate::settings::RC_FILE;
use crate::settings::catalogue::SettingType;
use crate::settings::env_file::Entry;
use crate::settings::problem::{Problem, ProblemKind};
use crate::settings::variables::{VariableRow, VariableType};

/// Words that say "off" to a person.
const OFF: [&str; 4] = ["false", "0", "no", "off"];

/// The setting that a problem of the resolved settings is about.
fn setting_of<'a>(folder: &'a Folder<'_>, problem: &Problem) -> Option<&'a str> {
    let (name, _) = problem.text.split_once(':')?;
    folder.setting_row(name).map(|row| row.name.as_str())
}

/// Whether a problem stands in one of the three files.
fn is_in(folder: &Folder<'_>, problem: &Problem, file: &str) -> bool {
    let place = problem.place.as_ref();
    place.is_some_and(|place| place.file == folder.file(file))
}

pub(super) fn project_unnamed(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    take_warnings(rule, folder, findings, "PROJECT_NAME");
}

pub(super) fn mongo_version_in_image(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    take_warnings(rule, folder, findings, "MONGO_IMAGE");
}

/// Takes over what resolving warns of about a setting.
fn take_warnings(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings, name: &str) {
    for problem in &folder.resolved_problems {
        if problem.kind == ProblemKind::Warning && setting_of(folder, problem) == Some(name) {
            findings.take(rule, problem.clone(), None);
        }
    }
}

pub(super) fn setting_missing(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for problem in &folder.resolved_problems {
        let name = setting_of(folder, problem);
        if let Some(name) = name.filter(|name| !folder.rc.contains_key(*name))
            && problem.kind == ProblemKind::Error
        {
            findings.mark(name);
            findings.take(rule, problem.clone(), None);
        }
    }
}

pub(super) fn setting_value(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for problem in &folder.resolved_problems {
        let is_in_rc = is_in(folder, problem, RC_FILE);
        if problem.kind == ProblemKind::Error && is_in_rc && !findings.is_settled(problem) {
            findings.mark(setting_of(folder, problem).unwrap_or_default());
            findings.take(rule, problem.clone(), None);
        }
    }
}

pub(super) fn setting_without_effect(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for problem in &folder.resolved_problems {
        let mut names = folder.rc.iter();
        let name = names.find(|(_, assigned)| Some(&assigned.place) == problem.place.as_ref());
        let is_known = name.is_none_or(|(name, _)| folder.setting_row(name).is_some());
        let is_open = problem.kind == ProblemKind::Warning && !findings.is_settled(problem);
        if is_open && is_known && is_in(folder, problem, RC_FILE) {
            findings.mark(name.map_or("", |(name, _)| name));
            findings.take(rule, problem.clone(), None);
        }
    }
    of_another_release(rule, folder, findings);
}

/// Switches that are on and that this release does not have. Other settings of a switch that is off
/// say nothing.
fn of_another_release(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let Some(version) = &folder.version else {
        return;
    };
    for (name, assigned) in &folder.rc {
        let row = folder.setting_row(name);
        let row = row.filter(|row| row.kind == SettingType::Flag && assigned.value == "true");
        let Some(row) = row.filter(|_| !findings.has(name)) else {
            continue;
        };
        let is_before = |since: &&String| compared(version, since).is_lt();
        let is_after = |until: &&String| compared(version, until).is_gt();
        let text = if let Some(since) = row.since.as_ref().filter(is_before) {
            format!("{name} has no effect on {version}: it came with {since}")
        } else if let Some(until) = row.until.as_ref().filter(is_after) {
            format!("{name} has no effect on {version}: {until} was the last to read it")
        } else {
            continue;
        };
        let advice = "remove the line";
        findings.add(rule, name, assigned.place.clone(), &text, advice);
    }
}

/// The entries that have a value and a row, and about which nothing is said yet.
fn known<'a>(
    folder: &'a Folder<'_>,
    findings: &Findings,
) -> Vec<(&'a Entry, &'a str, &'a VariableRow)> {
    let entries = folder.variables.iter();
    entries
        .filter(|entry| !findings.has(&entry.name))
        .filter_map(|entry| {
            let value = entry.value.as_deref()?;
            Some((entry, value, folder.variable_row(&entry.name)?))
        })
        .collect()
}

fn is_off(value: &str) -> bool {
    OFF.contains(&value.trim().to_lowercase().as_str())
}

pub(super) fn secure_cookie(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for name in &rule.names {
        let entry = folder.entry(name);
        let value = entry.and_then(|entry| entry.value.as_deref());
        if let (Some(entry), Some(value)) = (entry, value)
            && is_off(value)
        {
            let text = format!("`{}={value}` switches secure cookies on", entry.name);
            findings.add(rule, &entry.name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn false_counts_as_on(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (entry, value, row) in known(folder, findings) {
        if row.kind == VariableType::Presence && is_off(value) {
            let text = format!("`{}={value}` switches it on", entry.name);
            findings.add(rule, &entry.name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn sandbox_on_community(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    if folder.edition != Edition::Community {
        return;
    }
    for name in &rule.names {
        let entry = folder.variables.iter().find(|entry| entry.name == *name);
        if let Some(entry) = entry
            && entry.value.as_deref() == Some("true")
        {
            let text = format!("Community Edition cannot compile with `{name}=true`");
            findings.add(rule, name, entry.place.clone(), &text, "");
        }
    }
    for name in &rule.names {
        let place = folder.input.changes.switched_on.get(name);
        if let Some(place) = place.filter(|_| !findings.has(name)) {
            let text = format!("Community Edition cannot compile with `{name}=true`");
            findings.add(rule, name, place.clone(), &text, "");
        }
    }
}

pub(super) fn set_by_toolkit(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (entry, _, row) in known(folder, findings) {
        if row.set_by_toolkit {
            let name = &entry.name;
            let text = format!("`{name}` is set by the toolkit, which wins over this line");
            findings.add(rule, name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn another_edition(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (entry, value, row) in known(folder, findings) {
        let says_nothing = value.is_empty()
            || is_off(value)
            || value == "none"
            || row.default.as_deref() == Some(value);
        if !row.is_read_by(folder.edition) && !says_nothing {
            let (name, edition) = (&entry.name, folder.edition);
            let text = format!("{edition} does not read `{name}`");
            let readers: Vec<&str> = row.editions.iter().map(String::as_str).collect();
            let advice = format!("remove the line, or set EDITION={}", readers.join(" or "));
            findings.add(rule, name, entry.place.clone(), &text, &advice);
        }
    }
}

pub(super) fn not_yet_read(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let Some(version) = &folder.version else {
        return;
    };
    for (entry, _, row) in known(folder, findings) {
        let name = &entry.name;
        if let Some(since) = &row.since
            && compared(version, since).is_lt()
            // Preparing an upgrade is no mistake.
            && !is_needed_later(folder, name)
        {
            let text = format!("{version} does not read `{name}`, which came with {since}");
            findings.add(rule, name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn no_longer_read(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let Some(version) = &folder.version else {
        return;
    };
    for (entry, _, row) in known(folder, findings) {
        let name = &entry.name;
        if let Some(until) = &row.until
            && compared(version, until).is_gt()
        {
            let text = format!("{version} does not read `{name}` any more; {until} was the last");
            findings.add(rule, name, entry.place.clone(), &text, "");
        }
    }
}

/// How a release compares with a release or a line of releases, `5.5.1` or `5.5`.
fn compared(version: &Version, other: &str) -> std::cmp::Ordering {
    let (major, minor, patch) = version.numbers();
    let other: Vec<u64> = other.split('.').filter_map(|n| n.parse().ok()).collect();
    let own = [major, minor, patch];
    own.into_iter().take(other.len()).cmp(other.iter().copied())
}

pub(super) fn number_out_of_range(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (entry, value, row) in known(folder, findings) {
        let is_number = value.parse::<i64>().is_ok();
        if row.kind == VariableType::Integer
            && is_number
            && let Some(objection) = row.objection(value)
        {
            let text = format!("`{}={value}`: {objection}", entry.name);
            findings.add(rule, &entry.name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn stops_services(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    objections(rule, folder, findings, true);
}

pub(super) fn wrong_form(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    objections(rule, folder, findings, false);
}

fn objections(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings, fatal: bool) {
    for (entry, value, row) in known(folder, findings) {
        // Empty counts as unset, except where the application parses it all the same.
        let is_judged = row.fatal == fatal && (fatal || !value.is_empty());
        if is_judged && let Some(objection) = row.objection(value) {
            let text = format!("{}: {objection}", entry.name);
            findings.add(rule, &entry.name, entry.place.clone(), &text, "");
        }
    }
}
