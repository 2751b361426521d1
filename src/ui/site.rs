//! Whether the site is open, as text and as JSON.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::site::{Closed, FileState, SiteStatus, Verdict};

/// What a wish says, in a few words.
fn wished(closed: &Closed, zone: UtcOffset) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]");
    let since = OffsetDateTime::parse(&closed.since, &Rfc3339);
    let since = since.ok().map(|at| at.to_offset(zone));
    let since = since.and_then(|at| at.format(&format).ok());
    let since = since.unwrap_or_else(|| closed.since.clone());
    let message = closed.message.as_deref();
    let message = message.map(|message| format!(": {message}"));
    let by = match closed.by.as_str() {
        "" => String::new(),
        by => format!(" by {by}"),
    };
    format!("closed since {since}{by}{}", message.unwrap_or_default())
}

/// The one line that `status` has about the site; `None` for an open one.
#[must_use]
pub fn line(status: &SiteStatus, zone: UtcOffset) -> Option<String> {
    let text = match (status.verdict(), &status.wish) {
        (Verdict::WishLost, Some(_)) => {
            "the site is open, and is meant to be closed; `toolkit site close` closes it again"
                .to_owned()
        }
        (_, Some(wish)) => format!(
            "the site is {}; `toolkit site open` opens it",
            wished(wish, zone)
        ),
        (Verdict::LeftClosed | Verdict::ClosedByOthers, None) => {
            "the site is closed, and not by `toolkit site close`; `toolkit site status` tells more"
                .to_owned()
        }
        _ => return None,
    };
    Some(format!("{text}\n"))
}

/// How the site is, for people.
#[must_use]
pub fn view(status: &SiteStatus, file: Option<&str>, zone: UtcOffset) -> String {
    let wish = match &status.wish {
        Some(wish) => wished(wish, zone),
        None => "open".to_owned(),
    };
    let state = match status.file {
        None => "there is no container",
        Some(FileState::Open) => "open",
        Some(FileState::Closed) => "closed",
        Some(FileState::Missing) => "missing",
    };
    let file = match file {
        Some(file) => format!("{state} ({file} in the container)"),
        None => "this release looks at none".to_owned(),
    };
    let answer = match &status.answer {
        Some(Ok((code, text))) => format!("{code} {}", text.trim()),
        Some(Err(because)) => format!("none: {because}"),
        None => "none: the application does not run".to_owned(),
    };
    let mut text = format!("wanted  {wish}\nfile    {file}\nanswer  {answer}\n");
    text.push_str(&format!("{}\n", meaning(status.verdict())));
    if status.file == Some(FileState::Closed) {
        text.push_str(
            "administrators can still work, and pushes of the git integration go on; `toolkit stop git-bridge` ends those\n",
        );
    }
    text
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Open => "the site is open",
        Verdict::Closed => "the site is closed, as it is meant to be; `toolkit site open` opens it",
        Verdict::Closing => "the application closes the site at its next look, within 5 s",
        Verdict::Opening => {
            "the application opens the site at its next look, within 5 s; if it stays closed, look for SITE_OPEN and EDITOR_OPEN in config/variables.env"
        }
        Verdict::ClosedByOthers => {
            "the site is closed, and not by `toolkit site close`: somebody wrote the file, or it came with the image; `toolkit site open` opens it"
        }
        Verdict::LeftClosed => {
            "the site was closed by a stop that did not come to its end; `toolkit site open` opens it"
        }
        Verdict::WishLost => {
            "the site is open, and is meant to be closed: the container was made by other hands; `toolkit site close` closes it again"
        }
        Verdict::Down => "the site does not answer; `toolkit status` tells more",
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Open => "open",
        Verdict::Closed => "closed",
        Verdict::Closing => "closing",
        Verdict::Opening => "opening",
        Verdict::ClosedByOthers => "closed-by-others",
        Verdict::LeftClosed => "left-closed",
        Verdict::WishLost => "wish-lost",
        Verdict::Down => "down",
    }
}

/// How the site is, for machines.
#[must_use]
pub fn value(status: &SiteStatus) -> Value {
    let answer = status.answer.as_ref();
    json!({
        "verdict": word(status.verdict()),
        "wanted": if status.wish.is_some() { "closed" } else { "open" },
        "since": status.wish.as_ref().map(|wish| &wish.since),
        "message": status.wish.as_ref().and_then(|wish| wish.message.as_ref()),
        "by": status.wish.as_ref().map(|wish| &wish.by),
        "file": status.file.map(|file| match file {
            FileState::Open => "open",
            FileState::Closed => "closed",
            FileState::Missing => "missing",
        }),
        "answer": answer.and_then(|answer| answer.as_ref().ok()).map(|(code, text)| {
            json!({ "status": code, "text": text.trim() })
        }),
    })
}
