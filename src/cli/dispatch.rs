//! All commands: what the command line can say, and who carries it out.

use clap::Subcommand;

use super::{
    Session, commands, error, error::CommandError, log_error, runtime, wait, whole_environment,
};

/// A command with its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Init(commands::init::Args),
    Quickstart(commands::quickstart::Args),
    Up(commands::up::Args),
    Upgrade(commands::upgrade::Args),
    Plan(commands::plan::Args),
    Apply(commands::apply::Args),
    Doctor(commands::doctor::Args),
    #[command(visible_alias = "ps")]
    Status(commands::status::Args),
    Stop(commands::stop::Args),
    Start(commands::start::Args),
    Restart(commands::restart::Args),
    Down(commands::down::Args),
    Shell(commands::shell::Args),
    Exec(commands::exec::Args),
    Mongo(commands::mongo::Args),
    Redis(commands::redis::Args),
    RunScript(commands::run_script::Args),
    Resume(commands::resume::Args),
    Rollback(commands::rollback::Args),
    Drift(commands::drift::Args),
    History(commands::history::Args),
    Logs(commands::logs::Args),
    ErrorLogs(commands::error_logs::Args),
    Images(commands::images::Args),
    Gc(commands::gc::Args),
    #[command(name = "texlive")]
    TexLive(commands::texlive::Args),
    User(commands::user::Args),
    Site(commands::site::Args),
    Flush(commands::flush::Args),
    Mail(commands::mail::Args),
    Compose(commands::compose::Args),
    DockerCompose(commands::docker_compose::Args),
    Metrics(commands::metrics::Args),
    Config(commands::config::Args),
    BackupConfig(commands::backup_config::Args),
    #[command(hide = true)]
    RenameRcVars(commands::config::migrate::AliasArgs),
    #[command(hide = true, name = "rename-env-vars-5-0")]
    RenameEnvVars(commands::config::migrate::AliasArgs),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
    Version(commands::version::Args),
    Serve(commands::serve::Args),
}

impl Command {
    /// Whether its arguments may hold secrets.
    pub(super) fn hides_arguments(&self) -> bool {
        matches!(self, Self::Config(_))
    }
}

pub(super) fn dispatch(command: &Command, session: &Session) -> Result<u8, CommandError> {
    if session.yaml && !matches!(command, Command::Compose(_)) {
        return Err(error::only_config_is_yaml());
    }
    if session.raw && !matches!(command, Command::Logs(_) | Command::ErrorLogs(_)) {
        return Err(log_error::only_logs_are_raw());
    }
    match command {
        Command::Init(args) => commands::init::run(args, session),
        Command::Quickstart(args) => wait(session, commands::quickstart::run(args, session)),
        Command::Up(args) => wait(session, commands::up::run(args, session)),
        Command::Upgrade(args) => wait(session, commands::upgrade::run(args, session)),
        Command::Plan(args) => wait(session, commands::plan::run(args, session)),
        Command::Apply(args) => wait(session, commands::apply::run(args, session)),
        Command::Doctor(args) => wait(session, commands::doctor::run(args, session)),
        Command::Status(args) => wait(session, commands::status::run(args, session)),
        Command::Stop(args) => wait(session, commands::stop::run(args, session)),
        Command::Start(args) => wait(session, commands::start::run(args, session)),
        Command::Restart(args) => wait(session, commands::restart::run(args, session)),
        Command::Down(args) => wait(session, commands::down::run(args, session)),
        Command::Shell(args) => wait(session, commands::shell::run(args, session)),
        Command::Exec(args) => wait(session, commands::exec::run(args, session)),
        Command::Mongo(args) => wait(session, commands::mongo::run(args, session)),
        Command::Redis(args) => wait(session, commands::redis::run(args, session)),
        Command::RunScript(args) => commands::run_script::run(args, session),
        Command::Resume(args) => commands::resume::run(args, session),
        Command::Rollback(args) => wait(session, commands::rollback::run(args, session)),
        Command::Drift(args) => wait(session, commands::drift::run(args, session)),
        Command::History(args) => commands::history::run(args, session),
        Command::Logs(args) => wait(session, commands::logs::run(args, session)),
        Command::ErrorLogs(args) => wait(session, commands::error_logs::run(args, session)),
        Command::Images(args) => wait(session, commands::images::run(args, session)),
        Command::Gc(args) => wait(session, commands::gc::run(args, session)),
        Command::TexLive(args) => wait(session, commands::texlive::run(args, session)),
        Command::User(args) => wait(session, commands::user::run(args, session)),
        Command::Site(args) => wait(session, commands::site::run(args, session)),
        Command::Flush(args) => wait(session, commands::flush::run(args, session)),
        Command::Mail(args) => wait(session, commands::mail::run(args, session)),
        Command::Compose(args) => commands::compose::run(args, session),
        Command::DockerCompose(args) => commands::docker_compose::run(args, session),
        Command::Metrics(args) => wait(session, commands::metrics::run(args, session)),
        Command::Completions(args) => commands::completions::run(args, session),
        Command::Man(args) => commands::man::run(args, session),
        Command::Version(args) => commands::version::run(args, session),
        Command::Config(args) => wait(session, commands::config::run(args, session)),
        Command::BackupConfig(args) => commands::backup_config::run(args, session),
        Command::RenameRcVars(_) => {
            let scope = commands::config::migrate::Scope::Rc;
            wait(
                session,
                commands::config::migrate::run(None, scope, session),
            )
        }
        Command::RenameEnvVars(_) => {
            let scope = commands::config::migrate::Scope::Variables;
            wait(
                session,
                commands::config::migrate::run(None, scope, session),
            )
        }
        Command::Serve(args) => {
            let runtime = runtime(2)?;
            let outcome = runtime.block_on(commands::serve::run(args, whole_environment()));
            // A read of the input that goes on cannot be taken back, and is not waited for.
            runtime.shutdown_background();
            outcome
        }
    }
}
