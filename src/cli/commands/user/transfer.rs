//! `toolkit user transfer`: gives all projects of somebody to somebody else.

use serde_json::json;

use super::super::super::people::{Place, conclude, email, known};
use super::super::super::{Session, deed, error::CommandError, exit, question};
use crate::people::actions::{self, Action};
use crate::ui::words;

/// Give all projects of one account to another
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit user transfer --from bob@example.org --to ada@example.org"
)]
pub(super) struct Args {
    /// Who has the projects
    #[arg(long, value_name = "EMAIL")]
    from: String,
    /// Who gets them
    #[arg(long, value_name = "EMAIL")]
    to: String,
}

/// Transfers projects with the application's own script, and counts what is left.
///
/// # Errors
/// Nobody has one of the addresses, the answer is no, the application does not run or has no such
/// script, or projects are left behind.
pub(super) async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let (from, to) = (email(&args.from)?, email(&args.to)?);
    let place = Place::find(session).await?;
    let container = place.application().await?;
    let users = place.users().await?;
    let (from, to) = (known(&users, &from)?, known(&users, &to)?);
    if from.id == to.id {
        let error = CommandError::new(
            "USAGE",
            exit::USAGE,
            format!("`{}` would get its own projects", to.email),
        );
        return Err(error.state("nothing was changed"));
    }
    let version = &place.instance.deployment.version;
    let script = actions::find(&place.engine, &container.id, version, Action::Transfer).await?;
    let number = usize::try_from(from.projects).unwrap_or(usize::MAX);
    let what = format!("{} of `{}`", words::count(number, "project"), from.email);
    let data = |changed: bool| json!({ "from": from.email, "to": to.email, "projects": number, "changed": changed });
    if session.dry_run || number == 0 {
        let text = match number {
            0 => format!("nothing to do: `{}` owns no project", from.email),
            _ => format!("would give {what} to `{}`", to.email),
        };
        conclude(session, &place, "transfer", &data(false), &text);
        return Ok(exit::DONE);
    }
    question::confirm(session, &format!("Give {what} to `{}`?", to.email)).await?;
    let values = [("from", from.email.as_str()), ("to", to.email.as_str())];
    let given = async {
        script.run(&place.engine, &values).await?;
        let after = place.users().await?;
        let left = after.iter().find(|user| user.id == from.id);
        let left = left.map_or(0, |user| user.projects);
        if left == 0 {
            return Ok(());
        }
        let error = CommandError::new(
            "TRANSFER_INCOMPLETE",
            exit::FAILED,
            format!("{left} projects of `{}` stay", from.email),
        );
        Err(error
            .because("the script says that all went well, and mongo still has them")
            .fix("run it again; then look at the application's log of the service `web`"))
    };
    let title = format!("give {what} to `{}`", to.email);
    deed::kept(session, place.root(), "user transfer", title, given).await?;
    let done = session.ui.style().done();
    let text = format!("{done} given to `{}`: {what}", to.email);
    conclude(session, &place, "transfer", &data(true), &text);
    Ok(exit::DONE)
}
