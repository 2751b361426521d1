//! A command as it was asked for, and how its fields are read: typed, with the protocol's error
//! when a field has another type, and with an error for every field this server does not know,
//! because ignoring an option would give a wrong answer.
//! Must not know what the commands do.

use std::net::SocketAddr;

use bson::Bson;
use bson::Document;

use super::catalog::Namespace;
use super::failure::Code;
use super::failure::Failure;
use super::order;

/// Fields any command may have. They do not change what a single server answers, or are read by
/// the dispatch.
const COMMON_FIELDS: [&str; 15] = [
    "$db",
    "lsid",
    "txnNumber",
    "startTransaction",
    "autocommit",
    "readConcern",
    "writeConcern",
    "maxTimeMS",
    "comment",
    "$readPreference",
    "$clusterTime",
    "$audit",
    "apiVersion",
    "apiStrict",
    "apiDeprecationErrors",
];

/// MongoDB's limit on a database name, in bytes.
const LONGEST_DATABASE_NAME: usize = 63;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// The number of the connection, from 1.
    pub(super) connection: i32,
}

/// A command with its database.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) name: String,
    pub(super) database: String,
    pub(super) body: Document,
    pub(super) peer: Peer,
}

impl Request {
    /// Takes the command of an OP_MSG, which names its database itself.
    pub(super) fn new(body: Document, peer: Peer) -> Result<Self, Failure> {
        let database = match body.get("$db") {
            Some(Bson::String(database)) => database.clone(),
            _ => {
                return Err(Failure::new(
                    Code::Location40571,
                    "a request needs a `$db` argument",
                ));
            }
        };
        Self::with_database(body, database, peer)
    }

    /// Takes a command whose database is known from elsewhere.
    pub(super) fn with_database(
        body: Document,
        database: String,
        peer: Peer,
    ) -> Result<Self, Failure> {
        let is_valid = !database.is_empty()
            && database.len() <= LONGEST_DATABASE_NAME
            && !database.contains(['/', '\\', '.', ' ', '"', '$', '\0']);
        if !is_valid {
            let message = format!("invalid database name: '{database}'");
            return Err(Failure::new(Code::InvalidNamespace, message));
        }
        let name = body.keys().next().cloned().unwrap_or_default();
        Ok(Self {
            name,
            database,
            body,
            peer,
        })
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields {
            place: &self.name,
            document: &self.body,
        }
    }

    /// Refuses the command when it has a field besides its name, `known` and the common ones.
    pub(super) fn allow(&self, known: &[&str]) -> Result<(), Failure> {
        let rest = self.body.keys().skip(1);
        match rest.into_iter().find(|field| {
            !COMMON_FIELDS.contains(&field.as_str()) && !known.contains(&field.as_str())
        }) {
            None => Ok(()),
            Some(field) => Err(Failure::unsupported(&format!("{}.{field}", self.name))),
        }
    }

    /// The collection that the command's own field names.
    pub(super) fn namespace(&self) -> Result<Namespace, Failure> {
        self.namespace_in(&self.name)
    }

    /// The collection that `field` names.
    pub(super) fn namespace_in(&self, field: &str) -> Result<Namespace, Failure> {
        let namespace = Namespace::new(&self.database, self.fields().required_text(field)?);
        let name = &namespace.collection;
        let is_valid = !name.is_empty()
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains(['$', '\0']);
        if is_valid {
            Ok(namespace)
        } else {
            let message = format!("invalid collection name: '{namespace}'");
            Err(Failure::new(Code::InvalidNamespace, message))
        }
    }

    /// As [`Self::namespace`], for commands that change the collection.
    pub(super) fn writable_namespace(&self) -> Result<Namespace, Failure> {
        let namespace = self.namespace()?;
        let is_own = namespace.collection.starts_with("system.")
            || (namespace.database == "local" && namespace.collection.starts_with("replset."));
        if is_own {
            let message = format!("cannot write to the system collection '{namespace}'");
            return Err(Failure::new(Code::InvalidNamespace, message));
        }
        Ok(namespace)
    }

    /// The identity of the driver's session, when it uses one.
    pub(super) fn session(&self) -> Option<Vec<u8>> {
        match self.body.get("lsid")?.as_document()?.get("id")? {
            Bson::Binary(id) => Some(id.bytes.clone()),
            _ => None,
        }
    }

    /// The number of the session's transaction or retryable write.
    pub(super) fn transaction_number(&self) -> Option<i64> {
        match self.body.get("txnNumber") {
            Some(Bson::Int64(number)) => Some(*number),
            Some(Bson::Int32(number)) => Some(i64::from(*number)),
            _ => None,
        }
    }

    /// The command belongs to a transaction of several commands.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.body.get("autocommit") == Some(&Bson::Boolean(false))
    }
}

/// Typed access to the fields of a command or of a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    /// What errors call the document, such as `find` or `update.updates`.
    pub(super) place: &'a str,
    pub(super) document: &'a Document,
}

impl<'a> Fields<'a> {
    /// Refuses the document when it has a field besides `known`.
    pub(super) fn allow(&self, known: &[&str]) -> Result<(), Failure> {
        match self
            .document
            .keys()
            .find(|field| !known.contains(&field.as_str()))
        {
            None => Ok(()),
            Some(field) => Err(Failure::unsupported(&format!("{}.{field}", self.place))),
        }
    }

    /// A field's value; null counts as absent.
    pub(super) fn value(&self, field: &str) -> Option<&'a Bson> {
        self.document
            .get(field)
            .filter(|value| !matches!(value, Bson::Null))
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, Failure> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(field, other, "string")),
        }
    }

    pub(super) fn document(&self, field: &str) -> Result<Option<&'a Document>, Failure> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::Document(document)) => Ok(Some(document)),
            Some(other) => Err(self.wrong_type(field, other, "object")),
        }
    }

    pub(super) fn array(&self, field: &str) -> Result<Option<&'a [Bson]>, Failure> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::Array(values)) => Ok(Some(values)),
            Some(other) => Err(self.wrong_type(field, other, "array")),
        }
    }

    /// A flag; numbers count as flags, as they do in MongoDB.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, Failure> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::Boolean(flag)) => Ok(Some(*flag)),
            Some(Bson::Int32(number)) => Ok(Some(*number != 0)),
            Some(Bson::Int64(number)) => Ok(Some(*number != 0)),
            Some(Bson::Double(number)) => Ok(Some(*number != 0.0)),
            Some(other) => Err(self.wrong_type(field, other, "bool")),
        }
    }

    /// A whole number of any numeric type.
    pub(super) fn whole(&self, field: &str) -> Result<Option<i64>, Failure> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::Int32(number)) => Ok(Some(i64::from(*number))),
            Some(Bson::Int64(number)) => Ok(Some(*number)),
            Some(Bson::Double(number)) if number.fract() == 0.0 => Ok(Some(*number as i64)),
            Some(other) => Err(self.wrong_type(field, other, "long")),
        }
    }

    /// A number of things: whole and not negative.
    pub(super) fn amount(&self, field: &str) -> Result<Option<usize>, Failure> {
        self.whole(field)?
            .map(|number| {
                usize::try_from(number).map_err(|_| {
                    let message =
                        format!("BSON field '{}.{field}' must not be negative", self.place);
                    Failure::new(Code::BadValue, message)
                })
            })
            .transpose()
    }

    pub(super) fn required_text(&self, field: &str) -> Result<&'a str, Failure> {
        self.text(field)?.ok_or_else(|| self.missing(field))
    }

    pub(super) fn required_document(&self, field: &str) -> Result<&'a Document, Failure> {
        self.document(field)?.ok_or_else(|| self.missing(field))
    }

    /// An array with documents only.
    pub(super) fn required_documents(&self, field: &str) -> Result<Vec<&'a Document>, Failure> {
        self.array(field)?
            .ok_or_else(|| self.missing(field))?
            .iter()
            .map(|value| {
                value
                    .as_document()
                    .ok_or_else(|| self.wrong_type(field, value, "object"))
            })
            .collect()
    }

    pub(super) fn missing(&self, field: &str) -> Failure {
        let message = format!(
            "BSON field '{}.{field}' is missing but a required field",
            self.place
        );
        Failure::new(Code::Location40414, message)
    }

    pub(super) fn wrong_type(&self, field: &str, value: &Bson, expected: &str) -> Failure {
        let found = order::type_name(value);
        let message = format!(
            "BSON field '{}.{field}' is the wrong type '{found}', expected type '{expected}'",
            self.place
        );
        Failure::new(Code::TypeMismatch, message)
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn request(body: Document) -> Result<Request, Failure> {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Request::new(
            body,
            Peer {
                address,
                connection: 1,
            },
        )
    }

    #[test]
    fn a_command_names_its_database_and_collection() {
        let request = request(doc! {"find": "a.b", "$db": "shop"}).unwrap();
        assert_eq!(request.namespace().unwrap(), Namespace::new("shop", "a.b"));
    }

    #[test]
    fn bad_names_are_refused() {
        for (body, code) in [
            (doc! {"find": "a"}, Code::Location40571),
            (doc! {"find": "a", "$db": ""}, Code::InvalidNamespace),
            (doc! {"find": "a", "$db": "a.b"}, Code::InvalidNamespace),
            (doc! {"find": "", "$db": "a"}, Code::InvalidNamespace),
            (doc! {"find": "a$b", "$db": "a"}, Code::InvalidNamespace),
            (
                doc! {"find": "system.users", "$db": "a"},
                Code::InvalidNamespace,
            ),
            (doc! {"find": 1, "$db": "a"}, Code::TypeMismatch),
        ] {
            let name = body.to_string();
            let result = request(body).and_then(|request| request.writable_namespace());
            assert_eq!(result.unwrap_err().code, code, "{name}");
        }
    }

    #[test]
    fn unknown_and_wrongly_typed_fields_are_refused() {
        let request = request(doc! {"find": "a", "$db": "b", "lsid": {}, "limit": "x", "y": -1});
        let request = request.unwrap();
        assert_eq!(
            request.allow(&["limit"]).unwrap_err().code,
            Code::NotImplemented
        );
        assert_eq!(request.allow(&["limit", "y"]), Ok(()));
        assert_eq!(
            request.fields().whole("limit").unwrap_err().code,
            Code::TypeMismatch
        );
        assert_eq!(
            request.fields().amount("y").unwrap_err().code,
            Code::BadValue
        );
        assert_eq!(
            request.fields().required_text("z").unwrap_err().code,
            Code::Location40414
        );
    }
}
