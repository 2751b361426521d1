//! The changes that make a deployment exist and run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::action::Action;
use super::change::{self, Change, Piece};
use super::draft::Draft;
use super::halt::{self, End, How};
use super::inherit;
use super::start::Starts;
use super::{Plan, UpRequest, networks, pull};
use crate::compose::{MountSource, Service};
use crate::deployment::Deployment;
use crate::observed::{Container, FolderState, Observed};

/// Containers of the project whose service is not part of the deployment, not even of an inactive
/// profile.
#[must_use]
pub fn orphans<'a>(deployment: &Deployment, observed: &'a Observed) -> Vec<&'a Container> {
    let containers = observed.containers.iter();
    containers
        .filter(|found| !deployment.defines(&found.service))
        .collect()
}

/// The services a request is about.
#[must_use]
pub fn chosen<'a>(deployment: &'a Deployment, request: &UpRequest) -> BTreeSet<&'a str> {
    let asked: BTreeSet<&str> = request.services.iter().map(String::as_str).collect();
    let services = deployment.project.services.keys().map(String::as_str);
    let named = services.filter(|name| asked.is_empty() || asked.contains(name));
    if request.no_deps {
        named.collect()
    } else {
        deployment.project.with_needs(named)
    }
}

/// The changes that make the deployment exist and run.
#[must_use]
pub fn up(deployment: &Deployment, observed: &Observed, request: &UpRequest) -> Plan {
    let project = &deployment.project;
    let chosen = chosen(deployment, request);
    let replaced = networks::replaced(deployment, observed, request, &chosen);
    let pieces = change::all(deployment, observed, request, &chosen, &replaced);
    let mut draft = Draft::default();
    let mut ground = ground(&mut draft, deployment, observed, &chosen);
    let mut ends: Vec<End<'_>> = Vec::new();
    if request.remove_orphans {
        ends.extend(
            orphans(deployment, observed)
                .into_iter()
                .map(|container| End {
                    container,
                    how: How::Remove,
                    cause: "its service is not configured any more",
                }),
        );
    }
    ends.extend(pieces.iter().filter_map(|piece| {
        let (how, cause) = match &piece.change {
            Change::Recreate { cause } | Change::Remove { cause } => (How::Remove, cause),
            Change::Restart { cause } => (How::Stop, cause),
            _ => return None,
        };
        let container = piece.found?;
        Some(End {
            container,
            how,
            cause,
        })
    }));
    let early = match replaced.is_empty() && !ends.is_empty() {
        true => early(&mut draft, deployment, observed, &pieces, &ends, &ground),
        false => BTreeMap::new(),
    };
    // Nothing stops before all that can be missing is there, and the engine has taken the definitions:
    // a pull that fails costs no service, and neither does a value that nobody knows.
    let mut prepared = ground.all();
    prepared.extend(early.values().map(|made| made.at));
    // Those that depend on others go first: the application still reaches mongo and redis while it
    // flushes.
    let by_name = match replaced.as_slice() {
        [] => halt::all(&mut draft, project, &ends, &prepared),
        replaced => halt::all_around(&mut draft, project, &ends, &prepared, |draft, stopped| {
            let removed = replaced.iter().map(|network| {
                let at = network.remove(draft, stopped);
                let made = network.create(draft, at);
                ground.networks.insert(network.key.to_owned(), made);
                at
            });
            removed.collect()
        }),
    };
    let gone = Gone::new(&ends, by_name);
    let mut starts = Starts::new(deployment, observed, !request.no_deps);
    for piece in &pieces {
        let Some(cause) = piece.change.cause() else {
            continue;
        };
        if matches!(piece.change, Change::Remove { .. }) {
            continue;
        }
        let Some(definition) = project.services.get(piece.service) else {
            continue;
        };
        let mut needs: Vec<usize> = gone.hindering(piece, definition);
        if let Some(made) = early.get(&(piece.service, piece.number)) {
            needs.push(made.at);
            if let Some(stand_in) = &made.stand_in {
                let action = Action::RenameContainer {
                    service: piece.service.to_owned(),
                    stand_in: stand_in.clone(),
                    name: piece.name.clone(),
                };
                let own = piece.found.and_then(|found| gone.by_name.get(&found.name));
                let holder = gone.by_name.get(&piece.name);
                let before = own.into_iter().chain(holder).copied();
                let renamed = draft.push(action, cause, before.chain([made.at]));
                needs.push(renamed);
            }
        } else if piece.change.is_new() {
            needs.extend(ground.of(definition));
            for host in project.sharing(piece.service) {
                needs.extend(starts.started(host));
            }
            let action = Action::CreateContainer {
                service: piece.service.to_owned(),
                name: piece.name.clone(),
                number: piece.number,
                inherits: inherit::volumes(piece, definition, observed),
                stand_in: None,
            };
            let made = draft.push(action, cause, ground_and_own(&needs, piece, &gone));
            needs.push(made);
        }
        starts.push(&mut draft, piece.service, &piece.name, cause, needs);
    }
    starts.initiate_what_lacks_it(&mut draft, &chosen);
    draft.finish()
}

/// A container that is made before anything stops.
struct Early {
    at: usize,
    stand_in: Option<String>,
}

/// Makes the containers that can be made before anything stops, by service and number. One that takes the
/// place of another stands in under a name of its own until then. What shares with others is bound to their containers, and
/// has to come after them.
fn early<'a>(
    draft: &mut Draft,
    deployment: &Deployment,
    observed: &Observed,
    pieces: &[Piece<'a>],
    ends: &[End<'_>],
    ground: &Ground,
) -> BTreeMap<(&'a str, u32), Early> {
    let project = &deployment.project;
    let mut made = BTreeMap::new();
    for piece in pieces.iter().filter(|piece| piece.change.is_new()) {
        let (Some(cause), Some(definition)) =
            (piece.change.cause(), project.services.get(piece.service))
        else {
            continue;
        };
        let is_held = ends.iter().any(|end| end.container.name == piece.name);
        if !project.sharing(piece.service).is_empty() || (is_held && piece.found.is_none()) {
            continue;
        }
        // Whether its own name is free or not: it must not be taken for a second container of the
        // service, whose data the first one has.
        let stand_in = piece.found.map(|found| found.stand_in_name(&piece.name));
        let action = Action::CreateContainer {
            service: piece.service.to_owned(),
            name: piece.name.clone(),
            number: piece.number,
            inherits: inherit::volumes(piece, definition, observed),
            stand_in: stand_in.clone(),
        };
        let at = draft.push(action, cause, ground.of(definition));
        made.insert((piece.service, piece.number), Early { at, stand_in });
    }
    made
}

/// The changes of an `up` that begins with looking for newer images, as far as they can be told
/// before that is done.
#[must_use]
pub fn whole(deployment: &Deployment, observed: &Observed, request: &UpRequest) -> Plan {
    let mut plan = up(deployment, observed, request);
    plan.put_before(pull::refresh(deployment, observed, request));
    plan
}

/// A container can be made while others still hold its ports; only its own name must be free.
fn ground_and_own(needs: &[usize], piece: &Piece<'_>, gone: &Gone) -> Vec<usize> {
    let old = piece.found.and_then(|found| gone.by_name.get(&found.name));
    // Another service, or one that is not configured any more, may still have the name.
    let holder = gone.by_name.get(&piece.name);
    let foreign: BTreeSet<usize> = gone.by_name.values().copied().collect();
    let ground = needs.iter().copied().filter(|need| !foreign.contains(need));
    ground.chain(old.copied()).chain(holder.copied()).collect()
}

/// The steps that bring what containers stand on, by what they bring.
#[derive(Default)]
struct Ground {
    folders: Vec<(PathBuf, usize)>,
    images: Vec<(String, usize)>,
    networks: BTreeMap<String, usize>,
    volumes: BTreeMap<String, usize>,
    others: Vec<usize>,
}

impl Ground {
    fn all(&self) -> Vec<usize> {
        let mut all = self.others.clone();
        all.extend(self.folders.iter().map(|(_, at)| *at));
        all.extend(self.images.iter().map(|(_, at)| *at));
        all.extend(self.networks.values().chain(self.volumes.values()));
        all
    }

    /// The steps that a container of this definition needs.
    fn of(&self, service: &Service) -> Vec<usize> {
        let mut needs = self.others.clone();
        let images = self.images.iter();
        needs.extend(
            images
                .filter(|(image, _)| *image == service.image)
                .map(|(_, at)| *at),
        );
        needs.extend(
            service
                .networks
                .keys()
                .filter_map(|key| self.networks.get(key)),
        );
        for mount in &service.volumes {
            match &mount.source {
                MountSource::Bind { path, .. } => {
                    let folders = self.folders.iter();
                    let touched = folders.filter(|(folder, _)| touches(folder, path));
                    needs.extend(touched.map(|(_, at)| *at));
                }
                MountSource::Volume(Some(key)) => needs.extend(self.volumes.get(key)),
                _ => {}
            }
        }
        needs
    }
}

/// Whether one of two paths lies within the other.
fn touches(folder: &Path, path: &str) -> bool {
    folder.starts_with(path) || Path::new(path).starts_with(folder)
}

fn mounts(service: &Service, folder: &Path) -> bool {
    service.volumes.iter().any(
        |mount| matches!(&mount.source, MountSource::Bind { path, .. } if touches(folder, path)),
    )
}

fn ground(
    draft: &mut Draft,
    deployment: &Deployment,
    observed: &Observed,
    chosen: &BTreeSet<&str>,
) -> Ground {
    let mut ground = Ground::default();
    for stand_in in &observed.stand_ins {
        let action = Action::RemoveContainer {
            service: stand_in.service.clone(),
            name: stand_in.name.clone(),
        };
        let at = draft.push(action, "an interrupted run left it", []);
        ground.others.push(at);
    }
    let services = &deployment.project.services;
    for folder in &deployment.folders {
        let mut users = services
            .iter()
            .filter(|(_, service)| mounts(service, &folder.path));
        let is_used = users.any(|(name, _)| chosen.contains(name.as_str()));
        if is_used && observed.folders.get(&folder.path) == Some(&FolderState::Missing) {
            let action = Action::CreateFolder {
                path: folder.path.clone(),
                owner: folder.owner,
            };
            let cause = format!("{} names it and it is missing", folder.setting);
            let at = draft.push(action, cause, []);
            ground.folders.push((folder.path.clone(), at));
        }
    }
    ground.images = pull::missing(draft, deployment, observed, chosen);
    let services = services
        .iter()
        .filter(|(name, _)| chosen.contains(name.as_str()));
    let used: BTreeSet<&String> = services
        .clone()
        .flat_map(|(_, service)| service.networks.keys())
        .collect();
    for (key, network) in &deployment.project.networks {
        let exists = observed
            .networks
            .get(&network.name)
            .is_some_and(|found| !found.is_empty());
        if !network.external && !exists && used.contains(key) {
            let action = Action::CreateNetwork {
                key: key.clone(),
                name: network.name.clone(),
            };
            let at = draft.push(action, "it does not exist", []);
            ground.networks.insert(key.clone(), at);
        }
        for surplus in observed.surplus_networks(&network.name) {
            // One that somebody else made stays; a check tells that the name is ambiguous.
            if network.external || !surplus.is_of(&deployment.project) {
                continue;
            }
            let (name, id) = (surplus.name.clone(), surplus.id.clone());
            let cause = "an interrupted run left it beside another one of the same name";
            let at = draft.push(Action::RemoveNetwork { name, id }, cause, []);
            ground.others.push(at);
        }
    }
    let mounted: BTreeSet<&String> = services
        .clone()
        .flat_map(|(_, service)| &service.volumes)
        .filter_map(|mount| match &mount.source {
            MountSource::Volume(key) => key.as_ref(),
            _ => None,
        })
        .collect();
    for (key, volume) in &deployment.project.volumes {
        let is_missing = matches!(observed.volumes.get(&volume.name), Some(None));
        if !volume.external && is_missing && mounted.contains(key) {
            let action = Action::CreateVolume {
                key: key.clone(),
                name: volume.name.clone(),
            };
            let at = draft.push(action, "it does not exist", []);
            ground.volumes.insert(key.clone(), at);
        }
    }
    ground
}

/// The steps that end what is in the way of something else.
struct Gone {
    by_name: BTreeMap<String, usize>,
    ports: Vec<(u16, usize)>,
}

impl Gone {
    fn new(ends: &[End<'_>], by_name: BTreeMap<String, usize>) -> Self {
        let ports = ends.iter().flat_map(|end| {
            let at = by_name.get(&end.container.name);
            let ports = end.container.ports.iter();
            ports.filter_map(move |port| Some((port.host_port, *at?)))
        });
        Self {
            ports: ports.collect(),
            by_name,
        }
    }

    /// The ends that a start has to come after: of its own predecessor, and of whoever holds a port
    /// or an address that it needs.
    fn hindering(&self, piece: &Piece<'_>, definition: &Service) -> Vec<usize> {
        let has_address = definition.networks.values().any(|place| {
            ["ipv4_address", "ipv6_address"]
                .iter()
                .any(|key| place.rest.contains_key(*key))
        });
        if has_address {
            return self.by_name.values().copied().collect();
        }
        let wanted: Vec<(u16, u16)> = definition
            .ports
            .iter()
            .filter_map(|port| range(port.published.as_deref()?))
            .collect();
        let holds = |port: &u16| {
            wanted
                .iter()
                .any(|(first, last)| (first..=last).contains(&port))
        };
        let mut needs: Vec<usize> = self
            .ports
            .iter()
            .filter(|(port, _)| holds(port))
            .map(|(_, at)| *at)
            .collect();
        needs.extend(piece.found.and_then(|found| self.by_name.get(&found.name)));
        needs
    }
}

/// `8080` or `8080-8090` as first and last port.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}
