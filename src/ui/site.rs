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
        (Verdict::EditorClosed, None) => {
            let why = match status.is_editor_off {
                true => "EDITOR_OPEN in config/variables.env",
                false => "the admin panel",
            };
            format!("the editor is closed by {why}; `toolkit site status` tells more")
        }
        _ => return None,
    };
    Some(format!("{text}\n"))
}

/// How the site is, for people. Where the project has a git integration, a closed site says what that
/// does.
#[must_use]
pub fn view(status: &SiteStatus, file: Option<&str>, has_git: bool, zone: UtcOffset) -> String {
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
    text.push_str(&format!("{}\n", meaning(status)));
    if status.is_running && status.file == Some(FileState::Closed) {
        text.push_str("administrators can still work");
        if has_git {
            text.push_str(
                ", and pushes of the git integration go on; `toolkit stop git-bridge` ends those",
            );
        }
        text.push('\n');
    }
    text
}

fn meaning(status: &SiteStatus) -> &'static str {
    match status.verdict() {
        Verdict::Open => "the site is open",
        Verdict::Closed => "the site is closed, as it is meant to be; `toolkit site open` opens it",
        Verdict::Closing => "the application closes the site at its next look, within 5 s",
        Verdict::Opening => {
            "the application opens the site at its next look, within 5 s; if it stays closed, look for SITE_OPEN in config/variables.env"
        }
        Verdict::ClosedByOthers => {
            "the site is closed, and not by `toolkit site close`: somebody wrote the file, or it came with the image; `toolkit site open` opens it"
        }
        Verdict::LeftClosed => {
            "the site was closed by a stop that did not come to its end; `toolkit site open` opens it"
        }
        Verdict::WishLost => {
            "the site is open, and is meant to be closed: somebody rewrote the file, or made the container without the toolkit; `toolkit site close` closes it again"
        }
        Verdict::EditorClosed if status.is_editor_off => {
            "the site is open and its editor is closed, so nobody can open a project: EDITOR_OPEN is false in config/variables.env; take it out there, then: toolkit up"
        }
        Verdict::EditorClosed => {
            "the site is open and its editor is closed, so nobody can open a project: an administrator closed it in the admin panel; that panel opens it, and so does `toolkit restart sharelatex`"
        }
        Verdict::Down if status.is_running => {
            "the site does not answer; `toolkit status` tells more"
        }
        Verdict::Down => stopped(status),
    }
}

/// What a site is whose application does not run. A start puts back what a stop has kept.
fn stopped(status: &SiteStatus) -> &'static str {
    let at_start = match (status.file, status.kept) {
        (Some(FileState::Closed), Some(kept)) => Some(kept),
        (file, _) => file,
    };
    match (at_start, &status.wish) {
        (None, None) => "there is no container; `toolkit up` makes it",
        (None, Some(_)) => {
            "there is no container; the one that `toolkit up` makes begins closed; `toolkit site open` changes that"
        }
        (Some(FileState::Closed), _) => {
            "the application does not run, and stays closed when it starts; `toolkit site open` changes that"
        }
        (Some(_), _) if status.file == Some(FileState::Closed) => {
            "the application does not run: its stop closed the site, and the next start opens it: toolkit start"
        }
        (Some(_), _) => "the application does not run; `toolkit start` starts it",
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
        Verdict::EditorClosed => "editor-closed",
        Verdict::Down => "down",
    }
}

/// How the site is, for machines.
#[must_use]
pub fn value(status: &SiteStatus) -> Value {
    let answer = status.answer.as_ref();
    let verdict = status.verdict();
    let editor_closed_by = match status.is_editor_off {
        true => "EDITOR_OPEN",
        false => "admin-panel",
    };
    json!({
        "verdict": word(verdict),
        "editor_closed_by": (verdict == Verdict::EditorClosed).then_some(editor_closed_by),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> SiteStatus {
        SiteStatus {
            wish: None,
            file: Some(FileState::Open),
            kept: None,
            is_editor_off: false,
            is_running: true,
            answer: Some(Ok((200, "web is alive (web)".to_owned()))),
        }
    }

    fn says(status: &SiteStatus, has_git: bool) -> String {
        view(status, Some("/etc/x"), has_git, UtcOffset::UTC)
    }

    #[test]
    fn a_closed_editor_is_told_with_its_reason() {
        for (is_editor_off, by, reason) in [
            (true, "EDITOR_OPEN", "EDITOR_OPEN is false in config/"),
            (false, "admin-panel", "in the admin panel"),
        ] {
            let closed = SiteStatus {
                is_editor_off,
                answer: Some(Ok((200, "web editor is closed (web)".to_owned()))),
                ..status()
            };
            assert!(says(&closed, true).contains(reason), "{by}");
            assert_eq!(value(&closed)["verdict"], "editor-closed");
            assert_eq!(value(&closed)["editor_closed_by"], by);
            let line = line(&closed, UtcOffset::UTC).unwrap();
            assert!(line.contains("the editor is closed by"), "{line}");
        }
        assert_eq!(value(&status())["editor_closed_by"], Value::Null);
        assert_eq!(line(&status(), UtcOffset::UTC), None);
    }

    #[test]
    fn advice_is_given_where_it_can_be_followed() {
        let closed = SiteStatus {
            file: Some(FileState::Closed),
            answer: Some(Ok((200, "web site is closed (web)".to_owned()))),
            ..status()
        };
        let told = says(&closed, false);
        assert!(told.ends_with("administrators can still work\n"), "{told}");
        assert!(says(&closed, true).contains("toolkit stop git-bridge"));
        let stopped = |file, kept| SiteStatus {
            file,
            kept,
            is_running: false,
            answer: None,
            ..status()
        };
        for (file, kept, expected) in [
            (None, None, "`toolkit up` makes it"),
            (
                Some(FileState::Closed),
                Some(FileState::Open),
                "its stop closed the site, and the next start opens it",
            ),
            (
                Some(FileState::Closed),
                Some(FileState::Closed),
                "stays closed when it starts",
            ),
            (Some(FileState::Closed), None, "stays closed when it starts"),
            (Some(FileState::Open), None, "`toolkit start` starts it"),
        ] {
            let told = says(&stopped(file, kept), true);
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("administrators"), "{told}");
        }
    }
}
