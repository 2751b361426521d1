//! `toolkit doctor`: every check at once.

use super::super::{Session, error, error::CommandError, exit, instance};
use crate::check::row::{self, Operation};
use crate::check::{self, World};
use crate::engine::docker::DockerEngine;
use crate::observe;
use crate::observe::machine::{self, Thoroughness};
use crate::observed::Observed;
use crate::ui::doctor;
use crate::ui::json;

const SCHEMA: &str = "toolkit.doctor/v1";

/// Check this machine, the engine and the stores, and change nothing
///
/// Runs every check, also where the engine cannot be reached. Exits with 6 when one fails that
/// `up` would refuse. What each check means is in docs/checks.md.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit doctor\n  toolkit doctor --all           # also what this instance has no need of\n  toolkit doctor --format json | jq .data.checks\n  toolkit doctor --ignore SPACE_DATA --reason 'a trial of an hour'"
)]
pub struct Args {
    /// Show also the checks that this instance has no need of
    #[arg(long)]
    all: bool,
}

/// Shows all checks.
///
/// # Errors
/// No instance is found, or its configuration cannot be used.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let instance = instance::load(session)?;
    let deployment = &instance.deployment;
    let engine = instance::engine(session, &instance.root).await;
    let observed = match &engine {
        Ok(engine) => look(engine, &instance).await,
        Err(error) => Err(cause(error)),
    };
    let observed = observed.as_ref().map_err(String::as_str);
    let machine = machine::facts(
        engine.as_ref().ok(),
        deployment,
        observed.ok(),
        Thoroughness::Full,
    )
    .await;
    let registry = row::load().map_err(check::CheckError::from)?;
    let world = World {
        deployment,
        observed,
        machine: &machine,
    };
    let checked = check::run(&registry, &world, Operation::Doctor, &session.ignores)?;
    let blocks = checked.iter().any(check::Checked::blocks);
    let ui = &session.ui;
    if ui.is_json() {
        let data = doctor::value(&checked);
        if blocks {
            let refusal = error::of_checks(&checked);
            ui.answer(&json::refusal(SCHEMA, &data, &refusal.failure));
        } else {
            ui.document(SCHEMA, &data, &instance.warnings);
        }
    } else {
        ui.answer(&doctor::view(&checked, args.all, ui.answer_style()));
    }
    Ok(if blocks { exit::CHECK } else { exit::DONE })
}

async fn look(engine: &DockerEngine, instance: &instance::Instance) -> Result<Observed, String> {
    let observed = observe::everything(engine, &instance.deployment).await;
    observed.map_err(|error| cause(&CommandError::from(error)))
}

fn cause(error: &CommandError) -> String {
    let failure = &error.failure;
    let causes = std::iter::once(&failure.message).chain(&failure.causes);
    causes.cloned().collect::<Vec<_>>().join(": ")
}
