//! How found documents are ordered and cut down for the answer: sort and projection.
//! Knows documents; must not know collections or commands.

use std::cmp::Ordering;
use std::sync::Arc;

use bson::Bson;
use bson::Document;

use super::failure::Code;
use super::failure::Failure;
use super::matching;
use super::order;
use super::order::Key;
use super::path;

/// The order of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Sorting {
    /// By paths, each ascending or descending.
    ByFields(Vec<(String, Direction)>),
    /// `$natural`: the order of insertion.
    Natural(Direction),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    fn parse(value: &Bson) -> Option<Self> {
        match value {
            Bson::Int32(1) | Bson::Int64(1) => Some(Self::Ascending),
            Bson::Int32(-1) | Bson::Int64(-1) => Some(Self::Descending),
            Bson::Double(number) if *number == 1.0 => Some(Self::Ascending),
            Bson::Double(number) if *number == -1.0 => Some(Self::Descending),
            _ => None,
        }
    }
}

impl Sorting {
    pub(super) fn parse(sort: &Document) -> Result<Self, Failure> {
        let mut fields = Vec::new();
        for (field, value) in sort {
            let direction = Direction::parse(value).ok_or_else(|| {
                Failure::new(
                    Code::BadValue,
                    format!("the sort order of `{field}` must be 1 or -1"),
                )
            })?;
            if field == "$natural" && sort.len() == 1 {
                return Ok(Self::Natural(direction));
            }
            if field.is_empty() || field.starts_with('$') {
                let message = format!("cannot sort by `{field}`");
                return Err(Failure::new(Code::BadValue, message));
            }
            fields.push((field.clone(), direction));
        }
        Ok(Self::ByFields(fields))
    }

    /// Sorts; documents that are equal to the sort keep their order.
    pub(super) fn sort(&self, documents: &mut [Arc<Document>]) {
        match self {
            Self::Natural(Direction::Ascending) => {}
            Self::Natural(Direction::Descending) => documents.reverse(),
            Self::ByFields(fields) => {
                documents.sort_by_cached_key(|document| Rank::new(document, fields));
            }
        }
    }
}

/// The place of a document in a sort.
#[derive(PartialEq, Eq)]
struct Rank(Vec<(Key, Direction)>);

impl Rank {
    fn new(document: &Document, fields: &[(String, Direction)]) -> Self {
        let key = |field: &String, direction| Key(sort_value(document, field, direction));
        Self(
            fields
                .iter()
                .map(|(field, direction)| (key(field, *direction), *direction))
                .collect(),
        )
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0
            .iter()
            .zip(&other.0)
            .map(|((left, direction), (right, _))| match direction {
                Direction::Ascending => left.cmp(right),
                Direction::Descending => right.cmp(left),
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// Of several values the smallest counts when ascending, the largest when descending. A missing
/// value counts as null, an empty array as less.
fn sort_value(document: &Document, field: &str, direction: Direction) -> Bson {
    let reached = path::follow(document, field);
    let mut values = Vec::new();
    for value in &reached.values {
        match value {
            Bson::Array(elements) if elements.is_empty() => values.push(&Bson::Undefined),
            Bson::Array(elements) => values.extend(elements),
            value => values.push(value),
        }
    }
    if values.is_empty() || (reached.is_missing && values.len() > 1) {
        values.push(&Bson::Null);
    }
    let by_order = |left: &&Bson, right: &&Bson| order::compare(left, right);
    let chosen = match direction {
        Direction::Ascending => values.into_iter().min_by(by_order),
        Direction::Descending => values.into_iter().max_by(by_order),
    };
    chosen.cloned().unwrap_or(Bson::Null)
}

/// Which fields of a document are in the answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Projection {
    fields: Vec<String>,
    is_inclusion: bool,
    is_id_shown: bool,
}

impl Projection {
    /// Reads a projection; `None` when it is empty and everything is shown.
    pub(super) fn parse(projection: &Document) -> Result<Option<Self>, Failure> {
        let mut fields = Vec::new();
        let mut kind = None;
        let mut id = None;
        for (field, value) in projection {
            let is_plain = matches!(
                value,
                Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_)
            );
            if !is_plain || field.contains(['.', '$']) {
                let what = format!("projection of `{field}`: only whole top-level fields, 0 or 1");
                return Err(Failure::unsupported(&what));
            }
            let is_shown = matching::is_true(value);
            if field == "_id" {
                id = Some(is_shown);
                continue;
            }
            if kind.is_some_and(|kind| kind != is_shown) {
                let message =
                    format!("cannot mix inclusion and exclusion in a projection: `{field}`");
                return Err(Failure::new(Code::BadValue, message));
            }
            kind = Some(is_shown);
            fields.push(field.clone());
        }
        if kind.is_none() && id.is_none() {
            return Ok(None);
        }
        let is_inclusion = kind.unwrap_or(id == Some(true));
        Ok(Some(Self {
            fields,
            is_inclusion,
            is_id_shown: id.unwrap_or(true),
        }))
    }

    pub(super) fn apply(&self, document: &Document) -> Document {
        let is_shown = |field: &str| match field {
            "_id" => self.is_id_shown,
            field => self.fields.iter().any(|known| known == field) == self.is_inclusion,
        };
        document
            .iter()
            .filter(|(field, _)| is_shown(field))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn documents_are_sorted() {
        let documents = [
            doc! {"_id": 1, "a": 2, "b": {"c": "x"}},
            doc! {"_id": 2, "a": 1, "b": {"c": "y"}},
            doc! {"_id": 3, "b": {"c": "y"}},
            doc! {"_id": 4, "a": [0, 9]},
            doc! {"_id": 5, "a": []},
        ];
        let cases: [(Document, [i32; 5]); 5] = [
            (doc! {"a": 1}, [5, 3, 4, 2, 1]),
            (doc! {"a": -1}, [4, 1, 2, 3, 5]),
            (doc! {"b.c": -1, "_id": -1}, [3, 2, 1, 5, 4]),
            (doc! {"$natural": -1}, [5, 4, 3, 2, 1]),
            (doc! {}, [1, 2, 3, 4, 5]),
        ];
        for (sort, expected) in cases {
            let mut sorted: Vec<_> = documents.iter().cloned().map(Arc::new).collect();
            Sorting::parse(&sort).unwrap().sort(&mut sorted);
            let ids: Vec<i32> = sorted.iter().map(|d| d.get_i32("_id").unwrap()).collect();
            assert_eq!(ids, expected, "{sort}");
        }
        for sort in [doc! {"a": 2}, doc! {"a": "x"}, doc! {"$meta": 1}] {
            assert_eq!(
                Sorting::parse(&sort).unwrap_err().code,
                Code::BadValue,
                "{sort}"
            );
        }
    }

    #[test]
    fn projections_show_fields() {
        let document = doc! {"_id": 1, "a": 2, "b": 3};
        for (projection, expected) in [
            (doc! {"a": 1}, doc! {"_id": 1, "a": 2}),
            (doc! {"a": true, "_id": 0}, doc! {"a": 2}),
            (doc! {"a": 0}, doc! {"_id": 1, "b": 3}),
            (doc! {"_id": 0}, doc! {"a": 2, "b": 3}),
            (doc! {"_id": 1}, doc! {"_id": 1}),
        ] {
            let read = Projection::parse(&projection).unwrap().unwrap();
            assert_eq!(read.apply(&document), expected, "{projection}");
        }
        assert_eq!(Projection::parse(&doc! {}).unwrap(), None);
        for projection in [
            doc! {"a": 1, "b": 0},
            doc! {"a.b": 1},
            doc! {"a": {"$slice": 1}},
        ] {
            assert!(Projection::parse(&projection).is_err(), "{projection}");
        }
    }
}
