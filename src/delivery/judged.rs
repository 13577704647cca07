//! A settled delivery, and the checks that follow from it.

use super::samples;
use crate::accounting::{Class, ClassCheck, Settlement};
use crate::judge;
use crate::judge::changes::observed;
use crate::judge::delivery::{forbidden, none};
use crate::record::{CheckOutcome, CheckRecord, DeliveryRecord, Demand, EventKind};
use crate::scenario::Guarantee;
use crate::text::Location;
use crate::verb::SharedRun;

/// A settled delivery.
pub struct Settled {
    /// The account.
    pub record: DeliveryRecord,
    /// What it was settled from; absent for changes of a database.
    pub settlement: Option<Settlement>,
}

impl Settled {
    /// Judges one class.
    pub fn judge(
        &mut self,
        step: &str,
        subject: String,
        class: Class,
        demand: Demand,
        at: Option<Location>,
    ) -> CheckRecord {
        let observed = observed(&self.record, class, &demand);
        let outcome = judge::decide(&demand, &observed);
        let samples = if outcome == CheckOutcome::Pass { Vec::new() } else { samples(&self.record, class) };
        if let Some(settlement) = &mut self.settlement {
            step.clone_into(&mut settlement.step);
            let at = at.as_ref().map(|at| (at.line, at.column));
            settlement.checks.push(ClassCheck { subject: subject.clone(), at, class });
        }
        CheckRecord { step: step.to_owned(), subject, demand, observed, outcome, at, samples }
    }

    /// The classes that it owes a guarantee to be without. A source task has one request in flight, so each row's changes keep
    /// their order. A pipeline may distribute messages over partitions anew: it does not promise their order.
    pub fn owed(&self, run: &SharedRun, guarantee: Guarantee, through_a_pipeline: bool) -> Vec<Class> {
        let ordered = self.record.changes.is_some() || super::is_ordered(run, &self.record.from);
        let mut classes = forbidden(guarantee, ordered);
        classes.retain(|class| !through_a_pipeline || *class != Class::Reordered);
        classes
    }

    /// Reports the account, and keeps what it was settled from.
    pub fn report(self, run: &SharedRun) {
        if let Some(settlement) = self.settlement {
            run.settlements.keep(settlement);
        }
        run.recorder.emit(EventKind::Delivery { record: Box::new(self.record) });
    }

    /// Judges it by the scenario's guarantee, and reports both.
    pub(super) fn imply(mut self, run: &SharedRun, guarantee: Guarantee) {
        self.record.guarantee = Some(guarantee);
        let (from, to) = (self.record.from.join(", "), self.record.to.join(", "));
        for class in self.owed(run, guarantee, false) {
            let subject = format!("{guarantee} from {from} to {to}: {class}");
            let check = self.judge("", subject, class, none(), run.scenario.guarantee_at.clone());
            run.recorder.emit(EventKind::Check { record: Box::new(check) });
        }
        self.report(run);
    }
}

impl From<DeliveryRecord> for Settled {
    fn from(record: DeliveryRecord) -> Self {
        Self { record, settlement: None }
    }
}
