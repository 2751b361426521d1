//! The state of an instance as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::words::{self, Style};
use crate::deployment::Deployment;
use crate::diagnosis;
use crate::labels;
use crate::observed::{Container, ContainerState, Health, Observed};
use crate::plan;

/// One line of the table.
struct Row {
    service: String,
    container: String,
    state: String,
    ready: String,
    since: String,
    image: String,
}

/// The state for people.
#[must_use]
pub fn view(
    deployment: &Deployment,
    observed: &Observed,
    now: OffsetDateTime,
    style: Style,
) -> String {
    let bundled = if deployment.bundled_images.is_empty() {
        String::new()
    } else {
        ", bundled servers instead of the Overleaf images".to_owned()
    };
    let mut text = format!(
        "{} {} as project `{}`{bundled}\n",
        deployment.edition, deployment.version, deployment.project.name
    );
    for url in &deployment.urls {
        text.push_str(&format!("{url}\n"));
    }
    text.push('\n');
    text.push_str(&table_of(deployment, observed, now, style));
    text.push_str(&not_working(deployment, observed));
    for orphan in plan::orphans(deployment, observed) {
        text.push_str(&format!(
            "container `{}` is not part of the configuration any more; `toolkit up --remove-orphans` removes it\n",
            orphan.name
        ));
    }
    if let Some(other) = &observed.other_instance {
        text.push_str(&format!(
            "these containers belong to another instance: `{other}`\n"
        ));
    }
    text
}

/// One line for each service that should do its work and does not.
fn not_working(deployment: &Deployment, observed: &Observed) -> String {
    let shortcomings = observed.shortcomings(&deployment.project);
    let lines = shortcomings.into_iter().map(|(service, because)| {
        let repair = match (
            observed.lost_network(&service),
            observed.container(&service),
        ) {
            (Some(_), _) => "; `toolkit up` makes it anew",
            (None, Some(container)) if container.state.is_running() => "",
            _ => "; `toolkit up` starts it",
        };
        format!("service `{service}` does not do its work: {because}{repair}\n")
    });
    lines.collect()
}

/// The services for people, one line each.
#[must_use]
pub fn table_of(
    deployment: &Deployment,
    observed: &Observed,
    now: OffsetDateTime,
    style: Style,
) -> String {
    let rows: Vec<Row> = deployment
        .project
        .start_order()
        .into_iter()
        .map(|service| row(deployment, observed, service, now))
        .collect();
    table(&rows, style)
}

fn row(deployment: &Deployment, observed: &Observed, service: &str, now: OffsetDateTime) -> Row {
    let container = observed.container(service);
    Row {
        service: service.to_owned(),
        container: deployment.project.container_name(service),
        state: container.map_or_else(|| "missing".to_owned(), |found| state(found.state)),
        ready: ready(observed, service),
        since: container.map_or_else(String::new, |found| since(found, now)),
        image: container.map_or_else(String::new, |found| found.image.clone()),
    }
}

fn state(state: ContainerState) -> String {
    match state {
        ContainerState::Created => "created".to_owned(),
        ContainerState::Running => "running".to_owned(),
        ContainerState::Paused => "paused".to_owned(),
        ContainerState::Restarting { exit_code } => {
            format!(
                "restarting after exit code {}",
                diagnosis::decode(exit_code)
            )
        }
        ContainerState::Exited { exit_code } => {
            format!("stopped with exit code {}", diagnosis::decode(exit_code))
        }
        ContainerState::Broken => "broken".to_owned(),
    }
}

fn ready(observed: &Observed, service: &str) -> String {
    let Some(container) = observed.container(service) else {
        return String::new();
    };
    if !container.state.is_running() {
        // The column before says why.
        return "no".to_owned();
    }
    match observed.shortcoming(service) {
        Some(because) => format!("no: {because}"),
        None if is_shown_ready(observed, service) => "yes".to_owned(),
        None => "unknown: it has no probe".to_owned(),
    }
}

/// Whether something has shown that a service does its work: its probe or its health check.
fn is_shown_ready(observed: &Observed, service: &str) -> bool {
    let health = observed.container(service).and_then(|found| found.health);
    let is_asked = health == Some(Health::Healthy) || observed.readiness.contains_key(service);
    is_asked && observed.shortcoming(service).is_none()
}

fn since(container: &Container, now: OffsetDateTime) -> String {
    if !container.state.is_running() {
        return String::new();
    }
    let started = OffsetDateTime::parse(&container.started_at, &Rfc3339);
    let age = started
        .map(|started| now - started)
        .ok()
        .and_then(|age| Duration::try_from(age).ok());
    age.map(words::duration).unwrap_or_default()
}

fn table(rows: &[Row], style: Style) -> String {
    let head = ["SERVICE", "CONTAINER", "STATE", "READY", "UP", "IMAGE"];
    let cells: Vec<[&str; 6]> = rows
        .iter()
        .map(|row| {
            [
                &*row.service,
                &*row.container,
                &*row.state,
                &*row.ready,
                &*row.since,
                &*row.image,
            ]
        })
        .collect();
    let width = |column: usize| {
        let content = cells
            .iter()
            .filter_map(|cells| cells.get(column))
            .map(|cell| cell.chars().count());
        content
            .chain(head.get(column).map(|name| name.len()))
            .max()
            .unwrap_or(0)
    };
    let line = |cells: &[&str; 6]| {
        let padded = cells.iter().enumerate().map(|(column, cell)| {
            let gap = width(column).saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(gap))
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = format!("{}\n", style.dim(&line(&head)));
    for cells in &cells {
        text.push_str(&line(cells));
        text.push('\n');
    }
    text
}

/// The state for machines.
#[must_use]
pub fn value(deployment: &Deployment, observed: &Observed) -> Value {
    let services: Vec<Value> = deployment
        .project
        .start_order()
        .into_iter()
        .map(|service| {
            let container = observed.container(service);
            json!({
                "service": service,
                "container": deployment.project.container_name(service),
                "state": container.map_or("missing", |found| word(found.state)),
                "exit_code": container.and_then(|found| exit_code(found.state)),
                "health": container.and_then(|found| found.health).map(|health| match health {
                    Health::Starting => "starting",
                    Health::Healthy => "healthy",
                    Health::Unhealthy => "unhealthy",
                }),
                "ready": is_shown_ready(observed, service),
                "reason": observed.shortcoming(service),
                "restarts": container.map(|found| found.restarts),
                "started_at": container.map(|found| &found.started_at),
                "image": container.map(|found| &found.image),
                "bundled": container.is_some_and(|found| found.labels.contains_key(labels::BUNDLED)),
            })
        })
        .collect();
    let orphans: Vec<&str> = plan::orphans(deployment, observed)
        .into_iter()
        .map(|found| found.name.as_str())
        .collect();
    json!({
        "project": deployment.project.name,
        "edition": deployment.edition.id(),
        "version": deployment.version.to_string(),
        "bundled": !deployment.bundled_images.is_empty(),
        "urls": deployment.urls,
        "services": services,
        "not_working": observed
            .shortcomings(&deployment.project)
            .into_iter()
            .map(|(service, reason)| json!({ "service": service, "reason": reason }))
            .collect::<Vec<_>>(),
        "orphans": orphans,
        "other_instance": observed.other_instance,
    })
}

fn word(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting { .. } => "restarting",
        ContainerState::Exited { .. } => "exited",
        ContainerState::Broken => "broken",
    }
}

fn exit_code(state: ContainerState) -> Option<i64> {
    match state {
        ContainerState::Restarting { exit_code } | ContainerState::Exited { exit_code } => {
            Some(exit_code)
        }
        _ => None,
    }
}
