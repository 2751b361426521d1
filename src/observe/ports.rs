//! Ports of the host that services are to publish, and who holds them.

use std::net::IpAddr;

use crate::compose;
use crate::compose::Project;
use crate::engine::PortHolder;
use crate::host;
use crate::observed::Container;
use crate::observed::PublishedPort;
use crate::observed::TakenPort;

/// A port of the host that a service is to publish: the service, the address, the port, the protocol.
pub(super) type WantedPort = (String, String, u16, String);

/// TCP and UDP ports that services need which do not run yet.
pub(super) fn wanted_ports(project: &Project, ours: &[Container]) -> Vec<WantedPort> {
    let mut wanted = Vec::new();
    for (service, definition) in &project.services {
        let container = ours.iter().find(|container| container.service == *service);
        let running = container.filter(|container| container.state.is_running());
        let held = running.map(|container| container.ports.as_slice());
        let held = held.unwrap_or_default();
        for port in definition
            .ports
            .iter()
            .filter(|port| matches!(&*port.protocol, "tcp" | "udp"))
        {
            let Some(number) = port.published.as_ref().and_then(|text| text.parse().ok()) else {
                // A range or a free port: the engine picks one that is free.
                continue;
            };
            let is_it =
                |held: &PublishedPort| held.host_port == number && held.protocol == port.protocol;
            if !held.iter().any(is_it) {
                wanted.push((
                    service.clone(),
                    port.host_ip.clone().unwrap_or_default(),
                    number,
                    port.protocol.clone(),
                ));
            }
        }
    }
    wanted
}

/// Those of the wanted ports that somebody else holds.
pub(super) fn taken_ports(
    project: &Project,
    ours: &[&Container],
    wanted: Vec<WantedPort>,
    holders: &[PortHolder],
    is_here: bool,
) -> Vec<TakenPort> {
    let mut taken = Vec::new();
    for (service, host_ip, port, protocol) in wanted {
        let found = match container_holder(holders, &host_ip, port, &protocol) {
            Some(held) => {
                let found = ours.iter().find(|found| found.name == held.container);
                // A container of a service of the project makes way within the plan.
                if found.is_some_and(|found| project.services.contains_key(&found.service)) {
                    continue;
                }
                let holder = format!("container `{}`", held.container);
                Some((holder, found.is_some()))
            }
            // The sockets of this machine tell nothing about those of another.
            None if !is_here => None,
            None => process_holder(&host_ip, port, &protocol).map(|holder| (holder, false)),
        };
        if let Some((holder, by_orphan)) = found {
            taken.push(TakenPort {
                service,
                host_ip,
                port,
                protocol,
                holder,
                by_orphan,
            });
        }
    }
    taken
}

/// The container that publishes a port of an address.
fn container_holder<'a>(
    holders: &'a [PortHolder],
    host_ip: &str,
    port: u16,
    protocol: &str,
) -> Option<&'a PortHolder> {
    holders.iter().find(|held| {
        held.port == port
            && held.protocol == protocol
            && compose::addresses_overlap(host_ip, &held.host_ip)
    })
}

/// The process of this machine that listens on a port, in words; `None` when it is free.
fn process_holder(host_ip: &str, port: u16, protocol: &str) -> Option<String> {
    let address: Option<IpAddr> = host_ip.parse().ok();
    let (is_free, process) = match protocol {
        "udp" => (
            host::ports::is_udp_free(address, port),
            host::ports::udp_holder as fn(u16) -> Option<String>,
        ),
        _ => (
            host::ports::is_free(address, port),
            host::ports::holder as fn(u16) -> Option<String>,
        ),
    };
    if is_free {
        return None;
    }
    let process = process(port);
    Some(process.unwrap_or_else(|| "a process of another user".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compose::load;
    use crate::engine::Engine;
    use crate::engine::memory::MemoryEngine;
    use crate::engine::request;
    use crate::labels;

    /// The service `old` holds port 8080 and is not configured any more.
    async fn taken_beside(old: &str) -> Vec<TakenPort> {
        let engine = MemoryEngine::new(&["i"], &[]);
        let text = format!("services:\n  old: {{image: i, ports: [\"{old}\"]}}\n");
        let before = load::project(&text, "p").unwrap();
        let definition = &before.services["old"];
        let (none, contents) = (BTreeMap::new(), BTreeMap::new());
        let mut request = request::of(&before, "old", definition, ("p-old-1", 1), &none, &contents);
        request.networks.clear();
        let own = [(labels::PROJECT, "p"), (labels::SERVICE, "old")];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        request.labels.extend(own);
        engine.create_container(&request).await.unwrap();
        engine.start("p-old-1").await.unwrap();
        let ours = engine.project_containers("p").await.unwrap();
        assert_eq!(ours.len(), 1);
        let text = "services:\n  new: {image: i, ports: [\"8080:80\"]}\n";
        let after = load::project(text, "p").unwrap();
        let holders = engine.published_ports().await.unwrap();
        let wanted = wanted_ports(&after, &ours);
        let ours: Vec<&Container> = ours.iter().collect();
        taken_ports(&after, &ours, wanted, &holders, false)
    }

    #[tokio::test]
    async fn an_orphan_that_holds_a_port_is_known_as_one() {
        let taken = taken_beside("8080:80").await;
        let [taken] = taken.as_slice() else {
            panic!("{taken:?}")
        };
        assert!(taken.by_orphan);
        assert_eq!(taken.holder, "container `p-old-1`");
    }

    #[test]
    fn a_process_that_holds_an_udp_port_is_named() {
        let holder = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        let text = format!(
            "services: {{a: {{image: i, ports: ['127.0.0.1:{port}:53/udp', '127.0.0.1:{port}:53/sctp']}}}}"
        );
        let project = load::project(&text, "p").unwrap();
        let wanted = wanted_ports(&project, &[]);
        let taken = taken_ports(&project, &[], wanted, &[], true);
        let [taken] = taken.as_slice() else {
            panic!("{taken:?}")
        };
        assert_eq!((taken.port, &*taken.protocol), (port, "udp"));
        let process = format!("(pid {})", std::process::id());
        assert!(taken.holder.ends_with(&process), "{taken:?}");
    }

    #[tokio::test]
    async fn another_protocol_takes_no_port() {
        assert_eq!(taken_beside("8080:80/udp").await, []);
    }
}
