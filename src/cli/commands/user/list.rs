//! `toolkit user list`: who has an account.

use super::super::super::people::Place;
use super::super::super::{Session, error::CommandError, exit, now};
use crate::ui::people;

/// List who has an account
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit user list\n  toolkit user list --admins\n  toolkit user list --format json"
)]
pub(super) struct Args {
    /// Only administrators
    #[arg(long)]
    admins: bool,
}

/// Lists the accounts, by address.
///
/// # Errors
/// The configuration cannot be used, or mongo cannot be asked.
pub(super) async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let place = Place::find(session).await?;
    let mut users = place.users().await?;
    if args.admins {
        users.retain(|user| user.is_admin);
    }
    if session.ui.is_json() {
        let warnings = &place.instance.warnings;
        session
            .ui
            .document("toolkit.user.list/v1", &people::value(&users), warnings);
    } else {
        let style = session.ui.answer_style();
        session
            .ui
            .answer(&people::table(&users, now().offset(), style));
        if users.is_empty() {
            session
                .ui
                .say("make the first administrator: toolkit user create --admin EMAIL");
        }
    }
    Ok(exit::DONE)
}
