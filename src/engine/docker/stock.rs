//! Images, and the containers of everybody.

use std::collections::{BTreeMap, HashMap};

use bollard::body_try_stream;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, ImageSummary};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    RemoveImageOptions, TagImageOptionsBuilder,
};
use futures_util::TryStreamExt;

use super::{DockerEngine, TRANSFER, failure};
use crate::engine::stock::{BuildRequest, ListedContainer, Removal, Stock, StoredImage};
use crate::engine::{ArchiveStream, EngineError};
use crate::observed::ContainerState;

/// What stands for a missing name or tag.
const NONE: &str = "<none>";

impl Stock for DockerEngine {
    async fn stored_images(&self, shared: bool) -> Result<Vec<StoredImage>, EngineError> {
        let options = ListImagesOptionsBuilder::new()
            .digests(true)
            .shared_size(shared)
            .build();
        let client = self.patient(TRANSFER);
        let found = client.list_images(Some(options)).await;
        let found = found.map_err(|error| self.failure("list images", error))?;
        Ok(found.into_iter().map(image).collect())
    }

    async fn remove_image(&self, reference: &str) -> Result<Vec<Removal>, EngineError> {
        let client = self.patient(TRANSFER);
        let removed = client
            .remove_image(reference, None::<RemoveImageOptions>, None)
            .await
            .map_err(|error| self.failure(&format!("remove image `{reference}`"), error));
        let items = match removed {
            Ok(items) => items,
            Err(error) => return failure::unless_missing(error).map(Option::unwrap_or_default),
        };
        let removals = items.into_iter().flat_map(|item| {
            let untagged = item.untagged.map(Removal::Untagged);
            untagged
                .into_iter()
                .chain(item.deleted.map(Removal::Deleted))
        });
        Ok(removals.collect())
    }

    async fn tag(&self, image: &str, reference: &str) -> Result<(), EngineError> {
        let (repo, tag) = match reference.rsplit_once(':') {
            Some((repo, tag)) if !tag.contains('/') => (repo, tag),
            _ => (reference, "latest"),
        };
        let options = TagImageOptionsBuilder::new().repo(repo).tag(tag).build();
        let tagged = self.client.tag_image(image, Some(options)).await;
        tagged.map_err(|error| self.failure(&format!("name an image `{reference}`"), error))
    }

    async fn listed_containers(&self, sizes: bool) -> Result<Vec<ListedContainer>, EngineError> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .size(sizes)
            .build();
        let client = self.patient(TRANSFER);
        let found = client.list_containers(Some(options)).await;
        let found = found.map_err(|error| self.failure("list containers", error))?;
        Ok(found.into_iter().map(listed).collect())
    }

    async fn build(
        &self,
        context: ArchiveStream,
        request: &BuildRequest,
        said: &(dyn Fn(&str) + Sync),
    ) -> Result<String, EngineError> {
        let doing = format!("build image `{}`", request.reference);
        let plain = |map: &BTreeMap<String, String>| -> HashMap<String, String> {
            map.iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        let options = BuildImageOptionsBuilder::new()
            .t(&request.reference)
            .labels(&plain(&request.labels))
            .buildargs(&plain(&request.arguments))
            .nocache(!request.uses_cache)
            .rm(true)
            .forcerm(true)
            .build();
        let client = self.patient(TRANSFER);
        let mut told = Box::pin(client.build_image(options, None, Some(body_try_stream(context))));
        let mut id = None;
        while let Some(piece) = told
            .try_next()
            .await
            .map_err(|error| self.failure(&doing, error))?
        {
            if let Some(error) = piece.error_detail {
                return Err(EngineError::Refused {
                    doing,
                    message: error.message.unwrap_or_default(),
                });
            }
            let text = piece.stream.or(piece.status).unwrap_or_default();
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                said(line.trim_end());
            }
            if let Some(image) = piece.aux {
                id = image.id;
            }
        }
        id.ok_or_else(|| EngineError::Broken {
            doing,
            cause: "the engine did not name the image it built".to_owned(),
        })
    }
}

fn image(summary: ImageSummary) -> StoredImage {
    let named = |names: Vec<String>| {
        let names = names.into_iter();
        names
            .filter(|name| !name.contains(NONE))
            .collect::<Vec<String>>()
    };
    let shared = u64::try_from(summary.shared_size).ok();
    StoredImage {
        id: summary.id,
        references: named(summary.repo_tags),
        digests: named(summary.repo_digests),
        created: summary.created,
        size: u64::try_from(summary.size).unwrap_or(0),
        shared,
        labels: summary.labels.into_iter().collect(),
    }
}

fn listed(summary: ContainerSummary) -> ListedContainer {
    let names = summary.names.unwrap_or_default();
    // A link gives a container a second name with a slash inside.
    let own = names.iter().map(|name| name.trim_start_matches('/'));
    let name = own.min_by_key(|name| name.matches('/').count());
    use ContainerSummaryStateEnum as State;
    ListedContainer {
        id: summary.id.unwrap_or_default(),
        name: name.unwrap_or_default().to_owned(),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id.unwrap_or_default(),
        state: match summary.state {
            Some(State::RUNNING) => ContainerState::Running,
            Some(State::PAUSED) => ContainerState::Paused,
            Some(State::RESTARTING) => ContainerState::Restarting { exit_code: 0 },
            Some(State::EXITED) => ContainerState::Exited { exit_code: 0 },
            Some(State::REMOVING | State::DEAD) => ContainerState::Broken,
            _ => ContainerState::Created,
        },
        status: summary.status.unwrap_or_default(),
        created: summary.created.unwrap_or(0),
        written: summary.size_rw.and_then(|size| u64::try_from(size).ok()),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
    }
}
