//! The scripts of an image as text and as JSON.

use serde_json::{Value, json};

use crate::script::listing::Listed;

/// The service whose scripts need no service in front.
const DEFAULT: &str = "web";

/// What is typed for a script: the service in front, unless it is the usual one.
#[must_use]
pub fn name(script: &Listed, usual: &str) -> String {
    match script.service == usual {
        true => script.path.clone(),
        false => format!("{}/{}", script.service, script.path),
    }
}

/// The scripts for people, one line each.
#[must_use]
pub fn view(scripts: &[Listed]) -> String {
    if scripts.is_empty() {
        return "this image has no scripts\n".to_owned();
    }
    let rows: Vec<(String, &str)> = scripts
        .iter()
        .map(|script| (name(script, DEFAULT), script.about.as_str()))
        .collect();
    let width = rows.iter().map(|(name, _)| name.chars().count());
    let width = width.max().unwrap_or(0);
    let lines = rows.iter().map(|(name, about)| {
        let line = format!("{name:<width$}  {about}");
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

/// The scripts for programs.
#[must_use]
pub fn value(scripts: &[Listed]) -> Value {
    let scripts = scripts.iter().map(|script| {
        json!({
            "service": script.service,
            "path": script.path,
            "name": name(script, DEFAULT),
            "about": script.about,
        })
    });
    json!({ "scripts": scripts.collect::<Vec<Value>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_other_services_have_the_service_in_front() {
        let one = |service: &str, path: &str, about: &str| Listed {
            service: service.to_owned(),
            path: path.to_owned(),
            about: about.to_owned(),
        };
        let listed = [
            one("project-history", "scripts/a.js", "Does it"),
            one("web", "scripts/b.mjs", ""),
        ];
        assert_eq!(
            view(&listed),
            "project-history/scripts/a.js  Does it\nscripts/b.mjs\n"
        );
        assert_eq!(value(&listed)["scripts"][1]["name"], "scripts/b.mjs");
        assert_eq!(view(&[]), "this image has no scripts\n");
    }
}
