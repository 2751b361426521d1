//! One connection: reads requests, writes replies and messages. Must not know what they mean.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::sync::watch;

use super::engine::Engine;
use super::journal::now_milliseconds;
use super::resp::{Limits, Reply, RequestParser};
use super::session::Session;

/// Bytes asked for at a time.
const READ_SIZE: usize = 16 * 1024;

/// Bytes of replies that are written before more requests are answered.
const WRITE_SIZE: usize = 64 * 1024;

/// The engine, shared by all connections.
pub(super) struct Server {
    engine: Mutex<Engine>,
}

impl Server {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine: Mutex::new(engine),
        }
    }

    /// The engine, for as long as one request takes. Never held while waiting.
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Talks with one client until it leaves or the server stops.
pub(super) async fn talk(
    server: &Server,
    socket: TcpStream,
    address: SocketAddr,
    stopping: watch::Receiver<bool>,
) {
    let mut session = server.engine().connect(Some(address), now_milliseconds());
    // However a connection ends, all that is left to do is to forget the client.
    answer(server, socket, &mut session, stopping).await.ok();
    server.engine().disconnect(&mut session);
}

async fn answer(
    server: &Server,
    mut socket: TcpStream,
    session: &mut Session,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut reader, mut writer) = socket.split();
    let mut parser = RequestParser::default();
    let mut output = Vec::new();
    loop {
        parser.buffer().reserve(READ_SIZE);
        tokio::select! {
            () = stopped(&mut stopping) => return Ok(()),
            count = reader.read_buf(parser.buffer()) => {
                if count? == 0 {
                    return Ok(());
                }
            }
            message = session.message() => match message {
                Some(message) => {
                    output.extend_from_slice(&message);
                    session.take_messages(&mut output);
                }
                None => return Ok(()),
            },
        }
        while let Some(request) = next_request(&mut parser, session, &mut output) {
            {
                let mut engine = server.engine();
                session.take_messages(&mut output);
                let reply = engine.execute(session, request, now_milliseconds());
                reply.encode(&mut output);
            }
            if session.is_closing {
                break;
            }
            if output.len() >= WRITE_SIZE {
                write(&mut writer, &mut output).await?;
            }
        }
        write(&mut writer, &mut output).await?;
        if session.is_closing {
            return writer.shutdown().await;
        }
    }
}

/// The next request, if it is complete. One that breaks the protocol is answered, and the
/// connection ends: nobody knows where the request after it begins.
fn next_request(
    parser: &mut RequestParser,
    session: &mut Session,
    output: &mut Vec<u8>,
) -> Option<Vec<bytes::Bytes>> {
    let limits = if session.is_authenticated {
        Limits::FULL
    } else {
        Limits::UNAUTHENTICATED
    };
    match parser.next(limits) {
        Ok(request) => request,
        Err(error) => {
            Reply::Error(format!("ERR Protocol error: {error}")).encode(output);
            session.is_closing = true;
            None
        }
    }
}

async fn write(writer: &mut WriteHalf<'_>, output: &mut Vec<u8>) -> io::Result<()> {
    if !output.is_empty() {
        writer.write_all(output).await?;
        output.clear();
        // One large reply must not hold its memory for as long as the client stays.
        output.shrink_to(WRITE_SIZE);
    }
    Ok(())
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same as one that says so.
    stopping.wait_for(|is_stopping| *is_stopping).await.ok();
}
