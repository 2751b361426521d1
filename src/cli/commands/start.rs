//! `toolkit start`: starts what exists.

use super::super::instance::{Task, Then};
use super::super::unfinished::{self, unfinished_gate};
use super::super::{Session, error::CommandError, exit, instance, preflight, target};
use crate::check::row::Operation;
use crate::observe;
use crate::plan;
use crate::ui::words;

/// Start the existing containers and wait until they answer
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit start\n  toolkit start sharelatex\n  toolkit start --dry-run"
)]
pub struct Args {
    /// Services to start; all when none is named
    services: Vec<String>,
}

/// Starts services, those that others depend on first.
///
/// # Errors
/// A service is unknown or has no container, something stands in the way, a step fails, or a
/// service does not become ready.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let instance = instance::naming(session, instance, &args.services)?;
    let _lock = instance::lock_unless_dry(session, &instance.root, "start").await?;
    unfinished_gate(session, &instance.root, "start")?;
    let engine = instance::engine(session, &instance.root).await?;
    unfinished::stops(session, &instance.root, &engine).await?;
    let observed = observe::everything(&engine, &instance.deployment).await?;
    let services = instance::wanted_with_needs(&instance, &args.services);
    target::have_containers(&observed, &services)?;
    let ignored = preflight::gate(
        session,
        &instance,
        &engine,
        &observed,
        Operation::Start,
        None,
    )
    .await?;
    let plan = plan::start(&instance.deployment, &observed, &services);
    if instance::shown_only(session, &instance, &plan) {
        return Ok(exit::DONE);
    }
    let task = Task {
        then: Then::AwaitReady(&services),
        ignored: &ignored,
        ..Task::new("start", &plan, &observed)
    };
    let without = instance::carry_out(session, &instance, &engine, task).await?;
    let done = format!("started and ready{}", words::except_for(&without));
    instance::conclude(session, &instance, "start", &plan, &done);
    Ok(exit::DONE)
}
