//! Images, and the containers of everybody, of the engine in memory.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;

use super::{MemoryEngine, image_of};
use crate::engine::stock::{BuildRequest, ListedContainer, Removal, Stock, StoredImage};
use crate::engine::{ArchiveStream, Derivation, EngineError};
use crate::observed::ContainerState;

/// What is known of images beyond their references.
#[derive(Debug, Default)]
pub(super) struct Stocked {
    /// Paths in them, by reference.
    pub(super) paths: BTreeMap<String, BTreeSet<String>>,
    /// Those that were made of others.
    pub(super) derivations: Vec<Derivation>,
    /// Size, and what of it is shared, by reference.
    sizes: BTreeMap<String, (u64, Option<u64>)>,
}

impl MemoryEngine {
    /// Tells an image its size, and what of it is shared with others.
    pub fn set_size(&self, reference: &str, size: u64, shared: Option<u64>) {
        let sizes = &mut self.world().stock.sizes;
        sizes.insert(reference.to_owned(), (size, shared));
    }

    /// Lets a container have ended at a time, RFC 3339.
    pub fn finish_at(&self, name: &str, time: &str) {
        if let Some(stored) = self.world().containers.get_mut(name) {
            stored.container.state = ContainerState::Exited { exit_code: 0 };
            time.clone_into(&mut stored.container.finished_at);
        }
    }
}

impl Stock for MemoryEngine {
    async fn stored_images(&self, _shared: bool) -> Result<Vec<StoredImage>, EngineError> {
        let world = self.world();
        let mut by_id: BTreeMap<&str, StoredImage> = BTreeMap::new();
        for (reference, image) in &world.images {
            let stored = by_id.entry(&image.id).or_insert_with(|| StoredImage {
                id: image.id.clone(),
                ..StoredImage::default()
            });
            stored.references.push(reference.clone());
            let repository = crate::image::repository(reference);
            stored.digests.push(format!("{repository}@{}", image.id));
            if let Some((size, shared)) = world.stock.sizes.get(reference) {
                (stored.size, stored.shared) = (*size, *shared);
            }
        }
        Ok(by_id.into_values().collect())
    }

    async fn remove_image(&self, reference: &str) -> Result<Vec<Removal>, EngineError> {
        let mut world = self.change(format!("remove image `{reference}`"))?;
        let Some(id) = world.images.get(reference).map(|image| image.id.clone()) else {
            return Ok(Vec::new());
        };
        let others = world.images.values().filter(|image| image.id == id).count();
        let mut users = world.containers.values();
        if others == 1 && users.any(|stored| stored.container.image_id == id) {
            return Err(EngineError::Refused {
                doing: format!("remove image `{reference}`"),
                message: "a container uses it".to_owned(),
            });
        }
        world.images.remove(reference);
        let mut removals = vec![Removal::Untagged(reference.to_owned())];
        if others == 1 {
            removals.push(Removal::Deleted(id));
        }
        Ok(removals)
    }

    async fn tag(&self, image: &str, reference: &str) -> Result<(), EngineError> {
        let mut world = self.change(format!("name an image `{reference}`"))?;
        let found = world.images.get(image).cloned();
        let found = found.ok_or_else(|| EngineError::Missing {
            what: format!("image `{image}`"),
        })?;
        world.images.insert(reference.to_owned(), found);
        Ok(())
    }

    async fn listed_containers(&self, _sizes: bool) -> Result<Vec<ListedContainer>, EngineError> {
        let world = self.world();
        let all = world.containers.values().map(|stored| {
            let container = &stored.container;
            ListedContainer {
                id: container.id.clone(),
                name: container.name.clone(),
                image: container.image.clone(),
                image_id: container.image_id.clone(),
                state: container.state,
                status: String::new(),
                created: 0,
                written: None,
                labels: container.labels.clone(),
            }
        });
        Ok(all.collect())
    }

    async fn build(
        &self,
        context: ArchiveStream,
        request: &BuildRequest,
        said: &(dyn Fn(&str) + Sync),
    ) -> Result<String, EngineError> {
        let doing = format!("build image `{}`", request.reference);
        let pieces: Result<Vec<bytes::Bytes>, _> = context.try_collect().await;
        pieces.map_err(|error| EngineError::Broken {
            doing: doing.clone(),
            cause: error.to_string(),
        })?;
        said("built in memory");
        let image = image_of(&request.reference);
        let id = image.id.clone();
        let mut world = self.change(doing)?;
        world.images.insert(request.reference.clone(), image);
        Ok(id)
    }
}
