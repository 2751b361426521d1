//! What is not as it should be, as text and as JSON.

use serde_json::{Value, json};

use super::words::{self, Style};
use crate::drift::Drift;

/// The findings for people.
#[must_use]
pub fn view(found: &[Drift], style: Style) -> String {
    if found.is_empty() {
        return "everything is as configured and applied\n".to_owned();
    }
    let mut text = String::new();
    for drift in found {
        let since = drift
            .since
            .as_ref()
            .map(|since| style.dim(&format!("  since {since}")));
        text.push_str(&format!(
            "{} {}{}\n  expected: {}\n  found:    {}\n  fix:      {}\n",
            style.yellow(drift.kind.id()),
            drift.resource,
            since.unwrap_or_default(),
            drift.expected,
            drift.found,
            drift.fix
        ));
    }
    text.push_str(&format!("{}\n", words::count(found.len(), "difference")));
    text
}

/// The findings for machines.
#[must_use]
pub fn value(found: &[Drift]) -> Value {
    let all = found.iter().map(|drift| {
        json!({
            "kind": drift.kind.id(),
            "resource": drift.resource,
            "expected": drift.expected,
            "found": drift.found,
            "since": drift.since,
            "fix": drift.fix,
        })
    });
    json!({ "drift": all.collect::<Vec<Value>>() })
}
