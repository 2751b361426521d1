//! Commands on databases, collections and indexes as such. Indexes are accepted and listed; they
//! speed nothing up, and `unique` and `expireAfterSeconds` are not enforced - the reply says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::Bson;
use bson::Document;
use bson::doc;

use super::super::catalog::Collection;
use super::super::catalog::Namespace;
use super::super::catalog::Operation;
use super::super::cursor::Wanted;
use super::super::failure::Code;
use super::super::failure::Failure;
use super::super::matching::Filter;
use super::super::request::Fields;
use super::super::request::Request;
use super::Access;
use super::Answer;
use super::Definition;
use super::Run;
use super::Workspace;
use super::count;
use super::reading;

pub(super) const COMMANDS: &[Definition] = &[
    Definition {
        name: "listDatabases",
        access: Access::Read,
        is_admin: true,
        run: Run::Collections(list_databases),
    },
    definition("listCollections", Access::Read, list_collections),
    definition("create", Access::Write, create),
    definition("drop", Access::Write, drop_collection),
    definition("dropDatabase", Access::Write, drop_database),
    definition("listIndexes", Access::Read, list_indexes),
    definition("createIndexes", Access::Write, create_indexes),
    definition("dropIndexes", Access::Write, drop_indexes),
];

/// Databases a server keeps for itself.
const SYSTEM_DATABASES: [&str; 3] = ["admin", "config", "local"];

/// The name of the index every collection has.
const ID_INDEX: &str = "_id_";

const fn definition(
    name: &'static str,
    access: Access,
    run: fn(&mut Workspace<'_>, &Request) -> Answer,
) -> Definition {
    Definition {
        name,
        access,
        is_admin: false,
        run: Run::Collections(run),
    }
}

/// The bytes a collection's documents take in BSON.
pub(super) fn stored_bytes(collection: &Collection) -> usize {
    let bytes = |document: &Arc<Document>| document.to_vec().map_or(0, |bytes| bytes.len());
    collection.documents().map(bytes).sum()
}

fn list_databases(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["filter", "nameOnly", "authorizedDatabases"])?;
    let fields = request.fields();
    let is_name_only = fields.flag("nameOnly")?.unwrap_or(false);
    let filter = reading::filter(fields, "filter")?;
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for (namespace, collection) in workspace.catalog.collections() {
        *sizes.entry(&namespace.database).or_default() += stored_bytes(collection);
    }
    let mut databases = Vec::new();
    let mut total = 0;
    for (name, bytes) in sizes {
        let size = i64::try_from(bytes).unwrap_or(i64::MAX);
        let full = doc! {"name": name, "sizeOnDisk": size, "empty": bytes == 0};
        if filter.matches(&full) {
            total += size;
            databases.push(if is_name_only {
                doc! {"name": name}
            } else {
                full
            });
        }
    }
    let mut reply = doc! {"databases": databases};
    if !is_name_only {
        reply.insert("totalSize", total);
        reply.insert("totalSizeMb", total / (1024 * 1024));
    }
    Ok(reply)
}

/// A cursor over a list that was made for the answer.
fn listed(
    workspace: &mut Workspace<'_>,
    namespace: &Namespace,
    fields: Fields<'_>,
    items: Vec<Document>,
) -> Answer {
    let batch_size = match fields.document("cursor")? {
        Some(document) => Fields {
            place: "cursor",
            document,
        }
        .amount("batchSize")?,
        None => None,
    };
    let wanted = Wanted {
        batch_size,
        is_single: false,
        session: workspace.session.clone(),
    };
    let items = items.into_iter().map(Arc::new).collect();
    workspace.cursors.open(namespace, items, None, wanted)
}

fn list_collections(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["filter", "nameOnly", "cursor", "authorizedCollections"])?;
    let fields = request.fields();
    let is_name_only = fields.flag("nameOnly")?.unwrap_or(false);
    let filter: Filter = reading::filter(fields, "filter")?;
    let items = workspace
        .catalog
        .database(&request.database)
        .map(|(namespace, collection)| {
            let name = &namespace.collection;
            doc! {
                "name": name,
                "type": "collection",
                "options": {},
                "info": {"readOnly": false, "uuid": collection.uuid},
                "idIndex": id_index(),
            }
        })
        .filter(|item| filter.matches(item))
        .map(|mut item| {
            if is_name_only {
                for field in ["options", "info", "idIndex"] {
                    item.remove(field);
                }
            }
            item
        })
        .collect();
    let namespace = Namespace::new(&request.database, "$cmd.listCollections");
    listed(workspace, &namespace, fields, items)
}

fn create(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    // Options such as `capped` or `validator` are refused: they would be ignored.
    request.allow(&["idIndex", "autoIndexId", "flags"])?;
    let namespace = request.writable_namespace()?;
    if workspace.ensure(&namespace) {
        Ok(Document::new())
    } else {
        let message = format!("collection '{namespace}' already exists");
        Err(Failure::new(Code::NamespaceExists, message))
    }
}

fn drop_collection(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&[])?;
    let namespace = request.writable_namespace()?;
    let Some(collection) = workspace.catalog.collection(&namespace) else {
        return Ok(Document::new());
    };
    let indexes = count(collection.indexes.len() + 1);
    workspace.apply(Operation::Drop {
        namespace: namespace.clone(),
    });
    Ok(doc! {"nIndexesWas": indexes, "ns": namespace.to_string()})
}

fn drop_database(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&[])?;
    if SYSTEM_DATABASES.contains(&request.database.as_str()) {
        let message = format!("dropping the database '{}' is prohibited", request.database);
        return Err(Failure::new(Code::IllegalOperation, message));
    }
    let collections: Vec<Namespace> = workspace
        .catalog
        .database(&request.database)
        .map(|(name, _)| name.clone())
        .collect();
    let is_existing = !collections.is_empty();
    for namespace in collections {
        workspace.apply(Operation::Drop { namespace });
    }
    Ok(if is_existing {
        doc! {"dropped": &request.database}
    } else {
        Document::new()
    })
}

fn id_index() -> Document {
    doc! {"v": 2, "key": {"_id": 1}, "name": ID_INDEX}
}

fn not_found(namespace: &Namespace) -> Failure {
    Failure::new(
        Code::NamespaceNotFound,
        format!("ns does not exist: {namespace}"),
    )
}

fn list_indexes(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["cursor"])?;
    let namespace = request.namespace()?;
    let collection = workspace
        .catalog
        .collection(&namespace)
        .ok_or_else(|| not_found(&namespace))?;
    let items = std::iter::once(id_index())
        .chain(collection.indexes.iter().cloned())
        .collect();
    listed(workspace, &namespace, request.fields(), items)
}

fn create_indexes(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["indexes", "commitQuorum"])?;
    let namespace = request.writable_namespace()?;
    let specifications = request.fields().required_documents("indexes")?;
    let known = match workspace.catalog.collection(&namespace) {
        Some(collection) => collection.indexes.clone(),
        None => Vec::new(),
    };
    let mut indexes = known.clone();
    let mut is_unenforced = false;
    for specification in specifications {
        let index = parse_index(specification)?;
        is_unenforced |=
            index.get_bool("unique").unwrap_or(false) || index.contains_key("expireAfterSeconds");
        if is_new(&index, &indexes)? {
            indexes.push(index);
        }
    }
    let is_created = workspace.ensure(&namespace);
    for index in indexes.iter().skip(known.len()) {
        let namespace = namespace.clone();
        workspace.apply(Operation::AddIndex {
            namespace,
            index: index.clone(),
        });
    }
    let mut reply = doc! {
        "numIndexesBefore": count(known.len() + 1),
        "numIndexesAfter": count(indexes.len() + 1),
        "createdCollectionAutomatically": is_created,
    };
    if is_unenforced {
        reply.insert(
            "note",
            "the bundled server does not enforce unique or expireAfterSeconds",
        );
    } else if known.len() == indexes.len() {
        reply.insert("note", "all indexes already exist");
    }
    Ok(reply)
}

/// Checks what an index needs to be listed and dropped again.
fn parse_index(specification: &Document) -> Result<Document, Failure> {
    let fields = Fields {
        place: "createIndexes.indexes",
        document: specification,
    };
    let key = fields.required_document("key")?;
    let name = fields.required_text("name")?;
    if key.is_empty() || name.is_empty() {
        let message = "an index needs a key and a name";
        return Err(Failure::new(Code::BadValue, message));
    }
    let mut index = doc! {"v": 2};
    for (field, value) in specification.iter().filter(|(field, _)| *field != "v") {
        index.insert(field, value.clone());
    }
    Ok(index)
}

/// The same index again is nothing new; half of one is a conflict.
fn is_new(index: &Document, known: &[Document]) -> Result<bool, Failure> {
    let id = id_index();
    let key_and_name = |index: &Document| (index.get("key").cloned(), index.get("name").cloned());
    let (key, name) = key_and_name(index);
    let conflict = |code, what: &str| {
        let name = name.clone().unwrap_or_default();
        Err(Failure::new(
            code,
            format!("an index with {what} as {name} already exists"),
        ))
    };
    if key == id.get("key").cloned() {
        return Ok(false);
    }
    for other in known.iter().chain([&id]) {
        let (other_key, other_name) = key_and_name(other);
        match (key == other_key, name == other_name) {
            (true, true) if index == other => return Ok(false),
            (true, true) => {
                return conflict(
                    Code::IndexOptionsConflict,
                    "the same name but other options",
                );
            }
            (true, false) => {
                return conflict(Code::IndexOptionsConflict, "the same key but another name");
            }
            (false, true) => {
                return conflict(Code::IndexKeySpecsConflict, "the same name but another key");
            }
            (false, false) => {}
        }
    }
    Ok(true)
}

fn drop_indexes(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["index"])?;
    let namespace = request.writable_namespace()?;
    let collection = workspace
        .catalog
        .collection(&namespace)
        .ok_or_else(|| not_found(&namespace))?;
    let before = count(collection.indexes.len() + 1);
    let name_of = |index: &Document| index.get_str("name").unwrap_or_default().to_owned();
    let fields = request.fields();
    let wanted = fields
        .value("index")
        .ok_or_else(|| fields.missing("index"))?;
    let mut names: Vec<String> = Vec::new();
    match wanted {
        Bson::String(all) if all == "*" => names.extend(collection.indexes.iter().map(name_of)),
        Bson::String(name) => names.push(name.clone()),
        Bson::Array(list) => {
            for name in list {
                let name = name
                    .as_str()
                    .ok_or_else(|| fields.wrong_type("index", name, "string"))?;
                names.push(name.to_owned());
            }
        }
        Bson::Document(key) => {
            let is_meant = |index: &&Document| index.get_document("key").ok() == Some(key);
            let index = collection.indexes.iter().find(is_meant);
            let missing =
                || Failure::new(Code::IndexNotFound, format!("no index has the key {key}"));
            names.push(index.map(name_of).ok_or_else(missing)?);
        }
        other => return Err(fields.wrong_type("index", other, "string")),
    }
    for name in &names {
        if name == ID_INDEX {
            return Err(Failure::new(
                Code::InvalidOptions,
                "cannot drop the index on _id",
            ));
        }
        if !collection
            .indexes
            .iter()
            .any(|index| name_of(index) == *name)
        {
            let message = format!("index not found with name [{name}]");
            return Err(Failure::new(Code::IndexNotFound, message));
        }
    }
    for name in names {
        workspace.apply(Operation::DropIndex {
            namespace: namespace.clone(),
            name,
        });
    }
    Ok(doc! {"nIndexesWas": before})
}
