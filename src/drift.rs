//! What is not as it was configured and applied: pure, from the desired state, the snapshot, and the
//! record of what was last applied.

mod networks;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::applied::Applied;
use crate::compose::MountSource;
use crate::compose::Project;
use crate::compose::Service;
use crate::deployment::Deployment;
use crate::deployment::Folder;
use crate::observed::Container;
use crate::observed::ContainerState;
use crate::observed::FolderState;
use crate::observed::Observed;
use crate::observed::short_id;
use crate::plan;
use crate::plan::difference;

/// In which way something is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The configuration changed and was not applied.
    NotApplied,
    /// The container is not what its own label says it was made as.
    ChangedByHand,
    /// The tag means another image than the one the container was made from.
    ImageMoved,
    /// A mounted file was edited after the container had started.
    FileEdited,
    /// A container, image, network, folder or file is not there.
    Missing,
    /// A container does not run.
    Stopped,
    /// A port is published that the definition does not publish.
    PortPublished,
    /// A container is not in a network of its definition, or in another one.
    Network,
    /// A container of the project belongs to no service.
    Orphan,
}

impl Kind {
    /// The word for machines.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::NotApplied => "not-applied",
            Self::ChangedByHand => "changed-by-hand",
            Self::ImageMoved => "image-moved",
            Self::FileEdited => "file-edited",
            Self::Missing => "missing",
            Self::Stopped => "stopped",
            Self::PortPublished => "port-published",
            Self::Network => "network",
            Self::Orphan => "orphan",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// In which way.
    pub kind: Kind,
    /// What: `service a`, `network n`, a path.
    pub resource: String,
    /// What should be. No values of the environment: they may be secrets.
    pub expected: String,
    /// What is.
    pub found: String,
    /// Since when, RFC 3339, where that is known.
    pub since: Option<String>,
    /// The command that mends it.
    pub fix: String,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// What should be.
    pub deployment: &'a Deployment,
    /// What is.
    pub observed: &'a Observed,
    /// What was last applied completely.
    pub applied: Option<&'a Applied>,
    /// What the texts and the mounted files hold now.
    pub present: &'a Applied,
    /// When the configuration was last changed, RFC 3339, where it differs from what was applied.
    pub configured: Option<&'a str>,
}

/// Everything that is not as it should be, by kind and resource.
#[must_use]
pub fn find(comparison: &Comparison<'_>) -> Vec<Drift> {
    let mut found = Vec::new();
    for (name, definition) in &comparison.deployment.project.services {
        containers(comparison, name, definition, &mut found);
    }
    images(comparison, &mut found);
    orphans(comparison, &mut found);
    volumes(comparison, &mut found);
    networks::missing(comparison, &mut found);
    networks::differing(comparison, &mut found);
    paths(comparison, &mut found);
    files(comparison, &mut found);
    found.sort_by(|a, b| (a.kind, &a.resource).cmp(&(b.kind, &b.resource)));
    found
}

/// Compares the containers of a service with the number it should have and each with its definition.
fn containers(
    comparison: &Comparison<'_>,
    name: &str,
    definition: &Service,
    found: &mut Vec<Drift>,
) {
    let project = &comparison.deployment.project;
    let scale = project.scale(name);
    let wanted = usize::try_from(scale).unwrap_or(usize::MAX);
    let existing = comparison.observed.containers_of(name);
    let (kept, surplus) = existing.split_at(existing.len().min(wanted));
    let taken: BTreeSet<u32> = kept.iter().map(|kept| kept.number()).collect();
    let missing = (1..).filter(|number| !taken.contains(number));
    for number in missing.take(wanted - kept.len()) {
        found.push(missing_container(comparison, name, number));
    }
    for container in kept {
        service(comparison, name, definition, container, found);
    }
    for container in surplus {
        found.push(Drift {
            kind: Kind::NotApplied,
            resource: format!("container {}", container.name),
            expected: format!("scale {scale}"),
            found: format!("scale {}", existing.len()),
            since: comparison.configured.map(to_second),
            fix: "toolkit up".to_owned(),
        });
    }
}

/// What differs: the service, or the container where it has several.
fn resource(comparison: &Comparison<'_>, service: &str, container: &str) -> String {
    match comparison.deployment.project.scale(service) > 1 {
        true => format!("container {container}"),
        false => format!("service {service}"),
    }
}

fn missing_container(comparison: &Comparison<'_>, service: &str, number: u32) -> Drift {
    let project = &comparison.deployment.project;
    let was_applied = comparison
        .applied
        .is_some_and(|applied| applied.project.scale(service) >= number);
    let name = project.numbered_name(service, number);
    Drift {
        kind: match was_applied {
            true => Kind::Missing,
            false => Kind::NotApplied,
        },
        resource: resource(comparison, service, &name),
        expected: format!("container `{name}`"),
        found: "no container".to_owned(),
        since: None,
        fix: "toolkit up".to_owned(),
    }
}

fn service(
    comparison: &Comparison<'_>,
    name: &str,
    definition: &Service,
    container: &Container,
    found: &mut Vec<Drift>,
) {
    let project = &comparison.deployment.project;
    let resource = resource(comparison, name, &container.name);
    let drift = |kind, expected: String, is: String, since: Option<String>, fix: &str| Drift {
        kind,
        resource: resource.clone(),
        expected,
        found: is,
        since,
        fix: fix.to_owned(),
    };
    let is_made_so = difference::is_made_of(container, definition);
    let moved = moved_image(definition, container, comparison.observed);
    if let Some((now, then)) = &moved {
        let expected = format!("`{}` is {now}", definition.image);
        let is = format!("made from {then}");
        found.push(drift(Kind::ImageMoved, expected, is, None, "toolkit up"));
    }
    let (deployment, observed) = (comparison.deployment, comparison.observed);
    let lives_as_made = container.state == ContainerState::Running && is_made_so;
    let attachments = match lives_as_made {
        true => networks::attachments(comparison, name, definition, container),
        false => Vec::new(),
    };
    let mut causes = difference::causes(name, definition, container, observed, deployment);
    // What is told of a network with the command that mends it is not told again.
    causes.retain(|cause| {
        let mut told = attachments.iter();
        !told.any(|found| cause.field == format!("networks {}", found.network))
    });
    let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
    let cause = (!causes.is_empty()).then(|| causes.join(", "));
    match cause {
        Some(cause) if !is_made_so => found.push(drift(
            Kind::NotApplied,
            "what the configuration says".to_owned(),
            cause,
            comparison.configured.map(to_second),
            "toolkit up",
        )),
        Some(cause) if moved.is_none() => found.push(drift(
            Kind::ChangedByHand,
            "what it was made as".to_owned(),
            cause,
            None,
            "toolkit up",
        )),
        _ => {}
    }
    if let Some(because) = observed.outlived_network(project, container) {
        let expected = "in the network that it shares".to_owned();
        found.push(drift(Kind::Network, expected, because, None, "toolkit up"));
    }
    let wanted = project.numbered_name(name, container.number());
    if container.name != wanted {
        let fix = format!("docker rename {} {wanted}", container.name);
        found.push(drift(
            Kind::ChangedByHand,
            format!("container `{wanted}`"),
            format!("container `{}`", container.name),
            None,
            &fix,
        ));
    }
    if !container.is_done(project) && container.state != ContainerState::Running {
        found.push(drift(
            Kind::Stopped,
            "running".to_owned(),
            state(container.state),
            None,
            "toolkit up",
        ));
    }
    if lives_as_made {
        ports(definition, container, |expected, is| {
            found.push(drift(Kind::PortPublished, expected, is, None, "toolkit up"));
        });
    }
    for networks::Attachment {
        expected, is, fix, ..
    } in attachments
    {
        found.push(drift(Kind::Network, expected, is, None, &fix));
    }
}

fn state(state: ContainerState) -> String {
    match state {
        ContainerState::Created => "never started".to_owned(),
        ContainerState::Running => "running".to_owned(),
        ContainerState::Paused => "paused".to_owned(),
        ContainerState::Restarting { exit_code } => {
            format!("started again and again after exit code {exit_code}")
        }
        ContainerState::Exited { exit_code } => format!("stopped (exit code {exit_code})"),
        ContainerState::Broken => "its removal failed".to_owned(),
    }
}

/// The image that the tag means now, and the one the container was made from, where they differ.
fn moved_image(
    definition: &Service,
    container: &Container,
    observed: &Observed,
) -> Option<(String, String)> {
    let present = observed.images.get(&definition.image)?.as_ref()?;
    let made_from = container.made_from();
    let is_moved = container.image == definition.image && present.id != made_from;
    is_moved.then(|| (short_id(&present.id), short_id(made_from)))
}

/// Volumes that are not as they are defined, which no `up` changes.
fn volumes(comparison: &Comparison<'_>, found: &mut Vec<Drift>) {
    let project = &comparison.deployment.project;
    let differing = comparison.observed.differing_volumes(project).into_iter();
    found.extend(differing.map(|(name, respects)| Drift {
        kind: Kind::NotApplied,
        resource: format!("volume {name}"),
        expected: "as it is defined".to_owned(),
        found: respects.join(", "),
        since: None,
        fix: format!("docker volume rm {name}, once its data is copied"),
    }));
}

/// Images under whose names containers run and that no image has any more. Where a container is to be
/// made of another one, that is told of the service.
fn images(comparison: &Comparison<'_>, found: &mut Vec<Drift>) {
    let services = &comparison.deployment.project.services;
    let mut gone = BTreeSet::new();
    for (name, definition) in services {
        let image = definition.image.as_str();
        let mut containers = comparison.observed.containers_of(name).into_iter();
        let is_missing = plan::pull::is_missing(comparison.observed, image);
        if is_missing && containers.any(|container| container.image == image) {
            gone.insert(image);
        }
    }
    let (deployment, observed) = (comparison.deployment, comparison.observed);
    let refused = plan::pull::refused(deployment, observed, &plan::UpRequest::default());
    found.extend(gone.into_iter().map(|image| Drift {
        kind: Kind::Missing,
        resource: format!("image {image}"),
        expected: "an image of that name".to_owned(),
        found: "no image".to_owned(),
        since: None,
        fix: match refused.iter().any(|(_, refused)| refused == image) {
            true => "docker load".to_owned(),
            false => "toolkit up".to_owned(),
        },
    }));
}

fn ports(definition: &Service, container: &Container, mut tell: impl FnMut(String, String)) {
    for port in &container.ports {
        let is_wanted = definition.ports.iter().any(|wanted| {
            let published = wanted.published.as_deref().unwrap_or_default();
            wanted.target == port.target
                && wanted.protocol == port.protocol
                && (published == port.host_port.to_string()
                    // A range, or one that the engine picks.
                    || published.parse::<u16>().is_err())
        });
        if !is_wanted {
            let address = match port.host_ip.as_str() {
                "" => String::new(),
                address => format!("{address}:"),
            };
            tell(
                "not published".to_owned(),
                format!(
                    "{address}{} → {}/{}",
                    port.host_port, port.target, port.protocol
                ),
            );
        }
    }
}

fn orphans(comparison: &Comparison<'_>, found: &mut Vec<Drift>) {
    for orphan in plan::orphans(comparison.deployment, comparison.observed) {
        found.push(Drift {
            kind: Kind::Orphan,
            resource: format!("container {}", orphan.name),
            expected: "no container without a service".to_owned(),
            found: format!("service `{}`, {}", orphan.service, state(orphan.state)),
            since: None,
            fix: "toolkit up --remove-orphans".to_owned(),
        });
    }
}

fn paths(comparison: &Comparison<'_>, found: &mut Vec<Drift>) {
    let deployment = comparison.deployment;
    // No container misses the folder of a service that is off.
    let is_used = |folder: &&Folder| {
        let mut services = deployment.project.services.values();
        services.any(|definition| touches(definition, &folder.path))
    };
    let folders = deployment.folders.iter().filter(is_used);
    let folders = folders.map(|folder| (folder, "folder"));
    let files = deployment.files.iter().map(|file| (file, "file"));
    for (path, what) in folders.chain(files) {
        if comparison.observed.folders.get(&path.path) == Some(&FolderState::Missing) {
            found.push(Drift {
                kind: Kind::Missing,
                resource: path.path.display().to_string(),
                expected: format!("the {what} that {} names", path.setting),
                found: "does not exist".to_owned(),
                since: None,
                fix: match what {
                    "folder" => "restore it from a backup, or `toolkit up` makes an empty one",
                    _ => "put the file there",
                }
                .to_owned(),
            });
        }
    }
}

/// Whether a service mounts a folder, a part of it, or what it lies in.
fn touches(definition: &Service, folder: &Path) -> bool {
    definition.volumes.iter().any(|mount| match &mount.source {
        MountSource::Bind { path, .. } => {
            let path = Path::new(path);
            path.starts_with(folder) || folder.starts_with(path)
        }
        _ => false,
    })
}

/// Files that are not what they were when they were applied, and that a container which mounts them
/// has not seen, because it started before.
fn files(comparison: &Comparison<'_>, found: &mut Vec<Drift>) {
    let kept = comparison.applied.map(|applied| &applied.files);
    for (path, present) in &comparison.present.files {
        let before = kept.and_then(|files| files.get(path));
        if before.is_some_and(|before| before.is_same(present)) {
            continue;
        }
        let changed = present.modified.as_deref().and_then(time);
        let project = &comparison.deployment.project;
        let is_unaware = |container: &&Container| {
            let started = time(&container.started_at);
            let is_late = changed.zip(started).is_some_and(|(at, start)| at > start);
            container.state.is_running() && is_late
        };
        let unaware: Vec<&str> = project
            .services
            .iter()
            .filter(|(_, definition)| mounts(project, definition, path))
            .map(|(name, _)| name.as_str())
            .filter(|name| {
                comparison
                    .observed
                    .containers_of(name)
                    .iter()
                    .any(is_unaware)
            })
            .collect();
        if unaware.is_empty() {
            continue;
        }
        found.push(Drift {
            kind: Kind::FileEdited,
            resource: path.display().to_string(),
            expected: match before {
                Some(before) => format!("sha256 {}", short_id(&before.sha256)),
                None => "as it was when the container started".to_owned(),
            },
            found: format!("sha256 {}", short_id(&present.sha256)),
            since: present.modified.as_deref().map(to_second),
            fix: format!("toolkit restart {}", unaware.join(" ")),
        });
    }
    // What the deployment names by a setting is looked at above.
    let named: Vec<&Path> = comparison
        .deployment
        .files
        .iter()
        .map(|file| file.path.as_path())
        .collect();
    for path in kept.into_iter().flat_map(|files| files.keys()) {
        let project = &comparison.deployment.project;
        let mut services = project.services.values();
        let is_mounted = services.any(|definition| mounts(project, definition, path));
        let is_there = comparison.present.files.contains_key(path);
        if is_mounted && !is_there && !named.contains(&path.as_path()) {
            found.push(Drift {
                kind: Kind::Missing,
                resource: path.display().to_string(),
                expected: "the file that a container mounts".to_owned(),
                found: "does not exist".to_owned(),
                since: None,
                fix: "put the file there".to_owned(),
            });
        }
    }
}

/// Whether a service gets a file of the host: as a mount, or as a secret or config.
fn mounts(project: &Project, definition: &Service, path: &Path) -> bool {
    let is_bound = definition.volumes.iter().any(
        |mount| matches!(&mount.source, MountSource::Bind { path: source, .. } if Path::new(source) == path),
    );
    let sections = [("secrets", &project.secrets), ("configs", &project.configs)];
    let is_granted = sections.iter().any(|(section, entries)| {
        let grants = definition.rest.get(*section).and_then(Value::as_array);
        let mut files = grants.into_iter().flatten().filter_map(|grant| {
            let source = grant.get("source")?.as_str()?;
            entries.get(source)?.get("file")?.as_str()
        });
        files.any(|file| Path::new(file) == path)
    });
    is_bound || is_granted
}

/// A time without its fractions of a second, which tell a person nothing.
fn to_second(text: &str) -> String {
    let whole = time(text).and_then(|time| time.replace_nanosecond(0).ok());
    let whole = whole.and_then(|time| time.format(&Rfc3339).ok());
    whole.unwrap_or_else(|| text.to_owned())
}

fn time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;

    #[test]
    fn a_time_is_shown_to_the_second() {
        for (time, shown) in [
            ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05+01:00", "2026-01-02T03:04:05+01:00"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(to_second(time), shown);
        }
    }

    #[test]
    fn the_file_of_a_secret_is_one_that_a_service_mounts() {
        let text = "services:
  a: {image: 'x:1', secrets: [key], configs: [{source: conf, target: /etc/c}]}
  b: {image: 'x:1', volumes: ['/srv/b:/b']}
secrets: {key: {file: /srv/key}}
configs: {conf: {file: /srv/conf}}
";
        let project = load::project(text, "p").unwrap();
        for (path, expected) in [
            ("/srv/key", vec!["a"]),
            ("/srv/conf", vec!["a"]),
            ("/srv/b", vec!["b"]),
            ("/srv/c", vec![]),
        ] {
            let services = project.services.iter();
            let found = services.filter(|(_, one)| mounts(&project, one, Path::new(path)));
            let found: Vec<&str> = found.map(|(name, _)| name.as_str()).collect();
            assert_eq!(found, expected, "{path}");
        }
    }
}
