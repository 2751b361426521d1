//! The checks' functions by id.

use super::Look;
use super::row::RegistryError;
use super::{configured, engine, machine, names, paths, ports, space, stores};

/// Every check with its function.
pub(super) const LOOKS: &[(&str, Look)] = &[
    ("ENGINE_UNREACHABLE", engine::unreachable),
    ("ENGINE_TOO_OLD", engine::too_old),
    ("ENGINE_OLD", engine::old),
    ("ENGINE_PODMAN", engine::podman),
    ("ENGINE_DESKTOP", engine::desktop),
    ("ENGINE_ROOTLESS", engine::rootless),
    ("ENGINE_SNAP", engine::snap),
    ("BUNDLED_ARCHITECTURE", engine::bundled_architecture),
    ("IMAGE_ARCHITECTURE", engine::image_architecture),
    ("MONGO_KERNEL", machine::kernel),
    ("MONGO_PROCESSOR", machine::processor),
    ("PROJECT_NAME_TAKEN", names::project),
    ("CONTAINER_NAME_TAKEN", names::containers),
    ("NETWORK_AMBIGUOUS", names::networks),
    ("VARIABLE_MISSING", configured::variables),
    ("RELEASE_RETRACTED", configured::retracted),
    ("IMAGE_NOT_NAMED", configured::images),
    ("NETWORK_MISSING", configured::networks),
    ("VOLUME_MISSING", configured::volumes),
    ("NETWORK_DIFFERS", configured::differing_networks),
    ("VOLUME_DIFFERS", configured::differing_volumes),
    ("NETWORK_FOREIGN", configured::foreign_networks),
    ("VOLUME_FOREIGN", configured::foreign_volumes),
    ("KEY_NOT_SUPPORTED", configured::keys),
    ("CONTENT_MISSING", configured::contents),
    ("PORT_TWICE", ports::twice),
    ("PORT_TAKEN", ports::taken),
    ("ADDRESS_NOT_LOCAL", ports::addresses),
    ("MOUNTED_FILE", paths::mounted_files),
    ("DATA_PATH_ELSEWHERE", paths::elsewhere),
    ("DATA_PATH_NOT_A_FOLDER", paths::not_a_folder),
    ("DATA_FOLDER_VANISHED", paths::vanished),
    ("DATA_PATH_UNREADABLE", paths::unreadable),
    ("DATA_PATH_OVERLAP", paths::overlap),
    ("DATA_PATH_READ_ONLY", paths::read_only),
    ("DATA_PATH_PERMISSION", paths::permission),
    ("DATA_PATH_OWNER", paths::owner),
    ("DATA_PATH_SNAP", paths::snap),
    ("DATA_PATH_VOLATILE", paths::volatile),
    ("MONGO_FILESYSTEM", paths::mongo_filesystem),
    ("SPACE_IMAGES", space::images),
    ("SPACE_DATA", space::data),
    ("SPACE_LOW", space::low),
    ("SPACE_FILES", space::files),
    ("MONGO_TOO_OLD", stores::mongo_too_old),
    ("MONGO_TOO_NEW", stores::mongo_too_new),
    ("MONGO_DOWNGRADE", stores::mongo_downgrade),
    ("MONGO_STEP_SKIPPED", stores::mongo_step),
    ("MONGO_COMPATIBILITY", stores::mongo_compatibility),
    ("MONGO_UNREACHABLE", stores::mongo_unreachable),
    ("MONGO_REPLICA_SET", stores::mongo_set),
    ("REDIS_UNREACHABLE", stores::redis_unreachable),
    ("REDIS_TOO_OLD", stores::redis_too_old),
];

/// The function of a check.
///
/// # Errors
/// There is none; a unit test keeps this from happening.
pub(super) fn find(id: &str) -> Result<Look, RegistryError> {
    let found = LOOKS.iter().find(|(name, _)| *name == id);
    found
        .map(|(_, look)| *look)
        .ok_or_else(|| RegistryError::Unknown(id.to_owned()))
}
