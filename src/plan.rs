//! From the desired and the observed to an ordered list of changes.
//!
//! Pure and deterministic: equal inputs give equal plans. Every step names its cause. A plan made
//! after its own application is empty. Knows nothing of IO, time or the user interface.

pub mod action;
pub mod difference;
pub mod obstacle;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::compose::Condition;
use crate::compose::Project;
use crate::compose::Service;
use crate::deployment::Deployment;
use crate::labels;
use crate::observed::Container;
use crate::observed::ContainerState;
use crate::observed::FolderState;
use crate::observed::Health;
use crate::observed::Observed;
use crate::observed::Readiness;

pub use action::Action;

/// How long a container gets to stop when its definition does not say (the engine's default).
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// An ordered list of changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The changes.
    pub steps: Vec<Step>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why it is needed.
    pub cause: String,
}

impl Plan {
    /// Whether nothing is to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn push(&mut self, action: Action, cause: impl Into<String>) {
        self.steps.push(Step {
            action,
            cause: cause.into(),
        });
    }
}

/// What an `up` is asked for beyond the deployment.
#[derive(Debug, Clone, Default)]
pub struct UpRequest {
    /// Removes containers of the project whose service is gone.
    pub remove_orphans: bool,
}

/// Containers of the project whose service is not part of the deployment.
#[must_use]
pub fn orphans<'a>(deployment: &Deployment, observed: &'a Observed) -> Vec<&'a Container> {
    let services = &deployment.project.services;
    observed
        .containers
        .iter()
        .filter(|found| !services.contains_key(&found.service))
        .collect()
}

/// The changes that make the deployment exist and run.
#[must_use]
pub fn up(deployment: &Deployment, observed: &Observed, request: &UpRequest) -> Plan {
    let mut plan = Plan::default();
    let project = &deployment.project;
    let mut changes: Vec<(&str, Change)> = Vec::new();
    let mut renewed: BTreeSet<&str> = BTreeSet::new();
    for service in project.start_order() {
        let mut change = change(deployment, observed, service);
        // The engine binds what is shared to one container, which is about to go.
        let host = project
            .sharing(service)
            .into_iter()
            .find(|host| renewed.contains(host));
        if let (Some(host), Change::Nothing | Change::Start { .. }) = (host, &change) {
            let cause = format!("it shares with `{host}`, whose container is new");
            change = Change::Recreate { cause };
        }
        if matches!(change, Change::Create { .. } | Change::Recreate { .. }) {
            renewed.insert(service);
        }
        changes.push((service, change));
    }
    for folder in &deployment.folders {
        if observed.folders.get(&folder.path) == Some(&FolderState::Missing) {
            let action = Action::CreateFolder {
                path: folder.path.clone(),
                owner: folder.owner,
            };
            plan.push(
                action,
                format!("{} names it and it is missing", folder.setting),
            );
        }
    }
    images(deployment, observed, &mut plan);
    networks(deployment, observed, &mut plan);
    if request.remove_orphans {
        for container in orphans(deployment, observed) {
            remove(
                &mut plan,
                container,
                DEFAULT_GRACE,
                "its service is not configured any more",
            );
        }
    }
    // What goes, goes before anything comes, and those that depend on others go first: the
    // application still reaches mongo and redis while it flushes.
    for (service, change) in changes.iter().rev() {
        if let (Change::Recreate { cause }, Some(old)) = (change, observed.container(service)) {
            let grace = project.services.get(*service).map_or(DEFAULT_GRACE, grace);
            remove(&mut plan, old, grace, cause);
        }
    }
    let mut awaited = Awaited {
        deployment,
        observed,
        touched: BTreeSet::new(),
        done: BTreeSet::new(),
    };
    for (service, change) in changes {
        start_service(&mut plan, &mut awaited, service, &change);
    }
    plan
}

/// What has to happen to the container of one service.
enum Change {
    Nothing,
    Start { cause: String },
    Create { cause: String },
    Recreate { cause: String },
}

fn change(deployment: &Deployment, observed: &Observed, service: &str) -> Change {
    let Some(container) = observed.container(service) else {
        return Change::Create {
            cause: "it does not exist".to_owned(),
        };
    };
    let Some(desired) = deployment.project.services.get(service) else {
        return Change::Nothing;
    };
    if let Some(cause) = difference::cause(service, desired, container, observed) {
        return Change::Recreate { cause };
    }
    match container.state {
        // The engine itself starts a restarting one again; waiting for readiness shows what comes of it.
        ContainerState::Running | ContainerState::Restarting { .. } => Change::Nothing,
        ContainerState::Created => Change::Start {
            cause: "it was never started".to_owned(),
        },
        ContainerState::Paused => Change::Recreate {
            cause: "it is paused".to_owned(),
        },
        ContainerState::Exited { exit_code: 0 } if deployment.project.is_one_shot(service) => {
            Change::Nothing
        }
        ContainerState::Exited { exit_code } => Change::Start {
            cause: format!("it is stopped (exit code {exit_code})"),
        },
        ContainerState::Broken => Change::Recreate {
            cause: "its removal failed earlier".to_owned(),
        },
    }
}

fn images(deployment: &Deployment, observed: &Observed, plan: &mut Plan) {
    let is_missing = |reference: &str| matches!(observed.images.get(reference), Some(None));
    let bundled: Vec<(String, String)> = deployment
        .bundled_images
        .iter()
        .filter(|(_, reference)| is_missing(reference))
        .map(|(service, reference)| (service.clone(), reference.clone()))
        .collect();
    if !bundled.is_empty() {
        let images = deployment.bundled_images.clone().into_iter().collect();
        plan.push(
            Action::LoadBundledImages { images },
            "BUNDLED_SERVERS is on and they are missing",
        );
    }
    let mut seen = BTreeSet::new();
    for service in deployment.project.services.values() {
        let is_bundled = deployment
            .bundled_images
            .values()
            .any(|image| *image == service.image);
        if is_missing(&service.image) && !is_bundled && seen.insert(&service.image) {
            let action = Action::PullImage {
                reference: service.image.clone(),
            };
            plan.push(action, "the engine does not have it");
        }
    }
}

fn networks(deployment: &Deployment, observed: &Observed, plan: &mut Plan) {
    for (key, network) in &deployment.project.networks {
        let exists = observed
            .networks
            .get(&network.name)
            .is_some_and(|found| !found.is_empty());
        if !network.external && !exists {
            let action = Action::CreateNetwork {
                key: key.clone(),
                name: network.name.clone(),
            };
            plan.push(action, "it does not exist");
        }
        for surplus in observed.surplus_networks(&network.name) {
            let (name, id) = (surplus.name.clone(), surplus.id.clone());
            let cause = "an interrupted run left it beside another one of the same name";
            plan.push(Action::RemoveNetwork { name, id }, cause);
        }
    }
}

/// Which services this plan starts, and which waits it already holds.
struct Awaited<'a> {
    deployment: &'a Deployment,
    observed: &'a Observed,
    touched: BTreeSet<String>,
    done: BTreeSet<(String, &'static str)>,
}

impl Awaited<'_> {
    /// Whether the service has reached the condition and this plan does not disturb it.
    fn holds(&self, service: &str, condition: Condition) -> bool {
        if self.touched.contains(service) {
            return false;
        }
        let Some(container) = self.observed.container(service) else {
            return false;
        };
        match condition {
            Condition::Started => container.state.is_running(),
            Condition::Healthy => container.health == Some(Health::Healthy),
            Condition::Completed => container.state == ContainerState::Exited { exit_code: 0 },
        }
    }

    fn push(&mut self, plan: &mut Plan, service: &str, condition: Condition, cause: &str) {
        // A start step is all that "started" needs, and it comes earlier in the plan.
        let is_known = condition == Condition::Started || self.holds(service, condition);
        if is_known || !self.done.insert((service.to_owned(), condition.word())) {
            return;
        }
        let name = self.deployment.project.container_name(service);
        plan.push(
            Action::AwaitCondition {
                service: service.to_owned(),
                name,
                condition,
            },
            cause,
        );
    }
}

fn start_service(plan: &mut Plan, awaited: &mut Awaited<'_>, service: &str, change: &Change) {
    let project = &awaited.deployment.project;
    let name = project.container_name(service);
    let cause = match change {
        Change::Nothing => None,
        Change::Start { cause } | Change::Create { cause } | Change::Recreate { cause } => {
            Some(cause.clone())
        }
    };
    if let Some(cause) = cause {
        if let Some(definition) = project.services.get(service) {
            let needs = definition.depends_on.iter();
            // One that the project can do without may not be part of it.
            for (needed, dependency) in
                needs.filter(|(needed, _)| project.services.contains_key(*needed))
            {
                let why = format!("`{service}` depends on it");
                awaited.push(plan, needed, dependency.condition, &why);
            }
        }
        let service = service.to_owned();
        if !matches!(change, Change::Start { .. }) {
            let action = Action::CreateContainer {
                service: service.clone(),
                name: name.clone(),
            };
            plan.push(action, cause.clone());
        }
        plan.push(
            Action::StartContainer {
                service: service.clone(),
                name,
            },
            cause,
        );
        awaited.touched.insert(service);
    }
    initiate(plan, awaited, service);
}

/// Adds the initiation of mongo's replica set right behind mongo, so that nobody who needs a
/// primary starts before there is one.
fn initiate(plan: &mut Plan, awaited: &mut Awaited<'_>, service: &str) {
    let Some(set) = awaited
        .deployment
        .replica_set
        .clone()
        .filter(|set| set.service == service)
    else {
        return;
    };
    let starts = awaited.touched.contains(service);
    let lacks_set = awaited.observed.readiness.get(service) == Some(&Readiness::NotInitiated);
    if !starts && !lacks_set {
        return;
    }
    let has_check = awaited
        .deployment
        .project
        .services
        .get(service)
        .is_some_and(|definition| definition.healthcheck.is_some());
    if has_check {
        awaited.push(
            plan,
            service,
            Condition::Healthy,
            "its replica set comes next",
        );
    }
    let cause = if lacks_set {
        "it has not been initiated"
    } else {
        "mongo starts"
    };
    plan.push(Action::InitiateReplicaSet(set), cause);
}

fn grace(service: &Service) -> Duration {
    service
        .stop_grace_period
        .map_or(DEFAULT_GRACE, |period| period.0)
}

fn remove(plan: &mut Plan, container: &Container, grace: Duration, cause: &str) {
    let (service, name) = (container.service.clone(), container.name.clone());
    if container.state.is_running() || matches!(container.state, ContainerState::Restarting { .. })
    {
        let action = Action::StopContainer {
            service: service.clone(),
            name: name.clone(),
            grace,
        };
        plan.push(action, cause);
    }
    plan.push(Action::RemoveContainer { service, name }, cause);
}

/// The containers of the project with those that depend on others first; orphans come first of all.
fn stop_order<'a>(project: &Project, observed: &'a Observed) -> Vec<&'a Container> {
    let order = project.start_order();
    let rank = |container: &Container| order.iter().position(|name| *name == container.service);
    let mut containers: Vec<&Container> = observed.containers.iter().collect();
    containers.sort_by_key(|container| {
        (
            rank(container).map_or(usize::MIN, |rank| order.len() - rank),
            container.name.clone(),
        )
    });
    containers
}

fn is_wanted(services: &[String], container: &Container) -> bool {
    services.is_empty() || services.contains(&container.service)
}

/// The changes that stop the services, or all when none is named.
#[must_use]
pub fn stop(project: &Project, observed: &Observed, services: &[String]) -> Plan {
    let mut plan = Plan::default();
    for container in stop_order(project, observed) {
        let runs = container.state.is_running()
            || matches!(container.state, ContainerState::Restarting { .. });
        if runs && is_wanted(services, container) {
            let action = Action::StopContainer {
                service: container.service.clone(),
                name: container.name.clone(),
                grace: project
                    .services
                    .get(&container.service)
                    .map_or(DEFAULT_GRACE, grace),
            };
            plan.push(action, "asked for");
        }
    }
    plan
}

/// The changes that start the existing containers of these services.
#[must_use]
pub fn start(deployment: &Deployment, observed: &Observed, services: &[&str]) -> Plan {
    let mut plan = Plan::default();
    let mut awaited = Awaited {
        deployment,
        observed,
        touched: BTreeSet::new(),
        done: BTreeSet::new(),
    };
    for service in deployment.project.start_order() {
        let Some(container) = observed.container(service) else {
            continue;
        };
        let is_needed = services.contains(&service) && !container.state.is_running();
        let change = if is_needed {
            Change::Start {
                cause: "asked for".to_owned(),
            }
        } else {
            Change::Nothing
        };
        start_service(&mut plan, &mut awaited, service, &change);
    }
    plan
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
    let mut plan = stop(&deployment.project, observed, services);
    let mut stopped = observed.clone();
    for container in &mut stopped.containers {
        if is_wanted(services, container) {
            container.state = ContainerState::Exited { exit_code: 0 };
            container.health = None;
            stopped.readiness.remove(&container.service);
        }
    }
    plan.steps.extend(start(deployment, &stopped, needed).steps);
    plan
}

/// The changes that remove the containers and networks of the project; data on the host stays.
#[must_use]
pub fn down(project: &Project, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    for container in stop_order(project, observed) {
        let grace = project
            .services
            .get(&container.service)
            .map_or(DEFAULT_GRACE, grace);
        remove(&mut plan, container, grace, "asked for");
    }
    for network in project
        .networks
        .values()
        .filter(|network| !network.external)
    {
        for found in observed.networks.get(&network.name).into_iter().flatten() {
            if found.labels.get(labels::PROJECT) == Some(&project.name) {
                let action = Action::RemoveNetwork {
                    name: found.name.clone(),
                    id: found.id.clone(),
                };
                plan.push(action, "asked for");
            }
        }
    }
    plan
}
