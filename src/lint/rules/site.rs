//! Rules about how the site is reached: URL, addresses, ports and the proxies in front.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::findings::Findings;
use super::super::folder::Folder;
use super::super::rule::Rule;

/// The variable that holds the address people type.
const SITE_URL: &str = "OVERLEAF_SITE_URL";
/// The variable that marks cookies as secure.
const SECURE_COOKIE: &str = "OVERLEAF_SECURE_COOKIE";
/// The variable that lists trusted proxies.
const TRUSTED_PROXIES: &str = "OVERLEAF_TRUSTED_PROXY_IPS";
/// The first release that takes a proxy for granted.
const ALWAYS_BEHIND_PROXY: (u64, u64, u64) = (6, 0, 0);

/// Adds a finding at the site URL.
fn about_url(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings, text: &str) {
    let name = folder.entry(SITE_URL).map_or(SITE_URL, |entry| &entry.name);
    findings.add(rule, name, folder.variable_place(SITE_URL), text, "");
}

/// The name that the site URL has in the file, for texts.
fn url_name<'a>(folder: &'a Folder<'_>) -> &'a str {
    folder.entry(SITE_URL).map_or(SITE_URL, |entry| &entry.name)
}

/// Whether something is said about the site URL already.
fn is_judged(folder: &Folder<'_>, findings: &Findings) -> bool {
    findings.has(url_name(folder))
}

pub(super) fn trailing_slash(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let url = folder.variable(SITE_URL).unwrap_or_default();
    if url.ends_with('/') && !is_judged(folder, findings) {
        let text = format!("`{}` ends with a slash", url_name(folder));
        about_url(rule, folder, findings, &text);
    }
}

pub(super) fn scheme(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let url = folder.variable(SITE_URL).unwrap_or_default();
    if !url.starts_with("http://") || is_judged(folder, findings) {
        return;
    }
    let cookie = folder.entry(SECURE_COOKIE).map(|entry| entry.name.as_str());
    let is_meant = cookie.is_some_and(|name| !findings.has(name));
    let reason = if folder.is_on("NGINX_ENABLED") {
        "NGINX_ENABLED is on"
    } else if folder.variable(SECURE_COOKIE).is_some() && is_meant {
        "secure cookies are on"
    } else {
        return;
    };
    let text = format!("`{}` says http, but {reason}", url_name(folder));
    about_url(rule, folder, findings, &text);
}

pub(super) fn local_url(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let url = folder.variable(SITE_URL).unwrap_or_default();
    let is_local = host(url).is_some_and(|host| {
        host == "localhost" || address(host).is_some_and(|address| address.is_loopback())
    });
    if is_local
        && !is_judged(folder, findings)
        && let Some(open) = open_listener(folder)
    {
        let text = format!("`{}` names this machine, but {open}", url_name(folder));
        about_url(rule, folder, findings, &text);
    }
}

pub(super) fn unset_url(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    if folder.variable(SITE_URL).is_none()
        && !is_judged(folder, findings)
        && let Some(open) = open_listener(folder)
    {
        let text = format!("`{}` is not set, but {open}", url_name(folder));
        about_url(rule, folder, findings, &text);
    }
}

pub(super) fn behind_proxy(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let url = folder.variable(SITE_URL).unwrap_or_default();
    let version = folder.version.as_ref();
    let needs_it = version.is_some_and(|version| version.numbers() < ALWAYS_BEHIND_PROXY);
    let is_set = rule
        .names
        .iter()
        .any(|name| folder.variable(name).is_some());
    if url.starts_with("https://") && needs_it && !is_set && !folder.is_on("NGINX_ENABLED") {
        let text = format!("`{}` says https, but no proxy is named", url_name(folder));
        findings.push(rule, folder.variable_place(SITE_URL), &text, "");
    }
}

/// The scheme of a URL, and its host with port.
fn parts(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let without_user = authority.rsplit_once('@').map(|(_, host)| host);
    Some((scheme, without_user.unwrap_or(authority)))
}

/// The host of a URL, without brackets.
fn host(url: &str) -> Option<&str> {
    let (_, host) = parts(url)?;
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    }
}

/// The port of a URL, by its scheme where it names none.
fn port(url: &str) -> Option<u16> {
    let (scheme, host) = parts(url)?;
    let after_brackets = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    match after_brackets.rsplit_once(':') {
        Some((_, port)) => port.parse().ok(),
        None if scheme == "https" => Some(443),
        None => Some(80),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.trim_matches(['[', ']']).parse().ok()
}

/// An address and port on which a service of the instance listens.
struct Listener {
    service: &'static str,
    address_setting: &'static str,
    port_setting: &'static str,
    /// `None` for every address of both families.
    address: Option<IpAddr>,
    ports: (u16, u16),
}

impl Listener {
    fn overlaps(&self, other: &Self) -> bool {
        let covers = |all: &Self, one: &Self| match (all.address, one.address) {
            (None, _) => true,
            (Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), Some(one)) => one.is_ipv4(),
            // An engine that listens on all IPv6 addresses may answer on IPv4 as well.
            (Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), Some(_)) => true,
            (all, one) => all == one,
        };
        let (low, high) = self.ports;
        let (other_low, other_high) = other.ports;
        low <= other_high && other_low <= high && (covers(self, other) || covers(other, self))
    }

    fn is_open(&self) -> bool {
        self.address.is_none_or(|address| !address.is_loopback())
    }
}

/// Where the instance listens; addresses and ports that cannot be read are left out.
fn listeners(folder: &Folder<'_>) -> Vec<Listener> {
    let application = [("the application", "OVERLEAF_LISTEN_IP", "OVERLEAF_PORT")];
    let proxy = [
        ("nginx", "NGINX_HTTP_LISTEN_IP", "NGINX_HTTP_PORT"),
        ("nginx", "NGINX_TLS_LISTEN_IP", "TLS_PORT"),
    ];
    let proxy: &[_] = if folder.is_on("NGINX_ENABLED") {
        &proxy
    } else {
        &[]
    };
    let all = application.iter().chain(proxy);
    all.filter_map(|&(service, address_setting, port_setting)| {
        let text = folder.setting(address_setting);
        let address = if text.is_empty() {
            None
        } else {
            Some(address(&text)?)
        };
        let ports = folder.setting(port_setting);
        let (low, high) = ports.split_once('-').unwrap_or((&ports, &ports));
        Some(Listener {
            service,
            address_setting,
            port_setting,
            address,
            ports: (low.parse().ok()?, high.parse().ok()?),
        })
    })
    .collect()
}

/// Says by which setting other machines reach the site, `None` when they do not.
fn open_listener(folder: &Folder<'_>) -> Option<String> {
    let all = listeners(folder);
    // With a proxy, people come through it, wherever the application listens.
    let is_proxied = all.len() > 1;
    let mut open = all.iter().filter(|listener| listener.is_open());
    let open = open.find(|listener| !is_proxied || listener.service == "nginx")?;
    let name = open.address_setting;
    let value = folder.setting(name);
    Some(match value.as_str() {
        "" => format!("other machines reach the site, as {name} is empty"),
        _ if folder.rc.contains_key(name) => {
            format!("other machines reach the site by {name}={value}")
        }
        _ => format!("other machines reach the site, as {name} is {value} by default"),
    })
}

pub(super) fn listeners_overlap(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let all = listeners(folder);
    for (at, one) in all.iter().enumerate() {
        let mut earlier = all.iter().take(at);
        let Some(other) = earlier.find(|other| other.overlaps(one)) else {
            continue;
        };
        let shown = |listener: &Listener| {
            let address = folder.setting(listener.address_setting);
            let (address_name, port_name) = (listener.address_setting, listener.port_setting);
            let port = folder.setting(port_name);
            format!("{address_name}={address} {port_name}={port}")
        };
        let what = if one.service == other.service {
            "nginx listens twice on one port".to_owned()
        } else {
            format!("{} and {} listen on one port", other.service, one.service)
        };
        let text = format!("{what}: {} and {}", shown(other), shown(one));
        // The line that is there; a default has none.
        let names = [one.port_setting, one.address_setting, other.port_setting];
        let name = names.into_iter().find(|name| folder.rc.contains_key(*name));
        let place = folder.setting_place(name.unwrap_or(one.port_setting));
        findings.push(rule, place, &text, "");
    }
}

pub(super) fn blocked_port(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let url = folder.variable(SITE_URL);
    let all = listeners(folder);
    let is_proxied = all.len() > 1;
    for listener in &all {
        let (low, high) = listener.ports;
        let mut blocked = rule
            .ports
            .iter()
            .filter(|port| (low..=high).contains(*port));
        let is_opened = match url {
            // Another port in the URL means that a proxy stands in front.
            Some(url) => port(url).is_some_and(|port| (low..=high).contains(&port)),
            None => true,
        };
        let is_direct = listener.service == "nginx" || !is_proxied;
        if let Some(port) = blocked.next()
            && is_opened
            && is_direct
        {
            let name = listener.port_setting;
            let text = format!("{name}: browsers refuse to open port {port}");
            findings.add(rule, name, folder.setting_place(name), &text, "");
        }
    }
}

/// The entries of the list of trusted proxies.
fn trusted<'a>(folder: &'a Folder<'_>) -> Vec<&'a str> {
    let value = folder.variable(TRUSTED_PROXIES).unwrap_or_default();
    let parts = value.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

pub(super) fn trusted_proxies(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let proxies = trusted(folder);
    let has_loopback = proxies
        .iter()
        .any(|proxy| rule.values.iter().any(|value| value == proxy));
    if let Some(entry) = folder.entry(TRUSTED_PROXIES)
        && !proxies.is_empty()
        && !has_loopback
    {
        let text = format!("`{}` does not hold `loopback`", entry.name);
        let advice = format!("write `{}=loopback,{}`", entry.name, proxies.join(","));
        findings.add(rule, &entry.name, entry.place.clone(), &text, &advice);
    }
}

pub(super) fn trusted_proxy_names(rule: &Rule, folder: &Folder<'_>, findings: &mut Findings) {
    let is_range = |text: &str| {
        let (address, bits) = text.split_once('/').unwrap_or((text, "0"));
        address.parse::<IpAddr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 128)
    };
    let is_known = |proxy: &str| rule.values.iter().any(|value| value == proxy) || is_range(proxy);
    let Some(entry) = folder.entry(TRUSTED_PROXIES) else {
        return;
    };
    let name = trusted(folder).into_iter().find(|proxy| !is_known(proxy));
    if let Some(name) = name.filter(|_| !findings.has(&entry.name)) {
        let text = format!("`{}` holds the host name `{name}`", entry.name);
        findings.add(rule, &entry.name, entry.place.clone(), &text, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_of_urls_are_found() {
        for (url, expected) in [
            ("http://h", (Some("h"), Some(80))),
            ("https://u:p@h/x", (Some("h"), Some(443))),
            ("http://h:6000/", (Some("h"), Some(6000))),
            ("http://[::1]:81", (Some("::1"), Some(81))),
            ("https://[::1]", (Some("::1"), Some(443))),
            ("h", (None, None)),
        ] {
            assert_eq!((host(url), port(url)), expected, "{url}");
        }
    }

    #[test]
    fn addresses_overlap_as_sockets_do() {
        let listener = |text: &str, ports| Listener {
            service: "x",
            address_setting: "A",
            port_setting: "P",
            address: (!text.is_empty()).then(|| address(text).unwrap()),
            ports,
        };
        for (one, other, expected) in [
            (("127.0.0.1", (80, 80)), ("127.0.1.1", (80, 80)), false),
            (("0.0.0.0", (80, 80)), ("127.0.1.1", (80, 80)), true),
            (("0.0.0.0", (80, 80)), ("127.0.1.1", (81, 81)), false),
            (("0.0.0.0", (80, 90)), ("127.0.1.1", (85, 85)), true),
            (("", (80, 80)), ("::1", (80, 80)), true),
            (("[::]", (80, 80)), ("192.0.2.1", (80, 80)), true),
            (("0.0.0.0", (80, 80)), ("::1", (80, 80)), false),
        ] {
            let (one, other) = (listener(one.0, one.1), listener(other.0, other.1));
            assert_eq!(one.overlaps(&other), expected);
            assert_eq!(other.overlaps(&one), expected);
        }
    }
}
