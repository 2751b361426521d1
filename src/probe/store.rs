//! Asks a mongo or a redis for its versions, wherever it is. No password appears in an answer.

use std::net::SocketAddr;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ConnectionString, HostInfo, ServerAddress};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{first_line, in_time, silent};
use crate::observed::machine::{MongoFacts, RedisFacts};
use crate::secret::Secret;
use crate::tls::{self, TlsTrouble, Trust};

/// Where a redis is, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct RedisPlace {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Password, where one is configured.
    pub password: Option<Secret>,
    /// What vouches for it, where it is spoken to over TLS.
    pub tls: Option<Trust>,
}

/// Why no connection to a store came about.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreached {
    /// Its name leads to no address, seen from this machine.
    #[error("its name has no address")]
    Nameless,
    /// The system says why.
    #[error("{0}")]
    Refused(String),
    /// Nothing came back.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
}

/// Opens a connection and closes it again.
///
/// # Errors
/// None comes about within the deadline.
pub async fn reach(host: &str, port: u16, deadline: Duration) -> Result<(), Unreached> {
    let connected = async {
        let found = tokio::net::lookup_host((host, port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(|_| Unreached::Nameless)?.collect();
        let connected = TcpStream::connect(addresses.as_slice()).await;
        connected
            .map(|_| ())
            .map_err(|error| Unreached::Refused(error.to_string()))
    };
    let outcome = tokio::time::timeout(deadline, connected).await;
    outcome.unwrap_or(Err(Unreached::Silent(deadline)))
}

/// The host and port pairs that a mongo URL names.
///
/// # Errors
/// It is no mongo URL, or one that takes its hosts from DNS.
pub fn mongo_hosts(url: &Secret) -> Result<Vec<(String, u16)>, String> {
    match parsed(url)?.host_info {
        HostInfo::HostIdentifiers(hosts) => {
            let pairs = hosts.into_iter().filter_map(|address| match address {
                ServerAddress::Tcp { host, port } => Some((host, port.unwrap_or(27017))),
                _ => None,
            });
            Ok(pairs.collect())
        }
        _ => Err("the hosts of a mongodb+srv URL are not looked up".to_owned()),
    }
}

/// What the mongo at a URL says.
///
/// # Errors
/// It does not answer within the deadline, or refuses; the text holds no password.
pub async fn mongo(url: &Secret, deadline: Duration) -> Result<MongoFacts, String> {
    let options = options(parsed(url)?).await?;
    // The first host alone answers also where the set has no primary, and where the names of its
    // members mean nothing here.
    let mut direct = options.clone();
    direct.hosts.truncate(1);
    direct.repl_set_name = None;
    direct.direct_connection = Some(true);
    let first = ask(direct, deadline).await;
    let answer = match first {
        Ok(facts) if facts.is_primary => Ok(facts),
        Ok(facts) => Ok(ask(options, deadline).await.unwrap_or(facts)),
        Err(_) => ask(options, deadline).await,
    };
    answer.map_err(|text| without_password(&text, url))
}

/// What the mongo at an address says, without logging in.
///
/// # Errors
/// It does not answer within the deadline, or refuses.
pub async fn mongo_at(address: SocketAddr, deadline: Duration) -> Result<MongoFacts, String> {
    ask(without_login(address), deadline).await
}

/// A mongo's URL.
pub(super) fn parsed(url: &Secret) -> Result<ConnectionString, String> {
    let parsed = ConnectionString::parse(url.expose());
    parsed.map_err(|_| "the URL of mongo cannot be read".to_owned())
}

/// How the mongo of a URL is spoken to.
pub(super) async fn options(parsed: ConnectionString) -> Result<ClientOptions, String> {
    let options = ClientOptions::parse(parsed).await;
    options.map_err(|_| "the URL of mongo cannot be used".to_owned())
}

/// How the mongo at an address is spoken to by nobody in particular.
pub(super) fn without_login(address: SocketAddr) -> ClientOptions {
    let hosts = vec![server(address)];
    let mut options = ClientOptions::builder().hosts(hosts).build();
    // The names of the set's members resolve inside the project's network only.
    options.direct_connection = Some(true);
    options
}

/// An address in the driver's words.
pub fn server(address: SocketAddr) -> ServerAddress {
    ServerAddress::Tcp {
        host: address.ip().to_string(),
        port: Some(address.port()),
    }
}

/// Lets a mongo be asked by a name of ours, within a deadline, and over at most so many connections,
/// whatever its URL says.
pub fn bound(options: &mut ClientOptions, deadline: Duration, connections: u32) {
    options.app_name = Some("toolkit".to_owned());
    options.connect_timeout = Some(deadline);
    options.server_selection_timeout = Some(deadline);
    options.min_pool_size = None;
    options.max_pool_size = Some(connections);
}

async fn ask(mut options: ClientOptions, deadline: Duration) -> Result<MongoFacts, String> {
    bound(&mut options, deadline, 1);
    let questions = async {
        let client = mongodb::Client::with_options(options)?;
        let admin = client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 }).await?;
        let build = admin.run_command(doc! { "buildInfo": 1 }).await?;
        let question = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
        // It needs a privilege that not every user has.
        let compatibility = admin.run_command(question).await.ok();
        client.shutdown().immediate(true).await;
        Ok::<_, mongodb::error::Error>(facts(&hello, &build, compatibility.as_ref()))
    };
    in_time(deadline, questions).await
}

fn facts(hello: &Document, build: &Document, compatibility: Option<&Document>) -> MongoFacts {
    let compatibility = compatibility
        .and_then(|answer| answer.get_document("featureCompatibilityVersion").ok())
        .and_then(|answer| answer.get_str("version").ok());
    MongoFacts {
        version: build.get_str("version").unwrap_or_default().to_owned(),
        compatibility: compatibility.map(str::to_owned),
        set: hello.get_str("setName").ok().map(str::to_owned),
        is_primary: hello.get_bool("isWritablePrimary").unwrap_or(false),
    }
}

/// What a redis says.
///
/// # Errors
/// It does not answer within the deadline, or refuses; the text holds no password.
pub async fn redis(place: &RedisPlace, deadline: Duration) -> Result<RedisFacts, RedisTrouble> {
    let info = tokio::time::timeout(deadline, redis_info(place)).await;
    let info = info.unwrap_or_else(|_| Err(RedisTrouble::Other(silent(deadline))))?;
    let mut lines = info.lines();
    let version = lines.find_map(|line| line.strip_prefix("redis_version:"));
    let version = version.unwrap_or_default().trim().to_owned();
    Ok(RedisFacts { version })
}

async fn redis_info(place: &RedisPlace) -> Result<String, RedisTrouble> {
    let (mut connection, _driver) = connect_redis(place, None).await?;
    let mut question = redis::cmd("INFO");
    let answer = question.arg("server").query_async(&mut connection).await;
    answer.map_err(RedisTrouble::from)
}

/// Why a redis does not answer; no password is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RedisTrouble {
    /// It has a certificate that counts for nothing here.
    #[error("{0}")]
    Untrusted(TlsTrouble),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<RedisError> for RedisTrouble {
    fn from(error: RedisError) -> Self {
        Self::Other(first_line(&error.to_string()))
    }
}

impl From<TlsTrouble> for RedisTrouble {
    fn from(trouble: TlsTrouble) -> Self {
        match trouble.is_about_trust() {
            true => Self::Untrusted(trouble),
            false => Self::Other(trouble.to_string()),
        }
    }
}

/// What carries a connection to redis, which ends with it.
#[derive(Debug)]
pub struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection to a redis at an address that leads to it; without one, at that of its name. No
/// answer is waited for with a deadline of its own: the client's are too short for a busy machine.
///
/// # Errors
/// It cannot be reached, its certificate is refused, or it refuses the password.
pub async fn connect_redis(
    place: &RedisPlace,
    address: Option<SocketAddr>,
) -> Result<(MultiplexedConnection, Driver), RedisTrouble> {
    let stream = match address {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect((place.host.as_str(), place.port)).await,
    };
    let stream = stream.map_err(|error| RedisTrouble::Other(error.to_string()))?;
    let connection = match &place.tls {
        Some(trust) => {
            let stream = tls::connect(stream, &place.host, trust).await?;
            converse(place, stream).await?
        }
        None => converse(place, stream).await?,
    };
    Ok(connection)
}

async fn converse(
    place: &RedisPlace,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<(MultiplexedConnection, Driver), RedisError> {
    let settings = redis::RedisConnectionInfo::default();
    let settings = match &place.password {
        Some(password) => settings.set_password(password.expose()),
        None => settings,
    };
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let begun = MultiplexedConnection::new_with_config(&settings, stream, patient);
    let (connection, driver) = begun.await?;
    Ok((connection, Driver(tokio::spawn(driver))))
}

/// The driver does not repeat credentials today; a later one must not surprise us.
pub(super) fn without_password(text: &str, url: &Secret) -> String {
    let credentials = url
        .expose()
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .map(|(credentials, _)| credentials);
    let Some(credentials) = credentials else {
        return text.to_owned();
    };
    let mut shown = text.replace(credentials, "…");
    if let Some((_, password)) = credentials.split_once(':')
        && !password.is_empty()
    {
        shown = shown.replace(password, "…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_a_url_are_read() {
        let hosts = |url: &str| mongo_hosts(&Secret::new(url));
        assert_eq!(
            hosts("mongodb://u:p@a.example,b.example:27018/sharelatex?replicaSet=x").unwrap(),
            [
                ("a.example".to_owned(), 27017),
                ("b.example".to_owned(), 27018)
            ]
        );
        assert!(hosts("mongodb+srv://u:hidden@a.example/x").is_err());
        let refused = hosts("mongo://u:hidden@a").unwrap_err();
        assert!(!refused.contains("hidden"), "{refused}");
    }

    #[test]
    fn a_password_never_shows() {
        let url = Secret::new("mongodb://user:hunter2@h/x");
        let shown = without_password("cannot log in as user:hunter2 with hunter2", &url);
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn answers_become_facts() {
        let hello = doc! { "isWritablePrimary": true, "setName": "overleaf" };
        let build = doc! { "version": "8.0.4" };
        let answer = doc! { "featureCompatibilityVersion": { "version": "7.0" } };
        let found = facts(&hello, &build, Some(&answer));
        assert_eq!(found.version, "8.0.4");
        assert_eq!(found.compatibility.as_deref(), Some("7.0"));
        assert_eq!(found.set.as_deref(), Some("overleaf"));
        assert!(found.is_primary);
        assert_eq!(facts(&hello, &build, None).compatibility, None);
    }
}
