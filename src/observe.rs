//! Takes a snapshot: asks the engine and this machine about everything a deployment touches.
//! Reads only.

pub mod condition;
pub mod machine;
mod mongo_data;
pub mod projects;
mod visitors;

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
use crate::engine::stock::Stock;
use crate::host;
use crate::host::PathKind;
use crate::labels;
use crate::observed::Container;
use crate::observed::EngineFacts;
use crate::observed::FolderState;
use crate::observed::Image;
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
    engine: &impl Stock,
    deployment: &Deployment,
) -> Result<Observed, EngineError> {
    let nothing = async |_: &[Container], _: &EngineFacts| ();
    let (observed, ()) = everything_beside(engine, deployment, nothing).await?;
    Ok(observed)
}

/// As [`everything`], with other questions that go out as soon as the containers are known.
///
/// # Errors
/// The engine cannot be asked.
pub async fn everything_beside<T>(
    engine: &impl Stock,
    deployment: &Deployment,
    beside: impl AsyncFnOnce(&[Container], &EngineFacts) -> T,
) -> Result<(Observed, T), EngineError> {
    let project = &deployment.project;
    let services = project.services.values();
    let services = services.map(|service| service.image.as_str());
    let base = deployment.texlive.iter().map(|derived| &*derived.base);
    let images = images(engine, services.chain(base));
    let first = async {
        let listed = listed(engine, &deployment.root, project).await?;
        let containers = listed.containers.clone();
        // What is slow to answer is asked while the engine tells the rest; who it is is slow, too.
        let rest = rest(engine, deployment, listed);
        let asked = async {
            // Who the engine is tells how containers can be reached.
            let facts = engine.facts().await?;
            let (ready, beside) = futures_util::join!(
                readiness(engine, deployment, &containers),
                beside(&containers, &facts)
            );
            Ok((ready, facts, beside))
        };
        let ((mut observed, ports, holders), (ready, facts, beside)) =
            futures_util::try_join!(rest, asked)?;
        observed.readiness = ready;
        observed.engine = facts;
        seen_from_here(&mut observed, deployment, ports, &holders);
        Ok::<_, EngineError>((observed, beside))
    };
    let ((mut observed, beside), images, volumes) =
        futures_util::try_join!(first, images, volumes(engine, project))?;
    observed.images = images;
    observed.volumes = volumes;
    Ok((observed, beside))
}

/// What follows from the containers that there are, but for the answers of services and for what depends on
/// the engine. Gives the ports that are still to be had, and who publishes which.
async fn rest(
    engine: &impl Stock,
    deployment: &Deployment,
    mut observed: Observed,
) -> Result<(Observed, Vec<WantedPort>, Vec<PortHolder>), EngineError> {
    let project = &deployment.project;
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
    let ports = wanted_ports(project, &observed.containers);
    let holders = async {
        match ports.is_empty() {
            true => Ok(Vec::new()),
            false => engine.published_ports().await,
        }
    };
    let (visitors, strangers, holders) = futures_util::try_join!(
        visitors::all(engine, project, &observed),
        strangers(engine, project, &observed.containers),
        holders
    )?;
    observed.visitors = visitors;
    observed.strangers = strangers;
    put_files(engine, &mut observed).await?;
    Ok((observed, ports, holders))
}

/// What depends on who the engine is and on whether this machine is the one that it runs on.
fn seen_from_here(
    observed: &mut Observed,
    deployment: &Deployment,
    ports: Vec<WantedPort>,
    holders: &[PortHolder],
) {
    let project = &deployment.project;
    observed.refused = limits::refused(project, Some(observed.engine.api));
    let folders = deployment.folders.iter().chain(&deployment.files);
    let is_far = machine::is_far(&observed.engine.endpoint);
    let state = |path: &Path| match is_far {
        true => FolderState::Elsewhere,
        false => folder_state(path),
    };
    observed.folders = folders
        .map(|folder| (folder.path.clone(), state(&folder.path)))
        .collect();
    let is_here = machine::elsewhere(&observed.engine).is_none();
    observed.taken_ports = taken_ports(project, &observed.containers, ports, holders, is_here);
}

/// The images that references mean; `None` where the engine has none.
///
/// # Errors
/// The engine cannot be asked.
pub async fn images(
    engine: &impl Engine,
    references: impl Iterator<Item = &str>,
) -> Result<BTreeMap<String, Option<Image>>, EngineError> {
    let references: BTreeSet<&str> = references.collect();
    let found = try_join_all(references.into_iter().map(async |reference| {
        Ok::<_, EngineError>((reference.to_owned(), engine.image(reference).await?))
    }));
    Ok(found.await?.into_iter().collect())
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
    let listed = listed(engine, root, project);
    let (facts, observed) = futures_util::try_join!(engine.facts(), listed)?;
    Ok(Observed {
        engine: facts,
        ..observed
    })
}

/// As [`containers_and_networks`], with who else runs in the networks: those cannot be removed.
///
/// # Errors
/// The engine cannot be asked.
pub async fn what_goes_down(
    engine: &impl Engine,
    root: &Path,
    project: &Project,
) -> Result<Observed, EngineError> {
    let seen = async {
        let mut observed = listed(engine, root, project).await?;
        observed.visitors = visitors::running(engine, project, &observed).await?;
        Ok(observed)
    };
    let (facts, observed) = futures_util::try_join!(engine.facts(), seen)?;
    Ok(Observed {
        engine: facts,
        ..observed
    })
}

/// The containers and networks of a project.
async fn listed(
    engine: &impl Engine,
    root: &Path,
    project: &Project,
) -> Result<Observed, EngineError> {
    let networks = try_join_all(project.networks.values().map(async |network| {
        Ok::<_, EngineError>((network.name.clone(), engine.networks(&network.name).await?))
    }));
    let containers = engine.project_containers(&project.name);
    let (containers, networks) = futures_util::try_join!(containers, networks)?;
    let containers = without_shared(containers);
    let other_instance = other_instance(root, &containers);
    let lost = containers.iter().filter_map(|container| {
        let because = container.lost_network(project)?;
        Some((container.service.clone(), because))
    });
    Ok(Observed {
        lost_networks: lost.collect(),
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

/// Containers that hold a name of ours without belonging to the service. One that belongs to it came
/// after the listing, as what an interrupted run asked for can: applying a plan deals with that.
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
    let is_late = |found: &Container| {
        let is_ours = found.project == project.name && !found.is_one_off();
        is_ours && project.services.contains_key(&found.service)
    };
    let found = found.into_iter().flatten();
    Ok(found.filter(|found| !is_late(found)).collect())
}

/// A port of the host that a service is to publish: the service, the address, the port.
type WantedPort = (String, String, u16);

/// TCP ports that services need which do not run yet.
fn wanted_ports(project: &Project, ours: &[Container]) -> Vec<WantedPort> {
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
    wanted
}

/// Those of the wanted ports that somebody else holds.
fn taken_ports(
    project: &Project,
    ours: &[Container],
    wanted: Vec<WantedPort>,
    holders: &[PortHolder],
    is_here: bool,
) -> Vec<TakenPort> {
    let mut taken = Vec::new();
    for (service, host_ip, port) in wanted {
        let found = match container_holder(holders, &host_ip, port) {
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
    taken
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
        let holders = engine.published_ports().await.unwrap();
        let wanted = wanted_ports(&after, &ours);
        taken_ports(&after, &ours, wanted, &holders, false)
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
