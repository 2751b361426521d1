//! The bundled servers: small and honest, they speak the interfaces of the containers that the
//! program deploys, so that a machine without a registry can bring a whole deployment up. They say
//! what they are in their first log line and are never presented as Overleaf, MongoDB or Redis.
//!
//! Each runs alone in its container. Knows nothing of plans or of the user interface.

mod container_log;
pub mod forward;
pub mod git_bridge;
pub mod hang_up;
mod http;
pub mod mongo;
pub mod redis;
pub mod sharelatex;
pub mod tools;
