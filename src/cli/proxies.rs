//! The proxies that the operator's Docker client is configured with, which new containers get as
//! variables, as with Docker Compose.
//!
//! Source: Docker documentation, "Configure the Docker CLI to use a proxy server": `proxies` in
//! `config.json` below `DOCKER_CONFIG` or `~/.docker`, by endpoint or `default`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Session;
use super::connection;
use crate::deployment::PROXIES;
use crate::host;
use crate::secret::Secret;

/// The variables that new containers of an instance get. A file that is not there or not understood
/// gives none: it belongs to another program.
pub(super) fn of(session: &Session, root: &Path) -> BTreeMap<String, Secret> {
    let folder = super::environment("DOCKER_CONFIG").filter(|folder| !folder.is_empty());
    let folder = folder.map(PathBuf::from).or_else(|| {
        let home = super::environment("HOME")?;
        Some(PathBuf::from(home).join(".docker"))
    });
    let file = folder.map(|folder| folder.join("config.json"));
    let text = file.and_then(|file| host::read_text(&file).ok());
    let Some(text) = text.filter(|text| text.contains("\"proxies\"")) else {
        return BTreeMap::new();
    };
    let endpoint = connection::endpoint(session, root).unwrap_or_default();
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    variables(&config, &endpoint)
}

/// The variables that a configuration sets for containers of an engine.
fn variables(config: &Value, endpoint: &str) -> BTreeMap<String, Secret> {
    let all = config.get("proxies");
    let entry = all.and_then(|all| all.get(endpoint).or_else(|| all.get("default")));
    let mut variables = BTreeMap::new();
    for (key, name) in PROXIES {
        let value = entry.and_then(|entry| entry.get(key)?.as_str());
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            for name in [name.to_owned(), name.to_ascii_lowercase()] {
                variables.insert(name, Secret::new(value.to_owned()));
            }
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_the_engine_comes_before_the_default() {
        let config = serde_json::json!({"proxies": {
            "default": {"httpProxy": "http://px:1", "noProxy": "", "other": "x"},
            "tcp://far:2375": {"httpsProxy": "http://px:2"},
        }});
        let names = |endpoint: &str| {
            let found = variables(&config, endpoint).into_iter();
            found
                .map(|(name, value)| format!("{name}={}", value.expose()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names("unix:///var/run/docker.sock"),
            ["HTTP_PROXY=http://px:1", "http_proxy=http://px:1"]
        );
        assert_eq!(
            names("tcp://far:2375"),
            ["HTTPS_PROXY=http://px:2", "https_proxy=http://px:2"]
        );
        assert!(variables(&Value::Null, "").is_empty());
    }
}
