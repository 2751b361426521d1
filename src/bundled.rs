//! The images of the bundled servers, made on the spot out of the running program and the shared
//! libraries it needs, as an archive in the form of `docker save` that is produced while it is
//! sent. No Dockerfile, no registry, no `docker` program.

mod libraries;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::engine::ArchiveStream;
use crate::host;
use crate::host::HostError;
use crate::labels;
use crate::servers::tools;
use crate::servers::tools::scripts;

pub use libraries::LibraryError;

/// Where the program lies in the images.
pub const PROGRAM: &str = "/toolkit";

/// Where programs are looked for in the images.
const PATH: &str = "PATH=/usr/bin:/bin:/sbin:/";

/// Size of a piece of the archive on its way to the engine, and how many may wait.
const PIECE: usize = 1 << 16;
const WAITING_PIECES: usize = 4;

/// Blocks of a tar archive.
const BLOCK: u64 = 512;

/// The images cannot be made.
#[derive(Debug, Error)]
pub enum BundledError {
    /// A file cannot be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The libraries of the program cannot be found.
    #[error(transparent)]
    Libraries(#[from] LibraryError),
    /// The archive cannot be made.
    #[error("the archive of the bundled images cannot be made")]
    Archive(#[from] io::Error),
}

/// The tag of the images that belong to this program: a hash over all it is built from.
pub const TAG: &str = env!("TOOLKIT_BUILD");

/// Architecture of this program in Go's words.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A file in the layer that all images share.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LayerEntry {
    /// Copied from this machine.
    Copied {
        target: String,
        source: PathBuf,
        length: u64,
    },
    /// A small text.
    Text {
        target: &'static str,
        text: &'static str,
    },
    /// A link to the program itself.
    Link { target: &'static str },
    /// A folder.
    Folder { target: &'static str, mode: u32 },
}

/// Texts that a C library expects; without them names resolve in odd ways and root has no name.
const TEXTS: [(&str, &str); 3] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/:/nologin\nwww-data:x:33:33:www-data:/:/nologin\n",
    ),
    ("etc/group", "root:x:0:\nwww-data:x:33:\n"),
    ("etc/nsswitch.conf", "hosts: files dns\n"),
];

/// An archive with one image per service and reference, made while it is read.
///
/// # Errors
/// The program or its libraries cannot be read.
pub fn archive(program: &Path, images: &[(String, String)]) -> Result<ArchiveStream, BundledError> {
    let entries = entries(program)?;
    let mut measured = Measuring {
        hasher: Sha256::new(),
        length: 0,
    };
    write_layer(&entries, &mut measured)?;
    let layer = Layer {
        length: measured.length,
        digest: host::hexadecimal(&measured.hasher.finalize()),
    };
    let images = images.to_vec();
    let (sender, receiver) = mpsc::channel(WAITING_PIECES);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            sender,
            piece: Vec::with_capacity(PIECE),
        };
        let made = write_archive(&entries, &layer, &images, &mut pieces);
        if let Err(error) = made.and_then(|()| pieces.flush()) {
            // A receiver that is gone has given up already and needs no second error.
            let _ = pieces.sender.blocking_send(Err(error));
        }
    });
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    Ok(Box::pin(stream))
}

struct Layer {
    length: u64,
    digest: String,
}

fn entries(program: &Path) -> Result<Vec<LayerEntry>, BundledError> {
    let mut entries = vec![LayerEntry::Folder {
        target: "tmp",
        mode: 0o1777,
    }];
    let folders = tools::FOLDERS.iter();
    entries.extend(folders.map(|target| LayerEntry::Folder {
        target,
        mode: 0o755,
    }));
    let texts = TEXTS.iter().chain(scripts::SCRIPTS);
    entries.extend(texts.map(|(target, text)| LayerEntry::Text { target, text }));
    let links = tools::TOOLS.iter();
    entries.extend(links.map(|(target, _)| LayerEntry::Link { target }));
    let mut files = vec![(PROGRAM.to_owned(), program.to_path_buf())];
    files.extend(libraries::closure(program)?);
    for (target, source) in files {
        let length = host::open(&source)?.metadata()?.len();
        let target = target.trim_start_matches('/').to_owned();
        entries.push(LayerEntry::Copied {
            target,
            source,
            length,
        });
    }
    Ok(entries)
}

fn header(path: &str, length: u64, mode: u32, kind: tar::EntryType) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path)?;
    header.set_size(length);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(kind);
    header.set_cksum();
    Ok(header)
}

/// Writes the layer; twice the same entries give twice the same bytes.
fn write_layer(entries: &[LayerEntry], out: &mut impl Write) -> io::Result<()> {
    let mut builder = tar::Builder::new(out);
    for entry in entries {
        match entry {
            LayerEntry::Copied {
                target,
                source,
                length,
            } => {
                let file = host::open(source).map_err(io::Error::other)?;
                let header = header(target, *length, 0o755, tar::EntryType::Regular)?;
                // A file that shrinks meanwhile ends the archive early and the engine refuses it.
                builder.append(&header, file.take(*length))?;
            }
            LayerEntry::Text { target, text } => {
                let length = text.len() as u64;
                let header = header(target, length, 0o644, tar::EntryType::Regular)?;
                builder.append(&header, text.as_bytes())?;
            }
            LayerEntry::Link { target } => {
                let mut header = header(target, 0, 0o777, tar::EntryType::Symlink)?;
                header.set_link_name(PROGRAM)?;
                header.set_cksum();
                builder.append(&header, io::empty())?;
            }
            LayerEntry::Folder { target, mode } => {
                let header = header(target, 0, *mode, tar::EntryType::Directory)?;
                builder.append(&header, io::empty())?;
            }
        }
    }
    builder.finish()
}

fn write_archive(
    entries: &[LayerEntry],
    layer: &Layer,
    images: &[(String, String)],
    out: &mut impl Write,
) -> io::Result<()> {
    let layer_header = header("layer.tar", layer.length, 0o644, tar::EntryType::Regular)?;
    out.write_all(layer_header.as_bytes())?;
    write_layer(entries, out)?;
    let padding = (BLOCK - layer.length % BLOCK) % BLOCK;
    io::copy(&mut io::repeat(0).take(padding), out)?;
    let mut builder = tar::Builder::new(out);
    let mut manifest = Vec::new();
    for (service, reference) in images {
        let path = format!("{service}.json");
        append_json(&mut builder, &path, &image_config(service, &layer.digest))?;
        manifest.push(json!({ "Config": path, "RepoTags": [reference], "Layers": ["layer.tar"] }));
    }
    append_json(&mut builder, "manifest.json", &Value::Array(manifest))?;
    builder.finish()
}

fn append_json(
    builder: &mut tar::Builder<impl Write>,
    path: &str,
    value: &Value,
) -> io::Result<()> {
    let text = value.to_string();
    let header = header(path, text.len() as u64, 0o644, tar::EntryType::Regular)?;
    builder.append(&header, text.as_bytes())
}

/// The configuration of one image: the same layer, another server as its program.
fn image_config(service: &str, layer_digest: &str) -> Value {
    const SECOND: u64 = 1_000_000_000;
    json!({
        "architecture": architecture(),
        "os": "linux",
        // A fixed time: the same program gives the same image.
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": [PROGRAM, "serve", service],
            "Env": [PATH],
            "WorkingDir": "/",
            "Labels": {
                labels::BUNDLED: "true",
                labels::TOOLKIT_VERSION: env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.title": format!("toolkit bundled server standing in for {service}"),
            },
            "Healthcheck": {
                "Test": ["CMD", PROGRAM, "serve", service, "--check"],
                "Interval": 2 * SECOND,
                "Timeout": 5 * SECOND,
                "Retries": 15,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "toolkit" }],
    })
}

/// Counts and hashes what is written to it.
struct Measuring {
    hasher: Sha256,
    length: u64,
}

impl Write for Measuring {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cuts what is written to it into pieces and sends them on; waits while too many are under way.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.piece.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or(bytes);
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let sent = self.sender.blocking_send(Ok(Bytes::from(piece)));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the engine stopped reading"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;

    #[tokio::test]
    async fn the_archive_holds_a_whole_image_for_each_service() {
        let program = host::program().unwrap();
        let images = ["mongo", "redis"]
            .map(|service| (service.to_owned(), format!("x/{service}:1")))
            .to_vec();
        let pieces: Vec<Bytes> = archive(&program, &images)
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        let bytes = pieces.concat();
        let mut reader = tar::Archive::new(bytes.as_slice());
        let mut names = Vec::new();
        let mut layer_digest = String::new();
        let mut config = Value::Null;
        let mut manifest = Value::Null;
        for entry in reader.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            match name.as_str() {
                "layer.tar" => layer_digest = host::hexadecimal(&Sha256::digest(&content)),
                "redis.json" => config = serde_json::from_slice(&content).unwrap(),
                "manifest.json" => manifest = serde_json::from_slice(&content).unwrap(),
                _ => {}
            }
            names.push(name);
        }
        assert_eq!(
            names,
            ["layer.tar", "mongo.json", "redis.json", "manifest.json"]
        );
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{layer_digest}")
        );
        assert_eq!(config["config"]["Entrypoint"][2], "redis");
        assert_eq!(manifest[1]["RepoTags"][0], "x/redis:1");
    }
}
