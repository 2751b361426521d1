//! Checks of the folders and files that containers mount.

use std::path::Path;

use serde_json::Value;

use super::{Finding, Looked, View, engine, not_checked, not_needed, outcome};
use crate::compose::MountSource;
use crate::deployment::Folder;
use crate::observed::Container;
use crate::observed::ContainerState;
use crate::observed::FolderState;
use crate::observed::machine::PathFacts;

/// The application's two folders, of which one may lie in the other.
const OF_APPLICATION: [&str; 2] = ["OVERLEAF_DATA_PATH", "OVERLEAF_LOG_PATH"];

/// What stands at a path of the engine's machine, when that is this one.
fn states<'a>(
    view: &View<'a>,
    folders: &'a [Folder],
) -> Result<Vec<(&'a Folder, &'a FolderState)>, super::Outcome> {
    let observed = view.observed()?;
    view.here()?;
    let with_state = folders
        .iter()
        .filter_map(|folder| Some((folder, observed.folders.get(&folder.path)?)));
    Ok(with_state.collect())
}

/// The folders for data with their facts, when the engine's machine is this one.
fn data<'a>(view: &View<'a>) -> Result<Vec<(&'a Folder, &'a PathFacts)>, super::Outcome> {
    view.here()?;
    let folders = view.deployment.folders.iter();
    Ok(folders
        .filter_map(|folder| Some((folder, view.machine.paths.get(&folder.path)?)))
        .collect())
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

pub(super) fn mounted_files(view: &View<'_>) -> Looked {
    let files = states(view, &view.deployment.files)?;
    if view.deployment.files.is_empty() {
        return Err(not_needed("no file is mounted"));
    }
    let findings = files.into_iter().filter_map(|(file, state)| {
        // In place of a missing file the engine would make a folder.
        let problem = match state {
            FolderState::Missing => "does not exist",
            FolderState::Present => "is a folder",
            FolderState::Unreadable { .. } => "cannot be read",
            FolderState::NotAFolder | FolderState::Elsewhere => return None,
        };
        let path = shown(&file.path);
        Some(Finding {
            text: format!("{path} {problem}"),
            because: format!("{} names it as a file for the TLS proxy", file.setting),
            measured: format!("{path} {problem}"),
            needed: "a file that can be read".to_owned(),
            fix: format!(
                "put the file there, or set {} to another path",
                file.setting
            ),
            ..Finding::default()
        })
    });
    outcome(findings.collect(), "every file is there", "")
}

/// Folders of another machine, which cannot be made from here: what the engine does about a missing one
/// when it makes a container of a service that has none yet.
pub(super) fn elsewhere(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let is_elsewhere =
        |folder: &&Folder| observed.folders.get(&folder.path) == Some(&FolderState::Elsewhere);
    let folders: Vec<&Folder> = view
        .deployment
        .folders
        .iter()
        .filter(is_elsewhere)
        .collect();
    if folders.is_empty() {
        return Err(not_needed("the engine has the folders of this machine"));
    }
    let mut findings = Vec::new();
    for folder in folders {
        let services = view.deployment.project.services.iter();
        let services = services.filter(|(name, _)| observed.container(name).is_none());
        let mut mounts = services.flat_map(|(name, service)| {
            let mounts = service.volumes.iter();
            mounts.filter_map(move |mount| match &mount.source {
                MountSource::Bind { path, create } if Path::new(path) == folder.path => {
                    Some((name, *create))
                }
                _ => None,
            })
        });
        let Some((service, is_made)) = mounts.next() else {
            continue;
        };
        let path = shown(&folder.path);
        let endpoint = &observed.engine.endpoint;
        let (because, fix) = match is_made {
            true => (
                format!(
                    "where it is missing, the engine makes it for `{service}`, empty and as root"
                ),
                "bring existing data there first; to begin empty, nothing",
            ),
            false => (
                format!(
                    "`{service}` has `create_host_path: false`: the engine refuses the container where it is missing"
                ),
                "make it there",
            ),
        };
        findings.push(Finding {
            text: format!("{path} is on the machine of the engine and is not made from here"),
            because,
            measured: format!("{path} at `{endpoint}`"),
            needed: "a folder there".to_owned(),
            fix: fix.to_owned(),
            ..Finding::default()
        });
    }
    outcome(
        findings,
        "every service that has a folder has a container",
        "",
    )
}

pub(super) fn not_a_folder(view: &View<'_>) -> Looked {
    let folders = states(view, &view.deployment.folders)?.into_iter();
    let findings = folders.filter(|(_, state)| **state == FolderState::NotAFolder);
    let findings = findings.map(|(folder, _)| Finding {
        text: format!("{} is not a folder", shown(&folder.path)),
        because: format!("{} names it as a folder for data", folder.setting),
        measured: format!("{} is something else", shown(&folder.path)),
        needed: "a folder, or nothing yet".to_owned(),
        fix: format!(
            "move the file away, or set {} to another path",
            folder.setting
        ),
        ..Finding::default()
    });
    outcome(findings.collect(), "folders, or nothing yet", "")
}

/// Folders that are gone while a container has them mounted: the disk is missing rather than the data.
pub(super) fn vanished(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let folders = states(view, &view.deployment.folders)?.into_iter();
    let missing = folders.filter(|(_, state)| **state == FolderState::Missing);
    let findings = missing.filter_map(|(folder, _)| {
        let mut containers = observed.containers.iter();
        let user = containers.find(|found| has_used(found, &folder.path))?;
        let path = shown(&folder.path);
        Some(Finding {
            text: format!("{path} is gone, and the container `{}` has used it", user.name),
            because: "its disk may not be mounted; an empty folder in its place would be a site without data".to_owned(),
            measured: format!("{path} does not exist"),
            needed: "the folder with its data".to_owned(),
            fix: format!(
                "mount its disk, bring it back, or mend {}; to begin anew without it, run `toolkit down` first",
                folder.setting
            ),
            ..Finding::default()
        })
    });
    outcome(findings.collect(), "no folder in use is gone", "")
}

/// Whether a container that was started once mounts a folder.
fn has_used(container: &Container, folder: &Path) -> bool {
    let mounts = container.made.0.get("volumes").and_then(Value::as_object);
    let mut mounts = mounts.into_iter().flat_map(serde_json::Map::values);
    let is_it = |mount: &Value| {
        let text = |key: &str| mount.get(key).and_then(Value::as_str);
        text("type") == Some("bind") && text("source").map(Path::new) == Some(folder)
    };
    container.state != ContainerState::Created && mounts.any(is_it)
}

pub(super) fn unreadable(view: &View<'_>) -> Looked {
    let folders = states(view, &view.deployment.folders)?.into_iter();
    let findings = folders.filter_map(|(folder, state)| {
        let FolderState::Unreadable { cause } = state else {
            return None;
        };
        Some(Finding {
            text: format!("{} cannot be read", shown(&folder.path)),
            because: cause.clone(),
            measured: format!("{}: {cause}", shown(&folder.path)),
            needed: "access for this user".to_owned(),
            fix: format!(
                "give this user access, or set {} to another path",
                folder.setting
            ),
            ..Finding::default()
        })
    });
    outcome(findings.collect(), "every folder can be looked at", "")
}

pub(super) fn overlap(view: &View<'_>) -> Looked {
    let folders = &view.deployment.folders;
    let resolved = |folder: &Folder| {
        let facts = view.machine.paths.get(&folder.path);
        let here = view.machine.elsewhere.is_none();
        let facts = facts.filter(|facts| here && !facts.resolved.as_os_str().is_empty());
        facts.map_or_else(|| folder.path.clone(), |facts| facts.resolved.clone())
    };
    let is_of_application = |folder: &Folder| OF_APPLICATION.contains(&&*folder.setting);
    let mut findings = Vec::new();
    for (at, one) in folders.iter().enumerate() {
        for other in folders.iter().take(at) {
            let (path, other_path) = (resolved(one), resolved(other));
            let relation = match (path == other_path, path.starts_with(&other_path)) {
                (true, _) => "the same folder as",
                _ if is_of_application(one) && is_of_application(other) => continue,
                (_, true) => "inside",
                _ if other_path.starts_with(&path) => "around",
                _ => continue,
            };
            findings.push(Finding {
                text: format!("{} is {relation} {}", one.setting, other.setting),
                because: format!(
                    "{} and {} would hold files of two services, which destroy each other's",
                    shown(&path),
                    shown(&other_path)
                ),
                measured: format!("{} is {relation} {}", shown(&path), shown(&other_path)),
                needed: "a folder of its own for each service".to_owned(),
                fix: format!(
                    "set {} in config/overleaf.rc to a folder of its own",
                    one.setting
                ),
                ..Finding::default()
            });
        }
    }
    outcome(findings, "each has a folder of its own", "")
}

pub(super) fn read_only(view: &View<'_>) -> Looked {
    let folders = data(view)?.into_iter();
    let findings = folders.filter(|(_, facts)| facts.is_read_only).map(|(folder, facts)| Finding {
        text: format!("{} cannot be written to", shown(&folder.path)),
        because: format!("its filesystem ({}) is mounted read-only", facts.filesystem),
        measured: format!("{} is read-only", shown(&folder.path)),
        needed: "a filesystem that takes writes".to_owned(),
        fix: format!("look at dmesg first, as a disk with errors is mounted so, then mount it for writing, or set {} to another path", folder.setting), ..Finding::default() });
    outcome(findings.collect(), "every filesystem takes writes", "")
}

/// Whether a user may do something in a folder, by bits such as `0o3` for write and pass.
fn may(facts: (u32, u32, u32), user: u32, group: u32, bits: u32) -> bool {
    let (owner, of_group, mode) = facts;
    let granted = if user == 0 {
        return true;
    } else if owner == user {
        mode >> 6
    } else if of_group == group {
        mode >> 3
    } else {
        mode
    };
    granted & bits == bits
}

/// The user and group that a service runs as by its definition: `None` where the image decides,
/// `Err` where it is a name that only the image knows.
fn defined_user(view: &View<'_>, service: &str) -> Result<Option<(u32, u32)>, ()> {
    let definition = view.deployment.project.services.get(service);
    let Some(user) = definition.and_then(|definition| definition.user.as_deref()) else {
        return Ok(None);
    };
    let (user, group) = user.split_once(':').unwrap_or((user, user));
    let number = |name: &str| match name {
        "root" => Ok(0),
        other => other.parse().map_err(|_| ()),
    };
    Ok(Some((number(user)?, number(group)?)))
}

pub(super) fn permission(view: &View<'_>) -> Looked {
    let folders = data(view)?;
    if engine::maps_users(&view.observed()?.engine) {
        return Err(not_checked(
            "the engine gives containers other users than this machine has",
        ));
    }
    let mut findings = Vec::new();
    for (folder, facts) in folders {
        let mut rows = view.registry.owners.iter();
        let row = rows.find(|row| row.setting == folder.setting);
        let (Some(row), Some(ownership)) = (row, facts.ownership) else {
            continue;
        };
        let (user, group, bits) = match defined_user(view, &row.service) {
            // A name is the image's business.
            Err(()) => continue,
            Ok(Some((0, _))) | Ok(None) if row.takes_over => continue,
            Ok(None | Some((0, _))) if row.writes => (row.user, row.group, 0o3),
            Ok(None | Some((0, _))) => (row.user, row.group, 0o1),
            Ok(Some((user, group))) => (user, group, 0o3),
        };
        if may(ownership, user, group, bits) {
            continue;
        }
        let path = shown(&folder.path);
        let verb = if bits == 0o1 { "enter" } else { "write to" };
        let (owner, of_group, mode) = ownership;
        findings.push(Finding {
            text: format!("user {user} of `{}` may not {verb} {path}", row.service),
            because: format!("{path} belongs to {owner}:{of_group} with mode {mode:03o}"),
            measured: format!("{owner}:{of_group} mode {mode:03o}"),
            needed: format!("{user}:{group} may {verb} it"),
            fix: "give the folder to that user".to_owned(),
            command: Some(format!("chown {user}:{group} {}", folder.path.display())),
        });
    }
    outcome(findings, "every service may use its folder", "")
}

pub(super) fn owner(view: &View<'_>) -> Looked {
    let folders = data(view)?;
    view.not_bundled()?;
    if engine::maps_users(&view.observed()?.engine) {
        return Err(not_checked(
            "the engine gives containers other users than this machine has",
        ));
    }
    let mut findings = Vec::new();
    for (folder, facts) in folders {
        let mut rows = view.registry.owners.iter();
        let row = rows.find(|row| row.setting == folder.setting);
        // An empty folder is taken over, or filled, at the first start.
        let (Some(row), Some(ownership), false) = (row, facts.ownership, facts.is_empty) else {
            continue;
        };
        let expected = match defined_user(view, &row.service) {
            Ok(None | Some((0, _))) => (row.user, row.group),
            Ok(Some(user)) => user,
            Err(()) => continue,
        };
        if ownership.0 != expected.0 {
            let (user, group) = expected;
            findings.push(Finding {
                text: format!("{} belongs to user {}", shown(&folder.path), ownership.0),
                because: format!(
                    "`{}` works as user {user}; files copied by hand often lose their owner",
                    row.service
                ),
                measured: format!("{}:{}", ownership.0, ownership.1),
                needed: format!("{user}:{group}"),
                fix: "stop the instance, then give it all to that user".to_owned(),
                command: Some(format!("chown -R {user}:{group} {}", folder.path.display())),
            });
        }
    }
    outcome(
        findings,
        "every folder with data belongs to its service",
        "",
    )
}

pub(super) fn snap(view: &View<'_>) -> Looked {
    let engine = &view.observed()?.engine;
    if !engine::is_snap(view, engine) {
        return Err(not_needed("the engine comes from no snap"));
    }
    let sees = Path::new(&view.registry.engine.snap_sees);
    let is_seen = |path: &Path| {
        let below = path.strip_prefix(sees);
        let mut parts = below.iter().flat_map(|path| path.components()).skip(1);
        // Hidden folders right below a home folder are kept from snaps as well.
        path.starts_with(sees)
            && parts
                .next()
                .is_none_or(|part| !part.as_os_str().to_string_lossy().starts_with('.'))
    };
    let paths = view.deployment.folders.iter().chain(&view.deployment.files);
    let hidden = paths.filter(|folder| !is_seen(&folder.path));
    let findings = hidden.map(|folder| Finding {
        text: format!("the snap's engine does not see {}", shown(&folder.path)),
        because: "a snap reaches home folders only, and makes an empty folder of its own in place of others".to_owned(),
        measured: shown(&folder.path),
        needed: format!("a path below {}", sees.display()),
        fix: format!("install Docker Engine from a package, or set {} to a path below a home folder", folder.setting), ..Finding::default() });
    outcome(findings.collect(), "home folders only", "")
}

/// Whether a kind of filesystem is in a list; `fuse.*` stands for all that begin with `fuse.`.
fn is_kind(kind: &str, list: &[String]) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == entry,
    })
}

pub(super) fn volatile(view: &View<'_>) -> Looked {
    let folders = data(view)?;
    let list = &view.registry.filesystem.volatile;
    let volatile = folders
        .iter()
        .filter(|(_, facts)| is_kind(&facts.filesystem, list));
    let findings = volatile.map(|(folder, facts)| Finding {
        text: format!("{} is lost at the next reboot", shown(&folder.path)),
        because: format!(
            "its filesystem is {}, which lives in memory",
            facts.filesystem
        ),
        measured: facts.filesystem.clone(),
        needed: "a filesystem on a disk".to_owned(),
        fix: format!(
            "set {} in config/overleaf.rc to a path on a disk",
            folder.setting
        ),
        ..Finding::default()
    });
    outcome(findings.collect(), "on disks", "")
}

/// The folder that mongo's container keeps its data in; `None` where that is a volume.
pub(super) fn mongo_folder<'a>(view: &View<'a>) -> Option<(&'a Folder, &'a PathFacts)> {
    let mongo = view.deployment.project.services.get("mongo")?;
    let is_mounted = |folder: &&Folder| {
        mongo.volumes.iter().any(|mount| {
            matches!(&mount.source, MountSource::Bind { path, .. } if Path::new(path) == folder.path)
        })
    };
    let mut folders = view.deployment.folders.iter();
    let folder =
        folders.find(|folder| folder.setting == "MONGO_DATA_PATH" && is_mounted(folder))?;
    Some((folder, view.machine.paths.get(&folder.path)?))
}

pub(super) fn mongo_filesystem(view: &View<'_>) -> Looked {
    view.here()?;
    view.not_bundled()?;
    if !view.deployment.project.services.contains_key("mongo") {
        return Err(not_needed("mongo is external"));
    }
    let Some((folder, facts)) = mongo_folder(view) else {
        return Err(not_needed("mongo keeps its data in a volume"));
    };
    if facts.filesystem.is_empty() {
        return Err(not_checked("the kernel does not tell the filesystem"));
    }
    let mut findings = Vec::new();
    if is_kind(&facts.filesystem, &view.registry.filesystem.not_for_mongo) {
        findings.push(Finding {
            text: format!("mongo cannot keep its data at {}", shown(&folder.path)),
            because: format!(
                "its filesystem is {}, on which WiredTiger refuses to open its files or loses them",
                facts.filesystem
            ),
            measured: facts.filesystem.clone(),
            needed: "xfs or ext4 on a disk of the engine's machine".to_owned(),
            fix: format!(
                "set {} in config/overleaf.rc to a path on a local disk",
                folder.setting
            ),
            ..Finding::default()
        });
    }
    outcome(
        findings,
        facts.filesystem.clone(),
        "a local filesystem such as xfs or ext4",
    )
}
