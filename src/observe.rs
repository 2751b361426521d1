//! Takes a snapshot: asks the engine and this machine about everything a deployment touches.
//! Reads only.

pub mod condition;
pub mod machine;
mod mongo_data;
mod ports;
pub mod projects;
mod visitors;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;

use crate::compose::canonical;
use crate::compose::{Project, Values};
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
use crate::observed::Volume;
use crate::observed::architecture_of;
use crate::observed::network::Visitor;
use crate::probe;
use ports::{WantedPort, taken_ports, wanted_ports};

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

/// As [`everything`], as far as it matters to some services: the ports and names that others want are
/// not looked at, and an engine is only asked who it is where something that is observed depends on it.
/// [`introduce`] asks later.
///
/// # Errors
/// The engine cannot be asked.
pub async fn concerning(
    engine: &impl Stock,
    deployment: &Deployment,
    services: &BTreeSet<&str>,
) -> Result<Observed, EngineError> {
    let nothing = async |_: &[Container], _: &EngineFacts| ();
    let (observed, ()) = snapshot(engine, deployment, Some(services), nothing).await?;
    Ok(observed)
}

/// Fills in who the engine is.
///
/// # Errors
/// The engine cannot be asked.
pub async fn introduce(engine: &impl Engine, observed: &mut Observed) -> Result<(), EngineError> {
    observed.engine = engine.facts().await?;
    Ok(())
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
    snapshot(engine, deployment, None, beside).await
}

/// Everything, or what concerns some services.
async fn snapshot<T>(
    engine: &impl Stock,
    deployment: &Deployment,
    some: Option<&BTreeSet<&str>>,
    beside: impl AsyncFnOnce(&[Container], &EngineFacts) -> T,
) -> Result<(Observed, T), EngineError> {
    let project = &deployment.project;
    let services = project.services.values();
    let services = services.map(|service| service.image.as_str());
    let base = deployment.texlive.iter().map(|derived| &*derived.base);
    let images = images(engine, services.chain(base));
    let first = async {
        let listed = listed(engine, &deployment.root, project, is_among(some));
        // The engine is at it meanwhile.
        let foreseen = async { foreseen(deployment, engine.greeting().api) };
        let (listed, foreseen) = futures_util::join!(listed, foreseen);
        let mut observed = with_what_is_foreseen(listed?, foreseen, deployment);
        let containers = &observed.containers;
        let is_told = some.is_none_or(|some| needs_who(deployment, some, containers));
        // What is slow to answer is asked while the engine tells the rest; who it is is slow, too.
        let rest = rest(engine, deployment, some, &observed);
        let asked = async {
            // Who the engine is tells how containers can be reached, and whose ports are looked at.
            let facts = match is_told {
                true => engine.facts().await?,
                false => engine.greeting(),
            };
            let (ready, beside) = futures_util::join!(
                readiness(engine, deployment, containers),
                beside(containers, &facts)
            );
            Ok((ready, facts, beside))
        };
        let (rest, (ready, facts, beside)) = futures_util::try_join!(rest, asked)?;
        observed.visitors = rest.visitors;
        observed.strangers = rest.strangers;
        for (at, files) in rest.files {
            if let Some(container) = observed.containers.get_mut(at) {
                container.made.0.insert("files".to_owned(), files.into());
            }
        }
        observed.readiness = ready;
        observed.engine = facts;
        seen_from_here(&mut observed, deployment, rest.ports, &rest.holders);
        Ok::<_, EngineError>((observed, beside))
    };
    let ((mut observed, beside), images, volumes) =
        futures_util::try_join!(first, images, volumes(engine, project))?;
    observed.images = images;
    other_platforms(engine, project, &mut observed.images).await?;
    observed.moment = Some(host::now());
    observed.volumes = volumes;
    Ok((observed, beside))
}

/// Whether a service is one of some, or of all.
fn is_among<'a>(some: Option<&'a BTreeSet<&'a str>>) -> impl Fn(&str) -> bool + Copy + 'a {
    move |service| some.is_none_or(|some| some.contains(service))
}

/// Whether something that is observed of these services depends on who the engine is. What does not
/// run yet will.
fn needs_who(deployment: &Deployment, services: &BTreeSet<&str>, containers: &[Container]) -> bool {
    let project = &deployment.project;
    let running = containers.iter().filter(|found| found.state.is_running());
    let running: Vec<&str> = running.map(|found| &*found.service).collect();
    let is_asked = |service: &&str| deployment.probes.contains_key(*service);
    let is_short = |service: &&str| {
        let found = running.iter().filter(|running| *running == service);
        found.count() < project.scale(service) as usize
    };
    let mut ports = wanted_ports(project, containers).into_iter();
    running.iter().any(is_asked)
        || services.iter().any(is_short)
        || ports.any(|(service, ..)| services.contains(&*service))
}

/// What a deployment asks for in the words of an engine of this API, as far as it can be said without
/// looking, and what of it such an engine cannot do.
fn foreseen(deployment: &Deployment, api: (u32, u32)) -> Observed {
    let project = &deployment.project;
    let networks = project.networks.values();
    let networks = networks.map(|network| (network.name.clone(), engine::wanted_network(network)));
    let volumes = project.volumes.values();
    let volumes = volumes.map(|volume| (volume.name.clone(), engine::wanted_volume(volume)));
    let to_come = |service: &str| (1..=project.scale(service)).collect();
    let (wanted, accepted) = all_wanted(deployment, to_come);
    Observed {
        wanted_networks: networks.collect(),
        wanted_volumes: volumes.collect(),
        wanted,
        accepted,
        refused: limits::refused(project, Some(api)),
        ..Observed::default()
    }
}

/// Adds to what is there what was foreseen, and what would be shown of containers beyond the scale of their
/// services.
fn with_what_is_foreseen(
    listed: Observed,
    foreseen: Observed,
    deployment: &Deployment,
) -> Observed {
    let mut observed = Observed {
        wanted_networks: foreseen.wanted_networks,
        wanted_volumes: foreseen.wanted_volumes,
        wanted: foreseen.wanted,
        accepted: foreseen.accepted,
        refused: foreseen.refused,
        ..listed
    };
    let numbers = observed.containers.iter();
    let numbers = numbers.map(|found| (found.service.as_str(), found.number()));
    let surplus: BTreeSet<(&str, u32)> = numbers
        .filter(|(service, number)| !(1..=deployment.project.scale(service)).contains(number))
        .collect();
    if !surplus.is_empty() {
        let of = |service: &str| {
            let numbers = surplus.iter().filter(|(of, _)| *of == service);
            numbers.map(|(_, number)| *number).collect()
        };
        let (wanted, accepted) = all_wanted(deployment, of);
        observed.wanted.extend(wanted);
        observed.accepted.extend(accepted);
    }
    observed
}

/// What [`rest()`] tells.
struct Rest {
    visitors: Vec<Visitor>,
    strangers: Vec<Container>,
    /// Digests of the files that were put into containers, by the place of each container.
    files: Vec<(usize, Values)>,
    /// The ports that are still to be had.
    ports: Vec<WantedPort>,
    /// Who publishes which port.
    holders: Vec<PortHolder>,
}

/// What follows from the containers that there are, but for the answers of services and for what depends on
/// the engine.
async fn rest(
    engine: &impl Stock,
    deployment: &Deployment,
    some: Option<&BTreeSet<&str>>,
    observed: &Observed,
) -> Result<Rest, EngineError> {
    let project = &deployment.project;
    let concerns = is_among(some);
    let mut ports = wanted_ports(project, &observed.containers);
    ports.retain(|(service, ..)| concerns(service));
    let holders = async {
        match ports.is_empty() {
            true => Ok(Vec::new()),
            false => engine.published_ports().await,
        }
    };
    let (visitors, strangers, holders, files) = futures_util::try_join!(
        visitors::all(engine, deployment, observed),
        strangers(engine, project, &observed.containers, concerns),
        holders,
        put_files(engine, observed)
    )?;
    Ok(Rest {
        visitors,
        strangers,
        files,
        ports,
        holders,
    })
}

/// What depends on who the engine is and on whether this machine is the one that it runs on.
fn seen_from_here(
    observed: &mut Observed,
    deployment: &Deployment,
    ports: Vec<WantedPort>,
    holders: &[PortHolder],
) {
    let project = &deployment.project;
    let folders = deployment.folders.iter().chain(&deployment.files);
    let is_far = machine::is_far(&observed.engine.endpoint);
    // What cannot be looked at from here may be missing.
    let is_there = |path: &str| !is_far && folder_state(Path::new(path)) != FolderState::Missing;
    observed.refused.extend(limits::unmade(project, is_there));
    let state = |path: &Path| match is_far {
        true => FolderState::Elsewhere,
        false => folder_state(path),
    };
    observed.folders = folders
        .map(|folder| (folder.path.clone(), state(&folder.path)))
        .collect();
    let is_here = machine::elsewhere(&observed.engine).is_none();
    // One of an inactive profile neither makes way nor is it taken away.
    let ours = observed.containers.iter();
    let ours = ours.filter(|found| !deployment.inactive.contains_key(&found.service));
    let ours: Vec<&Container> = ours.collect();
    observed.taken_ports = taken_ports(project, &ours, ports, holders, is_here);
}

/// An engine that keeps an image for several platforms shows the one of its own: where a service asks
/// for another one, that counts if it is there.
async fn other_platforms(
    engine: &impl Engine,
    project: &Project,
    images: &mut BTreeMap<String, Option<Image>>,
) -> Result<(), EngineError> {
    for service in project.services.values() {
        let (Some(platform), Some(Some(image))) =
            (service.platform(), images.get_mut(&service.image))
        else {
            continue;
        };
        if !image.fits(Some(platform)) && engine.keeps_platform(&service.image, platform).await? {
            image.architecture = architecture_of(platform).unwrap_or_default();
        }
    }
    Ok(())
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

/// What the engine would show of the containers with these numbers, by service and number: of the
/// deployment, and of the form of its replica set that is accepted as well. Networks go by their names.
fn all_wanted(
    deployment: &Deployment,
    numbers: impl Fn(&str) -> Vec<u32>,
) -> (Containers, Containers) {
    let project = &deployment.project;
    let contents = deployment.known_contents();
    let of = |project: &Project, service: &str| {
        let definition = project.services.get(service);
        let made = definition.into_iter().flat_map(|definition| {
            let numbers = numbers(service).into_iter();
            numbers.map(|number| {
                let name = project.numbered_name(service, number);
                let (of, none) = ((name.as_str(), number), BTreeMap::new());
                let request = request::of(project, service, definition, of, &none, &contents);
                ((service.to_owned(), number), engine::wanted(&request))
            })
        });
        made.collect::<Vec<_>>()
    };
    let wanted = project.services.keys();
    let wanted = wanted.flat_map(|service| of(project, service)).collect();
    let accepted = deployment.replica_set.iter().flat_map(|set| {
        let project = standalone::project(deployment);
        of(&project, &set.service)
    });
    (wanted, accepted.collect())
}

/// What the engine shows of containers, by service and number.
type Containers = BTreeMap<(String, u32), Made>;

/// What the engine would show of the containers of a project that was applied earlier, by the hash of
/// their definitions.
#[must_use]
pub fn of_earlier(project: &Project) -> BTreeMap<String, Made> {
    let (none, contents) = (BTreeMap::new(), BTreeMap::new());
    let services = project.services.iter();
    let made = services.map(|(service, definition)| {
        let name = project.container_name(service);
        let request = request::of(project, service, definition, (&name, 1), &none, &contents);
        (
            canonical::service_hash(definition),
            engine::wanted(&request),
        )
    });
    made.collect()
}

/// Looks at the files that were put into containers: the engine's answers do not show them.
async fn put_files(
    engine: &impl Engine,
    observed: &Observed,
) -> Result<Vec<(usize, Values)>, EngineError> {
    let mut all = Vec::new();
    for (at, container) in observed.containers.iter().enumerate() {
        let key = (container.service.clone(), container.number());
        let wanted = observed.wanted.get(&key);
        let files = wanted.and_then(|wanted| wanted.0.get("files")?.as_object());
        let Some(files) = files else { continue };
        let mut found = Values::new();
        for path in files.keys() {
            if let Some(content) = engine.file(&container.id, path).await? {
                found.insert(path.clone(), engine::digest(&content).into());
            }
        }
        all.push((at, found));
    }
    Ok(all)
}

fn folder_state(path: &Path) -> FolderState {
    match host::path_kind(path) {
        PathKind::Missing => FolderState::Missing,
        PathKind::Folder => FolderState::Present,
        PathKind::Other => FolderState::NotAFolder,
        PathKind::Unreadable { cause } => FolderState::Unreadable { cause },
    }
}

/// The containers and networks of a project; what `stop` and `down` need. Who the engine is, which takes
/// it longer than the rest, matters to neither.
///
/// # Errors
/// The engine cannot be asked.
pub async fn containers_and_networks(
    engine: &impl Engine,
    root: &Path,
    project: &Project,
) -> Result<Observed, EngineError> {
    Ok(Observed {
        engine: engine.greeting(),
        ..listed(engine, root, project, |_| true).await?
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
    let mut observed = containers_and_networks(engine, root, project).await?;
    observed.visitors = visitors::running(engine, project, &observed).await?;
    Ok(observed)
}

/// The containers and networks of a project. `is_likely` tells of which services containers are probably
/// there.
async fn listed(
    engine: &impl Engine,
    root: &Path,
    project: &Project,
    is_likely: impl Fn(&str) -> bool,
) -> Result<Observed, EngineError> {
    let networks = try_join_all(project.networks.values().map(async |network| {
        Ok::<_, EngineError>((network.name.clone(), engine.networks(&network.name).await?))
    }));
    let likely: Vec<String> = names(project, is_likely).collect();
    let containers = engine.containers_and_stand_ins(&project.name, &likely);
    let (containers, networks) = futures_util::try_join!(containers, networks)?;
    let (stand_ins, containers) = containers.into_iter().partition(Container::is_stand_in);
    let containers = without_shared(containers);
    let other_instance = other_instance(root, &containers);
    let mut observed = Observed {
        containers,
        stand_ins,
        networks: networks.into_iter().collect(),
        other_instance,
        ..Observed::default()
    };
    let lost = observed.containers.iter().filter_map(|container| {
        let because = observed.without_network(project, container)?;
        Some((container.service.clone(), because))
    });
    observed.lost_networks = lost.collect();
    Ok(observed)
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

/// The names that the containers of services have.
fn names(project: &Project, concerns: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
    let services = project.services.keys();
    let services = services.filter(move |service| concerns(service));
    services.flat_map(|service| {
        let numbers = 1..=project.scale(service);
        numbers.map(|number| project.numbered_name(service, number))
    })
}

/// Containers that hold a name of ours without belonging to the service. One that belongs to it came
/// after the listing, as what an interrupted run asked for can: applying a plan deals with that.
async fn strangers(
    engine: &impl Engine,
    project: &Project,
    ours: &[Container],
    concerns: impl Fn(&str) -> bool,
) -> Result<Vec<Container>, EngineError> {
    let wanted = names(project, concerns);
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
}
