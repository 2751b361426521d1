//! The world takes something away: the error says what, nothing else suffers, and the next `up`
//! mends it once the cause is gone.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use toolkit::bundled;

use super::instance::Instance;
use super::raw;

/// A small file system at a folder, unmounted when it goes out of scope.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn new(folder: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "toolkit-test"])
            .arg(&folder)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(folder))
    }

    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.0.join("ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What cannot be unmounted now shows in the list of mounts.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_an_up_before_it_changes_anything() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let Some(disk) = SmallDisk::new(instance.sandbox.root().join(".toolkit")) else {
        println!("skipped: this user may not mount a file system");
        return;
    };
    disk.fill();
    let ran = instance.run(&["up"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert_eq!(instance.ids(), []);
    disk.empty();
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0);
    // In the middle of an operation: nothing is done that could not be written down.
    disk.fill();
    let before = instance.ids();
    let ran = instance.run(&["restart"]);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert_eq!(instance.ids(), before);
    disk.empty();
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0);
}

#[test]
fn a_network_that_goes_away_is_made_again_with_those_in_it() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    instance.put("before the network went\n");
    let network = format!("{}_default", instance.project);
    for container in instance.containers() {
        let body = json!({ "Container": container.id, "Force": true }).to_string();
        raw::order("POST", &format!("/networks/{network}/disconnect"), &body);
    }
    raw::order("DELETE", &format!("/networks/{network}"), "");
    let ran = instance.run(&["status"]).succeeded();
    assert!(ran.stdout.contains("network"), "{}", ran.stdout);
    assert_ne!(instance.planned(), 0);
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0);
    assert_eq!(instance.document(), "before the network went\n");
}

/// An image of its own, removed when it goes out of scope.
struct Image(String);

impl Image {
    fn new(name: &str) -> Self {
        let image = Self(name.to_owned());
        image.tag();
        image
    }

    fn tag(&self) {
        let bundled = format!("toolkit-bundled/redis:{}", bundled::TAG);
        let path = format!("/images/{bundled}/tag?repo={}&tag=1", self.0);
        raw::order("POST", &path, "");
    }

    fn remove(&self) {
        // It may be gone already.
        let path = format!("/images/{}:1?force=true", self.0);
        let _ = raw::request(&raw::socket(), "DELETE", &path, b"");
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.remove();
    }
}

#[test]
fn a_removed_image_costs_no_other_service() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let image = Image::new(&format!("127.0.0.1:1/{}", instance.project));
    let service = |variable: &str| {
        format!(
            "services:\n  aside:\n    image: {}:1\n    environment: {{SOMETHING: '{variable}'}}\n",
            image.0
        )
    };
    let file = "config/docker-compose.override.yml";
    instance.sandbox.write(file, &service("a"));
    instance.run(&["up"]).succeeded();
    let before = instance.ids();
    image.remove();
    // What runs needs no image, and nothing stops for one that cannot be had.
    instance.sandbox.write(file, &service("b"));
    let ran = instance.run(&["up"]).ended_with(8);
    assert!(
        ran.stderr.contains("error[REGISTRY_UNREACHABLE]"),
        "{}",
        ran.stderr
    );
    assert_eq!(instance.ids(), before);
    image.tag();
    instance.run(&["up"]).succeeded();
    assert_eq!(instance.planned(), 0);
}
