//! `toolkit docker-compose`: Docker Compose with the definitions of the instance, or what answers in
//! its place where it is not installed.

use std::collections::BTreeMap;
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
use crate::engine::stock::Stock;
use crate::host;
use crate::host::durable;
use crate::host::program::{self, Program};
use crate::observe;
use crate::observed::{Container, Observed};
use crate::plan;
use crate::ui::containers::{self, Line};
use crate::ui::words;

/// How long Docker Compose may take to tell its version.
const DEADLINE: Duration = Duration::from_secs(10);

/// The oldest major version that reads the definitions.
const OLDEST: u64 = 2;

/// Where the definitions are written for it, in the state folder.
const FILE: &str = "compose.yaml";

/// Characters of a command that are shown.
const COMMAND_WIDTH: usize = 20;

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
    Ps(PsArgs),
    Top {
        services: Vec<String>,
    },
    Rm {
        #[arg(long)]
        force: bool,
        #[arg(long)]
        stop: bool,
        services: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct PsArgs {
    #[arg(long)]
    all: bool,
    #[arg(long)]
    quiet: bool,
    #[arg(long = "services")]
    names_services: bool,
    #[arg(long)]
    no_trunc: bool,
    services: Vec<String>,
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
        if !matches!(error, Untranslated::NoValue { .. }) {
            let known = words::list(&table.names());
            refusal = refusal.because(format!("answered without it: {known}"));
        }
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
    let project = standalone::project(&instance.deployment);
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

async fn answer(own: &Own, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let (Own::Ps(PsArgs { services, .. }) | Own::Top { services } | Own::Rm { services, .. }) = own;
    instance::known(&instance, services)?;
    let engine = instance::engine(session, &instance.root).await?;
    match own {
        Own::Ps(args) => ps(args, session, &instance, &engine).await?,
        Own::Top { services } => top(services, session, &instance, &engine).await?,
        Own::Rm {
            force,
            stop,
            services,
        } => {
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

async fn ps(
    args: &PsArgs,
    session: &Session,
    instance: &Instance,
    engine: &impl Stock,
) -> Result<(), CommandError> {
    let project = &instance.deployment.project.name;
    let (mut found, listed) = futures_util::try_join!(
        engine.project_containers(project),
        engine.listed_containers(false)
    )?;
    found.retain(|found| is_meant(found, &args.services) && (args.all || found.state.is_running()));
    if args.quiet || args.names_services {
        let mut lines: Vec<&str> = found
            .iter()
            .map(|found| match args.names_services {
                true => found.service.as_str(),
                false => found.id.as_str(),
            })
            .collect();
        lines.dedup();
        let lines = lines.into_iter().map(|line| format!("{line}\n"));
        session.ui.answer(&lines.collect::<String>());
        return Ok(());
    }
    let now = host::now().unix_timestamp();
    let listed: BTreeMap<&str, _> = listed.iter().map(|one| (one.id.as_str(), one)).collect();
    let lines = found.iter().map(|found| {
        let listed = listed.get(found.id.as_str());
        let age = listed.map(|listed| u64::try_from(now - listed.created).unwrap_or(0));
        let age = age.map(|age| format!("{} ago", words::duration(Duration::from_secs(age))));
        Line {
            name: found.name.clone(),
            image: found.image.clone(),
            command: command(found, args.no_trunc),
            service: found.service.clone(),
            created: age.unwrap_or_default(),
            status: listed.map_or_else(String::new, |listed| listed.status.clone()),
            ports: ports(found),
        }
    });
    let lines: Vec<Line> = lines.collect();
    session.ui.answer(&containers::list(&lines));
    Ok(())
}

/// What a container runs, as far as its definition says; the rest is in its image.
fn command(container: &Container, is_whole: bool) -> String {
    let parts = ["entrypoint", "command"].into_iter();
    let parts = parts.filter_map(|key| container.made.0.get(key)?.as_array());
    let words: Vec<&str> = parts
        .flatten()
        .filter_map(serde_json::Value::as_str)
        .collect();
    if words.is_empty() {
        return String::new();
    }
    let text = words.join(" ");
    match text.char_indices().nth(COMMAND_WIDTH - 1) {
        Some((at, _)) if !is_whole => format!("\"{}…\"", text.get(..at).unwrap_or_default()),
        _ => format!("\"{text}\""),
    }
}

fn ports(container: &Container) -> String {
    let ports = container.ports.iter().map(|port| {
        let address = match port.host_ip.as_str() {
            "" => "0.0.0.0",
            address => address,
        };
        format!(
            "{address}:{}->{}/{}",
            port.host_port, port.target, port.protocol
        )
    });
    ports.collect::<Vec<_>>().join(", ")
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
