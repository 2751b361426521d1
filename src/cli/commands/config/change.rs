//! What the commands that change one value share: the two files, and showing and writing a change.

use std::path::Path;

use clap::ValueEnum;
use serde_json::json;

use super::super::super::files::Texts;
use super::super::super::{Session, error::CommandError, files};
use crate::host;
use crate::settings::assignments::Dialect;
use crate::settings::disclosure::Masker;
use crate::settings::problem::Problem;
use crate::settings::{self, RC_FILE, SettingsError, VARIABLES_FILE};
use crate::ui;

/// One of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileArg {
    /// config/overleaf.rc
    Rc,
    /// config/variables.env
    Variables,
}

impl FileArg {
    /// Where it stands below the root of the instance.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Rc => RC_FILE,
            Self::Variables => VARIABLES_FILE,
        }
    }

    /// The grammar of the file.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Rc => Dialect::Shell,
            Self::Variables => Dialect::EnvFile,
        }
    }

    /// The file that a path names.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        [Self::Rc, Self::Variables]
            .into_iter()
            .find(|file| path.ends_with(file.path()))
    }

    /// The text of the file.
    #[must_use]
    pub fn text(self, texts: &Texts) -> &str {
        match self {
            Self::Rc => &texts.rc,
            Self::Variables => &texts.variables,
        }
    }
}

/// One change of one file.
pub struct Change<'a> {
    /// The subcommand.
    pub operation: &'static str,
    /// The name that is changed.
    pub key: &'a str,
    /// The file.
    pub file: FileArg,
    /// The texts before the change.
    pub texts: &'a Texts,
    /// The text of the file with the change.
    pub after: String,
}

impl Change<'_> {
    /// Shows what changes and, unless nothing may change, writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn carry_out(
        &self,
        session: &Session,
        root: &Path,
        masker: &Masker,
    ) -> Result<(), CommandError> {
        let before = self.file.text(self.texts);
        let (shown_before, shown_after) = masker.texts(before, &self.after, self.file.dialect());
        let diff = ui::diff::unified(self.file.path(), &shown_before, &shown_after);
        let is_changed = before != self.after;
        if !session.ui.is_json() {
            let style = session.ui.answer_style();
            session.ui.answer(&ui::diff::styled(&diff, style));
        }
        let writes = is_changed && !session.dry_run;
        if writes {
            host::replace(&root.join(self.file.path()), &self.after)?;
        }
        let problems = self.new_problems(root);
        let backup = writes.then(|| format!("{}.bak", self.file.path()));
        if session.ui.is_json() {
            let data = json!({
                "name": self.key,
                "file": self.file.path(),
                "changed": is_changed,
                "written": writes,
                "backup": backup,
                "diff": diff,
            });
            let schema = format!("toolkit.config-{}/v1", self.operation);
            let texts: Vec<String> = problems.into_iter().map(|found| found.text).collect();
            session.ui.document(&schema, &data, &texts);
            return Ok(());
        }
        for problem in &problems {
            session.ui.problem(problem, None);
        }
        if let Some(backup) = backup {
            session.ui.say(&format!(
                "wrote {}; the old text is kept as {backup}; `toolkit up` applies the change",
                self.file.path()
            ));
        } else if !is_changed {
            session.ui.say("nothing to do: no line has to change");
        }
        Ok(())
    }

    /// What the change makes wrong elsewhere. It is told and not refused, since the next change may
    /// mend it.
    fn new_problems(&self, root: &Path) -> Vec<Problem> {
        let mut texts = self.texts.clone();
        match self.file {
            FileArg::Rc => texts.rc.clone_from(&self.after),
            FileArg::Variables => texts.variables.clone_from(&self.after),
        }
        let old: Vec<String> = problems(root, self.texts)
            .into_iter()
            .map(|found| found.text)
            .collect();
        let mut new = problems(root, &texts);
        new.retain(|found| !old.contains(&found.text));
        new
    }
}

/// Everything that is wrong with a configuration.
fn problems(root: &Path, texts: &Texts) -> Vec<Problem> {
    let Ok(dotenv) = files::dotenv(root) else {
        // Whoever reads it next is told.
        return Vec::new();
    };
    match settings::resolve(&super::sources(root, texts, &dotenv)) {
        Ok((_, warnings)) => warnings,
        Err(SettingsError::Invalid(problems)) => problems,
        Err(_) => Vec::new(),
    }
}
