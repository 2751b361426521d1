//! `toolkit apply`: carries out a plan that was shown before, if the world has not moved since.

use std::path::PathBuf;

use super::super::unfinished::unfinished_gate;
use super::super::{Session, error::CommandError, exit, instance};
use super::up::{Wish, converge};
use crate::host;
use crate::plan;
use crate::plan::file::PlanFile;

/// Carry out a plan that `toolkit plan --out FILE` wrote, and wait until everything answers
///
/// Refused with exit 5 when the configuration, the containers or the images are others than when the
/// plan was made.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit plan --out change.plan   # look at it, have it approved\n  toolkit apply change.plan"
)]
pub struct Args {
    /// The file
    file: PathBuf,
    /// Return once the containers are started, without waiting until they answer
    #[arg(short, long)]
    detach: bool,
}

/// Applies the plan.
///
/// # Errors
/// The file is no plan, the world has moved since it was made, or as for `up`.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let again = format!("toolkit plan --out {}", args.file.display());
    let text = host::read_text(&session.current_folder.join(&args.file))?;
    let saved = PlanFile::read(&text).map_err(|error| {
        let message = format!("`{}` cannot be used", args.file.display());
        CommandError::new("PLAN_FILE", exit::USAGE, message)
            .because(error.to_string())
            .state("nothing was changed")
            .command(&again)
    })?;
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "apply").await?;
    unfinished_gate(session, &root, "apply")?;
    let instance = instance::load_at(session, &root)?;
    let deployment = &instance.deployment;
    let request = saved.request();
    instance::known(&instance, &request.services)?;
    let engine = instance::engine(session, &root).await?;
    let observed = instance::observe(&engine, &instance).await?;
    let plan = plan::whole(deployment, &observed, &request);
    let now = PlanFile::new(&plan, &request, deployment, &observed);
    let moved = saved.moved(&now);
    if !moved.is_empty() {
        let message = "the world has moved since the plan was made";
        let error = CommandError::new("PLAN_MOVED", exit::CHANGED, message);
        let error = moved.into_iter().fold(error, CommandError::because);
        return Err(error.state("nothing was changed").command(&again));
    }
    let wish = Wish {
        awaits: !args.detach,
        request,
    };
    converge(session, &instance, &engine, &wish).await?;
    Ok(exit::DONE)
}
