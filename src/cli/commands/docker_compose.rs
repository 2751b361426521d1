//! `toolkit docker-compose`: Docker Compose with the definitions of the instance, or what answers in
//! its place where it is not installed.

mod ps;

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use futures_util::future::try_join_all;

use super::super::docker_compose::{self, Untranslated};
use super::super::instance::{Instance, Task};
use super::super::question::confirm;
use super::super::unfinished::unfinished_gate;
use super::super::{Session, error::CommandError, exit, instance, preflight, state_folder, wait};
use crate::compose::canonical;
use crate::deployment::standalone;
use crate::engine::Engine;
use crate::engine::inside::Inside;
use crate::host;
use crate::host::durable;
use crate::host::program::{self, Program};
use crate::labels;
use crate::observe;
use crate::observed::{Container, Observed};
use crate::plan;
use crate::ui::containers;
use crate::ui::words;

/// How long Docker Compose may take to tell its version, and the engine what stands.
const DEADLINE: Duration = Duration::from_secs(10);

/// The oldest major version that reads the definitions.
const OLDEST: u64 = 2;

/// Where the definitions are written for it, in the state folder.
const FILE: &str = "compose.yaml";

/// Run Docker Compose with the definitions of this instance
///
/// Writes the definitions into .toolkit/compose.yaml, readable for this user only, and becomes
/// `docker compose` or `docker-compose` with the project's name and folder. Where neither is
/// installed in version 2 or later, answers ps, logs, exec, top, config, pull, up, down, stop,
/// start, restart and rm itself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit docker-compose ps\n  toolkit docker-compose logs -f --tail 20 sharelatex\n  toolkit docker-compose exec -T mongo mongosh --quiet --eval 'rs.status().ok'\n  bin/docker-compose up -d --force-recreate redis"
)]
pub struct Args {
    /// What Docker Compose is asked for, with its own flags
    #[arg(
        value_name = "ARGUMENTS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<String>,
}

/// What is answered here and has no command of this program.
#[derive(Debug, Parser)]
#[command(name = "docker-compose", disable_help_subcommand = true)]
enum Own {
    Ps(ps::Args),
    Top {
        services: Vec<String>,
    },
    Rm {
        #[arg(long)]
        volumes: bool,
        #[arg(long)]
        force: bool,
        #[arg(long)]
        stop: bool,
        services: Vec<String>,
    },
}

/// Becomes Docker Compose, or answers in its place.
///
/// # Errors
/// The configuration cannot be used, or something is asked for that only Docker Compose answers.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let (found, outdated) = wait(session, async { Ok(installed().await) })?;
    if let Some(found) = found {
        return hand_over(session, &found, &args.arguments);
    }
    let table = docker_compose::load().map_err(anyhow::Error::new)?;
    let translated = table.translate(&args.arguments).map_err(|error| {
        let mut refusal = CommandError::new("NO_DOCKER_COMPOSE", exit::USAGE, error.to_string());
        refusal = match outdated {
            Some(version) => refusal.because(format!(
                "Docker Compose {version} is installed, which is too old for the definitions"
            )),
            None => refusal.because("Docker Compose is not installed"),
        };
        refusal = match &error {
            Untranslated::NoValue { .. } => refusal,
            Untranslated::Refused { row, .. } => {
                let because = format!("without it, {}", row.because);
                refusal.because(because).fix(row.fix.clone())
            }
            _ => {
                let known = words::list(&table.names());
                refusal.because(format!("answered without it: {known}"))
            }
        };
        refusal
            .state("nothing was changed")
            .fix("install the Compose plugin of Docker (docker-compose-plugin)")
    })?;
    if !translated.own {
        return super::super::instead::run(&translated.words, session);
    }
    let typed = std::iter::once("docker-compose".to_owned()).chain(translated.words);
    let own = Own::try_parse_from(typed).map_err(|error| {
        let first = error.to_string();
        let first = first.lines().next().unwrap_or_default().to_owned();
        CommandError::new("USAGE", exit::USAGE, first)
    })?;
    wait(session, answer(&own, session))
}

/// The words that run Docker Compose, where one is installed that reads the definitions; else the
/// version of one that does not.
async fn installed() -> (Option<Vec<&'static str>>, Option<String>) {
    let mut outdated = None;
    for words in [vec!["docker", "compose"], vec!["docker-compose"]] {
        let Some((program, rest)) = words.split_first() else {
            continue;
        };
        let question = [rest, &["version", "--short"]].concat();
        let Some(version) = program::first_line(program, &question, DEADLINE).await else {
            continue;
        };
        let major = version.trim_start_matches('v').split('.').next();
        match major.and_then(|major| major.parse::<u64>().ok()) {
            Some(OLDEST..) => return (Some(words), None),
            Some(_) => outdated = Some(version),
            None => {}
        }
    }
    (None, outdated)
}

/// Writes the definitions and becomes Docker Compose.
fn hand_over(session: &Session, words: &[&str], typed: &[String]) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let state = state_folder(&instance.root);
    let there = wait(session, async { Ok(there(session, &instance).await) })?;
    let instance = instance::with_inactive(session, instance, &there, typed)?;
    let made = made_mongo(&instance, &there);
    let project = standalone::project_beside(&instance.deployment, made.as_deref());
    let yaml = canonical::yaml(&project).context("the definitions cannot be written as YAML")?;
    host::create_folder(&state, 0o700)?;
    let file = state.join(FILE);
    // Several may run at once, mostly with the same definitions.
    if host::read_text(&file).ok().as_deref() != Some(yaml.as_str()) {
        durable::put_private(&file, &yaml)?;
    }
    let Some((name, before)) = words.split_first() else {
        return Err(CommandError::new("BUG", exit::BUG, "no program was found"));
    };
    let mut arguments: Vec<OsString> = before.iter().map(OsString::from).collect();
    arguments.extend([
        "--project-name".into(),
        project.name.clone().into(),
        "--project-directory".into(),
        instance.root.clone().into(),
        "--file".into(),
        file.into(),
    ]);
    if session.dry_run {
        arguments.push("--dry-run".into());
    }
    arguments.extend(typed.iter().map(OsString::from));
    let endpoint = instance::endpoint(session, &instance.root)?;
    let refused = program::become_program(&Program {
        name: (*name).to_owned(),
        arguments,
        environment: vec![("DOCKER_HOST".to_owned(), endpoint)],
    });
    Err(refused.into())
}

/// The containers that stand there, where something depends on them. An engine that does not answer tells
/// of none: Docker Compose says so itself.
async fn there(session: &Session, instance: &Instance) -> Vec<Container> {
    let deployment = &instance.deployment;
    if deployment.replica_set.is_none() && deployment.inactive.is_empty() {
        return Vec::new();
    }
    let look = async {
        let engine = instance::engine(session, &instance.root).await.ok()?;
        let found = engine.project_containers(&deployment.project.name).await;
        found.ok()
    };
    let found = tokio::time::timeout(DEADLINE, look).await;
    found.ok().flatten().unwrap_or_default()
}

/// The hash of the definition that the mongo was made of which stands there, where it is one of a
/// replica set.
fn made_mongo(instance: &Instance, there: &[Container]) -> Option<String> {
    let set = instance.deployment.replica_set.as_ref()?;
    let mongo = there.iter().find(|found| found.service == set.service)?;
    mongo.labels.get(labels::CONFIG_HASH).cloned()
}

async fn answer(own: &Own, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let (Own::Ps(ps::Args { services, .. }) | Own::Top { services } | Own::Rm { services, .. }) =
        own;
    let instance = instance::naming(session, instance, services)?;
    let engine = instance::engine(session, &instance.root).await?;
    match own {
        Own::Ps(args) => ps::show(args, session, &instance, &engine).await?,
        Own::Top { services } => top(services, session, &instance, &engine).await?,
        Own::Rm {
            volumes,
            force,
            stop,
            services,
        } => {
            if *volumes {
                session.ui.warn(
                    "anonymous volumes stay: the next container of their service takes them over",
                );
            }
            let wish = Removal {
                asks: !force,
                stops: *stop,
                services,
            };
            remove(&wish, session, &instance, &engine).await?;
        }
    }
    Ok(exit::DONE)
}

fn is_meant(container: &Container, services: &[String]) -> bool {
    services.is_empty() || services.contains(&container.service)
}

async fn top(
    services: &[String],
    session: &Session,
    instance: &Instance,
    engine: &impl Inside,
) -> Result<(), CommandError> {
    let project = &instance.deployment.project.name;
    let mut found = engine.project_containers(project).await?;
    found.retain(|found| is_meant(found, services) && found.state.is_running());
    let asked = found.iter().map(|found| engine.processes(&found.id));
    let all = try_join_all(asked).await?;
    if session.ui.is_json() {
        let rows = found.iter().zip(&all).map(|(found, all)| {
            serde_json::json!({
                "name": found.name,
                "service": found.service,
                "titles": all.titles,
                "processes": all.rows,
            })
        });
        let data = serde_json::json!({ "containers": rows.collect::<Vec<_>>() });
        let schema = "toolkit.docker-compose-top/v1";
        session.ui.document(schema, &data, &instance.warnings);
        return Ok(());
    }
    let blocks = found
        .iter()
        .zip(&all)
        .map(|(found, all)| containers::processes(&found.name, &all.titles, &all.rows));
    session.ui.answer(&blocks.collect::<String>());
    Ok(())
}

/// What `rm` is asked for.
struct Removal<'a> {
    asks: bool,
    stops: bool,
    services: &'a [String],
}

/// Removes containers and leaves networks and all volumes.
async fn remove(
    wish: &Removal<'_>,
    session: &Session,
    instance: &Instance,
    engine: &impl Engine,
) -> Result<(), CommandError> {
    let _lock = instance::lock_unless_dry(session, &instance.root, "rm").await?;
    unfinished_gate(session, &instance.root, "rm")?;
    let project = &instance.deployment.project;
    let observed = observe::containers_and_networks(engine, &instance.root, project).await?;
    preflight::ours(instance, &observed)?;
    let mut meant = observed.containers.clone();
    meant.retain(|found| is_meant(found, wish.services) && (wish.stops || !found.state.may_run()));
    // Nothing but the containers goes.
    let going = Observed {
        containers: meant,
        ..Observed::default()
    };
    let plan = plan::down(project, &going);
    if instance::shown_only(session, instance, &plan) {
        return Ok(());
    }
    if wish.asks && !plan.is_empty() {
        let names = going.containers.iter();
        let names: Vec<String> = names.map(|found| format!("`{}`", found.name)).collect();
        confirm(session, &format!("Remove {}?", words::list(&names))).await?;
    }
    // The journal keeps all that stands: a rollback removes what was not there before.
    let task = Task::new("rm", &plan, &observed);
    instance::carry_out(session, instance, engine, task).await?;
    instance::conclude(session, instance, "rm", &plan, "removed; all data is kept");
    Ok(())
}
