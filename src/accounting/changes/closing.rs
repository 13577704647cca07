//! The end of an account: what has not been seen finds its column.

use super::anomalies::of_change;
use super::ledger::{ChangeFate, ChangeLedger, ConnectorLane, ExpectedChange};
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
                if let Some(reason) = lane.left_out(index) {
                    self.result.gap(Some(&entry.change.relation.name), &reason, 1, 0);
                    continue;
                }
                if self.settle(entry, passed, lane.snapshot) == Some(RowClass::Lost) {
                    lost_rows.insert((&entry.change.relation.name, entry.change.key.as_str()));
                }
            }
        }
        self.result.lost_rows = lost_rows.len() as u64;
        self.count_again();
        for (table, count) in &self.expectation.blind.unseen {
            let settled = self.expectation.settled.is_some_and(|settled| settled.has_table(table));
            let concerned = settled
                || lanes.iter().any(|lane| {
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

impl ConnectorLane<'_> {
    /// Why a change that has not come may be one of those that the connector never shows, because they were made before it streamed.
    fn left_out(&self, index: usize) -> Option<String> {
        let entry = &self.entries[index];
        if entry.owed != Owed::Yes || entry.fate != ChangeFate::Nothing {
            return None;
        }
        let commit_lsn = entry.transaction.commit_lsn;
        // Where it is not known when it began, it had with the first change that came.
        let border = self.streaming_from.max(self.snapshot);
        let before = match border {
            Some(border) => commit_lsn < border,
            None => self.first_streamed.is_none_or(|first| index < first),
        };
        if before {
            self.scope.rules.leaves_out_of_snapshots(&self.scope.table(&entry.change.relation).name)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::accounting::changes::history_tests::{World, read, world};
    use crate::accounting::changes::{Expectation, Reconciliation, ScopedConnector, reconcile};
    use crate::connect::ConnectorConfig;
    use crate::database::{Blind, Lsn};
    use crate::debezium::{CaptureRules, PublicationFacts};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    /// A history of which the first transaction was committed before a connector with that mode streamed.
    fn settled(mode: &str, streaming_from: impl Fn(&World) -> Option<Lsn>) -> (Reconciliation, u64) {
        let mut world = world(&mut StdRng::seed_from_u64(5));
        let missing = world.transactions[0].changes.len() as u64;
        let from = world.records.iter().position(|record| record.2.is_some_and(|(transaction, _)| transaction == 1));
        world.records.drain(..from.expect("a second transaction"));
        let pairs = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput"), ("snapshot.mode", mode)];
        let config: ConnectorConfig =
            pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let rules = CaptureRules::of("c", &config, PublicationFacts::Unknown);
        let streaming_from = streaming_from(&world);
        let connectors = [ScopedConnector { rules: &rules, confirmed: Some(Lsn(u64::MAX)), streaming_from }];
        let expectation = Expectation {
            transactions: &world.transactions,
            settled: None,
            window: (Lsn(0), Lsn(u64::MAX)),
            blind: &Blind::default(),
            claimed: None,
            database: None,
            connectors: &connectors,
            topics: None,
            drained: true,
            samples: 5,
        };
        (reconcile(&expectation, &read(&world.records)), missing)
    }

    #[test]
    fn rows_of_before_a_connector_that_takes_no_snapshot_are_not_judged() {
        let border = |world: &World| Some(Lsn(world.transactions[0].commit_lsn.0 + 1));
        for from in [&border as &dyn Fn(&World) -> Option<Lsn>, &|_: &World| None] {
            let (result, missing) = settled("no_data", from);
            assert_eq!((result.lost, result.sheet.unjudged), (0, missing), "{result:?}");
            assert!(result.unjudged[0].reason.contains("snapshot.mode=no_data"), "{:?}", result.unjudged);
            let (result, missing) = settled("initial", from);
            assert_eq!((result.lost, result.sheet.unjudged), (missing, 0));
        }
        // It streamed by then.
        let (result, missing) = settled("no_data", |_| Some(Lsn(0)));
        assert_eq!((result.lost, result.sheet.unjudged), (missing, 0));
    }
}
