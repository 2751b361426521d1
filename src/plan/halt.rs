//! The changes that stop and remove containers, those that depend on others first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::action::Action;
use super::draft::Draft;
use super::{DEFAULT_GRACE, Plan};
use crate::compose::Project;
use crate::labels;
use crate::observed::{Container, Observed};

/// How a container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It stops and stays.
    Stop,
    /// It stops and goes.
    Remove,
}

/// A container that is to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) container: &'a Container,
    pub(super) how: How,
    pub(super) cause: &'a str,
}

/// Services that a container needs: what its definition says, and what the definition said that it
/// was made from. A service may be gone from the configuration while its users still run.
fn needs<'a>(project: &'a Project, container: &'a Container) -> BTreeSet<&'a str> {
    let definition = project.services.get(&container.service);
    let configured = definition
        .into_iter()
        .flat_map(|found| found.depends_on.keys());
    let label = container.labels.get(labels::DEPENDS_ON);
    let made = label.map_or("", String::as_str).split(',');
    let made = made.filter_map(|entry| entry.split(':').next());
    let all = configured.map(String::as_str).chain(made);
    all.filter(|needed| !needed.is_empty() && *needed != container.service)
        .collect()
}

/// The order of ends in which each comes after those of its users. Needs that go in a circle, which
/// only definitions of different times can make, are cut where they close it.
fn order<'a>(project: &Project, ends: &[End<'a>]) -> Vec<(End<'a>, BTreeSet<String>)> {
    let start_order = project.start_order();
    let rank = |end: &End<'_>| {
        let service = &end.container.service;
        let at = start_order.iter().position(|name| name == service);
        at.map_or(0, |at| start_order.len() - at)
    };
    let mut left: Vec<End<'a>> = ends.to_vec();
    left.sort_by_key(|end| (rank(end), end.container.number(), &end.container.name));
    let mut ordered: Vec<(End<'a>, BTreeSet<String>)> = Vec::new();
    while !left.is_empty() {
        let is_free = |end: &End<'a>| {
            !left.iter().any(|other| {
                other.container.service != end.container.service
                    && needs(project, other.container).contains(end.container.service.as_str())
            })
        };
        let at = left.iter().position(is_free).unwrap_or(0);
        let end = left.remove(at);
        let service = end.container.service.as_str();
        let users = ordered.iter().filter(|(earlier, _)| {
            earlier.container.service != service
                && needs(project, earlier.container).contains(service)
        });
        let users = users.map(|(earlier, _)| earlier.container.name.clone());
        let users: BTreeSet<String> = users.collect();
        ordered.push((end, users));
    }
    ordered
}

/// How long a container gets to stop: as its definition says, or the one it was made from.
fn grace(project: &Project, container: &Container) -> Duration {
    let definition = project.services.get(&container.service);
    match definition {
        Some(definition) => definition
            .stop_grace_period
            .map_or(DEFAULT_GRACE, |period| period.0),
        None => container.stop_timeout.unwrap_or(DEFAULT_GRACE),
    }
}

/// Ends containers, each after those that depend on it and after `before`; gives the last step of
/// each by the name of the container.
pub(super) fn all(
    draft: &mut Draft,
    project: &Project,
    ends: &[End<'_>],
    before: &[usize],
) -> BTreeMap<String, usize> {
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for (end, users) in order(project, ends) {
        let End {
            container,
            how,
            cause,
        } = end;
        let (service, name) = (container.service.clone(), container.name.clone());
        let users = users.iter().filter_map(|user| done.get(user));
        let mut needs: Vec<usize> = before.iter().chain(users).copied().collect();
        let mut last = None;
        if container.state.may_run() || how == How::Stop {
            let action = Action::StopContainer {
                service: service.clone(),
                name: name.clone(),
                grace: grace(project, container),
            };
            let at = draft.push(action, cause, needs.iter().copied());
            needs = vec![at];
            last = Some(at);
        }
        if how == How::Remove {
            let action = Action::RemoveContainer {
                service,
                name: name.clone(),
            };
            last = Some(draft.push(action, cause, needs));
        }
        if let Some(last) = last {
            done.insert(name, last);
        }
    }
    done
}

/// As [`all`], with something between the last stop and the first removal: it is told the steps that it
/// has to come after, and gives those that the removals have to come after.
pub(super) fn all_around(
    draft: &mut Draft,
    project: &Project,
    ends: &[End<'_>],
    before: &[usize],
    between: impl FnOnce(&mut Draft, &[usize]) -> Vec<usize>,
) -> BTreeMap<String, usize> {
    let stops = ends
        .iter()
        .filter(|end| end.container.state.may_run() || end.how == How::Stop);
    let stops: Vec<End<'_>> = stops
        .map(|end| End {
            how: How::Stop,
            ..*end
        })
        .collect();
    let mut done = all(draft, project, &stops, before);
    let needs: Vec<usize> = before.iter().chain(done.values()).copied().collect();
    let between = between(draft, &needs);
    for (end, _) in order(project, ends) {
        if end.how != How::Remove {
            continue;
        }
        let (service, name) = (end.container.service.clone(), end.container.name.clone());
        let needs = between.iter().chain(done.get(&name)).copied();
        let needs: Vec<usize> = needs.collect();
        let action = Action::RemoveContainer {
            service,
            name: name.clone(),
        };
        let at = draft.push(action, end.cause, needs);
        done.insert(name, at);
    }
    done
}

/// The changes that stop the services, or all when none is named.
#[must_use]
pub fn stop(project: &Project, observed: &Observed, services: &[String]) -> Plan {
    let mut draft = Draft::default();
    let wanted = observed.containers.iter().filter(|container| {
        container.state.may_run() && (services.is_empty() || services.contains(&container.service))
    });
    let ends: Vec<End<'_>> = wanted
        .map(|container| asked(container, How::Stop))
        .collect();
    all(&mut draft, project, &ends, &[]);
    draft.finish()
}

/// An end that the operator asks for.
pub(super) fn asked(container: &Container, how: How) -> End<'_> {
    End {
        container,
        how,
        cause: "asked for",
    }
}

/// The changes that remove the containers and networks of the project; data on the host stays, and so
/// does a network in which somebody else runs.
#[must_use]
pub fn down(project: &Project, observed: &Observed) -> Plan {
    let mut draft = Draft::default();
    let containers = observed.containers.iter();
    let ends: Vec<End<'_>> = containers
        .map(|container| asked(container, How::Remove))
        .collect();
    let ends = all(&mut draft, project, &ends, &[]);
    let mut gone: Vec<usize> = ends.values().copied().collect();
    for stand_in in &observed.stand_ins {
        let action = Action::RemoveContainer {
            service: stand_in.service.clone(),
            name: stand_in.name.clone(),
        };
        gone.push(draft.push(action, "an interrupted run left it", []));
    }
    let own = project
        .networks
        .values()
        .filter(|network| !network.external);
    for network in own {
        for found in observed.networks.get(&network.name).into_iter().flatten() {
            let is_visited = observed.visitors.iter().any(|one| one.network == found.id);
            if found.is_of(project) && !is_visited {
                let action = Action::RemoveNetwork {
                    name: found.name.clone(),
                    id: found.id.clone(),
                };
                draft.push(action, "asked for", gone.iter().copied());
            }
        }
    }
    draft.finish()
}
