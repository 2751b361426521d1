//! The container engine in our verbs.
//!
//! [`docker`] speaks to a real engine, [`memory`] behaves like a small one for tests; both pass the
//! same contract. Knows nothing of plans or the user interface.

pub mod docker;
mod events;
pub mod inside;
pub mod limits;
pub mod memory;
pub mod request;
pub mod stock;
mod streams;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use thiserror::Error;

use crate::compose::Network as NetworkDefinition;
use crate::compose::Service;
use crate::compose::Values;
use crate::compose::Volume;
use crate::compose::canonical;
use crate::observed::Container;
use crate::observed::EngineFacts;
use crate::observed::Image;
use crate::observed::Made;
use crate::observed::Network;
use crate::observed::Volume as ObservedVolume;
use crate::secret::Secret;

pub use events::{EngineEvent, EngineEventKind, EventStream};
pub use streams::{ByteStream, Reach};

/// An archive that is sent while it is being made.
pub type ArchiveStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Is told the bytes done so far, and in all where known.
pub type Transferred<'a> = &'a (dyn Fn(u64, Option<u64>) + Sync);

/// What a container is made of.
#[derive(Debug, Clone)]
pub struct ContainerRequest<'a> {
    /// Its name.
    pub name: &'a str,
    /// Name of its service.
    pub service_name: &'a str,
    /// Its definition.
    pub service: &'a Service,
    /// Ids of the networks it joins, by name; aliases beside them.
    pub networks: Vec<NetworkPlace>,
    /// Its labels, those of the definition included.
    pub labels: BTreeMap<String, String>,
    /// Named volumes of the project, by the key that mounts use.
    pub volumes: BTreeMap<String, Volume>,
    /// Anonymous volumes that it takes over: their names, by path in the container.
    pub inherits: BTreeMap<String, String>,
    /// Files it gets to read: path of the host and path in the container.
    pub files: Vec<(String, String)>,
    /// Container whose network, or kind of network, it uses instead of networks of its own.
    pub network_mode: Option<String>,
    /// Container whose memory it shares, or kind of sharing.
    pub ipc: Option<String>,
    /// Container whose processes it sees, or kind of sharing.
    pub pid: Option<String>,
    /// Containers whose mounts it shares.
    pub volumes_from: Vec<String>,
    /// Containers that it knows by another name on the engine's own bridge, as `CONTAINER:ALIAS`.
    pub bridge_links: Vec<String>,
    /// Variables that it gets where its definition does not set them.
    pub proxies: BTreeMap<String, Secret>,
    /// Files that are put into it before it starts.
    pub put: Vec<PutFile>,
    /// Security options in the engine's form; `None` for those of the definition as they are.
    pub security_opt: Option<Vec<String>>,
}

/// A file that is put into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutFile {
    /// Absolute path in the container.
    pub target: String,
    /// What it holds.
    pub content: Secret,
    /// Its mode.
    pub mode: u32,
    /// Ids of its user and group.
    pub owner: (u64, u64),
}

impl<'a> ContainerRequest<'a> {
    /// A container without networks, labels and whatever else comes from the project.
    #[must_use]
    pub fn new(name: &'a str, service_name: &'a str, service: &'a Service) -> Self {
        Self {
            name,
            service_name,
            service,
            networks: Vec::new(),
            labels: BTreeMap::new(),
            volumes: BTreeMap::new(),
            inherits: BTreeMap::new(),
            files: Vec::new(),
            network_mode: None,
            ipc: None,
            pid: None,
            volumes_from: Vec::new(),
            bridge_links: Vec::new(),
            proxies: BTreeMap::new(),
            put: Vec::new(),
            security_opt: None,
        }
    }
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPlace {
    /// Name of the network.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Names of the container in it.
    pub aliases: Vec<String>,
    /// Other containers and the names by which this one knows them there, as `CONTAINER:ALIAS`.
    pub links: Vec<String>,
    /// Further settings of the definition, in their canonical form.
    pub settings: Values,
}

/// An image made out of another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derivation {
    /// Reference it gets.
    pub reference: String,
    /// Reference of the image it is made of, which must be there.
    pub base: String,
    /// Its labels on top of those of the base.
    pub labels: BTreeMap<String, String>,
    /// Programs that are run in it one after the other, each with its arguments; no shell reads them.
    /// Everybody who has the image can read them: no secrets.
    pub programs: Vec<Vec<String>>,
    /// Whether steps of an earlier derivation are taken over.
    pub uses_cache: bool,
}

/// A published port and the container that publishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHolder {
    /// Name of the container.
    pub container: String,
    /// Compose project of the container; empty without one.
    pub project: String,
    /// Address on the host; empty for all.
    pub host_ip: String,
    /// Port on the host.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// What the engine did not do.
#[derive(Debug, Error)]
pub enum EngineError {
    /// There is no engine at the endpoint.
    #[error("no container engine answers at `{endpoint}`")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What the system says.
        cause: String,
    },
    /// This user may not talk to the engine.
    #[error("this user may not use the container engine at `{endpoint}`")]
    Denied {
        /// The socket.
        endpoint: String,
    },
    /// The endpoint is of a kind that this program does not speak.
    #[error("`{endpoint}` is not an endpoint that can be used")]
    Endpoint {
        /// What `DOCKER_HOST` says.
        endpoint: String,
        /// Why not.
        cause: String,
    },
    /// What was asked for does not exist.
    #[error("the engine has no {what}")]
    Missing {
        /// What.
        what: String,
    },
    /// The name is in use.
    #[error("the engine refuses {what}: the name is in use")]
    NameTaken {
        /// What was to be made.
        what: String,
        /// The engine's words.
        message: String,
    },
    /// No registry has the image, or not for this user.
    #[error("image `{reference}` cannot be pulled")]
    ImageUnavailable {
        /// The image.
        reference: String,
        /// The engine's words.
        message: String,
    },
    /// The registry does not answer.
    #[error("the registry of image `{reference}` does not answer")]
    RegistryUnreachable {
        /// The image.
        reference: String,
        /// The engine's words.
        message: String,
    },
    /// A host port is taken.
    #[error("a port that `{container}` publishes is taken")]
    PortTaken {
        /// The container.
        container: String,
        /// The engine's words.
        message: String,
    },
    /// The runtime below the engine still has a part of this container, from a start that the engine
    /// did not live to the end of.
    #[error("container `{container}` is half started")]
    HalfStarted {
        /// The container.
        container: String,
        /// The engine's words.
        message: String,
    },
    /// The engine refuses.
    #[error("the engine refuses to {doing}")]
    Refused {
        /// What was tried.
        doing: String,
        /// The engine's words.
        message: String,
    },
    /// The conversation with the engine broke down.
    #[error("the engine did not answer properly while asked to {doing}")]
    Broken {
        /// What was tried.
        doing: String,
        /// What went wrong.
        cause: String,
    },
}

/// SHA-256 over the content of a file, in hexadecimal digits: what [`Made`] holds of it.
#[must_use]
pub fn digest(content: &[u8]) -> String {
    canonical::digest(content)
}

/// What the engine will show of a container that is made of a request.
#[must_use]
pub fn wanted(request: &ContainerRequest<'_>) -> Made {
    docker::wanted(request)
}

/// What the engine will show of a network that is made of a definition, as far as that says it.
#[must_use]
pub fn wanted_network(network: &NetworkDefinition) -> Made {
    docker::wanted_network(network)
}

/// What the engine will show of a volume that is made of a definition; the driver is empty where that
/// leaves it to the engine.
#[must_use]
pub fn wanted_volume(volume: &Volume) -> ObservedVolume {
    docker::wanted_volume(volume)
}

/// A container engine. Every call may be repeated.
pub trait Engine: Sync {
    /// Where it is, in words for a person.
    fn endpoint(&self) -> String;

    /// What it said about itself when it was connected to: product, API and endpoint. Nothing else is
    /// set.
    fn greeting(&self) -> EngineFacts;

    /// What was asked before it is needed counts no longer: something may have changed since.
    fn look_again(&self) {}

    /// What it says about itself; asked once.
    fn facts(&self) -> impl Future<Output = Result<EngineFacts, EngineError>> + Send;

    /// The containers of a Compose project, whatever they do, by service and name, with those that an
    /// interrupted run made and did not put in their place. Those with `likely` names may be looked at
    /// before it is known which there are; the answer is the same without them.
    fn containers_and_stand_ins(
        &self,
        project: &str,
        likely: &[String],
    ) -> impl Future<Output = Result<Vec<Container>, EngineError>> + Send;

    /// The containers of a Compose project, whatever they do, by service and name.
    fn project_containers(
        &self,
        project: &str,
    ) -> impl Future<Output = Result<Vec<Container>, EngineError>> + Send {
        async {
            let mut found = self.containers_and_stand_ins(project, &[]).await?;
            found.retain(|container| !container.is_stand_in());
            Ok(found)
        }
    }

    /// The container with this name or id.
    fn container(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Container>, EngineError>> + Send;

    /// All host ports that running containers publish.
    fn published_ports(&self) -> impl Future<Output = Result<Vec<PortHolder>, EngineError>> + Send;

    /// All networks of this name.
    fn networks(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Vec<Network>, EngineError>> + Send;

    /// The image a reference means.
    fn image(
        &self,
        reference: &str,
    ) -> impl Future<Output = Result<Option<Image>, EngineError>> + Send;

    /// Whether the engine keeps an image for this platform under a name, beside the one that it shows.
    fn keeps_platform(
        &self,
        reference: &str,
        platform: &str,
    ) -> impl Future<Output = Result<bool, EngineError>> + Send;

    /// Pulls an image from its registry, for a platform or for that of the engine.
    fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        progress: Transferred<'_>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Whether the registry of an image answers and has it; nothing is pulled.
    fn is_in_registry(&self, reference: &str) -> impl Future<Output = bool> + Send;

    /// Loads the images of an archive in the form of `docker save`.
    fn load(&self, archive: ArchiveStream) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Makes a network and gives its id.
    fn create_network(
        &self,
        network: &NetworkDefinition,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<String, EngineError>> + Send;

    /// Ids and names of the running containers in a network.
    fn connected(
        &self,
        network: &str,
    ) -> impl Future<Output = Result<Vec<(String, String)>, EngineError>> + Send;

    /// Removes a network; one that is gone already is no error.
    fn remove_network(&self, id: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// The volume of this name.
    fn volume(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<ObservedVolume>, EngineError>> + Send;

    /// Makes a named volume; one that is there already is kept as it is.
    fn create_volume(
        &self,
        volume: &Volume,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// What a file in a container holds, whether it runs or not; `None` where there is no such file.
    /// At most 16 MiB are read.
    fn file(
        &self,
        container: &str,
        path: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, EngineError>> + Send;

    /// Makes a container, with its files, and gives what the engine warns of, such as a limit that its
    /// kernel does not know and that it leaves out.
    fn create_container(
        &self,
        request: &ContainerRequest<'_>,
    ) -> impl Future<Output = Result<Vec<String>, EngineError>> + Send;

    /// Starts a container; one that runs already is no error, and one that is paused goes on.
    fn start(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Stops a container, killing it after `grace`; a stopped or missing one is no error.
    fn stop(
        &self,
        name: &str,
        grace: Duration,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Gives a container another name.
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Removes a stopped container and none of its volumes; one that is gone already is no error.
    fn remove(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// The last lines a container wrote, oldest first.
    fn log_tail(
        &self,
        name: &str,
        lines: usize,
    ) -> impl Future<Output = Result<Vec<String>, EngineError>> + Send;

    /// Whether this machine reaches the addresses of the containers.
    fn reaches_addresses(&self) -> Reach;

    /// What happens to the container with this name or id: past events since a moment first (by the
    /// engine's clock, in nanoseconds since 1970), then each as it comes. Without a moment, what
    /// happens before the first poll may be missed.
    fn events(&self, container: &str, since: Option<i64>) -> EventStream<'_>;

    /// Those of these absolute paths that an image has.
    fn paths_in_image(
        &self,
        image: &str,
        paths: &[String],
    ) -> impl Future<Output = Result<Vec<String>, EngineError>> + Send;

    /// Makes an image out of another one by running programs in it. `said` hears what they write.
    fn derive_image(
        &self,
        derivation: &Derivation,
        said: &(dyn Fn(&str) + Sync),
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Opens a connection to a port in a running container, through the engine.
    fn open_stream(
        &self,
        container: &str,
        port: u16,
    ) -> impl Future<Output = Result<ByteStream, EngineError>> + Send;
}
