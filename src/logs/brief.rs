//! The one line that most records are for people, without making anything of it that is not shown:
//! what it cannot tell at a look is left to [`super::entry::details`], which tells the same.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::entry::{self, OWN_FIELDS};

/// More fields than this are left to `details`, which finds names faster.
const MOST_FIELDS: usize = 64;

/// A record of one line.
#[derive(Debug, Default)]
pub struct Brief<'a> {
    /// What is said.
    pub message: Cow<'a, str>,
    /// The simple fields, in their order.
    pub fields: Vec<(Cow<'a, str>, Simple<'a>)>,
}

/// The value of a field.
#[derive(Debug)]
pub enum Simple<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number.
    Number(Number),
    /// True or false.
    Truth(bool),
    /// Something else, which is not shown.
    Other,
}

/// Takes a record apart that is one line and names no error.
#[must_use]
pub fn brief(line: &str) -> Option<Brief<'_>> {
    if line.starts_with('{') {
        return serde_json::from_str(line).ok();
    }
    let at = entry::head(line.as_bytes()).message_at;
    Some(Brief {
        message: Cow::Borrowed(line.get(at..).unwrap_or(line)),
        fields: Vec::new(),
    })
}

/// A text that is borrowed where nothing in it is escaped.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Texts)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Simple<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Simple<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Simple<'de>, E> {
                Ok(Simple::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Simple<'de>, E> {
                Ok(Simple::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Simple<'de>, E> {
                Ok(Simple::Number(number.into()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Simple<'de>, E> {
                Ok(Simple::Number(number.into()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Simple<'de>, E> {
                Ok(Number::from_f64(number).map_or(Simple::Other, Simple::Number))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Simple<'de>, E> {
                Ok(Simple::Truth(truth))
            }
            fn visit_unit<E>(self) -> Result<Simple<'de>, E> {
                Ok(Simple::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Simple<'de>, A::Error> {
                // Not passed over, so that what is no JSON is found.
                while items.next_element::<Simple<'_>>()?.is_some() {}
                Ok(Simple::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Simple<'de>, A::Error> {
                while fields.next_entry::<Text<'_>, Simple<'_>>()?.is_some() {}
                Ok(Simple::Other)
            }
        }
        deserializer.deserialize_any(Values)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Brief<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Briefs;
        impl<'de> Visitor<'de> for Briefs {
            type Value = Brief<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a simple record")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Brief<'de>, A::Error> {
                let mut fields: Vec<(Cow<'de, str>, Simple<'de>)> = Vec::with_capacity(16);
                while let Some((Text(name), value)) = all.next_entry::<Text<'_>, Simple<'_>>()? {
                    if matches!(&*name, "err" | "error" | "t" | "s") || fields.len() > MOST_FIELDS {
                        return Err(A::Error::custom("not simple"));
                    }
                    // Of a name that comes again, the last value counts at the first place.
                    match fields.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => *known = value,
                        None => fields.push((name, value)),
                    }
                }
                simple(fields).ok_or_else(|| A::Error::custom("not simple"))
            }
        }
        deserializer.deserialize_map(Briefs)
    }
}

/// As `details` tells messages from fields.
fn simple<'a>(mut fields: Vec<(Cow<'a, str>, Simple<'a>)>) -> Option<Brief<'a>> {
    let mut text = |name: &str| match fields.iter_mut().find(|(found, _)| found == name) {
        Some((_, Simple::Text(text))) => Some(std::mem::take(text)),
        // A number says its digits, null nothing.
        Some(_) => None,
        None => Some(Cow::Borrowed("")),
    };
    let (said, other) = (text("msg")?, text("message")?);
    let message = if said.is_empty() { other } else { said };
    let has_message = |(name, _): &(Cow<'_, str>, _)| matches!(&**name, "msg" | "message");
    if !fields.iter().any(has_message) {
        return None;
    }
    fields.retain(|(name, value)| {
        !matches!(value, Simple::Other) && !OWN_FIELDS.contains(&name.as_ref())
    });
    Some(Brief { message, fields })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The value as `details` has it; `None` for what is not simple.
    fn value(simple: &Simple<'_>) -> Option<Value> {
        Some(match simple {
            Simple::Text(text) => Value::from(text.as_ref()),
            Simple::Number(number) => Value::from(number.clone()),
            Simple::Truth(truth) => Value::from(*truth),
            Simple::Other => return None,
        })
    }

    #[test]
    fn what_is_told_at_a_look_is_what_details_tell() {
        let deep = format!(
            "{{\"msg\":\"m\",\"a\":{}1{}}}",
            "[".repeat(130),
            "]".repeat(130)
        );
        let many: String = (0..70).map(|number| format!(",\"f{number}\":1")).collect();
        let many = format!("{{\"msg\":\"m\"{many}}}");
        for (line, is_simple) in [
            (r#"{"name":"web","level":30,"msg":"m","v":0}"#, true),
            (
                r#"{"msg":"a\n\u00e9","b":1,"c":-1.0,"d":true,"e":null,"f":{"g":[1]},"é":"\t"}"#,
                true,
            ),
            (
                r#"{"msg":"","message":"m","a":1e3,"b":123456789012345678901}"#,
                true,
            ),
            (
                r#"{"msg":"a","b":1,"c":2,"msg":"d","b":{},"c":"x","b":3}"#,
                true,
            ),
            (r#"{"msg":"m" , "a" : [ ] }  "#, true),
            (r#"{"msg":null,"a":1}"#, false),
            (r#"{"msg":"m","message":1}"#, false),
            (r#"{"msg":"m","err":{"message":"no"}}"#, false),
            (r#"{"msg":"m","error":"no"}"#, false),
            (r#"{"t":{"$date":"x"},"s":"I","msg":"m"}"#, false),
            (r#"{"a":1}"#, false),
            // No JSON, though only where nobody looks.
            (r#"{"msg":"m","a":{"b":"\ud800"}}"#, false),
            (r#"{"msg":"m","a":[1e999]}"#, false),
            (r#"{"msg":"m"} x"#, false),
            (r#"{"msg":"m""#, false),
            (&deep, false),
            (&many, false),
            ("1:M 21 Nov 2026 18:41:40.500 * text", true),
            ("plain", true),
            ("", true),
        ] {
            let found = brief(line);
            assert_eq!(found.is_some(), is_simple, "{line}");
            let Some(found) = found else { continue };
            let details = entry::details(line.as_bytes());
            assert_eq!(found.message, details.message, "{line}");
            assert_eq!((details.error, details.more.len()), (None, 0), "{line}");
            let fields: Vec<(String, Option<Value>)> = found
                .fields
                .iter()
                .map(|(name, simple)| (name.to_string(), value(simple)))
                .collect();
            let is_nested =
                |value: &Value| value.is_null() || value.is_object() || value.is_array();
            let of_details = details.fields.into_iter();
            let expected: Vec<(String, Option<Value>)> = of_details
                .filter(|(_, value)| !is_nested(value))
                .map(|(name, value)| (name, Some(value)))
                .collect();
            assert_eq!(fields, expected, "{line}");
        }
    }
}
