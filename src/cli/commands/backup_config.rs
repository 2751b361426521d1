//! `toolkit backup-config`: a copy of the configuration in a safe place.

use std::path::{Path, PathBuf};

use time::macros::format_description;

use super::super::{Session, error::CommandError, exit, instance, now};
use crate::host;
use crate::host::snapshot::{self, Form};

/// Copy config/ to a safe place
///
/// Makes DESTINATION, a folder or an archive, for its owner only: the configuration holds secrets.
/// Where DESTINATION is a folder already, `backup-config-YYYYMMDD-HHMMSS` is made in it. Nothing is
/// overwritten. It is no backup of the data.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit backup-config ~/overleaf-config-backup\n  toolkit backup-config -m zip ~/overleaf-config-backup.zip\n  toolkit backup-config --mode tar /mnt/backups/"
)]
pub struct Args {
    /// What is made: a folder, or one file
    #[arg(short, long, value_enum, value_name = "MODE", default_value = "copy")]
    mode: Mode,
    /// What is made, or an existing folder in which it is made; outside config/
    #[arg(value_name = "DESTINATION")]
    destination: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    /// A folder
    Copy,
    /// A zip archive
    Zip,
    /// A tar archive
    Tar,
}

impl Mode {
    fn form(self) -> (Form, &'static str, &'static str) {
        match self {
            Self::Copy => (Form::Folder, "copy", ""),
            Self::Zip => (Form::Zip, "zip", ".zip"),
            Self::Tar => (Form::Tar, "tar", ".tar"),
        }
    }
}

/// Mode of folders that are made for it.
const PRIVATE: u32 = 0o700;

/// Copies the configuration.
///
/// # Errors
/// There is no instance, the destination lies within config/, or something cannot be read or written.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let config = instance::root(session)?.join("config");
    let typed = session.current_folder.join(&args.destination);
    let destination = host::canonical(&typed);
    is_outside(&destination, &host::canonical(&config))?;
    let (form, mode, ending) = args.mode.form();
    let form_of_name = format_description!("[year][month][day]-[hour][minute][second]");
    let stamp = now().format(form_of_name).unwrap_or_default();
    // A copy is a folder itself, so that a slash at its end says nothing about what it lies in.
    let is_named_folder = form != Form::Folder && ends_with_slash(&args.destination);
    let is_within = is_named_folder || host::is_folder(&destination);
    let target = if is_within {
        destination.join(format!("backup-config-{stamp}{ending}"))
    } else {
        destination
    };
    if host::exists(&target) {
        return Err(present(&target));
    }
    let copied = if session.dry_run {
        snapshot::Copied::default()
    } else {
        if let Some(folder) = target.parent() {
            host::create_folder(folder, PRIVATE)?;
        }
        snapshot::take(&config, &target, form).map_err(|error| taken(error, &target))?
    };
    for path in &copied.left_out {
        let path = config.join(path);
        session.ui.warn(&format!(
            "`{}` is left out: it leads to no file",
            path.display()
        ));
    }
    if session.ui.is_json() {
        let data = serde_json::json!({
            "path": target,
            "mode": mode,
            "written": !session.dry_run,
            "files": copied.files,
            "left_out": copied.left_out,
        });
        session.ui.document("toolkit.backup-config/v1", &data, &[]);
    } else {
        session.ui.answer(&format!("{}\n", target.display()));
        if session.dry_run {
            session.ui.say("nothing was written");
        }
    }
    Ok(exit::DONE)
}

/// A copy within what is copied would grow with each one.
fn is_outside(destination: &Path, config: &Path) -> Result<(), CommandError> {
    if !destination.starts_with(config) {
        return Ok(());
    }
    let message = format!("`{}` lies within config/", destination.display());
    Err(CommandError::new("DESTINATION", exit::USAGE, message)
        .because("a backup beside what it is a backup of is lost with it")
        .state("nothing was changed")
        .fix("name a folder elsewhere, best on another disk"))
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn taken(error: host::HostError, target: &Path) -> CommandError {
    // Only where it is `target` that exists; the error names another path.
    if error.is_present() && host::exists(target) {
        return present(target);
    }
    let is_left = error.is_present();
    let error = CommandError::from(error).state("no backup was made");
    match is_left {
        true => error.fix("remove it, if it is what a run left that was killed"),
        false => error,
    }
}

fn present(target: &Path) -> CommandError {
    let message = format!("`{}` exists already", target.display());
    CommandError::new("DESTINATION", exit::FAILED, message)
        .because("a backup is never overwritten")
        .state("nothing was changed")
        .fix("name something that does not exist, or a folder: a name with the time is made in it")
}
