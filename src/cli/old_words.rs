//! What the scripts of the upstream toolkit take, in the words of this program: one place for all
//! of it, before the command line is read.

use std::ffi::OsString;

use super::docker_compose::{self, Untranslated};
use super::pass_through::command_at;
use super::{error::CommandError, exit};

/// The commands whose scripts took the word `help`. Behind others it may be a name.
const WITH_HELP: [&str; 15] = [
    "backup-config",
    "doctor",
    "error-logs",
    "init",
    "logs",
    "mongo",
    "rename-env-vars-5-0",
    "rename-rc-vars",
    "restart",
    "run-script",
    "shell",
    "start",
    "stop",
    "up",
    "upgrade",
];

/// Flags without a meaning today, with their commands: nothing here updates a checkout.
const GONE: [(&str, &str); 1] = [("upgrade", "--skip-git-update")];

/// The commands whose scripts passed `--timeout SECONDS` on to Docker Compose, as the time to stop.
const WITH_GRACE: [&str; 4] = ["down", "restart", "stop", "up"];

/// The commands whose scripts passed all that they were given on to Docker Compose.
const PASSED_ON: [&str; 4] = ["restart", "start", "stop", "up"];

/// The arguments of this process, with old words replaced by those of today.
///
/// # Errors
/// An old word asks for something that is not done any more.
pub(super) fn replaced(
    mut arguments: Vec<OsString>,
    definition: &clap::Command,
) -> Result<Vec<OsString>, CommandError> {
    let Some(at) = command_at(&arguments, definition) else {
        return Ok(arguments);
    };
    let behind = arguments.split_off(at + 1);
    let Some(command) = arguments.last().and_then(|word| word.to_str()) else {
        arguments.extend(behind);
        return Ok(arguments);
    };
    let is_gone = |word: &OsString| {
        let mut gone = GONE.iter();
        gone.any(|(of, flag)| *of == command && word == flag)
    };
    let mut behind: Vec<OsString> = behind.into_iter().filter(|word| !is_gone(word)).collect();
    let takes_help = WITH_HELP.contains(&command);
    match behind.as_mut_slice() {
        [only] if only == "help" && takes_help => *only = "--help".into(),
        [first, ..] if first == "--ls" && command == "run-script" => *first = "ls".into(),
        _ => {}
    }
    if WITH_GRACE.contains(&command) {
        name_grace(&mut behind);
    }
    if PASSED_ON.contains(&command) && behind.iter().any(is_flag) {
        let command = command.to_owned();
        let own = definition.find_subcommand(&command);
        let own = own.map(clap::Command::get_arguments).into_iter().flatten();
        let all: Vec<&clap::Arg> = own.chain(definition.get_arguments()).collect();
        let is_own = |flag: &str| {
            let name = flag.trim_start_matches('-');
            // Help and version are of clap itself.
            let mut all = all.iter();
            name == "help" || all.any(|known| known.get_long() == Some(name))
        };
        let is_foreign = |word: &OsString| {
            let text = word.to_string_lossy();
            is_flag(word) && !is_own(text.split('=').next().unwrap_or_default())
        };
        if behind.iter().any(is_foreign) {
            let table = docker_compose::load().map_err(anyhow::Error::new)?;
            let understood = table.understood(&command, behind, is_own);
            behind = understood.map_err(|error| refusal(&error))?;
        }
    }
    arguments.extend(behind);
    Ok(arguments)
}

fn is_flag(word: &OsString) -> bool {
    word.to_string_lossy().starts_with("--")
}

fn refusal(error: &Untranslated) -> CommandError {
    let refusal = CommandError::new("USAGE", exit::USAGE, error.to_string());
    let refusal = refusal.state("nothing was changed");
    match error {
        Untranslated::Refused { row, .. } => {
            refusal.because(row.because.clone()).fix(row.fix.clone())
        }
        _ => refusal,
    }
}

/// A number without a unit is no time to wait: those are seconds to stop.
fn name_grace(words: &mut [OsString]) {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    for at in 0..words.len() {
        let Some([word, rest @ ..]) = words.get_mut(at..) else {
            return;
        };
        let text = word.to_string_lossy().into_owned();
        let next = rest.first().and_then(|next| next.to_str());
        let new = match text.strip_prefix("--timeout=") {
            Some(number) if is_number(number) => format!("--grace={number}"),
            None if text == "--timeout" && next.is_some_and(is_number) => "--grace".to_owned(),
            _ => continue,
        };
        *word = new.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_words_are_what_they_were() {
        let definition = super::super::command();
        for (typed, read) in [
            ("toolkit logs help", "toolkit logs --help"),
            ("toolkit --root x stop help", "toolkit --root x stop --help"),
            ("toolkit backup-config help", "toolkit backup-config --help"),
            ("toolkit logs web help", "toolkit logs web help"),
            ("toolkit run-script --ls", "toolkit run-script ls"),
            ("toolkit run-script x --ls", "toolkit run-script x --ls"),
            ("toolkit run-script x help", "toolkit run-script x help"),
            ("toolkit exec help", "toolkit exec help"),
            ("toolkit upgrade --skip-git-update", "toolkit upgrade"),
            (
                "toolkit upgrade --skip-git-update --to 6.2.2",
                "toolkit upgrade --to 6.2.2",
            ),
            (
                "toolkit upgrade --skip-git-update help",
                "toolkit upgrade --help",
            ),
            (
                "toolkit up --skip-git-update",
                "toolkit up --skip-git-update",
            ),
            ("toolkit stop --timeout 5", "toolkit stop --grace 5"),
            (
                "toolkit restart --timeout=5 redis",
                "toolkit restart --grace=5 redis",
            ),
            ("toolkit stop --timeout 5m", "toolkit stop --timeout 5m"),
            ("toolkit start --timeout 5", "toolkit start --timeout 5"),
            ("toolkit up --timeout 5 -d", "toolkit up --grace 5 -d"),
            ("toolkit up --timeout 5m", "toolkit up --timeout 5m"),
            (
                "toolkit up -d --wait-timeout 30 redis",
                "toolkit up -d --timeout=30s redis",
            ),
            (
                "toolkit up --wait-timeout=30 --pull always",
                "toolkit up --timeout=30s --pull always",
            ),
            (
                "toolkit up --quiet-pull --no-color --no-build redis",
                "toolkit up redis",
            ),
            ("toolkit up -- --no-color", "toolkit up -- --no-color"),
            ("toolkit up --unknown --help", "toolkit up --unknown --help"),
            ("toolkit start --wait redis", "toolkit start redis"),
            ("toolkit plan --no-color", "toolkit plan --no-color"),
            ("toolkit stop --timeout", "toolkit stop --timeout"),
            ("toolkit", "toolkit"),
        ] {
            let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            let found = replaced(words(typed), &definition).unwrap();
            assert_eq!(found, words(read), "{typed}");
        }
    }

    #[test]
    fn an_old_word_that_is_not_carried_out_says_why() {
        let definition = super::super::command();
        for (typed, message, has_reason) in [
            (
                "toolkit up -d --build",
                "`--build` of `up` is not carried out",
                true,
            ),
            (
                "toolkit up --scale=x=2",
                "`--scale` of `up` is not carried out",
                true,
            ),
            (
                "toolkit up --no-recreate",
                "`--no-recreate` of `up` is not carried out",
                true,
            ),
            (
                "toolkit up --wait-timeout",
                "`--wait-timeout` of `up` needs a value",
                false,
            ),
        ] {
            let words = typed.split(' ').map(OsString::from).collect();
            let failure = replaced(words, &definition).unwrap_err().failure;
            assert_eq!(failure.message, message);
            assert_eq!(failure.exit_code, exit::USAGE);
            assert_eq!(!failure.causes.is_empty(), has_reason, "{typed}");
        }
    }

    #[test]
    fn every_command_with_help_exists() {
        let definition = super::super::command();
        let gone = GONE.iter().map(|(command, _)| command);
        for name in WITH_HELP.iter().chain(gone) {
            assert!(definition.find_subcommand(name).is_some(), "{name}");
        }
    }
}
