//! Which of the sources a person means.

use super::{Found, Source, Way};
use crate::likeness;
use crate::logs::services::Row;
use crate::release::{APPLICATION, Edition, Version};

/// A name means no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Another release or edition has it, or a setting leaves it out.
    #[error("{sentence}")]
    NotHere {
        /// Why it is not there, and what does its work.
        sentence: String,
        /// Whose log to look at instead.
        now: Option<String>,
        /// The setting that leaves it out.
        setting: Option<String>,
    },
    /// The release has it, and it has written nothing.
    #[error("`{name}` has no log yet")]
    NoLog {
        /// The name.
        name: String,
    },
    /// What would write it has no container.
    #[error("{}", no_container(name, service))]
    NoContainer {
        /// The name.
        name: String,
        /// The service of the project that would write it.
        service: String,
    },
    /// Nothing is called so.
    #[error("there is no service `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The name that was meant, perhaps.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
}

fn no_container(name: &str, service: &str) -> String {
    match name == service {
        true => format!("`{name}` has no container"),
        false => format!("`{name}` has no log: `{service}` has no container"),
    }
}

/// What this instance is, as far as it decides which names mean something.
#[derive(Debug, Clone, Copy)]
pub struct Instance<'a> {
    /// The services of its project.
    pub services: &'a [&'a str],
    /// Its release.
    pub version: &'a Version,
    /// Its edition.
    pub edition: Edition,
}

/// Similarity from which a name counts as misspelt (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.75;

/// The name of nginx inside the application's container, whose files are several.
const NGINX: &str = "nginx";

/// The sources of the services with these names, or all.
///
/// # Errors
/// A name means nothing, or all of them nothing that is there.
pub fn choose(
    found: &Found,
    names: &[String],
    rows: &[Row],
    instance: Instance<'_>,
) -> Result<(Vec<Source>, Vec<String>), ChoiceError> {
    if names.is_empty() {
        return Ok((found.sources.clone(), found.absent.clone()));
    }
    let (mut chosen, mut without) = (Vec::new(), Vec::new());
    for name in names {
        let of_name = of_name(found, name);
        if !of_name.is_empty() {
            chosen.extend(of_name);
            continue;
        }
        without.push(absent(found, name, rows, instance)?);
    }
    if chosen.is_empty() && !without.is_empty() {
        return Err(without.swap_remove(0));
    }
    // A name may stand twice.
    let mut sources: Vec<Source> = Vec::new();
    for source in chosen {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let without = without.iter().map(ToString::to_string);
    Ok((sources, without.collect()))
}

/// Why a name that the instance has means no source.
///
/// # Errors
/// The instance does not have it.
fn absent(
    found: &Found,
    name: &str,
    rows: &[Row],
    instance: Instance<'_>,
) -> Result<ChoiceError, ChoiceError> {
    let name_owned = || name.to_owned();
    if instance.services.contains(&name) {
        return Ok(ChoiceError::NoContainer {
            name: name_owned(),
            service: name_owned(),
        });
    }
    let Some(row) = rows.iter().find(|row| row.name == *name) else {
        return Err(unknown(found, name, rows, instance));
    };
    if let Some(sentence) = row.lack(instance.version, instance.edition) {
        let now = row.now.clone();
        return Err(ChoiceError::NotHere {
            sentence,
            now,
            setting: None,
        });
    }
    if let Some(sentence) = row.off() {
        return Err(ChoiceError::NotHere {
            sentence,
            now: None,
            setting: row.setting.clone(),
        });
    }
    let is_application = |source: &Source| match &source.way {
        Way::Output { service, .. } => service == APPLICATION,
        Way::File(_) | Way::Inside(_) => false,
    };
    Ok(match found.sources.iter().any(is_application) {
        true => ChoiceError::NoLog { name: name_owned() },
        false => ChoiceError::NoContainer {
            name: name_owned(),
            service: APPLICATION.to_owned(),
        },
    })
}

fn of_name(found: &Found, name: &str) -> Vec<Source> {
    let sources = || found.sources.iter();
    let is_meant = |source: &&Source| {
        let service = source.service.as_str();
        service == name || service.split('/').next() == Some(name)
    };
    let mut of_name: Vec<Source> = sources().filter(is_meant).cloned().collect();
    if of_name.is_empty() && name == NGINX {
        let of_nginx = sources().filter(|source| source.service.starts_with("nginx-"));
        of_name = of_nginx.cloned().collect();
    }
    of_name
}

fn unknown(found: &Found, name: &str, rows: &[Row], instance: Instance<'_>) -> ChoiceError {
    let (version, edition) = (instance.version, instance.edition);
    let of_release = rows.iter().filter(|row| row.is_kept(version, edition));
    let mut known: Vec<String> = instance.services.iter().map(ToString::to_string).collect();
    let of_files = found.sources.iter().map(|source| source.service.clone());
    for other in of_files.chain(of_release.map(|row| row.name.clone())) {
        if !known.contains(&other) {
            known.push(other);
        }
    }
    let names = known.iter().map(String::as_str);
    let nearest = likeness::nearest(names, name, SIMILAR).map(ToOwned::to_owned);
    ChoiceError::Unknown {
        name: name.to_owned(),
        nearest,
        known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::services;

    fn found() -> Found {
        let output = |service: &str, label: &str, number| Source {
            service: label.to_owned(),
            way: Way::Output {
                service: service.to_owned(),
                number,
            },
        };
        let file = |name: &str| Source {
            service: name.to_owned(),
            way: Way::Inside(format!("/var/log/overleaf/{name}.log")),
        };
        Found {
            sources: vec![
                output("sharelatex", "sharelatex", 1),
                output("redis", "redis", 1),
                output("worker", "worker/1", 1),
                output("worker", "worker/2", 2),
                file("web"),
                file("nginx-access"),
                file("nginx-error"),
            ],
            absent: vec!["`mongo` has no container".to_owned()],
        }
    }

    fn chosen(names: &[&str]) -> Result<Vec<String>, ChoiceError> {
        chosen_of(&found(), names)
    }

    fn chosen_of(found: &Found, names: &[&str]) -> Result<Vec<String>, ChoiceError> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let instance = Instance {
            services: &["mongo", "worker", "sharelatex"],
            version: &"6.2.2".parse().unwrap(),
            edition: Edition::Community,
        };
        let (sources, _) = choose(found, &names, &services::load().unwrap(), instance)?;
        Ok(sources.into_iter().map(|source| source.service).collect())
    }

    #[test]
    fn names_mean_containers_and_files() {
        assert_eq!(chosen(&[]).unwrap().len(), 7);
        assert_eq!(chosen(&["web", "redis", "web"]).unwrap(), ["web", "redis"]);
        assert_eq!(chosen(&["worker"]).unwrap(), ["worker/1", "worker/2"]);
        assert_eq!(chosen(&["worker/2"]).unwrap(), ["worker/2"]);
        assert_eq!(chosen(&["nginx"]).unwrap(), ["nginx-access", "nginx-error"]);
        // What has no log does not stand in the way of what has one.
        assert_eq!(chosen(&["mongo", "web"]).unwrap(), ["web"]);
    }

    #[test]
    fn other_names_are_explained() {
        for (name, expected) in [
            ("mongo", "`mongo` has no container"),
            ("chat", "`chat` has no log yet"),
            ("tags", "`tags` was part of old releases of Overleaf only: "),
            ("references", "Community Edition has no `references`; "),
            ("git-bridge", "Community Edition has no `git-bridge`; "),
        ] {
            let told = chosen(&[name]).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
        }
        let mut nothing = found();
        nothing.sources.clear();
        for (name, expected) in [
            ("web", "`web` has no log: `sharelatex` has no container"),
            (
                "redis",
                "this instance has no `redis`: REDIS_ENABLED is off",
            ),
        ] {
            let told = chosen_of(&nothing, &[name]).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
        }
        let gone = chosen(&["web", "spelling"]).unwrap_err();
        assert!(
            gone.to_string().contains("gone since Overleaf 5.3"),
            "{gone}"
        );
        for (misspelt, meant) in [("wev", "web"), ("wbe", "web"), ("cls", "clsi")] {
            match chosen(&[misspelt]).unwrap_err() {
                ChoiceError::Unknown { nearest, known, .. } => {
                    assert_eq!(nearest.as_deref(), Some(meant));
                    assert!(known.contains(&"clsi".to_owned()));
                    assert!(!known.contains(&"git-bridge".to_owned()));
                }
                other => panic!("{other}"),
            }
        }
    }
}
