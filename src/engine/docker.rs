//! The engine behind the Docker Engine API, through bollard. The only module that names bollard.

mod ahead;
mod ask;
mod attach;
mod convert;
mod derive;
mod events;
mod failure;
mod files;
mod forward;
mod greet;
mod ground;
mod host;
mod inside;
mod inspect;
mod normal;
mod pull;
mod stock;

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::models::NetworkConnectRequest;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ImportImageOptionsBuilder, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use futures_util::TryStreamExt;
use hyper::Method;
use tokio::sync::{OnceCell, oneshot};

use super::{
    ArchiveStream, ByteStream, ContainerRequest, Derivation, Engine, EngineError, EventStream,
    NetworkDefinition, PortHolder, Reach, Transferred, Volume as VolumeDefinition,
};
use crate::observed::{Container, EngineFacts, Image, Made, Network, Volume};
use ahead::Ahead;
use failure::failure;
use inspect::Shown;
use pull::MANIFESTS;

/// Where an engine listens when nothing else is said.
pub const DEFAULT_ENDPOINT: &str = "unix:///var/run/docker.sock";

/// The newest API that this program was written against. A newer engine is asked in this one.
const NEWEST_API: (u32, u32) = (1, 53);

/// How long an engine may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);

/// How long the engine may take beyond the grace period of a container to stop or remove it.
const SLOWNESS: Duration = Duration::from_secs(120);

/// How often a removal that goes on is looked at.
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);

/// For transfers, which answer only when all is done: pulling and loading images.
const TRANSFER: Duration = Duration::from_secs(6 * 3600);

/// How long reading a few lines of a log may take.
const LOG: Duration = Duration::from_secs(5);

/// A pull without a sign of life for so long is given up while nothing has come yet; the engine
/// itself retries for a minute. Once bytes have come, silence may be the unpacking of a large layer.
const FIRST_SILENCE: Duration = Duration::from_secs(90);
const LATER_SILENCE: Duration = Duration::from_secs(900);

/// A connection to an engine.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    client: Docker,
    endpoint: String,
    /// Where the client connects to, for connections that are none of its own.
    door: attach::Door,
    /// What it said of itself at once.
    greeting: Arc<EngineFacts>,
    /// The API version in front of every path.
    prefix: Arc<str>,
    identity: Arc<OnceCell<Identity>>,
    forwarders: forward::Found,
    ahead: Arc<Ahead>,
    /// What leads to the engine; it is kept and not used.
    way: Option<Arc<dyn Any + Send + Sync>>,
}

/// Who an engine is. To tell that takes it longer than all else that is asked of it: it asks the
/// programs below it. So this is asked where it matters.
#[derive(Debug)]
struct Identity {
    facts: EngineFacts,
    reach: Reach,
}

impl Identity {
    async fn ask(client: &Docker, endpoint: &str) -> Result<Self, EngineError> {
        let both = async {
            let answers = futures_util::join!(client.version(), client.info());
            Ok((answers.0?, answers.1.ok()))
        };
        let (version, info) = within_reason(endpoint, both).await?;
        Ok(Self {
            reach: forward::reach(endpoint, &version),
            facts: convert::facts(endpoint, version, info),
        })
    }
}

impl DockerEngine {
    /// Connects to the engine that `DOCKER_HOST` names, or to the one on the usual socket, and agrees
    /// with it on the version of the API.
    ///
    /// # Errors
    /// No engine answers there, or it may not be used.
    pub async fn connect(docker_host: Option<&str>) -> Result<Self, EngineError> {
        let endpoint = docker_host
            .filter(|host| !host.is_empty())
            .unwrap_or(DEFAULT_ENDPOINT);
        Self::connect_at(endpoint, endpoint).await
    }

    /// Connects to an engine elsewhere, to which a socket of this machine leads as long as `way`
    /// lives.
    ///
    /// # Errors
    /// As of [`Self::connect`].
    pub async fn connect_through(
        endpoint: &str,
        socket: &Path,
        way: Arc<dyn Any + Send + Sync>,
    ) -> Result<Self, EngineError> {
        let mut engine =
            Self::connect_at(endpoint, &format!("unix://{}", socket.display())).await?;
        engine.way = Some(way);
        Ok(engine)
    }

    async fn connect_at(endpoint: &str, place: &str) -> Result<Self, EngineError> {
        let failed = |error| failure(endpoint, "connect", error);
        let client = Docker::connect_with_host(place).map_err(failed)?;
        let door = attach::Door::read(place).ok_or_else(|| {
            let uri = place.to_owned();
            failed(bollard::errors::Error::UnsupportedURISchemeError { uri })
        })?;
        let identity: Arc<OnceCell<Identity>> = Arc::default();
        let greeting = match within_reason(endpoint, greet::ask(&door, endpoint)).await? {
            Some(greeting) => greeting,
            None => {
                let known = Identity::ask(&client, endpoint).await?;
                identity.get_or_init(async || known).await.facts.clone()
            }
        };
        let pinned = greeting.api.min(NEWEST_API);
        let prefix: Arc<str> = format!("/v{}.{}", pinned.0, pinned.1).into();
        let versioned = Arc::clone(&prefix);
        let ahead: Arc<Ahead> = Arc::default();
        let changes = Arc::clone(&ahead);
        let client = client.with_request_modifier(move |request| {
            if request.method() != Method::GET {
                changes.forget();
            }
            with_version(request, &versioned)
        });
        Ok(Self {
            client,
            endpoint: endpoint.to_owned(),
            door,
            greeting: Arc::new(greeting),
            prefix,
            identity,
            forwarders: forward::Found::default(),
            ahead,
            way: None,
        })
    }

    /// Who it is; asked once.
    async fn identity(&self) -> Result<&Identity, EngineError> {
        let asking = async || Identity::ask(&self.client, &self.endpoint).await;
        self.identity.get_or_try_init(asking).await
    }

    fn failure(&self, doing: &str, error: bollard::errors::Error) -> EngineError {
        failure(&self.endpoint, doing, error)
    }

    fn patient(&self, patience: Duration) -> Docker {
        self.client.clone().with_timeout(patience)
    }
}

/// An answer of an engine that was just connected to.
async fn within_reason<T>(
    endpoint: &str,
    asking: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(HELLO, asking).await {
        Ok(answer) => answer.map_err(|error| failure::of_connect(endpoint, error)),
        Err(_) => Err(EngineError::Unreachable {
            endpoint: endpoint.to_owned(),
            cause: format!("it does not answer within {} s", HELLO.as_secs()),
        }),
    }
}

/// Puts the API version in front of the path, unless it is there already.
fn with_version(mut request: bollard::BollardRequest, prefix: &str) -> bollard::BollardRequest {
    let path = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    if path.starts_with("/v1.") {
        return request;
    }
    let mut parts = request.uri().clone().into_parts();
    if let Ok(versioned) = format!("{prefix}{path}").parse() {
        parts.path_and_query = Some(versioned);
        if let Ok(uri) = hyper::Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn filter(key: &str, value: String) -> HashMap<String, Vec<String>> {
    HashMap::from([(key.to_owned(), vec![value])])
}

/// What an engine will show of a container made of a request.
pub(super) fn wanted(request: &ContainerRequest<'_>) -> Made {
    normal::of_request(request)
}

/// What an engine will show of a network made of a definition.
pub(super) fn wanted_network(network: &NetworkDefinition) -> Made {
    ground::wanted_network(network)
}

/// What an engine will show of a volume made of a definition.
pub(super) fn wanted_volume(volume: &VolumeDefinition) -> Volume {
    ground::wanted_volume(volume)
}

impl Engine for DockerEngine {
    fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    fn greeting(&self) -> EngineFacts {
        (*self.greeting).clone()
    }

    fn look_again(&self) {
        self.ahead.forget();
    }

    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        Ok(self.identity().await?.facts.clone())
    }

    async fn containers_and_stand_ins(
        &self,
        project: &str,
        likely: &[String],
    ) -> Result<Vec<Container>, EngineError> {
        match self.ahead.take(project, likely).await {
            Some(containers) => containers,
            None => {
                let (tell, told) = oneshot::channel();
                // It waits in the channel; whoever looks takes it out.
                let _ = tell.send(likely.to_vec());
                self.look_at_containers(project, told).await
            }
        }
    }

    async fn container(&self, name: &str) -> Result<Option<Container>, EngineError> {
        let path = inspect::path(name);
        let shown = self.asked("inspect a container", &path).await?;
        Ok(shown.map(|Shown(container)| container))
    }

    async fn published_ports(&self) -> Result<Vec<PortHolder>, EngineError> {
        let options = ListContainersOptionsBuilder::new().build();
        let listed = self.client.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| self.failure("list containers", error))?;
        Ok(listed.into_iter().flat_map(convert::port_holders).collect())
    }

    async fn networks(&self, name: &str) -> Result<Vec<Network>, EngineError> {
        let filters = filter("name", name.to_owned());
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let listed = self.client.list_networks(Some(options)).await;
        let listed = listed.map_err(|error| self.failure("list networks", error))?;
        // The engine's filter also finds names that only contain this one.
        let networks = listed.into_iter().map(convert::network);
        Ok(networks.filter(|network| network.name == name).collect())
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        match self.client.inspect_image(reference).await {
            Ok(image) => Ok(Some(Image {
                brings: normal::of_image(image.config.as_ref()),
                tagged: convert::tagged(image.metadata),
                id: image.id.unwrap_or_default(),
                architecture: image.architecture.unwrap_or_default(),
            })),
            Err(error) => failure::unless_missing(self.failure("inspect an image", error)),
        }
    }

    async fn keeps_platform(&self, reference: &str, platform: &str) -> Result<bool, EngineError> {
        if self.greeting.api < MANIFESTS {
            return Ok(false);
        }
        self.has_manifest(reference, platform).await
    }

    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        progress: Transferred<'_>,
    ) -> Result<(), EngineError> {
        self.pull_tagged(reference, platform, progress).await?;
        let Some(platform) = platform else {
            return Ok(());
        };
        // A registry that has it for one platform only gives that one.
        let image = self.image(reference).await?;
        let Some(image) = image.filter(|image| !image.fits(Some(platform))) else {
            return Ok(());
        };
        if self.keeps_platform(reference, platform).await? {
            return Ok(());
        }
        Err(EngineError::ImageUnavailable {
            reference: reference.to_owned(),
            message: format!(
                "its registry has it for {}, and not for {platform}",
                image.architecture
            ),
        })
    }

    async fn is_in_registry(&self, reference: &str) -> bool {
        self.client
            .inspect_registry_image(reference, None)
            .await
            .is_ok()
    }

    async fn load(&self, archive: ArchiveStream) -> Result<(), EngineError> {
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let client = self.patient(TRANSFER);
        let answers = client.import_image_stream(options, archive, None);
        let loaded: Result<Vec<_>, _> = answers.try_collect().await;
        loaded
            .map(|_| ())
            .map_err(|error| self.failure("load images", error))
    }

    async fn create_network(
        &self,
        network: &NetworkDefinition,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, EngineError> {
        let request = convert::network_request(network, labels);
        let doing = format!("create network `{}`", network.name);
        let made = self.client.create_network(request).await;
        Ok(made.map_err(|error| self.failure(&doing, error))?.id)
    }

    async fn connected(&self, network: &str) -> Result<Vec<(String, String)>, EngineError> {
        let filters = filter("network", network.to_owned());
        let options = ListContainersOptionsBuilder::new()
            .filters(&filters)
            .build();
        let listed = self.client.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| self.failure("list containers", error))?;
        let named = listed.into_iter().filter_map(|summary| {
            let name = summary.names?.into_iter().next()?;
            Some((summary.id?, name.trim_start_matches('/').to_owned()))
        });
        Ok(named.collect())
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        match self.client.remove_network(id).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let missing =
                    failure::unless_missing::<()>(self.failure("remove a network", error));
                missing.map(|_| ())
            }
        }
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        match self.client.inspect_volume(name).await {
            Ok(volume) => Ok(Some(convert::volume(volume))),
            Err(error) => failure::unless_missing(self.failure("inspect a volume", error)),
        }
    }

    async fn create_volume(
        &self,
        volume: &VolumeDefinition,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let request = convert::volume_request(volume, labels);
        let doing = format!("create volume `{}`", volume.name);
        let made = self.client.create_volume(request).await;
        made.map(|_| ())
            .map_err(|error| self.failure(&doing, error))
    }

    async fn file(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
        self.read_file(container, path).await
    }

    async fn create_container(
        &self,
        request: &ContainerRequest<'_>,
    ) -> Result<Vec<String>, EngineError> {
        let mut options = CreateContainerOptionsBuilder::new().name(request.name);
        if let Some(platform) = request.service.rest.get("platform") {
            options = options.platform(platform.as_str().unwrap_or_default());
        }
        let options = options.build();
        let doing = format!("create container `{}`", request.name);
        let body = convert::create_body(request);
        let made = self.client.create_container(Some(options), body).await;
        let made = made.map_err(|error| self.failure(&doing, error))?;
        let id = made.id;
        // Engines before API 1.44 take one network at creation; the others are joined before the
        // start, so that the container never runs without them.
        for place in request.networks.iter().skip(1) {
            let connect = NetworkConnectRequest {
                container: id.clone(),
                endpoint_config: Some(convert::endpoint(place)),
            };
            let joined = self.client.connect_network(&place.id, connect).await;
            joined.map_err(|error| self.failure(&doing, error))?;
        }
        if let Err(error) = self.upload(&id, &request.put).await {
            // Without its files it must not be started, and the next run would take it as it is.
            self.remove(&id).await?;
            return Err(error);
        }
        Ok(made.warnings)
    }

    async fn start(&self, name: &str) -> Result<(), EngineError> {
        let started = self
            .client
            .start_container(name, None::<StartContainerOptions>)
            .await;
        match started.map_err(|error| failure::of_start(&self.endpoint, name, error)) {
            // The engine's own words: "cannot start a paused container, try unpause instead".
            Err(EngineError::Refused { message, .. }) if message.contains("paused container") => {
                let goes_on = self.client.unpause_container(name).await;
                let doing = format!("let container `{name}` go on");
                goes_on.map_err(|error| self.failure(&doing, error))
            }
            other => other,
        }
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        match self
            .patient(grace + SLOWNESS)
            .stop_container(name, Some(options))
            .await
        {
            Ok(()) => Ok(()),
            Err(error) => {
                let doing = format!("stop container `{name}`");
                failure::unless_missing::<()>(self.failure(&doing, error)).map(|_| ())
            }
        }
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptionsBuilder::new().name(to).build();
        let renamed = self.client.rename_container(from, options).await;
        let doing = format!("rename container `{from}` to `{to}`");
        renamed.map_err(|error| self.failure(&doing, error))
    }

    async fn remove(&self, name: &str) -> Result<(), EngineError> {
        // Anonymous volumes stay as well: the next container takes them over.
        let options = RemoveContainerOptionsBuilder::new().v(false).build();
        let client = self.patient(SLOWNESS);
        let doing = format!("remove container `{name}`");
        let deadline = tokio::time::Instant::now() + SLOWNESS;
        loop {
            let removed = client.remove_container(name, Some(options.clone())).await;
            let failed = match removed.map_err(|error| self.failure(&doing, error)) {
                Ok(()) | Err(EngineError::Missing { .. }) => return Ok(()),
                Err(failed) => failed,
            };
            // The removal of an interrupted run goes on in the engine; it is waited for.
            let goes_on = matches!(&failed, EngineError::Refused { message, .. }
                if message.contains("is already in progress"));
            if !goes_on || tokio::time::Instant::now() >= deadline {
                return Err(failed);
            }
            tokio::time::sleep(REMOVAL_PAUSE).await;
        }
    }

    async fn log_tail(&self, name: &str, lines: usize) -> Result<Vec<String>, EngineError> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let reading = self
            .client
            .logs(name, Some(options))
            .try_collect::<Vec<LogOutput>>();
        let Ok(outputs) = tokio::time::timeout(LOG, reading).await else {
            let cause = format!("no answer within {} s", LOG.as_secs());
            return Err(EngineError::Broken {
                doing: "read a log".to_owned(),
                cause,
            });
        };
        let outputs = outputs.map_err(|error| self.failure("read a log", error))?;
        let text: String = outputs.iter().map(ToString::to_string).collect();
        let all: Vec<String> = text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        Ok(all
            .get(all.len().saturating_sub(lines)..)
            .unwrap_or_default()
            .to_vec())
    }

    fn reaches_addresses(&self) -> Reach {
        let identity = self.identity.get();
        identity.map_or(Reach::Unknown, |identity| identity.reach)
    }

    fn events(&self, container: &str, since: Option<i64>) -> EventStream<'_> {
        events::of_container(self, container, since)
    }

    async fn paths_in_image(
        &self,
        image: &str,
        paths: &[String],
    ) -> Result<Vec<String>, EngineError> {
        self.look_into(image, paths).await
    }

    async fn derive_image(
        &self,
        derivation: &Derivation,
        said: &(dyn Fn(&str) + Sync),
    ) -> Result<(), EngineError> {
        derive::build(self, derivation, said).await
    }

    async fn open_stream(&self, container: &str, port: u16) -> Result<ByteStream, EngineError> {
        forward::open(self, container, port).await
    }
}
