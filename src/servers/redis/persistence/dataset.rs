//! Writes the whole dataset as commands: beside the file it becomes, synced, then renamed.

#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its data folder"
)]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::database::{DatabaseIndex, Keyspace, Value};
use super::super::resp::encode_command;
use super::{StorageError, UNFINISHED};

/// Elements of a collection in one command.
const BATCH: usize = 64;

/// Replaces the file at `path` with the dataset; it is on the disk afterwards.
pub(super) fn write(path: &Path, keyspace: &Keyspace) -> Result<(), StorageError> {
    let unfinished = write_beside(path, keyspace)?;
    replace(&unfinished, path)?;
    sync_parent(path)
}

/// Writes the dataset to a file beside `path`, whose content is on the disk afterwards.
pub(super) fn write_beside(path: &Path, keyspace: &Keyspace) -> Result<PathBuf, StorageError> {
    let mut unfinished = path.to_owned().into_os_string();
    unfinished.push(".");
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);

    let file = File::create(&unfinished).map_err(StorageError::file("create", &unfinished))?;
    let mut writer = BufWriter::new(file);
    write_commands(&mut writer, keyspace)
        .and_then(|()| writer.flush())
        .and_then(|()| writer.get_ref().sync_all())
        .map_err(StorageError::file("write", &unfinished))?;
    Ok(unfinished)
}

/// Puts a finished file in its place.
pub(super) fn replace(unfinished: &Path, path: &Path) -> Result<(), StorageError> {
    fs::rename(unfinished, path).map_err(StorageError::file("rename", unfinished))
}

/// Makes the name of a file last.
pub(super) fn sync_parent(path: &Path) -> Result<(), StorageError> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(StorageError::file("sync", folder))
}

fn write_commands(writer: &mut impl Write, keyspace: &Keyspace) -> io::Result<()> {
    let mut buffer = Vec::new();
    for index in DatabaseIndex::all() {
        let database = keyspace.database(index);
        if database.len() == 0 {
            continue;
        }
        encode_command(&mut buffer, &["SELECT", &index.number().to_string()]);
        for (key, value, deadline) in database.iter() {
            encode_value(&mut buffer, key, value);
            if let Some(deadline) = deadline {
                let deadline = deadline.to_string();
                encode_command(
                    &mut buffer,
                    &[b"PEXPIREAT", key.as_ref(), deadline.as_bytes()],
                );
            }
            writer.write_all(&buffer)?;
            buffer.clear();
        }
    }
    Ok(())
}

fn encode_value(buffer: &mut Vec<u8>, key: &Bytes, value: &Value) {
    match value {
        Value::Text(text) => encode_command(buffer, &[b"SET", key.as_ref(), text]),
        Value::List(items) => {
            encode_batches(
                buffer,
                "RPUSH",
                key,
                items.iter().map(|item| [item.clone()]),
            );
        }
        Value::Set(members) => {
            encode_batches(
                buffer,
                "SADD",
                key,
                members.keys().map(|member| [member.clone()]),
            );
        }
        Value::Hash(fields) => {
            let pairs = fields
                .iter()
                .map(|(field, value)| [field.clone(), value.clone()]);
            encode_batches(buffer, "HSET", key, pairs);
        }
        Value::SortedSet(members) => {
            let pairs = members
                .iter()
                .map(|(score, member)| [Bytes::from(score.to_text()), member.clone()]);
            encode_batches(buffer, "ZADD", key, pairs);
        }
    }
}

fn encode_batches<const N: usize>(
    buffer: &mut Vec<u8>,
    command: &'static str,
    key: &Bytes,
    elements: impl Iterator<Item = [Bytes; N]>,
) {
    let mut elements = elements.peekable();
    while elements.peek().is_some() {
        let mut arguments = vec![Bytes::from_static(command.as_bytes()), key.clone()];
        arguments.extend(elements.by_ref().take(BATCH).flatten());
        encode_command(buffer, &arguments);
    }
}
