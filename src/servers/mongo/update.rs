//! Updates: how a document changes. An update is read once, refused as a whole when it uses
//! something this server does not know, and then applied to one document at a time.
//! Knows documents only; must not know filters, collections or commands.

use bson::Bson;
use bson::Document;

use super::failure::Code;
use super::failure::Failure;
use super::order;

/// MongoDB's own limit on how far one write may extend an array.
const LONGEST_PADDING: usize = 1_500_000;

/// The most field names of a path, as many as a stored document may have levels. A much deeper
/// document would overflow the stack before its depth is looked at.
const LONGEST_PATH: usize = 200;

/// A change of documents.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Update {
    /// The whole document but its `_id`.
    Replace(Document),
    Change(Vec<Change>),
}

/// One field changed by one operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    path: String,
    action: Action,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Set(Bson),
    SetOnInsert(Bson),
    Unset,
    Increment(Bson),
    Push(Vec<Bson>),
}

impl Update {
    /// Reads the value of `u` or `update`.
    pub(super) fn parse(update: &Bson) -> Result<Self, Failure> {
        let update = match update {
            Bson::Document(update) => update,
            Bson::Array(_) => return Err(Failure::unsupported("update with a pipeline")),
            _ => {
                return Err(Failure::new(
                    Code::FailedToParse,
                    "the update must be a document",
                ));
            }
        };
        let is_operator = |name: &String| name.starts_with('$');
        if !update.keys().next().is_some_and(is_operator) {
            return match update.keys().find(|name| is_operator(name)) {
                None => Ok(Self::Replace(update.clone())),
                Some(name) => {
                    let message = format!("the field `{name}` is not allowed in a replacement");
                    Err(Failure::new(Code::FailedToParse, message))
                }
            };
        }
        let mut changes = Vec::new();
        for (operator, fields) in update {
            let fields = fields.as_document().ok_or_else(|| {
                let message = format!("modifiers operate on fields: {operator} needs a document");
                Failure::new(Code::FailedToParse, message)
            })?;
            for (path, operand) in fields {
                check_path(path)?;
                let action = parse_action(operator, path, operand)?;
                changes.push(Change {
                    path: path.clone(),
                    action,
                });
            }
            if fields.is_empty() {
                check_operator(operator)?;
            }
        }
        check_conflicts(&changes)?;
        Ok(Self::Change(changes))
    }

    /// The changed document, with the same `_id`. `is_insert` says that an upsert builds a new one.
    pub(super) fn apply(&self, document: &Document, is_insert: bool) -> Result<Document, Failure> {
        let changed = match self {
            Self::Replace(replacement) => replaced(document, replacement),
            Self::Change(changes) => {
                let mut changed = Bson::Document(document.clone());
                for change in changes {
                    change.apply(&mut changed, is_insert)?;
                }
                match changed {
                    Bson::Document(changed) => changed,
                    _ => {
                        return Err(Failure::new(
                            Code::InternalError,
                            "a document became a value",
                        ));
                    }
                }
            }
        };
        match (document.get("_id"), changed.get("_id")) {
            (Some(before), Some(after)) if order::compare(before, after).is_eq() => Ok(changed),
            (None, _) => Ok(changed),
            _ => {
                let message = "the update changes the field `_id`, which is immutable";
                Err(Failure::new(Code::ImmutableField, message))
            }
        }
    }
}

fn replaced(document: &Document, replacement: &Document) -> Document {
    let mut changed = Document::new();
    if let Some(id) = replacement.get("_id").or_else(|| document.get("_id")) {
        changed.insert("_id", id.clone());
    }
    for (name, value) in replacement.iter().filter(|(name, _)| *name != "_id") {
        changed.insert(name, value.clone());
    }
    changed
}

impl Change {
    fn apply(&self, document: &mut Bson, is_insert: bool) -> Result<(), Failure> {
        match &self.action {
            Action::Set(value) => set(document, &self.path, value.clone()),
            Action::SetOnInsert(value) if is_insert => set(document, &self.path, value.clone()),
            Action::SetOnInsert(_) => Ok(()),
            Action::Unset => {
                unset(document, &self.path);
                Ok(())
            }
            Action::Increment(operand) => {
                let sum = match find(document, &self.path) {
                    None => operand.clone(),
                    Some(value) => add(value, operand, &self.path)?,
                };
                set(document, &self.path, sum)
            }
            Action::Push(values) => {
                let mut elements = match find(document, &self.path) {
                    None => Vec::new(),
                    Some(Bson::Array(elements)) => elements.clone(),
                    Some(value) => {
                        let kind = order::type_name(value);
                        let message = format!(
                            "the field `{}` must be an array but is of type {kind}",
                            self.path
                        );
                        return Err(Failure::new(Code::BadValue, message));
                    }
                };
                elements.extend(values.iter().cloned());
                set(document, &self.path, Bson::Array(elements))
            }
        }
    }
}

fn check_operator(operator: &str) -> Result<(), Failure> {
    match operator {
        "$set" | "$setOnInsert" | "$unset" | "$inc" | "$push" => Ok(()),
        "$addToSet" | "$bit" | "$currentDate" | "$max" | "$min" | "$mul" | "$pop" | "$pull"
        | "$pullAll" | "$rename" => {
            let message = format!("`{operator}` is not supported by the toolkit's bundled server");
            Err(Failure::new(Code::FailedToParse, message))
        }
        _ => Err(Failure::new(
            Code::FailedToParse,
            format!("unknown modifier: {operator}"),
        )),
    }
}

fn parse_action(operator: &str, path: &str, operand: &Bson) -> Result<Action, Failure> {
    check_operator(operator)?;
    match operator {
        "$set" => Ok(Action::Set(operand.clone())),
        "$setOnInsert" => Ok(Action::SetOnInsert(operand.clone())),
        "$unset" => Ok(Action::Unset),
        "$inc" => match operand {
            Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) => {
                Ok(Action::Increment(operand.clone()))
            }
            other => {
                let kind = order::type_name(other);
                let message = format!("cannot increment `{path}` with an argument of type {kind}");
                Err(Failure::new(Code::TypeMismatch, message))
            }
        },
        _ => parse_push(operand),
    }
}

fn parse_push(operand: &Bson) -> Result<Action, Failure> {
    let Some(modifiers) = operand
        .as_document()
        .filter(|modifiers| modifiers.contains_key("$each"))
    else {
        return Ok(Action::Push(vec![operand.clone()]));
    };
    if let Some(other) = modifiers.keys().find(|name| *name != "$each") {
        let message =
            format!("`{other}` in $push is not supported by the toolkit's bundled server");
        return Err(Failure::new(Code::BadValue, message));
    }
    match modifiers.get("$each") {
        Some(Bson::Array(values)) => Ok(Action::Push(values.clone())),
        _ => Err(Failure::new(
            Code::BadValue,
            "$each in $push needs an array",
        )),
    }
}

fn check_path(path: &str) -> Result<(), Failure> {
    for part in path.split('.') {
        if part.is_empty() {
            let message = format!("the update path `{path}` contains an empty field name");
            return Err(Failure::new(Code::BadValue, message));
        }
        if part.starts_with('$') {
            let message = format!(
                "the positional part `{part}` of the update path `{path}` is not supported by the \
                 toolkit's bundled server"
            );
            return Err(Failure::new(Code::BadValue, message));
        }
    }
    Ok(())
}

/// No path may be, or lie within, another one.
fn check_conflicts(changes: &[Change]) -> Result<(), Failure> {
    let mut paths: Vec<Vec<&str>> = changes
        .iter()
        .map(|change| change.path.split('.').collect())
        .collect();
    paths.sort_unstable();
    for (shorter, longer) in paths.iter().zip(paths.iter().skip(1)) {
        if longer.starts_with(shorter) {
            let message = format!(
                "updating the path `{}` creates a conflict at `{}`",
                longer.join("."),
                shorter.join(".")
            );
            return Err(Failure::new(Code::ConflictingUpdateOperators, message));
        }
    }
    Ok(())
}

/// The value at a path, arrays entered by position only.
fn find<'a>(value: &'a Bson, path: &str) -> Option<&'a Bson> {
    path.split('.').try_fold(value, |value, part| match value {
        Bson::Document(document) => document.get(part),
        Bson::Array(elements) => elements.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

fn set(value: &mut Bson, path: &str, new: Bson) -> Result<(), Failure> {
    if path.split('.').nth(LONGEST_PATH).is_some() {
        let message = format!("an update path has more than {LONGEST_PATH} field names");
        return Err(Failure::new(Code::BadValue, message));
    }
    let mut place = value;
    for part in path.split('.') {
        // What has to be created on the way is a document.
        if matches!(place, Bson::Undefined) {
            *place = Bson::Document(Document::new());
        }
        place = match place {
            Bson::Document(document) => document.entry(part).or_insert(Bson::Undefined),
            Bson::Array(elements) => element_at(elements, part, path)?,
            other => {
                let kind = order::type_name(other);
                let message = format!("cannot create the field `{part}` of `{path}` in a {kind}");
                return Err(Failure::new(Code::PathNotViable, message));
            }
        };
    }
    *place = new;
    Ok(())
}

fn element_at<'a>(
    elements: &'a mut Vec<Bson>,
    part: &str,
    path: &str,
) -> Result<&'a mut Bson, Failure> {
    let not_viable = || {
        let message = format!("cannot create the field `{part}` of `{path}` in an array");
        Failure::new(Code::PathNotViable, message)
    };
    let index: usize = part.parse().map_err(|_| not_viable())?;
    let length = elements.len();
    if index >= length {
        if index - length > LONGEST_PADDING {
            return Err(not_viable());
        }
        elements.resize(index, Bson::Null);
        elements.push(Bson::Undefined);
    }
    elements.get_mut(index).ok_or_else(not_viable)
}

fn unset(value: &mut Bson, path: &str) {
    let (parents, last) = match path.rsplit_once('.') {
        Some((parents, last)) => (Some(parents), last),
        None => (None, path),
    };
    let parent = parents
        .into_iter()
        .flat_map(|parents| parents.split('.'))
        .try_fold(value, |value, part| match value {
            Bson::Document(document) => document.get_mut(part),
            Bson::Array(elements) => elements.get_mut(part.parse::<usize>().ok()?),
            _ => None,
        });
    match parent {
        Some(Bson::Document(document)) => {
            document.remove(last);
        }
        // Taking an element out would move the others.
        Some(Bson::Array(elements)) => {
            if let Some(element) = last
                .parse()
                .ok()
                .and_then(|index: usize| elements.get_mut(index))
            {
                *element = Bson::Null;
            }
        }
        _ => {}
    }
}

/// The sum in the wider type of both; a 32-bit overflow widens, a 64-bit one is refused.
fn add(value: &Bson, operand: &Bson, path: &str) -> Result<Bson, Failure> {
    let whole = |value: &Bson| match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    };
    let double = |value: &Bson| match value {
        Bson::Double(number) => Some(*number),
        other => whole(other).map(|number| number as f64),
    };
    if let (Some(left), Some(right)) = (whole(value), whole(operand)) {
        let sum = left.checked_add(right).ok_or_else(|| {
            let message = format!("the sum at `{path}` does not fit into 64 bits");
            Failure::new(Code::BadValue, message)
        })?;
        let is_narrow = matches!((value, operand), (Bson::Int32(_), Bson::Int32(_)));
        return Ok(match i32::try_from(sum) {
            Ok(sum) if is_narrow => Bson::Int32(sum),
            _ => Bson::Int64(sum),
        });
    }
    match (double(value), double(operand)) {
        (Some(left), Some(right)) => Ok(Bson::Double(left + right)),
        _ => {
            let kind = order::type_name(value);
            let message = format!("cannot apply $inc to the field `{path}` of type {kind}");
            Err(Failure::new(Code::TypeMismatch, message))
        }
    }
}

/// The document an upsert starts from: the fields the filter demands to be equal.
pub(super) fn seed(update: &Update, equalities: &[(&str, &Bson)]) -> Result<Document, Failure> {
    let mut seed = Bson::Document(Document::new());
    for (field, value) in equalities {
        if matches!(update, Update::Replace(_)) && *field != "_id" {
            continue;
        }
        if find(&seed, field).is_some_and(|present| order::compare(present, value).is_ne()) {
            let message =
                format!("cannot infer `{field}` for the upsert: the filter demands two values");
            return Err(Failure::new(Code::BadValue, message));
        }
        set(&mut seed, field, (*value).clone())?;
    }
    match seed {
        Bson::Document(seed) => Ok(seed),
        _ => Ok(Document::new()),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn check(update: Document, document: &Document, expected: &Document) {
        let name = format!("{update} on {document}");
        let update = Update::parse(&Bson::Document(update)).unwrap();
        assert_eq!(update.apply(document, false).unwrap(), *expected, "{name}");
    }

    #[test]
    fn updates_change_documents() {
        let cases = [
            (
                doc! {"$set": {"a": 2}},
                doc! {"_id": 1, "a": 1},
                doc! {"_id": 1, "a": 2},
            ),
            (
                doc! {"$set": {"a.b": 2}},
                doc! {"_id": 1},
                doc! {"_id": 1, "a": {"b": 2}},
            ),
            (
                doc! {"$set": {"a.1": 2}},
                doc! {"a": [1]},
                doc! {"a": [1, 2]},
            ),
            (
                doc! {"$set": {"a.2.b": 2}},
                doc! {"a": [1]},
                doc! {"a": [1, Bson::Null, {"b": 2}]},
            ),
            (doc! {"$set": {}}, doc! {"a": 1}, doc! {"a": 1}),
            (
                doc! {"$unset": {"a": ""}},
                doc! {"a": 1, "b": 2},
                doc! {"b": 2},
            ),
            (
                doc! {"$unset": {"a.b": 1, "c.d": 1}},
                doc! {"a": {"b": 1}},
                doc! {"a": {}},
            ),
            (
                doc! {"$unset": {"a.0": 1}},
                doc! {"a": [1, 2]},
                doc! {"a": [Bson::Null, 2]},
            ),
            (doc! {"$inc": {"a": 2}}, doc! {"a": 1}, doc! {"a": 3}),
            (doc! {"$inc": {"a": 2}}, doc! {}, doc! {"a": 2}),
            (
                doc! {"$inc": {"a": 1}},
                doc! {"a": i32::MAX},
                doc! {"a": 2_147_483_648_i64},
            ),
            (
                doc! {"$inc": {"a": 1}},
                doc! {"a": 1_i64},
                doc! {"a": 2_i64},
            ),
            (doc! {"$inc": {"a": 0.5}}, doc! {"a": 1}, doc! {"a": 1.5}),
            (
                doc! {"$push": {"a": 2}},
                doc! {"a": [1]},
                doc! {"a": [1, 2]},
            ),
            (
                doc! {"$push": {"a": {"$each": [2, 3]}}},
                doc! {},
                doc! {"a": [2, 3]},
            ),
            (
                doc! {"$setOnInsert": {"a": 2}},
                doc! {"a": 1},
                doc! {"a": 1},
            ),
            (
                doc! {"b": 2},
                doc! {"_id": 1, "a": 1},
                doc! {"_id": 1, "b": 2},
            ),
            (doc! {}, doc! {"_id": 1, "a": 1}, doc! {"_id": 1}),
        ];
        for (update, document, expected) in cases {
            check(update, &document, &expected);
        }
    }

    #[test]
    fn updates_that_cannot_be_read_are_refused() {
        for (update, code) in [
            (doc! {"$frobnicate": {"a": 1}}, Code::FailedToParse),
            (doc! {"$pull": {}}, Code::FailedToParse),
            (doc! {"$set": 1}, Code::FailedToParse),
            (doc! {"$set": {"a": 1}, "b": {}}, Code::FailedToParse),
            (doc! {"a": 1, "$set": {"b": 1}}, Code::FailedToParse),
            (doc! {"$set": {"a.$": 1}}, Code::BadValue),
            (doc! {"$set": {"a..b": 1}}, Code::BadValue),
            (doc! {"$inc": {"a": "1"}}, Code::TypeMismatch),
            (doc! {"$push": {"a": {"$each": 1}}}, Code::BadValue),
            (
                doc! {"$push": {"a": {"$each": [], "$slice": 1}}},
                Code::BadValue,
            ),
            (
                doc! {"$set": {"a": 1}, "$inc": {"a": 1}},
                Code::ConflictingUpdateOperators,
            ),
            (
                doc! {"$set": {"a": 1, "a.b": 1}},
                Code::ConflictingUpdateOperators,
            ),
        ] {
            let name = update.to_string();
            let failure = Update::parse(&Bson::Document(update)).unwrap_err();
            assert_eq!(failure.code, code, "{name}");
        }
    }

    #[test]
    fn changes_that_do_not_fit_a_document_are_refused() {
        // Dropping so deep a document would overflow the stack.
        let deep = ["b"; 1_000_000].join(".");
        for (update, code) in [
            (doc! {"$set": {"_id": 2}}, Code::ImmutableField),
            (doc! {"$unset": {"_id": 1}}, Code::ImmutableField),
            (doc! {"_id": 2}, Code::ImmutableField),
            (doc! {"$set": {"a.b": 1}}, Code::PathNotViable),
            (doc! {"$set": {"list.x": 1}}, Code::PathNotViable),
            (doc! {"$set": {"list.9000000": 1}}, Code::PathNotViable),
            (doc! {"$inc": {"text": 1}}, Code::TypeMismatch),
            (doc! {"$inc": {"large": 1}}, Code::BadValue),
            (doc! {"$push": {"a": 1}}, Code::BadValue),
            (doc! {"$set": {deep.clone(): 1}}, Code::BadValue),
            (doc! {"$inc": {deep.clone(): 1}}, Code::BadValue),
        ] {
            let document = doc! {"_id": 1, "a": 1, "text": "x", "list": [], "large": i64::MAX};
            let name = update.to_string();
            let update = Update::parse(&Bson::Document(update)).unwrap();
            assert_eq!(
                update.apply(&document, false).unwrap_err().code,
                code,
                "{name}"
            );
        }
    }

    #[test]
    fn an_upsert_starts_from_the_equalities() {
        let update = Update::parse(&doc! {"$set": {"x": 1}, "$setOnInsert": {"y": 2}}.into());
        let update = update.unwrap();
        let start = seed(&update, &[("_id", &5.into()), ("a.b", &"c".into())]).unwrap();
        let built = update.apply(&start, true).unwrap();
        assert_eq!(built, doc! {"_id": 5, "a": {"b": "c"}, "x": 1, "y": 2});
    }

    #[test]
    fn an_upsert_by_replacement_takes_only_the_identity() {
        let update = Update::parse(&doc! {"x": 1}.into()).unwrap();
        let start = seed(&update, &[("_id", &5.into()), ("a", &1.into())]).unwrap();
        assert_eq!(update.apply(&start, true).unwrap(), doc! {"_id": 5, "x": 1});
    }
}
