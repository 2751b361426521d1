//! Commands on keys, whatever they hold.

use bytes::Bytes;

use super::super::database::{DatabaseIndex, Value};
use super::super::glob;
use super::super::resp::Reply;
use super::Arity::{AtLeast, Between, Exactly};
use super::arguments::{SECOND, count, first, integer, moment, only, pair, word};
use super::{Command, Context, Outcome, Refusal};

/// Keys `SCAN` looks at when the client does not say how many.
const DEFAULT_COUNT: usize = 10;

pub(super) const COMMANDS: &[Command] = &[
    Command::writes("del", AtLeast(1), remove),
    Command::writes("unlink", AtLeast(1), remove),
    Command::reads("exists", AtLeast(1), exist),
    Command::reads("type", Exactly(1), type_of),
    Command::reads("keys", Exactly(1), matching),
    Command::reads("scan", AtLeast(1), scan),
    Command::reads("randomkey", Exactly(0), random),
    Command::reads("dbsize", Exactly(0), size),
    Command::writes("rename", Exactly(2), rename),
    Command::writes("expire", AtLeast(2), |context, arguments| {
        set_deadline(context, arguments, SECOND, false, "expire")
    }),
    Command::writes("pexpire", AtLeast(2), |context, arguments| {
        set_deadline(context, arguments, 1, false, "pexpire")
    }),
    Command::writes("expireat", AtLeast(2), |context, arguments| {
        set_deadline(context, arguments, SECOND, true, "expireat")
    }),
    Command::writes("pexpireat", AtLeast(2), |context, arguments| {
        set_deadline(context, arguments, 1, true, "pexpireat")
    }),
    Command::reads("ttl", Exactly(1), |context, arguments| {
        time_left(context, arguments, SECOND)
    }),
    Command::reads("pttl", Exactly(1), |context, arguments| {
        time_left(context, arguments, 1)
    }),
    Command::writes("persist", Exactly(1), persist),
    Command::writes("flushdb", Between(0, 1), |context, arguments| {
        check_flush_mode(arguments)?;
        let removed = context.database().len();
        context.database_mut().clear();
        context.changes += removed as u64;
        Ok(Reply::OK)
    }),
    Command::writes("flushall", Between(0, 1), |context, arguments| {
        check_flush_mode(arguments)?;
        let removed = context.keyspace.len();
        for index in DatabaseIndex::all() {
            context.keyspace.database_mut(index).clear();
        }
        context.changes += removed as u64;
        Ok(Reply::OK)
    }),
];

fn remove(context: &mut Context<'_>, keys: &[Bytes]) -> Outcome {
    let mut removed = 0;
    for key in keys {
        if context.database_mut().remove(key).is_some() {
            context.changed(key, 1);
            removed += 1;
        }
    }
    Ok(Reply::Integer(removed))
}

fn exist(context: &mut Context<'_>, keys: &[Bytes]) -> Outcome {
    let present = keys.iter().filter(|key| context.database().contains(key));
    Ok(Reply::count(present.count()))
}

fn type_of(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let value = context.database().value(only(arguments)?);
    Ok(Reply::Status(value.map_or("none", Value::type_name)))
}

fn matching(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let pattern = only(arguments)?;
    let keys = context.database().iter().map(|(key, ..)| key);
    Ok(Reply::bulks(
        keys.filter(|key| glob::is_match(pattern, key)),
    ))
}

/// The options of `SCAN` and its like.
pub(super) struct ScanOptions {
    pattern: Option<Bytes>,
    pub(super) count: usize,
    type_name: Option<String>,
}

impl ScanOptions {
    pub(super) fn parse(arguments: &[Bytes], may_name_type: bool) -> Result<Self, Refusal> {
        let mut options = Self {
            pattern: None,
            count: DEFAULT_COUNT,
            type_name: None,
        };
        for chunk in arguments.chunks(2) {
            let (option, value) = pair(chunk)?;
            match word(option).as_str() {
                "MATCH" => options.pattern = Some(value.clone()),
                "COUNT" => {
                    integer(value)?;
                    options.count = count(value)
                        .ok()
                        .filter(|count| *count > 0)
                        .ok_or(Refusal::Syntax)?;
                }
                "TYPE" if may_name_type => {
                    options.type_name = Some(word(value).to_ascii_lowercase());
                }
                _ => return Err(Refusal::Syntax),
            }
        }
        Ok(options)
    }

    pub(super) fn is_match(&self, name: &[u8]) -> bool {
        self.pattern
            .as_ref()
            .is_none_or(|pattern| glob::is_match(pattern, name))
    }
}

/// Where a walk goes on.
pub(super) fn cursor(argument: &Bytes) -> Result<u64, Refusal> {
    std::str::from_utf8(argument)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Refusal::Cursor)
}

fn scan(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (position, options) = first(arguments)?;
    let position = cursor(position)?;
    let options = ScanOptions::parse(options, true)?;
    let database = context.database();
    let (next, keys) = database.scan(position, options.count);
    let keys = keys.into_iter().filter(|key| {
        options.is_match(key)
            && options.type_name.as_ref().is_none_or(|wanted| {
                database
                    .value(key)
                    .is_some_and(|value| value.type_name() == wanted)
            })
    });
    Ok(Reply::Array(vec![
        Reply::text(next.to_string()),
        Reply::bulks(keys),
    ]))
}

fn random(context: &mut Context<'_>, _arguments: &[Bytes]) -> Outcome {
    Ok(Reply::optional(context.database().random_key()))
}

fn size(context: &mut Context<'_>, _arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(context.database().len()))
}

fn rename(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (from, to) = pair(arguments)?;
    let database = context.database_mut();
    if !database.contains(from) {
        return Err(Refusal::NoSuchKey);
    }
    if from == to {
        return Ok(Reply::OK);
    }
    let deadline = database.deadline(from);
    if let Some(value) = database.remove(from) {
        database.insert(to, value);
        database.set_deadline(to, deadline);
    }
    context.changed(from, 1);
    context.changed(to, 1);
    Ok(Reply::OK)
}

/// Whether a deadline may replace the one there is, by the options of `EXPIRE`.
fn is_deadline_allowed(
    options: &[Bytes],
    present: Option<i64>,
    deadline: i64,
) -> Result<bool, Refusal> {
    let words: Vec<String> = options.iter().map(|option| word(option)).collect();
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    if let Some(unknown) = words
        .iter()
        .position(|word| !["NX", "XX", "GT", "LT"].contains(&word.as_str()))
        .and_then(|position| options.get(position))
    {
        return Err(Refusal::UnsupportedOption {
            name: unknown.escape_ascii().to_string(),
        });
    }
    if has("NX") && (has("XX") || has("GT") || has("LT")) {
        return Err(Refusal::Incompatible {
            options: "NX and XX, GT or LT",
        });
    }
    if has("GT") && has("LT") {
        return Err(Refusal::Incompatible {
            options: "GT and LT",
        });
    }
    // A key without a deadline lives longer than any.
    Ok((!has("NX") || present.is_none())
        && (!has("XX") || present.is_some())
        && (!has("GT") || present.is_some_and(|present| deadline > present))
        && (!has("LT") || present.is_none_or(|present| deadline < present)))
}

fn set_deadline(
    context: &mut Context<'_>,
    arguments: &[Bytes],
    unit: i64,
    is_absolute: bool,
    command: &'static str,
) -> Outcome {
    let (key, rest) = first(arguments)?;
    let (amount, options) = first(rest)?;
    let base = if is_absolute { 0 } else { context.now };
    let deadline = moment(integer(amount)?, unit, base).ok_or(Refusal::ExpireTime { command })?;
    let present = context.database().deadline(key);
    let is_allowed = is_deadline_allowed(options, present, deadline)?;
    if !is_allowed || !context.database().contains(key) {
        return Ok(Reply::Integer(0));
    }
    if deadline <= context.now && !context.is_replay {
        context.database_mut().remove(key);
        context.record_instead(vec![Bytes::from_static(b"DEL"), key.clone()]);
    } else {
        context.database_mut().set_deadline(key, Some(deadline));
        context.record_instead(vec![
            Bytes::from_static(b"PEXPIREAT"),
            key.clone(),
            Bytes::from(deadline.to_string()),
        ]);
    }
    context.changed(key, 1);
    Ok(Reply::Integer(1))
}

fn time_left(context: &mut Context<'_>, arguments: &[Bytes], unit: i64) -> Outcome {
    let key = only(arguments)?;
    if !context.database().contains(key) {
        return Ok(Reply::Integer(-2));
    }
    let Some(deadline) = context.database().deadline(key) else {
        return Ok(Reply::Integer(-1));
    };
    let left = deadline.saturating_sub(context.now).max(0);
    Ok(Reply::Integer(left.saturating_add(unit / 2) / unit))
}

fn persist(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let key = only(arguments)?;
    let had_deadline = context.database().deadline(key).is_some();
    if had_deadline {
        context.database_mut().set_deadline(key, None);
        context.changed(key, 1);
    }
    Ok(Reply::flag(had_deadline))
}

/// `FLUSHDB` and `FLUSHALL` may say how to free the memory, which makes no difference here.
fn check_flush_mode(arguments: &[Bytes]) -> Result<(), Refusal> {
    match arguments {
        [] => Ok(()),
        [mode] if matches!(word(mode).as_str(), "SYNC" | "ASYNC") => Ok(()),
        _ => Err(Refusal::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::{Bench, START, check};

    #[test]
    fn keys_are_removed_found_and_renamed() {
        check(&[
            ("MSET a 1 b 2 c 3", "+OK"),
            ("EXISTS a b none a", "3"),
            ("DEL a none", "1"),
            ("UNLINK b", "1"),
            ("DBSIZE", "1"),
            ("TYPE c", "+string"),
            ("TYPE none", "+none"),
            ("RANDOMKEY", "c"),
            ("RENAME none x", "-ERR no such key"),
            ("EXPIRE c 10", "1"),
            ("SET d old", "+OK"),
            ("RENAME c d", "+OK"),
            ("RENAME d d", "+OK"),
            ("GET d", "3"),
            ("TTL d", "10"),
            ("EXISTS c", "0"),
            ("FLUSHDB NOW", "-ERR syntax error"),
            ("FLUSHDB ASYNC", "+OK"),
            ("RANDOMKEY", "nil"),
            ("KEYS *", "[]"),
            ("SELECT 1", "+OK"),
            ("SET k v", "+OK"),
            ("SELECT 0", "+OK"),
            ("FLUSHDB", "+OK"),
            ("SELECT 1", "+OK"),
            ("GET k", "v"),
            ("FLUSHALL", "+OK"),
            ("GET k", "nil"),
        ]);
    }

    #[test]
    fn patterns_choose_keys() {
        check(&[
            ("MSET DocsIn:1 a DocVersion:1 b other c", "+OK"),
            ("KEYS DocsIn:*", "[DocsIn:1]"),
            ("KEYS o*r", "[other]"),
            ("SCAN 0 MATCH DocV* COUNT 100", "[0 [DocVersion:1]]"),
            ("RPUSH l a", "1"),
            ("SCAN 0 TYPE list COUNT 100", "[0 [l]]"),
            ("SCAN x", "-ERR invalid cursor"),
            ("SCAN 0 COUNT 0", "-ERR syntax error"),
            (
                "SCAN 0 COUNT x",
                "-ERR value is not an integer or out of range",
            ),
            ("SCAN 0 MATCH", "-ERR syntax error"),
            ("SCAN 0 BOGUS 1", "-ERR syntax error"),
        ]);
    }

    #[test]
    fn deadlines_are_set_shown_and_taken_away() {
        check(&[
            ("EXPIRE none 10", "0"),
            ("TTL none", "-2"),
            ("PTTL none", "-2"),
            ("SET k v", "+OK"),
            ("TTL k", "-1"),
            ("EXPIRE k 10", "1"),
            ("PTTL k", "10000"),
            ("PEXPIRE k 1499", "1"),
            ("TTL k", "1"),
            ("EXPIREAT k 1000100", "1"),
            ("TTL k", "100"),
            ("PEXPIREAT k 1000000500", "1"),
            ("PTTL k", "500"),
            ("PERSIST k", "1"),
            ("PERSIST k", "0"),
            ("TTL k", "-1"),
            ("EXPIRE k 10 XX", "0"),
            ("EXPIRE k 10 GT", "0"),
            ("EXPIRE k 10 NX", "1"),
            ("EXPIRE k 20 NX", "0"),
            ("EXPIRE k 5 GT", "0"),
            ("EXPIRE k 5 LT", "1"),
            (
                "EXPIRE k 5 NX GT",
                "-ERR NX and XX, GT or LT options at the same time are not compatible",
            ),
            (
                "EXPIRE k 5 GT LT",
                "-ERR GT and LT options at the same time are not compatible",
            ),
            ("EXPIRE k 5 bogus", "-ERR Unsupported option bogus"),
            ("EXPIRE k x", "-ERR value is not an integer or out of range"),
            (
                "EXPIRE k 9223372036854775807",
                "-ERR invalid expire time in 'expire' command",
            ),
            ("EXPIRE k -1", "1"),
            ("EXISTS k", "0"),
        ]);
    }

    #[test]
    fn keys_are_gone_from_their_deadline_on() {
        let mut bench = Bench::default();
        bench.check_at(
            START,
            &[
                ("SET k v PX 100", "+OK"),
                ("SADD s a", "1"),
                ("PEXPIRE s 50", "1"),
            ],
        );
        bench.check_at(
            START + 99,
            &[("GET k", "v"), ("PTTL k", "1"), ("EXISTS s", "0")],
        );
        bench.check_at(
            START + 100,
            &[
                ("GET k", "nil"),
                ("DBSIZE", "0"),
                ("KEYS *", "[]"),
                ("SCAN 0", "[0 []]"),
                ("INCR k", "1"),
                ("TTL k", "-1"),
            ],
        );
    }
}
