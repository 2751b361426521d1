//! `toolkit man`: the help texts as manual pages.

use std::path::PathBuf;

use anyhow::Context as _;
use clap_mangen::Man;

use super::super::{Session, error::CommandError, exit};
use crate::host;
use crate::host::durable;

/// How a page tells what an apostrophe is.
const QUOTE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Print the manual page of a command, or write all of them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit man | man -l -\n  toolkit man config set | man -l -\n  toolkit man --output ~/.local/share/man/man1"
)]
pub struct Args {
    /// The command, such as `config set` [default: the program itself]
    #[arg(id = "manual", value_name = "COMMAND")]
    command: Vec<String>,
    /// Write one page for each command into this folder
    #[arg(short, long, value_name = "DIR", conflicts_with = "manual")]
    output: Option<PathBuf>,
}

/// Prints or writes pages.
///
/// # Errors
/// There is no such command, or the folder cannot be written.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let mut program = super::super::command().disable_help_subcommand(true);
    program.build();
    if let Some(folder) = &args.output {
        let folder = session.current_folder.join(folder);
        let pages = pages(&program)?;
        host::create_folder(&folder, 0o755)?;
        for (name, page) in &pages {
            durable::put_public(&folder.join(name), page)?;
        }
        let (number, folder) = (pages.len(), folder.display());
        session
            .ui
            .answer(&format!("wrote {number} pages into {folder}\n"));
        return Ok(exit::DONE);
    }
    let mut command = &program;
    for word in &args.command {
        command = command.find_subcommand(word).ok_or_else(|| {
            let message = format!("there is no command `{}`", args.command.join(" "));
            CommandError::new("UNKNOWN_COMMAND", exit::USAGE, message)
                .fix("`toolkit help` lists the commands")
        })?;
    }
    session.ui.answer(&page(command)?);
    Ok(exit::DONE)
}

/// The pages of a command and of all below it, by file name. Hidden ones have none.
fn pages(command: &clap::Command) -> Result<Vec<(String, String)>, CommandError> {
    // The pages of `help` would only repeat the others.
    let is_shown = |sub: &&clap::Command| !sub.is_hide_set() && sub.get_name() != "help";
    let name = Man::new(command.clone()).get_filename();
    let mut all = vec![(name, page(command)?)];
    for below in command.get_subcommands().filter(is_shown) {
        all.extend(pages(below)?);
    }
    Ok(all)
}

fn page(command: &clap::Command) -> Result<String, CommandError> {
    let name = command.get_display_name().unwrap_or("toolkit").to_owned();
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone())
        .title(name)
        .source(format!("toolkit {version}"));
    let mut text = Vec::new();
    let rendered = man
        .render_title(&mut text)
        .and_then(|()| man.render_name_section(&mut text))
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| man.render_options_section(&mut text))
        .and_then(|()| match command.has_subcommands() {
            true => man.render_subcommands_section(&mut text),
            false => Ok(()),
        });
    rendered.context("the page cannot be made")?;
    // Every section brings it; once is enough.
    let text = String::from_utf8_lossy(&text).replace(QUOTE, "");
    let mut text = format!("{QUOTE}{text}");
    let help = command.get_after_help().map(ToString::to_string);
    text.push_str(&examples(&help.unwrap_or_default()));
    Ok(text)
}

/// The examples as they stand in the help text, line for line.
fn examples(help: &str) -> String {
    let lines = help.lines().filter(|line| !line.starts_with("Examples:"));
    let lines: String = lines
        .map(|line| {
            let line = line.trim_start();
            let plain = line.replace('\\', "\\e").replace('-', "\\-");
            // A dot or an apostrophe in front would be a request.
            format!("\\&{plain}\n")
        })
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!(".SH EXAMPLES\n.nf\n{lines}.fi\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines() {
        let text = examples("Examples:\n  toolkit up --wait\n  .x 'a\\b'");
        assert_eq!(
            text,
            ".SH EXAMPLES\n.nf\n\\&toolkit up \\-\\-wait\n\\&.x 'a\\eb'\n.fi\n"
        );
        assert_eq!(examples(""), "");
    }
}
