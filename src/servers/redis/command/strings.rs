//! Commands on strings.

use bytes::Bytes;

use super::super::database::Value;
use super::super::resp::{BULK_LIMIT, Reply};
use super::Arity::{AtLeast, Exactly};
use super::arguments::{
    SECOND, first, integer, moment, only, pair, pairs, plain_integer, triple, word,
};
use super::{Command, Context, Outcome, Refusal};

pub(super) const COMMANDS: &[Command] = &[
    Command::reads("get", Exactly(1), value),
    Command::writes("set", AtLeast(2), set),
    Command::writes("setnx", Exactly(2), set_if_absent),
    Command::writes("setex", Exactly(3), |context, arguments| {
        set_with_seconds(context, arguments, SECOND, "setex")
    }),
    Command::writes("psetex", Exactly(3), |context, arguments| {
        set_with_seconds(context, arguments, 1, "psetex")
    }),
    Command::reads("mget", AtLeast(1), values),
    Command::writes("mset", AtLeast(2), set_many),
    Command::writes("getset", Exactly(2), replace),
    Command::writes("getdel", Exactly(1), take),
    Command::writes("append", Exactly(2), append),
    Command::reads("strlen", Exactly(1), length),
    Command::writes("incr", Exactly(1), |context, arguments| {
        add(context, only(arguments)?, 1)
    }),
    Command::writes("decr", Exactly(1), |context, arguments| {
        add(context, only(arguments)?, -1)
    }),
    Command::writes("incrby", Exactly(2), |context, arguments| {
        let (key, amount) = pair(arguments)?;
        add(context, key, integer(amount)?)
    }),
    Command::writes("decrby", Exactly(2), |context, arguments| {
        let (key, amount) = pair(arguments)?;
        let amount = integer(amount)?
            .checked_neg()
            .ok_or(Refusal::DecrementOverflow)?;
        add(context, key, amount)
    }),
];

fn value(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::optional(context.read::<Bytes>(only(arguments)?)?))
}

fn values(context: &mut Context<'_>, keys: &[Bytes]) -> Outcome {
    let values = keys.iter().map(|key| match context.database().value(key) {
        Some(Value::Text(text)) => Reply::Bulk(text.clone()),
        _ => Reply::Nil,
    });
    Ok(Reply::Array(values.collect()))
}

/// What happens to the deadline of a key that is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Forgotten,
    Kept,
    At(i64),
}

/// The options of `SET`.
struct SetOptions {
    /// Whether the key has to be there (or not) beforehand.
    needs_presence: Option<bool>,
    ending: Ending,
    wants_previous: bool,
}

impl SetOptions {
    fn parse(arguments: &[Bytes], now: i64) -> Result<Self, Refusal> {
        let mut options = Self {
            needs_presence: None,
            ending: Ending::Forgotten,
            wants_previous: false,
        };
        let mut arguments = arguments.iter();
        while let Some(option) = arguments.next() {
            let option = word(option);
            match option.as_str() {
                "NX" | "XX" if options.needs_presence.is_none() => {
                    options.needs_presence = Some(option == "XX");
                }
                "GET" => options.wants_previous = true,
                "KEEPTTL" if options.ending == Ending::Forgotten => options.ending = Ending::Kept,
                "EX" | "PX" | "EXAT" | "PXAT" if options.ending == Ending::Forgotten => {
                    let amount = integer(arguments.next().ok_or(Refusal::Syntax)?)?;
                    let unit = if option.starts_with('E') { SECOND } else { 1 };
                    let base = if option.ends_with("AT") { 0 } else { now };
                    let deadline = moment(amount, unit, base)
                        .filter(|_| amount > 0)
                        .ok_or(Refusal::ExpireTime { command: "set" })?;
                    options.ending = Ending::At(deadline);
                }
                _ => return Err(Refusal::Syntax),
            }
        }
        Ok(options)
    }
}

fn set(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, rest) = first(arguments)?;
    let (value, options) = first(rest)?;
    let options = SetOptions::parse(options, context.now)?;
    let previous = if options.wants_previous {
        Some(Reply::optional(context.read::<Bytes>(key)?))
    } else {
        None
    };
    let is_allowed = options
        .needs_presence
        .is_none_or(|needed| needed == context.database().contains(key));
    if !is_allowed {
        return Ok(previous.unwrap_or(Reply::Nil));
    }
    store(context, key, value, options.ending);
    Ok(previous.unwrap_or(Reply::OK))
}

/// Sets a key, and records it so that value and deadline come back together.
fn store(context: &mut Context<'_>, key: &Bytes, value: &Bytes, ending: Ending) {
    let mut recorded = vec![Bytes::from_static(b"SET"), key.clone(), value.clone()];
    let database = context.database_mut();
    match ending {
        Ending::Forgotten => database.insert(key, Value::Text(value.clone())),
        Ending::Kept => {
            database.insert_keeping_deadline(key, Value::Text(value.clone()));
            recorded.push(Bytes::from_static(b"KEEPTTL"));
        }
        Ending::At(deadline) => {
            database.insert(key, Value::Text(value.clone()));
            database.set_deadline(key, Some(deadline));
            recorded.push(Bytes::from_static(b"PXAT"));
            recorded.push(Bytes::from(deadline.to_string()));
        }
    }
    context.changed(key, 1);
    context.record_instead(recorded);
}

fn set_if_absent(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, value) = pair(arguments)?;
    let is_absent = !context.database().contains(key);
    if is_absent {
        store(context, key, value, Ending::Forgotten);
    }
    Ok(Reply::flag(is_absent))
}

fn set_with_seconds(
    context: &mut Context<'_>,
    arguments: &[Bytes],
    unit: i64,
    command: &'static str,
) -> Outcome {
    let (key, amount, value) = triple(arguments)?;
    let amount = integer(amount)?;
    let deadline = moment(amount, unit, context.now)
        .filter(|_| amount > 0)
        .ok_or(Refusal::ExpireTime { command })?;
    store(context, key, value, Ending::At(deadline));
    Ok(Reply::OK)
}

fn set_many(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    for (key, value) in pairs(arguments, "mset")? {
        context
            .database_mut()
            .insert(key, Value::Text(value.clone()));
        context.changed(key, 1);
    }
    Ok(Reply::OK)
}

fn replace(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, value) = pair(arguments)?;
    let previous = Reply::optional(context.read::<Bytes>(key)?);
    store(context, key, value, Ending::Forgotten);
    Ok(previous)
}

fn take(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let key = only(arguments)?;
    let Some(value) = context.read::<Bytes>(key)?.cloned() else {
        return Ok(Reply::Nil);
    };
    context.database_mut().remove(key);
    context.changed(key, 1);
    Ok(Reply::Bulk(value))
}

fn append(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, addition) = pair(arguments)?;
    let present = context
        .read::<Bytes>(key)?
        .map(Bytes::as_ref)
        .unwrap_or_default();
    if present.len() + addition.len() > BULK_LIMIT {
        return Err(Refusal::TooLong);
    }
    let text = [present, addition].concat();
    let length = text.len();
    context
        .database_mut()
        .insert_keeping_deadline(key, Value::Text(Bytes::from(text)));
    context.changed(key, 1);
    Ok(Reply::count(length))
}

fn length(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let value = context.read::<Bytes>(only(arguments)?)?;
    Ok(Reply::count(value.map_or(0, Bytes::len)))
}

fn add(context: &mut Context<'_>, key: &Bytes, amount: i64) -> Outcome {
    let present = match context.read::<Bytes>(key)? {
        Some(text) => plain_integer(text).ok_or(Refusal::NotInteger)?,
        None => 0,
    };
    let sum = present.checked_add(amount).ok_or(Refusal::Overflow)?;
    context
        .database_mut()
        .insert_keeping_deadline(key, Value::Text(Bytes::from(sum.to_string())));
    context.changed(key, 1);
    Ok(Reply::Integer(sum))
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::check;

    #[test]
    fn values_are_set_and_read() {
        check(&[
            ("GET k", "nil"),
            ("SET k v", "+OK"),
            ("GET k", "v"),
            ("STRLEN k", "1"),
            ("STRLEN none", "0"),
            ("APPEND k w", "2"),
            ("APPEND new x", "1"),
            ("MGET k none new", "[vw nil x]"),
            ("MSET a 1 b 2", "+OK"),
            (
                "MSET a 1 b",
                "-ERR wrong number of arguments for 'mset' command",
            ),
            ("MGET a b", "[1 2]"),
            ("GETSET a 3", "1"),
            ("GETSET none2 3", "nil"),
            ("GETDEL a", "3"),
            ("GETDEL a", "nil"),
            ("SETNX b 9", "0"),
            ("SETNX c 9", "1"),
            ("MGET b c", "[2 9]"),
        ]);
    }

    #[test]
    fn set_takes_its_options() {
        check(&[
            ("SET k v XX", "nil"),
            ("SET k v NX", "+OK"),
            ("SET k w NX", "nil"),
            ("SET k w NX GET", "v"),
            ("SET k w XX GET", "v"),
            ("GET k", "w"),
            ("SET k v NX XX", "-ERR syntax error"),
            ("SET k v EX", "-ERR syntax error"),
            ("SET k v EX 1 PX 1", "-ERR syntax error"),
            ("SET k v EX 1 KEEPTTL", "-ERR syntax error"),
            ("SET k v BOGUS", "-ERR syntax error"),
            (
                "SET k v EX x",
                "-ERR value is not an integer or out of range",
            ),
            ("SET k v EX 0", "-ERR invalid expire time in 'set' command"),
            (
                "SET k v EX 9223372036854775807",
                "-ERR invalid expire time in 'set' command",
            ),
            ("GET k", "w"),
            ("SET k v EX 10", "+OK"),
            ("PTTL k", "10000"),
            ("SET k w KEEPTTL", "+OK"),
            ("PTTL k", "10000"),
            ("APPEND k w", "2"),
            ("PTTL k", "10000"),
            ("SET k v", "+OK"),
            ("PTTL k", "-1"),
            ("SET k v PX 1500", "+OK"),
            ("TTL k", "2"),
            ("SET k v EXAT 1001000", "+OK"),
            ("PTTL k", "1000000"),
            ("SET k v PXAT 1000000001", "+OK"),
            ("PTTL k", "1"),
            ("SETEX k 5 v", "+OK"),
            ("PTTL k", "5000"),
            ("PSETEX k 5 v", "+OK"),
            ("PTTL k", "5"),
            ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command"),
            (
                "PSETEX k -1 v",
                "-ERR invalid expire time in 'psetex' command",
            ),
            ("RPUSH l x", "1"),
            (
                "SET l v GET",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            ("SET l v", "+OK"),
            ("TYPE l", "+string"),
        ]);
    }

    #[test]
    fn numbers_are_counted() {
        check(&[
            ("INCR n", "1"),
            ("INCRBY n 10", "11"),
            ("DECR n", "10"),
            ("DECRBY n 3", "7"),
            ("EXPIRE n 100", "1"),
            ("INCR n", "8"),
            ("TTL n", "100"),
            ("SET n x", "+OK"),
            ("INCR n", "-ERR value is not an integer or out of range"),
            ("SET n 9223372036854775807", "+OK"),
            ("INCR n", "-ERR increment or decrement would overflow"),
            (
                "DECRBY n -9223372036854775808",
                "-ERR decrement would overflow",
            ),
            ("INCRBY n x", "-ERR value is not an integer or out of range"),
            ("GET n", "9223372036854775807"),
        ]);
    }

    #[test]
    fn other_types_are_refused() {
        const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        check(&[
            ("SADD s a", "1"),
            ("GET s", WRONG),
            ("GETSET s a", WRONG),
            ("GETDEL s", WRONG),
            ("APPEND s a", WRONG),
            ("STRLEN s", WRONG),
            ("INCR s", WRONG),
            ("MGET s", "[nil]"),
            ("SMEMBERS s", "[a]"),
        ]);
    }
}
