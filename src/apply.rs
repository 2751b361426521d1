//! Carries a plan out: every step as soon as what it needs is done, each repeatable, recorded before
//! and after, reporting events. Knows nothing of configuration files or of how events are shown.

mod derive;
mod known;
mod networks;
mod schedule;
pub mod waiting;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use thiserror::Error;
use tokio::time::Instant;

use crate::bundled;
use crate::bundled::BundledError;
use crate::compose::Service;
use crate::compose::canonical;
use crate::deployment::Deployment;
use crate::deployment::ReplicaSet;
use crate::engine::ContainerRequest;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::PutFile;
use crate::engine::request;
use crate::event::Event;
use crate::event::Reporter;
use crate::host;
use crate::host::HostError;
use crate::host::interrupt::Interrupt;
use crate::journal::Journal;
use crate::labels;
use crate::observed::Container;
use crate::observed::ContainerState;
use crate::observed::Image;
use crate::observed::Readiness;
use crate::observed::lack;
use crate::plan::Action;
use crate::plan::Plan;
use crate::probe;
use crate::probe::InitiateError;
use crate::probe::Initiation;
use crate::probe::way;
use crate::secret::Secret;
use crate::texlive::TexLiveError;
use known::Known;
use waiting::ServiceFailure;

/// How long one question to mongo may take while its replica set is initiated.
const MONGO_DEADLINE: Duration = Duration::from_secs(10);

/// How long a container of an interrupted run may take to become visible, and how often it is
/// looked for.
const LATE_ARRIVAL: Duration = Duration::from_secs(10);
const LATE_PAUSE: Duration = Duration::from_millis(100);

/// Exit code of a container that the engine killed after its grace period.
const KILLED: i64 = 137;

/// What a step needs of the world.
pub struct Work<'a, E> {
    /// The engine.
    pub engine: &'a E,
    /// The desired state.
    pub deployment: &'a Deployment,
    /// Where events go.
    pub reporter: Reporter<'a>,
    /// Tells when the operator wants to stop.
    pub interrupt: &'a Interrupt,
    /// How long a single wait may last.
    pub patience: Duration,
    /// The running program, from which the bundled images are made.
    pub program: &'a Path,
    /// Where each step is kept, intent before and done after.
    pub journal: Option<&'a Journal>,
}

/// A plan that is carried out, and what its steps know by now.
struct Run<'a> {
    plan: &'a Plan,
    /// The images of services; `None` for one that is not there.
    images: Known<Option<Arc<Image>>>,
    /// Ids of networks; `None` for one that is not there.
    networks: Known<Option<String>>,
}

impl<'a> Run<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self {
            plan,
            images: Known::default(),
            networks: Known::default(),
        }
    }

    /// Forgets what a step has changed, or may have.
    fn forget_after(&self, action: &Action) {
        match action {
            Action::LoadBundledImages { .. }
            | Action::PullImage { .. }
            | Action::BuildImage { .. } => self.images.forget(),
            Action::CreateNetwork { .. } | Action::RemoveNetwork { .. } => self.networks.forget(),
            _ => {}
        }
    }
}

/// Why a plan was not carried out.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// A step failed.
    #[error("cannot {title}")]
    Step {
        /// What the step does.
        title: String,
        /// How many steps are done.
        done: usize,
        /// How many steps the plan has.
        steps: usize,
        /// Why it failed.
        #[source]
        source: Box<StepError>,
    },
    /// A service does not do what it should.
    #[error(transparent)]
    Service(#[from] Box<ServiceFailure>),
    /// The operator wanted to stop.
    #[error("interrupted")]
    Interrupted {
        /// Exit code that tells it.
        exit_code: u8,
        /// How many steps are done.
        done: usize,
        /// How many steps were begun and given up: the engine goes on with them.
        begun: usize,
        /// How many steps the plan has.
        steps: usize,
    },
}

/// Why a single step failed.
#[derive(Debug, Error)]
pub enum StepError {
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// This machine did not do it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The bundled images cannot be made.
    #[error(transparent)]
    Bundled(#[from] BundledError),
    /// The TeX Live of an image cannot be added to.
    #[error(transparent)]
    TexLive(#[from] TexLiveError),
    /// An image with TeX Live packages cannot be made.
    #[error("image `{reference}` cannot be built")]
    Build {
        /// The image.
        reference: String,
        /// The engine's words.
        message: String,
        /// What was said last, oldest first.
        said: Vec<String>,
    },
    /// Mongo does not initiate its replica set.
    #[error(transparent)]
    Initiate(#[from] InitiateError),
    /// A service does not do what it should.
    #[error(transparent)]
    Service(#[from] Box<ServiceFailure>),
    /// The plan names something that the deployment does not have.
    #[error("the plan does not fit the deployment: it has no `{0}`")]
    Foreign(String),
    /// The operator wanted to stop.
    #[error("interrupted")]
    Interrupted(u8),
}

impl<E: Engine> Work<'_, E> {
    async fn step(&self, number: usize, action: &Action, run: &Run<'_>) -> Result<(), StepError> {
        let outcome = self.carry_out(number, action, run).await;
        run.forget_after(action);
        outcome
    }

    async fn carry_out(
        &self,
        number: usize,
        action: &Action,
        run: &Run<'_>,
    ) -> Result<(), StepError> {
        match action {
            Action::CreateFolder { path, owner } => self.create_folder(path, *owner),
            Action::LoadBundledImages { images } => {
                let archive = bundled::archive(self.program, images)?;
                self.until_asked(self.engine.load(archive)).await
            }
            Action::PullImage {
                reference,
                platform,
            } => {
                let progress = |done, total| {
                    (self.reporter)(Event::Transfer {
                        number,
                        what: reference.clone(),
                        done,
                        total,
                    });
                };
                let pulled = self.engine.pull(reference, platform.as_deref(), &progress);
                self.until_asked(pulled).await
            }
            Action::BuildImage { service, reference } => {
                derive::image(self, service, reference).await
            }
            Action::CreateNetwork { key, .. } => self.create_network(key).await,
            Action::CreateVolume { key, .. } => self.create_volume(key).await,
            Action::CreateContainer {
                service,
                name,
                number,
                inherits,
                stand_in,
            } => {
                let of = (name.as_str(), *number);
                let stand_in = stand_in.as_deref();
                self.create_container(service, of, inherits, stand_in, run)
                    .await
            }
            Action::RenameContainer { stand_in, name, .. } => {
                Ok(self.engine.rename(stand_in, name).await?)
            }
            Action::StartContainer { name, .. } => self.start(name, run).await,
            Action::AwaitCondition {
                service,
                name,
                condition,
                required,
            } => waiting::condition(self, (service, name), *condition, *required).await,
            Action::InitiateReplicaSet(set) => self.initiate(set).await,
            Action::StopContainer {
                service,
                name,
                grace,
            } => self.stop(service, name, *grace).await,
            Action::RemoveContainer { name, .. } => Ok(self.engine.remove(name).await?),
            Action::RemoveNetwork { name, id } => self.remove_network(name, id, run.plan).await,
        }
    }

    /// A transfer ends at the first request to stop: the engine keeps what is whole.
    async fn until_asked(
        &self,
        transfer: impl Future<Output = Result<(), EngineError>>,
    ) -> Result<(), StepError> {
        tokio::select! {
            outcome = transfer => Ok(outcome?),
            exit_code = self.interrupt.asked() => Err(StepError::Interrupted(exit_code)),
        }
    }

    fn create_folder(&self, path: &Path, owner: Option<(u32, u32)>) -> Result<(), StepError> {
        let Some(owner) = owner else {
            return Ok(host::create_folder(path, 0o755)?);
        };
        if let Err(error) = host::create_folder_for(path, 0o755, owner)? {
            // Without root the container takes the folder over itself when it starts.
            let text = format!("{error}; the container does it when it starts");
            (self.reporter)(Event::Note { text });
        }
        Ok(())
    }

    async fn create_volume(&self, key: &str) -> Result<(), StepError> {
        let project = &self.deployment.project;
        let volume = project.volumes.get(key);
        let volume = volume.ok_or_else(|| StepError::Foreign(key.to_owned()))?;
        let labels = request::volume_labels(project, key, &self.own_labels());
        Ok(self.engine.create_volume(volume, &labels).await?)
    }

    fn own_labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (
                labels::PROJECT.to_owned(),
                self.deployment.project.name.clone(),
            ),
            (
                labels::INSTANCE.to_owned(),
                self.deployment.root.display().to_string(),
            ),
            (
                labels::TOOLKIT_VERSION.to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
            (
                labels::COMPOSE_VERSION.to_owned(),
                labels::COMPOSE.to_owned(),
            ),
        ])
    }

    async fn create_container(
        &self,
        service: &str,
        (name, number): (&str, u32),
        inherits: &BTreeMap<String, String>,
        stand_in: Option<&str>,
        run: &Run<'_>,
    ) -> Result<(), StepError> {
        let project = &self.deployment.project;
        let foreign = |what: &str| StepError::Foreign(what.to_owned());
        let definition = project
            .services
            .get(service)
            .ok_or_else(|| foreign(service))?;
        let mut ids = BTreeMap::new();
        for key in definition.networks.keys() {
            let network = project.networks.get(key).ok_or_else(|| foreign(key))?;
            let asked = self.single_network(&network.name);
            let id = run.networks.or_ask(&network.name, asked).await?;
            let id = id.ok_or_else(|| EngineError::Missing {
                what: format!("network: {}", network.name),
            })?;
            ids.insert(network.name.clone(), id);
        }
        let asked = self
            .engine
            .image(&definition.image)
            .map_ok(|found| found.map(Arc::new));
        let image = run.images.or_ask(&definition.image, asked).await?;
        let labels = self.container_labels(service, number, definition, image.as_deref());
        let contents = self.deployment.known_contents();
        let request = request::of(
            project,
            service,
            definition,
            (name, number),
            &ids,
            &contents,
        );
        let mut request = ContainerRequest {
            labels,
            proxies: self.deployment.proxies.clone(),
            ..request
        };
        request.put.extend(self.additions(service));
        request::inherit(&mut request, image.as_deref(), inherits);
        let name = stand_in.unwrap_or(name);
        request.name = name;
        // The engine goes on with a request whose sender was killed: what an interrupted run asked
        // for may come after the snapshot was taken. Its name is taken before it can be seen.
        let deadline = Instant::now() + LATE_ARRIVAL;
        loop {
            let refusal = match self.engine.create_container(&request).await {
                Ok(warnings) => {
                    for warning in warnings {
                        let text = format!("`{service}`: the engine warns: {warning}");
                        (self.reporter)(Event::Warning { text });
                    }
                    return Ok(());
                }
                Err(refusal @ EngineError::NameTaken { .. }) => refusal,
                Err(error) => return Err(error.into()),
            };
            match self.engine.container(name).await? {
                // One that never ran holds nothing. It may be of another configuration, where a rollback
                // follows the killed run, and may lack what an engine gets after the creation: further
                // networks, and files.
                Some(found) if has_same_place(&found, &request) && never_ran(&found) => {
                    self.engine.remove(name).await?;
                }
                Some(found) if is_as_wanted(&found, &request) => return Ok(()),
                None if Instant::now() < deadline => tokio::time::sleep(LATE_PAUSE).await,
                _ => return Err(refusal.into()),
            }
        }
    }

    /// The files that containers of a service get beside what their definition says.
    fn additions(&self, service: &str) -> impl Iterator<Item = PutFile> {
        let all = self.deployment.additions.iter();
        let own = all.filter(move |addition| addition.service == service);
        own.map(|addition| PutFile {
            target: addition.path.clone(),
            content: Secret::new(addition.text.as_str()),
            mode: addition.mode,
            owner: (0, 0),
        })
    }

    fn container_labels(
        &self,
        name: &str,
        number: u32,
        service: &Service,
        image: Option<&Image>,
    ) -> BTreeMap<String, String> {
        let needs = service.depends_on.iter().map(|(needed, dependency)| {
            format!(
                "{needed}:{}:{}",
                dependency.condition.word(),
                dependency.restart
            )
        });
        let needs: Vec<String> = needs.collect();
        let mut all = self.own_labels();
        for (key, value) in [
            (labels::SERVICE, name.to_owned()),
            (labels::CONTAINER_NUMBER, number.to_string()),
            (labels::ONE_OFF, "False".to_owned()),
            (labels::CONFIG_HASH, canonical::service_hash(service)),
            (labels::DEPENDS_ON, needs.join(",")),
            (
                labels::WORKING_DIR,
                self.deployment.root.display().to_string(),
            ),
            (
                labels::IMAGE,
                image.map(|image| image.id.clone()).unwrap_or_default(),
            ),
        ] {
            all.insert(key.to_owned(), value);
        }
        if self.deployment.bundled_images.contains_key(name) {
            all.insert(labels::BUNDLED.to_owned(), "true".to_owned());
        }
        all.extend(service.labels.clone());
        all
    }

    /// Initiates the set unless it is, and waits for the primary.
    async fn initiate(&self, set: &ReplicaSet) -> Result<(), StepError> {
        let project = &self.deployment.project;
        let existing = self.engine.project_containers(&project.name).await?;
        let own = existing.iter().find(|found| found.service == set.service);
        let name = own.map_or_else(
            || project.container_name(&set.service),
            |found| found.name.clone(),
        );
        waiting::until(self, &set.service, &name, async |container| {
            let Some(probe) = self.deployment.probes.get(&set.service) else {
                return Ok(None);
            };
            let asked = probe::ask_container(self.engine, container, probe, MONGO_DEADLINE);
            match asked.await {
                Readiness::Ready => return Ok(None),
                Readiness::NotInitiated => {}
                other => return Ok(lack::of(container, None, Some(&other))),
            }
            let initiated = way::to(self.engine, container, probe.port(), async |address| {
                probe::initiate(set, address, MONGO_DEADLINE).await
            });
            Ok(match initiated.await?? {
                Initiation::Done => Some("it has just been initiated".to_owned().into()),
                Initiation::NotYet { because } => Some(because.into()),
            })
        })
        .await
    }

    async fn stop(&self, service: &str, name: &str, grace: Duration) -> Result<(), StepError> {
        // Only of this one does the exit code say something, where the stop is what ended it.
        let flushes = service == "sharelatex" && {
            let before = self.engine.container(name).await?;
            before.is_some_and(|container| container.state == ContainerState::Running)
        };
        let begun = Instant::now();
        self.engine.stop(name, grace).await?;
        // The engine counts in whole seconds. One that gets none is killed because that is wanted.
        let limit = Duration::from_secs(grace.as_secs());
        let took_all = !limit.is_zero() && begun.elapsed() >= limit;
        if !flushes && !took_all {
            return Ok(());
        }
        let found = self.engine.container(name).await?.map(|found| found.state);
        let Some(ContainerState::Exited { exit_code }) = found else {
            return Ok(());
        };
        // One that a signal of its own choice ends so did not have to be killed.
        if exit_code == KILLED && took_all {
            let text = format!(
                "`{service}` was killed after {} s; it did not stop by itself",
                grace.as_secs()
            );
            (self.reporter)(Event::Warning { text });
        } else if flushes && !matches!(exit_code, 0 | 2) {
            // A clean stop of this image ends with 2: Overleaf's init exits so after SIGTERM.
            let text = format!(
                "`{service}` stopped with exit code {exit_code}: the last edits may not have reached mongo and are still in redis"
            );
            (self.reporter)(Event::Warning { text });
        }
        Ok(())
    }
}

/// Whether a container was made and never started, so that it holds nothing yet.
fn never_ran(found: &Container) -> bool {
    found.state == ContainerState::Created && found.started_at.is_empty()
}

/// Whether a container is what a request asks for.
fn is_as_wanted(found: &Container, request: &ContainerRequest<'_>) -> bool {
    has_same_place(found, request) && is_labelled_alike(found, request, labels::CONFIG_HASH)
}

/// Whether a container was made by this instance, for the service and number of a request.
fn has_same_place(found: &Container, request: &ContainerRequest<'_>) -> bool {
    [
        labels::PROJECT,
        labels::SERVICE,
        labels::INSTANCE,
        labels::CONTAINER_NUMBER,
    ]
    .iter()
    .all(|key| is_labelled_alike(found, request, key))
}

fn is_labelled_alike(found: &Container, request: &ContainerRequest<'_>, key: &str) -> bool {
    found.labels.get(key) == request.labels.get(key)
}
