//! Files of a container, in and out as archives.

use bollard::body_full;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::TryStreamExt;
use std::io::Read;

use super::{DockerEngine, failure};
use crate::engine::{EngineError, PutFile};

/// Most bytes of a file that are read.
const LIMIT: u64 = 16 << 20;

impl DockerEngine {
    /// Puts files into a container.
    pub(super) async fn upload(
        &self,
        container: &str,
        files: &[PutFile],
    ) -> Result<(), EngineError> {
        if files.is_empty() {
            return Ok(());
        }
        let doing = "put files into a container";
        let archive = archive(files).map_err(|error| EngineError::Broken {
            doing: doing.to_owned(),
            cause: error.to_string(),
        })?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let body = body_full(archive.into());
        let put = self
            .client
            .upload_to_container(container, Some(options), body);
        put.await.map_err(|error| self.failure(doing, error))
    }

    /// What a file in a container holds.
    pub(super) async fn read_file(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let doing = "read a file of a container";
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let answer = self
            .client
            .download_from_container(container, Some(options));
        let mut archive = Vec::new();
        let mut answer = std::pin::pin!(answer);
        loop {
            match answer.try_next().await {
                Ok(Some(piece)) => archive.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => return failure::unless_missing(self.failure(doing, error)),
            }
            if archive.len() as u64 > LIMIT {
                break;
            }
        }
        Ok(first_file(&archive))
    }
}

fn archive(files: &[PutFile]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let content = file.content.expose().as_bytes();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.owner.0);
        header.set_gid(file.owner.1);
        header.set_entry_type(tar::EntryType::Regular);
        let path = file.target.trim_start_matches('/');
        builder.append_data(&mut header, path, content)?;
    }
    builder.into_inner()
}

fn first_file(archive: &[u8]) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    if !entry.header().entry_type().is_file() {
        return None;
    }
    let mut content = Vec::new();
    entry.take(LIMIT).read_to_end(&mut content).ok()?;
    Some(content)
}
