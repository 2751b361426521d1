//! `toolkit mail`: whether the application can send e-mail.

use std::time::Duration;

use super::super::people::Place;
use super::super::{Session, error::CommandError, exit};
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::inside::Inside;
use crate::host;
use crate::mail::smtp::{self, Request};
use crate::mail::{self, Explained, MailError, MailSettings, Rows};
use crate::observed::Container;
use crate::release::APPLICATION;
use crate::secret::Secret;
use crate::tls::{FURTHER_CERTIFICATES, Trust};
use crate::ui::json;
use crate::ui::mail as shown;
use crate::ui::words;

/// How long a connection may take, and each answer.
const CONNECTION: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(30);

/// Schema of the answer.
const SCHEMA: &str = "toolkit.mail.test/v1";

/// Try whether the application can send e-mail
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: MailCommand,
}

#[derive(Debug, clap::Subcommand)]
enum MailCommand {
    Test(TestArgs),
}

/// Send a message as the application would, and show the conversation with the mail server
///
/// The connection begins in the application's container, with the server, login and sender that
/// config/variables.env names. Passwords are covered.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit mail test you@example.org\n  toolkit mail test you@example.org --no-send   # stop before the message\n  toolkit mail test you@example.org --format json"
)]
struct TestArgs {
    /// Who gets the message
    address: String,
    /// Stop before the message is sent
    #[arg(long)]
    no_send: bool,
}

/// Runs the one subcommand.
///
/// # Errors
/// E-mail is not configured, the application does not run, or the server does not take the message.
pub async fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    match &args.command {
        MailCommand::Test(args) => test(args, session).await,
    }
}

async fn test(args: &TestArgs, session: &Session) -> Result<u8, CommandError> {
    if !mail::is_mailbox(&args.address) {
        let message = format!("`{}` is no e-mail address", args.address);
        return Err(CommandError::new("EMAIL_INVALID", exit::USAGE, message));
    }
    let place = Place::find(session).await?;
    let project = &place.instance.deployment.project;
    let environment = project.services.get(APPLICATION);
    let environment = environment.map(|service| &service.environment.0);
    let environment = environment.cloned().unwrap_or_default();
    let mut settings = mail::settings(&environment)?;
    let container = place.application().await?;
    let ui = &session.ui;
    let mut warnings = Vec::new();
    warnings.extend(outdated(&differing(
        &environment,
        &container,
        &settings.prefix,
    )));
    let file = |path: String| {
        let (engine, id) = (&place.engine, &container.id);
        async move { engine.file(id, &path).await }
    };
    if let (Some(path), Some((user, _))) = (&settings.password_file, &settings.login) {
        let content = file(path.clone()).await?;
        let content = content.ok_or_else(|| no_password(path))?;
        let password = Secret::new(String::from_utf8_lossy(&content));
        settings.login = Some((user.clone(), password));
    }
    let named = environment.get(FURTHER_CERTIFICATES).cloned().flatten();
    let further = match named.filter(|path| !path.is_empty()) {
        Some(path) => file(path.clone()).await?.unwrap_or_else(|| {
            warnings.push(format!(
                "`{path}` of {FURTHER_CERTIFICATES} is no file in the container: its certificates are not known here"
            ));
            Vec::new()
        }),
        None => Vec::new(),
    };
    let trust = Trust {
        accepts_any: !settings.verifies,
        further: String::from_utf8_lossy(&further).into_owned(),
    };
    warnings.extend(settings.oddities.iter().cloned());
    if ui.is_json() {
        warnings.extend(place.instance.warnings.iter().cloned());
    } else {
        warnings.iter().for_each(|warning| ui.warn(warning));
    }
    if session.dry_run {
        if ui.is_json() {
            let data = shown::value(&settings, &args.address, &[], false);
            ui.document(SCHEMA, &data, &warnings);
        } else {
            ui.answer(&shown::heading(&settings, &container.name));
        }
        return Ok(exit::DONE);
    }
    let message = (!args.no_send).then(|| message(&settings, &args.address));
    let message = message.transpose()?;
    let request = Request {
        settings: &settings,
        trust: &trust,
        to: &args.address,
        message: message.as_deref(),
        deadline: ANSWER.min(session.timeout),
    };
    let mut lines = Vec::new();
    let outcome = converse(&place, &container, &request, &mut lines, session).await;
    let is_sent = outcome.is_ok() && message.is_some();
    let data = shown::value(&settings, &args.address, &lines, is_sent);
    match outcome {
        Ok(()) if ui.is_json() => ui.document(SCHEMA, &data, &warnings),
        Err(error) if ui.is_json() => {
            let refusal = json::refusal_with(SCHEMA, &data, &error.failure, &warnings);
            ui.answer(&refusal);
            return Ok(error.failure.exit_code);
        }
        outcome => {
            ui.answer(&shown::heading(&settings, &container.name));
            ui.answer(&shown::view(&lines, ui.answer_style()));
            outcome?;
            let done = ui.style().done();
            let (host, to) = (&settings.host, &args.address);
            ui.say(&match is_sent {
                true => format!("{done} {host} has taken the message for {to}; if it does not arrive, look for it among unwanted mail"),
                false => format!("{done} {host} would take a message for {to}"),
            });
        }
    }
    Ok(exit::DONE)
}

/// Connects from the container and talks.
async fn converse(
    place: &Place,
    container: &Container,
    request: &Request<'_>,
    lines: &mut Vec<smtp::Line>,
    session: &Session,
) -> Result<(), CommandError> {
    let settings = request.settings;
    let rows = Rows::load();
    let rows = rows.map_err(|error| CommandError::new("BUG", exit::BUG, error.to_string()))?;
    let at = format!("{}:{}", settings.host, settings.port);
    let unreached = |because: String| {
        let error = CommandError::new(
            "MAIL_UNREACHABLE",
            exit::UNREACHABLE,
            format!("no connection to {at} from container `{}`", container.name),
        );
        explained(
            error.because(because.clone()),
            &rows.of_connection(settings, &because),
        )
    };
    let deadline = CONNECTION.min(session.timeout);
    let connected = place
        .engine
        .open_stream_from(&container.id, &settings.host, settings.port);
    let stream = match tokio::time::timeout(deadline, connected).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(EngineError::Refused { message, .. })) => {
            return Err(unreached(without_code(&message).to_owned()));
        }
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => {
            return Err(unreached(format!(
                "no connection within {} s",
                deadline.as_secs()
            )));
        }
    };
    smtp::talk(stream, request, lines).await.map_err(|error| {
        let failed = CommandError::new("MAIL_FAILED", exit::FAILED, error.to_string());
        explained(failed, &rows.of_conversation(settings, &error))
    })
}

fn explained(mut error: CommandError, explained: &Explained) -> CommandError {
    if let Some(because) = &explained.because {
        error = error.because(because.clone());
    }
    explained.fixes.iter().fold(error, CommandError::fix)
}

/// The variables about e-mail that the container has in another form than the configuration.
fn differing(
    environment: &std::collections::BTreeMap<String, Option<String>>,
    container: &Container,
    prefix: &str,
) -> Vec<String> {
    let configured = environment
        .iter()
        .filter(|(name, _)| name.starts_with(prefix));
    let differing = configured.filter(|(name, value)| {
        let made = container.environment.0.get(*name);
        made.map(String::as_str).unwrap_or_default() != value.as_deref().unwrap_or_default()
    });
    differing.map(|(name, _)| name.clone()).collect()
}

/// What there is to say about them, in one line.
fn outdated(names: &[String]) -> Option<String> {
    let (first, rest) = names.split_first()?;
    let named: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let (which, new) = match rest {
        [] => (format!("another `{first}` than"), "one"),
        _ => (
            format!("other values of {} than", words::list(&named)),
            "ones",
        ),
    };
    Some(format!(
        "the container still has {which} config/variables.env; `toolkit up` brings the new {new}"
    ))
}

/// What a program of this toolkit in a container says, without the name of its failure: that program is
/// none that people started.
fn without_code(said: &str) -> &str {
    let behind = said.trim_start().strip_prefix("error[");
    behind
        .and_then(|behind| behind.split_once("]: "))
        .map_or(said, |(_, message)| message)
}

/// A message that says what it is.
fn message(settings: &MailSettings, to: &str) -> Result<String, CommandError> {
    let from = &settings.from;
    let domain = from
        .rsplit_once('@')
        .map_or("localhost", |(_, domain)| domain);
    let id: String = host::new_secret()?.chars().take(24).collect();
    let format = time::format_description::well_known::Rfc2822;
    let date = super::super::now().format(&format).unwrap_or_default();
    Ok(format!(
        "From: <{from}>\nTo: <{to}>\nSubject: Test of the e-mail settings of Overleaf\nDate: {date}\nMessage-ID: <{id}@{domain}>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nThis message was sent by `toolkit mail test` with the settings of your Overleaf.\nIf you read it, they work.\n"
    ))
}

impl From<MailError> for CommandError {
    fn from(error: MailError) -> Self {
        let message = error.to_string();
        match error {
            MailError::Unset { variable } => {
                Self::new("MAIL_UNSET", exit::CONFIGURATION, message)
                    .because(format!("without `{variable}` the application sends nothing"))
                    .fix(format!("set {variable}, and SMTP_HOST, SMTP_PORT, SMTP_SECURE, SMTP_USER and SMTP_PASS with the same beginning, in config/variables.env"))
                    .command("toolkit config docs EMAIL_SMTP")
            }
            MailError::NotSmtp { variable, .. } => {
                Self::new("MAIL_NOT_SMTP", exit::CONFIGURATION, message)
                    .because(format!("`{variable}` says so; there is no conversation that could be shown"))
                    .fix("look into the provider's console, or use its SMTP interface: remove the variable and set SMTP_HOST and the others")
            }
            MailError::Wrong { variable, .. } => {
                Self::new("MAIL_INVALID", exit::CONFIGURATION, message)
                    .state("nothing was tried")
                    .fix(format!("correct {variable} in config/variables.env"))
            }
        }
    }
}
/// The file with the password is not there: an empty one would lock the account at the third attempt.
fn no_password(path: &str) -> CommandError {
    let message = format!("`{path}` with the password is no file in the container");
    CommandError::new("MAIL_INVALID", exit::CONFIGURATION, message)
        .state("no server was asked")
        .fix("mount it, or name a file instead of a link in config/variables.env")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_are_not_brought_yet_are_one_line() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(outdated(&[]), None);
        assert_eq!(
            outdated(&names(&["A"])).unwrap(),
            "the container still has another `A` than config/variables.env; `toolkit up` brings the new one"
        );
        assert_eq!(
            outdated(&names(&["A", "B"])).unwrap(),
            "the container still has other values of `A` and `B` than config/variables.env; `toolkit up` brings the new ones"
        );
    }

    #[test]
    fn the_name_of_a_failure_inside_is_not_told() {
        for (said, told) in [
            (
                "error[SERVE_FAILED]: Connection refused (os error 111)",
                "Connection refused (os error 111)",
            ),
            ("connect: Connection refused", "connect: Connection refused"),
            ("error[x", "error[x"),
        ] {
            assert_eq!(without_code(said), told);
        }
    }
}
