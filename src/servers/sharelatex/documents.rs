//! The documents of projects: written to Redis first, moved to MongoDB by a flush, read from
//! wherever they are. Keys and fields are the ones of Overleaf's document-updater and docstore.
//!
//! Operations that write take turns within one server, so a flush never removes a write it did not
//! see. Two servers that write the same document at the same time are not kept apart.

use bson::Document;
use bson::doc;
use bson::oid::ObjectId;
use futures_util::TryStreamExt;
use redis::aio::MultiplexedConnection;
use sha2::Digest;
use sha2::Sha256;
use tokio::sync::Mutex;

use super::databases::DatabaseError;
use super::databases::Databases;
use super::environment::Stuck;

/// The largest text of a document, in bytes; the same as the real limit.
pub(super) const LARGEST_TEXT: usize = 2 * 1024 * 1024;

/// The most lines that fit into one MongoDB document of 16 MiB: a line costs about 14 bytes there
/// besides its text.
pub(super) const MOST_LINES: usize = 900_000;

/// Where a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Redis,
    Mongo,
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Mongo => "mongo",
        }
    }
}

/// A document that was found.
pub(super) struct Found {
    pub(super) text: String,
    pub(super) version: i64,
    pub(super) place: Place,
}

/// A document in a listing.
pub(super) struct Listed {
    pub(super) id: ObjectId,
    pub(super) version: i64,
    pub(super) place: Place,
}

/// What a flush did.
#[derive(Default)]
pub(super) struct Flush {
    pub(super) flushed: usize,
    pub(super) total: usize,
    /// Each document that stayed in Redis, and why.
    pub(super) failures: Vec<(String, DocumentError)>,
}

/// Why a document could not be handled.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    /// A database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The server is stopping.
    #[error("the server is stopping and takes no more changes")]
    Stopping,
    /// The id is taken in another project.
    #[error("document `{document}` belongs to another project")]
    OtherProject {
        /// Its id.
        document: String,
    },
    /// More lines than one MongoDB document can hold.
    #[error("the document has more than {MOST_LINES} lines")]
    TooManyLines,
    /// `DocsIn:` names a document whose other keys are missing or unreadable.
    #[error("document `{document}` is incomplete in Redis: `{key}` is missing or unreadable")]
    Incomplete {
        /// Its id.
        document: String,
        /// The key.
        key: String,
    },
    /// The stored document has no usable `field`.
    #[error("document `{document}` has no usable `{field}` in MongoDB")]
    Malformed {
        /// Its id.
        document: String,
        /// The field.
        field: &'static str,
    },
    /// A key names something that is not an id.
    #[error("`{id}` in Redis is not an id")]
    NotAnId {
        /// The text.
        id: String,
    },
    /// The fault `stuck-document` is acted out.
    #[error("the flush of document `{document}` is refused on request (`stuck-document`)")]
    Stuck {
        /// Its id.
        document: String,
    },
}

/// All documents.
pub(super) struct Documents {
    databases: Databases,
    /// Taken by everything that writes; holds whether changes are still accepted.
    changes: Mutex<Acceptance>,
    stuck: Stuck,
}

struct Acceptance {
    is_open: bool,
}

impl Documents {
    /// A flush refuses the documents that are stuck.
    pub(super) fn new(databases: Databases, stuck: Stuck) -> Self {
        Self {
            databases,
            changes: Mutex::new(Acceptance { is_open: true }),
            stuck,
        }
    }

    pub(super) fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Refuses changes from now on; returns when no change is under way.
    pub(super) async fn stop_changes(&self) {
        self.changes.lock().await.is_open = false;
    }

    fn collection(&self) -> mongodb::Collection<Document> {
        self.databases.mongo().collection("docs")
    }

    /// Stores `text` in Redis and returns the new version.
    pub(super) async fn put(
        &self,
        project: ObjectId,
        document: ObjectId,
        text: &str,
    ) -> Result<i64, DocumentError> {
        let lines: Vec<&str> = text.split('\n').collect();
        if lines.len() > MOST_LINES {
            return Err(DocumentError::TooManyLines);
        }
        let changes = self.changes.lock().await;
        if !changes.is_open {
            return Err(DocumentError::Stopping);
        }
        let mut redis = self.databases.redis().await?;
        let version = match self.current_version(&mut redis, document).await? {
            Some((owner, _)) if owner != project.to_hex() => {
                return Err(DocumentError::OtherProject {
                    document: document.to_hex(),
                });
            }
            Some((_, version)) => version.saturating_add(1),
            None => 1,
        };
        let stored = serde_json::Value::from(lines).to_string();
        let hash = Sha256::digest(stored.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        redis::pipe()
            .atomic()
            .cmd("SET")
            .arg(format!("doclines:{document}"))
            .arg(stored)
            .ignore()
            .cmd("SET")
            .arg(format!("DocVersion:{document}"))
            .arg(version)
            .ignore()
            .cmd("SET")
            .arg(format!("DocHash:{document}"))
            .arg(hash)
            .ignore()
            .cmd("SET")
            .arg(format!("ProjectId:{document}"))
            .arg(project.to_hex())
            .ignore()
            .cmd("SADD")
            .arg(format!("DocsIn:{project}"))
            .arg(document.to_hex())
            .ignore()
            .exec_async(&mut redis)
            .await
            .map_err(self.databases.redis_failed("store a document"))?;
        drop(changes);
        Ok(version)
    }

    /// Project and version of a document, wherever it is.
    async fn current_version(
        &self,
        redis: &mut MultiplexedConnection,
        document: ObjectId,
    ) -> Result<Option<(String, i64)>, DocumentError> {
        if let Some(version) = self.version_in_redis(redis, document).await? {
            let owner = self
                .text_key(redis, format!("ProjectId:{document}"))
                .await?;
            let owner = owner.ok_or_else(|| incomplete(document, "ProjectId"))?;
            return Ok(Some((owner, version)));
        }
        let Some(stored) = self.in_mongo(doc! { "_id": document }).await? else {
            return Ok(None);
        };
        let owner = stored
            .get_object_id("project_id")
            .map_err(|_| malformed(document, "project_id"))?;
        Ok(Some((owner.to_hex(), version_of(&stored))))
    }

    async fn version_in_redis(
        &self,
        redis: &mut MultiplexedConnection,
        document: ObjectId,
    ) -> Result<Option<i64>, DocumentError> {
        let text = self
            .text_key(redis, format!("DocVersion:{document}"))
            .await?;
        text.map(|text| text.parse().map_err(|_| incomplete(document, "DocVersion")))
            .transpose()
    }

    async fn text_key(
        &self,
        redis: &mut MultiplexedConnection,
        key: String,
    ) -> Result<Option<String>, DocumentError> {
        let value = redis::cmd("GET")
            .arg(key)
            .query_async(redis)
            .await
            .map_err(self.databases.redis_failed("read a document"))?;
        Ok(value)
    }

    async fn in_mongo(&self, filter: Document) -> Result<Option<Document>, DocumentError> {
        let collection = self.collection();
        let stored = self
            .databases
            .in_mongo("read a document", collection.find_one(filter))
            .await?;
        Ok(stored)
    }

    /// Reads a document from Redis, else from MongoDB. A flush writes before it removes, so a
    /// document that is being moved is always found in one of them.
    pub(super) async fn find(
        &self,
        project: ObjectId,
        document: ObjectId,
    ) -> Result<Option<Found>, DocumentError> {
        let mut redis = self.databases.redis().await?;
        if let Some((owner, lines, version)) = self.read_redis(&mut redis, document).await? {
            return Ok((owner == project.to_hex()).then(|| Found {
                text: lines.join("\n"),
                version,
                place: Place::Redis,
            }));
        }
        let filter = doc! { "_id": document, "project_id": project };
        let Some(stored) = self.in_mongo(filter).await? else {
            return Ok(None);
        };
        let lines = stored
            .get_array("lines")
            .map_err(|_| malformed(document, "lines"))?
            .iter()
            .map(|line| line.as_str().ok_or_else(|| malformed(document, "lines")))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Found {
            text: lines.join("\n"),
            version: version_of(&stored),
            place: Place::Mongo,
        }))
    }

    /// Project, lines and version of a document in Redis.
    async fn read_redis(
        &self,
        redis: &mut MultiplexedConnection,
        document: ObjectId,
    ) -> Result<Option<(String, Vec<String>, i64)>, DocumentError> {
        let (lines, version, owner): (Option<String>, Option<String>, Option<String>) =
            redis::pipe()
                .atomic()
                .cmd("GET")
                .arg(format!("doclines:{document}"))
                .cmd("GET")
                .arg(format!("DocVersion:{document}"))
                .cmd("GET")
                .arg(format!("ProjectId:{document}"))
                .query_async(redis)
                .await
                .map_err(self.databases.redis_failed("read a document"))?;
        if lines.is_none() && version.is_none() && owner.is_none() {
            return Ok(None);
        }
        let lines = lines
            .and_then(|lines| serde_json::from_str(&lines).ok())
            .ok_or_else(|| incomplete(document, "doclines"))?;
        let version = version
            .and_then(|version| version.parse().ok())
            .ok_or_else(|| incomplete(document, "DocVersion"))?;
        let owner = owner.ok_or_else(|| incomplete(document, "ProjectId"))?;
        Ok(Some((owner, lines, version)))
    }

    /// Removes a document from both places; whether there was one.
    pub(super) async fn remove(
        &self,
        project: ObjectId,
        document: ObjectId,
    ) -> Result<bool, DocumentError> {
        let changes = self.changes.lock().await;
        if !changes.is_open {
            return Err(DocumentError::Stopping);
        }
        let mut redis = self.databases.redis().await?;
        match self.current_version(&mut redis, document).await? {
            Some((owner, _)) if owner == project.to_hex() => {}
            _ => return Ok(false),
        }
        let collection = self.collection();
        self.databases
            .in_mongo(
                "delete a document",
                collection.delete_one(doc! { "_id": document, "project_id": project }),
            )
            .await?;
        self.forget(&mut redis, project, document).await?;
        drop(changes);
        Ok(true)
    }

    /// Removes the keys of a document from Redis.
    async fn forget(
        &self,
        redis: &mut MultiplexedConnection,
        project: ObjectId,
        document: ObjectId,
    ) -> Result<(), DocumentError> {
        redis::pipe()
            .atomic()
            .cmd("DEL")
            .arg(format!("doclines:{document}"))
            .arg(format!("DocVersion:{document}"))
            .arg(format!("DocHash:{document}"))
            .arg(format!("ProjectId:{document}"))
            .ignore()
            .cmd("SREM")
            .arg(format!("DocsIn:{project}"))
            .arg(document.to_hex())
            .ignore()
            .exec_async(redis)
            .await
            .map_err(self.databases.redis_failed("remove a document"))?;
        Ok(())
    }

    /// Every document of a project and where it is; one that is in both counts as in Redis, which
    /// is newer.
    pub(super) async fn list(&self, project: ObjectId) -> Result<Vec<Listed>, DocumentError> {
        let mut redis = self.databases.redis().await?;
        let mut listed = Vec::new();
        for id in self.ids_in_redis(&mut redis, project).await? {
            let document = parse_id(&id)?;
            // A flush may have moved it since; then MongoDB has it.
            if let Some(version) = self.version_in_redis(&mut redis, document).await? {
                listed.push(Listed {
                    id: document,
                    version,
                    place: Place::Redis,
                });
            }
        }
        let collection = self.collection();
        let filter = doc! { "project_id": project };
        let stored: Vec<Document> = self
            .databases
            .in_mongo("list documents", async {
                collection.find(filter).await?.try_collect().await
            })
            .await?;
        for document in stored {
            if let Ok(id) = document.get_object_id("_id")
                && !listed.iter().any(|known| known.id == id)
            {
                listed.push(Listed {
                    id,
                    version: version_of(&document),
                    place: Place::Mongo,
                });
            }
        }
        listed.sort_by_key(|listed| listed.id);
        Ok(listed)
    }

    async fn ids_in_redis(
        &self,
        redis: &mut MultiplexedConnection,
        project: ObjectId,
    ) -> Result<Vec<String>, DocumentError> {
        let ids = redis::cmd("SMEMBERS")
            .arg(format!("DocsIn:{project}"))
            .query_async(redis)
            .await
            .map_err(self.databases.redis_failed("list documents"))?;
        Ok(ids)
    }

    /// Moves the documents of one project to MongoDB.
    pub(super) async fn flush_project(&self, project: ObjectId) -> Result<Flush, DocumentError> {
        let mut redis = self.databases.redis().await?;
        let mut flush = Flush::default();
        for id in self.ids_in_redis(&mut redis, project).await? {
            flush.total += 1;
            match self.flush_document(&mut redis, project, &id).await {
                Ok(()) => flush.flushed += 1,
                Err(error) => flush.failures.push((id, error)),
            }
        }
        Ok(flush)
    }

    async fn flush_document(
        &self,
        redis: &mut MultiplexedConnection,
        project: ObjectId,
        id: &str,
    ) -> Result<(), DocumentError> {
        let document = parse_id(id)?;
        if self.stuck == Stuck::Everything || self.stuck == Stuck::One(document) {
            return Err(DocumentError::Stuck {
                document: id.to_owned(),
            });
        }
        let changes = self.changes.lock().await;
        let Some((_, lines, version)) = self.read_redis(redis, document).await? else {
            // Another flush or a removal may have come first; then its name is gone as well.
            let is_named = self
                .ids_in_redis(redis, project)
                .await?
                .iter()
                .any(|named| named == id);
            return if is_named {
                Err(incomplete(document, "doclines"))
            } else {
                Ok(())
            };
        };
        let collection = self.collection();
        let fields = doc! {
            "project_id": project,
            "lines": lines,
            "version": version,
            "deleted": false,
        };
        self.databases
            .in_mongo(
                "store a document",
                collection
                    .update_one(doc! { "_id": document }, doc! { "$set": fields })
                    .upsert(true),
            )
            .await?;
        self.forget(redis, project, document).await?;
        drop(changes);
        Ok(())
    }

    /// Moves the documents of all projects to MongoDB.
    pub(super) async fn flush_all(&self) -> Result<Flush, DocumentError> {
        let mut all = Flush::default();
        for key in self.keys("DocsIn:*").await? {
            let project = match parse_id(key.strip_prefix("DocsIn:").unwrap_or(&key)) {
                Ok(project) => project,
                Err(error) => {
                    all.total += 1;
                    all.failures.push((key, error));
                    continue;
                }
            };
            let flush = self.flush_project(project).await?;
            all.flushed += flush.flushed;
            all.total += flush.total;
            all.failures.extend(flush.failures);
        }
        Ok(all)
    }

    /// The keys of documents that are still in Redis, sorted.
    pub(super) async fn remaining_keys(&self) -> Result<Vec<String>, DocumentError> {
        let mut keys = self.keys("DocsIn:*").await?;
        keys.extend(self.keys("DocVersion:*").await?);
        Ok(keys)
    }

    /// The keys that match `pattern`, sorted, each once.
    async fn keys(&self, pattern: &str) -> Result<Vec<String>, DocumentError> {
        let mut redis = self.databases.redis().await?;
        let mut keys = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let (next, found): (String, Vec<String>) = redis::cmd("SCAN")
                .arg(&cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(1000)
                .query_async(&mut redis)
                .await
                .map_err(self.databases.redis_failed("list keys"))?;
            keys.extend(found);
            if next == "0" {
                break;
            }
            cursor = next;
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }
}

fn incomplete(document: ObjectId, key: &str) -> DocumentError {
    DocumentError::Incomplete {
        document: document.to_hex(),
        key: format!("{key}:{document}"),
    }
}

fn malformed(document: ObjectId, field: &'static str) -> DocumentError {
    DocumentError::Malformed {
        document: document.to_hex(),
        field,
    }
}

fn parse_id(text: &str) -> Result<ObjectId, DocumentError> {
    ObjectId::parse_str(text).map_err(|_| DocumentError::NotAnId {
        id: text.to_owned(),
    })
}

/// Overleaf's own documents have the version as either integer type, or none.
fn version_of(stored: &Document) -> i64 {
    match stored.get("version") {
        Some(bson::Bson::Int32(version)) => i64::from(*version),
        Some(bson::Bson::Int64(version)) => *version,
        _ => 0,
    }
}
