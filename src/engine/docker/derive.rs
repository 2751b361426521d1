//! Images made out of others: what one holds, and the build that runs programs in it.

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder,
};

use super::{DockerEngine, failure};
use crate::engine::stock::{BuildRequest, Stock};
use crate::engine::{ArchiveStream, Derivation, Engine, EngineError};
use crate::labels;

impl DockerEngine {
    /// Those of the paths that an image has. Only a container can be asked for paths, so one is made,
    /// never started, and removed.
    pub(super) async fn look_into(
        &self,
        image: &str,
        paths: &[String],
    ) -> Result<Vec<String>, EngineError> {
        let doing = format!("look into image `{image}`");
        let options = CreateContainerOptionsBuilder::new().build();
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            // An image without a program of its own makes no container without one.
            cmd: Some(vec!["/".to_owned()]),
            labels: Some([(labels::LOOK.to_owned(), image.to_owned())].into()),
            network_disabled: Some(true),
            ..ContainerCreateBody::default()
        };
        let made = self.client.create_container(Some(options), body).await;
        let id = made.map_err(|error| self.failure(&doing, error))?.id;
        let found = self.paths_in(&id, &doing, paths).await;
        let removed = self.remove(&id).await;
        let found = found?;
        removed?;
        Ok(found)
    }

    async fn paths_in(
        &self,
        container: &str,
        doing: &str,
        paths: &[String],
    ) -> Result<Vec<String>, EngineError> {
        let mut found = Vec::new();
        for path in paths {
            let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
            let info = self
                .client
                .get_container_archive_info(container, Some(options));
            match info.await.map_err(|error| self.failure(doing, error)) {
                Ok(_) => found.push(path.clone()),
                Err(error) => failure::unless_missing(error).map(|_: Option<()>| ())?,
            }
        }
        Ok(found)
    }
}

/// Builds the image.
pub(super) async fn build(
    engine: &impl Stock,
    derivation: &Derivation,
    said: &(dyn Fn(&str) + Sync),
) -> Result<(), EngineError> {
    let request = BuildRequest {
        reference: derivation.reference.clone(),
        uses_cache: derivation.uses_cache,
        ..BuildRequest::default()
    };
    let context = context(&dockerfile(derivation)).map_err(|error| EngineError::Broken {
        doing: format!("build image `{}`", derivation.reference),
        cause: error.to_string(),
    })?;
    engine.build(context, &request, said).await.map(|_| ())
}

/// One step per program, in the form that no shell reads. The labels come first: what is taken over of
/// an earlier build is then the whole or nothing.
fn dockerfile(derivation: &Derivation) -> String {
    let mut text = format!("FROM {}\n", derivation.base);
    for (name, value) in &derivation.labels {
        let quoted = |text: &str| serde_json::json!(text).to_string().replace('$', "\\$");
        text.push_str(&format!("LABEL {}={}\n", quoted(name), quoted(value)));
    }
    for program in &derivation.programs {
        text.push_str(&format!("RUN {}\n", serde_json::json!(program)));
    }
    text
}

/// An archive with nothing but the Dockerfile.
fn context(dockerfile: &str) -> std::io::Result<ArchiveStream> {
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, "Dockerfile", dockerfile.as_bytes())?;
    let bytes = bytes::Bytes::from(builder.into_inner()?);
    Ok(Box::pin(futures_util::stream::once(std::future::ready(
        Ok(bytes),
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shell_reads_the_programs() {
        let derivation = Derivation {
            base: "own/overleaf:1".to_owned(),
            labels: [("of".to_owned(), "a $b".to_owned())].into(),
            programs: vec![
                vec!["tlmgr".to_owned(), "a b".to_owned()],
                vec!["tlmgr".to_owned(), "\"; $x".to_owned()],
            ],
            ..Derivation::default()
        };
        let expected = "FROM own/overleaf:1\nLABEL \"of\"=\"a \\$b\"\nRUN [\"tlmgr\",\"a b\"]\nRUN [\"tlmgr\",\"\\\"; $x\"]\n";
        assert_eq!(dockerfile(&derivation), expected);
    }
}
