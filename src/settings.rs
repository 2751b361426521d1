//! From the operator's files to complete, typed [`Settings`].
//!
//! Layers, lowest first: the default in `lib/settings.toml`, the environment (only for keys
//! without a default, as the upstream toolkit did), overleaf.rc. Every value knows where it came
//! from. All problems of all files are found in one run. Knows nothing of Docker or templates and
//! reads no files itself: the caller hands in their texts.

pub mod catalogue;
pub mod edit;
pub mod env_file;
pub mod problem;
pub mod shell_words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::image;
use crate::release::Edition;
use crate::release::Version;
use catalogue::SettingRow;
use env_file::Entry;
use problem::{Place, Problem, ProblemKind};
use shell_words::Assigned;

/// Where overleaf.rc stands below the root of an instance.
pub const RC_FILE: &str = "config/overleaf.rc";
/// Where variables.env stands below the root of an instance.
pub const VARIABLES_FILE: &str = "config/variables.env";
/// Where the version file stands below the root of an instance.
pub const VERSION_FILE: &str = "config/version";

/// Similarity from which an unknown key counts as a misspelt one (Jaro-Winkler, 0 to 1).
const MISSPELT: f64 = 0.92;

/// Complete configuration of one instance.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The instance: absolute path of the folder that holds `config/` and `data/`.
    pub root: PathBuf,
    /// Name of the Compose project.
    pub project_name: String,
    /// Which Overleaf runs.
    pub edition: Edition,
    /// The release that drives behaviour.
    pub version: Version,
    /// A withdrawn release that the operator asks for all the same.
    pub accepted_retraction: Option<String>,
    /// Whether containers are named after the project instead of by the old fixed names.
    pub names_follow_project: bool,
    /// Whether the bundled servers stand in for the Overleaf images.
    pub bundled: bool,
    /// The `sharelatex` service.
    pub sharelatex: SharelatexSettings,
    /// The `mongo` service; `None` when an external one is used.
    pub mongo: Option<StoreSettings>,
    /// URL under which the application reaches mongo.
    pub mongo_url: String,
    /// The `redis` service; `None` when an external one is used.
    pub redis: Option<StoreSettings>,
    /// Host name under which the application reaches redis.
    pub redis_host: String,
    /// Port under which the application reaches redis.
    pub redis_port: String,
    /// Whether redis keeps an append-only file.
    pub redis_append_only: bool,
    /// The `git-bridge` service, when it is on.
    pub git_bridge: Option<GitBridgeSettings>,
    /// The TLS proxy, when it is on.
    pub nginx: Option<NginxSettings>,
    /// Socket of the engine for sandboxed compiles, when they are on.
    pub sibling_socket: Option<String>,
    /// The variables handed to the containers, in the order of variables.env.
    pub variables: Vec<Entry>,
    origins: BTreeMap<String, Origin>,
}

/// Settings of the `sharelatex` service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharelatexSettings {
    /// Image name or full reference that replaces the edition's, if the operator gave one.
    pub image: Option<String>,
    /// Host folder of the application's data.
    pub data_path: PathBuf,
    /// Host folder of the application's logs, when they are kept outside the container.
    pub log_path: Option<PathBuf>,
    /// Address the site listens on; empty for all.
    pub listen_ip: String,
    /// Port, or range of ports, the site listens on.
    pub port: String,
}

/// Settings of `mongo` or `redis`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Image reference.
    pub image: String,
    /// Host folder of its data.
    pub data_path: PathBuf,
}

/// Settings of the `git-bridge` service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitBridgeSettings {
    /// Image name that replaces the edition's, if the operator gave one.
    pub image: Option<String>,
    /// Host folder of its repositories.
    pub data_path: PathBuf,
    /// How much it logs.
    pub log_level: String,
}

/// Settings of the TLS proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NginxSettings {
    /// Image reference.
    pub image: String,
    /// Its configuration file.
    pub config_path: PathBuf,
    /// The private key.
    pub private_key_path: PathBuf,
    /// The certificate chain.
    pub certificate_path: PathBuf,
    /// Address and port for HTTP.
    pub http: (String, String),
    /// Address and port for HTTPS.
    pub tls: (String, String),
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The shipped default.
    Default,
    /// An environment variable of the same name.
    Environment,
    /// A line of one of the operator's files.
    File(Place),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::File(place) => place.fmt(f),
        }
    }
}

impl Settings {
    /// Where the value of an overleaf.rc key or of a variable came from.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.origins.get(name)
    }

    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let entry = self.variables.iter().find(|entry| entry.name == name)?;
        entry.value.as_deref()
    }
}

/// The texts and look-ups that settings are made from.
pub struct Sources<'a> {
    /// Absolute path of the instance.
    pub root: &'a Path,
    /// Text of overleaf.rc.
    pub rc: &'a str,
    /// Text of variables.env.
    pub variables: &'a str,
    /// Text of the version file.
    pub version: &'a str,
    /// Look-up of an environment variable of the process.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Makes an absolute path canonical as far as it exists (symbolic links, `..`).
    pub canonical: &'a dyn Fn(&Path) -> PathBuf,
}

/// The configuration cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// Something in the operator's files is wrong.
    #[error("the configuration has {} problem(s)", .0.iter().filter(|problem| problem.kind == ProblemKind::Error).count())]
    Invalid(Vec<Problem>),
    /// The shipped data is broken.
    #[error(transparent)]
    Catalogue(#[from] catalogue::SettingsTomlError),
}

/// Whether Compose takes the text as the name of a project.
#[must_use]
pub fn is_project_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
}

/// Makes settings from their sources; warnings come beside them.
///
/// # Errors
/// [`SettingsError::Invalid`] with every problem of every file.
pub fn resolve(sources: &Sources<'_>) -> Result<(Settings, Vec<Problem>), SettingsError> {
    let rows = catalogue::load()?;
    let rc_file = sources.root.join(RC_FILE);
    let (assigned, mut problems) = shell_words::parse(sources.rc, &rc_file, sources.environment);
    let variables_file = sources.root.join(VARIABLES_FILE);
    let (variables, variable_problems) =
        env_file::parse(sources.variables, &variables_file, sources.environment);
    problems.extend(variable_problems);
    let mut layers = Layers {
        rows: &rows,
        assigned: &assigned,
        sources,
        problems,
        used: BTreeMap::new(),
    };
    layers.check_names();
    let settings = layers.settings(variables);
    let mut problems = layers.problems;
    problems.sort_by_key(|problem| {
        problem
            .place
            .as_ref()
            .map(|at| (at.file.clone(), at.line, at.column))
    });
    match settings {
        Some(settings)
            if problems
                .iter()
                .all(|problem| problem.kind == ProblemKind::Warning) =>
        {
            Ok((settings, problems))
        }
        _ => Err(SettingsError::Invalid(problems)),
    }
}

/// The layers of overleaf.rc while settings are made from them.
struct Layers<'a> {
    rows: &'a [SettingRow],
    assigned: &'a BTreeMap<String, Assigned>,
    sources: &'a Sources<'a>,
    problems: Vec<Problem>,
    used: BTreeMap<String, Origin>,
}

impl Layers<'_> {
    /// Warns of keys that look like a misspelt setting; other names may serve as helpers.
    fn check_names(&mut self) {
        for (name, assigned) in self.assigned {
            if self.rows.iter().any(|row| row.name == *name) {
                continue;
            }
            let nearest = self
                .rows
                .iter()
                .map(|row| (strsim::jaro_winkler(&row.name, name), &row.name))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((similarity, nearest)) = nearest
                && similarity >= MISSPELT
            {
                self.problems.push(Problem {
                    kind: ProblemKind::Warning,
                    place: Some(assigned.place.clone()),
                    text: format!("`{name}` is not a setting"),
                    advice: format!("did you mean `{nearest}`?"),
                });
            }
        }
    }

    /// The value of a key after layering, checked by its type; `None` when no layer sets it.
    fn value(&mut self, name: &str) -> Option<String> {
        let row = self.rows.iter().find(|row| row.name == name)?;
        let (value, origin) = if let Some(assigned) = self.assigned.get(name) {
            (assigned.value.clone(), Origin::File(assigned.place.clone()))
        } else if let Some(default) = &row.default {
            (default.clone(), Origin::Default)
        } else {
            ((self.sources.environment)(name)?, Origin::Environment)
        };
        let is_left_empty = value.is_empty() && origin != Origin::Default;
        if !is_left_empty && let Some(objection) = catalogue::objection(row, &value) {
            self.error(name, &objection, "");
        }
        self.used.insert(name.to_owned(), origin);
        Some(value)
    }

    fn error(&mut self, name: &str, text: &str, advice: &str) {
        let place = self
            .assigned
            .get(name)
            .map(|assigned| assigned.place.clone());
        self.problems.push(Problem {
            kind: ProblemKind::Error,
            place,
            text: format!("{name}: {text}"),
            advice: advice.to_owned(),
        });
    }

    fn text(&mut self, name: &str) -> String {
        self.value(name).unwrap_or_default()
    }

    fn flag(&mut self, name: &str) -> bool {
        self.value(name).as_deref() == Some("true")
    }

    /// A value that must be set and not empty.
    fn required(&mut self, name: &str, why: &str) -> String {
        let value = self.text(name);
        if value.is_empty() {
            self.error(name, "is not set", why);
        }
        value
    }

    fn optional(&mut self, name: &str) -> Option<String> {
        self.value(name).filter(|value| !value.is_empty())
    }

    fn path(&self, value: &str) -> PathBuf {
        (self.sources.canonical)(&self.sources.root.join(value))
    }

    fn required_path(&mut self, name: &str, why: &str) -> PathBuf {
        let value = self.required(name, why);
        self.path(&value)
    }

    fn version(&mut self) -> Option<Version> {
        let text = self.sources.version.trim_end_matches(['\n', '\r']);
        match text.trim().parse() {
            Ok(version) => {
                let place = self.version_place();
                self.used.insert("version".to_owned(), Origin::File(place));
                Some(version)
            }
            Err(error) => {
                let place = self.version_place();
                self.problems.push(Problem {
                    kind: ProblemKind::Error,
                    place: Some(place),
                    text: format!("{error}"),
                    advice: "write one version such as `6.2.2` into it".to_owned(),
                });
                None
            }
        }
    }

    fn version_place(&self) -> Place {
        Place {
            file: self.sources.root.join(VERSION_FILE),
            line: 1,
            column: 1,
        }
    }

    fn edition(&mut self) -> Edition {
        let is_pro = self.flag("SERVER_PRO");
        match self.optional("EDITION").and_then(|id| id.parse().ok()) {
            Some(edition) => {
                if is_pro && edition == Edition::Community {
                    let advice = "remove SERVER_PRO; EDITION says the same";
                    self.error("SERVER_PRO", "contradicts EDITION=ce", advice);
                }
                edition
            }
            None if is_pro => Edition::ServerPro,
            None => Edition::Community,
        }
    }

    /// Warns of a setting that Community Edition does not read.
    fn without_effect(&mut self, name: &str, advice: &str) {
        self.problems.push(Problem {
            kind: ProblemKind::Warning,
            place: self
                .assigned
                .get(name)
                .map(|assigned| assigned.place.clone()),
            text: format!("{name} has no effect on Community Edition"),
            advice: advice.to_owned(),
        });
    }

    fn mongo(&mut self) -> Option<StoreSettings> {
        if !self.flag("MONGO_ENABLED") {
            return None;
        }
        let image = self.required("MONGO_IMAGE", "write for example `MONGO_IMAGE=mongo`");
        let image = match self.optional("MONGO_VERSION") {
            Some(version) => {
                if !version.starts_with(|c: char| c.is_ascii_digit()) {
                    let advice = "write for example `MONGO_VERSION=8.0`";
                    self.error(
                        "MONGO_VERSION",
                        &format!("`{version}` is not a version"),
                        advice,
                    );
                }
                format!("{image}:{version}")
            }
            None => {
                if image::tag(&image).is_none() {
                    let advice = "write for example `MONGO_VERSION=8.0`";
                    self.error("MONGO_VERSION", "is not set", advice);
                }
                image
            }
        };
        let data_path = self.required_path("MONGO_DATA_PATH", "name the folder of mongo's data");
        Some(StoreSettings { image, data_path })
    }

    fn redis(&mut self) -> Option<StoreSettings> {
        if !self.flag("REDIS_ENABLED") {
            return None;
        }
        let image = self.required("REDIS_IMAGE", "write for example `REDIS_IMAGE=redis:7.4`");
        let data_path = self.required_path("REDIS_DATA_PATH", "name the folder of redis' data");
        Some(StoreSettings { image, data_path })
    }

    /// The git integration. A rehearsal with the bundled servers may have it in every edition, so
    /// that all four containers of the larger editions are rehearsed.
    fn git_bridge(&mut self, edition: Edition, bundled: bool) -> Option<GitBridgeSettings> {
        if !self.flag("GIT_BRIDGE_ENABLED") {
            return None;
        }
        if edition == Edition::Community && !bundled {
            self.without_effect(
                "GIT_BRIDGE_ENABLED",
                "the git integration needs Server Pro or CEP",
            );
            return None;
        }
        let image = self.optional("GIT_BRIDGE_IMAGE");
        let data_path = self.required_path(
            "GIT_BRIDGE_DATA_PATH",
            "name the folder of git-bridge's data",
        );
        let log_level = self.text("GIT_BRIDGE_LOG_LEVEL");
        Some(GitBridgeSettings {
            image,
            data_path,
            log_level,
        })
    }

    fn nginx(&mut self) -> Option<NginxSettings> {
        if !self.flag("NGINX_ENABLED") {
            return None;
        }
        Some(NginxSettings {
            image: self.required(
                "NGINX_IMAGE",
                "write for example `NGINX_IMAGE=nginx:1.30-alpine`",
            ),
            config_path: self.required_path("NGINX_CONFIG_PATH", "name nginx' configuration file"),
            private_key_path: self.required_path("TLS_PRIVATE_KEY_PATH", "name the private key"),
            certificate_path: self.required_path("TLS_CERTIFICATE_PATH", "name the certificate"),
            http: (
                self.text("NGINX_HTTP_LISTEN_IP"),
                self.text("NGINX_HTTP_PORT"),
            ),
            tls: (self.text("NGINX_TLS_LISTEN_IP"), self.text("TLS_PORT")),
        })
    }

    fn sibling_socket(&mut self, edition: Edition) -> Option<String> {
        if !self.flag("SIBLING_CONTAINERS_ENABLED") {
            return None;
        }
        if edition == Edition::Community {
            self.without_effect(
                "SIBLING_CONTAINERS_ENABLED",
                "sandboxed compiles need Server Pro or CEP",
            );
            return None;
        }
        Some(self.required("DOCKER_SOCKET_PATH", "name the socket of the engine"))
    }

    fn settings(&mut self, variables: Vec<Entry>) -> Option<Settings> {
        let version = self.version();
        let edition = self.edition();
        let sharelatex = SharelatexSettings {
            image: self.optional("OVERLEAF_IMAGE_NAME"),
            data_path: self
                .required_path("OVERLEAF_DATA_PATH", "name the folder of Overleaf's data"),
            log_path: self
                .optional("OVERLEAF_LOG_PATH")
                .map(|value| self.path(&value)),
            listen_ip: self.text("OVERLEAF_LISTEN_IP"),
            port: self.required("OVERLEAF_PORT", "write for example `OVERLEAF_PORT=80`"),
        };
        let bundled = self.flag("BUNDLED_SERVERS");
        let settings = Settings {
            root: self.sources.root.to_path_buf(),
            project_name: self
                .required("PROJECT_NAME", "write for example `PROJECT_NAME=overleaf`"),
            edition,
            version: version?,
            accepted_retraction: self.optional("OVERLEAF_SKIP_RETRACTION_CHECK"),
            names_follow_project: self.value("CONTAINER_NAMES").as_deref() == Some("project"),
            bundled,
            sharelatex,
            mongo: self.mongo(),
            mongo_url: self.text("MONGO_URL"),
            redis: self.redis(),
            redis_host: self.text("REDIS_HOST"),
            redis_port: self.text("REDIS_PORT"),
            redis_append_only: self.flag("REDIS_AOF_PERSISTENCE"),
            git_bridge: self.git_bridge(edition, bundled),
            nginx: self.nginx(),
            sibling_socket: self.sibling_socket(edition),
            origins: BTreeMap::new(),
            variables,
        };
        let mut origins = std::mem::take(&mut self.used);
        for entry in &settings.variables {
            origins.insert(entry.name.clone(), Origin::File(entry.place.clone()));
        }
        Some(Settings {
            origins,
            ..settings
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RC: &str = "PROJECT_NAME=overleaf\nOVERLEAF_DATA_PATH=data/overleaf\nMONGO_DATA_PATH=data/mongo\nMONGO_IMAGE=mongo\nMONGO_VERSION=8.0\nREDIS_IMAGE=redis:7.4\n";

    fn resolved(rc: &str, version: &str) -> Result<(Settings, Vec<Problem>), Vec<String>> {
        let sources = Sources {
            root: Path::new("/srv/overleaf"),
            rc,
            variables: "OVERLEAF_APP_NAME=x\n",
            version,
            environment: &|_| None,
            canonical: &|path| path.to_path_buf(),
        };
        resolve(&sources).map_err(|error| match error {
            SettingsError::Invalid(problems) => problems.into_iter().map(|p| p.text).collect(),
            other @ SettingsError::Catalogue(_) => vec![other.to_string()],
        })
    }

    #[test]
    fn values_know_where_they_came_from() {
        let (settings, _) = resolved(RC, "6.2.2\n").unwrap();
        assert_eq!(settings.mongo.as_ref().unwrap().image, "mongo:8.0");
        assert_eq!(
            settings.sharelatex.data_path,
            Path::new("/srv/overleaf/data/overleaf")
        );
        assert_eq!(settings.origin("OVERLEAF_PORT"), Some(&Origin::Default));
        let Some(Origin::File(place)) = settings.origin("MONGO_VERSION") else {
            panic!()
        };
        assert_eq!(place.to_string(), "/srv/overleaf/config/overleaf.rc:5:1");
        assert_eq!(settings.variable("OVERLEAF_APP_NAME"), Some("x"));
    }

    #[test]
    fn every_problem_is_found_in_one_run() {
        let rc = format!("{RC}OVERLEAF_PORT=http\nOVERLEAF_LISTEN_IP=here\nEDITION=gold\n");
        assert_eq!(
            resolved(&rc, "6.2").unwrap_err(),
            [
                "OVERLEAF_PORT: `http` is not a port; use a number from 1 to 65535",
                "OVERLEAF_LISTEN_IP: `here` is not an IP address",
                "EDITION: `gold` is not a value for it; use one of ce, pro, cep",
                "`6.2` is not an Overleaf version; write it as `6.2.2`",
            ]
        );
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        let (_, warnings) = resolved(&format!("{RC}OVERLEAF_PROT=81\nBASE=/x\n"), "6.2.2").unwrap();
        let texts: Vec<_> = warnings
            .iter()
            .map(|w| (w.text.as_str(), w.advice.as_str()))
            .collect();
        assert_eq!(
            texts,
            [(
                "`OVERLEAF_PROT` is not a setting",
                "did you mean `OVERLEAF_PORT`?"
            )]
        );
    }

    #[test]
    fn git_bridge_needs_an_edition_that_has_it() {
        let rc = format!("{RC}GIT_BRIDGE_ENABLED=true\nGIT_BRIDGE_DATA_PATH=data/git-bridge\n");
        let (settings, warnings) = resolved(&rc, "6.2.2").unwrap();
        assert!(settings.git_bridge.is_none());
        assert_eq!(warnings.len(), 1);
        let (settings, _) = resolved(&format!("{rc}SERVER_PRO=true\n"), "6.2.2").unwrap();
        assert!(settings.git_bridge.is_some());
        assert_eq!(settings.edition, Edition::ServerPro);
    }
}
