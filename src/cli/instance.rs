//! Finds the instance, reads its configuration, and reaches the engine: what most commands begin
//! with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Session, error::CommandError, exit};
use crate::apply::Work;
use crate::bundled;
use crate::deployment::{self, Context, Deployment};
use crate::engine::Engine;
use crate::engine::docker::DockerEngine;
use crate::host;
use crate::host::interrupt::Interrupt;
use crate::host::lock::Lock;
use crate::observed::Observed;
use crate::plan::{Plan, obstacle};
use crate::release::Catalogue;
use crate::settings::problem::ProblemKind;
use crate::settings::{self, Settings, Sources};
use crate::ui::failure::problem_view;

/// An instance with its configuration.
#[derive(Debug)]
pub struct Instance {
    /// Its root folder.
    pub root: PathBuf,
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

/// As [`load`], for the instance at a known root.
///
/// # Errors
/// A file is missing or unreadable, or the configuration is wrong.
pub fn load_at(session: &Session, root: &Path) -> Result<Instance, CommandError> {
    let rc = read(root, settings::RC_FILE)?;
    let variables = read(root, settings::VARIABLES_FILE)?;
    let version = read(root, settings::VERSION_FILE)?;
    let sources = Sources {
        root,
        rc: &rc,
        variables: &variables,
        version: &version,
        environment: &super::environment,
        canonical: &host::canonical,
    };
    let line_of = |file: &Path, line: usize| {
        let text = [
            (settings::RC_FILE, &rc),
            (settings::VARIABLES_FILE, &variables),
        ]
        .into_iter()
        .find(|(name, _)| file.ends_with(name))
        .map(|(_, text)| text)?;
        text.lines()
            .nth(line.checked_sub(1)?)
            .map(ToOwned::to_owned)
    };
    let resolved = settings::resolve(&sources);
    let (settings, problems) = resolved.map_err(|error| match error {
        settings::SettingsError::Invalid(problems) => super::error::of_problems(problems, &line_of),
        other @ settings::SettingsError::Catalogue(_) => other.into(),
    })?;
    let mut warnings = Vec::new();
    for problem in problems
        .iter()
        .filter(|problem| problem.kind == ProblemKind::Warning)
    {
        warnings.push(problem.text.clone());
        if !session.ui.is_json() {
            let line = problem
                .place
                .as_ref()
                .and_then(|at| line_of(&at.file, at.line));
            session
                .ui
                .say(problem_view(problem, line.as_deref(), session.ui.style()).trim_end());
        }
    }
    refuse_override(root)?;
    let program = host::program()?;
    let bundled_tag = if settings.bundled {
        bundled::tag(&program)?
    } else {
        String::new()
    };
    let context = Context {
        bundled_tag,
        architecture: bundled::architecture().to_owned(),
    };
    let catalogue = Catalogue::load().map_err(deployment::DeploymentError::from)?;
    let deployment = deployment::make(&settings, &catalogue, &context)?;
    Ok(Instance {
        root: root.to_path_buf(),
        settings,
        deployment,
        program,
        warnings,
    })
}

/// An override file would change the definitions, and this version cannot merge it: better to stop
/// than to bring up something else than the operator wrote.
fn refuse_override(root: &Path) -> Result<(), CommandError> {
    let file = root.join("config/docker-compose.override.yml");
    if !host::exists(&file) {
        return Ok(());
    }
    Err(CommandError::new(
        "OVERRIDE_UNSUPPORTED",
        exit::CONFIGURATION,
        format!("`{}` cannot be used yet", file.display()),
    )
    .because("this version does not merge override files, and does not ignore what you wrote")
    .state("nothing was changed")
    .fix("move the file away if the deployment is right without it"))
}

fn read(root: &Path, name: &str) -> Result<String, CommandError> {
    let path = root.join(name);
    host::read_text(&path).map_err(|error| {
        if error.is_missing() {
            return CommandError::new(
                "CONFIG_MISSING",
                exit::CONFIGURATION,
                format!("`{}` does not exist", path.display()),
            )
            .state("nothing was changed")
            .command("toolkit init");
        }
        let mut error = CommandError::from(error);
        "CONFIG_UNREADABLE".clone_into(&mut error.failure.id);
        error.failure.exit_code = exit::CONFIGURATION;
        error
            .state("nothing was changed")
            .fix("run as the user who owns the configuration")
    })
}

/// Connects to the engine.
///
/// # Errors
/// No engine answers, or it may not be used.
pub async fn engine(session: &Session) -> Result<DockerEngine, CommandError> {
    Ok(DockerEngine::connect(session.docker_host.as_deref()).await?)
}

/// Takes the lock on the instance for a command that changes things.
///
/// # Errors
/// Another run holds it.
pub async fn lock(session: &Session, root: &Path, command: &str) -> Result<Lock, CommandError> {
    let state = super::state_folder(root);
    Ok(host::lock::take(&state, command, session.lock_wait).await?)
}

/// Stops with what stands in the way of an `up`, if anything does.
///
/// # Errors
/// Something stands in the way.
pub fn check(deployment: &Deployment, observed: &Observed) -> Result<(), CommandError> {
    let obstacles = obstacle::find(deployment, observed);
    if obstacles.is_empty() {
        Ok(())
    } else {
        Err(super::error::of_obstacles(&obstacles))
    }
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
pub fn shown_only(session: &Session, plan: &Plan) -> bool {
    if session.dry_run {
        show_plan(session, plan, &[]);
    }
    session.dry_run
}

/// Shows a plan as the answer.
pub fn show_plan(session: &Session, plan: &Plan, warnings: &[String]) {
    if session.ui.is_json() {
        session
            .ui
            .document("toolkit.plan/v1", &crate::ui::plan::value(plan), warnings);
    } else {
        session
            .ui
            .answer(&crate::ui::plan::view(plan, session.ui.answer_style()));
    }
}

/// Carries a plan out under the eyes of the operator.
///
/// # Errors
/// A step fails, a service does not become ready, or the operator stops the work.
pub async fn carry_out(
    session: &Session,
    operation: &str,
    instance: &Instance,
    engine: &impl Engine,
    plan: &Plan,
    then: Then<'_>,
) -> Result<(), CommandError> {
    let interrupt = Interrupt::listen()
        .map_err(|error| anyhow::Error::new(error).context("signals cannot be handled"))?;
    let watch = session.ui.watch(operation, super::now);
    let reporter = |event| watch.show(&event);
    let work = Work {
        engine,
        deployment: &instance.deployment,
        reporter: &reporter,
        interrupt: &interrupt,
        deadline: tokio::time::Instant::now() + session.timeout.max(Duration::from_secs(1)),
        program: &instance.program,
    };
    let mut outcome = work.apply(plan).await;
    if let (Ok(()), Then::AwaitReady(services)) = (&outcome, then) {
        outcome = work.await_ready(services).await;
    }
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

/// Refuses names that are no services of the instance, with the nearest one that is.
///
/// # Errors
/// A name is unknown.
pub fn known(instance: &Instance, services: &[String]) -> Result<(), CommandError> {
    let all = &instance.deployment.project.services;
    let Some(unknown) = services.iter().find(|name| !all.contains_key(*name)) else {
        return Ok(());
    };
    let names: Vec<String> = all.keys().map(|name| format!("`{name}`")).collect();
    let nearest = all
        .keys()
        .map(|name| (strsim::jaro_winkler(name, unknown), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity > SIMILAR);
    let error = CommandError::new(
        "UNKNOWN_SERVICE",
        exit::USAGE,
        format!("there is no service `{unknown}`"),
    )
    .because(format!(
        "the services are {}",
        crate::ui::words::list(&names)
    ))
    .state("nothing was changed");
    Err(match nearest {
        Some((_, nearest)) => error.fix(format!("did you mean `{nearest}`?")),
        None => error,
    })
}

/// Similarity from which a name counts as misspelt (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.75;

/// The services that were named, or all, in start order.
#[must_use]
pub fn wanted<'a>(instance: &'a Instance, services: &[String]) -> Vec<&'a str> {
    let order = instance.deployment.project.start_order();
    let is_wanted =
        |name: &&str| services.is_empty() || services.iter().any(|wanted| wanted == name);
    order.into_iter().filter(is_wanted).collect()
}

/// Refuses to start what was never created.
///
/// # Errors
/// A service has no container.
pub fn have_containers(observed: &Observed, services: &[&str]) -> Result<(), CommandError> {
    let missing = services
        .iter()
        .find(|service| observed.container(service).is_none());
    match missing {
        None => Ok(()),
        Some(service) => Err(CommandError::new(
            "NO_CONTAINER",
            exit::FAILED,
            format!("`{service}` has no container yet"),
        )
        .state("nothing was changed")
        .command("toolkit up")),
    }
}

/// Refuses to remove what another instance made under the same project name.
///
/// # Errors
/// The containers belong to another instance.
pub fn ours(instance: &Instance, observed: &Observed) -> Result<(), CommandError> {
    let obstacles = obstacle::find(&instance.deployment, observed);
    let foreign: Vec<_> = obstacles
        .into_iter()
        .filter(|found| found.id == "PROJECT_NAME_TAKEN")
        .collect();
    if foreign.is_empty() {
        Ok(())
    } else {
        Err(super::error::of_obstacles(&foreign))
    }
}

/// Says how a command ended.
pub fn conclude(session: &Session, operation: &str, plan: &Plan, text: &str) {
    if session.ui.is_json() {
        let data = serde_json::json!({ "changed": !plan.is_empty() });
        session
            .ui
            .document(&format!("toolkit.{operation}/v1"), &data, &[]);
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
