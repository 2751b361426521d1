//! `toolkit images`: the images of this instance on the engine.

use serde_json::{Value, json};

use super::super::instance::Instance;
use super::super::{
    Session, deed, error::CommandError, exit, instance, operation, question, state_folder,
};
use crate::applied;
use crate::bundled;
use crate::compiles;
use crate::engine::EngineError;
use crate::engine::stock::{Removal, Stock};
use crate::image;
use crate::images::{self, Bytes, Needs, Row};
use crate::observe;
use crate::observed::Observed;
use crate::plan;
use crate::release::Catalogue;
use crate::ui;
use crate::ui::words;

/// List, pull and remove the images of this instance
///
/// Only images whose repositories the configuration, the release or the TeX Live lists name, with their
/// other tags, and those that this program makes itself; others on the same engine are never shown or
/// touched.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  toolkit images                  # what is here, and what needs it\n  toolkit images pull --texlive   # everything that is missing, before it is needed\n  toolkit images prune --dry-run  # what can go\n  toolkit images size"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<ImagesCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum ImagesCommand {
    /// Show the images with their digests, and what needs each of them
    #[command(after_help = "Examples:\n  toolkit images list\n  toolkit images list --format json")]
    List,
    /// Pull the images that the configuration needs and the engine does not have
    #[command(
        after_help = "Examples:\n  toolkit images pull\n  toolkit images pull --texlive   # those of sandboxed compiles too\n  toolkit images pull --newer     # look for newer ones under the same names\n  toolkit images pull sharelatex"
    )]
    Pull {
        /// Only those of these services
        services: Vec<String>,
        /// Those of sandboxed compiles too; they take several GiB each
        #[arg(long)]
        texlive: bool,
        /// Look for newer ones under the same names
        #[arg(long)]
        newer: bool,
    },
    /// Remove images that nothing needs any more
    ///
    /// Kept are those that a container is made of, whoever it belongs to, those that the configuration
    /// names, and those to which `toolkit rollback` would go back. One that came from no registry, built or
    /// loaded on this machine, goes only when it is named in full: nothing could bring it back.
    #[command(
        after_help = "Examples:\n  toolkit images prune --dry-run\n  toolkit images prune\n  toolkit images prune --yes mongo toolkit-bundled/redis:1a2b3c4d"
    )]
    Prune {
        /// Only these, with or without a tag
        images: Vec<String>,
    },
    /// Show what the images take
    #[command(after_help = "Examples:\n  toolkit images size")]
    Size,
}

/// Does what is asked for.
///
/// # Errors
/// The configuration cannot be used, the engine cannot be asked, or an image cannot be pulled or
/// removed.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    match &args.command {
        None | Some(ImagesCommand::List) => list(session).await,
        Some(ImagesCommand::Pull {
            services,
            texlive,
            newer,
        }) => pull(session, services, *texlive, *newer).await,
        Some(ImagesCommand::Prune { images }) => prune(session, images).await,
        Some(ImagesCommand::Size) => size(session).await,
    }
}

/// The images of the instance, as the engine has them now.
async fn rows(engine: &impl Stock, needs: &Needs) -> Result<Vec<Row>, EngineError> {
    let (stored, containers) =
        futures_util::try_join!(engine.stored_images(true), engine.listed_containers(false))?;
    Ok(images::rows(&stored, &containers, needs))
}

/// What the instance needs, by its configuration, its release and what was last applied.
fn needs(instance: &Instance) -> Result<Needs, CommandError> {
    let catalogue = Catalogue::load().map_err(crate::settings::SettingsError::from)?;
    let settings = &instance.settings;
    let edition = catalogue.images(settings.edition);
    let edition = edition.map_err(crate::settings::SettingsError::from)?;
    let mut names = vec![settings.sharelatex_image(edition)];
    names.extend(settings.git_bridge_image(edition));
    let stores = [&settings.mongo, &settings.redis].into_iter().flatten();
    names.extend(stores.map(|store| store.image.clone()));
    let previous = match applied::load(&state_folder(&instance.root)) {
        Ok(previous) => previous,
        // A rollback cannot read it either.
        Err(applied::AppliedError::Project { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let previous = previous.as_ref().map(|applied| &applied.project);
    Ok(Needs::new(
        &instance.deployment,
        previous,
        &names,
        bundled::TAG,
    ))
}

async fn list(session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let engine = instance::engine(session, &instance.root).await?;
    let rows = rows(&engine, &needs(&instance)?).await?;
    let going: Vec<&Row> = rows.iter().filter(|row| row.can_go()).collect();
    let (taken, freed) = (images::taken(&rows), images::freed(&going));
    if session.ui.is_json() {
        let data = json!({
            "images": rows.iter().map(ui::images::value).collect::<Vec<Value>>(),
            "size": ui::images::bytes(taken),
            "frees": ui::images::bytes(freed),
        });
        session
            .ui
            .document("toolkit.images/v1", &data, &instance.warnings);
    } else {
        session.ui.answer(&ui::images::view(&rows, taken, freed));
    }
    Ok(exit::DONE)
}

async fn size(session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let engine = instance::engine(session, &instance.root).await?;
    let rows = rows(&engine, &needs(&instance)?).await?;
    let taken = images::taken(&rows);
    if session.ui.is_json() {
        let here = rows.iter().filter(|row| row.id.is_some());
        let data = json!({
            "images": here.map(ui::images::value).collect::<Vec<Value>>(),
            "size": ui::images::bytes(taken),
        });
        session
            .ui
            .document("toolkit.images-size/v1", &data, &instance.warnings);
    } else {
        session.ui.answer(&ui::images::sizes(&rows, taken));
    }
    Ok(exit::DONE)
}

async fn pull(
    session: &Session,
    services: &[String],
    texlive: bool,
    newer: bool,
) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let instance = instance::naming(session, instance, services)?;
    let engine = instance::engine(session, &instance.root).await?;
    let deployment = &instance.deployment;
    let extra: Vec<(String, String)> = match texlive {
        true => of_compiles(&instance),
        false => Vec::new(),
    };
    let configured = deployment.project.services.values();
    let configured = configured.map(|service| service.image.as_str());
    let base = deployment.texlive.iter().map(|derived| &*derived.base);
    let bundled = deployment.bundled_images.values().map(String::as_str);
    let extras = extra.iter().map(|(reference, _)| reference.as_str());
    let all = configured.chain(base).chain(bundled).chain(extras);
    let observed = Observed {
        images: observe::images(&engine, all).await?,
        ..Observed::default()
    };
    let plan = plan::pull::images(deployment, &observed, services, &extra, newer);
    if instance::shown_only(session, &instance, &plan) {
        return Ok(exit::DONE);
    }
    operation::transfer(session, &instance, &engine, &plan, &observed).await?;
    let done = match services {
        [] => "all images are here",
        _ => "the images are here",
    };
    instance::conclude(session, &instance, "images-pull", &plan, done);
    Ok(exit::DONE)
}

/// The images of sandboxed compiles, each with the variable that names it.
fn of_compiles(instance: &Instance) -> Vec<(String, String)> {
    let found = compiles::images(&instance.deployment.project).into_iter();
    found
        .map(|image| {
            let cause = format!("{} names it", image.variable);
            (image.reference, cause)
        })
        .collect()
}

async fn prune(session: &Session, wanted: &[String]) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "images prune").await?;
    let instance = instance::load_at(session, &root)?;
    let engine = instance::engine(session, &root).await?;
    let needs = needs(&instance)?;
    let rows = rows(&engine, &needs).await?;
    known(&rows, wanted)?;
    let going: Vec<&Row> = rows
        .iter()
        .filter(|row| may_go(row, wanted) && (wanted.is_empty() || is_among(row, wanted)))
        .collect();
    let freed = images::freed(&going);
    if !session.ui.is_json() {
        session.ui.answer(&ui::images::going(&going, freed));
    }
    let mut removed = Vec::new();
    let mut bytes = Bytes::default();
    if !session.dry_run && !going.is_empty() {
        let number = words::count(going.len(), "image");
        question::confirm(session, &format!("remove {number}?")).await?;
        let names = going.iter().map(|row| format!("`{}`", row.reference));
        let names = words::list(&names.collect::<Vec<_>>());
        let title = format!("remove {names}");
        let work = remove(session, &engine, &needs, &going, wanted);
        (removed, bytes) = deed::kept(session, &root, "images prune", title, work).await?;
    }
    if session.ui.is_json() {
        let shown = going.iter().map(|row| ui::images::value(row));
        let data = json!({
            "images": shown.collect::<Vec<Value>>(),
            "frees": ui::images::bytes(freed),
            "removed": removed,
            "freed": ui::images::bytes(bytes),
        });
        session
            .ui
            .document("toolkit.images-prune/v1", &data, &instance.warnings);
    } else if !removed.is_empty() {
        let number = words::count(removed.len(), "image");
        let done = session.ui.style().done();
        let freed = ui::images::between(bytes);
        session
            .ui
            .say(&format!("{done} {number} removed, {freed} freed"));
    }
    Ok(exit::DONE)
}

/// Removes images one after the other; each is looked at once more, since what it shares has changed, and
/// a container may have come. Gives the references that are gone, and the bytes that are free now, which an engine that does not
/// tell what images share leaves open.
async fn remove(
    session: &Session,
    engine: &impl Stock,
    needs: &Needs,
    going: &[&Row],
    wanted: &[String],
) -> Result<(Vec<String>, Bytes), CommandError> {
    let mut removed = Vec::new();
    let mut bytes = Bytes::default();
    for row in going {
        let now = rows(engine, needs).await?;
        let now = now.iter().find(|now| now.reference == row.reference);
        let Some(now) = now.filter(|now| may_go(now, wanted) && now.id == row.id) else {
            session
                .ui
                .warn(&format!("`{}` is kept: it has just changed", row.reference));
            continue;
        };
        let removals = match engine.remove_image(&now.reference).await {
            Err(EngineError::Refused { message, .. }) => {
                session
                    .ui
                    .warn(&format!("`{}` is kept: {message}", row.reference));
                continue;
            }
            other => other?,
        };
        let deletes = |removal: &Removal| matches!(removal, Removal::Deleted(_));
        if removals.iter().any(deletes) {
            bytes += images::freed(&[now]);
        }
        removed.push(row.reference.clone());
    }
    Ok((removed, bytes))
}

/// Whether nothing needs an image, or it is named in full and nothing but its rarity keeps it.
fn may_go(row: &Row, wanted: &[String]) -> bool {
    let is_named = wanted.iter().any(|wanted| is_whole(row, wanted));
    row.can_go() || (row.can_go_when_named() && is_named)
}

/// Whether a row was named in full.
fn is_whole(row: &Row, wanted: &str) -> bool {
    let is_same = || image::familiar(wanted) == image::familiar(&row.reference);
    *wanted == row.reference || (image::tag(wanted).is_some() && is_same())
}

/// Whether a row is one of those that were named, with or without a tag.
fn is_among(row: &Row, wanted: &[String]) -> bool {
    let name = image::repository(&row.reference);
    wanted.iter().any(|wanted| {
        let is_name = image::tag(wanted).is_none() && image::repository(wanted) == name;
        is_name || is_whole(row, wanted)
    })
}

/// Refuses names that are no images of the instance, and images that are needed and were named in full.
fn known(rows: &[Row], wanted: &[String]) -> Result<(), CommandError> {
    for name in wanted {
        let named = std::slice::from_ref(name);
        let mut found = rows.iter().filter(|row| is_among(row, named)).peekable();
        if found.peek().is_none() {
            let message = format!("`{name}` is no image of this instance");
            return Err(CommandError::new("UNKNOWN_IMAGE", exit::USAGE, message)
                .state("nothing was changed")
                .command("toolkit images"));
        }
        if image::tag(name).is_some()
            && let Some(row) = found.find(|row| !row.can_go_when_named())
        {
            let message = format!("image `{}` is needed", row.reference);
            return Err(CommandError::new("IMAGE_IN_USE", exit::CHECK, message)
                .because(match row.id {
                    Some(_) => ui::images::needed_by(row),
                    None => "it is configured, and not here".to_owned(),
                })
                .state("nothing was changed")
                .command("toolkit images"));
        }
    }
    Ok(())
}
