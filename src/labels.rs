//! The labels on what the engine holds: those of Docker Compose, so that its commands see our
//! containers, and a few of our own. Constants only.

/// Compose project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Compose service.
pub const SERVICE: &str = "com.docker.compose.service";
/// Number of the container within its service.
pub const CONTAINER_NUMBER: &str = "com.docker.compose.container-number";
/// `True` for containers of `docker compose run`.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
/// Hash of the definition it was made from.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// Id of the image it was made from.
pub const IMAGE: &str = "com.docker.compose.image";
/// Dependencies, as `service:condition:restart`, separated by commas.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Key of a network in its project.
pub const NETWORK: &str = "com.docker.compose.network";
/// Key of a volume in its project.
pub const VOLUME: &str = "com.docker.compose.volume";
/// Version of Docker Compose; its tools expect one, and nothing depends on which.
pub const COMPOSE_VERSION: &str = "com.docker.compose.version";
/// The Docker Compose whose labels and hashes these are.
pub const COMPOSE: &str = "2.40.3";
/// Project folder.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";

/// Root folder of the instance that made it.
pub const INSTANCE: &str = "toolkit.instance";
/// Version of the toolkit that made it.
pub const TOOLKIT_VERSION: &str = "toolkit.version";
/// `true` for what runs or holds a bundled server.
pub const BUNDLED: &str = "toolkit.bundled";
/// Image that a container was made to look into; it is never started.
pub const LOOK: &str = "toolkit.look";
/// TeX Live packages that were installed into an image.
pub const TEXLIVE: &str = "toolkit.texlive";
