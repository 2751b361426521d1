//! `toolkit up`: makes what is configured exist and run.

use super::super::instance::{Instance, Then};
use super::super::{Session, error::CommandError, exit, instance};
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
    let _lock = if session.dry_run {
        None
    } else {
        Some(instance::lock(session, &root, "up").await?)
    };
    let bundles = args.bundled && !session.dry_run;
    let instance = if bundles {
        bundle(session, &root)?
    } else {
        instance::load_at(session, &root)?
    };
    let engine = instance::engine(session).await?;
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
    let observed = observe::everything(engine, deployment).await?;
    instance::check(deployment, &observed)?;
    let request = plan::UpRequest {
        remove_orphans: wish.remove_orphans,
    };
    let plan = plan::up(deployment, &observed, &request);
    if instance::shown_only(session, &plan) {
        return Ok(());
    }
    let orphans = plan::orphans(deployment, &observed);
    if !wish.remove_orphans && !orphans.is_empty() {
        let names: Vec<String> = orphans
            .iter()
            .map(|found| format!("`{}`", found.name))
            .collect();
        let names = crate::ui::words::list(&names);
        session.ui.warn(&format!(
            "not configured any more: {names}; `toolkit up --remove-orphans` removes it"
        ));
    }
    let services = deployment.project.start_order();
    let all_ready = services.iter().all(|service| {
        !deployment.probes.contains_key(*service)
            || observed.readiness.get(*service) == Some(&crate::observed::Readiness::Ready)
    });
    let then = if wish.awaits && !(plan.is_empty() && all_ready) {
        Then::AwaitReady(&services)
    } else {
        Then::Return
    };
    instance::carry_out(session, "up", instance, engine, &plan, then).await?;
    summarise(
        session,
        instance,
        plan.is_empty(),
        then != Then::Return || all_ready,
    );
    Ok(())
}

fn summarise(session: &Session, instance: &Instance, unchanged: bool, ready: bool) {
    let deployment = &instance.deployment;
    let urls = deployment.urls.join(", ");
    if session.ui.is_json() {
        let data =
            serde_json::json!({ "urls": deployment.urls, "changed": !unchanged, "ready": ready });
        session
            .ui
            .document("toolkit.up/v1", &data, &instance.warnings);
        return;
    }
    let what = match (unchanged, ready) {
        (true, _) => "nothing to do: everything is as configured",
        (false, true) => "everything is ready",
        (false, false) => "everything is started",
    };
    let bundled = if deployment.bundled_images.is_empty() {
        String::new()
    } else {
        "; bundled servers stand in for Overleaf (BUNDLED_SERVERS=false switches to the real images)".to_owned()
    };
    session
        .ui
        .say(&format!("{} {what}{bundled}", session.ui.style().done()));
    session.ui.answer(&format!("{urls}\n"));
}

/// Writes the setting that deploys the bundled servers, after saying so.
///
/// # Errors
/// The file cannot be read or written.
pub fn bundle(session: &Session, root: &std::path::Path) -> Result<Instance, CommandError> {
    let instance = instance::load_at(session, root)?;
    if instance.settings.bundled {
        return Ok(instance);
    }
    write_setting(session, root, "BUNDLED_SERVERS", "true")?;
    instance::load_at(session, root)
}

/// Changes one line of overleaf.rc, after saying so.
///
/// # Errors
/// The file cannot be read or written.
pub fn write_setting(
    session: &Session,
    root: &std::path::Path,
    name: &str,
    value: &str,
) -> Result<(), CommandError> {
    let file = root.join(settings::RC_FILE);
    let text = host::read_text(&file)?;
    session.ui.say(&format!(
        "writing {name}={value} into {}",
        settings::RC_FILE
    ));
    host::replace(&file, &settings::edit::set(&text, name, value))?;
    Ok(())
}
