//! Commands on channels.

use bytes::Bytes;

use super::super::clients::Subscription;
use super::super::engine::Engine;
use super::super::resp::Reply;
use super::super::session::Session;
use super::Arity::{AtLeast, Exactly};
use super::arguments::pair;
use super::{Command, Outcome, Place, Stage};

pub(super) const COMMANDS: &[Command] = &[
    Command::serves(
        "subscribe",
        AtLeast(1),
        Stage::Loading,
        Place::Subscription,
        |engine, session, names| subscribe(engine, session, names, Subscription::Channel),
    ),
    Command::serves(
        "psubscribe",
        AtLeast(1),
        Stage::Loading,
        Place::Subscription,
        |engine, session, names| subscribe(engine, session, names, Subscription::Pattern),
    ),
    Command::serves(
        "unsubscribe",
        AtLeast(0),
        Stage::Loading,
        Place::Subscription,
        |engine, session, names| unsubscribe(engine, session, names, Subscription::Channel),
    ),
    Command::serves(
        "punsubscribe",
        AtLeast(0),
        Stage::Loading,
        Place::Subscription,
        |engine, session, names| unsubscribe(engine, session, names, Subscription::Pattern),
    ),
    Command::serves(
        "publish",
        Exactly(2),
        Stage::Loading,
        Place::Anywhere,
        publish,
    ),
];

fn subscribe(
    engine: &mut Engine,
    session: &mut Session,
    names: &[Bytes],
    kind: Subscription,
) -> Outcome {
    let word = match kind {
        Subscription::Channel => "subscribe",
        Subscription::Pattern => "psubscribe",
    };
    let replies = names.iter().map(|name| {
        engine.clients.subscribe(kind, name, session.id);
        match kind {
            Subscription::Channel => session.channels.insert(name.clone()),
            Subscription::Pattern => session.patterns.insert(name.clone()),
        };
        confirmation(word, Some(name), session)
    });
    Ok(Reply::Several(replies.collect()))
}

fn unsubscribe(
    engine: &mut Engine,
    session: &mut Session,
    names: &[Bytes],
    kind: Subscription,
) -> Outcome {
    let (word, present) = match kind {
        Subscription::Channel => ("unsubscribe", &session.channels),
        Subscription::Pattern => ("punsubscribe", &session.patterns),
    };
    let names: Vec<Bytes> = if names.is_empty() {
        present.iter().cloned().collect()
    } else {
        names.to_vec()
    };
    if names.is_empty() {
        return Ok(confirmation(word, None, session));
    }
    let replies = names.iter().map(|name| {
        engine.clients.unsubscribe(kind, name, session.id);
        match kind {
            Subscription::Channel => session.channels.remove(name),
            Subscription::Pattern => session.patterns.remove(name),
        };
        confirmation(word, Some(name), session)
    });
    Ok(Reply::Several(replies.collect()))
}

fn confirmation(word: &str, name: Option<&Bytes>, session: &Session) -> Reply {
    Reply::Array(vec![
        Reply::text(word),
        Reply::optional(name),
        Reply::count(session.subscription_count()),
    ])
}

/// Ends all subscriptions of a client.
pub(in super::super) fn unsubscribe_all(engine: &mut Engine, session: &mut Session) {
    for name in std::mem::take(&mut session.channels) {
        engine
            .clients
            .unsubscribe(Subscription::Channel, &name, session.id);
    }
    for name in std::mem::take(&mut session.patterns) {
        engine
            .clients
            .unsubscribe(Subscription::Pattern, &name, session.id);
    }
}

fn publish(engine: &mut Engine, _session: &mut Session, arguments: &[Bytes]) -> Outcome {
    let (channel, message) = pair(arguments)?;
    Ok(Reply::count(engine.clients.publish(channel, message)))
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::session::Session;
    use crate::servers::redis::testing::Bench;

    fn messages(session: &mut Session) -> String {
        let mut output = Vec::new();
        session.take_messages(&mut output);
        output.escape_ascii().to_string()
    }

    #[test]
    fn messages_reach_those_who_listen() {
        let mut bench = Bench::default();
        let mut listener = bench.connect();
        let mut run = |line| bench.run_as(&mut listener, line);
        assert_eq!(run("SUBSCRIBE a b"), "[subscribe a 1]; [subscribe b 2]");
        assert_eq!(run("PSUBSCRIBE ab*"), "[psubscribe ab* 3]");
        assert_eq!(
            run("GET k"),
            "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context"
        );
        assert_eq!(run("PING"), "[pong ]");
        assert_eq!(run("PING x"), "[pong x]");
        assert_eq!(
            run("UNSUBSCRIBE b none"),
            "[unsubscribe b 2]; [unsubscribe none 2]"
        );

        let mut speaker = bench.connect();
        assert_eq!(bench.run_as(&mut speaker, "PUBLISH a hi"), "1");
        assert_eq!(bench.run_as(&mut speaker, "PUBLISH b hi"), "0");
        assert_eq!(bench.run_as(&mut speaker, "PUBLISH abc hi"), "1");
        assert_eq!(
            messages(&mut listener),
            "*3\\r\\n$7\\r\\nmessage\\r\\n$1\\r\\na\\r\\n$2\\r\\nhi\\r\\n\
             *4\\r\\n$8\\r\\npmessage\\r\\n$3\\r\\nab*\\r\\n$3\\r\\nabc\\r\\n$2\\r\\nhi\\r\\n"
        );

        assert_eq!(
            bench.run_as(&mut listener, "UNSUBSCRIBE"),
            "[unsubscribe a 1]"
        );
        assert_eq!(
            bench.run_as(&mut listener, "PUNSUBSCRIBE"),
            "[punsubscribe ab* 0]"
        );
        assert_eq!(
            bench.run_as(&mut listener, "UNSUBSCRIBE"),
            "[unsubscribe nil 0]"
        );
        assert_eq!(bench.run_as(&mut listener, "GET k"), "nil");
        assert_eq!(bench.run_as(&mut speaker, "PUBLISH a hi"), "0");
    }

    #[test]
    fn a_client_that_leaves_no_longer_listens() {
        let mut bench = Bench::default();
        let mut listener = bench.connect();
        bench.run_as(&mut listener, "SUBSCRIBE a");
        bench.engine.disconnect(&mut listener);
        let mut speaker = bench.connect();
        assert_eq!(bench.run_as(&mut speaker, "PUBLISH a hi"), "0");
    }
}
