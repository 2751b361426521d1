//! Rules about where data is kept: redis, and the folders of the services.

use std::path::PathBuf;

use super::super::findings::Findings;
use super::super::folder::Folder;
use super::super::rule::Rule;

pub(super) fn aof_off(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for name in &rule.names {
        if folder.is_on("REDIS_ENABLED") && !folder.is_on(name) {
            let value = folder.setting(name);
            let text = if folder.rc.contains_key(name) {
                format!("`{name}={value}`: redis does not write each change to disk")
            } else {
                format!("`{name}` is not set, so redis does not write each change to disk")
            };
            findings.add(rule, name, folder.setting_place(name), &text, "");
        }
    }
}

/// The pairs of names by which the application's services find redis: two name families for one
/// value. What the toolkit sets itself counts as set.
pub(super) fn redis_one_family(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let pairs = rule.names.iter().zip(&rule.values);
    for (branded, plain) in pairs {
        let (one, other) = (folder.variable(branded), folder.variable(plain));
        let shown = folder.entry(branded).map_or(branded, |entry| &entry.name);
        let (set, unset) = match (one, other) {
            (Some(_), None) => (shown, plain),
            (None, Some(_)) => (plain, shown),
            (Some(one), Some(other)) if one != other => {
                let text = format!("`{shown}` and `{plain}` differ");
                findings.add(rule, plain, folder.variable_place(plain), &text, "");
                continue;
            }
            _ => continue,
        };
        let advice = format!("set `{unset}` to the same value");
        let text = format!("`{set}` is set and `{unset}` is not");
        findings.add(rule, set, folder.variable_place(set), &text, &advice);
    }
    if !folder.is_on("REDIS_ENABLED") {
        host_in_variables(rule, folder, findings);
        port_of_one_family(rule, folder, findings);
    }
}

/// The toolkit passes REDIS_PORT on under one name only, as upstream does.
fn port_of_one_family(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let (setting, variable) = ("REDIS_PORT", "OVERLEAF_REDIS_PORT");
    let port = folder.setting(setting);
    let row = folder.setting_row(setting);
    let is_usual = row.is_some_and(|row| row.default.as_ref() == Some(&port));
    if !is_usual && folder.variable(variable) != Some(port.as_str()) {
        let text = format!("{setting}={port} reaches half of the services only");
        let advice = format!("set `{variable}={port}` in variables.env as well");
        findings.add(rule, setting, folder.setting_place(setting), &text, &advice);
    }
}

/// An external redis that only variables.env names: the toolkit sets both names from overleaf.rc.
fn host_in_variables(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (name, setting) in [
        ("OVERLEAF_REDIS_HOST", "REDIS_HOST"),
        ("REDIS_HOST", "REDIS_HOST"),
        ("REDIS_PORT", "REDIS_PORT"),
    ] {
        let Some(value) = folder.variable(name) else {
            continue;
        };
        let in_force = folder.setting(setting);
        if value != in_force && !findings.has(name) {
            let text = format!("`{name}={value}` has no effect: {setting}={in_force} is in force");
            let advice = format!("write `{setting}={value}` into overleaf.rc and remove this line");
            let place = folder.variable_place(name);
            findings.add(rule, name, place, &text, &advice);
        }
    }
}

pub(super) fn paths_overlap(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let paths = data_paths(folder);
    for (at, (name, path)) in paths.iter().enumerate() {
        let mut earlier = paths.iter().take(at);
        if let Some((other, _)) = earlier.find(|(_, other)| other == path) {
            let text = format!("{name} and {other} are the same folder");
            findings.add(rule, name, folder.setting_place(name), &text, "");
        }
        let is_inside = |(inner, other): &&(&str, PathBuf)| {
            other != path && other.starts_with(path) && !is_of_one_service(inner, name)
        };
        let inside: Vec<&str> = paths
            .iter()
            .filter(is_inside)
            .map(|(inner, _)| *inner)
            .collect();
        // Where one folder holds several, it is the odd one.
        let (odd, verb) = match inside.as_slice() {
            [] => continue,
            [only] => (*only, "lies"),
            _ => (*name, "lie"),
        };
        let text = format!("{} {verb} inside {name}", inside.join(" and "));
        findings.add(rule, odd, folder.setting_place(odd), &text, "");
    }
}

/// The logs and the data of the application are its own.
fn is_of_one_service(one: &str, other: &str) -> bool {
    let of_application = ["OVERLEAF_DATA_PATH", "OVERLEAF_LOG_PATH"];
    of_application.contains(&one) && of_application.contains(&other)
}

/// The folders that containers write to, with the settings that name them.
fn data_paths<'a>(folder: &Folder<'_>) -> Vec<(&'a str, PathBuf)> {
    let services = [
        ("OVERLEAF_DATA_PATH", None),
        ("OVERLEAF_LOG_PATH", None),
        ("MONGO_DATA_PATH", Some("MONGO_ENABLED")),
        ("REDIS_DATA_PATH", Some("REDIS_ENABLED")),
        ("GIT_BRIDGE_DATA_PATH", Some("GIT_BRIDGE_ENABLED")),
    ];
    let is_used = |switch: Option<&str>| switch.is_none_or(|switch| folder.is_on(switch));
    let used = services.into_iter().filter(|(_, switch)| is_used(*switch));
    used.filter_map(|(name, _)| Some((name, folder.path(name)?)))
        .collect()
}
