//! Collects how the stores, the disks and the certificate do. Reads only; what cannot be asked says
//! why and holds up nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::machine::{elsewhere, reach, redis_answered, redis_place, service_of, variable};
use crate::deployment::Deployment;
use crate::deployment::Probe;
use crate::engine::Engine;
use crate::engine::Reach;
use crate::host;
use crate::observed::Container;
use crate::observed::EngineFacts;
use crate::observed::condition::CertificateFile;
use crate::observed::condition::Conditions;
use crate::observed::condition::Disk;
use crate::observed::condition::Local;
use crate::observed::condition::MongoCondition;
use crate::observed::condition::Pending;
use crate::observed::condition::RedisCondition;
use crate::observed::condition::Space;
use crate::observed::machine::Asked;
use crate::probe::certificate;
use crate::probe::condition;
use crate::probe::store;
use crate::probe::way;
use crate::probe::with_cause;
use crate::secret::Secret;

/// How long a store may take to answer, and a filesystem to tell what is left of it.
const DEADLINE: Duration = Duration::from_secs(3);

/// How many times longer an answer may take that comes through the engine.
const FORWARDED: u32 = 3;

/// The largest text in which a certificate is looked for, in bytes.
const LONGEST_CERTIFICATE: u64 = 1 << 20;

/// How everything does, asked at once. `containers` are those of the project.
pub async fn all(
    engine: &impl Engine,
    deployment: &Deployment,
    containers: &[Container],
    about: &EngineFacts,
) -> Conditions {
    let stores = Stores {
        engine,
        deployment,
        containers,
        is_here: elsewhere(about).is_none(),
    };
    let (mongo, (redis, pending), local) = futures_util::join!(
        stores.mongo(),
        stores.redis(),
        local(deployment, Some(about))
    );
    Conditions {
        mongo,
        redis,
        pending,
        local,
    }
}

/// The disks and the certificate. Without an engine nothing is known of its images.
pub async fn local(deployment: &Deployment, about: Option<&EngineFacts>) -> Local {
    let elsewhere = about.and_then(elsewhere);
    let mut places: Vec<(String, PathBuf)> = Vec::new();
    for folder in &deployment.folders {
        places.push((folder.path.display().to_string(), folder.path.clone()));
    }
    if let Some(root) = about.and_then(|about| about.root_folder.clone()) {
        places.push(("images".to_owned(), root));
    }
    let file = deployment.probes.values().find_map(|probe| match probe {
        Probe::Tls(proxy) => Some(proxy.certificate.clone()),
        _ => None,
    });
    let names: Vec<String> = places.iter().map(|(name, _)| name.clone()).collect();
    // A filesystem of the network that is gone holds up whoever looks at it.
    let looked = tokio::task::spawn_blocking(move || {
        let disks = elsewhere.is_none().then(|| disks(&places));
        (disks, elsewhere, file.map(|path| certificate_in(&path)))
    });
    match tokio::time::timeout(DEADLINE, looked).await {
        Ok(Ok((disks, elsewhere, certificate))) => Local {
            disks: disks.unwrap_or_else(|| vec![unknown(names, elsewhere.unwrap_or_default())]),
            certificate,
        },
        _ => Local {
            disks: vec![unknown(
                names,
                format!("no answer within {} s", DEADLINE.as_secs()),
            )],
            certificate: None,
        },
    }
}

fn unknown(holds: Vec<String>, because: String) -> Disk {
    Disk {
        holds,
        space: Err(because),
    }
}

/// The filesystems of places, each once, in the order of the places.
fn disks(places: &[(String, PathBuf)]) -> Vec<Disk> {
    let mut found: Vec<(Option<u64>, Disk)> = Vec::new();
    for (name, path) in places {
        let place = host::machine::nearest_existing(&host::canonical(path));
        let device = host::machine::device(&place);
        let same = found
            .iter_mut()
            .find(|(other, _)| other.is_some() && *other == device);
        if let Some((_, disk)) = same {
            disk.holds.push(name.clone());
            continue;
        }
        let space = match host::machine::filesystem(&place) {
            Ok(found) => Ok(Space {
                free_bytes: found.free_bytes,
                total_bytes: found.total_bytes,
            }),
            Err(error) => Err(error.to_string()),
        };
        let holds = vec![name.clone()];
        found.push((device, Disk { holds, space }));
    }
    found.into_iter().map(|(_, disk)| disk).collect()
}

fn certificate_in(path: &Path) -> CertificateFile {
    let bytes = host::machine::read_beginning(path, LONGEST_CERTIFICATE);
    let found = match bytes {
        Ok(bytes) => certificate::read(&String::from_utf8_lossy(&bytes)),
        Err(error) if error.is_missing() => Err("the file is missing".to_owned()),
        Err(error) if error.is_denied() => Err("this user may not read it".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    CertificateFile {
        path: path.to_path_buf(),
        found,
    }
}

/// The ways to the stores of a deployment.
struct Stores<'a, E> {
    engine: &'a E,
    deployment: &'a Deployment,
    containers: &'a [Container],
    is_here: bool,
}

impl<E: Engine> Stores<'_, E> {
    async fn mongo(&self) -> Asked<MongoCondition> {
        let Some(url) = variable(self.deployment, "MONGO_URL").map(Secret::new) else {
            return not_asked("no URL of mongo is configured");
        };
        let hosts = match store::mongo_hosts(&url) {
            Ok(hosts) => hosts,
            Err(because) => return Asked::NotAsked { because },
        };
        let Some((host, port)) = hosts.first() else {
            return not_asked("the URL of mongo names no host");
        };
        let project = &self.deployment.project;
        let Some(service) = service_of(project, host) else {
            return match reach(project, &hosts, self.is_here).await {
                Ok(at) => answered(at, true, condition::mongo(&url, None, DEADLINE).await),
                Err(outcome) => outcome,
            };
        };
        let ask = async |address| condition::mongo(&url, Some(address), self.deadline()).await;
        self.in_container(service, *port, ask).await
    }

    async fn redis(&self) -> (Asked<RedisCondition>, Asked<Pending>) {
        let place = match redis_place(self.deployment, self.is_here) {
            Ok(place) => place,
            Err(because) => return split(Asked::NotAsked { because }),
        };
        let project = &self.deployment.project;
        let Some(service) = service_of(project, &place.host) else {
            let hosts = [(place.host.clone(), place.port)];
            return match reach(project, &hosts, self.is_here).await {
                Ok(at) => {
                    let answer = condition::redis(&place, None, DEADLINE).await;
                    split(redis_answered(at, true, answer))
                }
                Err(outcome) => split(outcome),
            };
        };
        let ask = async |address| {
            let answer = condition::redis(&place, Some(address), self.deadline()).await;
            answer.map_err(|trouble| trouble.to_string())
        };
        split(self.in_container(service, place.port, ask).await)
    }

    fn deadline(&self) -> Duration {
        match self.engine.reaches_addresses() {
            Reach::Direct => DEADLINE,
            Reach::Forwarded | Reach::Unknown => DEADLINE * FORWARDED,
        }
    }

    /// Asks the running container of a service, by the way that leads there.
    async fn in_container<T>(
        &self,
        service: &str,
        port: u16,
        ask: impl AsyncFnOnce(SocketAddr) -> Result<T, String>,
    ) -> Asked<T> {
        let of_service = |found: &&Container| found.service == service;
        let mut found = self.containers.iter().filter(of_service);
        let Some(container) = found.find(|found| found.state.is_running()) else {
            return not_asked(&format!("`{service}` does not run"));
        };
        let at = service.to_owned();
        match way::to(self.engine, container, port, ask).await {
            Ok(answer) => answered(at, false, answer),
            Err(error) => {
                let because = with_cause(&error);
                Asked::Silent { at, because }
            }
        }
    }
}

fn not_asked<T>(because: &str) -> Asked<T> {
    Asked::NotAsked {
        because: because.to_owned(),
    }
}

fn answered<T>(at: String, is_external: bool, answer: Result<T, String>) -> Asked<T> {
    super::machine::answered(at, is_external, answer)
}

/// The two answers of a redis. What is pending is as unknown as the redis that holds it.
fn split(
    told: Asked<(RedisCondition, Result<Pending, String>)>,
) -> (Asked<RedisCondition>, Asked<Pending>) {
    match told {
        Asked::NotAsked { because } => {
            let pending = Asked::NotAsked {
                because: because.clone(),
            };
            (Asked::NotAsked { because }, pending)
        }
        Asked::Silent { at, because } => {
            let pending = Asked::Silent {
                at: at.clone(),
                because: because.clone(),
            };
            (Asked::Silent { at, because }, pending)
        }
        Asked::Answered {
            at,
            is_external,
            facts: (condition, pending),
        } => {
            let pending = answered(at.clone(), is_external, pending);
            let redis = Asked::Answered {
                at,
                is_external,
                facts: condition,
            };
            (redis, pending)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_filesystem_is_told_once_and_a_missing_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let places = ["a", "b/c"].map(|name| (name.to_owned(), folder.path().join(name)));
        let found = disks(&places);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].holds, ["a", "b/c"]);
        assert!(found[0].space.as_ref().unwrap().total_bytes > 0);
        let missing = certificate_in(&folder.path().join("c.pem"));
        assert_eq!(missing.found.unwrap_err(), "the file is missing");
    }

    #[test]
    fn what_is_pending_is_as_unknown_as_the_redis_that_holds_it() {
        let silent = || Asked::Silent {
            at: "redis".to_owned(),
            because: "refused".to_owned(),
        };
        let (_, pending) = split(silent());
        assert!(matches!(pending, Asked::Silent { .. }), "{pending:?}");
        let (redis, pending) = split(Asked::Answered {
            at: "redis".to_owned(),
            is_external: false,
            facts: (RedisCondition::default(), Err("loading".to_owned())),
        });
        assert!(matches!(redis, Asked::Answered { .. }));
        assert!(matches!(pending, Asked::Silent { because, .. } if because == "loading"));
    }
}
