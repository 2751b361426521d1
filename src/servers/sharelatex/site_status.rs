//! The site status file: its content decides whether the site is open, and a stop closes it in a
//! way that the next start undoes.
//!
//! It knows one file and its kept copy; what "closed" means for a request is decided elsewhere.
#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

use std::io;
use std::path::Path;
use std::path::PathBuf;

/// The site status file and its kept copy (`.bak.shutdown`).
#[derive(Clone)]
pub(super) struct SiteStatus {
    file: PathBuf,
    kept: PathBuf,
}

/// The file could not be handled.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} the site status file `{path}`")]
pub(super) struct SiteStatusError {
    verb: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl SiteStatus {
    pub(super) fn new(file: PathBuf) -> Self {
        let mut kept = file.clone().into_os_string();
        kept.push(".bak.shutdown");
        Self {
            file,
            kept: kept.into(),
        }
    }

    /// Moves the copy kept by the last stop back; a file that is missing is made, saying `open`.
    /// Returns whether there was a copy.
    pub(super) fn restore(&self) -> Result<bool, SiteStatusError> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder).map_err(failed("make a folder for", &self.file))?;
        }
        match std::fs::rename(&self.kept, &self.file) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("restore", &self.file)(error)),
        }
        if !self.file.exists() {
            std::fs::write(&self.file, "open\n").map_err(failed("create", &self.file))?;
        }
        Ok(false)
    }

    /// Keeps what the file says and writes `closed`.
    pub(super) fn close(&self) -> Result<(), SiteStatusError> {
        let before = match std::fs::read(&self.file) {
            Ok(before) => before,
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"open\n".to_vec(),
            Err(error) => return Err(failed("read", &self.file)(error)),
        };
        std::fs::write(&self.kept, before).map_err(failed("keep a copy of", &self.kept))?;
        std::fs::write(&self.file, "closed\n").map_err(failed("write", &self.file))
    }

    /// Whether the file contains `closed`. One that is missing or cannot be read closes nothing.
    pub(super) fn is_closed(&self) -> bool {
        std::fs::read(&self.file)
            .is_ok_and(|content| String::from_utf8_lossy(&content).contains("closed"))
    }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SiteStatusError {
    move |source| SiteStatusError {
        verb,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_closes_and_the_next_start_puts_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("etc/overleaf/site_status");
        let status = SiteStatus::new(file.clone());
        let kept = folder.path().join("etc/overleaf/site_status.bak.shutdown");

        assert!(!status.is_closed(), "missing");
        assert!(!status.restore().unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "open\n");

        for before in ["open\n", "closed for maintenance\n"] {
            std::fs::write(&file, before).unwrap();
            status.close().unwrap();
            assert!(status.is_closed());
            assert_eq!(std::fs::read_to_string(&kept).unwrap(), before);
            assert!(status.restore().unwrap());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
            assert!(!kept.exists());
        }
        assert!(status.is_closed(), "closed by the operator stays closed");
    }
}
