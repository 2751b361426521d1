//! Connections to ports inside containers, for engines whose containers have no address that this
//! machine reaches: Docker Desktop, a rootless engine, an engine on another machine.

use tokio::io::{AsyncRead, AsyncWrite};

/// Whether this machine reaches the addresses of an engine's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It does.
    Direct,
    /// It does not, or might reach a container of another engine at the same address.
    Forwarded,
    /// It has to be tried.
    Unknown,
}

/// Bytes to and from a port in a container.
pub type ByteStream =
    tokio::io::Join<Box<dyn AsyncRead + Send + Unpin>, std::pin::Pin<Box<dyn AsyncWrite + Send>>>;
