//! `toolkit config lint`: what is wrong with the operator's files.

use serde_json::{Value, json};

use super::super::super::{Session, definitions, error::CommandError, exit, files, instance};
use crate::host;
use crate::lint::{self, Finding, Input, Report};
use crate::ui::failure::finding_view;
use crate::ui::{json, words};

const SCHEMA: &str = "toolkit.lint/v1";

/// Find everything that is wrong with the configuration
///
/// Nothing is changed and no engine is asked. Exits with 3 when there is an error. What each rule
/// means is in docs/lint.md.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  toolkit config lint\n  toolkit config lint --strict   # warnings count as well\n  toolkit config lint --format json | jq .data.findings"
)]
pub struct Args {
    /// Exit with 3 when there are only warnings, too
    #[arg(long)]
    strict: bool,
}

/// Shows all findings.
///
/// # Errors
/// No instance is found, or a file cannot be read.
pub fn run(args: &Args, session: &Session) -> Result<u8, CommandError> {
    let root = instance::root(session)?;
    let texts = files::read_all(&root)?;
    let dotenv = files::dotenv(&root)?;
    let sources = super::sources(&root, &texts, &dotenv);
    let look = definitions::look(&texts, &sources)?;
    let input = Input {
        sources: &sources,
        mode: &host::mode,
        further: look.problems,
        other_line: &definitions::definition_line,
        changes: look.changes,
    };
    let report = lint::check(&input)?;
    let is_refused = report.errors() > 0 || (args.strict && report.warnings() > 0);
    show(session, &report, is_refused);
    Ok(if is_refused {
        exit::CONFIGURATION
    } else {
        exit::DONE
    })
}

fn show(session: &Session, report: &Report, is_refused: bool) {
    let ui = &session.ui;
    let summary = format!(
        "{}, {}",
        words::count(report.errors(), "error"),
        words::count(report.warnings(), "warning")
    );
    if ui.is_json() {
        let data = json!({
            "errors": report.errors(),
            "warnings": report.warnings(),
            "findings": report.findings.iter().map(value).collect::<Vec<_>>(),
        });
        if is_refused {
            let error = CommandError::new("CONFIG_INVALID", exit::CONFIGURATION, summary);
            ui.answer(&json::refusal(SCHEMA, &data, &error.failure));
        } else {
            ui.document(SCHEMA, &data, &[]);
        }
        return;
    }
    let style = ui.answer_style();
    for finding in &report.findings {
        let line = finding.line.as_deref();
        ui.answer(&finding_view(&finding.rule, &finding.problem, line, style));
    }
    ui.answer(&format!("{summary}\n"));
}

fn value(finding: &Finding) -> Value {
    let mut value = json::problem_value(&finding.problem);
    if let Value::Object(fields) = &mut value {
        fields.insert("rule".to_owned(), json!(finding.rule));
        fields.insert("source".to_owned(), json!(finding.line));
    }
    value
}
