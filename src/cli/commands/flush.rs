//! `toolkit flush`: brings what redis holds of documents and histories into mongo, and looks whether it
//! is there.

use std::time::Duration;

use super::super::people::Place;
use super::super::unfinished::unfinished_gate;
use super::super::{Session, error::CommandError, exit, instance, state_folder};
use crate::flush::{self, Held, SERVICES};
use crate::observed::Container;
use crate::people::actions::{self, About, Action};
use crate::probe;
use crate::site;
use crate::ui::flush as shown;
use crate::ui::{json, words};

/// How long the services may take for one project.
const PROJECT: Duration = Duration::from_secs(120);

/// Schema of the answer.
const SCHEMA: &str = "toolkit.flush/v1";

/// Write what redis holds of documents and histories to mongo, and see whether it is there
///
/// The application's own scripts report success whatever happens; redis is asked afterwards. While
/// people edit, their documents come back into redis at once: close the site before.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit site close --disconnect && toolkit flush\n  toolkit flush --project 64f0c0ffee0000000000abcd\n  toolkit flush --dry-run   # only count what redis holds"
)]
pub struct Args {
    /// Only this project
    #[arg(long, value_name = "ID")]
    project: Option<String>,
}

/// Flushes, and measures what is left.
///
/// # Errors
/// The application does not run or has no such script, redis cannot be asked, or documents are left.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let project = args.project.as_deref();
    if let Some(id) = project.filter(|id| !flush::is_id(id)) {
        let message = format!("`{id}` is no identifier of a project");
        return Err(CommandError::new("USAGE", exit::USAGE, message)
            .because(
                "it has 24 digits, 0 to 9 and a to f; it is the last part of the project's URL",
            )
            .state("nothing was changed"));
    }
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "flush").await?;
    unfinished_gate(session, &root, "flush")?;
    let place = Place::find(session).await?;
    if session.dry_run {
        // Redis alone is asked, so that what a stop left can be counted before a backup.
        let held = flush::held(&place.stores(), project).await?;
        answer(session, &place, &held, None);
        return Ok(exit::DONE);
    }
    let container = place.application().await?;
    let before = flush::held(&place.stores(), project).await?;
    match project {
        Some(project) => flush_one(&place, &container, project).await?,
        None => flush_all(session, &place, &container).await?,
    }
    let left = flush::held(&place.stores(), project).await?;
    if left.is_nothing() {
        answer(session, &place, &before, Some(&left));
        let done = session.ui.style().done();
        session.ui.say(&format!("{done} mongo has everything"));
        return Ok(exit::DONE);
    }
    let error = incomplete(&place, &container, &left).await?;
    if session.ui.is_json() {
        let data = shown::value(&before, Some(&left));
        session
            .ui
            .answer(&json::refusal(SCHEMA, &data, &error.failure));
        return Ok(error.failure.exit_code);
    }
    answer(session, &place, &before, Some(&left));
    Err(error)
}

fn answer(session: &Session, place: &Place, before: &Held, left: Option<&Held>) {
    if session.ui.is_json() {
        let warnings = &place.instance.warnings;
        session
            .ui
            .document(SCHEMA, &shown::value(before, left), warnings);
    } else {
        session.ui.answer(&shown::view(before, left));
    }
}

/// Documents first: what they say goes into the histories.
async fn flush_all(
    session: &Session,
    place: &Place,
    container: &Container,
) -> Result<(), CommandError> {
    let version = &place.instance.deployment.version;
    let find = |action| actions::find(&place.engine, &container.id, version, action);
    let documents = find(Action::FlushDocuments).await?;
    let histories = find(Action::FlushHistory).await?;
    for (what, script) in [("documents", documents), ("histories", histories)] {
        session.ui.say(&format!("flushing {what}"));
        script.run(&place.engine, &[]).await?;
    }
    Ok(())
}

async fn flush_one(
    place: &Place,
    container: &Container,
    project: &str,
) -> Result<(), CommandError> {
    let path = format!("/project/{project}/flush");
    for (service, port) in SERVICES {
        let asked = probe::post_inside(&place.engine, container, port, &path, PROJECT);
        let because = match asked.await {
            Ok((200..300, _)) => continue,
            Ok((code, text)) => format!("it answers {code} {}", text.trim()),
            Err(because) => because,
        };
        let message = format!("`{service}` does not flush project `{project}`");
        return Err(CommandError::new("FLUSH_FAILED", exit::FAILED, message)
            .because(because)
            .state("what was flushed before is in mongo")
            .fix(format!("look at the log of the service `{service}`")));
    }
    Ok(())
}

/// Only keys are left that name nothing which could be flushed.
fn only_odd(left: &Held) -> CommandError {
    let keys = words::count(left.odd.len(), "key");
    let message = format!("redis has {keys} of which nothing can be told");
    CommandError::new("FLUSH_INCOMPLETE", exit::FAILED, message)
        .because("the application does not name its documents so, and no script of it flushes them")
        .state("all documents and histories are in mongo; nothing was removed from redis")
        .fix("look at what the keys hold: toolkit redis")
}

/// What is left, and what helps.
async fn incomplete(
    place: &Place,
    container: &Container,
    left: &Held,
) -> Result<CommandError, CommandError> {
    if left.documents.is_empty() && left.histories.is_empty() {
        return Ok(only_odd(left));
    }
    let documents = words::count(left.documents.len(), "document");
    let histories = left.histories.len();
    let message = match (left.documents.len(), histories) {
        (_, 0) => format!("{documents} did not reach mongo"),
        (0, _) => format!("{histories} histories are not worked off"),
        _ => format!("{documents} did not reach mongo, {histories} histories are not worked off"),
    };
    let mut error = CommandError::new("FLUSH_INCOMPLETE", exit::FAILED, message)
        .because("the scripts report success whatever happens; redis still has what is named above")
        .state("nothing is lost: redis keeps it");
    let state = state_folder(&place.instance.root);
    let looked = site::look(
        &place.engine,
        &place.instance.deployment,
        &state,
        Some(container),
        None,
    );
    if looked.await?.file == Some(site::FileState::Open) {
        error = error
            .because("the site is open: documents that people edit come back at once")
            .command("toolkit site close --disconnect");
    }
    let mut about = Vec::new();
    if !left.documents.is_empty() {
        about.push(About::Documents);
    }
    if left.documents.iter().any(|document| document.pending > 0) {
        about.push(About::Updates);
    }
    if histories > 0 {
        about.push(About::Histories);
    }
    let version = &place.instance.deployment.version;
    for help in actions::helping(&place.engine, &container.id, version, &about).await? {
        error = error.fix(format!(
            "`{}` of the service {} {}",
            help.path, help.service, help.text
        ));
    }
    Ok(error.fix("look at the logs of the services `document-updater` and `project-history`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_name_nothing_are_no_documents() {
        let left = Held {
            odd: vec!["DocsIn:odd".to_owned()],
            ..Held::default()
        };
        let failure = only_odd(&left).failure;
        assert_eq!(
            failure.message,
            "redis has 1 key of which nothing can be told"
        );
        let told = format!("{failure:?}");
        assert!(
            !told.contains("did not reach mongo") && !told.contains("site close"),
            "{told}"
        );
    }
}
