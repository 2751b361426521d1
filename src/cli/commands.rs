//! One file per command: what it accepts, and a short `run` that wires the layers.

pub mod apply;
pub mod compose;
pub mod config;
pub mod doctor;
pub mod down;
pub mod drift;
pub mod error_logs;
pub mod exec;
pub mod history;
pub mod init;
pub mod logs;
pub mod mongo;
pub mod plan;
pub mod quickstart;
pub mod redis;
pub mod restart;
pub mod resume;
pub mod rollback;
pub mod run_script;
pub mod serve;
pub mod shell;
pub mod start;
pub mod status;
pub mod stop;
pub mod up;
pub mod user;
