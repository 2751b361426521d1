//! Which images are pulled: those that are missing, and those that shall be looked for anew.

use std::collections::BTreeSet;
use std::fmt;

use super::action::Action;
use super::draft::Draft;
use super::up::chosen;
use super::{Plan, UpRequest};
use crate::compose::Service;
use crate::compose::SpecDuration;
use crate::deployment::Deployment;
use crate::observed::Image;
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

fn policy(service: &Service) -> &str {
    let policy = service.rest.get("pull_policy");
    policy
        .and_then(serde_json::Value::as_str)
        .unwrap_or("missing")
}

/// What holds for one service, whose image comes from `image`. One that is looked for at intervals is
/// due when it got its name long enough ago, or when nobody knows.
fn wish(service: &Service, image: &str, observed: &Observed, asked: PullWish) -> PullWish {
    if asked != PullWish::Policy {
        return asked;
    }
    let interval = match policy(service) {
        "always" | "refresh" => return PullWish::Always,
        "never" => return PullWish::Never,
        "daily" => "1d",
        "weekly" => "1w",
        other => other.strip_prefix("every_").unwrap_or_default(),
    };
    let Ok(SpecDuration(interval)) = interval.parse() else {
        return PullWish::Missing;
    };
    let tagged = observed.images.get(image).and_then(Option::as_ref);
    let tagged = tagged.and_then(|image| image.tagged);
    match tagged.zip(observed.moment) {
        Some((tagged, now)) if now - tagged < interval => PullWish::Missing,
        _ => PullWish::Always,
    }
}

/// Services whose image is made out of the running program and never pulled.
fn is_bundled(deployment: &Deployment, image: &str) -> bool {
    let mut bundled = deployment.bundled_images.values();
    bundled.any(|reference| reference == image)
}

/// Whether no image has this name.
pub(crate) fn is_missing(observed: &Observed, reference: &str) -> bool {
    matches!(observed.images.get(reference), Some(None))
}

/// Whether an image is not here for the platform of a service.
fn lacks(observed: &Observed, service: &Service, reference: &str) -> bool {
    let image = observed.images.get(reference);
    image.is_some_and(|image| {
        let fits = |image: &Image| image.fits(service.platform());
        !image.as_ref().is_some_and(fits)
    })
}

/// Pulls of images that are here and shall be looked for anew. They come before the plan of an `up`
/// is made: only then it is known whether a newer image is there.
#[must_use]
pub fn refresh(deployment: &Deployment, observed: &Observed, request: &UpRequest) -> Plan {
    let mut draft = Draft::default();
    draft_refresh(&mut draft, deployment, observed, request);
    draft.finish()
}

fn draft_refresh(
    draft: &mut Draft,
    deployment: &Deployment,
    observed: &Observed,
    request: &UpRequest,
) {
    let services = chosen(deployment, request);
    let mut seen = BTreeSet::new();
    for (name, service) in &deployment.project.services {
        let image = source(deployment, &service.image);
        let is_wanted = services.contains(name.as_str())
            && wish(service, image, observed, request.pull) == PullWish::Always
            && !is_bundled(deployment, image)
            && !lacks(observed, service, &service.image);
        let platform = service.platform().map(ToOwned::to_owned);
        if is_wanted && seen.insert((image, platform.clone())) {
            let reference = image.to_owned();
            let cause = match request.pull {
                PullWish::Always => "--pull always asks for it".to_owned(),
                _ => format!("the pull policy of `{name}` is {}", policy(service)),
            };
            let action = Action::PullImage {
                reference,
                platform,
            };
            let pulled = draft.push(action, cause, []);
            if image != service.image {
                let action = Action::BuildImage {
                    service: name.clone(),
                    reference: service.image.clone(),
                };
                draft.push(
                    action,
                    "the image it is made of may be a newer one",
                    [pulled],
                );
            }
        }
    }
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
        let image = source(deployment, &service.image);
        services.contains(name.as_str())
            && wish(service, image, observed, request.pull) == PullWish::Never
            && !is_bundled(deployment, image)
            && lacks(observed, service, &service.image)
            && lacks(observed, service, image)
    });
    refused
        .map(|(name, service)| {
            let image = source(deployment, &service.image);
            (name.clone(), image.to_owned())
        })
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
    let is_lacking = |service: &str, image: &str| {
        services.contains(service)
            && is_missing(observed, image)
            && !stands_in(deployment, observed, service)
    };
    if bundled
        .iter()
        .any(|(service, image)| is_lacking(service, image))
    {
        // Those that are here may be of another build of the same sources, which containers run.
        let absent = bundled
            .iter()
            .filter(|(_, image)| is_missing(observed, image));
        let images: Vec<(String, String)> = absent
            .map(|(service, image)| (service.clone(), image.clone()))
            .collect();
        let references: Vec<String> = images.iter().map(|(_, image)| image.clone()).collect();
        let at = draft.push(
            Action::LoadBundledImages { images },
            "BUNDLED_SERVERS is on and they are missing",
            [],
        );
        steps.extend(references.into_iter().map(|reference| (reference, at)));
    }
    let mut seen = BTreeSet::new();
    for (name, service) in &deployment.project.services {
        let image = source(deployment, &service.image);
        let is_wanted = services.contains(name.as_str())
            && lacks(observed, service, &service.image)
            && lacks(observed, service, image)
            && !is_bundled(deployment, image);
        let platform = service.platform().map(ToOwned::to_owned);
        if is_wanted && seen.insert((image, platform.clone())) {
            let cause = match observed.images.get(image) {
                Some(Some(other)) => format!("the engine has it for {}", other.architecture),
                _ => "the engine does not have it".to_owned(),
            };
            let action = Action::PullImage {
                reference: image.to_owned(),
                platform,
            };
            let at = draft.push(action, cause, []);
            steps.push((image.to_owned(), at));
        }
    }
    steps.extend(build(draft, deployment, observed, services, &steps));
    steps
}

/// The image that must come from elsewhere for a service to have its image: the image itself, or the
/// one that it is made of.
fn source<'a>(deployment: &'a Deployment, image: &'a str) -> &'a str {
    match &deployment.texlive {
        Some(derived) if derived.reference == image => &derived.base,
        _ => image,
    }
}

/// Whether a service has an image that was made of its own one, which is needed no more.
fn stands_in(deployment: &Deployment, observed: &Observed, service: &str) -> bool {
    let derived = deployment.texlive.as_ref();
    derived.is_some_and(|derived| {
        derived.service == service && !is_missing(observed, &derived.reference)
    })
}

/// Adds the step that makes the image with TeX Live packages, when that is missing.
fn build(
    draft: &mut Draft,
    deployment: &Deployment,
    observed: &Observed,
    services: &BTreeSet<&str>,
    brought: &[(String, usize)],
) -> Option<(String, usize)> {
    let derived = deployment.texlive.as_ref()?;
    let service = deployment.project.services.get(&derived.service)?;
    let is_wanted = services.contains(derived.service.as_str());
    if !is_wanted || !lacks(observed, service, &derived.reference) {
        return None;
    }
    let base = brought.iter().filter(|(image, _)| *image == derived.base);
    let needs: Vec<usize> = base.map(|(_, at)| *at).collect();
    let action = Action::BuildImage {
        service: derived.service.clone(),
        reference: derived.reference.clone(),
    };
    let cause = "TEXLIVE_PACKAGES names packages and it is missing";
    Some((derived.reference.clone(), draft.push(action, cause, needs)))
}

/// The steps that bring the images of some services, or of all where none is named, and those in `extra`,
/// each with its cause. With `anew` those that are here are looked for again.
#[must_use]
pub fn images(
    deployment: &Deployment,
    observed: &Observed,
    services: &[String],
    extra: &[(String, String)],
    anew: bool,
) -> Plan {
    let all = deployment.project.services.keys().map(String::as_str);
    let chosen: BTreeSet<&str> = all
        .filter(|name| services.is_empty() || services.iter().any(|service| service == name))
        .collect();
    let mut draft = Draft::default();
    if anew {
        let request = UpRequest {
            services: services.to_vec(),
            no_deps: true,
            pull: PullWish::Always,
            ..UpRequest::default()
        };
        draft_refresh(&mut draft, deployment, observed, &request);
    }
    missing(&mut draft, deployment, observed, &chosen);
    let mut seen = BTreeSet::new();
    for (reference, cause) in extra {
        if (anew || is_missing(observed, reference)) && seen.insert(reference) {
            let reference = reference.clone();
            let action = Action::PullImage {
                reference,
                platform: None,
            };
            draft.push(action, cause.clone(), []);
        }
    }
    draft.finish()
}
