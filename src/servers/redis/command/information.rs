//! The text of `INFO`.

use std::fmt::Display;

use bytes::Bytes;

use super::super::database::DatabaseIndex;
use super::super::engine::Engine;
use super::arguments::word;
use super::server::VERSION;

type Lines = Vec<(String, String)>;
type Section = fn(&Engine) -> Lines;

/// The sections in their order.
const SECTIONS: [(&str, Section); 7] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", statistics),
    ("Replication", replication),
    ("Keyspace", keyspace),
];

/// The sections that are asked for, or all of them.
pub(super) fn information(engine: &Engine, wanted: &[Bytes]) -> String {
    let wanted: Vec<String> = wanted.iter().map(|name| word(name)).collect();
    let is_all = wanted.is_empty()
        || wanted
            .iter()
            .any(|name| matches!(name.as_str(), "ALL" | "DEFAULT" | "EVERYTHING"));
    let texts: Vec<String> = SECTIONS
        .iter()
        .filter(|(title, _)| is_all || wanted.contains(&title.to_ascii_uppercase()))
        .map(|(title, lines)| {
            let lines: String = lines(engine)
                .into_iter()
                .map(|(name, value)| format!("{name}:{value}\r\n"))
                .collect();
            format!("# {title}\r\n{lines}")
        })
        .collect();
    texts.join("\r\n")
}

fn line(name: &str, value: impl Display) -> (String, String) {
    (name.to_owned(), format!("{value}"))
}

fn server(engine: &Engine) -> Lines {
    let uptime = engine.now.saturating_sub(engine.started_at).max(0) / 1_000;
    vec![
        line("redis_version", VERSION),
        line("toolkit_bundled", 1),
        line("redis_mode", "standalone"),
        line("process_id", std::process::id()),
        line("tcp_port", engine.port),
        line("uptime_in_seconds", uptime),
        line("uptime_in_days", uptime / 86_400),
    ]
}

fn clients(engine: &Engine) -> Lines {
    vec![line("connected_clients", engine.clients.len())]
}

fn memory(engine: &Engine) -> Lines {
    vec![
        line("used_memory", engine.keyspace.weight()),
        line("maxmemory", 0),
        line("maxmemory_policy", "noeviction"),
    ]
}

fn persistence(engine: &Engine) -> Lines {
    let status = |is_ok: bool| if is_ok { "ok" } else { "err" };
    let storage = &engine.storage;
    let is_append_only = if engine.is_loading {
        engine.append_only
    } else {
        storage.is_append_only()
    };
    vec![
        line("loading", u8::from(engine.is_loading)),
        line("rdb_changes_since_last_save", engine.unsaved_changes),
        line("rdb_bgsave_in_progress", 0),
        line("rdb_last_save_time", engine.last_save / 1_000),
        line("rdb_last_bgsave_status", status(storage.is_save_ok())),
        line("aof_enabled", u8::from(is_append_only)),
        line("aof_rewrite_in_progress", 0),
        line("aof_rewrite_scheduled", 0),
        line("aof_last_bgrewrite_status", status(storage.is_rewrite_ok())),
        line(
            "aof_last_write_status",
            status(storage.append_failure().is_none()),
        ),
    ]
}

fn statistics(engine: &Engine) -> Lines {
    vec![
        line(
            "total_connections_received",
            engine.clients.connected_ever(),
        ),
        line("total_commands_processed", engine.commands_processed),
    ]
}

fn replication(_engine: &Engine) -> Lines {
    vec![line("role", "master"), line("connected_slaves", 0)]
}

fn keyspace(engine: &Engine) -> Lines {
    DatabaseIndex::all()
        .map(|index| (index, engine.keyspace.database(index)))
        .filter(|(_, database)| database.len() > 0)
        .map(|(index, database)| {
            line(
                &format!("db{}", index.number()),
                format!(
                    "keys={},expires={}",
                    database.len(),
                    database.deadline_count()
                ),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::{Bench, START};

    #[test]
    fn sections_are_shown_as_asked() {
        let mut bench = Bench::append_only();
        bench.run(START, "MSET a 1 b 2");
        bench.run(START, "EXPIRE a 10");
        bench.check_at(
            START + 90_061_000,
            &[
                (
                    "INFO persistence",
                    "# Persistence\\r\\nloading:0\\r\\nrdb_changes_since_last_save:4\\r\\n\
                     rdb_bgsave_in_progress:0\\r\\nrdb_last_save_time:1000000\\r\\n\
                     rdb_last_bgsave_status:ok\\r\\naof_enabled:1\\r\\n\
                     aof_rewrite_in_progress:0\\r\\naof_rewrite_scheduled:0\\r\\n\
                     aof_last_bgrewrite_status:ok\\r\\naof_last_write_status:ok\\r\\n",
                ),
                (
                    "INFO replication keyspace",
                    "# Replication\\r\\nrole:master\\r\\nconnected_slaves:0\\r\\n\\r\\n\
                     # Keyspace\\r\\ndb0:keys=1,expires=0\\r\\n",
                ),
                ("INFO none", ""),
            ],
        );
        let all = bench.run(START + 90_061_000, "INFO");
        for expected in [
            "redis_version:7.4.0\\r\\n",
            "toolkit_bundled:1\\r\\n",
            "tcp_port:6379\\r\\n",
            "uptime_in_seconds:90061\\r\\n",
            "uptime_in_days:1\\r\\n",
            "connected_clients:1\\r\\n",
            "used_memory:",
            "role:master\\r\\n",
        ] {
            assert!(all.contains(expected), "{expected} in {all}");
        }
    }
}
