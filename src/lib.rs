//! `toolkit` brings up and looks after a self-hosted Overleaf.
//!
//! This page is the codemap, in the order in which data flows. Each module says what it is for and
//! what it must not know; `tests/it/layers.rs` holds the table of who may use whom.
//!
//! # Glossary
//!
//! | word | meaning |
//! | --- | --- |
//! | Settings | complete typed configuration after layering |
//! | Setting, Variable | a key of overleaf.rc, a key of variables.env |
//! | Release | one Overleaf version with what it needs |
//! | Edition | Community Edition, Server Pro, or CEP (the community's extended edition) |
//! | Image reference | registry/name:tag or @digest; not the same thing as the Release |
//! | Project | a Compose project: services, networks, volumes |
//! | Deployment | desired state |
//! | Observed | snapshot of what exists |
//! | Plan, Step, Cause | ordered changes; one change; why it is needed |
//! | Obstacle | what stands in the way of a plan |
//! | Engine | the container engine in our verbs |
//! | Host | files, processes, sockets of one machine |
//! | Event | a fact reported while working |
//! | Instance | one installation: a root folder with config and data |

pub mod compose;
pub mod deployment;
pub mod interpolation;
pub mod labels;
pub mod release;
pub mod secret;
pub mod servers;
pub mod settings;
