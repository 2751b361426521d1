//! Rules about how the files are written: grammar, and what reads differently in a shell, in Docker
//! Compose and in the upstream scripts.

use std::path::Path;

use super::super::findings::Findings;
use super::super::folder::Folder;
use super::super::rule::Rule;
use crate::settings::env_file::{self, Entry, EnvFile};
use crate::settings::problem::{Place, Problem, ProblemKind};
use crate::settings::shell_words;
use crate::settings::{DOTENV_FILE, RC_FILE, VARIABLES_FILE};

pub(super) fn rc_syntax(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for problem in &folder.rc_problems {
        findings.take(rule, discreet(folder, problem), None);
    }
}

pub(super) fn variables_syntax(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let problems = folder.variables_problems.iter();
    for problem in problems.filter(|problem| problem.kind == ProblemKind::Error) {
        if let Some(place) = &problem.place {
            mark_line(folder, findings, place.line);
        }
        findings.take(rule, discreet(folder, problem), None);
    }
    take_dotenv(rule, folder, findings, ProblemKind::Error);
}

/// Takes over what resolving finds in the file of names of Docker Compose.
fn take_dotenv(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings, kind: ProblemKind) {
    let file = folder.file(DOTENV_FILE);
    for problem in &folder.resolved_problems {
        let place = problem.place.as_ref();
        let is_open = problem.kind == kind && !findings.is_settled(problem);
        if is_open && place.is_some_and(|place| place.file == file) {
            findings.take(rule, discreet(folder, problem), None);
        }
    }
}

pub(super) fn unusable_value(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for name in [VARIABLES_FILE, DOTENV_FILE] {
        let (_, problems) = EnvFile::read(folder.text(name), &folder.file(name));
        let warnings = problems.iter();
        for problem in warnings.filter(|problem| problem.kind == ProblemKind::Warning) {
            findings.settle(problem);
            findings.take(rule, discreet(folder, problem), None);
        }
    }
}

/// Notes that something is said about the variables of a line, whose values are not what is meant.
fn mark_line(folder: &Folder<'_>, findings: &mut Findings, line: usize) {
    let entries = folder.variables.iter();
    for entry in entries.filter(|entry| entry.place.line == line) {
        findings.mark(&entry.name);
    }
}

pub(super) fn definition(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (problem, line) in &folder.input.further {
        findings.take(rule, problem.clone(), line.clone());
    }
}

/// A problem without what it quotes, where its line holds a secret.
fn discreet(folder: &Folder<'_>, problem: &Problem) -> Problem {
    let mut problem = problem.clone();
    if problem
        .place
        .as_ref()
        .is_some_and(|at| folder.is_hidden(at))
    {
        let parts = problem.text.split('`').enumerate();
        let kept = parts.map(|(at, part)| if at % 2 == 1 { "…" } else { part });
        problem.text = kept.collect::<Vec<_>>().join("`");
    }
    problem
}

pub(super) fn dollar(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let problems = folder.variables_problems.iter();
    let warnings = problems.filter(|problem| problem.kind == ProblemKind::Warning);
    for problem in warnings {
        let place = problem.place.as_ref();
        let Some(place) = place.filter(|_| !findings.is_settled(problem)) else {
            continue;
        };
        // Text of a secret, which the parser takes for the name of a variable.
        let text = if folder.is_hidden(place) {
            "a `$` in this value refers to a name without a value and counts as empty".to_owned()
        } else {
            problem.text.clone()
        };
        let mut entries = folder.variables.iter();
        let entry = entries.find(|entry| entry.place.line == place.line);
        let name = entry.map_or("", |entry| &entry.name);
        findings.add(rule, name, place.clone(), &text, "");
    }
    take_dotenv(rule, folder, findings, ProblemKind::Warning);
}

pub(super) fn duplicate_key(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for (name, assigned) in &folder.rc {
        let raw = raw_value(folder.text(RC_FILE), &assigned.place, name);
        let refers = raw.is_none_or(|raw| {
            raw.contains(&format!("${name}")) || raw.contains(&format!("${{{name}"))
        });
        // `NAME+=…` has no raw value here: both it and a reference build on the earlier line.
        if !refers {
            twice(rule, folder, findings, (RC_FILE, name, &assigned.place));
        }
    }
    for entry in &folder.variables {
        let statement = (VARIABLES_FILE, entry.name.as_str(), &entry.place);
        twice(rule, folder, findings, statement);
    }
}

/// Reports a statement whose name is set further up already. The parsers keep the last statement
/// only, so the text before it is read again, for names that stand in it at all.
fn twice(
    rule: &Rule,
    folder: &Folder<'_>,
    findings: &mut Findings,
    (file, name, place): (&str, &str, &Place),
) {
    let Some(before) = text_before(folder.text(file), place) else {
        return;
    };
    let mentions = |separator: char| before.contains(&format!("{name}{separator}"));
    if !(mentions('=') || mentions(':') || mentions(' ')) {
        return;
    }
    let environment = folder.input.sources.environment;
    let earlier = if file == RC_FILE {
        let (values, _) = shell_words::parse(before, Path::new(file), environment);
        values.get(name).map(|assigned| assigned.place.line)
    } else {
        let (entries, _) = env_file::parse(before, Path::new(file), environment);
        let entry = entries.iter().find(|entry| entry.name == name);
        entry.map(|entry| entry.place.line)
    };
    if let Some(line) = earlier {
        let last = place.line;
        let text = format!("`{name}` is set on line {line} and again on line {last}, which wins");
        let advice = format!("remove line {line} or line {last}");
        findings.push(rule, place.clone(), &text, &advice);
    }
}

/// The text in front of a place.
fn text_before<'a>(text: &'a str, place: &Place) -> Option<&'a str> {
    let start = nth_line_start(text, place.line)?;
    let (_, rest) = text.split_at(start);
    let column = rest.char_indices().nth(place.column.checked_sub(1)?);
    text.get(..start + column.map_or(0, |(at, _)| at))
}

fn nth_line_start(text: &str, number: usize) -> Option<usize> {
    let before = number.checked_sub(1)?;
    if before == 0 {
        return Some(0);
    }
    let (at, _) = text.match_indices('\n').nth(before - 1)?;
    Some(at + 1)
}

/// What is written behind `NAME=` at a place, up to the end of the line; `None` for a bare name.
fn raw_value<'a>(text: &'a str, place: &Place, name: &str) -> Option<&'a str> {
    let line = text.lines().nth(place.line.checked_sub(1)?)?;
    let (at, _) = line.match_indices(name).next()?;
    let rest = line.get(at..)?.strip_prefix(name)?.trim_start();
    rest.strip_prefix(['=', ':']).map(str::trim)
}

pub(super) fn export(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let text = folder.text(VARIABLES_FILE);
    for entry in &folder.variables {
        let line = text_before(text, &entry.place).and_then(|before| before.lines().next_back());
        let is_exported = line.is_some_and(|line| line.trim() == "export");
        if is_exported {
            let name = &entry.name;
            let text = format!("`export` in front of `{name}` is a word of shells");
            findings.push(rule, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn text_after_quote(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let text = folder.text(VARIABLES_FILE);
    for entry in &folder.variables {
        let before = text_before(text, &entry.place).unwrap_or_default();
        let follows_quote = before.ends_with(['"', '\'']);
        let is_bare = raw_of(text, entry).is_none();
        if follows_quote && is_bare {
            let what = if folder.is_hidden(&entry.place) {
                "the text".to_owned()
            } else {
                format!("`{}`", entry.name)
            };
            let text = format!("{what} after the closing quote is read as another variable");
            mark_line(folder, findings, entry.place.line);
            findings.push(rule, entry.place.clone(), &text, "");
        }
    }
}

/// What is written behind an entry's name.
fn raw_of<'a>(text: &'a str, entry: &Entry) -> Option<&'a str> {
    let before = text_before(text, &entry.place)?;
    let rest = text.get(before.len()..)?.strip_prefix(&entry.name)?;
    let line = rest.lines().next()?.trim_start();
    line.strip_prefix(['=', ':']).map(str::trim)
}

pub(super) fn comment_kept(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for entry in &folder.variables {
        let raw = raw_of(folder.text(VARIABLES_FILE), entry);
        if raw.is_some_and(|raw| raw == "#" || raw.starts_with("# ")) {
            let name = &entry.name;
            let text = format!("the value of `{name}` is the comment behind it");
            findings.add(rule, name, entry.place.clone(), &text, "");
        }
    }
}

pub(super) fn shell_quoting(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for entry in &folder.variables {
        let raw = raw_of(folder.text(VARIABLES_FILE), entry).unwrap_or_default();
        if !raw.starts_with(['"', '\'', '[', '{']) && (quotes_inside(raw) || raw.contains("\\ ")) {
            let name = &entry.name;
            let text =
                format!("`{name}` keeps the quotes or backslashes that a shell would take away");
            findings.push(rule, entry.place.clone(), &text, "");
        }
    }
}

/// Whether quotes begin inside a word and end one, as in `a"b c"`; apostrophes do not.
fn quotes_inside(raw: &str) -> bool {
    ['"', '\''].into_iter().any(|quote| {
        let mut parts = raw.split(quote);
        let (Some(before), Some(inside), Some(after)) = (parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let starts_in_word = before.ends_with(|c: char| !c.is_whitespace());
        let is_text = inside.starts_with(|c: char| !c.is_whitespace());
        let ends_word = after.is_empty() || after.starts_with(char::is_whitespace);
        starts_in_word && is_text && ends_word
    })
}

pub(super) fn trailing_blank(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let text = folder.text(RC_FILE);
    for (name, assigned) in &folder.rc {
        if folder.setting_row(name).is_none() || findings.has(name) {
            continue;
        }
        let mut place = assigned.place.clone();
        if assigned.value.trim() != assigned.value {
            let text = format!("the value of `{name}` begins or ends with a blank");
            findings.push(rule, place, &text, "");
            continue;
        }
        let line = text.lines().nth(place.line.saturating_sub(1));
        let Some(line) = line.filter(|line| line.ends_with([' ', '\t'])) else {
            continue;
        };
        place.column = line.trim_end().chars().count() + 1;
        let text = format!("the line of `{name}` ends with a blank");
        findings.push(rule, place, &text, "");
    }
}
