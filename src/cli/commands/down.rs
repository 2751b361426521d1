//! `toolkit down`: removes containers and network, keeps the data.

use super::super::grace::Grace;
use super::super::instance::Task;
use super::super::unfinished::unfinished_gate;
use super::super::{Session, error::CommandError, exit, instance, preflight};
use crate::engine::Engine;
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
    let instance = instance::load(session)?;
    let _lock = instance::lock_unless_dry(session, &instance.root, "down").await?;
    unfinished_gate(session, &instance.root, "down")?;
    let engine = instance::engine(session, &instance.root).await?;
    let instance = match instance.deployment.inactive.is_empty() {
        true => instance,
        false => {
            let project = &instance.deployment.project.name;
            let containers = engine.project_containers(project).await?;
            instance::with_inactive(session, instance, &containers)?
        }
    };
    let project = &instance.deployment.project;
    let observed = observe::what_goes_down(&engine, &instance.root, project).await?;
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
