//! Rules about releases and images: withdrawn, unknown, of another edition, or not going together.

use super::super::findings::Findings;
use super::super::folder::Folder;
use super::super::rule::Rule;
use crate::image;
use crate::release::Edition;
use crate::settings::VERSION_FILE;
use crate::settings::problem::{Place, ProblemKind};

/// The oldest line of releases of which all are known.
const KNOWN_FROM: (u64, u64, u64) = (3, 5, 0);
/// The first release that checks the TeX Live images at its start.
const CHECKS_TEXLIVE: (u64, u64, u64) = (5, 2, 0);

pub(super) fn version_form(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for problem in &folder.resolved_problems {
        let place = problem.place.as_ref();
        let is_version = place.is_some_and(|place| place.file == folder.file(VERSION_FILE));
        if problem.kind == ProblemKind::Error && is_version {
            findings.take(rule, problem.clone(), None);
        }
    }
}

pub(super) fn retracted(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let Some(version) = &folder.version else {
        return;
    };
    let release = folder.releases.release(version);
    let why = release.and_then(|release| release.retracted.as_ref());
    let accepted = folder.setting("OVERLEAF_SKIP_RETRACTION_CHECK");
    if let Some(why) = why.filter(|_| accepted != version.to_string()) {
        let text = format!("Overleaf {version} was withdrawn: {why}");
        findings.push(rule, folder.version_place(), &text, "");
    }
}

pub(super) fn unknown(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let Some(version) = &folder.version else {
        return;
    };
    let is_candidate = version.to_string().contains("-RC");
    let is_known = folder.releases.release(version).is_some() || is_candidate;
    if is_known || version.numbers() < KNOWN_FROM {
        return;
    }
    let newest = folder.releases.newest().map(|newest| &newest.version);
    let text = match newest.filter(|newest| newest.numbers() < version.numbers()) {
        Some(newest) => format!("Overleaf {version} is newer than {newest}, the newest known here"),
        None => format!("there is no known release {version}"),
    };
    findings.push(rule, folder.version_place(), &text, "");
}

/// The tag of mongo's image as numbers, with the setting that holds it. `None` for an external
/// server, or a tag that tells no version.
fn mongo_version(folder: &Folder<'_>) -> Option<(Vec<u64>, String, Place)> {
    if !folder.is_on("MONGO_ENABLED") {
        return None;
    }
    let version = folder.setting("MONGO_VERSION");
    let image = folder.setting("MONGO_IMAGE");
    let (tag, name) = if version.is_empty() {
        (image::tag(&image)?.to_owned(), "MONGO_IMAGE")
    } else {
        (version, "MONGO_VERSION")
    };
    let numbers = numbers(&tag);
    (!numbers.is_empty()).then(|| (numbers, tag, folder.setting_place(name)))
}

/// The numbers a version begins with, at most two: `8.0.4-noble` is 8 and 0.
fn numbers(version: &str) -> Vec<u64> {
    let end = version.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (plain, _) = version.split_at(end.unwrap_or(version.len()));
    plain
        .split('.')
        .map_while(|n| n.parse().ok())
        .take(2)
        .collect()
}

/// How two versions compare, as far as both are given.
fn compared(one: &[u64], other: &[u64]) -> std::cmp::Ordering {
    let length = one.len().min(other.len());
    one.iter().take(length).cmp(other.iter().take(length))
}

pub(super) fn mongo_too_old(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let Some(version) = &folder.version else {
        return;
    };
    let (Some(mongo), Some((found, tag, place))) =
        (folder.releases.mongo(version), mongo_version(folder))
    else {
        return;
    };
    if compared(&found, &numbers(mongo.oldest)).is_lt() {
        let oldest = mongo.oldest;
        let text = format!("Overleaf {version} needs MongoDB {oldest} or later, and this is {tag}");
        findings.push(rule, place, &text, "");
    }
}

pub(super) fn mongo_too_new(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let Some(version) = &folder.version else {
        return;
    };
    let (Some(mongo), Some((found, tag, place))) =
        (folder.releases.mongo(version), mongo_version(folder))
    else {
        return;
    };
    if let Some(newest) = mongo.newest
        && compared(&found, &numbers(newest)).is_gt()
    {
        let text = format!(
            "Overleaf {version} is known to work up to MongoDB {newest}, and this is {tag}"
        );
        findings.push(rule, place, &text, "");
    }
}

pub(super) fn image_tag_twice(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let name = "MONGO_IMAGE";
    let has_two =
        image::tag(&folder.setting(name)).is_some() && !folder.setting("MONGO_VERSION").is_empty();
    let place = folder.setting_place(name);
    for problem in &folder.resolved_problems {
        let is_here = problem.place.as_ref() == Some(&place);
        if has_two && is_here && problem.kind == ProblemKind::Error {
            findings.mark(name);
            findings.take(rule, problem.clone(), None);
        }
    }
}

pub(super) fn image_tag_latest(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    for name in &rule.names {
        let image = folder.setting(name);
        // Of these two the tag stands in the setting itself; without one, the engine takes `latest`.
        let needs_tag = rule.values.contains(name) && !image.is_empty();
        let tag = image::tag(&image);
        if !findings.has(name) && (tag == Some("latest") || (needs_tag && tag.is_none())) {
            let text = format!("{name}: `{image}` is another image from time to time");
            findings.add(rule, name, folder.setting_place(name), &text, "");
        }
    }
}

pub(super) fn image_of_another_edition(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let setting = "OVERLEAF_IMAGE_NAME";
    let (image, place) = match &folder.input.changes.image {
        Some((image, place)) => (image.clone(), place.clone()),
        None => (folder.setting(setting), folder.setting_place(setting)),
    };
    let is_extended = |tag: &str| rule.values.iter().any(|part| tag.contains(part));
    let has_extended_tag = image::tag(&image).is_some_and(is_extended);
    let editions = [Edition::Community, Edition::ServerPro, Edition::Extended];
    let of_image = editions.into_iter().find(|edition| {
        let images = folder.releases.images(*edition);
        images.is_ok_and(|images| repository(&image) == images.sharelatex)
    });
    let version = folder.version.as_ref().map(ToString::to_string);
    let (edition, what, place) = match of_image {
        _ if has_extended_tag => (
            Edition::Extended,
            format!("`{image}` has a tag of CEP"),
            place,
        ),
        Some(edition) => (
            edition,
            format!("`{image}` is the image of {edition}"),
            place,
        ),
        None if image.is_empty() && version.is_some_and(|tag| is_extended(&tag)) => (
            Edition::Extended,
            "the version is a tag of CEP".to_owned(),
            folder.version_place(),
        ),
        None => return,
    };
    if edition != folder.edition {
        let text = format!("{what}, but the instance is set to {}", folder.edition);
        let advice = format!(
            "set EDITION={} in overleaf.rc, and remove SERVER_PRO",
            edition.id()
        );
        findings.push(rule, place, &text, &advice);
    }
}

/// An image reference without registry prefix of Docker Hub, tag and digest.
fn repository(image: &str) -> &str {
    let name = image.strip_prefix("docker.io/").unwrap_or(image);
    match image::tag(name) {
        Some(tag) => {
            let bare = name.strip_suffix(tag).unwrap_or(name);
            bare.trim_end_matches([':', '@'])
        }
        None => name,
    }
}

pub(super) fn texlive_images(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let [default, all, skip] = rule.names.as_slice() else {
        return;
    };
    let checks = folder.version.as_ref();
    let checks = checks.is_some_and(|version| version.numbers() >= CHECKS_TEXLIVE);
    let is_sandboxed =
        folder.is_on("SIBLING_CONTAINERS_ENABLED") && folder.edition != Edition::Community;
    if !checks || !is_sandboxed || folder.variable(skip) == Some("true") {
        return;
    }
    let (name, text) = match (folder.variable(default), folder.variable(all)) {
        (None, _) => (default, format!("sandboxed compiles need `{default}`")),
        (_, None) => (all, format!("sandboxed compiles need `{all}`")),
        (Some(image), Some(images)) => {
            let is_listed = images.split(',').any(|one| one.trim() == image);
            // CEP does not compare the two.
            if is_listed || folder.edition == Edition::Extended {
                return;
            }
            (default, format!("`{image}` is not in `{all}`"))
        }
    };
    findings.add(rule, name, folder.variable_place(name), &text, "");
}
