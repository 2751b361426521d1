//! An engine in memory, for tests: it behaves like a small one. Names clash, images must exist, a
//! stopped container is not healthy, and it can be told to fail at its n-th change.

mod derive;
mod events;
mod faults;
mod inside;
mod made;
mod stock;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt;

use super::{
    ArchiveStream, ByteStream, ContainerRequest, Derivation, Engine, EngineError, EngineEventKind,
    EventStream, NetworkDefinition, PortHolder, Reach, Transferred, Volume as VolumeDefinition,
};
use crate::compose::MountSource;
use crate::labels;
use crate::observed::{
    Container, ContainerState, EngineFacts, Environment, Health, Image, Network, PublishedPort,
    Volume, architecture_of,
};
use events::Events;

/// The engine.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    world: Mutex<World>,
    events: Events,
}

#[derive(Debug, Default)]
struct World {
    containers: BTreeMap<String, Stored>,
    networks: Vec<Network>,
    volumes: BTreeMap<String, Volume>,
    images: BTreeMap<String, Image>,
    registry: BTreeSet<String>,
    stock: stock::Stocked,
    changes: usize,
    fails_at: Option<usize>,
    exits: BTreeMap<String, i64>,
    answers: Vec<inside::Answer>,
    runs: Vec<inside::Run>,
    late: BTreeSet<String>,
    introductions: usize,
    questions: Vec<String>,
    miscounted: BTreeSet<String>,
    warnings: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct Stored {
    container: Container,
    has_health_check: bool,
    is_restarted: bool,
    lines: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryEngine {
    /// An engine that has the images and can pull those of the registry.
    #[must_use]
    pub fn new(images: &[&str], registry: &[&str]) -> Self {
        let image = |name: &&str| ((*name).to_owned(), image_of(name));
        let world = World {
            images: images.iter().map(image).collect(),
            registry: registry.iter().map(ToString::to_string).collect(),
            ..World::default()
        };
        Self {
            world: Mutex::new(world),
            events: Events::default(),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic elsewhere leaves the world as it was; tests then fail on their own account.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, what: String) -> Result<MutexGuard<'_, World>, EngineError> {
        let mut world = self.world();
        world.changes += 1;
        if world.fails_at == Some(world.changes) {
            let message = "told to fail here".to_owned();
            return Err(EngineError::Refused {
                doing: what,
                message,
            });
        }
        Ok(world)
    }
}

fn image_of(reference: &str) -> Image {
    Image {
        id: format!("sha256:{reference}"),
        architecture: "amd64".to_owned(),
        ..Image::default()
    }
}

impl Engine for MemoryEngine {
    fn endpoint(&self) -> String {
        "memory".to_owned()
    }

    fn greeting(&self) -> EngineFacts {
        EngineFacts {
            product: "Memory".to_owned(),
            api: (1, 41),
            endpoint: self.endpoint(),
            ..EngineFacts::default()
        }
    }

    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        self.world().introductions += 1;
        Ok(EngineFacts {
            version: "1".to_owned(),
            architecture: "amd64".to_owned(),
            operating_system: "linux".to_owned(),
            kernel: "6.1.0".to_owned(),
            ..self.greeting()
        })
    }

    async fn containers_and_stand_ins(
        &self,
        project: &str,
        _: &[String],
    ) -> Result<Vec<Container>, EngineError> {
        let mut world = self.world();
        let late = std::mem::take(&mut world.late);
        let containers = world
            .containers
            .values()
            .map(|stored| stored.container.clone());
        let listed = containers.filter(|c| c.project == project && !late.contains(&c.name));
        let mut found: Vec<Container> = listed.collect();
        found.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        Ok(found)
    }

    async fn container(&self, name: &str) -> Result<Option<Container>, EngineError> {
        let world = self.world();
        let mut stored = world.containers.values();
        let found = stored.find(|s| s.container.name == name || s.container.id == name);
        Ok(found.map(|stored| stored.container.clone()))
    }

    async fn published_ports(&self) -> Result<Vec<PortHolder>, EngineError> {
        let world = self.world();
        let running = world
            .containers
            .values()
            .filter(|s| s.container.state.is_running());
        let holders = running.flat_map(|stored| {
            stored.container.ports.iter().map(|port| PortHolder {
                container: stored.container.name.clone(),
                project: stored.container.project.clone(),
                host_ip: port.host_ip.clone(),
                port: port.host_port,
                protocol: port.protocol.clone(),
            })
        });
        Ok(holders.collect())
    }

    async fn networks(&self, name: &str) -> Result<Vec<Network>, EngineError> {
        let world = self.asked(format!("network {name}"));
        let named = world.networks.iter().filter(|n| n.name == name);
        Ok(named.cloned().collect())
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let world = self.asked(format!("image {reference}"));
        Ok(world.images.get(reference).cloned())
    }

    async fn keeps_platform(&self, _: &str, _: &str) -> Result<bool, EngineError> {
        Ok(false)
    }

    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        progress: Transferred<'_>,
    ) -> Result<(), EngineError> {
        let mut world = self.change(format!("pull {reference}"))?;
        if !world.registry.contains(reference) {
            let message = "manifest unknown".to_owned();
            return Err(EngineError::ImageUnavailable {
                reference: reference.to_owned(),
                message,
            });
        }
        let mut image = image_of(reference);
        if let Some(architecture) = platform.and_then(architecture_of) {
            if architecture != image.architecture {
                image.id.push_str(&format!("-{architecture}"));
            }
            image.architecture = architecture;
        }
        world.images.insert(reference.to_owned(), image);
        progress(1, Some(1));
        Ok(())
    }

    async fn is_in_registry(&self, reference: &str) -> bool {
        self.world().registry.contains(reference)
    }

    async fn load(&self, archive: ArchiveStream) -> Result<(), EngineError> {
        let doing = "load images".to_owned();
        let pieces: Result<Vec<_>, _> = archive.try_collect().await;
        let bytes = pieces
            .map_err(|error| EngineError::Broken {
                doing: doing.clone(),
                cause: error.to_string(),
            })?
            .concat();
        let mut world = self.change(doing)?;
        for reference in archived_images(&bytes) {
            let image = image_of(&reference);
            world.images.insert(reference, image);
        }
        Ok(())
    }

    async fn create_network(
        &self,
        network: &NetworkDefinition,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, EngineError> {
        let mut world = self.change(format!("create network {}", network.name))?;
        let id = format!("network-{}", world.changes);
        let (name, labels) = (network.name.clone(), labels.clone());
        world.networks.push(Network {
            id: id.clone(),
            name,
            labels,
            made: super::wanted_network(network),
        });
        Ok(id)
    }

    async fn connected(&self, network: &str) -> Result<Vec<(String, String)>, EngineError> {
        let world = self.world();
        let containers = world.containers.values().map(|stored| &stored.container);
        let connected = containers
            .filter(|one| one.state.is_running() && one.network_ids.contains(network))
            .map(|one| (one.id.clone(), one.name.clone()));
        Ok(connected.collect())
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let mut world = self.change(format!("remove network {id}"))?;
        if world.miscounted.contains(id) {
            return Err(EngineError::Refused {
                doing: "remove a network".to_owned(),
                message: format!("network {id} has active endpoints"),
            });
        }
        world.networks.retain(|network| network.id != id);
        Ok(())
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        Ok(self.world().volumes.get(name).cloned())
    }

    async fn create_volume(
        &self,
        volume: &VolumeDefinition,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let mut world = self.change(format!("create volume {}", volume.name))?;
        let text = |key: &str| volume.rest.get(key).and_then(serde_json::Value::as_str);
        let made = Volume {
            name: volume.name.clone(),
            driver: text("driver").unwrap_or("local").to_owned(),
            labels: labels.clone(),
            options: super::wanted_volume(volume).options,
        };
        world.volumes.entry(volume.name.clone()).or_insert(made);
        Ok(())
    }

    async fn file(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
        let world = self.world();
        let mut stored = world.containers.values();
        let found = stored.find(|s| s.container.name == container || s.container.id == container);
        Ok(found.and_then(|stored| stored.files.get(path).cloned()))
    }

    async fn create_container(
        &self,
        request: &ContainerRequest<'_>,
    ) -> Result<Vec<String>, EngineError> {
        let doing = format!("create container `{}`", request.name);
        let mut world = self.change(format!("create {}", request.name))?;
        let Some(image) = world.images.get(&request.service.image).cloned() else {
            return Err(EngineError::Missing {
                what: format!("image: {}", request.service.image),
            });
        };
        if world.containers.contains_key(request.name) {
            return Err(EngineError::NameTaken {
                what: format!("container `{}`", request.name),
                message: "in use".to_owned(),
            });
        }
        let knows = |place: &super::NetworkPlace| world.networks.iter().any(|n| n.id == place.id);
        if let Some(place) = request.networks.iter().find(|place| !knows(place)) {
            let message = format!("network {} not found", place.name);
            return Err(EngineError::Refused { doing, message });
        }
        let id = format!("{:064x}", world.changes);
        let environment = request.service.environment.0.iter();
        let environment = environment.filter_map(|(k, v)| Some((k.clone(), v.clone()?)));
        let ports = request.service.ports.iter().map(|port| PublishedPort {
            host_ip: port.host_ip.clone().unwrap_or_default(),
            host_port: port
                .published
                .as_ref()
                .and_then(|p| p.parse().ok())
                .unwrap_or(0),
            target: port.target,
            protocol: port.protocol.clone(),
        });
        let container = Container {
            id: id.clone(),
            name: request.name.to_owned(),
            project: request
                .labels
                .get(labels::PROJECT)
                .cloned()
                .unwrap_or_default(),
            service: request
                .labels
                .get(labels::SERVICE)
                .cloned()
                .unwrap_or_default(),
            labels: request.labels.clone(),
            image: request.service.image.clone(),
            image_id: image.id.clone(),
            environment: Environment(environment.collect()),
            ports: ports.collect(),
            network_ids: request
                .networks
                .iter()
                .map(|place| place.id.clone())
                .collect(),
            made: made::shown(request),
            anonymous: made::anonymous(request, &image.brings, world.volumes.len()),
            ..Container::default()
        };
        let has_health_check = request.service.healthcheck.is_some();
        let policy = request.service.restart.as_deref();
        let is_restarted = matches!(policy, Some("always" | "unless-stopped"));
        let stored = Stored {
            container,
            has_health_check,
            is_restarted,
            lines: Vec::new(),
            files: request
                .put
                .iter()
                .map(|file| {
                    let content = file.content.expose().as_bytes().to_vec();
                    (file.target.clone(), content)
                })
                .collect(),
        };
        for name in stored.container.anonymous.values() {
            let made = Volume {
                name: name.clone(),
                driver: "local".to_owned(),
                ..Volume::default()
            };
            world.volumes.entry(name.clone()).or_insert(made);
        }
        for mount in &request.service.volumes {
            // As a real one does with a named volume that is not there.
            if let MountSource::Volume(Some(key)) = &mount.source
                && let Some(volume) = request.volumes.get(key)
            {
                let made = Volume {
                    name: volume.name.clone(),
                    driver: "local".to_owned(),
                    ..Volume::default()
                };
                world.volumes.entry(volume.name.clone()).or_insert(made);
            }
        }
        world.containers.insert(request.name.to_owned(), stored);
        Ok(world
            .warnings
            .get(request.name)
            .cloned()
            .into_iter()
            .collect())
    }

    async fn start(&self, name: &str) -> Result<(), EngineError> {
        let mut world = self.change(format!("start {name}"))?;
        let service = world
            .containers
            .get(name)
            .map(|stored| stored.container.service.clone());
        let exit_code = service.and_then(|service| world.exits.get(&service).copied());
        // As Docker Engine 20.10 does: a name that several networks have starts no container.
        let joined = world
            .containers
            .get(name)
            .map(|stored| stored.container.network_ids.clone());
        let joined = joined.unwrap_or_default();
        let of_name = |name: &str| world.networks.iter().filter(|n| n.name == name).count();
        let twice = world
            .networks
            .iter()
            .find(|n| joined.contains(&n.id) && of_name(&n.name) > 1);
        if let Some(network) = twice {
            let message = format!(
                "network {} is ambiguous (2 matches found on name)",
                network.name
            );
            return Err(EngineError::Refused {
                doing: format!("start container `{name}`"),
                message,
            });
        }
        let Some(stored) = world.containers.get_mut(name) else {
            return Err(EngineError::Missing {
                what: format!("container: {name}"),
            });
        };
        stored.container.state = match exit_code {
            Some(exit_code) => ContainerState::Exited { exit_code },
            None => ContainerState::Running,
        };
        let is_healthy = stored.has_health_check && exit_code.is_none();
        stored.container.health = is_healthy.then_some(Health::Healthy);
        stored.lines.push("started".to_owned());
        stored.container.started_at = self.events.now();
        self.events.tell(name, EngineEventKind::Started);
        if let Some(exit_code) = exit_code {
            self.events.tell(name, EngineEventKind::Died { exit_code });
        }
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        stored
            .container
            .addresses
            .insert("default".to_owned(), address);
        let ports = stored.container.ports.iter();
        stored.container.bound_ports = ports
            .map(|port| (port.target, port.protocol.clone()))
            .collect();
        Ok(())
    }

    async fn stop(&self, name: &str, _grace: Duration) -> Result<(), EngineError> {
        let mut world = self.change(format!("stop {name}"))?;
        if let Some(stored) = world.containers.get_mut(name)
            && stored.container.state.is_running()
        {
            stored.container.state = ContainerState::Exited { exit_code: 0 };
            stored.container.health = None;
            stored.container.addresses.clear();
            self.events
                .tell(name, EngineEventKind::Died { exit_code: 0 });
        }
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), EngineError> {
        let mut world = self.change(format!("rename {from} to {to}"))?;
        if world.containers.contains_key(to) {
            return Err(EngineError::NameTaken {
                what: format!("container `{to}`"),
                message: "in use".to_owned(),
            });
        }
        let Some(mut stored) = world.containers.remove(from) else {
            return Err(EngineError::Missing {
                what: format!("container: {from}"),
            });
        };
        stored.container.name = to.to_owned();
        made::renamed(&mut stored.container.made, to);
        world.containers.insert(to.to_owned(), stored);
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let mut world = self.change(format!("remove {name}"))?;
        if world
            .containers
            .get(name)
            .is_some_and(|s| s.container.state.is_running())
        {
            let message = "it is running".to_owned();
            return Err(EngineError::Refused {
                doing: format!("remove container `{name}`"),
                message,
            });
        }
        if world.containers.remove(name).is_some() {
            self.events.tell(name, EngineEventKind::Destroyed);
        }
        Ok(())
    }

    async fn log_tail(&self, name: &str, lines: usize) -> Result<Vec<String>, EngineError> {
        let world = self.world();
        let all = world
            .containers
            .get(name)
            .map(|stored| stored.lines.clone())
            .unwrap_or_default();
        Ok(all
            .get(all.len().saturating_sub(lines)..)
            .unwrap_or_default()
            .to_vec())
    }

    fn reaches_addresses(&self) -> Reach {
        Reach::Direct
    }

    fn events(&self, container: &str, since: Option<i64>) -> EventStream<'_> {
        self.events.of(container, since)
    }

    async fn paths_in_image(
        &self,
        image: &str,
        paths: &[String],
    ) -> Result<Vec<String>, EngineError> {
        self.look_into(image, paths)
    }

    async fn derive_image(
        &self,
        derivation: &Derivation,
        said: &(dyn Fn(&str) + Sync),
    ) -> Result<(), EngineError> {
        self.derive(derivation, said)
    }

    async fn open_stream(&self, container: &str, port: u16) -> Result<ByteStream, EngineError> {
        Err(EngineError::Refused {
            doing: format!("reach port {port} in container `{container}`"),
            message: "no program runs in memory".to_owned(),
        })
    }
}

/// The image references in the manifest of an archive in the form of `docker save`.
fn archived_images(archive: &[u8]) -> Vec<String> {
    let mut reader = tar::Archive::new(archive);
    let Ok(entries) = reader.entries() else {
        return Vec::new();
    };
    for entry in entries.flatten() {
        let is_manifest = entry
            .path()
            .is_ok_and(|path| path.as_os_str() == "manifest.json");
        if is_manifest {
            let manifest: serde_json::Value = serde_json::from_reader(entry).unwrap_or_default();
            let images = manifest.as_array().cloned().unwrap_or_default();
            let tags = images.iter().flat_map(|image| {
                image
                    .get("RepoTags")
                    .and_then(|tags| tags.as_array())
                    .cloned()
                    .unwrap_or_default()
            });
            return tags
                .filter_map(|tag| tag.as_str().map(ToOwned::to_owned))
                .collect();
        }
    }
    Vec::new()
}
