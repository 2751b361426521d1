//! `toolkit init`: writes the configuration of a new instance.

mod free_ports;
mod proxy;
mod questions;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;

use super::super::{Session, error::CommandError, exit, instance};
use crate::host;
use crate::release::{Edition, Version};
use crate::seed::{self, Tls, Wishes};
use crate::settings;
use crate::settings::variables;

/// Write the configuration of a new instance into config/
///
/// Writes config/overleaf.rc, config/variables.env and config/version with fresh secrets, and
/// for --tls nginx config/nginx/nginx.conf and, where none is named, a sample certificate. Nothing
/// that exists is overwritten. On a terminal, and with none of the flags but --release and
/// --project-name, it asks. For an instance that exists, --tls alone adds what nginx lacks.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit init\n  toolkit init --edition pro --url https://tex.example.org --tls proxy --no-input\n  toolkit init --url https://tex.example.org --tls nginx --listen 0.0.0.0\n  toolkit init --root /srv/overleaf --listen 127.0.0.1:8080 --data-path /srv/data --bundled"
)]
pub struct Args {
    /// Edition: ce, pro or cep [default: ce]
    #[arg(long, value_name = "EDITION")]
    edition: Option<Edition>,
    /// Overleaf release [default: the newest this program knows]
    #[arg(long, value_name = "RELEASE")]
    release: Option<Version>,
    /// Address of this machine that the site listens on, and its port [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    listen: Option<Listen>,
    /// Port that the site listens on [default: 80, with --tls nginx 443, or a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// URL under which people open the site
    #[arg(long, visible_alias = "url", value_name = "URL", value_parser = site_url)]
    site_url: Option<String>,
    /// Who speaks HTTPS [default: off; without a value: nginx]
    #[arg(long, value_enum, value_name = "WHO", num_args = 0..=1, default_missing_value = "nginx")]
    tls: Option<TlsArg>,
    /// Certificate with its intermediates, PEM; implies --tls nginx
    #[arg(long, value_name = "PATH")]
    tls_certificate: Option<String>,
    /// Private key of the certificate, PEM; implies --tls nginx
    #[arg(long, value_name = "PATH")]
    tls_private_key: Option<String>,
    /// Addresses of the proxy, for --tls proxy [default: the proxy runs on this machine]
    #[arg(long, value_name = "ADDRESSES", value_parser = proxy_addresses)]
    proxy_address: Option<String>,
    /// Folder of all data; relative to the instance [default: data]
    #[arg(long, value_name = "PATH", value_parser = data_path)]
    data_path: Option<String>,
    /// Compose project; other names than `overleaf` also name the containers [default: overleaf]
    #[arg(long, value_name = "NAME", value_parser = project_name)]
    project_name: Option<String>,
    /// Turn the git integration on (Server Pro and CEP)
    #[arg(long)]
    git_bridge: bool,
    /// Deploy the bundled servers instead of the Overleaf images
    #[arg(long)]
    bundled: bool,
}

/// Who speaks HTTPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TlsArg {
    /// Nobody: plain HTTP
    Off,
    /// The nginx of the instance, with your certificate
    Nginx,
    /// A proxy of yours in front of the instance
    Proxy,
}

/// An address to listen on, and perhaps a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listen {
    address: IpAddr,
    port: Option<u16>,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.trim_matches(['[', ']']).parse() {
            return Ok(Self {
                address,
                port: None,
            });
        }
        match text.parse::<SocketAddr>() {
            Ok(both) if both.port() > 0 => Ok(Self {
                address: both.ip(),
                port: Some(both.port()),
            }),
            _ => Err("write an IP address such as 127.0.0.1, or 127.0.0.1:8080".to_owned()),
        }
    }
}

impl Args {
    fn wishes(&self) -> Result<Wishes, CommandError> {
        let port = match (self.listen.and_then(|listen| listen.port), self.port) {
            (Some(one), Some(other)) if one != other => {
                return Err(usage("--listen and --port name different ports"));
            }
            (one, other) => one.or(other),
        };
        Ok(Wishes {
            edition: self.edition,
            release: self.release.clone(),
            listen: self.listen.map(|listen| listen.address),
            port,
            site_url: self.site_url.clone(),
            project_name: self.project_name.clone(),
            git_bridge: self.git_bridge,
            bundled: self.bundled,
            tls: self.tls()?,
            data_path: self.data_path.clone(),
            ..Wishes::default()
        })
    }

    fn tls(&self) -> Result<Tls, CommandError> {
        let names_files = self.tls_certificate.is_some() || self.tls_private_key.is_some();
        let tls = match self.tls {
            None if names_files => TlsArg::Nginx,
            None if self.proxy_address.is_some() => TlsArg::Proxy,
            other => other.unwrap_or(TlsArg::Off),
        };
        if names_files && tls != TlsArg::Nginx {
            return Err(usage(
                "--tls-certificate and --tls-private-key belong to --tls nginx",
            ));
        }
        if self.proxy_address.is_some() && tls != TlsArg::Proxy {
            return Err(usage("--proxy-address belongs to --tls proxy"));
        }
        Ok(match tls {
            TlsArg::Off => Tls::Off,
            TlsArg::Nginx => Tls::Nginx {
                certificate: self.tls_certificate.clone(),
                private_key: self.tls_private_key.clone(),
            },
            TlsArg::Proxy => Tls::Proxy {
                addresses: self.proxy_address.clone(),
            },
        })
    }
}

fn usage(message: &str) -> CommandError {
    CommandError::new("USAGE", exit::USAGE, message).state("nothing was changed")
}

/// Writes the files that are not there.
///
/// # Errors
/// The instance exists and flags ask for something else, it has lost a file, or a file cannot be
/// written.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = new_root(session);
    let mut wishes = args.wishes()?;
    let exists = host::exists(&root.join(settings::RC_FILE));
    let adds_proxy = exists && proxy::is_all(&wishes);
    if exists && !adds_proxy && wishes != Wishes::default() {
        return Err(configured_already(&root));
    }
    instance::is_whole(&root)?;
    if adds_proxy {
        return proxy::add(session, &root);
    }
    let unasked = Wishes {
        release: wishes.release.clone(),
        project_name: wishes.project_name.clone(),
        ..Wishes::default()
    };
    if !exists && !session.no_input && wishes == unasked && args.tls.is_none() {
        questions::ask(&mut wishes, session)?;
    }
    if !exists {
        free_ports::choose(session, &mut wishes);
    }
    let mut texts = Vec::new();
    if !exists {
        texts.extend(proxy::texts(&root, &wishes)?);
    }
    texts.extend(seed::texts(&wishes)?);
    let cautions = if exists {
        Vec::new()
    } else {
        cautions(&root, &wishes)
    };
    for caution in &cautions {
        session.ui.warn(caution);
    }
    let written = put(session, &root, &texts)?;
    if session.ui.is_json() {
        let data = serde_json::json!({ "root": root, written_key(session): written });
        session.ui.document("toolkit.init/v1", &data, &cautions);
        return Ok(exit::DONE);
    }
    show_dry(session, &written);
    if !session.dry_run && !written.is_empty() {
        let what = "look at config/overleaf.rc and config/variables.env, then run `toolkit up`";
        session.ui.say(&format!("next: {what}"));
    }
    Ok(exit::DONE)
}

/// The files that are new, or would be.
fn put(
    session: &Session,
    root: &Path,
    texts: &[(&'static str, String)],
) -> Result<Vec<&'static str>, CommandError> {
    if !session.dry_run {
        return write(session, root, texts);
    }
    let names = texts.iter().map(|(name, _)| *name);
    Ok(names
        .filter(|name| !host::exists(&root.join(name)))
        .collect())
}

/// What the new files are called in the answer.
fn written_key(session: &Session) -> &'static str {
    if session.dry_run {
        "would_write"
    } else {
        "written"
    }
}

fn show_dry(session: &Session, names: &[&str]) {
    if session.dry_run {
        let lines = names.iter().map(|name| format!("write {name}\n"));
        session.ui.answer(&lines.collect::<String>());
    }
}

/// Where a new instance goes: what `--root` says, or the current folder.
#[must_use]
pub fn new_root(session: &Session) -> PathBuf {
    let root = session
        .root
        .clone()
        .unwrap_or_else(|| session.current_folder.clone());
    host::canonical(&session.current_folder.join(root))
}

/// The refusal to configure an instance a second time.
#[must_use]
pub fn configured_already(root: &Path) -> CommandError {
    let file = root.join(settings::RC_FILE);
    CommandError::new(
        "INIT_EXISTS",
        exit::FAILED,
        "this instance is configured already",
    )
    .because(format!(
        "`{}` exists, and init never overwrites",
        file.display()
    ))
    .state("nothing was changed")
    .fix("change the values in that file, or start elsewhere with --root DIR")
}

/// Writes what is missing and says what it does with each file.
///
/// # Errors
/// A file cannot be written.
pub fn write(
    session: &Session,
    root: &Path,
    texts: &[(&'static str, String)],
) -> Result<Vec<&'static str>, CommandError> {
    let outcome = seed::write(root, texts)?;
    for (name, is_new) in &outcome {
        let what = if *is_new { "wrote" } else { "kept" };
        session.ui.say(&format!("{what} {name}"));
    }
    Ok(outcome
        .into_iter()
        .filter(|(_, is_new)| *is_new)
        .map(|(name, _)| name)
        .collect())
}

/// The name of a Compose project, as a flag takes it.
///
/// # Errors
/// It is not one.
pub fn project_name(text: &str) -> Result<String, String> {
    match settings::is_project_name(text) {
        true => Ok(text.to_owned()),
        false => Err("use lower-case letters, digits, `-` and `_`".to_owned()),
    }
}

/// The URL of a site, without a slash at its end, which the application would double.
fn site_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    match objection("OVERLEAF_SITE_URL", url) {
        None if is_web && !url.contains(char::is_control) => Ok(url.to_owned()),
        _ => Err("write it as https://HOST".to_owned()),
    }
}

/// Addresses or networks of proxies, separated by commas.
fn proxy_addresses(text: &str) -> Result<String, String> {
    let is_address = |part: &str| {
        let (address, length) = part.split_once('/').unwrap_or((part, "0"));
        address.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok_and(|bits| bits <= 128)
    };
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    match parts.iter().all(|part| is_address(part)) {
        true => Ok(parts.join(",")),
        false => Err("write IP addresses or networks such as 192.0.2.10,192.0.2.0/24".to_owned()),
    }
}

/// The folder of all data.
fn data_path(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(char::is_control) {
        true => Err("write a path such as data or /srv/overleaf-data".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// What is wrong with the value of a variable, by the shipped data.
fn objection(name: &str, value: &str) -> Option<String> {
    let rows = variables::load().unwrap_or_default();
    variables::find(&rows, name)?.objection(value)
}

/// What the operator has to know or do before the instance comes up.
fn cautions(root: &Path, wishes: &Wishes) -> Vec<String> {
    let mut found = proxy::cautions(root, &wishes.tls);
    let is_https = wishes
        .site_url
        .as_ref()
        .map(|url| url.starts_with("https://"));
    match (is_https, &wishes.tls) {
        (Some(true), Tls::Off) => found.push(
            "the URL says https, but nobody speaks it: choose --tls nginx or --tls proxy".to_owned(),
        ),
        (Some(false), Tls::Nginx { .. } | Tls::Proxy { .. }) => found.push(
            "the URL says http, but the site is opened by https: set OVERLEAF_SITE_URL in config/variables.env"
                .to_owned(),
        ),
        _ => {}
    }
    if matches!(wishes.tls, Tls::Proxy { addresses: None }) {
        found.push(
            "a proxy on this machine is trusted through 172.16.0.0/12; if people come from that network, write the subnet of the instance into OVERLEAF_TRUSTED_PROXY_IPS"
                .to_owned(),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_as_they_are_meant() {
        let listen = |text: &str| {
            text.parse::<Listen>()
                .ok()
                .map(|l| (l.address.to_string(), l.port))
        };
        for (text, expected) in [
            ("127.0.0.1", Some(("127.0.0.1", None))),
            ("0.0.0.0:8080", Some(("0.0.0.0", Some(8080)))),
            ("::1", Some(("::1", None))),
            ("[::1]:80", Some(("::1", Some(80)))),
            ("[::1]", Some(("::1", None))),
            ("localhost", None),
            ("127.0.0.1:0", None),
        ] {
            let expected = expected.map(|(address, port)| (address.to_owned(), port));
            assert_eq!(listen(text), expected, "{text}");
        }
        assert_eq!(site_url("https://a.example/").unwrap(), "https://a.example");
        for text in ["a.example", "https://", "ftp://a.example", "https://a b"] {
            assert!(site_url(text).is_err(), "{text}");
        }
        assert_eq!(
            proxy_addresses("192.0.2.1, 10.0.0.0/8").unwrap(),
            "192.0.2.1,10.0.0.0/8"
        );
        for text in ["", "localhost", "192.0.2.1/129"] {
            assert!(proxy_addresses(text).is_err(), "{text}");
        }
    }
}
