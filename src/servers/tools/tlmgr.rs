//! `tlmgr`: notes which TeX Live packages it was asked to install, and tells them again. Nothing is
//! downloaded, and there is no TeX.

#![expect(
    clippy::disallowed_methods,
    reason = "runs alone in a container and keeps a list there"
)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::complain;

const NAME: &str = "tlmgr";
/// Where the application's image has its TeX Live, without the leading slash.
pub(super) const FOLDER: &str = "usr/local/texlive/2025";
/// What was asked for, in that folder: a line for each.
const NOTES: &str = "asked-for.txt";
/// How names of packages begin that no repository has, for a rehearsal of a mistake.
const UNKNOWN: &str = "no-such-";

/// Does as it is told.
pub(super) fn run(arguments: &[String]) -> ExitCode {
    let notes = Path::new("/").join(FOLDER).join(NOTES);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match answer(&words, &notes) {
        Ok(text) => {
            // A reader that has gone away needs no answer.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(text) => {
            complain(NAME, &text);
            ExitCode::FAILURE
        }
    }
}

fn answer(words: &[&str], notes: &Path) -> Result<String, String> {
    match words {
        ["option", "repository", url] => note(notes, &[&format!("repository {url}")]),
        ["update", "--self"] | ["path", "add"] => Ok(String::new()),
        ["install", packages @ ..] => {
            let mut unknown = packages.iter().filter(|name| name.starts_with(UNKNOWN));
            if let Some(name) = unknown.next() {
                return Err(format!("package {name} not present in repository."));
            }
            note(notes, packages)
        }
        ["info", ..] => Ok(fs::read_to_string(notes).unwrap_or_default()),
        ["--version", ..] => Ok("toolkit's stand-in for tlmgr, TeX Live 2025\n".to_owned()),
        _ => Err("usage: tlmgr option|update|install|path|info".to_owned()),
    }
}

/// Adds lines and says them.
fn note(notes: &Path, lines: &[&str]) -> Result<String, String> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut options = fs::OpenOptions::new();
    let file = options.append(true).create(true).open(notes);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("{}: {error}", notes.display()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_told_again() {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join(NOTES);
        for words in [
            &["option", "repository", "https://x"][..],
            &["update", "--self"],
            &["install", "a", "b"],
            &["path", "add"],
        ] {
            answer(words, &notes).unwrap();
        }
        let said = answer(&["info"], &notes).unwrap();
        assert_eq!(said, "repository https://x\na\nb\n");
        answer(&["install", "a", "no-such-b"], &notes).unwrap_err();
        assert_eq!(answer(&["info"], &notes).unwrap(), said);
    }
}
