//! One command in place of another, with the global options that were typed.

use std::ffi::OsString;

use super::{FormatArg, Session, Unparsed, error::CommandError, exit};

/// Runs another command in place of the one that was typed, with its global options.
pub(super) fn run(words: &[String], session: &Session) -> Result<u8, CommandError> {
    let mut typed = vec!["toolkit".to_owned()];
    if let Some(root) = &session.root {
        typed.extend(["--root".to_owned(), root.display().to_string()]);
    }
    // What is said for this command counts more than what is common to all.
    let is_said = |option: &str| {
        let name = option.split('=').next().unwrap_or_default();
        let mut words = words.iter();
        words.any(|word| word.split('=').next() == Some(name))
    };
    for (is_set, flag) in [
        (session.ui.is_json(), "--format=json"),
        (session.yes, "--yes"),
        (session.no_input, "--no-input"),
        (session.dry_run, "--dry-run"),
    ] {
        typed.extend((is_set && !is_said(flag)).then(|| flag.to_owned()));
    }
    let common = session.common.iter().filter(|option| !is_said(option));
    typed.extend(common.cloned());
    typed.extend(words.iter().cloned());
    let cli = super::parse(typed.iter().map(OsString::from).collect()).map_err(|error| {
        let error = match error {
            Unparsed::Refused(error) => return error,
            Unparsed::Mistyped(error) => error,
        };
        let first = error.to_string();
        let first = first.lines().next().unwrap_or_default();
        let first = first.trim_start_matches("error: ");
        CommandError::new("USAGE", exit::USAGE, first).state("nothing was changed")
    })?;
    let mut other = super::session(&cli, typed)?;
    other.ui = match cli.global.format {
        Some(FormatArg::Json) => other.ui,
        Some(FormatArg::Text | FormatArg::Yaml | FormatArg::Raw) | None => session.ui.clone(),
    };
    // What stands in for another program says whose line each is, as that does.
    other.logs_are_raw = other.raw;
    super::dispatch(&cli.command, &other)
}
