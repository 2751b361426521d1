//! What has to happen to each container of the services that an `up` is about.

use std::collections::BTreeSet;

use super::UpRequest;
use super::difference;
use super::networks::Replaced;
use crate::deployment::Deployment;
use crate::observed::{Container, ContainerState, Observed};

/// What has to happen to one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    Start { cause: String },
    Restart { cause: String },
    Create { cause: String },
    Recreate { cause: String },
    Remove { cause: String },
}

impl Change {
    /// Whether a container comes that was not there.
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Recreate { .. })
    }

    /// Why, unless it is nothing.
    pub(super) fn cause(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Start { cause }
            | Self::Restart { cause }
            | Self::Create { cause }
            | Self::Recreate { cause }
            | Self::Remove { cause } => Some(cause),
        }
    }
}

/// One container of a service: one that exists, one that is to come, or both.
#[derive(Debug, Clone)]
pub(super) struct Piece<'a> {
    pub(super) service: &'a str,
    pub(super) number: u32,
    /// Name on the engine: that of the existing one, unless a new one takes its place.
    pub(super) name: String,
    pub(super) found: Option<&'a Container>,
    pub(super) change: Change,
}

/// What has to happen to the containers of the chosen services, in start order.
pub(super) fn all<'a>(
    deployment: &'a Deployment,
    observed: &'a Observed,
    request: &UpRequest,
    chosen: &BTreeSet<&'a str>,
    replaced: &[Replaced<'_>],
) -> Vec<Piece<'a>> {
    let project = &deployment.project;
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    for service in project.start_order() {
        let hosts = project.sharing(service);
        // The engine binds what is shared to one container, which is about to go.
        let host = pieces
            .iter()
            .find(|piece| hosts.contains(&piece.service) && piece.change.is_new())
            .map(|piece| piece.service);
        let started = pieces
            .iter()
            .find(|piece| {
                hosts.contains(&piece.service)
                    && matches!(piece.change, Change::Start { .. } | Change::Restart { .. })
            })
            .map(|piece| piece.service);
        // Docker Compose restarts it likewise, when the definition asks for it.
        let moved = pieces
            .iter()
            .find(|piece| is_disturbing(deployment, service, piece))
            .map(|piece| piece.service);
        if !chosen.contains(service) && host.or(started).is_none() {
            continue;
        }
        for mut piece in of_service(deployment, observed, request, service, replaced) {
            let is_untouched = matches!(
                piece.change,
                Change::Nothing | Change::Start { .. } | Change::Restart { .. }
            );
            let runs = piece.found.is_some_and(|found| found.state.is_running());
            if let (Some(host), true) = (host, is_untouched) {
                let cause = format!("it shares with `{host}`, whose container is new");
                piece.change = Change::Recreate { cause };
            } else if let (Some(host), true, Change::Nothing) = (started, runs, &piece.change) {
                // It holds the network of a container that has ended.
                let cause = format!("it shares with `{host}`, which starts");
                piece.change = Change::Restart { cause };
            } else if let (Some(moved), true, Change::Nothing) = (moved, runs, &piece.change) {
                let cause =
                    format!("`{moved}` is made anew, and it depends on that with `restart`");
                piece.change = Change::Restart { cause };
            }
            if piece.change.is_new() {
                piece.name = project.numbered_name(service, piece.number);
            }
            pieces.push(piece);
        }
    }
    pieces
}

/// Whether what happens to a container makes the service restart.
fn is_disturbing(deployment: &Deployment, service: &str, piece: &Piece<'_>) -> bool {
    let is_moved = matches!(
        piece.change,
        Change::Recreate { .. } | Change::Restart { .. }
    );
    is_moved && {
        let definition = deployment.project.services.get(service);
        let need = definition.and_then(|found| found.depends_on.get(piece.service));
        need.is_some_and(|need| need.restart)
    }
}

fn of_service<'a>(
    deployment: &'a Deployment,
    observed: &'a Observed,
    request: &UpRequest,
    service: &'a str,
    replaced: &[Replaced<'_>],
) -> Vec<Piece<'a>> {
    let project = &deployment.project;
    let scale = project.scale(service);
    let existing = observed.containers_of(service);
    let kept = existing
        .len()
        .min(usize::try_from(scale).unwrap_or(usize::MAX));
    let (kept, surplus) = existing.split_at(kept);
    let mut pieces = Vec::new();
    for found in surplus {
        pieces.push(Piece {
            service,
            number: found.number(),
            name: found.name.clone(),
            found: Some(found),
            change: Change::Remove {
                cause: format!("scale: {} → {scale}", existing.len()),
            },
        });
    }
    for found in kept {
        pieces.push(Piece {
            service,
            number: found.number(),
            name: found.name.clone(),
            found: Some(found),
            change: of_container(deployment, observed, request, found, replaced),
        });
    }
    let taken: BTreeSet<u32> = kept.iter().map(|found| found.number()).collect();
    let lacking = usize::try_from(scale).unwrap_or(usize::MAX) - kept.len();
    for number in (1..).filter(|number| !taken.contains(number)).take(lacking) {
        pieces.push(Piece {
            service,
            number,
            name: project.numbered_name(service, number),
            found: None,
            change: Change::Create {
                cause: "it does not exist".to_owned(),
            },
        });
    }
    pieces.sort_by_key(|piece| piece.number);
    pieces
}

fn of_container(
    deployment: &Deployment,
    observed: &Observed,
    request: &UpRequest,
    container: &Container,
    replaced: &[Replaced<'_>],
) -> Change {
    let service = container.service.as_str();
    let Some(desired) = deployment.project.services.get(service) else {
        return Change::Nothing;
    };
    let mut causes = difference::causes(service, desired, container, observed, deployment);
    let networks = replaced.iter().filter(|network| network.holds(container));
    causes.extend(networks.flat_map(|network| network.causes.iter().cloned()));
    if !causes.is_empty() {
        let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let cause = causes.join(", ");
        return Change::Recreate { cause };
    }
    if let Some(cause) = container.lost_network(&deployment.project) {
        return Change::Recreate { cause };
    }
    let is_named = request.services.is_empty() || request.services.iter().any(|s| s == service);
    if request.force_recreate && is_named {
        return Change::Recreate {
            cause: "--force-recreate asks for it".to_owned(),
        };
    }
    match container.state {
        ContainerState::Running
            if let Some(cause) = observed.outlived_network(&deployment.project, container) =>
        {
            Change::Restart { cause }
        }
        // The engine itself starts a restarting one again; waiting for readiness shows what comes of it.
        ContainerState::Running | ContainerState::Restarting { .. } => Change::Nothing,
        ContainerState::Created => Change::Start {
            cause: "it was never started".to_owned(),
        },
        ContainerState::Paused => Change::Start {
            cause: "it is paused".to_owned(),
        },
        ContainerState::Exited { .. } if container.is_done(&deployment.project) => Change::Nothing,
        ContainerState::Exited { exit_code } => Change::Start {
            cause: format!("it is stopped (exit code {exit_code})"),
        },
        ContainerState::Broken => Change::Recreate {
            cause: "its removal failed earlier".to_owned(),
        },
    }
}
