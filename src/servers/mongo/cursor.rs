//! Answers that are fetched in batches. A cursor holds what was found when the query ran, so later
//! writes do not change it. Must not know how the documents were found.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bson::Bson;
use bson::Document;
use bson::doc;

use super::catalog::Namespace;
use super::failure::Code;
use super::failure::Failure;
use super::selection::Projection;
use super::session::SessionId;

/// The size of a first batch when the client does not say, in documents.
const FIRST_BATCH: usize = 101;

/// The bytes after which a batch ends; a batch has at least one document.
const LARGEST_BATCH: usize = 16 * 1024 * 1024;

/// After this time without a fetch a cursor is closed.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How the client wants its first batch.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The number of documents in the first batch.
    pub(super) batch_size: Option<usize>,
    /// Nothing is fetched after the first batch.
    pub(super) is_single: bool,
    pub(super) session: Option<SessionId>,
}

#[derive(Debug)]
struct Cursor {
    name: String,
    rest: VecDeque<Arc<Document>>,
    projection: Option<Projection>,
    used: Instant,
    session: Option<SessionId>,
}

/// All open cursors.
#[derive(Debug)]
pub(super) struct Cursors {
    next: i64,
    open: BTreeMap<i64, Cursor>,
}

impl Cursors {
    /// Numbers begin with the clock, so that a client does not read another answer after a restart.
    pub(super) fn new(now: bson::DateTime) -> Self {
        Self {
            next: now.timestamp_millis() << 16,
            open: BTreeMap::new(),
        }
    }

    /// The reply with the first batch of `documents`; the rest can be fetched.
    pub(super) fn open(
        &mut self,
        namespace: &Namespace,
        documents: Vec<Arc<Document>>,
        projection: Option<Projection>,
        wanted: Wanted,
    ) -> Result<Document, Failure> {
        let mut cursor = Cursor {
            name: namespace.to_string(),
            rest: documents.into(),
            projection,
            used: Instant::now(),
            session: wanted.session,
        };
        let batch = cursor.batch(wanted.batch_size.unwrap_or(FIRST_BATCH))?;
        let name = cursor.name.clone();
        let mut id = 0;
        if !cursor.rest.is_empty() && !wanted.is_single {
            self.next += 1;
            id = self.next;
            self.open.insert(id, cursor);
        }
        Ok(doc! {"cursor": {"firstBatch": batch, "id": id, "ns": name}})
    }

    /// The reply with the next batch.
    pub(super) fn fetch(
        &mut self,
        id: i64,
        namespace: &Namespace,
        batch_size: Option<usize>,
    ) -> Result<Document, Failure> {
        let name = namespace.to_string();
        let not_found = || Failure::new(Code::CursorNotFound, format!("cursor id {id} not found"));
        let mut cursor = self.open.remove(&id).ok_or_else(not_found)?;
        if cursor.name != name {
            let message = format!(
                "cursor id {id} belongs to '{}', not to '{name}'",
                cursor.name
            );
            self.open.insert(id, cursor);
            return Err(Failure::new(Code::Unauthorized, message));
        }
        let size = batch_size.filter(|size| *size > 0).unwrap_or(usize::MAX);
        let batch = cursor.batch(size)?;
        let mut next = 0;
        if !cursor.rest.is_empty() {
            next = id;
            self.open.insert(id, cursor);
        }
        Ok(doc! {"cursor": {"nextBatch": batch, "id": next, "ns": name}})
    }

    /// Closes a cursor; says whether there was one.
    pub(super) fn close(&mut self, id: i64) -> bool {
        self.open.remove(&id).is_some()
    }

    pub(super) fn close_session(&mut self, session: &SessionId) {
        self.open
            .retain(|_, cursor| cursor.session.as_ref() != Some(session));
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.open
            .retain(|_, cursor| now.saturating_duration_since(cursor.used) <= LIFETIME);
    }
}

impl Cursor {
    fn batch(&mut self, size: usize) -> Result<Vec<Bson>, Failure> {
        self.used = Instant::now();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < size
            && let Some(document) = self.rest.front()
        {
            let shown = match &self.projection {
                Some(projection) => projection.apply(document),
                None => Document::clone(document),
            };
            let length = shown.to_vec().map_err(|error| {
                Failure::new(
                    Code::InternalError,
                    format!("cannot encode a document: {error}"),
                )
            })?;
            bytes += length.len();
            if bytes > LARGEST_BATCH && !batch.is_empty() {
                break;
            }
            batch.push(Bson::Document(shown));
            self.rest.pop_front();
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(count: i32) -> Vec<Arc<Document>> {
        (0..count).map(|id| Arc::new(doc! {"_id": id})).collect()
    }

    fn opened(cursors: &mut Cursors, count: i32, wanted: Wanted) -> (usize, i64) {
        let namespace = Namespace::new("a", "b");
        let reply = cursors
            .open(&namespace, documents(count), None, wanted)
            .unwrap();
        let cursor = reply.get_document("cursor").unwrap();
        (
            cursor.get_array("firstBatch").unwrap().len(),
            cursor.get_i64("id").unwrap(),
        )
    }

    #[test]
    fn an_answer_comes_in_batches() {
        let mut cursors = Cursors::new(bson::DateTime::from_millis(1));
        let wanted = Wanted {
            batch_size: Some(2),
            ..Wanted::default()
        };
        let (first, id) = opened(&mut cursors, 5, wanted);
        assert_eq!(first, 2);
        let namespace = Namespace::new("a", "b");
        let other = Namespace::new("a", "c");
        assert_eq!(
            cursors.fetch(id, &other, None).unwrap_err().code,
            Code::Unauthorized
        );
        let second = cursors.fetch(id, &namespace, Some(2)).unwrap();
        assert_eq!(
            second,
            doc! {"cursor": {"nextBatch": [{"_id": 2}, {"_id": 3}], "id": id, "ns": "a.b"}}
        );
        let last = cursors.fetch(id, &namespace, None).unwrap();
        assert_eq!(
            last,
            doc! {"cursor": {"nextBatch": [{"_id": 4}], "id": 0_i64, "ns": "a.b"}}
        );
        assert_eq!(
            cursors.fetch(id, &namespace, None).unwrap_err().code,
            Code::CursorNotFound
        );
    }

    #[test]
    fn the_first_batch_has_the_wanted_size() {
        let mut cursors = Cursors::new(bson::DateTime::from_millis(1));
        assert_eq!(opened(&mut cursors, 200, Wanted::default()).0, 101);
        assert_eq!(opened(&mut cursors, 101, Wanted::default()).1, 0);
        let single = Wanted {
            batch_size: Some(1),
            is_single: true,
            session: None,
        };
        assert_eq!(opened(&mut cursors, 5, single), (1, 0));
        let empty = Wanted {
            batch_size: Some(0),
            ..Wanted::default()
        };
        let (size, id) = opened(&mut cursors, 5, empty);
        assert_eq!(size, 0);
        assert!(cursors.close(id));
        assert!(!cursors.close(id));
    }

    #[test]
    fn cursors_end_with_their_session_or_their_time() {
        let mut cursors = Cursors::new(bson::DateTime::from_millis(1));
        let wanted = || Wanted {
            batch_size: Some(1),
            is_single: false,
            session: Some(vec![1]),
        };
        let (_, first) = opened(&mut cursors, 5, wanted());
        cursors.close_session(&vec![1]);
        assert!(!cursors.close(first));
        let (_, second) = opened(&mut cursors, 5, wanted());
        cursors.expire(Instant::now() + LIFETIME + Duration::from_secs(1));
        assert!(!cursors.close(second));
    }
}
