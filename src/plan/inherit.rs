//! Which anonymous volumes a new container can take over.

use std::collections::BTreeMap;

use super::change::Piece;
use crate::compose::{MountSource, Service};
use crate::observed::Observed;

/// The anonymous volumes of a container's predecessor by path, those aside over which the definition
/// mounts something else. A predecessor that is gone is remembered by the journal. Whether the image
/// asks for the others is seen when the image is there.
pub(super) fn volumes(
    piece: &Piece<'_>,
    definition: &Service,
    observed: &Observed,
) -> BTreeMap<String, String> {
    let left = match piece.found {
        Some(found) => Some(&found.anonymous),
        None => {
            let key = (piece.service.to_owned(), piece.number);
            observed.left_behind.get(&key)
        }
    };
    let mut volumes = left.cloned().unwrap_or_default();
    volumes.retain(|path, _| match definition.mount_at(path) {
        Some(mount) => mount.source == MountSource::Volume(None),
        None => !definition.has_memory_at(path),
    });
    volumes
}
