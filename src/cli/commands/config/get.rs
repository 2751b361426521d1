//! `toolkit config get`: one value, for scripts.

use super::super::super::{Session, error::CommandError, exit};
use super::Names;
use crate::settings::effective::Effective;
use crate::ui;

/// Print one value, for scripts
///
/// The value in force: of the files, of the environment, or the default of a setting. Without one the
/// exit code is 1 and stdout is empty.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config get OVERLEAF_PORT\n  toolkit config get OVERLEAF_SITE_URL || echo unset\n  toolkit config get WEB_API_PASSWORD --reveal"
)]
pub struct Args {
    /// Setting of overleaf.rc or variable of variables.env
    key: String,
    /// Print it even if it is a secret
    #[arg(long)]
    reveal: bool,
}

/// Prints one value.
///
/// # Errors
/// There is no instance, its files cannot be read, nothing knows the name or sets it, or it is a
/// secret that was not asked for.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let names = Names::load(session)?;
    let Some((found, value)) = find(&names, &args.key) else {
        return Err(missing(&names, &args.key));
    };
    if found.is_secret && !args.reveal {
        return Err(CommandError::new(
            "SECRET",
            exit::USAGE,
            format!("the value of `{}` is, or holds, a secret", found.name),
        )
        .state("nothing was shown")
        .command(format!("toolkit config get {} --reveal", args.key)));
    }
    if session.ui.is_json() {
        let mut data = ui::config::effective_data(found);
        if let Some(data) = data.as_object_mut() {
            data.insert("value".to_owned(), value.into());
        }
        session.ui.document("toolkit.config-get/v1", &data, &[]);
    } else {
        session.ui.answer(&format!("{value}\n"));
    }
    Ok(exit::DONE)
}

/// What is in force for a name; for a variable that no line sets, under the name that the release
/// reads.
fn find<'a>(names: &'a Names, key: &str) -> Option<(&'a Effective, &'a str)> {
    let settings = names.configured.settings.iter();
    let all: Vec<&Effective> = settings.chain(&names.configured.variables).collect();
    let valued = |name: &str| {
        let mut set = all.iter().filter(|one| one.name == name);
        set.find_map(|one| Some((*one, one.expose()?)))
    };
    valued(key).or_else(|| {
        let version = names.texts.version.trim().parse().ok()?;
        let row = *names.reference.variables_of(key).first()?;
        valued(row.name_for(&version))
    })
}

fn missing(names: &Names, key: &str) -> CommandError {
    if !names.reference.knows(key) {
        return super::unknown(&names.reference, key);
    }
    CommandError::new("NOT_SET", exit::FAILED, format!("`{key}` is not set"))
        .command(format!("toolkit config set {key} VALUE"))
}
