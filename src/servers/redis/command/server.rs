//! Commands on the server: settings, files, the way out.

use bytes::Bytes;

use super::super::engine::{Engine, FinalSave};
use super::super::glob;
use super::super::resp::Reply;
use super::super::session::Session;
use super::Arity::{AtLeast, Between, Exactly};
use super::arguments::{first, word};
use super::information::information;
use super::{Command, Outcome, Place, Refusal, Stage, command_count};

/// The version of Redis whose commands are spoken.
pub(super) const VERSION: &str = "7.4.0";

/// Told to clients when a file cannot be written; the log has the cause.
const NOT_WRITTEN: &str = "the file could not be written, the log of the server says why";

pub(super) const COMMANDS: &[Command] = &[
    Command::serves(
        "info",
        AtLeast(0),
        Stage::Loading,
        Place::Anywhere,
        |engine, _, sections| Ok(Reply::text(information(engine, sections))),
    ),
    Command::serves(
        "command",
        AtLeast(0),
        Stage::Loading,
        Place::Anywhere,
        describe,
    ),
    Command::serves("time", Exactly(0), Stage::Ready, Place::Anywhere, time),
    Command::serves(
        "config",
        AtLeast(1),
        Stage::Ready,
        Place::Anywhere,
        configure,
    ),
    Command::serves(
        "bgrewriteaof",
        Exactly(0),
        Stage::Ready,
        Place::Anywhere,
        |engine, _, _| {
            engine
                .rewrite(false)
                .map_err(|_| Refusal::Failed { text: NOT_WRITTEN })?;
            Ok(Reply::Status(
                "Background append only file rewriting started",
            ))
        },
    ),
    Command::serves(
        "save",
        Exactly(0),
        Stage::Ready,
        Place::Anywhere,
        |engine, _, _| {
            save(engine)?;
            Ok(Reply::OK)
        },
    ),
    Command::serves(
        "bgsave",
        Between(0, 1),
        Stage::Ready,
        Place::Anywhere,
        |engine, _, _| {
            save(engine)?;
            Ok(Reply::Status("Background saving started"))
        },
    ),
    Command::serves(
        "lastsave",
        Exactly(0),
        Stage::Ready,
        Place::Anywhere,
        |engine, _, _| Ok(Reply::Integer(engine.last_save / 1_000)),
    ),
    Command::serves(
        "shutdown",
        AtLeast(0),
        Stage::Loading,
        Place::Anywhere,
        shut_down,
    ),
];

fn save(engine: &mut Engine) -> Result<(), Refusal> {
    engine
        .save()
        .map_err(|_| Refusal::Failed { text: NOT_WRITTEN })
}

fn describe(_engine: &mut Engine, _session: &mut Session, arguments: &[Bytes]) -> Outcome {
    let Some((subcommand, _)) = arguments.split_first() else {
        return Ok(Reply::Array(Vec::new()));
    };
    match word(subcommand).as_str() {
        "COUNT" => Ok(Reply::count(command_count())),
        "DOCS" | "INFO" => Ok(Reply::Array(Vec::new())),
        _ => Err(Refusal::UnknownSubcommand {
            command: "COMMAND",
            name: subcommand.escape_ascii().to_string(),
        }),
    }
}

fn time(engine: &mut Engine, _session: &mut Session, _arguments: &[Bytes]) -> Outcome {
    Ok(Reply::Array(vec![
        Reply::text((engine.now / 1_000).to_string()),
        Reply::text((engine.now % 1_000 * 1_000).to_string()),
    ]))
}

fn shut_down(engine: &mut Engine, session: &mut Session, arguments: &[Bytes]) -> Outcome {
    for argument in arguments {
        match word(argument).as_str() {
            "SAVE" => engine.final_save = FinalSave::Always,
            "NOSAVE" => engine.final_save = FinalSave::Never,
            "NOW" | "FORCE" => {}
            _ => return Err(Refusal::Syntax),
        }
    }
    engine.journal.notice("A client asks the server to stop");
    engine.stop.notify_one();
    session.is_closing = true;
    Ok(Reply::Nothing)
}

/// The settings clients can ask for, with their values.
fn parameters(engine: &Engine) -> Vec<(&'static str, String)> {
    let yes_or_no = if engine.storage.is_append_only() {
        "yes"
    } else {
        "no"
    };
    vec![
        ("appendfilename", "appendonly.aof".to_owned()),
        ("appendfsync", "everysec".to_owned()),
        ("appendonly", yes_or_no.to_owned()),
        (
            "databases",
            super::super::database::DATABASE_COUNT.to_string(),
        ),
        ("dir", engine.storage.folder().display().to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", engine.port.to_string()),
        ("requirepass", String::new()),
        // The snapshot is written at a stop and when asked for, at no interval.
        ("save", String::new()),
    ]
}

fn configure(engine: &mut Engine, _session: &mut Session, arguments: &[Bytes]) -> Outcome {
    let (subcommand, rest) = first(arguments)?;
    let name = word(subcommand);
    match (name.as_str(), rest) {
        ("GET", [_, ..]) => Ok(matching_parameters(engine, rest)),
        ("SET", [_, _, ..]) => set_parameters(engine, rest),
        ("RESETSTAT", []) => {
            engine.commands_processed = 0;
            Ok(Reply::OK)
        }
        ("REWRITE", []) => Err(Refusal::NoConfigurationFile),
        ("GET" | "SET" | "RESETSTAT" | "REWRITE", _) => Err(Refusal::ArgumentCount {
            command: format!("config|{}", name.to_ascii_lowercase()),
        }),
        _ => Err(Refusal::UnknownSubcommand {
            command: "CONFIG",
            name: subcommand.escape_ascii().to_string(),
        }),
    }
}

fn matching_parameters(engine: &Engine, patterns: &[Bytes]) -> Reply {
    let is_wanted = |name: &str| {
        patterns
            .iter()
            .any(|pattern| glob::is_match(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let found = parameters(engine)
        .into_iter()
        .filter(|(name, _)| is_wanted(name))
        .flat_map(|(name, value)| [Reply::text(name), Reply::text(value)]);
    Reply::Array(found.collect())
}

/// What can be changed while the server runs. Everything is checked before anything is changed.
enum Change {
    AppendOnly(bool),
    Password(Option<String>),
    /// The setting already has the only value it can have.
    None,
}

fn set_parameters(engine: &mut Engine, arguments: &[Bytes]) -> Outcome {
    let mut changes = Vec::new();
    for chunk in arguments.chunks(2) {
        let [name, value] = chunk else {
            return Err(Refusal::ArgumentCount {
                command: "config|set".to_owned(),
            });
        };
        changes.push(change(engine, name, value)?);
    }
    for change in changes {
        match change {
            Change::AppendOnly(is_on) => set_append_only(engine, is_on)?,
            Change::Password(password) => engine.password = password,
            Change::None => {}
        }
    }
    Ok(Reply::OK)
}

fn change(engine: &Engine, name: &Bytes, value: &Bytes) -> Result<Change, Refusal> {
    let name = word(name).to_ascii_lowercase();
    let text = String::from_utf8_lossy(value).into_owned();
    match (name.as_str(), text.to_ascii_lowercase().as_str()) {
        ("appendonly", "yes") => return Ok(Change::AppendOnly(true)),
        ("appendonly", "no") => return Ok(Change::AppendOnly(false)),
        ("requirepass", _) => {
            return Ok(Change::Password(Some(text).filter(|text| !text.is_empty())));
        }
        _ => {}
    }
    let Some((_, present)) = parameters(engine)
        .into_iter()
        .find(|(known, _)| *known == name)
    else {
        return Err(Refusal::UnknownParameter { name });
    };
    if present == text {
        return Ok(Change::None);
    }
    let reason = match name.as_str() {
        "appendonly" => "argument must be 'yes' or 'no'",
        _ => "the bundled server cannot change it",
    };
    Err(Refusal::Parameter { name, reason })
}

fn set_append_only(engine: &mut Engine, is_on: bool) -> Result<(), Refusal> {
    if is_on == engine.storage.is_append_only() {
        return Ok(());
    }
    let outcome = if is_on {
        engine.rewrite(true)
    } else {
        engine.turn_off_append_file()
    };
    outcome.map_err(|_| Refusal::Parameter {
        name: "appendonly".to_owned(),
        reason: NOT_WRITTEN,
    })
}

#[cfg(test)]
mod tests {
    use crate::servers::redis::testing::{Bench, START, check};

    #[test]
    fn settings_are_shown() {
        check(&[
            ("CONFIG GET appendonly", "[appendonly no]"),
            (
                "CONFIG GET APPEND*",
                "[appendfilename appendonly.aof appendfsync everysec appendonly no]",
            ),
            (
                "CONFIG GET requirepass save maxmemory",
                "[maxmemory 0 requirepass  save ]",
            ),
            ("CONFIG GET none", "[]"),
            (
                "CONFIG GET",
                "-ERR wrong number of arguments for 'config|get' command",
            ),
            ("CONFIG x", "-ERR unknown subcommand 'x'. Try CONFIG HELP."),
            ("CONFIG RESETSTAT", "+OK"),
            (
                "CONFIG REWRITE",
                "-ERR The server is running without a config file",
            ),
        ]);
    }

    #[test]
    fn settings_are_changed_where_that_has_a_meaning() {
        check(&[
            ("CONFIG SET appendonly yes", "+OK"),
            ("CONFIG GET appendonly", "[appendonly yes]"),
            ("CONFIG SET appendonly yes", "+OK"),
            ("CONFIG SET appendonly no appendfsync everysec", "+OK"),
            ("CONFIG GET appendonly", "[appendonly no]"),
            (
                "CONFIG SET appendonly maybe",
                "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - argument \
                 must be 'yes' or 'no'",
            ),
            (
                "CONFIG SET appendonly yes maxmemory 100mb",
                "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - the bundled \
                 server cannot change it",
            ),
            ("CONFIG GET appendonly", "[appendonly no]"),
            (
                "CONFIG SET bogus 1",
                "-ERR Unknown option or number of arguments for CONFIG SET - 'bogus'",
            ),
            ("CONFIG SET requirepass x", "+OK"),
            ("CONFIG GET requirepass", "[requirepass ]"),
            ("PING", "+PONG"),
            ("RESET", "+RESET"),
            ("PING", "-NOAUTH Authentication required."),
        ]);
    }

    #[test]
    fn the_file_can_be_turned_on_at_run_time() {
        let mut bench = Bench::default();
        bench.check_at(
            START,
            &[
                ("SET before 1 EX 100", "+OK"),
                ("CONFIG SET appendonly yes", "+OK"),
                ("SET after 2", "+OK"),
            ],
        );
        let mut bench = bench.restarted_with(true, START + 1_000);
        bench.check_at(
            START + 1_000,
            &[
                ("PTTL before", "99000"),
                ("GET after", "2"),
                ("DBSIZE", "2"),
            ],
        );
    }

    #[test]
    fn starting_with_the_file_but_without_it_begins_empty() {
        let mut bench = Bench::default();
        bench.check_at(START, &[("SET k v", "+OK"), ("SAVE", "+OK")]);
        let mut bench = bench.restarted_with(true, START);
        bench.check_at(START, &[("GET k", "nil")]);
        let mut bench = bench.restarted_with(false, START);
        bench.check_at(START, &[("GET k", "v")]);
    }

    #[test]
    fn files_are_written_on_request() {
        let mut bench = Bench::append_only();
        bench.check_at(
            START,
            &[
                ("INCR n", "1"),
                ("INCR n", "2"),
                (
                    "BGREWRITEAOF",
                    "+Background append only file rewriting started",
                ),
                ("LASTSAVE", "1000000"),
            ],
        );
        assert_eq!(bench.recorded(), ["SELECT 0", "SET n 2"]);
        bench.check_at(
            START + 5_000,
            &[
                ("BGSAVE", "+Background saving started"),
                ("LASTSAVE", "1000005"),
                (
                    "SAVE x",
                    "-ERR wrong number of arguments for 'save' command",
                ),
                ("SHUTDOWN x", "-ERR syntax error"),
                ("TIME", "[1000005 0]"),
                ("COMMAND", "[]"),
                ("COMMAND DOCS get", "[]"),
                (
                    "COMMAND x",
                    "-ERR unknown subcommand 'x'. Try COMMAND HELP.",
                ),
            ],
        );
        assert!(bench.run(START, "COMMAND COUNT").parse::<i64>().unwrap() > 80);
    }
}
