//! Commands on the connection itself.

use bytes::Bytes;

use super::super::database::DatabaseIndex;
use super::super::engine::Engine;
use super::super::resp::Reply;
use super::super::session::Session;
use super::Arity::{AtLeast, Between, Exactly};
use super::arguments::{database_index, first, integer, only, plain_integer, word};
use super::server::VERSION;
use super::{Command, Outcome, Place, Refusal, Stage, unsubscribe_all, unwatch_all};

/// The only user there is.
const USER: &[u8] = b"default";

pub(super) const COMMANDS: &[Command] = &[
    Command::serves(
        "ping",
        Between(0, 1),
        Stage::Ready,
        Place::Subscription,
        ping,
    ),
    Command::serves(
        "echo",
        Exactly(1),
        Stage::Ready,
        Place::Anywhere,
        |_, _, arguments| Ok(Reply::Bulk(only(arguments)?.clone())),
    ),
    Command::serves(
        "quit",
        AtLeast(0),
        Stage::Greeting,
        Place::Immediate,
        |_, session, _| {
            session.is_closing = true;
            Ok(Reply::OK)
        },
    ),
    Command::serves(
        "reset",
        Exactly(0),
        Stage::Greeting,
        Place::Immediate,
        reset,
    ),
    Command::serves(
        "auth",
        Between(1, 2),
        Stage::Greeting,
        Place::Anywhere,
        authenticate,
    ),
    Command::serves("hello", AtLeast(0), Stage::Greeting, Place::Anywhere, hello),
    Command::serves(
        "select",
        Exactly(1),
        Stage::Loading,
        Place::Anywhere,
        select,
    ),
    Command::serves(
        "client",
        AtLeast(1),
        Stage::Loading,
        Place::Anywhere,
        client,
    ),
];

fn ping(_engine: &mut Engine, session: &mut Session, arguments: &[Bytes]) -> Outcome {
    if session.subscription_count() > 0 {
        let message = arguments.first().cloned().unwrap_or_default();
        return Ok(Reply::Array(vec![
            Reply::text("pong"),
            Reply::Bulk(message),
        ]));
    }
    Ok(match arguments.first() {
        Some(message) => Reply::Bulk(message.clone()),
        None => Reply::Status("PONG"),
    })
}

fn reset(engine: &mut Engine, session: &mut Session, _arguments: &[Bytes]) -> Outcome {
    session.transaction = None;
    unwatch_all(engine, session);
    unsubscribe_all(engine, session);
    session.is_authenticated = engine.password.is_none();
    choose(engine, session, DatabaseIndex::default());
    if let Some(client) = engine.clients.client_mut(session.id) {
        client.name = Bytes::new();
    }
    Ok(Reply::Status("RESET"))
}

fn authenticate(engine: &mut Engine, session: &mut Session, arguments: &[Bytes]) -> Outcome {
    match arguments {
        [password] if engine.password.is_some() => log_in(engine, session, USER, password)?,
        [user, password] => log_in(engine, session, user, password)?,
        _ => return Err(Refusal::NoPassword),
    }
    Ok(Reply::OK)
}

fn log_in(
    engine: &Engine,
    session: &mut Session,
    user: &[u8],
    password: &[u8],
) -> Result<(), Refusal> {
    let is_right = engine
        .password
        .as_ref()
        .is_none_or(|wanted| is_equal(wanted.as_bytes(), password));
    if user != USER || !is_right {
        return Err(Refusal::WrongPassword);
    }
    session.is_authenticated = true;
    Ok(())
}

/// Compares without stopping at the first difference, so that time tells nothing of the password.
fn is_equal(wanted: &[u8], given: &[u8]) -> bool {
    let difference = wanted
        .iter()
        .zip(given)
        .fold(0, |difference, (wanted, given)| {
            difference | (wanted ^ given)
        });
    difference == 0 && wanted.len() == given.len()
}

fn hello(engine: &mut Engine, session: &mut Session, arguments: &[Bytes]) -> Outcome {
    let mut name = None;
    if let Some((version, mut options)) = arguments.split_first() {
        match plain_integer(version) {
            Some(2) => {}
            Some(_) => return Err(Refusal::ProtocolVersion),
            None => return Err(Refusal::ProtocolVersionNumber),
        }
        loop {
            options = match options {
                [] => break,
                [option, user, password, rest @ ..] if word(option) == "AUTH" => {
                    log_in(engine, session, user, password)?;
                    rest
                }
                [option, wanted, rest @ ..] if word(option) == "SETNAME" => {
                    check_name(wanted)?;
                    name = Some(wanted.clone());
                    rest
                }
                _ => return Err(Refusal::Syntax),
            };
        }
    }
    if !session.is_authenticated {
        return Err(Refusal::NotAuthenticated);
    }
    if let (Some(client), Some(name)) = (engine.clients.client_mut(session.id), name) {
        client.name = name;
    }
    let id = i64::try_from(session.id).unwrap_or(i64::MAX);
    Ok(Reply::Array(vec![
        Reply::text("server"),
        Reply::text("redis"),
        Reply::text("version"),
        Reply::text(VERSION),
        Reply::text("proto"),
        Reply::Integer(2),
        Reply::text("id"),
        Reply::Integer(id),
        Reply::text("mode"),
        Reply::text("standalone"),
        Reply::text("role"),
        Reply::text("master"),
        Reply::text("modules"),
        Reply::Array(Vec::new()),
    ]))
}

fn select(engine: &mut Engine, session: &mut Session, arguments: &[Bytes]) -> Outcome {
    let index = database_index(integer(only(arguments)?)?)?;
    choose(engine, session, index);
    Ok(Reply::OK)
}

fn choose(engine: &mut Engine, session: &mut Session, index: DatabaseIndex) {
    session.selected = index;
    if let Some(client) = engine.clients.client_mut(session.id) {
        client.database = index.number();
    }
}

fn client(engine: &mut Engine, session: &mut Session, arguments: &[Bytes]) -> Outcome {
    let (subcommand, rest) = first(arguments)?;
    let name = word(subcommand);
    let wrong_count = || Refusal::ArgumentCount {
        command: format!("client|{}", name.to_ascii_lowercase()),
    };
    match (name.as_str(), rest) {
        ("ID", []) => Ok(Reply::Integer(
            i64::try_from(session.id).unwrap_or(i64::MAX),
        )),
        ("GETNAME", []) => Ok(match engine.clients.client(session.id) {
            Some(client) if !client.name.is_empty() => Reply::Bulk(client.name.clone()),
            _ => Reply::Nil,
        }),
        ("SETNAME", [wanted]) => {
            check_name(wanted)?;
            if let Some(client) = engine.clients.client_mut(session.id) {
                client.name = wanted.clone();
            }
            Ok(Reply::OK)
        }
        ("SETINFO", [attribute, value]) => set_information(engine, session, attribute, value),
        ("LIST", _) => Ok(Reply::text(list(engine))),
        ("ID" | "GETNAME" | "SETNAME" | "SETINFO", _) => Err(wrong_count()),
        _ => Err(Refusal::UnknownSubcommand {
            command: "CLIENT",
            name: subcommand.escape_ascii().to_string(),
        }),
    }
}

fn set_information(
    engine: &mut Engine,
    session: &Session,
    attribute: &Bytes,
    value: &Bytes,
) -> Outcome {
    check_name(value)?;
    let Some(client) = engine.clients.client_mut(session.id) else {
        return Ok(Reply::OK);
    };
    match word(attribute).as_str() {
        "LIB-NAME" => client.library_name = value.clone(),
        "LIB-VER" => client.library_version = value.clone(),
        _ => {
            return Err(Refusal::ClientInformation {
                name: attribute.escape_ascii().to_string(),
            });
        }
    }
    Ok(Reply::OK)
}

fn check_name(name: &[u8]) -> Result<(), Refusal> {
    if name.iter().all(u8::is_ascii_graphic) {
        Ok(())
    } else {
        Err(Refusal::ClientName)
    }
}

fn list(engine: &Engine) -> String {
    let lines = engine.clients.iter().map(|(id, client)| {
        let address = client
            .address
            .map(|address| address.to_string())
            .unwrap_or_default();
        format!(
            "id={id} addr={address} name={} age={} db={} cmd={} lib-name={} lib-ver={}\n",
            String::from_utf8_lossy(&client.name),
            engine.now.saturating_sub(client.since).max(0) / 1_000,
            client.database,
            client.command,
            String::from_utf8_lossy(&client.library_name),
            String::from_utf8_lossy(&client.library_version),
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::{Bench, START, check};

    #[test]
    fn greetings_are_answered() {
        const HELLO: &str = "[server redis version 7.4.0 proto 2 id 1 mode standalone \
                             role master modules []]";
        check(&[
            ("PING", "+PONG"),
            ("PING hi", "hi"),
            ("ping", "+PONG"),
            (
                "PING a b",
                "-ERR wrong number of arguments for 'ping' command",
            ),
            ("ECHO x", "x"),
            ("HELLO", HELLO),
            ("HELLO 2 SETNAME me", HELLO),
            ("CLIENT GETNAME", "me"),
            ("HELLO 3", "-NOPROTO unsupported protocol version"),
            (
                "HELLO x",
                "-ERR Protocol version is not an integer or out of range",
            ),
            ("HELLO 2 x", "-ERR syntax error"),
            ("SELECT 15", "+OK"),
            ("SELECT 16", "-ERR DB index is out of range"),
            ("SELECT -1", "-ERR DB index is out of range"),
            ("SELECT x", "-ERR value is not an integer or out of range"),
            ("CLIENT ID", "1"),
            ("CLIENT SETNAME you", "+OK"),
            (
                "CLIENT SETNAME 'a b'",
                "-ERR Client names cannot contain spaces, newlines or special characters.",
            ),
            ("CLIENT SETINFO LIB-NAME lib", "+OK"),
            ("CLIENT SETINFO lib-ver 1.0", "+OK"),
            (
                "CLIENT SETINFO other 1.0",
                "-ERR Unrecognized option 'other'",
            ),
            (
                "CLIENT LIST",
                "id=1 addr= name=you age=0 db=15 cmd=client lib-name=lib lib-ver=1.0\\n",
            ),
            (
                "CLIENT SETNAME",
                "-ERR wrong number of arguments for 'client|setname' command",
            ),
            ("CLIENT x", "-ERR unknown subcommand 'x'. Try CLIENT HELP."),
            ("RESET", "+RESET"),
            ("CLIENT GETNAME", "nil"),
            ("QUIT", "+OK"),
        ]);
    }

    #[test]
    fn the_password_opens_the_server() {
        const NEEDED: &str = "-NOAUTH Authentication required.";
        const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
        let mut bench = Bench::default();
        bench.engine.password = Some("secret".to_owned());
        bench.session.is_authenticated = false;
        bench.check_at(
            START,
            &[
                ("PING", NEEDED),
                ("INFO", NEEDED),
                ("HELLO 2", NEEDED),
                ("AUTH wrong", WRONG),
                ("AUTH secretx", WRONG),
                ("AUTH other secret", WRONG),
                (
                    "AUTH a b c",
                    "-ERR wrong number of arguments for 'auth' command",
                ),
                ("HELLO 2 AUTH default wrong", WRONG),
                ("PING", NEEDED),
                ("AUTH secret", "+OK"),
                ("PING", "+PONG"),
                ("RESET", "+RESET"),
                ("PING", NEEDED),
                ("AUTH default secret", "+OK"),
                ("PING", "+PONG"),
            ],
        );
    }

    #[test]
    fn a_password_nobody_asked_for_is_refused() {
        check(&[
            (
                "AUTH x",
                "-ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            ),
            ("AUTH default x", "+OK"),
        ]);
    }
}
