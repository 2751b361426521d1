//! `toolkit plan`: what `up` would do.

use std::path::PathBuf;

use super::super::{
    Session, definitions, error::CommandError, exit, instance, preflight, unfinished,
};
use super::up::Scope;
use crate::check::row::Operation;
use crate::host;
use crate::plan;
use crate::plan::file::PlanFile;
use crate::ui;

/// Show what `up` would change, and change nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit plan\n  toolkit plan --tree                # what waits for what\n  toolkit plan --detailed-exitcode   # 0: nothing to do, 4: something is\n  toolkit plan --out change.plan     # for `toolkit apply change.plan`\n  toolkit plan --format json"
)]
pub struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Exit with 4 when something is to do
    #[arg(long)]
    detailed_exitcode: bool,
    /// Show each step below the one it waits for
    #[arg(long)]
    tree: bool,
    /// Also write the plan into a file, for `toolkit apply`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Shows the plan.
///
/// # Errors
/// The configuration cannot be used, the engine cannot be asked, something stands in the way, or
/// the file cannot be written.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let (instance, engine) = instance::load_and_connect(session)?;
    let request = args.scope.request();
    let mut instance = instance::naming(session, instance, &request.services)?;
    unfinished::mention(session, &instance.root, &mut instance.warnings);
    let deployment = &instance.deployment;
    definitions::say_not_applied(session, &instance);
    let engine = engine.await?;
    let observed = instance::observe(&engine, &instance).await?;
    preflight::gate(
        session,
        &instance,
        &engine,
        &observed,
        Operation::Plan,
        Some(&request),
    )
    .await?;
    instance::may_pull(deployment, &observed, &request)?;
    let plan = plan::whole(deployment, &observed, &request);
    let shortcomings = instance::shortcomings(deployment, &observed, &request);
    if let Some(out) = &args.out {
        let file = PlanFile::new(&plan, &request, deployment, &observed);
        host::durable::put_private(&session.current_folder.join(out), &file.text())?;
    }
    if args.tree && !session.ui.is_json() {
        let style = session.ui.answer_style();
        session
            .ui
            .answer(&ui::plan::tree(&plan, &shortcomings, style));
    } else {
        instance::show_plan(session, &instance, &plan, &shortcomings);
    }
    Ok(if args.detailed_exitcode && !plan.is_empty() {
        exit::DIFFERENCES
    } else {
        exit::DONE
    })
}
