//! Sessions of drivers: the last retryable write, so that a repeated one is not applied twice, and
//! the open transaction with its own view of the data. Sessions live in memory only: a write
//! repeated after a restart is a new write. Must not know commands or files.
//!
//! A transaction sees the data of its start and its own changes. Its commit fails when another
//! write has changed one of the documents it changes, and then nothing of it is applied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bson::Document;

use super::catalog::Catalog;
use super::catalog::Namespace;
use super::catalog::Operation;
use super::catalog::identity;
use super::failure::Code;
use super::failure::Failure;

/// After this time without a command a session is forgotten.
pub(super) const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// After this time an open transaction is aborted.
const TRANSACTION_LIFETIME: Duration = Duration::from_secs(60);

/// What a driver calls its session.
pub(super) type SessionId = Vec<u8>;

/// An open transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    started: Instant,
    base: Catalog,
    /// The data as the transaction sees it.
    pub(super) view: Catalog,
    /// What it has changed in its view.
    pub(super) operations: Vec<Operation>,
}

impl Transaction {
    pub(super) fn new(catalog: &Catalog) -> Self {
        Self {
            started: Instant::now(),
            base: catalog.clone(),
            view: catalog.clone(),
            operations: Vec::new(),
        }
    }

    /// The first collection in which `current` differs from the base where this transaction writes.
    pub(super) fn conflict(&self, current: &Catalog) -> Option<&Namespace> {
        self.operations
            .iter()
            .find(|operation| {
                let namespace = operation.namespace();
                let uuid = |catalog: &Catalog| catalog.collection(namespace).map(|c| c.uuid);
                let id = match operation {
                    Operation::Put { document, .. } => Some(identity(document)),
                    Operation::Remove { id, .. } => Some(id.clone()),
                    _ => None,
                };
                let is_document_changed = id.is_some_and(|id| {
                    match (self.base.find(namespace, &id), current.find(namespace, &id)) {
                        (None, None) => false,
                        (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
                        _ => true,
                    }
                });
                is_document_changed || uuid(&self.base) != uuid(current)
            })
            .map(Operation::namespace)
    }
}

#[derive(Debug)]
enum Last {
    Write(Document),
    Open(Transaction),
    Committed,
    Aborted,
}

#[derive(Debug)]
struct Session {
    used: Instant,
    number: i64,
    last: Last,
}

/// All sessions that have a transaction or a retryable write.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
}

impl Sessions {
    /// The reply to a retryable write that was applied before; `None` when it is new.
    pub(super) fn applied(&self, id: &SessionId, number: i64) -> Result<Option<Document>, Failure> {
        match self.sessions.get(id) {
            None => Ok(None),
            Some(session) if session.number < number => Ok(None),
            Some(session) if session.number > number => Err(too_old(session.number, number)),
            Some(Session {
                last: Last::Write(reply),
                ..
            }) => Ok(Some(reply.clone())),
            Some(_) => {
                let message = format!("the number {number} belongs to a transaction");
                Err(Failure::new(Code::IllegalOperation, message))
            }
        }
    }

    /// Keeps the reply to a retryable write.
    pub(super) fn remember(&mut self, id: SessionId, number: i64, reply: Document) {
        self.set(id, number, Last::Write(reply));
    }

    /// Begins a transaction. One of the session that is still open is aborted.
    pub(super) fn begin(
        &mut self,
        id: &SessionId,
        number: i64,
        catalog: &Catalog,
    ) -> Result<Transaction, Failure> {
        match self.sessions.get(id) {
            Some(session) if session.number > number => Err(too_old(session.number, number)),
            Some(session) if session.number == number => {
                let message = format!("the transaction {number} has already begun");
                Err(Failure::new(Code::IllegalOperation, message))
            }
            _ => Ok(Transaction::new(catalog)),
        }
    }

    /// Takes the open transaction out; [`Self::keep`], [`Self::committed`] or [`Self::aborted`]
    /// has to follow.
    pub(super) fn take(&mut self, id: &SessionId, number: i64) -> Result<Transaction, Failure> {
        let session = self
            .sessions
            .get_mut(id)
            .filter(|session| session.number == number);
        match session.map(|session| std::mem::replace(&mut session.last, Last::Aborted)) {
            Some(Last::Open(transaction)) => Ok(transaction),
            Some(other) => {
                self.set(id.clone(), number, other);
                Err(no_transaction(number))
            }
            None => Err(no_transaction(number)),
        }
    }

    pub(super) fn keep(&mut self, id: SessionId, number: i64, transaction: Transaction) {
        self.set(id, number, Last::Open(transaction));
    }

    pub(super) fn committed(&mut self, id: SessionId, number: i64) {
        self.set(id, number, Last::Committed);
    }

    pub(super) fn aborted(&mut self, id: SessionId, number: i64) {
        self.set(id, number, Last::Aborted);
    }

    pub(super) fn is_committed(&self, id: &SessionId, number: i64) -> bool {
        self.sessions.get(id).is_some_and(|session| {
            session.number == number && matches!(session.last, Last::Committed)
        })
    }

    /// Forgets a session; its open transaction is aborted.
    pub(super) fn end(&mut self, id: &SessionId) {
        self.sessions.remove(id);
    }

    /// Aborts transactions and forgets sessions that have been open for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        self.sessions.retain(|_, session| {
            if let Last::Open(transaction) = &session.last
                && now.saturating_duration_since(transaction.started) > TRANSACTION_LIFETIME
            {
                session.last = Last::Aborted;
            }
            now.saturating_duration_since(session.used) <= SESSION_LIFETIME
        });
    }

    fn set(&mut self, id: SessionId, number: i64, last: Last) {
        self.sessions.insert(
            id,
            Session {
                used: Instant::now(),
                number,
                last,
            },
        );
    }
}

fn too_old(newest: i64, number: i64) -> Failure {
    let message = format!("the session has already used the number {newest}: {number} is too old");
    Failure::new(Code::TransactionTooOld, message)
}

fn no_transaction(number: i64) -> Failure {
    let message = format!("the transaction number {number} does not match any open transaction");
    Failure::transient(Code::NoSuchTransaction, message)
}

#[cfg(test)]
mod tests {
    use bson::Uuid;
    use bson::doc;

    use super::*;

    fn namespace() -> Namespace {
        Namespace::new("a", "b")
    }

    fn put(id: i32) -> Operation {
        Operation::Put {
            namespace: namespace(),
            document: Arc::new(doc! {"_id": id}),
        }
    }

    fn create(uuid: u8) -> Operation {
        Operation::Create {
            namespace: namespace(),
            uuid: Uuid::from_bytes([uuid; 16]),
        }
    }

    fn catalog(operations: &[Operation]) -> Catalog {
        let mut catalog = Catalog::default();
        for operation in operations {
            catalog.apply(operation);
        }
        catalog
    }

    #[test]
    fn a_commit_conflicts_only_where_both_sides_write() {
        let remove = Operation::Remove {
            namespace: namespace(),
            id: 1.into(),
        };
        let recreated = [
            Operation::Drop {
                namespace: namespace(),
            },
            create(2),
        ];
        let cases: [(&str, &[Operation], &[Operation], bool); 7] = [
            ("nothing else", &[put(1)], &[], false),
            ("another document", &[put(1)], &[put(2)], false),
            ("the same document", &[put(1)], &[put(1)], true),
            (
                "removed meanwhile",
                &[put(1)],
                std::slice::from_ref(&remove),
                true,
            ),
            (
                "removed here",
                std::slice::from_ref(&remove),
                &[put(1)],
                true,
            ),
            ("both insert", &[put(5)], &[put(5)], true),
            ("recreated", &[put(5)], &recreated, true),
        ];
        for (name, here, there, expected) in cases {
            let mut current = catalog(&[create(1), put(1)]);
            let mut transaction = Transaction::new(&current);
            transaction.operations.extend_from_slice(here);
            for operation in there {
                current.apply(operation);
            }
            assert_eq!(transaction.conflict(&current).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn a_repeated_write_gets_the_first_reply() {
        let mut sessions = Sessions::default();
        let id = vec![1];
        assert_eq!(sessions.applied(&id, 4).unwrap(), None);
        sessions.remember(id.clone(), 4, doc! {"n": 1});
        assert_eq!(sessions.applied(&id, 4).unwrap(), Some(doc! {"n": 1}));
        assert_eq!(sessions.applied(&id, 5).unwrap(), None);
        assert_eq!(
            sessions.applied(&id, 3).unwrap_err().code,
            Code::TransactionTooOld
        );
    }

    #[test]
    fn a_transaction_is_open_until_it_ends() {
        let mut sessions = Sessions::default();
        let id = vec![1];
        assert_eq!(
            sessions.take(&id, 1).unwrap_err().code,
            Code::NoSuchTransaction
        );
        let transaction = sessions.begin(&id, 1, &Catalog::default()).unwrap();
        sessions.keep(id.clone(), 1, transaction);
        assert!(sessions.begin(&id, 1, &Catalog::default()).is_err());
        assert!(sessions.take(&id, 2).is_err());
        assert!(sessions.take(&id, 1).is_ok());
        sessions.committed(id.clone(), 1);
        assert!(sessions.is_committed(&id, 1));
        assert!(sessions.take(&id, 1).is_err());
        assert!(sessions.is_committed(&id, 1));
    }

    #[test]
    fn old_transactions_and_sessions_expire() {
        let mut sessions = Sessions::default();
        let transaction = sessions.begin(&vec![1], 1, &Catalog::default()).unwrap();
        sessions.keep(vec![1], 1, transaction);
        sessions.remember(vec![2], 1, doc! {});
        sessions.expire(Instant::now() + TRANSACTION_LIFETIME + Duration::from_secs(1));
        assert!(sessions.take(&vec![1], 1).is_err());
        assert!(sessions.applied(&vec![2], 1).unwrap().is_some());
        sessions.expire(Instant::now() + SESSION_LIFETIME + Duration::from_secs(1));
        assert!(sessions.applied(&vec![2], 1).unwrap().is_none());
    }
}
