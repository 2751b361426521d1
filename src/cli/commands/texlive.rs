//! `toolkit texlive`: packages on top of the application's image, and the images of sandboxed compiles.

mod images;

use time::Date;

use super::super::files::Texts;
use super::super::instance::Instance;
use super::super::{Session, error::CommandError, exit, files, instance, operation};
use super::config::change::{Change, FileArg};
use crate::deployment::Deployment;
use crate::engine::Engine;
use crate::host;
use crate::observe;
use crate::observed::Observed;
use crate::plan;
use crate::plan::Plan;
use crate::release::Edition;
use crate::settings::assignments::Dialect;
use crate::settings::disclosure;
use crate::settings::edit;
use crate::settings::shell_words;
use crate::texlive;
use crate::ui;

/// The setting that holds the packages.
const PACKAGES: &str = "TEXLIVE_PACKAGES";

/// Install TeX Live packages that survive upgrades, and look after TeX Live images
///
/// Packages are built into an image of their own on top of the application's, from the repository of the
/// year of its TeX Live, and kept in TEXLIVE_PACKAGES of config/overleaf.rc: every `toolkit up` of
/// another release builds them anew before anything is stopped. In Server Pro packages come with the
/// TeX Live images of sandboxed compiles.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit texlive install pgf-blur biblatex-apa\n  toolkit texlive install scheme-full   # everything: some 8 GB, and an hour or more\n  toolkit texlive list\n  toolkit texlive images"
)]
pub struct Args {
    #[command(subcommand)]
    command: TexLiveCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TexLiveCommand {
    /// Build an image with more packages, then write them into overleaf.rc
    ///
    /// The site runs on meanwhile; `toolkit up` then switches to the image. A package that does not
    /// exist changes nothing.
    #[command(
        after_help = "Examples:\n  toolkit texlive install pgf-blur\n  toolkit texlive install collection-langgerman collection-fontsextra\n  toolkit texlive install scheme-full"
    )]
    Install {
        /// Packages, collections or schemes, as `tlmgr` names them
        #[arg(required = true)]
        packages: Vec<String>,
    },
    /// Take packages out again; those of the image itself stay
    #[command(after_help = "Examples:\n  toolkit texlive remove pgf-blur")]
    Remove {
        /// Packages, collections or schemes that were installed
        #[arg(required = true)]
        packages: Vec<String>,
    },
    /// Show the packages, their image and where they come from
    #[command(
        after_help = "Examples:\n  toolkit texlive list\n  toolkit texlive list --format json"
    )]
    List,
    /// Build the image with the configured packages now, not with the next `up`
    #[command(after_help = "Examples:\n  toolkit texlive build")]
    Build,
    /// Show the images of sandboxed compiles, and how many projects name each
    #[command(after_help = "Examples:\n  toolkit texlive images")]
    Images,
    /// Count the projects that name an image, or give them another one
    ///
    /// Projects keep the name of the image they were made with; one that is not listed any more does not
    /// compile, and Server Pro does not start. Without --apply they are only counted.
    #[command(
        after_help = "Examples:\n  toolkit texlive remap --from quay.io/sharelatex/texlive-full:2023.1 --to quay.io/sharelatex/texlive-full:2025.1\n  toolkit texlive remap --from quay.io/sharelatex/texlive-full:2023.1 --to quay.io/sharelatex/texlive-full:2025.1 --apply"
    )]
    Remap(images::RemapArgs),
}

/// Does what is asked for.
///
/// # Errors
/// The configuration cannot be used, a name is wrong, the engine cannot be asked, or an image cannot be
/// built.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    match &args.command {
        TexLiveCommand::Install { packages } => {
            for name in packages {
                valid(name)?;
            }
            let add = |now: &mut Vec<String>| {
                for name in packages {
                    if !now.contains(name) {
                        now.push(name.clone());
                    }
                }
                Ok(())
            };
            change(session, "texlive install", add).await
        }
        TexLiveCommand::Remove { packages } => {
            let take = |now: &mut Vec<String>| {
                for name in packages {
                    if !now.contains(name) {
                        return Err(not_installed(name, now));
                    }
                }
                now.retain(|name| !packages.contains(name));
                Ok(())
            };
            change(session, "texlive remove", take).await
        }
        TexLiveCommand::List => list(session).await,
        TexLiveCommand::Build => build(session).await,
        TexLiveCommand::Images => images::show(session).await,
        TexLiveCommand::Remap(args) => images::remap(args, session).await,
    }
}

fn valid(name: &str) -> Result<(), CommandError> {
    if texlive::is_package(name) {
        return Ok(());
    }
    let message = format!("`{name}` is not the name of a package");
    Err(CommandError::new("PACKAGE_NAME", exit::USAGE, message)
        .state("nothing was changed")
        .fix("use letters, digits, `.`, `_` and `-`, such as `pgf-blur` or `scheme-full`"))
}

fn not_installed(name: &str, installed: &[String]) -> CommandError {
    let message = format!("`{name}` is not among the installed packages");
    let error = CommandError::new("PACKAGE_UNKNOWN", exit::USAGE, message);
    let error = match installed {
        [] => error.because(format!("{PACKAGES} names none")),
        some => error.because(format!("{PACKAGES} names {}", some.join(" "))),
    };
    error.state("nothing was changed")
}

/// Changes the list of packages: builds the image first, so that a list that cannot be built is never
/// written.
async fn change(
    session: &Session,
    command: &str,
    edit: impl FnOnce(&mut Vec<String>) -> Result<(), CommandError>,
) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, command).await?;
    let texts = files::read_all(&root)?;
    let (mut assigned, _) = shell_words::parse(&texts.rc, &root, &|_| None);
    let before = assigned.remove(PACKAGES).map(|found| found.value);
    let before = before.unwrap_or_default();
    let mut packages: Vec<String> = before.split_whitespace().map(ToOwned::to_owned).collect();
    edit(&mut packages)?;
    let after = packages.join(" ");
    let rc = edit::set(Dialect::Shell, &texts.rc, PACKAGES, &after);
    let new = Texts {
        rc: if before == after {
            texts.rc.clone()
        } else {
            rc
        },
        ..texts.clone()
    };
    let target = instance::from_texts(session, &root, &new)?;
    has_own_texlive(&target)?;
    if !packages.is_empty() {
        let engine = instance::engine(session, &root).await?;
        let (plan, observed) = missing(&engine, &target).await?;
        if !session.dry_run {
            operation::transfer(session, &target, &engine, &plan, &observed).await?;
        } else if !session.ui.is_json() {
            instance::show_plan(session, &target, &plan, &[]);
        }
    }
    let change = Change {
        operation: "set",
        key: PACKAGES,
        file: FileArg::Rc,
        texts: &texts,
        after: new.rc.clone(),
    };
    change.carry_out(session, &root, disclosure::carried())?;
    Ok(exit::DONE)
}

/// What is missing for the image with packages, and the images that were looked at.
async fn missing(
    engine: &impl Engine,
    instance: &Instance,
) -> Result<(Plan, Observed), CommandError> {
    let deployment = &instance.deployment;
    let Some(derived) = &deployment.texlive else {
        let message = "the application does not run the image with packages";
        return Err(
            CommandError::new("TEXLIVE_UNUSED", exit::CONFIGURATION, message)
                .because("docker-compose.override.yml names another image for `sharelatex`")
                .state("nothing was changed")
                .fix("name that image with OVERLEAF_IMAGE_NAME instead: packages are put on top of it"),
        );
    };
    let bundled = deployment.bundled_images.values().map(String::as_str);
    let own = [derived.base.as_str(), derived.reference.as_str()];
    let observed = Observed {
        images: observe::images(engine, bundled.chain(own)).await?,
        ..Observed::default()
    };
    let services = std::slice::from_ref(&derived.service);
    let plan = plan::pull::images(deployment, &observed, services, &[], false);
    Ok((plan, observed))
}

/// Server Pro compiles in images of their own.
fn has_own_texlive(instance: &Instance) -> Result<(), CommandError> {
    if instance.settings.edition != Edition::ServerPro {
        return Ok(());
    }
    let message = "Server Pro compiles in TeX Live images, which bring their packages";
    Err(CommandError::new("TEXLIVE_EDITION", exit::USAGE, message)
        .because("its own image needs no packages when sandboxed compiles are on")
        .state("nothing was changed")
        .fix("name the images in ALL_TEX_LIVE_DOCKER_IMAGES of config/variables.env; `toolkit texlive images` shows them")
        .command("toolkit images pull --texlive"))
}

async fn build(session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "texlive build").await?;
    let instance = instance::load_at(session, &root)?;
    has_own_texlive(&instance)?;
    let (plan, observed, engine);
    if instance.settings.texlive_packages.is_empty() {
        plan = Plan::default();
    } else {
        engine = instance::engine(session, &root).await?;
        (plan, observed) = missing(&engine, &instance).await?;
        if !session.dry_run {
            operation::transfer(session, &instance, &engine, &plan, &observed).await?;
        }
    }
    if !instance::shown_only(session, &instance, &plan) {
        let text = "the image is built; `toolkit up` switches to it";
        instance::conclude(session, &instance, "texlive-build", &plan, text);
    }
    Ok(exit::DONE)
}

async fn list(session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    if instance.settings.edition == Edition::ServerPro {
        return images::show(session).await;
    }
    let engine = instance::engine(session, &instance.root).await?;
    let found = packages(&engine, &instance.deployment, host::now().date()).await?;
    if session.ui.is_json() {
        let data = ui::texlive::packages_value(&found);
        session
            .ui
            .document("toolkit.texlive/v1", &data, &instance.warnings);
    } else {
        session.ui.answer(&ui::texlive::packages(&found));
    }
    Ok(exit::DONE)
}

async fn packages(
    engine: &impl Engine,
    deployment: &Deployment,
    today: Date,
) -> Result<ui::texlive::Packages, CommandError> {
    let derived = deployment.texlive.clone();
    let service = derived
        .as_ref()
        .map_or("sharelatex", |found| &found.service);
    let image = deployment.project.services.get(service);
    let image = image
        .map(|service| service.image.clone())
        .unwrap_or_default();
    let containers = engine.project_containers(&deployment.project.name).await?;
    let container = containers.iter().find(|found| found.service == service);
    let is_built = engine.image(&image).await?.is_some();
    let here = match (&derived, is_built) {
        (_, true) => Some(image.clone()),
        (Some(derived), false) => {
            let base = engine.image(&derived.base).await?;
            base.map(|_| derived.base.clone())
        }
        (None, false) => None,
    };
    let year = match here {
        Some(image) => {
            let paths = texlive::installations(today.year())?;
            let found = engine.paths_in_image(&image, &paths).await?;
            // An image without a TeX Live has no year; that stands in the way of a build only.
            let year = texlive::year(&image, &found).ok();
            let now = (today.year(), u8::from(today.month()));
            let own = derived.as_ref().and_then(|found| found.repository.clone());
            year.and_then(|year| {
                let repository = own.or_else(|| texlive::repository(year, now).ok())?;
                Some((year, repository))
            })
        }
        None => None,
    };
    Ok(ui::texlive::Packages {
        runs: container.map(|found| found.image == image),
        is_built: is_built && derived.is_some(),
        derived,
        year,
    })
}
