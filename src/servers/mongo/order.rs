//! The order of BSON values: the one rule behind equality, ranges, sorting and `_id` look-up.
//! Knows values only; must not know filters, paths or collections.
//!
//! Values of different kinds are ordered by kind, as in MongoDB. `Decimal128` values are a kind of
//! their own after the other numbers, because this server does not calculate with them; filters
//! refuse them, so that nobody gets a wrong answer.

use std::cmp::Ordering;

use bson::Bson;
use bson::Document;

/// A value that can be the key of a map: equal when MongoDB calls it equal (`1` and `1.0`).
#[derive(Debug, Clone)]
pub(super) struct Key(pub(super) Bson);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        compare(&self.0, &other.0).is_eq()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// The kind of a value; kinds are ordered by their number.
pub(super) fn kind(value: &Bson) -> i8 {
    match value {
        Bson::MinKey => -1,
        Bson::Undefined => 0,
        Bson::Null => 5,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) => 10,
        Bson::Decimal128(_) => 11,
        Bson::String(_) | Bson::Symbol(_) => 15,
        Bson::Document(_) => 20,
        Bson::Array(_) => 25,
        Bson::Binary(_) => 30,
        Bson::ObjectId(_) => 35,
        Bson::Boolean(_) => 40,
        Bson::DateTime(_) => 45,
        Bson::Timestamp(_) => 47,
        Bson::RegularExpression(_) => 50,
        Bson::DbPointer(_) => 55,
        Bson::JavaScriptCode(_) => 60,
        Bson::JavaScriptCodeWithScope(_) => 65,
        Bson::MaxKey => 127,
    }
}

/// The protocol's name of a value's type, for messages and `$type`-like texts.
pub(super) fn type_name(value: &Bson) -> &'static str {
    match value {
        Bson::MinKey => "minKey",
        Bson::Undefined => "undefined",
        Bson::Null => "null",
        Bson::Int32(_) => "int",
        Bson::Int64(_) => "long",
        Bson::Double(_) => "double",
        Bson::Decimal128(_) => "decimal",
        Bson::String(_) => "string",
        Bson::Symbol(_) => "symbol",
        Bson::Document(_) => "object",
        Bson::Array(_) => "array",
        Bson::Binary(_) => "binData",
        Bson::ObjectId(_) => "objectId",
        Bson::Boolean(_) => "bool",
        Bson::DateTime(_) => "date",
        Bson::Timestamp(_) => "timestamp",
        Bson::RegularExpression(_) => "regex",
        Bson::DbPointer(_) => "dbPointer",
        Bson::JavaScriptCode(_) => "javascript",
        Bson::JavaScriptCodeWithScope(_) => "javascriptWithScope",
        Bson::MaxKey => "maxKey",
    }
}

/// The total order over all values.
pub(super) fn compare(left: &Bson, right: &Bson) -> Ordering {
    kind(left)
        .cmp(&kind(right))
        .then_with(|| compare_same_kind(left, right))
}

fn compare_same_kind(left: &Bson, right: &Bson) -> Ordering {
    use Bson as B;
    match (left, right) {
        (B::Int32(a), B::Int32(b)) => a.cmp(b),
        (B::Int32(a), B::Int64(b)) => i64::from(*a).cmp(b),
        (B::Int64(a), B::Int32(b)) => a.cmp(&i64::from(*b)),
        (B::Int64(a), B::Int64(b)) => a.cmp(b),
        (B::Int32(a), B::Double(b)) => compare_whole_with_double(i64::from(*a), *b),
        (B::Int64(a), B::Double(b)) => compare_whole_with_double(*a, *b),
        (B::Double(a), B::Int32(b)) => compare_whole_with_double(i64::from(*b), *a).reverse(),
        (B::Double(a), B::Int64(b)) => compare_whole_with_double(*b, *a).reverse(),
        (B::Double(a), B::Double(b)) => compare_doubles(*a, *b),
        (B::Decimal128(a), B::Decimal128(b)) => a.bytes().cmp(&b.bytes()),
        (B::String(a) | B::Symbol(a), B::String(b) | B::Symbol(b)) => a.cmp(b),
        (B::Document(a), B::Document(b)) => compare_documents(a, b),
        (B::Array(a), B::Array(b)) => compare_sequences(a.iter(), b.iter(), compare),
        (B::Binary(a), B::Binary(b)) => (a.bytes.len(), u8::from(a.subtype), &a.bytes).cmp(&(
            b.bytes.len(),
            u8::from(b.subtype),
            &b.bytes,
        )),
        (B::ObjectId(a), B::ObjectId(b)) => a.bytes().cmp(&b.bytes()),
        (B::Boolean(a), B::Boolean(b)) => a.cmp(b),
        (B::DateTime(a), B::DateTime(b)) => a.cmp(b),
        (B::Timestamp(a), B::Timestamp(b)) => (a.time, a.increment).cmp(&(b.time, b.increment)),
        (B::RegularExpression(a), B::RegularExpression(b)) => {
            (a.pattern.as_str(), a.options.as_str()).cmp(&(b.pattern.as_str(), b.options.as_str()))
        }
        (B::DbPointer(a), B::DbPointer(b)) => format!("{a:?}").cmp(&format!("{b:?}")),
        (B::JavaScriptCode(a), B::JavaScriptCode(b)) => a.cmp(b),
        (B::JavaScriptCodeWithScope(a), B::JavaScriptCodeWithScope(b)) => a
            .code
            .cmp(&b.code)
            .then_with(|| compare_documents(&a.scope, &b.scope)),
        // What is left has one value per kind.
        _ => Ordering::Equal,
    }
}

/// Field by field, in the order of the fields: kind, then name, then value.
fn compare_documents(left: &Document, right: &Document) -> Ordering {
    compare_sequences(
        left.iter(),
        right.iter(),
        |(left_name, left), (right_name, right)| {
            kind(left)
                .cmp(&kind(right))
                .then_with(|| left_name.cmp(right_name))
                .then_with(|| compare_same_kind(left, right))
        },
    )
}

fn compare_sequences<T>(
    mut left: impl Iterator<Item = T>,
    mut right: impl Iterator<Item = T>,
    compare_items: impl Fn(T, T) -> Ordering,
) -> Ordering {
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) => match compare_items(left, right) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
        }
    }
}

/// Not-a-number is smaller than every number and equal to itself.
fn compare_doubles(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right)
        .unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

/// Exact also where a double cannot hold the whole number.
fn compare_whole_with_double(whole: i64, double: f64) -> Ordering {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() || double < -TWO_TO_63 {
        Ordering::Greater
    } else if double >= TWO_TO_63 {
        Ordering::Less
    } else {
        whole.cmp(&(double.trunc() as i64)).then_with(|| {
            0.0_f64
                .partial_cmp(&double.fract())
                .unwrap_or(Ordering::Equal)
        })
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use bson::oid::ObjectId;

    use super::*;

    #[test]
    fn values_are_in_this_order() {
        let ascending: Vec<Bson> = vec![
            Bson::MinKey,
            Bson::Undefined,
            Bson::Null,
            Bson::Double(f64::NAN),
            Bson::Double(f64::NEG_INFINITY),
            Bson::Int64(i64::MIN),
            Bson::Int32(-1),
            Bson::Double(0.5),
            Bson::Int32(1),
            Bson::Double(1.5),
            Bson::Int64(9_007_199_254_740_992),
            Bson::Int64(9_007_199_254_740_993),
            Bson::Double(9_007_199_254_740_994.0),
            Bson::Int64(i64::MAX),
            Bson::Double(9_223_372_036_854_775_808.0),
            Bson::Double(f64::INFINITY),
            "".into(),
            "a".into(),
            "b".into(),
            doc! {}.into(),
            doc! {"a": 1}.into(),
            doc! {"b": 0}.into(),
            doc! {"a": "text"}.into(),
            Bson::Array(vec![]),
            Bson::Array(vec![1.into()]),
            Bson::Array(vec![1.into(), 2.into()]),
            ObjectId::from_bytes([1; 12]).into(),
            false.into(),
            true.into(),
            bson::DateTime::from_millis(0).into(),
            Bson::MaxKey,
        ];
        for (index, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(
                    compare(left, right),
                    index.cmp(&other),
                    "{left:?} and {right:?}"
                );
            }
        }
    }

    #[test]
    fn numbers_are_equal_across_types() {
        for (left, right) in [
            (Bson::Int32(1), Bson::Int64(1)),
            (Bson::Int32(1), Bson::Double(1.0)),
            (Bson::Int64(-7), Bson::Double(-7.0)),
            (Bson::Double(0.0), Bson::Double(-0.0)),
            (Bson::Double(f64::NAN), Bson::Double(f64::NAN)),
        ] {
            assert_eq!(
                Key(left.clone()),
                Key(right.clone()),
                "{left:?} and {right:?}"
            );
        }
    }
}
