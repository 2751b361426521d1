//! What stands in the way of a plan and that the program cannot move by itself.

use crate::deployment::Deployment;
use crate::labels;
use crate::observed::FolderState;
use crate::observed::Observed;

/// One thing in the way. Nothing is changed while there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Identifier for machines.
    pub id: &'static str,
    /// What is wrong.
    pub text: String,
    /// Why that is in the way.
    pub because: String,
    /// What to do, in words or as a command.
    pub fix: String,
}

/// The oldest API of an engine that this program works with: Docker Engine 20.10.
pub const OLDEST_API: (u32, u32) = (1, 41);

/// Everything that stands in the way of an `up`.
#[must_use]
pub fn find(deployment: &Deployment, observed: &Observed) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    engine(deployment, observed, &mut obstacles);
    names(deployment, observed, &mut obstacles);
    for folder in &deployment.folders {
        let path = folder.path.display();
        match observed.folders.get(&folder.path) {
            Some(FolderState::NotAFolder) => obstacles.push(Obstacle {
                id: "DATA_PATH_NOT_A_FOLDER",
                text: format!("`{path}` is not a folder"),
                because: format!("{} names it as a folder for data", folder.setting),
                fix: format!(
                    "move the file away, or set {} to another path",
                    folder.setting
                ),
            }),
            Some(FolderState::Unreadable { cause }) => obstacles.push(Obstacle {
                id: "DATA_PATH_UNREADABLE",
                text: format!("`{path}` cannot be read"),
                because: cause.clone(),
                fix: format!(
                    "give this user access, or set {} to another path",
                    folder.setting
                ),
            }),
            _ => {}
        }
    }
    for taken in &observed.taken_ports {
        let address = match taken.host_ip.as_str() {
            "" => format!("port {}", taken.port),
            host_ip => format!("port {} of {host_ip}", taken.port),
        };
        let setting = if taken.service == "nginx" {
            "TLS_PORT or NGINX_HTTP_PORT"
        } else {
            "OVERLEAF_PORT"
        };
        obstacles.push(Obstacle {
            id: "PORT_TAKEN",
            text: format!("{address} is taken, and `{}` publishes it", taken.service),
            because: format!("{} holds it", taken.holder),
            fix: format!("stop that, or set {setting} in config/overleaf.rc to a free port"),
        });
    }
    obstacles
}

fn engine(deployment: &Deployment, observed: &Observed, obstacles: &mut Vec<Obstacle>) {
    let facts = &observed.engine;
    if facts.api < OLDEST_API {
        obstacles.push(Obstacle {
            id: "ENGINE_TOO_OLD",
            text: format!("{} {} is too old", facts.product, facts.version),
            because: format!(
                "its API is {}.{}, and {}.{} is needed",
                facts.api.0, facts.api.1, OLDEST_API.0, OLDEST_API.1
            ),
            fix: "install Docker Engine 20.10 or later".to_owned(),
        });
    }
    let bundles = !deployment.bundled_images.is_empty();
    let architecture = &deployment.bundled_architecture;
    if bundles && *architecture != facts.architecture {
        obstacles.push(Obstacle {
            id: "BUNDLED_ARCHITECTURE",
            text: "the bundled servers cannot run on this engine".to_owned(),
            because: format!(
                "its architecture is {}, and they are for {architecture} like this program",
                facts.architecture
            ),
            fix: "run the toolkit on the engine's machine, or set BUNDLED_SERVERS=false".to_owned(),
        });
    }
}

fn names(deployment: &Deployment, observed: &Observed, obstacles: &mut Vec<Obstacle>) {
    let project = &deployment.project.name;
    for stranger in &observed.strangers {
        let owner = match stranger.project.as_str() {
            "" => "it belongs to no Compose project".to_owned(),
            other => format!("it belongs to the project `{other}`"),
        };
        obstacles.push(Obstacle {
            id: "CONTAINER_NAME_TAKEN",
            text: format!("the name `{}` is taken by another container", stranger.name),
            because: owner,
            fix: "rename or remove it, or set CONTAINER_NAMES=project in config/overleaf.rc"
                .to_owned(),
        });
    }
    let root = deployment.root.to_string_lossy();
    let other = observed
        .containers
        .iter()
        .filter_map(|container| container.labels.get(labels::INSTANCE))
        .find(|instance| **instance != root);
    if let Some(other) = other {
        obstacles.push(Obstacle {
            id: "PROJECT_NAME_TAKEN",
            text: format!("another instance uses the project name `{project}`"),
            because: format!("its containers belong to `{other}`"),
            fix: "set PROJECT_NAME in config/overleaf.rc to another name".to_owned(),
        });
    }
    for (name, found) in &observed.networks {
        if found.len() > 1 {
            obstacles.push(Obstacle {
                id: "NETWORK_AMBIGUOUS",
                text: format!("there are {} networks named `{name}`", found.len()),
                because: "the engine cannot tell which one a container means".to_owned(),
                fix: format!("toolkit down, then remove what is left of `{name}`"),
            });
        }
    }
}
