//! A plan as text and as JSON.

use serde_json::{Value, json};

use super::words::{self, Style};
use crate::plan::Plan;

/// A plan for people.
#[must_use]
pub fn view(plan: &Plan, style: Style) -> String {
    if plan.is_empty() {
        return "nothing to do: everything is as configured\n".to_owned();
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
        number => format!("{} interrupting service (!)", words::count(number, "step")),
    };
    text.push_str(&format!(
        "{}, {interrupts}\n",
        words::count(plan.steps.len(), "step")
    ));
    text
}

/// A plan for machines.
#[must_use]
pub fn value(plan: &Plan) -> Value {
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
    json!({ "steps": steps })
}
