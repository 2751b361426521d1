//! `toolkit upgrade`: goes to another Overleaf release in one step.

use std::path::Path;

use super::super::files::Texts;
use super::super::grace::Grace;
use super::super::instance::Instance;
use super::super::{
    Session, error::CommandError, exit, files, instance, preflight, question, unfinished,
};
use super::up::{self, Wish};
use crate::check::row::Operation;
use crate::deployment::DeploymentError;
use crate::engine::stock::Stock;
use crate::host;
use crate::plan;
use crate::plan::UpRequest;
use crate::release::way::Refusal;
use crate::release::{Catalogue, Version};
use crate::settings;
use crate::ui;

/// Go to another Overleaf release: writes config/version, pulls, and recreates what changes
///
/// Refuses a way that halts on a release in between, and every way back: the data of a newer release
/// cannot be read by an older one. Nothing is written before the checks have passed and the question is
/// answered.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit upgrade --dry-run     # to the newest known release: what would change\n  toolkit upgrade --to 6.2.2\n  toolkit upgrade --to 6.2.2 --yes"
)]
pub struct Args {
    /// The release to go to [default: the newest that this program knows]
    #[arg(long, value_name = "RELEASE")]
    to: Option<Version>,
}

/// Upgrades the instance.
///
/// # Errors
/// The way is refused, a check fails, the operator declines, or the new containers do not become ready.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "upgrade").await?;
    unfinished::unfinished_gate(session, &root, "upgrade")?;
    let before = files::read_all(&root)?;
    let now = instance::from_texts(session, &root, &before)?;
    let from = now.deployment.version.clone();
    let catalogue = Catalogue::load().map_err(DeploymentError::from)?;
    let to = match &args.to {
        Some(to) => to.clone(),
        None if from.is_of_cep() => return Err(no_target(&from)),
        None => {
            let newest = catalogue.newest().map(|release| release.version.clone());
            let newest = newest.filter(|newest| from.is_before(newest));
            newest.map_or_else(|| from.clone(), |newest| newest.with_suffix_of(&from))
        }
    };
    let is_there = to == from;
    if is_there {
        session.ui.say(&format!("{from} is configured already"));
    }
    if !is_there {
        let step = catalogue.one_step(&from, &to);
        step.map_err(|refusal| refused(&from, &to, &refusal))?;
    }
    let request = UpRequest::default();
    let engine = instance::engine(session, &root).await?;
    unfinished::stops(session, &root, &engine).await?;
    let instance = if is_there {
        // One that was cut off after its release was written, or whose images did not come, goes on.
        now
    } else {
        let step = Step {
            root: &root,
            before: &before,
            from: &from,
            to: &to,
        };
        match step.write(session, &engine, &request).await? {
            Some(then) => then,
            None => return Ok(exit::DONE),
        }
    };
    let wish = Wish {
        command: "upgrade",
        awaits: true,
        request,
        grace: Grace::default(),
    };
    up::converge(session, &instance, &engine, &wish).await?;
    Ok(exit::DONE)
}

/// One step from a release to another.
struct Step<'a> {
    root: &'a Path,
    before: &'a Texts,
    from: &'a Version,
    to: &'a Version,
}

impl Step<'_> {
    /// Checks, shows and asks, and then writes the new release down; `None` when nothing may be changed.
    async fn write(
        &self,
        session: &Session,
        engine: &impl Stock,
        request: &UpRequest,
    ) -> Result<Option<Instance>, CommandError> {
        let (from, to) = (self.from, self.to);
        let after = Texts {
            version: self
                .before
                .version
                .replacen(&from.to_string(), &to.to_string(), 1),
            ..self.before.clone()
        };
        let then = instance::from_texts(session, self.root, &after)?;
        let observed = instance::observe(engine, &then).await?;
        let (up, about) = (Operation::Up, Some(request));
        preflight::gate(session, &then, engine, &observed, up, about).await?;
        instance::may_pull(&then.deployment, &observed, request)?;
        if !session.ui.is_json() {
            let style = session.ui.answer_style();
            let file = settings::VERSION_FILE;
            let diff = ui::diff::unified(file, &self.before.version, &after.version);
            session.ui.answer(&ui::diff::styled(&diff, style));
        }
        if session.dry_run {
            let plan = plan::up(&then.deployment, &observed, request);
            instance::show_plan(session, &then, &plan, &[]);
            return Ok(None);
        }
        session.ui.warn(&format!(
            "{to} changes the data when it starts, and {from} cannot read it afterwards: only a backup of all stores leads back"
        ));
        question::confirm(session, &format!("Upgrade from {from} to {to}?")).await?;
        if files::read_all(self.root)? != *self.before {
            return Err(super::config::changed_meanwhile());
        }
        host::replace(&self.root.join(settings::VERSION_FILE), &after.version)?;
        Ok(Some(then))
    }
}

fn no_target(from: &Version) -> CommandError {
    let text = format!("which release follows {from} has to be said");
    CommandError::new("UPGRADE_TARGET", exit::USAGE, text)
        .because("the images of CEP carry a version of their own behind that of Overleaf")
        .state("nothing was changed")
        .fix("name it: toolkit upgrade --to RELEASE-ext-vNUMBER")
}

fn refused(from: &Version, to: &Version, refusal: &Refusal) -> CommandError {
    let error = |id: &str| {
        let text = format!("cannot go from {from} to {to} in one step");
        CommandError::new(id, exit::UPGRADE_REFUSED, text)
            .because(refusal.to_string())
            .state(format!("nothing was changed; {from} is configured"))
    };
    match refusal {
        Refusal::Older => error("UPGRADE_BACKWARDS")
            .fix("restore the backup that was made before the upgrade, of all stores"),
        Refusal::Withdrawn { .. } => {
            error("UPGRADE_WITHDRAWN").fix("name a later release with --to")
        }
        Refusal::Stop { stop, .. } => {
            error("UPGRADE_STOP").command(format!("toolkit upgrade --to {stop}"))
        }
    }
}
