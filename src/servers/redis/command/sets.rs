//! Commands on sets.

use bytes::Bytes;

use super::super::dictionary::Dictionary;
use super::super::resp::Reply;
use super::Arity::{AtLeast, Between, Exactly};
use super::arguments::{count, first, only, pair};
use super::keys::{ScanOptions, cursor};
use super::{Command, Context, Outcome};

type Set = Dictionary<()>;

/// Members in one recorded removal. A set may have more members than a command may have
/// arguments, and a command with too many could not be loaded again.
const REMOVED_AT_ONCE: usize = 1024;

pub(super) const COMMANDS: &[Command] = &[
    Command::writes("sadd", AtLeast(2), add),
    Command::writes("srem", AtLeast(2), remove),
    Command::reads("smembers", Exactly(1), members),
    Command::reads("sismember", Exactly(2), is_member),
    Command::reads("scard", Exactly(1), size),
    Command::writes("spop", Between(1, 2), pop),
    Command::reads("sscan", AtLeast(2), scan),
];

fn add(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, members) = first(arguments)?;
    let set = context.edit_or_create::<Set>(key)?;
    let before = set.len();
    for member in members {
        set.insert(member, ());
    }
    let added = set.len() - before;
    context.changed(key, added);
    Ok(Reply::count(added))
}

fn remove(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, members) = first(arguments)?;
    let removed = context.take_from(key, |set: &mut Set| {
        let before = set.len();
        for member in members {
            set.remove(member);
        }
        let removed = before - set.len();
        (removed, removed)
    })?;
    Ok(Reply::count(removed.unwrap_or(0)))
}

fn members(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let set = context.read::<Set>(only(arguments)?)?;
    Ok(Reply::bulks(set.into_iter().flat_map(Set::keys)))
}

fn is_member(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, member) = pair(arguments)?;
    let set = context.read::<Set>(key)?;
    Ok(Reply::flag(set.is_some_and(|set| set.contains(member))))
}

fn size(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let set = context.read::<Set>(only(arguments)?)?;
    Ok(Reply::count(set.map_or(0, Set::len)))
}

/// Takes members by chance, so what is recorded is their removal by name.
fn pop(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, wanted) = first(arguments)?;
    let most = match wanted {
        [] => 1,
        [wanted, ..] => count(wanted)?,
    };
    let popped = context.take_from(key, |set: &mut Set| {
        let mut popped = Vec::new();
        while popped.len() < most
            && let Some(member) = set.random().cloned()
        {
            set.remove(&member);
            popped.push(member);
        }
        let count = popped.len();
        (popped, count)
    })?;
    let popped = popped.unwrap_or_default();
    for members in popped.chunks(REMOVED_AT_ONCE) {
        let mut recorded = vec![Bytes::from_static(b"SREM"), key.clone()];
        recorded.extend(members.iter().cloned());
        context.record_instead(recorded);
    }
    Ok(if wanted.is_empty() {
        Reply::optional(popped.first())
    } else {
        Reply::bulks(&popped)
    })
}

fn scan(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, rest) = first(arguments)?;
    let (position, options) = first(rest)?;
    let position = cursor(position)?;
    let options = ScanOptions::parse(options, false)?;
    let (next, members) = context
        .read::<Set>(key)?
        .map_or((0, Vec::new()), |set| set.scan(position, options.count));
    let members = members
        .into_iter()
        .filter(|member| options.is_match(member));
    Ok(Reply::Array(vec![
        Reply::text(next.to_string()),
        Reply::bulks(members),
    ]))
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::{Bench, START, check};

    #[test]
    fn members_come_and_go() {
        check(&[
            ("SADD s a b a", "2"),
            ("SADD s a", "0"),
            ("SCARD s", "2"),
            ("SISMEMBER s a", "1"),
            ("SISMEMBER s z", "0"),
            ("SREM s b z", "1"),
            ("SMEMBERS s", "[a]"),
            ("SSCAN s 0", "[0 [a]]"),
            ("SSCAN s 0 MATCH b*", "[0 []]"),
            ("SSCAN s 0 TYPE set", "-ERR syntax error"),
            ("SSCAN none 0", "[0 []]"),
            ("SPOP s", "a"),
            ("EXISTS s", "0"),
            ("SPOP s", "nil"),
            ("SPOP s 2", "[]"),
            ("SADD s a b", "2"),
            ("SPOP s -1", "-ERR value is out of range, must be positive"),
            ("SPOP s 0", "[]"),
            ("SCARD s", "2"),
            ("SPOP s x", "-ERR value is out of range, must be positive"),
            ("SMEMBERS none", "[]"),
            ("SREM none a", "0"),
            ("SCARD none", "0"),
            (
                "SADD s",
                "-ERR wrong number of arguments for 'sadd' command",
            ),
            ("SET k v", "+OK"),
            (
                "SADD k a",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                "SCARD k",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn a_large_removal_is_recorded_in_parts_that_can_be_loaded() {
        let mut bench = Bench::append_only();
        for first in (0..2_100).step_by(100) {
            let members: Vec<String> = (first..first + 100).map(|n| n.to_string()).collect();
            bench.run(START, &format!("SADD s {}", members.join(" ")));
        }
        let before = bench.recorded().len();
        bench.run(START, "SPOP s 2099");
        let lengths: Vec<usize> = bench.recorded()[before..]
            .iter()
            .map(|command| command.split(' ').count())
            .collect();
        assert_eq!(lengths, [1, 1026, 1026, 53, 1]);
        let mut bench = bench.restarted(START);
        bench.check_at(START, &[("SCARD s", "1")]);
    }

    #[test]
    fn popping_ends_with_an_empty_set() {
        let mut bench = Bench::default();
        for number in 0..50 {
            bench.run(START, &format!("SADD s {number}"));
        }
        bench.run(START, "SPOP s 49");
        bench.check_at(START, &[("SCARD s", "1")]);
        bench.run(START, "SPOP s 9");
        bench.check_at(START, &[("EXISTS s", "0")]);
    }
}
