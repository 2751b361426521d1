//! From bollard's errors to ours: what they mean for the operator.

use bollard::errors::Error;

use crate::engine::EngineError;

/// Words of an engine that say that a registry cannot be reached.
const UNREACHABLE_WORDS: [&str; 7] = [
    "no such host",
    "i/o timeout",
    "timeout",
    "connection refused",
    "network is unreachable",
    "connection reset",
    "temporary failure in name resolution",
];

/// What a failed call means. `doing` completes the sentence "the engine refuses to …".
pub(super) fn failure(endpoint: &str, doing: &str, error: Error) -> EngineError {
    let endpoint = endpoint.to_owned();
    let doing = doing.to_owned();
    match error {
        Error::DockerResponseServerError {
            status_code: 404,
            message,
        } => EngineError::Missing {
            what: missing_thing(&message),
        },
        Error::DockerResponseServerError {
            status_code: 409,
            message,
        } if message.contains("already in use") || message.contains("already exists") => {
            let what = doing.strip_prefix("create ").unwrap_or(&doing).to_owned();
            EngineError::NameTaken { what, message }
        }
        Error::DockerResponseServerError { message, .. }
        | Error::DockerStreamError { error: message } => EngineError::Refused { doing, message },
        Error::UnsupportedURISchemeError { uri } => EngineError::Endpoint {
            endpoint: uri,
            cause: "use unix://PATH, tcp://HOST:PORT or ssh://USER@HOST".to_owned(),
        },
        Error::SocketNotFoundError(path) => EngineError::Unreachable {
            endpoint,
            cause: format!("`{path}` does not exist"),
        },
        other => {
            let cause = chain(&other);
            let lower = cause.to_lowercase();
            if lower.contains("permission denied") {
                EngineError::Denied { endpoint }
            } else if is_connection(&other) {
                EngineError::Unreachable {
                    endpoint,
                    cause: innermost(&other),
                }
            } else {
                EngineError::Broken { doing, cause }
            }
        }
    }
}

/// What a failed first contact means: whatever answers there is no engine that can be used.
pub(super) fn of_connect(endpoint: &str, error: Error) -> EngineError {
    match failure(endpoint, "say who it is", error) {
        EngineError::Missing { what: cause }
        | EngineError::Refused { message: cause, .. }
        | EngineError::Broken { cause, .. } => {
            let cause = format!("what answers there is no container engine: {cause}");
            EngineError::Unreachable {
                endpoint: endpoint.to_owned(),
                cause,
            }
        }
        other => other,
    }
}

fn is_connection(error: &Error) -> bool {
    match error {
        Error::HyperLegacyError { err } => err.is_connect(),
        Error::IOError { err } => matches!(
            err.kind(),
            std::io::ErrorKind::ConnectionRefused
                | std::io::ErrorKind::NotFound
                | std::io::ErrorKind::ConnectionReset
        ),
        _ => false,
    }
}

/// The error with all its causes; bollard's own text alone often only says "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = cause.source();
    }
    text
}

/// The last of the causes, which is the system's own word.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// "No such container: x" becomes "container: x".
fn missing_thing(message: &str) -> String {
    let lower = message.trim_end_matches('.');
    let what = lower
        .strip_prefix("No such ")
        .or_else(|| lower.strip_prefix("no such "));
    what.unwrap_or(lower).to_owned()
}

/// Turns "it does not exist" into an answer.
pub(super) fn unless_missing<T>(error: EngineError) -> Result<Option<T>, EngineError> {
    match error {
        EngineError::Missing { .. } => Ok(None),
        other => Err(other),
    }
}

/// What a failed pull means.
pub(super) fn of_pull(endpoint: &str, reference: &str, error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError { message, .. }
        | Error::DockerStreamError { error: message } => of_pull_message(reference, message),
        other => failure(endpoint, &format!("pull image `{reference}`"), other),
    }
}

/// What the engine's words about a failed pull mean.
pub(super) fn of_pull_message(reference: &str, message: String) -> EngineError {
    let lower = message.to_lowercase();
    let reference = reference.to_owned();
    if UNREACHABLE_WORDS.iter().any(|words| lower.contains(words)) {
        EngineError::RegistryUnreachable { reference, message }
    } else {
        EngineError::ImageUnavailable { reference, message }
    }
}

/// What a failed start means.
pub(super) fn of_start(endpoint: &str, container: &str, error: Error) -> EngineError {
    let doing = format!("start container `{container}`");
    match failure(endpoint, &doing, error) {
        EngineError::Refused { message, .. }
            if message.contains("port is already allocated")
                || message.contains("address already in use") =>
        {
            EngineError::PortTaken {
                container: container.to_owned(),
                message,
            }
        }
        EngineError::Refused { message, .. } if is_half_started(&message) => {
            EngineError::HalfStarted {
                container: container.to_owned(),
                message,
            }
        }
        other => other,
    }
}

/// Whether containerd or runc already has what a start is about to make. Docker Engine 20.10 passes
/// their words on: of a task of this id, of its folder, or of its state.
fn is_half_started(message: &str) -> bool {
    let is_task = message.contains("task ") && message.contains(": already exists");
    is_task
        || message.contains("id already in use")
        || message.contains("container with given ID already exists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_not_permitted_is_told_from_one_that_is_not_there() {
        let io = |kind: std::io::ErrorKind| Error::IOError { err: kind.into() };
        for (kind, is_denied) in [
            (std::io::ErrorKind::PermissionDenied, true),
            (std::io::ErrorKind::ConnectionRefused, false),
        ] {
            match failure("unix:///x", "connect", io(kind)) {
                EngineError::Denied { .. } => assert!(is_denied),
                EngineError::Unreachable { .. } => assert!(!is_denied),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_start_that_meets_the_half_of_an_earlier_one_is_recognised() {
        let of = |message: &str| {
            let error = Error::DockerResponseServerError {
                status_code: 500,
                message: message.to_owned(),
            };
            of_start("unix:///x", "redis", error)
        };
        for message in [
            "task 68ceb7d1f3db: already exists",
            "container with id exists: 68ceb7d1f3db: id already in use: unknown",
        ] {
            let error = of(message);
            assert!(
                matches!(&error, EngineError::HalfStarted { container, .. } if container == "redis"),
                "{error:?}"
            );
        }
        let other = of("file /x: already exists");
        assert!(matches!(other, EngineError::Refused { .. }), "{other:?}");
    }

    #[test]
    fn a_failed_pull_tells_a_dead_registry_from_a_wrong_name() {
        let unreachable = "Get \"https://r.example/v2/\": dial tcp: lookup r.example: no such host";
        assert!(matches!(
            of_pull_message("r.example/a:1", unreachable.to_owned()),
            EngineError::RegistryUnreachable { .. }
        ));
        let wrong = "manifest for a:9 not found: manifest unknown: manifest unknown";
        assert!(matches!(
            of_pull_message("a:9", wrong.to_owned()),
            EngineError::ImageUnavailable { .. }
        ));
    }
}
