//! What `$NAME` stands for in the files that Docker Compose reads: variables.env and the override
//! file. overleaf.rc is read by a shell, in which other names are set.
//!
//! From the strongest on: the name of the project, what overleaf.rc exports and what the upstream
//! toolkit exports for its own definitions, the environment of the process, and `lib/.env`.

use std::collections::BTreeMap;
use std::fmt;

use super::catalogue::SettingRow;
use super::shell_words::Assigned;
use super::{Origin, Settings};
use crate::release::CatalogueError;
use crate::release::{Catalogue, Version};

/// The names that the instance itself gives a meaning.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    exported: BTreeMap<String, String>,
    /// Set in overleaf.rc and not exported: counts for a name that the process already exports.
    assigned: BTreeMap<String, String>,
    dotenv: BTreeMap<String, String>,
}

impl fmt::Debug for Names {
    /// Without the values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.exported.keys()).finish()
    }
}

impl Names {
    /// The value of a name. `process` looks up the environment of the process.
    #[must_use]
    pub fn look_up(&self, name: &str, process: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        if let Some(value) = self.exported.get(name) {
            return Some(value.clone());
        }
        match process(name) {
            // A shell goes on exporting what it was started with, with the value of the moment.
            Some(value) => Some(self.assigned.get(name).cloned().unwrap_or(value)),
            None => self.dotenv.get(name).cloned(),
        }
    }

    /// The names of settings that are known: what their files and the release decide.
    pub(super) fn of(
        settings: &Settings,
        rows: &[SettingRow],
        rc: &BTreeMap<String, Assigned>,
        dotenv: BTreeMap<String, String>,
        catalogue: &Catalogue,
    ) -> Result<Self, CatalogueError> {
        let mut assigned: BTreeMap<String, String> = rows
            .iter()
            .filter(|row| !row.environment)
            .filter_map(|row| Some((row.name.clone(), row.default.clone()?)))
            .collect();
        let mut exported = BTreeMap::new();
        for (name, value) in rc {
            let names = if value.is_exported {
                &mut exported
            } else {
                &mut assigned
            };
            names.insert(name.clone(), value.value.clone());
        }
        let mut names = Self {
            exported,
            assigned,
            dotenv,
        };
        names.export_definitions(settings, catalogue)?;
        Ok(names)
    }

    fn export(&mut self, name: &str, value: impl Into<String>) {
        self.exported.insert(name.to_owned(), value.into());
    }

    /// What upstream's script exports for the definitions that it brings.
    fn export_definitions(
        &mut self,
        settings: &Settings,
        catalogue: &Catalogue,
    ) -> Result<(), CatalogueError> {
        let era = catalogue.era(&settings.version)?;
        let images = catalogue.images(settings.edition)?;
        let sharelatex = &settings.sharelatex;
        self.export("COMPOSE_PROJECT_NAME", &settings.project_name);
        self.export("IMAGE", settings.sharelatex_image(images));
        self.export("OVERLEAF_LISTEN_IP", &sharelatex.listen_ip);
        self.export("OVERLEAF_PORT", &sharelatex.port);
        self.export("OVERLEAF_DATA_PATH", sharelatex.data_path.to_string_lossy());
        self.export("OVERLEAF_IN_CONTAINER_DATA_PATH", &era.data);
        self.export("GIT_BRIDGE_ENABLED", &settings.git_bridge_flag);
        self.export("MONGO_URL", &settings.mongo_url);
        self.export("REDIS_HOST", &settings.redis_host);
        self.export("REDIS_PORT", &settings.redis_port);
        if let Some(path) = &sharelatex.log_path {
            self.export("OVERLEAF_LOG_PATH", path.to_string_lossy());
            self.export("OVERLEAF_IN_CONTAINER_LOG_PATH", &era.log);
        }
        if let Some(redis) = &settings.redis {
            let command = if settings.redis_append_only {
                "redis-server --appendonly yes"
            } else {
                "redis-server"
            };
            self.export("REDIS_IMAGE", &redis.image);
            self.export("REDIS_DATA_PATH", redis.data_path.to_string_lossy());
            self.export("REDIS_COMMAND", command);
        }
        if let Some(mongo) = &settings.mongo {
            let arguments = if era.needs_replica_set {
                "--replSet overleaf"
            } else {
                ""
            };
            self.export("MONGO_DOCKER_IMAGE", &mongo.image);
            self.export("MONGO_DATA_PATH", mongo.data_path.to_string_lossy());
            self.export("MONGO_ARGS", arguments);
            self.export("MONGOSH", &settings.mongo_shell);
        }
        if let Some(socket) = &settings.sibling_socket {
            self.export("DOCKER_SOCKET_PATH", socket);
        }
        if let Some(git_bridge) = &settings.git_bridge {
            let image = settings.git_bridge_image(images).unwrap_or_default();
            self.export("GIT_BRIDGE_API_BASE_URL", &era.git_bridge_api);
            self.export("GIT_BRIDGE_IMAGE", image);
            self.export(
                "GIT_BRIDGE_DATA_PATH",
                git_bridge.data_path.to_string_lossy(),
            );
            self.export("GIT_BRIDGE_LOG_LEVEL", &git_bridge.log_level);
        }
        self.export_proxy(settings);
        Ok(())
    }

    fn export_proxy(&mut self, settings: &Settings) {
        let Some(nginx) = &settings.nginx else {
            return;
        };
        let files = [
            ("NGINX_CONFIG_PATH", &nginx.config_path),
            ("TLS_PRIVATE_KEY_PATH", &nginx.private_key_path),
            ("TLS_CERTIFICATE_PATH", &nginx.certificate_path),
        ];
        for (name, path) in files {
            self.export(name, path.to_string_lossy());
        }
        let texts = [
            ("NGINX_IMAGE", &nginx.image),
            ("NGINX_HTTP_LISTEN_IP", &nginx.http.0),
            ("NGINX_HTTP_PORT", &nginx.http.1),
            ("NGINX_TLS_LISTEN_IP", &nginx.tls.0),
            ("TLS_PORT", &nginx.tls.1),
        ];
        for (name, value) in texts {
            // The two addresses have their defaults in the definitions, not in a variable.
            let is_address = name.ends_with("_LISTEN_IP");
            if !(is_address && settings.origin(name) == Some(&Origin::Default)) {
                self.export(name, value);
            }
        }
    }
}

/// What a file that is read by upstream's script finds set besides the settings.
pub(super) fn of_script(
    name: &str,
    root: &std::path::Path,
    version: Option<&Version>,
) -> Option<String> {
    let number = |pick: fn((u64, u64, u64)) -> u64| version.map(|v| pick(v.numbers()).to_string());
    match name {
        "TOOLKIT_ROOT" => Some(root.display().to_string()),
        "IMAGE_VERSION" => version.map(ToString::to_string),
        "IMAGE_VERSION_MAJOR" => number(|numbers| numbers.0),
        "IMAGE_VERSION_MINOR" => number(|numbers| numbers.1),
        "IMAGE_VERSION_PATCH" => number(|numbers| numbers.2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_stronger_source_of_a_name_wins() {
        let names = Names {
            exported: names(&[("E", "exported")]),
            assigned: names(&[("A", "assigned"), ("B", "assigned")]),
            dotenv: names(&[("E", "dotenv"), ("P", "dotenv"), ("D", "dotenv")]),
        };
        let process = |name: &str| matches!(name, "E" | "P" | "A").then(|| "process".to_owned());
        for (name, expected) in [
            ("E", Some("exported")),
            ("P", Some("process")),
            ("A", Some("assigned")),
            ("B", None),
            ("D", Some("dotenv")),
            ("N", None),
        ] {
            assert_eq!(names.look_up(name, &process).as_deref(), expected, "{name}");
        }
    }
}
