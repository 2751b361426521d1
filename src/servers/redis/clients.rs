//! Who is connected and who listens to which channel. Must not know commands or the dataset.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::glob;
use super::resp::Reply;

/// Messages that may wait for one subscriber. One that falls further behind is disconnected, so
/// that a client that stops reading cannot fill the memory.
const WAITING_MESSAGES: usize = 16_384;

/// What `CLIENT LIST` tells of a client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: Option<SocketAddr>,
    pub(super) name: Bytes,
    pub(super) library_name: Bytes,
    pub(super) library_version: Bytes,
    pub(super) database: usize,
    pub(super) command: &'static str,
    /// When it connected, in milliseconds since 1970.
    pub(super) since: i64,
    /// Gone once the client has fallen behind; its connection then ends.
    outbox: Option<mpsc::Sender<Bytes>>,
}

/// How a subscription names channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subscription {
    Channel,
    Pattern,
}

/// All clients and their subscriptions.
#[derive(Debug, Default)]
pub(super) struct Clients {
    latest_id: u64,
    clients: BTreeMap<u64, Client>,
    channels: BTreeMap<Bytes, BTreeSet<u64>>,
    patterns: BTreeMap<Bytes, BTreeSet<u64>>,
}

impl Clients {
    /// Takes a new client; its number, and where messages for it arrive.
    pub(super) fn connect(
        &mut self,
        address: Option<SocketAddr>,
        now: i64,
    ) -> (u64, mpsc::Receiver<Bytes>) {
        let (outbox, inbox) = mpsc::channel(WAITING_MESSAGES);
        self.latest_id += 1;
        let client = Client {
            address,
            name: Bytes::new(),
            library_name: Bytes::new(),
            library_version: Bytes::new(),
            database: 0,
            command: "NULL",
            since: now,
            outbox: Some(outbox),
        };
        self.clients.insert(self.latest_id, client);
        (self.latest_id, inbox)
    }

    /// Forgets a client that has no subscriptions left.
    pub(super) fn disconnect(&mut self, id: u64) {
        self.clients.remove(&id);
    }

    /// How many clients have ever connected.
    pub(super) fn connected_ever(&self) -> u64 {
        self.latest_id
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Client)> {
        self.clients.iter().map(|(id, client)| (*id, client))
    }

    pub(super) fn client(&self, id: u64) -> Option<&Client> {
        self.clients.get(&id)
    }

    pub(super) fn client_mut(&mut self, id: u64) -> Option<&mut Client> {
        self.clients.get_mut(&id)
    }

    fn listeners(&mut self, kind: Subscription) -> &mut BTreeMap<Bytes, BTreeSet<u64>> {
        match kind {
            Subscription::Channel => &mut self.channels,
            Subscription::Pattern => &mut self.patterns,
        }
    }

    pub(super) fn subscribe(&mut self, kind: Subscription, name: &Bytes, id: u64) {
        self.listeners(kind)
            .entry(name.clone())
            .or_default()
            .insert(id);
    }

    pub(super) fn unsubscribe(&mut self, kind: Subscription, name: &Bytes, id: u64) {
        let listeners = self.listeners(kind);
        if let Some(ids) = listeners.get_mut(name) {
            ids.remove(&id);
            if ids.is_empty() {
                listeners.remove(name);
            }
        }
    }

    /// Sends a message to everyone who listens; how many times it was sent.
    pub(super) fn publish(&mut self, channel: &Bytes, message: &Bytes) -> usize {
        let bulk = |bytes: &Bytes| Reply::Bulk(bytes.clone());
        let mut deliveries = Vec::new();
        if let Some(ids) = self.channels.get(channel) {
            let reply = Reply::Array(vec![Reply::text("message"), bulk(channel), bulk(message)]);
            deliveries.push((encoded(&reply), ids));
        }
        for (pattern, ids) in &self.patterns {
            if glob::is_match(pattern, channel) {
                let reply = Reply::Array(vec![
                    Reply::text("pmessage"),
                    bulk(pattern),
                    bulk(channel),
                    bulk(message),
                ]);
                deliveries.push((encoded(&reply), ids));
            }
        }
        let mut count = 0;
        for (message, ids) in deliveries {
            for id in ids {
                let Some(client) = self.clients.get_mut(id) else {
                    continue;
                };
                let is_sent = client
                    .outbox
                    .as_ref()
                    .is_some_and(|outbox| outbox.try_send(message.clone()).is_ok());
                if is_sent {
                    count += 1;
                } else {
                    client.outbox = None;
                }
            }
        }
        count
    }
}

fn encoded(reply: &Reply) -> Bytes {
    let mut output = Vec::new();
    reply.encode(&mut output);
    Bytes::from(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_that_falls_behind_is_let_go() {
        const CHANNEL: Bytes = Bytes::from_static(b"channel");
        let mut clients = Clients::default();
        let (id, mut inbox) = clients.connect(None, 0);
        clients.subscribe(Subscription::Channel, &CHANNEL, id);
        for _ in 0..WAITING_MESSAGES {
            assert_eq!(clients.publish(&CHANNEL, &CHANNEL), 1);
        }
        assert_eq!(clients.publish(&CHANNEL, &CHANNEL), 0);
        for _ in 0..WAITING_MESSAGES {
            inbox.try_recv().unwrap();
        }
        assert_eq!(
            inbox.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        );
    }
}
