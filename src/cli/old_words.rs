//! What the scripts of the upstream toolkit take, in the words of this program: one place for all
//! of it, before the command line is read.

use std::ffi::OsString;

use super::pass_through::command_at;

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
const WITH_GRACE: [&str; 3] = ["down", "restart", "stop"];

/// The arguments of this process, with old words replaced by those of today.
pub(super) fn replaced(mut arguments: Vec<OsString>, definition: &clap::Command) -> Vec<OsString> {
    let Some(at) = command_at(&arguments, definition) else {
        return arguments;
    };
    let behind = arguments.split_off(at + 1);
    let Some(command) = arguments.last().and_then(|word| word.to_str()) else {
        arguments.extend(behind);
        return arguments;
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
    arguments.extend(behind);
    arguments
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
            ("toolkit stop --timeout", "toolkit stop --timeout"),
            ("toolkit", "toolkit"),
        ] {
            let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            let found = replaced(words(typed), &definition);
            assert_eq!(found, words(read), "{typed}");
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
