//! How long a plan takes at least: what its own schedules say.

use super::planned::{Children, PlannedStep};
use super::scenario::Plan;
use crate::verb::Work;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time that waits, holds and loads of a plan take. What depends on the system, such as a restart, counts as nothing.
pub fn length(plan: &Plan) -> Duration {
    let mut ends = BTreeMap::new();
    let mut at = Duration::ZERO;
    for steps in [&plan.setup, &plan.steps, &plan.finally] {
        at = walk(steps, at, &mut ends);
        at = ends.values().copied().fold(at, Duration::max);
    }
    at
}

/// When a list of steps that starts `at` is over; notes when background steps end.
fn walk(steps: &[PlannedStep], mut at: Duration, ends: &mut BTreeMap<String, Duration>) -> Duration {
    for step in steps {
        let own = match &step.children {
            Children::None => step.facts.planned.unwrap_or_default(),
            Children::Sequence(inner) => walk(inner, at, ends).saturating_sub(at),
            Children::Branches(branches) => {
                let over = branches.iter().map(|branch| walk(branch, at, ends)).max().unwrap_or(at);
                over.saturating_sub(at)
            }
        };
        if step.modifiers.background {
            ends.insert(step.id.clone(), at + own);
            continue;
        }
        at += own;
        if step.entry.work == Work::Joins {
            let joined = step.facts.follows.iter().map(|id| format!("{}{id}", step.bindings.prefix));
            at = joined.filter_map(|id| ends.get(&id).copied()).fold(at, Duration::max);
        }
    }
    at
}
