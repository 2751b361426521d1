//! `toolkit shell`: a shell in a container.

use super::super::conversation::{self, Conversation};
use super::super::{Session, error::CommandError, exit, instance, target};
use super::exec::Way;
use crate::engine::inside::ExecRequest;
use crate::script::shells;
use crate::ui::words;

/// Open a shell in the container of a service
///
/// `bash` where the image has it, else `sh`. Commands can also come from a pipe or a file. Every key
/// reaches it at once but Ctrl-@, which the engine holds back until the next one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit shell\n  toolkit shell redis\n  echo 'ls /overleaf' | toolkit shell --user www-data"
)]
pub struct Args {
    #[command(flatten)]
    way: Way,
    /// The service
    #[arg(default_value = "sharelatex")]
    service: String,
}

/// Opens the shell.
///
/// # Errors
/// The service is unknown, its container does not run or has no shell, or the engine fails.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    instance::known(&instance, std::slice::from_ref(&args.service))?;
    let engine = instance::engine(session, &instance.root).await?;
    let container = target::running(&engine, &instance, &args.service, args.way.index).await?;
    let command = match shells::shell(&engine, &container.id).await? {
        Ok(command) => command,
        Err(names) => return Err(no_shell(&args.service, &container.name, &names)),
    };
    let conversation = Conversation {
        container: &container,
        request: ExecRequest {
            user: args.way.user.clone(),
            ..ExecRequest::new(command)
        },
        no_terminal: args.way.no_tty,
        becomes: Vec::new(),
    };
    conversation::hold(session, &engine, conversation).await
}

fn no_shell(service: &str, container: &str, names: &[String]) -> CommandError {
    let message = format!("container `{container}` has no shell");
    CommandError::new("NO_SHELL", exit::NOT_FOUND_INSIDE, message)
        .because(format!("its image has none of {}", words::list(names)))
        .state("nothing was run")
        .fix(format!(
            "run a program that the image has: toolkit exec {service} PROGRAM"
        ))
}
