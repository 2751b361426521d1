//! Checks of names and ports that somebody may hold, or that are wanted twice.

use super::*;
use crate::compose::{Place, Port};
use crate::observed::{Obstacle, TakenPort};

/// The TLS proxy's HTTP listener on the address and port of the application.
pub(in crate::check) fn two_on_one_port() -> Made {
    let rc = "NGINX_ENABLED=true\nNGINX_CONFIG_PATH=c\nNGINX_TLS_LISTEN_IP=127.0.0.1\nNGINX_HTTP_LISTEN_IP=0.0.0.0\nNGINX_HTTP_PORT=80\nTLS_PORT=443\nTLS_PRIVATE_KEY_PATH=k\nTLS_CERTIFICATE_PATH=t\n";
    Made::new(rc)
}

#[test]
fn names_that_others_hold() {
    let made = Made::with("", |made| {
        made.observed.other_instance = Some("/other".to_owned());
        let stranger = Container {
            name: "mongo".to_owned(),
            ..Container::default()
        };
        made.observed.strangers.push(stranger);
        let network = |id: &str| Network {
            id: id.to_owned(),
            name: "overleaf_default".to_owned(),
            ..Network::default()
        };
        let both = vec![network("1"), network("2")];
        made.observed
            .networks
            .insert("overleaf_default".to_owned(), both);
    });
    assert!(made.fails("PROJECT_NAME_TAKEN").because.contains("/other"));
    let finding = made.fails("CONTAINER_NAME_TAKEN");
    assert_eq!(finding.command.as_deref(), Some("docker rm mongo"));
    made.fails("NETWORK_AMBIGUOUS");
    assert!(
        finding.fix.contains("CONTAINER_NAMES=project"),
        "{finding:?}"
    );
    let made = Made::new("");
    made.passes("PROJECT_NAME_TAKEN");
    made.passes("CONTAINER_NAME_TAKEN");
    made.passes("NETWORK_AMBIGUOUS");
}

#[test]
fn ports() {
    let finding = two_on_one_port().fails("PORT_TWICE");
    assert_eq!(finding.measured, "port 80 twice");
    Made::new("").passes("PORT_TWICE");
    let made = Made::with("", |made| {
        made.observed.taken_ports.push(TakenPort {
            service: "sharelatex".to_owned(),
            host_ip: "127.0.0.1".to_owned(),
            port: 80,
            obstacle: Obstacle::Held("process `nginx` (pid 1)".to_owned()),
            ..TakenPort::default()
        });
    });
    let finding = made.fails("PORT_TAKEN");
    assert!(finding.measured.contains("process `nginx` (pid 1)"));
    assert!(finding.fix.contains("OVERLEAF_PORT"));
    Made::new("").passes("PORT_TAKEN");
}

#[test]
fn a_port_of_an_added_service_is_named_by_its_place() {
    let mut made = Made::with("", |made| {
        let project = &mut made.deployment.project;
        for (name, line) in [("dns", 4), ("other", 7)] {
            let mut service = project.services["redis"].clone();
            service.ports = vec![Port {
                host_ip: None,
                target: 53,
                published: Some("53".to_owned()),
                protocol: "udp".to_owned(),
                mode: String::new(),
                rest: crate::compose::Values::new(),
            }];
            project.services.insert(name.to_owned(), service);
            let place = Place {
                file: made
                    .deployment
                    .root
                    .join("config/docker-compose.override.yml"),
                line,
                column: 14,
            };
            let path = format!("services.{name}.ports[0]");
            project.places.insert(path, place);
        }
        made.observed.taken_ports.push(TakenPort {
            service: "dns".to_owned(),
            port: 53,
            protocol: "udp".to_owned(),
            obstacle: Obstacle::Held("process `dnsmasq` (pid 1)".to_owned()),
            ..TakenPort::default()
        });
    });
    let finding = made.fails("PORT_TAKEN");
    assert_eq!(finding.measured, "port 53/udp: process `dnsmasq` (pid 1)");
    let place = "`services.dns.ports` (config/docker-compose.override.yml:4)";
    assert_eq!(
        finding.fix,
        format!("stop that, or set {place} to a free port")
    );
    let finding = made.fails("PORT_TWICE");
    let other = "`services.other.ports` (config/docker-compose.override.yml:7)";
    assert_eq!(
        finding.fix,
        format!("change {place}, {other}, or one of the addresses")
    );
    // The places of files that the program itself makes are not told.
    made.deployment.project.places.clear();
    let finding = made.fails("PORT_TAKEN");
    assert_eq!(
        finding.fix,
        "stop that, or set `services.dns.ports` to a free port"
    );
}

#[test]
fn ports_and_images_count_for_the_services_that_an_up_is_about() {
    let mut made = Made::with("", |made| {
        let holder = "container `x`".to_owned();
        let both = [
            ("sharelatex", Obstacle::Orphan(holder.clone())),
            ("redis", Obstacle::Held(holder)),
        ];
        for (service, obstacle) in both {
            made.observed.taken_ports.push(TakenPort {
                service: service.to_owned(),
                host_ip: String::new(),
                port: 80,
                obstacle,
                ..TakenPort::default()
            });
        }
        for image in made.observed.images.values_mut().flatten() {
            image.architecture = "s390x".to_owned();
        }
        made.observed.strangers.push(Container {
            name: "redis".to_owned(),
            ..Container::default()
        });
    });
    let finding = made.fails("PORT_TAKEN");
    let command = finding.command.as_deref();
    assert_eq!(command, Some("toolkit up --remove-orphans"));
    let all = made.observed.clone();
    let mut about = |services: &[&str], removes_orphans: bool| {
        let services: BTreeSet<&str> = services.iter().copied().collect();
        made.observed = concerning(&all, &made.deployment, &services, removes_orphans);
        let is_taken = matches!(made.run("PORT_TAKEN"), Outcome::Failed(_));
        let is_met = matches!(made.run("CONTAINER_NAME_TAKEN"), Outcome::Failed(_));
        assert_eq!(is_met, made.observed.strangers.len() == 1);
        assert_eq!(is_met, services.contains("redis"));
        let Outcome::Failed(images) = made.run("IMAGE_ARCHITECTURE") else {
            return (is_taken, 0);
        };
        (is_taken, images.len())
    };
    assert_eq!(about(&["sharelatex"], false), (true, 1));
    assert_eq!(about(&["sharelatex"], true), (false, 1));
    assert_eq!(about(&["sharelatex", "redis"], true), (true, 2));
    assert_eq!(about(&["mongo"], false), (false, 1));
    assert_eq!(about(&[], false), (false, 0));
}

/// Where the override file of a world says a key, on this line.
fn place(made: &Made, line: usize) -> Place {
    let file = "config/docker-compose.override.yml";
    Place {
        file: made.deployment.root.join(file),
        line,
        column: 5,
    }
}

#[test]
fn a_name_that_the_override_file_says_is_changed_there() {
    let mut made = Made::with("", |made| {
        let path = "services.redis.container_name".to_owned();
        let place = place(made, 4);
        made.deployment.project.places.insert(path, place);
        let redis = made.deployment.project.services.get_mut("redis").unwrap();
        redis.container_name = Some("cache".to_owned());
        made.observed.strangers.push(Container {
            name: "cache".to_owned(),
            ..Container::default()
        });
    });
    assert_eq!(
        made.fails("CONTAINER_NAME_TAKEN").fix,
        "write another name in `services.redis.container_name` \
         (config/docker-compose.override.yml:4), or remove that container"
    );
    let redis = made.deployment.project.services.get_mut("redis").unwrap();
    redis.container_name = None;
    made.observed.strangers[0].name = "overleaf-redis-1".to_owned();
    let fix = made.fails("CONTAINER_NAME_TAKEN").fix;
    assert!(fix.contains("PROJECT_NAME"), "{fix}");
}

/// A port as a definition says it.
fn port(host_ip: Option<&str>, published: &str) -> Port {
    Port {
        host_ip: host_ip.map(ToOwned::to_owned),
        target: 80,
        published: Some(published.to_owned()),
        protocol: "tcp".to_owned(),
        mode: String::new(),
        rest: crate::compose::Values::new(),
    }
}

/// A world with a service `web` that publishes these, on line 4 of the override file.
fn web(ports: Vec<Port>) -> Made {
    Made::with("", |made| {
        let place = place(made, 4);
        let project = &mut made.deployment.project;
        let mut service = project.services["redis"].clone();
        for at in 0..ports.len() {
            let path = format!("services.web.ports[{at}]");
            project.places.insert(path, place.clone());
        }
        service.ports = ports;
        project.services.insert("web".to_owned(), service);
    })
}

#[test]
fn several_containers_need_a_port_each() {
    let scaled = |published: &str, scale: u32| {
        let mut made = web(vec![port(None, published)]);
        let web = made.deployment.project.services.get_mut("web").unwrap();
        web.rest.insert("scale".to_owned(), json!(scale));
        made
    };
    let finding = scaled("18401", 2).fails("PORT_TWICE");
    assert_eq!(
        finding.text,
        "the 2 containers of `web` all publish port 18401"
    );
    assert_eq!(
        finding.fix,
        "in `services.web.ports` (config/docker-compose.override.yml:4), write a range of 2 ports, \
         or the port of the container alone; or ask for fewer containers"
    );
    scaled("18401-18402", 3).fails("PORT_TWICE");
    scaled("18401-18402", 2).passes("PORT_TWICE");
    scaled("18401", 1).passes("PORT_TWICE");
}

#[test]
fn each_family_has_its_own_ports() {
    let both = |one: Option<&str>, other: Option<&str>| web(vec![port(one, "9"), port(other, "9")]);
    both(Some("0.0.0.0"), Some("::")).passes("PORT_TWICE");
    both(Some("0.0.0.0"), Some("::1")).passes("PORT_TWICE");
    both(Some("127.0.0.1"), Some("127.0.0.2")).passes("PORT_TWICE");
    both(Some("::"), Some("::1")).fails("PORT_TWICE");
    both(Some("0.0.0.0"), Some("127.0.0.1")).fails("PORT_TWICE");
    both(None, Some("::1")).fails("PORT_TWICE");
    both(None, Some("127.0.0.1")).fails("PORT_TWICE");
}

#[test]
fn an_address_that_this_machine_does_not_have_is_named_by_its_place() {
    let taken = |service: &str, host_ip: &str, port: u16| TakenPort {
        service: service.to_owned(),
        host_ip: host_ip.to_owned(),
        port,
        protocol: "tcp".to_owned(),
        obstacle: Obstacle::NoAddress,
    };
    let mut made = web(vec![port(Some("10.9.9.9"), "18534")]);
    made.passes("ADDRESS_NOT_LOCAL");
    made.observed.taken_ports = vec![taken("web", "10.9.9.9", 18534)];
    let finding = made.fails("ADDRESS_NOT_LOCAL");
    assert_eq!(
        finding.fix,
        "set the address in `services.web.ports` (config/docker-compose.override.yml:4) to one \
         that `ip address` shows, or leave it out for all"
    );
    made.passes("PORT_TAKEN");
    made.observed.taken_ports = vec![taken("sharelatex", "10.9.9.9", 80)];
    let finding = made.fails("ADDRESS_NOT_LOCAL");
    assert!(finding.fix.contains("OVERLEAF_LISTEN_IP"), "{finding:?}");
    made.machine.elsewhere = Some("the engine is on another machine".to_owned());
    made.skips("ADDRESS_NOT_LOCAL");
}
