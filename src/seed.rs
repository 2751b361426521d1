//! The configuration of a new instance: the texts of `lib/config-seed/` with the operator's wishes
//! and fresh secrets filled in. Never overwrites a file.

pub mod sample;

use std::net::IpAddr;
use std::path::Path;

use thiserror::Error;
use time::OffsetDateTime;

use crate::host;
use crate::host::HostError;
use crate::release::{Catalogue, CatalogueError, Edition, Version};
use crate::settings::assignments::Dialect;
use crate::settings::edit;
use crate::settings::{RC_FILE, VARIABLES_FILE, VERSION_FILE};

const RC: &str = include_str!("../lib/config-seed/overleaf.rc");
const VARIABLES: &str = include_str!("../lib/config-seed/variables.env");
const VERSION: &str = include_str!("../lib/config-seed/version");
const NGINX: &str = include_str!("../lib/config-seed/nginx.conf");

/// Where the configuration of the TLS proxy goes; overleaf.rc of a new instance names it.
pub const NGINX_FILE: &str = "config/nginx/nginx.conf";

/// Where the certificate of the TLS proxy is looked for; overleaf.rc of a new instance names it.
pub const CERTIFICATE_FILE: &str = "config/nginx/certs/overleaf_certificate.pem";
/// Where its private key is looked for.
pub const PRIVATE_KEY_FILE: &str = "config/nginx/certs/overleaf_key.pem";

/// Port of the application behind the TLS proxy, which takes port 80 for its redirect.
pub const PORT_BEHIND_NGINX: u16 = 8080;

/// Proxies that are believed when the proxy runs on this machine: its requests come from the
/// engine's networks, which lie here unless the engine is told otherwise.
const LOCAL_PROXIES: &str = "172.16.0.0/12";

/// First release that takes a proxy for granted.
const PROXY_ALWAYS: (u64, u64, u64) = (6, 0, 0);

/// Redirect of nginx.conf, which names no port.
const REDIRECT: &str = "https://$host$request_uri";

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

/// A new configuration cannot be made.
#[derive(Debug, Error)]
pub enum SeedError {
    /// The system gives no random numbers.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The system gives no random numbers, or the host is none that a certificate can name.
    #[error("a sample certificate cannot be made")]
    Sample,
    /// The shipped data is broken.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Who speaks HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tls {
    /// Nobody.
    #[default]
    Off,
    /// The nginx of the instance.
    Nginx {
        /// Path of the certificate, when it is not the seed's.
        certificate: Option<String>,
        /// Path of the private key, when it is not the seed's.
        private_key: Option<String>,
    },
    /// A proxy in front of the instance.
    Proxy {
        /// Its addresses, separated by commas; `None` when it runs on this machine.
        addresses: Option<String>,
    },
}

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
    /// Port on which the TLS proxy answers plain HTTP, when it is not the seed's.
    pub http_port: Option<u16>,
    /// Port of the application behind the TLS proxy, when it is not [`PORT_BEHIND_NGINX`].
    pub inner_port: Option<u16>,
    /// URL of the site.
    pub site_url: Option<String>,
    /// Compose project.
    pub project_name: Option<String>,
    /// Whether the git integration is on.
    pub git_bridge: bool,
    /// Whether the bundled servers are deployed.
    pub bundled: bool,
    /// Who speaks HTTPS.
    pub tls: Tls,
    /// Folder of all data.
    pub data_path: Option<String>,
}

/// The texts of a new instance: version, variables.env and overleaf.rc, in the order in which they
/// are written.
///
/// # Errors
/// The system gives no random numbers.
pub fn texts(wishes: &Wishes) -> Result<[(&'static str, String); 3], SeedError> {
    // overleaf.rc comes last: while it is missing, an interrupted init counts as not done.
    Ok([
        (VERSION_FILE, version(wishes)),
        (VARIABLES_FILE, variables(wishes)?),
        (RC_FILE, rc(wishes)),
    ])
}

/// The configuration of the TLS proxy, when one is wanted.
#[must_use]
pub fn nginx(wishes: &Wishes) -> Option<(&'static str, String)> {
    let is_wanted = matches!(wishes.tls, Tls::Nginx { .. });
    is_wanted.then(|| {
        let text = match wishes.port {
            Some(port) if port != 443 => {
                NGINX.replace(REDIRECT, &format!("https://$host:{port}$request_uri"))
            }
            _ => NGINX.to_owned(),
        };
        (NGINX_FILE, text)
    })
}

/// A private key and a certificate for the TLS proxy that no browser trusts, where they are looked
/// for; the name is that of the site, or of this machine.
///
/// # Errors
/// The system gives no random numbers.
pub fn sample_pair(
    site_url: Option<&str>,
    now: OffsetDateTime,
) -> Result<[(&'static str, String); 2], SeedError> {
    let host = site_url.and_then(host_of).unwrap_or("localhost");
    let made = sample::pair(host, now)?;
    Ok([
        (PRIVATE_KEY_FILE, made.private_key),
        (CERTIFICATE_FILE, made.certificate),
    ])
}

/// The host of a URL, an address of IPv6 without its brackets.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => host.split(':').next()?,
    };
    // A label of a certificate cannot hold anything else.
    let is_host = !host.is_empty() && host.is_ascii() && !host.contains(char::is_whitespace);
    is_host.then_some(host)
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
        let path = root.join(name);
        if let Some(parent) = path.parent() {
            host::create_folder(parent, 0o700)?;
        }
        match host::write_new(&path, text, 0o600) {
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

fn variables(wishes: &Wishes) -> Result<String, SeedError> {
    let release: Option<Version> = version(wishes).trim().parse().ok();
    let mut changes: Vec<(&str, String)> = Vec::new();
    for name in SECRETS {
        let secret = host::new_secret()?;
        if name == HISTORY_SECRET.1 {
            changes.push((HISTORY_SECRET.0, secret.clone()));
        }
        changes.push((name, secret));
    }
    if let Some(url) = &wishes.site_url {
        changes.push(("OVERLEAF_SITE_URL", url.clone()));
    }
    if let Tls::Proxy { addresses } = &wishes.tls {
        let addresses = addresses.as_deref().unwrap_or(LOCAL_PROXIES);
        let is_ignored = |release: &Version| release.numbers() >= PROXY_ALWAYS;
        if !release.as_ref().is_some_and(is_ignored) {
            changes.push(("OVERLEAF_BEHIND_PROXY", "true".to_owned()));
        }
        changes.push(("OVERLEAF_SECURE_COOKIE", "true".to_owned()));
        let trusted = format!("loopback,{addresses}");
        changes.push(("OVERLEAF_TRUSTED_PROXY_IPS", trusted));
    }
    let text = changed(Dialect::EnvFile, VARIABLES, &changes);
    let Some(release) = release else {
        return Ok(text);
    };
    // The seed has the names of today; older releases know them by another brand.
    let catalogue = Catalogue::load()?;
    let brand = &catalogue.era(&release)?.brand;
    Ok(text.replace("OVERLEAF_", &format!("{brand}_")))
}

fn changed(dialect: Dialect, text: &str, changes: &[(&str, String)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (name, value)| {
        edit::set(dialect, &text, name, value)
    })
}

fn rc(wishes: &Wishes) -> String {
    let mut changes: Vec<(&str, String)> = Vec::new();
    if let Some(edition) = wishes.edition {
        changes.push(("EDITION", edition.id().to_owned()));
    }
    match &wishes.tls {
        Tls::Nginx {
            certificate,
            private_key,
        } => {
            changes.extend(nginx_settings(wishes));
            let paths = [
                ("TLS_CERTIFICATE_PATH", certificate),
                ("TLS_PRIVATE_KEY_PATH", private_key),
            ];
            let paths = paths.into_iter();
            changes.extend(paths.filter_map(|(name, path)| Some((name, path.clone()?))));
        }
        Tls::Off | Tls::Proxy { .. } => {
            if let Some(listen) = &wishes.listen {
                changes.push(("OVERLEAF_LISTEN_IP", published(*listen)));
            }
            if let Some(port) = wishes.port {
                changes.push(("OVERLEAF_PORT", port.to_string()));
            }
        }
    }
    if let Some(name) = &wishes.project_name {
        changes.push(("PROJECT_NAME", name.clone()));
        if name != "overleaf" {
            // The fixed names can exist once on an engine only.
            changes.push(("CONTAINER_NAMES", "project".to_owned()));
        }
    }
    if let Some(folder) = &wishes.data_path {
        let folder = folder.trim_end_matches('/');
        for (name, part) in DATA_FOLDERS {
            changes.push((name, format!("{folder}/{part}")));
        }
    }
    if wishes.git_bridge {
        changes.push(("GIT_BRIDGE_ENABLED", "true".to_owned()));
    }
    if wishes.bundled {
        changes.push(("BUNDLED_SERVERS", "true".to_owned()));
    }
    changed(Dialect::Shell, RC, &changes)
}

/// An address as Docker Compose takes it in front of a port: IPv6 in brackets.
fn published(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Folders below the folder of all data.
const DATA_FOLDERS: [(&str, &str); 4] = [
    ("OVERLEAF_DATA_PATH", "overleaf"),
    ("MONGO_DATA_PATH", "mongo"),
    ("REDIS_DATA_PATH", "redis"),
    ("GIT_BRIDGE_DATA_PATH", "git-bridge"),
];

/// The wanted address and port belong to nginx; the application keeps to this machine.
fn nginx_settings(wishes: &Wishes) -> Vec<(&'static str, String)> {
    let listen = wishes.listen.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let mut settings = vec![
        ("NGINX_ENABLED", "true".to_owned()),
        ("NGINX_HTTP_LISTEN_IP", published(listen)),
        ("NGINX_TLS_LISTEN_IP", published(listen)),
        (
            "OVERLEAF_PORT",
            wishes.inner_port.unwrap_or(PORT_BEHIND_NGINX).to_string(),
        ),
    ];
    if let Some(port) = wishes.http_port {
        settings.push(("NGINX_HTTP_PORT", port.to_string()));
    }
    if let Some(port) = wishes.port {
        settings.push(("TLS_PORT", port.to_string()));
    }
    settings
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

    fn resolved(wishes: &Wishes) -> crate::settings::Settings {
        let [(_, version), (_, variables), (_, rc)] = texts(wishes).unwrap();
        let sources = Sources {
            root: Path::new("/srv"),
            rc: &rc,
            variables: &variables,
            version: &version,
            environment: &|_| None,
            dotenv: "",
            canonical: &|path| Ok(path.to_path_buf()),
            is_folder: &|_| true,
        };
        let (settings, warnings) = resolve(&sources).unwrap();
        assert_eq!(warnings, []);
        settings
    }

    #[test]
    fn nginx_takes_the_address_and_the_application_stays_local() {
        let wishes = Wishes {
            listen: Some(IpAddr::from([0, 0, 0, 0])),
            port: Some(8443),
            tls: Tls::Nginx {
                certificate: Some("/etc/pki/my site.pem".to_owned()),
                private_key: None,
            },
            data_path: Some("/srv/data/".to_owned()),
            ..Wishes::default()
        };
        let settings = resolved(&wishes);
        let sharelatex = &settings.sharelatex;
        assert_eq!(
            (sharelatex.listen_ip.as_str(), sharelatex.port.as_str()),
            ("127.0.0.1", "8080")
        );
        assert_eq!(sharelatex.data_path, Path::new("/srv/data/overleaf"));
        let proxy = settings.nginx.as_ref().unwrap();
        assert_eq!(proxy.tls, ("0.0.0.0".to_owned(), "8443".to_owned()));
        assert_eq!(proxy.http, ("0.0.0.0".to_owned(), "80".to_owned()));
        assert_eq!(proxy.certificate_path, Path::new("/etc/pki/my site.pem"));
        let (_, conf) = nginx(&wishes).unwrap();
        assert!(conf.contains("return 301 https://$host:8443$request_uri;"));
        assert_eq!(nginx(&Wishes::default()), None);
    }

    #[test]
    fn an_address_of_ipv6_gets_its_brackets() {
        let wishes = Wishes {
            listen: "::1".parse().ok(),
            ..Wishes::default()
        };
        assert!(rc(&wishes).contains("\nOVERLEAF_LISTEN_IP='[::1]'\n"));
        assert_eq!(resolved(&wishes).sharelatex.listen_ip, "[::1]");
    }

    #[test]
    fn a_proxy_is_trusted_in_the_words_of_the_release() {
        let wishes = |release: &str, addresses: Option<&str>| Wishes {
            release: Some(release.parse().unwrap()),
            tls: Tls::Proxy {
                addresses: addresses.map(ToOwned::to_owned),
            },
            ..Wishes::default()
        };
        let settings = resolved(&wishes("6.2.2", None));
        assert_eq!(settings.variable("OVERLEAF_BEHIND_PROXY"), None);
        assert_eq!(settings.variable("OVERLEAF_SECURE_COOKIE"), Some("true"));
        assert_eq!(
            settings.variable("OVERLEAF_TRUSTED_PROXY_IPS"),
            Some("loopback,172.16.0.0/12")
        );
        let settings = resolved(&wishes("5.5.5", Some("192.0.2.7")));
        assert_eq!(settings.variable("OVERLEAF_BEHIND_PROXY"), Some("true"));
        assert_eq!(
            settings.variable("OVERLEAF_TRUSTED_PROXY_IPS"),
            Some("loopback,192.0.2.7")
        );
        let settings = resolved(&wishes("4.2.9", None));
        assert_eq!(settings.variable("SHARELATEX_BEHIND_PROXY"), Some("true"));
        assert_eq!(settings.variable("OVERLEAF_APP_NAME"), None);
    }

    #[test]
    fn a_sample_is_for_the_host_of_the_site() {
        for (url, host) in [
            ("https://tex.example.org", Some("tex.example.org")),
            ("https://tex.example.org:8443/x", Some("tex.example.org")),
            ("http://a:b@192.0.2.7?x", Some("192.0.2.7")),
            ("https://[2001:db8::1]:8443", Some("2001:db8::1")),
            ("tex.example.org", None),
            ("https://", None),
            ("https://bücher.example", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
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
