//! `toolkit quickstart`: from nothing to a running instance.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::super::files::Texts;
use super::super::grace::Grace;
use super::super::instance::Instance;
use super::super::unfinished::{self, unfinished_gate};
use super::super::{Session, error::CommandError, exit, files, instance};
use super::{init, up};
use crate::engine::Engine;
use crate::engine::stock::Stock;
use crate::host;
use crate::observe;
use crate::observed::Obstacle;
use crate::plan::UpRequest;
use crate::seed::{self, Wishes};
use crate::settings;
use crate::ui::status;

/// How long a registry may take to answer before it counts as absent.
const REGISTRY_DEADLINE: Duration = Duration::from_secs(5);

/// First port that is tried when the wanted one is taken.
const FALLBACK_PORT: u16 = 8080;

/// Bring up a first instance with one command
///
/// Checks the engine, writes a configuration if there is none, picks a free port if port 80 is
/// taken, uses the Overleaf images if they are present or their registry answers within a few
/// seconds and the bundled servers otherwise, brings everything up and waits until it answers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bin/quickstart\n  bin/quickstart --port 8080\n  bin/quickstart --bundled"
)]
pub struct Args {
    /// Port of the site for a new instance [default: 80, or a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Compose project of a new instance [default: overleaf]
    #[arg(long, value_name = "NAME", value_parser = init::project_name)]
    project_name: Option<String>,
    /// Use the bundled servers without looking for images or a registry
    #[arg(long)]
    bundled: bool,
}

/// Runs all steps of a first start.
///
/// # Errors
/// The engine cannot be reached, something stands in the way, or a service does not become ready.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = init::new_root(session);
    let engine = instance::engine(session, &root).await?;
    let facts = engine.facts().await?;
    session.ui.say(&format!(
        "{} {} on {}/{}",
        facts.product, facts.version, facts.operating_system, facts.architecture
    ));
    let _lock = instance::lock_unless_dry(session, &root, "quickstart").await?;
    unfinished_gate(session, &root, "quickstart")?;
    unfinished::stops(session, &root, &engine).await?;
    let loaded = if host::exists(&root.join(settings::RC_FILE)) {
        if args.port.is_some() || args.project_name.is_some() {
            return Err(init::configured_already(&root));
        }
        let mut texts = files::read_all(&root)?;
        if args.bundled {
            up::bundle(session, &root, &mut texts)?;
        }
        instance::from_texts(session, &root, &texts)?
    } else {
        new_instance(args, session, &root, &engine).await?
    };
    let wish = up::Wish {
        command: "quickstart",
        awaits: true,
        request: UpRequest::default(),
        grace: Grace::default(),
    };
    up::converge(session, &loaded, &engine, &wish).await?;
    if !session.dry_run && !session.ui.is_json() {
        let observed = observe::everything(&engine, &loaded.deployment).await?;
        let now = super::super::now();
        let table = status::table_of(&loaded.deployment, &observed, now, session.ui.style());
        session.ui.say(table.trim_end());
    }
    Ok(exit::DONE)
}

/// Decides on port and images, and then writes the configuration once, so that a run that is
/// interrupted before leaves nothing behind.
async fn new_instance(
    args: &Args,
    session: &Session,
    root: &Path,
    engine: &impl Stock,
) -> Result<Instance, CommandError> {
    let mut wishes = Wishes {
        port: args.port,
        project_name: args.project_name.clone(),
        bundled: args.bundled,
        ..Wishes::default()
    };
    let preview = instance_of(session, root, &seed::texts(&wishes)?)?;
    if args.port.is_none() {
        wishes.port = free_port(session, &preview, engine).await?;
    }
    wishes.bundled = !has_images(session, &preview, engine).await?;
    // A rehearsal shows all four containers that the larger editions have.
    wishes.git_bridge = wishes.bundled;
    let texts = seed::texts(&wishes)?;
    if session.dry_run {
        return instance_of(session, root, &texts);
    }
    init::write(session, root, &texts)?;
    // What was there already, such as a version file, counts more than the seed.
    instance::load_at(session, root)
}

fn instance_of(
    session: &Session,
    root: &Path,
    texts: &[(&str, String); 3],
) -> Result<Instance, CommandError> {
    let [(_, version), (_, variables), (_, rc)] = texts.clone();
    instance::from_texts(
        session,
        root,
        &Texts {
            rc,
            variables,
            version,
        },
    )
}

/// The port a new instance takes when the usual one is taken; says so.
async fn free_port(
    session: &Session,
    preview: &Instance,
    engine: &impl Stock,
) -> Result<Option<u16>, CommandError> {
    let observed = observe::everything(engine, &preview.deployment).await?;
    let taken = observed.taken_ports.iter();
    let mut taken = taken.filter(|taken| taken.service == "sharelatex");
    let held = taken.find_map(|taken| match &taken.obstacle {
        Obstacle::Held(holder) | Obstacle::Orphan(holder) => Some((taken.port, holder)),
        Obstacle::NoAddress => None,
    });
    let Some((port, holder)) = held else {
        return Ok(None);
    };
    let address: Option<IpAddr> = preview.settings.sharelatex.listen_ip.parse().ok();
    let free = host::ports::first_free(address, port, FALLBACK_PORT);
    if let Some(free) = free {
        session.ui.say(&format!(
            "port {port} is taken by {holder}: the site gets port {free}"
        ));
    }
    Ok(free)
}

/// Whether the Overleaf images are here or can be pulled; says which are used and how to switch.
async fn has_images(
    session: &Session,
    preview: &Instance,
    engine: &impl Stock,
) -> Result<bool, CommandError> {
    if preview.settings.bundled {
        session
            .ui
            .say("using the bundled servers, which are not Overleaf");
        say_how_to_switch(session);
        return Ok(false);
    }
    let mut missing = Vec::new();
    for service in preview.deployment.project.services.values() {
        if engine.image(&service.image).await?.is_none() {
            missing.push(service.image.as_str());
        }
    }
    let Some(first) = missing.first() else {
        session.ui.say("all images are present");
        return Ok(true);
    };
    session
        .ui
        .say(&format!("asking the registry for `{first}`"));
    let asked = tokio::time::timeout(REGISTRY_DEADLINE, engine.is_in_registry(first)).await;
    if asked.unwrap_or(false) {
        session
            .ui
            .say("the registry answers: the Overleaf images are used");
        return Ok(true);
    }
    session.ui.say(&format!(
        "no registry answers within {} s: using the bundled servers, which are not Overleaf",
        REGISTRY_DEADLINE.as_secs()
    ));
    say_how_to_switch(session);
    Ok(false)
}

fn say_how_to_switch(session: &Session) {
    session.ui.say(&format!(
        "to switch later: `toolkit down`, move data/ away, set BUNDLED_SERVERS=false in {}, `toolkit up`",
        settings::RC_FILE
    ));
}
