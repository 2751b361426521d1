//! A conversation with a mail server, as text and as JSON.

use serde_json::{Value, json};

use super::words::Style;
use crate::mail::smtp::{Line, Speaker};
use crate::mail::{MailSettings, Tls};

/// What is going to be tried, in a line.
#[must_use]
pub fn heading(settings: &MailSettings, container: &str) -> String {
    let tls = match settings.tls {
        Tls::AtOnce => "TLS at once",
        Tls::WhenOffered => "TLS where the server offers it",
        Tls::Never => "no TLS",
    };
    let login = match &settings.login {
        Some((user, _)) => format!("login as `{user}`"),
        None => "no login".to_owned(),
    };
    format!(
        "{}:{} from container `{container}`: {tls}, {login}, sender {}\n",
        settings.host, settings.port, settings.from
    )
}

/// The conversation for people: `>` is what is said to the server, `<` what it says.
#[must_use]
pub fn view(lines: &[Line], style: Style) -> String {
    let lines = lines.iter().map(|line| match line.speaker {
        Speaker::Client => format!("  > {}\n", line.text),
        Speaker::Server => format!("  < {}\n", line.text),
        Speaker::Note => format!("    {}\n", style.dim(&line.text)),
    });
    lines.collect()
}

/// The conversation for machines.
#[must_use]
pub fn value(settings: &MailSettings, to: &str, lines: &[Line], is_sent: bool) -> Value {
    let dialogue = lines.iter().map(|line| {
        let by = match line.speaker {
            Speaker::Client => "client",
            Speaker::Server => "server",
            Speaker::Note => "note",
        };
        json!({ "by": by, "text": line.text })
    });
    json!({
        "host": settings.host, "port": settings.port, "from": settings.from, "to": to,
        "tls": match settings.tls {
            Tls::AtOnce => "at-once",
            Tls::WhenOffered => "when-offered",
            Tls::Never => "never",
        },
        "oddities": settings.oddities, "sent": is_sent,
        "dialogue": dialogue.collect::<Vec<_>>(),
    })
}
