//! The configuration of a new instance: the texts of `lib/config-seed/` with the operator's wishes
//! and fresh secrets filled in. Never overwrites a file.

use std::net::IpAddr;
use std::path::Path;

use crate::host;
use crate::host::HostError;
use crate::release::{Edition, Version};
use crate::settings::assignments::Dialect;
use crate::settings::edit;
use crate::settings::{RC_FILE, VARIABLES_FILE, VERSION_FILE};

const RC: &str = include_str!("../lib/config-seed/overleaf.rc");
const VARIABLES: &str = include_str!("../lib/config-seed/variables.env");
const VERSION: &str = include_str!("../lib/config-seed/version");

/// Secrets of the application. Containers that share one instance must have the same values.
const SECRETS: [&str; 5] = [
    "OVERLEAF_INVITE_TOKEN_SECRET",
    "WEB_API_PASSWORD",
    "STAGING_PASSWORD",
    "CRYPTO_RANDOM",
    "OT_JWT_AUTH_KEY",
];

/// The one secret that is known by two names: the application requires both to be equal.
const HISTORY_SECRET: (&str, &str) = ("V1_HISTORY_PASSWORD", "STAGING_PASSWORD");

/// What the operator wants to differ from the seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Edition.
    pub edition: Option<Edition>,
    /// Release.
    pub release: Option<Version>,
    /// Address the site listens on.
    pub listen: Option<IpAddr>,
    /// Port the site listens on.
    pub port: Option<u16>,
    /// URL of the site.
    pub site_url: Option<String>,
    /// Compose project.
    pub project_name: Option<String>,
    /// Whether the git integration is on.
    pub git_bridge: bool,
    /// Whether the bundled servers are deployed.
    pub bundled: bool,
}

/// The texts of a new instance: version, variables.env and overleaf.rc, in the order in which they
/// are written.
///
/// # Errors
/// The system gives no random numbers.
pub fn texts(wishes: &Wishes) -> Result<[(&'static str, String); 3], HostError> {
    // overleaf.rc comes last: while it is missing, an interrupted init counts as not done.
    Ok([
        (VERSION_FILE, version(wishes)),
        (VARIABLES_FILE, variables(wishes)?),
        (RC_FILE, rc(wishes)),
    ])
}

/// Writes those files that are missing, mode 0600, into a folder of mode 0700; tells for each
/// whether it is new.
///
/// # Errors
/// A file cannot be written.
pub fn write(
    root: &Path,
    texts: &[(&'static str, String)],
) -> Result<Vec<(&'static str, bool)>, HostError> {
    host::create_folder(root, 0o755)?;
    let folder = root.join("config");
    host::create_folder(&folder, 0o700)?;
    host::set_mode(&folder, 0o700)?;
    let mut outcome = Vec::new();
    for (name, text) in texts {
        match host::write_new(&root.join(name), text, 0o600) {
            Ok(()) => outcome.push((*name, true)),
            Err(error) if error.is_present() => outcome.push((*name, false)),
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

fn version(wishes: &Wishes) -> String {
    match &wishes.release {
        Some(release) => format!("{release}\n"),
        None => VERSION.to_owned(),
    }
}

fn variables(wishes: &Wishes) -> Result<String, HostError> {
    let mut text = VARIABLES.to_owned();
    for name in SECRETS {
        let secret = host::new_secret()?;
        text = edit::set(Dialect::EnvFile, &text, name, &secret);
        if name == HISTORY_SECRET.1 {
            text = edit::set(Dialect::EnvFile, &text, HISTORY_SECRET.0, &secret);
        }
    }
    if let Some(url) = &wishes.site_url {
        text = edit::set(Dialect::EnvFile, &text, "OVERLEAF_SITE_URL", url);
    }
    Ok(text)
}

fn rc(wishes: &Wishes) -> String {
    let mut changes: Vec<(&str, String)> = Vec::new();
    if let Some(edition) = wishes.edition {
        changes.push(("EDITION", edition.id().to_owned()));
    }
    if let Some(listen) = &wishes.listen {
        // Docker Compose wants brackets around IPv6.
        let address = match listen {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        changes.push(("OVERLEAF_LISTEN_IP", address));
    }
    if let Some(port) = wishes.port {
        changes.push(("OVERLEAF_PORT", port.to_string()));
    }
    if let Some(name) = &wishes.project_name {
        changes.push(("PROJECT_NAME", name.clone()));
        if name != "overleaf" {
            // The fixed names can exist once on an engine only.
            changes.push(("CONTAINER_NAMES", "project".to_owned()));
        }
    }
    if wishes.git_bridge {
        changes.push(("GIT_BRIDGE_ENABLED", "true".to_owned()));
    }
    if wishes.bundled {
        changes.push(("BUNDLED_SERVERS", "true".to_owned()));
    }
    changes.iter().fold(RC.to_owned(), |text, (name, value)| {
        edit::set(Dialect::Shell, &text, name, value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Sources, resolve};

    #[test]
    fn a_new_instance_resolves_and_its_secrets_are_fresh() {
        let folder = tempfile::tempdir().unwrap();
        let wishes = Wishes {
            project_name: Some("second".to_owned()),
            port: Some(8081),
            site_url: Some("https://tex.example.org".to_owned()),
            ..Wishes::default()
        };
        write(folder.path(), &texts(&wishes).unwrap()).unwrap();
        let text = |name: &str| host::read_text(&folder.path().join(name)).unwrap();
        let sources = Sources {
            root: folder.path(),
            rc: &text(RC_FILE),
            variables: &text(VARIABLES_FILE),
            version: &text(VERSION_FILE),
            dotenv: "",
            environment: &|_| None,
            canonical: &|path| Ok(path.to_path_buf()),
            is_folder: &|_| true,
        };
        let (settings, warnings) = resolve(&sources).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(settings.project_name, "second");
        assert!(settings.names_follow_project);
        assert_eq!(settings.sharelatex.port, "8081");
        assert_eq!(
            settings.variable("OVERLEAF_SITE_URL"),
            Some("https://tex.example.org")
        );
        let mut secrets: Vec<&str> = SECRETS
            .iter()
            .map(|name| settings.variable(name).unwrap())
            .collect();
        assert!(secrets.iter().all(|secret| secret.len() == 64));
        assert_eq!(
            settings.variable("V1_HISTORY_PASSWORD"),
            settings.variable("STAGING_PASSWORD")
        );
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets.len(), SECRETS.len());
    }

    #[test]
    fn what_exists_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &texts(&Wishes::default()).unwrap()).unwrap();
        let file = folder.path().join(VARIABLES_FILE);
        let before = host::read_text(&file).unwrap();
        let again = write(folder.path(), &texts(&Wishes::default()).unwrap()).unwrap();
        assert!(again.iter().all(|(_, is_new)| !is_new));
        assert_eq!(host::read_text(&file).unwrap(), before);
    }
}
