//! `toolkit completions`: what a shell needs to complete the command line.

use clap::ValueEnum;
use clap_complete::env::Shells;

use super::super::{Session, completion, error::CommandError, exit};
use crate::host;

/// Print the script that makes a shell complete this command line
///
/// It completes commands and flags, and the names of this instance's services, of settings and
/// variables, releases and checks, which the shell asks this program for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit completions bash > /etc/bash_completion.d/toolkit\n  toolkit completions zsh > \"${fpath[1]}/_toolkit\"\n  toolkit completions fish > ~/.config/fish/completions/toolkit.fish\n  source <(toolkit completions bash)   # for this shell only"
)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

/// Prints the script.
///
/// # Errors
/// The path of the running program is not known.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let program = host::program()?;
    let shells = Shells::builtins();
    let mut script = Vec::new();
    if let Some(shell) = shells.completer(args.shell.name()) {
        let (name, program) = ("toolkit", program.to_string_lossy());
        // Writing into memory does not fail.
        let _ = shell.write_registration(completion::VARIABLE, name, name, &program, &mut script);
    }
    session.ui.answer(&String::from_utf8_lossy(&script));
    Ok(exit::DONE)
}
