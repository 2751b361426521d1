//! The questions of `toolkit init`: what most people decide. Enter takes the default.

use std::net::IpAddr;

use super::super::super::{Session, error::CommandError, question};
use super::{Listen, TlsArg, data_path, proxy_addresses, site_url};
use crate::release::Edition;
use crate::seed::{self, Tls, Wishes};

/// Asks one question after the other. Hints stand on lines of their own: a prompt that wraps is drawn
/// twice.
///
/// # Errors
/// The operator stops, or there is no terminal any more.
pub(super) fn ask(wishes: &mut Wishes, session: &Session) -> Result<(), CommandError> {
    let hint = |text: &str| session.ui.say(&format!("  {text}"));
    session
        .ui
        .say("Enter takes the value in brackets; nothing is written before the last answer.");
    hint("ce: Community Edition, pro: Server Pro, cep: the community's extended edition");
    let edition = text("Edition", "ce", |text| {
        let edition = text.parse::<Edition>();
        edition.map(|_| ()).map_err(|error| error.to_string())
    })?;
    wishes.edition = edition.parse().ok();
    hint("The address people type, such as https://tex.example.org; empty: later");
    let url = optional("URL", |text| site_url(text).map(|_| ()))?;
    wishes.site_url = url.and_then(|url| site_url(&url).ok());
    wishes.tls = tls(wishes, &hint)?;
    listen(wishes, &hint)?;
    hint("Relative to the instance, or absolute; on a local file system");
    let folder = text("Data folder", "data", |text| data_path(text).map(|_| ()))?;
    wishes.data_path = (folder != "data").then_some(folder);
    Ok(())
}

fn tls(wishes: &Wishes, hint: &dyn Fn(&str)) -> Result<Tls, CommandError> {
    let is_https = |url: &String| url.starts_with("https://");
    let default = match wishes.site_url.as_ref().is_some_and(is_https) {
        true => "nginx",
        false => "off",
    };
    hint("off: plain HTTP, nginx: your certificate here, proxy: one of yours in front");
    let answer = text("HTTPS", default, |text| tls_word(text).map(|_| ()))?;
    Ok(match tls_word(&answer) {
        Ok(TlsArg::Nginx) => {
            let any = |_: &str| Ok(());
            hint("Certificate with its intermediates, and its key, both PEM");
            let certificate = text("Certificate", seed::CERTIFICATE_FILE, any)?;
            let private_key = text("Private key", seed::PRIVATE_KEY_FILE, any)?;
            Tls::Nginx {
                certificate: Some(certificate),
                private_key: Some(private_key),
            }
        }
        Ok(TlsArg::Proxy) => {
            hint("Its IP address or network; empty: it runs on this machine");
            let addresses = optional("Proxy", |text| proxy_addresses(text).map(|_| ()))?;
            Tls::Proxy {
                addresses: addresses.and_then(|text| proxy_addresses(&text).ok()),
            }
        }
        Ok(TlsArg::Off) | Err(_) => Tls::Off,
    })
}

fn tls_word(text: &str) -> Result<TlsArg, String> {
    <TlsArg as clap::ValueEnum>::from_str(text, false)
        .map_err(|_| "write off, nginx or proxy".to_owned())
}

fn listen(wishes: &mut Wishes, hint: &dyn Fn(&str)) -> Result<(), CommandError> {
    let (port, default) = match &wishes.tls {
        Tls::Nginx { .. } => (443, "0.0.0.0"),
        Tls::Proxy { addresses: Some(_) } => (80, "0.0.0.0"),
        Tls::Off | Tls::Proxy { addresses: None } => (80, "127.0.0.1"),
    };
    hint(&format!(
        "127.0.0.1: this machine only, 0.0.0.0: every network; with :PORT if not {port}"
    ));
    let answer = text("Listen on", default, |text| {
        text.parse::<Listen>().map(|_| ())
    })?;
    let listen: Option<Listen> = answer.parse().ok();
    wishes.listen = listen
        .map(|listen| listen.address)
        .or_else(|| default.parse::<IpAddr>().ok());
    wishes.port = listen.and_then(|listen| listen.port);
    Ok(())
}

/// An answer of one line, asked for again until it is sound.
// A text and not a list: the list hides the cursor, and Ctrl-C would leave it hidden.
fn text(
    prompt: &str,
    default: &str,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<String, CommandError> {
    let answer: String = dialoguer::Input::new()
        .with_prompt(prompt)
        .default(default.to_owned())
        .validate_with(|text: &String| check(text.trim()))
        .interact_text()
        .map_err(unanswered)?;
    Ok(answer.trim().to_owned())
}

/// As [`text`], but the answer may be empty.
fn optional(
    prompt: &str,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Option<String>, CommandError> {
    let answer: String = dialoguer::Input::new()
        .with_prompt(prompt)
        .allow_empty(true)
        .validate_with(|text: &String| match text.trim() {
            "" => Ok(()),
            text => check(text),
        })
        .interact_text()
        .map_err(unanswered)?;
    let answer = answer.trim();
    Ok((!answer.is_empty()).then(|| answer.to_owned()))
}

fn unanswered(error: dialoguer::Error) -> CommandError {
    question::unanswered(error)
        .fix("answer by flags (toolkit init --help), or take the defaults with --no-input")
}
