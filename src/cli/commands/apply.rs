//! `toolkit apply`: carries out a plan that was shown before, if the world has not moved since.

use std::path::PathBuf;

use super::super::grace::Grace;
use super::super::unfinished::{self, unfinished_gate};
use super::super::{Session, error::CommandError, exit, instance};
use super::up::{Wish, converge_from};
use crate::host;
use crate::plan;
use crate::plan::file::PlanFile;
use crate::plan::{PullWish, UpRequest};

/// Carry out a plan that `toolkit plan --out FILE` wrote, and wait until everything answers
///
/// Refused with exit 5 when the configuration, the containers or the images are others than when the
/// plan was made.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit plan --out change.plan   # look at it, have it approved\n  toolkit apply change.plan"
)]
pub struct Args {
    /// The file
    file: PathBuf,
    /// Return once the containers are started, without waiting until they answer
    #[arg(short, long)]
    detach: bool,
}

/// Applies the plan.
///
/// # Errors
/// The file is no plan, the world has moved since it was made, or as for `up`.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let file = args.file.to_string_lossy();
    let text = host::read_text(&session.current_folder.join(&args.file))?;
    let saved = PlanFile::read(&text).map_err(|error| {
        let message = format!("`{}` cannot be used", args.file.display());
        CommandError::new("PLAN_FILE", exit::USAGE, message)
            .because(error.to_string())
            .state("nothing was changed")
            .command(format!("toolkit plan --out {file}"))
    })?;
    let root = instance::root(session)?;
    let _lock = instance::lock_unless_dry(session, &root, "apply").await?;
    unfinished_gate(session, &root, "apply")?;
    let instance = instance::load_at(session, &root)?;
    let request = saved.request();
    let instance = instance::naming(session, instance, &request.services)?;
    let deployment = &instance.deployment;
    let engine = instance::engine(session, &root).await?;
    unfinished::stops(session, &root, &engine).await?;
    let observed = instance::observe(&engine, &instance).await?;
    let plan = plan::whole(deployment, &observed, &request);
    let now = PlanFile::new(&plan, &request, deployment, &observed);
    let moved = saved.moved(&now);
    if !moved.is_empty() {
        let message = "the world has moved since the plan was made";
        let error = CommandError::new("PLAN_MOVED", exit::CHANGED, message);
        let error = moved.into_iter().fold(error, CommandError::because);
        return Err(error
            .state("nothing was changed")
            .command(planned_again(&request, &file)));
    }
    // Its own steps move the world, so that after a kill the plan would not hold any more.
    let _ = session.again.set(repeated(session, &request, args.detach));
    let wish = Wish {
        command: "apply",
        awaits: !args.detach,
        request,
        grace: Grace::default(),
    };
    converge_from(session, &instance, &engine, observed, &wish).await?;
    Ok(exit::DONE)
}

/// The flags that ask for the same.
fn flags(request: &UpRequest) -> Vec<String> {
    let pull = format!("--pull={}", request.pull);
    let flags = [
        (request.no_deps, "--no-deps"),
        (request.force_recreate, "--force-recreate"),
        (request.remove_orphans, "--remove-orphans"),
        (request.pull != PullWish::Policy, &pull),
    ];
    let said = flags.iter().filter(|(is_said, _)| *is_said);
    said.map(|(_, flag)| (*flag).to_owned()).collect()
}

/// The `plan` that asks for the same, as it is typed.
fn planned_again(request: &UpRequest, file: &str) -> String {
    let mut words = vec!["toolkit plan".to_owned()];
    words.extend(flags(request));
    words.push(format!("--out {file}"));
    words.extend(request.services.iter().cloned());
    words.join(" ")
}

/// The `up` that does the same from whatever stands.
fn repeated(session: &Session, request: &UpRequest, detach: bool) -> Vec<String> {
    let mut words = vec!["toolkit".to_owned(), "up".to_owned()];
    words.extend(flags(request));
    words.extend(detach.then(|| "--detach".to_owned()));
    words.extend(session.common.iter().cloned());
    words.extend(request.services.iter().cloned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_repeated_as_an_up() {
        let typed = "toolkit apply a.plan --timeout 3m --ignore MONGO_TOO_NEW --reason";
        let typed = typed.split(' ').map(ToOwned::to_owned);
        let typed: Vec<String> = typed.chain(["it is known".to_owned()]).collect();
        let parse = |words: &[String]| crate::cli::parse(words.iter().map(Into::into).collect());
        let session = crate::cli::session(&parse(&typed).unwrap(), typed).unwrap();
        let request = UpRequest {
            services: vec!["redis".to_owned()],
            no_deps: true,
            pull: PullWish::Never,
            ..UpRequest::default()
        };
        let words = repeated(&session, &request, true);
        assert_eq!(
            words,
            [
                "toolkit",
                "up",
                "--no-deps",
                "--pull=never",
                "--detach",
                "--timeout=180000ms",
                "--ignore=MONGO_TOO_NEW",
                "--reason=it is known",
                "redis"
            ]
        );
        assert!(parse(&words).is_ok());
        assert_eq!(
            planned_again(&request, "a.plan"),
            "toolkit plan --no-deps --pull=never --out a.plan redis"
        );
    }
}
