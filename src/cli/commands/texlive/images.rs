//! `toolkit texlive images` and `remap`: the images of sandboxed compiles, and the projects that name
//! them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::super::instance::Instance;
use super::super::super::people::Place;
use super::super::super::{Session, deed, error::CommandError, exit, instance, question};
use crate::compiles;
use crate::engine::Engine;
use crate::observe;
use crate::observed::Container;
use crate::observed::machine::Asked;
use crate::people::actions::{self, Action};
use crate::ui;
use crate::ui::texlive::CompileImage;
use crate::ui::words;

/// What `remap` is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct RemapArgs {
    /// Image that projects name now
    #[arg(long, value_name = "IMAGE")]
    from: String,
    /// Image that they are to name; it must be listed
    #[arg(long, value_name = "IMAGE")]
    to: String,
    /// Change them; without this they are only counted
    #[arg(long)]
    apply: bool,
}

/// Shows the images.
pub(super) async fn show(session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let engine = instance::engine(session, &instance.root).await?;
    let project = &instance.deployment.project;
    let counts = observe::projects::image_names(&engine, &instance.deployment).await;
    let (counts, because) = told(counts);
    let listed: BTreeSet<&str> = compiles::selectable(project).into_iter().collect();
    let default = compiles::default_image(project);
    let named = counts.iter().flat_map(|counts| counts.keys());
    let mut names: BTreeSet<&str> = named.map(String::as_str).collect();
    names.extend(&listed);
    let mut found = Vec::new();
    for name in names {
        let reference = compiles::engine_reference(project, name);
        let is_here = !name.is_empty() && engine.image(&reference).await?.is_some();
        let number = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or(0);
        found.push(CompileImage {
            name: name.to_owned(),
            is_listed: listed.contains(name),
            is_default: default == Some(name),
            is_here,
            projects: counts.as_ref().map(number),
        });
    }
    if session.ui.is_json() {
        let data = json!({
            "sandboxed": compiles::is_sandboxed(project),
            "images": found.iter().map(ui::texlive::image_value).collect::<Vec<Value>>(),
            "not_counted": because,
        });
        session
            .ui
            .document("toolkit.texlive-images/v1", &data, &instance.warnings);
        return Ok(exit::DONE);
    }
    if !compiles::is_sandboxed(project) {
        session
            .ui
            .say("compiles run inside the application's container: no image of their own is used");
    }
    if let Some(because) = because {
        session
            .ui
            .warn(&format!("the projects were not counted: {because}"));
    }
    session.ui.answer(&ui::texlive::images(&found));
    Ok(exit::DONE)
}

/// The counts, or why there are none.
fn told(counts: Asked<BTreeMap<String, u64>>) -> (Option<BTreeMap<String, u64>>, Option<String>) {
    match counts {
        Asked::Answered { facts, .. } => (Some(facts), None),
        Asked::NotAsked { because } => (None, Some(because)),
        Asked::Silent { at, because } => (None, Some(format!("mongo at `{at}`: {because}"))),
    }
}

/// Counts the projects that name an image and, when that is asked for, gives them another one with the
/// application's own script.
///
/// # Errors
/// A name is wrong, the projects cannot be counted, the answer is no, the application does not run or has
/// no such script, or projects keep the old name.
pub(super) async fn remap(args: &RemapArgs, session: &Session) -> Result<u8, CommandError> {
    let RemapArgs { from, to, apply } = args;
    for name in [from, to] {
        valid(name)?;
    }
    if from == to {
        let message = format!("`{to}` would stand for itself");
        return Err(CommandError::new("USAGE", exit::USAGE, message).state("nothing was changed"));
    }
    let instance = instance::load(session)?;
    is_listed(&instance, to)?;
    let place = Place::of(session, instance).await?;
    let projects = counted(&place, from).await?;
    let number = words::count(usize::try_from(projects).unwrap_or(usize::MAX), "project");
    let is_changed = *apply && !session.dry_run && projects > 0;
    if is_changed {
        let container = place.application().await?;
        runs_with(&container, to)?;
        let version = &place.instance.deployment.version;
        let action = Action::RemapImages;
        let script = actions::find(&place.engine, &container.id, version, action).await?;
        question::confirm(session, &format!("Give {number} `{to}` for `{from}`?")).await?;
        let values = [("from", from.as_str()), ("to", to.as_str())];
        let work = async {
            script.run(&place.engine, &values).await?;
            match counted(&place, from).await? {
                0 => Ok(()),
                left => Err(incomplete(from, left)),
            }
        };
        let title = format!("give {number} `{to}` for `{from}`");
        deed::kept(session, place.root(), "texlive remap", title, work).await?;
    }
    if session.ui.is_json() {
        let changed = if is_changed { projects } else { 0 };
        let data = json!({ "from": from, "to": to, "projects": projects, "changed": changed });
        session
            .ui
            .document("toolkit.texlive-remap/v1", &data, &place.instance.warnings);
    } else if is_changed {
        let done = session.ui.style().done();
        session
            .ui
            .say(&format!("{done} {number} changed from `{from}` to `{to}`"));
    } else {
        session.ui.answer(&ui::texlive::remap(from, to, projects));
    }
    Ok(exit::DONE)
}

/// The application takes no image that it was not started with.
fn runs_with(container: &Container, to: &str) -> Result<(), CommandError> {
    if compiles::selectable_now(container).contains(&to) {
        return Ok(());
    }
    let message = format!("the application does not run with `{to}` yet");
    Err(
        CommandError::new("IMAGE_NOT_LISTED", exit::CONFIGURATION, message)
            .because("config/variables.env lists it, and the container is older")
            .state("nothing was changed")
            .command("toolkit up"),
    )
}

/// How many projects name an image.
async fn counted(place: &Place, image: &str) -> Result<u64, CommandError> {
    let counts = observe::projects::image_names(&place.engine, &place.instance.deployment).await;
    match told(counts) {
        (Some(counts), _) => Ok(counts.get(image).copied().unwrap_or(0)),
        (None, because) => {
            let message = "the projects cannot be counted";
            let error = CommandError::new("MONGO_UNREACHABLE", exit::UNREACHABLE, message);
            Err(error
                .because(because.unwrap_or_default())
                .command("toolkit up mongo"))
        }
    }
}

fn incomplete(image: &str, left: u64) -> CommandError {
    let left = words::count(usize::try_from(left).unwrap_or(usize::MAX), "project");
    let message = format!("{left} with the image `{image}` stay");
    CommandError::new("REMAP_INCOMPLETE", exit::FAILED, message)
        .because("the script says that all went well, and mongo still has the old name")
        .fix("run it again; then look at the application's log of the service `web`")
}

fn valid(name: &str) -> Result<(), CommandError> {
    let is_sound = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c));
    if is_sound {
        return Ok(());
    }
    let message = format!("`{name}` is not the name of an image");
    Err(CommandError::new("IMAGE_NAME", exit::USAGE, message)
        .state("nothing was changed")
        .command("toolkit texlive images"))
}

/// Projects that name an image which is not listed do not compile.
fn is_listed(instance: &Instance, to: &str) -> Result<(), CommandError> {
    let listed = compiles::selectable(&instance.deployment.project);
    if listed.contains(&to) {
        return Ok(());
    }
    let message = format!("`{to}` is not an image that projects may name");
    Err(
        CommandError::new("IMAGE_NOT_LISTED", exit::CONFIGURATION, message)
            .because("their compiles would be refused")
            .state("nothing was changed")
            .fix("add it to ALL_TEX_LIVE_DOCKER_IMAGES in config/variables.env, then run `toolkit up`")
            .command("toolkit texlive images"),
    )
}
