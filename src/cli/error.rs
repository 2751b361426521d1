//! Every error of the layers below becomes a [`CommandError`] here, so that identifiers, exit
//! codes, wording and next commands are found in one place.

use std::error::Error;
use std::path::Path;

use super::exit;
use crate::apply::ApplyError;
use crate::apply::StepError;
use crate::apply::waiting::{FailureKind, ServiceFailure};
use crate::bundled::BundledError;
use crate::check::CheckError;
use crate::check::Checked;
use crate::deployment::DeploymentError;
use crate::diagnosis::{self, Symptom};
use crate::engine::EngineError;
use crate::host::HostError;
use crate::host::bash::BashError;
use crate::host::lock::LockError;
use crate::host::lock::Owner;
use crate::host::tunnel::TunnelError;
use crate::lint::LintError;
use crate::seed::SeedError;
use crate::settings::SettingsError;
use crate::settings::problem::{Problem, ProblemKind};
use crate::texlive::TexLiveError;
use crate::ui::doctor;
use crate::ui::failure::{Failure, Fix};
use crate::ui::words;

/// What a command ends with when it cannot do its work.
#[derive(Debug, Clone)]
pub struct CommandError {
    /// The failure as it is shown; boxed by the caller's `Result` size.
    pub failure: Box<Failure>,
}

impl CommandError {
    /// A failure with an identifier, an exit code and a message.
    #[must_use]
    pub fn new(id: &str, exit_code: u8, message: impl Into<String>) -> Self {
        let failure = Failure {
            id: id.to_owned(),
            exit_code,
            message: message.into(),
            ..Failure::default()
        };
        Self {
            failure: Box::new(failure),
        }
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.failure.causes.push(cause.into());
        self
    }

    /// Adds what stands.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.failure.state = Some(state.into());
        self
    }

    /// Adds what to do next, in words.
    #[must_use]
    pub fn fix(mut self, text: impl Into<String>) -> Self {
        self.failure.fixes.push(Fix::text(text));
        self
    }

    /// Adds what to do next, as a command.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.failure.fixes.push(Fix::command(command));
        self
    }

    /// Adds the causes of an error, outermost first.
    #[must_use]
    pub(super) fn chain(mut self, error: &dyn Error) -> Self {
        let mut source = error.source();
        while let Some(cause) = source {
            self.failure.causes.push(cause.to_string());
            source = cause.source();
        }
        self
    }
}

/// Problems of the operator's files, with the lines they stand on.
#[must_use]
pub fn of_problems(
    problems: Vec<Problem>,
    line_of: &dyn Fn(&Path, usize) -> Option<String>,
) -> CommandError {
    let is_error = |problem: &&Problem| problem.kind == ProblemKind::Error;
    let number = problems.iter().filter(is_error).count();
    let mut error = CommandError::new(
        "CONFIG_INVALID",
        exit::CONFIGURATION,
        format!("the configuration has {}", words::count(number, "error")),
    )
    .state("nothing was changed");
    error.failure.problems = problems
        .into_iter()
        .map(|problem| {
            let line = problem
                .place
                .as_ref()
                .and_then(|at| line_of(&at.file, at.line));
            (problem, line)
        })
        .collect();
    error
}

/// The refusal of `--format yaml` where there is no YAML.
#[must_use]
pub fn only_config_is_yaml() -> CommandError {
    CommandError::new(
        "USAGE",
        exit::USAGE,
        "only `compose config` answers in YAML",
    )
    .fix("use --format json")
}

/// The checks that stand in the way, all in one.
#[must_use]
pub fn of_checks(checked: &[Checked<'_>]) -> CommandError {
    let blocking = || checked.iter().filter(|found| found.blocks());
    let mut found =
        blocking().flat_map(|found| found.findings().iter().map(move |one| (found, one)));
    let Some((first, finding)) = found.next() else {
        return CommandError::new("BUG", exit::BUG, "a check was reported that does not fail");
    };
    let mut error = CommandError::new(&first.check.id, exit::CHECK, finding.text.clone())
        .because(finding.because.clone())
        .state("nothing was changed");
    error.failure.fixes.push(doctor::fix(finding));
    for (other, finding) in found {
        let (id, text, because) = (&other.check.id, &finding.text, &finding.because);
        error = error.because(format!("[{id}] {text}: {because}"));
        error.failure.fixes.push(doctor::fix(finding));
    }
    let ignorable = blocking().filter(|found| found.check.ignorable);
    let flags: Vec<String> = ignorable
        .map(|found| format!("--ignore {}", found.check.id))
        .collect();
    if flags.is_empty() {
        error
    } else {
        let flags = flags.join(" ");
        error.fix(format!("where it is meant so: {flags} --reason TEXT"))
    }
}

impl From<CheckError> for CommandError {
    fn from(error: CheckError) -> Self {
        Self::new("BUG", exit::BUG, error.to_string()).chain(&error)
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        let failure = Self::new("INTERNAL", exit::BUG, error.to_string());
        failure.chain(error.as_ref())
    }
}

impl From<HostError> for CommandError {
    fn from(error: HostError) -> Self {
        Self::new("FILE", exit::FAILED, error.to_string())
            .chain(&error)
            .fix("check that the path is right and that this user may use it")
    }
}

impl From<SeedError> for CommandError {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Host(error) => error.into(),
            SeedError::Sample => Self::new("CERTIFICATE_NOT_MADE", exit::FAILED, error.to_string())
                .because("the system gives no random numbers, or no certificate can name the host of the URL")
                .fix("name one with --tls-certificate and --tls-private-key"),
            SeedError::Catalogue(_) => Self::new("BUG", exit::BUG, error.to_string()).chain(&error),
        }
    }
}

impl From<BashError> for CommandError {
    fn from(error: BashError) -> Self {
        let failure = match &error {
            BashError::Missing => Self::new("BASH_MISSING", exit::FAILED, error.to_string())
                .fix("install bash, or write plain `NAME=value` lines by hand"),
            BashError::Process(_) => {
                Self::new("BASH_FAILED", exit::FAILED, error.to_string()).chain(&error)
            }
            BashError::Deadline(_) => Self::new("BASH_TIMEOUT", exit::FAILED, error.to_string())
                .fix("look for a command in the file that waits for something"),
        };
        failure.state("nothing was changed by the toolkit")
    }
}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Invalid(problems) => of_problems(problems, &|_, _| None),
            SettingsError::Catalogue(_) | SettingsError::Releases(_) => {
                Self::new("BUG", exit::BUG, error.to_string()).chain(&error)
            }
        }
    }
}

impl From<LintError> for CommandError {
    fn from(error: LintError) -> Self {
        Self::new("BUG", exit::BUG, error.to_string()).chain(&error)
    }
}

impl From<DeploymentError> for CommandError {
    fn from(error: DeploymentError) -> Self {
        match &error {
            DeploymentError::Retracted { version, .. } => {
                let fix = format!(
                    "write another release into config/version, or OVERLEAF_SKIP_RETRACTION_CHECK={version} into config/overleaf.rc"
                );
                Self::new("RELEASE_RETRACTED", exit::CONFIGURATION, error.to_string())
                    .because("config/version:1:1 names it")
                    .state("nothing was changed")
                    .fix(fix)
            }
            DeploymentError::Definition(_) => {
                Self::new("DEFINITION", exit::CONFIGURATION, error.to_string())
                    .state("nothing was changed")
                    .fix("`toolkit compose config` shows the definition; look at the value that the line holds")
            }
            DeploymentError::Catalogue(_)
            | DeploymentError::Template(_) => {
                Self::new("BUG", exit::BUG, error.to_string()).chain(&error)
            }
        }
    }
}

/// Who holds the lock, with what, since when, and how far they are.
fn of_owner(held: CommandError, owner: &Owner) -> CommandError {
    let command = match &owner.command_line {
        Some(line) => line.clone(),
        None => format!("toolkit {}", owner.command),
    };
    let by = match (owner.user.as_str(), owner.machine.as_str()) {
        ("", _) | (_, "") => String::new(),
        (user, machine) => format!(" of {user} on {machine}"),
    };
    let process = owner.process;
    let held = held.because(format!(
        "`{command}` (pid {process}){by} holds the lock since {}",
        owner.since
    ));
    match (&owner.step, &owner.operation) {
        (Some(step), Some(id)) => held.because(format!("now: {step} (operation {id})")),
        (Some(step), None) => held.because(format!("now: {step}")),
        _ => held,
    }
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { owner } => {
                let held = Self::new("LOCKED", exit::LOCKED, "another run works on this instance");
                let held = match owner {
                    Some(owner) => of_owner(held, &owner),
                    None => held,
                };
                held.state("this run changed nothing")
                    .fix("wait for it to end, or let this run wait: --lock-wait 5m")
            }
            LockError::Host(error) => error.into(),
        }
    }
}

impl From<TunnelError> for CommandError {
    fn from(error: TunnelError) -> Self {
        Self::new("ENGINE_TUNNEL", exit::UNREACHABLE, error.to_string())
            .chain(&error)
            .fix("see that `ssh` reaches the machine without a question, and that its user may use the engine's socket there")
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Unreachable { cause, .. } => {
                Self::new("ENGINE_UNREACHABLE", exit::UNREACHABLE, message)
                    .because(cause)
                    .fix("start the engine (`systemctl start docker`), or point DOCKER_HOST at one")
            }
            EngineError::Denied { endpoint } => {
                Self::new("ENGINE_DENIED", exit::UNREACHABLE, message)
                    .because(format!("opening `{endpoint}` is not permitted"))
                    .fix("run as root, or add this user to the group `docker` and log in again")
            }
            EngineError::Endpoint { cause, .. } => {
                Self::new("ENGINE_ENDPOINT", exit::UNREACHABLE, message).fix(cause)
            }
            EngineError::Missing { .. } => {
                Self::new("ENGINE_MISSING", exit::FAILED, message).command("toolkit plan")
            }
            EngineError::NameTaken { message: words, .. } => {
                Self::new("NAME_TAKEN", exit::FAILED, message)
                    .because(words)
                    .fix("`toolkit plan` tells who has it")
            }
            EngineError::ImageUnavailable { reference, message: words } => {
                Self::new("IMAGE_UNAVAILABLE", exit::FAILED, message)
                    .because(words)
                    .fix(format!("check the name in config/overleaf.rc and the release in config/version: `{reference}`"))
                    .fix("for Server Pro, log in to its registry first; without a registry, try `toolkit up --bundled`")
            }
            EngineError::RegistryUnreachable { message: words, .. } => {
                Self::new("REGISTRY_UNREACHABLE", exit::UNREACHABLE, message)
                    .because(words)
                    .fix("check the network, load the image by hand, or try the bundled servers: toolkit up --bundled")
            }
            EngineError::PortTaken { message: words, .. } => {
                Self::new("PORT_TAKEN", exit::CHECK, message)
                    .because(words)
                    .fix("free the port, or publish another one: OVERLEAF_PORT in config/overleaf.rc, or `ports` of the service in docker-compose.override.yml")
            }
            EngineError::HalfStarted { container, message: words } => {
                Self::new("HALF_STARTED", exit::FAILED, message)
                    .because(format!("the engine ended while it started it: {words}"))
                    .fix("remove the container (folders and volumes stay) and run the command again")
                    .command(format!("docker rm {container}"))
            }
            EngineError::Refused { message: words, .. } => {
                let known = diagnosis::find(&Symptom {
                    log: std::slice::from_ref(&words),
                    ..Symptom::default()
                });
                let refused = Self::new("ENGINE_REFUSED", exit::FAILED, message).because(words);
                match known {
                    Some(known) => refused.because(known.text).fix(known.fix),
                    None => refused.fix("mend what the engine names, then run the command again: it goes on from here"),
                }
            }
            EngineError::Broken { cause, .. } => {
                Self::new("ENGINE_BROKEN", exit::UNREACHABLE, message)
                    .because(cause)
                    .fix("look at the engine's own log (`journalctl -u docker`), then run the command again")
            }
        }
    }
}

impl From<BundledError> for CommandError {
    fn from(error: BundledError) -> Self {
        Self::new("BUNDLED_IMAGES", exit::FAILED, error.to_string())
            .chain(&error)
            .fix("build the toolkit on this machine again, or set BUNDLED_SERVERS=false")
    }
}

impl From<ApplyError> for CommandError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Step {
                title,
                done,
                steps,
                source,
            } => {
                let inner = Self::from(*source);
                let mut outer = inner;
                outer.failure.message = match &*outer.failure.id {
                    // The engine's refusal would only repeat what the step is.
                    "ENGINE_REFUSED" => format!("cannot {title}: the engine refuses"),
                    _ => format!("cannot {title}: {}", outer.failure.message),
                };
                let outer = outer.state(standing(done, steps));
                match done {
                    0 => outer,
                    _ => outer.command("toolkit rollback"),
                }
            }
            ApplyError::Service(failure) => of_service(&failure),
            ApplyError::Interrupted {
                exit_code,
                done,
                begun,
                steps,
            } => Self::new("INTERRUPTED", exit_code, "stopped on request")
                .state(left(done, begun, steps))
                .fix(match steps {
                    0 => "the same command goes on from here",
                    _ => "the same command or `toolkit resume` goes on from here, `toolkit rollback` goes back",
                }),
        }
    }
}

impl From<StepError> for CommandError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Engine(error) => error.into(),
            StepError::Host(error) => error.into(),
            StepError::Bundled(error) => error.into(),
            StepError::Service(failure) => of_service(&failure),
            StepError::TexLive(error) => error.into(),
            StepError::Build {
                ref message,
                ref said,
                ..
            } => {
                let failure = Self::new("IMAGE_BUILD", exit::FAILED, error.to_string());
                let mut failure = failure.because(message);
                failure.failure.log.clone_from(said);
                failure
                    .fix("see whether the packages exist and the repository answers, then run the command again")
                    .fix("set TEXLIVE_REPOSITORY to a mirror of the same year")
            }
            StepError::Initiate(ref cause) => {
                Self::new("REPLICA_SET", exit::FAILED, error.to_string())
                    .chain(cause)
                    .fix("read mongo's log with `toolkit logs mongo`, then run the command again")
            }
            StepError::Foreign(_) => Self::new("BUG", exit::BUG, error.to_string()),
            StepError::Interrupted(exit_code) => {
                Self::new("INTERRUPTED", exit_code, "stopped on request")
            }
        }
    }
}

impl From<TexLiveError> for CommandError {
    fn from(error: TexLiveError) -> Self {
        match error {
            TexLiveError::NoInstallation { .. } => {
                Self::new("TEXLIVE_MISSING", exit::FAILED, error.to_string())
                    .fix("use an image with a TeX Live of its own, or set TEXLIVE_PACKAGES= to use it as it is")
            }
            TexLiveError::NoRepository { .. } => {
                Self::new("TEXLIVE_REPOSITORY", exit::FAILED, error.to_string())
                    .fix("set TEXLIVE_REPOSITORY to one that serves this year")
            }
            TexLiveError::Rows => Self::new("BUG", exit::BUG, error.to_string()),
        }
    }
}

/// What stands after a stop, of which the engine may still be at some steps.
fn left(done: usize, begun: usize, steps: usize) -> String {
    match begun {
        0 => standing(done, steps),
        _ => format!(
            "{done} of {} done; the engine goes on with {begun} that had begun",
            words::count(steps, "step")
        ),
    }
}

fn standing(done: usize, steps: usize) -> String {
    match (done, steps) {
        (_, 0) => "the plan is carried out; the services go on starting".to_owned(),
        (0, _) => "nothing was changed".to_owned(),
        (done, steps) => format!(
            "{done} of {} done; the rest is untouched",
            words::count(steps, "step")
        ),
    }
}

fn of_service(failure: &ServiceFailure) -> CommandError {
    let (id, exit_code) = match failure.kind {
        FailureKind::NotInTime { .. } => ("SERVICE_NOT_READY", exit::NOT_READY),
        _ => ("SERVICE_FAILED", exit::FAILED),
    };
    let mut error = CommandError::new(id, exit_code, failure.to_string());
    if let FailureKind::NotInTime { because, .. } = &failure.kind {
        error = error.because(because.clone());
    }
    error.failure.log.clone_from(&failure.log);
    if failure.kind == FailureKind::NoHealthCheck {
        error = error.fix(format!(
            "give `{}` a `healthcheck`, or let others wait with `condition: service_started`",
            failure.service
        ));
    }
    match &failure.diagnosis {
        Some(known) => error = error.because(known.text.clone()).fix(known.fix.clone()),
        None => error = error.command(format!("toolkit logs {}", failure.service)),
    }
    error.state("the containers made so far stay; `toolkit up` goes on from here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_is_known_is_explained() {
        let of = |message: &str| {
            let refused = EngineError::Refused {
                doing: "remove a network".to_owned(),
                message: message.to_owned(),
            };
            format!("{:?}", CommandError::from(refused).failure.fixes)
        };
        let known = of("error while removing network: network x id y has active endpoints");
        assert!(known.contains("docker network inspect"), "{known}");
        assert!(of("x").contains("mend what the engine names"));
    }

    /// Every failure of the engine tells what to do next.
    #[test]
    fn every_engine_error_has_a_next_step() {
        let text = || "x".to_owned();
        for error in [
            EngineError::Unreachable {
                endpoint: text(),
                cause: text(),
            },
            EngineError::Denied { endpoint: text() },
            EngineError::Endpoint {
                endpoint: text(),
                cause: text(),
            },
            EngineError::Missing { what: text() },
            EngineError::NameTaken {
                what: text(),
                message: text(),
            },
            EngineError::ImageUnavailable {
                reference: text(),
                message: text(),
            },
            EngineError::RegistryUnreachable {
                reference: text(),
                message: text(),
            },
            EngineError::PortTaken {
                container: text(),
                message: text(),
            },
            EngineError::HalfStarted {
                container: text(),
                message: text(),
            },
            EngineError::Refused {
                doing: text(),
                message: text(),
            },
            EngineError::Broken {
                doing: text(),
                cause: text(),
            },
        ] {
            let shown = error.to_string();
            let failure = CommandError::from(error).failure;
            assert!(!failure.fixes.is_empty(), "{shown}");
            assert_ne!(failure.exit_code, exit::DONE, "{shown}");
        }
    }
}
