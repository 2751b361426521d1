//! Tests against a real container engine. Each makes names of its own and removes what it made,
//! even when it fails. Nothing is pulled, pruned, or touched that a test did not make.

mod anonymous;
mod attached;
mod bad_input;
mod calls;
mod checks;
mod circle;
mod contract;
mod crash;
mod docker_compose;
mod drift;
mod faults;
mod history;
mod images;
mod inside;
mod instance;
mod kill;
mod logs;
mod networks;
mod old_scripts;
mod overrides;
mod people;
mod private_engine;
mod profiles;
mod proxies;
mod pulls;
mod raw;
mod ready;
mod restart;
mod sharing;
mod status;
mod takeover;
mod terminal;
mod two;
mod upgrade;

pub use instance::{http, signal};
