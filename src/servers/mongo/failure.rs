//! What a command answers when it cannot do what was asked: a code with its official name and a
//! text. Knows the protocol's codes; must not know how replies travel or what the commands do.

use bson::Document;
use bson::doc;

/// The error codes the server uses, with the numbers drivers act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Code {
    InternalError = 1,
    BadValue = 2,
    FailedToParse = 9,
    Unauthorized = 13,
    TypeMismatch = 14,
    IllegalOperation = 20,
    InvalidLength = 21,
    AlreadyInitialized = 23,
    NamespaceNotFound = 26,
    IndexNotFound = 27,
    PathNotViable = 28,
    ConflictingUpdateOperators = 40,
    CursorNotFound = 43,
    NamespaceExists = 48,
    InvalidIdField = 53,
    CommandNotFound = 59,
    ImmutableField = 66,
    InvalidOptions = 72,
    InvalidNamespace = 73,
    NoReplicationEnabled = 76,
    IndexOptionsConflict = 85,
    IndexKeySpecsConflict = 86,
    ShutdownInProgress = 91,
    InvalidReplicaSetConfig = 93,
    NotYetInitialized = 94,
    UnsatisfiableWriteConcern = 100,
    NewReplicaSetConfigurationIncompatible = 103,
    WriteConflict = 112,
    TransactionTooOld = 225,
    NotImplemented = 238,
    NoSuchTransaction = 251,
    OperationNotSupportedInTransaction = 263,
    UnsupportedOpQueryCommand = 352,
    NotWritablePrimary = 10107,
    BSONObjectTooLarge = 10334,
    DuplicateKey = 11000,
    NotPrimaryNoSecondaryOk = 13435,
    NotPrimaryOrSecondary = 13436,
    /// A pipeline stage nobody knows.
    Location40324 = 40324,
    /// A required field is missing.
    Location40414 = 40414,
    /// A message without `$db`.
    Location40571 = 40571,
    /// A feature compatibility version that is not a version.
    Location4926900 = 4_926_900,
    /// A feature compatibility version set without `confirm: true`.
    Location7369100 = 7_369_100,
}

impl Code {
    /// The number on the wire.
    pub(super) fn number(self) -> i32 {
        self as i32
    }

    /// The name on the wire: the variants are spelled as the protocol spells them.
    pub(super) fn name(self) -> String {
        format!("{self:?}")
    }
}

/// A refused or failed command.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: String,
    /// The whole transaction may succeed when run again from its beginning.
    pub(super) is_transient: bool,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            is_transient: false,
        }
    }

    pub(super) fn transient(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            is_transient: true,
        }
    }

    /// Something real MongoDB does and this server does not.
    pub(super) fn unsupported(what: &str) -> Self {
        let message = format!("`{what}` is not supported by the toolkit's bundled server");
        Self::new(Code::NotImplemented, message)
    }

    /// The reply document: `{ok: 0, errmsg, code, codeName}`.
    pub(super) fn reply(&self) -> Document {
        let mut reply = doc! {
            "ok": 0.0,
            "errmsg": &self.message,
            "code": self.code.number(),
            "codeName": self.code.name(),
        };
        if self.is_transient {
            reply.insert("errorLabels", vec!["TransientTransactionError"]);
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_carries_number_name_and_text() {
        let reply = Failure::new(Code::NotYetInitialized, "nothing yet").reply();
        assert_eq!(
            reply,
            doc! {"ok": 0.0, "errmsg": "nothing yet", "code": 94, "codeName": "NotYetInitialized"}
        );
    }

    #[test]
    fn a_transient_failure_carries_the_label() {
        let reply = Failure::transient(Code::WriteConflict, "again").reply();
        assert_eq!(
            reply.get_array("errorLabels").unwrap(),
            &vec![bson::Bson::from("TransientTransactionError")]
        );
    }
}
