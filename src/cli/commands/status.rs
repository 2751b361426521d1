//! `toolkit status`: what runs and whether it is ready.

use super::super::{Session, error::CommandError, exit, instance};
use crate::observe;
use crate::ui::status;

/// Show what runs and whether it is ready
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  toolkit status\n  toolkit status --format json")]
pub struct Args {}

/// Shows the state of the instance.
///
/// # Errors
/// The configuration cannot be used, or the engine cannot be asked.
pub async fn run(_args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let engine = instance::engine(session, &instance.root).await?;
    let observed = observe::everything(&engine, &instance.deployment).await?;
    if session.ui.is_json() {
        let data = status::value(&instance.deployment, &observed);
        session
            .ui
            .document("toolkit.status/v1", &data, &instance.warnings);
    } else {
        let style = session.ui.answer_style();
        let text = status::view(&instance.deployment, &observed, super::super::now(), style);
        session.ui.answer(&text);
    }
    Ok(exit::DONE)
}
