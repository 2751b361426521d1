//! From the operator's files to complete, typed [`Settings`].
//!
//! Layers, lowest first: the default in `lib/settings.toml`, the environment (only for keys
//! without a default, as the upstream toolkit did), overleaf.rc. Every value knows where it came
//! from. All problems of all files are found in one run. Knows nothing of Docker or templates and
//! reads no files itself: the caller hands in their texts.

pub mod assignments;
pub mod catalogue;
pub mod disclosure;
pub mod edit;
pub mod effective;
pub mod env_file;
pub mod explain;
pub mod flatten;
mod layers;
mod legacy;
pub mod masking;
pub mod migrate;
pub mod names;
pub mod problem;
pub mod reference;
pub mod shell_words;
pub mod statements;
pub mod variables;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::image;
use crate::release::Catalogue;
use crate::release::CatalogueError;
use crate::release::{Edition, EditionImages, Version};
use catalogue::SettingRow;
use env_file::{Entry, EnvFile};
use layers::Layers;
use names::Names;
use problem::{Place, Problem, ProblemKind};
use shell_words::Assigned;

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
    /// Whether the operator named it; if not, a `name:` in the override file counts.
    pub is_project_named: bool,
    /// Which Overleaf runs.
    pub edition: Edition,
    /// The release that drives behaviour.
    pub version: Version,
    /// Tag of the images of the application and of git-bridge, when it is not that of the release.
    pub image_tag: Option<String>,
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
    /// Shell that the health check of mongo runs.
    pub mongo_shell: String,
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
    /// The word that tells the application whether there is a git integration.
    pub git_bridge_flag: String,
    /// The `git-bridge` service, when it is on.
    pub git_bridge: Option<GitBridgeSettings>,
    /// The TLS proxy, when it is on.
    pub nginx: Option<NginxSettings>,
    /// Socket of the engine for sandboxed compiles, when they are on.
    pub sibling_socket: Option<String>,
    /// TeX Live packages that the application's image gets.
    pub texlive_packages: Vec<String>,
    /// Where they come from, when that is not the repository of their year.
    pub texlive_repository: Option<String>,
    /// The variables handed to the containers, in the order of variables.env.
    pub variables: Vec<Entry>,
    /// What `$NAME` stands for in the files that Docker Compose reads.
    pub names: Names,
    variables_file: EnvFile,
    /// What the names in variables.env stand for, as far as services do not matter.
    references: References,
    origins: BTreeMap<String, Origin>,
}

/// Look-ups that were made, with their answers.
#[derive(Clone, Default)]
struct References(BTreeMap<String, Option<String>>);

impl fmt::Debug for References {
    /// Without the values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
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

    /// The variables as a service gets them whose definition sets `environment`: a `$NAME` in
    /// variables.env may refer to it.
    #[must_use]
    pub fn variables_for(&self, environment: &BTreeMap<String, Option<String>>) -> Vec<Entry> {
        let look_up = |name: &str| {
            let known = self.references.0.get(name).cloned().flatten();
            known.or_else(|| environment.get(name).cloned().flatten())
        };
        self.variables_file.entries(&look_up).0
    }

    /// Image reference of the application, out of the images of its edition.
    #[must_use]
    pub fn sharelatex_image(&self, images: &EditionImages) -> String {
        let name = self.sharelatex.image.as_ref().unwrap_or(&images.sharelatex);
        let version = self.version.to_string();
        image::with_tag(name, self.image_tag.as_ref().unwrap_or(&version))
    }

    /// Image reference of git-bridge, when it is on and its edition has one.
    #[must_use]
    pub fn git_bridge_image(&self, images: &EditionImages) -> Option<String> {
        let git_bridge = self.git_bridge.as_ref()?;
        let name = git_bridge.image.as_ref().or(images.git_bridge.as_ref())?;
        let version = self.version.upstream_tag();
        Some(image::with_tag(
            name,
            self.image_tag.as_ref().unwrap_or(&version),
        ))
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
    /// Text of `lib/.env`, from which Docker Compose takes names; empty when there is none.
    pub dotenv: &'a str,
    /// Look-up of an environment variable of the process.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Makes an absolute path canonical as far as it exists (symbolic links, `..`), or says what
    /// is wrong with it.
    pub canonical: &'a dyn Fn(&Path) -> Result<PathBuf, String>,
    /// Whether a folder stands at the path.
    pub is_folder: &'a dyn Fn(&Path) -> bool,
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
    /// The shipped data about releases is broken.
    #[error(transparent)]
    Releases(#[from] CatalogueError),
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
    let releases = Catalogue::load()?;
    let (assigned, mut problems) = assigned(sources, &rows);
    legacy::check_rc(&assigned, &mut problems);
    let variables_file = sources.root.join(VARIABLES_FILE);
    let (variables, variable_problems) = EnvFile::read(sources.variables, &variables_file);
    problems.extend(variable_problems);
    let (dotenv, dotenv_problems) = dotenv(sources);
    problems.extend(dotenv_problems);
    let mut layers = Layers::new(&rows, &assigned, sources, problems);
    layers.check_names();
    let settings = layers.settings(&dotenv);
    let mut problems = layers.into_problems();
    let settings = match settings {
        Some(mut settings) => {
            settings.names = Names::of(&settings, &rows, &assigned, dotenv, &releases)?;
            let brand = &releases.era(&settings.version)?.brand;
            problems.extend(settings.take_variables(variables, sources));
            legacy::check_variables(&settings, brand, sources.variables, &mut problems);
            Some(settings)
        }
        None => None,
    };
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

/// The only line of the version file that counts.
pub(crate) fn first_line(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or_default();
    line.strip_suffix('\r').unwrap_or(line)
}

/// Where Docker Compose looks for names besides the environment, below the root of an instance.
pub const DOTENV_FILE: &str = "lib/.env";

fn dotenv(sources: &Sources<'_>) -> (BTreeMap<String, String>, Vec<Problem>) {
    let file = sources.root.join(DOTENV_FILE);
    let (entries, problems) = env_file::parse(sources.dotenv, &file, sources.environment);
    let entries = entries.into_iter();
    let values = entries.filter_map(|entry| Some((entry.name, entry.value?)));
    (values.collect(), problems)
}

impl Settings {
    fn take_variables(&mut self, file: EnvFile, sources: &Sources<'_>) -> Vec<Problem> {
        let asked = RefCell::new(BTreeMap::new());
        let look_up = |name: &str| {
            let value = self.names.look_up(name, sources.environment);
            asked.borrow_mut().insert(name.to_owned(), value.clone());
            value
        };
        let (variables, problems) = file.entries(&look_up);
        for entry in &variables {
            let origin = Origin::File(entry.place.clone());
            self.origins.insert(entry.name.clone(), origin);
        }
        self.variables = variables;
        self.variables_file = file;
        self.references = References(asked.into_inner());
        problems
    }
}

/// What overleaf.rc assigns. A shell has read the defaults before the file, and then its own
/// variables.
pub(crate) fn assigned(
    sources: &Sources<'_>,
    rows: &[SettingRow],
) -> (BTreeMap<String, Assigned>, Vec<Problem>) {
    let version = first_line(sources.version).parse().ok();
    let before = |name: &str| {
        let row = rows.iter().find(|row| row.name == name && !row.environment);
        row.and_then(|row| row.default.clone())
            .or_else(|| names::of_script(name, sources.root, version.as_ref()))
            .or_else(|| (sources.environment)(name))
    };
    shell_words::parse(sources.rc, &sources.root.join(RC_FILE), &before)
}

#[cfg(test)]
mod tests;
