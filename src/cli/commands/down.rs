//! `toolkit down`: removes containers and network, keeps the data.

use super::super::grace::Grace;
use super::super::instance::{Asks, Task};
use super::super::unfinished::unfinished_gate;
use super::super::{Session, error::CommandError, exit, instance, preflight};
use crate::observe;
use crate::observed::Observed;
use crate::plan;
use crate::ui::words;

/// Stop and remove the containers and the network; all data is kept
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  toolkit down\n  toolkit down -t 60\n  toolkit down --dry-run")]
pub struct Args {
    #[command(flatten)]
    grace: Grace,
}

/// Removes what `up` made on the engine.
///
/// # Errors
/// The engine cannot be asked, or a step fails.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let engine = instance::engine_meanwhile(session, &root, Asks::Nothing);
    let _lock = instance::lock_unless_dry(session, &root, "down").await?;
    unfinished_gate(session, &root, "down")?;
    let mut instance = instance::load_at(session, &root)?;
    let engine = engine.await?;
    let project = &instance.deployment.project;
    let mut observed = observe::what_goes_down(&engine, &root, project).await?;
    let inactive = &instance.deployment.inactive;
    let mut containers = observed.containers.iter();
    if containers.any(|found| inactive.contains_key(&found.service)) {
        // They go as well, with the networks that only they use.
        instance = instance::with_inactive(session, instance, &observed.containers, &[])?;
        let project = &instance.deployment.project;
        observed = observe::what_goes_down(&engine, &root, project).await?;
    }
    let project = &instance.deployment.project;
    preflight::ours(&instance, &observed)?;
    say_visitors(session, &observed);
    let mut plan = plan::down(project, &observed);
    args.grace.grant(&mut plan);
    if instance::shown_only(session, &instance, &plan) {
        return Ok(exit::DONE);
    }
    let task = Task::new("down", &plan, &observed);
    instance::carry_out(session, &instance, &engine, task).await?;
    instance::conclude(session, &instance, "down", &plan, "down; all data is kept");
    Ok(exit::DONE)
}

/// Tells of networks that stay because somebody else runs in them.
fn say_visitors(session: &Session, observed: &Observed) {
    for network in observed.networks.values().flatten() {
        let visitors = observed.visitors.iter();
        let visitors = visitors.filter(|visitor| visitor.network == network.id);
        let names: Vec<String> = visitors
            .map(|visitor| format!("`{}`", visitor.container))
            .collect();
        if !names.is_empty() {
            session.ui.warn(&format!(
                "network `{}` stays, because containers of somebody else run in it: {}",
                network.name,
                words::few(&names)
            ));
        }
    }
}
