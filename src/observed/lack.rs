//! What a service lacks on its way to doing its work. The reasons are put into words here and
//! nowhere else: `status`, plans and the wait of `up` say the same.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Container, ContainerState, Health, Observed, Readiness};
use crate::compose::Project;

/// How far a service has come, in the order in which it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Its container starts.
    Start,
    /// Its health check has to succeed.
    Health,
    /// Its probe has to be answered.
    Answer,
    /// It answers, but not as it is configured, which does not change by itself.
    Configuration,
    /// It is a task that has to end.
    End,
}

impl Phase {
    /// Its word in data files and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Health => "health",
            Self::Answer => "answer",
            Self::Configuration => "configuration",
            Self::End => "end",
        }
    }
}

/// What is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// How far the service has come.
    pub phase: Phase,
    /// What is missing, in words for a person.
    pub because: String,
}

impl Lack {
    /// A lack in a phase.
    #[must_use]
    pub fn new(phase: Phase, because: impl Into<String>) -> Self {
        Self {
            phase,
            because: because.into(),
        }
    }
}

impl From<String> for Lack {
    /// The answer to a probe.
    fn from(because: String) -> Self {
        Self::new(Phase::Answer, because)
    }
}

/// What a container lacks; `None` when it does its work, as far as is known.
///
/// `lost_network` is what [`Container::lost_network`] says, `readiness` the answer to its probe.
#[must_use]
pub fn of(
    container: &Container,
    lost_network: Option<&str>,
    readiness: Option<&Readiness>,
) -> Option<Lack> {
    let starting = |because: String| Some(Lack::new(Phase::Start, because));
    match container.state {
        ContainerState::Running => {}
        ContainerState::Paused => return starting("it is paused".to_owned()),
        ContainerState::Created => return starting("it was never started".to_owned()),
        ContainerState::Restarting { exit_code } => {
            return starting(format!(
                "it is started again and again after exit code {exit_code}"
            ));
        }
        ContainerState::Exited { exit_code } => {
            return starting(format!(
                "it does not run, it ended with exit code {exit_code}"
            ));
        }
        ContainerState::Broken => {
            return starting("its container is left over from a removal".to_owned());
        }
    }
    if let Some(because) = lost_network {
        return starting(because.to_owned());
    }
    if container.health == Some(Health::Unhealthy) {
        return Some(Lack::new(Phase::Health, "its health check fails"));
    }
    match readiness {
        Some(Readiness::NotReady { because }) => {
            return Some(Lack::new(Phase::Answer, because.clone()));
        }
        Some(Readiness::NotInitiated) => {
            return Some(Lack::new(Phase::Answer, "its replica set is not initiated"));
        }
        Some(Readiness::Misconfigured { because }) => {
            return Some(Lack::new(Phase::Configuration, because.clone()));
        }
        Some(Readiness::Ready) | None => {}
    }
    (container.health == Some(Health::Starting))
        .then(|| Lack::new(Phase::Health, "its first health check is due"))
}

/// How long a service that nobody can ask has to run before it counts as doing its work; longer where
/// it was started again by itself, because the engine waits longer before each further start.
const SETTLED: Duration = Duration::from_secs(1);
const SETTLED_AGAIN: Duration = Duration::from_secs(10);

/// What a running container lacks that has neither a probe nor a health check: that it has run for a
/// while. `seen` tells for how long it was seen to run, which counts where the engine's clock is another
/// one.
#[must_use]
pub fn unsettled(container: &Container, now: OffsetDateTime, seen: Duration) -> Option<Lack> {
    let needed = match container.restarts {
        0 => SETTLED,
        _ => SETTLED_AGAIN,
    };
    let started = OffsetDateTime::parse(&container.started_at, &Rfc3339);
    let has_run = started.is_ok_and(|started| now - started >= needed);
    let because = match container.restarts {
        0 => "it runs for a moment only".to_owned(),
        1 => "it was started again and runs for a moment only".to_owned(),
        times => format!("it was started again {times} times and runs for a moment only"),
    };
    (!has_run && seen < needed).then(|| Lack::new(Phase::Start, because))
}

impl Container {
    /// Whether it is that of a task which has ended well.
    #[must_use]
    pub fn is_done(&self, project: &Project) -> bool {
        self.state == ContainerState::Exited { exit_code: 0 } && project.is_one_shot(&self.service)
    }

    /// Why nobody can reach it although it runs: after a restart of the engine or of the host, a
    /// container can come back without its network or without its published ports. Making it anew
    /// repairs it, starting it again does not.
    ///
    /// Ports count only in a network that can publish them: one of the project's own with the
    /// engine's bridge driver and a way out.
    #[must_use]
    pub fn lost_network(&self, project: &Project) -> Option<String> {
        let definition = project.services.get(&self.service)?;
        if self.state != ContainerState::Running
            || definition.networks.is_empty()
            || definition.rest.contains_key("network_mode")
        {
            return None;
        }
        // A network need not give addresses.
        if self.addresses.is_empty() && self.network_ids.is_empty() {
            return Some("it runs without its network".to_owned());
        }
        let publishes = definition.networks.keys().any(|key| {
            project.networks.get(key).is_some_and(|network| {
                let driver = network.driver.as_deref().unwrap_or("bridge");
                driver == "bridge" && !network.internal && !network.external
            })
        });
        let missing = self.ports.iter().find(|port| {
            let target = (port.target, port.protocol.clone());
            !self.bound_ports.contains(&target)
        });
        let missing = missing.filter(|_| publishes)?;
        Some(format!(
            "it runs without its network: port {} is not published",
            missing.host_port
        ))
    }
}

impl Observed {
    /// Why a container has no network although it runs: it holds that of another service, which was started
    /// again since and has a new one. Starting it again repairs it.
    #[must_use]
    pub fn outlived_network(&self, project: &Project, container: &Container) -> Option<String> {
        let definition = project.services.get(&container.service)?;
        let mode = definition.rest.get("network_mode")?.as_str()?;
        let host = mode.strip_prefix("service:")?;
        let holder = self.container(host)?;
        let both_run = [container, holder].map(|found| found.state) == [ContainerState::Running; 2];
        let started = |found: &Container| OffsetDateTime::parse(&found.started_at, &Rfc3339).ok();
        let is_newer = started(holder)? > started(container)?;
        (both_run && is_newer)
            .then(|| format!("`{host}`, whose network it shares, was started again since"))
    }

    /// Why a container has no network although it runs, of its own or of another one.
    #[must_use]
    pub fn without_network(&self, project: &Project, container: &Container) -> Option<String> {
        let lost = container.lost_network(project);
        lost.or_else(|| self.outlived_network(project, container))
    }

    /// Why a service does not do its work now, `None` when it does.
    #[must_use]
    pub fn shortcoming(&self, service: &str) -> Option<String> {
        let Some(container) = self.container(service) else {
            return Some("it does not exist".to_owned());
        };
        let lost = self.lost_network(service);
        let readiness = self.readiness.get(service);
        let is_asked = readiness.is_some() || container.health.is_some();
        // One that starts again and again runs at many a look.
        let again = || match self.moment {
            Some(now) if !is_asked && container.restarts > 0 => {
                unsettled(container, now, Duration::ZERO)
            }
            _ => None,
        };
        let lack = of(container, lost, readiness).or_else(again);
        lack.map(|lack| lack.because)
    }

    /// All services that should do their work and do not, with the reason, in start order. A task
    /// that has ended well is done, and one that should have no container lacks nothing.
    #[must_use]
    pub fn shortcomings(&self, project: &Project) -> Vec<(String, String)> {
        let is_done = |service: &str| {
            let found = self.container(service);
            found.is_some_and(|found| found.is_done(project))
        };
        let services = project.start_order().into_iter();
        services
            .filter(|service| project.scale(service) > 0 && !is_done(service))
            .filter_map(|service| Some((service.to_owned(), self.shortcoming(service)?)))
            .collect()
    }

    /// Why nobody can reach a service although its container runs; `None` when it can be reached or
    /// does not run. The repair is a container made anew.
    #[must_use]
    pub fn lost_network(&self, service: &str) -> Option<&str> {
        self.lost_networks.get(service).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::compose::{Attachment, Network, Service};
    use crate::observed::PublishedPort;

    fn project(network: Network) -> Project {
        let mut proxy = Service::default();
        proxy
            .networks
            .insert("default".to_owned(), Attachment::default());
        let mut project = Project::default();
        project.services.insert("proxy".to_owned(), proxy);
        project.networks.insert("default".to_owned(), network);
        project
    }

    fn proxy() -> Container {
        let port = PublishedPort {
            host_ip: String::new(),
            host_port: 8443,
            target: 443,
            protocol: "tcp".to_owned(),
        };
        let address = IpAddr::V4(Ipv4Addr::new(172, 18, 0, 2));
        Container {
            service: "proxy".to_owned(),
            state: ContainerState::Running,
            addresses: [("default".to_owned(), address)].into(),
            ports: vec![port],
            bound_ports: [(443, "tcp".to_owned())].into(),
            ..Container::default()
        }
    }

    #[test]
    fn a_container_without_network_or_ports_is_told_from_a_whole_one() {
        let bridge = project(Network::default());
        assert_eq!(proxy().lost_network(&bridge), None);
        let mut alone = proxy();
        alone.addresses.clear();
        let lost = alone.lost_network(&bridge);
        assert_eq!(lost.as_deref(), Some("it runs without its network"));
        alone.network_ids.insert("n".to_owned());
        assert_eq!(alone.lost_network(&bridge), None);
        let mut unpublished = proxy();
        unpublished.bound_ports.clear();
        assert_eq!(
            unpublished.lost_network(&bridge).as_deref(),
            Some("it runs without its network: port 8443 is not published")
        );
        // No engine publishes a port in these.
        for network in [
            Network {
                internal: true,
                ..Network::default()
            },
            Network {
                driver: Some("macvlan".to_owned()),
                ..Network::default()
            },
        ] {
            assert_eq!(unpublished.lost_network(&project(network)), None);
        }
        unpublished.state = ContainerState::Exited { exit_code: 0 };
        assert_eq!(unpublished.lost_network(&bridge), None);
    }

    #[test]
    fn a_service_of_no_containers_lacks_nothing() {
        let text = "services: {a: {image: 'x:1', scale: 0}, b: {image: 'x:1'}}";
        let project = crate::compose::load::project(text, "p").unwrap();
        let missing = vec![("b".to_owned(), "it does not exist".to_owned())];
        assert_eq!(Observed::default().shortcomings(&project), missing);
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named() {
        let mut container = proxy();
        let not_ready = Readiness::NotReady {
            because: "no answer".to_owned(),
        };
        let said = |container: &Container, lost, readiness| {
            of(container, lost, readiness).map(|lack| (lack.phase, lack.because))
        };
        let (ready, lost) = (Some(&Readiness::Ready), Some("gone"));
        assert_eq!(said(&container, None, ready), None);
        container.health = Some(Health::Starting);
        let due = (Phase::Health, "its first health check is due".to_owned());
        assert_eq!(said(&container, None, ready), Some(due));
        let answer = (Phase::Answer, "no answer".to_owned());
        assert_eq!(said(&container, None, Some(&not_ready)), Some(answer));
        container.health = Some(Health::Unhealthy);
        let fails = (Phase::Health, "its health check fails".to_owned());
        assert_eq!(said(&container, None, Some(&not_ready)), Some(fails));
        let network = (Phase::Start, "gone".to_owned());
        assert_eq!(said(&container, lost, Some(&not_ready)), Some(network));
        container.state = ContainerState::Exited { exit_code: 3 };
        let ended = "it does not run, it ended with exit code 3".to_owned();
        let ended = Some((Phase::Start, ended));
        assert_eq!(said(&container, lost, ready), ended);
    }
}
