//! `toolkit config migrate`: from a configuration of Overleaf 4 to what today's release reads.

use std::path::{Path, PathBuf};

use super::super::super::{Session, error, error::CommandError, exit, files, instance, question};
use crate::deployment::DeploymentError;
use crate::host;
use crate::release::{Catalogue, Version};
use crate::settings::masking::Shown;
use crate::settings::migrate::{self, Migration, Request};
use crate::settings::problem::{Place, Problem, ProblemKind};
use crate::settings::statements::Grammar;
use crate::settings::{self, SettingsError};
use crate::ui::{diff, words};

/// Migrate the configuration of an upstream or 4.x instance
///
/// Renames the SHARELATEX_ names of overleaf.rc and, for a release from 5.0 on, of variables.env;
/// lets values follow folders that moved in the container; moves the tag of MONGO_IMAGE into
/// MONGO_VERSION; removes tags and lines that are refused today. Comments stay as they are. Shows
/// the changes first, then writes all files or none, and keeps the old ones as NAME.bak.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config migrate --dry-run\n  toolkit config migrate\n  toolkit config migrate --to 5.5.5 --yes"
)]
pub struct Args {
    /// Release to migrate to, written into config/version; data is not upgraded [default: the
    /// release in config/version]
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<Version>,
}

/// Migrate one file, as the script of the same name did
///
/// See `toolkit config migrate`, which does this for all files at once.
#[derive(Debug, clap::Args)]
pub struct AliasArgs {}

/// Which files are migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// overleaf.rc.
    Rc,
    /// variables.env.
    Variables,
}

/// Override file, which is looked at and not changed.
const OVERRIDE_FILE: &str = "config/docker-compose.override.yml";

/// Migrates the files in one transaction.
///
/// # Errors
/// A file cannot be read or migrated, the operator declines, or a file cannot be written.
pub async fn run(
    to: Option<&Version>,
    scope: Scope,
    session: &Session,
) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "config migrate").await?;
    let before = files::read_all(&root)?;
    let (from, target) = releases(&root, &before.version, to)?;
    let catalogue = Catalogue::load().map_err(DeploymentError::from)?;
    let era = catalogue.era(&target).map_err(DeploymentError::from)?;
    let is_new = migrate::is_new_brand(&era.brand)?;
    let request = Request {
        root: &root,
        rc: (scope != Scope::Variables).then_some(&before.rc),
        variables: (scope != Scope::Rc && is_new).then_some(&before.variables),
        environment: &super::super::super::environment,
    };
    let migration = migrate::migrate(&request).map_err(|error| refused(error, &before))?;
    let after = files::Texts {
        rc: migration.rc.clone().unwrap_or_else(|| before.rc.clone()),
        variables: migration
            .variables
            .clone()
            .unwrap_or_else(|| before.variables.clone()),
        version: before
            .version
            .replacen(&from.to_string(), &target.to_string(), 1),
    };
    let mut warnings = migration.warnings.clone();
    warnings.extend(override_warning(&root));
    warnings.extend(release_warnings(&catalogue, &from, &target));
    warnings.extend(rest(&root, &after));
    let outcome = Outcome {
        root: &root,
        from: &from,
        to: &target,
        migration: &migration,
        files: changed_files(&before, &after),
        warnings,
        keeps_old_names: scope != Scope::Rc && !is_new,
    };
    outcome.show(session);
    if outcome.files.is_empty() || session.dry_run {
        outcome.conclude(session, false);
        return Ok(exit::DONE);
    }
    question::confirm(session, "Write these changes?").await?;
    write(&root, &before, &outcome.files)?;
    outcome.conclude(session, true);
    Ok(exit::DONE)
}

/// The release that is configured, and the one that is migrated to.
fn releases(
    root: &Path,
    text: &str,
    to: Option<&Version>,
) -> Result<(Version, Version), CommandError> {
    let from: Version = text.trim().parse().map_err(|problem| {
        let problem = Problem {
            kind: ProblemKind::Error,
            place: Some(Place {
                file: root.join(settings::VERSION_FILE),
                line: 1,
                column: 1,
            }),
            text: format!("{problem}"),
            advice: "write one version such as `6.2.2` into it".to_owned(),
        };
        error::of_problems(vec![problem], &|_, _| None)
    })?;
    let target = to.unwrap_or(&from).clone();
    if target < from {
        let message = format!("`{target}` is older than `{from}`, which is configured");
        return Err(CommandError::new("USAGE", exit::USAGE, message)
            .state("nothing was changed")
            .fix("name the release that the configuration is meant for, or leave --to out"));
    }
    Ok((from, target))
}

fn refused(error: SettingsError, texts: &files::Texts) -> CommandError {
    match error {
        SettingsError::Invalid(problems) => {
            let line_of = |file: &Path, line: usize| files::shown_line(texts, file, line);
            error::of_problems(problems, &line_of).fix(
                "mend these by hand; `toolkit config flatten` does it for lines that need a shell",
            )
        }
        other => other.into(),
    }
}

fn warning(text: String, advice: String) -> Problem {
    Problem {
        kind: ProblemKind::Warning,
        place: None,
        text,
        advice,
    }
}

fn override_warning(root: &Path) -> Option<Problem> {
    let text = host::read_text(&root.join(OVERRIDE_FILE)).ok()?;
    let old = migrate::old_words(&text)?;
    Some(warning(
        format!("`{OVERRIDE_FILE}` still names `{old}`"),
        "this file is yours: change it by hand".to_owned(),
    ))
}

/// What the release that is migrated to asks for.
fn release_warnings(catalogue: &Catalogue, from: &Version, to: &Version) -> Vec<Problem> {
    let mut found = Vec::new();
    if to.numbers().0 > from.numbers().0 + 1 {
        found.push(warning(
            format!("from {from} to {to} skips a major release, which the data does not survive"),
            "upgrade to the last release of each major in between first".to_owned(),
        ));
    }
    if let Some(why) = catalogue.release(to).and_then(|r| r.retracted.as_ref()) {
        let text = format!("{to} was withdrawn: {why}");
        found.push(warning(text, "choose another release".to_owned()));
    }
    found
}

/// What keeps the result from being used, apart from its names.
fn rest(root: &Path, texts: &files::Texts) -> Vec<Problem> {
    let dotenv = files::dotenv(root).unwrap_or_default();
    let sources = super::sources(root, texts, &dotenv);
    match settings::resolve(&sources) {
        Err(SettingsError::Invalid(problems)) => {
            let errors = problems
                .into_iter()
                .filter(|p| p.kind == ProblemKind::Error);
            errors
                .map(|problem| Problem {
                    kind: ProblemKind::Warning,
                    ..problem
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// One file that changes.
struct ChangedFile {
    name: &'static str,
    text: String,
    /// Without values that nobody should see.
    diff: String,
}

/// In the order in which they are written. The version comes first: a run that is cut off between
/// two files then leaves names that the new release refuses, and a second run goes on.
fn changed_files(before: &files::Texts, after: &files::Texts) -> Vec<ChangedFile> {
    let shown = Shown::load();
    let version = (
        settings::VERSION_FILE,
        None,
        &before.version,
        &after.version,
    );
    let variables = Some(Grammar::EnvFile);
    let variables = (
        settings::VARIABLES_FILE,
        variables,
        &before.variables,
        &after.variables,
    );
    let rc = (
        settings::RC_FILE,
        Some(Grammar::Shell),
        &before.rc,
        &after.rc,
    );
    let changed = [version, variables, rc].into_iter();
    let changed = changed.filter(|(_, _, before, after)| before != after);
    changed
        .map(|(name, grammar, before, after)| {
            let masked = |text: &String| match grammar {
                Some(grammar) => shown.masked(text, grammar),
                None => text.clone(),
            };
            ChangedFile {
                name,
                text: after.clone(),
                diff: diff::unified(name, &masked(before), &masked(after)),
            }
        })
        .collect()
}

/// Writes all files or none, unless somebody changed one of them while the question stood.
fn write(root: &Path, before: &files::Texts, files: &[ChangedFile]) -> Result<(), CommandError> {
    if files::read_all(root)? != *before {
        return Err(super::changed_meanwhile());
    }
    let texts = files
        .iter()
        .map(|file| (root.join(file.name), file.text.clone()));
    let texts: Vec<(PathBuf, String)> = texts.collect();
    host::replace_all(&texts)
        .map_err(|error| CommandError::from(error).state("the files hold their old texts"))
}

/// What a run found.
struct Outcome<'a> {
    root: &'a Path,
    from: &'a Version,
    to: &'a Version,
    migration: &'a Migration,
    files: Vec<ChangedFile>,
    warnings: Vec<Problem>,
    keeps_old_names: bool,
}

impl Outcome<'_> {
    fn show(&self, session: &Session) {
        for warning in &self.warnings {
            session.ui.problem(warning, None);
        }
        if self.keeps_old_names {
            session.ui.say(&format!(
                "{} reads the SHARELATEX_ names of {}: they stay. For an upgrade, name the release: toolkit config migrate --to 5.5.5",
                self.to,
                settings::VARIABLES_FILE
            ));
        }
        if !session.ui.is_json() {
            let style = session.ui.answer_style();
            for file in &self.files {
                session.ui.answer(&diff::styled(&file.diff, style));
            }
        }
    }

    fn conclude(&self, session: &Session, is_written: bool) {
        if session.ui.is_json() {
            let warnings: Vec<String> = self.warnings.iter().map(|w| w.text.clone()).collect();
            let data = self.value(is_written);
            session.ui.document("toolkit.migrate/v1", &data, &warnings);
            return;
        }
        if self.files.is_empty() {
            session
                .ui
                .say("nothing to do: the names and values are those of today");
        }
        for file in self.files.iter().filter(|_| is_written) {
            session
                .ui
                .say(&format!("wrote {0} (the old text is {0}.bak)", file.name));
        }
        if is_written && self.from != self.to {
            session.ui.say(
                "next: read the release notes and make a copy of the data, then `toolkit plan`",
            );
        }
        let changes = words::count(self.migration.changes.len(), "change");
        if session.dry_run && !self.files.is_empty() {
            session.ui.say(&format!("{changes}; nothing was written"));
        }
    }

    fn value(&self, is_written: bool) -> serde_json::Value {
        let files = self.files.iter().map(|file| {
            let backup = is_written.then(|| format!("{}.bak", file.name));
            serde_json::json!({ "file": file.name, "backup": backup, "diff": file.diff })
        });
        let changes = self.migration.changes.iter().map(|change| {
            serde_json::json!({
                "file": change.file,
                "line": change.line,
                "change": change.kind.word(),
                "name": change.name,
                "text": change.text,
            })
        });
        serde_json::json!({
            "root": self.root,
            "from": self.from.to_string(),
            "to": self.to.to_string(),
            "written": is_written,
            "files": files.collect::<Vec<_>>(),
            "changes": changes.collect::<Vec<_>>(),
        })
    }
}
