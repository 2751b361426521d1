//! What redis holds of documents and histories that mongo does not have yet, and the way to bring it
//! there. The scripts that do it report success whatever happens, so that redis is asked afterwards.
//!
//! Knows nothing of the command line.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::MultiplexedConnection;

use crate::engine::inside::Inside;
use crate::stores::StoreError;
use crate::stores::Stores;

/// How many keys redis looks at in one step.
const STEP: u32 = 1000;

/// Digits of an identifier.
const DIGITS: usize = 24;

/// What keys begin with: documents of a project, version of a document, changes that wait for a document,
/// changes that wait for the history of a project.
const DOCUMENTS_IN: &str = "DocsIn:";
const VERSION: &str = "DocVersion:";
const PENDING: &str = "PendingUpdates:";
const HISTORY: &str = "ProjectHistory:Ops:";

/// The ports in the container at which the services flush one project.
pub const SERVICES: [(&str, u16); 2] = [("document-updater", 3003), ("project-history", 3054)];

/// The keys as redis has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Documents by the key of their project.
    pub documents: BTreeMap<String, Vec<String>>,
    /// Project by the key of a document's version; `None` where it is not known.
    pub versions: BTreeMap<String, Option<String>>,
    /// Number of changes by key of a document, with its project.
    pub pending: BTreeMap<String, (u64, Option<String>)>,
    /// Number of changes by the key of a project's history.
    pub histories: BTreeMap<String, u64>,
}

/// A document in redis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Document {
    /// Its project; `None` where redis does not say.
    pub project: Option<String>,
    /// Its identifier.
    pub id: String,
    /// Whether its text is there; if not, only changes wait for it.
    pub has_text: bool,
    /// Changes that are not part of it yet.
    pub pending: u64,
}

/// A project whose history waits for changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The project.
    pub project: String,
    /// Number of changes.
    pub changes: u64,
}

/// What redis holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Documents, by project and identifier.
    pub documents: Vec<Document>,
    /// Histories, by project.
    pub histories: Vec<History>,
    /// Keys that name no document and no project.
    pub odd: Vec<String>,
}

impl Held {
    /// Whether mongo has everything.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.documents.is_empty() && self.histories.is_empty() && self.odd.is_empty()
    }

    /// What belongs to a project.
    #[must_use]
    pub fn of_project(self, project: &str) -> Self {
        let is_own = |document: &Document| document.project.as_deref() == Some(project);
        let mut own = self;
        own.documents.retain(is_own);
        own.histories.retain(|history| history.project == project);
        own.odd.clear();
        own
    }
}

/// The identifier in the rest of a key, with or without the braces that a cluster of redis needs.
fn id(rest: &str) -> Option<&str> {
    let bare = rest
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let bare = bare.unwrap_or(rest);
    is_id(bare).then_some(bare)
}

/// Whether a text is an identifier of a project or a document.
#[must_use]
pub fn is_id(text: &str) -> bool {
    // Redis has them in small letters only.
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == DIGITS && text.bytes().all(is_digit)
}

/// What the keys mean.
#[must_use]
pub fn account(keys: &Keys) -> Held {
    let mut held = Held::default();
    let mut documents: BTreeMap<String, Document> = BTreeMap::new();
    let mut odd = BTreeSet::new();
    let mut note = |rest: &str, project: Option<&String>, has_text: bool, pending: u64| {
        let Some(id) = id(rest) else { return false };
        let entry = documents.entry(id.to_owned());
        let document = entry.or_insert_with(|| Document {
            project: None,
            id: id.to_owned(),
            has_text: false,
            pending: 0,
        });
        document.has_text |= has_text;
        document.pending = document.pending.max(pending);
        if document.project.is_none() {
            document.project = project.cloned();
        }
        true
    };
    for (key, members) in &keys.documents {
        let project = key
            .strip_prefix(DOCUMENTS_IN)
            .and_then(id)
            .map(str::to_owned);
        if project.is_none() {
            odd.insert(key.clone());
        }
        for member in members {
            // Of a key that is odd itself, one line tells.
            if !note(member, project.as_ref(), true, 0) && project.is_some() {
                odd.insert(format!("{key} ({member})"));
            }
        }
    }
    for (key, project) in &keys.versions {
        let rest = key.strip_prefix(VERSION).unwrap_or(key);
        if !note(rest, project.as_ref(), true, 0) {
            odd.insert(key.clone());
        }
    }
    for (key, (number, project)) in &keys.pending {
        let rest = key.strip_prefix(PENDING).unwrap_or(key);
        if *number > 0 && !note(rest, project.as_ref(), false, *number) {
            odd.insert(key.clone());
        }
    }
    for (key, changes) in &keys.histories {
        match key.strip_prefix(HISTORY).and_then(id) {
            Some(project) if *changes > 0 => held.histories.push(History {
                project: project.to_owned(),
                changes: *changes,
            }),
            Some(_) => {}
            None => {
                odd.insert(key.clone());
            }
        }
    }
    held.documents = documents.into_values().collect();
    held.documents.sort();
    held.odd = odd.into_iter().collect();
    held
}

/// What redis holds now, of one project or of all. Looks at the keys in small steps, so that redis goes
/// on serving the application meanwhile.
///
/// # Errors
/// Redis cannot be asked.
pub async fn held<E: Inside>(
    stores: &Stores<'_, E>,
    project: Option<&str>,
) -> Result<Held, StoreError> {
    let keys = stores
        .in_redis(async |connection| read(connection).await)
        .await?;
    let held = account(&keys);
    Ok(match project {
        Some(project) => held.of_project(project),
        None => held,
    })
}

async fn read(mut connection: MultiplexedConnection) -> Result<Keys, redis::RedisError> {
    let mut keys = Keys::default();
    for key in scan(&mut connection, DOCUMENTS_IN).await? {
        let mut members = redis::cmd("SMEMBERS");
        members.arg(&key);
        let members: Vec<String> = members.query_async(&mut connection).await?;
        keys.documents.insert(key, members);
    }
    for key in scan(&mut connection, VERSION).await? {
        let project = project_of(&mut connection, key.strip_prefix(VERSION)).await?;
        keys.versions.insert(key, project);
    }
    for key in scan(&mut connection, PENDING).await? {
        let number = redis::cmd("LLEN")
            .arg(&key)
            .query_async(&mut connection)
            .await?;
        let project = project_of(&mut connection, key.strip_prefix(PENDING)).await?;
        keys.pending.insert(key, (number, project));
    }
    for key in scan(&mut connection, HISTORY).await? {
        let number = redis::cmd("LLEN")
            .arg(&key)
            .query_async(&mut connection)
            .await?;
        keys.histories.insert(key, number);
    }
    Ok(keys)
}

/// The project that redis knows of a document, by the rest of one of its keys.
async fn project_of(
    connection: &mut MultiplexedConnection,
    rest: Option<&str>,
) -> Result<Option<String>, redis::RedisError> {
    let key = format!("ProjectId:{}", rest.unwrap_or_default());
    redis::cmd("GET").arg(key).query_async(connection).await
}

/// The keys that begin so.
async fn scan(
    connection: &mut MultiplexedConnection,
    prefix: &str,
) -> Result<BTreeSet<String>, redis::RedisError> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut step = redis::cmd("SCAN");
        step.arg(&cursor).arg("MATCH").arg(format!("{prefix}*"));
        step.arg("COUNT").arg(STEP);
        let (next, keys): (String, Vec<String>) = step.query_async(connection).await?;
        found.extend(keys);
        if next == "0" {
            return Ok(found);
        }
        cursor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: &str = "aaaaaaaaaaaaaaaaaaaaaaaa";
    const Q: &str = "cccccccccccccccccccccccc";
    const D: &str = "bbbbbbbbbbbbbbbbbbbbbbbb";
    const E: &str = "dddddddddddddddddddddddd";

    #[test]
    fn keys_become_documents_and_histories() {
        let keys = Keys {
            documents: BTreeMap::from([
                (format!("DocsIn:{P}"), vec![D.to_owned(), "x".to_owned()]),
                ("DocsIn:odd".to_owned(), vec!["x".to_owned()]),
            ]),
            versions: BTreeMap::from([
                (format!("DocVersion:{D}"), Some(P.to_owned())),
                (format!("DocVersion:{{{E}}}"), None),
            ]),
            pending: BTreeMap::from([
                (format!("PendingUpdates:{D}"), (2, Some(P.to_owned()))),
                (format!("PendingUpdates:{Q}"), (0, None)),
            ]),
            histories: BTreeMap::from([
                (format!("ProjectHistory:Ops:{{{Q}}}"), 7),
                (format!("ProjectHistory:Ops:{{{P}}}"), 0),
            ]),
        };
        let found = account(&keys);
        let document = |project: Option<&str>, id: &str, pending| Document {
            project: project.map(str::to_owned),
            id: id.to_owned(),
            has_text: true,
            pending,
        };
        assert_eq!(
            found.documents,
            [document(None, E, 0), document(Some(P), D, 2)]
        );
        let histories = [History {
            project: Q.to_owned(),
            changes: 7,
        }];
        assert_eq!(found.histories, histories);
        assert_eq!(
            found.odd,
            [format!("DocsIn:{P} (x)"), "DocsIn:odd".to_owned()]
        );
        assert!(!found.is_nothing());
        let of_p = found.clone().of_project(P);
        assert_eq!(of_p.documents, [document(Some(P), D, 2)]);
        assert!(of_p.histories.is_empty() && of_p.odd.is_empty());
        assert!(found.of_project(D).is_nothing());
        assert!(account(&Keys::default()).is_nothing());
    }

    #[test]
    fn identifiers_have_24_digits() {
        assert!(is_id(P));
        for text in [
            "",
            "a",
            &P[1..],
            "gggggggggggggggggggggggg",
            // Redis has small letters.
            "64F0C0FFEE0000000000ABCD",
            "../../../etc/passwd/xxxx",
        ] {
            assert!(!is_id(text), "{text}");
        }
    }
}
