//! Commands that write documents: insert, update, delete and findAndModify.

use std::sync::Arc;

use bson::Bson;
use bson::Document;
use bson::doc;
use bson::oid::ObjectId;

use super::super::catalog::Namespace;
use super::super::catalog::Operation;
use super::super::catalog::identity;
use super::super::failure::Code;
use super::super::failure::Failure;
use super::super::matching::Filter;
use super::super::request::Fields;
use super::super::request::Request;
use super::super::selection::Sorting;
use super::super::update;
use super::super::update::Update;
use super::Access;
use super::Answer;
use super::Definition;
use super::Run;
use super::Workspace;
use super::count;
use super::reading;

pub(super) const COMMANDS: &[Definition] = &[
    definition("insert", Run::Documents(insert)),
    definition("update", Run::Documents(update_documents)),
    definition("delete", Run::Documents(delete)),
    definition("findAndModify", Run::Documents(find_and_modify)),
    definition("findandmodify", Run::Documents(find_and_modify)),
];

/// The longest document that is stored, in bytes.
pub(super) const LARGEST_DOCUMENT: usize = 16 * 1024 * 1024;

/// The most statements one command may have.
pub(super) const LARGEST_BATCH: usize = 100_000;

/// How deep a stored document may be nested.
const DEEPEST_DOCUMENT: u32 = 200;

const fn definition(name: &'static str, run: Run) -> Definition {
    Definition {
        name,
        access: Access::Write,
        is_admin: false,
        run,
    }
}

fn insert(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["documents", "ordered", "bypassDocumentValidation"])?;
    let namespace = request.writable_namespace()?;
    let documents = batch(request.fields(), "documents")?;
    let mut inserted = 0;
    let errors = each_statement(request, &documents, |document| {
        put_new(workspace, &namespace, document)?;
        inserted += 1;
        Ok(())
    })?;
    Ok(with_errors(doc! {"n": count(inserted)}, errors))
}

fn update_documents(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["updates", "ordered", "bypassDocumentValidation"])?;
    let namespace = request.writable_namespace()?;
    let statements = batch(request.fields(), "updates")?;
    let mut matched = 0;
    let mut modified = 0;
    let mut upserted = Vec::new();
    let mut index = 0_i32;
    let errors = each_statement(request, &statements, |statement| {
        let position = index;
        index += 1;
        let statement = Fields {
            place: "update.updates",
            document: statement,
        };
        statement.allow(&["q", "u", "multi", "upsert", "hint"])?;
        let filter = Filter::parse(statement.required_document("q")?)?;
        let change = statement.value("u").ok_or_else(|| statement.missing("u"))?;
        let change = Update::parse(change)?;
        let is_multi = statement.flag("multi")?.unwrap_or(false);
        if is_multi && matches!(change, Update::Replace(_)) {
            let message = "multi update is not supported for a replacement";
            return Err(Failure::new(Code::FailedToParse, message));
        }
        let mut found = reading::select(workspace, &namespace, &filter);
        if !is_multi {
            found.truncate(1);
        }
        if found.is_empty() && statement.flag("upsert")?.unwrap_or(false) {
            let document = upsert(workspace, &namespace, &filter, &change)?;
            upserted.push(doc! {"index": position, "_id": identity(&document)});
            matched += 1;
        }
        for document in found {
            matched += 1;
            let changed = change.apply(&document, false)?;
            if changed != *document {
                put(workspace, &namespace, changed)?;
                modified += 1;
            }
        }
        Ok(())
    })?;
    let mut reply = doc! {"n": count(matched), "nModified": count(modified)};
    if !upserted.is_empty() {
        reply.insert("upserted", upserted);
    }
    Ok(with_errors(reply, errors))
}

fn delete(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["deletes", "ordered"])?;
    let namespace = request.writable_namespace()?;
    let statements = batch(request.fields(), "deletes")?;
    let mut deleted = 0;
    let errors = each_statement(request, &statements, |statement| {
        let statement = Fields {
            place: "delete.deletes",
            document: statement,
        };
        statement.allow(&["q", "limit", "hint"])?;
        let filter = Filter::parse(statement.required_document("q")?)?;
        let limit = statement
            .whole("limit")?
            .ok_or_else(|| statement.missing("limit"))?;
        let mut found = reading::select(workspace, &namespace, &filter);
        match limit {
            0 => {}
            1 => found.truncate(1),
            other => {
                let message = format!("the limit of a delete must be 0 or 1, not {other}");
                return Err(Failure::new(Code::FailedToParse, message));
            }
        }
        for document in found {
            remove(workspace, &namespace, &document);
            deleted += 1;
        }
        Ok(())
    })?;
    Ok(with_errors(doc! {"n": count(deleted)}, errors))
}

fn find_and_modify(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&[
        "query",
        "sort",
        "remove",
        "update",
        "new",
        "upsert",
        "fields",
        "hint",
        "bypassDocumentValidation",
    ])?;
    let namespace = request.writable_namespace()?;
    let fields = request.fields();
    let filter = reading::filter(fields, "query")?;
    let projection = reading::projection(fields, "fields")?;
    let shown = |document: &Document| match &projection {
        Some(projection) => projection.apply(document),
        None => document.clone(),
    };
    let is_new_wanted = fields.flag("new")?.unwrap_or(false);
    let is_upsert = fields.flag("upsert")?.unwrap_or(false);
    let change = fields.value("update").map(Update::parse).transpose()?;
    let mut found = reading::select(workspace, &namespace, &filter);
    if let Some(sort) = fields.document("sort")? {
        Sorting::parse(sort)?.sort(&mut found);
    }
    let found = found.first();
    let is_existing = found.is_some();
    match (fields.flag("remove")?.unwrap_or(false), change) {
        (true, None) if is_new_wanted || is_upsert => {
            let message = "remove goes neither with new nor with upsert";
            Err(Failure::new(Code::FailedToParse, message))
        }
        (true, None) => {
            if let Some(document) = found {
                remove(workspace, &namespace, document);
            }
            let value = found.map_or(Bson::Null, |document| shown(document).into());
            Ok(doc! {"lastErrorObject": {"n": i32::from(is_existing)}, "value": value})
        }
        (false, Some(change)) => {
            let (before, after) = match found {
                Some(document) => {
                    let changed = change.apply(document, false)?;
                    if changed != **document {
                        put(workspace, &namespace, changed.clone())?;
                    }
                    (Some(document), Some(changed))
                }
                None if is_upsert => (None, Some(upsert(workspace, &namespace, &filter, &change)?)),
                None => (None, None),
            };
            let mut last = doc! {
                "n": i32::from(after.is_some()),
                "updatedExisting": is_existing,
            };
            if let (None, Some(after)) = (before, &after) {
                last.insert("upserted", identity(after));
            }
            let value = if is_new_wanted {
                after.as_ref()
            } else {
                before.map(|b| &**b)
            };
            let value = value.map_or(Bson::Null, |document| shown(document).into());
            Ok(doc! {"lastErrorObject": last, "value": value})
        }
        _ => {
            let message = "findAndModify needs either an update or remove=true";
            Err(Failure::new(Code::FailedToParse, message))
        }
    }
}

fn batch<'a>(fields: Fields<'a>, field: &str) -> Result<Vec<&'a Document>, Failure> {
    let statements = fields.required_documents(field)?;
    if statements.is_empty() || statements.len() > LARGEST_BATCH {
        let message = format!("a write must have between 1 and {LARGEST_BATCH} statements");
        return Err(Failure::new(Code::InvalidLength, message));
    }
    Ok(statements)
}

/// Runs the statements of a command; gives the entries of `writeErrors`. The first error ends an
/// ordered command.
fn each_statement(
    request: &Request,
    statements: &[&Document],
    mut run: impl FnMut(&Document) -> Result<(), Failure>,
) -> Result<Vec<Bson>, Failure> {
    let is_ordered = request.fields().flag("ordered")?.unwrap_or(true);
    let mut errors = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        if let Err(failure) = run(statement) {
            let mut error = doc! {
                "index": count(index),
                "code": failure.code.number(),
                "errmsg": failure.message,
            };
            if failure.code == Code::DuplicateKey {
                error.insert("keyPattern", doc! {"_id": 1});
                // An upsert takes its `_id` from elsewhere.
                if let Some(id) = statement.get("_id") {
                    error.insert("keyValue", doc! {"_id": id.clone()});
                }
            }
            errors.push(Bson::Document(error));
            if is_ordered {
                break;
            }
        }
    }
    Ok(errors)
}

fn with_errors(mut reply: Document, errors: Vec<Bson>) -> Document {
    if !errors.is_empty() {
        reply.insert("writeErrors", errors);
    }
    reply
}

fn remove(workspace: &mut Workspace<'_>, namespace: &Namespace, document: &Document) {
    let id = identity(document);
    workspace.apply(Operation::Remove {
        namespace: namespace.clone(),
        id,
    });
}

/// Builds and stores the document of an update that found none.
fn upsert(
    workspace: &mut Workspace<'_>,
    namespace: &Namespace,
    filter: &Filter,
    change: &Update,
) -> Result<Document, Failure> {
    let seed = update::seed(change, &filter.equalities())?;
    let document = change.apply(&seed, true)?;
    put_new(workspace, namespace, &document)
}

/// Stores a document that must not exist yet. The `_id` comes first, and a missing one is made.
fn put_new(
    workspace: &mut Workspace<'_>,
    namespace: &Namespace,
    document: &Document,
) -> Result<Document, Failure> {
    let id = match document.get("_id") {
        None => Bson::ObjectId(ObjectId::new()),
        Some(Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined) => {
            let message = "the field `_id` cannot be an array, a regular expression or undefined";
            return Err(Failure::new(Code::InvalidIdField, message));
        }
        Some(id) => id.clone(),
    };
    if workspace.catalog.find(namespace, &id).is_some() {
        let message = format!(
            "E11000 duplicate key error collection: {namespace} index: _id_ dup key: {{ _id: {id} }}"
        );
        return Err(Failure::new(Code::DuplicateKey, message));
    }
    let mut complete = doc! {"_id": id};
    for (field, value) in document.iter().filter(|(field, _)| *field != "_id") {
        complete.insert(field, value.clone());
    }
    put(workspace, namespace, complete.clone())?;
    Ok(complete)
}

fn put(
    workspace: &mut Workspace<'_>,
    namespace: &Namespace,
    document: Document,
) -> Result<(), Failure> {
    if !is_within_depth(&document, DEEPEST_DOCUMENT) {
        let message =
            format!("a document must not be nested deeper than {DEEPEST_DOCUMENT} levels");
        return Err(Failure::new(Code::BadValue, message));
    }
    let bytes = document.to_vec().map_err(|error| {
        Failure::new(
            Code::BadValue,
            format!("a document cannot be encoded: {error}"),
        )
    })?;
    if bytes.len() > LARGEST_DOCUMENT {
        let message = format!(
            "a document has {} bytes, more than {LARGEST_DOCUMENT}",
            bytes.len()
        );
        return Err(Failure::new(Code::BSONObjectTooLarge, message));
    }
    workspace.ensure(namespace);
    let document = Arc::new(document);
    workspace.apply(Operation::Put {
        namespace: namespace.clone(),
        document,
    });
    Ok(())
}

fn is_within_depth(document: &Document, left: u32) -> bool {
    left > 0
        && document
            .values()
            .all(|value| is_value_within_depth(value, left - 1))
}

fn is_value_within_depth(value: &Bson, left: u32) -> bool {
    match value {
        Bson::Document(document) => is_within_depth(document, left),
        Bson::JavaScriptCodeWithScope(code) => is_within_depth(&code.scope, left),
        Bson::Array(elements) => {
            left > 0
                && elements
                    .iter()
                    .all(|element| is_value_within_depth(element, left - 1))
        }
        _ => true,
    }
}
