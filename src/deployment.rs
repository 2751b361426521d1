//! The desired state of an instance: [`Settings`] and the release catalogue become a
//! [`Deployment`], which is a Compose project plus the folders it needs, the probes that tell when
//! each service is ready, and the facts a person wants (URL, edition).
//!
//! Pure: knows nothing of what exists now.

mod contents;
mod origins;
mod reaching;
mod render;
pub mod standalone;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::compose;
use crate::compose::Place;
use crate::compose::Project;
use crate::compose::load::File;
use crate::compose::load::Finding;
use crate::compose::load::LoadError;
use crate::compose::load::Loaded;
use crate::compose::load::Read;
use crate::compose::load::Request;
use crate::release::Catalogue;
use crate::release::CatalogueError;
use crate::release::Edition;
use crate::release::Version;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::settings::disclosure;
use crate::settings::disclosure::Masker;
use crate::settings::env_file;
use crate::settings::problem::ProblemKind;
use crate::texlive::Derived;
use reaching::{probes, urls};

/// Name of mongo's replica set, as the upstream toolkit and the documentation have it.
pub const REPLICA_SET: &str = "overleaf";

/// User and group id of the application's user, `www-data` in the image.
const APPLICATION: (u32, u32) = (33, 33);

/// What one instance should be.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The Compose project.
    pub project: Project,
    /// The instance's root folder.
    pub root: PathBuf,
    /// The edition.
    pub edition: Edition,
    /// The release.
    pub version: Version,
    /// Folders of the host that must exist before containers start.
    pub folders: Vec<Folder>,
    /// Files of the host that a container mounts; they must exist.
    pub files: Vec<Folder>,
    /// Variables that the release needs and that are not set.
    pub missing_variables: Vec<String>,
    /// How to find out whether a service is ready, by service.
    pub probes: BTreeMap<String, Probe>,
    /// The replica set that mongo must be initiated as; `None` for an external or an old mongo.
    pub replica_set: Option<ReplicaSet>,
    /// The shell in mongo's image, `mongosh` or `mongo`.
    pub mongo_shell: String,
    /// Image references of the bundled servers, by service; empty when they are not used.
    pub bundled_images: BTreeMap<String, String>,
    /// The image with TeX Live packages that the application runs, when there are any.
    pub texlive: Option<Derived>,
    /// Architecture that the bundled servers run on, in Go's words.
    pub bundled_architecture: String,
    /// URLs a person can open.
    pub urls: Vec<String>,
    /// What is odd about the operator's definitions.
    pub warnings: Vec<Finding>,
    /// The services that no active profile brings, with their profiles; they are no part of the project.
    pub inactive: BTreeMap<String, Vec<String>>,
    /// Where the operator says a value, by its path in the project such as `services.sharelatex.image`;
    /// mounts also by their path in the container: `services.mongo.volumes./data/db`.
    pub origins: BTreeMap<String, Place>,
    /// Contents of secrets and configs that are no files, by path such as `secrets.token`, and of seccomp
    /// profiles, by `seccomp=FILE` as the definition says it; `None` where the variable or the file that
    /// is named is not there.
    pub contents: BTreeMap<String, Option<Secret>>,
    /// Small files that new containers get before they start, beside what the definitions say. No
    /// existing container is compared with them.
    pub additions: Vec<Addition>,
    /// Variables that new containers get where their definition does not set them: the proxies of the
    /// operator's Docker client. No existing container is compared with them.
    pub proxies: BTreeMap<String, Secret>,
}

/// What a Docker client can be configured with for proxies: the key, and the variable of a container, which
/// is also set in small letters.
pub const PROXIES: [(&str, &str); 5] = [
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

/// A file that new containers of a service get, whatever the definitions say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The service.
    pub service: String,
    /// Absolute path in the container.
    pub path: String,
    /// What it holds.
    pub text: String,
    /// Its mode.
    pub mode: u32,
}

impl Deployment {
    /// Whether there is such a service, be its profile active or not.
    #[must_use]
    pub fn defines(&self, service: &str) -> bool {
        self.project.services.contains_key(service) || self.inactive.contains_key(service)
    }

    /// Knows which values must not be shown.
    #[must_use]
    pub fn masker(&self) -> &'static Masker {
        disclosure::carried()
    }

    /// The contents that are known.
    #[must_use]
    pub fn known_contents(&self) -> BTreeMap<String, Secret> {
        let contents = self.contents.iter();
        let known = contents.filter_map(|(key, content)| Some((key.clone(), content.clone()?)));
        known.collect()
    }
}

/// A path of the host that a container mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Absolute path.
    pub path: PathBuf,
    /// The setting that names it.
    pub setting: String,
    /// User and group it is given to when it is made; `None` leaves that to the container.
    pub owner: Option<(u32, u32)>,
}

/// The replica set of the instance's mongo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaSet {
    /// The service.
    pub service: String,
    /// Name of the set.
    pub name: String,
    /// Its only member, as the application resolves it.
    pub member: String,
}

/// How a service shows that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It is a mongo with a writable primary; without a replica set a standalone server counts.
    Mongo {
        /// Port in the container.
        port: u16,
        /// Whether it must be the primary of a replica set.
        needs_replica_set: bool,
    },
    /// It is a redis that answers PING and has loaded its data.
    Redis {
        /// Port in the container.
        port: u16,
        /// Password, if the application is given one.
        password: Option<Secret>,
    },
    /// It answers an HTTP request with status 200.
    Http {
        /// Port in the container.
        port: u16,
        /// Path of the request.
        path: String,
    },
    /// It is the TLS proxy, serves the configured certificate and passes requests on.
    Tls(TlsProxy),
}

impl Probe {
    /// The port in the container that is asked.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Mongo { port, .. } | Self::Redis { port, .. } | Self::Http { port, .. } => *port,
            Self::Tls(proxy) => proxy.port,
        }
    }
}

/// What is known of the TLS proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProxy {
    /// Port in the container.
    pub port: u16,
    /// Name under which users know the site.
    pub server_name: String,
    /// File with the certificate, absolute.
    pub certificate: PathBuf,
    /// nginx' configuration, absolute.
    pub configuration: PathBuf,
}

/// Why no deployment can be made.
#[derive(Debug, Error)]
pub enum DeploymentError {
    /// The release was withdrawn.
    #[error("Overleaf {version} was withdrawn: {why}")]
    Retracted {
        /// The release.
        version: Version,
        /// Why.
        why: String,
    },
    /// The release catalogue is broken.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A template is broken.
    #[error("a compose template does not render")]
    Template(#[source] Box<tera::Error>),
    /// What a template renders is not a definition.
    #[error(transparent)]
    Definition(#[from] LoadError),
}

/// What the command line knows and the files do not.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Tag of the bundled image that belongs to the running program.
    pub bundled_tag: String,
    /// Architecture of the running program in Go's words, `amd64` or `arm64`.
    pub architecture: String,
}

/// The files that change the definitions, and what their loading needs to know.
pub struct Definitions<'a> {
    /// docker-compose.override.yml, when there is one.
    pub files: Vec<File>,
    /// Looks up the environment of the process.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Reads variables.env and files that the definitions name.
    pub read: &'a Read<'a>,
    /// Profiles that are active beside those of `COMPOSE_PROFILES`.
    pub profiles: &'a [String],
}

/// Image reference of a bundled server.
#[must_use]
pub fn bundled_image(service: &str, tag: &str) -> String {
    format!("toolkit-bundled/{service}:{tag}")
}

/// Makes the deployment that the settings ask for.
///
/// # Errors
/// See [`DeploymentError`].
pub fn make(
    settings: &Settings,
    catalogue: &Catalogue,
    context: &Context,
    definitions: &Definitions<'_>,
) -> Result<Deployment, DeploymentError> {
    if let Some(release) = catalogue.release(&settings.version)
        && let Some(why) = &release.retracted
        && settings.accepted_retraction.as_deref() != Some(&settings.version.to_string())
    {
        return Err(DeploymentError::Retracted {
            version: settings.version.clone(),
            why: why.clone(),
        });
    }
    let era = catalogue.era(&settings.version)?;
    let mut text = render::Rendering::new(settings, catalogue, context)?;
    let rendered = text
        .render()
        .map_err(|error| DeploymentError::Template(Box::new(error)))?;
    let loaded = load(rendered, settings, definitions)?;
    let Loaded {
        project,
        warnings,
        inactive,
    } = loaded;
    let needs_replica_set = settings.mongo.is_some() && era.needs_replica_set;
    Ok(Deployment {
        folders: folders(settings),
        files: files(settings),
        missing_variables: missing_variables(settings, catalogue),
        probes: probes(settings, &project, needs_replica_set),
        replica_set: needs_replica_set.then(|| ReplicaSet {
            service: "mongo".to_owned(),
            name: REPLICA_SET.to_owned(),
            member: "mongo:27017".to_owned(),
        }),
        mongo_shell: settings.mongo_shell.clone(),
        // The operator's definitions may have named another image.
        texlive: text.texlive().filter(|derived| {
            let service = project.services.get(&derived.service);
            service.is_some_and(|service| service.image == derived.reference)
        }),
        bundled_images: text.bundled_images(),
        bundled_architecture: context.architecture.clone(),
        urls: urls(settings),
        root: settings.root.clone(),
        edition: settings.edition,
        version: settings.version.clone(),
        origins: origins::of(settings, &project),
        contents: contents::of(settings, &project, definitions),
        additions: Vec::new(),
        proxies: BTreeMap::new(),
        project,
        warnings,
        inactive,
    })
}

/// Loads the rendered definitions with the operator's files on top.
///
/// Relative paths start at `lib/`, as in the upstream toolkit, whose first file stands there.
fn load(
    rendered: String,
    settings: &Settings,
    definitions: &Definitions<'_>,
) -> Result<Loaded, DeploymentError> {
    let mut files = vec![File {
        path: PathBuf::from("the toolkit's definitions"),
        text: rendered,
        is_literal: true,
    }];
    files.extend(definitions.files.iter().cloned());
    let variables = |name: &str| settings.names.look_up(name, definitions.environment);
    let profiles = variables("COMPOSE_PROFILES").unwrap_or_default();
    let profiles: Vec<String> = profiles
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .chain(definitions.profiles.iter().cloned())
        .collect();
    let loaded = compose::load::load(&Request {
        name: &settings.project_name,
        is_named: settings.is_project_named,
        folder: &settings.root.join("lib"),
        files: &files,
        variables: &variables,
        profiles: &profiles,
        home: variables("HOME").as_deref(),
        read: definitions.read,
        read_variables: &read_variables,
    });
    Ok(loaded?)
}

/// The variables of a file, in the grammar of variables.env.
fn read_variables(
    text: &str,
    path: &Path,
    look_up: &(dyn Fn(&str) -> Option<String> + '_),
) -> Result<Vec<(String, Option<String>)>, String> {
    let (entries, problems) = env_file::parse(text, path, &|name| look_up(name));
    let mistake = problems
        .iter()
        .find(|problem| problem.kind == ProblemKind::Error);
    match mistake {
        Some(problem) => Err(format!("holds a mistake: {}", problem.text)),
        None => Ok(entries
            .into_iter()
            .map(|entry| (entry.name, entry.value))
            .collect()),
    }
}

fn folders(settings: &Settings) -> Vec<Folder> {
    let folder = |path: &PathBuf, setting: &str, owner| Folder {
        path: path.clone(),
        setting: setting.to_owned(),
        owner,
    };
    let sharelatex = &settings.sharelatex;
    let mut all = vec![folder(
        &sharelatex.data_path,
        "OVERLEAF_DATA_PATH",
        Some(APPLICATION),
    )];
    if let Some(path) = &sharelatex.log_path {
        all.push(folder(path, "OVERLEAF_LOG_PATH", Some(APPLICATION)));
    }
    // The images of mongo, redis and git-bridge take their folder over themselves when they start
    // as root, each as the user that image has.
    if let Some(mongo) = &settings.mongo {
        all.push(folder(&mongo.data_path, "MONGO_DATA_PATH", None));
    }
    if let Some(redis) = &settings.redis {
        all.push(folder(&redis.data_path, "REDIS_DATA_PATH", None));
    }
    if let Some(git_bridge) = &settings.git_bridge {
        all.push(folder(&git_bridge.data_path, "GIT_BRIDGE_DATA_PATH", None));
    }
    all
}

fn files(settings: &Settings) -> Vec<Folder> {
    let Some(nginx) = &settings.nginx else {
        return Vec::new();
    };
    [
        (&nginx.config_path, "NGINX_CONFIG_PATH"),
        (&nginx.private_key_path, "TLS_PRIVATE_KEY_PATH"),
        (&nginx.certificate_path, "TLS_CERTIFICATE_PATH"),
    ]
    .map(|(path, setting)| Folder {
        path: path.clone(),
        setting: setting.to_owned(),
        owner: None,
    })
    .to_vec()
}

fn missing_variables(settings: &Settings, catalogue: &Catalogue) -> Vec<String> {
    let needs = catalogue.needs(&settings.version).iter();
    let is_missing = |name: &&String| settings.variable(name).is_none_or(str::is_empty);
    needs.filter(is_missing).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::testing::deployment;
    use super::*;
    use crate::compose::canonical;

    fn images(deployment: &Deployment) -> String {
        let services = deployment.project.services.values();
        services
            .map(|service| service.image.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn each_edition_has_its_images() {
        for (rc, version, expected) in [
            (
                "",
                "6.2.2",
                "mongo:8.0 redis:7.4 sharelatex/sharelatex:6.2.2",
            ),
            (
                "EDITION=pro\nGIT_BRIDGE_ENABLED=true\n",
                "6.2.2",
                "quay.io/sharelatex/git-bridge:6.2.2 mongo:8.0 redis:7.4 quay.io/sharelatex/sharelatex-pro:6.2.2",
            ),
            (
                "EDITION=cep\nGIT_BRIDGE_ENABLED=true\n",
                "6.1.2-ext-v4.1",
                "quay.io/sharelatex/git-bridge:6.1.2 mongo:8.0 redis:7.4 overleafcep/sharelatex:6.1.2-ext-v4.1",
            ),
            (
                "OVERLEAF_IMAGE_NAME=registry.local:5000/overleaf\n",
                "6.2.2",
                "mongo:8.0 redis:7.4 registry.local:5000/overleaf:6.2.2",
            ),
            (
                "EDITION=pro\nGIT_BRIDGE_ENABLED=true\nIMAGE_VERSION=6.2.1\nGIT_BRIDGE_IMAGE=own/bridge:6.0.0\n",
                "6.2.2",
                "own/bridge:6.0.0 mongo:8.0 redis:7.4 quay.io/sharelatex/sharelatex-pro:6.2.1",
            ),
            (
                "MONGO_IMAGE=mongo@sha256:ab\nOVERLEAF_IMAGE_NAME=own/overleaf@sha256:cd\n",
                "6.2.2",
                "mongo@sha256:ab redis:7.4 own/overleaf@sha256:cd",
            ),
            (
                "BUNDLED_SERVERS=true\n",
                "6.2.2",
                "toolkit-bundled/mongo:abc toolkit-bundled/redis:abc toolkit-bundled/sharelatex:abc",
            ),
        ] {
            assert_eq!(images(&deployment(rc, "", version)), expected, "{rc}");
        }
    }

    #[test]
    fn variables_reach_the_application_beneath_what_the_definition_sets() {
        let made = deployment("", "OVERLEAF_APP_NAME=Ours\nREDIS_PORT=1\nUNSET\n", "6.2.2");
        let environment = &made.project.services["sharelatex"].environment.0;
        assert_eq!(environment["OVERLEAF_APP_NAME"].as_deref(), Some("Ours"));
        assert_eq!(environment["REDIS_PORT"].as_deref(), Some("6379"));
        assert!(!environment.contains_key("UNSET"));
        assert!(made.project.services["redis"].environment.0.is_empty());
    }

    #[test]
    fn a_variable_may_refer_to_what_the_definition_sets() {
        let made = deployment(
            "",
            "A=$V1_HISTORY_URL\nB=$IMAGE\nC=$COMPOSE_PROJECT_NAME\nD=$REDIS_HOST\n",
            "6.2.2",
        );
        let environment = &made.project.services["sharelatex"].environment.0;
        for (name, expected) in [
            ("A", "http://sharelatex:3100/api"),
            ("B", "sharelatex/sharelatex:6.2.2"),
            ("C", "overleaf"),
            ("D", "redis"),
        ] {
            assert_eq!(environment[name].as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn the_hash_of_the_whole_application_is_that_of_docker_compose() {
        let made = deployment(
            "",
            "SHARELATEX_APP_NAME=\"Our Overleaf Instance\"\n",
            "4.1.0",
        );
        let value = canonical::service_value(&made.project.services["sharelatex"]);
        assert_eq!(
            value["environment"]["SHARELATEX_MONGO_URL"],
            "mongodb://mongo/sharelatex"
        );
        assert_eq!(value["volumes"][0]["target"], "/var/lib/sharelatex");
    }

    #[test]
    fn urls_are_what_a_person_opens() {
        assert_eq!(deployment("", "", "6.2.2").urls, ["http://localhost"]);
        assert_eq!(
            deployment("OVERLEAF_PORT=8080\n", "", "6.2.2").urls,
            ["http://localhost:8080"]
        );
        let url = "OVERLEAF_SITE_URL=https://tex.example.org\n";
        assert_eq!(
            deployment("", url, "6.2.2").urls,
            ["https://tex.example.org"]
        );
    }
}
