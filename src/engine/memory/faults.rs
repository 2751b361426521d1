//! What a test lets happen to the engine in memory.

use std::sync::MutexGuard;

use serde_json::json;
use time::OffsetDateTime;

use super::{MemoryEngine, World, image_of};
use crate::observed::Made;

impl MemoryEngine {
    /// Lets the engine lose count of the containers in a network, so that it does not remove it.
    pub fn miscount(&self, network: &str) {
        self.world().miscounted.insert(network.to_owned());
    }

    /// Lets the engine warn of something when it makes a container.
    pub fn warn_of(&self, container: &str, warning: &str) {
        let mut world = self.world();
        world
            .warnings
            .insert(container.to_owned(), warning.to_owned());
    }

    /// How often the engine was asked who it is.
    #[must_use]
    pub fn introductions(&self) -> usize {
        self.world().introductions
    }

    /// What it was asked about networks and images, in order: `network NAME`, `image REFERENCE`.
    #[must_use]
    pub fn questions(&self) -> Vec<String> {
        self.world().questions.clone()
    }

    pub(super) fn asked(&self, what: String) -> MutexGuard<'_, World> {
        let mut world = self.world();
        world.questions.push(what);
        world
    }

    /// Lets the change with this number fail, counted from 1.
    pub fn fail_at(&self, change: Option<usize>) {
        let mut world = self.world();
        world.fails_at = change;
        world.changes = 0;
    }

    /// Lets the containers of a service end at once with this exit code.
    pub fn exit_at_start(&self, service: &str, exit_code: i64) {
        self.world().exits.insert(service.to_owned(), exit_code);
    }

    /// Changes what the engine shows of a container, as somebody does who changes it by hand.
    pub fn change_by_hand(&self, name: &str, change: &dyn Fn(&mut Made)) {
        if let Some(stored) = self.world().containers.get_mut(name) {
            change(&mut stored.container.made);
        }
    }

    /// Lets an image ask for volumes at these paths.
    pub fn ask_for_volumes(&self, reference: &str, paths: &[&str]) {
        if let Some(image) = self.world().images.get_mut(reference) {
            image.brings.0.insert("volumes".to_owned(), json!(paths));
        }
    }

    /// Lets an image have got its name at a moment.
    pub fn tag_at(&self, reference: &str, moment: OffsetDateTime) {
        if let Some(image) = self.world().images.get_mut(reference) {
            image.tagged = Some(moment);
        }
    }

    /// Puts a newer image under a reference, as a pull by somebody else does.
    pub fn replace_image(&self, reference: &str) {
        let mut image = image_of(reference);
        image.id.push_str("-newer");
        self.world().images.insert(reference.to_owned(), image);
    }

    /// Takes a running container out of its network, as a restart of the engine can do.
    pub fn lose_network(&self, name: &str) {
        if let Some(stored) = self.world().containers.get_mut(name) {
            stored.container.addresses.clear();
            stored.container.network_ids.clear();
            stored.container.bound_ports.clear();
        }
    }

    /// Leaves a container out of the next listing, as a real engine does with one that is being made.
    pub fn list_late(&self, name: &str) {
        self.world().late.insert(name.to_owned());
    }
}
