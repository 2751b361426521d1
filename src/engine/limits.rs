//! Keys of the Compose Specification that the engine adapter does not carry out, or only with a newer
//! engine: `lib/limits.toml`, embedded. They are rendered all the same; whoever is about to change
//! something asks first.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::compose::{Mount, MountSource, Place, Project, canonical};
use crate::observed::Refused;

const LIMITS_TOML: &str = include_str!("../../lib/limits.toml");

/// The form of `lib/limits.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    limit: Vec<Limit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    path: String,
    kind: Kind,
    api: Option<String>,
    value: Option<String>,
    advice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Refuse,
    Ignore,
    Api,
}

/// A key that is rendered and has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    /// Path of the key, such as `services.extra.deploy.mode`.
    pub path: String,
    /// Where it stands; `None` when no file of the operator says it.
    pub place: Option<Place>,
    /// What to do instead.
    pub advice: String,
}

/// What of a project is rendered and has no effect.
#[must_use]
pub fn not_applied(project: &Project) -> Vec<NotApplied> {
    let tree = canonical::plain(project);
    let rows = ROWS.iter().filter(|row| row.kind == Kind::Ignore);
    let found = rows.flat_map(|row| {
        paths(&tree, row).into_iter().map(|path| NotApplied {
            place: place(project, &path),
            path,
            advice: row.advice.clone(),
        })
    });
    let mut found: Vec<NotApplied> = found.collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// What of a project cannot be carried out, and would run otherwise than written if it were left out:
/// by any engine, and by one that speaks `api` as its newest version.
#[must_use]
pub fn refused(project: &Project, api: Option<(u32, u32)>) -> Vec<Refused> {
    let tree = canonical::plain(project);
    let mut found = Vec::new();
    for row in ROWS.iter() {
        let because = match (row.kind, row.api.as_deref().and_then(version), api) {
            (Kind::Refuse, ..) => "an engine alone cannot do it".to_owned(),
            (Kind::Api, Some(needed), Some(api)) if api < needed => format!(
                "it needs version {}.{} of the engine's API, and this engine has {}.{}",
                needed.0, needed.1, api.0, api.1
            ),
            _ => continue,
        };
        for path in paths(&tree, row) {
            let (because, fix) = (because.clone(), row.advice.clone());
            found.push(refusal(project, path, because, fix));
        }
    }
    restarts(project, &mut found);
    read_only(project, &mut found);
    labelled_binds(project, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// An engine refuses words that are no restart policy when it makes the container, and by then the old one
/// is gone. Docker Compose prints them, so that they are no mistake of the file's form.
fn restarts(project: &Project, found: &mut Vec<Refused>) {
    for (name, service) in &project.services {
        if let Some((key, Err(error))) = service.restart_policy() {
            let fix = match key {
                "restart" => "write no, always, unless-stopped, on-failure or on-failure:N",
                _ => "write none, on-failure or any",
            };
            let path = format!("services.{name}.{key}");
            found.push(refusal(project, path, error.to_string(), fix.to_owned()));
        }
    }
}

/// The engine puts no file into a container whose own file system is read-only.
fn read_only(project: &Project, found: &mut Vec<Refused>) {
    for (name, service) in &project.services {
        if service.rest.get("read_only") != Some(&Value::Bool(true)) {
            continue;
        }
        for grant in super::request::grants(project, service) {
            if grant.file.is_none() {
                let path = format!("services.{name}.{}", grant.section);
                let because = format!(
                    "`{}` has no `file`, and the service is read-only",
                    grant.source
                );
                let fix = "give it a `file`, or leave `read_only` out".to_owned();
                found.push(refusal(project, path, because, fix));
            }
        }
    }
}

/// An engine has labels of SELinux in one form of a bind only, and that has neither recursion nor
/// colons in paths.
fn labelled_binds(project: &Project, found: &mut Vec<Refused>) {
    for (path, mount, source) in binds(project) {
        if mount.selinux().is_none() {
            continue;
        }
        let because = if mount.recursion().is_some() {
            "an engine has no bind with both `selinux` and `recursive`"
        } else if source.contains(':') || mount.target.contains(':') {
            "an engine has no bind with both `selinux` and a colon in a path"
        } else {
            continue;
        };
        let fix =
            "leave `selinux` out, and label the path yourself with `chcon -Rt container_file_t`";
        let path = format!("{path}.bind.selinux");
        found.push(refusal(project, path, because.to_owned(), fix.to_owned()));
    }
}

/// Binds of which a missing path would be made by the engine, although the definition says no: those with
/// a label of SELinux. `is_there` tells whether a path exists.
#[must_use]
pub fn unmade(project: &Project, is_there: impl Fn(&str) -> bool) -> Vec<Refused> {
    let mut found = Vec::new();
    for (path, mount, source) in binds(project) {
        let MountSource::Bind { create: false, .. } = mount.source else {
            continue;
        };
        if mount.selinux().is_some() && !is_there(source) {
            let because = format!("`{source}` is not there, and `create_host_path` is not on");
            let fix = "make it there, or write `create_host_path: true`";
            let path = format!("{path}.source");
            found.push(refusal(project, path, because, fix.to_owned()));
        }
    }
    found
}

/// The mounts of paths, each with the path of its definition and of its source.
fn binds(project: &Project) -> impl Iterator<Item = (String, &Mount, &str)> {
    project.services.iter().flat_map(|(name, service)| {
        let mounts = service.volumes.iter().enumerate();
        mounts.filter_map(move |(at, mount)| match &mount.source {
            MountSource::Bind { path, .. } => {
                Some((format!("services.{name}.volumes[{at}]"), mount, &**path))
            }
            _ => None,
        })
    })
}

fn refusal(project: &Project, path: String, because: String, fix: String) -> Refused {
    Refused {
        place: place(project, &path),
        path,
        because,
        fix,
    }
}

/// The rows; an `up` asks for them twice.
static ROWS: LazyLock<Vec<Limit>> = LazyLock::new(|| {
    // Data that does not load limits nothing; a unit test keeps this from happening.
    toml::from_str(LIMITS_TOML).map_or_else(|_| Vec::new(), |limits: Limits| limits.limit)
});

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The paths in a tree that a row means, with `*` filled in.
fn paths(tree: &Value, row: &Limit) -> Vec<String> {
    let parts: Vec<&str> = row.path.split('.').collect();
    let mut found = Vec::new();
    let is_meant = |value: &Value| match (&row.value, value) {
        (None, value) => !value.is_null(),
        (Some(text), Value::String(value)) => value == text,
        (Some(text), Value::Bool(flag)) => text.parse() == Ok(*flag),
        (Some(_), _) => false,
    };
    descend(tree, &parts, &mut String::new(), &mut |path, value| {
        if is_meant(value) {
            found.push(path.to_owned());
        }
    });
    found
}

/// Tells of every value that the parts of a path lead to, with the path to it.
fn descend(value: &Value, parts: &[&str], path: &mut String, told: &mut dyn FnMut(&str, &Value)) {
    let Some((part, rest)) = parts.split_first() else {
        told(path, value);
        return;
    };
    let length = path.len();
    let mut enter = |key: &str, value: &Value| {
        if length > 0 && !key.starts_with('[') {
            path.push('.');
        }
        path.push_str(key);
        descend(value, rest, path, told);
        path.truncate(length);
    };
    match (value, *part) {
        (Value::Object(map), "*") => map.iter().for_each(|(key, value)| enter(key, value)),
        (Value::Array(items), "*") => {
            let items = items.iter().enumerate();
            items.for_each(|(at, value)| enter(&format!("[{at}]"), value));
        }
        (Value::Object(map), key) => {
            if let Some(value) = map.get(key) {
                enter(key, value);
            }
        }
        _ => {}
    }
}

/// The place of the nearest key at or above a path that a file of the operator says.
fn place(project: &Project, path: &str) -> Option<Place> {
    let mut known = path;
    loop {
        if let Some(place) = project.places.get(known) {
            return Some(place.clone());
        }
        known = known.rfind(['.', '[']).and_then(|at| known.get(..at))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;

    #[test]
    fn every_row_is_sound() {
        let limits: Limits = toml::from_str(LIMITS_TOML).unwrap();
        for row in limits.limit {
            assert_eq!(row.api.is_some(), row.kind == Kind::Api, "{}", row.path);
            if let Some(api) = &row.api {
                assert!(version(api).unwrap() > (1, 41), "{}", row.path);
            }
            assert!(!row.advice.ends_with('.'), "{}", row.path);
        }
    }

    #[test]
    fn what_is_no_restart_policy_is_refused_whatever_the_engine_is() {
        let text = r#"
services:
  a: {image: i, restart: unless_stopped}
  b: {image: i, restart: always, deploy: {restart_policy: {condition: sometimes}}}
  c: {image: i, restart: "on-failure:3"}
"#;
        let project = load::project(text, "p").unwrap();
        let found = refused(&project, None);
        let said: Vec<String> = found
            .iter()
            .map(|found| format!("{}: {}: {}", found.path, found.because, found.fix))
            .collect();
        assert_eq!(
            said,
            [
                "services.a.restart: `unless_stopped` is no restart policy: write no, always, \
                 unless-stopped, on-failure or on-failure:N",
                "services.b.deploy.restart_policy.condition: `sometimes` is no restart policy: \
                 write none, on-failure or any",
            ]
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_what_does_nothing_is_said() {
        let text = r#"
services:
  a:
    image: i
    build: .
    attach: false
    mac_address: 02:00:00:00:00:01
    deploy: {mode: replicated, replicas: 2}
    scale: 2
    pull_policy: always
    networks: {default: {gw_priority: 1}}
    volumes: [{type: volume, source: v, target: /v, volume: {subpath: s}}]
volumes: {v: }
"#;
        let project = load::project(text, "p").unwrap();
        let paths = |found: Vec<Refused>| -> Vec<String> {
            found.into_iter().map(|found| found.path).collect()
        };
        assert_eq!(
            paths(refused(&project, Some((1, 41)))),
            [
                "services.a.build",
                "services.a.mac_address",
                "services.a.networks.default.gw_priority",
                "services.a.volumes[0].volume.subpath",
            ]
        );
        assert_eq!(
            paths(refused(&project, Some((1, 49)))),
            ["services.a.build"]
        );
        assert_eq!(paths(refused(&project, None)), ["services.a.build"]);
        let ignored: Vec<String> = not_applied(&project)
            .into_iter()
            .map(|found| found.path)
            .collect();
        assert_eq!(ignored, ["services.a.attach", "services.a.deploy.mode"]);
    }

    #[test]
    fn a_label_is_refused_where_the_engine_has_none() {
        let text = r#"
services:
  a:
    image: i
    volumes:
      - {type: bind, source: /a, target: /a, bind: {selinux: Z, recursive: disabled}}
      - {type: bind, source: /b, target: /b, bind: {selinux: Z, recursive: enabled}}
      - {type: bind, source: "/c:c", target: /c, bind: {selinux: z}}
      - {type: bind, source: /d, target: /d, bind: {recursive: disabled}}
      - {type: bind, source: /e, target: /e, bind: {selinux: z, create_host_path: true}}
"#;
        let project = load::project(text, "p").unwrap();
        let paths = |found: Vec<Refused>| -> Vec<String> {
            found.into_iter().map(|found| found.path).collect()
        };
        let label = |at: usize| format!("services.a.volumes[{at}].bind.selinux");
        assert_eq!(paths(refused(&project, None)), [label(0), label(2)]);
        let source = |at: usize| format!("services.a.volumes[{at}].source");
        assert_eq!(
            paths(unmade(&project, |path| path == "/a")),
            [source(1), source(2)]
        );
    }

    #[test]
    fn a_file_cannot_be_put_into_a_read_only_service() {
        let text = "services: {a: {image: i, read_only: true, secrets: [s]}}\nsecrets: {s: {environment: S}}";
        let project = load::project(text, "p").unwrap();
        let found = refused(&project, None);
        assert_eq!(found.len(), 1);
        assert!(found[0].because.contains("read-only"), "{found:?}");
    }
}
