//! `toolkit user`: who has an account, and what becomes of it.

mod create;
mod delete;
mod list;
mod reset_link;
mod set_timeout;
mod transfer;

use super::super::{Session, error::CommandError};

/// Look at, make, change and delete accounts
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, clap::Subcommand)]
enum UserCommand {
    #[command(visible_alias = "ls")]
    List(list::Args),
    Create(create::Args),
    ResetLink(reset_link::Args),
    SetTimeout(set_timeout::Args),
    Transfer(transfer::Args),
    Delete(delete::Args),
}

/// Runs one of the subcommands.
///
/// # Errors
/// See the subcommands.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    match &args.command {
        UserCommand::List(args) => list::run(args, session).await,
        UserCommand::Create(args) => create::run(args, session).await,
        UserCommand::ResetLink(args) => reset_link::run(args, session).await,
        UserCommand::SetTimeout(args) => set_timeout::run(args, session).await,
        UserCommand::Transfer(args) => transfer::run(args, session).await,
        UserCommand::Delete(args) => delete::run(args, session).await,
    }
}
