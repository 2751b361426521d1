//! Commands that make several requests one.

use bytes::Bytes;

use super::super::engine::Engine;
use super::super::resp::Reply;
use super::super::session::{Session, Transaction, Watch};
use super::Arity::{AtLeast, Exactly};
use super::{Command, Outcome, Place, Refusal, Stage};

pub(super) const COMMANDS: &[Command] = &[
    Command::serves("multi", Exactly(0), Stage::Ready, Place::Transaction, begin),
    Command::serves(
        "exec",
        Exactly(0),
        Stage::Ready,
        Place::Transaction,
        execute,
    ),
    Command::serves(
        "discard",
        Exactly(0),
        Stage::Ready,
        Place::Transaction,
        discard,
    ),
    Command::serves("watch", AtLeast(1), Stage::Ready, Place::Transaction, watch),
    Command::serves(
        "unwatch",
        Exactly(0),
        Stage::Ready,
        Place::Anywhere,
        |engine, session, _| {
            unwatch_all(engine, session);
            Ok(Reply::OK)
        },
    ),
];

fn begin(_engine: &mut Engine, session: &mut Session, _arguments: &[Bytes]) -> Outcome {
    if session.transaction.is_some() {
        return Err(Refusal::NestedTransaction);
    }
    session.transaction = Some(Transaction::default());
    Ok(Reply::OK)
}

fn execute(engine: &mut Engine, session: &mut Session, _arguments: &[Bytes]) -> Outcome {
    let Some(transaction) = session.transaction.take() else {
        return Err(Refusal::NoTransaction { command: "EXEC" });
    };
    let is_unchanged = session.watches.iter().all(|watch| {
        let database = engine.keyspace.database(watch.database);
        database.revision(&watch.key) == Some(watch.revision)
    });
    unwatch_all(engine, session);
    if transaction.is_broken {
        return Err(Refusal::TransactionBroken);
    }
    if !is_unchanged {
        return Ok(Reply::NilArray);
    }
    let replies = transaction
        .requests
        .iter()
        .map(|request| engine.run(session, request));
    Ok(Reply::Array(replies.collect()))
}

fn discard(engine: &mut Engine, session: &mut Session, _arguments: &[Bytes]) -> Outcome {
    if session.transaction.take().is_none() {
        return Err(Refusal::NoTransaction { command: "DISCARD" });
    }
    unwatch_all(engine, session);
    Ok(Reply::OK)
}

fn watch(engine: &mut Engine, session: &mut Session, keys: &[Bytes]) -> Outcome {
    if session.transaction.is_some() {
        return Err(Refusal::WatchInTransaction);
    }
    for key in keys {
        let is_watched = session
            .watches
            .iter()
            .any(|watch| watch.database == session.selected && watch.key == *key);
        if !is_watched {
            let revision = engine.keyspace.database_mut(session.selected).watch(key);
            session.watches.push(Watch {
                database: session.selected,
                key: key.clone(),
                revision,
            });
        }
    }
    Ok(Reply::OK)
}

/// Ends all watches of a client.
pub(in super::super) fn unwatch_all(engine: &mut Engine, session: &mut Session) {
    for watch in std::mem::take(&mut session.watches) {
        engine
            .keyspace
            .database_mut(watch.database)
            .unwatch(&watch.key);
    }
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::{Bench, START, check};

    #[test]
    fn requests_wait_for_the_end() {
        check(&[
            ("EXEC", "-ERR EXEC without MULTI"),
            ("DISCARD", "-ERR DISCARD without MULTI"),
            ("MULTI", "+OK"),
            ("MULTI", "-ERR MULTI calls can not be nested"),
            ("WATCH k", "-ERR WATCH inside MULTI is not allowed"),
            ("SET k v", "+QUEUED"),
            ("INCR k", "+QUEUED"),
            ("GET k", "+QUEUED"),
            (
                "EXEC",
                "[+OK -ERR value is not an integer or out of range v]",
            ),
            ("MULTI", "+OK"),
            ("SET k w", "+QUEUED"),
            ("DISCARD", "+OK"),
            ("GET k", "v"),
            ("MULTI", "+OK"),
            ("EXEC", "[]"),
        ]);
    }

    #[test]
    fn a_refused_request_breaks_the_transaction() {
        for (line, expected) in [
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("x", "-ERR unknown command 'x', with args beginning with: "),
        ] {
            check(&[
                ("MULTI", "+OK"),
                ("SET k v", "+QUEUED"),
                (line, expected),
                (
                    "EXEC",
                    "-EXECABORT Transaction discarded because of previous errors.",
                ),
                ("GET k", "nil"),
            ]);
        }
    }

    #[test]
    fn a_change_of_a_watched_key_stops_the_transaction() {
        // What is done between WATCH and EXEC, and whether the transaction runs.
        let cases = [
            ("PING", true),
            ("GET k", true),
            ("SET other v", true),
            ("SADD s a", true),
            ("SET k v", false),
            ("DEL k", false),
            ("EXPIRE k 10", false),
            ("SADD s b", false),
            ("SREM s a", false),
            ("RENAME other k", false),
            ("SET new v", false),
            ("FLUSHALL", false),
        ];
        for (line, runs) in cases {
            let mut bench = Bench::default();
            let mut other = bench.connect();
            bench.run(START, "MSET k 1 other 2");
            bench.run(START, "SADD s a");
            bench.check_at(
                START,
                &[
                    ("WATCH k s new", "+OK"),
                    ("MULTI", "+OK"),
                    ("PING", "+QUEUED"),
                ],
            );
            bench.run_as(&mut other, line);
            let expected = if runs { "[+PONG]" } else { "nil-array" };
            bench.check_at(
                START,
                &[("EXEC", expected), ("MULTI", "+OK"), ("EXEC", "[]")],
            );
        }
    }

    #[test]
    fn watches_end() {
        for line in ["UNWATCH", "DISCARD", "RESET"] {
            let mut bench = Bench::default();
            let mut other = bench.connect();
            bench.run(START, "WATCH k");
            if line == "DISCARD" {
                bench.run(START, "MULTI");
            }
            bench.run(START, line);
            bench.run_as(&mut other, "SET k v");
            bench.check_at(START, &[("MULTI", "+OK"), ("EXEC", "[]")]);
        }
    }

    #[test]
    fn the_end_of_a_watched_key_counts_as_a_change() {
        let mut bench = Bench::default();
        bench.check_at(
            START,
            &[
                ("SET k v PX 5", "+OK"),
                ("WATCH k", "+OK"),
                ("MULTI", "+OK"),
            ],
        );
        bench.check_at(START + 5, &[("EXEC", "nil-array")]);
    }
}
