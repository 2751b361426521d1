//! Images, and containers of compiles, as text and as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::words;
use crate::compiles::Kept;
use crate::engine::stock::ListedContainer;
use crate::images::{Bytes, Row, Use};
use crate::observed::short_id;

/// Digits of a digest that are shown.
const DIGEST: usize = 12;

/// The images for people, with what each is needed for.
#[must_use]
pub fn view(rows: &[Row], taken: Bytes, going: Bytes) -> String {
    if rows.is_empty() {
        return "no image\n".to_owned();
    }
    let mut table = vec![["IMAGE", "ID", "DIGEST", "SIZE", "NEEDED BY"].map(str::to_owned)];
    table.extend(rows.iter().map(|row| {
        let needed = match row.can_go() {
            true => "nothing: can go".to_owned(),
            false => uses(&row.uses),
        };
        let (id, size) = match &row.id {
            Some(id) => (short_id(id), words::size(row.size)),
            None => ("missing".to_owned(), "-".to_owned()),
        };
        [name(row), id, digest(row), size, needed]
    }));
    let missing = rows.iter().filter(|row| row.id.is_none()).count();
    let free = rows.iter().filter(|row| row.can_go()).count();
    let mut summary = format!(
        "{}, {}",
        words::count(distinct(rows), "image"),
        between(taken)
    );
    if missing > 0 {
        summary.push_str(&format!("; {missing} missing"));
    }
    if free > 0 {
        let freed = frees(going);
        summary.push_str(&format!("; {free} can go, which frees {freed}"));
    }
    format!("{}{summary}\n", aligned(&table))
}

/// The sizes of the images for people, the largest first.
#[must_use]
pub fn sizes(rows: &[Row], taken: Bytes) -> String {
    let mut here: Vec<&Row> = rows.iter().filter(|row| row.id.is_some()).collect();
    if here.is_empty() {
        return "no image\n".to_owned();
    }
    here.sort_by_key(|row| std::cmp::Reverse(row.size));
    let mut table = vec![["IMAGE", "SIZE", "OWN", "SHARED"].map(str::to_owned)];
    table.extend(here.iter().map(|row| {
        let told = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), words::size);
        let own = row.shared.map(|shared| row.size.saturating_sub(shared));
        [
            name(row),
            words::size(row.size),
            told(own),
            told(row.shared),
        ]
    }));
    format!("{}total: {}\n", aligned(&table), between(taken))
}

/// The images that would be removed, for people.
#[must_use]
pub fn going(rows: &[&Row], freed: Bytes) -> String {
    if rows.is_empty() {
        return "nothing to remove: every image is needed\n".to_owned();
    }
    let mut table = vec![["IMAGE", "ID", "SIZE"].map(str::to_owned)];
    table.extend(rows.iter().map(|row| {
        let id = row.id.as_deref().map(short_id).unwrap_or_default();
        [name(row), id, words::size(row.size)]
    }));
    format!(
        "{}{} can go, which frees {}\n",
        aligned(&table),
        words::count(rows.len(), "image"),
        frees(freed)
    )
}

/// What needs an image, for people.
#[must_use]
pub fn needed_by(row: &Row) -> String {
    format!("it is needed by {}", uses(&row.uses))
}

/// An image for machines.
#[must_use]
pub fn value(row: &Row) -> Value {
    let created = OffsetDateTime::from_unix_timestamp(row.created).ok();
    let created = created.filter(|_| row.id.is_some());
    json!({
        "image": row.reference,
        "id": row.id,
        "digest": row.digest,
        "created": created.and_then(|at| at.format(&Rfc3339).ok()),
        "size": row.id.as_ref().map(|_| row.size),
        "shared": row.shared,
        "needed_by": row.uses.iter().map(use_value).collect::<Vec<Value>>(),
        "can_go": row.can_go(),
    })
}

/// Bytes for machines.
#[must_use]
pub fn bytes(bytes: Bytes) -> Value {
    json!({ "at_least": bytes.at_least, "at_most": bytes.at_most })
}

fn use_value(why: &Use) -> Value {
    let (kind, name) = match why {
        Use::Container(name) => ("container", Some(name)),
        Use::Service(name) => ("service", Some(name)),
        Use::Base(name) => ("base", Some(name)),
        Use::Variable(name) => ("variable", Some(name)),
        Use::Previous(name) => ("previous", Some(name)),
        Use::Program => ("program", None),
        Use::OnlyCopy => ("only-copy", None),
    };
    json!({ "kind": kind, "name": name })
}

fn uses(uses: &BTreeSet<Use>) -> String {
    let one = |why: &Use| match why {
        Use::Container(name) => format!("container `{name}`"),
        Use::Service(name) => format!("service `{name}`"),
        Use::Base(name) => format!("the image of `{name}`"),
        Use::Variable(name) => name.clone(),
        Use::Previous(name) => format!("rollback of `{name}`"),
        Use::Program => "this toolkit".to_owned(),
        Use::OnlyCopy => "nothing, but no registry has it".to_owned(),
    };
    let all: Vec<String> = uses.iter().map(one).collect();
    match all.as_slice() {
        [first, second, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second} and {} more", rest.len())
        }
        some => words::list(some),
    }
}

/// An id is cut as elsewhere; a digest stands in its own column.
fn name(row: &Row) -> String {
    match row.reference.split_once('@') {
        _ if Some(&row.reference) == row.id.as_ref() => "(no name)".to_owned(),
        Some((name, _)) if row.id.is_some() => format!("{name} (no tag)"),
        _ => row.reference.clone(),
    }
}

fn digest(row: &Row) -> String {
    let Some(digest) = &row.digest else {
        return "-".to_owned();
    };
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    digits.chars().take(DIGEST).collect()
}

fn distinct(rows: &[Row]) -> usize {
    let ids: BTreeSet<&String> = rows.iter().filter_map(|row| row.id.as_ref()).collect();
    ids.len()
}

/// `1.2 GiB`, `between 1.0 GiB and 1.2 GiB`, `1.2 GiB at most`.
#[must_use]
pub fn between(bytes: Bytes) -> String {
    let Bytes { at_least, at_most } = bytes;
    let (low, high) = (words::size(at_least), words::size(at_most));
    if low == high {
        high
    } else if at_least == 0 {
        format!("{high} at most")
    } else {
        format!("between {low} and {high}")
    }
}

fn frees(bytes: Bytes) -> String {
    match bytes.at_most {
        0 => "nothing: their data is needed under another name".to_owned(),
        _ => between(bytes),
    }
}

/// Rows under their titles, columns aligned.
fn aligned<const N: usize>(table: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths);
        let text: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        format!("{}\n", text.trim_end())
    };
    table.iter().map(line).collect()
}

/// What is to become of the containers of compiles.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Those that can go, each with the seconds since it stopped.
    pub going: Vec<(ListedContainer, i64)>,
    /// Those that are left alone, with the reason.
    pub kept: Vec<(String, Kept)>,
}

impl Collected {
    /// What the containers that can go have written, in bytes.
    #[must_use]
    pub fn written(&self) -> u64 {
        let going = self.going.iter();
        going.filter_map(|(found, _)| found.written).sum()
    }

    /// For people.
    #[must_use]
    pub fn view(&self) -> String {
        let mut text = String::new();
        if !self.going.is_empty() {
            let mut table = vec![["CONTAINER", "STOPPED FOR", "WRITTEN"].map(str::to_owned)];
            table.extend(self.going.iter().map(|(found, seconds)| {
                let seconds = u64::try_from(*seconds).unwrap_or(0);
                let since = words::duration(std::time::Duration::from_secs(seconds));
                let written = found.written.unwrap_or(0);
                [found.name.clone(), since, words::size(written)]
            }));
            text.push_str(&aligned(&table));
        }
        let of = |kept: Kept| self.kept.iter().filter(|(_, why)| *why == kept).count();
        let mut parts = vec![match self.going.len() {
            0 => "no stopped compile container can go".to_owned(),
            number => format!(
                "{} can go, which frees {}",
                words::count(number, "stopped compile container"),
                words::size(self.written())
            ),
        }];
        for (kept, words) in [
            (Kept::Running, "running"),
            (Kept::Recent, "not stopped for long enough"),
            (Kept::OtherImage, "of another image (--any-image)"),
            (Kept::OfProject, "of another project"),
        ] {
            match of(kept) {
                0 => {}
                number => parts.push(format!("{number} {words}")),
            }
        }
        text.push_str(&format!("{}\n", parts.join("; ")));
        text
    }

    /// For machines; `removed` are the names of those that are gone.
    #[must_use]
    pub fn value(&self, removed: &[String]) -> Value {
        let going = self.going.iter().map(|(found, seconds)| {
            json!({
                "name": found.name,
                "image": found.image,
                "stopped_seconds": seconds,
                "written": found.written,
                "removed": removed.contains(&found.name),
            })
        });
        let kept = self.kept.iter();
        let kept = kept.map(|(name, why)| json!({ "name": name, "because": why.id() }));
        json!({
            "containers": going.collect::<Vec<Value>>(),
            "kept": kept.collect::<Vec<Value>>(),
            "removed": removed.len(),
            "bytes": self.written(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(reference: &str, id: Option<&str>, uses: &[Use]) -> Row {
        Row {
            reference: reference.to_owned(),
            id: id.map(str::to_owned),
            digest: id.map(|_| format!("sha256:{}", "ab".repeat(32))),
            created: 0,
            size: 3 << 20,
            shared: Some(1 << 20),
            references: 1,
            uses: uses.iter().cloned().collect(),
        }
    }

    #[test]
    fn a_table_says_what_each_image_is_for() {
        let rows = [
            row(
                "mongo:8.0",
                Some("sha256:0123456789abcdef"),
                &[
                    Use::Container("mongo".to_owned()),
                    Use::Service("mongo".to_owned()),
                    Use::Previous("mongo".to_owned()),
                ],
            ),
            row("mongo:7.0", Some("sha256:1"), &[]),
            row("redis:7.4", None, &[Use::Service("redis".to_owned())]),
        ];
        let bytes = |at_least: u64, at_most: u64| Bytes {
            at_least: at_least << 20,
            at_most: at_most << 20,
        };
        assert_eq!(
            view(&rows, bytes(5, 6), bytes(2, 2)),
            "\
IMAGE      ID            DIGEST        SIZE     NEEDED BY
mongo:8.0  0123456789ab  abababababab  3.0 MiB  container `mongo`, service `mongo` and 1 more
mongo:7.0  1             abababababab  3.0 MiB  nothing: can go
redis:7.4  missing       -             -        service `redis`
2 images, between 5.0 MiB and 6.0 MiB; 1 missing; 1 can go, which frees 2.0 MiB
"
        );
        assert_eq!(
            sizes(&rows, bytes(6, 6)),
            "\
IMAGE      SIZE     OWN      SHARED
mongo:8.0  3.0 MiB  2.0 MiB  1.0 MiB
mongo:7.0  3.0 MiB  2.0 MiB  1.0 MiB
total: 6.0 MiB
"
        );
        let all: Vec<&Row> = rows.iter().filter(|row| row.can_go()).collect();
        assert_eq!(
            going(&all, bytes(0, 3)),
            "\
IMAGE      ID  SIZE
mongo:7.0  1   3.0 MiB
1 image can go, which frees 3.0 MiB at most
"
        );
    }
}
