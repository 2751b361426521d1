//! A plan as text and as JSON.

use serde_json::{Value, json};

use super::words::{self, Style};
use crate::plan::Plan;

/// A plan for people. `shortcomings` are the services that do not do their work, with the reason.
#[must_use]
pub fn view(plan: &Plan, shortcomings: &[(String, String)], style: Style) -> String {
    if plan.is_empty() {
        return match shortcomings {
            [] => "nothing to do: everything is as configured\n".to_owned(),
            some => {
                let lines: String = some
                    .iter()
                    .map(|(service, why)| format!("  `{service}`: {why}\n"))
                    .collect();
                format!("nothing to change, but not everything is ready:\n{lines}")
            }
        };
    }
    let width = plan.steps.len().to_string().len();
    let mut text = String::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let mark = if step.action.interrupts_service() {
            style.yellow("!")
        } else {
            " ".to_owned()
        };
        let number = at + 1;
        let cause = style.dim(&format!("({})", step.cause));
        text.push_str(&format!(
            "{number:>width$} {mark} {}  {cause}\n",
            step.action
        ));
    }
    let interruptions = plan
        .steps
        .iter()
        .filter(|step| step.action.interrupts_service())
        .count();
    let interrupts = match interruptions {
        0 => "no interruption".to_owned(),
        number => format!("{number} of them interrupting service (!)"),
    };
    text.push_str(&format!(
        "{}, {interrupts}\n",
        words::count(plan.steps.len(), "step")
    ));
    text
}

/// A plan for machines.
#[must_use]
pub fn value(plan: &Plan, shortcomings: &[(String, String)]) -> Value {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| {
            json!({
                "action": step.action.id(),
                "service": step.action.service(),
                "title": step.action.to_string(),
                "cause": step.cause,
                "interrupts_service": step.action.interrupts_service(),
            })
        })
        .collect();
    let not_ready: Vec<Value> = shortcomings
        .iter()
        .map(|(service, reason)| json!({ "service": service, "reason": reason }))
        .collect();
    json!({ "steps": steps, "not_ready": not_ready })
}
