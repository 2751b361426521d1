//! The way back to what stood before an operation: pure, from the project that was last applied,
//! what exists now, and which containers existed before.

use crate::deployment::Deployment;
use crate::journal::Existing;
use crate::observed::Container;
use crate::observed::ContainerState;
use crate::observed::Observed;
use crate::plan;
use crate::plan::Plan;

/// The changes that bring the containers back: what is new goes, what stood is made as it was, and
/// what did not run stops. The networks go with the last container.
///
/// `previous` is the deployment with the project that was last applied.
#[must_use]
pub fn plan(previous: &Deployment, observed: &Observed, before: &[Existing]) -> Plan {
    let stood = |service: &str| before.iter().find(|stood| stood.service == service);
    let newcomers = only(observed, before.is_empty(), |found| {
        stood(&found.service).is_none()
    });
    let away = plan::down(&previous.project, &newcomers);

    // One that did not run and still exists is left alone; one that is gone can only be made by
    // an `up`, and stops again afterwards.
    let returns = |service: &str| {
        stood(service).is_some_and(|stood| stood.running || observed.container(service).is_none())
    };
    let mut target = previous.clone();
    target.project.services.retain(|name, _| returns(name));
    let rest = only(observed, true, |found| returns(&found.service));
    let back = match target.project.services.is_empty() {
        true => Plan::default(),
        false => plan::up(&target, &rest, &plan::UpRequest::default()),
    };

    let idle = before.iter().filter(|stood| !stood.running);
    let idle: Vec<String> = idle.map(|stood| stood.service.clone()).collect();
    let mut afterwards = observed.clone();
    for service in idle.iter().filter(|service| returns(service)) {
        afterwards.containers.push(Container {
            service: service.clone(),
            name: previous.project.container_name(service),
            state: ContainerState::Running,
            ..Container::default()
        });
    }
    let mut plan = match idle.is_empty() {
        true => Plan::default(),
        false => plan::stop(&previous.project, &afterwards, &idle),
    };
    plan.put_before(back);
    plan.put_before(away);
    plan
}

/// The services of the project that should run in the end.
#[must_use]
pub fn running<'a>(previous: &'a Deployment, before: &[Existing]) -> Vec<&'a str> {
    let order = previous.project.start_order().into_iter();
    let ran = |service: &&str| {
        before
            .iter()
            .any(|stood| stood.running && stood.service == *service)
    };
    order.filter(ran).collect()
}

/// What is observed of some of the containers.
fn only(observed: &Observed, networks: bool, is_meant: impl Fn(&Container) -> bool) -> Observed {
    let mut part = observed.clone();
    part.containers.retain(is_meant);
    if !networks {
        part.networks.clear();
    }
    part
}
