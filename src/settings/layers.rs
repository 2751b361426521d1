//! Lays the defaults, the environment and overleaf.rc over each other and makes typed settings of
//! them, checking each value by its type.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::catalogue;
use super::catalogue::SettingRow;
use super::effective;
use super::env_file::EnvFile;
use super::names::Names;
use super::problem::{Place, Problem, ProblemKind};
use super::shell_words::Assigned;
use super::{
    GitBridgeSettings, NginxSettings, Origin, RC_FILE, References, Settings, SharelatexSettings,
    Sources, StoreSettings, VERSION_FILE,
};
use crate::image;
use crate::likeness;
use crate::release::Edition;
use crate::release::Version;
use crate::texlive;

/// Similarity from which an unknown key counts as a misspelt one (Jaro-Winkler, 0 to 1).
const MISSPELT: f64 = 0.92;

/// First major version of mongo whose image has `mongosh` instead of `mongo`.
const FIRST_WITH_MONGOSH: u64 = 6;

/// First release that can be used with git-bridge.
const FIRST_WITH_GIT_BRIDGE: (u64, u64, u64) = (4, 0, 0);

/// Name of a project that nobody named: that of the folder whose definitions upstream runs.
const UNNAMED_PROJECT: &str = "lib";

/// The folder below the root against which Docker Compose resolves paths in definitions.
const DEFINITIONS_FOLDER: &str = "lib";

/// The layers of overleaf.rc while settings are made from them.
pub(super) struct Layers<'a> {
    rows: &'a [SettingRow],
    assigned: &'a BTreeMap<String, Assigned>,
    sources: &'a Sources<'a>,
    problems: Vec<Problem>,
    used: BTreeMap<String, Origin>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(
        rows: &'a [SettingRow],
        assigned: &'a BTreeMap<String, Assigned>,
        sources: &'a Sources<'a>,
        problems: Vec<Problem>,
    ) -> Self {
        Self {
            rows,
            assigned,
            sources,
            problems,
            used: BTreeMap::new(),
        }
    }

    /// Everything that is wrong, found so far.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Warns of keys that look like a misspelt setting; other names may serve as helpers.
    pub(super) fn check_names(&mut self) {
        for (name, assigned) in self.assigned {
            if self.rows.iter().any(|row| row.name == *name) {
                continue;
            }
            let nearest = self
                .rows
                .iter()
                .map(|row| (likeness::of(&row.name, name), &row.name))
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
        let (value, origin) = effective::layered(row, self.assigned, self.sources.environment)?;
        let is_left_empty = value.is_empty() && origin != Origin::Default;
        if !is_left_empty && let Some(objection) = catalogue::objection(row, &value) {
            self.error(name, &objection, &catalogue::advice(row));
        }
        self.used.insert(name.to_owned(), origin);
        Some(value)
    }

    /// Where a key is set, or else where it would be.
    fn place_of(&self, name: &str) -> Place {
        if let Some(assigned) = self.assigned.get(name) {
            return assigned.place.clone();
        }
        let offers = |line: &str| {
            let comment = line.trim_start().strip_prefix('#').map(str::trim_start);
            let value = comment.and_then(|comment| comment.strip_prefix(name));
            value.is_some_and(|value| value.starts_with('='))
        };
        let lines = self.sources.rc.lines();
        let offered = lines.clone().position(offers).map(|at| at + 1);
        Place {
            file: self.sources.root.join(RC_FILE),
            line: offered.unwrap_or_else(|| lines.count() + 1),
            column: 1,
        }
    }

    fn problem(&mut self, kind: ProblemKind, name: &str, text: &str, advice: &str) {
        let place = Some(self.place_of(name));
        self.problems.push(Problem {
            kind,
            place,
            text: format!("{name}: {text}"),
            advice: advice.to_owned(),
        });
    }

    fn error(&mut self, name: &str, text: &str, advice: &str) {
        self.problem(ProblemKind::Error, name, text, advice);
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
            self.not_set(name, why);
        }
        value
    }

    /// Reports a missing key, unless the line that sets it is reported already.
    fn not_set(&mut self, name: &str, why: &str) {
        let assignment = format!("{name}=");
        let is_spoilt = self.problems.iter().any(|problem| {
            let at = problem
                .place
                .as_ref()
                .filter(|at| at.file.ends_with(RC_FILE));
            let line = at.and_then(|at| self.sources.rc.lines().nth(at.line.checked_sub(1)?));
            problem.kind == ProblemKind::Error
                && line.is_some_and(|line| line.contains(&assignment))
        });
        if !is_spoilt {
            self.error(name, "is not set", why);
        }
    }

    fn optional(&mut self, name: &str) -> Option<String> {
        self.value(name).filter(|value| !value.is_empty())
    }

    /// The path that a key names. `up` makes missing folders of the instance itself; outside it a
    /// missing parent is more likely a disk that is not mounted.
    fn path(&mut self, name: &str, value: &str, is_made: bool) -> PathBuf {
        let path = self.sources.root.join(value);
        let real = match (self.sources.canonical)(&path) {
            Ok(real) => real,
            Err(cause) => {
                self.error(name, &cause, "name another path, or repair the link");
                return path;
            }
        };
        let is_ours = is_made && real.starts_with(self.sources.root);
        let parent = real.parent().filter(|_| !value.is_empty() && !is_ours);
        if let Some(parent) = parent.filter(|parent| !(self.sources.is_folder)(parent)) {
            let text = format!("`{}` is not a folder", parent.display());
            let advice = format!(
                "mount the disk that holds it, or make it with `mkdir -p {}`",
                parent.display()
            );
            self.error(name, &text, &advice);
        }
        real
    }

    fn required_folder(&mut self, name: &str, why: &str) -> PathBuf {
        let value = self.required(name, why);
        self.path(name, &value, true)
    }

    fn required_file(&mut self, name: &str, why: &str) -> PathBuf {
        let value = self.required(name, why);
        self.path(name, &value, false)
    }

    fn version(&mut self) -> Option<Version> {
        let place = self.version_place();
        match super::first_line(self.sources.version).parse() {
            Ok(version) => {
                self.used.insert("version".to_owned(), Origin::File(place));
                Some(version)
            }
            Err(error) => {
                self.problems.push(Problem {
                    kind: ProblemKind::Error,
                    place: Some(place),
                    text: format!("{error}"),
                    advice: "write one version such as `6.2.2` into the first line, without blanks"
                        .to_owned(),
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

    /// Warns of a setting that the edition or the release does not read.
    fn without_effect(&mut self, name: &str, on: &str, advice: &str) {
        let text = format!("has no effect on {on}");
        self.problem(ProblemKind::Warning, name, &text, advice);
    }

    /// The name of the project, and whether somebody gave it.
    fn project_name(&mut self, dotenv: &BTreeMap<String, String>) -> (String, bool) {
        let name = self.text("PROJECT_NAME");
        if !name.is_empty() {
            return (name, true);
        }
        let variable = "COMPOSE_PROJECT_NAME";
        let given = (self.sources.environment)(variable).or_else(|| dotenv.get(variable).cloned());
        let given = given.filter(|name| !name.is_empty());
        let advice = "write for example `PROJECT_NAME=overleaf`";
        if let Some(name) = &given
            && !super::is_project_name(name)
        {
            let text = format!("is empty, and {variable} is not a project name");
            self.error("PROJECT_NAME", &text, advice);
        }
        let is_given = given.is_some();
        let name = given.unwrap_or_else(|| UNNAMED_PROJECT.to_owned());
        let text = format!("is empty, so the project is called `{name}`");
        self.problem(ProblemKind::Warning, "PROJECT_NAME", &text, advice);
        (name, is_given)
    }

    /// The image of mongo and its major version, which decides the shell in it.
    fn mongo_image(&mut self) -> (String, u64) {
        let image = self.required("MONGO_IMAGE", "write for example `MONGO_IMAGE=mongo`");
        let advice = "write for example `MONGO_IMAGE=mongo` and `MONGO_VERSION=8.0`";
        let major_of = |version: &str| {
            let (major, minor) = version.split_once('.')?;
            let is_number = !major.is_empty() && major.bytes().all(|b| b.is_ascii_digit());
            major
                .parse()
                .ok()
                .filter(|_| is_number && !minor.is_empty())
        };
        let tag = image::tag(&image).map(ToOwned::to_owned);
        let Some(version) = self.optional("MONGO_VERSION") else {
            // Files of earlier years have the whole reference in MONGO_IMAGE.
            let legacy = image.strip_prefix("mongo:").map(ToOwned::to_owned);
            let major = legacy.as_deref().and_then(major_of);
            match (legacy, major) {
                (Some(tag), Some(_)) => {
                    let text = "the tag belongs into MONGO_VERSION";
                    let advice = format!(
                        "write `MONGO_IMAGE=mongo` and `MONGO_VERSION={tag}`; `toolkit config migrate` does it"
                    );
                    self.problem(ProblemKind::Warning, "MONGO_IMAGE", text, &advice);
                }
                _ if image.is_empty() => {}
                _ => self.not_set("MONGO_VERSION", advice),
            }
            return (image, major.unwrap_or_default());
        };
        let major = major_of(&version);
        if major.is_none() {
            let text =
                format!("`{version}` does not begin with the major version of mongo and a dot");
            self.error("MONGO_VERSION", &text, advice);
        }
        let reference = match tag {
            None => format!("{image}:{version}"),
            Some(_) if image::has_digest(&image) => image,
            Some(tag) if tag == version => image,
            Some(tag) => {
                let text = format!("its tag `{tag}` contradicts MONGO_VERSION `{version}`");
                self.error("MONGO_IMAGE", &text, "write the image without a tag");
                image
            }
        };
        (reference, major.unwrap_or_default())
    }

    /// The mongo that the instance runs, and the shell of its health check.
    fn mongo(&mut self) -> (Option<StoreSettings>, String) {
        if !self.flag("MONGO_ENABLED") {
            return (None, String::new());
        }
        let (named, major) = self.mongo_image();
        let image = self.optional("MONGO_DOCKER_IMAGE").unwrap_or(named);
        let data_path = self.required_folder("MONGO_DATA_PATH", "name the folder of mongo's data");
        let shell = self.optional("MONGOSH").unwrap_or_else(|| {
            let has_mongosh = major >= FIRST_WITH_MONGOSH;
            if has_mongosh { "mongosh" } else { "mongo" }.to_owned()
        });
        (Some(StoreSettings { image, data_path }), shell)
    }

    fn redis(&mut self) -> Option<StoreSettings> {
        if !self.flag("REDIS_ENABLED") {
            return None;
        }
        let image = self.required("REDIS_IMAGE", "write for example `REDIS_IMAGE=redis:7.4`");
        let data_path = self.required_folder("REDIS_DATA_PATH", "name the folder of redis' data");
        Some(StoreSettings { image, data_path })
    }

    /// Whether the edition and the release know the git integration. A rehearsal with the bundled
    /// servers may have it in every edition, so that all four containers are rehearsed.
    fn knows_git_bridge(
        &mut self,
        edition: Edition,
        bundled: bool,
        version: Option<&Version>,
    ) -> bool {
        let name = "GIT_BRIDGE_ENABLED";
        let is_asked = self.flag(name);
        let (on, advice) = if edition == Edition::Community && !bundled {
            (
                "Community Edition",
                "the git integration needs Server Pro or CEP; write `GIT_BRIDGE_ENABLED=false`",
            )
        } else if version.is_some_and(|version| version.numbers() < FIRST_WITH_GIT_BRIDGE) {
            (
                "a release below 4.0",
                "upgrade first; until then write `GIT_BRIDGE_ENABLED=false`",
            )
        } else {
            return true;
        };
        if is_asked {
            self.without_effect(name, on, advice);
        }
        false
    }

    fn git_bridge(&mut self) -> Option<GitBridgeSettings> {
        if !self.flag("GIT_BRIDGE_ENABLED") {
            return None;
        }
        let why = "name the folder of git-bridge's data";
        Some(GitBridgeSettings {
            image: self.optional("GIT_BRIDGE_IMAGE"),
            data_path: self.required_folder("GIT_BRIDGE_DATA_PATH", why),
            log_level: self.text("GIT_BRIDGE_LOG_LEVEL"),
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
            config_path: self.required_file("NGINX_CONFIG_PATH", "name nginx' configuration file"),
            private_key_path: self.required_file("TLS_PRIVATE_KEY_PATH", "name the private key"),
            certificate_path: self.required_file("TLS_CERTIFICATE_PATH", "name the certificate"),
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
                "Community Edition",
                "sandboxed compiles need Server Pro or CEP; write `SIBLING_CONTAINERS_ENABLED=false`",
            );
            return None;
        }
        let advice = "name the socket of the engine, such as `/var/run/docker.sock`";
        let path = self.required("DOCKER_SOCKET_PATH", advice);
        // Not a path of the instance but part of a definition, and resolved as one.
        if path.starts_with('.') {
            return Some(plain(
                &self.sources.root.join(DEFINITIONS_FOLDER).join(path),
            ));
        }
        if !path.is_empty() && !path.starts_with('/') {
            let text = format!("`{path}` is not an absolute path");
            self.error("DOCKER_SOCKET_PATH", &text, advice);
        }
        Some(path)
    }

    /// The TeX Live packages on top of the application's image.
    fn texlive_packages(&mut self, edition: Edition) -> Vec<String> {
        let name = "TEXLIVE_PACKAGES";
        let Some(text) = self.optional(name) else {
            return Vec::new();
        };
        if edition == Edition::ServerPro {
            let advice = "its packages come with the TeX Live images of sandboxed compiles; write `TEXLIVE_PACKAGES=`";
            self.without_effect(name, "Server Pro", advice);
            return Vec::new();
        }
        let packages: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
        if let Some(wrong) = packages.iter().find(|name| !texlive::is_package(name)) {
            let text = format!("`{wrong}` is not the name of a package");
            let advice = "use letters, digits, `.`, `_` and `-`, with blanks between the names";
            self.error(name, &text, advice);
        }
        packages
    }

    fn sharelatex(&mut self) -> SharelatexSettings {
        let why = "name the folder of Overleaf's data";
        let data_path = self.required_folder("OVERLEAF_DATA_PATH", why);
        let log_path = self.optional("OVERLEAF_LOG_PATH");
        SharelatexSettings {
            image: self.optional("OVERLEAF_IMAGE_NAME"),
            data_path,
            log_path: log_path.map(|value| self.path("OVERLEAF_LOG_PATH", &value, true)),
            listen_ip: self.text("OVERLEAF_LISTEN_IP"),
            port: self.text("OVERLEAF_PORT"),
        }
    }

    /// The settings without their variables, which depend on them; `None` without a version.
    pub(super) fn settings(&mut self, dotenv: &BTreeMap<String, String>) -> Option<Settings> {
        let version = self.version();
        let edition = self.edition();
        let sharelatex = self.sharelatex();
        let bundled = self.flag("BUNDLED_SERVERS");
        let (project_name, is_project_named) = self.project_name(dotenv);
        let (mongo, mongo_shell) = self.mongo();
        let (git_bridge_flag, git_bridge) =
            if self.knows_git_bridge(edition, bundled, version.as_ref()) {
                (self.text("GIT_BRIDGE_ENABLED"), self.git_bridge())
            } else {
                ("false".to_owned(), None)
            };
        let redis = self.redis();
        let nginx = self.nginx();
        let sibling_socket = self.sibling_socket(edition);
        let texlive_packages = self.texlive_packages(edition);
        let texlive_repository = self.optional("TEXLIVE_REPOSITORY");
        Some(Settings {
            root: self.sources.root.to_path_buf(),
            project_name,
            is_project_named,
            edition,
            version: version?,
            image_tag: self.optional("IMAGE_VERSION"),
            accepted_retraction: self.optional("OVERLEAF_SKIP_RETRACTION_CHECK"),
            names_follow_project: self.value("CONTAINER_NAMES").as_deref() == Some("project"),
            bundled,
            sharelatex,
            mongo,
            mongo_shell,
            mongo_url: self.text("MONGO_URL"),
            redis,
            redis_host: self.text("REDIS_HOST"),
            redis_port: self.text("REDIS_PORT"),
            redis_append_only: self.flag("REDIS_AOF_PERSISTENCE"),
            git_bridge_flag,
            git_bridge,
            nginx,
            sibling_socket,
            texlive_packages,
            texlive_repository,
            variables: Vec::new(),
            names: Names::default(),
            variables_file: EnvFile::default(),
            references: References::default(),
            origins: std::mem::take(&mut self.used),
        })
    }
}

/// The path without `.` and `..`; links are not looked at.
fn plain(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain.display().to_string()
}
