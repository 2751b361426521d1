//! What stands in the way of a plan and that the program cannot move by itself.

use crate::deployment::Deployment;
use crate::labels;
use crate::observed;
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
    needs(deployment, &mut obstacles);
    duplicate_ports(deployment, &mut obstacles);
    mounted_files(deployment, observed, &mut obstacles);
    definitions(deployment, observed, &mut obstacles);
    refused(observed, &mut obstacles);
    contents(deployment, &mut obstacles);
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

fn names_follow_project(deployment: &Deployment) -> bool {
    deployment
        .project
        .services
        .values()
        .all(|service| service.container_name.is_none())
}

/// Host ports that two services of the deployment want at once.
fn duplicate_ports(deployment: &Deployment, obstacles: &mut Vec<Obstacle>) {
    let mut seen: Vec<(&str, &str, &str, &str)> = Vec::new();
    for (name, service) in &deployment.project.services {
        for port in &service.ports {
            let Some(published) = port.published.as_deref() else {
                continue;
            };
            let address = port.host_ip.as_deref().unwrap_or_default();
            let is_all = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
            let clash = seen.iter().find(|(_, other_address, other, protocol)| {
                *other == published
                    && *protocol == port.protocol
                    && (*other_address == address || is_all(address) || is_all(other_address))
            });
            if let Some((other, ..)) = clash {
                obstacles.push(Obstacle {
                    id: "PORT_TWICE",
                    text: format!("`{other}` and `{name}` both publish port {published}"),
                    because: "one address has each port once".to_owned(),
                    fix: "change OVERLEAF_PORT, NGINX_HTTP_PORT or TLS_PORT in config/overleaf.rc, or one of the listen addresses".to_owned(),
                });
            }
            seen.push((name, address, published, &port.protocol));
        }
    }
}

/// Keys of the definitions that cannot be carried out, and that would change what runs if they were
/// left out.
fn refused(observed: &Observed, obstacles: &mut Vec<Obstacle>) {
    for refused in &observed.refused {
        let place = refused.place.as_ref();
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        obstacles.push(Obstacle {
            id: "KEY_NOT_SUPPORTED",
            text: format!("`{}` cannot be carried out{place}", refused.path),
            because: refused.because.clone(),
            fix: refused.fix.clone(),
        });
    }
}

/// Secrets, configs and profiles whose content is not there.
fn contents(deployment: &Deployment, obstacles: &mut Vec<Obstacle>) {
    for (path, content) in &deployment.contents {
        if content.is_some() {
            continue;
        }
        let (because, fix) = if path.starts_with("seccomp=") {
            (
                "the definitions name it as a seccomp profile",
                "put the file there, as JSON; a relative path starts at `lib/`",
            )
        } else {
            (
                "the definitions take it from an environment variable that is not set",
                "set the variable, or give it a `file`",
            )
        };
        obstacles.push(Obstacle {
            id: "CONTENT_MISSING",
            text: format!("the content of `{path}` is not there"),
            because: because.to_owned(),
            fix: fix.to_owned(),
        });
    }
}

/// Parts of the definitions that somebody else has to provide.
fn definitions(deployment: &Deployment, observed: &Observed, obstacles: &mut Vec<Obstacle>) {
    let project = &deployment.project;
    for (name, service) in &project.services {
        if service.image.is_empty() {
            obstacles.push(Obstacle {
                id: "IMAGE_NOT_NAMED",
                text: format!("service `{name}` names no image"),
                because: "images are not built here".to_owned(),
                fix: format!("build it with `docker build -t NAME …` and write `image: NAME` under services.{name} in docker-compose.override.yml"),
            });
        }
    }
    for network in project.networks.values().filter(|network| network.external) {
        let name = &network.name;
        let exists = observed
            .networks
            .get(name)
            .is_some_and(|found| !found.is_empty());
        if !exists {
            obstacles.push(Obstacle {
                id: "NETWORK_MISSING",
                text: format!("network `{name}` does not exist"),
                because: "the definitions call it external, so somebody else makes it".to_owned(),
                fix: format!("docker network create {name}"),
            });
        }
    }
}

/// Files that a container mounts and that are missing: the engine would make folders of them.
fn mounted_files(deployment: &Deployment, observed: &Observed, obstacles: &mut Vec<Obstacle>) {
    for file in &deployment.files {
        let path = file.path.display();
        let problem = match observed.folders.get(&file.path) {
            Some(FolderState::Missing) => "does not exist",
            Some(FolderState::Present) => "is a folder",
            Some(FolderState::Unreadable { .. }) => "cannot be read",
            _ => continue,
        };
        obstacles.push(Obstacle {
            id: "MOUNTED_FILE",
            text: format!("`{path}` {problem}"),
            because: format!("{} names it as a file for the TLS proxy", file.setting),
            fix: format!(
                "put the file there, or set {} to another path",
                file.setting
            ),
        });
    }
}

/// Variables without which the release refuses to start.
fn needs(deployment: &Deployment, obstacles: &mut Vec<Obstacle>) {
    for variable in &deployment.missing_variables {
        obstacles.push(Obstacle {
            id: "VARIABLE_MISSING",
            text: format!("{variable} is not set"),
            because: format!("Overleaf {} does not start without it", deployment.version),
            fix: format!("write {variable}=… with a long random value into config/variables.env"),
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
            fix: match names_follow_project(deployment) {
                true => format!(
                    "docker rm {}, or set PROJECT_NAME to another name",
                    stranger.name
                ),
                false => {
                    "set CONTAINER_NAMES=project in config/overleaf.rc, or remove it".to_owned()
                }
            },
        });
    }
    if let Some(other) = &observed.other_instance {
        obstacles.push(Obstacle {
            id: "PROJECT_NAME_TAKEN",
            text: format!("another instance uses the project name `{project}`"),
            because: format!("its containers belong to `{other}`"),
            fix: "set PROJECT_NAME in config/overleaf.rc to another name".to_owned(),
        });
    }
    for name in observed.networks.keys() {
        let is_foreign =
            |network: &&observed::Network| network.labels.get(labels::PROJECT) != Some(project);
        if observed.surplus_networks(name).iter().any(is_foreign) {
            obstacles.push(Obstacle {
                id: "NETWORK_AMBIGUOUS",
                text: format!("there are several networks named `{name}`"),
                because: "the engine cannot tell which one a container means".to_owned(),
                fix: format!(
                    "remove those that nobody uses: docker network ls --filter name={name}"
                ),
            });
        }
    }
}
