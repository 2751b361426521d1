//! `toolkit compose`: the definitions.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::{Session, error::CommandError, exit, instance};
use crate::compose::canonical;
use crate::deployment::standalone;
use crate::host;

/// Mode of a file that holds secrets.
const SECRET: u32 = 0o600;

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
    Config {
        /// Only the names of the services
        #[arg(long)]
        services: bool,
    },
    /// Write one file for Portainer, a NAS or plain `docker compose`
    ///
    /// The file needs nothing beside it but the folders it names: variables.env is written into it,
    /// secrets included, and mongo's health check initiates the replica set.
    #[command(
        after_help = "Examples:\n  toolkit compose file > compose.yaml\n  toolkit compose file --output /srv/overleaf/compose.yaml"
    )]
    File {
        /// Where to, readable for this user only; a file that is there is kept as NAME.bak
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
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
    if session.yaml
        && !matches!(
            args.command,
            ComposeCommand::Config { services: false } | ComposeCommand::File { .. }
        )
    {
        return Err(super::super::error::only_config_is_yaml());
    }
    match &args.command {
        ComposeCommand::Config { services: true } => {
            let names: Vec<&String> = project.services.keys().collect();
            if session.ui.is_json() {
                let data = serde_json::json!({ "services": names });
                let schema = "toolkit.compose-services/v1";
                session.ui.document(schema, &data, &instance.warnings);
            } else {
                let lines = names.iter().map(|name| format!("{name}\n"));
                session.ui.answer(&lines.collect::<String>());
            }
        }
        ComposeCommand::Config { .. } if session.ui.is_json() => {
            session.ui.answer(&canonical::json(project));
        }
        ComposeCommand::Config { .. } => {
            let yaml =
                canonical::yaml(project).context("the definitions cannot be written as YAML")?;
            session.ui.answer(&yaml);
        }
        ComposeCommand::File { output } => {
            let project = standalone::project(&instance.deployment);
            let yaml =
                canonical::yaml(&project).context("the definitions cannot be written as YAML")?;
            match output {
                Some(path) => write(session, path, &yaml, &instance.warnings)?,
                None if session.ui.is_json() => {
                    session.ui.answer(&canonical::readable_json(&project));
                }
                None => session.ui.answer(&yaml),
            }
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

/// Puts the file in place; it holds secrets, so nobody else may read it.
fn write(
    session: &Session,
    path: &Path,
    text: &str,
    warnings: &[String],
) -> Result<(), CommandError> {
    let path = session.current_folder.join(path);
    let is_written = !session.dry_run;
    if is_written && host::exists(&path) {
        host::set_mode(&path, SECRET)?;
        host::replace(&path, text)?;
    } else if is_written {
        host::write_new(&path, text, SECRET)?;
    }
    if session.ui.is_json() {
        let data = serde_json::json!({ "path": path, "written": is_written });
        let schema = "toolkit.compose-file/v1";
        session.ui.document(schema, &data, warnings);
        return Ok(());
    }
    let done = if is_written { "wrote" } else { "would write" };
    session.ui.answer(&format!("{done} {}\n", path.display()));
    Ok(())
}
