//! Ports of the host that services are to publish, and who holds them.

use std::net::IpAddr;

use crate::compose;
use crate::compose::Project;
use crate::engine::PortHolder;
use crate::host;
use crate::observed::Container;
use crate::observed::Obstacle;
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

/// Those of the wanted ports that cannot be had: somebody else holds them, or the address is not there.
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
                match found {
                    Some(_) => Some(Obstacle::Orphan(holder)),
                    None => Some(Obstacle::Held(holder)),
                }
            }
            // The sockets of this machine tell nothing about those of another.
            None if !is_here => None,
            None => on_this_machine(&host_ip, port, &protocol),
        };
        if let Some(obstacle) = found {
            taken.push(TakenPort {
                service,
                host_ip,
                port,
                protocol,
                obstacle,
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

/// What of this machine is in the way of a port; `None` when nothing is.
fn on_this_machine(host_ip: &str, port: u16, protocol: &str) -> Option<Obstacle> {
    let address: Option<IpAddr> = host_ip.parse().ok();
    if address.is_some_and(|address| !host::ports::has_address(address)) {
        return Some(Obstacle::NoAddress);
    }
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
    let holder = process.unwrap_or_else(|| "a process of another user".to_owned());
    Some(Obstacle::Held(holder))
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
        let orphan = Obstacle::Orphan("container `p-old-1`".to_owned());
        assert_eq!(taken.obstacle, orphan);
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
        assert!(
            matches!(&taken.obstacle, Obstacle::Held(holder) if holder.ends_with(&process)),
            "{taken:?}"
        );
    }

    /// What of this machine is in the way of the ports of a service.
    fn in_the_way(ports: &str) -> Vec<Obstacle> {
        let text = format!("services: {{a: {{image: i, ports: [{ports}]}}}}");
        let project = load::project(&text, "p").unwrap();
        let wanted = wanted_ports(&project, &[]);
        let taken = taken_ports(&project, &[], wanted, &[], true);
        taken.into_iter().map(|taken| taken.obstacle).collect()
    }

    #[test]
    fn an_address_of_another_machine_is_told_from_a_port_that_is_taken() {
        // A network for documentation (RFC 5737), so that no machine has it.
        assert_eq!(in_the_way("'192.0.2.1:18534:80'"), [Obstacle::NoAddress]);
        assert_eq!(
            in_the_way("'192.0.2.1:18534:53/udp'"),
            [Obstacle::NoAddress]
        );
    }

    #[test]
    fn a_process_on_the_other_family_is_in_the_way_of_all_addresses() {
        let Ok(holder) = std::net::TcpListener::bind("[::1]:0") else {
            // A machine without IPv6.
            return;
        };
        let port = holder.local_addr().unwrap().port();
        let held = in_the_way(&format!("'{port}:80'"));
        assert!(matches!(held.as_slice(), [Obstacle::Held(_)]), "{held:?}");
        let held = in_the_way(&format!("'[::]:{port}:80'"));
        assert!(matches!(held.as_slice(), [Obstacle::Held(_)]), "{held:?}");
        assert_eq!(in_the_way(&format!("'0.0.0.0:{port}:80'")), []);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let number = port.local_addr().unwrap().port();
        assert_eq!(in_the_way(&format!("'[::]:{number}:80'")), []);
        let held = in_the_way(&format!("'{number}:80'"));
        assert!(matches!(held.as_slice(), [Obstacle::Held(_)]), "{held:?}");
    }

    #[tokio::test]
    async fn a_container_on_one_family_leaves_the_other() {
        assert_eq!(taken_beside("[::]:8080:80").await.len(), 1);
        let holder = |host_ip: &str| PortHolder {
            host_ip: host_ip.to_owned(),
            port: 80,
            protocol: "tcp".to_owned(),
            container: "c".to_owned(),
            project: String::new(),
        };
        let holders = [holder("0.0.0.0")];
        for (host_ip, is_held) in [
            ("", true),
            ("0.0.0.0", true),
            ("127.0.0.1", true),
            ("::", false),
            ("::1", false),
        ] {
            let found = container_holder(&holders, host_ip, 80, "tcp");
            assert_eq!(found.is_some(), is_held, "{host_ip}");
        }
    }

    #[tokio::test]
    async fn another_protocol_takes_no_port() {
        assert_eq!(taken_beside("8080:80/udp").await, []);
    }
}
