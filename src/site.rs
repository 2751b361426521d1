//! Whether the site is open: what the operator wants, what the file in the container says, and what the
//! site answers. The three can differ: the file lives as long as the container, the wish as long as the
//! instance, and a stop that is cut short leaves the file closed.
//!
//! Knows nothing of the command line, and asks nobody.

mod file;

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use crate::deployment::Addition;
use crate::deployment::Deployment;
use crate::engine::EngineError;
use crate::engine::PutFile;
use crate::engine::inside::Inside;
use crate::host;
use crate::host::HostError;
use crate::host::durable;
use crate::observed::Container;
use crate::probe;
use crate::release::APPLICATION;
use crate::release::Version;
use crate::secret::Secret;

pub use file::Closed;

/// The version of the format that this program writes and the newest that it reads.
pub const FORMAT: u64 = 1;

/// The word in the file that closes the site, and what opens it.
const CLOSED: &str = "closed";
const OPEN: &str = "open\n";

/// Variable that names the file.
const VARIABLE: &str = "SITE_MAINTENANCE_FILE";

/// The file that a stop writes beside, to be put back by the next start.
const KEPT_BY_A_STOP: &str = ".bak.shutdown";

/// What the site answers while it is closed, and while only its editor is.
const SAYS_CLOSED: &str = "site is closed";
const SAYS_EDITOR_CLOSED: &str = "editor is closed";

/// Variable that starts the application with a closed editor, and the word that does so.
const EDITOR: &str = "EDITOR_OPEN";
const EDITOR_OFF: &str = "false";

/// How often the application looks at the file.
pub const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// Port and path at which the site says how it is.
const PORT: u16 = 80;
const PATH: &str = "/status";

/// Mode of the file: the application's user reads it.
const READABLE: u32 = 0o644;

/// First release that looks at the file, and the first with today's names of folders.
const FIRST: (u64, u64, u64) = (3, 5, 0);
const RENAMED: (u64, u64, u64) = (5, 0, 0);

/// The wish cannot be kept, or the container cannot be told.
#[derive(Debug, Error)]
pub enum SiteError {
    /// A file of this machine.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A newer program wrote the wish, or it is damaged.
    #[error("`{}` cannot be read by this program", .0.display())]
    Unreadable(std::path::PathBuf),
    /// The release looks at no file.
    #[error("Overleaf {0} cannot be closed by a file: that came with 3.5.0")]
    TooOld(Version),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What the file in the container says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// The site is open.
    Open,
    /// The site is closed.
    Closed,
    /// There is none.
    Missing,
}

/// How the site is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteStatus {
    /// The operator wants it closed.
    pub wish: Option<Closed>,
    /// What the file says; `None` without a container.
    pub file: Option<FileState>,
    /// What the file said before a stop closed it, where nothing has put that back; read only while the
    /// file is closed.
    pub kept: Option<FileState>,
    /// Whether the container was made with a closed editor.
    pub is_editor_off: bool,
    /// Whether the container runs.
    pub is_running: bool,
    /// Status and text of the site's own answer, or why there is none; `None` where none was asked for.
    pub answer: Option<Result<(u16, String), String>>,
}

/// What the three together mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// People can work.
    Open,
    /// Nobody can, as the operator wants it.
    Closed,
    /// The file says so and the application has not looked yet.
    Closing,
    /// As before, the other way round.
    Opening,
    /// The file is closed and nobody asked for that here.
    ClosedByOthers,
    /// As before, left behind by a stop that was cut short.
    LeftClosed,
    /// The wish is not carried out: somebody rewrote the file, or made the container with other hands.
    WishLost,
    /// The site is open, and nobody can open a project in it.
    EditorClosed,
    /// Nothing answers.
    Down,
}

impl SiteStatus {
    /// The same, judged by the file where the site itself says nothing.
    #[must_use]
    pub fn or_by_file(mut self) -> Self {
        self.answer = self.answer.filter(|answer| matches!(answer, Ok((200, _))));
        self
    }

    /// What it means.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.is_running {
            return Verdict::Down;
        }
        let is_closed = self.file == Some(FileState::Closed);
        let (says_closed, says_editor_closed) = match &self.answer {
            Some(Ok((200, text))) => {
                let says = |words| text.contains(words);
                (says(SAYS_CLOSED), says(SAYS_EDITOR_CLOSED))
            }
            // A site that is asked and does not answer is no open one, whatever the file says.
            Some(_) => return Verdict::Down,
            None => (is_closed, self.is_editor_off),
        };
        match (&self.wish, is_closed) {
            (Some(_), false) => Verdict::WishLost,
            (Some(_), true) if says_closed => Verdict::Closed,
            (Some(_), true) => Verdict::Closing,
            (None, false) if says_closed => Verdict::Opening,
            (None, false) if says_editor_closed => Verdict::EditorClosed,
            (None, false) => Verdict::Open,
            (None, true) if self.kept.is_some() => Verdict::LeftClosed,
            (None, true) => Verdict::ClosedByOthers,
        }
    }
}

fn file_of(state: &Path) -> std::path::PathBuf {
    state.join("site.json")
}

/// What the operator wants; `None` for an open site.
///
/// # Errors
/// The file cannot be read.
pub fn wish(state: &Path) -> Result<Option<Closed>, SiteError> {
    let path = file_of(state);
    if !host::exists(&path) {
        return Ok(None);
    }
    let stored = file::read(&host::read_text(&path)?);
    match stored {
        Some(stored) if stored.format <= FORMAT => Ok(stored.closed),
        Some(_) | None => Err(SiteError::Unreadable(path)),
    }
}

/// Keeps what the operator wants.
///
/// # Errors
/// The file cannot be written.
pub fn keep(state: &Path, closed: Option<&Closed>) -> Result<(), SiteError> {
    let path = file_of(state);
    match closed {
        None => durable::remove(&path)?,
        Some(closed) => {
            let text = file::write(&file::Stored {
                format: FORMAT,
                closed: Some(closed.clone()),
            });
            durable::put_private(&path, &text)?;
        }
    }
    Ok(())
}

/// A variable of the application: as its container was made, else as a new one would be.
fn variable<'a>(
    deployment: &'a Deployment,
    container: Option<&'a Container>,
    name: &str,
) -> Option<&'a String> {
    let made = container.and_then(|container| container.environment.0.get(name));
    let service = deployment.project.services.get(APPLICATION);
    let configured = service.and_then(|service| service.environment.0.get(name)?.as_ref());
    made.or(configured)
}

/// Whether the application starts with a closed editor.
fn is_editor_off(deployment: &Deployment, container: Option<&Container>) -> bool {
    variable(deployment, container, EDITOR).is_some_and(|value| value == EDITOR_OFF)
}

/// What the content of a file says.
fn said(content: &[u8]) -> FileState {
    match String::from_utf8_lossy(content).contains(CLOSED) {
        true => FileState::Closed,
        false => FileState::Open,
    }
}

/// The file in the container that the application looks at.
///
/// # Errors
/// The release looks at none.
pub fn maintenance_file(
    deployment: &Deployment,
    container: Option<&Container>,
) -> Result<String, SiteError> {
    let named = variable(deployment, container, VARIABLE).filter(|path| !path.is_empty());
    let numbers = deployment.version.numbers();
    match named {
        Some(path) => Ok(path.clone()),
        None if numbers < FIRST => Err(SiteError::TooOld(deployment.version.clone())),
        None if numbers < RENAMED => Ok("/etc/sharelatex/site_status".to_owned()),
        None => Ok("/etc/overleaf/site_status".to_owned()),
    }
}

/// What the file holds. The application looks for one word; the rest is for people who read the file.
fn text(closed: Option<&Closed>) -> String {
    match closed {
        None => OPEN.to_owned(),
        Some(closed) => {
            let message = closed.message.as_deref().unwrap_or_default();
            let line = format!("{CLOSED} since {} {message}", closed.since);
            format!("{}\n", line.trim_end())
        }
    }
}

/// The deployment whose new containers of the application begin closed, where that is wished for.
///
/// # Errors
/// The wish cannot be read.
pub fn keeping_closed<'a>(
    deployment: &'a Deployment,
    state: &Path,
) -> Result<Cow<'a, Deployment>, SiteError> {
    let mut deployment = Cow::Borrowed(deployment);
    if let Some(closed) = wish(state)?
        && let Ok(path) = maintenance_file(&deployment, None)
    {
        deployment.to_mut().additions.push(Addition {
            service: APPLICATION.to_owned(),
            path,
            text: text(Some(&closed)),
            mode: READABLE,
        });
    }
    Ok(deployment)
}

/// Writes the file in a container, so that the site closes or opens within a few seconds.
///
/// # Errors
/// The release looks at no file, or the engine refuses.
pub async fn tell(
    engine: &impl Inside,
    deployment: &Deployment,
    container: &Container,
    closed: Option<&Closed>,
) -> Result<(), SiteError> {
    let target = maintenance_file(deployment, Some(container))?;
    let kept = format!("{target}{KEPT_BY_A_STOP}");
    let mut targets = vec![target];
    // The next start puts back what the last stop has kept.
    if !container.state.is_running() && engine.file(&container.id, &kept).await?.is_some() {
        targets.push(kept);
    }
    let files: Vec<PutFile> = targets
        .into_iter()
        .map(|target| PutFile {
            target,
            content: Secret::new(text(closed)),
            mode: READABLE,
            owner: (0, 0),
        })
        .collect();
    Ok(engine.put_files(&container.id, &files).await?)
}

/// Looks at the wish, the file and, where that is asked for, the site itself.
///
/// # Errors
/// The wish cannot be read, or the engine cannot be asked.
pub async fn look(
    engine: &impl Inside,
    deployment: &Deployment,
    state: &Path,
    container: Option<&Container>,
    deadline: Option<Duration>,
) -> Result<SiteStatus, SiteError> {
    let mut status = SiteStatus {
        wish: wish(state)?,
        file: None,
        kept: None,
        is_editor_off: is_editor_off(deployment, container),
        is_running: container.is_some_and(|container| container.state.is_running()),
        answer: None,
    };
    let Some(container) = container else {
        return Ok(status);
    };
    if let Ok(path) = maintenance_file(deployment, Some(container)) {
        let found = engine.file(&container.id, &path).await?;
        let state = found.as_deref().map_or(FileState::Missing, said);
        status.file = Some(state);
        if state == FileState::Closed {
            let kept = format!("{path}{KEPT_BY_A_STOP}");
            status.kept = engine
                .file(&container.id, &kept)
                .await?
                .as_deref()
                .map(said);
        }
    }
    if let Some(deadline) = deadline.filter(|_| status.is_running) {
        status.answer = Some(probe::get(engine, container, PORT, PATH, deadline).await);
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::testing::deployment;

    fn closed() -> Closed {
        Closed {
            since: "2026-01-02T03:04:05Z".to_owned(),
            message: Some("back at noon".to_owned()),
            by: "ada".to_owned(),
        }
    }

    #[test]
    fn a_wish_is_kept_and_taken_back() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(wish(state.path()).unwrap(), None);
        keep(state.path(), Some(&closed())).unwrap();
        assert_eq!(wish(state.path()).unwrap(), Some(closed()));
        let plain = deployment("", "", "6.2.2");
        let made = keeping_closed(&plain, state.path()).unwrap();
        assert_eq!(made.additions[0].path, "/etc/overleaf/site_status");
        assert_eq!(
            made.additions[0].text,
            "closed since 2026-01-02T03:04:05Z back at noon\n"
        );
        keep(state.path(), None).unwrap();
        assert_eq!(wish(state.path()).unwrap(), None);
        let plain = deployment("", "", "6.2.2");
        let made = keeping_closed(&plain, state.path()).unwrap();
        assert_eq!(made.additions, []);
        let path = state.path().join("site.json");
        durable::put_private(&path, "{\"format\":2}").unwrap();
        assert!(matches!(wish(state.path()), Err(SiteError::Unreadable(_))));
    }

    #[test]
    fn the_file_has_its_place_by_release() {
        for (version, variables, expected) in [
            ("6.2.2", "", "/etc/overleaf/site_status"),
            ("4.2.9", "", "/etc/sharelatex/site_status"),
            ("6.2.2", "SITE_MAINTENANCE_FILE=/tmp/x\n", "/tmp/x"),
        ] {
            let made = deployment("", variables, version);
            assert_eq!(maintenance_file(&made, None).unwrap(), expected);
        }
        let old = maintenance_file(&deployment("", "", "3.3.1"), None);
        assert!(matches!(old, Err(SiteError::TooOld(_))));
    }

    #[test]
    fn wish_file_and_answer_mean_something_together() {
        let says = |text: &str| Some(Ok((200, text.to_owned())));
        let (alive, shut) = (says("web is alive (web)"), says("web site is closed (web)"));
        let no_editor = says("web editor is closed (web)");
        let file = |state| Some(state);
        for (wishes, file, answer, expected) in [
            (false, file(FileState::Open), alive.clone(), Verdict::Open),
            (
                false,
                file(FileState::Open),
                no_editor.clone(),
                Verdict::EditorClosed,
            ),
            // A closed site is that first, whatever its editor is.
            (
                true,
                file(FileState::Open),
                no_editor.clone(),
                Verdict::WishLost,
            ),
            (true, file(FileState::Closed), no_editor, Verdict::Closing),
            (true, file(FileState::Closed), shut.clone(), Verdict::Closed),
            (
                true,
                file(FileState::Closed),
                alive.clone(),
                Verdict::Closing,
            ),
            (false, file(FileState::Open), shut.clone(), Verdict::Opening),
            (
                false,
                file(FileState::Closed),
                shut,
                Verdict::ClosedByOthers,
            ),
            (true, file(FileState::Open), alive, Verdict::WishLost),
            (true, file(FileState::Missing), None, Verdict::WishLost),
            (true, file(FileState::Closed), None, Verdict::Closed),
            (
                false,
                file(FileState::Open),
                Some(Ok((503, String::new()))),
                Verdict::Down,
            ),
            (
                false,
                file(FileState::Open),
                Some(Err("refused".to_owned())),
                Verdict::Down,
            ),
        ] {
            let status = SiteStatus {
                wish: wishes.then(closed),
                file,
                kept: None,
                is_editor_off: false,
                is_running: true,
                answer,
            };
            assert_eq!(status.verdict(), expected, "{status:?}");
        }
        let left = SiteStatus {
            wish: None,
            file: Some(FileState::Closed),
            kept: Some(FileState::Open),
            is_editor_off: false,
            is_running: true,
            answer: None,
        };
        assert_eq!(left.verdict(), Verdict::LeftClosed);
        // Where the site is not asked, the container tells what it was made with.
        let without_answer = SiteStatus {
            file: Some(FileState::Open),
            kept: None,
            is_editor_off: true,
            ..left
        };
        assert_eq!(without_answer.verdict(), Verdict::EditorClosed);
    }

    #[test]
    fn the_variable_that_closes_the_editor_is_the_word_false() {
        for (variables, expected) in [
            ("", false),
            ("EDITOR_OPEN=true\n", false),
            ("EDITOR_OPEN=0\n", false),
            ("EDITOR_OPEN=false\n", true),
        ] {
            let made = deployment("", variables, "6.2.2");
            assert_eq!(is_editor_off(&made, None), expected, "{variables}");
        }
    }
}
