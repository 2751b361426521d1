//! Commands whose arguments belong to another program: what comes after their name is none of this
//! program's flags, so that `toolkit mongo --quiet` gives `--quiet` to mongo's shell.

use std::ffi::OsString;

/// The commands.
const COMMANDS: [&str; 2] = ["mongo", "redis"];

/// Their own flags, where they come first.
const OWN: [&str; 3] = ["-T", "--no-tty", "--help"];

/// The arguments of this process, with `--` before those that belong to another program.
pub(super) fn separated(mut arguments: Vec<OsString>, definition: &clap::Command) -> Vec<OsString> {
    let Some(command) = command_at(&arguments, definition) else {
        return arguments;
    };
    let is = |at: usize, words: &[&str]| {
        let word = arguments.get(at).and_then(|word| word.to_str());
        word.is_some_and(|word| words.contains(&word))
    };
    if !is(command, &COMMANDS) {
        return arguments;
    }
    let mut at = command + 1;
    while is(at, &OWN) {
        at += 1;
    }
    if at < arguments.len() && !is(at, &["--"]) {
        arguments.insert(at, "--".into());
    }
    arguments
}

/// Where the name of the command stands: the first word that is no global flag and no value of one.
pub(super) fn command_at(arguments: &[OsString], definition: &clap::Command) -> Option<usize> {
    let takes_value = |flag: &str| {
        definition.get_arguments().any(|argument| {
            let long = argument.get_long().map(|long| format!("--{long}"));
            let short = argument.get_short().map(|short| format!("-{short}"));
            let is_it = long.as_deref() == Some(flag) || short.as_deref() == Some(flag);
            is_it && argument.get_action().takes_values()
        })
    };
    let mut at = 1;
    loop {
        let word = arguments.get(at)?.to_str()?;
        if !word.starts_with('-') {
            return Some(at);
        }
        at += if takes_value(word) { 2 } else { 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_behind_the_name_belong_to_the_other_program() {
        let definition = super::super::command();
        for (typed, passed) in [
            ("toolkit mongo", "toolkit mongo"),
            (
                "toolkit mongo --quiet --eval x",
                "toolkit mongo -- --quiet --eval x",
            ),
            ("toolkit mongo -T --quiet", "toolkit mongo -T -- --quiet"),
            ("toolkit redis -h x", "toolkit redis -- -h x"),
            ("toolkit redis --help", "toolkit redis --help"),
            ("toolkit redis -- -n 1", "toolkit redis -- -n 1"),
            (
                "toolkit --root mongo redis -v",
                "toolkit --root mongo redis -- -v",
            ),
            (
                "toolkit --root=x -q mongo -v",
                "toolkit --root=x -q mongo -- -v",
            ),
            ("toolkit up mongo -q", "toolkit up mongo -q"),
            ("toolkit", "toolkit"),
        ] {
            let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(
                separated(words(typed), &definition),
                words(passed),
                "{typed}"
            );
        }
    }
}
