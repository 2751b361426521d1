//! `toolkit config unset`: comments a line out.

use super::super::super::{Session, error::CommandError, exit, files, instance};
use super::change::{Change, FileArg};
use crate::settings::assignments;
use crate::settings::disclosure::Masker;
use crate::settings::edit;

/// Comment out every line that sets a value
///
/// Shows what changes; the old text is kept beside the file as NAME.bak. The default is then in force
/// again. `toolkit up` applies it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config unset OVERLEAF_SECURE_COOKIE\n  toolkit config unset OVERLEAF_LOG_PATH --dry-run\n  toolkit config unset MY_OWN_NAME --file variables"
)]
pub struct Args {
    /// Setting of overleaf.rc or variable of variables.env
    key: String,
    /// File to change, needed only when both set the name
    #[arg(long, value_enum, value_name = "FILE")]
    file: Option<FileArg>,
}

/// Comments the lines out.
///
/// # Errors
/// There is no instance, nothing knows the name or both files set it, another run works on the
/// instance, or the file cannot be written.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let reference = super::reference()?;
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "config unset").await?;
    let texts = files::read_all(&root)?;
    let sets = |file: &FileArg| {
        let all = assignments::find(file.text(&texts), file.dialect());
        all.iter().any(|found| found.name == args.key)
    };
    let setting: Vec<FileArg> = [FileArg::Rc, FileArg::Variables]
        .into_iter()
        .filter(sets)
        .collect();
    let file = match (args.file, setting.as_slice()) {
        (Some(file), _) => file,
        (None, [only]) => *only,
        (None, []) if reference.knows(&args.key) => FileArg::Rc,
        (None, []) => return Err(super::unknown(&reference, &args.key)),
        (None, _) => {
            return Err(CommandError::new(
                "BOTH_FILES",
                exit::USAGE,
                format!("both files set `{}`", args.key),
            )
            .state("nothing was changed")
            .fix("say which one is meant: --file rc or --file variables"));
        }
    };
    let text = file.text(&texts);
    let changed = edit::unset(text, file.dialect(), &args.key);
    let masker = Masker::new(&reference);
    let change = Change {
        operation: "unset",
        key: &args.key,
        file,
        texts: &texts,
        after: changed,
    };
    change.carry_out(session, &root, &masker)?;
    Ok(exit::DONE)
}
