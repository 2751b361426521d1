//! Checks of published ports.

use super::{Finding, Looked, View, outcome};
use crate::compose::Port;
use crate::compose::addresses_overlap;
use crate::observed::{Obstacle, TakenPort};

/// What an operator changes to publish another port: the place in a file of theirs that says it, or the
/// setting that it comes from.
fn said(view: &View<'_>, service: &str, is_it: impl Fn(&Port) -> bool) -> String {
    let project = &view.deployment.project;
    let definition = project.services.get(service);
    let at = definition.and_then(|definition| definition.ports.iter().position(is_it));
    let path = format!("services.{service}.ports");
    let item = at.and_then(|at| project.places.get(&format!("{path}[{at}]")));
    let setting = match service {
        "nginx" => Some("TLS_PORT or NGINX_HTTP_PORT in config/overleaf.rc"),
        "sharelatex" => Some("OVERLEAF_PORT in config/overleaf.rc"),
        _ => None,
    };
    match (item.or_else(|| project.places.get(&path)), setting) {
        (None, Some(setting)) => setting.to_owned(),
        (Some(_), Some(setting)) if item.is_none() => setting.to_owned(),
        (Some(place), _) => view.key_at(&path, place),
        (None, None) => format!("`{path}`"),
    }
}

/// A port as people write it: the usual protocol goes without saying.
fn number(port: &str, protocol: &str) -> String {
    match protocol {
        "tcp" | "" => port.to_owned(),
        other => format!("{port}/{other}"),
    }
}

/// How many ports a published one stands for; a range has several, of which each container gets one.
fn count(published: &str) -> u32 {
    let range = published.split_once('-');
    let range = range
        .and_then(|(first, last)| Some((first.parse::<u32>().ok()?, last.parse::<u32>().ok()?)));
    range.map_or(1, |(first, last)| (last + 1).saturating_sub(first))
}

/// Several containers of one service that are to publish fewer ports than they are.
fn too_few(
    view: &View<'_>,
    service: &str,
    port: &Port,
    published: &str,
    containers: u32,
) -> Finding {
    let shown = number(published, &port.protocol);
    let key = said(view, service, |found| std::ptr::eq(found, port));
    Finding {
        text: format!("the {containers} containers of `{service}` all publish port {shown}"),
        because: "one address has each port once".to_owned(),
        measured: format!("port {shown} for {containers} containers"),
        needed: "a port for each container".to_owned(),
        fix: format!(
            "in {key}, write a range of {containers} ports, or the port of the container alone; or ask \
             for fewer containers"
        ),
        ..Finding::default()
    }
}

pub(super) fn twice(view: &View<'_>) -> Looked {
    let mut seen: Vec<(&str, &str, &str, &str)> = Vec::new();
    let mut findings = Vec::new();
    for (name, service) in &view.deployment.project.services {
        for port in &service.ports {
            // The engine picks one that is free.
            let Some(published) = port.published.as_deref().filter(|port| *port != "0") else {
                continue;
            };
            let containers = view.deployment.project.scale(name);
            if count(published) < containers {
                findings.push(too_few(view, name, port, published, containers));
            }
            let address = port.host_ip.as_deref().unwrap_or_default();
            let clash = seen.iter().find(|(_, other_address, other, protocol)| {
                *other == published
                    && *protocol == port.protocol
                    && addresses_overlap(address, other_address)
            });
            if let Some((other, other_address, ..)) = clash {
                let shown = number(published, &port.protocol);
                let is_other = |found: &Port| {
                    found.published.as_deref() == Some(published)
                        && found.protocol == port.protocol
                        && found.host_ip.as_deref().unwrap_or_default() == *other_address
                };
                let (one, two) = (
                    said(view, other, is_other),
                    said(view, name, |found| std::ptr::eq(found, port)),
                );
                findings.push(Finding {
                    text: format!("`{other}` and `{name}` both publish port {shown}"),
                    because: "one address has each port once".to_owned(),
                    measured: format!("port {shown} twice"),
                    needed: "each port once".to_owned(),
                    fix: format!("change {one}, {two}, or one of the addresses"),
                    ..Finding::default()
                });
            }
            seen.push((name, address, published, &port.protocol));
        }
    }
    let ports: Vec<&str> = seen.iter().map(|(_, _, published, _)| *published).collect();
    outcome(findings, ports.join(", "), "each port once")
}

pub(super) fn taken(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    let findings = observed.taken_ports.iter().filter_map(|taken| {
        let (holder, is_orphan) = match &taken.obstacle {
            Obstacle::Held(holder) => (holder, false),
            Obstacle::Orphan(holder) => (holder, true),
            Obstacle::NoAddress => return None,
        };
        let shown = number(&taken.port.to_string(), &taken.protocol);
        let address = match taken.host_ip.as_str() {
            "" => format!("port {shown}"),
            host_ip => format!("port {shown} of {host_ip}"),
        };
        let (fix, command) = if is_orphan {
            let fix = "remove it: its service is not configured any more";
            let command = "toolkit up --remove-orphans";
            (fix.to_owned(), Some(command.to_owned()))
        } else {
            let setting = said(view, &taken.service, is_port(taken));
            let fix = format!("stop that, or set {setting} to a free port");
            (fix, None)
        };
        Some(Finding {
            text: format!("{address} is taken, and `{}` publishes it", taken.service),
            because: format!("{holder} holds it"),
            measured: format!("{address}: {holder}"),
            needed: format!("{address} free"),
            fix,
            command,
        })
    });
    let measured = match &view.machine.elsewhere {
        Some(_) => "no container of the engine holds a port that is needed",
        None => "free or ours",
    };
    outcome(findings.collect(), measured, "")
}

/// Addresses that ports are to be published on and that this machine does not have.
pub(super) fn addresses(view: &View<'_>) -> Looked {
    let observed = view.observed()?;
    view.here()?;
    let taken = observed.taken_ports.iter();
    let absent = taken.filter(|taken| taken.obstacle == Obstacle::NoAddress);
    let findings = absent.map(|taken| {
        let address = &taken.host_ip;
        let shown = number(&taken.port.to_string(), &taken.protocol);
        let setting = match said(view, &taken.service, is_port(taken)) {
            key if key.starts_with('`') => format!("the address in {key}"),
            _ if taken.service == "nginx" => {
                "NGINX_HTTP_LISTEN_IP or NGINX_TLS_LISTEN_IP in config/overleaf.rc".to_owned()
            }
            _ => "OVERLEAF_LISTEN_IP in config/overleaf.rc".to_owned(),
        };
        Finding {
            text: format!(
                "this machine does not have the address {address}, and `{}` publishes port {shown} of it",
                taken.service
            ),
            because: "the engine listens on addresses of this machine only".to_owned(),
            measured: format!("no address {address}"),
            needed: "addresses of this machine".to_owned(),
            fix: format!("set {setting} to one that `ip address` shows, or leave it out for all"),
            ..Finding::default()
        }
    });
    outcome(
        findings.collect(),
        "every address is one of this machine",
        "",
    )
}

/// Whether a port of a definition is the one that cannot be had.
fn is_port(taken: &TakenPort) -> impl Fn(&Port) -> bool {
    let published = taken.port.to_string();
    move |port: &Port| {
        port.published.as_ref() == Some(&published)
            && port.protocol == taken.protocol
            && port.host_ip.as_deref().unwrap_or_default() == taken.host_ip
    }
}
