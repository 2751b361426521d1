//! From the operator's files to complete, typed [`Settings`].
//!
//! Layers, lowest first: the default in `lib/settings.toml`, the environment (only for keys
//! without a default, as the upstream toolkit did), overleaf.rc. Every value knows where it came
//! from. All problems of all files are found in one run. Knows nothing of Docker or templates and
//! reads no files itself: the caller hands in their texts.

pub mod catalogue;
pub mod edit;
pub mod env_file;
mod layers;
pub mod problem;
pub mod shell_words;
pub mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::release::Edition;
use crate::release::Version;
use env_file::Entry;
use layers::Layers;
use problem::{Place, Problem, ProblemKind};

/// Where overleaf.rc stands below the root of an instance.
pub const RC_FILE: &str = "config/overleaf.rc";
/// Where variables.env stands below the root of an instance.
pub const VARIABLES_FILE: &str = "config/variables.env";
/// Where the operator's changes to the definitions stand below the root of an instance.
pub const OVERRIDE_FILE: &str = "config/docker-compose.override.yml";
/// Where the version file stands below the root of an instance.
pub const VERSION_FILE: &str = "config/version";

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
    let mut layers = Layers::new(&rows, &assigned, sources, problems);
    layers.check_names();
    let settings = layers.settings(variables);
    let mut problems = layers.into_problems();
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
