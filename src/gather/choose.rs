//! Which of the sources a person means.

use super::{Found, Source};
use crate::logs::services::Row;
use crate::release::Version;

/// A name means no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Another release has it.
    #[error("{sentence}")]
    OtherRelease {
        /// Why it is not there, and what does its work.
        sentence: String,
        /// Whose log to look at instead.
        now: Option<String>,
    },
    /// The release has it, and it has written nothing.
    #[error("`{name}` has no log yet")]
    NoLog {
        /// The name.
        name: String,
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

/// Similarity from which a name counts as misspelt (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.75;

/// The name of nginx inside the application's container, whose files are several.
const NGINX: &str = "nginx";

/// The sources of the services with these names, or all. `services` are those of the project.
///
/// # Errors
/// A name means nothing, or all of them nothing that is there.
pub fn choose(
    found: &Found,
    names: &[String],
    services: &[&str],
    rows: &[Row],
    version: &Version,
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
        let row = rows.iter().find(|row| row.name == *name);
        match row.map(|row| (row.lack(version), row)) {
            Some((Some(sentence), row)) => {
                let now = row.now.clone();
                return Err(ChoiceError::OtherRelease { sentence, now });
            }
            Some((None, _)) => without.push(name.clone()),
            None if services.contains(&name.as_str()) => without.push(name.clone()),
            None => return Err(unknown(found, name, services, rows, version)),
        }
    }
    if let ([], Some(name)) = (chosen.as_slice(), without.first()) {
        return Err(ChoiceError::NoLog { name: name.clone() });
    }
    // A name may stand twice.
    let mut sources: Vec<Source> = Vec::new();
    for source in chosen {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let without = without
        .iter()
        .map(|name| format!("`{name}` has no log yet"));
    Ok((sources, without.collect()))
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

fn unknown(
    found: &Found,
    name: &str,
    services: &[&str],
    rows: &[Row],
    version: &Version,
) -> ChoiceError {
    let of_release = rows.iter().filter(|row| row.lack(version).is_none());
    let of_release = of_release.filter(|row| row.editions.is_empty());
    let mut known: Vec<String> = services.iter().map(ToString::to_string).collect();
    let of_files = found.sources.iter().map(|source| source.service.clone());
    for other in of_files.chain(of_release.map(|row| row.name.clone())) {
        if !known.contains(&other) {
            known.push(other);
        }
    }
    let nearest = known
        .iter()
        .map(|other| (strsim::jaro_winkler(other, name), other))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity > SIMILAR)
        .map(|(_, other)| other.clone());
    ChoiceError::Unknown {
        name: name.to_owned(),
        nearest,
        known,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Way;
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
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let services = ["mongo", "redis", "worker"];
        let rows = services::load().unwrap();
        let (sources, _) = choose(
            &found(),
            &names,
            &services,
            &rows,
            &"6.2.2".parse().unwrap(),
        )?;
        Ok(sources.into_iter().map(|source| source.service).collect())
    }

    #[test]
    fn names_mean_containers_and_files() {
        assert_eq!(chosen(&[]).unwrap().len(), 6);
        assert_eq!(chosen(&["web", "redis", "web"]).unwrap(), ["web", "redis"]);
        assert_eq!(chosen(&["worker"]).unwrap(), ["worker/1", "worker/2"]);
        assert_eq!(chosen(&["worker/2"]).unwrap(), ["worker/2"]);
        assert_eq!(chosen(&["nginx"]).unwrap(), ["nginx-access", "nginx-error"]);
        // What has no log does not stand in the way of what has one.
        assert_eq!(chosen(&["mongo", "web"]).unwrap(), ["web"]);
    }

    #[test]
    fn other_names_are_explained() {
        let name = || "mongo".to_owned();
        assert_eq!(chosen(&["mongo"]), Err(ChoiceError::NoLog { name: name() }));
        let gone = chosen(&["web", "spelling"]).unwrap_err();
        assert!(
            gone.to_string().contains("gone since Overleaf 5.3"),
            "{gone}"
        );
        match chosen(&["wev"]).unwrap_err() {
            ChoiceError::Unknown { nearest, known, .. } => {
                assert_eq!(nearest.as_deref(), Some("web"));
                assert!(known.contains(&"clsi".to_owned()));
            }
            other => panic!("{other}"),
        }
    }
}
