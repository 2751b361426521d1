//! The parsed files as the rules see them: values with their places, edition and release.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Input, LintError, source_line};
use crate::release::Catalogue;
use crate::release::Edition;
use crate::release::Version;
use crate::settings::catalogue::SettingRow;
use crate::settings::disclosure::Masker;
use crate::settings::env_file::{self, Entry};
use crate::settings::problem::{Place, Problem};
use crate::settings::reference::{Reference, ReferenceError};
use crate::settings::shell_words::Assigned;
use crate::settings::variables::{self, VariableRow};
use crate::settings::{
    self, DOTENV_FILE, RC_FILE, Settings, SettingsError, Sources, VARIABLES_FILE, VERSION_FILE,
};

/// The first release that reads `OVERLEAF_` names.
const REBRANDED: (u64, u64, u64) = (5, 0, 0);

/// Stands for a version that cannot be read, so that the rest is looked at all the same.
const STAND_IN: &str = "6.2.2";

/// The parsed files.
pub(super) struct Folder<'a> {
    pub(super) input: &'a Input<'a>,
    masker: Masker,
    pub(super) setting_rows: Vec<SettingRow>,
    pub(super) variable_rows: Vec<VariableRow>,
    pub(super) releases: Catalogue,
    /// What overleaf.rc assigns.
    pub(super) rc: BTreeMap<String, Assigned>,
    pub(super) rc_problems: Vec<Problem>,
    /// What variables.env holds, in its order.
    pub(super) variables: Vec<Entry>,
    pub(super) variables_problems: Vec<Problem>,
    /// What is wrong beyond the grammar of the files.
    pub(super) resolved_problems: Vec<Problem>,
    pub(super) edition: Edition,
    /// `None` when the version file cannot be read as a version.
    pub(super) version: Option<Version>,
}

impl<'a> Folder<'a> {
    /// Parses the files.
    pub(super) fn read(input: &'a Input<'a>) -> Result<Self, LintError> {
        let sources = input.sources;
        let reference = Reference::load()?;
        let (rc, rc_problems) = settings::assigned(sources, &reference.settings);
        let variables_file = sources.root.join(VARIABLES_FILE);
        let (parsed, mut variables_problems) =
            env_file::parse(sources.variables, &variables_file, sources.environment);
        let version: Option<Version> = settings::first_line(sources.version).trim().parse().ok();
        let (settings, resolved) = resolved(sources, version.as_ref())?;
        // Resolving knows more names that a `$` may refer to than the environment has.
        variables_problems.retain(|problem| resolved.contains(problem));
        let is_of_brand = |problem: &Problem| {
            let place = problem.place.as_ref();
            place.is_some_and(|place| place.file == variables_file)
        };
        let is_new = |problem: &Problem| {
            let is_taken = rc_problems.contains(problem) || variables_problems.contains(problem);
            // Which brand is read, nobody knows without a version.
            !is_taken && (version.is_some() || !is_of_brand(problem))
        };
        let resolved_problems = resolved.into_iter().filter(is_new).collect();
        let mut folder = Self {
            input,
            masker: Masker::new(&reference),
            setting_rows: reference.settings,
            variable_rows: reference.variables,
            releases: Catalogue::load()?,
            rc,
            rc_problems,
            variables: settings.map_or(parsed, |settings| settings.variables),
            variables_problems,
            resolved_problems,
            edition: Edition::Community,
            version,
        };
        folder.edition = match folder.setting("EDITION").parse() {
            Ok(edition) => edition,
            Err(_) if folder.is_on("SERVER_PRO") => Edition::ServerPro,
            Err(_) => Edition::Community,
        };
        Ok(folder)
    }

    /// The text of one of the three files.
    pub(super) fn text(&self, name: &str) -> &'a str {
        let sources = self.input.sources;
        match name {
            RC_FILE => sources.rc,
            VARIABLES_FILE => sources.variables,
            DOTENV_FILE => sources.dotenv,
            _ => sources.version,
        }
    }

    /// The absolute path of one of the three files.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.input.sources.root.join(name)
    }

    /// The row of a setting.
    pub(super) fn setting_row(&self, name: &str) -> Option<&SettingRow> {
        self.setting_rows.iter().find(|row| row.name == name)
    }

    /// The row of a variable, by its name today or below 5.0.
    pub(super) fn variable_row(&self, name: &str) -> Option<&VariableRow> {
        variables::find(&self.variable_rows, name)
    }

    /// The value of a setting after layering; empty when no layer sets it.
    pub(super) fn setting(&self, name: &str) -> String {
        if let Some(assigned) = self.rc.get(name) {
            return assigned.value.clone();
        }
        match self.setting_row(name).map(|row| &row.default) {
            Some(Some(default)) => default.clone(),
            Some(None) => (self.input.sources.environment)(name).unwrap_or_default(),
            None => String::new(),
        }
    }

    /// Whether a setting is exactly `true`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.setting(name) == "true"
    }

    /// The absolute path that a setting names, `None` when it is empty.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.setting(name);
        let sources = self.input.sources;
        if value.is_empty() {
            return None;
        }
        (sources.canonical)(&sources.root.join(value)).ok()
    }

    /// Where a setting stands, or where it would be written.
    pub(super) fn setting_place(&self, name: &str) -> Place {
        match self.rc.get(name) {
            Some(assigned) => assigned.place.clone(),
            None => self.place_for(RC_FILE, name),
        }
    }

    /// The entry of a variable, by today's name; the name of the other brand counts as well, after
    /// the one that this release reads.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        let find = |name: &str| self.variables.iter().find(|entry| entry.name == name);
        let other = other_brand(name);
        let other = other.as_deref();
        if self.reads_old_brand() {
            other.and_then(find).or_else(|| find(name))
        } else {
            find(name).or_else(|| other.and_then(find))
        }
    }

    /// The value of a variable, by today's name; `None` when it is unset or empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.entry(name)?.value.as_deref();
        value.filter(|value| !value.is_empty())
    }

    /// Where a variable stands, or where it would be written.
    pub(super) fn variable_place(&self, name: &str) -> Place {
        match self.entry(name) {
            Some(entry) => entry.place.clone(),
            None => self.place_for(VARIABLES_FILE, name),
        }
    }

    /// The line that offers the name in a comment, else the end of the file.
    fn place_for(&self, file: &str, name: &str) -> Place {
        let text = self.text(file);
        let offers = |line: &str| {
            let bare = line
                .strip_prefix('#')
                .map(|rest| rest.trim_start_matches('#'));
            let bare = bare.and_then(|rest| rest.trim_start().strip_prefix(name));
            bare.is_some_and(|rest| rest.starts_with('='))
        };
        let at = text.lines().position(offers);
        Place {
            file: self.file(file),
            line: at.unwrap_or_else(|| text.lines().count()) + 1,
            column: 1,
        }
    }

    /// The place of the version.
    pub(super) fn version_place(&self) -> Place {
        Place {
            file: self.file(VERSION_FILE),
            line: 1,
            column: 1,
        }
    }

    /// Whether this release reads `SHARELATEX_` names.
    pub(super) fn reads_old_brand(&self) -> bool {
        let version = self.version.as_ref();
        version.is_some_and(|version| version.numbers() < REBRANDED)
    }

    /// Whether a setting or variable holds a secret.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.masker.is_secret(name)
    }

    /// The values of all secrets that the files hold.
    pub(super) fn secret_values(&self) -> Vec<String> {
        let settings = self.rc.iter().filter(|(name, _)| self.is_secret(name));
        let settings = settings.map(|(_, assigned)| assigned.value.clone());
        let variables = self
            .variables
            .iter()
            .filter(|entry| self.is_secret(&entry.name));
        let variables = variables.filter_map(|entry| entry.value.clone());
        settings.chain(variables).collect()
    }

    /// The line of a place, without secrets.
    pub(super) fn shown_line(&self, place: &Place) -> Option<String> {
        let Some(name) = self.name_of(&place.file) else {
            return (self.input.other_line)(&place.file, place.line);
        };
        let text = self.text(name);
        source_line::shown(text, place.line, &|name| self.is_secret(name))
    }

    /// Whether the line of a place holds a secret.
    pub(super) fn is_hidden(&self, place: &Place) -> bool {
        self.name_of(&place.file).is_some_and(|name| {
            source_line::is_hidden(self.text(name), place.line, &|name| self.is_secret(name))
        })
    }

    fn name_of(&self, file: &Path) -> Option<&'static str> {
        let mut names = super::FILES.into_iter();
        names.find(|name| self.file(name) == file)
    }
}

/// What resolving the settings makes and finds. `version` is what the version file is meant to hold:
/// where its form is wrong, resolving stops before it has looked at everything.
fn resolved(
    sources: &Sources<'_>,
    version: Option<&Version>,
) -> Result<(Option<Settings>, Vec<Problem>), LintError> {
    let (settings, mut problems) = resolve(sources)?;
    if settings::first_line(sources.version)
        .parse::<Version>()
        .is_err()
    {
        let stand_in = version.map_or_else(|| STAND_IN.to_owned(), ToString::to_string);
        let sources = Sources {
            version: &stand_in,
            ..*sources
        };
        let (_, more) = resolve(&sources)?;
        for problem in more {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    Ok((settings, problems))
}

fn resolve(sources: &Sources<'_>) -> Result<(Option<Settings>, Vec<Problem>), LintError> {
    match settings::resolve(sources) {
        Ok((settings, problems)) => Ok((Some(settings), problems)),
        Err(SettingsError::Invalid(problems)) => Ok((None, problems)),
        Err(SettingsError::Catalogue(error)) => Err(ReferenceError::from(error).into()),
        Err(SettingsError::Releases(error)) => Err(error.into()),
    }
}

/// The name of a variable under the other brand, `None` for names that have none.
pub(super) fn other_brand(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("OVERLEAF_") {
        return Some(format!("SHARELATEX_{rest}"));
    }
    let rest = name.strip_prefix("SHARELATEX_")?;
    Some(format!("OVERLEAF_{rest}"))
}
