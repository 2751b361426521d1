//! `toolkit user create`: makes an account and gives the link for its password.

use serde_json::json;

use super::super::super::people::{Place, conclude, email};
use super::super::super::{Session, deed, error::CommandError, exit};
use crate::people::actions::{self, Action};
use crate::people::{self, link};

/// Make an account and print the link with which its owner sets a password
///
/// Where e-mail is configured, the application sends the link too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit user create --admin ada@example.org   # the first administrator\n  toolkit user create bob@example.org\n  toolkit user create bob@example.org --format json"
)]
pub(super) struct Args {
    /// E-mail address of the account
    email: String,
    /// Make it an administrator
    #[arg(long)]
    admin: bool,
}

/// Makes an account with the application's own script.
///
/// # Errors
/// The address is none or taken, the application does not run or has no such script, or that fails.
pub(super) async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let email = email(&args.email)?;
    let place = Place::find(session).await?;
    let container = place.application().await?;
    let users = place.users().await?;
    if let Some(user) = people::find(&users, &email) {
        let error = CommandError::new(
            "USER_EXISTS",
            exit::FAILED,
            format!("`{email}` has an account already"),
        )
        .state("nothing was changed")
        .command(format!("toolkit user reset-link {email}"));
        return Err(match (args.admin, user.is_admin) {
            (true, false) => {
                error.fix("to make it an administrator, use Admin → Manage Users in the browser")
            }
            _ => error,
        });
    }
    let action = if args.admin {
        Action::CreateAdmin
    } else {
        Action::Create
    };
    let version = &place.instance.deployment.version;
    let script = actions::find(&place.engine, &container.id, version, action).await?;
    let what = if args.admin {
        "an administrator"
    } else {
        "a user"
    };
    if session.dry_run {
        let data = json!({ "email": email.as_str(), "admin": args.admin, "changed": false });
        let text = format!("would make `{email}` {what}");
        conclude(session, &place, "create", &data, &text);
        return Ok(exit::DONE);
    }
    session.ui.say(&format!("making `{email}` {what}"));
    let title = format!("make `{email}` {what}");
    let values = [("email", email.as_str())];
    let made = async { Ok(script.run(&place.engine, &values).await?) };
    let finished = deed::kept(session, place.root(), "user create", title, made).await?;
    let link = link::of_output(&finished.text(), place.site());
    let link = link.ok_or_else(|| no_link(&finished.text()))?;
    show(session, &place, &email, args.admin, &link);
    Ok(exit::DONE)
}

/// The script ran and wrote no link.
pub(super) fn no_link(output: &str) -> CommandError {
    let mut error = CommandError::new(
        "LINK_MISSING",
        exit::FAILED,
        "the script says that all went well, and gives no link for the password",
    )
    .state("the account is there: toolkit user list")
    .fix("let the owner ask for a link at /user/password/reset, where e-mail works");
    error.failure.log = output.lines().map(str::to_owned).collect();
    error
}

/// Shows a link as the answer, and what there is to know about it.
pub(super) fn show(
    session: &Session,
    place: &Place,
    email: &people::Email,
    is_admin: bool,
    link: &link::Link,
) {
    let ui = &session.ui;
    if ui.is_json() {
        let data = json!({
            "email": email.as_str(), "admin": is_admin, "link": link.url,
            "instead_of": link.instead_of,
        });
        ui.document("toolkit.user.link/v1", &data, &place.instance.warnings);
        return;
    }
    if let Some(other) = &link.instead_of {
        ui.say(&format!(
            "the script writes `{other}`; the site's own URL `{}` stands in its place",
            place.site()
        ));
    }
    ui.say("the link works once, within a week; whoever has it sets the password:");
    ui.answer(&format!("{}\n", link.url));
}
