//! The e-mail settings of the application, what is odd about them, and what a failed conversation with
//! the server that they name means. [`smtp`] leads that conversation.
//!
//! Pure: knows neither the engine nor how anything is shown.

pub mod smtp;
mod trouble;
pub mod wire;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::secret::Secret;

pub use trouble::{Explained, Rows, RowsError};

/// Names of the variables begin with this, and with the other one before release 5.0.
const BRANDS: [&str; 2] = ["OVERLEAF_", "SHARELATEX_"];

/// The driver that is no SMTP.
const SES: &str = "ses";

/// When TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte on.
    AtOnce,
    /// After `STARTTLS`, where the server offers that.
    WhenOffered,
    /// Never.
    Never,
}

/// How the application sends e-mail.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When TLS is spoken.
    pub tls: Tls,
    /// Whether a certificate that nobody vouches for is refused.
    pub verifies: bool,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// File in the container that holds the password, where the password itself is not given.
    pub password_file: Option<String>,
    /// The address that messages come from, without a name.
    pub from: String,
    /// What the application calls itself.
    pub name: String,
    /// What the names of the variables begin with, such as `OVERLEAF_EMAIL_`.
    pub prefix: String,
    /// What is odd about the settings.
    pub oddities: Vec<String>,
}

/// Why the settings name no server that can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MailError {
    /// Nothing is configured.
    #[error("no e-mail is configured")]
    Unset {
        /// The variable without which none is sent.
        variable: String,
    },
    /// It goes by another way.
    #[error("e-mail goes through `{driver}`, which is not SMTP")]
    NotSmtp {
        /// The driver.
        driver: String,
        /// The variable that says so.
        variable: String,
    },
    /// A variable holds something else than it may.
    #[error("`{variable}` is `{value}`, which is no {expected}")]
    Wrong {
        /// The variable.
        variable: String,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
}

/// What the application's environment says about e-mail.
///
/// # Errors
/// See [`MailError`].
pub fn settings(environment: &BTreeMap<String, Option<String>>) -> Result<MailSettings, MailError> {
    let value = |name: &str| environment.get(name)?.as_deref().filter(|v| !v.is_empty());
    let is_old = |brand: &&&str| value(&format!("{brand}EMAIL_FROM_ADDRESS")).is_some();
    let brand = BRANDS.iter().find(is_old).unwrap_or(&BRANDS[0]);
    let prefix = format!("{brand}EMAIL_");
    let named = |name: &str| format!("{prefix}{name}");
    let get = |name: &str| value(&named(name));

    let Some(from) = get("FROM_ADDRESS") else {
        let variable = named("FROM_ADDRESS");
        return Err(MailError::Unset { variable });
    };
    if let Some(driver) = get("DRIVER").filter(|driver| driver.eq_ignore_ascii_case(SES)) {
        return Err(MailError::NotSmtp {
            driver: driver.to_owned(),
            variable: named("DRIVER"),
        });
    }
    let wrong = |name: &str, value: &str, expected| MailError::Wrong {
        variable: named(name),
        value: value.to_owned(),
        expected,
    };
    let from = address_of(from).ok_or_else(|| wrong("FROM_ADDRESS", from, "e-mail address"))?;
    let flag = |name: &str| match get(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(wrong(name, other, "`true` or `false`")),
    };
    let (secure, ignores) = (flag("SMTP_SECURE")?, flag("SMTP_IGNORE_TLS")?);
    let port = match get("SMTP_PORT") {
        None => None,
        Some(text) => match text.parse() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(wrong("SMTP_PORT", text, "port from 1 to 65535")),
        },
    };
    // The application's library goes by the port where nothing is said, and the other way round.
    let is_secure = secure.unwrap_or(port == Some(465));
    let settings = MailSettings {
        host: get("SMTP_HOST").unwrap_or("localhost").to_owned(),
        port: port.unwrap_or(if is_secure { 465 } else { 587 }),
        tls: match (is_secure, ignores) {
            (true, _) => Tls::AtOnce,
            (false, Some(true)) => Tls::Never,
            (false, _) => Tls::WhenOffered,
        },
        verifies: flag("SMTP_TLS_REJECT_UNAUTH")?.unwrap_or(true),
        login: login(get("SMTP_USER"), get("SMTP_PASS")),
        password_file: match get("SMTP_PASS") {
            Some(_) => None,
            None => get("SMTP_PASS_FILE").map(str::to_owned),
        },
        from: from.to_owned(),
        // What the library says where the machine's name has no dot, as in a container.
        name: get("SMTP_NAME").unwrap_or("[127.0.0.1]").to_owned(),
        prefix: prefix.clone(),
        oddities: Vec::new(),
    };
    let oddities = oddities(&settings, get("SMTP_HOST").is_some());
    Ok(MailSettings {
        oddities,
        ..settings
    })
}

fn login(user: Option<&str>, password: Option<&str>) -> Option<(String, Secret)> {
    if user.is_none() && password.is_none() {
        return None;
    }
    let password = Secret::new(password.unwrap_or_default());
    Some((user.unwrap_or_default().to_owned(), password))
}

/// What does not fit together, before anybody is asked.
fn oddities(settings: &MailSettings, is_host_set: bool) -> Vec<String> {
    let MailSettings { prefix, port, .. } = settings;
    let mut found = Vec::new();
    if !is_host_set {
        found.push(format!(
            "`{prefix}SMTP_HOST` is not set: the application asks its own container"
        ));
    }
    match (port, settings.tls) {
        (465, Tls::WhenOffered | Tls::Never) => found.push(format!(
            "port 465 speaks TLS at once, and `{prefix}SMTP_SECURE` is `false`: use `true` here, or port 587"
        )),
        (25 | 587 | 2525, Tls::AtOnce) => found.push(format!(
            "port {port} begins without TLS, and `{prefix}SMTP_SECURE` is `true`: use `false` here, or port 465"
        )),
        _ => {}
    }
    if *port == 25 {
        found.push("port 25 is for servers among themselves; many providers block it".to_owned());
    }
    if let Some((user, password)) = &settings.login {
        for (name, value) in [("USER", user.as_str()), ("PASS", password.expose())] {
            let is_elsewhere = name == "PASS" && settings.password_file.is_some();
            if value.is_empty() && !is_elsewhere {
                found.push(format!(
                    "`{prefix}SMTP_{name}` is empty, and the other is not"
                ));
            }
        }
        if settings.tls == Tls::Never {
            found.push(format!(
                "`{prefix}SMTP_IGNORE_TLS` is `true`: the password travels readable"
            ));
        }
    }
    if !settings.verifies {
        found.push(format!(
            "`{prefix}SMTP_TLS_REJECT_UNAUTH` is `false`: nobody knows who answers"
        ));
    }
    found
}

/// The bare address in `a@b` or `Name <a@b>`.
fn address_of(text: &str) -> Option<&str> {
    let bare = match text.rsplit_once('<') {
        Some((_, rest)) => rest.split('>').next()?,
        None => text,
    };
    let bare = bare.trim();
    is_mailbox(bare).then_some(bare)
}

/// Whether a text can stand for a mailbox in a command: nothing that ends the command or the path.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"".contains(c);
    match text.split_once('@') {
        Some((local, domain)) => {
            let is_whole = !local.is_empty() && !domain.is_empty() && !domain.contains('@');
            is_whole && text.chars().all(is_plain)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<MailSettings, MailError> {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
        settings(&pairs.collect())
    }

    const FROM: (&str, &str) = ("OVERLEAF_EMAIL_FROM_ADDRESS", "Ours <tex@example.org>");
    const HOST: (&str, &str) = ("OVERLEAF_EMAIL_SMTP_HOST", "smtp.example.org");

    #[test]
    fn defaults_are_those_of_the_library() {
        let port = |value| ("OVERLEAF_EMAIL_SMTP_PORT", value);
        let secure = |value| ("OVERLEAF_EMAIL_SMTP_SECURE", value);
        let ignore = ("OVERLEAF_EMAIL_SMTP_IGNORE_TLS", "true");
        for (more, expected) in [
            (vec![], (587, Tls::WhenOffered)),
            (vec![secure("true")], (465, Tls::AtOnce)),
            (vec![port("465")], (465, Tls::AtOnce)),
            (vec![port("465"), secure("false")], (465, Tls::WhenOffered)),
            (vec![port("25"), ignore], (25, Tls::Never)),
        ] {
            let found = of(&[&[FROM, HOST], more.as_slice()].concat()).unwrap();
            assert_eq!((found.port, found.tls), expected, "{more:?}");
            assert_eq!(found.from, "tex@example.org");
        }
    }

    #[test]
    fn what_names_no_server_says_so() {
        for (pairs, expected) in [
            (vec![], "no e-mail is configured"),
            (
                vec![FROM, ("OVERLEAF_EMAIL_DRIVER", "ses")],
                "e-mail goes through `ses`, which is not SMTP",
            ),
            (
                vec![FROM, ("OVERLEAF_EMAIL_SMTP_SECURE", "yes")],
                "`OVERLEAF_EMAIL_SMTP_SECURE` is `yes`, which is no `true` or `false`",
            ),
            (
                vec![FROM, ("OVERLEAF_EMAIL_SMTP_PORT", "0")],
                "`OVERLEAF_EMAIL_SMTP_PORT` is `0`, which is no port from 1 to 65535",
            ),
            (
                vec![("OVERLEAF_EMAIL_FROM_ADDRESS", "nobody")],
                "`OVERLEAF_EMAIL_FROM_ADDRESS` is `nobody`, which is no e-mail address",
            ),
        ] {
            assert_eq!(of(&pairs).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_names_of_older_releases_count() {
        let found = of(&[
            ("SHARELATEX_EMAIL_FROM_ADDRESS", "a@example.org"),
            ("SHARELATEX_EMAIL_SMTP_HOST", "old.example.org"),
        ]);
        let found = found.unwrap();
        assert_eq!(found.host, "old.example.org");
        assert_eq!(found.prefix, "SHARELATEX_EMAIL_");
    }

    #[test]
    fn ports_and_words_that_do_not_fit_are_named() {
        for (port, secure, expected) in [
            ("465", "false", "port 465 speaks TLS at once"),
            ("587", "true", "port 587 begins without TLS"),
            ("25", "false", "port 25 is for servers among themselves"),
        ] {
            let pairs = [
                FROM,
                HOST,
                ("OVERLEAF_EMAIL_SMTP_PORT", port),
                ("OVERLEAF_EMAIL_SMTP_SECURE", secure),
            ];
            let found = of(&pairs).unwrap().oddities;
            assert!(found[0].starts_with(expected), "{found:?}");
        }
        let pairs = [
            FROM,
            HOST,
            ("OVERLEAF_EMAIL_SMTP_USER", "tex"),
            ("OVERLEAF_EMAIL_SMTP_PASS", "hunter2"),
        ];
        let found = of(&pairs).unwrap();
        assert_eq!(found.oddities, Vec::<String>::new());
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn a_mailbox_cannot_end_a_command() {
        for (text, expected) in [
            ("a@example.org", true),
            ("a+b@example.org", true),
            ("a@b@c", false),
            ("a@example.org>\r\nDATA", false),
            ("@example.org", false),
            ("a b@example.org", false),
        ] {
            assert_eq!(is_mailbox(text), expected, "{text:?}");
        }
    }
}
