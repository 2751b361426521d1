//! Looks for the sources of an instance: nothing is taken from a list of names.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use serde_json::Value;

use super::untar::Untar;
use super::{GatherError, Source, Way, ways};
use crate::engine::EngineError;
use crate::engine::inside::Inside;
use crate::host;
use crate::host::tail;
use crate::observed::Container;
use crate::release::APPLICATION;

/// What the names of nginx' logs begin with.
const NGINX: &str = "nginx";

/// Folder of nginx' logs in the container of the application.
const NGINX_FOLDER: &str = "/var/log/nginx";

/// Where to look.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The services of the project.
    pub services: Vec<&'a str>,
    /// The application's log folder in its container.
    pub log_folder: &'a str,
    /// The folder of the host that should be mounted there.
    pub configured: Option<&'a Path>,
    /// Whether containers that are not there yet are waited for.
    pub waits: bool,
    /// Whether paths of the engine's machine are those of this one.
    pub is_here: bool,
    /// The names that are meant; all without one. What none of them can mean is not looked for.
    pub names: &'a [String],
    /// Whether it was looked there before: then what takes long is left out.
    pub is_again: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The sources: containers in the order of the services, then files by name.
    pub sources: Vec<Source>,
    /// What is not there, in words.
    pub absent: Vec<String>,
}

/// Looks for all sources. `containers` are those of the project.
///
/// # Errors
/// The engine cannot be asked.
pub async fn find(
    engine: &impl Inside,
    containers: &[Container],
    place: &Place<'_>,
) -> Result<Found, EngineError> {
    let mut found = Found::default();
    for service in &place.services {
        let mut of_service: Vec<&Container> = containers
            .iter()
            .filter(|container| container.service == *service)
            .collect();
        of_service.sort_by_key(|container| container.number());
        if of_service.is_empty() {
            found.absent.push(format!("`{service}` has no container"));
            if place.waits {
                found.sources.push(Source {
                    service: (*service).to_owned(),
                    way: Way::Output {
                        service: (*service).to_owned(),
                        number: 1,
                    },
                });
            }
        }
        let is_several = of_service.len() > 1;
        for container in of_service {
            let number = container.number();
            let label = match is_several {
                true => format!("{service}/{number}"),
                false => (*service).to_owned(),
            };
            found.sources.push(Source {
                service: label,
                way: Way::Output {
                    service: (*service).to_owned(),
                    number,
                },
            });
        }
    }
    let application = application(containers);
    let mut inside = Vec::new();
    let of_nginx = place.names.is_empty() || place.names.iter().any(|one| one.starts_with(NGINX));
    let folders = [(place.log_folder, true), (NGINX_FOLDER, of_nginx)];
    for (folder, _) in folders.into_iter().filter(|(_, is_meant)| *is_meant) {
        let is_own = folder == place.log_folder;
        let mounted = match application {
            Some(container) => mount(container, folder),
            None => place.configured.filter(|_| is_own).map(Path::to_path_buf),
        };
        let files = mounted
            .filter(|_| place.is_here)
            .and_then(|mounted| readable(&mounted));
        match files {
            Some(files) => found.sources.extend(files.into_iter().map(|path| Source {
                service: name(&path, is_own),
                way: Way::File(path),
            })),
            None => inside.push(folder),
        }
    }
    let paths = match application {
        Some(container) if !inside.is_empty() => {
            files_inside(
                engine,
                container,
                &inside,
                place.is_again,
                &mut found.absent,
            )
            .await?
        }
        _ => Vec::new(),
    };
    found.sources.extend(paths.into_iter().map(|path| {
        let is_own = Path::new(&path).parent() == Some(Path::new(place.log_folder));
        Source {
            service: name(Path::new(&path), is_own),
            way: Way::Inside(path),
        }
    }));
    Ok(found)
}

/// The application's container: one that runs, else the first.
pub(super) fn application(containers: &[Container]) -> Option<&Container> {
    let all = || {
        let all = containers.iter();
        all.filter(|container| container.service == APPLICATION)
    };
    let running = all().find(|container| container.state.is_running());
    running.or_else(|| all().min_by_key(|container| container.number()))
}

/// The folder of the engine's machine that is mounted at a path of a container.
fn mount(container: &Container, target: &str) -> Option<PathBuf> {
    let mount = container.made.0.get("volumes")?.get(target)?;
    let is_bind = mount.get("type")?.as_str()? == "bind";
    let source = mount.get("source")?.as_str()?;
    is_bind.then(|| PathBuf::from(source))
}

/// Whether a path of a container is not its own: then a container that takes its place goes on there.
pub(super) fn is_mounted(container: &Container, path: &str) -> bool {
    let mounts = container.made.0.get("volumes");
    let mut targets = mounts.and_then(Value::as_object).into_iter().flatten();
    targets.any(|(target, _)| Path::new(path).starts_with(target))
}

/// The log files of a folder; `None` where one of them may not be read, which the engine may do.
fn readable(folder: &Path) -> Option<Vec<PathBuf>> {
    if !host::is_folder(folder) {
        return None;
    }
    let files = tail::logs_of(folder).ok()?;
    let is_open = files.iter().all(|file| host::open(file).is_ok());
    is_open.then_some(files)
}

fn name(path: &Path, is_own: bool) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match is_own {
        true => stem.into_owned(),
        false => format!("nginx-{stem}"),
    }
}

/// The log files in folders of a container.
async fn files_inside(
    engine: &impl Inside,
    container: &Container,
    folders: &[&str],
    is_again: bool,
    absent: &mut Vec<String>,
) -> Result<Vec<String>, EngineError> {
    if container.state.is_running() {
        match ways::list(engine, &container.id, folders).await {
            Ok((_, paths)) => return Ok(paths),
            // It may have stopped meanwhile, or has no program: the engine reads as well.
            Err(GatherError::Engine(EngineError::Unreachable { endpoint, cause })) => {
                return Err(EngineError::Unreachable { endpoint, cause });
            }
            Err(error) => absent.push(error.to_string()),
        }
    }
    let mut paths = Vec::new();
    // The engine hands on whole files.
    if is_again {
        return Ok(paths);
    }
    for folder in folders {
        let Some(mut archive) = engine.archive(&container.name, folder).await? else {
            absent.push(format!(
                "container `{}` has no folder `{folder}`",
                container.name
            ));
            continue;
        };
        let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        let (mut untar, mut names) = (Untar::default(), Vec::new());
        // An archive of files that grow may be cut short.
        while let Ok(Some(piece)) = archive.try_next().await {
            untar.push(&piece, &mut |name| names.push(name.to_owned()), &mut |_| {});
        }
        names.retain(|name| name.ends_with(".log") && name.matches('/').count() == 1);
        names.sort();
        paths.extend(names.into_iter().map(|name| format!("{parent}/{name}")));
    }
    Ok(paths)
}
