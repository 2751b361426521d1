//! A conversation with a mail server in the words of the application's own library: greeting, EHLO,
//! STARTTLS, login, sender, recipient, message. Every line is kept, secrets are covered.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::wire::{Stream, Wire, WireError};
use super::{MailSettings, Tls};
use crate::secret::Secret;
use crate::tls::{TlsTrouble, Trust};

/// Most lines of one reply.
const MOST_LINES: usize = 100;

/// What stands for a secret.
const COVERED: &str = "********";

/// A step of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The server's first line.
    Greeting,
    /// Both say who they are and what they can do.
    Hello,
    /// The change to TLS.
    Tls,
    /// User and password.
    Login,
    /// The sender's address.
    Sender,
    /// The recipient's address.
    Recipient,
    /// Before the message.
    Data,
    /// After the message.
    Message,
}

impl Stage {
    /// Its name in the rows of `lib/mail.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Hello => "hello",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::Data => "data",
            Self::Message => "message",
        }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// This program, in place of the application.
    Client,
    /// The mail server.
    Server,
    /// Nobody: a remark.
    Note,
}

/// A line of the conversation, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who speaks.
    pub speaker: Speaker,
    /// What is said.
    pub text: String,
}

/// Why a conversation did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SmtpError {
    /// The connection gives no line.
    #[error("{source}")]
    Wire {
        /// Where.
        stage: Stage,
        /// Why.
        source: WireError,
    },
    /// No TLS came about.
    #[error("{0}")]
    Tls(TlsTrouble),
    /// What answers is no mail server.
    #[error("what answers is no mail server: it says `{said}`")]
    NotSmtp {
        /// Its first line.
        said: String,
    },
    /// The server says no.
    #[error("the server refuses with {code}: {text}")]
    Refused {
        /// What.
        stage: Stage,
        /// Its code.
        code: u16,
        /// Its words.
        text: String,
    },
    /// There is no kind of login that both know.
    #[error("the server takes a login only by {}", .offered.join(", "))]
    NoCommonLogin {
        /// The kinds it offers.
        offered: Vec<String>,
    },
}

/// What is to be said.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Server, login and sender.
    pub settings: &'a MailSettings,
    /// Who vouches for the server.
    pub trust: &'a Trust,
    /// Who gets the message.
    pub to: &'a str,
    /// The message with its head, lines ended by LF; `None` stops before it.
    pub message: Option<&'a str>,
    /// How long each answer may take.
    pub deadline: Duration,
}

/// A reply of the server.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn text(&self) -> String {
        self.lines.join(" ")
    }

    fn is_good(&self) -> bool {
        (200..400).contains(&self.code)
    }
}

/// What a server offers, from its answer to EHLO.
#[derive(Debug, Default)]
struct Offer {
    starts_tls: bool,
    logins: Vec<String>,
}

struct Conversation<'a> {
    wire: Wire,
    request: &'a Request<'a>,
    lines: &'a mut Vec<Line>,
}

/// Leads the conversation over a connection that is open; what is said is added to `lines`.
///
/// # Errors
/// See [`SmtpError`].
pub async fn talk(
    stream: impl Stream + 'static,
    request: &Request<'_>,
    lines: &mut Vec<Line>,
) -> Result<(), SmtpError> {
    let mut conversation = Conversation {
        wire: Wire::new(stream, request.deadline),
        request,
        lines,
    };
    if request.settings.tls == Tls::AtOnce {
        conversation = conversation.protect().await?;
    }
    conversation.greeting().await?;
    let mut offer = conversation.hello().await?;
    if request.settings.tls == Tls::WhenOffered {
        if offer.starts_tls {
            conversation.ask("STARTTLS", Stage::Tls).await?;
            conversation = conversation.protect().await?;
            offer = conversation.hello().await?;
        } else {
            conversation.note("the server offers no STARTTLS: all that follows is readable");
        }
    }
    conversation.login(&offer).await?;
    conversation.deliver().await
}

impl Conversation<'_> {
    fn note(&mut self, text: impl Into<String>) {
        self.add(Speaker::Note, text.into());
    }

    fn add(&mut self, speaker: Speaker, text: String) {
        self.lines.push(Line { speaker, text });
    }

    async fn protect(mut self) -> Result<Self, SmtpError> {
        let host = &self.request.settings.host;
        let protected = self.wire.into_tls(host, self.request.trust).await;
        let (wire, version) = protected.map_err(SmtpError::Tls)?;
        self.lines.push(Line {
            speaker: Speaker::Note,
            text: match self.request.trust.accepts_any {
                true => format!("{version}; the certificate is not looked at"),
                false => format!("{version}; the certificate is good for {host}"),
            },
        });
        self.wire = wire;
        Ok(self)
    }

    async fn greeting(&mut self) -> Result<(), SmtpError> {
        let stage = Stage::Greeting;
        let first = self.wire.line().await;
        let first = first.map_err(|source| SmtpError::Wire { stage, source })?;
        let is_smtp = code_of(&first).is_some();
        let said = self.covered(&first);
        self.add(Speaker::Server, said.clone());
        if !is_smtp {
            return Err(SmtpError::NotSmtp { said });
        }
        let reply = self.rest_of(first, stage).await?;
        good(reply, stage).map(|_| ())
    }

    async fn hello(&mut self) -> Result<Offer, SmtpError> {
        let hello = format!("EHLO {}", self.request.settings.name);
        let reply = self.ask(&hello, Stage::Hello).await?;
        Ok(offer(&reply.lines))
    }

    /// Sends a command and takes a reply that is no refusal.
    async fn ask(&mut self, command: &str, stage: Stage) -> Result<Reply, SmtpError> {
        self.ask_covered(command, command, stage).await
    }

    async fn ask_covered(
        &mut self,
        command: &str,
        shown: &str,
        stage: Stage,
    ) -> Result<Reply, SmtpError> {
        self.add(Speaker::Client, shown.to_owned());
        let sent = self.wire.send(&format!("{command}\r\n")).await;
        sent.map_err(|source| SmtpError::Wire { stage, source })?;
        let reply = self.reply(stage).await?;
        good(reply, stage)
    }

    async fn reply(&mut self, stage: Stage) -> Result<Reply, SmtpError> {
        let first = self.wire.line().await;
        let first = first.map_err(|source| SmtpError::Wire { stage, source })?;
        let said = self.covered(&first);
        self.add(Speaker::Server, said);
        self.rest_of(first, stage).await
    }

    /// The reply that begins with this line.
    async fn rest_of(&mut self, first: String, stage: Stage) -> Result<Reply, SmtpError> {
        let failed = |source| SmtpError::Wire { stage, source };
        let code = code_of(&first).ok_or(failed(WireError::NotLines))?;
        let mut is_last = is_last(&first);
        let mut lines = vec![self.covered(text_of(&first))];
        while !is_last {
            let line = self.wire.line().await.map_err(failed)?;
            if lines.len() >= MOST_LINES || code_of(&line) != Some(code) {
                return Err(failed(WireError::NotLines));
            }
            is_last = self::is_last(&line);
            lines.push(self.covered(text_of(&line)));
            let said = self.covered(&line);
            self.add(Speaker::Server, said);
        }
        Ok(Reply { code, lines })
    }

    /// A line of the server without the password, should it repeat that.
    fn covered(&self, text: &str) -> String {
        let Some((user, password)) = &self.request.settings.login else {
            return text.to_owned();
        };
        let mut covered = text.to_owned();
        let secrets = [
            password.expose().to_owned(),
            STANDARD.encode(password.expose()),
            STANDARD.encode(plain(user, password)),
        ];
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            covered = covered.replace(secret.as_str(), COVERED);
        }
        covered
    }

    async fn login(&mut self, offer: &Offer) -> Result<(), SmtpError> {
        let settings = self.request.settings;
        let Some((user, password)) = &settings.login else {
            return Ok(());
        };
        let stage = Stage::Login;
        let offers = |kind: &str| offer.logins.iter().any(|offered| offered == kind);
        if offer.logins.is_empty() {
            self.note("the server offers no login: the application goes on without one");
            return Ok(());
        }
        if offers("PLAIN") {
            let secret = STANDARD.encode(plain(user, password));
            let (command, shown) = (
                format!("AUTH PLAIN {secret}"),
                format!("AUTH PLAIN {COVERED}"),
            );
            self.ask_covered(&command, &shown, stage).await?;
            return Ok(());
        }
        if !offers("LOGIN") {
            let offered = offer.logins.clone();
            return Err(SmtpError::NoCommonLogin { offered });
        }
        self.ask("AUTH LOGIN", stage).await?;
        let shown = format!("{user} (in base64)");
        self.ask_covered(&STANDARD.encode(user), &shown, stage)
            .await?;
        let secret = STANDARD.encode(password.expose());
        self.ask_covered(&secret, COVERED, stage).await?;
        Ok(())
    }

    async fn deliver(&mut self) -> Result<(), SmtpError> {
        let Request { settings, to, .. } = *self.request;
        let from = format!("MAIL FROM:<{}>", settings.from);
        self.ask(&from, Stage::Sender).await?;
        self.ask(&format!("RCPT TO:<{to}>"), Stage::Recipient)
            .await?;
        match self.request.message {
            Some(message) => {
                self.ask("DATA", Stage::Data).await?;
                let shown = format!("(the message, {} lines)", message.lines().count());
                let body = stuffed(message);
                // The command's own line end is that of the dot.
                self.ask_covered(&format!("{body}."), &shown, Stage::Message)
                    .await?;
            }
            None => {
                self.ask("RSET", Stage::Data).await?;
                self.note("stopped before the message, as asked for");
            }
        }
        self.add(Speaker::Client, "QUIT".to_owned());
        // All is said; how the server says good-bye does not matter.
        if self.wire.send("QUIT\r\n").await.is_ok()
            && let Ok(last) = self.wire.line().await
        {
            self.add(Speaker::Server, last);
        }
        Ok(())
    }
}

fn plain(user: &str, password: &Secret) -> String {
    format!("\0{user}\0{}", password.expose())
}

fn good(reply: Reply, stage: Stage) -> Result<Reply, SmtpError> {
    if reply.is_good() {
        return Ok(reply);
    }
    Err(SmtpError::Refused {
        stage,
        code: reply.code,
        text: reply.text(),
    })
}

/// The code that a line of a reply begins with.
fn code_of(line: &str) -> Option<u16> {
    let (code, rest) = line.split_at_checked(3)?;
    let is_reply = rest.is_empty() || rest.starts_with([' ', '-']);
    let code: u16 = code.parse().ok()?;
    (is_reply && (200..600).contains(&code)).then_some(code)
}

fn is_last(line: &str) -> bool {
    line.as_bytes().get(3) != Some(&b'-')
}

fn text_of(line: &str) -> &str {
    line.get(4..).unwrap_or_default().trim()
}

fn offer(lines: &[String]) -> Offer {
    let mut offer = Offer::default();
    // The first line is the server's own name.
    for line in lines.iter().skip(1) {
        let line = line.to_uppercase();
        if line == "STARTTLS" {
            offer.starts_tls = true;
        }
        // Old servers write an equals sign.
        if let Some(kinds) = line
            .strip_prefix("AUTH")
            .filter(|kinds| kinds.starts_with([' ', '=']))
        {
            offer.logins.extend(
                kinds
                    .split([' ', '='])
                    .filter(|kind| !kind.is_empty())
                    .map(str::to_owned),
            );
        }
    }
    offer
}

/// A message with the line ends of the protocol, and no line that would end it early.
fn stuffed(message: &str) -> String {
    let lines = message.lines().map(|line| match line.starts_with('.') {
        true => format!(".{line}\r\n"),
        false => format!("{line}\r\n"),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_from_other_lines() {
        assert_eq!(code_of("220 mail.example.org ESMTP"), Some(220));
        assert_eq!(code_of("250-SIZE"), Some(250));
        assert_eq!(code_of("354"), Some(354));
        for line in ["SSH-2.0-OpenSSH_9.6", "HTTP/1.1 400", "2200 x", "199 x", ""] {
            assert_eq!(code_of(line), None, "{line}");
        }
    }

    #[test]
    fn an_offer_is_read_in_both_spellings() {
        let lines = [
            "mail.example.org",
            "STARTTLS",
            "auth=LOGIN",
            "AUTH PLAIN LOGIN",
            "AUTHX",
        ];
        let offer = offer(&lines.map(str::to_owned));
        assert!(offer.starts_tls);
        assert_eq!(offer.logins, ["LOGIN", "PLAIN", "LOGIN"]);
    }

    #[test]
    fn a_dot_does_not_end_a_message() {
        assert_eq!(stuffed("a\n.\n..b\n"), "a\r\n..\r\n...b\r\n");
    }
}
