//! The dataset: sixteen databases of keys with values and deadlines. Knows what is stored and
//! what a change touches; must not know commands, clients or files. Times are milliseconds since
//! 1970 and come from the caller.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;

use super::dictionary::Dictionary;
use super::sorted_set::SortedSet;

/// Databases a client can select.
pub(super) const DATABASE_COUNT: usize = 16;

/// Bytes assumed for the bookkeeping of one key or element, for the memory estimate.
const OVERHEAD: usize = 64;

/// The number of a database, below [`DATABASE_COUNT`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DatabaseIndex(usize);

impl DatabaseIndex {
    /// The index, unless there is no such database.
    pub(super) fn new(number: i64) -> Option<Self> {
        usize::try_from(number)
            .ok()
            .filter(|number| *number < DATABASE_COUNT)
            .map(Self)
    }

    /// All of them, in order.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..DATABASE_COUNT).map(Self)
    }

    pub(super) fn number(self) -> usize {
        self.0
    }
}

/// What a key holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Bytes),
    List(VecDeque<Bytes>),
    Set(Dictionary<()>),
    Hash(Dictionary<Bytes>),
    SortedSet(SortedSet),
}

impl Value {
    /// The name `TYPE` gives.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::SortedSet(_) => "zset",
        }
    }

    /// About how many bytes it takes in memory.
    fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(items) => items.iter().map(|item| item.len() + OVERHEAD).sum(),
            Self::Set(members) => members.keys().map(|member| member.len() + OVERHEAD).sum(),
            Self::Hash(fields) => fields
                .iter()
                .map(|(field, value)| field.len() + value.len() + OVERHEAD)
                .sum(),
            Self::SortedSet(members) => members
                .iter()
                .map(|(_, member)| member.len() + 2 * OVERHEAD)
                .sum(),
        }
    }
}

/// A type of value, so that commands can ask for the one they work on.
pub(super) trait Stored: Sized {
    fn from_value(value: &Value) -> Option<&Self>;
    fn from_value_mut(value: &mut Value) -> Option<&mut Self>;
}

/// A type of value that begins empty and is not kept once it is empty again.
pub(super) trait Collection: Stored {
    fn empty() -> Value;
    fn has_no_elements(&self) -> bool;
}

macro_rules! stored {
    ($type:ty, $variant:ident) => {
        impl Stored for $type {
            fn from_value(value: &Value) -> Option<&Self> {
                match value {
                    Value::$variant(inner) => Some(inner),
                    _ => None,
                }
            }

            fn from_value_mut(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$variant(inner) => Some(inner),
                    _ => None,
                }
            }
        }
    };
    ($type:ty, $variant:ident, collection) => {
        stored!($type, $variant);

        impl Collection for $type {
            fn empty() -> Value {
                Value::$variant(Self::default())
            }

            fn has_no_elements(&self) -> bool {
                self.len() == 0
            }
        }
    };
}

stored!(Bytes, Text);
stored!(VecDeque<Bytes>, List, collection);
stored!(Dictionary<()>, Set, collection);
stored!(Dictionary<Bytes>, Hash, collection);
stored!(SortedSet, SortedSet, collection);

#[derive(Debug)]
struct Entry {
    value: Value,
    deadline: Option<i64>,
}

/// A key some client watches.
#[derive(Debug, Default)]
struct Watched {
    watchers: usize,
    revision: u64,
}

/// One database.
#[derive(Debug, Default)]
pub(super) struct Database {
    entries: Dictionary<Entry>,
    /// Every deadline, earliest first, so that finding what is due costs nothing when nothing is.
    deadlines: BTreeSet<(i64, Bytes)>,
    watched: HashMap<Bytes, Watched>,
}

impl Database {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many keys have a deadline.
    pub(super) fn deadline_count(&self) -> usize {
        self.deadlines.len()
    }

    pub(super) fn contains(&self, key: &Bytes) -> bool {
        self.entries.contains(key)
    }

    pub(super) fn value(&self, key: &Bytes) -> Option<&Value> {
        self.entries.value(key).map(|entry| &entry.value)
    }

    pub(super) fn value_mut(&mut self, key: &Bytes) -> Option<&mut Value> {
        self.entries.value_mut(key).map(|entry| &mut entry.value)
    }

    pub(super) fn value_or_insert_with(
        &mut self,
        key: &Bytes,
        default: impl FnOnce() -> Value,
    ) -> &mut Value {
        let entry = self.entries.value_or_insert_with(key, || Entry {
            value: default(),
            deadline: None,
        });
        &mut entry.value
    }

    /// Sets a value and forgets the deadline the key had.
    pub(super) fn insert(&mut self, key: &Bytes, value: Value) {
        self.set_deadline(key, None);
        self.insert_keeping_deadline(key, value);
    }

    pub(super) fn insert_keeping_deadline(&mut self, key: &Bytes, value: Value) {
        let deadline = self.deadline(key);
        self.entries.insert(key, Entry { value, deadline });
    }

    pub(super) fn remove(&mut self, key: &Bytes) -> Option<Value> {
        self.set_deadline(key, None);
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// When the key ends, if it does.
    pub(super) fn deadline(&self, key: &Bytes) -> Option<i64> {
        self.entries.value(key).and_then(|entry| entry.deadline)
    }

    /// Gives a key a deadline or takes it away; nothing happens to a key that is not there.
    pub(super) fn set_deadline(&mut self, key: &Bytes, deadline: Option<i64>) {
        let Some(entry) = self.entries.value_mut(key) else {
            return;
        };
        if let Some(previous) = std::mem::replace(&mut entry.deadline, deadline) {
            self.deadlines.remove(&(previous, key.clone()));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key.clone()));
        }
    }

    /// Removes every key whose deadline has come; their names.
    pub(super) fn remove_due(&mut self, now: i64) -> Vec<Bytes> {
        let mut removed = Vec::new();
        while self
            .deadlines
            .first()
            .is_some_and(|(deadline, _)| *deadline <= now)
        {
            let Some((_, key)) = self.deadlines.pop_first() else {
                break;
            };
            self.entries.remove(&key);
            self.touch(&key);
            removed.push(key);
        }
        removed
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) {
        for (key, watched) in &mut self.watched {
            if self.entries.contains(key) {
                watched.revision += 1;
            }
        }
        self.entries.clear();
        self.deadlines.clear();
    }

    /// Keys with value and deadline, in the order of [`Dictionary`].
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Value, Option<i64>)> {
        self.entries
            .iter()
            .map(|(key, entry)| (key, &entry.value, entry.deadline))
    }

    /// See [`Dictionary::scan`].
    pub(super) fn scan(&self, cursor: u64, count: usize) -> (u64, Vec<&Bytes>) {
        self.entries.scan(cursor, count)
    }

    /// See [`Dictionary::random`].
    pub(super) fn random_key(&self) -> Option<&Bytes> {
        self.entries.random()
    }

    /// Begins to count changes of a key; the count so far.
    pub(super) fn watch(&mut self, key: &Bytes) -> u64 {
        let watched = self.watched.entry(key.clone()).or_default();
        watched.watchers += 1;
        watched.revision
    }

    /// Ends one [`Database::watch`].
    pub(super) fn unwatch(&mut self, key: &Bytes) {
        if let Some(watched) = self.watched.get_mut(key) {
            watched.watchers = watched.watchers.saturating_sub(1);
            if watched.watchers == 0 {
                self.watched.remove(key);
            }
        }
    }

    /// How often a watched key has changed; `None` when nobody watches it.
    pub(super) fn revision(&self, key: &Bytes) -> Option<u64> {
        self.watched.get(key).map(|watched| watched.revision)
    }

    /// Notes a change of a key for those who watch it.
    pub(super) fn touch(&mut self, key: &Bytes) {
        if let Some(watched) = self.watched.get_mut(key) {
            watched.revision += 1;
        }
    }
}

/// All databases.
#[derive(Debug, Default)]
pub(super) struct Keyspace {
    databases: [Database; DATABASE_COUNT],
}

impl Keyspace {
    #[expect(
        clippy::indexing_slicing,
        reason = "an index is below the number of databases by construction"
    )]
    pub(super) fn database(&self, index: DatabaseIndex) -> &Database {
        &self.databases[index.number()]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "an index is below the number of databases by construction"
    )]
    pub(super) fn database_mut(&mut self, index: DatabaseIndex) -> &mut Database {
        &mut self.databases[index.number()]
    }

    /// Keys in all databases.
    pub(super) fn len(&self) -> usize {
        self.databases.iter().map(Database::len).sum()
    }

    /// Whether any key has a deadline.
    pub(super) fn has_deadlines(&self) -> bool {
        let mut databases = self.databases.iter();
        databases.any(|database| database.deadline_count() > 0)
    }

    /// About how many bytes the dataset takes in memory. Walks all of it.
    pub(super) fn weight(&self) -> usize {
        self.databases
            .iter()
            .flat_map(Database::iter)
            .map(|(key, value, _)| key.len() + value.weight() + 2 * OVERHEAD)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Bytes = Bytes::from_static(b"key");

    fn text() -> Value {
        Value::Text(Bytes::from_static(b"value"))
    }

    #[test]
    fn keys_end_at_their_deadline_and_not_before() {
        let mut database = Database::default();
        database.insert(&KEY, text());
        database.set_deadline(&KEY, Some(1_000));
        assert!(database.remove_due(999).is_empty());
        assert_eq!(database.remove_due(1_000), [KEY]);
        assert_eq!((database.len(), database.deadline_count()), (0, 0));
    }

    #[test]
    fn a_new_value_forgets_the_deadline() {
        let mut database = Database::default();
        database.insert(&KEY, text());
        database.set_deadline(&KEY, Some(1_000));
        database.insert_keeping_deadline(&KEY, text());
        assert_eq!(database.deadline(&KEY), Some(1_000));
        database.insert(&KEY, text());
        assert_eq!(
            (database.deadline(&KEY), database.deadline_count()),
            (None, 0)
        );
        assert!(database.remove_due(i64::MAX).is_empty());
    }

    #[test]
    fn watching_counts_changes_until_the_last_watcher_leaves() {
        let mut database = Database::default();
        assert_eq!(database.watch(&KEY), 0);
        database.touch(&KEY);
        assert_eq!(database.watch(&KEY), 1);
        database.unwatch(&KEY);
        assert_eq!(database.revision(&KEY), Some(1));
        database.clear();
        assert_eq!(database.revision(&KEY), Some(1), "the key was not there");
        database.unwatch(&KEY);
        assert_eq!(database.revision(&KEY), None);
    }
}
