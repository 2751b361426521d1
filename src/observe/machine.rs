//! Collects the facts of this machine and of the stores that the preflight checks compare. Reads
//! only.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::mongo_data;
use crate::compose::Project;
use crate::compose::Service;
use crate::deployment::Deployment;
use crate::deployment::Probe;
use crate::engine::Engine;
use crate::host;
use crate::observed::Container;
use crate::observed::EngineFacts;
use crate::observed::Observed;
use crate::observed::machine::Asked;
use crate::observed::machine::MachineFacts;
use crate::observed::machine::MongoFacts;
use crate::observed::machine::PathFacts;
use crate::observed::machine::RedisFacts;
use crate::probe::store;
use crate::probe::store::{RedisPlace, RedisTrouble, Unreached};
use crate::probe::way;
use crate::release::APPLICATION;
use crate::secret::Secret;
use crate::tls::{FURTHER_CERTIFICATES, Trust};

/// Most bytes that are read of a file with certificates.
const LONGEST_CERTIFICATES: u64 = 4 << 20;

/// How long a store may take to answer.
const STORE_DEADLINE: Duration = Duration::from_secs(4);

/// Names that engines give to the machine, inside containers.
const OF_ENGINES: [&str; 3] = [
    "host.docker.internal",
    "gateway.docker.internal",
    "host.containers.internal",
];

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoroughness {
    /// What a run needs that may change something: a running mongo is asked only when it or the
    /// application is about to change its image.
    Needed,
    /// Everything.
    Full,
}

/// The facts of this machine. Without an observed engine those about it are left out.
pub async fn facts(
    engine: Option<&impl Engine>,
    deployment: &Deployment,
    observed: Option<&Observed>,
    thoroughness: Thoroughness,
) -> MachineFacts {
    let about = observed.map(|observed| &observed.engine);
    let elsewhere = about.and_then(elsewhere);
    let is_here = elsewhere.is_none();
    let mongo_data = deployment
        .folders
        .iter()
        .find(|folder| folder.setting == "MONGO_DATA_PATH");
    let (mongo, redis) = futures_util::join!(
        mongo(engine, deployment, observed, thoroughness, is_here),
        redis(deployment, is_here)
    );
    let folders = deployment.folders.iter().chain(&deployment.files);
    MachineFacts {
        processor: host::machine::processor_features(),
        paths: folders
            .map(|folder| (folder.path.clone(), path(&folder.path)))
            .collect(),
        engine_root: about
            .and_then(|engine| engine.root_folder.as_deref())
            .filter(|_| is_here)
            .map(path),
        mongo_data_version: mongo_data
            .filter(|_| is_here)
            .and_then(|folder| mongo_data::version(&folder.path)),
        elsewhere,
        mongo,
        redis,
    }
}

/// Whether an engine at this endpoint is on another machine, so that it has other folders than this one.
/// The virtual machines of a desktop are not: they have folders of this machine at the same paths.
pub(super) fn is_far(endpoint: &str) -> bool {
    let address = endpoint.strip_prefix("tcp://").map(|rest| {
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
        host.trim_matches(['[', ']'])
    });
    match address {
        Some(host) => {
            host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        None => endpoint.starts_with("ssh://"),
    }
}

/// Why an engine does not run on this machine: paths and processors are its own then.
#[must_use]
pub fn elsewhere(engine: &EngineFacts) -> Option<String> {
    let endpoint = &engine.endpoint;
    if is_far(endpoint) {
        return Some(format!("the engine at `{endpoint}` is on another machine"));
    }
    if engine.operating_system_name.contains("Docker Desktop") {
        return Some("Docker Desktop keeps its engine in a virtual machine".to_owned());
    }
    let differs = |theirs: &str, ours: Option<String>| {
        !theirs.is_empty() && ours.is_some_and(|ours| ours != theirs)
    };
    if differs(&engine.kernel, host::machine::kernel()) {
        return Some("the engine runs on another kernel than this program".to_owned());
    }
    if differs(&engine.host_name, host::machine::name()) {
        let name = &engine.host_name;
        return Some(format!("the engine runs on `{name}`, which is not here"));
    }
    None
}

fn path(path: &Path) -> PathFacts {
    let resolved = host::canonical(path);
    let ownership = host::machine::ownership(&resolved);
    let place = host::machine::nearest_existing(&resolved);
    let exists = ownership.is_some();
    let empty = PathFacts {
        exists,
        is_empty: host::machine::names_in(&resolved).is_some_and(|names| names.is_empty()),
        ownership,
        resolved,
        ..PathFacts::default()
    };
    // A filesystem that cannot be asked leaves its fields as not told.
    let Ok(found) = host::machine::filesystem(&place) else {
        return empty;
    };
    PathFacts {
        filesystem: found.kind,
        is_read_only: found.is_read_only,
        free_bytes: found.free_bytes,
        total_bytes: found.total_bytes,
        free_files: found.free_files,
        total_files: found.total_files,
        ..empty
    }
}

/// A variable of the application, under the name of either brand.
pub(super) fn variable<'a>(deployment: &'a Deployment, ending: &str) -> Option<&'a str> {
    let application = deployment.project.services.get(APPLICATION)?;
    let environment = &application.environment.0;
    let value = ["OVERLEAF", "SHARELATEX"]
        .iter()
        .find_map(|brand| environment.get(&format!("{brand}_{ending}")));
    let value = value?.as_deref()?;
    (!value.is_empty()).then_some(value)
}

/// The service of the project that a host name means.
pub(super) fn service_of<'a>(project: &'a Project, host: &str) -> Option<&'a str> {
    let is_named = |(name, service): (&String, &Service)| {
        let attachments = service.networks.values();
        let aliases: Vec<&String> = attachments.flat_map(|place| &place.aliases).collect();
        name == host
            || project.container_name(name) == host
            || service.hostname.as_deref() == Some(host)
            || aliases.iter().any(|alias| *alias == host)
    };
    let mut services = project.services.iter();
    services
        .find(|entry| is_named(*entry))
        .map(|(name, _)| name.as_str())
}

/// Whether a host name means something else inside the application's container than it does here.
fn is_of_container(application: &Service, host: &str) -> bool {
    let extra = application
        .rest
        .get("extra_hosts")
        .and_then(Value::as_array);
    let mut extra = extra.into_iter().flatten().filter_map(Value::as_str);
    let is_added = extra.any(|line| line.split('=').next() == Some(host));
    let mode = application.rest.get("network_mode").and_then(Value::as_str);
    let is_own = host == "localhost" && mode != Some("host");
    is_added || is_own || OF_ENGINES.contains(&host)
}

/// Whether a store can be asked from here: `Ok` with its place, else what came of it.
pub(super) async fn reach<T>(
    project: &Project,
    hosts: &[(String, u16)],
    is_here: bool,
) -> Result<String, Asked<T>> {
    let places = hosts.iter().map(|(host, port)| format!("{host}:{port}"));
    let at = places.collect::<Vec<_>>().join(",");
    if !is_here {
        let because = format!("`{at}` is to be reached from the engine's machine, not from here");
        return Err(Asked::NotAsked { because });
    }
    let application = project.services.get(APPLICATION);
    let is_inner = |(host, _): &(String, u16)| {
        application.is_some_and(|application| is_of_container(application, host))
    };
    if hosts.iter().any(is_inner) {
        let because = format!("`{at}` means something inside the container only");
        return Err(Asked::NotAsked { because });
    }
    let attempts = hosts
        .iter()
        .map(|(host, port)| store::reach(host, *port, STORE_DEADLINE));
    let outcomes = join_all(attempts).await;
    if outcomes.iter().any(Result::is_ok) {
        return Ok(at);
    }
    if outcomes.contains(&Err(Unreached::Nameless)) {
        let because = format!("`{at}` is no name here; it may be one in a network of the engine");
        return Err(Asked::NotAsked { because });
    }
    let causes = outcomes.into_iter().filter_map(Result::err);
    let because = causes.map(|cause| cause.to_string()).collect::<Vec<_>>();
    Err(Asked::Silent {
        at,
        because: because.join("; "),
    })
}

async fn mongo(
    engine: Option<&impl Engine>,
    deployment: &Deployment,
    observed: Option<&Observed>,
    thoroughness: Thoroughness,
    is_here: bool,
) -> Asked<MongoFacts> {
    let Some(url) = variable(deployment, "MONGO_URL").map(Secret::new) else {
        let because = "no URL of mongo is configured".to_owned();
        return Asked::NotAsked { because };
    };
    let hosts = match store::mongo_hosts(&url) {
        Ok(hosts) => hosts,
        Err(because) => return Asked::NotAsked { because },
    };
    let Some((host, _)) = hosts.first() else {
        let because = "the URL of mongo names no host".to_owned();
        return Asked::NotAsked { because };
    };
    if service_of(&deployment.project, host).is_some() {
        return running_mongo(engine, deployment, observed, thoroughness).await;
    }
    let at = match reach(&deployment.project, &hosts, is_here).await {
        Ok(at) => at,
        Err(outcome) => return outcome,
    };
    answered(at, true, store::mongo(&url, STORE_DEADLINE).await)
}

pub(super) fn answered<T>(at: String, is_external: bool, answer: Result<T, String>) -> Asked<T> {
    match answer {
        Ok(facts) => Asked::Answered {
            at,
            is_external,
            facts,
        },
        Err(because) => Asked::Silent { at, because },
    }
}

/// Asks the project's own mongo, when it runs and is a real one.
async fn running_mongo(
    engine: Option<&impl Engine>,
    deployment: &Deployment,
    observed: Option<&Observed>,
    thoroughness: Thoroughness,
) -> Asked<MongoFacts> {
    let not_asked = |because: &str| Asked::NotAsked {
        because: because.to_owned(),
    };
    if !deployment.bundled_images.is_empty() {
        return not_asked("the bundled mongo has no versions to keep to");
    }
    let (Some(engine), Some(observed)) = (engine, observed) else {
        return not_asked("the engine cannot be asked");
    };
    let changes = |service: &str| {
        let wanted = deployment.project.services.get(service);
        let found = observed.container(service);
        wanted
            .zip(found)
            .is_some_and(|(wanted, found)| wanted.image != found.image)
    };
    if thoroughness == Thoroughness::Needed && !changes("mongo") && !changes(APPLICATION) {
        return not_asked("nothing about it changes");
    }
    let container = observed.container("mongo");
    let Some(container) = container.filter(|found| found.state.is_running()) else {
        return not_asked("mongo does not run");
    };
    let port = match deployment.probes.get("mongo") {
        Some(Probe::Mongo { port, .. }) => *port,
        _ => return not_asked("mongo has no probe"),
    };
    ask_container(engine, container, port).await
}

/// Asks the mongo in a container, by the way that leads there.
async fn ask_container(
    engine: &impl Engine,
    container: &Container,
    port: u16,
) -> Asked<MongoFacts> {
    let ask = async |address| store::mongo_at(address, STORE_DEADLINE).await;
    let because = match way::to(engine, container, port, ask).await {
        Ok(Ok(facts)) => return answered("mongo".to_owned(), false, Ok(facts)),
        Ok(Err(because)) => because,
        Err(error) => error.to_string(),
    };
    Asked::NotAsked {
        because: format!("mongo gives no answer: {because}"),
    }
}

async fn redis(deployment: &Deployment, is_here: bool) -> Asked<RedisFacts> {
    let not_asked = |because: String| Asked::NotAsked { because };
    let place = match redis_place(deployment, is_here) {
        Ok(place) => place,
        Err(because) => return not_asked(because),
    };
    if service_of(&deployment.project, &place.host).is_some() {
        return not_asked("redis is a service of the project".to_owned());
    }
    let hosts = [(place.host.clone(), place.port)];
    let at = match reach(&deployment.project, &hosts, is_here).await {
        Ok(at) => at,
        Err(outcome) => return outcome,
    };
    redis_answered(at, true, store::redis(&place, STORE_DEADLINE).await)
}

/// Where the application has its redis, or why it is not known or not asked.
pub(super) fn redis_place(deployment: &Deployment, is_here: bool) -> Result<RedisPlace, String> {
    let Some(host) = variable(deployment, "REDIS_HOST") else {
        return Err("no host of redis is configured".to_owned());
    };
    let environment: BTreeMap<_, _> = deployment
        .project
        .services
        .get(APPLICATION)
        .map(|service| service.environment.0.clone())
        .unwrap_or_default();
    let plain = |name: &str| environment.get(name).cloned().flatten();
    let port = variable(deployment, "REDIS_PORT")
        .map(str::to_owned)
        .or_else(|| plain("REDIS_PORT"));
    let Ok(port) = port.as_deref().unwrap_or("6379").parse() else {
        return Err("the port of redis is no number".to_owned());
    };
    let tls = match variable(deployment, "REDIS_TLS") {
        Some("true") => Some(trust(deployment, is_here)),
        _ => None,
    };
    let password = variable(deployment, "REDIS_PASS")
        .map(str::to_owned)
        .or_else(|| plain("REDIS_PASSWORD"))
        .filter(|password| !password.is_empty());
    Ok(RedisPlace {
        host: host.to_owned(),
        port,
        password: password.map(Secret::new),
        tls,
    })
}

/// As [`answered`]. A certificate that is refused here may be good enough for the application, which
/// knows others and looks less closely: it is no reason to think that redis is away.
pub(super) fn redis_answered<T>(
    at: String,
    is_external: bool,
    answer: Result<T, RedisTrouble>,
) -> Asked<T> {
    match answer {
        Err(RedisTrouble::Untrusted(trouble)) => Asked::NotAsked {
            because: format!("`{at}` is not trusted from here: {trouble}"),
        },
        other => answered(
            at,
            is_external,
            other.map_err(|trouble| trouble.to_string()),
        ),
    }
}

/// What vouches for other servers in the eyes of the application, as far as it is seen from here.
fn trust(deployment: &Deployment, is_here: bool) -> Trust {
    let Some(application) = deployment.project.services.get(APPLICATION) else {
        return Trust::default();
    };
    let variable = |name: &str| application.environment.0.get(name)?.as_deref();
    let mut trust = Trust::of(variable);
    let named = variable(FURTHER_CERTIFICATES).filter(|path| is_here && !path.is_empty());
    if let Some(path) = named.and_then(|named| application.host_path(named)) {
        // The application goes on without a file that is missing, too.
        let further = host::machine::read_beginning(&path, LONGEST_CERTIFICATES);
        trust.further = String::from_utf8_lossy(&further.unwrap_or_default()).into_owned();
    }
    trust
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_on_this_machine_is_told_from_another() {
        let here = EngineFacts {
            endpoint: "unix:///var/run/docker.sock".to_owned(),
            kernel: host::machine::kernel().unwrap(),
            host_name: host::machine::name().unwrap(),
            ..EngineFacts::default()
        };
        assert_eq!(elsewhere(&here), None);
        let at = |endpoint: &str| EngineFacts {
            endpoint: endpoint.to_owned(),
            ..here.clone()
        };
        for near in ["tcp://127.0.0.1:2375", "tcp://[::1]:1", "tcp://localhost:1"] {
            assert_eq!(elsewhere(&at(near)), None, "{near}");
        }
        for far in [
            "tcp://192.0.2.1:2375",
            "tcp://engine.example:1",
            "ssh://a@b",
        ] {
            assert!(elsewhere(&at(far)).is_some(), "{far}");
        }
        let desktop = EngineFacts {
            operating_system_name: "Docker Desktop".to_owned(),
            ..here.clone()
        };
        assert!(elsewhere(&desktop).is_some());
        let virtual_machine = EngineFacts {
            kernel: "6.10.14-linuxkit".to_owned(),
            ..here.clone()
        };
        assert!(elsewhere(&virtual_machine).is_some());
        let container = EngineFacts {
            host_name: "another".to_owned(),
            ..here
        };
        assert!(elsewhere(&container).is_some());
    }

    #[test]
    fn a_path_is_looked_at_whether_it_exists_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let found = path(folder.path());
        assert!(found.exists && found.is_empty && found.total_bytes > 0);
        let below = path(&folder.path().join("a/b"));
        assert!(!below.exists && below.ownership.is_none());
        assert_eq!(below.total_bytes, found.total_bytes);
    }

    #[tokio::test]
    async fn a_store_whose_name_is_known_in_the_container_only_is_not_asked() {
        let text = "services:\n  sharelatex: {image: i, extra_hosts: [\"db.example=192.0.2.1\"]}\n";
        let mut project = crate::compose::load::project(text, "p").unwrap();
        // Nobody listens there, which is an answer.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        for host in [
            "db.example",
            "host.docker.internal",
            "localhost",
            "no-such-name.invalid",
        ] {
            let hosts = [(host.to_owned(), port)];
            let asked: Result<String, Asked<()>> = reach(&project, &hosts, true).await;
            let is_unasked = matches!(asked, Err(Asked::NotAsked { .. }));
            assert!(is_unasked, "{host}: {asked:?}");
        }
        let silent = async |project: &Project, host: &str| {
            let hosts = [(host.to_owned(), port)];
            let asked: Result<String, Asked<()>> = reach(project, &hosts, true).await;
            matches!(asked, Err(Asked::Silent { .. }))
        };
        assert!(silent(&project, "127.0.0.1").await);
        let application = project.services.get_mut(APPLICATION).unwrap();
        let mode = ("network_mode".to_owned(), Value::from("host"));
        application.rest.extend([mode]);
        assert!(silent(&project, "localhost").await);
    }

    #[test]
    fn an_endpoint_tells_whether_its_machine_has_our_folders() {
        for (endpoint, far) in [
            ("unix:///var/run/docker.sock", false),
            ("tcp://127.0.0.1:2375", false),
            ("tcp://localhost:2375", false),
            ("tcp://[::1]:2375", false),
            ("tcp://192.0.2.1:2375", true),
            ("tcp://box.test:2375", true),
            ("ssh://me@box.test", true),
        ] {
            assert_eq!(is_far(endpoint), far, "{endpoint}");
        }
    }

    #[tokio::test]
    async fn a_container_without_a_direct_way_is_asked_through_the_engine() {
        let engine = crate::engine::memory::MemoryEngine::new(&[], &[]);
        let asked = ask_container(&engine, &Container::default(), 27017).await;
        let Asked::NotAsked { because } = asked else {
            panic!("{asked:?}")
        };
        assert!(because.contains("reach port 27017"), "{because}");
    }
}
