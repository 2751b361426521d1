//! `toolkit plan`: what `up` would do.

use super::super::{Session, definitions, error::CommandError, exit, instance};
use crate::observe;
use crate::plan;

/// Show what `up` would change, and change nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit plan\n  toolkit plan --detailed-exitcode   # 0: nothing to do, 4: something is\n  toolkit plan --format json"
)]
pub struct Args {
    /// Exit with 4 when something is to do
    #[arg(long)]
    detailed_exitcode: bool,
    /// Count containers whose service is gone as something to remove
    #[arg(long)]
    remove_orphans: bool,
}

/// Shows the plan.
///
/// # Errors
/// The configuration cannot be used, the engine cannot be asked, or something stands in the way.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    definitions::say_not_applied(session, &instance);
    let engine = instance::engine(session, &instance.root).await?;
    let observed = observe::everything(&engine, &instance.deployment).await?;
    instance::check(&instance.deployment, &observed)?;
    let request = plan::UpRequest {
        remove_orphans: args.remove_orphans,
    };
    let plan = plan::up(&instance.deployment, &observed, &request);
    let shortcomings = instance::shortcomings(&instance.deployment, &observed);
    instance::show_plan(session, &instance, &plan, &shortcomings);
    Ok(if args.detailed_exitcode && !plan.is_empty() {
        exit::DIFFERENCES
    } else {
        exit::DONE
    })
}
