//! The end of an account: what has not been seen finds its column.

use super::anomalies::of_change;
use super::ledger::{ChangeFate, ChangeLedger, ExpectedChange};
use super::reconciliation::{Reconciliation, RowAnomaly, RowClass};
use super::scope::Owed;
use crate::database::Lsn;
use std::collections::HashSet;

impl ChangeLedger<'_> {
    pub(super) fn end_of_events(&mut self) {
        let mut left: Vec<RowAnomaly> = std::mem::take(&mut self.bereaved).into_values().collect();
        left.sort_by(|a, b| (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset)));
        // The reader may have stopped between a delete and its tombstone.
        for anomaly in left.into_iter().filter(|_| self.expectation.drained) {
            self.note(RowClass::MissingTombstone, || anomaly);
        }
    }

    /// Puts every change into its column.
    pub(super) fn close(mut self) -> Reconciliation {
        for (change, _) in std::mem::take(&mut self.elsewhere) {
            self.result.excuse(&change.relation.name, change.op, "no reader of this check reads its topic");
        }
        let mut lost_rows = HashSet::new();
        let lanes = std::mem::take(&mut self.lanes);
        for lane in &lanes {
            let confirmed = lane.confirmed.unwrap_or_default();
            for (index, entry) in lane.entries.iter().enumerate() {
                // A connector sends in the order of commits: what arrived later, or was confirmed, has passed this change.
                let passed =
                    lane.last_streamed.is_some_and(|last| index < last) || entry.transaction.commit_lsn < confirmed;
                let passed = passed && self.expectation.drained;
                if self.settle(entry, passed, lane.snapshot) == Some(RowClass::Lost) {
                    lost_rows.insert((&entry.change.relation.name, entry.change.key.as_str()));
                }
            }
        }
        self.result.lost_rows = lost_rows.len() as u64;
        for (table, count) in &self.expectation.blind.unseen {
            let concerned = lanes.iter().any(|lane| {
                lane.entries.iter().any(|entry| entry.owed != Owed::Foreign && entry.change.relation.name == *table)
            });
            if concerned {
                let reason = format!(
                    "{count} updates and deletes of rows without identity are not in the database's log; \
                     give it a primary key or ALTER TABLE {} REPLICA IDENTITY FULL",
                    table.quoted()
                );
                self.result.gap(Some(table), &reason, 0, 0);
            }
        }
        self.result
    }

    fn settle(&mut self, entry: &ExpectedChange<'_>, passed: bool, snapshot: Option<Lsn>) -> Option<RowClass> {
        let op = entry.change.op;
        let table = &entry.change.relation.name;
        let sheet = &mut self.result.sheet;
        match (&entry.owed, entry.fate) {
            (Owed::Foreign | Owed::Elsewhere, _) => return None,
            (_, ChangeFate::Once) => sheet.once += 1,
            (_, ChangeFate::Repeated) => sheet.duplicated += 1,
            (_, ChangeFate::Damaged) => sheet.damaged += 1,
            (Owed::Excused(reason), _) => {
                self.result.excuse(table, op, reason);
                return None;
            }
            (_, ChangeFate::Covered) => {
                sheet.superseded += 1;
                self.result.covered_by_snapshot += 1;
                self.result.expected.add(op);
                return None;
            }
            (Owed::Perhaps(reason) | Owed::Barred(reason), ChangeFate::Nothing) => {
                self.result.gap(Some(table), reason, 1, 0);
                return None;
            }
            (Owed::Yes, ChangeFate::Nothing) => {
                let class = if passed { RowClass::Lost } else { RowClass::Unread };
                *(if passed { &mut sheet.lost } else { &mut sheet.unread }) += 1;
                self.result.expected.add(op);
                self.note(class, || {
                    let mut anomaly = of_change(entry, class);
                    if let Some(at) = snapshot.filter(|at| passed && entry.transaction.commit_lsn < *at) {
                        anomaly.detail = format!(
                            "the connector took its snapshot at {at}, after this change, and the snapshot lacks it: Connect had no stored offset"
                        );
                    }
                    anomaly
                });
                return Some(class);
            }
        }
        self.result.expected.add(op);
        self.result.delivered.add(op);
        None
    }
}
