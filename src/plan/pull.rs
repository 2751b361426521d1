//! Which images are pulled: those that are missing, and those that shall be looked for anew.

use std::collections::BTreeSet;
use std::fmt;

use super::action::Action;
use super::draft::Draft;
use super::up::chosen;
use super::{Plan, UpRequest};
use crate::compose::Service;
use crate::deployment::Deployment;
use crate::observed::Observed;

/// What the command line says about pulling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullWish {
    /// As `pull_policy` of each service says; without one, images that are missing.
    #[default]
    Policy,
    /// Every image, for a newer one under the same name.
    Always,
    /// Images that are missing.
    Missing,
    /// None.
    Never,
}

impl fmt::Display for PullWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Always => "always",
            Self::Missing => "missing",
            Self::Never => "never",
        })
    }
}

/// What holds for one service. Policies that depend on the age of an image count as "missing": an
/// engine does not tell when an image was pulled.
fn wish(service: &Service, asked: PullWish) -> PullWish {
    if asked != PullWish::Policy {
        return asked;
    }
    let policy = service.rest.get("pull_policy");
    match policy.and_then(serde_json::Value::as_str) {
        Some("always") => PullWish::Always,
        Some("never") => PullWish::Never,
        _ => PullWish::Missing,
    }
}

/// Services whose image is made out of the running program and never pulled.
fn is_bundled(deployment: &Deployment, image: &str) -> bool {
    let mut bundled = deployment.bundled_images.values();
    bundled.any(|reference| reference == image)
}

fn is_missing(observed: &Observed, reference: &str) -> bool {
    matches!(observed.images.get(reference), Some(None))
}

/// Pulls of images that are here and shall be looked for anew. They come before the plan of an `up`
/// is made: only then it is known whether a newer image is there.
#[must_use]
pub fn refresh(deployment: &Deployment, observed: &Observed, request: &UpRequest) -> Plan {
    let services = chosen(deployment, request);
    let mut draft = Draft::default();
    let mut seen = BTreeSet::new();
    for (name, service) in &deployment.project.services {
        let is_wanted = services.contains(name.as_str())
            && wish(service, request.pull) == PullWish::Always
            && !is_bundled(deployment, &service.image)
            && !is_missing(observed, &service.image);
        if is_wanted && seen.insert(&service.image) {
            let reference = service.image.clone();
            let cause = match request.pull {
                PullWish::Always => "--pull always asks for it".to_owned(),
                _ => format!("the pull policy of `{name}` is always"),
            };
            draft.push(Action::PullImage { reference }, cause, []);
        }
    }
    draft.finish()
}

/// Images that are missing and may not be pulled, each with the service that needs it.
#[must_use]
pub fn refused(
    deployment: &Deployment,
    observed: &Observed,
    request: &UpRequest,
) -> Vec<(String, String)> {
    let services = chosen(deployment, request);
    let all = deployment.project.services.iter();
    let refused = all.filter(|(name, service)| {
        services.contains(name.as_str())
            && wish(service, request.pull) == PullWish::Never
            && !is_bundled(deployment, &service.image)
            && is_missing(observed, &service.image)
    });
    refused
        .map(|(name, service)| (name.clone(), service.image.clone()))
        .collect()
}

/// Adds the steps that bring the images the services lack; gives their positions by reference.
pub(super) fn missing(
    draft: &mut Draft,
    deployment: &Deployment,
    observed: &Observed,
    services: &BTreeSet<&str>,
) -> Vec<(String, usize)> {
    let mut steps = Vec::new();
    let bundled = &deployment.bundled_images;
    if bundled
        .iter()
        .any(|(service, image)| services.contains(service.as_str()) && is_missing(observed, image))
    {
        let images: Vec<(String, String)> = bundled.clone().into_iter().collect();
        let references: Vec<String> = bundled.values().cloned().collect();
        let at = draft.push(
            Action::LoadBundledImages { images },
            "BUNDLED_SERVERS is on and they are missing",
            [],
        );
        steps.extend(references.into_iter().map(|reference| (reference, at)));
    }
    let mut seen = BTreeSet::new();
    for (name, service) in &deployment.project.services {
        let image = &service.image;
        let is_wanted = services.contains(name.as_str())
            && is_missing(observed, image)
            && !is_bundled(deployment, image);
        if is_wanted && seen.insert(image) {
            let reference = image.clone();
            let action = Action::PullImage { reference };
            let at = draft.push(action, "the engine does not have it", []);
            steps.push((image.clone(), at));
        }
    }
    steps
}
