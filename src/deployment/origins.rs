//! Where the operator says what a container is made of: `lib/origins.toml` tells which settings make which
//! part of the definitions, variables.env and the override file tell the rest.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::compose::Place;
use crate::compose::Project;
use crate::settings::Origin;
use crate::settings::Settings;

const ORIGINS_TOML: &str = include_str!("../../lib/origins.toml");

/// Services that get variables.env whole.
const WITH_VARIABLES: [&str; 2] = ["sharelatex", "git-bridge"];

/// The form of `lib/origins.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origins {
    origin: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    path: String,
    settings: Vec<String>,
}

/// The places by path.
pub(super) fn of(settings: &Settings, project: &Project) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    for entry in &settings.variables {
        for service in WITH_VARIABLES {
            let path = format!("services.{service}.environment.{}", entry.name);
            places.insert(path, place(&entry.place));
        }
    }
    for row in rows() {
        let said = row
            .settings
            .iter()
            .find_map(|name| match settings.origin(name) {
                Some(Origin::File(at)) => Some(place(at)),
                _ => None,
            });
        if let Some(said) = said {
            places.insert(row.path, said);
        }
    }
    let said = project.places.iter();
    places.extend(said.map(|(path, place)| (path.clone(), place.clone())));
    places
}

fn place(at: &crate::settings::problem::Place) -> Place {
    Place {
        file: at.file.clone(),
        line: at.line,
        column: at.column,
    }
}

fn rows() -> Vec<Row> {
    // Data that does not load names no place; a unit test keeps this from happening.
    toml::from_str(ORIGINS_TOML).map_or_else(|_| Vec::new(), |origins: Origins| origins.origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::catalogue;

    #[test]
    fn every_row_names_settings_that_are_there() {
        let origins: Origins = toml::from_str(ORIGINS_TOML).unwrap();
        let known = catalogue::load().unwrap();
        for row in origins.origin {
            assert!(row.path.starts_with("services."), "{}", row.path);
            for name in &row.settings {
                let is_known = name == "version" || known.iter().any(|row| row.name == *name);
                assert!(is_known, "{name}");
            }
        }
    }
}
