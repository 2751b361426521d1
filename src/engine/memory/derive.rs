//! Images made out of others, of the engine in memory: what it was asked to run is kept.

use super::{MemoryEngine, image_of};
use crate::engine::{Derivation, EngineError};

impl MemoryEngine {
    /// Puts paths into an image.
    pub fn put_into_image(&self, reference: &str, paths: &[&str]) {
        let mut world = self.world();
        let held = world.stock.paths.entry(reference.to_owned()).or_default();
        held.extend(paths.iter().map(ToString::to_string));
    }

    /// What images were made of others, in order.
    #[must_use]
    pub fn derivations(&self) -> Vec<Derivation> {
        self.world().stock.derivations.clone()
    }

    pub(super) fn look_into(
        &self,
        image: &str,
        paths: &[String],
    ) -> Result<Vec<String>, EngineError> {
        let world = self.world();
        if !world.images.contains_key(image) {
            return Err(EngineError::Missing {
                what: format!("image: {image}"),
            });
        }
        let held = world.stock.paths.get(image);
        let has = |path: &&String| held.is_some_and(|held| held.contains(*path));
        Ok(paths.iter().filter(has).cloned().collect())
    }

    pub(super) fn derive(
        &self,
        derivation: &Derivation,
        said: &(dyn Fn(&str) + Sync),
    ) -> Result<(), EngineError> {
        let mut world = self.change(format!("build image `{}`", derivation.reference))?;
        if !world.images.contains_key(&derivation.base) {
            return Err(EngineError::Missing {
                what: format!("image: {}", derivation.base),
            });
        }
        for program in &derivation.programs {
            said(&program.join(" "));
        }
        let image = image_of(&derivation.reference);
        world.images.insert(derivation.reference.clone(), image);
        world.stock.derivations.push(derivation.clone());
        Ok(())
    }
}
