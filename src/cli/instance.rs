//! Finds the instance, reads its configuration, and reaches the engine: what most commands begin
//! with.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use super::connection::{Asks, endpoint, engine, engine_ahead, engine_meanwhile};
use super::definitions::{of_deployment, of_finding, override_file};
use super::files::{Texts, dotenv, read_all, real_path, shown_line};
pub use super::named::{known, naming, with_inactive};
use super::operation::{self, Applies};
use super::{Session, error::CommandError, exit};
use crate::applied;
use crate::apply::Work;
use crate::bundled;
use crate::check::Ignored;
use crate::compose::load::File;
use crate::deployment::{self, Context, Definitions, Deployment, DeploymentError};
use crate::engine::Engine;
use crate::engine::docker::DockerEngine;
use crate::engine::stock::Stock;
use crate::event::Event;
use crate::host;
use crate::host::interrupt::Interrupt;
use crate::host::lock::{Lock, LockError};
use crate::journal::{self, Journal};
use crate::observe;
use crate::observed::Observed;
use crate::plan::{self, Plan, UpRequest};
use crate::release::Catalogue;
use crate::settings::problem::{Problem, ProblemKind};
use crate::settings::{self, Settings, Sources};
use crate::site;

/// An instance with its configuration.
#[derive(Debug)]
pub struct Instance {
    /// Its root folder.
    pub root: PathBuf,
    /// The texts that describe it, whether they are written yet or not.
    pub(super) texts: Texts,
    /// Its settings.
    pub settings: Settings,
    /// What it should be.
    pub deployment: Deployment,
    /// The running program.
    pub program: PathBuf,
    /// Warnings about its files, one text each.
    pub warnings: Vec<String>,
}

/// The root folder: what `--root` says, or the nearest folder upward with an overleaf.rc.
///
/// # Errors
/// No instance is found.
pub fn root(session: &Session) -> Result<PathBuf, CommandError> {
    let start = &session.current_folder;
    if let Some(root) = &session.root {
        return Ok(host::canonical(&start.join(root)));
    }
    let found = start
        .ancestors()
        .find(|folder| host::exists(&folder.join(settings::RC_FILE)));
    match found {
        Some(found) => Ok(host::canonical(found)),
        None => Err(
            CommandError::new("NO_INSTANCE", exit::CONFIGURATION, "no instance was found")
                .because(format!(
                    "neither `{}` nor a folder above it holds {}",
                    start.display(),
                    settings::RC_FILE
                ))
                .command("toolkit init"),
        ),
    }
}

/// Reads the configuration of the instance and makes its deployment.
///
/// # Errors
/// A file is missing or unreadable, or the configuration is wrong.
pub fn load(session: &Session) -> Result<Instance, CommandError> {
    let root = root(session)?;
    load_at(session, &root)
}

/// As [`load`], and meanwhile connects to its engine, as [`engine`] does.
///
/// # Errors
/// As of [`load`]; what comes of the engine is told by the second part.
pub fn load_and_connect(
    session: &Session,
) -> Result<
    (
        Instance,
        impl Future<Output = Result<DockerEngine, CommandError>> + use<>,
    ),
    CommandError,
> {
    let root = root(session)?;
    let (project, engine) = engine_ahead(session, &root, Asks::WhoItIs);
    let is = |name: &str| project.named(name);
    let instance = from_texts_telling(session, &root, &read_all(&root)?, is)?;
    Ok((instance, engine))
}

/// As [`load`], for the instance at a known root.
///
/// # Errors
/// A file is missing or unreadable, or the configuration is wrong.
pub fn load_at(session: &Session, root: &Path) -> Result<Instance, CommandError> {
    from_texts(session, root, &read_all(root)?)
}

/// Makes the instance that these texts describe, whether they are written yet or not.
///
/// # Errors
/// The configuration is wrong.
pub fn from_texts(session: &Session, root: &Path, texts: &Texts) -> Result<Instance, CommandError> {
    from_texts_telling(session, root, texts, |_| {})
}

/// As [`from_texts`], and tells the name of the project as soon as the settings are known: what follows
/// takes longer.
///
/// # Errors
/// The configuration is wrong.
pub fn from_texts_telling(
    session: &Session,
    root: &Path,
    texts: &Texts,
    project_is: impl FnOnce(&str),
) -> Result<Instance, CommandError> {
    let definitions = (&*dotenv(root)?, override_file(root)?);
    with_profiles(session, root, texts, definitions, &[], project_is)
}

/// As [`from_texts`], with the text of `lib/.env` and the operator's definitions.
///
/// # Errors
/// The configuration is wrong.
pub fn from_all_texts(
    session: &Session,
    root: &Path,
    texts: &Texts,
    dotenv: &str,
    files: Vec<File>,
) -> Result<Instance, CommandError> {
    with_profiles(session, root, texts, (dotenv, files), &[], |_| {})
}

/// As [`from_all_texts`], with profiles that are active because a service of theirs is named. What is odd
/// about the texts was said when they were read without.
pub(super) fn with_profiles(
    session: &Session,
    root: &Path,
    texts: &Texts,
    (dotenv, files): (&str, Vec<File>),
    profiles: &[String],
    project_is: impl FnOnce(&str),
) -> Result<Instance, CommandError> {
    let say = |problem: &Problem, line: Option<&str>| {
        if profiles.is_empty() {
            session.ui.problem(problem, line);
        }
    };
    // What a shell sets by itself, and a service manager does not.
    let of_shell = |name: &str| match name {
        "PWD" => Some(session.current_folder.display().to_string()),
        "UID" | "EUID" => host::user_id().map(|id| id.to_string()),
        _ => None,
    };
    let environment = |name: &str| super::environment(name).or_else(|| of_shell(name));
    let sources = Sources {
        root,
        rc: &texts.rc,
        variables: &texts.variables,
        version: &texts.version,
        dotenv,
        environment: &environment,
        canonical: &real_path,
        is_folder: &host::is_folder,
    };
    let line_of = |file: &Path, line: usize| shown_line(texts, file, line);
    let resolved = settings::resolve(&sources);
    let (settings, problems) = resolved.map_err(|error| match error {
        settings::SettingsError::Invalid(problems) => super::error::of_problems(problems, &line_of),
        other => other.into(),
    })?;
    project_is(&settings.project_name);
    let mut warnings = Vec::new();
    for problem in problems
        .iter()
        .filter(|problem| problem.kind == ProblemKind::Warning)
    {
        warnings.push(problem.text.clone());
        let line = problem
            .place
            .as_ref()
            .and_then(|at| line_of(&at.file, at.line));
        say(problem, line.as_deref());
    }
    let mut deployment = deployment_of(root, texts, &settings, files, &environment, profiles)
        .map_err(|error| of_deployment(error, &line_of))?;
    deployment.proxies = super::proxies::of(session, root);
    for finding in &deployment.warnings {
        let problem = of_finding(finding, ProblemKind::Warning);
        warnings.push(problem.text.clone());
        let line = line_of(&finding.place.file, finding.place.line);
        say(&problem, line.as_deref());
    }
    let (root, program) = (root.to_path_buf(), host::program()?);
    Ok(Instance {
        root,
        texts: texts.clone(),
        settings,
        deployment,
        program,
        warnings,
    })
}

/// The deployment that the settings and the operator's definitions describe.
pub(super) fn deployment_of(
    root: &Path,
    texts: &Texts,
    settings: &Settings,
    files: Vec<File>,
    environment: &dyn Fn(&str) -> Option<String>,
    profiles: &[String],
) -> Result<Deployment, DeploymentError> {
    let context = Context {
        bundled_tag: bundled::TAG.to_owned(),
        architecture: bundled::architecture().to_owned(),
    };
    let catalogue = Catalogue::load()?;
    let variables_file = root.join(settings::VARIABLES_FILE);
    let definitions = Definitions {
        files,
        environment,
        profiles,
        // The text at hand may not be written yet.
        read: &|path| {
            if path == variables_file {
                Ok(texts.variables.clone())
            } else {
                host::read_text(path).map_err(io::Error::other)
            }
        },
    };
    deployment::make(settings, &catalogue, &context, &definitions)
}

/// Refuses an instance that was configured and has lost a file.
///
/// # Errors
/// overleaf.rc exists and one of the other files does not.
pub fn is_whole(root: &Path) -> Result<(), CommandError> {
    if host::exists(&root.join(settings::RC_FILE)) {
        read_all(root).map(|_| ())
    } else {
        Ok(())
    }
}

/// Takes the lock on the instance for a command that changes things.
///
/// # Errors
/// Another run holds it.
pub async fn lock(session: &Session, root: &Path, command: &str) -> Result<Lock, CommandError> {
    let state = super::state_folder(root);
    let lock = match host::lock::take(&state, command, Duration::ZERO).await {
        Err(LockError::Held { owner }) if !session.lock_wait.is_zero() => {
            let who =
                owner.map(|owner| format!(": `toolkit {}` (pid {})", owner.command, owner.process));
            session.ui.say(&format!(
                "waiting for another run{}",
                who.unwrap_or_default()
            ));
            host::lock::take(&state, command, session.lock_wait).await?
        }
        other => other?,
    };
    lock.told().command_line(&session.command_line())?;
    let _ = session.told.set(lock.told());
    Ok(lock)
}

/// What follows a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then<'a> {
    /// Nothing.
    Return,
    /// Waiting until these services are ready.
    AwaitReady(&'a [&'a str]),
}

/// Shows the plan and stops there, when nothing may be changed; returns whether it did.
pub fn shown_only(session: &Session, instance: &Instance, plan: &Plan) -> bool {
    if session.dry_run {
        show_plan(session, instance, plan, &[]);
    }
    session.dry_run
}

/// Shows a plan as the answer, with the services that do not do their work.
pub fn show_plan(
    session: &Session,
    instance: &Instance,
    plan: &Plan,
    shortcomings: &[(String, String)],
) {
    if session.ui.is_json() {
        let data = crate::ui::plan::value(plan, shortcomings);
        session
            .ui
            .document("toolkit.plan/v1", &data, &instance.warnings);
    } else {
        let style = session.ui.answer_style();
        session
            .ui
            .answer(&crate::ui::plan::view(plan, shortcomings, style));
    }
}

/// The services that a request is about, that should do their work and do not, with the reason.
#[must_use]
pub fn shortcomings(
    deployment: &Deployment,
    observed: &Observed,
    request: &UpRequest,
) -> Vec<(String, String)> {
    let chosen = plan::chosen(deployment, request);
    let mut found = observed.shortcomings(&deployment.project);
    found.retain(|(service, _)| chosen.contains(service.as_str()));
    found
}

/// A plan that is to be carried out, with what it was made from.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The command.
    pub command: &'a str,
    /// The plan.
    pub plan: &'a Plan,
    /// What was there when it was made.
    pub observed: &'a Observed,
    /// What follows.
    pub then: Then<'a>,
    /// How much of the deployment it makes true.
    pub applies: Applies,
    /// Checks that failed and that the operator passes.
    pub ignored: &'a [Ignored],
}

impl<'a> Task<'a> {
    /// A task that concerns a part of the deployment, and after which nothing follows.
    #[must_use]
    pub fn new(command: &'a str, plan: &'a Plan, observed: &'a Observed) -> Self {
        Self {
            command,
            plan,
            observed,
            then: Then::Return,
            applies: Applies::Part,
            ignored: &[],
        }
    }
}

/// Everything about an instance, with what earlier operations left behind.
///
/// # Errors
/// The engine cannot be asked, or the journal cannot be read.
pub async fn observe(engine: &impl Stock, instance: &Instance) -> Result<Observed, CommandError> {
    with_left_behind(
        instance,
        observe::everything(engine, &instance.deployment).await?,
    )
}

/// As [`observe()`], as far as it matters to some services: see [`observe::concerning`].
///
/// # Errors
/// As of [`observe()`].
pub async fn observe_concerning(
    engine: &impl Stock,
    instance: &Instance,
    services: &BTreeSet<&str>,
) -> Result<Observed, CommandError> {
    with_left_behind(
        instance,
        observe::concerning(engine, &instance.deployment, services).await?,
    )
}

fn with_left_behind(instance: &Instance, mut observed: Observed) -> Result<Observed, CommandError> {
    let left_behind = journal::left_behind(&super::state_folder(&instance.root))?.into_iter();
    observed.left_behind = left_behind
        .map(|held| ((held.service, held.number), held.volumes))
        .collect();
    know_earlier(instance, &mut observed);
    Ok(observed)
}

/// Looks up what was last applied, where no container of now tells what the engine fills in.
pub fn know_earlier(instance: &Instance, observed: &mut Observed) {
    let is_known = plan::difference::is_known_what_is_filled_in(&instance.deployment, observed);
    if !observed.containers.is_empty()
        && !is_known
        && let Ok(Some(applied)) = applied::load(&super::state_folder(&instance.root))
    {
        observed.earlier = observe::of_earlier(&applied.project);
    }
}

/// Carries a plan out under the eyes of the operator, with journal and history; gives the services
/// that it waited for in vain and that others can do without.
///
/// # Errors
/// A step fails, a service does not become ready, the operator stops the work, or the journal cannot
/// be written.
pub async fn carry_out(
    session: &Session,
    instance: &Instance,
    engine: &impl Engine,
    task: Task<'_>,
) -> Result<Vec<String>, CommandError> {
    let running = operation::begin(session, instance, &task)?;
    let outcome = work(session, instance, engine, task, running.journal.as_ref()).await;
    running.finish(session, task.ignored, outcome)
}

/// Carries a plan out under the eyes of the operator, as a part of an operation; gives what
/// [`carry_out`] gives.
pub(super) async fn work(
    session: &Session,
    instance: &Instance,
    engine: &impl Engine,
    task: Task<'_>,
    journal: Option<&Journal>,
) -> Result<Vec<String>, CommandError> {
    let interrupt = Interrupt::listen()
        .map_err(|error| anyhow::Error::new(error).context("signals cannot be handled"))?;
    // From here on the work itself answers the first Ctrl-C, at its next safe point.
    session.works.store(true, Ordering::Relaxed);
    let watch = session.ui.watch(task.command, super::now);
    let reporter = |event| {
        if let (Some(told), Event::StepStarted { title, .. }) = (session.told.get(), &event) {
            // Where the disk is full, the journal says so before anything is changed.
            let _ = told.step(title);
        }
        watch.show(&event);
    };
    let state = super::state_folder(&instance.root);
    let deployment = site::keeping_closed(&instance.deployment, &state)?;
    let work = Work {
        engine,
        deployment: &deployment,
        reporter: &reporter,
        interrupt: &interrupt,
        patience: session.timeout,
        program: &instance.program,
        journal,
    };
    let outcome = match (work.apply(task.plan).await, task.then) {
        (Ok(()), Then::AwaitReady(services)) => work.await_ready(services).await,
        (outcome, _) => outcome.map(|()| Vec::new()),
    };
    watch.finish();
    Ok(outcome?)
}

/// As [`lock`], but not for a run that changes nothing.
///
/// # Errors
/// Another run holds the lock.
pub async fn lock_unless_dry(
    session: &Session,
    root: &Path,
    command: &str,
) -> Result<Option<Lock>, CommandError> {
    if session.dry_run {
        Ok(None)
    } else {
        lock(session, root, command).await.map(Some)
    }
}

/// The services that were named, or all, in start order.
#[must_use]
pub fn wanted<'a>(instance: &'a Instance, services: &[String]) -> Vec<&'a str> {
    let order = instance.deployment.project.start_order();
    let is_wanted =
        |name: &&str| services.is_empty() || services.iter().any(|wanted| wanted == name);
    order.into_iter().filter(is_wanted).collect()
}

/// The services that were named, or all, with all that they depend on, in start order.
#[must_use]
pub fn wanted_with_needs<'a>(instance: &'a Instance, services: &[String]) -> Vec<&'a str> {
    let project = &instance.deployment.project;
    let needed = project.with_needs(wanted(instance, services));
    let order = project.start_order().into_iter();
    order.filter(|service| needed.contains(service)).collect()
}

/// Refuses an `up` that needs an image which may not be pulled.
///
/// # Errors
/// An image is missing, and the pull policy is "never".
pub fn may_pull(
    deployment: &Deployment,
    observed: &Observed,
    request: &UpRequest,
) -> Result<(), CommandError> {
    let refused = plan::pull::refused(deployment, observed, request);
    let Some((service, image)) = refused.first() else {
        return Ok(());
    };
    let message = format!("image `{image}` is missing and may not be pulled");
    Err(CommandError::new("IMAGE_MISSING", exit::CHECK, message)
        .because(format!(
            "`{service}` needs it, and its pull policy is never"
        ))
        .state("nothing was changed")
        .fix("load it with `docker load`, or allow it with `--pull missing`"))
}

/// Says how a command ended.
pub fn conclude(session: &Session, instance: &Instance, operation: &str, plan: &Plan, text: &str) {
    if session.ui.is_json() {
        let data = serde_json::json!({ "changed": !plan.is_empty() });
        session.ui.document(
            &format!("toolkit.{operation}/v1"),
            &data,
            &instance.warnings,
        );
    } else {
        let text = if plan.is_empty() {
            "nothing to do"
        } else {
            text
        };
        session
            .ui
            .say(&format!("{} {text}", session.ui.style().done()));
    }
}
