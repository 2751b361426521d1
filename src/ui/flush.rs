//! What a flush found and left, as text and as JSON.

use serde_json::{Value, json};

use super::words;
use crate::flush::Held;

/// How many documents and histories are named to people.
const NAMED: usize = 20;

/// What there was and what is left, for people.
#[must_use]
pub fn view(before: &Held, left: Option<&Held>) -> String {
    let mut text = String::new();
    let rows = [
        (
            "documents",
            before.documents.len(),
            left.map(|left| left.documents.len()),
        ),
        (
            "histories",
            before.histories.len(),
            left.map(|left| left.histories.len()),
        ),
    ];
    for (what, before, left) in rows {
        match left {
            Some(left) => {
                text.push_str(&format!("{what}  {before} in redis before, {left} left\n"));
            }
            None => text.push_str(&format!("{what}  {before} in redis\n")),
        }
    }
    text.push_str(&stuck(left.unwrap_or(before)));
    text
}

/// What redis holds, one line each.
fn stuck(held: &Held) -> String {
    let mut lines = Vec::new();
    for document in &held.documents {
        let project = document.project.as_deref();
        let project = project.unwrap_or("a project that redis does not name");
        let pending = usize::try_from(document.pending).unwrap_or(usize::MAX);
        let waits = match pending {
            0 => String::new(),
            number => format!(", {} not part of it yet", words::count(number, "change")),
        };
        lines.push(format!("  document {} of {project}{waits}\n", document.id));
    }
    for history in &held.histories {
        let changes = usize::try_from(history.changes).unwrap_or(usize::MAX);
        let changes = words::count(changes, "change");
        lines.push(format!("  history of {}: {changes}\n", history.project));
    }
    for key in &held.odd {
        lines.push(format!("  key `{key}`, which names no document\n"));
    }
    let further = lines.len().saturating_sub(NAMED);
    lines.truncate(NAMED);
    if further > 0 {
        lines.push(format!("  and {further} more; --format json has all\n"));
    }
    lines.concat()
}

fn held(held: &Held) -> Value {
    let documents = held.documents.iter().map(|document| {
        json!({
            "project": document.project, "document": document.id,
            "has_text": document.has_text, "pending": document.pending,
        })
    });
    let histories = held.histories.iter();
    let histories =
        histories.map(|history| json!({ "project": history.project, "changes": history.changes }));
    json!({
        "documents": documents.collect::<Vec<_>>(),
        "histories": histories.collect::<Vec<_>>(),
        "odd": held.odd,
    })
}

/// What there was and what is left, for machines.
#[must_use]
pub fn value(before: &Held, left: Option<&Held>) -> Value {
    json!({ "before": held(before), "left": left.map(held) })
}
