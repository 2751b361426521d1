//! The way to a port of a container: its address where this machine reaches it, else a port of this
//! machine that leads through the engine.
//!
//! Such a port is open on 127.0.0.1 as long as the question lasts. Whoever can log in to this machine
//! could use it meanwhile, as they could use the container's address where that is reached.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpListener, TcpStream};

use crate::engine::ByteStream;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::Reach;
use crate::engine::inside::Inside;
use crate::observed::Container;

/// How long a first attempt at an address may take, where nobody knows whether it can be reached.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Does something with the address of a container's port.
///
/// # Errors
/// The engine lets nothing through; what `work` says then means nothing.
pub async fn to<E: Engine, T>(
    engine: &E,
    container: &Container,
    port: u16,
    work: impl AsyncFnOnce(SocketAddr) -> T,
) -> Result<T, EngineError> {
    let direct = container
        .address()
        .map(|address| SocketAddr::new(address, port));
    let direct = match engine.reaches_addresses() {
        Reach::Direct => direct,
        Reach::Forwarded => None,
        Reach::Unknown => match direct {
            Some(address) if is_reached(address).await => direct,
            _ => None,
        },
    };
    match direct {
        Some(address) => Ok(work(address).await),
        None => through(engine, &container.id, port, work).await,
    }
}

/// Whether packets get there; a refusal is an answer too.
async fn is_reached(address: SocketAddr) -> bool {
    match tokio::time::timeout(ATTEMPT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

/// Does something with an address that leads to another server, as the container reaches that.
///
/// # Errors
/// The engine lets nothing through; what `work` says then means nothing.
pub async fn from_within<E: Inside, T>(
    engine: &E,
    container: &str,
    host: &str,
    port: u16,
    work: impl AsyncFnOnce(SocketAddr) -> T,
) -> Result<T, EngineError> {
    let doing = format!("reach `{host}:{port}` from container `{container}`");
    let open = async || engine.open_stream_from(container, host, port).await;
    carried(doing, open, work).await
}

async fn through<E: Engine, T>(
    engine: &E,
    container: &str,
    port: u16,
    work: impl AsyncFnOnce(SocketAddr) -> T,
) -> Result<T, EngineError> {
    let doing = format!("reach port {port} in container `{container}`");
    let open = async || engine.open_stream(container, port).await;
    carried(doing, open, work).await
}

/// Does something with a port of this machine, each connection to which is carried on by a new one.
async fn carried<T>(
    doing: String,
    open: impl AsyncFn() -> Result<ByteStream, EngineError>,
    work: impl AsyncFnOnce(SocketAddr) -> T,
) -> Result<T, EngineError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let opened = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = opened.map_err(|error| EngineError::Broken {
        doing,
        cause: error.to_string(),
    })?;
    let refusal = Mutex::new(None);
    let carry = async |mut socket: TcpStream| match open().await {
        Ok(mut stream) => {
            // How a connection ends is the business of the two who talk.
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut stream).await;
        }
        Err(error) => {
            *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    };
    let serve = async {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                // A connection that is gone before it is accepted asks nothing.
                Ok((socket, _)) = listener.accept() => connections.push(carry(socket)),
                Some(()) = connections.next() => {}
            }
        }
    };
    let answer = tokio::select! {
        answer = work(address) => answer,
        () = serve => std::future::pending().await,
    };
    match refusal.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(answer),
    }
}
