//! What files of the time before Overleaf 5.0 hold, and what a release does not read any more.
//! Comments and values are no reason to refuse a file; only names that are set count.

use std::collections::BTreeMap;

use super::Settings;
use super::env_file::Entry;
use super::problem::{Problem, ProblemKind};
use super::shell_words::Assigned;

/// The prefixes of the names, below 5.0 and from 5.0 on.
const BRANDS: [&str; 2] = ["SHARELATEX", "OVERLEAF"];

/// Where files of that time put the font cache, which is inside the data folder of that time.
const OLD_FONT_CACHE: (&str, &str) = ("TEXMFVAR", "/var/lib/sharelatex/tmp/texmf-var");

/// Refuses the old names of settings: overleaf.rc has known only the new ones for years.
pub(super) fn check_rc(assigned: &BTreeMap<String, Assigned>, problems: &mut Vec<Problem>) {
    for (name, assigned) in assigned {
        let Some(rest) = name.strip_prefix("SHARELATEX_") else {
            continue;
        };
        problems.push(Problem {
            kind: ProblemKind::Error,
            place: Some(assigned.place.clone()),
            text: format!("`{name}` is the old name of a setting and has no effect"),
            advice: format!("write `OVERLEAF_{rest}`; `toolkit config migrate` renames them all"),
        });
    }
}

/// Refuses variables of the brand that the release does not read. `brand` is the one it does.
pub(super) fn check_variables(
    settings: &Settings,
    brand: &str,
    text: &str,
    problems: &mut Vec<Problem>,
) {
    for entry in &settings.variables {
        let foreign = BRANDS
            .iter()
            .filter(|other| **other != brand)
            .find_map(|other| entry.name.strip_prefix(other)?.strip_prefix('_'));
        if let Some(rest) = foreign {
            problems.push(Problem {
                kind: ProblemKind::Error,
                place: Some(entry.place.clone()),
                text: format!(
                    "`{}` has no effect: Overleaf {} reads names that begin with `{brand}_`",
                    entry.name, settings.version
                ),
                advice: advice(brand, rest),
            });
        }
        if brand == "OVERLEAF" && entry.name == OLD_FONT_CACHE.0 {
            problems.extend(font_cache(entry, text));
        }
    }
}

fn advice(brand: &str, rest: &str) -> String {
    if brand == "OVERLEAF" {
        format!("write `OVERLEAF_{rest}`; `toolkit config migrate` renames them all")
    } else {
        format!(
            "write `{brand}_{rest}` as long as config/version is below 5.0; `toolkit config migrate` renames them all after that"
        )
    }
}

/// The old font cache, in a folder that newer releases do not have.
fn font_cache(entry: &Entry, text: &str) -> Option<Problem> {
    let (name, folder) = OLD_FONT_CACHE;
    if entry.value.as_deref() != Some(folder) {
        return None;
    }
    let line = text.lines().nth(entry.place.line.saturating_sub(1))?;
    // Upstream's check does not see the value in quotes, so such files run today.
    let kind = if line.contains(&format!("{name}={folder}")) {
        ProblemKind::Error
    } else {
        ProblemKind::Warning
    };
    Some(Problem {
        kind,
        place: Some(entry.place.clone()),
        text: format!("`{name}` names a folder that is not there from Overleaf 5.0 on"),
        advice: "remove the line; `toolkit config migrate` does it".to_owned(),
    })
}
