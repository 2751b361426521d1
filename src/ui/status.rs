//! An instance on one screen, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::report;
use super::words::{self, Style};
use crate::deployment::Deployment;
use crate::diagnosis;
use crate::labels;
use crate::observed::{Container, ContainerState, Health, Observed, lack};
use crate::plan;
use crate::report::Report;

/// One line of the table: a container, or one that is missing.
struct Row {
    service: String,
    container: String,
    state: String,
    health: String,
    ready: String,
    restarts: String,
    since: String,
    image: String,
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            self.service.clone(),
            self.container.clone(),
            self.state.clone(),
            self.health.clone(),
            self.ready.clone(),
            self.restarts.clone(),
            self.since.clone(),
            self.image.clone(),
        ]
    }
}

/// The names of the columns.
const HEAD: [&str; 8] = [
    "SERVICE",
    "CONTAINER",
    "STATE",
    "HEALTH",
    "READY",
    "RESTARTS",
    "UP",
    "IMAGE",
];

/// The whole for people.
#[must_use]
pub fn view(
    deployment: &Deployment,
    observed: &Observed,
    report: &Report,
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
    text.push('\n');
    text.push_str(&report::view(report, &deployment.root, now, style));
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
            (Some(_), _) => "; `toolkit up` mends it",
            (None, Some(container)) if container.state == ContainerState::Paused => {
                "; `toolkit up` lets it go on"
            }
            (None, Some(container)) if container.state.is_running() => "",
            _ => "; `toolkit up` starts it",
        };
        format!("service `{service}` does not do its work: {because}{repair}\n")
    });
    lines.collect()
}

/// The containers for people, one line each.
#[must_use]
pub fn table_of(
    deployment: &Deployment,
    observed: &Observed,
    now: OffsetDateTime,
    style: Style,
) -> String {
    let rows: Vec<Row> = all(deployment, observed)
        .into_iter()
        .map(|place| row(&place, now))
        .collect();
    table(&rows, style)
}

/// A place for a container in the deployment.
struct Place<'a> {
    service: &'a str,
    name: String,
    container: Option<&'a Container>,
    /// Why it does not do its work.
    lack: Option<String>,
    /// Whether something has shown that it does its work: its probe or its health check.
    is_shown_ready: bool,
    /// Whether it is a task that has come to its end.
    is_done: bool,
}

impl Place<'_> {
    /// Whether the service is to have no container, and has none.
    fn is_to_be_none(&self) -> bool {
        self.container.is_none() && self.lack.is_none()
    }
}

/// All places in start order: the containers there are, and those that should be. A service that
/// has none and needs none still has one place. Behind them, what there is of inactive profiles.
fn all<'a>(deployment: &'a Deployment, observed: &'a Observed) -> Vec<Place<'a>> {
    let project = &deployment.project;
    let mut places = Vec::new();
    let inactive = deployment.inactive.keys().map(String::as_str);
    for service in project.start_order().into_iter().chain(inactive) {
        let found = observed.containers_of(service);
        for (position, container) in found.iter().enumerate() {
            // The probe asks the first one.
            let readiness = observed.readiness.get(service).filter(|_| position == 0);
            let lost = observed.without_network(project, container);
            let is_done = container.is_done(project);
            let lack = lack::of(container, lost.as_deref(), readiness).filter(|_| !is_done);
            let is_asked =
                is_done || container.health == Some(Health::Healthy) || readiness.is_some();
            places.push(Place {
                service,
                name: container.name.clone(),
                container: Some(container),
                is_shown_ready: is_asked && lack.is_none(),
                is_done,
                lack: lack.map(|lack| lack.because),
            });
        }
        let is_there = |number: u32| found.iter().any(|found| found.number() == number);
        let wanted = match project.services.contains_key(service) {
            true => project.scale(service).max(u32::from(found.is_empty())),
            false => 0,
        };
        for number in (1..=wanted).filter(|number| !is_there(*number)) {
            places.push(Place {
                service,
                name: project.numbered_name(service, number),
                container: None,
                lack: (project.scale(service) > 0).then(|| "it does not exist".to_owned()),
                is_shown_ready: false,
                is_done: false,
            });
        }
    }
    places
}

fn row(place: &Place<'_>, now: OffsetDateTime) -> Row {
    let container = place.container;
    let of = |text: &dyn Fn(&Container) -> String| container.map(text).unwrap_or_default();
    Row {
        service: place.service.to_owned(),
        container: place.name.clone(),
        state: match container {
            Some(found) => state(found.state),
            None if place.is_to_be_none() => "none, as configured".to_owned(),
            None => "missing".to_owned(),
        },
        health: of(&|found| match found.state.is_running() {
            true => health(found.health).unwrap_or("none").to_owned(),
            // What the last check said counts no more.
            false => String::new(),
        }),
        ready: of(&|found| ready(found, place)),
        restarts: of(&|found| found.restarts.to_string()),
        since: of(&|found| since(found, now)),
        image: of(&|found| found.image.clone()),
    }
}

fn health(health: Option<Health>) -> Option<&'static str> {
    health.map(|health| match health {
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    })
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

fn ready(container: &Container, place: &Place<'_>) -> String {
    if place.is_shown_ready {
        return "yes".to_owned();
    }
    if !container.state.is_running() {
        // The column of the state says why.
        return "no".to_owned();
    }
    match &place.lack {
        Some(because) => format!("no: {because}"),
        None => "unknown: it has no probe".to_owned(),
    }
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
    let mut cells = vec![HEAD.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(Row::cells));
    let text = words::columns(&cells, "  ");
    match text.split_once('\n') {
        Some((head, rows)) => format!("{}\n{rows}", style.dim(head)),
        None => text,
    }
}

/// The whole for machines.
#[must_use]
pub fn value(
    deployment: &Deployment,
    observed: &Observed,
    report: &Report,
    now: OffsetDateTime,
) -> Value {
    let places = all(deployment, observed);
    let is_there = |name: &&String| observed.container(name).is_some();
    let inactive = deployment.inactive.keys().filter(is_there);
    let services: Vec<Value> = deployment
        .project
        .start_order()
        .into_iter()
        .chain(inactive.map(String::as_str))
        .map(|service| service_value(deployment, observed, &places, service))
        .collect();
    let orphans: Vec<&str> = plan::orphans(deployment, observed)
        .into_iter()
        .map(|found| found.name.as_str())
        .collect();
    let mut value = json!({
        "at": now.to_offset(UtcOffset::UTC).truncate_to_second().format(&Rfc3339).ok(),
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
    });
    if let Some(value) = value.as_object_mut() {
        value.extend(report::fields(report, now));
    }
    value
}

/// A service with its first container, and below `containers` with all.
fn service_value(
    deployment: &Deployment,
    observed: &Observed,
    places: &[Place<'_>],
    service: &str,
) -> Value {
    let own: Vec<&Place<'_>> = places
        .iter()
        .filter(|place| place.service == service)
        .collect();
    let mut value = json!({ "service": service });
    let first = own.first().map(|first| place_value(first));
    if let (Some(value), Some(Value::Object(first))) = (value.as_object_mut(), first) {
        value.extend(first);
        // The name under which the first one is known, also where only others are left.
        let name = deployment.project.container_name(service);
        value.insert("container".to_owned(), name.into());
        let mut places = own.iter();
        let is_well = places.all(|place| place.is_done || place.is_to_be_none());
        let reason = observed.shortcoming(service).filter(|_| !is_well);
        value.insert("reason".to_owned(), reason.into());
        let all = own.iter().map(|place| place_value(place));
        value.insert("containers".to_owned(), all.collect());
    }
    value
}

fn place_value(place: &Place<'_>) -> Value {
    let container = place.container;
    json!({
        "container": place.name,
        "state": match container {
            Some(found) => word(found.state),
            None if place.is_to_be_none() => "none",
            None => "missing",
        },
        "exit_code": container.and_then(|found| exit_code(found.state)),
        "health": container.and_then(|found| health(found.health)),
        // Nobody can tell of one that runs and has neither a probe nor a health check.
        "ready": match container {
            Some(_) if place.lack.is_none() && !place.is_shown_ready => None,
            _ => Some(place.is_shown_ready),
        },
        "reason": place.lack,
        "restarts": container.map(|found| found.restarts),
        "started_at": container.map(|found| &found.started_at),
        "image": container.map(|found| &found.image),
        "bundled": container.is_some_and(|found| found.labels.contains_key(labels::BUNDLED)),
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
