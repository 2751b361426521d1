//! The containers that a command works in: there, and running where it needs that.

use super::instance::{self, Instance};
use super::{error::CommandError, exit};
use crate::engine::Engine;
use crate::observed::{Container, ContainerState, Observed};

/// The running container of a service; its first, unless a number is asked for.
///
/// # Errors
/// There is no such service, its container does not exist or does not run, or the engine fails.
pub async fn running(
    engine: &impl Engine,
    instance: &Instance,
    service: &str,
    number: Option<u32>,
) -> Result<Container, CommandError> {
    instance::known(instance, &[service.to_owned()])?;
    let project = &instance.deployment.project.name;
    let mut containers = engine.project_containers(project).await?;
    containers.retain(|container| container.service == service);
    containers.sort_by_key(Container::number);
    let mut fitting = containers
        .into_iter()
        .filter(|container| number.is_none_or(|number| container.number() == number));
    let Some(first) = fitting.next() else {
        let which = number.map_or_else(String::new, |number| format!(" number {number}"));
        return Err(CommandError::new(
            "NOT_RUNNING",
            exit::FAILED,
            format!("`{service}` has no container{which}"),
        )
        .state("nothing was changed")
        .command(format!("toolkit up {service}")));
    };
    // One that runs is as good as the first, unless that was asked for.
    let other = fitting.find(|other| other.state.is_running());
    match (&first.state, other) {
        (ContainerState::Running, _) => Ok(first),
        (_, Some(other)) => Ok(other),
        _ => Err(not_running(&first)),
    }
}

/// The first container of a service, whether it runs or not.
///
/// # Errors
/// There is no such service, it has no container, or the engine fails.
pub async fn existing(
    engine: &impl Engine,
    instance: &Instance,
    service: &str,
) -> Result<Container, CommandError> {
    instance::known(instance, &[service.to_owned()])?;
    let project = &instance.deployment.project.name;
    let mut containers = engine.project_containers(project).await?;
    containers.retain(|container| container.service == service);
    containers.sort_by_key(Container::number);
    let first = containers.into_iter().next();
    first.ok_or_else(|| {
        let message = format!("`{service}` has no container");
        CommandError::new("NO_CONTAINER", exit::FAILED, message)
            .state("nothing was changed")
            .command(format!("toolkit up {service}"))
    })
}

/// The error that a container does not run, with what it does instead and the way out.
#[must_use]
pub fn not_running(container: &Container) -> CommandError {
    let service = &container.service;
    let error = CommandError::new(
        "NOT_RUNNING",
        exit::FAILED,
        format!(
            "container `{}` of `{service}` is not running",
            container.name
        ),
    )
    .state("nothing was changed");
    match container.state {
        ContainerState::Paused => error
            .because("it is paused; `toolkit up` lets it go on")
            .command(format!("toolkit up {service}")),
        ContainerState::Restarting { exit_code } => error
            .because(format!(
                "it is started again and again after exit code {exit_code}"
            ))
            .command(format!("toolkit logs {service}")),
        ContainerState::Exited { exit_code } => error
            .because(format!("it has ended with exit code {exit_code}"))
            .command(format!("toolkit start {service}")),
        _ => error.command(format!("toolkit up {service}")),
    }
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
