//! Reading a dotted path such as `members.host` in a document, looking into arrays on the way.
//! Knows documents only; must not know what the values are compared with.

use bson::Bson;
use bson::Document;

/// What a path leads to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reached<'a> {
    /// Every value at the end of the path, in document order; arrays are not taken apart.
    pub(super) values: Vec<&'a Bson>,
    /// At least one document on the way lacks the rest of the path.
    pub(super) is_missing: bool,
}

impl<'a> Reached<'a> {
    /// The values, each followed by its elements when it is an array.
    pub(super) fn expanded(&self) -> impl Iterator<Item = &'a Bson> {
        self.values.iter().flat_map(|value| {
            let elements = match value {
                Bson::Array(elements) => elements.as_slice(),
                _ => &[],
            };
            std::iter::once(*value).chain(elements)
        })
    }
}

/// Follows `path` from the top of `document`.
pub(super) fn follow<'a>(document: &'a Document, path: &str) -> Reached<'a> {
    let mut reached = Reached::default();
    follow_document(document, path, &mut reached);
    reached
}

fn follow_document<'a>(document: &'a Document, path: &str, reached: &mut Reached<'a>) {
    let (head, rest) = split(path);
    match document.get(head) {
        None => reached.is_missing = true,
        Some(value) => follow_value(value, rest, reached),
    }
}

fn follow_value<'a>(value: &'a Bson, rest: Option<&str>, reached: &mut Reached<'a>) {
    let Some(rest) = rest else {
        reached.values.push(value);
        return;
    };
    match value {
        Bson::Document(document) => follow_document(document, rest, reached),
        Bson::Array(elements) => {
            let (head, deeper) = split(rest);
            let indexed = head
                .parse()
                .ok()
                .and_then(|index: usize| elements.get(index));
            if let Some(element) = indexed {
                follow_value(element, deeper, reached);
            }
            let was_missing = reached.is_missing;
            for element in elements {
                if let Bson::Document(document) = element {
                    follow_document(document, rest, reached);
                }
            }
            // The number is a position here, so documents without such a field lack nothing.
            if indexed.is_some() {
                reached.is_missing = was_missing;
            }
        }
        _ => reached.is_missing = true,
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn paths_lead_through_documents_and_arrays() {
        let document = doc! {
            "a": 1,
            "b": {"c": {"d": 2}},
            "list": [{"x": 3}, {"x": 4}, {"y": 5}],
            "numbers": [7, 8],
        };
        let cases: [(&str, &[i32], bool); 9] = [
            ("a", &[1], false),
            ("b.c.d", &[2], false),
            ("b.c.e", &[], true),
            ("a.b", &[], true),
            ("list.x", &[3, 4], true),
            ("list.0.x", &[3], false),
            ("numbers.1", &[8], false),
            ("numbers.5", &[], false),
            ("none", &[], true),
        ];
        for (path, values, is_missing) in cases {
            let values: Vec<Bson> = values.iter().map(|value| Bson::Int32(*value)).collect();
            let expected = Reached {
                values: values.iter().collect(),
                is_missing,
            };
            assert_eq!(follow(&document, path), expected, "{path}");
        }
    }
}
