//! What one run shows.

use super::step_figures::StepFigures;
use crate::accounting::Class;
use crate::record::{CheckOutcome, DeliveryRecord, Event, EventKind, Outcome, Record};
use std::collections::BTreeMap;

/// Senders, readers, and how many messages are in each class.
type SettledFigures = (String, String, Vec<(&'static str, u64)>);

/// What one run shows, folded from its events.
#[derive(Debug, Default)]
pub(super) struct RunFigures {
    /// What the scenario is called.
    pub(super) scenario: String,
    /// Where it runs; empty before that is known.
    pub(super) environment: String,
    /// Seconds since its start, as of its last event.
    pub(super) seconds: f64,
    /// How many steps it has.
    pub(super) steps: usize,
    /// Those that are over, by how they ended.
    pub(super) ended: BTreeMap<&'static str, u64>,
    /// Those at work, by their ids: their verbs.
    pub(super) running: BTreeMap<String, String>,
    /// What each has to show.
    pub(super) shown: BTreeMap<String, StepFigures>,
    /// Faults so far.
    pub(super) faults: usize,
    /// Those in force: step, target and what was done.
    pub(super) in_force: Vec<[String; 3]>,
    /// Deliveries of messages that were settled.
    pub(super) deliveries: Vec<SettledFigures>,
    /// Checks that passed, failed and are unknown.
    pub(super) checks: [usize; 3],
    /// What services did unasked.
    pub(super) incidents: usize,
    /// Warnings.
    pub(super) warnings: u64,
    /// How it ended.
    pub(super) verdict: Option<Outcome>,
}

impl RunFigures {
    /// Takes in an event; `record` is what all of them came to.
    pub(super) fn take(&mut self, event: &Event, record: Option<&Record>) {
        self.seconds = self.seconds.max(event.at);
        match &event.kind {
            EventKind::RunStarted { info, steps, .. } => {
                self.scenario.clone_from(&info.name);
                self.steps = *steps;
            }
            EventKind::EnvironmentReady { info, .. } => self.environment.clone_from(&info.name),
            EventKind::StepStarted { id, verb, .. } => {
                self.running.insert(id.clone(), verb.clone());
            }
            EventKind::Progress { id, figures } => {
                self.shown.insert(id.clone(), StepFigures::of(figures));
                return;
            }
            EventKind::StepEnded { record } => {
                *self.ended.entry(record.status.word()).or_default() += 1;
                self.running.remove(&record.id);
                if record.produced.is_some() || record.consumed.is_some() || self.shown.contains_key(&record.id) {
                    self.shown.entry(record.id.clone()).or_default().end(record);
                }
            }
            EventKind::Warning { .. } => self.warnings += 1,
            EventKind::RunEnded { verdict, .. } => self.verdict = Some(verdict.outcome),
            EventKind::Sample { .. } | EventKind::Slot { .. } | EventKind::Strain { .. } => return,
            _ => {}
        }
        if let Some(record) = record {
            self.look_at(record);
        }
    }

    /// Takes what later events may change again from where that is kept.
    fn look_at(&mut self, record: &Record) {
        self.faults = record.faults.len();
        let in_force = record.faults.iter().filter(|fault| fault.effective.is_some() && fault.undone.is_none());
        self.in_force =
            in_force.map(|fault| [fault.step.clone(), fault.target.clone(), fault.action.clone()]).collect();
        // Changes of rows are in classes of their own.
        let of_messages = record.deliveries.iter().filter(|delivery| delivery.changes.is_none());
        self.deliveries = of_messages.map(settled).collect();
        let decided = |outcome| record.checks.iter().filter(|check| check.outcome == outcome).count();
        self.checks = [CheckOutcome::Pass, CheckOutcome::Fail, CheckOutcome::Unknown].map(decided);
        self.incidents = record.incidents.len();
    }
}

/// Where a class may still grow, none is not told as 0.
fn settled(delivery: &DeliveryRecord) -> SettledFigures {
    let is_closed = delivery.drained && delivery.incomplete.is_empty();
    let count = |class: &Class| delivery.ledger.classes.get(class).map_or(0, |report| report.count);
    let classes = Class::ALL.iter().map(|class| (class.name(), count(class)));
    (delivery.from.join(","), delivery.to.join(","), classes.filter(|(_, count)| *count > 0 || is_closed).collect())
}
