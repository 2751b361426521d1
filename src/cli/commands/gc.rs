//! `toolkit gc`: removes the stopped containers that sandboxed compiles leave behind.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::instance::Instance;
use super::super::{Session, deed, error::CommandError, exit, instance, question};
use crate::compiles::{self, Kept};
use crate::compose::SpecDuration;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::stock::{ListedContainer, Stock};
use crate::host;
use crate::ui::images::Collected;
use crate::ui::words;

/// Remove stopped containers that sandboxed compiles left behind
///
/// Only containers with the name of a compile, of an image that compiles of this instance use, that
/// stopped long enough ago. Those that run and those of other Compose projects are never touched.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit gc --dry-run\n  toolkit gc --yes\n  toolkit gc --older-than 2h\n  toolkit gc --any-image   # those of images that are not configured any more too"
)]
pub struct Args {
    /// How long ago they must have stopped
    #[arg(long, value_name = "DURATION", default_value = "1d")]
    older_than: SpecDuration,
    /// Whatever image they are made of
    #[arg(long)]
    any_image: bool,
}

/// Collects the containers.
///
/// # Errors
/// The configuration cannot be used, the engine cannot be asked, the answer is no, or a container cannot
/// be removed.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let engine = instance::engine(session, &instance.root).await?;
    let collected = collect(&engine, &instance, args).await?;
    let mut removed = Vec::new();
    if !session.ui.is_json() {
        session.ui.answer(&collected.view());
    }
    if !session.dry_run && !collected.going.is_empty() {
        let number = words::count(collected.going.len(), "stopped compile container");
        question::confirm(session, &format!("remove {number}?")).await?;
        let title = format!("remove {number}");
        let work = async {
            for (found, _) in &collected.going {
                match engine.remove(&found.id).await {
                    Ok(()) => removed.push(found.name.clone()),
                    // A compile has taken it up again meanwhile.
                    Err(EngineError::Refused { message, .. }) => {
                        let name = &found.name;
                        session.ui.warn(&format!("`{name}` is kept: {message}"));
                    }
                    Err(error) => {
                        let done = words::count(removed.len(), "container");
                        return Err(CommandError::from(error).state(format!("{done} removed")));
                    }
                }
            }
            Ok(())
        };
        deed::kept(session, &instance.root, "gc", title, work).await?;
    }
    if session.ui.is_json() {
        let data = collected.value(&removed);
        session
            .ui
            .document("toolkit.gc/v1", &data, &instance.warnings);
    } else if !removed.is_empty() {
        let done = session.ui.style().done();
        let number = words::count(removed.len(), "container");
        let bytes = words::size(collected.written());
        session
            .ui
            .say(&format!("{done} {number} removed, {bytes} freed"));
    }
    Ok(exit::DONE)
}

async fn collect(
    engine: &impl Stock,
    instance: &Instance,
    args: &Args,
) -> Result<Collected, CommandError> {
    let project = &instance.deployment.project;
    let images = compiles::images(project);
    let mut collected = Collected::default();
    for found in engine.listed_containers(true).await? {
        if !compiles::is_compile(&found.name) {
            continue;
        }
        let kept = compiles::kept(&found, &images, &project.name, args.any_image);
        if let Some(kept) = kept {
            collected.kept.push((found.name, kept));
            continue;
        }
        let Some(since) = stopped(engine, &found).await? else {
            continue;
        };
        let seconds = (host::now() - since).whole_seconds();
        let is_old = u64::try_from(seconds)
            .is_ok_and(|seconds| Duration::from_secs(seconds) >= args.older_than.0);
        match is_old {
            true => collected.going.push((found, seconds)),
            false => collected.kept.push((found.name, Kept::Recent)),
        }
    }
    Ok(collected)
}

/// When a container stopped, or was made if it never ran; `None` when it is gone or runs by now.
async fn stopped(
    engine: &impl Stock,
    found: &ListedContainer,
) -> Result<Option<OffsetDateTime>, EngineError> {
    let Some(container) = engine.container(&found.id).await? else {
        return Ok(None);
    };
    if container.state.may_run() {
        return Ok(None);
    }
    let finished = OffsetDateTime::parse(&container.finished_at, &Rfc3339).ok();
    let made = || OffsetDateTime::from_unix_timestamp(found.created).ok();
    Ok(finished.or_else(made))
}
