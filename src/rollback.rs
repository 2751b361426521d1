//! The way back to what stood before an operation: pure, from the project that was last applied,
//! what exists now, and which containers existed before.

use crate::deployment::Deployment;
use crate::image;
use crate::journal::Existing;
use crate::labels;
use crate::observed::Container;
use crate::observed::ContainerState;
use crate::observed::Observed;
use crate::observed::network::Visitor;
use crate::observed::network::Whose;
use crate::plan;
use crate::plan::Plan;
use crate::release::Version;
use crate::texlive;

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
    let runs = |service: &str| {
        let mut stood = before.iter();
        stood.any(|stood| stood.service == service && stood.running)
    };
    let returns = |service: &str| {
        runs(service) || (stood(service).is_some() && observed.container(service).is_none())
    };
    let mut target = previous.clone();
    target.project.services.retain(|name, _| returns(name));
    let mut rest = only(observed, true, |found| returns(&found.service));
    // They go with what is new.
    rest.stand_ins.clear();
    // That a tag means another image by now is no reason to make anew what stands.
    let moved = rest.containers.iter().filter(|found| {
        let image = rest.images.get(&found.image).and_then(Option::as_ref);
        image.is_some_and(|image| image.id != found.made_from())
    });
    let moved: Vec<String> = moved.map(|found| found.image.clone()).collect();
    rest.images
        .retain(|reference, _| !moved.contains(reference));
    // Newcomers are gone before a network is made anew.
    let stays = |visitor: &Visitor| {
        let mut stood = before.iter();
        visitor.whose != Whose::Orphan || stood.any(|stood| stood.container == visitor.container)
    };
    rest.visitors.retain(stays);
    let back = match target.project.services.is_empty() {
        true => Plan::default(),
        false => plan::up(&target, &rest, &plan::UpRequest::default()),
    };

    let idle = before.iter().filter(|stood| !stood.running);
    let idle: Vec<String> = idle.map(|stood| stood.service.clone()).collect();
    let mut afterwards = observed.clone();
    // Of a service with several containers, those stop that stood still; the others run on.
    let still = |name: &str| {
        let mut stood = before.iter();
        stood.any(|stood| stood.container == name && !stood.running)
    };
    let containers = &mut afterwards.containers;
    containers.retain(|found| !runs(&found.service) || still(&found.name));
    for stood in before.iter().filter(|stood| !stood.running) {
        if !returns(&stood.service) {
            continue;
        }
        match containers
            .iter_mut()
            .find(|found| found.name == stood.container)
        {
            Some(found) => found.state = ContainerState::Running,
            None => containers.push(Container {
                service: stood.service.clone(),
                name: match runs(&stood.service) {
                    true => stood.container.clone(),
                    false => previous.project.container_name(&stood.service),
                },
                state: ContainerState::Running,
                ..Container::default()
            }),
        }
    }
    let mut plan = match idle.is_empty() {
        true => Plan::default(),
        false => plan::stop(&previous.project, &afterwards, &idle),
    };
    plan.put_before(back);
    plan.put_before(away);
    plan
}

/// A service whose data a newer version has used than the one that a rollback would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downgrade {
    /// The service.
    pub service: String,
    /// The image that would be started.
    pub to: String,
    /// The image of the container that used the data.
    pub from: String,
}

/// The services that a rollback would start on data which a newer version may have migrated: the
/// application by its release, mongo by its series. Only images whose tags name a version count, and
/// only containers that were started.
#[must_use]
pub fn downgrades(
    previous: &Deployment,
    observed: &Observed,
    before: &[Existing],
) -> Vec<Downgrade> {
    let mut found = Vec::new();
    for container in &observed.containers {
        let service = &container.service;
        let was_started = container.state != ContainerState::Created;
        let returns = before.iter().any(|stood| stood.service == *service);
        let Some(definition) = previous.project.services.get(service) else {
            continue;
        };
        let is_bundled = previous.bundled_images.contains_key(service)
            || container.labels.contains_key(labels::BUNDLED);
        if !was_started || !returns || is_bundled {
            continue;
        }
        let (from, to) = (&container.image, &definition.image);
        let is_lower = match service.as_str() {
            "sharelatex" => release(to).zip(release(from)).map(|(to, from)| to < from),
            "mongo" => series(to).zip(series(from)).map(is_older),
            _ => None,
        };
        let downgrade = Downgrade {
            service: service.clone(),
            to: to.clone(),
            from: from.clone(),
        };
        if is_lower == Some(true) && !found.contains(&downgrade) {
            found.push(downgrade);
        }
    }
    found
}

fn release(reference: &str) -> Option<Version> {
    image::version(texlive::release_of(reference))?.parse().ok()
}

/// The series of a mongo, major and minor; a tag may name the major version alone.
type Series = (u64, Option<u64>);

fn series(reference: &str) -> Option<Series> {
    let mut parts = image::version(reference)?.split(['.', '-']);
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok())))
}

/// Whether the first is known to be older.
fn is_older(((major, minor), (other, other_minor)): (Series, Series)) -> bool {
    let is_minor_older = minor.zip(other_minor).is_some_and(|(a, b)| a < b);
    major < other || (major == other && is_minor_older)
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
