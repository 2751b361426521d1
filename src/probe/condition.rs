//! Asks a mongo or a redis how it does, for `status` and `metrics`. Reads only, in few and cheap
//! questions; no password appears in an answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use redis::RedisError;
use redis::aio::MultiplexedConnection;

use super::store::{self, RedisPlace, RedisTrouble, bound, without_password};
use super::{first_line, in_time, silent};
use crate::observed::condition::{AppendOnly, MongoCondition, Pending, RedisCondition, Snapshot};
use crate::release::DATABASE;
use crate::secret::Secret;

/// Keys of redis that hold documents, and history that waits to be stored.
const DOCUMENT: &str = "DocVersion:";
const HISTORY: &str = "ProjectHistory:Ops:";

/// A pattern that fits both and hardly anything else: sessions, of which there are most, stay out.
const PATTERN: &str = "[DP][or]*:*";

/// Keys that one call looks at, and calls at most: a redis with more keys is not walked to its end,
/// since every call takes time from those who work.
const KEYS_AT_ONCE: u64 = 2000;
const MOST_CALLS: u64 = 100;

/// How the mongo at a URL does; with an address, the one there, spoken to as the URL says.
///
/// # Errors
/// It does not answer within the deadline, or refuses; the text holds no password.
pub async fn mongo(
    url: &Secret,
    address: Option<SocketAddr>,
    deadline: Duration,
) -> Result<MongoCondition, String> {
    let mut options = store::options(store::parsed(url)?).await?;
    match address {
        Some(address) => options.hosts = vec![store::server(address)],
        // The first host alone answers also where the names of the others mean nothing here.
        None => options.hosts.truncate(1),
    }
    // The set's member names resolve inside the project's network only.
    options.repl_set_name = None;
    options.direct_connection = Some(true);
    bound(&mut options, deadline, 1);
    let database = options.default_database.clone();
    let database = database.unwrap_or_else(|| DATABASE.to_owned());
    let questions = async {
        let client = mongodb::Client::with_options(options)?;
        let admin = client.database("admin");
        let hello = admin.run_command(doc! { "hello": 1 }).await?;
        let build = admin.run_command(doc! { "buildInfo": 1 }).await?;
        // The others need privileges that not every user has.
        let question = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
        let compatibility = admin.run_command(question).await.ok();
        let size = doc! { "dbStats": 1 };
        let size = client.database(&database).run_command(size).await.ok();
        let set = match hello.get_str("setName") {
            Ok(_) => admin.run_command(doc! { "replSetGetStatus": 1 }).await.ok(),
            Err(_) => None,
        };
        client.shutdown().immediate(true).await;
        Ok::<_, mongodb::error::Error>(mongo_condition(&MongoAnswers {
            hello,
            build,
            compatibility: compatibility.unwrap_or_default(),
            size: size.unwrap_or_default(),
            set: set.unwrap_or_default(),
        }))
    };
    let answer = in_time(deadline, questions).await;
    answer.map_err(|text| without_password(&text, url))
}

/// What a mongo answered; empty where it refused.
#[derive(Debug, Default)]
struct MongoAnswers {
    hello: Document,
    build: Document,
    compatibility: Document,
    size: Document,
    set: Document,
}

fn mongo_condition(answers: &MongoAnswers) -> MongoCondition {
    let hello = &answers.hello;
    let set = hello.get_str("setName").ok();
    let compatibility = answers
        .compatibility
        .get_document("featureCompatibilityVersion")
        .and_then(|answer| answer.get_str("version"));
    let members = answers.set.get_array("members").ok();
    let is_well = |member: &&Bson| {
        let health = member.as_document().and_then(|member| member.get("health"));
        health.and_then(number) == Some(1)
    };
    let members = members.map(|all| {
        let well = all.iter().filter(is_well).count();
        (well as u64, all.len() as u64)
    });
    let size = |name: &str| answers.size.get(name).and_then(number);
    let on_disk = || Some(size("storageSize")? + size("indexSize")?);
    MongoCondition {
        version: text(&answers.build, "version"),
        compatibility: compatibility.ok().map(str::to_owned),
        set: set.map(str::to_owned),
        state: state(hello, &answers.set),
        members,
        data_bytes: size("dataSize"),
        disk_bytes: size("totalSize").or_else(on_disk),
    }
}

fn text(document: &Document, name: &str) -> String {
    document.get_str(name).unwrap_or_default().to_owned()
}

/// A whole number, in whichever of mongo's kinds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are counted in doubles by mongo, far below where that matters"
)]
fn number(value: &Bson) -> Option<u64> {
    match value {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        Bson::Double(number) if *number >= 0.0 => Some(*number as u64),
        _ => None,
    }
}

/// What a mongo is in its set: its own word, else what follows from its greeting.
fn state(hello: &Document, set: &Document) -> String {
    let members = set.get_array("members").ok();
    let mut members = members.into_iter().flatten().filter_map(Bson::as_document);
    let own = members.find(|member| member.get_bool("self").unwrap_or(false));
    if let Some(word) = own.and_then(|own| own.get_str("stateStr").ok()) {
        return word.to_lowercase();
    }
    let is = |name: &str| hello.get_bool(name).unwrap_or(false);
    let word = match hello.get_str("setName") {
        _ if is("isreplicaset") => "not initiated",
        Ok(_) if is("isWritablePrimary") => "primary",
        Ok(_) if is("secondary") => "secondary",
        Ok(_) => "neither primary nor secondary",
        Err(_) => "standalone",
    };
    word.to_owned()
}

/// How a redis does, and what it holds for mongo; with an address, the one there.
///
/// # Errors
/// It does not answer within the deadline, or refuses; the text holds no password.
pub async fn redis(
    place: &RedisPlace,
    address: Option<SocketAddr>,
    deadline: Duration,
) -> Result<(RedisCondition, Result<Pending, String>), RedisTrouble> {
    let ends = tokio::time::Instant::now() + deadline;
    let told = async {
        let (mut connection, driver) = store::connect_redis(place, address).await?;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
        Ok::<_, RedisTrouble>((connection, driver, redis_condition(&info)))
    };
    let told = tokio::time::timeout_at(ends, told).await;
    let late = || RedisTrouble::Other(silent(deadline));
    let (mut connection, _driver, condition) = told.unwrap_or_else(|_| Err(late()))?;
    if condition.is_loading {
        return Ok((condition, Err("redis is loading its data".to_owned())));
    }
    let mut found = Pending::default();
    let counted = tokio::time::timeout_at(ends, count(&mut connection, &mut found)).await;
    let pending = match counted {
        Ok(Ok(())) => Ok(found),
        Ok(Err(error)) => Err(first_line(&error.to_string())),
        // What was counted until then is there at least.
        Err(_) => Ok(found),
    };
    Ok((condition, pending))
}

/// Counts what is held, in steps that each hold up the others for a moment only.
async fn count(
    connection: &mut MultiplexedConnection,
    found: &mut Pending,
) -> Result<(), RedisError> {
    let mut cursor = 0_u64;
    for _ in 0..MOST_CALLS {
        let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(PATTERN)
            .arg("COUNT")
            .arg(KEYS_AT_ONCE)
            .query_async(connection)
            .await?;
        let of = |start: &str| {
            let start = start.as_bytes();
            keys.iter().filter(|key| key.starts_with(start)).count() as u64
        };
        found.documents += of(DOCUMENT);
        found.histories += of(HISTORY);
        if next == 0 {
            found.is_complete = true;
            break;
        }
        cursor = next;
    }
    Ok(())
}

fn redis_condition(info: &str) -> RedisCondition {
    let lines = info.lines().filter_map(|line| line.trim().split_once(':'));
    let lines: BTreeMap<&str, &str> = lines.collect();
    let says = |name: &str, word: &str| lines.get(name).copied() == Some(word);
    let number = |name: &str| lines.get(name).and_then(|text| text.parse::<u64>().ok());
    RedisCondition {
        version: lines
            .get("redis_version")
            .copied()
            .unwrap_or_default()
            .to_owned(),
        memory_bytes: number("used_memory"),
        is_loading: says("loading", "1"),
        append_only: AppendOnly {
            is_enabled: says("aof_enabled", "1"),
            is_write_ok: says("aof_last_write_status", "ok"),
            is_rewriting: says("aof_rewrite_in_progress", "1")
                || says("aof_rewrite_scheduled", "1"),
            is_rewrite_ok: says("aof_last_bgrewrite_status", "ok"),
        },
        snapshot: Snapshot {
            last_save: number("rdb_last_save_time")
                .and_then(|seconds| i64::try_from(seconds).ok())
                .unwrap_or_default(),
            is_ok: says("rdb_last_bgsave_status", "ok"),
            is_saving: says("rdb_bgsave_in_progress", "1"),
            changes: number("rdb_changes_since_last_save").unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_mongo_become_a_condition() {
        let mut answers = MongoAnswers {
            hello: doc! { "setName": "overleaf", "isWritablePrimary": true },
            build: doc! { "version": "8.0.4" },
            compatibility: doc! { "featureCompatibilityVersion": { "version": "7.0" } },
            size: doc! { "dataSize": 2048.0, "storageSize": 1000_i64, "indexSize": 24 },
            set: doc! { "members": [
                { "name": "b:27017", "stateStr": "SECONDARY", "health": 0.0 },
                { "name": "a:27017", "self": true, "stateStr": "PRIMARY", "health": 1.0 },
            ] },
        };
        let full = MongoCondition {
            version: "8.0.4".to_owned(),
            compatibility: Some("7.0".to_owned()),
            set: Some("overleaf".to_owned()),
            state: "primary".to_owned(),
            members: Some((1, 2)),
            data_bytes: Some(2048),
            disk_bytes: Some(1024),
        };
        assert_eq!(mongo_condition(&answers), full);
        assert!(full.takes_writes());
        // A user who may read nothing else still sees the greeting.
        (answers.compatibility, answers.size, answers.set) = Default::default();
        let less = MongoCondition {
            compatibility: None,
            members: None,
            data_bytes: None,
            disk_bytes: None,
            ..full
        };
        assert_eq!(mongo_condition(&answers), less);
        for (hello, expected) in [
            (doc! { "setName": "o", "secondary": true }, "secondary"),
            (doc! { "isWritablePrimary": true }, "standalone"),
            (doc! { "isreplicaset": true }, "not initiated"),
            (doc! { "setName": "o" }, "neither primary nor secondary"),
        ] {
            assert_eq!(state(&hello, &Document::new()), expected);
        }
    }

    #[test]
    fn answers_of_redis_become_a_condition() {
        let info = "# Server\r\nredis_version:7.4.1\r\n# Memory\r\nused_memory:1048576\r\n# Persistence\r\nloading:0\r\nrdb_changes_since_last_save:3\r\nrdb_bgsave_in_progress:0\r\nrdb_last_save_time:1767225600\r\nrdb_last_bgsave_status:err\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:1\r\naof_last_bgrewrite_status:ok\r\naof_last_write_status:ok\r\n";
        let expected = RedisCondition {
            version: "7.4.1".to_owned(),
            memory_bytes: Some(1_048_576),
            is_loading: false,
            append_only: AppendOnly {
                is_enabled: true,
                is_write_ok: true,
                is_rewriting: true,
                is_rewrite_ok: true,
            },
            snapshot: Snapshot {
                last_save: 1_767_225_600,
                is_ok: false,
                is_saving: false,
                changes: 3,
            },
        };
        assert_eq!(redis_condition(info), expected);
    }
}
