//! A plan in the making: steps with what they need, of which only the direct needs are kept.

use std::collections::BTreeSet;

use super::action::Action;
use super::{Plan, Step};

/// Steps so far. A step is named by its position.
#[derive(Default)]
pub(super) struct Draft {
    steps: Vec<Step>,
}

impl Draft {
    /// Adds a step and gives its position.
    pub(super) fn push(
        &mut self,
        action: Action,
        cause: impl Into<String>,
        needs: impl IntoIterator<Item = usize>,
    ) -> usize {
        let at = self.steps.len();
        let needs: BTreeSet<usize> = needs.into_iter().collect();
        self.steps.push(Step {
            action,
            cause: cause.into(),
            needs: needs.into_iter().collect(),
        });
        at
    }

    /// The plan, without the needs that follow from others.
    pub(super) fn finish(mut self) -> Plan {
        let mut before: Vec<BTreeSet<usize>> = Vec::with_capacity(self.steps.len());
        for step in &mut self.steps {
            let mut all: BTreeSet<usize> = BTreeSet::new();
            let mut direct = Vec::new();
            // From the latest on: what an earlier one brings is in the set already.
            for need in step.needs.iter().rev() {
                if all.insert(*need) {
                    direct.push(*need);
                    all.extend(before.get(*need).into_iter().flatten());
                }
            }
            direct.reverse();
            step.needs = direct;
            before.push(all);
        }
        Plan { steps: self.steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(reference: &str) -> Action {
        Action::PullImage {
            reference: reference.to_owned(),
            platform: None,
        }
    }

    #[test]
    fn only_direct_needs_are_kept() {
        let mut draft = Draft::default();
        let a = draft.push(pull("a"), "", []);
        let b = draft.push(pull("b"), "", [a]);
        let c = draft.push(pull("c"), "", [a]);
        let d = draft.push(pull("d"), "", [a, b, c]);
        draft.push(pull("e"), "", [a, d, c]);
        let needs: Vec<Vec<usize>> = draft.finish().steps.into_iter().map(|s| s.needs).collect();
        assert_eq!(needs, [vec![], vec![0], vec![0], vec![1, 2], vec![3]]);
    }
}
