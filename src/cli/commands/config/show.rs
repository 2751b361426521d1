//! `toolkit config show`: what is in force and where it comes from.

use super::super::super::{Session, error::CommandError, exit};
use super::Names;
use crate::ui::config::{self, Shown};

/// Show what is in force and where it comes from, without secrets
///
/// Every setting of overleaf.rc and every variable that variables.env sets. A star marks what differs
/// from the default.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config show\n  toolkit config show --defaults\n  toolkit config show --all --format json | jq '.data.settings[] | select(.changed)'"
)]
pub struct Args {
    /// Show the default beside each value that is set
    #[arg(long)]
    defaults: bool,
    /// Show what is not set as well, with every variable this program knows
    #[arg(long)]
    all: bool,
}

/// Shows what is in force.
///
/// # Errors
/// There is no instance, or its files cannot be read.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let names = Names::load(session)?;
    let what = Shown {
        all: args.all,
        defaults: args.defaults,
    };
    let version = names.texts.version.trim();
    if session.ui.is_json() {
        let data = config::data(&names.configured, version, &names.root, what);
        session.ui.document("toolkit.config-show/v1", &data, &[]);
    } else {
        let style = session.ui.answer_style();
        let text = config::view(&names.configured, version, &names.root, what, style);
        session.ui.answer(&text);
    }
    Ok(exit::DONE)
}
