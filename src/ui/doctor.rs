//! The checks as text and as JSON.

use serde_json::{Value, json};

use super::failure::Fix;
use super::words::{self, Style};
use crate::check::row::Severity;
use crate::check::{Checked, Finding, Outcome};

/// Longest measured value that widens the column for all.
const WIDEST: usize = 44;

/// What came of a check, in one word.
fn word(checked: &Checked<'_>) -> &'static str {
    match (&checked.outcome, checked.ignored) {
        (Outcome::Failed(_), Some(_)) => "ignored",
        (Outcome::Failed(_), None) => "failed",
        (Outcome::Passed { .. }, _) => "passed",
        (Outcome::NotChecked { .. }, _) => "not-checked",
        (Outcome::NotNeeded { .. }, _) => "not-needed",
    }
}

/// One line of the table.
struct Line {
    mark: Mark,
    id: String,
    measured: String,
    needed: String,
    details: Vec<String>,
}

#[derive(Clone, Copy)]
enum Mark {
    Well,
    Wrong,
    Doubtful,
    Open,
}

impl Mark {
    /// The mark, padded to two columns.
    fn shown(self, style: Style) -> String {
        let pad = if style.unicode { " " } else { "" };
        match self {
            Self::Well => format!("{}{pad}", style.done()),
            Self::Wrong => format!("{}{pad}", style.failed()),
            Self::Doubtful => style.yellow("! "),
            Self::Open => style.dim("- "),
        }
    }
}

/// The checks for people: one line each, and what to do where one fails. Those that the instance
/// has no need of are shown only with `all`.
#[must_use]
pub fn view(checked: &[Checked<'_>], all: bool, style: Style) -> String {
    let is_needed =
        |checked: &&Checked<'_>| all || !matches!(checked.outcome, Outcome::NotNeeded { .. });
    let lines: Vec<Line> = checked.iter().filter(is_needed).flat_map(lines).collect();
    let width = |text: fn(&Line) -> &str, head: &str| {
        let widths = lines.iter().map(|line| text(line).chars().count());
        widths
            .filter(|width| *width <= WIDEST)
            .max()
            .unwrap_or(0)
            .max(head.len())
    };
    let (first, second) = (
        width(|line| &line.id, "CHECK"),
        width(|line| &line.measured, "MEASURED"),
    );
    let head = format!("   {:first$}  {:second$}  NEEDED", "CHECK", "MEASURED");
    let mut text = format!("{}\n", style.dim(&head));
    for line in &lines {
        let row = format!(
            "{:first$}  {:second$}  {}",
            line.id, line.measured, line.needed
        );
        text.push_str(&format!("{} {}\n", line.mark.shown(style), row.trim_end()));
        for detail in &line.details {
            text.push_str(&format!("     {detail}\n"));
        }
    }
    text.push_str(&format!("\n{}\n", summary(checked)));
    text
}

fn lines(checked: &Checked<'_>) -> Vec<Line> {
    let id = &checked.check.id;
    let line = |mark, measured: &str, needed: &str| Line {
        mark,
        id: id.clone(),
        measured: measured.to_owned(),
        needed: needed.to_owned(),
        details: Vec::new(),
    };
    match &checked.outcome {
        Outcome::Passed { measured, needed } => vec![line(Mark::Well, measured, needed)],
        Outcome::NotChecked { because } => {
            vec![line(Mark::Open, &format!("not checked: {because}"), "")]
        }
        Outcome::NotNeeded { because } => {
            vec![line(Mark::Open, &format!("not needed: {because}"), "")]
        }
        Outcome::Failed(findings) => {
            let mark = if checked.blocks() {
                Mark::Wrong
            } else {
                Mark::Doubtful
            };
            let each = findings.iter().map(|finding| Line {
                details: details(checked, finding),
                ..line(mark, &finding.measured, &finding.needed)
            });
            each.collect()
        }
    }
}

fn details(checked: &Checked<'_>, finding: &Finding) -> Vec<String> {
    let mut details = vec![
        finding.text.clone(),
        format!("because: {}", finding.because),
    ];
    match checked.ignored {
        Some(reason) => details.push(format!("ignored: {reason}")),
        None => details.push(format!("fix:     {}", fix(finding).line())),
    }
    details
}

/// What to do about a finding.
#[must_use]
pub fn fix(finding: &Finding) -> Fix {
    Fix {
        text: finding.fix.clone(),
        command: finding.command.clone(),
    }
}

/// How many fail, and how: `1 blocking failure, 2 warnings, 30 passed`.
fn summary(checked: &[Checked<'_>]) -> String {
    let number = |what: &str| checked.iter().filter(|found| word(found) == what).count();
    let blocking = checked.iter().filter(|found| found.blocks()).count();
    let warnings = number("failed") - blocking;
    let mut parts = vec![
        words::count(blocking, "blocking failure"),
        words::count(warnings, "warning"),
        format!("{} passed", number("passed")),
    ];
    for (what, text) in [("ignored", "ignored"), ("not-checked", "not checked")] {
        if number(what) > 0 {
            parts.push(format!("{} {text}", number(what)));
        }
    }
    parts.join(", ")
}

/// The checks for machines.
#[must_use]
pub fn value(checked: &[Checked<'_>]) -> Value {
    let blocking = checked.iter().filter(|found| found.blocks()).count();
    let is_warning =
        |found: &&Checked<'_>| word(found) == "failed" && found.check.severity != Severity::Block;
    let warnings = checked.iter().filter(is_warning).count();
    let checks: Vec<Value> = checked.iter().map(check).collect();
    json!({ "blocking": blocking, "warnings": warnings, "checks": checks })
}

fn check(checked: &Checked<'_>) -> Value {
    let first = checked.findings().first();
    let (measured, needed, because) = match &checked.outcome {
        Outcome::Passed { measured, needed } => (Some(measured), Some(needed), None),
        Outcome::Failed(_) => (
            first.map(|finding| &finding.measured),
            first.map(|finding| &finding.needed),
            first.map(|finding| &finding.because),
        ),
        Outcome::NotChecked { because } | Outcome::NotNeeded { because } => {
            (None, None, Some(because))
        }
    };
    let findings = checked.findings().iter().map(|finding| {
        json!({
            "message": finding.text,
            "because": finding.because,
            "measured": finding.measured,
            "needed": finding.needed,
            "fix": [{ "text": finding.fix, "command": finding.command }],
        })
    });
    json!({
        "id": checked.check.id,
        "severity": checked.check.severity.word(),
        "title": checked.check.title,
        "outcome": word(checked),
        "ignored": checked.ignored,
        "measured": measured,
        "needed": needed,
        "because": because,
        "findings": findings.collect::<Vec<Value>>(),
    })
}
