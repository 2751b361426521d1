//! Values as a plan may show them: a secret becomes a fingerprint, by which two values can be told apart
//! and none be found out.

use std::cell::OnceCell;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::compose::Service;
use crate::deployment::Deployment;
use crate::observed::Container;

/// Shortest secret that is looked for inside of other values; a shorter one is found by chance.
const TELLING_LENGTH: usize = 8;

/// Fields of free words, any of which may say a secret.
const WORDS: [&str; 5] = [
    "annotations",
    "command",
    "entrypoint",
    "healthcheck",
    "logging",
];

/// Knows the secrets of a service.
pub(super) struct Disclosure<'a> {
    deployment: &'a Deployment,
    desired: &'a Service,
    container: &'a Container,
    /// Names and values of variables that are secret, those of the container included; looked for
    /// when there is something to show.
    secrets: OnceCell<Vec<(String, String)>>,
}

impl<'a> Disclosure<'a> {
    pub(super) fn new(
        deployment: &'a Deployment,
        desired: &'a Service,
        container: &'a Container,
    ) -> Self {
        Self {
            deployment,
            desired,
            container,
            secrets: OnceCell::new(),
        }
    }

    fn secrets(&self) -> Vec<(String, String)> {
        let masker = self.deployment.masker();
        let wanted = self.desired.environment.0.iter();
        let wanted = wanted.filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let all = wanted.chain(&self.container.environment.0);
        let secrets =
            all.filter(|(name, value)| masker.is_secret(name) && value.len() >= TELLING_LENGTH);
        let mut secrets: Vec<(String, String)> = secrets
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // The longest first: one may be part of another.
        secrets.sort_by(|a, b| (b.1.len(), b).cmp(&(a.1.len(), a)));
        secrets.dedup();
        secrets
    }

    /// The value of a field, or of an entry of it, as it may be shown.
    pub(super) fn value(&self, field: &str, entry: Option<&str>, value: &Value) -> String {
        let text = plain(field, value);
        let name = entry.unwrap_or(field);
        let is_named = matches!(field, "environment" | "labels" | "sysctls" | "files");
        let is_secret = match field {
            "files" => true,
            _ if is_named => self.deployment.masker().is_secret(name),
            _ if WORDS.contains(&field) => self.has_telling_word(&text),
            _ => false,
        };
        if is_secret && !text.is_empty() {
            return self.fingerprint(name, &text);
        }
        let shown = self.without_secrets(name, &text);
        match field {
            "environment" | "labels" => format!("\"{shown}\""),
            _ => shown,
        }
    }

    fn has_telling_word(&self, text: &str) -> bool {
        let mut words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
        words.any(|word| self.deployment.masker().is_secret(word))
    }

    fn without_secrets(&self, name: &str, text: &str) -> String {
        let mut shown = text.to_owned();
        for (secret, value) in self.secrets.get_or_init(|| self.secrets()) {
            if shown.contains(value.as_str()) {
                shown = shown.replace(value.as_str(), &self.fingerprint(secret, value));
            }
        }
        self.deployment
            .masker()
            .without_passwords(&shown, &self.fingerprint(name, text))
    }

    fn fingerprint(&self, name: &str, value: &str) -> String {
        fingerprint(self.deployment, name, value)
    }
}

/// Six digits that are the same for the same value of the same name in the same instance.
pub(in crate::plan) fn fingerprint(deployment: &Deployment, name: &str, value: &str) -> String {
    let mut hasher = Sha256::new();
    let root = deployment.root.as_os_str().as_encoded_bytes();
    for part in [root, name.as_bytes(), value.as_bytes()] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let digits = digest.iter().take(3).map(|byte| format!("{byte:02x}"));
    format!("#{}", digits.collect::<String>())
}

/// A value in words.
fn plain(field: &str, value: &Value) -> String {
    let words = |items: &[Value]| {
        let words = items.iter().map(|item| match item {
            Value::String(text) => text.clone(),
            item => item.to_string(),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    match (field, value) {
        (_, Value::String(text)) => text.clone(),
        (_, Value::Array(items)) => words(items),
        ("cpus", Value::Number(nano)) => {
            let cpus = nano.as_f64().unwrap_or_default() / 1e9;
            cpus.to_string()
        }
        ("stop_grace_period", Value::Number(seconds)) => format!("{seconds}s"),
        ("volumes", Value::Object(mount)) => {
            let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
            let mut shown = format!("{} {}", text("type"), text("source"));
            for (key, value) in mount {
                match (key.as_str(), value) {
                    ("type" | "source", _) => {}
                    (key, Value::Bool(true)) => shown.push_str(&format!(" {key}")),
                    (key, value) => shown.push_str(&format!(" {key}={}", plain("", value))),
                }
            }
            shown.trim_end().to_owned()
        }
        ("networks", Value::Object(place)) if place.is_empty() => "joined".to_owned(),
        (_, Value::Object(map)) => {
            let entries = map.iter().map(|(key, value)| match value {
                Value::Array(items) => format!("{key} {}", words(items)),
                value => format!("{key} {}", plain("", value)),
            });
            entries.collect::<Vec<_>>().join(", ")
        }
        (_, Value::Null) => String::new(),
        (_, value) => value.to_string(),
    }
}
