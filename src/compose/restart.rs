//! Whether a container is started again when it has ended.

use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

use super::Service;

/// A restart policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    No,
    /// Whenever it has ended.
    Always,
    /// Whenever it has ended, unless somebody stopped it.
    UnlessStopped,
    /// When it has failed; this often at most, and `None` for any number of times.
    OnFailure(Option<u32>),
}

/// A text that is no restart policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no restart policy")]
pub struct NoRestart(String);

impl FromStr for Restart {
    type Err = NoRestart;

    /// Takes the words of a service and those of a swarm, as Docker Compose does for both keys.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NoRestart(text.to_owned());
        match text {
            "no" | "none" => Ok(Self::No),
            "always" | "any" => Ok(Self::Always),
            "unless-stopped" => Ok(Self::UnlessStopped),
            "on-failure" => Ok(Self::OnFailure(None)),
            _ => {
                let count = text.strip_prefix("on-failure:").ok_or_else(wrong)?;
                let count = count.parse().map_err(|_| wrong())?;
                Ok(Self::OnFailure(Some(count)))
            }
        }
    }
}

impl Service {
    /// The key that says the restart policy, and what it says; that of `deploy` wins, as in Docker
    /// Compose. `None` where nothing is said.
    #[must_use]
    pub fn restart_policy(&self) -> Option<(&'static str, Result<Restart, NoRestart>)> {
        let deploy = self.rest.get("deploy");
        let Some(policy) = deploy.and_then(|deploy| deploy.get("restart_policy")) else {
            let text = self.restart.as_ref().filter(|text| !text.is_empty())?;
            return Some(("restart", text.parse()));
        };
        let condition = policy.get("condition").and_then(Value::as_str);
        // The default of a policy without a condition is that of a swarm.
        let condition = condition.filter(|word| !word.is_empty()).unwrap_or("any");
        let attempts = policy.get("max_attempts").and_then(Value::as_u64);
        let restart = match condition.parse() {
            Ok(Restart::OnFailure(None)) => Ok(Restart::OnFailure(
                attempts.and_then(|count| count.try_into().ok()),
            )),
            // Only failures are counted; the engine refuses a count beside another policy.
            other => other,
        };
        Some(("deploy.restart_policy.condition", restart))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;

    #[test]
    fn an_empty_word_says_nothing() {
        let text = "services: {a: {image: i, restart: ''}}";
        let project = load::project(text, "p").unwrap();
        assert_eq!(project.services["a"].restart_policy(), None);
    }

    #[test]
    fn what_is_no_policy_is_none() {
        for (text, expected) in [
            ("restart: 'no'", Some(Restart::No)),
            ("restart: always", Some(Restart::Always)),
            ("restart: unless-stopped", Some(Restart::UnlessStopped)),
            ("restart: on-failure", Some(Restart::OnFailure(None))),
            ("restart: 'on-failure:3'", Some(Restart::OnFailure(Some(3)))),
            ("restart: unless_stopped", None),
            ("restart: sometimes", None),
            ("restart: 'on-failure:x'", None),
            ("restart: 'on-failure:-1'", None),
            ("restart: 'always:3'", None),
            (
                "deploy: {restart_policy: {condition: none}}",
                Some(Restart::No),
            ),
            (
                "deploy: {restart_policy: {condition: any}}",
                Some(Restart::Always),
            ),
            (
                "deploy: {restart_policy: {max_attempts: 2}}",
                Some(Restart::Always),
            ),
            (
                "deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}",
                Some(Restart::OnFailure(Some(2))),
            ),
            ("deploy: {restart_policy: {condition: sometimes}}", None),
        ] {
            let file = format!("services: {{s: {{image: i, {text}}}}}");
            let project = load::project(&file, "p").unwrap();
            let (_, found) = project.services["s"].restart_policy().unwrap();
            assert_eq!(found.ok(), expected, "{text}");
        }
        let project = load::project("services: {s: {image: i}}", "p").unwrap();
        assert_eq!(project.services["s"].restart_policy(), None);
    }
}
