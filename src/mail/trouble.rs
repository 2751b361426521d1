//! What a failed conversation means and what to change: the rows of `lib/mail.toml`.

use serde::Deserialize;
use thiserror::Error;

use super::MailSettings;
use super::smtp::{SmtpError, Stage};
use super::wire::WireError;
use crate::tls::TlsTrouble;

const MAIL_TOML: &str = include_str!("../../lib/mail.toml");

/// The rows cannot be read.
#[derive(Debug, Error)]
#[error("lib/mail.toml cannot be read")]
pub struct RowsError(#[from] Box<toml::de::Error>);

/// What is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    trouble: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: String,
    stage: Option<String>,
    #[serde(default)]
    codes: Vec<u16>,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    ports: Vec<u16>,
    because: String,
    fix: Vec<String>,
}

/// What a failure means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explained {
    /// Why it happened.
    pub because: Option<String>,
    /// What to do.
    pub fixes: Vec<String>,
}

/// A failure in the words of the rows.
struct Case<'a> {
    kind: &'static str,
    stage: Option<Stage>,
    code: Option<u16>,
    said: &'a str,
}

impl Rows {
    /// The shipped rows.
    ///
    /// # Errors
    /// They cannot be read, which a test excludes.
    pub fn load() -> Result<Self, RowsError> {
        toml::from_str(MAIL_TOML).map_err(|error| RowsError(Box::new(error)))
    }

    /// What it means that no connection came about, by the words of whoever tried.
    #[must_use]
    pub fn of_connection(&self, settings: &MailSettings, said: &str) -> Explained {
        self.explain(
            settings,
            &Case {
                kind: "connect",
                stage: None,
                code: None,
                said,
            },
        )
    }

    /// What it means that a conversation did not come to its end.
    #[must_use]
    pub fn of_conversation(&self, settings: &MailSettings, error: &SmtpError) -> Explained {
        let said = error.to_string();
        let mut case = Case {
            kind: kind(error),
            stage: None,
            code: None,
            said: &said,
        };
        match error {
            SmtpError::Wire { stage, .. } => case.stage = Some(*stage),
            SmtpError::Refused { stage, code, .. } => {
                (case.stage, case.code) = (Some(*stage), Some(*code));
            }
            SmtpError::Tls(_) => {
                case.stage = Some(match settings.tls {
                    super::Tls::AtOnce => Stage::Greeting,
                    _ => Stage::Tls,
                });
            }
            SmtpError::NotSmtp { .. } | SmtpError::NoCommonLogin { .. } => {}
        }
        self.explain(settings, &case)
    }

    fn explain(&self, settings: &MailSettings, case: &Case<'_>) -> Explained {
        let said = case.said.to_lowercase();
        let fits = |row: &&Row| {
            row.kind == case.kind
                && (row.stage.as_deref())
                    .is_none_or(|stage| case.stage.is_some_and(|s| s.word() == stage))
                && (row.codes.is_empty() || case.code.is_some_and(|code| row.codes.contains(&code)))
                && (row.says.is_empty() || row.says.iter().any(|part| said.contains(part.as_str())))
                && (row.ports.is_empty() || row.ports.contains(&settings.port))
        };
        let Some(row) = self.trouble.iter().find(fits) else {
            return Explained::default();
        };
        let filled = |text: &String| {
            text.replace("{prefix}", &settings.prefix)
                .replace("{host}", &settings.host)
                .replace("{port}", &settings.port.to_string())
        };
        Explained {
            because: Some(filled(&row.because)),
            fixes: row.fix.iter().map(filled).collect(),
        }
    }
}

fn kind(error: &SmtpError) -> &'static str {
    match error {
        SmtpError::Wire { source, .. } => match source {
            WireError::Silent(_) => "silent",
            WireError::Ended => "ended",
            WireError::NotLines => "not-smtp",
            WireError::Broken(_) => "broken",
        },
        SmtpError::Tls(trouble) => match trouble {
            TlsTrouble::NotTls => "not-tls",
            TlsTrouble::SelfSigned => "self-signed",
            TlsTrouble::UnknownIssuer => "unknown-issuer",
            TlsTrouble::WrongName { .. } => "wrong-name",
            TlsTrouble::NotNow(_) => "not-now",
            TlsTrouble::Ended | TlsTrouble::Silent(_) | TlsTrouble::Other(_) => "tls",
        },
        SmtpError::NotSmtp { .. } => "not-smtp",
        SmtpError::Refused { .. } => "refused",
        SmtpError::NoCommonLogin { .. } => "no-login",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::settings;
    use std::time::Duration;

    fn with_port(port: &str) -> MailSettings {
        let pairs = [
            ("OVERLEAF_EMAIL_FROM_ADDRESS", "tex@example.org"),
            ("OVERLEAF_EMAIL_SMTP_HOST", "smtp.example.org"),
            ("OVERLEAF_EMAIL_SMTP_PORT", port),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        settings(&pairs.into()).unwrap()
    }

    fn refused(stage: Stage, code: u16, text: &str) -> SmtpError {
        let text = text.to_owned();
        SmtpError::Refused { stage, code, text }
    }

    #[test]
    fn each_failure_says_what_to_change() {
        let rows = Rows::load().unwrap();
        let second = Duration::from_secs(1);
        for (port, error, expected) in [
            (
                "465",
                SmtpError::Wire {
                    stage: Stage::Greeting,
                    source: WireError::Silent(second),
                },
                "OVERLEAF_EMAIL_SMTP_SECURE=true",
            ),
            (
                "587",
                SmtpError::Tls(TlsTrouble::NotTls),
                "SMTP_IGNORE_TLS=true",
            ),
            (
                "587",
                SmtpError::Tls(TlsTrouble::UnknownIssuer),
                "whole chain",
            ),
            ("587", refused(Stage::Login, 535, "5.7.8 bad"), "SMTP_USER"),
            (
                "587",
                refused(Stage::Login, 534, "Application-specific password required"),
                "application password",
            ),
            (
                "587",
                refused(Stage::Sender, 553, "not owned by user"),
                "OVERLEAF_EMAIL_FROM_ADDRESS",
            ),
            (
                "587",
                refused(Stage::Sender, 530, "Must issue a STARTTLS command first"),
                "SMTP_IGNORE_TLS",
            ),
            (
                "25",
                refused(Stage::Recipient, 554, "Relay access denied"),
                "SMTP_PASS",
            ),
            (
                "25",
                refused(Stage::Recipient, 450, "greylisted"),
                "ten minutes",
            ),
        ] {
            let found = rows.of_conversation(&with_port(port), &error);
            assert!(found.because.is_some(), "{error}");
            let text = found.fixes.join("\n");
            assert!(text.contains(expected), "{error}: {text}");
            assert!(!text.contains('{'), "{text}");
        }
        for (port, said, expected) in [
            ("587", "connect: Connection refused", "587 (SECURE=false)"),
            ("587", "smtp: Name or service not known", "SMTP_HOST"),
            ("25", "no connection within 20 s", "SMTP_PORT=587"),
            ("587", "no connection within 20 s", "firewall"),
        ] {
            let found = rows.of_connection(&with_port(port), said);
            assert!(
                found.fixes.join("\n").contains(expected),
                "{said}: {found:?}"
            );
        }
    }

    #[test]
    fn every_kind_has_a_last_resort() {
        let rows = Rows::load().unwrap();
        for kind in [
            "connect",
            "silent",
            "ended",
            "not-smtp",
            "refused",
            "no-login",
            "not-tls",
            "self-signed",
            "unknown-issuer",
            "wrong-name",
            "not-now",
            "tls",
            "broken",
        ] {
            let is_general = |row: &Row| {
                row.kind == kind
                    && row.stage.is_none()
                    && row.codes.is_empty()
                    && row.says.is_empty()
                    && row.ports.is_empty()
            };
            assert!(rows.trouble.iter().any(is_general), "{kind}");
        }
    }
}
