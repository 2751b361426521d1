//! Integration tests, one binary: a module per command or subject.
//!
//! What needs no engine runs anywhere. The modules below `docker` need a container engine; they
//! fail, not skip, where `TOOLKIT_TEST_DOCKER=1` is set and none answers.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests look at the world directly, and a panic is how they fail"
)]
#![expect(unreachable_pub, reason = "modules of one test binary share helpers")]

mod asked_once;
mod checks;
mod command_line;
mod completions;
mod compose_properties;
mod compose_rows;
mod conditions;
mod config;
mod convergence;
#[path = "../docker/mod.rs"]
mod docker;
mod docker_compose;
mod fillings;
mod flatten;
mod forwarders;
mod golden;
mod graph;
mod house;
mod images;
mod init;
mod journal;
mod layers;
mod lint;
mod logs;
mod metrics;
mod migrate;
mod networks;
mod people;
mod probe_tls;
mod rollback;
mod sandbox;
mod servers_git_bridge;
mod servers_log;
mod servers_mongo;
mod servers_redis;
mod servers_sharelatex;
mod shell_words;
mod smtp;
mod stand_ins;
mod status;
mod texlive;
mod unfinished;
mod upgrade;
mod volumes;
mod waiting;
