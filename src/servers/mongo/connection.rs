//! One client: reads its messages, has them run and writes the replies, until it goes or the
//! server stops. Also the tiny client of the health check. Must not know what commands do.
//!
//! Each connection is a task of its own and commands run on threads for blocking work, so a client
//! that sends nothing, half a message or takes no reply holds up nobody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bson::Document;
use bson::doc;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::watch;

use super::command::Engine;
use super::command::Outcome;
use super::failure::Code;
use super::failure::Failure;
use super::request::Peer;
use super::request::Request;
use super::wire;
use super::wire::Message;
use super::wire::WireError;

/// How long the health check waits for its answer.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// What connections share.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) engine: Arc<Mutex<Engine>>,
    /// The number of open connections.
    pub(super) connections: Arc<AtomicUsize>,
    /// Takes a word when a command has ended the server.
    pub(super) end: mpsc::Sender<()>,
}

/// Counts a connection as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one client until it goes, breaks the protocol, or the server stops.
pub(super) async fn serve(
    stream: TcpStream,
    peer: Peer,
    server: Server,
    mut stopped: watch::Receiver<bool>,
) {
    let _counted = Counted::new(&server.connections);
    #[expect(
        clippy::let_underscore_must_use,
        reason = "without it small replies may wait for the network, but arrive in any case"
    )]
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    let mut number = 0_i32;
    loop {
        let message = tokio::select! {
            biased;
            _ = stopped.wait_for(|is_stopped| *is_stopped) => return,
            message = wire::read(&mut stream) => message,
        };
        // A broken or lying peer loses its connection; there is no one to tell.
        let Ok(Some(message)) = message else { return };
        number = number.wrapping_add(1);
        let Some(bytes) = answer(message, peer, &server, number).await else {
            return;
        };
        if stream.get_mut().write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The bytes to send back, none when no reply is wanted; `None` when the connection has to close.
async fn answer(message: Message, peer: Peer, server: &Server, number: i32) -> Option<Vec<u8>> {
    match message {
        Message::Command {
            request,
            body,
            is_reply_wanted,
        } => {
            let reply = match Request::new(body, peer) {
                Ok(request) => run(request, server).await?,
                Err(failure) => failure.reply(),
            };
            if !is_reply_wanted {
                return Some(Vec::new());
            }
            let encode = |reply: &Document| wire::command(number, request, reply);
            match encode(&reply) {
                Err(WireError::Length(_)) => {
                    let message = "the reply is longer than a message may be";
                    encode(&Failure::new(Code::BSONObjectTooLarge, message).reply()).ok()
                }
                encoded => encoded.ok(),
            }
        }
        Message::Query {
            request,
            namespace,
            body,
        } => {
            let name = body.keys().next().cloned().unwrap_or_default();
            let is_hello = ["hello", "isMaster", "ismaster"].contains(&name.as_str());
            let reply = match namespace.strip_suffix(".$cmd") {
                Some(database) if is_hello => {
                    match Request::with_database(body, database.to_owned(), peer) {
                        Ok(request) => run(request, server).await?,
                        Err(failure) => failure.reply(),
                    }
                }
                _ => {
                    let message = format!("unsupported OP_QUERY command: {name}");
                    Failure::new(Code::UnsupportedOpQueryCommand, message).reply()
                }
            };
            wire::query_reply(number, request, &reply).ok()
        }
    }
}

/// Runs a command; `None` when the connection has to close without a reply.
async fn run(request: Request, server: &Server) -> Option<Document> {
    let engine = Arc::clone(&server.engine);
    let outcome = tokio::task::spawn_blocking(move || match engine.lock() {
        Ok(mut engine) => engine.run(&request),
        Err(_poisoned) => Outcome {
            reply: None,
            is_last: true,
        },
    })
    .await
    .unwrap_or(Outcome {
        reply: None,
        is_last: true,
    });
    if outcome.is_last {
        #[expect(
            clippy::let_underscore_must_use,
            reason = "when the channel is full or closed, the server has been told already"
        )]
        let _ = server.end.try_send(());
    }
    outcome.reply
}

/// True when a server at the address answers `ping`. Takes no longer than five seconds.
pub async fn is_answering(address: SocketAddr) -> bool {
    let probe = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let ping = wire::command(1, 0, &doc! {"ping": 1, "$db": "admin"}).ok()?;
        stream.write_all(&ping).await.ok()?;
        match wire::read(&mut stream).await.ok()?? {
            Message::Command { body, .. } => Some(body.get_f64("ok").is_ok_and(|ok| ok == 1.0)),
            Message::Query { .. } => None,
        }
    };
    tokio::time::timeout(PROBE_LIMIT, probe)
        .await
        .ok()
        .flatten()
        .unwrap_or(false)
}
