//! Default timeouts.

use super::planned::{Children, PlannedStep};
use crate::scenario::Modifiers;
use crate::verb::{CONTROL, Facts};
use std::collections::BTreeMap;
use std::time::Duration;

/// The step's own timeout, or its planned length and an allowance.
pub fn of(modifiers: &Modifiers, facts: &Facts) -> Duration {
    modifiers
        .timeout
        .map_or_else(|| facts.planned.unwrap_or_default() + facts.allowance.unwrap_or(CONTROL), |length| length.0)
}

/// Lengthens the default timeouts of steps that wait for others or contain them.
pub fn follow(sections: &mut [Vec<PlannedStep>]) {
    let mut known = BTreeMap::new();
    for step in sections.iter().flatten() {
        step.walk(&mut |step| {
            known.insert(step.id.clone(), step.timeout);
        });
    }
    sections.iter_mut().flatten().for_each(|step| lengthen(step, &known));
}

fn lengthen(step: &mut PlannedStep, known: &BTreeMap<String, Duration>) {
    let inner = match &mut step.children {
        Children::None => Duration::ZERO,
        Children::Sequence(steps) => total(steps, known),
        Children::Branches(branches) => branches.iter_mut().map(|steps| total(steps, known)).max().unwrap_or_default(),
    };
    if step.modifiers.timeout.is_some() {
        return;
    }
    step.timeout += inner;
    if let Some(followed) = &step.facts.follows {
        step.timeout += known.get(&format!("{}{followed}", step.bindings.prefix)).copied().unwrap_or_default();
    }
}

fn total(steps: &mut [PlannedStep], known: &BTreeMap<String, Duration>) -> Duration {
    steps
        .iter_mut()
        .map(|step| {
            lengthen(step, known);
            step.timeout
        })
        .sum()
}
