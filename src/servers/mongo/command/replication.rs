//! The replica set of one member: hello, initiation, status, config. The config is a document in
//! `local.system.replset`, so it is stored like all data. Host names are kept, never resolved.

mod configuration;

use bson::Bson;
use bson::Document;
use bson::doc;
use bson::oid::ObjectId;

use super::super::catalog::Namespace;
use super::super::catalog::Operation;
use super::super::failure::Code;
use super::super::failure::Failure;
use super::super::log::Event;
use super::super::request::Fields;
use super::super::request::Request;
use super::super::session::SESSION_LIFETIME;
use super::super::wire::LONGEST_MESSAGE;
use super::Answer;
use super::Definition;
use super::Engine;
use super::administration;
use super::count;
use super::writing::LARGEST_BATCH;
use super::writing::LARGEST_DOCUMENT;
use configuration::Configuration;

/// The wire version of MongoDB 8.0.
const WIRE_VERSION: i32 = 25;

pub(super) const COMMANDS: &[Definition] = &[
    Definition::of_server("hello", false, hello),
    Definition::of_server("isMaster", false, hello),
    Definition::of_server("ismaster", false, hello),
    Definition::of_server("replSetInitiate", true, initiate),
    Definition::of_server("replSetReconfig", true, reconfigure),
    Definition::of_server("replSetGetConfig", true, configuration),
    Definition::of_server("replSetGetStatus", true, status),
];

/// What this server is in its replica set.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Role {
    /// Started without a set: serves at once.
    Standalone,
    /// Started for a set that has no config yet: waits for the initiation.
    Uninitiated,
    Primary(Configuration),
    /// Started for another set than the stored config's: waits for a restart with the right name.
    Removed,
}

impl Role {
    fn state(&self) -> &'static str {
        match self {
            Self::Standalone => "STANDALONE",
            Self::Uninitiated => "STARTUP",
            Self::Primary(_) => "PRIMARY",
            Self::Removed => "REMOVED",
        }
    }
}

impl Engine {
    pub(super) fn role(&self) -> Role {
        let Some(set) = &self.options.replica_set else {
            return Role::Standalone;
        };
        let stored = self.catalog.collection(&config_namespace());
        match stored.and_then(|configs| configs.documents().next()) {
            None => Role::Uninitiated,
            Some(stored) => match Configuration::stored(stored) {
                Some(config) if config.set == *set => Role::Primary(config),
                _ => Role::Removed,
            },
        }
    }

    /// The number of times a primary was elected.
    fn term(&self) -> i64 {
        self.catalog
            .find(&term_namespace(), &"term".into())
            .and_then(|term| term.get_i64("term").ok())
            .unwrap_or(0)
    }

    fn next_term(&self) -> Vec<Operation> {
        administration::put(
            self,
            &term_namespace(),
            doc! {"_id": "term", "term": self.term() + 1},
        )
    }

    /// The set's name and config, or the error of a server that has none.
    fn configured(&self) -> Result<(String, Configuration), Failure> {
        match (self.role(), &self.options.replica_set) {
            (Role::Primary(config), Some(set)) => Ok((set.clone(), config)),
            (Role::Standalone, _) | (_, None) => Err(no_replication()),
            (Role::Uninitiated, _) => {
                let message = "no replica set config has been received";
                Err(Failure::new(Code::NotYetInitialized, message))
            }
            (Role::Removed, _) => {
                let message = "the stored replica set config belongs to another set";
                Err(Failure::new(Code::InvalidReplicaSetConfig, message))
            }
        }
    }
}

fn config_namespace() -> Namespace {
    Namespace::new("local", "system.replset")
}

fn term_namespace() -> Namespace {
    Namespace::new("local", "replset.election")
}

fn no_replication() -> Failure {
    Failure::new(Code::NoReplicationEnabled, "not running with --replSet")
}

/// What a start under a stored config changes: the member elects itself again.
pub(super) fn on_start(engine: &Engine) -> Vec<Operation> {
    match engine.role() {
        Role::Primary(_) => engine.next_term(),
        _ => Vec::new(),
    }
}

/// Logs the role when it is not `from`.
pub(super) fn log_role(engine: &Engine, from: &str) {
    let role = engine.role();
    if role != Role::Standalone && role.state() != from {
        engine.log.line(&Event::StateChanged {
            from,
            to: role.state(),
        });
    }
    if let Role::Primary(config) = &role {
        log_config(engine, config);
    }
}

fn log_config(engine: &Engine, config: &Configuration) {
    let members = std::slice::from_ref(&config.host);
    engine.log.line(&Event::Configured {
        set: &config.set,
        version: config.version,
        members,
    });
}

fn hello(engine: &mut Engine, request: &Request) -> Answer {
    let mut reply = Document::new();
    if request.fields().flag("helloOk")?.unwrap_or(false) {
        reply.insert("helloOk", true);
    }
    let writable = if request.name == "hello" {
        "isWritablePrimary"
    } else {
        "ismaster"
    };
    match engine.role() {
        Role::Standalone => {
            reply.insert(writable, true);
        }
        Role::Uninitiated | Role::Removed => {
            reply.insert(writable, false);
            reply.insert("secondary", false);
            reply.insert("info", "Does not have a valid replica set config");
            reply.insert("isreplicaset", true);
        }
        Role::Primary(config) => {
            let written = operation_time(engine);
            let date = date(engine.last_write);
            reply.extend(doc! {
                "hosts": [&config.host],
                "setName": &config.set,
                "setVersion": config.version,
                writable: true,
                "secondary": false,
                "primary": &config.host,
                "me": &config.host,
                "electionId": election_id(engine.term()),
                "lastWrite": {
                    "opTime": written.clone(),
                    "lastWriteDate": date,
                    "majorityOpTime": written,
                    "majorityWriteDate": date,
                },
            });
        }
    }
    let minutes = i64::try_from(SESSION_LIFETIME.as_secs() / 60).unwrap_or(i64::MAX);
    reply.extend(doc! {
        "maxBsonObjectSize": count(LARGEST_DOCUMENT),
        "maxMessageSizeBytes": count(LONGEST_MESSAGE),
        "maxWriteBatchSize": count(LARGEST_BATCH),
        "localTime": bson::DateTime::now(),
        "logicalSessionTimeoutMinutes": i32::try_from(minutes).unwrap_or(i32::MAX),
        "connectionId": request.peer.connection,
        "minWireVersion": 0,
        "maxWireVersion": WIRE_VERSION,
        "readOnly": false,
    });
    Ok(reply)
}

/// Grows with every term, so that drivers recognise the newest primary.
fn election_id(term: i64) -> ObjectId {
    let [a, b, c, d, e, f, g, h] = term.to_be_bytes();
    ObjectId::from_bytes([0x7F, 0xFF, 0xFF, 0xFF, a, b, c, d, e, f, g, h])
}

fn operation_time(engine: &Engine) -> Document {
    doc! {"ts": engine.last_write, "t": engine.term()}
}

fn date(timestamp: bson::Timestamp) -> bson::DateTime {
    bson::DateTime::from_millis(i64::from(timestamp.time) * 1000)
}

fn initiate(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&[])?;
    let Some(set) = engine.options.replica_set.clone() else {
        return Err(no_replication());
    };
    if engine.role() != Role::Uninitiated {
        return Err(Failure::new(
            Code::AlreadyInitialized,
            "already initialized",
        ));
    }
    let mut reply = Document::new();
    let config = match request.fields().value("replSetInitiate") {
        Some(Bson::Document(config)) if !config.is_empty() => Configuration::parse(config, &set)?,
        // The shell sends an empty document, and older ones any value, for "the default".
        _ => {
            reply.insert(
                "info2",
                "no configuration specified. Using the default for the set",
            );
            reply.insert("me", &engine.options.address);
            Configuration::with_host(&set, &engine.options.address)?
        }
    };
    if config.version != 1 {
        let message = format!(
            "the first config must have the version 1, not {}",
            config.version
        );
        return Err(Failure::new(Code::InvalidReplicaSetConfig, message));
    }
    let stored = config.to_document(engine.term() + 1, ObjectId::new());
    let mut operations = administration::put(engine, &config_namespace(), stored);
    operations.extend(engine.next_term());
    engine.record(&operations)?;
    engine.elected = engine.last_write;
    log_role(engine, Role::Uninitiated.state());
    Ok(reply)
}

fn reconfigure(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["force", "maxTimeMS"])?;
    let (set, current) = engine.configured().map_err(|failure| match failure.code {
        Code::InvalidReplicaSetConfig => Failure::new(Code::NotWritablePrimary, "not primary"),
        _ => failure,
    })?;
    let fields = request.fields();
    let mut config = Configuration::parse(fields.required_document("replSetReconfig")?, &set)?;
    if fields.flag("force")?.unwrap_or(false) {
        config.version = config.version.max(current.version.saturating_add(1));
    }
    let incompatible =
        |message: String| Failure::new(Code::NewReplicaSetConfigurationIncompatible, message);
    if config.version <= current.version {
        return Err(incompatible(format!(
            "the new config's version {} must be greater than the current {}",
            config.version, current.version
        )));
    }
    let replica_set_id = match (config.replica_set_id, current.replica_set_id) {
        (Some(new), Some(current)) if new != current => {
            return Err(incompatible(
                "the new config has another replicaSetId".to_owned(),
            ));
        }
        (new, current) => current.or(new).unwrap_or_else(ObjectId::new),
    };
    let stored = config.to_document(engine.term(), replica_set_id);
    let operations = administration::put(engine, &config_namespace(), stored);
    engine.record(&operations)?;
    log_config(engine, &config);
    Ok(Document::new())
}

fn configuration(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["commitmentStatus"])?;
    let (set, _) = engine.configured()?;
    let stored = engine.catalog.find(&config_namespace(), &set.into());
    let mut reply = doc! {"config": stored.map(|stored| Document::clone(stored))};
    if request.fields().flag("commitmentStatus")?.unwrap_or(false) {
        reply.insert("commitmentStatus", true);
    }
    Ok(reply)
}

fn status(engine: &mut Engine, request: &Request) -> Answer {
    request.allow(&["initialSync"])?;
    let (set, config) = engine.configured()?;
    let written = operation_time(engine);
    let written_at = date(engine.last_write);
    let state = doc! {
        "_id": config.member,
        "name": &config.host,
        "health": 1.0,
        "state": 1,
        "stateStr": "PRIMARY",
        "uptime": i64::try_from(engine.started_at.elapsed().as_secs()).unwrap_or(i64::MAX),
        "optime": written.clone(),
        "optimeDate": written_at,
        "lastAppliedWallTime": written_at,
        "lastDurableWallTime": written_at,
        "syncSourceHost": "",
        "syncSourceId": -1,
        "infoMessage": "",
        "electionTime": engine.elected,
        "electionDate": date(engine.elected),
        "configVersion": config.version,
        "configTerm": config.term,
        "self": true,
        "lastHeartbeatMessage": "",
    };
    Ok(doc! {
        "set": set,
        "date": bson::DateTime::now(),
        "myState": 1,
        "term": engine.term(),
        "syncSourceHost": "",
        "syncSourceId": -1,
        "heartbeatIntervalMillis": 2000_i64,
        "majorityVoteCount": 1,
        "writeMajorityCount": 1,
        "votingMembersCount": 1,
        "writableVotingMembersCount": 1,
        "optimes": {
            "lastCommittedOpTime": written.clone(),
            "lastCommittedWallTime": written_at,
            "readConcernMajorityOpTime": written.clone(),
            "appliedOpTime": written.clone(),
            "durableOpTime": written,
            "lastAppliedWallTime": written_at,
            "lastDurableWallTime": written_at,
        },
        "members": [state],
    })
}

/// Typed access to a config, under the name its errors use.
fn fields<'a>(place: &'a str, document: &'a Document) -> Fields<'a> {
    Fields { place, document }
}
