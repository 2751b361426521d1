//! Commands that read documents: find, aggregate, count, distinct and the cursors' commands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bson::Bson;
use bson::Document;
use bson::doc;

use super::super::catalog::Namespace;
use super::super::cursor::Wanted;
use super::super::failure::Code;
use super::super::failure::Failure;
use super::super::matching::Filter;
use super::super::order::Key;
use super::super::path;
use super::super::request::Fields;
use super::super::request::Request;
use super::super::selection::Projection;
use super::super::selection::Sorting;
use super::Access;
use super::Answer;
use super::Definition;
use super::Run;
use super::Workspace;
use super::count;

pub(super) const COMMANDS: &[Definition] = &[
    definition("find", Access::Read, Run::Documents(find)),
    definition("aggregate", Access::Read, Run::Documents(aggregate)),
    definition("distinct", Access::Read, Run::Documents(distinct)),
    definition("count", Access::Read, Run::Collections(count_documents)),
    definition("getMore", Access::Read, Run::Documents(get_more)),
    definition("killCursors", Access::Always, Run::Documents(kill_cursors)),
];

const fn definition(name: &'static str, access: Access, run: Run) -> Definition {
    Definition {
        name,
        access,
        is_admin: false,
        run,
    }
}

/// The filter in `field`; without one everything matches.
pub(super) fn filter(fields: Fields<'_>, field: &str) -> Result<Filter, Failure> {
    match fields.document(field)? {
        Some(filter) => Filter::parse(filter),
        None => Ok(Filter::All(Vec::new())),
    }
}

/// The documents a filter means; none when there is no such collection.
pub(super) fn select(
    workspace: &Workspace<'_>,
    namespace: &Namespace,
    filter: &Filter,
) -> Vec<Arc<Document>> {
    match workspace.catalog.collection(namespace) {
        Some(collection) => collection.select(filter),
        None => Vec::new(),
    }
}

/// The projection in `field`.
pub(super) fn projection(fields: Fields<'_>, field: &str) -> Result<Option<Projection>, Failure> {
    fields.document(field)?.map_or(Ok(None), Projection::parse)
}

fn find(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&[
        "filter",
        "sort",
        "projection",
        "skip",
        "limit",
        "batchSize",
        "singleBatch",
        "hint",
        "allowDiskUse",
        "noCursorTimeout",
    ])?;
    let namespace = request.namespace()?;
    let fields = request.fields();
    let filter = filter(fields, "filter")?;
    let projection = projection(fields, "projection")?;
    let mut documents = select(workspace, &namespace, &filter);
    if let Some(sort) = fields.document("sort")? {
        Sorting::parse(sort)?.sort(&mut documents);
    }
    skip_and_limit(
        &mut documents,
        fields.amount("skip")?,
        fields.amount("limit")?,
    );
    let wanted = Wanted {
        batch_size: fields.amount("batchSize")?,
        is_single: fields.flag("singleBatch")?.unwrap_or(false),
        session: workspace.session.clone(),
    };
    workspace
        .cursors
        .open(&namespace, documents, projection, wanted)
}

/// A limit of zero is none.
fn skip_and_limit<T>(items: &mut Vec<T>, skip: Option<usize>, limit: Option<usize>) {
    items.drain(..skip.unwrap_or(0).min(items.len()));
    if let Some(limit) = limit.filter(|limit| *limit > 0) {
        items.truncate(limit);
    }
}

fn count_documents(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["query", "skip", "limit", "hint"])?;
    let fields = request.fields();
    let filter = filter(fields, "query")?;
    let mut documents = select(workspace, &request.namespace()?, &filter);
    // A negative limit once meant a single batch, and still counts as its amount.
    let limit = fields.whole("limit")?.map(i64::unsigned_abs);
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    skip_and_limit(&mut documents, fields.amount("skip")?, limit);
    Ok(doc! {"n": count(documents.len())})
}

fn distinct(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["key", "query", "hint"])?;
    let fields = request.fields();
    let key = fields.required_text("key")?;
    let filter = filter(fields, "query")?;
    let mut seen = BTreeSet::new();
    let mut values = Vec::new();
    for document in select(workspace, &request.namespace()?, &filter) {
        for value in path::follow(&document, key).values {
            let parts = match value {
                Bson::Array(elements) => elements.as_slice(),
                value => std::slice::from_ref(value),
            };
            for part in parts {
                if seen.insert(Key(part.clone())) {
                    values.push(part.clone());
                }
            }
        }
    }
    Ok(doc! {"values": values})
}

fn get_more(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["collection", "batchSize"])?;
    let fields = request.fields();
    let id = fields
        .whole("getMore")?
        .ok_or_else(|| fields.missing("getMore"))?;
    // Cursors over lists of collections and indexes have names no collection has.
    let namespace = Namespace::new(&request.database, fields.required_text("collection")?);
    workspace
        .cursors
        .fetch(id, &namespace, fields.amount("batchSize")?)
}

fn kill_cursors(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["cursors"])?;
    let fields = request.fields();
    let cursors = fields
        .array("cursors")?
        .ok_or_else(|| fields.missing("cursors"))?;
    let mut killed = Vec::new();
    let mut unknown = Vec::new();
    for cursor in cursors {
        let is_killed = cursor
            .as_i64()
            .is_some_and(|id| workspace.cursors.close(id));
        if is_killed { &mut killed } else { &mut unknown }.push(cursor.clone());
    }
    Ok(doc! {
        "cursorsKilled": killed,
        "cursorsNotFound": unknown,
        "cursorsAlive": [],
        "cursorsUnknown": [],
    })
}

fn aggregate(workspace: &mut Workspace<'_>, request: &Request) -> Answer {
    request.allow(&["pipeline", "cursor", "hint", "allowDiskUse"])?;
    let namespace = request.namespace()?;
    let fields = request.fields();
    let cursor = fields.required_document("cursor")?;
    let cursor = Fields {
        place: "aggregate.cursor",
        document: cursor,
    };
    cursor.allow(&["batchSize"])?;
    let wanted = Wanted {
        batch_size: cursor.amount("batchSize")?,
        is_single: false,
        session: workspace.session.clone(),
    };
    let stages = fields.required_documents("pipeline")?;
    let stages = stages
        .into_iter()
        .map(Stage::parse)
        .collect::<Result<Vec<_>, _>>()?;
    let mut stages = stages.into_iter().peekable();
    // A filter at the beginning can use the look-up by `_id`.
    let filter = match stages.next_if(|stage| matches!(stage, Stage::Match(_))) {
        Some(Stage::Match(filter)) => filter,
        _ => Filter::All(Vec::new()),
    };
    let documents = select(workspace, &namespace, &filter);
    let documents = stages.fold(documents, |documents, stage| stage.run(documents));
    workspace.cursors.open(&namespace, documents, None, wanted)
}

/// The pipeline stages this server knows: those of a driver's `count_documents` and the plain ones.
enum Stage {
    Match(Filter),
    Sort(Sorting),
    Skip(usize),
    Limit(usize),
    Project(Option<Projection>),
    /// All documents in one group, or in one for each value of a field, counted into a field; without
    /// documents there is no group.
    CountGroup {
        id: GroupId,
        field: String,
        each: i64,
    },
    /// The number of documents, in a field.
    Count(String),
}

/// What tells the groups of documents apart.
enum GroupId {
    /// Nothing: there is one.
    Constant(Bson),
    /// A field of the documents.
    Field(String),
}

impl GroupId {
    fn parse(id: &Bson) -> Option<Self> {
        match id {
            Bson::String(text) => match text.strip_prefix('$') {
                None => Some(Self::Constant(id.clone())),
                Some(name) if !name.is_empty() && !name.contains(['.', '$']) => {
                    Some(Self::Field(name.to_owned()))
                }
                Some(_) => None,
            },
            Bson::Document(_) | Bson::Array(_) => None,
            _ => Some(Self::Constant(id.clone())),
        }
    }

    /// The group of a document; those without the field are together.
    fn of(&self, document: &Document) -> Bson {
        match self {
            Self::Constant(id) => id.clone(),
            Self::Field(name) => document.get(name).cloned().unwrap_or(Bson::Null),
        }
    }
}

impl Stage {
    fn parse(stage: &Document) -> Result<Self, Failure> {
        let mut entries = stage.iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            let message = "a pipeline stage must have exactly one field";
            return Err(Failure::new(Code::Location40324, message));
        };
        let fields = Fields {
            place: "aggregate.pipeline",
            document: stage,
        };
        let specification = || {
            fields
                .document(name)?
                .ok_or_else(|| fields.wrong_type(name, value, "object"))
        };
        let amount = || {
            fields
                .amount(name)?
                .ok_or_else(|| fields.wrong_type(name, value, "long"))
        };
        match name.as_str() {
            "$match" => Ok(Self::Match(Filter::parse(specification()?)?)),
            "$sort" => Ok(Self::Sort(Sorting::parse(specification()?)?)),
            "$project" => Ok(Self::Project(Projection::parse(specification()?)?)),
            "$skip" => Ok(Self::Skip(amount()?)),
            "$limit" => match amount()? {
                0 => Err(Failure::new(Code::BadValue, "the limit must be positive")),
                limit => Ok(Self::Limit(limit)),
            },
            "$count" => Ok(Self::Count(fields.required_text(name)?.to_owned())),
            "$group" => Self::parse_group(specification()?),
            _ => {
                let message =
                    format!("pipeline stage `{name}` is not known to the toolkit's bundled server");
                Err(Failure::new(Code::Location40324, message))
            }
        }
    }

    fn parse_group(group: &Document) -> Result<Self, Failure> {
        let mut entries = group.iter();
        let (Some(("_id", id)), Some((field, sum)), None) = (
            entries.next().map(|(name, value)| (name.as_str(), value)),
            entries.next(),
            entries.next(),
        ) else {
            return Err(unsupported_group());
        };
        let id = GroupId::parse(id).ok_or_else(unsupported_group)?;
        let mut accumulators = sum.as_document().into_iter().flatten();
        let each = match (accumulators.next(), accumulators.next()) {
            (Some((name, Bson::Int32(each))), None) if name == "$sum" => i64::from(*each),
            (Some((name, Bson::Int64(each))), None) if name == "$sum" => *each,
            _ => return Err(unsupported_group()),
        };
        Ok(Self::CountGroup {
            id,
            field: field.clone(),
            each,
        })
    }

    fn run(self, mut documents: Vec<Arc<Document>>) -> Vec<Arc<Document>> {
        match self {
            Self::Match(filter) => documents.retain(|document| filter.matches(document)),
            Self::Sort(sorting) => sorting.sort(&mut documents),
            Self::Skip(skip) => skip_and_limit(&mut documents, Some(skip), None),
            Self::Limit(limit) => documents.truncate(limit),
            Self::Project(Some(projection)) => {
                for document in &mut documents {
                    *document = Arc::new(projection.apply(document));
                }
            }
            Self::Project(None) => {}
            Self::CountGroup { .. } | Self::Count(_) if documents.is_empty() => {}
            Self::CountGroup { id, field, each } => {
                let mut sums: BTreeMap<Key, i64> = BTreeMap::new();
                for document in &documents {
                    let sum = sums.entry(Key(id.of(document))).or_default();
                    *sum = sum.saturating_add(each);
                }
                let groups = sums.into_iter().map(|(Key(id), sum)| {
                    let sum = i32::try_from(sum).map_or(Bson::Int64(sum), Bson::Int32);
                    Arc::new(doc! {"_id": id, &field: sum})
                });
                documents = groups.collect();
            }
            Self::Count(field) => {
                documents = vec![Arc::new(doc! {field: count(documents.len())})];
            }
        }
        documents
    }
}

fn unsupported_group() -> Failure {
    Failure::unsupported(
        "$group besides {_id: <constant or field>, <field>: {$sum: <whole number>}}",
    )
}
