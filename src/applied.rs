//! What was last applied completely: the project, the texts it came from, and what the mounted
//! files held. `rollback` goes back to it, `drift` and the history compare with it.
//!
//! `.toolkit/applied.json` holds secrets and is readable for its owner only.

mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::compose::LoadError;
use crate::compose::MountSource;
use crate::compose::Project;
use crate::compose::canonical;
use crate::compose::load;
use crate::host;
use crate::host::HostError;
use crate::host::durable;

pub use file::Fingerprint;

/// The version of the format that this program writes and the newest that it reads.
pub const FORMAT: u64 = 1;

/// Files of an instance whose texts are kept, below its root.
const CONFIGURATION: [&str; 6] = [
    "config/overleaf.rc",
    "config/variables.env",
    "config/version",
    "config/docker-compose.override.yml",
    "config/toolkit.env",
    "lib/.env",
];

/// What was applied.
#[derive(Clone, PartialEq)]
pub struct Applied {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Identifier of the operation; `None` when there was nothing to do.
    pub operation: Option<String>,
    /// The project.
    pub project: Project,
    /// The texts of the configuration, by path below the root. They hold secrets.
    pub texts: BTreeMap<String, String>,
    /// What the mounted files held, by their path.
    pub files: BTreeMap<PathBuf, Fingerprint>,
}

impl std::fmt::Debug for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applied")
            .field("at", &self.at)
            .field("operation", &self.operation)
            .field("texts", &self.texts.keys())
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Why it cannot be kept or read.
#[derive(Debug, Error)]
pub enum AppliedError {
    /// A file cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A newer program wrote it, or it is damaged.
    #[error("`{}` cannot be read by this program", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// The project in it does not load any more.
    #[error("the project in `{}` is not a definition", path.display())]
    Project {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: LoadError,
    },
}

fn file_of(state: &Path) -> PathBuf {
    state.join("applied.json")
}

/// What is applied now: the project with the present texts of its instance and the present content
/// of the files that it mounts. Of a mounted file that this user may not read nothing is known; a
/// key that belongs to root is one.
///
/// # Errors
/// A text of the configuration is there and cannot be read.
pub fn of(project: &Project, root: &Path, operation: Option<&str>) -> Result<Applied, HostError> {
    let mut files = BTreeMap::new();
    for path in mounted_files(project) {
        match host::fingerprint(&path) {
            Ok(Some(found)) => files.insert(path, found.into()),
            Ok(None) => None,
            Err(_) => files.insert(path, Fingerprint::unknown()),
        };
    }
    Ok(Applied {
        at: host::stamp(host::now()),
        operation: operation.map(ToOwned::to_owned),
        project: project.clone(),
        texts: texts(root)?,
        files,
    })
}

/// The present texts of the configuration of an instance, by path below its root.
///
/// # Errors
/// A file is there and cannot be read.
pub fn texts(root: &Path) -> Result<BTreeMap<String, String>, HostError> {
    let mut texts = BTreeMap::new();
    for name in CONFIGURATION {
        let path = root.join(name);
        if host::exists(&path) {
            texts.insert(name.to_owned(), host::read_text(&path)?);
        }
    }
    Ok(texts)
}

/// The files of the host that the services of a project mount or are granted, by path. Folders are
/// data, and not among them.
#[must_use]
pub fn mounted_files(project: &Project) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for service in project.services.values() {
        for mount in &service.volumes {
            if let MountSource::Bind { path, .. } = &mount.source {
                paths.push(PathBuf::from(path));
            }
        }
    }
    for grants in [&project.secrets, &project.configs] {
        let files = grants.values();
        let files = files.filter_map(|grant| grant.get("file")?.as_str());
        paths.extend(files.map(PathBuf::from));
    }
    // Sockets and devices hold nothing that could be compared.
    paths.retain(|path| !host::is_folder(path));
    paths.sort();
    paths.dedup();
    paths
}

/// Keeps what was applied completely.
///
/// # Errors
/// The file cannot be written; the one before is then whole.
pub fn save(state: &Path, applied: &Applied) -> Result<(), AppliedError> {
    let text = serde_json::to_string(&to_store(applied)).unwrap_or_default();
    Ok(durable::put_private(&file_of(state), &text)?)
}

/// Whether the same is kept already, but for its time and operation. What cannot be read is not.
#[must_use]
pub fn is_kept(state: &Path, applied: &Applied) -> bool {
    let mut wanted = to_store(applied);
    let Ok(Some(kept)) = stored(state) else {
        return false;
    };
    wanted.at.clone_from(&kept.at);
    wanted.operation.clone_from(&kept.operation);
    wanted == kept
}

/// The texts of the configuration that was last applied completely, by path below the root of the
/// instance. They hold secrets.
///
/// # Errors
/// The file cannot be read, or a newer program wrote it.
pub fn kept_texts(state: &Path) -> Result<Option<BTreeMap<String, String>>, AppliedError> {
    Ok(stored(state)?.map(|stored| stored.texts))
}

/// When something was last applied completely, RFC 3339; `None` when nothing was yet.
///
/// # Errors
/// The file cannot be read, or a newer program wrote it.
pub fn applied_at(state: &Path) -> Result<Option<String>, AppliedError> {
    Ok(stored(state)?.map(|stored| stored.at))
}

/// What was last applied completely; `None` when nothing was yet.
///
/// # Errors
/// The file cannot be read, or a newer program wrote it.
pub fn load(state: &Path) -> Result<Option<Applied>, AppliedError> {
    let Some(stored) = stored(state)? else {
        return Ok(None);
    };
    let project = project_of(&stored).map_err(|source| AppliedError::Project {
        path: file_of(state),
        source,
    })?;
    Ok(Some(Applied {
        at: stored.at,
        operation: stored.operation,
        project,
        texts: stored.texts,
        files: stored.files,
    }))
}

fn to_store(applied: &Applied) -> file::Stored {
    file::Stored {
        format: FORMAT,
        at: applied.at.clone(),
        operation: applied.operation.clone(),
        toolkit: env!("CARGO_PKG_VERSION").to_owned(),
        name: applied.project.name.clone(),
        project: canonical::readable(&applied.project),
        texts: applied.texts.clone(),
        files: applied.files.clone(),
    }
}

fn stored(state: &Path) -> Result<Option<file::Stored>, AppliedError> {
    let path = file_of(state);
    if !host::exists(&path) {
        return Ok(None);
    }
    let text = host::read_text(&path)?;
    let stored: Option<file::Stored> = serde_json::from_str(&text).ok();
    match stored.filter(|stored| stored.format <= FORMAT) {
        Some(stored) => Ok(Some(stored)),
        None => Err(AppliedError::Unreadable { path }),
    }
}

/// The project, which the canonical form holds with every `$` doubled.
fn project_of(stored: &file::Stored) -> Result<Project, LoadError> {
    let file = load::File {
        path: PathBuf::from("applied.json"),
        text: escaped(&stored.project.to_string()),
        is_literal: false,
    };
    let loaded = load::load(&load::Request {
        name: &stored.name,
        is_named: true,
        folder: Path::new("/"),
        files: &[file],
        variables: &|_| None,
        profiles: &["*".to_owned()],
        home: None,
        // Everything is in the text already.
        read: &|_| Err(std::io::ErrorKind::NotFound.into()),
        read_variables: &|_, _, _| Ok(Vec::new()),
    })?;
    Ok(loaded.project)
}

/// JSON with the characters escaped that JSON permits in a text and YAML does not, or reads as the
/// end of a line.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests look at the world directly"
)]
mod tests {
    use super::*;

    #[test]
    fn a_project_comes_back_with_the_same_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("nginx.conf");
        std::fs::write(&mounted, "a").unwrap();
        let text = format!(
            "services:\n  a:\n    image: x:1\n    command: [sh, -c, 'echo $$HOME ${{X}}']\n    environment:\n      EMPTY: ''\n      ODD: \"a\\tb: #'\\u007f\\\"\"\n      UNSET:\n      NUMBER: '0644'\n    ports: ['127.0.0.1:80:80']\n    volumes: ['{}:/etc/nginx.conf:ro', '/tmp:/data']\n    networks: {{n: {{aliases: [b]}}}}\n    blkio_config: {{device_read_bps: [{{path: /dev/sda, rate: 1mb}}], weight_device: [{{path: /dev/sda, weight: 9}}]}}\n    deploy: {{resources: {{limits: {{memory: 50M}}}}}}\n    healthcheck: {{test: [CMD, 'true'], interval: 90s}}\n    profiles: [p]\nnetworks:\n  n: {{}}\n",
            mounted.display()
        );
        let project = {
            let file = load::File {
                path: PathBuf::from("compose.yaml"),
                text,
                is_literal: true,
            };
            load::load(&load::Request {
                name: "p",
                is_named: true,
                folder: Path::new("/"),
                files: &[file],
                variables: &|_| None,
                profiles: &["*".to_owned()],
                home: None,
                read: &|_| Err(std::io::ErrorKind::NotFound.into()),
                read_variables: &|_, _, _| Ok(Vec::new()),
            })
            .unwrap()
            .project
        };
        let applied = of(&project, folder.path(), Some("1")).unwrap();
        assert_eq!(applied.files.keys().collect::<Vec<_>>(), [&mounted]);
        save(folder.path(), &applied).unwrap();
        let mode = host::mode(&file_of(folder.path())).unwrap();
        assert_eq!(mode, 0o600);
        assert!(is_kept(folder.path(), &applied));
        let back = load(folder.path()).unwrap().unwrap();
        assert_eq!(canonical::json(&back.project), canonical::json(&project));
        for (name, service) in &project.services {
            assert_eq!(
                canonical::service_hash(back.project.services.get(name).unwrap()),
                canonical::service_hash(service)
            );
        }
        assert_eq!((back.files, back.texts), (applied.files, applied.texts));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_unknown_and_differs_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody can read a link that leads to itself, not even root.
        let key = folder.path().join("key.pem");
        std::os::unix::fs::symlink(&key, &key).unwrap();
        let text = format!(
            "services: {{a: {{image: 'x:1', volumes: ['{}:/key.pem:ro']}}}}",
            key.display()
        );
        let project = load::project(&text, "p").unwrap();
        let applied = of(&project, folder.path(), None).unwrap();
        assert_eq!(applied.files.get(&key), Some(&Fingerprint::unknown()));
        save(folder.path(), &applied).unwrap();
        assert!(is_kept(folder.path(), &applied));
        std::fs::remove_file(&key).unwrap();
        std::fs::write(&key, "a").unwrap();
        let later = of(&project, folder.path(), None).unwrap();
        let later = later.files.get(&key).unwrap();
        assert!(later.is_same(&Fingerprint::unknown()));
        assert!(Fingerprint::unknown().is_same(later));
        assert_eq!(later.length, 1);
    }

    #[test]
    fn one_of_tomorrow_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        for text in ["{\"format\":2}", "no"] {
            std::fs::write(file_of(folder.path()), text).unwrap();
            let error = load(folder.path()).unwrap_err();
            assert!(matches!(error, AppliedError::Unreadable { .. }), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_in_the_debug_output() {
        let applied = Applied {
            at: String::new(),
            operation: None,
            project: Project::default(),
            texts: BTreeMap::from([("config/variables.env".to_owned(), "hidden".to_owned())]),
            files: BTreeMap::new(),
        };
        assert!(!format!("{applied:?}").contains("hidden"));
    }
}
