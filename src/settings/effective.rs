//! What is in force, name by name, and where it comes from: the values before they become typed
//! [`super::Settings`], so that they can be shown while some of them are wrong.

use std::collections::BTreeMap;

use super::catalogue::SettingRow;
use super::disclosure::Masker;
use super::env_file;
use super::problem::ProblemKind;
use super::reference::Reference;
use super::shell_words::Assigned;
use super::{Origin, SettingsError, Sources, VARIABLES_FILE};
use crate::secret::Secret;

/// One name with what is in force for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The name.
    pub name: String,
    /// Its value as it may be shown; `None` when it is not set.
    pub shown: Option<String>,
    /// Where the value comes from; `None` when it is not set.
    pub origin: Option<Origin>,
    /// Value of a setting, or behaviour of the application, when it is not set.
    pub default: Option<String>,
    /// Whether the value is there and is not the default.
    pub is_changed: bool,
    /// Whether the catalogues have the name.
    pub is_known: bool,
    /// Whether the value is, or holds, a secret, which `shown` then masks.
    pub is_secret: bool,
    /// The value itself.
    value: Option<Secret>,
}

impl Effective {
    /// The value itself, which may be a secret; `None` when it is not set.
    #[must_use]
    pub fn expose(&self) -> Option<&str> {
        self.value.as_ref().map(Secret::expose)
    }
}

/// All names of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// Every setting, in the order of the catalogue, then the other names of overleaf.rc.
    pub settings: Vec<Effective>,
    /// The variables of variables.env in its order, then those that it does not set in the order of
    /// the catalogue, by their name today.
    pub variables: Vec<Effective>,
}

impl Configured {
    /// The secret values in force.
    pub(super) fn secrets(&self) -> Vec<String> {
        let all = self.settings.iter().chain(&self.variables);
        all.filter(|one| one.is_secret)
            .filter_map(|one| one.expose().map(ToOwned::to_owned))
            .collect()
    }
}

/// Reads what is in force.
///
/// # Errors
/// [`SettingsError::Invalid`] with everything in the files that cannot be read. Values of the wrong
/// form are no error here.
pub fn read(
    sources: &Sources<'_>,
    reference: &Reference,
    masker: &Masker,
) -> Result<Configured, SettingsError> {
    let (assigned, mut problems) = super::assigned(sources, &reference.settings);
    let variables_file = sources.root.join(VARIABLES_FILE);
    let (entries, others) =
        env_file::parse(sources.variables, &variables_file, sources.environment);
    problems.extend(others);
    problems.retain(|problem| problem.kind == ProblemKind::Error);
    if !problems.is_empty() {
        return Err(SettingsError::Invalid(problems));
    }
    let mut settings: Vec<Effective> = reference
        .settings
        .iter()
        .map(|row| {
            let layered = layered(row, &assigned, sources.environment);
            effective(masker, &row.name, layered, row.default.clone(), true)
        })
        .collect();
    for (name, found) in &assigned {
        if reference.setting(name).is_none() {
            let layered = Some((found.value.clone(), Origin::File(found.place.clone())));
            settings.push(effective(masker, name, layered, None, false));
        }
    }
    let mut variables: Vec<Effective> = Vec::new();
    for entry in &entries {
        let rows = reference.variables_of(&entry.name);
        let default = rows.iter().find_map(|row| row.default.clone());
        let value = entry.value.clone();
        let layered = value.map(|value| (value, Origin::File(entry.place.clone())));
        variables.push(effective(
            masker,
            &entry.name,
            layered,
            default,
            !rows.is_empty(),
        ));
    }
    for row in &reference.variables {
        if !variables.iter().any(|one| one.name == row.name) {
            let default = row.default.clone();
            variables.push(effective(masker, &row.name, None, default, true));
        }
    }
    let mut configured = Configured {
        settings,
        variables,
    };
    let secrets = configured.secrets();
    for one in configured
        .settings
        .iter_mut()
        .chain(&mut configured.variables)
    {
        if !one.is_secret
            && one.origin != Some(Origin::Default)
            && let Some(value) = one.expose()
        {
            let shown = masker.value_among(&one.name, value, &secrets);
            one.is_secret = shown != value;
            one.shown = Some(shown);
        }
    }
    Ok(configured)
}

fn effective(
    masker: &Masker,
    name: &str,
    layered: Option<(String, Origin)>,
    default: Option<String>,
    is_known: bool,
) -> Effective {
    let (value, origin) = match layered {
        Some((value, origin)) => (Some(value), Some(origin)),
        None => (None, None),
    };
    // What ships with the program is no secret.
    let is_own = origin != Some(Origin::Default);
    let shown = value.as_ref().map(|value| match is_own {
        true => masker.value(name, value),
        false => value.clone(),
    });
    Effective {
        name: name.to_owned(),
        is_changed: value.is_some() && value != default,
        is_secret: shown != value,
        shown,
        origin,
        default,
        is_known,
        value: value.map(Secret::new),
    }
}

/// The value of a setting by the order of the layers, with its origin: overleaf.rc, the environment
/// where the row says so, the default.
pub(super) fn layered(
    row: &SettingRow,
    assigned: &BTreeMap<String, Assigned>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<(String, Origin)> {
    let counts = |value: &str| {
        let is_empty = row.empty_is_unset && value.is_empty();
        !is_empty && row.unset_word.as_deref() != Some(value)
    };
    let set = match assigned.get(&row.name) {
        Some(found) => Some((found.value.clone(), Origin::File(found.place.clone()))),
        None if row.environment => environment(&row.name).map(|value| (value, Origin::Environment)),
        None => None,
    };
    let set = set.filter(|(value, _)| counts(value));
    set.or_else(|| Some((row.default.clone()?, Origin::Default)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn configured(rc: &str, variables: &str) -> Result<Configured, SettingsError> {
        let reference = Reference::load().unwrap();
        let sources = Sources {
            root: Path::new("/srv"),
            rc,
            variables,
            version: "6.2.2\n",
            environment: &|name| (name == "MONGO_DATA_PATH").then(|| "8.0".to_owned()),
            dotenv: "",
            canonical: &|path| Ok(path.to_path_buf()),
            is_folder: &|_| true,
        };
        read(&sources, &reference, &Masker::new(&reference))
    }

    fn one<'a>(all: &'a [Effective], name: &str) -> &'a Effective {
        all.iter().find(|one| one.name == name).unwrap()
    }

    fn origin(one: &Effective) -> String {
        one.origin.as_ref().map(ToString::to_string).unwrap()
    }

    #[test]
    fn each_value_says_where_it_comes_from_and_whether_it_differs() {
        let rc = "OVERLEAF_PORT=80\nPROJECT_NAME=a\nPROJECT_NAME=thesis\nBASE=/x\n";
        let found = configured(rc, "OVERLEAF_SITE_URL=https://x\nOWN=1\n").unwrap();
        for (all, name, value, from, is_changed) in [
            (
                &found.settings,
                "PROJECT_NAME",
                "thesis",
                "/srv/config/overleaf.rc:3:1",
                true,
            ),
            (
                &found.settings,
                "OVERLEAF_PORT",
                "80",
                "/srv/config/overleaf.rc:1:1",
                false,
            ),
            (&found.settings, "REDIS_PORT", "6379", "default", false),
            (
                &found.settings,
                "MONGO_DATA_PATH",
                "8.0",
                "environment",
                true,
            ),
            (
                &found.settings,
                "BASE",
                "/x",
                "/srv/config/overleaf.rc:4:1",
                true,
            ),
            (
                &found.variables,
                "OVERLEAF_SITE_URL",
                "https://x",
                "/srv/config/variables.env:1:1",
                true,
            ),
            (
                &found.variables,
                "OWN",
                "1",
                "/srv/config/variables.env:2:1",
                true,
            ),
        ] {
            let one = one(all, name);
            assert_eq!(one.expose(), Some(value), "{name}");
            assert_eq!(
                (origin(one).as_str(), one.is_changed),
                (from, is_changed),
                "{name}"
            );
        }
        assert!(!one(&found.settings, "BASE").is_known);
        assert!(!one(&found.variables, "OWN").is_known);
        let unset = one(&found.variables, "COMPILE_TIMEOUT");
        assert_eq!(
            (unset.expose(), unset.default.as_deref()),
            (None, Some("180"))
        );
    }

    #[test]
    fn no_secret_is_shown_neither_by_reference() {
        let rc =
            "MY_PASSWORD=open-sesame\nHINT=\"x $MY_PASSWORD\"\nMONGO_URL=mongodb://u:hidden@h\n";
        let found = configured(
            rc,
            "OVERLEAF_INVITE_TOKEN_SECRET=open-barley\nLDAP=ldap://u:barley@h\n",
        )
        .unwrap();
        let shown = |all: &[Effective], name: &str| one(all, name).shown.clone().unwrap();
        assert_eq!(shown(&found.settings, "MY_PASSWORD"), "********");
        assert_eq!(shown(&found.settings, "HINT"), "x ********");
        assert!(!shown(&found.settings, "MONGO_URL").contains("hidden"));
        assert_eq!(
            shown(&found.variables, "OVERLEAF_INVITE_TOKEN_SECRET"),
            "********"
        );
        assert_eq!(shown(&found.variables, "LDAP"), "ldap://u:********@h");
        let found = configured("", "").unwrap();
        assert!(shown(&found.settings, "MONGO_URL").starts_with("mongodb://"));
    }

    #[test]
    fn a_value_of_the_wrong_form_is_shown_and_an_unreadable_file_is_not() {
        assert!(configured("OVERLEAF_PORT=http\n", "").is_ok());
        assert!(matches!(
            configured("A=$(id)\n", ""),
            Err(SettingsError::Invalid(_))
        ));
    }
}
