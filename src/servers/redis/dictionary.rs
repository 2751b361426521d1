//! A map from byte strings that can be walked in small steps while it changes: what `SCAN` and
//! `SSCAN` need. Must not know what it holds.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

/// Bits of the hash that are thrown away. A cursor of 48 bits survives clients that keep numbers
/// as floating point.
const DROPPED_BITS: u32 = 16;

/// A map ordered by the hash of the key.
///
/// The place of a key depends on nothing but the key, so a cursor stays right whatever is added
/// or removed between two steps: every key that is present throughout is seen, and the walk ends
/// even when keys keep coming.
#[derive(Debug, Clone)]
pub(super) struct Dictionary<V> {
    entries: BTreeMap<(u64, Bytes), V>,
}

impl<V> Default for Dictionary<V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }
}

/// The place of a key; never zero, which is the cursor of both ends.
fn place(key: &Bytes) -> (u64, Bytes) {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    ((hasher.finish() >> DROPPED_BITS).max(1), key.clone())
}

impl<V> Dictionary<V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, key: &Bytes) -> bool {
        self.entries.contains_key(&place(key))
    }

    pub(super) fn value(&self, key: &Bytes) -> Option<&V> {
        self.entries.get(&place(key))
    }

    pub(super) fn value_mut(&mut self, key: &Bytes) -> Option<&mut V> {
        self.entries.get_mut(&place(key))
    }

    pub(super) fn value_or_insert_with(
        &mut self,
        key: &Bytes,
        default: impl FnOnce() -> V,
    ) -> &mut V {
        self.entries.entry(place(key)).or_insert_with(default)
    }

    /// Sets the value of `key`; the one it had.
    pub(super) fn insert(&mut self, key: &Bytes, value: V) -> Option<V> {
        self.entries.insert(place(key), value)
    }

    pub(super) fn remove(&mut self, key: &Bytes) -> Option<V> {
        self.entries.remove(&place(key))
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &V)> {
        self.entries.iter().map(|((_, key), value)| (key, value))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.entries.keys().map(|(_, key)| key)
    }

    /// The keys from `cursor` on, about `count` of them, and the cursor of the rest (zero at the
    /// end). Keys with the same hash are never parted, since one cursor stands for all of them.
    pub(super) fn scan(&self, cursor: u64, count: usize) -> (u64, Vec<&Bytes>) {
        let mut found = Vec::new();
        let mut latest = 0;
        for (hash, key) in self
            .entries
            .range((cursor, Bytes::new())..)
            .map(|(place, _)| place)
        {
            if found.len() >= count && *hash != latest {
                return (*hash, found);
            }
            latest = *hash;
            found.push(key);
        }
        (0, found)
    }

    /// Any key: the first one after a random place.
    pub(super) fn random(&self) -> Option<&Bytes> {
        // Without randomness the first key is still a valid choice.
        let from = getrandom::u64().unwrap_or(0) >> DROPPED_BITS;
        self.entries
            .range((from, Bytes::new())..)
            .next()
            .or_else(|| self.entries.first_key_value())
            .map(|((_, key), _)| key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(number: usize) -> Bytes {
        Bytes::from(format!("key:{number}"))
    }

    #[test]
    fn a_walk_sees_everything_that_stays() {
        let mut dictionary = Dictionary::default();
        for number in 0..1_000 {
            dictionary.insert(&key(number), number);
        }
        let mut seen = BTreeSet::new();
        let mut cursor = 0;
        let mut step = 0;
        loop {
            let (next, found) = dictionary.scan(cursor, 7);
            seen.extend(found.into_iter().cloned());
            // Odd keys go, new ones come; the even ones stay throughout.
            dictionary.remove(&key(step * 2 + 1));
            dictionary.insert(&key(10_000 + step), 0);
            step += 1;
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        for number in (0..1_000).step_by(2) {
            assert!(seen.contains(&key(number)), "{number}");
        }
    }

    #[test]
    fn random_gives_a_key_or_nothing() {
        let mut dictionary = Dictionary::default();
        assert_eq!(dictionary.random(), None);
        dictionary.insert(&key(1), ());
        assert_eq!(dictionary.random(), Some(&key(1)));
    }
}
