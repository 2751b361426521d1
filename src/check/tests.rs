//! One test per check that it fails and that it passes, over made-up worlds.

mod engine;
mod paths;
mod ports;
mod stores;

use std::path::Path;

use serde_json::json;

use super::*;
use crate::compose::Volume;
pub(super) use crate::deployment::testing::deployment;
use crate::labels;
use crate::observed;
use crate::observed::Refused;
use crate::observed::network::{Visitor, Whose};
use crate::observed::{Container, EngineFacts, FolderState, Image, Network, machine::PathFacts};
pub(super) use ports::two_on_one_port;

/// A world in which all is well, to be spoilt.
pub(super) struct Made {
    deployment: Deployment,
    observed: Observed,
    machine: MachineFacts,
    unreachable: Option<String>,
}

pub(super) fn path_facts(path: &Path) -> PathFacts {
    PathFacts {
        resolved: path.to_path_buf(),
        exists: true,
        is_empty: false,
        ownership: Some((33, 33, 0o755)),
        filesystem: "ext4".to_owned(),
        is_read_only: false,
        free_bytes: 50 << 30,
        total_bytes: 100 << 30,
        free_files: 1_000_000,
        total_files: 2_000_000,
    }
}

impl Made {
    pub(super) fn of(deployment: Deployment) -> Self {
        let engine = EngineFacts {
            product: "Docker Engine".to_owned(),
            version: "28.5.2".to_owned(),
            api: (1, 51),
            architecture: "amd64".to_owned(),
            operating_system: "linux".to_owned(),
            operating_system_name: "Debian GNU/Linux 13".to_owned(),
            kernel: "6.12.1".to_owned(),
            host_name: "here".to_owned(),
            root_folder: Some("/var/lib/docker".into()),
            security: vec!["name=seccomp,profile=default".to_owned()],
            endpoint: "unix:///var/run/docker.sock".to_owned(),
        };
        let image = |name: &String| {
            let image = Image {
                id: format!("sha256:{name}"),
                architecture: "amd64".to_owned(),
                ..Image::default()
            };
            (name.clone(), Some(image))
        };
        let services = deployment.project.services.values();
        let folders = deployment.folders.iter();
        let owners: Vec<_> = folders
            .map(|folder| {
                let mut facts = path_facts(&folder.path);
                if folder.setting != "OVERLEAF_DATA_PATH" {
                    facts.ownership = Some((999, 999, 0o700));
                }
                if folder.setting == "GIT_BRIDGE_DATA_PATH" {
                    facts.ownership = Some((1000, 1000, 0o700));
                }
                (folder.path.clone(), facts)
            })
            .collect();
        let states = deployment.folders.iter();
        let states = states.map(|folder| (folder.path.clone(), FolderState::Present));
        let files = deployment.files.iter();
        let files = files.map(|file| (file.path.clone(), FolderState::NotAFolder));
        let observed = Observed {
            engine,
            images: services.map(|service| image(&service.image)).collect(),
            folders: states.chain(files).collect(),
            ..Observed::default()
        };
        let machine = MachineFacts {
            elsewhere: None,
            processor: Some(["avx".to_owned()].into()),
            paths: owners.into_iter().collect(),
            engine_root: Some(path_facts(Path::new("/var/lib/docker"))),
            ..MachineFacts::default()
        };
        Self {
            deployment,
            observed,
            machine,
            unreachable: None,
        }
    }

    pub(super) fn new(rc: &str) -> Self {
        Self::of(deployment(
            rc,
            "OVERLEAF_INVITE_TOKEN_SECRET=0123456789abcdef0123456789abcdef\n",
            "6.2.2",
        ))
    }

    /// A world changed by one thing.
    pub(super) fn with(rc: &str, spoil: impl FnOnce(&mut Self)) -> Self {
        let mut made = Self::new(rc);
        spoil(&mut made);
        made
    }

    pub(super) fn run(&self, id: &str) -> Outcome {
        let registry = row::load().unwrap();
        let ignores = Ignores::default();
        let world = World {
            deployment: &self.deployment,
            observed: match &self.unreachable {
                Some(cause) => Err(cause),
                None => Ok(&self.observed),
            },
            machine: &self.machine,
        };
        let checked = run(&registry, &world, Operation::Doctor, &ignores).unwrap();
        let found = checked.into_iter().find(|found| found.check.id == id);
        found.unwrap().outcome
    }

    /// Requires that the check fails, and gives its first finding.
    #[track_caller]
    pub(super) fn fails(&self, id: &str) -> Finding {
        match self.run(id) {
            Outcome::Failed(findings) => {
                for finding in &findings {
                    let texts = [
                        &finding.text,
                        &finding.because,
                        &finding.measured,
                        &finding.needed,
                        &finding.fix,
                    ];
                    assert!(texts.iter().all(|text| !text.is_empty()), "{finding:?}");
                }
                findings[0].clone()
            }
            other => panic!("{id} does not fail: {other:?}"),
        }
    }

    /// Requires that the check passes.
    #[track_caller]
    pub(super) fn passes(&self, id: &str) {
        let outcome = self.run(id);
        assert!(
            matches!(outcome, Outcome::Passed { .. }),
            "{id}: {outcome:?}"
        );
    }

    /// Requires that the check was not or need not be made, and gives why.
    #[track_caller]
    pub(super) fn skips(&self, id: &str) -> String {
        match self.run(id) {
            Outcome::NotChecked { because } | Outcome::NotNeeded { because } => because,
            other => panic!("{id} is made: {other:?}"),
        }
    }
}

#[test]
fn a_world_in_which_all_is_well_passes_everything() {
    let made = Made::new("");
    let registry = row::load().unwrap();
    for check in &registry.checks {
        let outcome = made.run(&check.id);
        assert!(
            !matches!(outcome, Outcome::Failed(_)),
            "{}: {outcome:?}",
            check.id
        );
    }
}

#[test]
fn without_an_engine_the_other_checks_still_run() {
    let made = Made::with("OVERLEAF_LOG_PATH=data/mongo\n", |made| {
        made.unreachable = Some("nothing there".to_owned());
    });
    assert_eq!(made.fails("ENGINE_UNREACHABLE").because, "nothing there");
    made.fails("DATA_PATH_OVERLAP");
    made.passes("SPACE_DATA");
    assert_eq!(made.skips("PORT_TAKEN"), "the engine cannot be asked");
    Made::new("").passes("ENGINE_UNREACHABLE");
}

#[test]
fn paths_of_another_machine_are_not_looked_at() {
    let made = Made::with("", |made| {
        made.machine.elsewhere = Some("it is elsewhere".to_owned());
    });
    for id in [
        "MONGO_PROCESSOR",
        "DATA_PATH_NOT_A_FOLDER",
        "DATA_PATH_PERMISSION",
        "MONGO_FILESYSTEM",
        "SPACE_IMAGES",
        "SPACE_DATA",
    ] {
        assert_eq!(made.skips(id), "it is elsewhere", "{id}");
    }
    made.passes("DATA_PATH_OVERLAP");
}

#[test]
fn only_what_exists_and_may_be_ignored_is_ignored() {
    let registry = row::load().unwrap();
    let new = |ids: &[&str], reason: Option<&str>| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Ignores::new(&registry, &ids, reason)
    };
    assert_eq!(
        new(&["PORT_TAKE"], Some("x")),
        Err(IgnoreError::Unknown {
            id: "PORT_TAKE".to_owned(),
            nearest: Some("PORT_TAKEN".to_owned()),
        })
    );
    assert!(matches!(
        new(&["ENGINE_UNREACHABLE"], Some("x")),
        Err(IgnoreError::Strict { .. })
    ));
    assert!(matches!(
        new(&["project_name_taken"], Some("x")),
        Err(IgnoreError::Strict { .. })
    ));
    for reason in [None, Some(""), Some("  ")] {
        assert_eq!(new(&["PORT_TAKEN"], reason), Err(IgnoreError::NoReason));
    }
    assert_eq!(new(&[], Some("x")), Err(IgnoreError::NoCheck));
    assert_eq!(new(&[], None), Ok(Ignores::default()));
}

#[test]
fn an_ignored_check_blocks_nothing_and_is_handed_on() {
    let registry = row::load().unwrap();
    let ids = ["port_twice".to_owned(), "SPACE_DATA".to_owned()];
    let ignores = Ignores::new(&registry, &ids, Some("a trial")).unwrap();
    let made = two_on_one_port();
    let world = World {
        deployment: &made.deployment,
        observed: Ok(&made.observed),
        machine: &made.machine,
    };
    let checked = run(&registry, &world, Operation::Up, &ignores).unwrap();
    assert!(!checked.iter().any(Checked::blocks));
    let passed = ignored(&checked);
    assert_eq!(
        passed.len(),
        1,
        "what passes anyway is not ignored: {passed:?}"
    );
    assert_eq!(passed[0].id, "PORT_TWICE");
    assert_eq!(passed[0].reason, "a trial");
    assert_eq!(passed[0].measured, "port 80 twice");
}

/// Checks of which one hears at every `up`: what they find is about what `up` does.
const SAID_AT_UP: [&str; 9] = [
    "DATA_PATH_ELSEWHERE",
    "ENGINE_PODMAN",
    "ENGINE_DESKTOP",
    "ENGINE_ROOTLESS",
    "ENGINE_SNAP",
    "VOLUME_DIFFERS",
    "NETWORK_FOREIGN",
    "VOLUME_FOREIGN",
    "MONGO_TOO_NEW",
];

#[test]
fn other_warnings_are_for_the_doctor() {
    for check in row::load().unwrap().checks {
        let by_doctor_only = check.gates == [Operation::Doctor];
        let is_warning = check.severity != Severity::Block;
        if SAID_AT_UP.contains(&&*check.id) {
            assert!(is_warning && !by_doctor_only, "{}", check.id);
            continue;
        }
        let engine = check.id == "ENGINE_UNREACHABLE";
        assert_eq!(by_doctor_only, is_warning || engine, "{}", check.id);
    }
}

/// What stops and removes looks for another instance and for nothing else before it reads the rows.
#[test]
fn only_another_instance_keeps_from_stopping_and_removing() {
    let checks = row::load().unwrap().checks.into_iter();
    let gates = checks.filter(|check| check.gates.contains(&Operation::Down));
    let ids: Vec<String> = gates.map(|check| check.id).collect();
    assert_eq!(ids, ["PROJECT_NAME_TAKEN"]);
}

#[test]
fn what_the_configuration_lacks() {
    let made = Made::of(deployment("", "", "6.2.2"));
    let finding = made.fails("VARIABLE_MISSING");
    assert!(finding.text.contains("OVERLEAF_INVITE_TOKEN_SECRET"));
    Made::new("").passes("VARIABLE_MISSING");

    let accepted = "OVERLEAF_SKIP_RETRACTION_CHECK=5.0.1\n";
    let made = Made::of(deployment(accepted, "", "5.0.1"));
    made.fails("RELEASE_RETRACTED");
    Made::new("").passes("RELEASE_RETRACTED");

    let made = Made::with("", |made| {
        let services = &mut made.deployment.project.services;
        services.get_mut("redis").unwrap().image.clear();
        let network = made
            .deployment
            .project
            .networks
            .values_mut()
            .next()
            .unwrap();
        network.external = true;
    });
    assert!(made.fails("IMAGE_NOT_NAMED").text.contains("redis"));
    let finding = made.fails("NETWORK_MISSING");
    let command = finding.command.unwrap();
    assert!(command.starts_with("docker network create "), "{command}");
    Made::new("").passes("IMAGE_NOT_NAMED");
    Made::new("").passes("NETWORK_MISSING");
}

#[test]
fn parts_of_the_definitions_that_are_not_there() {
    let made = Made::with("", |made| {
        let volume = Volume {
            name: "tex".to_owned(),
            external: true,
            ..Volume::default()
        };
        let volumes = &mut made.deployment.project.volumes;
        volumes.insert("tex".to_owned(), volume);
        made.observed.volumes.insert("tex".to_owned(), None);
        made.observed.refused.push(Refused {
            path: "services.a.build".to_owned(),
            place: None,
            because: "images are not built here".to_owned(),
            fix: "name an image".to_owned(),
        });
        let contents = &mut made.deployment.contents;
        contents.insert("secrets.token".to_owned(), None);
        let token = serde_json::json!({ "environment": "TOKEN_OF_MAIL" });
        let secrets = &mut made.deployment.project.secrets;
        secrets.insert("token".to_owned(), token.as_object().cloned().unwrap());
    });
    let finding = made.fails("CONTENT_MISSING");
    assert!(finding.because.contains("`TOKEN_OF_MAIL`"), "{finding:?}");
    let finding = made.fails("VOLUME_MISSING");
    assert_eq!(finding.command.unwrap(), "docker volume create tex");
    let finding = made.fails("KEY_NOT_SUPPORTED");
    assert_eq!(finding.text, "`services.a.build` cannot be carried out");
    assert!(made.fails("CONTENT_MISSING").text.contains("secrets.token"));
    Made::new("").passes("VOLUME_MISSING");
    Made::new("").passes("KEY_NOT_SUPPORTED");
    Made::new("").passes("CONTENT_MISSING");
}

#[test]
fn networks_and_volumes_that_exist_with_another_configuration() {
    let network = |owner: &str, internal: bool| {
        Made::with("", |made| {
            let name = "overleaf_default".to_owned();
            let shown = |internal: bool| {
                let made = json!({ "driver": "bridge", "internal": internal });
                observed::Made(made.as_object().unwrap().clone())
            };
            let found = Network {
                id: "1".to_owned(),
                name: name.clone(),
                labels: [(labels::PROJECT.to_owned(), owner.to_owned())].into(),
                made: shown(internal),
            };
            let observed = &mut made.observed;
            observed.networks.insert(name.clone(), vec![found]);
            observed.wanted_networks.insert(name, shown(true));
        })
    };
    network("overleaf", true).passes("NETWORK_DIFFERS");
    // One of ours is made anew, unless somebody else is in it.
    network("overleaf", false).passes("NETWORK_DIFFERS");
    let visited = |whose: Whose| {
        let mut made = network("overleaf", false);
        made.observed.visitors.push(Visitor {
            network: "1".to_owned(),
            container: "proxy".to_owned(),
            whose,
        });
        made.fails("NETWORK_DIFFERS")
    };
    let finding = visited(Whose::Foreign);
    assert!(finding.text.contains("`internal`: false → true"));
    assert!(finding.because.contains("`proxy`"), "{finding:?}");
    for (whose, command) in [
        (Whose::Orphan, "toolkit up --remove-orphans"),
        (Whose::Aside, "toolkit up"),
    ] {
        assert_eq!(visited(whose).command.as_deref(), Some(command));
    }
    let finding = network("other", false).fails("NETWORK_DIFFERS");
    assert_eq!(finding.command, None, "{}", finding.fix);

    let volume = |password: &str| {
        Made::with("", |made| {
            let definition = Volume {
                name: "tex".to_owned(),
                ..Volume::default()
            };
            let volumes = &mut made.deployment.project.volumes;
            volumes.insert("tex".to_owned(), definition);
            let of = |password: &str| observed::Volume {
                name: "tex".to_owned(),
                driver: "local".to_owned(),
                options: [("o".to_owned(), password.to_owned())].into(),
                ..observed::Volume::default()
            };
            let observed = &mut made.observed;
            let found = Some(of("password=hunter2"));
            observed.volumes.insert("tex".to_owned(), found);
            observed
                .wanted_volumes
                .insert("tex".to_owned(), of(password));
        })
    };
    volume("password=hunter2").passes("VOLUME_DIFFERS");
    let finding = volume("password=hunter3").fails("VOLUME_DIFFERS");
    assert!(finding.text.contains("`driver_opts.o`"), "{finding:?}");
    assert!(!format!("{finding:?}").contains("hunter"));
}

#[test]
fn what_another_project_made_is_named() {
    let found = |project: Option<&str>, external: bool| {
        let labels = project.map(|name| (labels::PROJECT.to_owned(), name.to_owned()));
        let labels: std::collections::BTreeMap<String, String> = labels.into_iter().collect();
        Made::with("", |made| {
            let (name, key) = ("shared".to_owned(), "data".to_owned());
            let network = crate::compose::Network {
                name: name.clone(),
                external,
                ..crate::compose::Network::default()
            };
            let volume = Volume {
                name: name.clone(),
                external,
                ..Volume::default()
            };
            let project = &mut made.deployment.project;
            project.networks.insert(key.clone(), network);
            project.volumes.insert(key, volume);
            let network = Network {
                name: name.clone(),
                labels: labels.clone(),
                ..Network::default()
            };
            let volume = observed::Volume {
                name: name.clone(),
                labels,
                ..observed::Volume::default()
            };
            let observed = &mut made.observed;
            observed.networks.insert(name.clone(), vec![network]);
            observed.volumes.insert(name, Some(volume));
        })
    };
    let network = found(Some("other"), false).fails("NETWORK_FOREIGN");
    let volume = found(None, false).fails("VOLUME_FOREIGN");
    assert!(network.text.contains("`shared`") && network.text.contains("`other`"));
    assert!(volume.text.contains("other hands"), "{}", volume.text);
    for (finding, key) in [(network, "`networks.data`"), (volume, "`volumes.data`")] {
        assert!(finding.fix.contains(key), "{}", finding.fix);
    }
    for world in [found(Some("overleaf"), false), found(Some("other"), true)] {
        world.passes("NETWORK_FOREIGN");
        world.passes("VOLUME_FOREIGN");
    }
}
