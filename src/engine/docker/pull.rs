//! Images from registries, for one platform or another.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder};
use futures_util::StreamExt;

use super::{DockerEngine, FIRST_SILENCE, LATER_SILENCE, TRANSFER, failure};
use crate::engine::{EngineError, Transferred};
use crate::observed::architecture_of;

/// The API version that tells for which platforms an image is kept.
pub(super) const MANIFESTS: (u32, u32) = (1, 47);

impl DockerEngine {
    /// Whether an image is kept for this platform, perhaps beside others.
    pub(super) async fn has_manifest(
        &self,
        reference: &str,
        platform: &str,
    ) -> Result<bool, EngineError> {
        let named = HashMap::from([("reference", vec![reference])]);
        let options = ListImagesOptionsBuilder::new()
            .filters(&named)
            .manifests(true)
            .build();
        let found = self.client.list_images(Some(options)).await;
        let found = found.map_err(|error| self.failure("list the platforms of an image", error))?;
        let wanted = architecture_of(platform);
        let mut manifests = found
            .iter()
            .flat_map(|image| image.manifests.iter().flatten());
        Ok(manifests.any(|manifest| {
            let data = manifest.image_data.as_ref();
            let architecture = data.and_then(|data| data.platform.architecture.clone());
            manifest.available && architecture.is_some() && architecture == wanted
        }))
    }

    /// Pulls what a reference names; without a tag, the latest.
    pub(super) async fn pull_tagged(
        &self,
        reference: &str,
        platform: Option<&str>,
        progress: Transferred<'_>,
    ) -> Result<(), EngineError> {
        // Without a tag the engine would pull all tags of the repository.
        let tagged = match crate::image::tag(reference) {
            Some(_) => reference.to_owned(),
            None => format!("{reference}:latest"),
        };
        let mut options = CreateImageOptionsBuilder::new().from_image(&tagged);
        if let Some(platform) = platform {
            options = options.platform(platform);
        }
        let options = options.build();
        let mut stream = Box::pin(
            self.patient(TRANSFER)
                .create_image(Some(options), None, None),
        );
        let mut layers: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        loop {
            let silence = if layers.is_empty() {
                FIRST_SILENCE
            } else {
                LATER_SILENCE
            };
            let Ok(next) = tokio::time::timeout(silence, stream.next()).await else {
                let message = format!("no sign of life for {} s", silence.as_secs());
                let reference = reference.to_owned();
                return Err(EngineError::RegistryUnreachable { reference, message });
            };
            let Some(item) = next else { return Ok(()) };
            let info = item.map_err(|error| failure::of_pull(&self.endpoint, reference, error))?;
            if let Some(message) = info.error_detail.and_then(|detail| detail.message) {
                return Err(failure::of_pull_message(reference, message));
            }
            let detail = info
                .progress_detail
                .map(|detail| (detail.current, detail.total));
            // The same layer is counted once more while it is unpacked.
            let downloads = info.status.as_deref() == Some("Downloading");
            if let (true, Some(id), Some((Some(current), Some(total)))) =
                (downloads, info.id, detail)
            {
                let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
                layers.insert(id, (bytes(current), bytes(total)));
                let done = layers.values().map(|(done, _)| done).sum();
                progress(done, Some(layers.values().map(|(_, total)| total).sum()));
            }
        }
    }
}
