//! Who is connected and who listens to which channel. Must not know commands or the dataset.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::glob;
use super::resp::Reply;

/// Bytes of messages that may wait for one subscriber, as many as with Redis. One that falls
/// further behind is disconnected, so that a client that stops reading cannot fill the memory.
const WAITING_BYTES: usize = 32 * 1024 * 1024;

/// Where messages for a subscriber are put.
#[derive(Debug)]
struct Outbox {
    sender: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// Where a subscriber takes its messages from.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

fn mailbox() -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox {
        sender,
        waiting: Arc::clone(&waiting),
    };
    (outbox, Inbox { receiver, waiting })
}

impl Outbox {
    /// Puts a message in; false when there is no room or nobody to take it out.
    fn put(&self, message: &Bytes) -> bool {
        // Only the holder of the server's lock adds, so the sum cannot go past the limit.
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting.saturating_add(message.len()) > WAITING_BYTES {
            return false;
        }
        self.waiting.fetch_add(message.len(), Ordering::Relaxed);
        self.sender.send(message.clone()).is_ok()
    }
}

impl Inbox {
    /// Waits for a message; `None` once the subscriber has fallen behind and has to go.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let message = self.receiver.recv().await;
        self.taken(message)
    }

    /// A message that has arrived.
    pub(super) fn arrived(&mut self) -> Option<Bytes> {
        let message = self.receiver.try_recv().ok();
        self.taken(message)
    }

    fn taken(&self, message: Option<Bytes>) -> Option<Bytes> {
        message.inspect(|message| {
            self.waiting.fetch_sub(message.len(), Ordering::Relaxed);
        })
    }
}

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
    outbox: Option<Outbox>,
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
    pub(super) fn connect(&mut self, address: Option<SocketAddr>, now: i64) -> (u64, Inbox) {
        let (outbox, inbox) = mailbox();
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
                    .is_some_and(|outbox| outbox.put(&message));
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

    #[tokio::test]
    async fn a_subscriber_that_falls_behind_is_let_go() {
        const CHANNEL: Bytes = Bytes::from_static(b"channel");
        // Few large messages count as much as many small ones.
        for size in [100, 1024 * 1024] {
            let mut clients = Clients::default();
            let (id, mut inbox) = clients.connect(None, 0);
            clients.subscribe(Subscription::Channel, &CHANNEL, id);
            let message = Bytes::from(vec![b'x'; size]);
            let mut publish = || clients.publish(&CHANNEL, &message);

            assert_eq!(publish(), 1);
            let length = inbox.next().await.unwrap().len();
            let fitting = WAITING_BYTES / length;
            for _ in 0..fitting {
                assert_eq!(publish(), 1);
            }
            assert_eq!(publish(), 0);
            for _ in 0..fitting {
                assert!(inbox.arrived().is_some());
            }
            assert_eq!(inbox.arrived(), None);
            assert_eq!(inbox.next().await, None);
        }
    }
}
