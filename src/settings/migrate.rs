//! From a configuration of Overleaf 4 to what today's release reads: renames the old brand, and
//! what else `lib/migration.toml` lists. Texts in, texts out; comments stay as they are, and every
//! setting that is not named in a change keeps its value, which is checked.

mod rules;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::catalogue::{self, SettingRow};
use super::env_file;
use super::problem::{Place, Problem, ProblemKind};
use super::shell_words;
use super::statements::{self, Grammar, Statement};
use super::variables::{self, VariableRow};
use super::{RC_FILE, SettingsError, VARIABLES_FILE};
use crate::image;
use crate::release::Version;
use rules::Rules;

/// The texts before a migration, and what it is asked for.
pub struct Request<'a> {
    /// Absolute path of the instance.
    pub root: &'a Path,
    /// Text of overleaf.rc; `None` leaves the file alone.
    pub rc: Option<&'a str>,
    /// Text of variables.env; `None` leaves the file alone.
    pub variables: Option<&'a str>,
    /// Look-up of an environment variable of the process.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// What was changed in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A name, and the references to it.
    Rename,
    /// A line is gone.
    Remove,
    /// A value.
    Value,
}

impl ChangeKind {
    /// The word of the JSON answer.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Value => "value",
        }
    }
}

/// One change, without any value of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file, relative to the instance.
    pub file: &'static str,
    /// Line in the old text, from 1.
    pub line: usize,
    /// What was changed.
    pub kind: ChangeKind,
    /// The name in the old text.
    pub name: String,
    /// What was done and why.
    pub text: String,
}

/// The texts after a migration; a file that was left alone is `None`.
#[derive(Clone, PartialEq, Eq)]
pub struct Migration {
    /// overleaf.rc.
    pub rc: Option<String>,
    /// variables.env.
    pub variables: Option<String>,
    /// What was changed, in the order of the files and their lines.
    pub changes: Vec<Change>,
    /// What has to be looked at by hand.
    pub warnings: Vec<Problem>,
}

/// Migrates the texts. Both or none: with a problem in one file nothing is returned.
///
/// # Errors
/// A file cannot be read as it is, or holds a setting under both names with different values.
pub fn migrate(request: &Request<'_>) -> Result<Migration, SettingsError> {
    let mut migrator = Migrator {
        rules: Rules::load()?,
        settings: catalogue::load()?,
        variables: variables::load().unwrap_or_default(),
        request,
        changes: Vec::new(),
        problems: Vec::new(),
    };
    let rc = request.rc.map(|text| migrator.rc(text));
    let variables = request.variables.map(|text| migrator.env(text));
    let (errors, warnings): (Vec<_>, Vec<_>) = migrator
        .problems
        .into_iter()
        .partition(|problem| problem.kind == ProblemKind::Error);
    if !errors.is_empty() {
        return Err(SettingsError::Invalid(errors));
    }
    let mut changes = migrator.changes;
    changes.sort_by_key(|change| (change.file, change.line));
    Ok(Migration {
        rc,
        variables,
        changes,
        warnings,
    })
}

/// Whether the releases whose variables start with this brand, such as `OVERLEAF`, read the names of
/// today in variables.env.
///
/// # Errors
/// The shipped rules do not load.
pub fn is_new_brand(brand: &str) -> Result<bool, SettingsError> {
    Ok(Rules::load()?.brand.new.trim_end_matches('_') == brand)
}

/// A name or folder of the old brand in another text, if there is one.
#[must_use]
pub fn old_words(text: &str) -> Option<String> {
    let rules = Rules::load().ok()?;
    let folders = rules.path.into_iter().map(|rule| rule.from);
    let mut words = std::iter::once(rules.brand.old).chain(folders);
    words.find(|word| text.contains(word.as_str()))
}

/// Values by name; `None` for a name alone that the environment does not set.
type Values = BTreeMap<String, Option<String>>;

/// One file while it is migrated.
struct Draft<'a> {
    file: &'static str,
    grammar: Grammar,
    text: &'a str,
    statements: Vec<Statement>,
    /// What the names hold now.
    values: Values,
    /// What they have to hold afterwards.
    expected: Values,
    edits: Vec<(Range<usize>, String)>,
}

impl Draft<'_> {
    fn of<'s>(&'s self, name: &'s str) -> impl DoubleEndedIterator<Item = &'s Statement> {
        let text = self.text;
        self.statements
            .iter()
            .filter(move |statement| statement.name(text) == name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref()
    }

    /// The text with all edits in place; an edit inside a removed range is dropped.
    fn finished(&self) -> String {
        let mut edits = self.edits.clone();
        edits.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut out = String::new();
        let mut from = 0;
        for (range, new) in edits {
            if range.start < from {
                continue;
            }
            out.push_str(self.text.get(from..range.start).unwrap_or_default());
            out.push_str(&new);
            from = range.end;
        }
        out + self.text.get(from..).unwrap_or_default()
    }
}

struct Migrator<'a> {
    rules: Rules,
    settings: Vec<SettingRow>,
    variables: Vec<VariableRow>,
    request: &'a Request<'a>,
    changes: Vec<Change>,
    problems: Vec<Problem>,
}

impl Migrator<'_> {
    fn rc(&mut self, text: &str) -> String {
        let Some(mut draft) = self.draft(RC_FILE, Grammar::Shell, text) else {
            return text.to_owned();
        };
        self.rename(&mut draft);
        self.split_tags(&mut draft);
        self.remove_tags(&mut draft);
        self.finish(&draft)
    }

    fn env(&mut self, text: &str) -> String {
        let Some(mut draft) = self.draft(VARIABLES_FILE, Grammar::EnvFile, text) else {
            return text.to_owned();
        };
        self.remove_lines(&mut draft);
        self.rename(&mut draft);
        self.move_paths(&mut draft);
        self.finish(&draft)
    }

    fn draft<'t>(
        &mut self,
        file: &'static str,
        grammar: Grammar,
        text: &'t str,
    ) -> Option<Draft<'t>> {
        let (values, problems) = self.read(file, grammar, text);
        let is_readable = problems.is_empty();
        self.problems.extend(problems);
        is_readable.then(|| Draft {
            file,
            grammar,
            text,
            statements: statements::find(text, grammar),
            expected: values.clone(),
            values,
            edits: Vec::new(),
        })
    }

    /// What a text says, and what keeps it from being read.
    fn read(&self, file: &str, grammar: Grammar, text: &str) -> (Values, Vec<Problem>) {
        let path = self.request.root.join(file);
        let (values, mut problems): (Values, _) = match grammar {
            Grammar::Shell => {
                let (read, problems) = shell_words::parse(text, &path, self.request.environment);
                let read = read.into_iter();
                let values = read.map(|(name, assigned)| (name, Some(assigned.value)));
                (values.collect(), problems)
            }
            Grammar::EnvFile => {
                let (read, problems) = env_file::parse(text, &path, self.request.environment);
                let values = read.into_iter().map(|entry| (entry.name, entry.value));
                (values.collect(), problems)
            }
        };
        problems.retain(|problem| problem.kind == ProblemKind::Error);
        (values, problems)
    }

    fn problem(
        &mut self,
        kind: ProblemKind,
        file: &str,
        line: usize,
        text: String,
        advice: String,
    ) {
        self.problems.push(Problem {
            kind,
            place: Some(Place {
                file: self.request.root.join(file),
                line,
                column: 1,
            }),
            text,
            advice,
        });
    }

    fn change(&mut self, draft: &Draft<'_>, kind: ChangeKind, at: &Statement, text: String) {
        self.changes.push(Change {
            file: draft.file,
            line: at.line,
            kind,
            name: at.name(draft.text).to_owned(),
            text,
        });
    }

    /// The name of today for a name of the old brand.
    fn renamed(&self, grammar: Grammar, name: &str) -> Option<String> {
        let rest = name.strip_prefix(&self.rules.brand.old)?;
        let known = match grammar {
            Grammar::Shell => None,
            Grammar::EnvFile => self
                .variables
                .iter()
                .find(|row| row.legacy.as_deref() == Some(name))
                .map(|row| row.name.clone()),
        };
        Some(known.unwrap_or_else(|| format!("{}{rest}", self.rules.brand.new)))
    }

    fn is_known(&self, grammar: Grammar, name: &str) -> bool {
        match grammar {
            Grammar::Shell => self.settings.iter().any(|row| row.name == name),
            Grammar::EnvFile => self.variables.iter().any(|row| row.name == name),
        }
    }

    /// Renames every name of the old brand with the references to it. Of a name that is there twice,
    /// the old one goes if both say the same.
    fn rename(&mut self, draft: &mut Draft<'_>) {
        let mut renames: BTreeMap<&str, String> = BTreeMap::new();
        for statement in draft.statements.clone() {
            let old = statement.name(draft.text);
            let Some(new) = self.renamed(draft.grammar, old) else {
                self.check_brand(draft, &statement);
                continue;
            };
            let is_alone = draft.grammar == Grammar::EnvFile && statement.value.is_none();
            if is_alone {
                let text =
                    format!("`{old}` takes its value from the environment and was left alone");
                let advice = format!("rename it there and here to `{new}`");
                self.problem(
                    ProblemKind::Warning,
                    draft.file,
                    statement.line,
                    text,
                    advice,
                );
                continue;
            }
            match draft.values.get(&new) {
                None => {
                    draft.edits.push((statement.name.clone(), new.clone()));
                    self.change(
                        draft,
                        ChangeKind::Rename,
                        &statement,
                        format!("is now `{new}`"),
                    );
                }
                Some(value) if draft.values.get(old) == Some(value) => {
                    let range = statement.to_remove(draft.text);
                    draft.edits.push((range, String::new()));
                    let text = format!("goes: `{new}` says the same");
                    self.change(draft, ChangeKind::Remove, &statement, text);
                }
                Some(_) => self.conflict(draft, &statement, &new),
            }
            let is_new = renames.insert(old, new.clone()).is_none();
            if is_new && !self.is_known(draft.grammar, &new) {
                let text = format!("`{new}`, until now `{old}`, is not known here");
                let advice = "check its spelling; it was renamed all the same".to_owned();
                self.problem(
                    ProblemKind::Warning,
                    draft.file,
                    statement.line,
                    text,
                    advice,
                );
            }
        }
        for reference in draft.statements.iter().flat_map(|s| &s.references) {
            let name = draft.text.get(reference.clone()).unwrap_or_default();
            if let Some(new) = renames.get(name) {
                draft.edits.push((reference.clone(), new.clone()));
            }
        }
        for (old, new) in renames {
            if let Some(value) = draft.expected.remove(old) {
                draft.expected.insert(new, value);
            }
        }
    }

    fn conflict(&mut self, draft: &Draft<'_>, statement: &Statement, new: &str) {
        let old = statement.name(draft.text);
        let other = draft.of(new).last().map_or(0, |other| other.line);
        let text = format!("`{old}` and `{new}` are both set, to different values");
        let advice = format!(
            "keep the value that is right and remove the other line; `{new}` is on line {other}"
        );
        self.problem(ProblemKind::Error, draft.file, statement.line, text, advice);
    }

    /// From 5.0 on the container refuses to start with the old brand anywhere in a name.
    fn check_brand(&mut self, draft: &Draft<'_>, statement: &Statement) {
        let name = statement.name(draft.text);
        let word = self.rules.brand.old.trim_end_matches('_');
        if draft.grammar == Grammar::EnvFile && name.contains(word) {
            let text = format!(
                "`{name}` holds the word {word}, and the container refuses to start with it"
            );
            let advice = "give it another name, or remove the line".to_owned();
            self.problem(
                ProblemKind::Warning,
                draft.file,
                statement.line,
                text,
                advice,
            );
        }
    }

    /// Removes lines that the new releases refuse.
    fn remove_lines(&mut self, draft: &mut Draft<'_>) {
        let rules: Vec<(String, String, String)> = self
            .rules
            .remove
            .iter()
            .map(|rule| (rule.name.clone(), rule.value.clone(), rule.why.clone()))
            .collect();
        for (name, value, why) in rules {
            if draft.value(&name) != Some(&value) {
                continue;
            }
            for statement in draft.of(&name).cloned().collect::<Vec<_>>() {
                let range = statement.to_remove(draft.text);
                draft.edits.push((range, String::new()));
                self.change(
                    draft,
                    ChangeKind::Remove,
                    &statement,
                    format!("goes: {why}"),
                );
            }
            draft.expected.remove(&name);
        }
    }

    /// Rewrites values that start with a folder of the container that moved.
    fn move_paths(&mut self, draft: &mut Draft<'_>) {
        for statement in draft.statements.clone() {
            let name = statement.name(draft.text).to_owned();
            let new_name = self.renamed(draft.grammar, &name).unwrap_or(name.clone());
            let is_gone = !draft.expected.contains_key(&new_name);
            if is_gone || self.rules.host_paths.contains(&new_name) {
                continue;
            }
            let Some(value) = draft.value(&name).map(ToOwned::to_owned) else {
                continue;
            };
            let moved = self.rules.path.iter().find(|rule| {
                let rest = value.strip_prefix(&rule.from);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            let quote = usize::from(statement.written(draft.text).starts_with(['\'', '"']));
            if let (Some(rule), Some(range)) = (moved, &statement.value)
                && let Some(written) = draft.text.get(range.start + quote..range.end)
                && written.starts_with(&rule.from)
            {
                let start = range.start + quote;
                let range = start..start + rule.from.len();
                let text = format!("`{}` is `{}` from 5.0 on", rule.from, rule.to);
                let new_value = value.replacen(&rule.from, &rule.to, 1);
                draft.edits.push((range, rule.to.clone()));
                draft.expected.insert(new_name, Some(new_value));
                self.change(draft, ChangeKind::Value, &statement, text);
            } else if let Some(rule) = self
                .rules
                .path
                .iter()
                .find(|rule| value.contains(&rule.from))
            {
                let text = format!("`{new_name}` still names `{}`", rule.from);
                let advice = format!("in the container that folder is `{}` from 5.0 on", rule.to);
                self.problem(
                    ProblemKind::Warning,
                    draft.file,
                    statement.line,
                    text,
                    advice,
                );
            }
        }
    }

    /// Moves the tag of an image into the setting that carries it today.
    fn split_tags(&mut self, draft: &mut Draft<'_>) {
        let rules: Vec<(String, String)> = self
            .rules
            .split
            .iter()
            .map(|rule| (rule.image.clone(), rule.tag.clone()))
            .collect();
        for (image, tag) in rules {
            let tags: Vec<Statement> = draft.of(&tag).cloned().collect();
            if draft.value(&tag).is_some_and(|value| !value.is_empty()) {
                continue;
            }
            let Some((statement, at, version)) = tagged(draft, &image) else {
                continue;
            };
            let text = format!("the tag `{version}` moves to `{tag}`");
            match tags.last().and_then(|last| last.value.clone()) {
                Some(empty) => {
                    draft.edits.push((empty, version.clone()));
                    draft.edits.push((at, String::new()));
                }
                None => {
                    let end = if draft.text.contains("\r\n") {
                        "\r\n"
                    } else {
                        "\n"
                    };
                    let written = statement.written(draft.text);
                    let quote = written.get(..1).filter(|c| matches!(*c, "'" | "\""));
                    let quote = quote.unwrap_or_default();
                    let line = format!("{quote}{end}{tag}={quote}{version}");
                    draft.edits.push((at, line));
                }
            }
            self.change(draft, ChangeKind::Value, &statement, text);
            let name = draft.value(&image).unwrap_or_default();
            let name = name.strip_suffix(&format!(":{version}")).unwrap_or(name);
            draft.expected.insert(image, Some(name.to_owned()));
            draft.expected.insert(tag, Some(version));
        }
    }

    /// Removes the tag of an image whose tag is the release.
    fn remove_tags(&mut self, draft: &mut Draft<'_>) {
        let rules: Vec<(String, String)> = self
            .rules
            .untag
            .iter()
            .map(|rule| (rule.image.clone(), rule.why.clone()))
            .collect();
        for (image, why) in rules {
            let Some((statement, at, tag)) = tagged(draft, &image) else {
                continue;
            };
            if tag.parse::<Version>().is_err() {
                continue;
            }
            let name = draft.value(&image).unwrap_or_default();
            let name = name.strip_suffix(&format!(":{tag}")).unwrap_or(name);
            draft.expected.insert(image, Some(name.to_owned()));
            draft.edits.push((at, String::new()));
            let text = format!("the tag `{tag}` goes: {why}");
            self.change(draft, ChangeKind::Value, &statement, text);
        }
    }

    /// The new text, after a proof that it says what it should.
    fn finish(&mut self, draft: &Draft<'_>) -> String {
        let text = draft.finished();
        if draft.edits.is_empty() {
            return text;
        }
        let (values, problems) = self.read(draft.file, draft.grammar, &text);
        let mut wrong: Vec<&String> = Vec::new();
        let names = values.keys().chain(draft.expected.keys());
        wrong.extend(names.filter(|name| values.get(*name) != draft.expected.get(*name)));
        wrong.sort();
        wrong.dedup();
        let has_conflict = self.problems.iter().any(|p| p.kind == ProblemKind::Error);
        if has_conflict || (wrong.is_empty() && problems.is_empty()) {
            return text;
        }
        for name in wrong {
            self.problems.push(Problem {
                kind: ProblemKind::Error,
                place: None,
                text: format!("`{name}` would get another value in {}", draft.file),
                advice: "rename it by hand, then run the command again".to_owned(),
            });
        }
        self.problems.extend(problems);
        text
    }
}

/// The one statement that sets an image with a version as its tag, where the tag with its colon
/// stands in the text, and the tag. `None` when there is no such tag, or it is not written as it is.
fn tagged(draft: &Draft<'_>, name: &str) -> Option<(Statement, Range<usize>, String)> {
    let reference = draft.value(name)?;
    let tag = image::tag(reference).filter(|tag| tag.starts_with(|c: char| c.is_ascii_digit()))?;
    let statement = draft.of(name).last()?.clone();
    let range = statement.value.clone()?;
    let written = draft.text.get(range.clone())?;
    let bare = written.trim_matches(['\'', '"']);
    if bare != reference || draft.of(name).count() != 1 {
        return None;
    }
    let end = range.start + written.trim_end_matches(['\'', '"']).len();
    let start = end.checked_sub(tag.len() + 1)?;
    Some((statement, start..end, tag.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Sources, resolve};

    fn migrated(rc: &str, variables: &str) -> Result<Migration, Vec<(usize, String)>> {
        let request = Request {
            root: Path::new("/srv/overleaf"),
            rc: Some(rc),
            variables: Some(variables),
            environment: &|_| None,
        };
        migrate(&request).map_err(|error| {
            let SettingsError::Invalid(problems) = error else {
                panic!("{error}")
            };
            let problems = problems.into_iter();
            let line = |p: &Problem| p.place.as_ref().map_or(0, |at| at.line);
            problems.map(|p| (line(&p), p.text)).collect()
        })
    }

    #[test]
    fn each_rule_changes_what_it_should_and_nothing_else() {
        for (rc, variables, new_rc, new_variables) in [
            ("A=1\n", "B=2", "A=1\n", "B=2"),
            // Names, with the references to them; other text with the old name stays.
            (
                "SHARELATEX_DATA_PATH=d\r\nX=$SHARELATEX_DATA_PATH/'$SHARELATEX_DATA_PATH' # SHARELATEX_PORT",
                "\u{feff}SHARELATEX_APP_NAME='SHARELATEX_X=1' # SHARELATEX\nB=\"${SHARELATEX_APP_NAME} $$SHARELATEX_APP_NAME\"\n# SHARELATEX_Y=1\n",
                "OVERLEAF_DATA_PATH=d\r\nX=$OVERLEAF_DATA_PATH/'$SHARELATEX_DATA_PATH' # SHARELATEX_PORT",
                "\u{feff}OVERLEAF_APP_NAME='SHARELATEX_X=1' # SHARELATEX\nB=\"${OVERLEAF_APP_NAME} $$SHARELATEX_APP_NAME\"\n# SHARELATEX_Y=1\n",
            ),
            // Both names with one value.
            (
                "export SHARELATEX_PORT=80\nOVERLEAF_PORT='80'\n",
                "OVERLEAF_A=1\nSHARELATEX_A=1 # old\nC=3\n",
                "OVERLEAF_PORT='80'\n",
                "OVERLEAF_A=1\nC=3\n",
            ),
            (
                "SHARELATEX_PORT=80\nSHARELATEX_PORT=81\n",
                "",
                "OVERLEAF_PORT=80\nOVERLEAF_PORT=81\n",
                "",
            ),
            // Folders of the container, not of the host.
            (
                "OVERLEAF_DATA_PATH=/var/lib/sharelatex\n",
                "P=\"/var/lib/sharelatex/x\"\nSANDBOXED_COMPILES_HOST_DIR=/var/lib/sharelatex/data\nQ=/var/lib/sharelatex2\n",
                "OVERLEAF_DATA_PATH=/var/lib/sharelatex\n",
                "P=\"/var/lib/overleaf/x\"\nSANDBOXED_COMPILES_HOST_DIR=/var/lib/sharelatex/data\nQ=/var/lib/sharelatex2\n",
            ),
            (
                "",
                "A=1\nTEXMFVAR=\"/var/lib/sharelatex/tmp/texmf-var\"\nB=2\n",
                "",
                "A=1\nB=2\n",
            ),
            (
                "",
                "# TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\nTEXMFVAR=/x\n",
                "",
                "# TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\nTEXMFVAR=/x\n",
            ),
            // The tag of MongoDB, and the tag that git-bridge takes from the release.
            (
                "MONGO_IMAGE=mongo:4.4 # pinned\nA=1\n",
                "",
                "MONGO_IMAGE=mongo\nMONGO_VERSION=4.4 # pinned\nA=1\n",
                "",
            ),
            (
                "A=1\r\nMONGO_IMAGE=\"r.local:5000/mongo:4.4\"",
                "",
                "A=1\r\nMONGO_IMAGE=\"r.local:5000/mongo\"\r\nMONGO_VERSION=\"4.4\"",
                "",
            ),
            (
                "MONGO_VERSION=\nMONGO_IMAGE=mongo:4.4\n",
                "",
                "MONGO_VERSION=4.4\nMONGO_IMAGE=mongo\n",
                "",
            ),
            (
                "MONGO_IMAGE=mongo:4.4\nMONGO_VERSION=5.0\n",
                "",
                "MONGO_IMAGE=mongo:4.4\nMONGO_VERSION=5.0\n",
                "",
            ),
            (
                "MONGO_IMAGE=mongo@sha256:12\n",
                "",
                "MONGO_IMAGE=mongo@sha256:12\n",
                "",
            ),
            (
                "MONGO_IMAGE=r.local:5000/mongo\n",
                "",
                "MONGO_IMAGE=r.local:5000/mongo\n",
                "",
            ),
            (
                "GIT_BRIDGE_IMAGE=q/git-bridge:4.1.6\n",
                "",
                "GIT_BRIDGE_IMAGE=q/git-bridge\n",
                "",
            ),
            (
                "GIT_BRIDGE_IMAGE=q/git-bridge:ours\n",
                "",
                "GIT_BRIDGE_IMAGE=q/git-bridge:ours\n",
                "",
            ),
        ] {
            let result = migrated(rc, variables).unwrap();
            assert_eq!(result.rc.as_deref(), Some(new_rc), "{rc:?}");
            assert_eq!(
                result.variables.as_deref(),
                Some(new_variables),
                "{variables:?}"
            );
            let again = migrated(new_rc, new_variables).unwrap();
            assert_eq!(
                again.changes,
                [],
                "a second run finds more: {rc:?} {variables:?}"
            );
        }
    }

    #[test]
    fn two_names_with_different_values_are_refused_with_both_lines() {
        let problems = migrated("", "A=1\nOVERLEAF_X=1\nSHARELATEX_X=2\n")
            .err()
            .unwrap();
        let expected = "`SHARELATEX_X` and `OVERLEAF_X` are both set, to different values";
        assert_eq!(problems, [(3, expected.to_owned())]);
    }

    #[test]
    fn a_file_that_cannot_be_read_changes_none() {
        let problems = migrated("SHARELATEX_PORT=$(cat x)\n", "SHARELATEX_A='\n")
            .err()
            .unwrap();
        assert_eq!(
            problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [1, 1]
        );
    }

    /// A reference between the two names would read another value once the first is gone.
    #[test]
    fn a_migration_that_would_change_a_value_is_refused() {
        let rc = "SHARELATEX_PORT=80\nX=$SHARELATEX_PORT\nOVERLEAF_PORT=81\nOVERLEAF_PORT=80\n";
        assert!(migrated(rc, "").is_err());
    }

    #[test]
    fn what_a_person_has_to_look_at_is_told() {
        let result = migrated(
            "SHARELATEX_FROB=1\n",
            "SHARELATEX_ALONE\nMY_SHARELATEX=1\nJ='{\"p\": \"/etc/sharelatex/x\"}'\n",
        );
        let warnings = result.unwrap().warnings;
        let texts: Vec<&str> = warnings
            .iter()
            .map(|warning| warning.text.as_str())
            .collect();
        assert_eq!(
            texts,
            [
                "`OVERLEAF_FROB`, until now `SHARELATEX_FROB`, is not known here",
                "`SHARELATEX_ALONE` takes its value from the environment and was left alone",
                "`MY_SHARELATEX` holds the word SHARELATEX, and the container refuses to start with it",
                "`J` still names `/etc/sharelatex`",
            ]
        );
    }

    #[test]
    fn an_old_configuration_resolves_for_a_new_release() {
        let rc = "PROJECT_NAME=overleaf\nSHARELATEX_DATA_PATH=data/sharelatex\nSERVER_PRO=true\nSHARELATEX_LISTEN_IP=127.0.0.1\nSHARELATEX_PORT=80\nMONGO_DATA_PATH=data/mongo\nMONGO_IMAGE=mongo:4.4\nREDIS_DATA_PATH=data/redis\nREDIS_IMAGE=redis:6.2\nGIT_BRIDGE_ENABLED=true\nGIT_BRIDGE_IMAGE=quay.io/sharelatex/git-bridge:4.2.8\n";
        let variables = "SHARELATEX_APP_NAME=\"Our Overleaf\"\nENABLED_LINKED_FILE_TYPES=project_file\nTEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\nSHARELATEX_SITE_URL=https://tex.example.org\n";
        let result = migrated(rc, variables).unwrap();
        let sources = Sources {
            root: Path::new("/srv/overleaf"),
            rc: result.rc.as_deref().unwrap(),
            variables: result.variables.as_deref().unwrap(),
            version: "5.5.5\n",
            environment: &|_| None,
            dotenv: "",
            canonical: &|path| Ok(path.to_path_buf()),
            is_folder: &|_| true,
        };
        let (settings, problems) = resolve(&sources).unwrap();
        assert_eq!(problems, []);
        assert_eq!(settings.mongo.as_ref().unwrap().image, "mongo:4.4");
        assert_eq!(
            settings.sharelatex.data_path,
            Path::new("/srv/overleaf/data/sharelatex")
        );
        assert_eq!(
            settings.variable("OVERLEAF_SITE_URL"),
            Some("https://tex.example.org")
        );
        assert_eq!(settings.variables.len(), 3);
        let lines: Vec<(usize, &str)> = result
            .changes
            .iter()
            .map(|c| (c.line, c.kind.word()))
            .collect();
        assert_eq!(
            lines,
            [
                (2, "rename"),
                (4, "rename"),
                (5, "rename"),
                (7, "value"),
                (11, "value"),
                (1, "rename"),
                (3, "remove"),
                (4, "rename")
            ]
        );
    }
}
