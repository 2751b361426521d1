//! Checks of folders, files and space.

use std::path::Path;

use serde_json::json;

use super::{Made, two_on_one_port};
use crate::compose::MountSource;
use crate::observed::machine::PathFacts;
use crate::observed::{self, Container, ContainerState, FolderState};

const MONGO: &str = "/srv/data/mongo";
const OVERLEAF: &str = "/srv/data/overleaf";

/// A world in which one path is spoilt.
fn path(path: &str, spoil: impl FnOnce(&mut PathFacts)) -> Made {
    Made::with("", |made| {
        spoil(made.machine.paths.get_mut(Path::new(path)).unwrap());
    })
}

fn state(state: FolderState) -> Made {
    Made::with("", |made| {
        made.observed.folders.insert(MONGO.into(), state);
    })
}

#[test]
fn folders_of_another_machine_are_the_engines() {
    let far = |spoil: &dyn Fn(&mut Made)| {
        let mut made = state(FolderState::Elsewhere);
        spoil(&mut made);
        made
    };
    let finding = far(&|_| {}).fails("DATA_PATH_ELSEWHERE");
    assert!(finding.because.contains("the engine makes it for `mongo`"));
    let finding = far(&|made| {
        let mongo = made.deployment.project.services.get_mut("mongo").unwrap();
        for mount in &mut mongo.volumes {
            if let MountSource::Bind { create, .. } = &mut mount.source {
                *create = false;
            }
        }
    })
    .fails("DATA_PATH_ELSEWHERE");
    assert!(finding.because.contains("refuses"), "{finding:?}");
    // Whoever has a container has its folder.
    far(&|made| {
        let mongo = Container {
            service: "mongo".to_owned(),
            ..Container::default()
        };
        made.observed.containers.push(mongo);
    })
    .passes("DATA_PATH_ELSEWHERE");
    let because = state(FolderState::Missing).skips("DATA_PATH_ELSEWHERE");
    assert!(because.contains("of this machine"), "{because}");
}

#[test]
fn files_of_the_proxy() {
    two_on_one_port().passes("MOUNTED_FILE");
    for state in [FolderState::Missing, FolderState::Present] {
        let mut made = two_on_one_port();
        let path = made.deployment.files[0].path.clone();
        made.observed.folders.insert(path, state);
        made.fails("MOUNTED_FILE");
    }
    Made::new("").skips("MOUNTED_FILE");
}

#[test]
fn a_folder_that_a_container_has_used_does_not_vanish() {
    let gone = |found: ContainerState, source: &str| {
        let mut made = state(FolderState::Missing);
        let mount = json!({ "volumes": { "/data/db": { "type": "bind", "source": source } } });
        made.observed.containers.push(Container {
            name: "mongo".to_owned(),
            service: "mongo".to_owned(),
            state: found,
            made: observed::Made(mount.as_object().unwrap().clone()),
            ..Container::default()
        });
        made
    };
    let stopped = ContainerState::Exited { exit_code: 0 };
    for used in [ContainerState::Running, stopped] {
        let finding = gone(used, MONGO).fails("DATA_FOLDER_VANISHED");
        assert!(finding.text.contains("`mongo`"), "{}", finding.text);
    }
    gone(ContainerState::Created, MONGO).passes("DATA_FOLDER_VANISHED");
    gone(stopped, "/srv/elsewhere").passes("DATA_FOLDER_VANISHED");
    state(FolderState::Missing).passes("DATA_FOLDER_VANISHED");
    let mut there = gone(stopped, MONGO);
    let folders = &mut there.observed.folders;
    folders.insert(MONGO.into(), FolderState::Present);
    there.passes("DATA_FOLDER_VANISHED");
}

#[test]
fn what_stands_in_place_of_a_folder() {
    state(FolderState::NotAFolder).fails("DATA_PATH_NOT_A_FOLDER");
    state(FolderState::Missing).passes("DATA_PATH_NOT_A_FOLDER");
    let cause = "permission denied".to_owned();
    let finding = state(FolderState::Unreadable { cause }).fails("DATA_PATH_UNREADABLE");
    assert_eq!(finding.because, "permission denied");
    state(FolderState::Present).passes("DATA_PATH_UNREADABLE");
}

#[test]
fn folders_in_each_other() {
    for (rc, expected) in [
        ("REDIS_DATA_PATH=data/mongo\n", "the same folder as"),
        ("REDIS_DATA_PATH=data/mongo/redis\n", "inside"),
        ("REDIS_DATA_PATH=data\n", "around"),
        ("OVERLEAF_LOG_PATH=data/mongo/logs\n", "around"),
        ("OVERLEAF_LOG_PATH=data/overleaf\n", "the same folder as"),
    ] {
        let finding = Made::new(rc).fails("DATA_PATH_OVERLAP");
        assert!(finding.text.contains(expected), "{rc}: {}", finding.text);
    }
    for rc in [
        "",
        "REDIS_DATA_PATH=data/mongo2\n",
        "OVERLEAF_LOG_PATH=data/overleaf/log\n",
    ] {
        Made::new(rc).passes("DATA_PATH_OVERLAP");
    }
    let linked = path("/srv/data/redis", |facts| facts.resolved = MONGO.into());
    linked.fails("DATA_PATH_OVERLAP");
}

#[test]
fn filesystems_without_writes() {
    path(MONGO, |facts| facts.is_read_only = true).fails("DATA_PATH_READ_ONLY");
    Made::new("").passes("DATA_PATH_READ_ONLY");
}

#[test]
fn who_may_use_a_folder() {
    let application = |owner| path(OVERLEAF, |facts| facts.ownership = Some(owner));
    for owner in [
        (0, 0, 0o770),
        (1000, 1000, 0o700),
        (33, 0, 0o600),
        (0, 33, 0o705),
    ] {
        let finding = application(owner).fails("DATA_PATH_PERMISSION");
        let command = finding.command.unwrap();
        assert_eq!(command, format!("chown 33:33 {OVERLEAF}"));
    }
    for owner in [
        (0, 0, 0o755),
        (0, 33, 0o710),
        (33, 33, 0o700),
        (0, 0, 0o001),
    ] {
        application(owner).passes("DATA_PATH_PERMISSION");
    }
    // Its image takes it over, unless it is told to run as somebody.
    let mut mongo = path(MONGO, |facts| facts.ownership = Some((0, 0, 0o700)));
    mongo.passes("DATA_PATH_PERMISSION");
    let mut user = |user: &str| {
        let service = mongo.deployment.project.services.get_mut("mongo").unwrap();
        service.user = Some(user.to_owned());
        mongo.run("DATA_PATH_PERMISSION")
    };
    assert!(matches!(user("1000:1000"), super::Outcome::Failed(_)));
    for other in ["root", "0:0", "mongodb"] {
        assert!(
            matches!(user(other), super::Outcome::Passed { .. }),
            "{other}"
        );
    }
    let mut rootless = application((0, 0, 0o700));
    rootless.observed.engine.security = vec!["name=rootless".to_owned()];
    rootless.skips("DATA_PATH_PERMISSION");
    let mut log = Made::new("OVERLEAF_LOG_PATH=log\n");
    let facts = log.machine.paths.get_mut(Path::new("/srv/log")).unwrap();
    facts.ownership = Some((0, 0, 0o755));
    assert!(log.fails("DATA_PATH_PERMISSION").needed.contains("write"));
}

#[test]
fn whose_data_it_is() {
    let finding =
        path(MONGO, |facts| facts.ownership = Some((0, 0, 0o755))).fails("DATA_PATH_OWNER");
    assert_eq!(
        finding.command.unwrap(),
        format!("chown -R 999:999 {MONGO}")
    );
    Made::new("").passes("DATA_PATH_OWNER");
    let empty = path(MONGO, |facts| {
        facts.ownership = Some((0, 0, 0o755));
        facts.is_empty = true;
    });
    empty.passes("DATA_PATH_OWNER");
}

#[test]
fn what_a_snap_sees() {
    let snap = |folder: &str| {
        Made::with("", |made| {
            let root = "/var/snap/docker/common";
            made.observed.engine.root_folder = Some(root.into());
            for found in &mut made.deployment.folders {
                found.path = Path::new(folder).join(&found.setting);
            }
        })
    };
    snap("/srv/data").fails("DATA_PATH_SNAP");
    snap("/home/me/.hidden/data").fails("DATA_PATH_SNAP");
    snap("/home/me/data/.x").passes("DATA_PATH_SNAP");
    Made::new("").skips("DATA_PATH_SNAP");
}

#[test]
fn filesystems() {
    let on = |kind: &str| path(MONGO, |facts| facts.filesystem = kind.to_owned());
    on("tmpfs").fails("DATA_PATH_VOLATILE");
    on("xfs").passes("DATA_PATH_VOLATILE");
    for kind in [
        "nfs4",
        "cifs",
        "9p",
        "vboxsf",
        "fuse.sshfs",
        "fuseblk",
        "exfat",
    ] {
        assert_eq!(on(kind).fails("MONGO_FILESYSTEM").measured, kind);
    }
    for kind in ["ext4", "xfs", "btrfs", "zfs", "overlay"] {
        on(kind).passes("MONGO_FILESYSTEM");
    }
    on("").skips("MONGO_FILESYSTEM");
    let mut volume = on("nfs4");
    let mongo = volume.deployment.project.services.get_mut("mongo").unwrap();
    mongo.volumes.clear();
    volume.skips("MONGO_FILESYSTEM");
}

#[test]
fn space() {
    let free = |bytes: u64, pulls: bool| {
        Made::with("", |made| {
            made.machine.engine_root.as_mut().unwrap().free_bytes = bytes;
            if pulls {
                made.observed.images.insert("mongo:8.0".to_owned(), None);
            }
        })
    };
    let finding = free(4 << 30, true).fails("SPACE_IMAGES");
    assert_eq!(
        (&*finding.measured, &*finding.needed),
        ("4.0 GiB free", "5.0 GiB")
    );
    free(4 << 30, false).passes("SPACE_IMAGES");
    assert_eq!(
        free(100 << 20, false).fails("SPACE_IMAGES").needed,
        "256 MiB"
    );
    free(6 << 30, true).passes("SPACE_IMAGES");

    let left = |bytes: u64| path(MONGO, |facts| facts.free_bytes = bytes);
    let finding = left(10 << 20).fails("SPACE_DATA");
    assert!(finding.fix.contains("MONGO_DATA_PATH"), "{}", finding.fix);
    left(1 << 30).passes("SPACE_DATA");
    left(9 << 30).fails("SPACE_LOW");
    left(11 << 30).passes("SPACE_LOW");

    path(MONGO, |facts| facts.free_files = 100).fails("SPACE_FILES");
    Made::new("").passes("SPACE_FILES");
    let unlimited = path(MONGO, |facts| {
        facts.free_files = 0;
        facts.total_files = 0;
    });
    unlimited.passes("SPACE_FILES");
}
