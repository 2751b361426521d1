//! Exit codes. Documented in the README, never reused.

/// Done, or nothing to do.
pub const DONE: u8 = 0;
/// Failed; what is left standing was printed.
pub const FAILED: u8 = 1;
/// Usage, or an answer is needed and no one can be asked.
pub const USAGE: u8 = 2;
/// Configuration invalid.
pub const CONFIGURATION: u8 = 3;
/// Differences found.
pub const DIFFERENCES: u8 = 4;
/// The world changed since the plan was made.
pub const CHANGED: u8 = 5;
/// A check failed.
pub const CHECK: u8 = 6;
/// Another run holds the lock.
pub const LOCKED: u8 = 7;
/// The engine, or a store, cannot be reached.
pub const UNREACHABLE: u8 = 8;
/// Not ready within the deadline.
pub const NOT_READY: u8 = 9;
/// Failed and not rolled back: a person is needed.
pub const NOT_ROLLED_BACK: u8 = 11;
/// Verification, signature or integrity failure.
pub const INTEGRITY: u8 = 12;
/// Upgrade path refused.
pub const UPGRADE_REFUSED: u8 = 14;
/// An unfinished operation was found: `resume` or `rollback` first.
pub const UNFINISHED: u8 = 15;
/// A program in a container that cannot be run, as shells say it.
pub const NOT_RUN_INSIDE: u8 = 126;
/// A program that a container does not have, as shells say it.
pub const NOT_FOUND_INSIDE: u8 = 127;
/// A bug in the toolkit.
pub const BUG: u8 = 70;
