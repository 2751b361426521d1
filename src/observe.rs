//! Takes a snapshot: asks the engine and this machine about everything a deployment touches.
//! Reads only.

pub mod machine;
mod mongo_data;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;

use crate::compose;
use crate::compose::Project;
use crate::deployment::Deployment;
use crate::deployment::standalone;
use crate::engine;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::PortHolder;
use crate::engine::limits;
use crate::engine::request;
use crate::host;
use crate::host::PathKind;
use crate::labels;
use crate::observed::Container;
use crate::observed::FolderState;
use crate::observed::Made;
use crate::observed::Observed;
use crate::observed::Readiness;
use crate::observed::TakenPort;
use crate::observed::Volume;
use crate::probe;

/// How long a probe of a snapshot may take. A service that needs longer counts as not ready.
const PROBE_DEADLINE: Duration = Duration::from_secs(3);

/// Everything about a deployment.
///
/// # Errors
/// The engine cannot be asked.
pub async fn everything(
    engine: &impl Engine,
    deployment: &Deployment,
) -> Result<Observed, EngineError> {
    let project = &deployment.project;
    let references: BTreeSet<&str> = project
        .services
        .values()
        .map(|service| service.image.as_str())
        .chain(deployment.texlive.iter().map(|derived| &*derived.base))
        .collect();
    let images = try_join_all(references.iter().map(async |reference| {
        Ok::<_, EngineError>(((*reference).to_owned(), engine.image(reference).await?))
    }));
    let (mut observed, images, volumes) = futures_util::try_join!(
        containers_and_networks(engine, &deployment.root, project),
        images,
        volumes(engine, project)
    )?;
    observed.images = images.into_iter().collect();
    observed.refused = limits::refused(project, Some(observed.engine.api));
    observed.volumes = volumes;
    let networks = project.networks.values();
    let networks = networks.map(|network| (network.name.clone(), engine::wanted_network(network)));
    observed.wanted_networks = networks.collect();
    let volumes = project.volumes.values();
    let volumes = volumes.map(|volume| (volume.name.clone(), engine::wanted_volume(volume)));
    observed.wanted_volumes = volumes.collect();
    let services: Vec<&String> = project.services.keys().collect();
    observed.wanted = wanted(deployment, project, &services, &observed);
    if let Some(set) = &deployment.replica_set {
        let project = standalone::project(deployment);
        observed.accepted = wanted(deployment, &project, &[&set.service], &observed);
    }
    put_files(engine, &mut observed).await?;
    observed.strangers = strangers(engine, project, &observed.containers).await?;
    let folders = deployment.folders.iter().chain(&deployment.files);
    observed.folders = folders
        .map(|folder| (folder.path.clone(), folder_state(&folder.path)))
        .collect();
    let is_here = machine::elsewhere(&observed.engine).is_none();
    observed.taken_ports = taken_ports(engine, project, &observed.containers, is_here).await?;
    observed.readiness = readiness(engine, deployment, &observed.containers).await;
    Ok(observed)
}

/// The named volumes, those of somebody else included.
async fn volumes(
    engine: &impl Engine,
    project: &Project,
) -> Result<BTreeMap<String, Option<Volume>>, EngineError> {
    let volumes = try_join_all(project.volumes.values().map(async |volume| {
        Ok::<_, EngineError>((volume.name.clone(), engine.volume(&volume.name).await?))
    }));
    Ok(volumes.await?.into_iter().collect())
}

/// What the engine would show of each container of these services, those that are to come and those
/// that are there, by service and number. Networks go by their names.
fn wanted(
    deployment: &Deployment,
    project: &Project,
    services: &[&String],
    observed: &Observed,
) -> BTreeMap<(String, u32), Made> {
    let contents = deployment.known_contents();
    let mut made = BTreeMap::new();
    for service in services {
        let Some(definition) = project.services.get(*service) else {
            continue;
        };
        let existing = observed.containers_of(service).into_iter();
        let mut numbers: BTreeSet<u32> = existing.map(Container::number).collect();
        numbers.extend(1..=project.scale(service));
        for number in numbers {
            let name = project.numbered_name(service, number);
            let of = (name.as_str(), number);
            let none = BTreeMap::new();
            let request = request::of(project, service, definition, of, &none, &contents);
            made.insert(((*service).clone(), number), engine::wanted(&request));
        }
    }
    made
}

/// Looks at the files that were put into containers: the engine's answers do not show them.
async fn put_files(engine: &impl Engine, observed: &mut Observed) -> Result<(), EngineError> {
    for container in &mut observed.containers {
        let key = (container.service.clone(), container.number());
        let wanted = observed.wanted.get(&key);
        let files = wanted.and_then(|wanted| wanted.0.get("files")?.as_object());
        let Some(files) = files else { continue };
        let mut found = Made::default().0;
        for path in files.keys() {
            if let Some(content) = engine.file(&container.id, path).await? {
                found.insert(path.clone(), engine::digest(&content).into());
            }
        }
        container.made.0.insert("files".to_owned(), found.into());
    }
    Ok(())
}

fn folder_state(path: &Path) -> FolderState {
    match host::path_kind(path) {
        PathKind::Missing => FolderState::Missing,
        PathKind::Folder => FolderState::Present,
        PathKind::Other => FolderState::NotAFolder,
        PathKind::Unreadable { cause } => FolderState::Unreadable { cause },
    }
}

/// The containers and networks of a project; what `stop` and `down` need.
///
/// # Errors
/// The engine cannot be asked.
pub async fn containers_and_networks(
    engine: &impl Engine,
    root: &Path,
    project: &Project,
) -> Result<Observed, EngineError> {
    let networks = try_join_all(project.networks.values().map(async |network| {
        Ok::<_, EngineError>((network.name.clone(), engine.networks(&network.name).await?))
    }));
    let containers = engine.project_containers(&project.name);
    let (facts, containers, networks) =
        futures_util::try_join!(engine.facts(), containers, networks)?;
    let containers = without_shared(containers);
    let other_instance = other_instance(root, &containers);
    let lost = containers.iter().filter_map(|container| {
        let because = container.lost_network(project)?;
        Some((container.service.clone(), because))
    });
    Ok(Observed {
        lost_networks: lost.collect(),
        engine: facts,
        containers,
        networks: networks.into_iter().collect(),
        other_instance,
        ..Observed::default()
    })
}

/// Takes off the anonymous volumes that a container only has because it shares the mounts of another
/// one: they are the other's.
fn without_shared(mut containers: Vec<Container>) -> Vec<Container> {
    if containers.iter().all(|found| found.anonymous.is_empty()) {
        return containers;
    }
    let all = containers.clone();
    for container in &mut containers {
        let shared = container
            .made
            .0
            .get("volumes_from")
            .and_then(Value::as_array);
        let shared = shared.into_iter().flatten().filter_map(Value::as_str);
        let shared: Vec<&str> = shared
            .map(|entry| entry.split(':').next().unwrap_or(entry))
            .collect();
        let others = all.iter().filter(|other| {
            shared
                .iter()
                .any(|with| *with == other.id || *with == other.name)
        });
        let foreign: BTreeSet<&String> =
            others.flat_map(|other| other.anonymous.values()).collect();
        container
            .anonymous
            .retain(|_, volume| !foreign.contains(volume));
    }
    containers
}

/// The root of another instance that made containers under this project name. One that is not
/// configured any more was moved or deleted, and its containers are taken over.
fn other_instance(root: &Path, containers: &[Container]) -> Option<String> {
    let roots = containers
        .iter()
        .filter_map(|container| container.labels.get(labels::INSTANCE));
    let mut others = roots.filter(|other| Path::new(other) != root);
    others
        .find(|other| host::exists(&Path::new(other).join("config/overleaf.rc")))
        .cloned()
}

/// Containers that hold a name of ours without belonging to the service.
async fn strangers(
    engine: &impl Engine,
    project: &Project,
    ours: &[Container],
) -> Result<Vec<Container>, EngineError> {
    let wanted = project.services.keys().flat_map(|service| {
        let numbers = 1..=project.scale(service);
        numbers.map(|number| project.numbered_name(service, number))
    });
    let missing = wanted.filter(|name| !ours.iter().any(|container| container.name == *name));
    let missing: Vec<String> = missing.collect();
    let found = try_join_all(missing.iter().map(|name| engine.container(name))).await?;
    Ok(found.into_iter().flatten().collect())
}

/// Ports that services need which do not run yet, and that somebody else holds.
async fn taken_ports(
    engine: &impl Engine,
    project: &Project,
    ours: &[Container],
    is_here: bool,
) -> Result<Vec<TakenPort>, EngineError> {
    let mut wanted = Vec::new();
    for (service, definition) in &project.services {
        let container = ours.iter().find(|container| container.service == *service);
        let held: Vec<u16> = container
            .filter(|container| container.state.is_running())
            .map(|container| container.ports.iter().map(|port| port.host_port).collect())
            .unwrap_or_default();
        for port in definition
            .ports
            .iter()
            .filter(|port| port.protocol == "tcp")
        {
            let Some(number) = port.published.as_ref().and_then(|text| text.parse().ok()) else {
                // A range or a free port: the engine picks one that is free.
                continue;
            };
            if !held.contains(&number) {
                wanted.push((
                    service.clone(),
                    port.host_ip.clone().unwrap_or_default(),
                    number,
                ));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let holders = engine.published_ports().await?;
    let mut taken = Vec::new();
    for (service, host_ip, port) in wanted {
        let found = match container_holder(&holders, &host_ip, port) {
            Some(held) => {
                let found = ours.iter().find(|found| found.name == held.container);
                // A container of a service of the project makes way within the plan.
                if found.is_some_and(|found| project.services.contains_key(&found.service)) {
                    continue;
                }
                let holder = format!("container `{}`", held.container);
                Some((holder, found.is_some()))
            }
            // The sockets of this machine tell nothing about those of another.
            None if !is_here => None,
            None => process_holder(&host_ip, port).map(|holder| (holder, false)),
        };
        if let Some((holder, by_orphan)) = found {
            taken.push(TakenPort {
                service,
                host_ip,
                port,
                holder,
                by_orphan,
            });
        }
    }
    Ok(taken)
}

/// The container that publishes a TCP port of an address.
fn container_holder<'a>(
    holders: &'a [PortHolder],
    host_ip: &str,
    port: u16,
) -> Option<&'a PortHolder> {
    holders.iter().find(|held| {
        held.port == port
            && held.protocol == "tcp"
            && compose::addresses_overlap(host_ip, &held.host_ip)
    })
}

/// The process of this machine that listens on a TCP port, in words; `None` when it is free.
fn process_holder(host_ip: &str, port: u16) -> Option<String> {
    let address: Option<IpAddr> = host_ip.parse().ok();
    if host::ports::is_free(address, port) {
        return None;
    }
    let process = host::ports::holder(port);
    Some(process.unwrap_or_else(|| "a process of another user".to_owned()))
}

/// How every running service answers its probe, all asked at once.
async fn readiness(
    engine: &impl Engine,
    deployment: &Deployment,
    ours: &[Container],
) -> BTreeMap<String, Readiness> {
    let questions = deployment.probes.iter().filter_map(|(service, probe)| {
        let container = ours
            .iter()
            .find(|container| container.service == *service)?;
        let is_asked =
            container.state.is_running() && container.lost_network(&deployment.project).is_none();
        is_asked.then_some((service, probe, container))
    });
    let answers = questions.map(async |(service, probe, container)| {
        let readiness = probe::ask_container(engine, container, probe, PROBE_DEADLINE).await;
        (service.clone(), readiness)
    });
    join_all(answers).await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compose::load;
    use crate::engine::memory::MemoryEngine;

    #[test]
    fn a_volume_of_another_container_is_not_ones_own() {
        let container = |id: &str, volumes: &[(&str, &str)]| Container {
            id: id.to_owned(),
            name: format!("p-{id}-1"),
            anonymous: volumes
                .iter()
                .map(|(path, name)| ((*path).to_owned(), (*name).to_owned()))
                .collect(),
            ..Container::default()
        };
        let owner = container("owner", &[("/cache", "one")]);
        let mut by_id = container("by-id", &[("/cache", "one"), ("/own", "two")]);
        let shared = |with: &str| json!([format!("{with}:ro")]);
        by_id
            .made
            .0
            .insert("volumes_from".to_owned(), shared("owner"));
        let mut by_name = container("by-name", &[("/cache", "one")]);
        let made = &mut by_name.made.0;
        made.insert("volumes_from".to_owned(), shared("p-owner-1"));
        let left = without_shared(vec![owner.clone(), by_id, by_name]);
        let own = container("by-id", &[("/own", "two")]);
        assert_eq!(left[0], owner);
        assert_eq!(left[1].anonymous, own.anonymous);
        assert!(left[2].anonymous.is_empty());
    }

    /// The service `old` holds port 8080 and is not configured any more.
    async fn taken_beside(old: &str) -> Vec<TakenPort> {
        let engine = MemoryEngine::new(&["i"], &[]);
        let text = format!("services:\n  old: {{image: i, ports: [\"{old}\"]}}\n");
        let before = load::project(&text, "p").unwrap();
        let definition = &before.services["old"];
        let (none, contents) = (BTreeMap::new(), BTreeMap::new());
        let mut request = request::of(&before, "old", definition, ("p-old-1", 1), &none, &contents);
        request.networks.clear();
        let own = [(labels::PROJECT, "p"), (labels::SERVICE, "old")];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        request.labels.extend(own);
        engine.create_container(&request).await.unwrap();
        engine.start("p-old-1").await.unwrap();
        let ours = engine.project_containers("p").await.unwrap();
        assert_eq!(ours.len(), 1);
        let text = "services:\n  new: {image: i, ports: [\"8080:80\"]}\n";
        let after = load::project(text, "p").unwrap();
        taken_ports(&engine, &after, &ours, false).await.unwrap()
    }

    #[tokio::test]
    async fn an_orphan_that_holds_a_port_is_known_as_one() {
        let taken = taken_beside("8080:80").await;
        let [taken] = taken.as_slice() else {
            panic!("{taken:?}")
        };
        assert!(taken.by_orphan);
        assert_eq!(taken.holder, "container `p-old-1`");
    }

    #[tokio::test]
    async fn another_protocol_takes_no_port() {
        assert_eq!(taken_beside("8080:80/udp").await, []);
    }
}
