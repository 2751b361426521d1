//! `toolkit config`: looks at the configuration and changes it.

pub mod change;
pub mod docs;
pub mod explain;
pub mod flatten;
pub mod get;
pub mod lint;
pub mod migrate;
pub mod set;
pub mod show;
pub mod unset;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::files::Texts;
use super::super::{Session, error, error::CommandError, exit, files, instance};
use crate::host;
use crate::settings::disclosure::Masker;
use crate::settings::effective::{self, Configured};
use crate::settings::reference::Reference;
use crate::settings::{RC_FILE, SettingsError, Sources, VARIABLES_FILE};
use crate::ui;
use change::FileArg;

/// Look at and change the configuration
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    Show(show::Args),
    Explain(explain::Args),
    Get(get::Args),
    Set(set::Args),
    Unset(unset::Args),
    Lint(lint::Args),
    Migrate(migrate::Args),
    Flatten(flatten::Args),
    Docs(docs::Args),
}

/// Runs one of the subcommands.
///
/// # Errors
/// See the subcommands.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    match &args.command {
        ConfigCommand::Show(args) => show::run(args, session),
        ConfigCommand::Explain(args) => explain::run(args, session),
        ConfigCommand::Get(args) => get::run(args, session),
        ConfigCommand::Set(args) => set::run(args, session).await,
        ConfigCommand::Unset(args) => unset::run(args, session).await,
        ConfigCommand::Lint(args) => lint::run(args, session),
        ConfigCommand::Migrate(args) => {
            migrate::run(args.to.as_ref(), migrate::Scope::All, session).await
        }
        ConfigCommand::Flatten(_) => flatten::run(session).await,
        ConfigCommand::Docs(args) => docs::run(args, session),
    }
}

/// The refusal to write over a file that changed while its changes were shown.
pub(super) fn changed_meanwhile() -> CommandError {
    CommandError::new(
        "CONFIG_CHANGED",
        exit::CHANGED,
        "the configuration changed while the question stood",
    )
    .state("nothing was changed")
    .fix("run the command again and look at the changes")
}

/// The reference, which the program carries.
///
/// # Errors
/// The shipped data is broken.
fn reference() -> Result<Reference, CommandError> {
    Ok(Reference::load().context("the shipped data is broken")?)
}

/// The configuration of an instance, name by name.
struct Names {
    root: PathBuf,
    texts: Texts,
    dotenv: String,
    reference: Reference,
    masker: Masker,
    configured: Configured,
}

impl Names {
    /// Reads the files of the instance. Values of the wrong form are no error.
    fn load(session: &Session) -> Result<Self, CommandError> {
        let root = instance::root(session)?;
        let texts = files::read_all(&root)?;
        let reference = reference()?;
        let masker = Masker::new(&reference);
        let dotenv = files::dotenv(&root)?;
        let sources = sources(&root, &texts, &dotenv);
        let configured = effective::read(&sources, &reference, &masker);
        let line_of = |file: &Path, line: usize| {
            let file = FileArg::of(file)?;
            let shown = masker.text(file.text(&texts), file.dialect());
            shown
                .lines()
                .nth(line.checked_sub(1)?)
                .map(ToOwned::to_owned)
        };
        let configured = configured.map_err(|error| match error {
            SettingsError::Invalid(problems) => error::of_problems(problems, &line_of),
            other => other.into(),
        })?;
        Ok(Self {
            root,
            texts,
            dotenv,
            reference,
            masker,
            configured,
        })
    }
}

fn sources<'a>(root: &'a Path, texts: &'a Texts, dotenv: &'a str) -> Sources<'a> {
    Sources {
        root,
        rc: &texts.rc,
        variables: &texts.variables,
        version: &texts.version,
        dotenv,
        environment: &super::super::environment,
        canonical: &files::real_path,
        is_folder: &host::is_folder,
    }
}

/// The refusal of a name that nothing knows, with those it may be.
fn unknown(reference: &Reference, name: &str) -> CommandError {
    let error = CommandError::new(
        "UNKNOWN_KEY",
        exit::USAGE,
        format!("`{name}` is neither a setting nor a variable"),
    )
    .because(format!(
        "no file sets it, and neither {RC_FILE} nor {VARIABLES_FILE} has a key of that name"
    ));
    match reference.nearest(name).as_slice() {
        [] => error.command("toolkit config docs WORD"),
        nearest => error.fix(format!("did you mean {}?", ui::config::choice(nearest))),
    }
}
