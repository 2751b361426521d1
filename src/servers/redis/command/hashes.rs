//! Commands on hashes.

use bytes::Bytes;

use super::super::dictionary::Dictionary;
use super::super::resp::Reply;
use super::Arity::{AtLeast, Exactly};
use super::arguments::{first, integer, only, pair, pairs, plain_integer, triple};
use super::{Command, Context, Outcome, Refusal};

type Hash = Dictionary<Bytes>;

pub(super) const COMMANDS: &[Command] = &[
    Command::writes("hset", AtLeast(3), set),
    Command::reads("hget", Exactly(2), value),
    Command::reads("hmget", AtLeast(2), values),
    Command::reads("hgetall", Exactly(1), all),
    Command::writes("hdel", AtLeast(2), remove),
    Command::reads("hexists", Exactly(2), is_present),
    Command::reads("hlen", Exactly(1), length),
    Command::reads("hkeys", Exactly(1), fields),
    Command::writes("hincrby", Exactly(3), add),
];

fn set(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, rest) = first(arguments)?;
    let pairs = pairs(rest, "hset")?;
    let hash = context.edit_or_create::<Hash>(key)?;
    let before = hash.len();
    for (field, value) in &pairs {
        hash.insert(field, (*value).clone());
    }
    let added = hash.len() - before;
    context.changed(key, pairs.len());
    Ok(Reply::count(added))
}

fn value(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, field) = pair(arguments)?;
    let hash = context.read::<Hash>(key)?;
    Ok(Reply::optional(hash.and_then(|hash| hash.value(field))))
}

fn values(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, fields) = first(arguments)?;
    let hash = context.read::<Hash>(key)?;
    let values = fields
        .iter()
        .map(|field| Reply::optional(hash.and_then(|hash| hash.value(field))));
    Ok(Reply::Array(values.collect()))
}

fn all(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = context.read::<Hash>(only(arguments)?)?;
    let both = hash
        .into_iter()
        .flat_map(Hash::iter)
        .flat_map(|(field, value)| [field, value]);
    Ok(Reply::bulks(both))
}

fn remove(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, fields) = first(arguments)?;
    let removed = context.take_from(key, |hash: &mut Hash| {
        let before = hash.len();
        for field in fields {
            hash.remove(field);
        }
        let removed = before - hash.len();
        (removed, removed)
    })?;
    Ok(Reply::count(removed.unwrap_or(0)))
}

fn is_present(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, field) = pair(arguments)?;
    let hash = context.read::<Hash>(key)?;
    Ok(Reply::flag(hash.is_some_and(|hash| hash.contains(field))))
}

fn length(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = context.read::<Hash>(only(arguments)?)?;
    Ok(Reply::count(hash.map_or(0, Hash::len)))
}

fn fields(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = context.read::<Hash>(only(arguments)?)?;
    Ok(Reply::bulks(hash.into_iter().flat_map(Hash::keys)))
}

fn add(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, field, amount) = triple(arguments)?;
    let amount = integer(amount)?;
    let present = context
        .read::<Hash>(key)?
        .and_then(|hash| hash.value(field));
    let present = match present {
        Some(text) => plain_integer(text).ok_or(Refusal::HashNotInteger)?,
        None => 0,
    };
    let sum = present.checked_add(amount).ok_or(Refusal::Overflow)?;
    let hash = context.edit_or_create::<Hash>(key)?;
    hash.insert(field, Bytes::from(sum.to_string()));
    context.changed(key, 1);
    Ok(Reply::Integer(sum))
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::check;

    #[test]
    fn fields_are_set_read_and_removed() {
        check(&[
            ("HSET h a 1", "1"),
            ("HGETALL h", "[a 1]"),
            ("HKEYS h", "[a]"),
            ("HSET h a 2 b 3", "1"),
            (
                "HSET h a",
                "-ERR wrong number of arguments for 'hset' command",
            ),
            (
                "HSET h a 1 b",
                "-ERR wrong number of arguments for 'hset' command",
            ),
            ("HGET h a", "2"),
            ("HGET h none", "nil"),
            ("HGET none a", "nil"),
            ("HMGET h a none b", "[2 nil 3]"),
            ("HMGET none a", "[nil]"),
            ("HLEN h", "2"),
            ("HEXISTS h a", "1"),
            ("HEXISTS h z", "0"),
            ("HDEL h a z", "1"),
            ("HDEL h b", "1"),
            ("EXISTS h", "0"),
            ("HGETALL h", "[]"),
            ("HDEL h b", "0"),
            ("HLEN h", "0"),
            ("SET k v", "+OK"),
            (
                "HSET k a 1",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                "HGET k a",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn numbers_in_fields_are_counted() {
        check(&[
            ("HINCRBY h n 5", "5"),
            ("HINCRBY h n -7", "-2"),
            ("HSET h t x", "1"),
            ("HINCRBY h t 1", "-ERR hash value is not an integer"),
            (
                "HINCRBY h n x",
                "-ERR value is not an integer or out of range",
            ),
            ("HSET h m 9223372036854775807", "1"),
            (
                "HINCRBY h m 1",
                "-ERR increment or decrement would overflow",
            ),
            (
                "HINCRBY none n x",
                "-ERR value is not an integer or out of range",
            ),
            ("EXISTS none", "0"),
        ]);
    }
}
