//! Checks of published ports.

use super::{Finding, Looked, View, outcome};
use crate::compose::addresses_overlap;

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
            if let Some((other, ..)) = clash {
                findings.push(Finding {
                    text: format!("`{other}` and `{name}` both publish port {published}"),
                    because: "one address has each port once".to_owned(),
                    measured: format!("port {published} twice"),
                    needed: "each port once".to_owned(),
                    fix: "change OVERLEAF_PORT, NGINX_HTTP_PORT or TLS_PORT in config/overleaf.rc, or one of the listen addresses".to_owned(), ..Finding::default() });
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
        let address = match taken.host_ip.as_str() {
            "" => format!("port {}", taken.port),
            host_ip => format!("port {} of {host_ip}", taken.port),
        };
        let setting = if taken.service == "nginx" {
            "TLS_PORT or NGINX_HTTP_PORT"
        } else {
            "OVERLEAF_PORT"
        };
        let (fix, command) = if taken.by_orphan {
            let fix = "remove it: its service is not configured any more";
            let command = "toolkit up --remove-orphans";
            (fix.to_owned(), Some(command.to_owned()))
        } else {
            let fix = format!("stop that, or set {setting} in config/overleaf.rc to a free port");
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
