//! `toolkit restart`: stops and starts.

use super::super::grace::Grace;
use super::super::instance::{Task, Then};
use super::super::unfinished::{self, unfinished_gate};
use super::super::{Session, error::CommandError, exit, instance, preflight, target};
use crate::check::row::Operation;
use crate::observe;
use crate::plan;
use crate::ui::words;

/// Stop and start the containers and wait until they answer
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit restart\n  toolkit restart sharelatex\n  toolkit restart -t 60\n  toolkit restart --dry-run"
)]
pub struct Args {
    /// Services to restart; all when none is named
    services: Vec<String>,
    #[command(flatten)]
    grace: Grace,
}

/// Stops and starts services in the order of their dependencies.
///
/// # Errors
/// A service is unknown or has no container, something stands in the way, a step fails, or a
/// service does not become ready.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let instance = instance::naming(session, instance, &args.services)?;
    let _lock = instance::lock_unless_dry(session, &instance.root, "restart").await?;
    unfinished_gate(session, &instance.root, "restart")?;
    let engine = instance::engine(session, &instance.root).await?;
    let observed = observe::everything(&engine, &instance.deployment).await?;
    let services = instance::wanted_with_needs(&instance, &args.services);
    target::have_containers(&observed, &services)?;
    let ignored = preflight::gate(
        session,
        &instance,
        &engine,
        &observed,
        Operation::Restart,
        None,
    )
    .await?;
    let deployment = &instance.deployment;
    let plan = if unfinished::only_waits(session, &instance.root)? {
        // All was started again; what has ended since is started.
        plan::start(deployment, &observed, &services)
    } else {
        let mut plan = plan::restart(deployment, &observed, &args.services, &services);
        args.grace.grant(&mut plan);
        plan
    };
    if instance::shown_only(session, &instance, &plan) {
        return Ok(exit::DONE);
    }
    let task = Task {
        then: Then::AwaitReady(&services),
        ignored: &ignored,
        ..Task::new("restart", &plan, &observed)
    };
    let without = instance::carry_out(session, &instance, &engine, task).await?;
    let done = format!("restarted and ready{}", words::except_for(&without));
    instance::conclude(session, &instance, "restart", &plan, &done);
    Ok(exit::DONE)
}
