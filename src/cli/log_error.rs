//! What can go wrong with logs, as errors of a command.

use super::error::CommandError;
use super::exit;
use crate::gather::{ChoiceError, GatherError};
use crate::logs::moment::MomentError;
use crate::ui::words;

/// The refusal of `--format raw` where nothing was written by somebody else.
#[must_use]
pub(super) fn only_logs_are_raw() -> CommandError {
    CommandError::new(
        "USAGE",
        exit::USAGE,
        "only `logs` and `error-logs` show what was written as it is",
    )
    .fix("use --format json")
}

/// The refusal of a time from which on lines are shown that is later than the one before which.
#[must_use]
pub(super) fn no_time_between(since: &str, until: &str) -> CommandError {
    let message = format!("`--since {since}` is later than `--until {until}`");
    CommandError::new("USAGE", exit::USAGE, message)
        .because("no line is written between them; a duration such as `2h` counts back from now")
        .state("nothing was changed")
}

impl CommandError {
    /// The failure to read a log.
    #[must_use]
    pub fn unreadable_log(service: &str, error: GatherError) -> Self {
        let mut failure = Self::from(error);
        let cause = std::mem::take(&mut failure.failure.message);
        failure.failure.message = format!("the log of `{service}` cannot be read: {cause}");
        failure
    }
}

impl From<GatherError> for CommandError {
    fn from(error: GatherError) -> Self {
        let message = error.to_string();
        match error {
            GatherError::Engine(error) => error.into(),
            GatherError::Host(error) => error.into(),
            GatherError::Rows(_) => Self::new("BUG", exit::BUG, message).chain(&error),
            GatherError::NoProgram { .. } => Self::new("LOG_UNREADABLE", exit::FAILED, message)
                .fix("set OVERLEAF_LOG_PATH in config/overleaf.rc, so that the logs are files of this machine"),
            GatherError::Missing { .. } => Self::new("NO_LOG", exit::FAILED, message)
                .command("toolkit status"),
            GatherError::GivenUp => Self::new("LOG_UNREADABLE", exit::FAILED, message)
                .fix("run the command again"),
        }
    }
}

impl From<ChoiceError> for CommandError {
    fn from(error: ChoiceError) -> Self {
        let message = error.to_string();
        let failure = match error {
            ChoiceError::NotHere { now, setting, .. } => {
                let failure = Self::new("UNKNOWN_SERVICE", exit::USAGE, message);
                match (now, setting) {
                    (Some(now), _) => failure.command(format!("toolkit logs {now}")),
                    (None, Some(setting)) => failure.fix(format!(
                        "`toolkit config explain {setting}` tells what it does"
                    )),
                    (None, None) => failure.command("toolkit logs"),
                }
            }
            ChoiceError::NoContainer { .. } => {
                Self::new("NO_LOG", exit::FAILED, message).command("toolkit up")
            }
            ChoiceError::NoLog { .. } => {
                Self::new("NO_LOG", exit::FAILED, message).command("toolkit status")
            }
            ChoiceError::Unknown { nearest, known, .. } => {
                let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                let failure = Self::new("UNKNOWN_SERVICE", exit::USAGE, message)
                    .because(format!("the services are {}", words::list(&known)));
                match nearest {
                    Some(nearest) => failure.fix(format!("did you mean `{nearest}`?")),
                    None => failure,
                }
            }
        };
        failure.state("nothing was changed")
    }
}

impl From<MomentError> for CommandError {
    fn from(error: MomentError) -> Self {
        Self::new("USAGE", exit::USAGE, error.to_string()).state("nothing was changed")
    }
}

impl From<regex::Error> for CommandError {
    fn from(error: regex::Error) -> Self {
        // The first lines only draw where it is.
        let text = error.to_string();
        let last = text.lines().next_back().unwrap_or_default();
        let cause = last.strip_prefix("error: ").unwrap_or(last);
        Self::new("USAGE", exit::USAGE, "the pattern is no regular expression")
            .because(cause)
            .state("nothing was changed")
            .fix("put a backslash before a character that is meant as it stands, such as `\\[`")
    }
}
