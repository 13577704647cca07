//! The steps that write what a reader reads.

use super::Consume;
use crate::load::consume::Over;
use crate::record::metric::Work;
use crate::verb::StepContext;
use std::sync::Arc;

impl Consume {
    /// Whether messages of its topic carry no identity, so that those of the run cannot be told from others.
    pub(super) fn reads_unmarked(&self, cx: &StepContext) -> bool {
        let mut steps = cx.run.scenario.scope.steps().filter_map(|(_, step)| step.facts.as_ref());
        steps.any(|facts| facts.unmarked && facts.topic.as_deref() == Some(&self.topic))
    }

    /// Tells whether every step that writes the topic is over; `None` where no step of the run does.
    pub(super) fn senders_over(&self, cx: &StepContext) -> Option<Over> {
        let scope = &cx.run.scenario.scope;
        let order = scope.step(&cx.id).map_or(usize::MAX, |step| step.order);
        let writes = |facts: &crate::verb::Facts| facts.topic.as_deref() == Some(&self.topic);
        let senders: Vec<(String, usize)> = scope
            .steps()
            .filter(|(_, step)| step.work == Work::Sends && step.facts.as_ref().is_some_and(writes))
            .map(|(id, step)| (id.clone(), step.order))
            .collect();
        if senders.is_empty() {
            return None;
        }
        // The run holds the reader; the reader must not hold the run.
        let (run, background) = (Arc::downgrade(&cx.run), cx.background);
        Some(Arc::new(move || {
            let Some(run) = run.upgrade() else { return false };
            // Nothing that follows begins before a reader in the foreground has ended.
            senders.iter().all(|(id, place)| run.live.record(id).is_some() || !background && *place > order)
        }))
    }
}
