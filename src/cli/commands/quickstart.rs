//! `toolkit quickstart`: from nothing to a running instance.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::super::{Session, error::CommandError, exit, instance};
use super::up;
use crate::engine::Engine;
use crate::host;
use crate::observe;
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
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Compose project of a new instance [default: overleaf]
    #[arg(long, value_name = "NAME")]
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
    let root = session
        .root
        .clone()
        .unwrap_or_else(|| session.current_folder.clone());
    let root = host::canonical(&session.current_folder.join(root));
    let engine = instance::engine(session).await?;
    let facts = engine.facts().await?;
    session.ui.say(&format!(
        "{} {} on {}/{}",
        facts.product, facts.version, facts.operating_system, facts.architecture
    ));
    let _lock = instance::lock_unless_dry(session, &root, "quickstart").await?;
    let is_new = !seed::missing(&root).is_empty();
    if is_new {
        if session.dry_run {
            session
                .ui
                .answer("write the configuration of a new instance, then bring it up\n");
            return Ok(exit::DONE);
        }
        let wishes = Wishes {
            port: args.port,
            project_name: args.project_name.clone(),
            bundled: args.bundled,
            ..Wishes::default()
        };
        super::init::write(session, &root, &wishes)?;
    }
    let mut loaded = instance::load_at(session, &root)?;
    if !session.dry_run {
        if is_new && args.port.is_none() {
            free_port(session, &root, &loaded, &engine).await?;
        }
        if !loaded.settings.bundled
            && (args.bundled || !has_images(session, &loaded, &engine).await?)
        {
            up::write_setting(session, &root, "BUNDLED_SERVERS", "true")?;
        }
        loaded = instance::load_at(session, &root)?;
    }
    let wish = up::Wish {
        awaits: true,
        remove_orphans: false,
    };
    up::converge(session, &loaded, &engine, wish).await?;
    if !session.dry_run && !session.ui.is_json() {
        let observed = observe::everything(&engine, &loaded.deployment).await?;
        let now = super::super::now();
        session.ui.say(&status::view(
            &loaded.deployment,
            &observed,
            now,
            session.ui.style(),
        ));
    }
    Ok(exit::DONE)
}

/// Moves a new instance to a free port when the wanted one is taken, and says so.
async fn free_port(
    session: &Session,
    root: &Path,
    loaded: &instance::Instance,
    engine: &impl Engine,
) -> Result<(), CommandError> {
    let observed = observe::everything(engine, &loaded.deployment).await?;
    let Some(taken) = observed
        .taken_ports
        .iter()
        .find(|taken| taken.service == "sharelatex")
    else {
        return Ok(());
    };
    let address: Option<IpAddr> = loaded.settings.sharelatex.listen_ip.parse().ok();
    let Some(free) = host::ports::first_free(address, taken.port, FALLBACK_PORT) else {
        return Ok(());
    };
    session.ui.say(&format!(
        "port {} is taken by {}; port {free} is free",
        taken.port, taken.holder
    ));
    up::write_setting(session, root, "OVERLEAF_PORT", &free.to_string())
}

/// Whether the Overleaf images are here or can be pulled; says which and how to switch.
async fn has_images(
    session: &Session,
    loaded: &instance::Instance,
    engine: &impl Engine,
) -> Result<bool, CommandError> {
    let mut missing = Vec::new();
    for service in loaded.deployment.project.services.values() {
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
            .say("the registry answers; the Overleaf images will be pulled");
        return Ok(true);
    }
    session.ui.say(&format!(
        "no registry answers within {} s: using the bundled servers, which are not Overleaf",
        REGISTRY_DEADLINE.as_secs()
    ));
    session.ui.say(&format!(
        "to switch later, set BUNDLED_SERVERS=false in {} and run `toolkit up`",
        settings::RC_FILE
    ));
    Ok(false)
}
