//! `toolkit exec`: runs a program in a container.

use super::super::conversation::{self, Conversation};
use super::super::{Session, environment, error::CommandError, exit, instance, target};
use crate::engine::inside::ExecRequest;

/// Run a program in the container of a service
///
/// On a terminal the program gets a terminal too; elsewhere its input, output and errors are pipes.
/// Every key reaches it at once but Ctrl-@, which the engine holds back until the next one.
/// Its exit status is that of this command; 126 and 127 mean that it could not be run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit exec sharelatex ls -l /var/lib/overleaf\n  toolkit exec --user www-data --workdir /overleaf sharelatex bash\n  toolkit exec -T mongo mongodump --archive > dump"
)]
pub struct Args {
    #[command(flatten)]
    way: Way,
    /// Folder it runs in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// A variable for it; without a value, that of this process. No secrets: the engine shows them
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The service
    service: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// What `exec` and `shell` have in common.
#[derive(Debug, clap::Args)]
pub struct Way {
    /// No terminal for the program, although there is one
    #[arg(short = 'T', long)]
    pub no_tty: bool,
    /// User it runs as, by the name or number that the container knows
    #[arg(short, long)]
    pub user: Option<String>,
    /// Which container of the service, by its number
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
}

/// Runs the program.
///
/// # Errors
/// The service is unknown, its container does not run, the program cannot be run, or the engine
/// fails.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let mut request = ExecRequest {
        user: args.way.user.clone(),
        folder: args.workdir.clone(),
        ..ExecRequest::new(args.command.iter().cloned())
    };
    for text in &args.env {
        let (name, value) = variable(text)?;
        request.environment.insert(name, value);
    }
    let instance = instance::load(session)?;
    instance::known(&instance, std::slice::from_ref(&args.service))?;
    let engine = instance::engine(session, &instance.root).await?;
    let container = target::running(&engine, &instance, &args.service, args.way.index).await?;
    let conversation = Conversation {
        container: &container,
        request,
        no_terminal: args.way.no_tty,
        becomes: Vec::new(),
    };
    conversation::hold(session, &engine, conversation).await
}

/// A variable as it is typed.
fn variable(text: &str) -> Result<(String, String), CommandError> {
    let wrong = |message: String| {
        CommandError::new("USAGE", exit::USAGE, message)
            .state("nothing was run")
            .fix("write --env NAME=VALUE")
    };
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) => Err(wrong("a variable has no name".to_owned())),
        None => match environment(text) {
            Some(value) => Ok((text.to_owned(), value)),
            None => Err(wrong(format!("`{text}` is not set in this environment"))),
        },
    }
}
