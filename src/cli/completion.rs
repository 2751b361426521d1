//! Answers a shell that completes a command line. The script of `toolkit completions` runs this
//! program with [`VARIABLE`] set and the line behind `--`.
//!
//! What stands for a service, a setting, a release or a check is known by the name of the argument's
//! value, so that a new command has its completions without a word here.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::Shells;

use super::instance::{self, Instance};
use crate::check::row;
use crate::host::tail;
use crate::release::Catalogue;
use crate::settings::reference::Reference;

/// The variable that says that a shell asks, and which one.
pub const VARIABLE: &str = "TOOLKIT_COMPLETE";

/// The names that may stand in a place.
type Names = fn(&[OsString]) -> Vec<String>;

/// What may stand for an argument, by its own name or that of its value; the first that fits.
const KINDS: [(&str, Names); 7] = [
    ("LOGGED_SERVICES", logged),
    ("MANUAL", manual),
    ("SERVICE", services),
    ("SERVICES", services),
    ("KEY", keys),
    ("RELEASE", releases),
    ("CHECK", checks),
];

/// Answers the shell, if one asks: what fits, in the form that its script expects.
#[must_use]
pub fn answer(arguments: &[OsString]) -> Option<Vec<u8>> {
    let shell = super::environment(VARIABLE).filter(|shell| !shell.is_empty())?;
    let shells = Shells::builtins();
    let shell = shells.completer(&shell)?;
    let line = arguments.iter().position(|word| word == "--")?;
    let line: Vec<OsString> = arguments.iter().skip(line + 1).cloned().collect();
    let mut command = with_names(super::command(), &line);
    command.build();
    let mut answer = Vec::new();
    let folder = std::path::Path::new(".");
    // Where nothing can be said, nothing is completed.
    let _ = shell.write_complete(&mut command, line, Some(folder), &mut answer);
    Some(answer)
}

/// A command that knows what may stand for its arguments, and those of the commands below it.
fn with_names(command: clap::Command, line: &[OsString]) -> clap::Command {
    let command = command.mut_args(|argument| {
        let id = argument.get_id().as_str().to_uppercase();
        let named = argument.get_value_names().unwrap_or_default();
        let is = |kind: &str| named.iter().any(|name| name.as_str() == kind) || id == kind;
        let kind = KINDS.iter().find(|(kind, _)| is(kind));
        match kind {
            Some((_, names)) if argument.get_possible_values().is_empty() => {
                let (names, line) = (*names, line.to_vec());
                let fitting = move |current: &OsStr| fitting(&names(&line), current);
                argument.add(ArgValueCompleter::new(fitting))
            }
            _ => argument,
        }
    });
    command.mut_subcommands(|below| with_names(below, line))
}

fn fitting(names: &[String], current: &OsStr) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    let fits = names.iter().filter(|name| name.starts_with(&*begun));
    fits.map(CompletionCandidate::new).collect()
}

/// The services of the instance that the line is about; none where it cannot be read.
fn services(line: &[OsString]) -> Vec<String> {
    let Some(instance) = loaded(line) else {
        return Vec::new();
    };
    let deployment = instance.deployment;
    let active = deployment.project.services.into_keys();
    active.chain(deployment.inactive.into_keys()).collect()
}

/// What may have a log in the instance that the line is about: its services, those inside the application
/// by release and edition, and the files of a log folder of this machine. Nobody is asked.
fn logged(line: &[OsString]) -> Vec<String> {
    let Some(instance) = loaded(line) else {
        return Vec::new();
    };
    let deployment = instance.deployment;
    let rows = crate::logs::services::load().unwrap_or_default();
    let kept = rows.into_iter();
    let kept = kept.filter(|row| row.is_kept(&deployment.version, deployment.edition));
    let folder = instance.settings.sharelatex.log_path;
    let files = folder.and_then(|folder| tail::logs_of(&folder).ok());
    let stems = files.unwrap_or_default().into_iter();
    let stems = stems.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned()));
    let active = deployment.project.services.into_keys();
    let services = active.chain(deployment.inactive.into_keys());
    let names: BTreeSet<String> = services
        .chain(kept.map(|row| row.name))
        .chain(stems)
        .collect();
    names.into_iter().collect()
}

/// The commands below the one that stands behind `man` so far.
fn manual(line: &[OsString]) -> Vec<String> {
    let program = super::command();
    let typed = line.iter().skip_while(|word| *word != "man").skip(1);
    let typed: Vec<&OsString> = typed.collect();
    // The last word is being typed.
    let before = typed.split_last().map_or(&[][..], |(_, before)| before);
    let mut command = &program;
    for word in before {
        if word.to_string_lossy().starts_with('-') {
            continue;
        }
        match command.find_subcommand(word) {
            Some(below) => command = below,
            None => return Vec::new(),
        }
    }
    let below = command.get_subcommands().filter(|one| !one.is_hide_set());
    below.map(|one| one.get_name().to_owned()).collect()
}

/// The instance that the line is about.
fn loaded(line: &[OsString]) -> Option<Instance> {
    let words = line.iter().map(|word| word.to_string_lossy());
    let words: Vec<String> = words.map(std::borrow::Cow::into_owned).collect();
    let mut typed = vec!["toolkit".to_owned()];
    if let Some(root) = root(&words) {
        typed.extend(["--root".to_owned(), root]);
    }
    // A shell wants names and no talk, which JSON keeps to itself.
    typed.extend(["--format", "json", "status"].map(str::to_owned));
    let cli = super::parse(typed.iter().map(OsString::from).collect()).ok()?;
    let session = super::session(&cli, typed.clone()).ok()?;
    instance::load(&session).ok()
}

/// The folder that the line names with `--root`.
fn root(words: &[String]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--root" {
            return words.next().cloned();
        }
        if let Some(root) = word.strip_prefix("--root=") {
            return Some(root.to_owned());
        }
    }
    None
}

/// All settings and variables that this program knows.
fn keys(_: &[OsString]) -> Vec<String> {
    let Ok(reference) = Reference::load() else {
        return Vec::new();
    };
    let settings = reference.settings.into_iter().map(|row| row.name);
    let mut names: Vec<String> = settings
        .chain(reference.variables.into_iter().map(|row| row.name))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn releases(_: &[OsString]) -> Vec<String> {
    let Ok(catalogue) = Catalogue::load() else {
        return Vec::new();
    };
    let releases = catalogue.releases().iter();
    releases
        .map(|release| release.version.to_string())
        .collect()
}

fn checks(_: &[OsString]) -> Vec<String> {
    let checks = row::load().map(|registry| registry.checks);
    let checks = checks.unwrap_or_default().into_iter();
    checks.map(|check| check.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_in_both_forms() {
        let root_of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            root(&words)
        };
        assert_eq!(root_of("toolkit --root /a stop").as_deref(), Some("/a"));
        assert_eq!(root_of("toolkit stop --root=/b x").as_deref(), Some("/b"));
        assert_eq!(root_of("toolkit stop"), None);
    }

    #[test]
    fn names_begin_as_typed() {
        let names = |current: &str| -> Vec<String> {
            let found = fitting(&keys(&[]), OsStr::new(current));
            let found = found.iter();
            found
                .map(|one| one.get_value().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names("OVERLEAF_PO"), ["OVERLEAF_PORT"]);
        assert!(names("OVERLEAF_SITE").contains(&"OVERLEAF_SITE_URL".to_owned()));
        assert!(checks(&[]).contains(&"SPACE_DATA".to_owned()));
        assert!(releases(&[]).contains(&"6.2.2".to_owned()));
    }
}
