//! The commands: which there are, what they take, what they may do when, and how one that works
//! on the dataset is run. Must not know connections or files. Error texts are facts of the
//! protocol: clients match on them.

mod arguments;
mod hashes;
mod information;
mod keys;
mod lists;
mod publish;
mod server;
mod session;
mod sets;
mod sorted_sets;
mod strings;
mod transaction;

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;

pub(super) use publish::unsubscribe_all;
pub(super) use transaction::unwatch_all;

use super::database::{Collection, Database, DatabaseIndex, Keyspace, Stored};
use super::engine::Engine;
use super::resp::Reply;
use super::session::Session;

/// A command that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR value is not a valid float")]
    NotFloat,
    #[error("ERR min or max is not a float")]
    NotScoreRange,
    #[error("ERR resulting score is not a number (NaN)")]
    NotScore,
    #[error("ERR hash value is not an integer")]
    HashNotInteger,
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    TooLong,
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("ERR invalid cursor")]
    Cursor,
    #[error("ERR DB index is out of range")]
    DatabaseIndex,
    #[error("ERR invalid expire time in '{command}' command")]
    ExpireTime { command: &'static str },
    #[error("ERR {options} options at the same time are not compatible")]
    Incompatible { options: &'static str },
    #[error("ERR Unsupported option {name}")]
    UnsupportedOption { name: String },
    #[error("ERR INCR option supports a single increment-element pair")]
    SingleIncrement,
    #[error("ERR wrong number of arguments for '{command}' command")]
    ArgumentCount { command: String },
    #[error("ERR unknown command '{name}', with args beginning with: {beginning}")]
    UnknownCommand { name: String, beginning: String },
    #[error("ERR unknown subcommand '{name}'. Try {command} HELP.")]
    UnknownSubcommand { command: &'static str, name: String },
    #[error("NOAUTH Authentication required.")]
    NotAuthenticated,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPassword,
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. \
         Are you sure your configuration is correct?"
    )]
    NoPassword,
    #[error("NOPROTO unsupported protocol version")]
    ProtocolVersion,
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolVersionNumber,
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    #[error("ERR Unrecognized option '{name}'")]
    ClientInformation { name: String },
    #[error("LOADING Redis is loading the dataset in memory")]
    Loading,
    #[error("MISCONF Errors writing to the AOF file: {reason}")]
    NotRecorded { reason: String },
    #[error(
        "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
         RESET are allowed in this context"
    )]
    Subscribed { command: String },
    #[error("ERR MULTI calls can not be nested")]
    NestedTransaction,
    #[error("ERR {command} without MULTI")]
    NoTransaction { command: &'static str },
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInTransaction,
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    TransactionBroken,
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")]
    UnknownParameter { name: String },
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Parameter { name: String, reason: &'static str },
    #[error("ERR The server is running without a config file")]
    NoConfigurationFile,
    #[error("ERR {text}")]
    Failed { text: &'static str },
}

pub(super) type Outcome = Result<Reply, Refusal>;

/// How many arguments a command takes, its name apart.
#[derive(Debug, Clone, Copy)]
enum Arity {
    Exactly(usize),
    AtLeast(usize),
    Between(usize, usize),
}

impl Arity {
    fn allows(self, count: usize) -> bool {
        match self {
            Self::Exactly(wanted) => count == wanted,
            Self::AtLeast(least) => count >= least,
            Self::Between(least, most) => (least..=most).contains(&count),
        }
    }
}

/// From when on a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// At once, even without the password.
    Greeting,
    /// While the dataset is being loaded.
    Loading,
    /// Once the dataset is there.
    Ready,
}

/// What a command does when it is sent between `MULTI` and `EXEC`, or by a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It waits for `EXEC`; subscribers may not send it.
    Anywhere,
    /// It is run at once; subscribers may not send it.
    Transaction,
    /// It waits for `EXEC`; subscribers may send it.
    Subscription,
    /// It is run at once, whoever sends it.
    Immediate,
}

/// What carries a command out. The slice holds the arguments after the name.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// On the dataset alone: such a command can be recorded and repeated.
    Data(fn(&mut Context<'_>, &[Bytes]) -> Outcome),
    /// On the server or the session.
    Server(fn(&mut Engine, &mut Session, &[Bytes]) -> Outcome),
}

/// One command.
pub(super) struct Command {
    name: &'static str,
    arity: Arity,
    stage: Stage,
    place: Place,
    writes: bool,
    run: Run,
}

impl Command {
    const fn reads(
        name: &'static str,
        arity: Arity,
        run: fn(&mut Context<'_>, &[Bytes]) -> Outcome,
    ) -> Self {
        Self {
            name,
            arity,
            stage: Stage::Ready,
            place: Place::Anywhere,
            writes: false,
            run: Run::Data(run),
        }
    }

    const fn writes(
        name: &'static str,
        arity: Arity,
        run: fn(&mut Context<'_>, &[Bytes]) -> Outcome,
    ) -> Self {
        Self {
            writes: true,
            ..Self::reads(name, arity, run)
        }
    }

    const fn serves(
        name: &'static str,
        arity: Arity,
        stage: Stage,
        place: Place,
        run: fn(&mut Engine, &mut Session, &[Bytes]) -> Outcome,
    ) -> Self {
        Self {
            name,
            arity,
            stage,
            place,
            writes: false,
            run: Run::Server(run),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn run(&self) -> Run {
        self.run
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn is_write(&self) -> bool {
        self.writes
    }

    /// Whether it is run inside a transaction instead of waiting for its end.
    pub(super) fn is_immediate(&self) -> bool {
        matches!(self.place, Place::Transaction | Place::Immediate)
    }

    /// Whether a subscriber may send it.
    pub(super) fn is_for_subscribers(&self) -> bool {
        matches!(self.place, Place::Subscription | Place::Immediate)
    }
}

static COMMANDS: LazyLock<HashMap<&'static str, &'static Command>> = LazyLock::new(|| {
    [
        strings::COMMANDS,
        keys::COMMANDS,
        sets::COMMANDS,
        lists::COMMANDS,
        hashes::COMMANDS,
        sorted_sets::COMMANDS,
        publish::COMMANDS,
        transaction::COMMANDS,
        session::COMMANDS,
        server::COMMANDS,
    ]
    .into_iter()
    .flatten()
    .map(|command| (command.name, command))
    .collect()
});

/// How many commands there are.
fn command_count() -> usize {
    COMMANDS.len()
}

/// The command of that name, if it takes these arguments.
pub(super) fn find(name: &[u8], arguments: &[Bytes]) -> Result<&'static Command, Refusal> {
    let lower_case = String::from_utf8_lossy(name).to_ascii_lowercase();
    let Some(command) = COMMANDS.get(lower_case.as_str()) else {
        return Err(unknown_command(name, arguments));
    };
    if !command.arity.allows(arguments.len()) {
        return Err(Refusal::ArgumentCount {
            command: lower_case,
        });
    }
    Ok(command)
}

/// Names an unknown command with as much of its arguments as the protocol shows.
fn unknown_command(name: &[u8], arguments: &[Bytes]) -> Refusal {
    const SHOWN: usize = 128;
    let shown = |bytes: &[u8], most: usize| -> String {
        String::from_utf8_lossy(bytes.get(..most).unwrap_or(bytes)).into_owned()
    };
    let mut beginning = String::new();
    for argument in arguments {
        if beginning.len() >= SHOWN {
            break;
        }
        let text = shown(argument, SHOWN - beginning.len());
        beginning.push_str(&format!("'{text}' "));
    }
    Refusal::UnknownCommand {
        name: shown(name, SHOWN),
        beginning,
    }
}

/// What a command on the dataset works with. Keys whose deadline has come are gone before a
/// command runs, so that none has to look.
pub(super) struct Context<'a> {
    keyspace: &'a mut Keyspace,
    selected: DatabaseIndex,
    now: i64,
    is_replay: bool,
    changes: u64,
    instead: Option<Vec<Vec<Bytes>>>,
}

/// What a command has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// How many changes there were.
    pub(super) count: u64,
    /// The commands to record in place of the one that was sent.
    pub(super) instead: Option<Vec<Vec<Bytes>>>,
}

impl<'a> Context<'a> {
    /// For a command a client has sent at `now`, in milliseconds since 1970.
    pub(super) fn new(keyspace: &'a mut Keyspace, selected: DatabaseIndex, now: i64) -> Self {
        Self {
            keyspace,
            selected,
            now,
            is_replay: false,
            changes: 0,
            instead: None,
        }
    }

    pub(super) fn into_changes(self) -> Changes {
        Changes {
            count: self.changes,
            instead: self.instead,
        }
    }

    fn database(&self) -> &Database {
        self.keyspace.database(self.selected)
    }

    fn database_mut(&mut self) -> &mut Database {
        self.keyspace.database_mut(self.selected)
    }

    /// What a key holds, if it is there and of the wanted type.
    fn read<T: Stored>(&self, key: &Bytes) -> Result<Option<&T>, Refusal> {
        match self.database().value(key) {
            Some(value) => T::from_value(value).map(Some).ok_or(Refusal::WrongType),
            None => Ok(None),
        }
    }

    /// Like [`Context::read`], to change it.
    fn edit<T: Stored>(&mut self, key: &Bytes) -> Result<Option<&mut T>, Refusal> {
        match self.database_mut().value_mut(key) {
            Some(value) => T::from_value_mut(value).map(Some).ok_or(Refusal::WrongType),
            None => Ok(None),
        }
    }

    /// What a key holds, to add to it; a new one when there is none. The caller has checked its
    /// arguments: an empty collection must not stay behind.
    fn edit_or_create<T: Collection>(&mut self, key: &Bytes) -> Result<&mut T, Refusal> {
        let value = self.database_mut().value_or_insert_with(key, T::empty);
        T::from_value_mut(value).ok_or(Refusal::WrongType)
    }

    /// Takes elements out of a collection: `take` gets the collection and says what it has taken
    /// and how many changes that was. A collection without elements is removed.
    fn take_from<T: Collection, R>(
        &mut self,
        key: &Bytes,
        take: impl FnOnce(&mut T) -> (R, usize),
    ) -> Result<Option<R>, Refusal> {
        let Some(collection) = self.edit::<T>(key)? else {
            return Ok(None);
        };
        let (taken, count) = take(collection);
        let is_empty = collection.has_no_elements();
        if is_empty {
            self.database_mut().remove(key);
        }
        self.changed(key, count);
        Ok(Some(taken))
    }

    /// Notes changes of a key.
    fn changed(&mut self, key: &Bytes, count: usize) {
        if count > 0 {
            self.changes += count as u64;
            self.database_mut().touch(key);
        }
    }

    /// Records `command` in place of the one that was sent: for those whose effect depends on
    /// time or chance. Called again, the commands are recorded one after the other.
    fn record_instead(&mut self, command: Vec<Bytes>) {
        self.instead.get_or_insert_default().push(command);
    }
}

/// Repeats recorded commands. Nothing ends by its deadline here: the end of a key is recorded as
/// well, and a later command may rely on the key being there until then.
#[derive(Debug, Default)]
pub(super) struct Replay {
    keyspace: Keyspace,
    selected: DatabaseIndex,
}

impl Replay {
    /// Repeats one command; the reason if it cannot be one that was recorded.
    pub(super) fn apply(&mut self, command: &[Bytes]) -> Result<(), String> {
        let (name, arguments) = command
            .split_first()
            .ok_or_else(|| "an empty command".to_owned())?;
        if name.eq_ignore_ascii_case(b"SELECT") {
            let number = arguments::only(arguments).and_then(arguments::integer);
            self.selected = number
                .and_then(arguments::database_index)
                .map_err(|refusal| refusal.to_string())?;
            return Ok(());
        }
        let not_recorded = || format!("`{}` is not a recorded command", name.escape_ascii());
        let command = match find(name, arguments) {
            Err(Refusal::UnknownCommand { .. }) => return Err(not_recorded()),
            other => other.map_err(|refusal| refusal.to_string())?,
        };
        let (Run::Data(run), true) = (command.run, command.writes) else {
            return Err(not_recorded());
        };
        let mut context = Context::new(&mut self.keyspace, self.selected, 0);
        context.is_replay = true;
        run(&mut context, arguments)
            .map(|_| ())
            .map_err(|refusal| refusal.to_string())
    }

    pub(super) fn into_keyspace(self) -> Keyspace {
        self.keyspace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_commands_are_named_with_their_arguments() {
        let cases: [(&[&str], &str); 3] = [
            (
                &["x"],
                "ERR unknown command 'x', with args beginning with: ",
            ),
            (
                &["Foo", "a", "b"],
                "ERR unknown command 'Foo', with args beginning with: 'a' 'b' ",
            ),
            (&["get"], "ERR wrong number of arguments for 'get' command"),
        ];
        for (request, expected) in cases {
            let arguments: Vec<Bytes> = request[1..]
                .iter()
                .map(|word| Bytes::from((*word).to_owned()))
                .collect();
            let refusal = find(request[0].as_bytes(), &arguments).err().unwrap();
            assert_eq!(refusal.to_string(), expected);
        }
    }

    #[test]
    fn names_are_lower_case_and_unique() {
        assert!(
            COMMANDS
                .keys()
                .all(|name| *name == name.to_ascii_lowercase())
        );
        let listed = strings::COMMANDS.len()
            + keys::COMMANDS.len()
            + sets::COMMANDS.len()
            + lists::COMMANDS.len()
            + hashes::COMMANDS.len()
            + sorted_sets::COMMANDS.len()
            + publish::COMMANDS.len()
            + transaction::COMMANDS.len()
            + session::COMMANDS.len()
            + server::COMMANDS.len();
        assert_eq!(listed, command_count());
    }
}
