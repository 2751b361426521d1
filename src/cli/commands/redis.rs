//! `toolkit redis`: redis' own command line.

use super::super::conversation::{self, Conversation};
use super::super::{Session, error::CommandError, exit, instance, target};
use crate::deployment::Probe;
use crate::engine::inside::ExecRequest;

const REDIS: &str = "redis";
const PROGRAM: &str = "redis-cli";

/// The variable from which redis-cli takes a password. It is an argument of no program, and stands in
/// no event of the engine; who can look at the environment of a program in a container can look at
/// that of the application, which holds the password all the time. Saying AUTH over the input instead
/// would show it on a terminal, and its answer in the output of scripts.
const PASSWORD: &str = "REDISCLI_AUTH";

/// Open redis' command line, or run one of its commands
///
/// All arguments go to `redis-cli`. The password of the settings is handed over in its environment.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit redis\n  toolkit redis dbsize\n  toolkit redis -n 1 --scan --pattern 'DocsIn:*'"
)]
pub struct Args {
    /// No terminal for redis-cli, although there is one
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Arguments of redis-cli
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Opens the command line.
///
/// # Errors
/// Redis is external, its container does not run, or the engine fails.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let settings = &instance.settings;
    if settings.redis.is_none() {
        let (host, port) = (&settings.redis_host, &settings.redis_port);
        let message = "redis is not a part of this instance";
        return Err(CommandError::new("REDIS_EXTERNAL", exit::FAILED, message)
            .because(format!(
                "REDIS_ENABLED is false; the application uses {host}:{port}"
            ))
            .state("nothing was run")
            .fix(format!(
                "run `redis-cli -h {host} -p {port}` on a machine that has it"
            )));
    }
    let engine = instance::engine(session, &instance.root).await?;
    let container = target::running(&engine, &instance, REDIS, None).await?;
    let words = std::iter::once(PROGRAM.to_owned());
    let mut request = ExecRequest::new(words.chain(args.arguments.iter().cloned()));
    if let Some(Probe::Redis {
        password: Some(password),
        ..
    }) = instance.deployment.probes.get(REDIS)
    {
        let environment = &mut request.environment;
        environment.insert(PASSWORD.to_owned(), password.expose().to_owned());
    }
    let conversation = Conversation {
        container: &container,
        request,
        no_terminal: args.no_tty,
        becomes: Vec::new(),
    };
    conversation::hold(session, &engine, conversation).await
}
