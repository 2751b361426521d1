//! Why one name has the value it has: what it is, which lines set it, and what the containers get.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::assignments::{self, Assignment, Dialect};
use super::catalogue::{self, SettingRow};
use super::disclosure::Masker;
use super::effective::{Configured, Effective};
use super::problem::Place;
use super::reference::Reference;
use super::variables::VariableRow;
use super::{RC_FILE, Sources, VARIABLES_FILE};
use crate::release::Version;

/// The environment of each service of a deployment.
pub type Environments = BTreeMap<String, BTreeMap<String, Option<String>>>;

/// A line that sets the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub place: Place,
    /// The value as it is written there, masked.
    pub shown: String,
    /// Whether it counts: a later line of the same file wins.
    pub is_in_force: bool,
}

/// What a container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The service.
    pub service: String,
    /// The value, masked.
    pub shown: String,
    /// Whether it is the one of variables.env. Otherwise the definition sets it, or an override.
    pub is_from_variables: bool,
}

/// One name as a setting, or as a variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The name that counts here, which for a variable depends on the release.
    pub name: String,
    /// What it is.
    pub subject: Subject,
    /// What is in force for it.
    pub effective: Option<Effective>,
    /// The lines that set it, in their order.
    pub lines: Vec<Line>,
    /// Where a line that is commented out offers it, when no line sets it.
    pub offered: Option<Place>,
    /// What is wrong with the value.
    pub objection: Option<String>,
    /// What the containers get under this name, by service; `None` when the deployment is unknown.
    pub received: Option<Vec<Received>>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// What a name is.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A setting of overleaf.rc.
    Setting(SettingRow),
    /// A variable, one row for each service that reads it.
    Variable(Vec<VariableRow>),
    /// A name in overleaf.rc that is no setting.
    Helper,
    /// A name in variables.env that the catalogue does not have.
    Stranger,
}

/// The question.
pub struct Question<'a> {
    /// The texts.
    pub sources: &'a Sources<'a>,
    /// Everything the program knows.
    pub reference: &'a Reference,
    /// What is in force.
    pub configured: &'a Configured,
    /// What may be shown.
    pub masker: &'a Masker,
    /// The release, when the version file can be read.
    pub version: Option<&'a Version>,
    /// What the containers get, when the deployment can be made.
    pub environments: Option<&'a Environments>,
}

impl Question<'_> {
    /// Everything about a name: as a setting, as a variable, or both. Empty when it is neither and
    /// no file sets it.
    #[must_use]
    pub fn about(&self, name: &str) -> Vec<Explanation> {
        let setting = self.reference.setting(name);
        let rows: Vec<VariableRow> = self
            .reference
            .variables_of(name)
            .into_iter()
            .cloned()
            .collect();
        let mut found = Vec::new();
        if let Some(row) = setting {
            found.push(self.setting(row));
        } else if self.configured.settings.iter().any(|one| one.name == name) {
            found.push(self.explanation(name, Subject::Helper));
        }
        if let Some(row) = self.reference.setting_once(name) {
            let mut one = self.setting(row);
            one.notes.push(format!(
                "`{name}` was its name once; a line with that name sets nothing"
            ));
            found.push(one);
        }
        let is_set = |one: &&Effective| one.name == name && one.origin.is_some();
        let is_stranger = self.configured.variables.iter().any(|one| is_set(&one));
        let is_received = || {
            let mut all = self.environments.into_iter().flat_map(BTreeMap::values);
            all.any(|environment| environment.contains_key(name))
        };
        if !rows.is_empty() {
            found.push(self.variable(name, rows));
        } else if is_stranger || found.is_empty() && is_received() {
            found.push(self.explanation(name, Subject::Stranger));
        }
        found
    }

    fn setting(&self, row: &SettingRow) -> Explanation {
        let name = &row.name;
        let mut found = self.explanation(name, Subject::Setting(row.clone()));
        let value = found.effective.as_ref().and_then(Effective::expose);
        found.objection = value
            .filter(|value| !value.is_empty())
            .and_then(|value| catalogue::objection(row, value))
            .map(|objection| match row.secret {
                true => "it does not have the expected form".to_owned(),
                false => objection,
            });
        let is_set = found
            .effective
            .as_ref()
            .is_some_and(|one| one.origin.is_some());
        if !is_set && row.environment {
            found.notes.push(format!(
                "without a line in {RC_FILE}, the environment variable `{name}` counts"
            ));
        }
        found
    }

    fn variable(&self, asked: &str, rows: Vec<VariableRow>) -> Explanation {
        let first = rows.first().cloned();
        let name = match (&first, self.version) {
            (Some(row), Some(version)) => row.name_for(version).to_owned(),
            _ => asked.to_owned(),
        };
        let mut found = self.explanation(&name, Subject::Variable(rows));
        let Some(row) = first else {
            return found;
        };
        let value = found.effective.as_ref().and_then(Effective::expose);
        found.objection = value.and_then(|value| row.objection(value));
        let other = row
            .legacy
            .iter()
            .chain([&row.name])
            .find(|other| **other != name);
        if let (Some(other), Some(version)) = (other, self.version) {
            if asked != name {
                found.notes.push(format!(
                    "Overleaf {version} reads `{name}`; `{other}` is its name in other releases"
                ));
            }
            for line in self.lines(other, VARIABLES_FILE) {
                found.notes.push(format!(
                    "{} sets `{other}`, which this release does not read",
                    line.place
                ));
            }
        }
        if row.set_by_toolkit {
            found.notes.push(format!(
                "the definition sets it; a value in {VARIABLES_FILE} has no effect"
            ));
        }
        found
    }

    fn explanation(&self, name: &str, subject: Subject) -> Explanation {
        let (file, all) = match subject {
            Subject::Setting(_) | Subject::Helper => (RC_FILE, &self.configured.settings),
            Subject::Variable(_) | Subject::Stranger => {
                (VARIABLES_FILE, &self.configured.variables)
            }
        };
        let is_variable = file == VARIABLES_FILE;
        let effective = all.iter().find(|one| one.name == name).cloned();
        let lines = self.lines(name, file);
        let received = match (is_variable, self.environments) {
            (true, Some(all)) => Some(self.received(name, effective.as_ref(), all)),
            _ => None,
        };
        Explanation {
            name: name.to_owned(),
            offered: lines.is_empty().then(|| self.offered(name, file)).flatten(),
            subject,
            effective,
            lines,
            objection: None,
            received,
            notes: Vec::new(),
        }
    }

    fn received(
        &self,
        name: &str,
        effective: Option<&Effective>,
        all: &Environments,
    ) -> Vec<Received> {
        let own = effective.and_then(Effective::expose);
        let secrets = self.configured.secrets();
        all.iter()
            .filter_map(|(service, environment)| {
                let value = environment.get(name)?.as_deref();
                Some(Received {
                    service: service.clone(),
                    shown: self
                        .masker
                        .value_among(name, value.unwrap_or_default(), &secrets),
                    is_from_variables: value.is_some() && value == own,
                })
            })
            .collect()
    }

    fn lines(&self, name: &str, file: &str) -> Vec<Line> {
        let (text, dialect) = self.text(file);
        let all = assignments::find(text, dialect);
        let secrets = self.configured.secrets();
        let mut lines: Vec<Line> = all
            .iter()
            .filter(|found| found.name == name)
            .map(|found| Line {
                place: self.place(file, text, found),
                shown: self
                    .masker
                    .value_among(name, written(text, found), &secrets),
                is_in_force: false,
            })
            .collect();
        if let Some(last) = lines.last_mut() {
            last.is_in_force = true;
        }
        lines
    }

    fn offered(&self, name: &str, file: &str) -> Option<Place> {
        let (text, dialect) = self.text(file);
        let all = assignments::find_commented(text, dialect);
        let offer = all.iter().rfind(|found| found.name == name)?;
        Some(self.place(file, text, offer))
    }

    fn text(&self, file: &str) -> (&str, Dialect) {
        if file == RC_FILE {
            (self.sources.rc, Dialect::Shell)
        } else {
            (self.sources.variables, Dialect::EnvFile)
        }
    }

    fn place(&self, file: &str, text: &str, found: &Assignment) -> Place {
        let before = text.get(..found.key.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let file: PathBuf = self.sources.root.join(file);
        Place {
            file,
            line: found.line,
            column: line.chars().count() + 1,
        }
    }
}

/// A value as it is written; a name that stands alone has none.
fn written<'a>(text: &'a str, found: &Assignment) -> &'a str {
    let bytes = found.value.clone();
    bytes.and_then(|bytes| text.get(bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::effective;
    use super::*;
    use std::path::Path;

    fn explained(name: &str, rc: &str, variables: &str, version: &str) -> Vec<Explanation> {
        let reference = Reference::load().unwrap();
        let masker = Masker::new(&reference);
        let sources = Sources {
            root: Path::new("/srv"),
            rc,
            variables,
            version,
            environment: &|_| None,
            dotenv: "",
            canonical: &|path| Ok(path.to_path_buf()),
            is_folder: &|_| true,
        };
        let configured = effective::read(&sources, &reference, &masker).unwrap();
        let value = |text: &str| Some(text.to_owned());
        let application = BTreeMap::from([
            ("OVERLEAF_SITE_URL".to_owned(), value("https://b")),
            ("COMPILE_TIMEOUT".to_owned(), value("60")),
            ("FROM_AN_OVERRIDE".to_owned(), value("x")),
        ]);
        let environments = BTreeMap::from([
            ("redis".to_owned(), BTreeMap::new()),
            ("sharelatex".to_owned(), application),
        ]);
        let version = version.trim().parse().ok();
        let question = Question {
            sources: &sources,
            reference: &reference,
            configured: &configured,
            masker: &masker,
            version: version.as_ref(),
            environments: Some(&environments),
        };
        question.about(name)
    }

    fn places(lines: &[Line]) -> Vec<(usize, &str, bool)> {
        lines
            .iter()
            .map(|line| (line.place.line, line.shown.as_str(), line.is_in_force))
            .collect()
    }

    #[test]
    fn a_variable_says_which_line_counts_and_who_receives_it() {
        let variables = "OVERLEAF_SITE_URL=https://a\n# x\nOVERLEAF_SITE_URL=\"https://b\"\nCOMPILE_TIMEOUT=3m\n";
        let found = explained("SHARELATEX_SITE_URL", "", variables, "6.2.2");
        let [one] = found.as_slice() else { panic!() };
        assert_eq!(one.name, "OVERLEAF_SITE_URL");
        assert_eq!(
            places(&one.lines),
            [(1, "https://a", false), (3, "\"https://b\"", true)]
        );
        let received = one.received.as_ref().unwrap();
        assert_eq!(received.len(), 1);
        assert!(received[0].is_from_variables);
        let found = explained("COMPILE_TIMEOUT", "", variables, "6.2.2");
        let received = found[0].received.as_ref().unwrap();
        assert_eq!(
            (received[0].shown.as_str(), received[0].is_from_variables),
            ("60", false)
        );
        assert_eq!(
            found[0].objection.as_deref(),
            Some("`3m` is not a whole number")
        );
    }

    #[test]
    fn the_name_that_counts_depends_on_the_release() {
        let variables = "OVERLEAF_SITE_URL=https://a\n";
        let found = explained("OVERLEAF_SITE_URL", "", variables, "4.2.0");
        let [one] = found.as_slice() else { panic!() };
        assert_eq!(one.name, "SHARELATEX_SITE_URL");
        assert!(one.lines.is_empty());
        assert_eq!(
            one.notes,
            [
                "Overleaf 4.2.0 reads `SHARELATEX_SITE_URL`; `OVERLEAF_SITE_URL` is its name in other releases",
                "/srv/config/variables.env:1:1 sets `OVERLEAF_SITE_URL`, which this release does not read",
            ]
        );
    }

    #[test]
    fn a_setting_names_its_lines_and_the_line_that_offers_it() {
        let rc = "OVERLEAF_PORT=1\nOVERLEAF_PORT=http\n# MONGO_DATA_PATH=x\n";
        let found = explained("OVERLEAF_PORT", rc, "", "6.2.2");
        assert_eq!(
            places(&found[0].lines),
            [(1, "1", false), (2, "http", true)]
        );
        assert!(found[0].objection.is_some());
        assert!(found[0].received.is_none());
        let found = explained("MONGO_DATA_PATH", rc, "", "6.2.2");
        assert_eq!(found[0].offered.as_ref().unwrap().line, 3);
        assert_eq!(found[0].notes.len(), 1);
    }

    #[test]
    fn unknown_names_are_explained_only_where_something_sets_them() {
        let found = explained("OWN", "OWN=1\n", "OWN=2\n", "6.2.2");
        let subjects: Vec<_> = found.iter().map(|one| one.subject.clone()).collect();
        assert_eq!(subjects, [Subject::Helper, Subject::Stranger]);
        let found = explained("FROM_AN_OVERRIDE", "", "", "6.2.2");
        assert_eq!(found[0].subject, Subject::Stranger);
        let found = explained(
            "SHARELATEX_DATA_PATH",
            "SHARELATEX_DATA_PATH=x\n",
            "",
            "6.2.2",
        );
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["SHARELATEX_DATA_PATH", "OVERLEAF_DATA_PATH"]);
        assert_eq!(explained("NOTHING", "", "", "6.2.2"), []);
    }

    #[test]
    fn no_secret_is_shown_in_an_explanation() {
        let variables =
            "OVERLEAF_INVITE_TOKEN_SECRET=hidden\nOVERLEAF_INVITE_TOKEN_SECRET='hidden2'\n";
        let found = explained(
            "OVERLEAF_INVITE_TOKEN_SECRET",
            "MONGO_URL=hidden\n",
            variables,
            "6.2.2",
        );
        assert!(!format!("{found:?}").contains("hidden"));
        assert!(found[0].objection.is_some());
        let found = explained("MONGO_URL", "MONGO_URL='hidden x'\n", variables, "6.2.2");
        assert!(!format!("{found:?}").contains("hidden"));
    }
}
