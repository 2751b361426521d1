//! The services that a command names, those of profiles that are not active included.

use anyhow::Context as _;

use super::definitions::override_file;
use super::files::dotenv;
use super::instance::{self, Instance};
use super::{Session, error::CommandError, exit};
use crate::likeness;
use crate::logs::services;
use crate::observed::Container;
use crate::release::APPLICATION;

/// Refuses names that are no services of the instance, with the nearest one that is.
///
/// # Errors
/// A name is unknown.
pub fn known(instance: &Instance, services: &[String]) -> Result<(), CommandError> {
    let deployment = &instance.deployment;
    let Some(unknown) = services.iter().find(|name| !deployment.defines(name)) else {
        return Ok(());
    };
    let active = deployment.project.services.keys();
    let all = active.chain(deployment.inactive.keys());
    let names: Vec<String> = all.clone().map(|name| format!("`{name}`")).collect();
    let nearest = likeness::nearest(all.map(String::as_str), unknown, SIMILAR);
    let error = CommandError::new(
        "UNKNOWN_SERVICE",
        exit::USAGE,
        format!("there is no service `{unknown}`"),
    )
    .because(format!(
        "the services are {}",
        crate::ui::words::list(&names)
    ))
    .state("nothing was changed");
    let rows = services::load().context("the list of services does not load")?;
    let is_inside = |row: &services::Row| {
        let is_it = row.name.eq_ignore_ascii_case(unknown);
        is_it && row.is_kept(&deployment.version, deployment.edition)
    };
    Err(match (rows.iter().find(|row| is_inside(row)), nearest) {
        (Some(row), _) => error
            .because(format!(
                "`{}` is a part of the application, in the container of `{APPLICATION}`",
                row.name
            ))
            .fix(format!("name `{APPLICATION}` instead")),
        (None, Some(nearest)) => error.fix(format!("did you mean `{nearest}`?")),
        (None, None) => error,
    })
}

/// Similarity from which a name counts as misspelt (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.75;

/// The instance with the services that are named, those of inactive profiles included: naming a service
/// activates its profiles, as with Docker Compose.
///
/// # Errors
/// A name is unknown, or the configuration is wrong with those profiles.
pub fn naming(
    session: &Session,
    instance: Instance,
    services: &[String],
) -> Result<Instance, CommandError> {
    known(&instance, services)?;
    let inactive = &instance.deployment.inactive;
    let named = services.iter().filter_map(|name| inactive.get(name));
    let profiles: Vec<String> = named.flatten().cloned().collect();
    if profiles.is_empty() {
        return Ok(instance);
    }
    let (root, texts) = (&instance.root, &instance.texts);
    let definitions = (&*dotenv(root)?, override_file(root)?);
    instance::with_profiles(session, root, texts, definitions, &profiles, |_| {})
}

/// The instance with the services of inactive profiles that have containers or stand among some words, for
/// what is about all there is.
///
/// # Errors
/// As of [`naming`].
pub fn with_inactive(
    session: &Session,
    instance: Instance,
    containers: &[Container],
    words: &[String],
) -> Result<Instance, CommandError> {
    let inactive = instance.deployment.inactive.keys();
    let is_there = |name: &&String| {
        words.contains(name) || containers.iter().any(|found| found.service == **name)
    };
    let names: Vec<String> = inactive.filter(is_there).cloned().collect();
    naming(session, instance, &names)
}
