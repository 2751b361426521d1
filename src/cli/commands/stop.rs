//! `toolkit stop`: stops what runs.

use super::super::grace::Grace;
use super::super::instance::{Asks, Task};
use super::super::unfinished::unfinished_gate;
use super::super::{Session, error::CommandError, exit, instance, preflight};
use crate::observe;
use crate::plan;

/// Stop the containers and keep them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit stop\n  toolkit stop sharelatex\n  toolkit stop -t 60\n  toolkit stop --dry-run"
)]
pub struct Args {
    /// Services to stop; all when none is named
    services: Vec<String>,
    #[command(flatten)]
    grace: Grace,
}

/// Stops services, those that depend on others first.
///
/// # Errors
/// A service is unknown, the engine cannot be asked, or a step fails.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let engine = instance::engine_meanwhile(session, &root, Asks::Nothing);
    let instance = instance::load_at(session, &root)?;
    let instance = instance::naming(session, instance, &args.services)?;
    let _lock = instance::lock_unless_dry(session, &instance.root, "stop").await?;
    unfinished_gate(session, &instance.root, "stop")?;
    let engine = engine.await?;
    let project = &instance.deployment.project;
    let observed = observe::containers_and_networks(&engine, &instance.root, project).await?;
    preflight::ours(&instance, &observed)?;
    let mut plan = plan::stop(project, &observed, &args.services);
    args.grace.grant(&mut plan);
    if instance::shown_only(session, &instance, &plan) {
        return Ok(exit::DONE);
    }
    let task = Task::new("stop", &plan, &observed);
    instance::carry_out(session, &instance, &engine, task).await?;
    instance::conclude(
        session,
        &instance,
        "stop",
        &plan,
        "stopped; the containers and all data are kept",
    );
    Ok(exit::DONE)
}
