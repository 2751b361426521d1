//! `toolkit config set`: changes one line of one file.

use std::io::Read;

use anyhow::Context as _;

use super::super::super::files::Texts;
use super::super::super::{Session, error::CommandError, exit, files, instance};
use super::change::{Change, FileArg};
use crate::release::Version;
use crate::settings::assignments;
use crate::settings::catalogue;
use crate::settings::disclosure::Masker;
use crate::settings::edit;
use crate::settings::reference::Reference;

/// Set one value in overleaf.rc or variables.env and keep everything else in the file
///
/// Shows what changes; the old text is kept beside the file as NAME.bak. `toolkit up` then applies it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config set OVERLEAF_PORT 8080\n  toolkit config set OVERLEAF_APP_NAME 'TeX at Example' --dry-run\n  toolkit config set OVERLEAF_EMAIL_SMTP_PASS - < password.txt\n  toolkit config set MY_OWN_NAME 1 --file variables"
)]
pub struct Args {
    /// Setting of overleaf.rc or variable of variables.env
    key: String,
    /// The value; `-` reads it from stdin, which keeps a secret out of the list of processes
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// File to change, needed only for a name that this program does not know
    #[arg(long, value_enum, value_name = "FILE")]
    file: Option<FileArg>,
}

/// Sets one value.
///
/// # Errors
/// There is no instance, the name or the value cannot stand in the file, another run works on it, or
/// it cannot be written.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let reference = super::reference()?;
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "config set").await?;
    let texts = files::read_all(&root)?;
    let file = match args.file {
        Some(file) => file,
        None => file_of(&reference, &args.key)?,
    };
    check_name(&reference, &args.key, &texts)?;
    let value = value(&args.value)?;
    check_value(&reference, file, &args.key, &value)?;
    let masker = Masker::new(&reference);
    let text = file.text(&texts);
    let changed = edit::assign(text, file.dialect(), &args.key, &value).map_err(|error| {
        CommandError::new("VALUE_UNWRITABLE", exit::CONFIGURATION, error.to_string())
            .because("written in any way, it would be read back as something else")
            .state("nothing was changed")
            .fix("choose a value that does not end in a backslash, or mend the quotes in the file")
    })?;
    for text in warnings(&reference, file, &args.key) {
        session.ui.warn(&text);
    }
    if args.value != "-" && masker.is_secret(&args.key) {
        let how = format!("toolkit config set {} - < FILE", args.key);
        session.ui.say(&format!(
            "a secret on the command line is seen by others and kept in the shell's history; better: `{how}`"
        ));
    }
    let earlier = assignments::find(text, file.dialect());
    if earlier
        .iter()
        .filter(|found| found.name == args.key)
        .count()
        > 1
    {
        session.ui.say(&format!(
            "{} sets `{}` more than once; the last line counts and is changed",
            file.path(),
            args.key
        ));
    }
    let change = Change {
        operation: "set",
        key: &args.key,
        file,
        texts: &texts,
        after: changed,
    };
    change.carry_out(session, &root, &masker)?;
    Ok(exit::DONE)
}

/// Where the line would have no effect, or another one than expected.
fn warnings(reference: &Reference, file: FileArg, key: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Ok(usual) = file_of(reference, key)
        && usual != file
    {
        warnings.push(format!(
            "`{key}` belongs into {}; in {} it is a name like any other",
            usual.path(),
            file.path()
        ));
    }
    let rows = reference.variables_of(key);
    if file == FileArg::Variables && rows.iter().any(|row| row.set_by_toolkit) {
        warnings.push(format!(
            "`{key}` has no effect in {}: the definition sets it",
            file.path()
        ));
    }
    warnings
}

/// The file that a known name belongs to.
fn file_of(reference: &Reference, key: &str) -> Result<FileArg, CommandError> {
    if reference.setting(key).is_some() {
        return Ok(FileArg::Rc);
    }
    if !reference.variables_of(key).is_empty() {
        return Ok(FileArg::Variables);
    }
    Err(super::unknown(reference, key)
        .state("nothing was changed")
        .fix("if the name is right, say where it goes: --file rc or --file variables"))
}

/// Refuses what is no name, and a name that the release of the instance does not read.
fn check_name(reference: &Reference, key: &str, texts: &Texts) -> Result<(), CommandError> {
    let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(CommandError::new(
            "NAME_INVALID",
            exit::USAGE,
            format!("`{key}` cannot be a name"),
        )
        .state("nothing was changed")
        .fix("use letters, digits and `_`, starting with a letter"));
    }
    let rows = reference.variables_of(key);
    let version: Option<Version> = texts.version.trim().parse().ok();
    if let (Some(row), Some(version)) = (rows.first(), version)
        && row.name_for(&version) != key
    {
        let right = row.name_for(&version);
        return Err(CommandError::new(
            "NAME_OF_ANOTHER_RELEASE",
            exit::USAGE,
            format!("Overleaf {version} does not read `{key}`"),
        )
        .because(format!("in this release its name is `{right}`"))
        .state("nothing was changed")
        .command(format!("toolkit config set {right} VALUE")));
    }
    Ok(())
}

/// Refuses a value that the catalogues object to.
fn check_value(
    reference: &Reference,
    file: FileArg,
    key: &str,
    value: &str,
) -> Result<(), CommandError> {
    let objection = match file {
        _ if value.contains('\0') => Some("a value cannot hold a NUL character".to_owned()),
        FileArg::Rc => reference
            .setting(key)
            .filter(|_| !value.is_empty())
            .and_then(|row| {
                let objection = catalogue::objection(row, value)?;
                Some(match row.secret {
                    true => "it does not have the expected form".to_owned(),
                    false => objection,
                })
            }),
        FileArg::Variables => reference
            .variables_of(key)
            .first()
            .and_then(|row| row.objection(value)),
    };
    match objection {
        None => Ok(()),
        Some(objection) => Err(CommandError::new(
            "VALUE_INVALID",
            exit::CONFIGURATION,
            format!("{key}: {objection}"),
        )
        .state("nothing was changed")
        .command(format!("toolkit config docs {key}"))),
    }
}

/// The value as it was given, or all of stdin without its last line end.
fn value(given: &str) -> Result<String, CommandError> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text);
    read.context("stdin cannot be read as text")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
