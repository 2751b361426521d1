//! `toolkit user reset-link`: a link with which somebody sets a new password.

use serde_json::json;

use super::super::super::people::{Place, conclude, email, known};
use super::super::super::{Session, deed, error::CommandError, exit};
use super::create;
use crate::people::actions::{self, Action};
use crate::people::link;

/// Variable that says that people log in elsewhere.
const ELSEWHERE: &str = "EXTERNAL_AUTH";

/// Print a link with which somebody who has an account sets a new password
///
/// No release has a script of its own for this. The one that makes accounts gives a new token to
/// whoever has one already, and where e-mail is configured sends it too; the page for new passwords
/// takes that token. Password and projects stay as they are until the link is used.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit user reset-link ada@example.org\n  toolkit user reset-link ada@example.org --format json"
)]
pub(super) struct Args {
    /// E-mail address of the account
    email: String,
}

/// Makes a link for a new password.
///
/// # Errors
/// Nobody has the address, the application does not run or has no such script, or that fails.
pub(super) async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let email = email(&args.email)?;
    let place = Place::find(session).await?;
    let container = place.application().await?;
    let users = place.users().await?;
    let user = known(&users, &email)?;
    let environment = &container.environment.0;
    if let Some(way) = environment
        .get(ELSEWHERE)
        .filter(|way| !way.is_empty() && *way != "none")
    {
        return Err(CommandError::new(
            "PASSWORD_ELSEWHERE",
            exit::FAILED,
            format!("people log in by `{way}`: passwords of the application are not used"),
        )
        .state("nothing was changed")
        .fix("set the password where the account comes from"));
    }
    // Without the right the script would take it from an administrator.
    let action = if user.is_admin {
        Action::CreateAdmin
    } else {
        Action::Create
    };
    let version = &place.instance.deployment.version;
    let script = actions::find(&place.engine, &container.id, version, action).await?;
    if session.dry_run {
        let data = json!({ "email": user.email, "changed": false });
        let text = format!("would make a link for `{}`", user.email);
        conclude(session, &place, "reset-link", &data, &text);
        return Ok(exit::DONE);
    }
    // The script knows an account by its main address.
    let main = super::super::super::people::email(&user.email)?;
    let title = format!("make a link for a new password of `{main}`");
    let values = [("email", main.as_str())];
    let made = async { Ok(script.run(&place.engine, &values).await?) };
    let finished = deed::kept(session, place.root(), "user reset-link", title, made).await?;
    let written = link::of_output(&finished.text(), place.site());
    let link = written.and_then(|link| link::for_reset(&link, &main, place.site()));
    let link = link.ok_or_else(|| create::no_link(&finished.text()))?;
    create::show(session, &place, &main, user.is_admin, &link);
    Ok(exit::DONE)
}
