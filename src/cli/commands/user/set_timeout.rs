//! `toolkit user set-timeout`: how long the compiles of those may take who have an account.

use serde_json::json;

use super::super::super::people::{Place, conclude, email, known};
use super::super::super::{Session, deed, error::CommandError, exit, question};
use crate::people::User;
use crate::people::actions::{self, Action};
use crate::ui::words;

/// The longest compile that the application lets happen.
const LONGEST: i64 = 600;

/// Set how long a compile may take, for those who have an account
///
/// For accounts that are made later, `COMPILE_TIMEOUT` in config/variables.env says it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit user set-timeout ada@example.org 240\n  toolkit user set-timeout --all 300\n  toolkit config set COMPILE_TIMEOUT 300   # for accounts that are made later"
)]
pub(super) struct Args {
    /// E-mail address of the account, unless --all is given, and seconds from 1 to 600
    #[arg(value_names = ["EMAIL", "SECONDS"], num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// Everybody who has an account
    #[arg(long)]
    all: bool,
}

/// Sets the time with the application's own script, which is run for one account after the other.
///
/// # Errors
/// Nobody has the address, the seconds are none, the answer is no, the application does not run or
/// has no such script, or that fails.
pub(super) async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let (address, seconds) = match (args.all, args.words.as_slice()) {
        (false, [address, seconds]) => (Some(email(address)?), seconds),
        (true, [seconds]) => (None, seconds),
        _ => {
            let error = CommandError::new(
                "USAGE",
                exit::USAGE,
                "say either an address and seconds, or --all and seconds",
            );
            return Err(error
                .state("nothing was changed")
                .fix("toolkit user set-timeout ada@example.org 240"));
        }
    };
    let number = seconds
        .parse()
        .ok()
        .filter(|number| (1..=LONGEST).contains(number));
    let seconds: i64 = number.ok_or_else(|| {
        let message = format!("`{seconds}` is no number of seconds from 1 to {LONGEST}");
        CommandError::new("USAGE", exit::USAGE, message)
            .because("the application lets no compile take longer than ten minutes")
            .state("nothing was changed")
    })?;
    let place = Place::find(session).await?;
    let container = place.application().await?;
    let users = place.users().await?;
    let chosen: Vec<&User> = match &address {
        Some(address) => vec![known(&users, address)?],
        None => users.iter().collect(),
    };
    let version = &place.instance.deployment.version;
    let script = actions::find(&place.engine, &container.id, version, Action::SetTimeout).await?;
    let due: Vec<&User> = chosen
        .iter()
        .filter(|user| user.timeout != Some(seconds))
        .copied()
        .collect();
    let what = words::count(due.len(), "account");
    let data =
        |changed: bool| json!({ "seconds": seconds, "accounts": due.len(), "changed": changed });
    if session.dry_run || due.is_empty() {
        let text = match due.len() {
            0 => format!("nothing to do: {seconds} s is what is set"),
            _ => format!("would set {seconds} s for {what}"),
        };
        conclude(session, &place, "set-timeout", &data(false), &text);
        return Ok(exit::DONE);
    }
    if address.is_none() {
        question::confirm(session, &format!("Set {seconds} s for {what}?")).await?;
    }
    let text = seconds.to_string();
    let set = async {
        for (done, user) in due.iter().enumerate() {
            if due.len() > 1 {
                let at = done + 1;
                session
                    .ui
                    .say(&format!("{at} of {}: {}", due.len(), user.email));
            }
            let values = [("id", user.id.as_str()), ("seconds", text.as_str())];
            let ran = script.run(&place.engine, &values).await;
            ran.map_err(|error| {
                CommandError::from(error).state(format!("{done} of {what} are done; run it again"))
            })?;
        }
        Ok(())
    };
    let whose = match due.as_slice() {
        [user] => format!("`{}`", user.email),
        _ => what.clone(),
    };
    let title = format!("set {seconds} s for {whose}");
    deed::kept(session, place.root(), "user set-timeout", title, set).await?;
    let text = format!("{} {seconds} s for {what}", session.ui.style().done());
    conclude(session, &place, "set-timeout", &data(true), &text);
    Ok(exit::DONE)
}
