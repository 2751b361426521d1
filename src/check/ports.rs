//! Checks of published ports.

use super::{Finding, Looked, View, outcome};
use crate::compose::Port;
use crate::compose::addresses_overlap;

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
        (Some(place), _) => {
            let file = place.file.strip_prefix(&view.deployment.root);
            let file = file.unwrap_or(&place.file).display();
            format!("`{path}` ({file}:{})", place.line)
        }
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

pub(super) fn twice(view: &View<'_>) -> Looked {
    let mut seen: Vec<(&str, &str, &str, &str)> = Vec::new();
    let mut findings = Vec::new();
    for (name, service) in &view.deployment.project.services {
        for port in &service.ports {
            let Some(published) = port.published.as_deref() else {
                continue;
            };
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
    let findings = observed.taken_ports.iter().map(|taken| {
        let port = taken.port.to_string();
        let shown = number(&port, &taken.protocol);
        let address = match taken.host_ip.as_str() {
            "" => format!("port {shown}"),
            host_ip => format!("port {shown} of {host_ip}"),
        };
        let setting = said(view, &taken.service, |found| {
            found.published.as_deref() == Some(port.as_str())
                && found.protocol == taken.protocol
                && found.host_ip.as_deref().unwrap_or_default() == taken.host_ip
        });
        let (fix, command) = if taken.by_orphan {
            let fix = "remove it: its service is not configured any more";
            let command = "toolkit up --remove-orphans";
            (fix.to_owned(), Some(command.to_owned()))
        } else {
            let fix = format!("stop that, or set {setting} to a free port");
            (fix, None)
        };
        Finding {
            text: format!("{address} is taken, and `{}` publishes it", taken.service),
            because: format!("{} holds it", taken.holder),
            measured: format!("{address}: {}", taken.holder),
            needed: format!("{address} free"),
            fix,
            command,
        }
    });
    let measured = match &view.machine.elsewhere {
        Some(_) => "no container of the engine holds a port that is needed",
        None => "free or ours",
    };
    outcome(findings.collect(), measured, "")
}
