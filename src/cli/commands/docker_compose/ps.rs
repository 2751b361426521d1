//! `docker-compose ps`: the containers, in the columns and the fields of Docker Compose.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::super::super::instance::Instance;
use super::super::super::{Session, error::CommandError};
use super::is_meant;
use crate::engine::stock::{ListedContainer, Stock};
use crate::host;
use crate::observed::{Container, ContainerState, Health};
use crate::ui::containers::{self, Line};
use crate::ui::words;

/// Characters of a command that are shown.
const COMMAND_WIDTH: usize = 20;

/// Characters of an id that are shown.
const ID_WIDTH: usize = 12;

/// What is asked for, in the words that the rows give.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long)]
    all: bool,
    #[arg(long)]
    quiet: bool,
    #[arg(long = "services")]
    names_services: bool,
    #[arg(long)]
    no_trunc: bool,
    #[arg(long, value_enum, default_value = "table")]
    format: Form,
    pub(super) services: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    /// One object a line.
    Json,
}

/// Shows the containers.
pub(super) async fn show(
    args: &Args,
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
    let listed: BTreeMap<&str, _> = listed.iter().map(|one| (one.id.as_str(), one)).collect();
    let rows = found
        .iter()
        .map(|found| (found, listed.get(found.id.as_str()).copied()));
    if session.ui.is_json() {
        let rows: Vec<Value> = rows.map(|(found, of)| fields(found, of, args)).collect();
        let data = json!({ "containers": rows });
        let schema = "toolkit.docker-compose-ps/v1";
        session.ui.document(schema, &data, &instance.warnings);
    } else if args.quiet || args.names_services {
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
    } else if args.format == Form::Json {
        let lines = rows.map(|(found, of)| format!("{}\n", fields(found, of, args)));
        session.ui.answer(&lines.collect::<String>());
    } else {
        let lines: Vec<Line> = rows.map(|(found, of)| line(found, of, args)).collect();
        session.ui.answer(&containers::list(&lines));
    }
    Ok(())
}

fn line(found: &Container, listed: Option<&ListedContainer>, args: &Args) -> Line {
    Line {
        name: found.name.clone(),
        image: found.image.clone(),
        command: command(found, args.no_trunc),
        service: found.service.clone(),
        created: listed.map(age).unwrap_or_default(),
        status: listed.map_or_else(String::new, |listed| listed.status.clone()),
        ports: ports(found),
    }
}

/// A container in the fields that Docker Compose writes and the engine tells.
fn fields(found: &Container, listed: Option<&ListedContainer>, args: &Args) -> Value {
    let line = line(found, listed, args);
    let id = match args.no_trunc {
        true => found.id.as_str(),
        false => found.id.get(..ID_WIDTH).unwrap_or(&found.id),
    };
    let labels = found.labels.iter();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let publishers = found.ports.iter().map(|port| {
        json!({
            "URL": address(&port.host_ip),
            "TargetPort": port.target,
            "PublishedPort": port.host_port,
            "Protocol": port.protocol,
        })
    });
    let (state, exit_code) = match found.state {
        ContainerState::Created => ("created", 0),
        ContainerState::Running => ("running", 0),
        ContainerState::Paused => ("paused", 0),
        ContainerState::Restarting { exit_code } => ("restarting", exit_code),
        ContainerState::Exited { exit_code } => ("exited", exit_code),
        ContainerState::Broken => ("dead", 0),
    };
    let health = match found.health {
        Some(Health::Starting) => "starting",
        Some(Health::Healthy) => "healthy",
        Some(Health::Unhealthy) => "unhealthy",
        None => "",
    };
    json!({
        "Command": line.command,
        "CreatedAt": listed.map(created_at),
        "ExitCode": exit_code,
        "Health": health,
        "ID": id,
        "Image": line.image,
        "Labels": labels.join(","),
        "Name": line.name,
        "Names": line.name,
        "Ports": line.ports,
        "Project": found.project,
        "Publishers": publishers.collect::<Vec<_>>(),
        "RunningFor": line.created,
        "Service": line.service,
        "State": state,
        "Status": line.status,
    })
}

fn age(listed: &ListedContainer) -> String {
    let seconds = host::now().unix_timestamp() - listed.created;
    let age = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    format!("{} ago", words::duration(age))
}

fn created_at(listed: &ListedContainer) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] +0000 UTC");
    let at = OffsetDateTime::from_unix_timestamp(listed.created).ok();
    at.and_then(|at| at.format(form).ok()).unwrap_or_default()
}

/// What a container runs, as far as its definition says; the rest is in its image.
fn command(container: &Container, is_whole: bool) -> String {
    let parts = ["entrypoint", "command"].into_iter();
    let parts = parts.filter_map(|key| container.made.0.get(key)?.as_array());
    let words: Vec<&str> = parts.flatten().filter_map(Value::as_str).collect();
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
        format!(
            "{}:{}->{}/{}",
            address(&port.host_ip),
            port.host_port,
            port.target,
            port.protocol
        )
    });
    ports.collect::<Vec<_>>().join(", ")
}

fn address(host_ip: &str) -> &str {
    if host_ip.is_empty() {
        "0.0.0.0"
    } else {
        host_ip
    }
}
