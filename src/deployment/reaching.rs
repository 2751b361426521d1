//! Where services are reached: by probes, and by people.

use std::collections::BTreeMap;

use super::{Probe, TlsProxy};
use crate::compose::Project;
use crate::secret::Secret;
use crate::settings::Settings;

/// How each service tells that it is ready, as far as that is known.
pub(super) fn probes(
    settings: &Settings,
    project: &Project,
    needs_replica_set: bool,
) -> BTreeMap<String, Probe> {
    let password = [
        "OVERLEAF_REDIS_PASS",
        "SHARELATEX_REDIS_PASS",
        "REDIS_PASSWORD",
    ]
    .into_iter()
    .find_map(|name| settings.variable(name).filter(|value| !value.is_empty()))
    .map(Secret::new);
    let known = [
        (
            "sharelatex",
            Probe::Http {
                port: 80,
                path: "/status".to_owned(),
            },
        ),
        (
            "mongo",
            Probe::Mongo {
                port: 27017,
                needs_replica_set,
            },
        ),
        (
            "redis",
            Probe::Redis {
                port: 6379,
                password,
            },
        ),
        (
            "git-bridge",
            Probe::Http {
                port: 8000,
                path: "/status".to_owned(),
            },
        ),
    ];
    let proxy = settings.nginx.as_ref().map(|nginx| {
        let proxy = TlsProxy {
            port: 443,
            server_name: server_name(settings),
            certificate: nginx.certificate_path.clone(),
            configuration: nginx.config_path.clone(),
        };
        ("nginx", Probe::Tls(proxy))
    });
    known
        .into_iter()
        .chain(proxy)
        .filter(|(service, _)| project.services.contains_key(*service))
        .map(|(service, probe)| (service.to_owned(), probe))
        .collect()
}

/// The host in the site's URL; `localhost` when it has none.
fn server_name(settings: &Settings) -> String {
    let url = ["OVERLEAF_SITE_URL", "SHARELATEX_SITE_URL"]
        .into_iter()
        .find_map(|name| settings.variable(name).filter(|url| !url.is_empty()));
    let authority = url
        .and_then(|url| url.split_once("://"))
        .map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let host = authority.map(|text| match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => text.split(':').next().unwrap_or_default(),
    });
    host.filter(|host| !host.is_empty())
        .unwrap_or("localhost")
        .to_owned()
}

/// Where people open the site.
pub(super) fn urls(settings: &Settings) -> Vec<String> {
    if let Some(url) = settings
        .variable("OVERLEAF_SITE_URL")
        .or_else(|| settings.variable("SHARELATEX_SITE_URL"))
        .filter(|url| !url.is_empty())
    {
        return vec![url.to_owned()];
    }
    let url = |scheme: &str, standard: &str, address: &str, port: &str| {
        let host = match address {
            "" | "0.0.0.0" | "::" | "127.0.0.1" => "localhost".to_owned(),
            address if address.contains(':') => format!("[{}]", address.trim_matches(['[', ']'])),
            address => address.to_owned(),
        };
        let port = if port == standard {
            String::new()
        } else {
            format!(":{port}")
        };
        format!("{scheme}://{host}{port}")
    };
    match &settings.nginx {
        Some(nginx) => vec![url("https", "443", &nginx.tls.0, &nginx.tls.1)],
        None => {
            let sharelatex = &settings.sharelatex;
            vec![url("http", "80", &sharelatex.listen_ip, &sharelatex.port)]
        }
    }
}
