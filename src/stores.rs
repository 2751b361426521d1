//! The way to the mongo and the redis that the application uses, as the application's own environment
//! names them: a service of the project by its address or through the engine, another server from within
//! the application's container, which is the one that has to reach it.
//!
//! Knows what no store holds.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use mongodb::options::{ClientOptions, ServerAddress, Tls};
use redis::aio::MultiplexedConnection;
use thiserror::Error;

use crate::compose::Project;
use crate::compose::Service;
use crate::deployment::Deployment;
use crate::engine::EngineError;
use crate::engine::inside::Inside;
use crate::observed::Container;
use crate::probe::store::{self, RedisPlace};
use crate::probe::way;
use crate::release::APPLICATION;
use crate::release::DATABASE;
use crate::secret::Secret;
use crate::tls::{FURTHER_CERTIFICATES, Trust};

/// Most connections to mongo.
const CONNECTIONS: u32 = 2;

/// Ports where nothing is said.
const MONGO_PORT: u16 = 27017;
const REDIS_PORT: u16 = 6379;

/// A store cannot be asked, or does not do what it is asked for.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Where it is is not configured in a way that can be used.
    #[error("{store} cannot be looked for: {because}")]
    Unplaced {
        /// `mongo` or `redis`.
        store: &'static str,
        /// Why not.
        because: String,
    },
    /// The container of a service does not run.
    #[error("`{service}` does not run, and {store} is asked through it")]
    NotRunning {
        /// `mongo` or `redis`.
        store: &'static str,
        /// The service.
        service: String,
    },
    /// It does not answer, or refuses.
    #[error("{store} at `{at}` does not do it")]
    Failed {
        /// `mongo` or `redis`.
        store: &'static str,
        /// Host and port.
        at: String,
        /// What it or the system says; no password.
        because: String,
    },
    /// The engine does not let anything through.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Both stores of an instance.
pub struct Stores<'a, E> {
    /// The engine.
    pub engine: &'a E,
    /// What is configured.
    pub deployment: &'a Deployment,
    /// The containers of the project.
    pub containers: &'a [Container],
    /// How long a conversation may take altogether.
    pub deadline: Duration,
}

/// A place and who leads there.
struct Place<'a> {
    store: &'static str,
    container: &'a Container,
    host: String,
    port: u16,
    /// Whether it is a server of somebody else, asked from within the application's container.
    is_elsewhere: bool,
}

impl<E: Inside> Stores<'_, E> {
    /// A variable of the application under either brand, or without one; empty counts as unset.
    fn variable(&self, ending: &str, plain: Option<&str>) -> Option<&str> {
        let environment = &self
            .deployment
            .project
            .services
            .get(APPLICATION)?
            .environment
            .0;
        let branded = ["OVERLEAF_", "SHARELATEX_"].map(|brand| format!("{brand}{ending}"));
        let names = branded.iter().map(String::as_str).chain(plain);
        let values = names.filter_map(|name| environment.get(name)?.as_deref());
        values.into_iter().find(|value| !value.is_empty())
    }

    /// Who leads to a host.
    fn place(&self, store: &'static str, host: &str, port: u16) -> Result<Place<'_>, StoreError> {
        let own = service_named(&self.deployment.project, host);
        let service = own.unwrap_or(APPLICATION);
        let mut containers = self.containers.iter();
        let container = containers.find(|c| c.service == service && c.state.is_running());
        let container = container.ok_or_else(|| StoreError::NotRunning {
            store,
            service: service.to_owned(),
        })?;
        Ok(Place {
            store,
            container,
            host: host.to_owned(),
            port,
            is_elsewhere: own.is_none(),
        })
    }

    /// Does something with an address that leads to a place, within the deadline.
    async fn at<T>(
        &self,
        place: &Place<'_>,
        work: impl AsyncFnOnce(SocketAddr) -> Result<T, String>,
    ) -> Result<T, StoreError> {
        let Place {
            container,
            host,
            port,
            ..
        } = place;
        let timed = async |address| in_time(self.deadline, work(address)).await;
        let answer = if place.is_elsewhere {
            way::from_within(self.engine, &container.id, host, *port, timed).await
        } else {
            way::to(self.engine, container, *port, timed).await
        };
        answer?.map_err(|because| StoreError::Failed {
            store: place.store,
            at: format!("{host}:{port}"),
            because,
        })
    }

    /// Does something with the application's database.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn in_mongo<T>(
        &self,
        work: impl AsyncFnOnce(mongodb::Database) -> Result<T, mongodb::error::Error>,
    ) -> Result<T, StoreError> {
        let unplaced = |because: &str| StoreError::Unplaced {
            store: "mongo",
            because: because.to_owned(),
        };
        let url = self.variable("MONGO_URL", Some("MONGO_CONNECTION_STRING"));
        let url = url.ok_or_else(|| unplaced("no URL of it is configured"))?;
        let options = ClientOptions::parse(url).await;
        let mut options = options.map_err(|_| unplaced("its URL cannot be read"))?;
        let database = options.default_database.clone();
        let database = database.unwrap_or_else(|| DATABASE.to_owned());
        store::bound(&mut options, self.deadline, CONNECTIONS);
        let hidden = Secret::new(url);
        let ask = async |options: ClientOptions| {
            let asked = async {
                let client = mongodb::Client::with_options(options)?;
                let answer = work(client.database(&database)).await;
                client.shutdown().immediate(true).await;
                answer
            };
            let answer: Result<T, mongodb::error::Error> = asked.await;
            answer.map_err(|error| shown(&error.kind.to_string(), &hidden))
        };
        if matches!(options.tls, Some(Tls::Enabled(_))) {
            // Its certificate is for its own name, which a way through the engine would hide.
            let at = options.hosts.first().map(ToString::to_string);
            let answer = in_time(self.deadline, ask(options)).await;
            return answer.map_err(|because| StoreError::Failed {
                store: "mongo",
                at: at.unwrap_or_default(),
                because,
            });
        }
        let Some(ServerAddress::Tcp { host, port }) = options.hosts.first().cloned() else {
            return Err(unplaced("its URL names no host"));
        };
        let place = self.place("mongo", &host, port.unwrap_or(MONGO_PORT))?;
        // The names of the set's members mean nothing here.
        options.repl_set_name = None;
        options.direct_connection = Some(true);
        let ask = async |address: SocketAddr| {
            options.hosts = vec![store::server(address)];
            ask(options).await
        };
        self.at(&place, ask).await
    }

    /// Does something with a connection to redis.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn in_redis<T>(
        &self,
        work: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, redis::RedisError>,
    ) -> Result<T, StoreError> {
        let unplaced = |because: &str| StoreError::Unplaced {
            store: "redis",
            because: because.to_owned(),
        };
        let host = self.variable("REDIS_HOST", Some("REDIS_HOST"));
        let host = host.ok_or_else(|| unplaced("no host of it is configured"))?;
        let port = match self.variable("REDIS_PORT", Some("REDIS_PORT")) {
            None => REDIS_PORT,
            Some(text) => text
                .parse()
                .map_err(|_| unplaced("its port is no number"))?,
        };
        let password = self.variable("REDIS_PASS", Some("REDIS_PASSWORD"));
        let tls = match self.variable("REDIS_TLS", None) {
            Some("true") => Some(self.trust().await?),
            _ => None,
        };
        let place = self.place("redis", host, port)?;
        let redis = RedisPlace {
            host: host.to_owned(),
            port,
            password: password.map(Secret::new),
            tls,
        };
        let ask = async |address: SocketAddr| {
            let connected = store::connect_redis(&redis, Some(address)).await;
            let (connection, _driver) = connected.map_err(|trouble| trouble.to_string())?;
            let answer = work(connection).await;
            answer.map_err(|error| first_line(&error.to_string()))
        };
        self.at(&place, ask).await
    }

    /// What vouches for other servers in the eyes of the application.
    async fn trust(&self) -> Result<Trust, StoreError> {
        let application = self.containers.iter().find(|c| c.service == APPLICATION);
        let Some(application) = application else {
            return Ok(Trust::default());
        };
        let variable = |name: &str| application.environment.0.get(name).map(String::as_str);
        let mut trust = Trust::of(variable);
        let path = variable(FURTHER_CERTIFICATES).filter(|path| !path.is_empty());
        if let Some(path) = path {
            // The application goes on without a file that is missing, too.
            let file = self.engine.file(&application.id, path).await?;
            trust.further = String::from_utf8_lossy(&file.unwrap_or_default()).into_owned();
        }
        Ok(trust)
    }
}

/// Waits for an answer as long as the deadline lets it.
async fn in_time<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let late = || Err(format!("no answer within {} s", deadline.as_secs()));
    let answer = tokio::time::timeout(deadline, answer).await;
    answer.unwrap_or_else(|_| late())
}

/// The service of the project that a host name means.
fn service_named<'a>(project: &'a Project, host: &str) -> Option<&'a str> {
    let is_named = |(name, service): &(&String, &Service)| {
        let mut aliases = service.networks.values().flat_map(|place| &place.aliases);
        *name == host
            || project.container_name(name) == host
            || service.hostname.as_deref() == Some(host)
            || aliases.any(|alias| alias == host)
    };
    let found = project.services.iter().find(is_named);
    found.map(|(name, _)| name.as_str())
}

/// The first line of what a driver says, without the credentials of a URL.
fn shown(text: &str, url: &Secret) -> String {
    let line = first_line(text);
    let authority = url.expose().split_once("://").map(|(_, rest)| rest);
    match authority.and_then(|rest| rest.rsplit_once('@')) {
        Some((credentials, _)) if !credentials.is_empty() => {
            let password = credentials.split_once(':').map(|(_, password)| password);
            let line = line.replace(credentials, "…");
            match password.filter(|password| !password.is_empty()) {
                Some(password) => line.replace(password, "…"),
                None => line,
            }
        }
        _ => line,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;
    use crate::deployment::testing::deployment;
    use crate::engine::memory::MemoryEngine;

    #[test]
    fn a_host_is_a_service_by_any_of_its_names() {
        let text = "services:\n  mongo: {image: i, container_name: m1, hostname: h1, networks: {default: {aliases: [a1]}}}\nnetworks: {default: {}}\n";
        let project = load::project(text, "p").unwrap();
        for host in ["mongo", "m1", "h1", "a1"] {
            assert_eq!(service_named(&project, host), Some("mongo"), "{host}");
        }
        assert_eq!(service_named(&project, "db.example.org"), None);
    }

    #[test]
    fn no_password_shows() {
        let url = Secret::new("mongodb://user:hunter2@h/x");
        let line = shown("user:hunter2 may not; hunter2\nmore", &url);
        assert_eq!(line, "… may not; …");
    }

    #[tokio::test]
    async fn a_store_that_does_not_run_is_named() {
        let deployment = deployment("", "", "6.2.2");
        let stores = Stores {
            engine: &MemoryEngine::default(),
            deployment: &deployment,
            containers: &[],
            deadline: Duration::from_secs(1),
        };
        let mongo = stores.in_mongo(async |_| Ok(())).await;
        assert!(matches!(mongo, Err(StoreError::NotRunning { service, .. }) if service == "mongo"));
        let redis = stores.in_redis(async |_| Ok(())).await;
        assert!(matches!(redis, Err(StoreError::NotRunning { service, .. }) if service == "redis"));
    }
}
