//! The changes that start containers, each after what it needs has been reached.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use super::action::Action;
use super::draft::Draft;
use super::halt::{self, End, How};
use crate::compose::{Condition, Project};
use crate::deployment::Deployment;
use crate::observed::{Container, ContainerState, Health, Observed, Readiness};

/// What a plan starts, and which waits it already holds.
pub(super) struct Starts<'a> {
    deployment: &'a Deployment,
    observed: &'a Observed,
    minds_needs: bool,
    started: BTreeMap<String, Vec<usize>>,
    names: BTreeMap<String, Vec<String>>,
    /// By service, condition, and whether the project cannot do without it.
    waits: BTreeMap<(String, &'static str, bool), Vec<usize>>,
    initiated: BTreeMap<String, usize>,
}

impl<'a> Starts<'a> {
    /// Nothing yet. `minds_needs` tells whether starts wait for what they depend on.
    pub(super) fn new(
        deployment: &'a Deployment,
        observed: &'a Observed,
        minds_needs: bool,
    ) -> Self {
        Self {
            deployment,
            observed,
            minds_needs,
            started: BTreeMap::new(),
            names: BTreeMap::new(),
            waits: BTreeMap::new(),
            initiated: BTreeMap::new(),
        }
    }

    /// The start steps of a service.
    pub(super) fn started(&self, service: &str) -> Vec<usize> {
        self.started.get(service).cloned().unwrap_or_default()
    }

    /// Adds the start of a container, after what its service depends on and after `needs`.
    pub(super) fn push(
        &mut self,
        draft: &mut Draft,
        service: &str,
        name: &str,
        cause: &str,
        mut needs: Vec<usize>,
    ) {
        if self.minds_needs {
            needs.extend(self.of_dependencies(draft, service));
        }
        let action = Action::StartContainer {
            service: service.to_owned(),
            name: name.to_owned(),
        };
        let at = draft.push(action, cause, needs);
        self.started.entry(service.to_owned()).or_default().push(at);
        self.names
            .entry(service.to_owned())
            .or_default()
            .push(name.to_owned());
    }

    /// What has to come before a container of this service starts.
    fn of_dependencies(&mut self, draft: &mut Draft, service: &str) -> Vec<usize> {
        let project = &self.deployment.project;
        let Some(definition) = project.services.get(service) else {
            return Vec::new();
        };
        let mut needs = Vec::new();
        // One that the project can do without may not be part of it.
        for (needed, dependency) in definition
            .depends_on
            .iter()
            .filter(|(needed, _)| project.services.contains_key(*needed))
        {
            needs.extend(self.initiate(draft, needed));
            let why = if dependency.required {
                format!("`{service}` depends on it")
            } else {
                format!("`{service}` depends on it and can do without it")
            };
            let condition = (dependency.condition, dependency.required);
            needs.extend(self.reach(draft, needed, condition, &why));
        }
        needs
    }

    /// The containers of a service that this plan leaves as they are.
    fn untouched(&self, service: &str) -> Vec<&'a Container> {
        let touched = self.names.get(service);
        let all = self.observed.containers_of(service).into_iter();
        all.filter(|found| touched.is_none_or(|names| !names.contains(&found.name)))
            .collect()
    }

    /// The steps after which a service has reached a condition, or has failed to where that is not
    /// required.
    fn reach(
        &mut self,
        draft: &mut Draft,
        service: &str,
        (condition, required): (Condition, bool),
        cause: &str,
    ) -> Vec<usize> {
        let started = self.started(service);
        // A start step is all that "started" needs.
        if condition == Condition::Started {
            return started;
        }
        let key = |required| (service.to_owned(), condition.word(), required);
        // Somebody else may need it more.
        let known = self.waits.get(&key(true));
        let known = known.or_else(|| self.waits.get(&key(required)));
        if let Some(known) = known {
            return known.clone();
        }
        let has_reached = |container: &&Container| match condition {
            Condition::Started => container.state.is_running(),
            Condition::Healthy => container.health == Some(Health::Healthy),
            Condition::Completed => container.state == ContainerState::Exited { exit_code: 0 },
        };
        let mut names = self.names.get(service).cloned().unwrap_or_default();
        let others = self.untouched(service).into_iter();
        names.extend(
            others
                .filter(|container| !has_reached(container))
                .map(|container| container.name.clone()),
        );
        let mut waits = Vec::new();
        for name in names {
            let action = Action::AwaitCondition {
                service: service.to_owned(),
                name,
                condition,
                required,
            };
            waits.push(draft.push(action, cause, started.iter().copied()));
        }
        self.waits.insert(key(required), waits.clone());
        waits
    }

    /// Adds the initiation of mongo's replica set, if the service is that mongo and needs it, so
    /// that nobody who needs a primary starts before there is one.
    fn initiate(&mut self, draft: &mut Draft, service: &str) -> Option<usize> {
        if let Some(known) = self.initiated.get(service) {
            return Some(*known);
        }
        let set = self.deployment.replica_set.clone()?;
        let lacks_set = self.observed.readiness.get(service) == Some(&Readiness::NotInitiated);
        if set.service != service || (!lacks_set && !self.started.contains_key(service)) {
            return None;
        }
        let definition = self.deployment.project.services.get(service);
        let has_check = definition.is_some_and(|found| found.healthcheck.is_some());
        let mut needs = self.started(service);
        if has_check {
            let cause = "its replica set comes next";
            needs.extend(self.reach(draft, service, (Condition::Healthy, true), cause));
        }
        let cause = if lacks_set {
            "it has not been initiated"
        } else {
            "mongo starts"
        };
        let at = draft.push(Action::InitiateReplicaSet(set), cause, needs);
        self.initiated.insert(service.to_owned(), at);
        Some(at)
    }

    /// Adds the initiation where nobody who starts asked for it.
    pub(super) fn initiate_what_lacks_it(&mut self, draft: &mut Draft, chosen: &BTreeSet<&str>) {
        let set = self.deployment.replica_set.as_ref();
        let service = set.map(|set| set.service.clone());
        if let Some(service) = service.filter(|service| chosen.contains(service.as_str())) {
            self.initiate(draft, &service);
        }
    }
}

/// The changes that start the existing containers of these services.
#[must_use]
pub fn start(deployment: &Deployment, observed: &Observed, services: &[&str]) -> Plan {
    let mut draft = Draft::default();
    let project = &deployment.project;
    let begins = |service: &str| {
        let found = observed.containers_of(service);
        services.contains(&service) && found.iter().any(|found| !found.state.may_run())
    };
    // What runs in the network of one that begins again would be left in none.
    let shares = |container: &&Container| {
        let mut hosts = project.sharing(&container.service).into_iter();
        container.state.may_run() && hosts.any(begins)
    };
    let sharing: Vec<&Container> = observed.containers.iter().filter(shares).collect();
    let ends = sharing.iter().map(|container| End {
        container,
        how: How::Stop,
        cause: "it shares with one that starts",
    });
    let ends = halt::all(&mut draft, project, &ends.collect::<Vec<_>>(), &[]);
    let stopped = with_stopped(observed, |container| ends.contains_key(&container.name));
    let sharing = sharing.iter().map(|container| &*container.service);
    let services: Vec<&str> = services.iter().copied().chain(sharing).collect();
    start_all(&mut draft, deployment, &stopped, &services, &ends);
    draft.finish()
}

/// What is there once these containers have been stopped.
fn with_stopped(observed: &Observed, is_stopped: impl Fn(&Container) -> bool) -> Observed {
    let mut stopped = observed.clone();
    for container in &mut stopped.containers {
        if is_stopped(container) {
            container.state = ContainerState::Exited { exit_code: 0 };
            container.health = None;
            stopped.readiness.remove(&container.service);
        }
    }
    stopped
}

fn start_all(
    draft: &mut Draft,
    deployment: &Deployment,
    observed: &Observed,
    services: &[&str],
    ends: &BTreeMap<String, usize>,
) {
    let mut starts = Starts::new(deployment, observed, true);
    for service in deployment.project.start_order() {
        if !services.contains(&service) {
            continue;
        }
        for container in observed.containers_of(service) {
            if container.state != ContainerState::Running {
                let needs = ends.get(&container.name).copied().into_iter().collect();
                starts.push(draft, service, &container.name, "asked for", needs);
            }
        }
    }
    let chosen = services.iter().copied().collect();
    starts.initiate_what_lacks_it(draft, &chosen);
}

/// The changes that stop the services, or all when none is named, and start these `needed` ones:
/// the same with what they depend on.
#[must_use]
pub fn restart(
    deployment: &Deployment,
    observed: &Observed,
    services: &[String],
    needed: &[&str],
) -> Plan {
    let mut draft = Draft::default();
    let project = &deployment.project;
    let affected = affected(project, services);
    let is_wanted =
        |container: &Container| services.is_empty() || affected.contains(&*container.service);
    let running = observed.containers.iter();
    let running = running.filter(|container| container.state.may_run());
    let running = running.filter(|container| is_wanted(container));
    let ends: Vec<End<'_>> = running
        .clone()
        .map(|container| halt::asked(container, How::Stop))
        .collect();
    // What shares with them and did not run stays as it is.
    let ran: Vec<&str> = running.map(|container| &*container.service).collect();
    let ends = halt::all(&mut draft, project, &ends, &[]);
    let stopped = with_stopped(observed, is_wanted);
    let needed: Vec<&str> = needed.iter().copied().chain(ran).collect();
    start_all(&mut draft, deployment, &stopped, &needed, &ends);
    draft.finish()
}

/// The services that a restart of these touches: they themselves, those that share with them, and
/// those that depend on them with `restart`.
fn affected<'a>(project: &'a Project, services: &'a [String]) -> BTreeSet<&'a str> {
    let mut all: BTreeSet<&str> = services.iter().map(String::as_str).collect();
    for service in project.start_order() {
        let definition = project.services.get(service);
        let needs = definition.into_iter().flat_map(|found| &found.depends_on);
        let mut restarting = needs.filter(|(_, need)| need.restart);
        let shares = project
            .sharing(service)
            .iter()
            .any(|host| all.contains(host));
        if shares || restarting.any(|(needed, _)| all.contains(needed.as_str())) {
            all.insert(service);
        }
    }
    all
}
