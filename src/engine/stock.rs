//! What the whole engine holds: its images, and the containers of everybody.

use std::collections::BTreeMap;
use std::future::Future;

use super::{ArchiveStream, Engine, EngineError};
use crate::observed::ContainerState;

/// An image the engine holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredImage {
    /// Full id.
    pub id: String,
    /// References it has; empty for one that lost its last.
    pub references: Vec<String>,
    /// Its digests in registries, as `NAME@sha256:…`.
    pub digests: Vec<String>,
    /// When it was built, in seconds since 1970.
    pub created: i64,
    /// Its size in bytes, with what it shares with others.
    pub size: u64,
    /// What of that it shares with other images; `None` when the engine did not say.
    pub shared: Option<u64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A container of anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedContainer {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Image reference it was made from.
    pub image: String,
    /// Id of that image.
    pub image_id: String,
    /// What it is doing. An exit code is not told here and stands as 0.
    pub state: ContainerState,
    /// The engine's words for that, such as `Exited (137) 3 hours ago`.
    pub status: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// What it has written to its own layer, in bytes; `None` when not asked.
    pub written: Option<u64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An image to be built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildRequest {
    /// Reference it gets.
    pub reference: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Arguments of the build. Everybody who has the image can read them: no secrets.
    pub arguments: BTreeMap<String, String>,
    /// Whether steps of earlier builds are taken over.
    pub uses_cache: bool,
}

/// What happened to a reference or an image when it was to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// The reference is gone.
    Untagged(String),
    /// The data with this id is gone.
    Deleted(String),
}

/// An engine whose stock can be looked through.
pub trait Stock: Engine {
    /// All images with a reference or digest, without those in between. `shared` asks for what they
    /// share, which takes the engine a while.
    fn stored_images(
        &self,
        shared: bool,
    ) -> impl Future<Output = Result<Vec<StoredImage>, EngineError>> + Send;

    /// Takes a reference away, and the image with its last one. An image in use is refused; one that is
    /// gone gives nothing.
    fn remove_image(
        &self,
        reference: &str,
    ) -> impl Future<Output = Result<Vec<Removal>, EngineError>> + Send;

    /// Gives an image another reference.
    fn tag(
        &self,
        image: &str,
        reference: &str,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// All containers, running or not. `sizes` asks for what they have written, which takes the engine
    /// a while.
    fn listed_containers(
        &self,
        sizes: bool,
    ) -> impl Future<Output = Result<Vec<ListedContainer>, EngineError>> + Send;

    /// Builds an image out of an archive with a `Dockerfile` and gives its id. `said` hears the lines of
    /// the build.
    fn build(
        &self,
        context: ArchiveStream,
        request: &BuildRequest,
        said: &(dyn Fn(&str) + Sync),
    ) -> impl Future<Output = Result<String, EngineError>> + Send;
}
