//! `toolkit compose`: the definitions.

use anyhow::Context as _;

use super::super::{Session, error::CommandError, exit, instance};
use crate::compose::canonical;

/// Show the compose definitions
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: ComposeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ComposeCommand {
    /// Print the definitions in the canonical form of `docker compose config`
    ///
    /// The output holds the values of variables.env, secrets included.
    #[command(
        after_help = "Examples:\n  toolkit compose config\n  toolkit compose config --format json | jq .services.mongo.image"
    )]
    Config,
    /// Print for each service the hash that Docker Compose writes on its container
    #[command(
        after_help = "Examples:\n  toolkit compose hash\n  toolkit compose hash --format json"
    )]
    Hash,
}

/// Prints the definitions.
///
/// # Errors
/// The configuration cannot be used.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let project = &instance.deployment.project;
    if session.yaml && !matches!(args.command, ComposeCommand::Config) {
        return Err(super::super::error::only_config_is_yaml());
    }
    match args.command {
        ComposeCommand::Config if session.ui.is_json() => {
            session.ui.answer(&canonical::json(project));
        }
        ComposeCommand::Config => {
            let yaml =
                canonical::yaml(project).context("the definitions cannot be written as YAML")?;
            session.ui.answer(&yaml);
        }
        ComposeCommand::Hash => {
            let hashes = project.services.iter();
            let hashes = hashes.map(|(name, service)| (name, canonical::service_hash(service)));
            if session.ui.is_json() {
                let map: serde_json::Map<String, serde_json::Value> = hashes
                    .map(|(name, hash)| (name.clone(), hash.into()))
                    .collect();
                session
                    .ui
                    .document("toolkit.compose-hash/v1", &map.into(), &instance.warnings);
            } else {
                let lines: String = hashes
                    .map(|(name, hash)| format!("{name} {hash}\n"))
                    .collect();
                session.ui.answer(&lines);
            }
        }
    }
    Ok(exit::DONE)
}
