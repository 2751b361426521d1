//! Contents that do not reach a container as a file of the host: secrets and configs from a variable or
//! from the definition itself, and the text of seccomp profiles.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Definitions;
use crate::compose::Project;
use crate::compose::Values;
use crate::secret::Secret;
use crate::settings::Settings;

/// The contents by path, `None` for one that is named and not there.
pub(super) fn of(
    settings: &Settings,
    project: &Project,
    definitions: &Definitions<'_>,
) -> BTreeMap<String, Option<Secret>> {
    let mut contents = BTreeMap::new();
    for (section, entries) in [("secrets", &project.secrets), ("configs", &project.configs)] {
        for (name, entry) in entries {
            if let Some(content) = content(settings, entry, definitions) {
                contents.insert(format!("{section}.{name}"), content);
            }
        }
    }
    for service in project.services.values() {
        let options = service.rest.get("security_opt").and_then(Value::as_array);
        let options = options.into_iter().flatten().filter_map(Value::as_str);
        for file in options.filter_map(seccomp_file) {
            let path = settings.root.join("lib").join(file);
            let profile = (definitions.read)(&path).ok();
            let profile = profile.and_then(|text| serde_json::from_str::<Value>(&text).ok());
            let profile = profile.map(|profile| Secret::new(profile.to_string()));
            contents.insert(format!("seccomp={file}"), profile);
        }
    }
    contents
}

fn content(
    settings: &Settings,
    entry: &Values,
    definitions: &Definitions<'_>,
) -> Option<Option<Secret>> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    if let Some(content) = text("content") {
        return Some(Some(Secret::new(content)));
    }
    let name = text("environment")?;
    let value = settings.names.look_up(name, definitions.environment);
    Some(value.map(Secret::new))
}

/// The file that a security option names as a seccomp profile.
fn seccomp_file(option: &str) -> Option<&str> {
    let file = option
        .strip_prefix("seccomp=")
        .or_else(|| option.strip_prefix("seccomp:"))?;
    (!matches!(file, "unconfined" | "builtin")).then_some(file)
}
