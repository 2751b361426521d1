//! `toolkit up`: makes what is configured exist and run.

use std::path::Path;

use super::super::files::Texts;
use super::super::grace::Grace;
use super::super::instance::{Asks, Instance, Task, Then};
use super::super::operation::{self, Applies};
use super::super::unfinished::{self, unfinished_gate};
use super::super::{Session, definitions, error::CommandError, exit, files, instance, preflight};
use crate::check::row::Operation;
use crate::engine::stock::Stock;
use crate::host;
use crate::observe;
use crate::observed::Observed;
use crate::plan;
use crate::plan::{PullWish, UpRequest};
use crate::settings;
use crate::ui::words;

/// Create and start what is configured, and wait until it answers
///
/// Repeat it at will: what is already as configured is left alone, and a changed setting recreates
/// only what it touches.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit up                 # bring everything up and wait\n  toolkit up sharelatex      # only that, with what it needs\n  toolkit up --dry-run       # show what would be done\n  toolkit up -d              # return once the containers are started\n  toolkit up --pull always   # look for newer images first\n  toolkit up --bundled       # with the bundled servers, where no registry answers"
)]
pub struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Return once the containers are started, without waiting until they answer
    #[arg(short, long)]
    detach: bool,
    /// Wait until every service answers; the default without -d
    #[arg(long)]
    wait: bool,
    /// Use the bundled servers: writes BUNDLED_SERVERS=true into config/overleaf.rc
    #[arg(long)]
    bundled: bool,
    /// Seconds that a container gets to stop before it is killed, as with Docker Compose
    #[arg(short = 't', long, value_name = "SECONDS", hide = true)]
    grace: Option<u32>,
}

/// What an `up` and its plan are about.
#[derive(Debug, Clone, clap::Args)]
pub struct Scope {
    /// Services to bring up, with what they need; all when none is named. Naming one activates its profiles
    services: Vec<String>,
    /// Leave what the named services need as it is
    #[arg(long)]
    no_deps: bool,
    /// Make the containers anew, whether they differ or not
    #[arg(long)]
    force_recreate: bool,
    /// Remove containers of the project whose service is not configured any more
    #[arg(long)]
    remove_orphans: bool,
    /// Which images to pull [default: those that are missing, or as pull_policy says]
    #[arg(long, value_enum, value_name = "WHICH")]
    pull: Option<PullArg>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PullArg {
    /// All, for newer ones under the same names
    Always,
    /// Those that are missing
    Missing,
    /// None
    Never,
}

impl Scope {
    /// What is asked for.
    #[must_use]
    pub fn request(&self) -> UpRequest {
        UpRequest {
            services: self.services.clone(),
            no_deps: self.no_deps,
            force_recreate: self.force_recreate,
            remove_orphans: self.remove_orphans,
            pull: match self.pull {
                None => PullWish::Policy,
                Some(PullArg::Always) => PullWish::Always,
                Some(PullArg::Missing) => PullWish::Missing,
                Some(PullArg::Never) => PullWish::Never,
            },
        }
    }
}

/// Brings the instance up.
///
/// # Errors
/// See [`converge`].
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "up").await?;
    unfinished_gate(session, &root, "up")?;
    let (project, engine) = instance::engine_ahead(session, &root, Asks::Nothing);
    let mut texts = files::read_all(&root)?;
    if args.bundled {
        bundle(session, &root, &mut texts)?;
    }
    let is = |name: &str| project.named(name);
    let instance = instance::from_texts_telling(session, &root, &texts, is)?;
    let request = args.scope.request();
    let instance = instance::naming(session, instance, &request.services)?;
    let engine = engine.await?;
    unfinished::stops(session, &root, &engine).await?;
    let wish = Wish {
        command: "up",
        awaits: args.wait || !args.detach,
        request,
        grace: Grace::of(args.grace),
    };
    converge(session, &instance, &engine, &wish).await?;
    Ok(exit::DONE)
}

/// What an `up` is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The command that wishes it, for the journal and the history.
    pub command: &'static str,
    /// Whether it waits until every service answers.
    pub awaits: bool,
    /// What it is about.
    pub request: UpRequest,
    /// How long containers get to stop.
    pub grace: Grace,
}

/// Observe, plan, apply, wait, and say where it can be opened.
///
/// # Errors
/// The engine cannot be asked, something stands in the way, a step fails, or a service does not
/// become ready.
pub async fn converge(
    session: &Session,
    instance: &Instance,
    engine: &impl Stock,
    wish: &Wish,
) -> Result<(), CommandError> {
    let services = plan::chosen(&instance.deployment, &wish.request);
    let observed = instance::observe_concerning(engine, instance, &services).await?;
    converge_from(session, instance, engine, observed, wish).await
}

/// As [`converge`], from what was observed already.
///
/// # Errors
/// As for [`converge`].
pub async fn converge_from(
    session: &Session,
    instance: &Instance,
    engine: &impl Stock,
    mut observed: Observed,
    wish: &Wish,
) -> Result<(), CommandError> {
    let deployment = &instance.deployment;
    let request = &wish.request;
    definitions::say_not_applied(session, instance);
    let refresh = plan::pull::refresh(deployment, &observed, request);
    let mut shortcomings = instance::shortcomings(deployment, &observed, request);
    let mut plan = plan::up(deployment, &observed, request);
    wish.grace.grant(&mut plan);
    let is_idle = plan.is_empty() && refresh.is_empty() && shortcomings.is_empty();
    // Neither what cannot be carried out nor a network that cannot be made anew is a step of a plan.
    let is_all_told =
        observed.refused.is_empty() && observed.differing_networks(&deployment.project).is_empty();
    let ignored = if is_idle && is_all_told {
        // Nothing is about to change, so that nothing can stand in the way.
        preflight::ours(instance, &observed)?;
        Vec::new()
    } else {
        observe::introduce(engine, &mut observed).await?;
        let (up, about) = (Operation::Up, Some(request));
        preflight::gate(session, instance, engine, &observed, up, about).await?
    };
    instance::may_pull(deployment, &observed, request)?;
    let is_whole = request.services.is_empty() && !request.no_deps;
    let applies = match is_whole {
        true => Applies::Whole,
        false => Applies::Part,
    };
    let mut begun = None;
    if !session.dry_run && !refresh.is_empty() {
        let task = Task {
            applies,
            ignored: &ignored,
            ..Task::new(wish.command, &refresh, &observed)
        };
        let running;
        (running, observed) = operation::pull_newer(session, instance, engine, task).await?;
        begun = Some(running);
        plan = plan::up(deployment, &observed, request);
        wish.grace.grant(&mut plan);
        shortcomings = instance::shortcomings(deployment, &observed, request);
    }
    let chosen = plan::chosen(deployment, request);
    if session.dry_run {
        plan.put_before(refresh);
        instance::show_plan(session, instance, &plan, &shortcomings);
        return Ok(());
    }
    say_orphans(session, instance, &observed, request);
    let is_settled = plan.is_empty() && shortcomings.is_empty();
    let services = deployment.project.start_order().into_iter();
    let services: Vec<&str> = services.filter(|name| chosen.contains(name)).collect();
    let awaits = wish.awaits && !is_settled;
    let then = if awaits {
        Then::AwaitReady(&services)
    } else {
        Then::Return
    };
    let task = Task {
        command: wish.command,
        plan: &plan,
        observed: &observed,
        then,
        applies,
        ignored: &ignored,
    };
    let without = match begun {
        Some(running) => operation::carry_on(session, instance, engine, task, running).await?,
        None => instance::carry_out(session, instance, engine, task).await?,
    };
    let is_unchanged = plan.is_empty() && refresh.is_empty();
    let outcome = match (is_settled && is_unchanged, awaits || is_settled) {
        (true, _) => Outcome::Unchanged,
        (_, true) => Outcome::Ready { without },
        (_, false) => Outcome::Started,
    };
    summarise(session, instance, is_unchanged, outcome, is_whole);
    // The process ends soon, which frees it in less time.
    std::mem::forget(observed);
    Ok(())
}

/// Tells of containers whose service is gone, unless they go.
fn say_orphans(session: &Session, instance: &Instance, observed: &Observed, request: &UpRequest) {
    let orphans = plan::orphans(&instance.deployment, observed);
    if request.remove_orphans || orphans.is_empty() {
        return;
    }
    let names: Vec<String> = orphans
        .iter()
        .map(|found| format!("`{}`", found.name))
        .collect();
    let them = match names.len() {
        1 => "it",
        _ => "them",
    };
    let names = words::few(&names);
    let advice = format!("`toolkit up --remove-orphans` removes {them}");
    session
        .ui
        .warn(&format!("not configured any more: {names}; {advice}"));
}

/// How an `up` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// Nothing was to do, and every service answers.
    Unchanged,
    /// Every service answers but those, which others can do without.
    Ready { without: Vec<String> },
    /// The containers are started; whether they answer was not waited for.
    Started,
}

fn summarise(
    session: &Session,
    instance: &Instance,
    unchanged: bool,
    outcome: Outcome,
    is_whole: bool,
) {
    let deployment = &instance.deployment;
    if session.ui.is_json() {
        let (ready, without) = match outcome {
            Outcome::Unchanged => (true, Vec::new()),
            Outcome::Ready { without } => (without.is_empty(), without),
            Outcome::Started => (false, Vec::new()),
        };
        let data = serde_json::json!({
            "urls": deployment.urls, "changed": !unchanged, "ready": ready, "done_without": without,
        });
        session
            .ui
            .document("toolkit.up/v1", &data, &instance.warnings);
        return;
    }
    let all = if is_whole {
        "everything"
    } else {
        "what was asked for"
    };
    let what = match outcome {
        Outcome::Unchanged => format!("nothing to do: {all} is as configured"),
        Outcome::Ready { without } => format!("{all} is ready{}", words::except_for(&without)),
        Outcome::Started => format!("{all} is started; `toolkit status` tells when it is ready"),
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
    for line in words::changed_lines(&texts.rc, &changed) {
        session.ui.say(&format!("  {line}"));
    }
    if !session.dry_run {
        host::replace(&root.join(settings::RC_FILE), &changed)?;
    }
    texts.rc = changed;
    Ok(())
}
