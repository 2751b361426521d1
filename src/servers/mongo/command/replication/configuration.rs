//! The config of a replica set with one member: read, checked, and filled with what is not said.
//! Knows documents; must not know the server's state.

use bson::Document;
use bson::doc;
use bson::oid::ObjectId;

use super::super::super::failure::Code;
use super::super::super::failure::Failure;
use super::fields;

const DEFAULT_PORT: u16 = 27017;

/// The config of a set whose only member is this server.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Configuration {
    /// The set's name.
    pub(super) set: String,
    pub(super) version: i32,
    /// The term in which the config was written; 0 in a new one.
    pub(super) term: i64,
    /// The member's number.
    pub(super) member: i32,
    /// The member's host name and port, as clients shall reach it.
    pub(super) host: String,
    pub(super) replica_set_id: Option<ObjectId>,
    tags: Document,
}

impl Configuration {
    /// The default config of a set.
    pub(super) fn with_host(set: &str, host: &str) -> Result<Self, Failure> {
        Self::parse(
            &doc! {"_id": set, "members": [{"_id": 0, "host": host}]},
            set,
        )
    }

    /// Reads a config a client sent, for the set this server was started for.
    pub(super) fn parse(config: &Document, set: &str) -> Result<Self, Failure> {
        let read = Self::read(config).map_err(|failure| invalid(failure.message))?;
        if read.set != set {
            return Err(invalid(format!(
                "a config for the set '{}' does not fit a server started for the set '{set}'",
                read.set
            )));
        }
        Ok(read)
    }

    /// Reads the stored config; `None` when it is not one.
    pub(super) fn stored(config: &Document) -> Option<Self> {
        Self::read(config).ok()
    }

    fn read(config: &Document) -> Result<Self, Failure> {
        let config = fields("config", config);
        config.allow(&[
            "_id",
            "version",
            "term",
            "members",
            "protocolVersion",
            "writeConcernMajorityJournalDefault",
            "settings",
        ])?;
        let version = config.whole("version")?.unwrap_or(1);
        let version = i32::try_from(version).ok().filter(|version| *version > 0);
        let version = version.ok_or_else(|| invalid("the version must be 1 or more"))?;
        if config.whole("protocolVersion")?.unwrap_or(1) != 1 {
            return Err(invalid("the protocolVersion must be 1"));
        }
        let settings = config.document("settings")?;
        let replica_set_id =
            settings.and_then(|settings| settings.get_object_id("replicaSetId").ok());
        let members = config.required_documents("members")?;
        let [member] = members.as_slice() else {
            return Err(invalid(format!(
                "a set has {} members, but the bundled server is always the only one",
                members.len()
            )));
        };
        let member = fields("config.members", member);
        member.allow(&[
            "_id",
            "host",
            "arbiterOnly",
            "buildIndexes",
            "hidden",
            "priority",
            "tags",
            "secondaryDelaySecs",
            "votes",
        ])?;
        let can_be_primary = !member.flag("arbiterOnly")?.unwrap_or(false)
            && !member.flag("hidden")?.unwrap_or(false)
            && member.flag("priority")?.unwrap_or(true)
            && member.whole("votes")?.unwrap_or(1) == 1
            && member.whole("secondaryDelaySecs")?.unwrap_or(0) == 0;
        if !can_be_primary {
            return Err(invalid("the only member must be able to become primary"));
        }
        let number = member.whole("_id")?.ok_or_else(|| member.missing("_id"))?;
        let number = i32::from(
            u8::try_from(number).map_err(|_| invalid("a member's _id must be from 0 to 255"))?,
        );
        Ok(Self {
            set: config.required_text("_id")?.to_owned(),
            version,
            term: config.whole("term")?.unwrap_or(0),
            member: number,
            host: complete_host(member.required_text("host")?)?,
            replica_set_id,
            tags: member.document("tags")?.cloned().unwrap_or_default(),
        })
    }

    /// The complete config, as it is stored and shown.
    pub(super) fn to_document(&self, term: i64, replica_set_id: ObjectId) -> Document {
        doc! {
            "_id": &self.set,
            "version": self.version,
            "term": term,
            "members": [{
                "_id": self.member,
                "host": &self.host,
                "arbiterOnly": false,
                "buildIndexes": true,
                "hidden": false,
                "priority": 1.0,
                "tags": self.tags.clone(),
                "secondaryDelaySecs": 0_i64,
                "votes": 1,
            }],
            "protocolVersion": 1_i64,
            "writeConcernMajorityJournalDefault": true,
            "settings": {
                "chainingAllowed": true,
                "heartbeatIntervalMillis": 2000,
                "heartbeatTimeoutSecs": 10,
                "electionTimeoutMillis": 10_000,
                "getLastErrorModes": {},
                "getLastErrorDefaults": {"w": 1, "wtimeout": 0},
                "replicaSetId": replica_set_id,
            },
        }
    }
}

/// Adds the default port to a host name without one.
fn complete_host(host: &str) -> Result<String, Failure> {
    let (name, port) = match host.rsplit_once(':') {
        // The last colon of a bare IPv6 address in brackets belongs to the address.
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, Some(DEFAULT_PORT)),
    };
    match port {
        Some(port) if port > 0 && !name.is_empty() && !name.contains([' ', '/', ',']) => {
            Ok(format!("{name}:{port}"))
        }
        _ => Err(invalid(format!(
            "'{host}' is not a host name with an optional port"
        ))),
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidReplicaSetConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_survives_its_stored_form() {
        let sent = doc! {"_id": "overleaf", "members": [{"_id": 0, "host": "mongo"}]};
        let config = Configuration::parse(&sent, "overleaf").unwrap();
        assert_eq!(config.host, "mongo:27017");
        let id = ObjectId::from_bytes([1; 12]);
        let stored = Configuration::stored(&config.to_document(3, id)).unwrap();
        assert_eq!(
            stored,
            Configuration {
                term: 3,
                replica_set_id: Some(id),
                ..config
            }
        );
    }

    #[test]
    fn hosts_get_the_default_port() {
        for (host, complete) in [
            ("mongo", Some("mongo:27017")),
            ("mongo:1", Some("mongo:1")),
            ("[::1]", Some("[::1]:27017")),
            ("[::1]:5", Some("[::1]:5")),
            ("", None),
            (":1", None),
            ("mongo:0", None),
            ("mongo:x", None),
            ("a b", None),
        ] {
            assert_eq!(complete_host(host).ok().as_deref(), complete, "{host}");
        }
    }

    #[test]
    fn configs_that_do_not_fit_are_refused() {
        let member = doc! {"_id": 0, "host": "mongo"};
        for config in [
            doc! {"_id": "other", "members": [&member]},
            doc! {"_id": "overleaf", "members": []},
            doc! {"_id": "overleaf", "members": [&member, {"_id": 1, "host": "b"}]},
            doc! {"_id": "overleaf"},
            doc! {"members": [&member]},
            doc! {"_id": "overleaf", "members": [{"host": "mongo"}]},
            doc! {"_id": "overleaf", "members": [{"_id": 0}]},
            doc! {"_id": "overleaf", "members": [{"_id": 256, "host": "mongo"}]},
            doc! {"_id": "overleaf", "members": [{"_id": 0, "host": "mongo", "priority": 0}]},
            doc! {"_id": "overleaf", "members": [{"_id": 0, "host": "mongo", "arbiterOnly": true}]},
            doc! {"_id": "overleaf", "version": 0, "members": [&member]},
            doc! {"_id": "overleaf", "unknown": 1, "members": [&member]},
            doc! {"_id": 5, "members": [&member]},
        ] {
            let failure = Configuration::parse(&config, "overleaf").unwrap_err();
            assert_eq!(failure.code, Code::InvalidReplicaSetConfig, "{config}");
        }
    }
}
