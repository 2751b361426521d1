//! Everything the server holds, in memory: collections by name, their documents in the order of
//! insertion and by `_id`, and the operations that change them. Replaying the same operations
//! gives the same catalog. Must not know files, commands or the protocol.
//!
//! A clone is a cheap snapshot: collections are shared until one side changes them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bson::Bson;
use bson::Document;
use bson::Uuid;
use bson::doc;

use super::matching::Filter;
use super::order::Key;

/// The full name of a collection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Namespace {
    pub(super) database: String,
    pub(super) collection: String,
}

impl Namespace {
    pub(super) fn new(database: &str, collection: &str) -> Self {
        Self {
            database: database.to_owned(),
            collection: collection.to_owned(),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        name.split_once('.')
            .map(|(database, collection)| Self::new(database, collection))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.database, self.collection)
    }
}

/// One change of the catalog, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operation {
    Create {
        namespace: Namespace,
        uuid: Uuid,
    },
    Drop {
        namespace: Namespace,
    },
    /// Inserts the document, or replaces the one with the same `_id` in its place.
    Put {
        namespace: Namespace,
        document: Arc<Document>,
    },
    Remove {
        namespace: Namespace,
        id: Bson,
    },
    AddIndex {
        namespace: Namespace,
        index: Document,
    },
    DropIndex {
        namespace: Namespace,
        name: String,
    },
}

impl Operation {
    /// The stored form: `{operation, namespace, …}`.
    pub(super) fn to_document(&self) -> Document {
        match self {
            Self::Create { namespace, uuid } => {
                doc! {"operation": "create", "namespace": namespace.to_string(), "uuid": *uuid}
            }
            Self::Drop { namespace } => {
                doc! {"operation": "drop", "namespace": namespace.to_string()}
            }
            Self::Put {
                namespace,
                document,
            } => doc! {
                "operation": "put",
                "namespace": namespace.to_string(),
                "document": Document::clone(document),
            },
            Self::Remove { namespace, id } => {
                doc! {"operation": "remove", "namespace": namespace.to_string(), "id": id.clone()}
            }
            Self::AddIndex { namespace, index } => doc! {
                "operation": "add index",
                "namespace": namespace.to_string(),
                "index": index.clone(),
            },
            Self::DropIndex { namespace, name } => {
                doc! {"operation": "drop index", "namespace": namespace.to_string(), "name": name}
            }
        }
    }

    /// Reads the stored form; `None` when this version does not know it.
    pub(super) fn from_document(mut stored: Document) -> Option<Self> {
        let namespace = Namespace::parse(stored.get_str("namespace").ok()?)?;
        let operation = stored.get_str("operation").ok()?.to_owned();
        Some(match operation.as_str() {
            "create" => {
                let Some(Bson::Binary(uuid)) = stored.get("uuid") else {
                    return None;
                };
                Self::Create {
                    namespace,
                    uuid: uuid.to_uuid().ok()?,
                }
            }
            "drop" => Self::Drop { namespace },
            "put" => match stored.remove("document")? {
                Bson::Document(document) => Self::Put {
                    namespace,
                    document: Arc::new(document),
                },
                _ => return None,
            },
            "remove" => Self::Remove {
                namespace,
                id: stored.remove("id")?,
            },
            "add index" => match stored.remove("index")? {
                Bson::Document(index) => Self::AddIndex { namespace, index },
                _ => return None,
            },
            "drop index" => Self::DropIndex {
                namespace,
                name: stored.get_str("name").ok()?.to_owned(),
            },
            _ => return None,
        })
    }

    pub(super) fn namespace(&self) -> &Namespace {
        match self {
            Self::Create { namespace, .. }
            | Self::Drop { namespace }
            | Self::Put { namespace, .. }
            | Self::Remove { namespace, .. }
            | Self::AddIndex { namespace, .. }
            | Self::DropIndex { namespace, .. } => namespace,
        }
    }
}

/// The documents of one collection.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    pub(super) uuid: Uuid,
    /// The indexes besides the one on `_id`, as they were asked for. They are listed, not used.
    pub(super) indexes: Vec<Document>,
    documents: BTreeMap<u64, Arc<Document>>,
    places: BTreeMap<Key, u64>,
    next_place: u64,
}

impl Collection {
    fn new(uuid: Uuid) -> Self {
        Self {
            uuid,
            indexes: Vec::new(),
            documents: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        }
    }

    /// The documents in the order of insertion.
    pub(super) fn documents(
        &self,
    ) -> impl DoubleEndedIterator<Item = &Arc<Document>> + ExactSizeIterator {
        self.documents.values()
    }

    pub(super) fn find(&self, id: &Bson) -> Option<&Arc<Document>> {
        self.places
            .get(&Key(id.clone()))
            .and_then(|place| self.documents.get(place))
    }

    /// The documents a filter means, in the order of insertion.
    pub(super) fn select(&self, filter: &Filter) -> Vec<Arc<Document>> {
        let matching = |document: &&Arc<Document>| filter.matches(document);
        match filter.identity() {
            Some(id) => self
                .find(id)
                .into_iter()
                .filter(matching)
                .cloned()
                .collect(),
            None => self.documents().filter(matching).cloned().collect(),
        }
    }

    fn put(&mut self, document: Arc<Document>) {
        let place = *self
            .places
            .entry(Key(identity(&document)))
            .or_insert(self.next_place);
        self.next_place = self.next_place.max(place + 1);
        self.documents.insert(place, document);
    }

    fn remove(&mut self, id: &Bson) {
        if let Some(place) = self.places.remove(&Key(id.clone())) {
            self.documents.remove(&place);
        }
    }
}

/// The `_id` of a stored document, which always has one.
pub(super) fn identity(document: &Document) -> Bson {
    document.get("_id").cloned().unwrap_or(Bson::Null)
}

/// All collections.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog {
    collections: BTreeMap<Namespace, Arc<Collection>>,
}

impl Catalog {
    pub(super) fn collection(&self, namespace: &Namespace) -> Option<&Arc<Collection>> {
        self.collections.get(namespace)
    }

    /// All collections in the order of their names.
    pub(super) fn collections(&self) -> impl Iterator<Item = (&Namespace, &Arc<Collection>)> {
        self.collections.iter()
    }

    /// The collections of one database in the order of their names.
    pub(super) fn database(
        &self,
        database: &str,
    ) -> impl Iterator<Item = (&Namespace, &Arc<Collection>)> {
        self.collections()
            .filter(move |(namespace, _)| namespace.database == database)
    }

    pub(super) fn find(&self, namespace: &Namespace, id: &Bson) -> Option<&Arc<Document>> {
        self.collection(namespace)
            .and_then(|collection| collection.find(id))
    }

    pub(super) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create { namespace, uuid } => {
                self.collections
                    .insert(namespace.clone(), Arc::new(Collection::new(*uuid)));
            }
            Operation::Drop { namespace } => {
                self.collections.remove(namespace);
            }
            Operation::Put {
                namespace,
                document,
            } => {
                self.change(namespace, |collection| collection.put(Arc::clone(document)));
            }
            Operation::Remove { namespace, id } => {
                self.change(namespace, |collection| collection.remove(id));
            }
            Operation::AddIndex { namespace, index } => {
                self.change(namespace, |collection| {
                    collection.indexes.push(index.clone());
                });
            }
            Operation::DropIndex { namespace, name } => self.change(namespace, |collection| {
                collection
                    .indexes
                    .retain(|index| index.get_str("name").ok() != Some(name.as_str()));
            }),
        }
    }

    /// Operations on a collection follow its creation; without one there is nothing to change.
    fn change(&mut self, namespace: &Namespace, change: impl FnOnce(&mut Collection)) {
        if let Some(collection) = self.collections.get_mut(namespace) {
            change(Arc::make_mut(collection));
        }
    }

    /// The shortest list of operations that builds this catalog.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation> {
        self.collections.iter().flat_map(|(namespace, collection)| {
            let create = Operation::Create {
                namespace: namespace.clone(),
                uuid: collection.uuid,
            };
            let indexes = collection.indexes.iter().map(|index| Operation::AddIndex {
                namespace: namespace.clone(),
                index: index.clone(),
            });
            let documents = collection.documents().map(|document| Operation::Put {
                namespace: namespace.clone(),
                document: Arc::clone(document),
            });
            std::iter::once(create).chain(indexes).chain(documents)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(namespace: &Namespace, document: Document) -> Operation {
        Operation::Put {
            namespace: namespace.clone(),
            document: Arc::new(document),
        }
    }

    fn sample() -> (Namespace, Vec<Operation>) {
        let namespace = Namespace::new("shop", "orders.open");
        let operations = vec![
            Operation::Create {
                namespace: namespace.clone(),
                uuid: Uuid::from_bytes([7; 16]),
            },
            Operation::AddIndex {
                namespace: namespace.clone(),
                index: doc! {"name": "a_1", "key": {"a": 1}},
            },
            put(&namespace, doc! {"_id": 2, "a": 1}),
            put(&namespace, doc! {"_id": 1, "a": 1}),
            put(&namespace, doc! {"_id": 2.0, "a": 2}),
            put(&namespace, doc! {"_id": 3}),
            Operation::Remove {
                namespace: namespace.clone(),
                id: Bson::Int64(3),
            },
        ];
        (namespace, operations)
    }

    fn built(operations: &[Operation]) -> Catalog {
        let mut catalog = Catalog::default();
        for operation in operations {
            catalog.apply(operation);
        }
        catalog
    }

    #[test]
    fn operations_survive_their_stored_form() {
        let (namespace, mut operations) = sample();
        operations.push(Operation::DropIndex {
            namespace: namespace.clone(),
            name: "a_1".into(),
        });
        operations.push(Operation::Drop { namespace });
        for operation in operations {
            assert_eq!(
                Operation::from_document(operation.to_document()),
                Some(operation)
            );
        }
    }

    #[test]
    fn documents_keep_their_order_and_are_found_by_any_equal_id() {
        let (namespace, operations) = sample();
        let catalog = built(&operations);
        let collection = catalog.collection(&namespace).unwrap();
        let documents: Vec<Document> = collection.documents().map(|d| (**d).clone()).collect();
        assert_eq!(
            documents,
            [doc! {"_id": 2.0, "a": 2}, doc! {"_id": 1, "a": 1}]
        );
        assert!(collection.find(&Bson::Int64(2)).is_some());
        assert!(collection.find(&Bson::Int64(3)).is_none());
    }

    #[test]
    fn the_shortest_list_of_operations_builds_the_same_catalog() {
        let (_, operations) = sample();
        let catalog = built(&operations);
        let shortest: Vec<Operation> = catalog.operations().collect();
        assert_eq!(shortest.len(), 4);
        assert_eq!(built(&shortest).operations().collect::<Vec<_>>(), shortest);
    }

    #[test]
    fn a_clone_is_a_snapshot() {
        let (namespace, operations) = sample();
        let mut catalog = built(&operations);
        let snapshot = catalog.clone();
        catalog.apply(&put(&namespace, doc! {"_id": 9}));
        assert!(catalog.find(&namespace, &9.into()).is_some());
        assert!(snapshot.find(&namespace, &9.into()).is_none());
    }
}
