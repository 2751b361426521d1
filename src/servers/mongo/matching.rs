//! Filters: which documents a query means. A filter is read once and refused as a whole when it
//! uses something this server does not know, so that no query is answered wrongly.
//! Knows values and paths; must not know collections or commands.

use std::cmp::Ordering;

use bson::Bson;
use bson::Document;

use super::failure::Code;
use super::failure::Failure;
use super::order;
use super::path;
use super::path::Reached;

/// A query filter, ready to be held against documents.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    None(Vec<Filter>),
    Field { path: String, test: Test },
}

/// What the values at a path have to fulfil.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    All(Vec<Test>),
    Not(Box<Test>),
    In(Vec<Bson>),
    Compare { relation: Relation, operand: Bson },
    Exists(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Relation {
    fn includes(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

impl Filter {
    /// Reads a filter document.
    pub(super) fn parse(filter: &Document) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        for (name, value) in filter {
            match name.as_str() {
                "$and" => parts.push(Self::All(parse_branches(name, value)?)),
                "$or" => parts.push(Self::Any(parse_branches(name, value)?)),
                "$nor" => parts.push(Self::None(parse_branches(name, value)?)),
                "$comment" => {}
                operator if operator.starts_with('$') => return Err(unknown_operator(operator)),
                path => {
                    let test = parse_condition(value)?;
                    parts.push(Self::Field {
                        path: path.to_owned(),
                        test,
                    });
                }
            }
        }
        Ok(Self::All(parts))
    }

    pub(super) fn matches(&self, document: &Document) -> bool {
        match self {
            Self::All(branches) => branches.iter().all(|branch| branch.matches(document)),
            Self::Any(branches) => branches.iter().any(|branch| branch.matches(document)),
            Self::None(branches) => !branches.iter().any(|branch| branch.matches(document)),
            Self::Field { path, test } => test.holds(&path::follow(document, path)),
        }
    }

    /// The one `_id` every matching document has, when the filter demands one.
    pub(super) fn identity(&self) -> Option<&Bson> {
        self.equalities()
            .into_iter()
            .find(|(path, _)| *path == "_id")
            .map(|(_, value)| value)
    }

    /// The fields every matching document has to equal: what an upsert starts from.
    pub(super) fn equalities(&self) -> Vec<(&str, &Bson)> {
        match self {
            Self::All(branches) => branches.iter().flat_map(Self::equalities).collect(),
            Self::Field { path, test } => test
                .equality()
                .map(|value| (path.as_str(), value))
                .into_iter()
                .collect(),
            Self::Any(_) | Self::None(_) => Vec::new(),
        }
    }
}

impl Test {
    fn holds(&self, reached: &Reached<'_>) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(reached)),
            Self::Not(test) => !test.holds(reached),
            Self::In(operands) => operands
                .iter()
                .any(|operand| is_related(reached, Relation::Equal, operand)),
            Self::Compare { relation, operand } => is_related(reached, *relation, operand),
            Self::Exists(expected) => reached.values.is_empty() != *expected,
        }
    }

    fn equality(&self) -> Option<&Bson> {
        match self {
            Self::Compare {
                relation: Relation::Equal,
                operand,
            } => Some(operand),
            Self::All(tests) => tests.iter().find_map(Self::equality),
            _ => None,
        }
    }
}

fn is_related(reached: &Reached<'_>, relation: Relation, operand: &Bson) -> bool {
    let is_null_wanted = matches!(operand, Bson::Null) && relation.includes(Ordering::Equal);
    if is_null_wanted && reached.is_missing {
        return true;
    }
    reached
        .expanded()
        .any(|value| is_value_related(value, relation, operand))
}

/// Ranges only compare values of one kind, and nothing but itself is related to not-a-number.
fn is_value_related(value: &Bson, relation: Relation, operand: &Bson) -> bool {
    let is_comparable = order::kind(value) == order::kind(operand)
        || matches!(operand, Bson::MinKey | Bson::MaxKey);
    is_comparable
        && is_not_a_number(value) == is_not_a_number(operand)
        && relation.includes(order::compare(value, operand))
}

fn is_not_a_number(value: &Bson) -> bool {
    matches!(value, Bson::Double(number) if number.is_nan())
}

fn parse_branches(operator: &str, value: &Bson) -> Result<Vec<Filter>, Failure> {
    let wrong = || {
        Failure::new(
            Code::BadValue,
            format!("{operator} needs an array of at least one document"),
        )
    };
    match value {
        Bson::Array(branches) if !branches.is_empty() => branches
            .iter()
            .map(|branch| Filter::parse(branch.as_document().ok_or_else(wrong)?))
            .collect(),
        _ => Err(wrong()),
    }
}

/// A document whose first key is an operator is a list of conditions; all else is a value.
fn parse_condition(value: &Bson) -> Result<Test, Failure> {
    match value {
        Bson::Document(conditions) if is_operators(conditions) => parse_operators(conditions),
        value => Ok(Test::Compare {
            relation: Relation::Equal,
            operand: comparable(value)?,
        }),
    }
}

fn is_operators(document: &Document) -> bool {
    // `$ref` and `$id` begin a database reference, which is a value.
    document
        .keys()
        .next()
        .is_some_and(|name| name.starts_with('$') && name != "$ref" && name != "$id")
}

fn parse_operators(conditions: &Document) -> Result<Test, Failure> {
    let mut tests = Vec::new();
    for (name, operand) in conditions {
        tests.push(parse_operator(name, operand)?);
    }
    Ok(Test::All(tests))
}

fn parse_operator(name: &str, operand: &Bson) -> Result<Test, Failure> {
    let relation = |relation| {
        Ok(Test::Compare {
            relation,
            operand: comparable(operand)?,
        })
    };
    match name {
        "$eq" => relation(Relation::Equal),
        "$ne" => Ok(Test::Not(Box::new(relation(Relation::Equal)?))),
        "$gt" => relation(Relation::Greater),
        "$gte" => relation(Relation::GreaterOrEqual),
        "$lt" => relation(Relation::Less),
        "$lte" => relation(Relation::LessOrEqual),
        "$in" => Ok(Test::In(parse_list(name, operand)?)),
        "$nin" => Ok(Test::Not(Box::new(Test::In(parse_list(name, operand)?)))),
        "$exists" => Ok(Test::Exists(is_true(operand))),
        "$not" => match operand {
            Bson::Document(conditions) if is_operators(conditions) => {
                Ok(Test::Not(Box::new(parse_operators(conditions)?)))
            }
            Bson::RegularExpression(_) => Err(unsupported("$regex")),
            _ => Err(Failure::new(
                Code::BadValue,
                "$not needs a document of operators",
            )),
        },
        "$regex" | "$options" => Err(unsupported("$regex")),
        "$all" | "$elemMatch" | "$size" | "$type" | "$mod" | "$expr" | "$where" | "$text"
        | "$jsonSchema" | "$geoWithin" | "$geoIntersects" | "$near" | "$nearSphere"
        | "$bitsAllSet" | "$bitsAnySet" | "$bitsAllClear" | "$bitsAnyClear" => {
            Err(unsupported(name))
        }
        _ => Err(unknown_operator(name)),
    }
}

fn parse_list(name: &str, operand: &Bson) -> Result<Vec<Bson>, Failure> {
    match operand {
        Bson::Array(values) => values.iter().map(comparable).collect(),
        _ => Err(Failure::new(
            Code::BadValue,
            format!("{name} needs an array"),
        )),
    }
}

/// Refuses the values this server cannot compare as MongoDB does.
fn comparable(value: &Bson) -> Result<Bson, Failure> {
    match value {
        Bson::RegularExpression(_) => Err(unsupported("$regex")),
        Bson::Decimal128(_) => Err(unsupported("Decimal128")),
        value => Ok(value.clone()),
    }
}

/// Whether MongoDB takes a value for "yes": everything but false, zero, null and undefined.
pub(super) fn is_true(value: &Bson) -> bool {
    match value {
        Bson::Boolean(flag) => *flag,
        Bson::Int32(number) => *number != 0,
        Bson::Int64(number) => *number != 0,
        Bson::Double(number) => *number != 0.0,
        Bson::Null | Bson::Undefined => false,
        _ => true,
    }
}

fn unknown_operator(name: &str) -> Failure {
    Failure::new(Code::BadValue, format!("unknown operator: {name}"))
}

fn unsupported(name: &str) -> Failure {
    let message = format!("`{name}` in a filter is not supported by the toolkit's bundled server");
    Failure::new(Code::BadValue, message)
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn filters_match_as_in_mongodb() {
        let document = doc! {
            "_id": 1,
            "name": "ada",
            "age": 36_i64,
            "height": 1.7,
            "tags": ["a", "b"],
            "scores": [1, 5, 9],
            "address": {"city": "london", "zip": Bson::Null},
            "pets": [{"kind": "cat"}, {"kind": "dog", "age": 3}],
            "nothing": Bson::Null,
            "nan": f64::NAN,
        };
        let cases = [
            (doc! {}, true),
            (doc! {"name": "ada"}, true),
            (doc! {"name": "bob"}, false),
            (doc! {"age": 36}, true),
            (doc! {"age": 36.0}, true),
            (doc! {"age": "36"}, false),
            (doc! {"tags": "b"}, true),
            (doc! {"tags": ["a", "b"]}, true),
            (doc! {"tags": ["b", "a"]}, false),
            (doc! {"address.city": "london"}, true),
            (
                doc! {"address": {"city": "london", "zip": Bson::Null}},
                true,
            ),
            (
                doc! {"address": {"zip": Bson::Null, "city": "london"}},
                false,
            ),
            (doc! {"pets.kind": "dog"}, true),
            (doc! {"pets.1.kind": "dog"}, true),
            (doc! {"pets.0.kind": "dog"}, false),
            (doc! {"pets.age": Bson::Null}, true),
            (doc! {"nothing": Bson::Null}, true),
            (doc! {"missing": Bson::Null}, true),
            (doc! {"name": Bson::Null}, false),
            (doc! {"missing": {"$exists": false}}, true),
            (doc! {"nothing": {"$exists": true}}, true),
            (doc! {"nothing": {"$exists": 0}}, false),
            (doc! {"age": {"$gt": 35, "$lt": 37}}, true),
            (doc! {"age": {"$gte": 36.5}}, false),
            (doc! {"age": {"$lte": 36}}, true),
            (doc! {"age": {"$gt": "a"}}, false),
            (doc! {"name": {"$gt": 5}}, false),
            (doc! {"name": {"$gt": Bson::MinKey}}, true),
            (doc! {"nan": {"$lt": 5}}, false),
            (doc! {"nan": {"$gte": f64::NAN}}, true),
            (doc! {"scores": {"$gt": 8}}, true),
            (doc! {"scores": {"$gt": 9}}, false),
            (doc! {"missing": {"$lt": 5}}, false),
            (doc! {"age": {"$ne": 36}}, false),
            (doc! {"missing": {"$ne": 36}}, true),
            (doc! {"tags": {"$ne": "a"}}, false),
            (doc! {"age": {"$in": [1, 36]}}, true),
            (doc! {"missing": {"$in": [Bson::Null]}}, true),
            (doc! {"age": {"$nin": [1, 36]}}, false),
            (doc! {"age": {"$not": {"$gt": 40}}}, true),
            (doc! {"$and": [{"name": "ada"}, {"age": 36}]}, true),
            (doc! {"$or": [{"name": "bob"}, {"age": 36}]}, true),
            (doc! {"$or": [{"name": "bob"}, {"age": 37}]}, false),
            (doc! {"$nor": [{"name": "bob"}, {"age": 37}]}, true),
            (doc! {"$nor": [{"name": "ada"}]}, false),
        ];
        for (filter, expected) in cases {
            assert_eq!(
                Filter::parse(&filter).unwrap().matches(&document),
                expected,
                "{filter}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for filter in [
            doc! {"a": {"$regex": "x"}},
            doc! {"a": bson::Regex { pattern: "x".try_into().unwrap(), options: "".try_into().unwrap() }},
            doc! {"a": {"$near": 1}},
            doc! {"a": {"$gt": 1, "b": 2}},
            doc! {"a": {"$in": 1}},
            doc! {"a": {"$not": 1}},
            doc! {"a": bson::Decimal128::from_bytes([0; 16])},
            doc! {"$where": "x"},
            doc! {"$and": []},
            doc! {"$or": [1]},
        ] {
            assert_eq!(
                Filter::parse(&filter).unwrap_err().code,
                Code::BadValue,
                "{filter}"
            );
        }
    }

    #[test]
    fn equalities_are_found_for_look_ups_and_upserts() {
        let filter =
            Filter::parse(&doc! {"_id": {"$eq": 5}, "$and": [{"a.b": 1}], "c": {"$gt": 2}});
        let filter = filter.unwrap();
        assert_eq!(filter.identity(), Some(&Bson::Int32(5)));
        assert_eq!(
            filter.equalities(),
            [("_id", &Bson::Int32(5)), ("a.b", &Bson::Int32(1))]
        );
    }
}
