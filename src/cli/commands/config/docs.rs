//! `toolkit config docs`: the reference of all settings and variables.

use super::super::super::{Session, error::CommandError, exit};
use crate::ui::reference;

/// Print the reference of all settings and variables, or search it
///
/// Needs no instance. Without words it is the page docs/reference.md.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config docs\n  toolkit config docs OVERLEAF_SITE_URL\n  toolkit config docs smtp tls\n  toolkit config docs --format json > reference.json"
)]
pub struct Args {
    /// Names, or words that their name or text must hold, all of them
    #[arg(value_name = "KEY")]
    words: Vec<String>,
}

/// Prints the reference, or what is found in it.
///
/// # Errors
/// Nothing is found.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let all = super::reference()?;
    let found = if args.words.is_empty() {
        all
    } else {
        let found = all.search(&args.words);
        if found.is_empty() {
            return Err(nothing(&all.nearest(&args.words.join("_")), &args.words));
        }
        found
    };
    if session.ui.is_json() {
        let data = reference::data(&found);
        session.ui.document("toolkit.config-docs/v1", &data, &[]);
    } else if args.words.is_empty() {
        session.ui.answer(&reference::page(&found));
    } else {
        session.ui.answer(&reference::markdown(&found));
    }
    Ok(exit::DONE)
}

fn nothing(nearest: &[&str], words: &[String]) -> CommandError {
    let error = CommandError::new(
        "NOTHING_FOUND",
        exit::FAILED,
        format!("nothing in the reference holds `{}`", words.join(" ")),
    );
    match nearest {
        [] => error.fix("use fewer or shorter words"),
        names => error.fix(format!(
            "did you mean {}?",
            crate::ui::config::choice(names)
        )),
    }
}
