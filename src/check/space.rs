//! Checks of the space that is left.

use std::path::Path;

use super::{Finding, Looked, Outcome, View, not_checked, outcome};
use crate::observed::machine::PathFacts;

const MIB: u64 = 1 << 20;

/// A size as a person reads it: in GiB from one on, else in MiB.
fn size(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1 << 30);
    if tenths >= 10 {
        format!("{}.{} GiB", tenths / 10, tenths % 10)
    } else {
        format!("{} MiB", bytes / MIB)
    }
}

/// The folder where the engine keeps images, when that is known and here.
fn engine_root<'a>(view: &View<'a>) -> Result<(&'a Path, &'a PathFacts), Outcome> {
    let engine = &view.observed()?.engine;
    view.here()?;
    let root = engine
        .root_folder
        .as_deref()
        .zip(view.machine.engine_root.as_ref());
    root.filter(|(_, facts)| facts.total_bytes > 0)
        .ok_or_else(|| not_checked("the engine's folder cannot be looked at"))
}

/// The folders for data, each filesystem once: with the setting that names it and the path.
fn places<'a>(view: &View<'a>) -> Result<Vec<(&'a str, &'a Path, &'a PathFacts)>, Outcome> {
    view.here()?;
    let mut found: Vec<(&str, &Path, &PathFacts)> = Vec::new();
    for folder in &view.deployment.folders {
        let Some(facts) = view.machine.paths.get(&folder.path) else {
            continue;
        };
        // Equal figures mean the same disk; two disks as equal as that lack the same.
        let figures = |facts: &PathFacts| (facts.total_bytes, facts.free_bytes, facts.free_files);
        let is_known = found
            .iter()
            .any(|(_, _, other)| figures(other) == figures(facts));
        if facts.total_bytes > 0 && !is_known {
            found.push((&folder.setting, &folder.path, facts));
        }
    }
    Ok(found)
}

fn too_little(setting: &str, path: &Path, free: u64, needed: u64, because: &str) -> Finding {
    let (fix, command) = match setting {
        "" => (
            "move the engine's folder to a larger disk, or remove images that nobody uses"
                .to_owned(),
            Some("docker image prune".to_owned()),
        ),
        setting => (
            format!("free space there, or set {setting} to a path on a larger disk"),
            None,
        ),
    };
    Finding {
        text: format!("`{}` has {} left", path.display(), size(free)),
        because: because.to_owned(),
        measured: format!("{} free", size(free)),
        needed: size(needed),
        fix,
        command,
    }
}

pub(super) fn images(view: &View<'_>) -> Looked {
    let (path, facts) = engine_root(view)?;
    let observed = view.observed()?;
    let space = &view.registry.space;
    let bundled: Vec<&String> = view.deployment.bundled_images.values().collect();
    let mut images = observed.images.iter();
    let pulls = images.any(|(reference, image)| image.is_none() && !bundled.contains(&reference));
    let (mib, because) = if pulls {
        (
            space.pull_mib,
            "images are to be pulled, and unpacked they take several times their download",
        )
    } else {
        (space.run_mib, "containers write there, logs among them")
    };
    let needed = mib * MIB;
    let mut findings = Vec::new();
    if facts.free_bytes < needed {
        findings.push(too_little("", path, facts.free_bytes, needed, because));
    }
    let measured = format!("{} free in `{}`", size(facts.free_bytes), path.display());
    outcome(findings, measured, &size(needed))
}

fn data_space(view: &View<'_>, is_low: bool) -> Looked {
    let places = places(view)?;
    let space = &view.registry.space;
    let mut findings = Vec::new();
    let mut least: Option<u64> = None;
    for (setting, path, facts) in places {
        let (needed, because) = if is_low {
            (
                facts.total_bytes / 100 * space.low_percent,
                "the application calls this little, and stops compiling soon after",
            )
        } else {
            (
                space.data_mib * MIB,
                "mongo stops when it cannot write, and half-written files are lost",
            )
        };
        least = Some(least.map_or(facts.free_bytes, |least| least.min(facts.free_bytes)));
        if facts.free_bytes < needed {
            findings.push(too_little(setting, path, facts.free_bytes, needed, because));
        }
    }
    let Some(least) = least else {
        return Err(not_checked("no folder for data can be looked at"));
    };
    let needed = if is_low {
        format!("{} % of the disk", space.low_percent)
    } else {
        size(space.data_mib * MIB)
    };
    outcome(findings, format!("{} free", size(least)), &needed)
}

pub(super) fn data(view: &View<'_>) -> Looked {
    data_space(view, false)
}

pub(super) fn low(view: &View<'_>) -> Looked {
    data_space(view, true)
}

pub(super) fn files(view: &View<'_>) -> Looked {
    let mut places = places(view)?;
    // The engine's folder counts where it is known.
    if let Ok((path, facts)) = engine_root(view) {
        places.push(("", path, facts));
    }
    let needed = view.registry.space.files;
    let limited = places.iter().filter(|(_, _, facts)| facts.total_files > 0);
    let least = limited.clone().map(|(_, _, facts)| facts.free_files).min();
    let short = limited.filter(|(_, _, facts)| facts.free_files < needed);
    let findings = short.map(|(_, path, facts)| Finding {
        text: format!(
            "`{}` takes {} more files only",
            path.display(),
            facts.free_files
        ),
        because: "its filesystem has a limit of files, whatever their size".to_owned(),
        measured: format!("{} files", facts.free_files),
        needed: format!("{needed} files"),
        fix: "remove many small files there: old compiles, caches, unused images".to_owned(),
        ..Finding::default()
    });
    let measured = least.map_or_else(
        || "without a limit".to_owned(),
        |least| format!("{least} more files"),
    );
    outcome(findings.collect(), measured, &format!("{needed} files"))
}
