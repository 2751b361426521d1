//! Commands on lists.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::resp::Reply;
use super::Arity::{AtLeast, Between, Exactly};
use super::arguments::{count, first, integer, only, pair, span, triple};
use super::{Command, Context, Outcome};

type List = VecDeque<Bytes>;

pub(super) const COMMANDS: &[Command] = &[
    Command::writes("lpush", AtLeast(2), |context, arguments| {
        push(context, arguments, List::push_front)
    }),
    Command::writes("rpush", AtLeast(2), |context, arguments| {
        push(context, arguments, List::push_back)
    }),
    Command::writes("lpop", Between(1, 2), |context, arguments| {
        pop(context, arguments, List::pop_front)
    }),
    Command::writes("rpop", Between(1, 2), |context, arguments| {
        pop(context, arguments, List::pop_back)
    }),
    Command::reads("lrange", Exactly(3), range),
    Command::reads("llen", Exactly(1), length),
    Command::writes("lrem", Exactly(3), remove),
    Command::writes("ltrim", Exactly(3), trim),
    Command::reads("lindex", Exactly(2), element),
];

fn push(context: &mut Context<'_>, arguments: &[Bytes], push_one: fn(&mut List, Bytes)) -> Outcome {
    let (key, items) = first(arguments)?;
    let list = context.edit_or_create::<List>(key)?;
    for item in items {
        push_one(list, item.clone());
    }
    let length = list.len();
    context.changed(key, items.len());
    Ok(Reply::count(length))
}

fn pop(
    context: &mut Context<'_>,
    arguments: &[Bytes],
    pop_one: fn(&mut List) -> Option<Bytes>,
) -> Outcome {
    let (key, wanted) = first(arguments)?;
    let most = match wanted {
        [] => 1,
        [wanted, ..] => count(wanted)?,
    };
    let popped = context.take_from(key, |list: &mut List| {
        let popped: Vec<Bytes> = std::iter::from_fn(|| pop_one(list)).take(most).collect();
        let count = popped.len();
        (popped, count)
    })?;
    Ok(match (popped, wanted.is_empty()) {
        (popped, true) => Reply::optional(popped.unwrap_or_default().first()),
        (Some(popped), false) => Reply::bulks(&popped),
        (None, false) => Reply::NilArray,
    })
}

fn range(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, start, stop) = triple(arguments)?;
    let list = context.read::<List>(key)?;
    let range = span(start, stop, list.map_or(0, List::len))?;
    Ok(Reply::bulks(
        list.into_iter().flat_map(|list| list.range(range.clone())),
    ))
}

fn length(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let list = context.read::<List>(only(arguments)?)?;
    Ok(Reply::count(list.map_or(0, List::len)))
}

/// Removes elements that equal one: from the front, from the back for a negative count, all of
/// them for zero.
fn remove(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, count, element) = triple(arguments)?;
    let count = integer(count)?;
    let most = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(most) => most,
    };
    let removed = context.take_from(key, |list: &mut List| {
        let mut removed = 0;
        let mut is_kept = |item: &Bytes| {
            let goes = removed < most && item == element;
            removed += usize::from(goes);
            !goes
        };
        if count < 0 {
            let mut kept = List::with_capacity(list.len());
            for item in list.drain(..).rev() {
                if is_kept(&item) {
                    kept.push_front(item);
                }
            }
            *list = kept;
        } else {
            list.retain(is_kept);
        }
        (removed, removed)
    })?;
    Ok(Reply::count(removed.unwrap_or(0)))
}

fn trim(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, start, stop) = triple(arguments)?;
    let kept = span(start, stop, context.read::<List>(key)?.map_or(0, List::len))?;
    context.take_from(key, |list: &mut List| {
        let before = list.len();
        list.truncate(kept.end);
        list.drain(..kept.start);
        ((), before - list.len())
    })?;
    Ok(Reply::OK)
}

fn element(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, position) = pair(arguments)?;
    let position = integer(position)?;
    let list = context.read::<List>(key)?;
    let found = list.and_then(|list| {
        let distance = usize::try_from(position.unsigned_abs()).ok()?;
        let position = if position < 0 {
            list.len().checked_sub(distance)?
        } else {
            distance
        };
        list.get(position)
    });
    Ok(Reply::optional(found))
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::check;

    #[test]
    fn both_ends_grow_and_shrink() {
        check(&[
            ("RPUSH l c d", "2"),
            ("LPUSH l b a", "4"),
            ("LRANGE l 0 -1", "[a b c d]"),
            ("LRANGE l 1 2", "[b c]"),
            ("LRANGE l -2 -1", "[c d]"),
            ("LRANGE l 5 9", "[]"),
            ("LRANGE none 0 -1", "[]"),
            (
                "LRANGE l x 1",
                "-ERR value is not an integer or out of range",
            ),
            ("LLEN l", "4"),
            ("LINDEX l 0", "a"),
            ("LINDEX l -1", "d"),
            ("LINDEX l 4", "nil"),
            ("LINDEX l -5", "nil"),
            ("LPOP l", "a"),
            ("RPOP l", "d"),
            ("LPOP l 5", "[b c]"),
            ("EXISTS l", "0"),
            ("LPOP l", "nil"),
            ("LPOP l 2", "nil-array"),
            ("RPUSH l a", "1"),
            ("LPOP l 0", "[]"),
            ("LPOP l -1", "-ERR value is out of range, must be positive"),
            ("LLEN none", "0"),
            ("SET k v", "+OK"),
            (
                "RPUSH k a",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                "LPOP k",
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn elements_are_removed_and_trimmed() {
        check(&[
            ("RPUSH l a b a c a", "5"),
            ("LREM l 1 a", "1"),
            ("LRANGE l 0 -1", "[b a c a]"),
            ("LREM l -1 a", "1"),
            ("LRANGE l 0 -1", "[b a c]"),
            ("LREM l 0 z", "0"),
            ("LREM none 0 z", "0"),
            ("LTRIM l 1 -1", "+OK"),
            ("LRANGE l 0 -1", "[a c]"),
            ("LREM l 0 a", "1"),
            ("LTRIM l 5 9", "+OK"),
            ("EXISTS l", "0"),
            ("LTRIM none 0 1", "+OK"),
        ]);
    }
}
