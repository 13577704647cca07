//! A settled delivery, and the checks that follow from it.

use super::samples;
use crate::accounting::changes::{ChangeSettlement, Figure, FigureCheck, Reconciliation, Tally};
use crate::accounting::{Class, ClassCheck, Settlement};
use crate::judge;
use crate::judge::changes::{observed, tallied};
use crate::judge::delivery::{forbidden, none};
use crate::judge::subject;
use crate::record::{CheckOutcome, CheckRecord, DeliveryRecord, Demand, EventKind, Observed};
use crate::scenario::Guarantee;
use crate::text::Location;
use crate::verb::{Promise, SharedRun};

/// A settled delivery.
pub struct Settled {
    /// The account.
    pub record: DeliveryRecord,
    /// What it was settled from.
    pub basis: SettledFrom,
}

/// What a delivery was settled from.
#[expect(clippy::large_enum_variant, reason = "there is one for each delivery, for a moment")]
pub enum SettledFrom {
    /// Accounts of messages.
    Messages(Settlement),
    /// The account of a database.
    Changes(ChangeSettlement),
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
        let line = at.as_ref().map(|at| (at.line, at.column));
        match &mut self.basis {
            SettledFrom::Messages(settlement) => {
                step.clone_into(&mut settlement.step);
                settlement.guaranteed = self.record.guarantee.is_some();
                settlement.checks.push(ClassCheck { subject: subject.clone(), at: line, class });
            }
            SettledFrom::Changes(settlement) => keep(settlement, step, &subject, line, Figure::Class(class)),
        }
        CheckRecord { step: step.to_owned(), subject, demand, observed, outcome, at, samples }
    }

    /// Looks at one figure of an account of changes.
    pub fn tally(&mut self, step: &str, subject: &str, tally: Tally, at: &Location) -> Observed {
        if let SettledFrom::Changes(settlement) = &mut self.basis {
            keep(settlement, step, subject, Some((at.line, at.column)), Figure::Tally(tally));
        }
        tallied(&self.record, tally)
    }

    /// The classes that it owes a guarantee to be without. A source task has one request in flight, so each row's changes keep
    /// their order. A pipeline may distribute messages over partitions again: it does not promise their order.
    pub fn owed(&self, run: &SharedRun, guarantee: Guarantee, through_a_pipeline: bool) -> Vec<Class> {
        let ordered = self.record.changes.is_some() || super::is_ordered(run, &self.record.from);
        let mut classes = forbidden(guarantee, ordered);
        classes.retain(|class| !through_a_pipeline || *class != Class::Reordered);
        classes
    }

    /// Whether it is one of database changes, and its senders have made none that had to arrive or that cannot be judged.
    pub(super) fn is_of_no_change(&self) -> bool {
        self.record.changes.as_ref().is_some_and(|changes| changes.expected.total() + changes.sheet.unjudged == 0)
    }

    /// Whether it is one of database changes, some of which cannot be judged, and nothing is wrong with the others. Of rows that had been
    /// there before a connector began that is so where it takes no snapshot of them.
    pub(super) fn is_without_fault_where_judged(&self) -> bool {
        let faultless = |changes: &Reconciliation| changes.lost + changes.unread + changes.wrong_content == 0;
        self.record.changes.as_ref().is_some_and(|changes| changes.sheet.unjudged > 0 && faultless(changes))
    }

    /// Reports the account, and keeps what it was settled from, and by what it was judged.
    pub fn report(self, run: &SharedRun) {
        if self.record.guarantee.is_some() {
            run.promises.enter(self.promise());
        }
        let not_stored = match (self.basis, &self.record.changes) {
            (SettledFrom::Messages(settlement), _) => {
                run.settlements.keep(settlement);
                None
            }
            (SettledFrom::Changes(settlement), Some(changes)) => run.settlements.keep_changes(settlement, changes),
            (SettledFrom::Changes(_), None) => None,
        };
        if let Some(why) = not_stored {
            let (from, to) = (self.record.from.join(", "), self.record.to.join(", "));
            run.recorder
                .note(format!("the rows from {from} to {to} are not stored for `kscen judge`, their sums are: {why}"));
        }
        run.recorder.emit(EventKind::Delivery { record: Box::new(self.record) });
    }

    /// It is spelled out that no guarantee holds between these steps: what an earlier check said of one ends.
    pub fn waive(&self, run: &SharedRun) {
        run.promises.enter(Promise { guarantee: None, ..self.promise() });
    }

    /// What it is judged by.
    fn promise(&self) -> Promise {
        let DeliveryRecord { from, to, guarantee, ledger, changes, .. } = &self.record;
        let promise = Promise {
            from: from.clone(),
            to: to.clone(),
            guarantee: *guarantee,
            given: ledger.read,
            changes: changes.is_some(),
            ..Promise::default()
        };
        match &self.basis {
            SettledFrom::Messages(settlement) => Promise {
                matching: settlement.matching.clone(),
                allow: settlement.terms.allow.clone(),
                given: settlement.given,
                ..promise
            },
            SettledFrom::Changes(_) => promise,
        }
    }

    /// Judges it by a guarantee that no step asks about now, and reports both.
    pub(super) fn imply(mut self, run: &SharedRun, guarantee: Guarantee) {
        self.record.guarantee = Some(guarantee);
        let through_a_pipeline = matches!(&self.basis, SettledFrom::Messages(known) if known.matching.is_some());
        for class in self.owed(run, guarantee, through_a_pipeline) {
            let subject = subject::implied(guarantee, &self.record.from, &self.record.to, class);
            let check = self.judge("", subject, class, none(), run.scenario.guarantee_at.clone());
            run.recorder.emit(EventKind::Check { record: Box::new(check) });
        }
        self.report(run);
    }
}

fn keep(settlement: &mut ChangeSettlement, step: &str, subject: &str, at: Option<(usize, usize)>, figure: Figure) {
    step.clone_into(&mut settlement.step);
    settlement.checks.push(FigureCheck { subject: subject.to_owned(), at, figure });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::archive::{FILE, StoredAccounts};
    use crate::accounting::{ReaderAccount, RunIdentity, SenderAccount};
    use crate::judge::finding::{Finding, Limits};
    use crate::judge::stored::again;
    use crate::record::{Record, Unit};

    /// Ten messages, of which so many were acknowledged and the others are known not to be written, and a reader that has seen none.
    fn settlement(acked: u64, incomplete: bool) -> Settlement {
        let mut sender = SenderAccount::new(0, "t");
        (sender.step, sender.sent, sender.complete) = ("load".to_owned(), 10, true);
        sender.acknowledged(0..acked, 0, 0);
        sender.failed.insert_range(acked..10);
        let reader = ReaderAccount::new(RunIdentity::new(7), "t", None, false);
        Settlement {
            from: vec!["load".to_owned()],
            to: vec!["reader".to_owned()],
            senders: vec![sender],
            readers: vec![reader],
            incomplete: incomplete.then(|| "`load` was skipped".to_owned()).into_iter().collect(),
            ..Settlement::default()
        }
    }

    #[test]
    fn rows_that_cannot_be_judged_are_told_from_rows_that_are_lost() {
        let settled = |expected: u64, lost: u64, unjudged: u64| {
            let mut changes = Reconciliation { lost, ..Reconciliation::default() };
            (changes.expected.inserts, changes.sheet.unjudged) = (expected, unjudged);
            let record = DeliveryRecord { changes: Some(Box::new(changes)), ..DeliveryRecord::default() };
            let settled = Settled { record, basis: SettledFrom::Messages(settlement(0, false)) };
            (settled.is_of_no_change(), settled.is_without_fault_where_judged())
        };
        assert_eq!(settled(0, 0, 0), (true, false), "it made a table");
        assert_eq!(settled(299, 0, 1), (false, true), "one may lie before the connector");
        assert_eq!(settled(0, 0, 1), (false, true));
        assert_eq!(settled(299, 2, 1), (false, false), "two are lost whatever became of the one");
        assert_eq!(settled(300, 0, 0), (false, false));
    }

    #[test]
    fn every_check_of_a_delivery_is_decided_again_as_it_was() {
        let most = Demand::Number { unit: Unit::Count, min: None, max: Some(3.0), equals: None, not: None };
        let guarantees =
            [None, Some(Guarantee::AtLeastOnce), Some(Guarantee::AtMostOnce), Some(Guarantee::ExactlyOnce)];
        for (acked, incomplete) in [(0, false), (0, true), (4, false), (10, false), (10, true)] {
            for guarantee in guarantees {
                let settlement = settlement(acked, incomplete);
                let ledger = settlement.report();
                let (from, to, incomplete) =
                    (settlement.from.clone(), settlement.to.clone(), settlement.incomplete.clone());
                let drained = ledger.drained;
                let record =
                    DeliveryRecord { from, to, incomplete, drained, ledger, guarantee, ..DeliveryRecord::default() };
                let mut settled = Settled { record, basis: SettledFrom::Messages(settlement) };
                let mut run: Record =
                    serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a record");
                run.checks.clear();
                for class in Class::ALL {
                    for demand in [none(), most.clone()] {
                        let subject = format!("{class} {demand:?}");
                        run.checks.push(settled.judge("expect", subject, class, demand, None));
                    }
                }
                run.deliveries = vec![settled.record];
                let folder = tempfile::tempdir().expect("a folder");
                let SettledFrom::Messages(settlement) = settled.basis else { panic!("it is of messages") };
                let (settlements, changes) = (vec![settlement], Vec::new());
                let accounts = StoredAccounts { run: run.run.id.clone(), kscen: String::new(), settlements, changes };
                accounts.write(&folder.path().join(FILE)).expect("it can be written");
                let same = Finding::Same { deliveries: 1, checks: 20, limits: Limits::default() };
                assert_eq!(again(&run, folder.path()), same, "{acked} acknowledged, {guarantee:?}");
            }
        }
    }
}
