//! The server's state and the way of one request through it: may it run, run it, record what it
//! changed, answer. Runs under one lock, never waits for a client, and must not know sockets.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::super::container_log::with_causes;
use super::clients::Clients;
use super::command::{self, Context, Refusal, Run, Stage};
use super::database::{DatabaseIndex, Keyspace};
use super::journal::Journal;
use super::persistence::{Record, Storage, StorageError};
use super::resp::Reply;
use super::session::Session;

/// What `SHUTDOWN` says about the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum FinalSave {
    /// Written while the append-only file is off.
    #[default]
    WithoutAppendFile,
    Always,
    Never,
}

/// What the server is started with.
pub(super) struct Setup {
    pub(super) storage: Storage,
    pub(super) journal: Arc<Journal>,
    pub(super) append_only: bool,
    pub(super) password: Option<String>,
    pub(super) port: u16,
    /// In milliseconds since 1970.
    pub(super) now: i64,
}

/// The state of the server.
pub(super) struct Engine {
    pub(super) keyspace: Keyspace,
    pub(super) storage: Storage,
    pub(super) clients: Clients,
    pub(super) journal: Arc<Journal>,
    pub(super) password: Option<String>,
    pub(super) port: u16,
    pub(super) started_at: i64,
    /// The time of the request at hand; all commands of a transaction see the same.
    pub(super) now: i64,
    pub(super) is_loading: bool,
    /// Whether the append-only file is to be used once the dataset has been loaded.
    pub(super) append_only: bool,
    pub(super) commands_processed: u64,
    /// Changes since the snapshot was written.
    pub(super) unsaved_changes: u64,
    pub(super) last_save: i64,
    pub(super) final_save: FinalSave,
    /// Told when a client asks the server to stop.
    pub(super) stop: Arc<Notify>,
    /// Told of every request, after which there may be something to do now and then.
    pub(super) stirred: Arc<Notify>,
    records: Vec<Record>,
    is_failure_logged: bool,
}

impl Engine {
    /// A server whose dataset is yet to be loaded.
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            keyspace: Keyspace::default(),
            storage: setup.storage,
            clients: Clients::default(),
            journal: setup.journal,
            password: setup.password,
            port: setup.port,
            started_at: setup.now,
            now: setup.now,
            is_loading: true,
            append_only: setup.append_only,
            commands_processed: 0,
            unsaved_changes: 0,
            last_save: setup.now,
            final_save: FinalSave::default(),
            stop: Arc::new(Notify::new()),
            stirred: Arc::new(Notify::new()),
            records: Vec::new(),
            is_failure_logged: false,
        }
    }

    /// Takes the dataset and begins to answer; how many keys had ended in the meantime.
    pub(super) fn begin(&mut self, keyspace: Keyspace, now: i64) -> Result<usize, StorageError> {
        if self.append_only {
            self.storage.start_append_file()?;
        }
        self.keyspace = keyspace;
        self.is_loading = false;
        Ok(self.remove_due(now))
    }

    pub(super) fn connect(&mut self, address: Option<std::net::SocketAddr>, now: i64) -> Session {
        let (id, inbox) = self.clients.connect(address, now);
        Session::new(id, self.password.is_none(), inbox)
    }

    pub(super) fn disconnect(&mut self, session: &mut Session) {
        command::unsubscribe_all(self, session);
        command::unwatch_all(self, session);
        self.clients.disconnect(session.id);
    }

    /// Answers one request. What it changed has been handed to the system before this returns.
    pub(super) fn execute(
        &mut self,
        session: &mut Session,
        request: Vec<Bytes>,
        now: i64,
    ) -> Reply {
        self.commands_processed += 1;
        self.remove_due(now);
        let reply = self.admit_and_run(session, request);
        self.stirred.notify_one();
        if self.records.is_empty() {
            return reply;
        }
        match self.append(true) {
            Ok(()) => reply,
            // The change has been made, but nobody may rely on it.
            Err(error) => {
                let reason = std::error::Error::source(&error)
                    .unwrap_or(&error)
                    .to_string();
                Reply::Error(Refusal::NotRecorded { reason }.to_string())
            }
        }
    }

    fn admit_and_run(&mut self, session: &mut Session, request: Vec<Bytes>) -> Reply {
        let command = match self.admit(session, &request) {
            Ok(command) => command,
            Err(refusal) => {
                if let Some(transaction) = &mut session.transaction {
                    transaction.is_broken = true;
                }
                return Reply::Error(refusal.to_string());
            }
        };
        if let Some(client) = self.clients.client_mut(session.id) {
            client.command = command.name();
        }
        if let Some(transaction) = &mut session.transaction
            && !command.is_immediate()
        {
            transaction.requests.push(request);
            return Reply::Status("QUEUED");
        }
        self.run(session, &request)
    }

    /// Whether a request may be run now, or queued.
    fn admit(
        &self,
        session: &Session,
        request: &[Bytes],
    ) -> Result<&'static command::Command, Refusal> {
        let (name, arguments) = request.split_first().ok_or(Refusal::Syntax)?;
        let command = command::find(name, arguments)?;
        if !session.is_authenticated && command.stage() > Stage::Greeting {
            return Err(Refusal::NotAuthenticated);
        }
        if session.subscription_count() > 0 && !command.is_for_subscribers() {
            return Err(Refusal::Subscribed {
                command: command.name().to_owned(),
            });
        }
        if self.is_loading && command.stage() > Stage::Loading {
            return Err(Refusal::Loading);
        }
        Ok(command)
    }

    /// Runs one request that has been admitted.
    pub(super) fn run(&mut self, session: &mut Session, request: &[Bytes]) -> Reply {
        let outcome = request
            .split_first()
            .ok_or(Refusal::Syntax)
            .and_then(|(name, arguments)| {
                let command = command::find(name, arguments)?;
                match command.run() {
                    Run::Server(run) => run(self, session, arguments),
                    Run::Data(run) => {
                        if command.is_write()
                            && let Some(refusal) = self.refuses_changes()
                        {
                            return Err(refusal);
                        }
                        let mut context =
                            Context::new(&mut self.keyspace, session.selected, self.now);
                        let outcome = run(&mut context, arguments);
                        let changes = context.into_changes();
                        if changes.count > 0 {
                            self.unsaved_changes += changes.count;
                            let commands =
                                changes.instead.unwrap_or_else(|| vec![request.to_vec()]);
                            for arguments in commands {
                                self.record(session.selected, arguments);
                            }
                        }
                        outcome
                    }
                }
            });
        outcome.unwrap_or_else(|refusal| Reply::Error(refusal.to_string()))
    }

    /// Why nothing may be changed, while that is so.
    fn refuses_changes(&self) -> Option<Refusal> {
        self.storage
            .append_failure()
            .map(|reason| Refusal::NotRecorded {
                reason: reason.to_owned(),
            })
    }

    fn record(&mut self, database: DatabaseIndex, arguments: Vec<Bytes>) {
        if self.storage.is_append_only() {
            self.records.push(Record {
                database,
                arguments,
            });
        }
    }

    /// Hands the changes so far to the append-only file, those of a transaction as one. What
    /// cannot be written is kept there and tried again with the next call.
    fn append(&mut self, is_transaction: bool) -> Result<(), StorageError> {
        let records = std::mem::take(&mut self.records);
        let outcome = self.storage.append(&records, is_transaction);
        self.log_failure();
        outcome
    }

    /// Logs when recording begins to fail and when it works again, not each time in between.
    fn log_failure(&mut self) {
        match (self.storage.append_failure(), self.is_failure_logged) {
            (Some(reason), false) => {
                self.journal.warning(&format!(
                    "Changes cannot be recorded in the append-only file, writes are refused: \
                     {reason}"
                ));
                self.is_failure_logged = true;
            }
            (None, true) => {
                self.journal
                    .notice("Changes are recorded in the append-only file again");
                self.is_failure_logged = false;
            }
            _ => {}
        }
    }

    /// Removes the keys whose deadline has come, in all databases; how many. Their end is recorded
    /// like any change, because later commands may rely on it.
    fn remove_due(&mut self, now: i64) -> usize {
        self.now = now;
        if self.is_loading {
            return 0;
        }
        let mut count = 0;
        for index in DatabaseIndex::all() {
            for key in self.keyspace.database_mut(index).remove_due(now) {
                self.record(index, vec![Bytes::from_static(b"DEL"), key]);
                self.unsaved_changes += 1;
                count += 1;
            }
        }
        if count > 0 {
            // A failure is kept in the storage, where the next change finds it.
            self.append(false).ok();
        }
        count
    }

    /// What has to happen now and then without a request: keys end, and what could not be
    /// recorded is tried again.
    pub(super) fn tick(&mut self, now: i64) {
        self.remove_due(now);
        if self.storage.append_failure().is_some() {
            // A failure is kept in the storage, where the next change finds it.
            self.append(false).ok();
        }
    }

    /// Whether nothing has to happen before the next request: no key ends, and the append-only
    /// file is whole and on the disk where there is one.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.keyspace.has_deadlines() && !self.storage.is_behind()
    }

    /// Takes the outcome of a sync.
    pub(super) fn note_sync(&mut self, outcome: &std::io::Result<()>) {
        self.storage.note_sync(outcome);
        self.log_failure();
    }

    /// Puts the dataset into a fresh append-only file, and turns recording on if asked.
    pub(super) fn rewrite(&mut self, turn_on: bool) -> Result<(), StorageError> {
        // Changes of a transaction that are still to be recorded are part of the fresh file;
        // recorded after it they would be repeated.
        // A failure here is made good by the fresh file, and is kept in the storage without it.
        self.append(false).ok();
        let outcome = self.storage.rewrite(&self.keyspace, turn_on);
        match &outcome {
            Ok(()) => self.journal.notice(&format!(
                "Append-only file rewritten: {} keys",
                self.keyspace.len()
            )),
            Err(error) => self.log_error("The append-only file was not rewritten", error),
        }
        self.log_failure();
        outcome
    }

    /// Ends recording in the append-only file.
    pub(super) fn turn_off_append_file(&mut self) -> Result<(), StorageError> {
        let outcome = self
            .append(false)
            .and_then(|()| self.storage.stop_append_file());
        if let Err(error) = &outcome {
            self.log_error("The append-only file was not closed", error);
        }
        self.log_failure();
        outcome
    }

    /// Writes the snapshot.
    pub(super) fn save(&mut self) -> Result<(), StorageError> {
        let outcome = self.storage.save(&self.keyspace);
        match &outcome {
            Ok(()) => {
                self.unsaved_changes = 0;
                self.last_save = self.now;
                self.journal
                    .notice(&format!("Snapshot written: {} keys", self.keyspace.len()));
            }
            Err(error) => self.log_error("The snapshot was not written", error),
        }
        outcome
    }

    fn log_error(&self, text: &str, error: &StorageError) {
        self.journal
            .warning(&format!("{text}: {}", with_causes(error)));
    }

    /// Puts everything on the disk before the server ends. A dataset that has not been loaded is
    /// left alone.
    pub(super) fn finish(&mut self, now: i64) -> Result<(), StorageError> {
        if self.is_loading {
            return Ok(());
        }
        self.remove_due(now);
        let is_append_only = self.storage.is_append_only();
        let recorded = self
            .append(false)
            .and_then(|()| self.storage.stop_append_file());
        let saves = match self.final_save {
            FinalSave::Always => true,
            FinalSave::Never => false,
            FinalSave::WithoutAppendFile => !is_append_only,
        };
        let saved = if saves { self.save() } else { Ok(()) };
        if is_append_only && recorded.is_ok() {
            self.journal.notice("Append-only file is on the disk");
        } else if !is_append_only && !saves {
            self.journal
                .warning("No snapshot is written, as the client asked: changes are lost");
        }
        recorded.and(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, START};

    #[test]
    fn nothing_but_information_is_answered_while_loading() {
        let mut bench = Bench::loading();
        bench.check_at(
            START,
            &[
                ("PING", "-LOADING Redis is loading the dataset in memory"),
                ("GET k", "-LOADING Redis is loading the dataset in memory"),
                (
                    "CONFIG SET appendonly yes",
                    "-LOADING Redis is loading the dataset in memory",
                ),
                ("SELECT 1", "+OK"),
            ],
        );
        assert!(
            bench
                .run(START, "INFO persistence")
                .contains("\\r\\nloading:1\\r\\n")
        );
    }

    #[test]
    fn keys_end_without_being_asked_for() {
        let mut bench = Bench::default();
        bench.run(START, "SET k v PX 100");
        bench.engine.tick(START + 99);
        assert_eq!(bench.engine.keyspace.len(), 1);
        bench.engine.tick(START + 100);
        assert_eq!(bench.engine.keyspace.len(), 0);
    }

    #[test]
    fn there_is_rest_once_no_key_ends_and_all_is_on_the_disk() {
        let mut bench = Bench::append_only();
        assert!(bench.engine.is_at_rest());
        bench.run(START, "SET k v PX 100");
        let file = bench.engine.storage.unsynced();
        assert!(file.is_some() && !bench.engine.is_at_rest(), "a key ends");
        bench.engine.tick(START + 100);
        assert!(!bench.engine.is_at_rest(), "its end is not synced");
        bench.engine.storage.unsynced().unwrap();
        bench.engine.note_sync(&Ok(()));
        assert!(bench.engine.is_at_rest());
        bench
            .engine
            .note_sync(&Err(std::io::ErrorKind::Other.into()));
        assert!(!bench.engine.is_at_rest(), "a sync has failed");
    }

    #[test]
    fn what_is_recorded_does_not_depend_on_time_or_chance() {
        let cases = [
            ("SET k v EX 10", "SET k v PXAT 1000010000"),
            ("SET k v KEEPTTL", "SET k v KEEPTTL"),
            ("SET k v NX", ""),
            ("SETEX k 1 v", "SET k v PXAT 1000001000"),
            ("EXPIRE k 10", "PEXPIREAT k 1000010000"),
            ("EXPIRE k -1", "DEL k"),
            ("DEL none", ""),
            ("GET none", ""),
            ("INCR n", "INCR n"),
            ("SADD s a", "SADD s a"),
            ("SADD s a", ""),
            ("SPOP s", "SREM s a"),
            ("CONFIG GET *", ""),
        ];
        let mut bench = Bench::append_only();
        bench.run(START, "SET first v");
        for (line, expected) in cases {
            let before = bench.recorded().len();
            bench.run(START, line);
            assert_eq!(bench.recorded()[before..].join(";"), expected, "{line}");
        }
    }

    #[test]
    fn the_end_of_a_key_is_recorded() {
        let mut bench = Bench::append_only();
        bench.run(START, "SET k 1 PX 100");
        bench.run(START, "INCR k");
        bench.run(START + 100, "INCR k");
        assert_eq!(
            bench.recorded(),
            [
                "SELECT 0",
                "SET k 1 PXAT 1000000100",
                "INCR k",
                "DEL k",
                "INCR k"
            ]
        );
        let mut bench = bench.restarted(START + 200);
        bench.check_at(START + 200, &[("GET k", "1"), ("TTL k", "-1")]);
    }

    #[test]
    fn keys_that_ended_while_the_server_was_down_are_gone() {
        let mut bench = Bench::append_only();
        bench.run(START, "SET k 1 PX 100");
        bench.run(START, "INCR k");
        bench.run(START, "SET l 1 PX 5000");
        let mut bench = bench.restarted(START + 1_000);
        bench.check_at(START + 1_000, &[("GET k", "nil"), ("PTTL l", "4000")]);
        assert_eq!(bench.recorded().last().map(String::as_str), Some("DEL k"));
    }

    #[test]
    fn a_full_disk_refuses_changes_until_there_is_room() {
        const FULL: &str =
            "-MISCONF Errors writing to the AOF file: No space left on device (os error 28)";
        let mut bench = Bench::with_full_disk();
        bench.check_at(
            START,
            &[
                ("SET k v PX 5", FULL),
                ("SET k w", FULL),
                ("GET k", "v"),
                ("MULTI", "+OK"),
                ("SET k w", "+QUEUED"),
                ("GET k", "+QUEUED"),
                ("EXEC", &format!("[{FULL} v]")),
            ],
        );
        bench.engine.tick(START);
        bench.check_at(START + 5, &[("GET k", "nil")]);
        let information = bench.run(START, "INFO persistence");
        assert!(
            information.contains("aof_last_write_status:err"),
            "{information}"
        );
        bench.check_at(
            START + 5,
            &[
                (
                    "BGREWRITEAOF",
                    "+Background append only file rewriting started",
                ),
                ("SET l v", "+OK"),
            ],
        );
        let mut bench = bench.restarted(START);
        bench.check_at(START, &[("MGET k l", "[nil v]")]);
    }

    #[test]
    fn a_transaction_is_recorded_as_one() {
        let mut bench = Bench::append_only();
        bench.run(START, "MULTI");
        bench.run(START, "SET a 1");
        bench.run(START, "GET a");
        bench.run(START, "SELECT 2");
        bench.run(START, "SET b 2");
        assert_eq!(bench.recorded(), [""; 0]);
        bench.run(START, "EXEC");
        assert_eq!(
            bench.recorded(),
            [
                "MULTI", "SELECT 0", "SET a 1", "SELECT 2", "SET b 2", "EXEC"
            ]
        );
    }

    #[test]
    fn turning_the_file_on_inside_a_transaction_repeats_nothing() {
        for mut bench in [Bench::default(), Bench::append_only()] {
            for line in [
                "MULTI",
                "INCR n",
                "CONFIG SET appendonly yes",
                "BGREWRITEAOF",
                "INCR n",
                "EXEC",
            ] {
                bench.run(START, line);
            }
            let mut bench = bench.restarted_with(true, START);
            bench.check_at(START, &[("GET n", "2")]);
        }
    }

    #[test]
    fn a_stop_without_the_file_leaves_a_snapshot_unless_told_otherwise() {
        for (line, expected) in [
            ("PING", "v"),
            ("SHUTDOWN", "v"),
            ("SHUTDOWN SAVE", "v"),
            ("SHUTDOWN NOSAVE", "nil"),
        ] {
            let mut bench = Bench::default();
            bench.run(START, "SET k v EX 100");
            bench.run(START, line);
            bench.engine.finish(START).unwrap();
            let mut bench = bench.restarted(START);
            bench.check_at(START, &[("GET k", expected)]);
        }
    }

    #[test]
    fn a_dataset_that_was_not_loaded_is_not_overwritten() {
        let mut bench = Bench::default();
        bench.run(START, "SET k v");
        bench.run(START, "SAVE");
        let mut bench = bench.restarted_loading();
        bench.engine.finish(START).unwrap();
        let mut bench = bench.restarted(START);
        bench.check_at(START, &[("GET k", "v")]);
    }
}
