//! The connections to MongoDB and Redis, and the checks of both that a start makes.
//!
//! Every conversation has a deadline, and every failure names the host. It knows no documents.
//! Addresses may hold passwords, so messages name only hosts and variables. Of the driver's errors
//! only the kind is kept: the rest repeats the server's answer as raw bytes.

use std::time::Duration;

use bson::Bson;
use bson::Document;
use bson::doc;
use bson::oid::ObjectId;
use mongodb::error::ErrorKind as MongoErrorKind;
use mongodb::options::ClientOptions;
use redis::AsyncConnectionConfig;
use redis::ConnectionAddr;
use redis::ErrorKind;
use redis::IntoConnectionInfo;
use redis::RedisConnectionInfo;
use redis::RedisError;
use redis::ServerErrorKind;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::environment::RedisTarget;
use super::environment::Settings;

/// What a conversation with a database can end in.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// The connection string is unusable. Its text and the driver's remark stay out of the
    /// message because either may quote a password.
    #[error("`{variable}` is not a connection string for MongoDB")]
    MongoUrl {
        /// The variable that holds it.
        variable: String,
    },
    /// No server, no primary, wrong credentials, or the connection broke.
    #[error("cannot connect to MongoDB at `{hosts}`")]
    MongoConnect {
        /// Hosts and ports.
        hosts: String,
        /// What the driver said.
        #[source]
        source: Box<MongoErrorKind>,
    },
    /// A standalone server.
    #[error(
        "the MongoDB server at `{hosts}` is not a replica set, which transactions need; initiate one (`rs.initiate()`)"
    )]
    MongoNotReplicaSet {
        /// Hosts and ports.
        hosts: String,
    },
    /// A member that takes no writes.
    #[error("the MongoDB server at `{hosts}` is a member of a replica set but not its primary")]
    MongoNotPrimary {
        /// Hosts and ports.
        hosts: String,
    },
    /// The feature compatibility version could not be read.
    #[error(
        "cannot read the feature compatibility version of MongoDB at `{hosts}`; a user that may not read it needs `ALLOW_MONGO_ADMIN_CHECK_FAILURES=true`"
    )]
    MongoCompatibility {
        /// Hosts and ports.
        hosts: String,
        /// What the driver said; absent when the answer had no version.
        #[source]
        source: Option<Box<MongoErrorKind>>,
    },
    /// A transaction failed.
    #[error("MongoDB at `{hosts}` cannot run a transaction")]
    MongoTransaction {
        /// Hosts and ports.
        hosts: String,
        /// What the driver said.
        #[source]
        source: Box<MongoErrorKind>,
    },
    /// A transaction did not see its own write.
    #[error("MongoDB at `{hosts}` loses writes inside a transaction")]
    MongoTransactionLost {
        /// Hosts and ports.
        hosts: String,
    },
    /// An ordinary command failed.
    #[error("MongoDB at `{hosts}` refused to {action}")]
    Mongo {
        /// Hosts and ports.
        hosts: String,
        /// What was wanted.
        action: &'static str,
        /// What the driver said.
        #[source]
        source: Box<MongoErrorKind>,
    },
    /// No connection to Redis.
    #[error("cannot connect to Redis at `{address}`")]
    RedisConnect {
        /// Host and port.
        address: String,
        /// What the client said.
        #[source]
        source: RedisError,
    },
    /// Redis wants another password.
    #[error("Redis at `{address}` refuses the password (`OVERLEAF_REDIS_PASS`, `REDIS_PASSWORD`)")]
    RedisPassword {
        /// Host and port.
        address: String,
        /// What the server said.
        #[source]
        source: RedisError,
    },
    /// A Redis command failed.
    #[error("Redis at `{address}` refused to {action}")]
    Redis {
        /// Host and port.
        address: String,
        /// What was wanted.
        action: &'static str,
        /// What the client said.
        #[source]
        source: RedisError,
    },
    /// Redis gave back something else than was stored.
    #[error("Redis at `{address}` did not give back what was stored")]
    RedisLost {
        /// Host and port.
        address: String,
    },
    /// No answer in time.
    #[error("`{host}` did not answer within {seconds} s")]
    Late {
        /// Host and port.
        host: String,
        /// The deadline.
        seconds: u64,
    },
}

/// Both databases, connected on demand.
pub(super) struct Databases {
    client: mongodb::Client,
    mongo: mongodb::Database,
    hosts: String,
    redis: redis::Client,
    address: String,
    deadline: Duration,
}

impl Databases {
    /// Prepares both connections; nothing is contacted yet.
    pub(super) async fn new(
        settings: &Settings,
        deadline: Duration,
    ) -> Result<Self, DatabaseError> {
        let unusable = || DatabaseError::MongoUrl {
            variable: settings.mongo_variable.clone(),
        };
        let mut options = ClientOptions::parse(&settings.mongo_url)
            .await
            .map_err(|_| unusable())?;
        options.server_selection_timeout = Some(deadline);
        options.connect_timeout = Some(deadline);
        let hosts = options
            .hosts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let name = options
            .default_database
            .clone()
            .unwrap_or_else(|| "sharelatex".to_owned());
        let client = mongodb::Client::with_options(options).map_err(|_| unusable())?;
        Ok(Self {
            mongo: client.database(&name),
            client,
            hosts,
            redis: redis_client(&settings.redis)?,
            address: settings.redis.address(),
            deadline,
        })
    }

    /// The application's database.
    pub(super) fn mongo(&self) -> &mongodb::Database {
        &self.mongo
    }

    /// Waits for `work` against MongoDB, for as long as a conversation may take.
    pub(super) async fn in_mongo<T>(
        &self,
        action: &'static str,
        work: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, DatabaseError> {
        let failed = |error: mongodb::error::Error| DatabaseError::Mongo {
            hosts: self.hosts.clone(),
            action,
            source: error.kind,
        };
        // Finding a server and talking to it have the deadline one after the other.
        match timeout(self.deadline * 2, work.into_future()).await {
            Ok(result) => result.map_err(failed),
            Err(_elapsed) => Err(self.late(&self.hosts)),
        }
    }

    /// A new connection to Redis. Connections are not kept, so that a restart of Redis needs no
    /// care.
    pub(super) async fn redis(&self) -> Result<MultiplexedConnection, DatabaseError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(Some(self.deadline));
        let connecting = self
            .redis
            .get_multiplexed_async_connection_with_config(&config);
        match timeout(self.deadline, connecting).await {
            Ok(result) => result.map_err(|source| {
                let address = self.address.clone();
                if is_about_password(&source) {
                    DatabaseError::RedisPassword { address, source }
                } else {
                    DatabaseError::RedisConnect { address, source }
                }
            }),
            Err(_elapsed) => Err(self.late(&self.address)),
        }
    }

    /// Names the server and what was wanted when a Redis command fails.
    pub(super) fn redis_failed(
        &self,
        action: &'static str,
    ) -> impl Fn(RedisError) -> DatabaseError {
        let address = self.address.clone();
        move |source| {
            let address = address.clone();
            if is_about_password(&source) {
                DatabaseError::RedisPassword { address, source }
            } else {
                DatabaseError::Redis {
                    address,
                    action,
                    source,
                }
            }
        }
    }

    fn late(&self, host: &str) -> DatabaseError {
        DatabaseError::Late {
            host: host.to_owned(),
            seconds: self.deadline.as_secs(),
        }
    }

    /// A server that answers, is the primary of a replica set, tells its feature compatibility
    /// version and runs transactions. Returns what to say about it.
    pub(super) async fn check_mongo(
        &self,
        is_admin_check_failure_allowed: bool,
    ) -> Result<String, DatabaseError> {
        let admin = self.client.database("admin");
        let hosts = || self.hosts.clone();
        let hello = match timeout(
            self.deadline * 2,
            admin.run_command(doc! { "hello": 1 }).into_future(),
        )
        .await
        {
            Ok(Ok(hello)) => hello,
            Ok(Err(error)) => {
                return Err(DatabaseError::MongoConnect {
                    hosts: hosts(),
                    source: error.kind,
                });
            }
            Err(_elapsed) => return Err(self.late(&self.hosts)),
        };
        let replica_set = hello
            .get_str("setName")
            .map_err(|_| DatabaseError::MongoNotReplicaSet { hosts: hosts() })?;
        if !hello.get_bool("isWritablePrimary").unwrap_or_default() {
            return Err(DatabaseError::MongoNotPrimary { hosts: hosts() });
        }

        let compatibility = match self.read_compatibility(&admin).await {
            Ok(version) => version,
            Err(_) if is_admin_check_failure_allowed => "not readable".to_owned(),
            Err(error) => return Err(error),
        };
        self.check_transaction().await?;
        Ok(format!(
            "MongoDB at `{}` is the primary of replica set `{replica_set}`, feature compatibility version {compatibility}",
            self.hosts
        ))
    }

    async fn read_compatibility(&self, admin: &mongodb::Database) -> Result<String, DatabaseError> {
        let unreadable = |source| DatabaseError::MongoCompatibility {
            hosts: self.hosts.clone(),
            source,
        };
        let question = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
        let answer =
            match timeout(self.deadline * 2, admin.run_command(question).into_future()).await {
                Ok(answer) => answer.map_err(|error| unreadable(Some(error.kind)))?,
                Err(_elapsed) => return Err(self.late(&self.hosts)),
            };
        let version = answer
            .get_document("featureCompatibilityVersion")
            .and_then(|parameter| parameter.get_str("version"));
        version.map(str::to_owned).map_err(|_| unreadable(None))
    }

    async fn check_transaction(&self) -> Result<(), DatabaseError> {
        match timeout(self.deadline * 2, self.run_transaction()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(DatabaseError::MongoTransactionLost {
                hosts: self.hosts.clone(),
            }),
            Ok(Err(error)) => Err(DatabaseError::MongoTransaction {
                hosts: self.hosts.clone(),
                source: error.kind,
            }),
            Err(_elapsed) => Err(self.late(&self.hosts)),
        }
    }

    /// Inserts, finds and deletes one document in a transaction; whether it was found. The
    /// collection is one that a start writes to in any case, so that no trace is left.
    async fn run_transaction(&self) -> mongodb::error::Result<bool> {
        let collection = self.mongo.collection::<Document>("migrations");
        let document = doc! { "_id": ObjectId::new(), "name": "toolkit-start-check" };
        let itself = doc! { "_id": document.get("_id").cloned().unwrap_or(Bson::Null) };

        let mut session = self.client.start_session().await?;
        session.start_transaction().await?;
        collection
            .insert_one(&document)
            .session(&mut session)
            .await?;
        let found = collection
            .find_one(itself.clone())
            .session(&mut session)
            .await?;
        collection.delete_one(itself).session(&mut session).await?;
        session.commit_transaction().await?;
        Ok(found.as_ref() == Some(&document))
    }

    /// Stores a value and reads it back. Returns what to say about it.
    pub(super) async fn check_redis(&self) -> Result<String, DatabaseError> {
        let mut connection = self.redis().await?;
        let value = ObjectId::new().to_hex();
        let key = format!("toolkit-start-check:{value}");
        redis::cmd("SET")
            .arg(&key)
            .arg(&value)
            .exec_async(&mut connection)
            .await
            .map_err(self.redis_failed("store a value"))?;
        let stored: Option<String> = redis::cmd("GET")
            .arg(&key)
            .query_async(&mut connection)
            .await
            .map_err(self.redis_failed("read a value"))?;
        redis::cmd("DEL")
            .arg(&key)
            .exec_async(&mut connection)
            .await
            .map_err(self.redis_failed("delete a value"))?;
        if stored.as_ref() == Some(&value) {
            Ok(format!("Redis at `{}` stores and reads", self.address))
        } else {
            Err(DatabaseError::RedisLost {
                address: self.address.clone(),
            })
        }
    }
}

fn is_about_password(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
        || (error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError)
            && error.to_string().contains("AUTH"))
}

fn redis_client(target: &RedisTarget) -> Result<redis::Client, DatabaseError> {
    let unusable = |source| DatabaseError::RedisConnect {
        address: target.address(),
        source,
    };
    let mut login = RedisConnectionInfo::default();
    if let Some(password) = &target.password {
        login = login.set_password(password);
    }
    let info = ConnectionAddr::Tcp(target.host.clone(), target.port)
        .into_connection_info()
        .map_err(unusable)?
        .set_redis_settings(login);
    redis::Client::open(info).map_err(unusable)
}
