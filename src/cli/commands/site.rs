//! `toolkit site`: closes and opens the site, and tells which it is.

use std::time::Duration;

use tokio::time::Instant;

use super::super::people::Place;
use super::super::{
    Session, deed, error::CommandError, exit, instance, now, operation, state_folder,
};
use crate::host;
use crate::people::actions::{self, Action};
use crate::site::{self, Closed, LOOKS_EVERY, SiteStatus, Verdict};
use crate::ui::site as shown;

/// How long the site may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The service of the git integration.
const GIT_BRIDGE: &str = "git-bridge";

/// How long the application may take to look at the file, and how often it is asked meanwhile.
const LOOK: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);

/// Seconds that editors get before they are sent away.
const NOTICE: &str = "5";

/// Close and open the site, and see which it is
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: SiteCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SiteCommand {
    Status(StatusArgs),
    Close(CloseArgs),
    Open(OpenArgs),
}

/// Show whether the site is open, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  toolkit site status\n  toolkit site status --format json")]
struct StatusArgs {}

/// Close the site for everybody but administrators
///
/// It stays closed over restarts and also when `toolkit up` makes the container anew. Pushes of the
/// git integration go on. People see the application's own page; from 6.0 on its words are
/// `OVERLEAF_MAINTENANCE_MESSAGE` in config/variables.env.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit site close\n  toolkit site close --message 'back at noon'\n  toolkit site close --disconnect   # before a flush or a backup"
)]
struct CloseArgs {
    /// Why, for those who run the toolkit
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Send everybody out of the editor who is in it
    #[arg(long)]
    disconnect: bool,
}

/// Open the site
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  toolkit site open")]
struct OpenArgs {}

/// Runs one of the subcommands.
///
/// # Errors
/// The release cannot be closed, the engine refuses, or the application does not do it in time.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    match &args.command {
        SiteCommand::Status(_) => status(session).await,
        SiteCommand::Close(args) => close(args, session).await,
        SiteCommand::Open(_) => open(session).await,
    }
}

async fn look(place: &Place, deadline: Option<Duration>) -> Result<SiteStatus, CommandError> {
    let state = state_folder(&place.instance.root);
    let deployment = &place.instance.deployment;
    let looked = site::look(
        &place.engine,
        deployment,
        &state,
        place.container(),
        deadline,
    );
    Ok(looked.await?)
}

async fn status(session: &Session) -> Result<u8, CommandError> {
    let place = Place::find(session).await?;
    let status = look(&place, Some(ANSWER.min(session.timeout))).await?;
    show(session, &place, &status);
    Ok(exit::DONE)
}

fn show(session: &Session, place: &Place, status: &SiteStatus) {
    if session.ui.is_json() {
        let warnings = &place.instance.warnings;
        session
            .ui
            .document("toolkit.site/v1", &shown::value(status), warnings);
    } else {
        let file = site::maintenance_file(&place.instance.deployment, place.container());
        let file = file.ok();
        let services = &place.instance.deployment.project.services;
        let has_git = services.contains_key(GIT_BRIDGE);
        let text = shown::view(status, file.as_deref(), has_git, now().offset());
        session.ui.answer(&text);
    }
}

async fn close(args: &CloseArgs, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "site close").await?;
    let place = Place::find(session).await?;
    site::maintenance_file(&place.instance.deployment, place.container())?;
    let state = state_folder(&root);
    let running = place
        .container()
        .filter(|container| container.state.is_running());
    // Looked for before anything changes.
    let script = match (args.disconnect, running) {
        (true, Some(container)) => {
            let version = &place.instance.deployment.version;
            let found = actions::find(&place.engine, &container.id, version, Action::Disconnect);
            Some(found.await?)
        }
        _ => None,
    };
    if session.dry_run {
        session.ui.say("would close the site");
        return conclude(session, &place).await;
    }
    // A second close keeps the time of the first.
    let before = site::wish(&state)?;
    let closed = Closed {
        since: match &before {
            Some(before) => before.since.clone(),
            None => host::stamp(host::now()),
        },
        message: match (&args.message, before) {
            (Some(message), _) => Some(one_line(message)),
            (None, before) => before.and_then(|before| before.message),
        },
        by: operation::who().user,
    };
    let title = match &closed.message {
        Some(message) => format!("close the site: {message}"),
        None => "close the site".to_owned(),
    };
    let work = async {
        site::keep(&state, Some(&closed))?;
        carry_out(session, &place, Some(&closed)).await?;
        if let Some(script) = script {
            session.ui.say(&format!(
                "sending everybody out of the editor in {NOTICE} s"
            ));
            script.run(&place.engine, &[("seconds", NOTICE)]).await?;
        }
        Ok(())
    };
    deed::kept(session, &root, "site close", title, work).await?;
    conclude(session, &place).await
}

async fn open(session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "site open").await?;
    let place = Place::find(session).await?;
    site::maintenance_file(&place.instance.deployment, place.container())?;
    if session.dry_run {
        session.ui.say("would open the site");
        return conclude(session, &place).await;
    }
    let work = async {
        site::keep(&state_folder(&root), None)?;
        carry_out(session, &place, None).await
    };
    deed::kept(
        session,
        &root,
        "site open",
        "open the site".to_owned(),
        work,
    )
    .await?;
    conclude(session, &place).await
}

/// A reason in one line, without the word that would close the site again when it is opened.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// Tells the container, and waits until the application has looked.
async fn carry_out(
    session: &Session,
    place: &Place,
    closed: Option<&Closed>,
) -> Result<(), CommandError> {
    let deployment = &place.instance.deployment;
    let Some(container) = place.container() else {
        session
            .ui
            .say("there is no container yet; `toolkit up` makes it so");
        return Ok(());
    };
    let told = site::tell(&place.engine, deployment, container, closed).await;
    told.map_err(|error| {
        CommandError::from(error).state("the wish is kept; the same command tries again")
    })?;
    if !container.state.is_running() {
        return Ok(());
    }
    let seconds = LOOKS_EVERY.as_secs();
    session
        .ui
        .say(&format!("the application looks every {seconds} s"));
    // What closes the editor alone is no matter of the file.
    let wanted: &[Verdict] = match closed {
        Some(_) => &[Verdict::Closed],
        None => &[Verdict::Open, Verdict::EditorClosed],
    };
    let deadline = Instant::now() + LOOK.min(session.timeout);
    loop {
        let status = look(place, Some(ANSWER)).await?;
        let verdict = status.verdict();
        // A site that does not answer has nobody on it, and looks at the file when it starts.
        if wanted.contains(&verdict) || verdict == Verdict::Down {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let what = if closed.is_some() { "close" } else { "open" };
            let error = CommandError::new(
                "SITE_DOES_NOT_FOLLOW",
                exit::NOT_READY,
                format!("the site does not {what} within {} s", LOOK.as_secs()),
            );
            return Err(error
                .because("the file in the container is written, and the application does not follow it")
                .state("the wish is kept")
                .fix("look for SITE_OPEN and SITE_MAINTENANCE_FILE in config/variables.env, then: toolkit restart sharelatex"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn conclude(session: &Session, place: &Place) -> Result<u8, CommandError> {
    let status = look(place, Some(ANSWER)).await?;
    show(session, place, &status);
    Ok(exit::DONE)
}
