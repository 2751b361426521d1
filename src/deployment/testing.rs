//! Deployments for unit tests.

use std::path::Path;

use super::{Context, Definitions, Deployment, make};
use crate::release::Catalogue;
use crate::settings::{Sources, resolve};

const RC: &str = "OVERLEAF_DATA_PATH=data/overleaf\nOVERLEAF_LISTEN_IP=127.0.0.1\nMONGO_DATA_PATH=data/mongo\nMONGO_IMAGE=mongo\nMONGO_VERSION=8.0\nREDIS_DATA_PATH=data/redis\nREDIS_IMAGE=redis:7.4\nREDIS_AOF_PERSISTENCE=true\nGIT_BRIDGE_DATA_PATH=data/git-bridge\n";

/// The deployment that these lines of overleaf.rc, added to an ordinary one, and these variables make.
pub(crate) fn deployment(rc: &str, variables: &str, version: &str) -> Deployment {
    let sources = Sources {
        root: Path::new("/srv"),
        rc: &format!("{RC}{rc}"),
        variables,
        version,
        dotenv: "",
        environment: &|_| None,
        canonical: &|path| Ok(path.to_path_buf()),
        is_folder: &|_| true,
    };
    let (settings, _) = resolve(&sources).unwrap();
    let context = Context {
        bundled_tag: "abc".to_owned(),
        architecture: "amd64".to_owned(),
    };
    let definitions = Definitions {
        files: Vec::new(),
        environment: &|_| None,
        read: &|_| Ok(variables.to_owned()),
        profiles: &[],
    };
    make(
        &settings,
        &Catalogue::load().unwrap(),
        &context,
        &definitions,
    )
    .unwrap()
}
