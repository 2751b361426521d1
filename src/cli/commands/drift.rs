//! `toolkit drift`: what is not as it was configured and applied.

use super::super::{
    Session, error::CommandError, exit, instance, operation, state_folder, unfinished,
};
use crate::applied;
use crate::drift::{self, Comparison};
use crate::host;
use crate::observe;
use crate::ui;

/// Show what is not as it was configured and applied, and change nothing
///
/// Exits with 4 when something differs: a setting that was not applied, a container that was changed
/// by hand, an image whose tag has moved, a mounted file that was edited, something that is missing,
/// stopped, published or left over.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit drift\n  toolkit drift --format json | jq '.data.drift[].fix'"
)]
pub struct Args {}

/// Shows what differs.
///
/// # Errors
/// The configuration cannot be used, a file cannot be read, or the engine cannot be asked.
pub async fn run(_args: &Args, session: &Session) -> Result<u8, CommandError> {
    let mut instance = instance::load(session)?;
    unfinished::mention(session, &instance.root, &mut instance.warnings);
    let engine = instance::engine(session, &instance.root).await?;
    let mut observed = observe::everything(&engine, &instance.deployment).await?;
    instance::know_earlier(&instance, &mut observed);
    let state = state_folder(&instance.root);
    let applied = applied::load(&state)?;
    let project = &instance.deployment.project;
    let present = applied::of(project, &instance.root, None)?;
    let mut changed = Vec::new();
    for change in operation::changes(&state, &instance.root)? {
        let found = host::fingerprint(&instance.root.join(&change.file))?;
        changed.extend(found.and_then(|found| applied::Fingerprint::from(found).modified));
    }
    let found = drift::find(&Comparison {
        deployment: &instance.deployment,
        observed: &observed,
        applied: applied.as_ref(),
        present: &present,
        configured: changed.iter().max().map(String::as_str),
    });
    if session.ui.is_json() {
        let data = ui::drift::value(&found);
        session
            .ui
            .document("toolkit.drift/v1", &data, &instance.warnings);
    } else {
        session
            .ui
            .answer(&ui::drift::view(&found, session.ui.answer_style()));
    }
    Ok(match found.is_empty() {
        true => exit::DONE,
        false => exit::DIFFERENCES,
    })
}
