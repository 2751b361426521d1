//! Checks of mongo and redis: their versions against the release, the data and each other.

use super::dotted::{is_below, place_in};
use super::paths::mongo_folder;
use super::{Finding, Looked, Outcome, View, World, not_checked, not_needed, outcome};
use crate::image;
use crate::observed::machine::Asked;
use crate::observed::machine::MongoFacts;

/// The checks that keep mongo from opening data it must not open.
pub(super) const OF_DATA: [&str; 2] = ["MONGO_DOWNGRADE", "MONGO_STEP_SKIPPED"];

/// Whether the next mongo is perhaps not the one that used the data last: its container has another
/// image, or it has no container and there is data.
pub(super) fn is_mongo_new(world: &World<'_>) -> bool {
    let deployment = world.deployment;
    let (Some(wanted), Ok(observed)) = (deployment.project.services.get("mongo"), world.observed)
    else {
        return false;
    };
    if let Some(found) = observed.container("mongo") {
        return found.image != wanted.image;
    }
    let mut folders = deployment.folders.iter();
    let folder = folders.find(|folder| folder.setting == "MONGO_DATA_PATH");
    let facts = folder.and_then(|folder| world.machine.paths.get(&folder.path));
    let is_here = world.machine.elsewhere.is_none();
    facts.is_some_and(|facts| is_here && facts.exists && !facts.is_empty)
}

/// The version of the mongo that the project runs, by its tag.
pub(super) fn wanted_mongo(view: &View<'_>) -> Result<String, Outcome> {
    view.not_bundled()?;
    let Some(mongo) = view.deployment.project.services.get("mongo") else {
        return Err(not_needed("mongo is external"));
    };
    match image::version(&mongo.image) {
        Some(version) => Ok(version.to_owned()),
        None => Err(not_checked(&format!(
            "the tag of `{}` names no version",
            mongo.image
        ))),
    }
}

/// What an external mongo said; everything else ends the check.
fn external_mongo<'a>(view: &View<'a>) -> Result<(&'a str, &'a MongoFacts), Outcome> {
    match &view.machine.mongo {
        Asked::Answered {
            at,
            is_external: true,
            facts,
        } => Ok((at, facts)),
        Asked::Answered { .. } => Err(not_needed("mongo is a service of the project")),
        Asked::Silent { .. } => Err(not_checked("mongo gives no answer")),
        Asked::NotAsked { .. } if view.deployment.project.services.contains_key("mongo") => {
            Err(not_needed("mongo is a service of the project"))
        }
        Asked::NotAsked { because } => Err(not_checked(because)),
    }
}

/// The version of the mongo that the application is going to use.
fn mongo_in_use(view: &View<'_>) -> Result<String, Outcome> {
    match external_mongo(view) {
        Ok((_, facts)) => Ok(facts.version.clone()),
        Err(Outcome::NotNeeded { .. }) => wanted_mongo(view),
        Err(other) => Err(other),
    }
}

fn is_external(view: &View<'_>) -> bool {
    external_mongo(view).is_ok()
}

fn mongo_fix(view: &View<'_>, version: &str) -> String {
    if is_external(view) {
        format!("upgrade the external mongo to {version}, one major version at a time")
    } else {
        format!(
            "set MONGO_VERSION={version} in config/overleaf.rc, one major version at a time from what the data has"
        )
    }
}

pub(super) fn mongo_too_old(view: &View<'_>) -> Looked {
    let version = mongo_in_use(view)?;
    let release = &view.deployment.version;
    let Some(servers) = view.catalogue.mongo(release) else {
        return Err(not_checked("nothing is known about this release"));
    };
    let mut findings = Vec::new();
    if is_below(&version, servers.oldest) == Some(true) {
        findings.push(Finding {
            text: format!("MongoDB {version} is too old for Overleaf {release}"),
            because: format!("the application refuses or fails below {}", servers.oldest),
            measured: version.clone(),
            needed: format!("{} or later", servers.oldest),
            fix: mongo_fix(view, servers.oldest),
            ..Finding::default()
        });
    }
    outcome(findings, version, &format!("{} or later", servers.oldest))
}

pub(super) fn mongo_too_new(view: &View<'_>) -> Looked {
    let version = mongo_in_use(view)?;
    let release = &view.deployment.version;
    let servers = view.catalogue.mongo(release);
    let Some(newest) = servers.and_then(|servers| servers.newest) else {
        return Err(not_checked("nothing is known about this release"));
    };
    let mut findings = Vec::new();
    if is_below(newest, &version) == Some(true) {
        findings.push(Finding {
            text: format!(
                "MongoDB {version} is newer than Overleaf {release} is known to work with"
            ),
            because: format!("{newest} is the highest that is documented or tested"),
            measured: version.clone(),
            needed: format!("{newest} or earlier"),
            fix:
                "keep to the documented version; data that a newer one has opened does not go back"
                    .to_owned(),
            ..Finding::default()
        });
    }
    outcome(findings, version, &format!("{newest} or earlier"))
}

/// What is known of the mongo that used the data last, in words: the running one, its records in
/// the data folder, or the image of its container.
fn data_version(view: &View<'_>) -> Result<(String, &'static str), Outcome> {
    if let Asked::Answered {
        is_external: false,
        facts,
        ..
    } = &view.machine.mongo
    {
        return Ok((facts.version.clone(), "the running mongo says so"));
    }
    // What lies in a folder that mongo does not mount says nothing about its data.
    if let (Some((_, facts)), Ok(())) = (mongo_folder(view), view.here()) {
        if !facts.exists || facts.is_empty {
            return Err(not_needed("there is no data yet"));
        }
        if let Some(version) = &view.machine.mongo_data_version {
            return Ok((version.clone(), "its records in the data folder say so"));
        }
    }
    let container = view.observed()?.container("mongo");
    let version = container.and_then(|container| image::version(&container.image));
    match version {
        Some(version) => Ok((version.to_owned(), "its container has that image")),
        None => Err(not_checked("nothing tells which mongo used the data last")),
    }
}

/// The places of two versions in the list of series.
fn places(view: &View<'_>, from: &str, to: &str) -> Result<(usize, usize), Outcome> {
    let series = || view.registry.mongo.iter().map(|row| &*row.series);
    let known = place_in(from, series()).zip(place_in(to, series()));
    known.ok_or_else(|| not_checked("one of the versions is not known"))
}

pub(super) fn mongo_downgrade(view: &View<'_>) -> Looked {
    let wanted = wanted_mongo(view)?;
    let (version, evidence) = data_version(view)?;
    let (from, to) = places(view, &version, &wanted)?;
    let mut findings = Vec::new();
    if to < from {
        findings.push(Finding {
            text: format!("MongoDB {wanted} does not open data of {version}"),
            because: format!("{version} used the data last: {evidence}; there is no way back"),
            measured: format!("data of {version}"),
            needed: format!("{version} or later"),
            fix: format!("set MONGO_VERSION={} in config/overleaf.rc, or restore a backup made with {wanted}", series_of(view, from)), ..Finding::default() });
    }
    outcome(
        findings,
        format!("data of {version}, and {wanted} is configured"),
        "",
    )
}

fn series_of(view: &View<'_>, place: usize) -> String {
    let row = view.registry.mongo.get(place);
    row.map(|row| row.series.clone()).unwrap_or_default()
}

pub(super) fn mongo_step(view: &View<'_>) -> Looked {
    let wanted = wanted_mongo(view)?;
    let (version, evidence) = data_version(view)?;
    let (from, to) = places(view, &version, &wanted)?;
    let mut findings = Vec::new();
    if to > from + 1 {
        let next = series_of(view, from + 1);
        findings.push(Finding {
            text: format!("MongoDB {wanted} does not open data of {version}"),
            because: format!("{version} used the data last: {evidence}; MongoDB goes up one series at a time"),
            measured: format!("data of {version}"),
            needed: format!("data of {}", series_of(view, to - 1)),
            fix: format!("back up, set MONGO_VERSION={next} in config/overleaf.rc, `toolkit up`, raise the feature compatibility version to {next}, and go on so"), ..Finding::default() });
    }
    outcome(
        findings,
        format!("data of {version}, and {wanted} is configured"),
        "",
    )
}

pub(super) fn mongo_compatibility(view: &View<'_>) -> Looked {
    view.not_bundled()?;
    let facts = match &view.machine.mongo {
        Asked::Answered { facts, .. } => facts,
        Asked::NotAsked { because } => return Err(not_checked(because)),
        Asked::Silent { .. } => return Err(not_checked("mongo gives no answer")),
    };
    let Some(compatibility) = &facts.compatibility else {
        return Err(not_checked("mongo does not let its user read it"));
    };
    let release = &view.deployment.version;
    let servers = view.catalogue.mongo(release);
    let by_release = servers.and_then(|servers| servers.oldest_compatibility);
    let by_server = wanted_mongo(view).ok().and_then(|wanted| {
        let series = view.registry.mongo.iter().map(|row| &*row.series);
        let row = view.registry.mongo.get(place_in(&wanted, series)?)?;
        Some((wanted, &*row.opens_from))
    });
    let mut findings = Vec::new();
    let mut needs = |needed: &str, who: String| {
        if is_below(compatibility, needed) == Some(true) {
            findings.push(Finding {
                text: format!("the feature compatibility version of mongo is {compatibility}"),
                because: format!("{who} needs {needed}"),
                measured: compatibility.clone(),
                needed: format!("{needed} or later"),
                fix: format!("with the present mongo, raise it: db.adminCommand({{setFeatureCompatibilityVersion: \"{needed}\"}}); from MongoDB 7.0 on with `confirm: true`"), ..Finding::default() });
        }
    };
    if let Some((wanted, needed)) = by_server {
        needs(needed, format!("MongoDB {wanted}"));
    }
    if let Some(needed) = by_release {
        needs(needed, format!("Overleaf {release}"));
    }
    outcome(
        findings,
        compatibility.clone(),
        by_release.unwrap_or_default(),
    )
}

pub(super) fn mongo_unreachable(view: &View<'_>) -> Looked {
    if let Asked::Silent { at, because } = &view.machine.mongo {
        return Ok(Outcome::Failed(vec![silent(
            "mongo",
            at,
            because,
            "MONGO_URL",
        )]));
    }
    let (at, facts) = external_mongo(view)?;
    outcome(Vec::new(), format!("MongoDB {} at {at}", facts.version), "")
}

fn silent(what: &str, at: &str, because: &str, setting: &str) -> Finding {
    Finding {
        text: format!("the external {what} at `{at}` does not answer"),
        because: because.to_owned(),
        measured: "no answer".to_owned(),
        needed: "an answer".to_owned(),
        fix: format!("start it, open its firewall, or mend {setting} in config/overleaf.rc"),
        ..Finding::default()
    }
}

pub(super) fn mongo_set(view: &View<'_>) -> Looked {
    let (at, facts) = external_mongo(view)?;
    let release = &view.deployment.version;
    let era = view.catalogue.era(release);
    if !era.is_ok_and(|era| era.needs_replica_set) {
        return Err(not_needed("this release needs no replica set"));
    }
    let finding = |text: String, measured: &str, fix: String| Finding {
        text,
        because: format!(
            "Overleaf {release} works with transactions, which need the primary of a replica set"
        ),
        measured: measured.to_owned(),
        needed: "a replica set with a primary".to_owned(),
        fix,
        ..Finding::default()
    };
    let findings = match (&facts.set, facts.is_primary) {
        (None, _) => vec![finding(
            format!("the external mongo at `{at}` has no replica set"),
            "no replica set",
            "start it with `--replSet NAME` and run rs.initiate() once".to_owned(),
        )],
        (Some(set), false) => vec![finding(
            format!("the replica set `{set}` of mongo has no primary that takes writes"),
            "no primary",
            "look at rs.status(), and name all members and `replicaSet=` in MONGO_URL".to_owned(),
        )],
        (Some(_), true) => Vec::new(),
    };
    let set = facts.set.as_deref().unwrap_or_default();
    outcome(
        findings,
        format!("primary of `{set}`"),
        "a replica set with a primary",
    )
}

pub(super) fn redis_unreachable(view: &View<'_>) -> Looked {
    match &view.machine.redis {
        Asked::Silent { at, because } => {
            let finding = silent("redis", at, because, "REDIS_HOST or REDIS_PORT");
            Ok(Outcome::Failed(vec![finding]))
        }
        Asked::Answered { at, facts, .. } => {
            outcome(Vec::new(), format!("Redis {} at {at}", facts.version), "")
        }
        Asked::NotAsked { .. } if view.deployment.project.services.contains_key("redis") => {
            Err(not_needed("redis is a service of the project"))
        }
        Asked::NotAsked { because } => Err(not_checked(because)),
    }
}

pub(super) fn redis_too_old(view: &View<'_>) -> Looked {
    view.not_bundled()?;
    let release = &view.deployment.version;
    let Some(needed) = view.catalogue.redis(release) else {
        return Err(not_checked("nothing is known about this release"));
    };
    let service = view.deployment.project.services.get("redis");
    let version = match (&view.machine.redis, service) {
        (Asked::Answered { facts, .. }, _) => facts.version.clone(),
        (_, Some(redis)) => match image::version(&redis.image) {
            Some(version) => version.to_owned(),
            None => {
                let because = format!("the tag of `{}` names no version", redis.image);
                return Err(not_checked(&because));
            }
        },
        (Asked::NotAsked { because }, None) => return Err(not_checked(because)),
        (Asked::Silent { .. }, None) => return Err(not_checked("redis gives no answer")),
    };
    let mut findings = Vec::new();
    if is_below(&version, needed) == Some(true) {
        findings.push(Finding {
            text: format!("Redis {version} is older than Overleaf {release} recommends"),
            because: format!("{needed} is what the release is made for"),
            measured: version.clone(),
            needed: format!("{needed} or later"),
            fix: format!("set REDIS_IMAGE=redis:{needed} in config/overleaf.rc"),
            ..Finding::default()
        });
    }
    outcome(findings, version, &format!("{needed} or later"))
}
