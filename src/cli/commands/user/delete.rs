//! `toolkit user delete`: deletes an account with its projects.

use serde_json::json;

use super::super::super::people::{Place, conclude, email, known};
use super::super::super::{Session, deed, error::CommandError, exit, question};
use crate::people;
use crate::people::actions::{self, Action};
use crate::ui::words;

/// Delete an account with all projects that it owns
///
/// The application keeps what is deleted for some time (90 days where nothing else is configured), and
/// tells the owner by e-mail where that works.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit user delete bob@example.org\n  toolkit user delete bob@example.org --confirm bob@example.org   # where nobody can be asked\n  toolkit user delete bob@example.org --skip-email                # the owner is not told"
)]
pub(super) struct Args {
    /// E-mail address of the account
    email: String,
    /// Confirm the loss by naming the account again
    #[arg(long, value_name = "EMAIL")]
    confirm: Option<String>,
    /// Do not tell the owner by e-mail; Overleaf 5.5.0 and later
    #[arg(long)]
    skip_email: bool,
}

/// Deletes an account with the application's own script, and looks whether it is gone.
///
/// # Errors
/// Nobody has the address, it is not confirmed, the application does not run or has no such script,
/// or the account is still there afterwards.
pub(super) async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let email = email(&args.email)?;
    let place = Place::find(session).await?;
    let container = place.application().await?;
    let users = place.users().await?;
    let user = known(&users, &email)?;
    let action = if args.skip_email {
        Action::DeleteSilently
    } else {
        Action::Delete
    };
    let version = &place.instance.deployment.version;
    let script = actions::find(&place.engine, &container.id, version, action).await?;
    let projects = usize::try_from(user.projects).unwrap_or(usize::MAX);
    let loss = format!(
        "`{}` and {} go",
        user.email,
        words::count(projects, "project")
    );
    let data = |changed: bool| json!({ "email": user.email, "projects": user.projects, "changed": changed });
    if session.dry_run {
        let text = format!("would delete: {loss}");
        conclude(session, &place, "delete", &data(false), &text);
        return Ok(exit::DONE);
    }
    if user.projects > 0 {
        let to = format!("toolkit user transfer --from {} --to EMAIL", user.email);
        session
            .ui
            .say(&format!("{loss}; to keep the projects: {to}"));
    }
    let is_last = user.is_admin && users.iter().filter(|user| user.is_admin).count() == 1;
    if is_last {
        session.ui.warn("it is the only administrator");
    }
    let given = ("--confirm", args.confirm.as_deref());
    question::type_out(session, &loss, &user.email, given).await?;
    let deleted = async {
        script
            .run(&place.engine, &[("email", user.email.as_str())])
            .await?;
        if people::find(&place.users().await?, &email).is_none() {
            return Ok(());
        }
        let error = CommandError::new(
            "USER_REMAINS",
            exit::FAILED,
            format!("`{}` still has an account", user.email),
        );
        Err(error
            .because("the script says that all went well, and mongo still has it")
            .fix("look at the application's log of the service `web`"))
    };
    let title = format!("delete {}", loss.trim_end_matches(" go"));
    deed::kept(session, place.root(), "user delete", title, deleted).await?;
    let text = format!("{} `{}` is deleted", session.ui.style().done(), user.email);
    conclude(session, &place, "delete", &data(true), &text);
    Ok(exit::DONE)
}
