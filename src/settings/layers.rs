//! Lays the defaults, the environment and overleaf.rc over each other and makes typed settings of
//! them, checking each value by its type.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::catalogue;
use super::catalogue::SettingRow;
use super::env_file::Entry;
use super::problem::{Place, Problem, ProblemKind};
use super::shell_words::Assigned;
use super::{
    GitBridgeSettings, NginxSettings, Origin, Settings, SharelatexSettings, Sources, StoreSettings,
    VERSION_FILE,
};
use crate::image;
use crate::release::Edition;
use crate::release::Version;

/// Similarity from which an unknown key counts as a misspelt one (Jaro-Winkler, 0 to 1).
const MISSPELT: f64 = 0.92;

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

    pub(super) fn settings(&mut self, variables: Vec<Entry>) -> Option<Settings> {
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
