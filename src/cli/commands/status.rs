//! `toolkit status`: the whole instance on one screen.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::instance::Instance;
use super::super::report::Kept;
use super::super::{Session, error::CommandError, exit, instance, now, report, state_folder};
use crate::engine::docker::DockerEngine;
use crate::host::interrupt::Interrupt;
use crate::host::terminal;
use crate::observed::Container;
use crate::release::APPLICATION;
use crate::site;
use crate::site::SiteStatus;
use crate::ui;
use crate::ui::{json, status, words};

/// Seconds between two looks where none are said.
const EVERY: &str = "2";

/// How long the site may take to say whether it is open.
const ANSWER: Duration = Duration::from_secs(2);

/// Show the whole instance on one screen: containers, stores, disks, certificate, what is to do
///
/// What cannot be asked says why in its line and hides nothing else. Exits with 0 whatever is
/// found; scripts read the JSON.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit status\n  toolkit status --watch          # again every 2 seconds, until Ctrl-C\n  toolkit status --watch 30 --format json >> status.log\n  toolkit status --format json | jq .data.pending"
)]
pub struct Args {
    /// Look again every so many seconds, until Ctrl-C
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = EVERY,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    watch: Option<u64>,
}

/// Shows the state of the instance.
///
/// # Errors
/// The configuration cannot be used, or the engine cannot be asked.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    if let Some(seconds) = args.watch {
        return watch(Duration::from_secs(seconds), session).await;
    }
    let (instance, engine) = instance::load_and_connect(session)?;
    let engine = engine.await?;
    let text = look(&engine, &instance, session).await?;
    session.ui.answer(&text);
    Ok(exit::DONE)
}

async fn look(
    engine: &DockerEngine,
    instance: &Instance,
    session: &Session,
) -> Result<String, CommandError> {
    let deployment = &instance.deployment;
    let state = state_folder(&instance.root);
    let site = async |containers: &[Container]| {
        let mut containers = containers.iter();
        let application = containers.find(|container| container.service == APPLICATION);
        let deadline = Some(ANSWER.min(session.timeout));
        let looked = site::look(engine, deployment, &state, application, deadline).await;
        // A site that gives no answer is told by its container; its file says what it would be.
        looked.map(SiteStatus::or_by_file)
    };
    let (observed, report, site) = report::everything_beside(engine, instance, site).await?;
    let now = now();
    if session.ui.is_json() {
        let mut data = status::value(deployment, &observed, &report, now);
        if let Some(data) = data.as_object_mut() {
            let value = match &site {
                Ok(site) => ui::site::value(site),
                Err(error) => serde_json::json!({ "error": error.to_string() }),
            };
            data.insert("site".to_owned(), value);
        }
        let schema = "toolkit.status/v1";
        return Ok(json::document(schema, &data, &instance.warnings));
    }
    let style = session.ui.answer_style();
    let text = status::view(deployment, &observed, &report, now, style);
    let closed = match &site {
        Ok(site) => ui::site::line(site, now.offset()).unwrap_or_default(),
        Err(error) => format!("whether the site is closed is not known: {error}\n"),
    };
    Ok(format!("{text}{closed}"))
}

/// Looks again and again. What goes wrong on the way is shown in place of the answer: a watch is
/// there to see what comes and goes.
async fn watch(every: Duration, session: &Session) -> Result<u8, CommandError> {
    let interrupt = Interrupt::listen()
        .map_err(|error| anyhow::Error::new(error).context("signals cannot be handled"))?;
    // Ctrl-C is how a watch ends, and no failure to be told.
    session.works.store(true, Ordering::Relaxed);
    let root = instance::root(session)?;
    let mut watched = Watched::default();
    let looks = async {
        // The first look has to succeed: what is wrong now is wrong with what was asked for.
        let first = watched.look(&root, session).await?;
        session.ui.redraw(&first, terminal::size());
        loop {
            tokio::time::sleep(every).await;
            match watched.look(&root, session).await {
                Ok(text) => session.ui.redraw(&text, terminal::size()),
                Err(error) => session.ui.redraw_failure(&error.failure, terminal::size()),
            }
        }
    };
    tokio::select! {
        outcome = looks => outcome,
        exit_code = interrupt.asked() => Ok(exit_code),
    }
}

/// What stays from one look to the next.
#[derive(Default)]
struct Watched {
    engine: Option<DockerEngine>,
    kept: Kept,
}

impl Watched {
    async fn look(&mut self, root: &Path, session: &Session) -> Result<String, CommandError> {
        let instance = self.kept.current(session, root)?;
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => instance::engine(session, root).await?,
        };
        // One that does not answer is looked for again.
        let text = look(&engine, instance, session).await?;
        self.engine = Some(engine);
        Ok(match session.ui.is_json() {
            true => text,
            false => format!("{}\n{text}", words::moment(now())),
        })
    }
}
