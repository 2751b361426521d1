//! The dispatch: which command runs under which conditions, and what surrounds every command -
//! the replica set's role, transactions, repeated writes, and the disk. Knows all of the server's
//! state; must not know connections.
//!
//! Commands run one after the other. Changes are made in memory first and are on disk before the
//! command's lock is given back, so nobody reads what is not stored. When the disk fails, nothing
//! more is answered and the server stops.

mod administration;
mod collections;
mod reading;
mod replication;
mod transactions;
mod writing;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use bson::Bson;
use bson::Document;
use bson::Timestamp;
use bson::doc;

use super::super::container_log::with_causes;
use super::Options;
use super::catalog::Catalog;
use super::catalog::Namespace;
use super::catalog::Operation;
use super::cursor::Cursors;
use super::failure::Code;
use super::failure::Failure;
use super::log::Event;
use super::log::Log;
use super::request::Request;
use super::session::SessionId;
use super::session::Sessions;
use super::storage::Recovery;
use super::storage::StorageError;
use super::storage::Store;
use replication::Role;

/// What a command gives back: the reply without `ok`, or why there is none.
type Answer = Result<Document, Failure>;

/// What a member has to be for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Runs in every state.
    Always,
    /// Reads data.
    Read,
    /// Changes data.
    Write,
}

/// What a command works on.
#[derive(Clone, Copy)]
enum Run {
    /// The server itself.
    Engine(fn(&mut Engine, &Request) -> Answer),
    /// Collections as such; not within a transaction.
    Collections(fn(&mut Workspace<'_>, &Request) -> Answer),
    /// Documents.
    Documents(fn(&mut Workspace<'_>, &Request) -> Answer),
}

/// One command.
struct Definition {
    name: &'static str,
    access: Access,
    /// Runs in the database `admin` only.
    is_admin: bool,
    run: Run,
}

impl Definition {
    /// A command about the server itself, which runs before the initiation too.
    const fn of_server(
        name: &'static str,
        is_admin: bool,
        run: fn(&mut Engine, &Request) -> Answer,
    ) -> Self {
        Self {
            name,
            access: Access::Always,
            is_admin,
            run: Run::Engine(run),
        }
    }
}

const TABLES: [&[Definition]; 6] = [
    reading::COMMANDS,
    writing::COMMANDS,
    collections::COMMANDS,
    transactions::COMMANDS,
    replication::COMMANDS,
    administration::COMMANDS,
];

/// What commands on data see: the data, or a transaction's view of it.
struct Workspace<'a> {
    catalog: &'a mut Catalog,
    /// What has been changed, to be stored.
    operations: Vec<Operation>,
    cursors: &'a mut Cursors,
    session: Option<SessionId>,
}

impl Workspace<'_> {
    fn apply(&mut self, operation: Operation) {
        self.catalog.apply(&operation);
        self.operations.push(operation);
    }

    /// Creates the collection when it does not exist; says whether it had to.
    fn ensure(&mut self, namespace: &Namespace) -> bool {
        let is_new = self.catalog.collection(namespace).is_none();
        if is_new {
            let uuid = bson::Uuid::new();
            self.apply(Operation::Create {
                namespace: namespace.clone(),
                uuid,
            });
        }
        is_new
    }
}

/// Why the server has to stop.
#[derive(Debug)]
pub(super) enum Stop {
    /// A client asked for it.
    Requested,
    /// Writes can no longer be stored.
    Fault(StorageError),
    /// The server is shutting down and takes no more commands.
    Closed,
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// `None`: the connection closes without an answer, as after `shutdown`.
    pub(super) reply: Option<Document>,
    /// The server has to stop.
    pub(super) is_last: bool,
}

/// The server's state.
pub(super) struct Engine {
    options: Options,
    catalog: Catalog,
    store: Store,
    cursors: Cursors,
    sessions: Sessions,
    log: Log,
    started: bson::DateTime,
    started_at: Instant,
    /// When this member became primary, when it is.
    elected: Timestamp,
    last_write: Timestamp,
    connections: Arc<AtomicUsize>,
    stop: Option<Stop>,
}

impl Engine {
    /// Opens the data folder and takes the role in the replica set that it says.
    pub(super) fn open(
        options: Options,
        log: Log,
        connections: Arc<AtomicUsize>,
    ) -> Result<Self, StorageError> {
        let replica_set = options.replica_set.as_deref();
        log.line(&Event::Starting {
            folder: &options.data,
            replica_set,
        });
        let (store, catalog, recovery) = Store::open(&options.data)?;
        let Recovery {
            records,
            torn,
            compacted,
        } = recovery;
        if let Some(bytes) = torn {
            log.line(&Event::TornTail { bytes });
        }
        if let Some((before, after)) = compacted {
            log.line(&Event::Compacted { before, after });
        }
        log.line(&Event::Replayed { records });
        let started = bson::DateTime::now();
        let now = timestamp(started, 1);
        let mut engine = Self {
            options,
            catalog,
            store,
            cursors: Cursors::new(started),
            sessions: Sessions::default(),
            log,
            started,
            started_at: Instant::now(),
            elected: now,
            last_write: now,
            connections,
            stop: None,
        };
        let setup = [
            administration::initial_version(&engine),
            replication::on_start(&engine),
        ];
        engine.store_operations(&setup.concat())?;
        replication::log_role(&engine, "STARTUP");
        Ok(engine)
    }

    /// Runs one command.
    pub(super) fn run(&mut self, request: &Request) -> Outcome {
        let reply = match self.answer(request) {
            Ok(mut reply) => {
                reply.insert("ok", 1.0);
                reply
            }
            Err(failure) => failure.reply(),
        };
        match &self.stop {
            None => Outcome {
                reply: Some(reply),
                is_last: false,
            },
            Some(Stop::Requested) => Outcome {
                reply: None,
                is_last: true,
            },
            Some(Stop::Fault(_) | Stop::Closed) => Outcome {
                reply: Some(reply),
                is_last: true,
            },
        }
    }

    /// Takes no more commands, syncs and lets the next server have the folder. Gives back why the
    /// server stopped, if it did so by itself.
    pub(super) fn close(&mut self) -> Result<(), StorageError> {
        match self.stop.replace(Stop::Closed) {
            Some(Stop::Fault(error)) => Err(error),
            _ => {
                self.store.sync()?;
                self.store.release()
            }
        }
    }

    /// What brought the server to stop, for the log.
    pub(super) fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    fn answer(&mut self, request: &Request) -> Answer {
        if self.stop.is_some() {
            return Err(Failure::new(
                Code::ShutdownInProgress,
                "the server is shutting down",
            ));
        }
        let now = Instant::now();
        self.sessions.expire(now);
        self.cursors.expire(now);
        let definition = TABLES
            .into_iter()
            .flatten()
            .find(|definition| definition.name == request.name)
            .ok_or_else(|| {
                let message = format!("no such command: '{}'", request.name);
                Failure::new(Code::CommandNotFound, message)
            })?;
        if definition.is_admin && request.database != "admin" {
            let message = format!(
                "{} may only be run against the admin database",
                request.name
            );
            return Err(Failure::new(Code::Unauthorized, message));
        }
        self.check_role(definition.access, request)?;
        let is_data = !matches!(definition.run, Run::Engine(_));
        if is_data && request.transaction_number().is_some() && self.role() == Role::Standalone {
            let message = "transaction numbers are only allowed on a replica set member";
            return Err(Failure::new(Code::IllegalOperation, message));
        }
        let mut reply = match definition.run {
            Run::Engine(run) => run(self, request)?,
            Run::Documents(run) if request.is_in_transaction() => {
                self.run_in_transaction(run, request)?
            }
            Run::Collections(_) if request.is_in_transaction() => {
                let message = format!("cannot run '{}' in a transaction", request.name);
                return Err(Failure::new(
                    Code::OperationNotSupportedInTransaction,
                    message,
                ));
            }
            Run::Documents(run) if definition.access == Access::Write => {
                self.run_once(run, request)?
            }
            Run::Documents(run) | Run::Collections(run) => self.run_now(run, request)?,
        };
        if definition.access == Access::Write
            && let Some(error) = unsatisfiable(request)
        {
            reply.insert("writeConcernError", error);
        }
        Ok(reply)
    }

    fn check_role(&self, access: Access, request: &Request) -> Result<(), Failure> {
        if matches!(self.role(), Role::Standalone | Role::Primary(_)) {
            return Ok(());
        }
        match access {
            Access::Always => Ok(()),
            Access::Write => Err(Failure::new(Code::NotWritablePrimary, "not primary")),
            Access::Read => {
                let preference = request.body.get_document("$readPreference");
                let is_elsewhere_welcome = preference
                    .and_then(|preference| preference.get_str("mode"))
                    .is_ok_and(|mode| mode != "primary");
                Err(if is_elsewhere_welcome {
                    let message = "node is not in primary or recovering state";
                    Failure::new(Code::NotPrimaryOrSecondary, message)
                } else {
                    let message = "not primary and secondaryOk=false";
                    Failure::new(Code::NotPrimaryNoSecondaryOk, message)
                })
            }
        }
    }

    /// Runs a command on the data itself and stores what it changed, also when it failed half-way.
    fn run_now(
        &mut self,
        run: fn(&mut Workspace<'_>, &Request) -> Answer,
        request: &Request,
    ) -> Answer {
        let mut workspace = Workspace {
            catalog: &mut self.catalog,
            operations: Vec::new(),
            cursors: &mut self.cursors,
            session: request.session(),
        };
        let answer = run(&mut workspace, request);
        let operations = workspace.operations;
        self.persist(&operations)?;
        answer
    }

    /// As [`Self::run_now`], but a write that the driver repeats is answered, not applied again.
    fn run_once(
        &mut self,
        run: fn(&mut Workspace<'_>, &Request) -> Answer,
        request: &Request,
    ) -> Answer {
        let (Some(session), Some(number)) = (request.session(), request.transaction_number())
        else {
            return self.run_now(run, request);
        };
        if let Some(reply) = self.sessions.applied(&session, number)? {
            return Ok(reply);
        }
        let reply = self.run_now(run, request)?;
        self.sessions.remember(session, number, reply.clone());
        Ok(reply)
    }

    /// Applies and stores changes that the server itself makes.
    fn record(&mut self, operations: &[Operation]) -> Result<(), Failure> {
        for operation in operations {
            self.catalog.apply(operation);
        }
        self.persist(operations)
    }

    /// Stores changes that are already applied. After an error the server stops.
    fn persist(&mut self, operations: &[Operation]) -> Result<(), Failure> {
        if operations.is_empty() {
            return Ok(());
        }
        self.last_write = self.next_timestamp();
        self.store
            .append(operations)
            .map_err(|error| self.fault(error))
    }

    /// Stops the server: nobody knows what the disk holds.
    fn fault(&mut self, error: StorageError) -> Failure {
        let text = with_causes(&error);
        self.log.line(&Event::StorageFailed { error: &text });
        self.stop = Some(Stop::Fault(error));
        Failure::new(Code::InternalError, format!("cannot store writes: {text}"))
    }

    fn store_operations(&mut self, operations: &[Operation]) -> Result<(), StorageError> {
        for operation in operations {
            self.catalog.apply(operation);
        }
        if operations.is_empty() {
            Ok(())
        } else {
            self.store.append(operations)
        }
    }

    /// A time after that of the last write.
    fn next_timestamp(&self) -> Timestamp {
        let now = timestamp(bson::DateTime::now(), 1);
        let last = self.last_write;
        if now.time > last.time {
            now
        } else {
            Timestamp {
                time: last.time,
                increment: last.increment.saturating_add(1),
            }
        }
    }
}

fn timestamp(at: bson::DateTime, increment: u32) -> Timestamp {
    let seconds = at.timestamp_millis() / 1000;
    Timestamp {
        time: u32::try_from(seconds).unwrap_or_default(),
        increment,
    }
}

/// A set of one member cannot confirm a write on more of them.
fn unsatisfiable(request: &Request) -> Option<Document> {
    let concern = request.body.get_document("writeConcern").ok()?;
    let members = match concern.get("w")? {
        Bson::Int32(members) => i64::from(*members),
        Bson::Int64(members) => *members,
        _ => return None,
    };
    (members > 1).then(|| {
        doc! {
            "code": Code::UnsatisfiableWriteConcern.number(),
            "codeName": Code::UnsatisfiableWriteConcern.name(),
            "errmsg": "not enough data-bearing nodes: the bundled server is the only member",
        }
    })
}

/// A whole number in the narrowest type: drivers expect small counts as 32-bit numbers.
fn count(number: usize) -> Bson {
    match i32::try_from(number) {
        Ok(number) => Bson::Int32(number),
        Err(_) => Bson::Int64(i64::try_from(number).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tempfile::TempDir;

    use super::super::request::Peer;
    use super::*;

    fn engine(replica_set: Option<&str>) -> (TempDir, Engine) {
        let folder = TempDir::new().unwrap();
        let options = Options {
            data: folder.path().to_owned(),
            replica_set: replica_set.map(str::to_owned),
            address: "mongo:27017".to_owned(),
        };
        let log = Log::new(std::io::sink());
        let engine = Engine::open(options, log, Arc::default()).unwrap();
        (folder, engine)
    }

    fn initiated() -> (TempDir, Engine) {
        let (folder, mut engine) = engine(Some("overleaf"));
        let reply = run(&mut engine, doc! {"replSetInitiate": {}, "$db": "admin"});
        assert_eq!(reply.get_f64("ok").unwrap(), 1.0);
        (folder, engine)
    }

    fn request(body: Document) -> Request {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Request::new(
            body,
            Peer {
                address,
                connection: 1,
            },
        )
        .unwrap()
    }

    fn run(engine: &mut Engine, body: Document) -> Document {
        engine.run(&request(body)).reply.unwrap()
    }

    fn code(reply: &Document) -> Option<i32> {
        reply.get_i32("code").ok()
    }

    #[test]
    fn names_in_replies_are_those_of_the_protocol() {
        let (_folder, mut engine) = engine(None);
        let reply = run(&mut engine, doc! {"frobnicate": 1, "$db": "a"});
        assert_eq!(
            reply,
            doc! {
                "ok": 0.0,
                "errmsg": "no such command: 'frobnicate'",
                "code": 59,
                "codeName": "CommandNotFound",
            }
        );
    }

    #[test]
    fn conditions_of_commands_are_checked() {
        let (primary, waiting, alone) = (0, 1, 2);
        let mut engines = [initiated(), engine(Some("overleaf")), engine(None)];
        let session = doc! {"id": bson::Uuid::new()};
        let insert = doc! {"insert": "b", "documents": [{"_id": 1}], "$db": "a"};
        let with = |field: &str, value: Bson| {
            let mut insert = insert.clone();
            insert.insert(field, value);
            insert
        };
        let find = doc! {"find": "b", "$db": "a"};
        let mut find_elsewhere = find.clone();
        find_elsewhere.insert("$readPreference", doc! {"mode": "primaryPreferred"});
        let mut numbered = with("txnNumber", 1_i64.into());
        numbered.insert("lsid", session.clone());
        let mut drop_in_transaction = doc! {"drop": "b", "autocommit": false, "$db": "a"};
        drop_in_transaction.insert("lsid", session);
        let cases = [
            (
                primary,
                doc! {"listDatabases": 1, "$db": "a"},
                Code::Unauthorized,
            ),
            (
                primary,
                with("collation", doc! {}.into()),
                Code::NotImplemented,
            ),
            (
                primary,
                drop_in_transaction,
                Code::OperationNotSupportedInTransaction,
            ),
            (waiting, insert.clone(), Code::NotWritablePrimary),
            (waiting, find, Code::NotPrimaryNoSecondaryOk),
            (waiting, find_elsewhere, Code::NotPrimaryOrSecondary),
            (alone, numbered, Code::IllegalOperation),
        ];
        for (number, body, expected) in cases {
            let name = body.to_string();
            let (_folder, engine) = &mut engines[number];
            assert_eq!(code(&run(engine, body)), Some(expected.number()), "{name}");
        }
        let (_folder, engine) = &mut engines[primary];
        let reply = run(engine, with("writeConcern", doc! {"w": 2}.into()));
        assert_eq!(reply.get_i32("n").unwrap(), 1);
        assert_eq!(
            code(reply.get_document("writeConcernError").unwrap()),
            Some(100)
        );
    }

    #[test]
    fn a_write_that_cannot_be_stored_is_an_error_and_ends_the_server() {
        let (_folder, mut engine) = initiated();
        engine.store.break_writes();
        let insert = doc! {"insert": "b", "documents": [{"_id": 1}], "$db": "a"};
        let outcome = engine.run(&request(insert));
        assert_eq!(
            code(&outcome.reply.unwrap()),
            Some(Code::InternalError.number())
        );
        assert!(outcome.is_last);
        let reply = run(&mut engine, doc! {"find": "b", "$db": "a"});
        assert_eq!(code(&reply), Some(Code::ShutdownInProgress.number()));
        assert!(matches!(
            engine.close(),
            Err(StorageError::File {
                action: "write",
                ..
            })
        ));
    }

    #[test]
    fn a_closed_server_takes_no_more_commands() {
        let (folder, mut engine) = initiated();
        engine.close().unwrap();
        let reply = run(&mut engine, doc! {"ping": 1, "$db": "admin"});
        assert_eq!(code(&reply), Some(Code::ShutdownInProgress.number()));
        Store::open(folder.path()).unwrap();
    }

    #[test]
    fn an_unordered_write_goes_on_after_an_error() {
        let (_folder, mut engine) = engine(None);
        let documents = [
            doc! {"_id": 1},
            doc! {"_id": 1},
            doc! {"_id": []},
            doc! {"_id": 2},
        ];
        for (is_ordered, inserted, failed) in [(true, 1, vec![1]), (false, 2, vec![1, 2])] {
            let reply = run(
                &mut engine,
                doc! {
                    "insert": format!("c{is_ordered}"),
                    "documents": documents.to_vec(),
                    "ordered": is_ordered,
                    "$db": "a",
                },
            );
            let errors = reply.get_array("writeErrors").unwrap();
            let indexes: Vec<i32> = errors
                .iter()
                .map(|error| error.as_document().unwrap().get_i32("index").unwrap())
                .collect();
            assert_eq!((reply.get_i32("n").unwrap(), indexes), (inserted, failed));
        }
    }

    #[test]
    fn pipelines_are_limited_to_plain_stages() {
        let (_folder, mut engine) = engine(None);
        let documents: Vec<Document> = (0..5).map(|id| doc! {"_id": id, "a": id % 2}).collect();
        run(
            &mut engine,
            doc! {"insert": "b", "documents": documents, "$db": "a"},
        );
        let mut aggregate = |pipeline: Vec<Document>| {
            let body = doc! {"aggregate": "b", "pipeline": pipeline, "cursor": {}, "$db": "a"};
            let reply = run(&mut engine, body);
            match reply.get_document("cursor") {
                Ok(cursor) => Ok(cursor.get_array("firstBatch").unwrap().clone()),
                Err(_) => Err(code(&reply).unwrap()),
            }
        };
        let group = doc! {"$group": {"_id": 1, "n": {"$sum": 1}}};
        let found = |documents: &[Document]| Ok(documents.iter().map(Bson::from).collect());
        type Found = Result<Vec<Bson>, i32>;
        let cases: [(Vec<Document>, Found); 8] = [
            (
                vec![doc! {"$match": {"a": 0}}, group.clone()],
                found(&[doc! {"_id": 1, "n": 3}]),
            ),
            (
                vec![doc! {"$skip": 1}, doc! {"$limit": 2}, doc! {"$count": "n"}],
                found(&[doc! {"n": 2}]),
            ),
            (vec![doc! {"$match": {"a": 9}}, group], found(&[])),
            (
                vec![
                    doc! {"$sort": {"_id": -1}},
                    doc! {"$limit": 1},
                    doc! {"$project": {"a": 1}},
                ],
                found(&[doc! {"_id": 4, "a": 0}]),
            ),
            (vec![doc! {"$lookup": {}}], Err(40324)),
            (
                vec![doc! {"$group": {"_id": "$a", "n": {"$sum": 1}}}],
                found(&[doc! {"_id": 0, "n": 3}, doc! {"_id": 1, "n": 2}]),
            ),
            (
                vec![doc! {"$group": {"_id": {"a": "$a"}, "n": {"$sum": 1}}}],
                Err(238),
            ),
            (vec![doc! {"$limit": 0}], Err(2)),
        ];
        for (pipeline, expected) in cases {
            let name = format!("{pipeline:?}");
            assert_eq!(aggregate(pipeline), expected, "{name}");
        }
    }
}
