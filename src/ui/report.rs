//! How an instance does beside its containers, one line for each part, and as JSON.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::history::local;
use super::words::{self, Style};
use crate::observed::condition::{CertificateFile, Disk, MongoCondition, Pending, RedisCondition};
use crate::observed::machine::Asked;
use crate::report::{Configuration, Ending, Operation, Report};

/// Characters of the longest name of a part, and the gap behind it.
const NAMES: usize = 15;

/// Steps that are named; of more, their number says enough.
const NAMED_STEPS: usize = 3;

/// Days before its end from which a certificate is marked.
const SOON: i64 = 21;

/// The parts for people, one line each. Paths below `root` are shown without it.
#[must_use]
pub fn view(report: &Report, root: &Path, now: OffsetDateTime, style: Style) -> String {
    let conditions = &report.conditions;
    let mut lines = vec![
        ("mongo", asked(&conditions.mongo, mongo, style)),
        (
            "redis",
            asked(&conditions.redis, |found| redis(found, now), style),
        ),
        (
            "pending edits",
            asked(&conditions.pending, |found| pending(*found), style),
        ),
    ];
    for (number, disk) in conditions.local.disks.iter().enumerate() {
        let name = if number == 0 { "disk" } else { "" };
        lines.push((name, disk_line(disk, root, style)));
    }
    if let Some(file) = &conditions.local.certificate {
        lines.push(("certificate", certificate(file, root, now, style)));
    }
    lines.push(("operation", operation(&report.operation, now, style)));
    lines.push(("configuration", configuration(&report.configuration, now)));
    let lines = lines.into_iter();
    lines
        .map(|(name, text)| format!("{}{text}\n", style.dim(&format!("{name:NAMES$}"))))
        .collect()
}

fn asked<T>(part: &Asked<T>, say: impl FnOnce(&T) -> String, style: Style) -> String {
    match part {
        Asked::Answered {
            at,
            is_external: true,
            facts,
        } => format!("{}, at {at}", say(facts)),
        Asked::Answered { facts, .. } => say(facts),
        Asked::Silent { at, because } => {
            format!("{} from `{at}`: {because}", style.yellow("no answer"))
        }
        Asked::NotAsked { because } => format!("{}: {because}", style.yellow("not known")),
    }
}

fn mongo(found: &MongoCondition) -> String {
    let mut parts = vec![found.version.clone()];
    if let Some(compatibility) = &found.compatibility {
        parts.push(format!("compatibility {compatibility}"));
    }
    let of_set = found.set.as_ref().map(|set| format!(" of `{set}`"));
    let writes = if found.takes_writes() {
        ""
    } else {
        " (it takes no writes)"
    };
    let of_set = of_set.unwrap_or_default();
    parts.push(format!("{}{of_set}{writes}", found.state));
    if let Some((well, all)) = found.members.filter(|(_, all)| *all > 1) {
        parts.push(format!("{well} of {all} members well"));
    }
    if let Some(bytes) = found.disk_bytes {
        parts.push(format!("{} on disk", words::size(bytes)));
    }
    parts.join(", ")
}

fn redis(found: &RedisCondition, now: OffsetDateTime) -> String {
    let mut parts = vec![found.version.clone()];
    if let Some(bytes) = found.memory_bytes {
        parts.push(format!("{} in memory", words::size(bytes)));
    }
    if found.is_loading {
        parts.push("loading its data".to_owned());
    }
    let outcome = |is_ok: bool| if is_ok { "ok" } else { "failed" };
    let file = &found.append_only;
    if file.is_enabled {
        let rewrite = if file.is_rewriting {
            "rewrite goes on".to_owned()
        } else {
            format!("rewrite {}", outcome(file.is_rewrite_ok))
        };
        parts.push(format!(
            "append-only file (write {}, {rewrite})",
            outcome(file.is_write_ok)
        ));
    } else {
        parts.push("no append-only file".to_owned());
    }
    let snapshot = &found.snapshot;
    let age = OffsetDateTime::from_unix_timestamp(snapshot.last_save).ok();
    let age = age.and_then(|at| Duration::try_from(now - at).ok());
    let age = age.map_or_else(String::new, |age| format!(" {} ago", words::duration(age)));
    let going = if snapshot.is_saving {
        ", one goes on"
    } else {
        ""
    };
    parts.push(format!(
        "snapshot{age} ({}{going})",
        outcome(snapshot.is_ok)
    ));
    parts.join(", ")
}

fn pending(found: Pending) -> String {
    let mut parts = Vec::new();
    if found.documents > 0 {
        let documents = count(found.documents, "document");
        parts.push(format!("{documents} in redis and not yet in mongo"));
    }
    if found.histories > 0 {
        let projects = count(found.histories, "project");
        parts.push(format!("history of {projects} waits"));
    }
    let text = match parts.as_slice() {
        [] => "none".to_owned(),
        parts => parts.join(", "),
    };
    match found.is_complete {
        true => text,
        false => format!("{text}; there may be more, redis has too many keys to look at all"),
    }
}

fn count(number: u64, noun: &str) -> String {
    words::count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

fn below(path: &str, root: &Path) -> String {
    let shown = Path::new(path).strip_prefix(root);
    shown.map_or_else(|_| path.to_owned(), |shown| shown.display().to_string())
}

fn disk_line(disk: &Disk, root: &Path, style: Style) -> String {
    let holds = disk.holds.iter().map(|path| below(path, root));
    let holds = holds.collect::<Vec<_>>().join(", ");
    match &disk.space {
        Ok(space) => format!(
            "{} of {} free: {holds}",
            words::size(space.free_bytes),
            words::size(space.total_bytes)
        ),
        Err(because) => format!("{}: {because} ({holds})", style.yellow("not known")),
    }
}

fn certificate(file: &CertificateFile, root: &Path, now: OffsetDateTime, style: Style) -> String {
    let path = below(&file.path.display().to_string(), root);
    let found = match &file.found {
        Ok(found) => found,
        Err(because) => return format!("{}: {because} ({path})", style.yellow("not known")),
    };
    let days = found.days_left(now);
    let amount = |days: i64| count(days.unsigned_abs(), "day");
    let left = match days {
        ..0 => style.red(&format!("expired {} ago", amount(days))),
        0..SOON => style.yellow(&format!("{} left", amount(days))),
        _ => format!("{} left", amount(days)),
    };
    let end = words::moment(found.not_after.to_offset(now.offset()));
    format!("{}, {left}, until {end} ({path})", found.subject)
}

fn operation(
    found: &Result<Option<Operation>, String>,
    now: OffsetDateTime,
    style: Style,
) -> String {
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => return "none is unfinished".to_owned(),
        Err(because) => return format!("{}: {because}", style.yellow("not known")),
    };
    let begun = format!(
        "`{}` of {}",
        found.command,
        local(&found.started, now.offset())
    );
    let steps = words::count(found.steps, "step");
    let progress = format!("{} of {steps} done", found.done);
    match &found.run {
        Some(run) => {
            let step = run.step.as_ref().map(|step| format!(": {step}"));
            let step = step.unwrap_or_default();
            format!("{begun} goes on (pid {}), {progress}{step}", run.process)
        }
        None => {
            let how = match found.ending {
                Some(Ending::Failed) => "failed",
                Some(Ending::Interrupted) => "was interrupted",
                None => "did not end",
            };
            format!(
                "{begun} {}, {progress}; `toolkit resume` or `toolkit rollback`",
                style.yellow(how)
            )
        }
    }
}

fn configuration(found: &Configuration, now: OffsetDateTime) -> String {
    let applied = match &found.applied {
        Ok(Some(at)) => format!("applied at {}", local(at, now.offset())),
        Ok(None) => "never applied completely".to_owned(),
        Err(because) => format!("not known when it was applied: {because}"),
    };
    let changed = match found.changed.as_slice() {
        [] => String::new(),
        files => format!(", {} changed since", words::list(files)),
    };
    let to_do = match found.steps.as_slice() {
        [] => "nothing to do".to_owned(),
        steps if steps.len() > NAMED_STEPS => format!(
            "{} to do, which `toolkit plan` shows",
            words::count(steps.len(), "step")
        ),
        steps => format!("to do: {}", steps.join("; ")),
    };
    format!("{applied}{changed}; {to_do}")
}

/// The parts for machines, as fields of the whole document.
#[must_use]
pub fn fields(report: &Report, now: OffsetDateTime) -> serde_json::Map<String, Value> {
    let conditions = &report.conditions;
    let certificate = conditions.local.certificate.as_ref();
    let disks = conditions.local.disks.iter().map(disk_value);
    let value = json!({
        "mongo": asked_value(&conditions.mongo, |found| json!({
            "version": found.version,
            "compatibility": found.compatibility,
            "replica_set": found.set,
            "state": found.state,
            "takes_writes": found.takes_writes(),
            "members_well": found.members.map(|(well, _)| well),
            "members": found.members.map(|(_, all)| all),
            "data_bytes": found.data_bytes,
            "disk_bytes": found.disk_bytes,
        })),
        "redis": asked_value(&conditions.redis, |found| json!({
            "version": found.version,
            "memory_bytes": found.memory_bytes,
            "loading": found.is_loading,
            "aof_enabled": found.append_only.is_enabled,
            "aof_write_ok": found.append_only.is_write_ok,
            "aof_rewriting": found.append_only.is_rewriting,
            "aof_rewrite_ok": found.append_only.is_rewrite_ok,
            "rdb_last_save": moment(found.snapshot.last_save),
            "rdb_save_ok": found.snapshot.is_ok,
            "rdb_saving": found.snapshot.is_saving,
            "rdb_changes": found.snapshot.changes,
        })),
        "pending": asked_value(&conditions.pending, |found| json!({
            "documents": found.documents,
            "histories": found.histories,
            "complete": found.is_complete,
        })),
        "disks": disks.collect::<Vec<_>>(),
        "certificate": certificate.map(|file| certificate_value(file, now)),
        "operation": operation_value(&report.operation),
        "configuration": {
            "steps": report.configuration.steps,
            "applied_at": report.configuration.applied.as_ref().ok(),
            "reason": report.configuration.applied.as_ref().err(),
            "changed_files": report.configuration.changed,
        },
    });
    match value {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    }
}

fn moment(seconds: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    at.format(&Rfc3339).ok()
}

/// What came of a question; the facts stand beside whether and where it was answered.
fn asked_value<T>(part: &Asked<T>, facts: impl FnOnce(&T) -> Value) -> Value {
    let (at, is_external, because) = match part {
        Asked::NotAsked { because } => (None, None, Some(because)),
        Asked::Silent { at, because } => (Some(at), None, Some(because)),
        Asked::Answered {
            at, is_external, ..
        } => (Some(at), Some(is_external), None),
    };
    let mut value = json!({
        "answered": because.is_none(),
        "at": at,
        "external": is_external,
        "reason": because,
    });
    if let Asked::Answered { facts: found, .. } = part
        && let (Some(value), Value::Object(facts)) = (value.as_object_mut(), facts(found))
    {
        value.extend(facts);
    }
    value
}

fn disk_value(disk: &Disk) -> Value {
    let space = disk.space.as_ref();
    json!({
        "holds": disk.holds,
        "free_bytes": space.map(|space| space.free_bytes).ok(),
        "total_bytes": space.map(|space| space.total_bytes).ok(),
        "reason": space.err(),
    })
}

fn certificate_value(file: &CertificateFile, now: OffsetDateTime) -> Value {
    let found = file.found.as_ref();
    let at = |at: OffsetDateTime| at.format(&Rfc3339).ok();
    json!({
        "file": file.path,
        "subject": found.map(|found| &found.subject).ok(),
        "names": found.map(|found| &found.names).ok(),
        "not_before": found.ok().and_then(|found| at(found.not_before)),
        "not_after": found.ok().and_then(|found| at(found.not_after)),
        "days_left": found.map(|found| found.days_left(now)).ok(),
        "reason": found.err(),
    })
}

fn operation_value(found: &Result<Option<Operation>, String>) -> Value {
    match found {
        Ok(None) => Value::Null,
        Err(because) => json!({ "reason": because }),
        Ok(Some(found)) => json!({
            "id": found.id,
            "command": found.command,
            "started": found.started,
            "done": found.done,
            "steps": found.steps,
            "running": found.run.is_some(),
            "ending": found.ending.map(Ending::word),
            "process": found.run.as_ref().map(|run| run.process),
            "step": found.run.as_ref().and_then(|run| run.step.as_ref()),
        }),
    }
}
