//! The files of the TLS proxy: for a new instance and for one that exists.

use std::path::Path;

use super::super::super::{Session, error::CommandError, exit};
use crate::host;
use crate::seed::{self, Tls, Wishes};
use crate::settings::assignments::{self, Dialect};
use crate::settings::{RC_FILE, VARIABLES_FILE};

/// A file that may be written.
type Text = (&'static str, String);

/// What is told of a pair that was made.
const SAMPLE: &str = "browsers do not trust the sample certificate: put yours and its key in the place of config/nginx/certs/overleaf_certificate.pem and overleaf_key.pem, or set TLS_CERTIFICATE_PATH and TLS_PRIVATE_KEY_PATH";

/// The files of the proxy of a new instance.
///
/// # Errors
/// The system gives no random numbers.
pub(super) fn texts(root: &Path, wishes: &Wishes) -> Result<Vec<Text>, CommandError> {
    let mut texts: Vec<Text> = seed::nginx(wishes).into_iter().collect();
    if wants_sample(root, &wishes.tls) {
        texts.extend(seed::sample_pair(wishes.site_url.as_deref(), host::now())?);
    }
    Ok(texts)
}

/// Whether a pair is made: none is named, and neither part is there. One part of another pair
/// beside it would not fit.
fn wants_sample(root: &Path, tls: &Tls) -> bool {
    let Tls::Nginx {
        certificate,
        private_key,
    } = tls
    else {
        return false;
    };
    [
        (certificate, seed::CERTIFICATE_FILE),
        (private_key, seed::PRIVATE_KEY_FILE),
    ]
    .into_iter()
    .all(|(named, usual)| {
        named.as_deref().is_none_or(|named| named == usual)
            && host::path_kind(&root.join(usual)) == host::PathKind::Missing
    })
}

/// What is told of the files of a new instance.
pub(super) fn cautions(root: &Path, tls: &Tls) -> Vec<String> {
    let Tls::Nginx {
        certificate,
        private_key,
    } = tls
    else {
        return Vec::new();
    };
    if wants_sample(root, tls) {
        return vec![SAMPLE.to_owned()];
    }
    let files = [
        ("certificate", certificate, seed::CERTIFICATE_FILE),
        ("private key", private_key, seed::PRIVATE_KEY_FILE),
    ];
    let paths = files
        .into_iter()
        .map(|(what, named, usual)| (what, named.as_deref().unwrap_or(usual)));
    let missing = paths.filter(|(_, path)| !host::exists(&root.join(path)));
    missing
        .map(|(what, path)| {
            format!(
                "the {what} `{path}` does not exist yet: put it there, as PEM, before `toolkit up`"
            )
        })
        .collect()
}

/// Whether nothing but the proxy is asked for, with none of its settings.
pub(super) fn is_all(wishes: &Wishes) -> bool {
    let proxy = Tls::Nginx {
        certificate: None,
        private_key: None,
    };
    *wishes
        == Wishes {
            tls: proxy,
            ..Wishes::default()
        }
}

/// Adds the files of the proxy that an instance lacks, and tells which settings use them. The
/// settings are left as they are.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn add(session: &Session, root: &Path) -> Result<u8, CommandError> {
    let rc = host::read_text(&root.join(RC_FILE))?;
    let rc = |name: &str| value(&rc, Dialect::Shell, name);
    let variables = host::read_text(&root.join(VARIABLES_FILE))?;
    let variable = |name: &str| value(&variables, Dialect::EnvFile, name);
    let wishes = Wishes {
        site_url: variable("OVERLEAF_SITE_URL").or_else(|| variable("SHARELATEX_SITE_URL")),
        port: rc("TLS_PORT").and_then(|port| port.parse().ok()),
        tls: Tls::Nginx {
            certificate: rc("TLS_CERTIFICATE_PATH"),
            private_key: rc("TLS_PRIVATE_KEY_PATH"),
        },
        ..Wishes::default()
    };
    let mut texts = texts(root, &wishes)?;
    // One in another place is the operator's.
    let is_elsewhere = rc("NGINX_CONFIG_PATH").is_some_and(|path| path != seed::NGINX_FILE);
    texts.retain(|(name, _)| !(is_elsewhere && *name == seed::NGINX_FILE));
    let cautions = super::cautions(root, &wishes);
    for caution in &cautions {
        session.ui.warn(caution);
    }
    let written = super::put(session, root, &texts)?;
    let missing = missing(&rc);
    if session.ui.is_json() {
        let key = super::written_key(session);
        let data = serde_json::json!({ "root": root, key: written, "settings": missing });
        session.ui.document("toolkit.init/v1", &data, &cautions);
        return Ok(exit::DONE);
    }
    super::show_dry(session, &written);
    let mut what = "run `toolkit up`".to_owned();
    if !missing.is_empty() {
        let lines = missing.join(", ");
        what = format!("set {lines} in {RC_FILE}, then {what}");
    }
    session.ui.say(&format!("next: {what}"));
    Ok(exit::DONE)
}

/// The settings that use the proxy and are not made yet.
fn missing(rc: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut missing = Vec::new();
    if rc("NGINX_ENABLED").as_deref() != Some("true") {
        missing.push("NGINX_ENABLED=true".to_owned());
    }
    for (name, path) in [
        ("TLS_PRIVATE_KEY_PATH", seed::PRIVATE_KEY_FILE),
        ("TLS_CERTIFICATE_PATH", seed::CERTIFICATE_FILE),
    ] {
        if rc(name).is_none() {
            missing.push(format!("{name}={path}"));
        }
    }
    let port = rc("OVERLEAF_PORT").or_else(|| rc("SHARELATEX_PORT"));
    let usual = || "80".to_owned();
    if port.unwrap_or_else(usual) == rc("NGINX_HTTP_PORT").unwrap_or_else(usual) {
        // The redirect to HTTPS has it.
        missing.push(format!("OVERLEAF_PORT={}", seed::PORT_BEHIND_NGINX));
    }
    missing
}

/// What a line of a file gives a name; nothing for an empty value.
fn value(text: &str, dialect: Dialect, name: &str) -> Option<String> {
    let all = assignments::find(text, dialect);
    let found = all.iter().rev().find(|found| found.name == name)?;
    let written = text.get(found.value.clone()?)?;
    let plain = written.trim().trim_matches(['"', '\'']);
    (!plain.is_empty()).then(|| plain.to_owned())
}
