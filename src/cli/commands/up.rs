//! `toolkit up`: makes what is configured exist and run.

use std::path::Path;

use super::super::files::Texts;
use super::super::instance::{Instance, Then};
use super::super::{Session, definitions, error::CommandError, exit, files, instance};
use crate::engine::Engine;
use crate::host;
use crate::observe;
use crate::plan;
use crate::settings;

/// Create and start what is configured, and wait until it answers
///
/// Repeat it at will: what is already as configured is left alone, and a changed setting recreates
/// only what it touches.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit up                 # bring everything up and wait\n  toolkit up --dry-run       # show what would be done\n  toolkit up -d              # return once the containers are started\n  toolkit up --bundled       # with the bundled servers, where no registry answers"
)]
pub struct Args {
    /// Return once the containers are started, without waiting until they answer
    #[arg(short, long)]
    detach: bool,
    /// Wait until every service answers; the default without -d
    #[arg(long)]
    wait: bool,
    /// Use the bundled servers: writes BUNDLED_SERVERS=true into config/overleaf.rc
    #[arg(long)]
    bundled: bool,
    /// Remove containers of the project whose service is not configured any more
    #[arg(long)]
    remove_orphans: bool,
}

/// Brings the instance up.
///
/// # Errors
/// See [`converge`].
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "up").await?;
    let mut texts = files::read_all(&root)?;
    if args.bundled {
        bundle(session, &root, &mut texts)?;
    }
    let instance = instance::from_texts(session, &root, &texts)?;
    let engine = instance::engine(session, &root).await?;
    let wish = Wish {
        awaits: args.wait || !args.detach,
        remove_orphans: args.remove_orphans,
    };
    converge(session, &instance, &engine, wish).await?;
    Ok(exit::DONE)
}

/// What an `up` is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Whether it waits until every service answers.
    pub awaits: bool,
    /// Whether containers without a service go.
    pub remove_orphans: bool,
}

/// Observe, plan, apply, wait, and say where it can be opened.
///
/// # Errors
/// The engine cannot be asked, something stands in the way, a step fails, or a service does not
/// become ready.
pub async fn converge(
    session: &Session,
    instance: &Instance,
    engine: &impl Engine,
    wish: Wish,
) -> Result<(), CommandError> {
    let deployment = &instance.deployment;
    definitions::say_not_applied(session, instance);
    let observed = observe::everything(engine, deployment).await?;
    instance::check(deployment, &observed)?;
    let request = plan::UpRequest {
        remove_orphans: wish.remove_orphans,
    };
    let plan = plan::up(deployment, &observed, &request);
    let shortcomings = instance::shortcomings(deployment, &observed);
    if session.dry_run {
        instance::show_plan(session, instance, &plan, &shortcomings);
        return Ok(());
    }
    let orphans = plan::orphans(deployment, &observed);
    if !wish.remove_orphans && !orphans.is_empty() {
        let names: Vec<String> = orphans
            .iter()
            .map(|found| format!("`{}`", found.name))
            .collect();
        let names = crate::ui::words::list(&names);
        let advice = "`toolkit up --remove-orphans` removes it";
        session
            .ui
            .warn(&format!("not configured any more: {names}; {advice}"));
    }
    let is_settled = plan.is_empty() && shortcomings.is_empty();
    let services = deployment.project.start_order();
    let awaits = wish.awaits && !is_settled;
    let then = if awaits {
        Then::AwaitReady(&services)
    } else {
        Then::Return
    };
    instance::carry_out(session, "up", instance, engine, &plan, then).await?;
    let outcome = match (plan.is_empty(), awaits || is_settled) {
        (true, true) if is_settled => Outcome::Unchanged,
        (_, true) => Outcome::Ready,
        (_, false) => Outcome::Started,
    };
    summarise(session, instance, plan.is_empty(), outcome);
    Ok(())
}

/// How an `up` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing was to do, and every service answers.
    Unchanged,
    /// Every service answers.
    Ready,
    /// The containers are started; whether they answer was not waited for.
    Started,
}

fn summarise(session: &Session, instance: &Instance, unchanged: bool, outcome: Outcome) {
    let deployment = &instance.deployment;
    if session.ui.is_json() {
        let ready = outcome != Outcome::Started;
        let data =
            serde_json::json!({ "urls": deployment.urls, "changed": !unchanged, "ready": ready });
        session
            .ui
            .document("toolkit.up/v1", &data, &instance.warnings);
        return;
    }
    let what = match outcome {
        Outcome::Unchanged => "nothing to do: everything is as configured",
        Outcome::Ready => "everything is ready",
        Outcome::Started => "everything is started; `toolkit status` tells when it is ready",
    };
    session
        .ui
        .say(&format!("{} {what}", session.ui.style().done()));
    if !deployment.bundled_images.is_empty() {
        session
            .ui
            .say("  bundled servers stand in for Overleaf: these are not the Overleaf images");
    }
    session
        .ui
        .answer(&format!("{}\n", deployment.urls.join("\n")));
}

/// Turns the bundled servers on, after saying so; a dry run changes the texts only.
///
/// # Errors
/// The file cannot be written.
pub fn bundle(session: &Session, root: &Path, texts: &mut Texts) -> Result<(), CommandError> {
    let changed = settings::edit::set(
        settings::assignments::Dialect::Shell,
        &texts.rc,
        "BUNDLED_SERVERS",
        "true",
    );
    if changed == texts.rc {
        return Ok(());
    }
    let file = settings::RC_FILE;
    session.ui.say(&match session.dry_run {
        true => format!("would change {file}:"),
        false => format!("changing {file} (the old text is kept as {file}.bak):"),
    });
    for line in crate::ui::words::changed_lines(&texts.rc, &changed) {
        session.ui.say(&format!("  {line}"));
    }
    if !session.dry_run {
        host::replace(&root.join(settings::RC_FILE), &changed)?;
    }
    texts.rc = changed;
    Ok(())
}
