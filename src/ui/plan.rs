//! A plan as text, as a tree and as JSON.

use serde_json::{Value, json};

use super::words::{self, Style};
use crate::plan::{Plan, Step};

/// A plan for people. `shortcomings` are the services that do not do their work, with the reason.
#[must_use]
pub fn view(plan: &Plan, shortcomings: &[(String, String)], style: Style) -> String {
    if plan.is_empty() {
        return nothing(shortcomings);
    }
    let width = plan.steps.len().to_string().len();
    let mut text = String::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let number = at + 1;
        text.push_str(&format!("{number:>width$} {}\n", line(step, style)));
    }
    text.push_str(&summary(plan));
    text
}

/// A plan for people who want to see what waits for what: each step below the last one it needs,
/// with the others it needs by number.
#[must_use]
pub fn tree(plan: &Plan, shortcomings: &[(String, String)], style: Style) -> String {
    if plan.is_empty() {
        return nothing(shortcomings);
    }
    let mut text = String::new();
    let roots = children(plan, None);
    for root in roots {
        branch(plan, root, "", "", style, &mut text);
    }
    text.push_str(&summary(plan));
    text
}

fn nothing(shortcomings: &[(String, String)]) -> String {
    match shortcomings {
        [] => "nothing to do: everything is as configured\n".to_owned(),
        some => {
            let lines: String = some
                .iter()
                .map(|(service, why)| format!("  `{service}`: {why}\n"))
                .collect();
            format!("nothing to change, but not everything is ready:\n{lines}")
        }
    }
}

fn line(step: &Step, style: Style) -> String {
    let mark = if step.action.interrupts_service() {
        style.yellow("!")
    } else {
        " ".to_owned()
    };
    let cause = style.dim(&format!("({})", step.cause));
    format!("{mark} {}  {cause}", step.action)
}

/// Steps whose last need is this one; `None` for those that need nothing.
fn children(plan: &Plan, parent: Option<usize>) -> Vec<usize> {
    let steps = plan.steps.iter().enumerate();
    steps
        .filter(|(_, step)| step.needs.last().copied() == parent)
        .map(|(at, _)| at)
        .collect()
}

fn branch(plan: &Plan, at: usize, own: &str, below: &str, style: Style, text: &mut String) {
    let Some(step) = plan.steps.get(at) else {
        return;
    };
    let others = step
        .needs
        .split_last()
        .map_or(&[][..], |(_, others)| others);
    let others: Vec<String> = others.iter().map(|need| (need + 1).to_string()).collect();
    let also = if others.is_empty() {
        String::new()
    } else {
        style.dim(&format!("  [also after {}]", others.join(", ")))
    };
    let number = at + 1;
    text.push_str(&format!("{own}{number} {}{also}\n", line(step, style)));
    let children = children(plan, Some(at));
    let last = children.last().copied();
    for child in children {
        let (knee, rest) = match (Some(child) == last, style.unicode) {
            (true, true) => ("└─ ", "   "),
            (false, true) => ("├─ ", "│  "),
            (true, false) => ("`- ", "   "),
            (false, false) => ("|- ", "|  "),
        };
        let own = format!("{below}{knee}");
        branch(plan, child, &own, &format!("{below}{rest}"), style, text);
    }
}

fn summary(plan: &Plan) -> String {
    let count = |is: &dyn Fn(&Step) -> bool| plan.steps.iter().filter(|step| is(step)).count();
    let interrupts = match count(&|step| step.action.interrupts_service()) {
        0 => "no interruption".to_owned(),
        number => format!("{number} of them interrupting service (!)"),
    };
    let one_way = match count(&|step| !step.action.can_be_undone()) {
        0 => String::new(),
        number => format!(", {number} that cannot be undone"),
    };
    let steps = words::count(plan.steps.len(), "step");
    format!("{steps}, {interrupts}{one_way}\n")
}

/// A plan for machines. Steps are numbered from 1; `needs` holds such numbers.
#[must_use]
pub fn value(plan: &Plan, shortcomings: &[(String, String)]) -> Value {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(at, step)| {
            let (kind, name) = step.action.resource();
            let needs: Vec<usize> = step.needs.iter().map(|need| need + 1).collect();
            json!({
                "number": at + 1,
                "action": step.action.id(),
                "resource": { "kind": kind, "name": name },
                "service": step.action.service(),
                "title": step.action.to_string(),
                "cause": step.cause,
                "needs": needs,
                "interrupts_service": step.action.interrupts_service(),
                "can_be_undone": step.action.can_be_undone(),
            })
        })
        .collect();
    let not_ready: Vec<Value> = shortcomings
        .iter()
        .map(|(service, reason)| json!({ "service": service, "reason": reason }))
        .collect();
    json!({ "steps": steps, "not_ready": not_ready })
}
