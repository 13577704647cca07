//! Who reads together: a group reads as one, whichever steps its members belong to.

use crate::record::metric::Work;
use crate::verb::{ScopeStep, SharedRun};

/// The readers, and every other step of the run that has read the same topic as a member of the same group.
pub(super) fn of_group(run: &SharedRun, readers: &[String]) -> Vec<String> {
    let scope = &run.scenario.scope;
    let mut all = readers.to_vec();
    for place in readers.iter().filter_map(|id| place_of(scope.step(id)?)).collect::<Vec<_>>() {
        let others = scope.steps().filter(|(id, step)| {
            step.work == Work::Reads && place_of(step).as_ref() == Some(&place) && run.live.reader(id).is_some()
        });
        for (id, _) in others {
            if !all.contains(id) {
                all.push(id.clone());
            }
        }
    }
    all
}

fn place_of(step: &ScopeStep) -> Option<(String, String)> {
    let facts = step.facts.as_ref()?;
    Some((facts.topic.clone()?, facts.group.clone()?))
}
