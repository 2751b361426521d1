//! `toolkit error-logs`: what has failed in the application.

use super::super::{Session, error::CommandError};
use super::logs::{self, Choice};
use crate::gather::Way;
use crate::logs::level::Level;

/// Show the errors of the application's services
///
/// The same as `toolkit logs --level error` for every service with a log file in the container
/// `sharelatex`; other services are shown when they are named.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit error-logs\n  toolkit error-logs -f\n  toolkit error-logs --since 1d -v web"
)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
}

/// Shows the errors.
///
/// # Errors
/// As of `logs`.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let level = Some(Level::ERROR);
    logs::show(session, &args.choice, level, |source| {
        !matches!(source.way, Way::Output { .. })
    })
    .await
}
