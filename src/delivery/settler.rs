//! Settles changes while a run lasts: a million rows, each with its record, need not be kept to the end.

use super::connectors::KnownConnector;
use crate::accounting::changes::SettlingBudget;
use crate::load::consume::ReaderCapture;
use crate::verb::{LiveReader, SharedRun};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Records that a reader keeps before changes are settled: with fewer, all rows are stored and can be judged again.
const FIRST: usize = 1 << 16;
/// The same once some are settled, and records that are left then: a record and its change take about a kilobyte.
const FROM: usize = 1 << 15;
const TO: usize = 1 << 14;
/// Records more before it is tried again where nothing could be settled.
const MORE: usize = 1 << 15;
/// What one turn looks at: about a tenth of a second.
const BUDGET: SettlingBudget = SettlingBudget { records: 1 << 15, changes: 1 << 13 };

/// Settles what can be settled, again and again.
#[derive(Default)]
pub struct Settler {
    /// Something is settled.
    begun: bool,
    /// Records before which it is not tried again: what could not be settled then cannot be now.
    next: usize,
}

impl Settler {
    /// Settles changes where the only reader that decodes them, behind the only connector, has seen very many.
    pub async fn turn(&mut self, run: &SharedRun) {
        let from = if self.begun { FROM } else { FIRST };
        let Some(capture) = only_capture(run).filter(|capture| capture.len() > from.max(self.next)) else { return };
        let known = KnownConnector::of(run).await;
        let [known] = &known[..] else {
            self.next = capture.len() + MORE;
            return;
        };
        let topics = BTreeSet::from([capture.topic().to_owned()]);
        while capture.len() > TO {
            let settled = run.changes.settle(|settled, transactions| {
                capture.settle(|events| settled.settle(&known.rules, Some(&topics), transactions, events, BUDGET))
            });
            if settled.await.unwrap_or(0) == 0 {
                self.next = capture.len() + MORE;
                return;
            }
            self.begun = true;
            tokio::task::yield_now().await;
        }
        self.next = 0;
    }
}

/// What the only reader keeps that decodes changes, in a scenario that has no other.
fn only_capture(run: &SharedRun) -> Option<Arc<ReaderCapture>> {
    let steps = run.scenario.scope.steps().map(|(_, step)| step);
    if steps.filter(|step| step.facts.as_ref().is_some_and(|facts| facts.captures)).count() != 1 {
        return None;
    }
    let readers = run.live.reader_ids().into_iter().filter_map(|id| run.live.reader(&id));
    let captures: Vec<Arc<ReaderCapture>> = readers
        .filter_map(|reader: Arc<dyn LiveReader>| reader.capture())
        .filter(|capture| capture.decodes())
        .collect();
    match &captures[..] {
        [only] => Some(Arc::clone(only)),
        _ => None,
    }
}
