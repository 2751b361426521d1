//! Rules about secrets: missing, too short, not matching, or open to everybody.

use super::super::findings::Findings;
use super::super::folder::Folder;
use super::super::rule::Rule;
use crate::settings::{RC_FILE, VARIABLES_FILE};

/// Permission bits that let other users of the machine read or change a file.
const OTHERS: u32 = 0o006;

pub(super) fn missing(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let Some(version) = &folder.version else {
        return;
    };
    for name in folder.releases.needs(version) {
        if folder.variable(name).is_none() && !findings.has(name) {
            let text = format!("Overleaf {version} does not start without `{name}`");
            findings.add(rule, name, folder.variable_place(name), &text, "");
        }
    }
}

pub(super) fn too_short(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for entry in &folder.variables {
        let value = entry.value.as_deref().unwrap_or_default();
        let row = folder.variable_row(&entry.name);
        let length = value.chars().count();
        if let Some(least) = row.and_then(|row| row.min_length)
            && length > 0
            && length < least
        {
            let name = &entry.name;
            let text = format!("`{name}` is too short: it needs at least {least} characters");
            findings.add(rule, name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn partial(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let is_set = |name: &&String| folder.variable(name).is_some();
    let (set, unset): (Vec<&String>, Vec<&String>) = rule.names.iter().partition(is_set);
    if let (Some(_), Some(first)) = (set.first(), unset.first()) {
        let names: Vec<String> = unset.iter().map(|name| format!("`{name}`")).collect();
        let text = format!(
            "{} of {} secrets that belong together are not set: {}",
            unset.len(),
            rule.names.len(),
            names.join(", ")
        );
        findings.add(rule, first, folder.variable_place(first), &text, "");
    }
}

pub(super) fn history(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let [one, other] = rule.names.as_slice() else {
        return;
    };
    let (Some(first), Some(second)) = (folder.variable(one), folder.variable(other)) else {
        return;
    };
    if first != second {
        let text = format!("`{one}` and `{other}` differ");
        findings.add(rule, other, folder.variable_place(other), &text, "");
    }
}

pub(super) fn readable(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let has_value = |value: Option<&String>| value.is_some_and(|value| !value.is_empty());
    let in_variables = folder
        .variables
        .iter()
        .any(|entry| folder.is_secret(&entry.name) && has_value(entry.value.as_ref()));
    // A URL without a password, such as that of the instance's own database, is no secret.
    let in_rc = folder
        .rc
        .iter()
        .any(|(name, assigned)| folder.is_secret(name) && assigned.value.contains('@'));
    for (name, holds_secrets) in [(VARIABLES_FILE, in_variables), (RC_FILE, in_rc)] {
        let file = folder.file(name);
        let mode = (folder.input.mode)(&file).filter(|mode| mode & OTHERS != 0);
        if let (Some(mode), true) = (mode, holds_secrets) {
            let text = format!(
                "{name} holds secrets, and every user of this machine can open it (mode {:03o})",
                mode & 0o777
            );
            let advice = format!("chmod 600 {}", file.display());
            findings.push_file(rule, &file, &text, &advice);
        }
    }
}

pub(super) fn private_key(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for name in &rule.names {
        let Some(file) = folder.path(name).filter(|_| folder.is_on("NGINX_ENABLED")) else {
            continue;
        };
        let mode = (folder.input.mode)(&file).filter(|mode| mode & OTHERS != 0);
        if let Some(mode) = mode {
            let text = format!(
                "{name}: every user of this machine can open the private key (mode {:03o})",
                mode & 0o777
            );
            let advice = format!("chmod 600 {}", file.display());
            findings.add(rule, name, folder.setting_place(name), &text, &advice);
        }
    }
}
