//! Commands on sorted sets.

use bytes::Bytes;

use super::super::resp::Reply;
use super::super::sorted_set::{Score, SortedSet};
use super::Arity::{AtLeast, Exactly};
use super::arguments::{first, integer, only, pair, pairs, score, score_limit, span, triple, word};
use super::{Command, Context, Outcome, Refusal};

pub(super) const COMMANDS: &[Command] = &[
    Command::writes("zadd", AtLeast(3), add),
    Command::writes("zrem", AtLeast(2), remove),
    Command::reads("zrange", AtLeast(3), range),
    Command::reads("zrangebyscore", AtLeast(3), range_by_score),
    Command::reads("zscore", Exactly(2), score_of),
    Command::reads("zcard", Exactly(1), size),
    Command::writes("zremrangebyscore", Exactly(3), remove_by_score),
];

/// The options of `ZADD`.
#[derive(Default)]
struct AddOptions {
    only_new: bool,
    only_present: bool,
    only_greater: bool,
    only_less: bool,
    counts_changes: bool,
    is_increment: bool,
}

impl AddOptions {
    /// The options at the front, and what follows them.
    fn parse(mut arguments: &[Bytes]) -> Result<(Self, &[Bytes]), Refusal> {
        let mut options = Self::default();
        while let Some((option, rest)) = arguments.split_first() {
            match word(option).as_str() {
                "NX" => options.only_new = true,
                "XX" => options.only_present = true,
                "GT" => options.only_greater = true,
                "LT" => options.only_less = true,
                "CH" => options.counts_changes = true,
                "INCR" => options.is_increment = true,
                _ => break,
            }
            arguments = rest;
        }
        if options.only_new && options.only_present {
            return Err(Refusal::Incompatible {
                options: "XX and NX",
            });
        }
        if (options.only_greater && (options.only_new || options.only_less))
            || (options.only_less && options.only_new)
        {
            return Err(Refusal::Incompatible {
                options: "GT, LT, and/or NX",
            });
        }
        Ok((options, arguments))
    }

    /// Whether a member may get the score `next`.
    fn allows(&self, present: Option<Score>, next: Score) -> bool {
        match present {
            None => !self.only_present,
            Some(present) => {
                !self.only_new
                    && (!self.only_greater || next > present)
                    && (!self.only_less || next < present)
            }
        }
    }
}

fn add(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, rest) = first(arguments)?;
    let (options, rest) = AddOptions::parse(rest)?;
    if rest.is_empty() {
        return Err(Refusal::Syntax);
    }
    let mut members = Vec::new();
    for (text, member) in pairs(rest, "zadd").map_err(|_| Refusal::Syntax)? {
        members.push((score(text).ok_or(Refusal::NotFloat)?, member));
    }
    if options.is_increment && members.len() > 1 {
        return Err(Refusal::SingleIncrement);
    }

    let present = context.read::<SortedSet>(key)?;
    if options.is_increment {
        for (score, member) in &mut members {
            let sum = present
                .and_then(|set| set.score(member))
                .map_or(0.0, Score::value)
                + score.value();
            *score = Score::new(sum).ok_or(Refusal::NotScore)?;
        }
    }
    if present.is_none() && options.only_present {
        return Ok(if options.is_increment {
            Reply::Nil
        } else {
            Reply::Integer(0)
        });
    }

    let set = context.edit_or_create::<SortedSet>(key)?;
    let before = set.len();
    let mut changed = 0;
    let mut latest = None;
    for (score, member) in members {
        let present = set.score(member);
        if !options.allows(present, score) {
            continue;
        }
        latest = Some(score);
        if present != Some(score) {
            set.insert(member, score);
            changed += 1;
        }
    }
    let added = set.len() - before;
    context.changed(key, changed);
    Ok(match (options.is_increment, options.counts_changes) {
        (true, _) => latest.map_or(Reply::Nil, |score| Reply::text(score.to_text())),
        (false, true) => Reply::count(changed),
        (false, false) => Reply::count(added),
    })
}

fn remove(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, members) = first(arguments)?;
    let removed = context.take_from(key, |set: &mut SortedSet| {
        let removed = members.iter().filter(|member| set.remove(member)).count();
        (removed, removed)
    })?;
    Ok(Reply::count(removed.unwrap_or(0)))
}

/// Members, each followed by its score if wanted.
fn listing<'a>(members: impl Iterator<Item = &'a (Score, Bytes)>, with_scores: bool) -> Reply {
    let mut replies = Vec::new();
    for (score, member) in members {
        replies.push(Reply::Bulk(member.clone()));
        if with_scores {
            replies.push(Reply::text(score.to_text()));
        }
    }
    Reply::Array(replies)
}

fn range(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, rest) = first(arguments)?;
    let (start, rest) = first(rest)?;
    let (stop, options) = first(rest)?;
    let with_scores = match options {
        [] => false,
        [option] if word(option) == "WITHSCORES" => true,
        _ => return Err(Refusal::Syntax),
    };
    let set = context.read::<SortedSet>(key)?;
    let positions = span(start, stop, set.map_or(0, SortedSet::len))?;
    let members = set
        .into_iter()
        .flat_map(SortedSet::iter)
        .skip(positions.start)
        .take(positions.len());
    Ok(listing(members, with_scores))
}

fn range_by_score(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, rest) = first(arguments)?;
    let (low, rest) = first(rest)?;
    let (high, mut options) = first(rest)?;
    let mut with_scores = false;
    let mut offset = 0;
    let mut most = -1;
    loop {
        options = match options {
            [] => break,
            [option, rest @ ..] if word(option) == "WITHSCORES" => {
                with_scores = true;
                rest
            }
            [option, skipped, wanted, rest @ ..] if word(option) == "LIMIT" => {
                offset = integer(skipped)?;
                most = integer(wanted)?;
                rest
            }
            _ => return Err(Refusal::Syntax),
        };
    }
    let (low, high) = (score_limit(low)?, score_limit(high)?);
    let members = context
        .read::<SortedSet>(key)?
        .into_iter()
        .flat_map(|set| set.between(low, high));
    // A negative offset finds nothing, a negative number of members means all.
    let Ok(offset) = usize::try_from(offset) else {
        return Ok(Reply::Array(Vec::new()));
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Ok(listing(members.skip(offset).take(most), with_scores))
}

fn score_of(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, member) = pair(arguments)?;
    let score = context
        .read::<SortedSet>(key)?
        .and_then(|set| set.score(member));
    Ok(score.map_or(Reply::Nil, |score| Reply::text(score.to_text())))
}

fn size(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let set = context.read::<SortedSet>(only(arguments)?)?;
    Ok(Reply::count(set.map_or(0, SortedSet::len)))
}

fn remove_by_score(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, low, high) = triple(arguments)?;
    let (low, high) = (score_limit(low)?, score_limit(high)?);
    let removed = context.take_from(key, |set: &mut SortedSet| {
        let members: Vec<Bytes> = set
            .between(low, high)
            .map(|(_, member)| member.clone())
            .collect();
        for member in &members {
            set.remove(member);
        }
        (members.len(), members.len())
    })?;
    Ok(Reply::count(removed.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::check;

    #[test]
    fn members_are_ordered_by_score() {
        check(&[
            ("ZADD z 2 b 1 a 2.5 c", "3"),
            ("ZADD z 3 a", "0"),
            ("ZRANGE z 0 -1", "[b c a]"),
            ("ZRANGE z 0 0 WITHSCORES", "[b 2]"),
            ("ZRANGE z -2 -1 withscores", "[c 2.5 a 3]"),
            ("ZRANGE z 5 9", "[]"),
            ("ZRANGE z 0 -1 REV", "-ERR syntax error"),
            ("ZRANGE none 0 -1", "[]"),
            ("ZSCORE z a", "3"),
            ("ZSCORE z none", "nil"),
            ("ZSCORE none a", "nil"),
            ("ZCARD z", "3"),
            ("ZREM z a none", "1"),
            ("ZREM z b c", "2"),
            ("EXISTS z", "0"),
            ("ZCARD z", "0"),
            ("ZADD z 1 b 1 a 1 c", "3"),
            ("ZRANGE z 0 -1", "[a b c]"),
            ("ZADD z x d", "-ERR value is not a valid float"),
            ("ZADD z 1 d 2", "-ERR syntax error"),
            ("ZADD new nan d", "-ERR value is not a valid float"),
            ("EXISTS new", "0"),
            ("SET k v", "+OK"),
            (
                "ZADD k 1 a",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn ranges_of_scores_have_open_and_closed_ends() {
        check(&[
            ("ZADD z 1 a 2 b 3 c 4 d", "4"),
            ("ZRANGEBYSCORE z -inf +inf", "[a b c d]"),
            ("ZRANGEBYSCORE z 2 3", "[b c]"),
            ("ZRANGEBYSCORE z (2 3", "[c]"),
            ("ZRANGEBYSCORE z 2 (3", "[b]"),
            ("ZRANGEBYSCORE z 3 2", "[]"),
            ("ZRANGEBYSCORE z (2 (2", "[]"),
            ("ZRANGEBYSCORE z 1 4 LIMIT 1 2", "[b c]"),
            ("ZRANGEBYSCORE z 1 4 LIMIT 1 -1 WITHSCORES", "[b 2 c 3 d 4]"),
            ("ZRANGEBYSCORE z 1 4 LIMIT -1 2", "[]"),
            ("ZRANGEBYSCORE z 1 4 LIMIT 1", "-ERR syntax error"),
            ("ZRANGEBYSCORE z x 4", "-ERR min or max is not a float"),
            ("ZRANGEBYSCORE none 1 4", "[]"),
            ("ZREMRANGEBYSCORE z (1 3", "2"),
            ("ZRANGE z 0 -1", "[a d]"),
            ("ZREMRANGEBYSCORE z -inf inf", "2"),
            ("EXISTS z", "0"),
            ("ZREMRANGEBYSCORE z 1 2", "0"),
        ]);
    }

    #[test]
    fn options_restrict_what_is_added() {
        check(&[
            ("ZADD z XX 1 a", "0"),
            ("EXISTS z", "0"),
            ("ZADD z NX 1 a", "1"),
            ("ZADD z NX 2 a", "0"),
            ("ZADD z GT CH 3 a 1 b", "2"),
            ("ZADD z GT CH 2 a", "0"),
            ("ZADD z LT CH 2 a", "1"),
            ("ZADD z INCR 1.5 a", "3.5"),
            ("ZADD z NX INCR 1 a", "nil"),
            ("ZADD z INCR inf a", "inf"),
            (
                "ZADD z INCR -inf a",
                "-ERR resulting score is not a number (NaN)",
            ),
            (
                "ZADD z INCR 1 a 2 b",
                "-ERR INCR option supports a single increment-element pair",
            ),
            (
                "ZADD z NX XX 1 a",
                "-ERR XX and NX options at the same time are not compatible",
            ),
            (
                "ZADD z GT LT 1 a",
                "-ERR GT, LT, and/or NX options at the same time are not compatible",
            ),
        ]);
    }
}
