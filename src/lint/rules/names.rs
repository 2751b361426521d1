//! Rules about names: misspelt, in the wrong file, of the wrong brand, or left from an example.

use super::super::findings::Findings;
use super::super::folder::{Folder, other_brand};
use super::super::rule::Rule;
use crate::release::Version;
use crate::settings::RC_FILE;
use crate::settings::env_file::Entry;
use crate::settings::problem::{Place, ProblemKind};
use crate::settings::variables;

pub(super) fn misspelt_setting(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for problem in &folder.resolved_problems {
        let mut names = folder.rc.iter();
        let name = names.find(|(_, assigned)| Some(&assigned.place) == problem.place.as_ref());
        let Some((name, _)) = name.filter(|(name, _)| folder.setting_row(name).is_none()) else {
            continue;
        };
        if problem.kind == ProblemKind::Warning && !findings.has(name) {
            findings.mark(name);
            findings.take(rule, problem.clone(), None);
        }
    }
}

pub(super) fn old_brand_settings(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let is_old = |name: &str| name.starts_with("SHARELATEX_");
    let old = folder.rc.iter().filter(|(name, _)| is_old(name));
    let mut old: Vec<_> = old.collect();
    old.sort_by_key(|(_, assigned)| assigned.place.line);
    let Some((_, first)) = old.first() else {
        return;
    };
    let named = old
        .iter()
        .map(|(name, assigned)| (name.as_str(), assigned.place.line));
    let text = format!("overleaf.rc does not know {}", old_names(named));
    findings.push(rule, first.place.clone(), &text, "");
    for (name, assigned) in old {
        findings.mark(name);
        settle(folder, findings, &assigned.place);
    }
}

/// Notes that a finding says what resolving refuses at a place.
fn settle(folder: &Folder<'_>, findings: &mut Findings, place: &Place) {
    let problems = folder.resolved_problems.iter();
    for problem in problems.filter(|problem| problem.place.as_ref() == Some(place)) {
        if problem.kind == ProblemKind::Error {
            findings.settle(problem);
        }
    }
}

/// `2 names of the old brand: A (line 1), B (line 2)`.
fn old_names<'a>(names: impl Iterator<Item = (&'a str, usize)>) -> String {
    let names: Vec<String> = names
        .map(|(name, line)| format!("`{name}` (line {line})"))
        .collect();
    let noun = if names.len() == 1 { "name" } else { "names" };
    format!(
        "{} {noun} of the old brand: {}",
        names.len(),
        names.join(", ")
    )
}

pub(super) fn variable_in_rc(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (name, assigned) in &folder.rc {
        let is_variable = folder.setting_row(name).is_none() && folder.variable_row(name).is_some();
        if is_variable && !is_referred_to(folder, name) && !findings.has(name) {
            let text = format!("`{name}` is a variable and has no effect in overleaf.rc");
            findings.add(rule, name, assigned.place.clone(), &text, "");
        }
    }
}

pub(super) fn unused_name(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (name, assigned) in &folder.rc {
        // What is exported may be meant for Docker Compose or another program.
        let is_unknown = folder.setting_row(name).is_none() && !assigned.is_exported;
        if is_unknown && !is_referred_to(folder, name) && !findings.has(name) {
            let text = format!("`{name}` is not a setting, and no line refers to it");
            findings.add(rule, name, assigned.place.clone(), &text, "");
        }
    }
}

/// Whether a line of overleaf.rc uses the name in a value.
fn is_referred_to(folder: &Folder<'_>, name: &str) -> bool {
    let text = folder.text(RC_FILE);
    [format!("${name}"), format!("${{{name}")]
        .iter()
        .flat_map(|reference| {
            text.match_indices(reference.as_str())
                .map(|(at, found)| at + found.len())
        })
        .any(|end| {
            let after = text.get(end..).and_then(|rest| rest.chars().next());
            !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        })
}

pub(super) fn old_brand_variables(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    if folder.version.is_none() || folder.reads_old_brand() {
        return;
    }
    let entries = folder.variables.iter();
    let old = entries.filter(|entry| entry.name.contains("SHARELATEX"));
    let what = "this release refuses to start with";
    brand(rule, folder, findings, what, old);
}

pub(super) fn new_brand_too_early(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    if !folder.reads_old_brand() {
        return;
    }
    let entries = folder.variables.iter();
    let early = entries.filter(|entry| entry.name.starts_with("OVERLEAF_"));
    let what = "releases below 5.0 do not read";
    brand(rule, folder, findings, what, early);
}

fn brand<'a>(
    rule: &Rule,
    folder: &Folder<'_>,
    findings: &mut Findings,
    what: &str,
    entries: impl Iterator<Item = &'a Entry>,
) {
    let entries: Vec<&Entry> = entries.collect();
    let Some(first) = entries.first() else {
        return;
    };
    let lines: Vec<String> = entries
        .iter()
        .map(|entry| format!("`{}` (line {})", entry.name, entry.place.line))
        .collect();
    let noun = if lines.len() == 1 {
        "variable"
    } else {
        "variables"
    };
    let text = format!("{what} {} {noun}: {}", lines.len(), lines.join(", "));
    findings.push(rule, first.place.clone(), &text, "");
    for entry in entries {
        settle(folder, findings, &entry.place);
    }
}

/// Whether a later release refuses to start without the variable.
pub(super) fn is_needed_later(folder: &Folder<'_>, name: &str) -> bool {
    let newest = Version::new(u64::MAX, 0, 0);
    let needs = folder.releases.needs(&newest);
    needs.iter().any(|needed| needed == name)
}

pub(super) fn leftover_texmfvar(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for entry in &folder.variables {
        let problems = folder.resolved_problems.iter();
        let mut here = problems.filter(|problem| problem.place.as_ref() == Some(&entry.place));
        if rule.names.contains(&entry.name)
            && let Some(problem) = here.next()
        {
            findings.mark(&entry.name);
            findings.take(rule, problem.clone(), None);
        }
    }
}

pub(super) fn old_path(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    if folder.version.is_none() || folder.reads_old_brand() {
        return;
    }
    for entry in &folder.variables {
        let value = entry.value.as_deref().unwrap_or_default();
        let old = rule
            .values
            .iter()
            .find(|path| value.contains(path.as_str()));
        if let Some(old) = old
            && !findings.has(&entry.name)
        {
            let text = format!("`{}` points to `{old}`", entry.name);
            findings.add(rule, &entry.name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn setting_in_variables(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for entry in &folder.variables {
        let name = &entry.name;
        let is_setting = folder.setting_row(name).is_some() && folder.variable_row(name).is_none();
        if is_setting && !findings.has(name) {
            let text = format!("`{name}` is a setting and has no effect in variables.env");
            findings.add(rule, name, entry.place.clone(), &text, "");
        }
    }
}

/// Whether no catalogue has the name, under either brand.
fn is_unknown(folder: &Folder<'_>, name: &str) -> bool {
    let known =
        |name: &str| folder.variable_row(name).is_some() || folder.setting_row(name).is_some();
    !known(name) && !other_brand(name).is_some_and(|other| known(&other))
}

pub(super) fn misspelt_variable(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for entry in &folder.variables {
        let name = &entry.name;
        if findings.has(name) || !is_unknown(folder, name) {
            continue;
        }
        // A name that ends in a number, or goes on where the other ends, is one of a family.
        let nearest = variables::nearest(&folder.variable_rows, name);
        if let Some(nearest) = nearest.filter(|nearest| !is_of_a_family(name, nearest)) {
            let text = format!("`{name}` is not a variable of Overleaf");
            let advice = format!("did you mean `{nearest}`?");
            findings.add(rule, name, entry.place.clone(), &text, &advice);
        }
    }
}

/// Whether two names differ in whole words only, as `…_HOST` and `…_HOST_2` do.
fn is_of_a_family(one: &str, other: &str) -> bool {
    let longer = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('_'));
    longer(one, other) || longer(other, one)
}

pub(super) fn unknown_variable(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for entry in &folder.variables {
        let name = &entry.name;
        let is_branded = rule.values.iter().any(|brand| name.starts_with(brand));
        if is_branded && is_unknown(folder, name) && !findings.has(name) {
            let text = format!("`{name}` is not a variable of Overleaf");
            findings.add(rule, name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn example_value(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for entry in &folder.variables {
        let value = entry.value.as_deref().unwrap_or_default();
        let mut examples = rule.values.iter();
        let Some(example) = examples.find(|example| names_host(value, example)) else {
            continue;
        };
        let text = format!("`{}` still holds the example `{example}`", entry.name);
        findings.push(rule, entry.place.clone(), &text, "");
    }
}

/// Whether a text names the host or one below it.
fn names_host(text: &str, host: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.match_indices(host).any(|(at, found)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(found).unwrap_or_default();
        !before.ends_with(is_part) && !after.starts_with(|c| is_part(c) || c == '.')
    })
}
