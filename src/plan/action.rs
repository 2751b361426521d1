//! What a single step does: one call that may be repeated.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::compose::Condition;
use crate::deployment::ReplicaSet;

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Makes a folder of the host.
    CreateFolder {
        /// Absolute path.
        path: PathBuf,
        /// User and group it is given to.
        owner: Option<(u32, u32)>,
    },
    /// Makes the images of the bundled servers out of the running program.
    LoadBundledImages {
        /// Service and image reference.
        images: Vec<(String, String)>,
    },
    /// Pulls an image.
    PullImage {
        /// Image reference.
        reference: String,
        /// The platform it is for; `None` for that of the engine.
        platform: Option<String>,
    },
    /// Makes the image with TeX Live packages.
    BuildImage {
        /// The service that runs it.
        service: String,
        /// Image reference.
        reference: String,
    },
    /// Makes a network.
    CreateNetwork {
        /// Key in the project.
        key: String,
        /// Name on the engine.
        name: String,
    },
    /// Makes a named volume.
    CreateVolume {
        /// Key in the project.
        key: String,
        /// Name on the engine.
        name: String,
    },
    /// Makes a container.
    CreateContainer {
        /// The service.
        service: String,
        /// Name of the container.
        name: String,
        /// Its number within the service, from 1.
        number: u32,
        /// Anonymous volumes of its predecessor, by path in the container. It mounts those that its
        /// definition or its image still asks for.
        inherits: BTreeMap<String, String>,
        /// The name it has until the container whose place it takes is gone.
        stand_in: Option<String>,
    },
    /// Gives a container the name of the one whose place it takes.
    RenameContainer {
        /// The service.
        service: String,
        /// The name it was made under.
        stand_in: String,
        /// Name of the container.
        name: String,
    },
    /// Starts a container.
    StartContainer {
        /// The service.
        service: String,
        /// Name of the container.
        name: String,
    },
    /// Waits until a service has reached what others need of it.
    AwaitCondition {
        /// The service.
        service: String,
        /// Name of the container.
        name: String,
        /// What it must have reached.
        condition: Condition,
        /// Whether those who wait cannot do without it; otherwise they start with a warning.
        required: bool,
    },
    /// Initiates mongo's replica set unless it is.
    InitiateReplicaSet(ReplicaSet),
    /// Stops a container.
    StopContainer {
        /// The service.
        service: String,
        /// Name of the container.
        name: String,
        /// How long it gets.
        grace: Duration,
    },
    /// Removes a stopped container; its data on the host and all its volumes stay.
    RemoveContainer {
        /// The service.
        service: String,
        /// Name of the container.
        name: String,
    },
    /// Removes a network.
    RemoveNetwork {
        /// Name on the engine.
        name: String,
        /// Full id.
        id: String,
    },
}

impl Action {
    /// Whether people cannot work while or after it is done.
    #[must_use]
    pub fn interrupts_service(&self) -> bool {
        matches!(
            self,
            Self::StopContainer { .. } | Self::RemoveContainer { .. }
        )
    }

    /// Whether what it does can be taken back. Data on the host is never touched by any action, but
    /// what a container wrote into its own layer goes with it.
    #[must_use]
    pub fn can_be_undone(&self) -> bool {
        !matches!(
            self,
            Self::RemoveContainer { .. } | Self::InitiateReplicaSet(_)
        )
    }

    /// Whether it moves many bytes, so that only a few of them should go on at once.
    #[must_use]
    pub fn is_transfer(&self) -> bool {
        matches!(
            self,
            Self::PullImage { .. } | Self::LoadBundledImages { .. } | Self::BuildImage { .. }
        )
    }

    /// Whether it only waits, so that it can be given up at any time.
    #[must_use]
    pub fn is_wait(&self) -> bool {
        matches!(
            self,
            Self::AwaitCondition { .. } | Self::InitiateReplicaSet(_)
        )
    }

    /// What it acts on: a kind, and a name on the engine or the host.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Self::CreateFolder { path, .. } => ("folder", path.display().to_string()),
            Self::LoadBundledImages { images } => {
                let references: Vec<&str> = images
                    .iter()
                    .map(|(_, reference)| reference.as_str())
                    .collect();
                ("image", references.join(" "))
            }
            Self::PullImage { reference, .. } | Self::BuildImage { reference, .. } => {
                ("image", reference.clone())
            }
            Self::CreateNetwork { name, .. } | Self::RemoveNetwork { name, .. } => {
                ("network", name.clone())
            }
            Self::CreateVolume { name, .. } => ("volume", name.clone()),
            Self::CreateContainer { name, .. }
            | Self::RenameContainer { name, .. }
            | Self::StartContainer { name, .. }
            | Self::AwaitCondition { name, .. }
            | Self::StopContainer { name, .. }
            | Self::RemoveContainer { name, .. } => ("container", name.clone()),
            Self::InitiateReplicaSet(set) => ("replica set", set.name.clone()),
        }
    }

    /// The kind of action, as an identifier for machines.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::CreateFolder { .. } => "create-folder",
            Self::LoadBundledImages { .. } => "load-bundled-images",
            Self::PullImage { .. } => "pull-image",
            Self::BuildImage { .. } => "build-image",
            Self::CreateNetwork { .. } => "create-network",
            Self::CreateVolume { .. } => "create-volume",
            Self::CreateContainer { .. } => "create-container",
            Self::RenameContainer { .. } => "rename-container",
            Self::StartContainer { .. } => "start-container",
            Self::AwaitCondition { .. } => "await-condition",
            Self::InitiateReplicaSet(_) => "initiate-replica-set",
            Self::StopContainer { .. } => "stop-container",
            Self::RemoveContainer { .. } => "remove-container",
            Self::RemoveNetwork { .. } => "remove-network",
        }
    }

    /// The service it belongs to, if it belongs to one.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::BuildImage { service, .. }
            | Self::CreateContainer { service, .. }
            | Self::RenameContainer { service, .. }
            | Self::StartContainer { service, .. }
            | Self::AwaitCondition { service, .. }
            | Self::StopContainer { service, .. }
            | Self::RemoveContainer { service, .. } => Some(service),
            Self::InitiateReplicaSet(set) => Some(&set.service),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateFolder { path, .. } => write!(f, "create folder `{}`", path.display()),
            Self::LoadBundledImages { images } => {
                let services: Vec<&str> =
                    images.iter().map(|(service, _)| service.as_str()).collect();
                write!(
                    f,
                    "make images of the bundled servers {}",
                    services.join(", ")
                )
            }
            Self::PullImage {
                reference,
                platform,
            } => {
                write!(f, "pull image `{reference}`")?;
                match platform {
                    Some(platform) => write!(f, " for {platform}"),
                    None => Ok(()),
                }
            }
            Self::BuildImage { reference, .. } => write!(f, "build image `{reference}`"),
            Self::CreateNetwork { name, .. } => write!(f, "create network `{name}`"),
            Self::CreateVolume { name, .. } => write!(f, "create volume `{name}`"),
            Self::CreateContainer { name, .. } => write!(f, "create container `{name}`"),
            Self::RenameContainer { name, .. } => write!(f, "put container `{name}` in its place"),
            Self::StartContainer { name, .. } => write!(f, "start container `{name}`"),
            Self::AwaitCondition {
                service, condition, ..
            } => {
                let what = match condition {
                    Condition::Started => "is started",
                    Condition::Healthy => "is healthy",
                    Condition::Completed => "has completed",
                };
                write!(f, "wait until `{service}` {what}")
            }
            Self::InitiateReplicaSet(set) => write!(f, "initiate replica set `{}`", set.name),
            Self::StopContainer { name, .. } => write!(f, "stop container `{name}`"),
            Self::RemoveContainer { name, .. } => write!(f, "remove container `{name}`"),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network `{name}`"),
        }
    }
}
