//! Which mongo used a data folder last. MongoDB keeps diagnostic records beside its data, and each
//! file of them begins with a plain BSON document about the server that opened it.

use std::io::Cursor;
use std::path::Path;

use bson::Document;

use crate::host;

/// Folder of the records below the data folder.
const RECORDS: &str = "diagnostic.data";

/// Names of its files begin like this, with the time they were opened behind it.
const FILE_START: &str = "metrics.2";

/// Kind of the document that describes the server.
const METADATA: i32 = 0;

/// The documents at the beginning of a file are well below this size, in bytes.
const LONGEST: u64 = 1 << 20;

/// Version of the server that used the folder last; `None` where nothing readable tells.
pub(super) fn version(data: &Path) -> Option<String> {
    let folder = data.join(RECORDS);
    let names = host::machine::names_in(&folder)?;
    // The names hold the time, so the last by name is the newest.
    let newest = names.iter().rfind(|name| name.starts_with(FILE_START))?;
    let bytes = host::machine::read_beginning(&folder.join(newest), LONGEST).ok()?;
    version_in(&bytes)
}

fn version_in(bytes: &[u8]) -> Option<String> {
    let first = Document::from_reader(Cursor::new(bytes)).ok()?;
    if first.get_i32("type").ok()? != METADATA {
        return None;
    }
    let about = first.get_document("doc").ok()?;
    // From 8.0 on a member of a sharded cluster keeps it one level deeper.
    let build = about.get_document("buildInfo").or_else(|_| {
        let common = about.get_document("common")?;
        common.get_document("buildInfo")
    });
    build.ok()?.get_str("version").ok().map(str::to_owned)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "makes the folder that is read")]
mod tests {
    use super::*;
    use bson::doc;

    fn record(kind: i32, version: &str) -> Vec<u8> {
        let document = doc! { "type": kind, "doc": { "buildInfo": { "version": version } } };
        let mut bytes = document.to_vec().unwrap();
        // What follows is compressed and is not read.
        bytes.extend([1, 2, 3]);
        bytes
    }

    #[test]
    fn the_newest_record_tells() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(version(data.path()), None);
        let folder = data.path().join(RECORDS);
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in [
            ("metrics.2025-01-02T00-00-00Z-00000", "7.0.1"),
            ("metrics.2026-01-02T00-00-00Z-00000", "8.0.4"),
            ("metrics.interim", "9.9.9"),
        ] {
            std::fs::write(folder.join(name), record(0, text)).unwrap();
        }
        assert_eq!(version(data.path()).as_deref(), Some("8.0.4"));
    }

    #[test]
    fn what_is_no_record_tells_nothing() {
        assert_eq!(version_in(&record(1, "8.0.4")), None);
        assert_eq!(version_in(b""), None);
        assert_eq!(version_in(&[0xff; 64]), None);
        let whole = record(0, "8.0.4");
        for length in 0..whole.len() - 3 {
            assert_eq!(version_in(&whole[..length]), None, "{length}");
        }
    }
}
