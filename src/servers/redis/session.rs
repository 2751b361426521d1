//! What the server remembers of one connection. Must not know sockets.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::clients::Inbox;
use super::database::DatabaseIndex;

/// Requests between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) requests: Vec<Vec<Bytes>>,
    /// Whether one was refused, so that `EXEC` refuses all.
    pub(super) is_broken: bool,
}

/// A key of `WATCH`, and how often it had changed by then.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) database: DatabaseIndex,
    pub(super) key: Bytes,
    pub(super) revision: u64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) selected: DatabaseIndex,
    pub(super) is_authenticated: bool,
    pub(super) transaction: Option<Transaction>,
    pub(super) watches: Vec<Watch>,
    pub(super) channels: BTreeSet<Bytes>,
    pub(super) patterns: BTreeSet<Bytes>,
    /// Whether the connection ends after the reply.
    pub(super) is_closing: bool,
    inbox: Inbox,
}

impl Session {
    pub(super) fn new(id: u64, is_authenticated: bool, inbox: Inbox) -> Self {
        Self {
            id,
            selected: DatabaseIndex::default(),
            is_authenticated,
            transaction: None,
            watches: Vec::new(),
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            is_closing: false,
            inbox,
        }
    }

    /// How many channels and patterns the client listens to.
    pub(super) fn subscription_count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Waits for a message; `None` once the client has fallen behind and has to go.
    pub(super) async fn message(&mut self) -> Option<Bytes> {
        self.inbox.next().await
    }

    /// Appends the messages that have arrived. Called under the server's lock before a request is
    /// answered, so that messages and replies keep their order.
    pub(super) fn take_messages(&mut self, output: &mut Vec<u8>) {
        while let Some(message) = self.inbox.arrived() {
            output.extend_from_slice(&message);
        }
    }
}
