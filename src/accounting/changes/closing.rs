//! The end of an account: what has not been seen finds its column.

use super::anomalies::of_change;
use super::ledger::{ChangeFate, ChangeLedger, ConnectorLane, ExpectedChange};
use super::reconciliation::{Reconciliation, RowAnomaly, RowClass};
use super::scope::{Expectation, Owed};
use crate::database::{Lsn, RowOp, TableName};
use crate::debezium::Form;
use std::collections::HashSet;
use std::sync::Arc;

pub(super) const TOO_LATE: &str = "a reader of this check did not begin at the first message, and what was committed before it began may \
                                   lie before its first record; read `from: start`";

/// Why changes of before a table was watched are not in the account: so many of them, or 0 where nobody could count them.
pub(super) fn unwatched(count: u64) -> String {
    let what = match count {
        0 => "it could not be watched, and updates and deletes of its rows may be missing".to_owned(),
        count => {
            format!("{count} updates and deletes of its rows, made or undone before it could be watched, are not known")
        }
    };
    format!("{what}; create it in a step of its own, by a statement of its own")
}

impl ChangeLedger<'_> {
    /// Puts every change into its column.
    pub(super) fn close(mut self) -> Reconciliation {
        for (change, _) in std::mem::take(&mut self.elsewhere) {
            self.result.excuse(&change.relation.name, change.op, "no reader of this check reads its topic");
        }
        let mut lost_rows = HashSet::new();
        let lanes = std::mem::take(&mut self.lanes);
        for lane in &lanes {
            for (index, entry) in lane.entries.iter().enumerate() {
                let passed =
                    self.expectation.drained && !entry.has_arrived() && lane.has_passed(index, self.expectation);
                let too_late = || self.expectation.is_before_reader(entry).then(|| TOO_LATE.to_owned());
                if let Some(reason) = lane.left_out(index).or_else(too_late) {
                    self.result.gap(Some(&entry.change.relation.name), &reason, 1, 0);
                    continue;
                }
                let class = if entry.is_half() {
                    let passed = self.expectation.drained && lane.has_passed(index, self.expectation);
                    self.half(entry, passed)
                } else {
                    self.settle(entry, passed, lane.snapshot)
                };
                if class == Some(RowClass::Lost) {
                    lost_rows.insert((&entry.change.relation.name, entry.change.key.as_str()));
                }
            }
        }
        self.result.lost_rows = lost_rows.len() as u64;
        self.count_again();
        self.tell_blind(&lanes);
        self.result
    }

    /// Changes that the account does not have, of the tables whose changes come to the readers.
    fn tell_blind(&mut self, lanes: &[ConnectorLane<'_>]) {
        let (blind, settled) = (self.expectation.blind, self.expectation.settled);
        let concerned = |table: &TableName| {
            let of_it =
                |entry: &ExpectedChange<'_>| entry.owed != Owed::Foreign && entry.change.relation.name == *table;
            settled.is_some_and(|settled| settled.has_table(table))
                || lanes.iter().any(|lane| lane.entries.iter().any(of_it))
        };
        for (table, count) in blind.unseen.iter().filter(|(table, _)| concerned(table)) {
            let reason = format!(
                "{count} updates and deletes of rows without identity are not in the database's log; \
                 give it a primary key or ALTER TABLE {} REPLICA IDENTITY FULL",
                table.quoted()
            );
            self.result.gap(Some(table), &reason, 0, 0);
        }
        for (table, count) in blind.early.iter().filter(|(table, _)| concerned(table)) {
            self.result.gap(Some(table), &unwatched(*count), 0, 0);
        }
    }

    /// A change that has to come, and did not.
    pub(super) fn missing(&mut self, class: RowClass, op: RowOp, anomaly: impl FnOnce() -> RowAnomaly) {
        let sheet = &mut self.result.sheet;
        *(if class == RowClass::Lost { &mut sheet.lost } else { &mut sheet.unread }) += 1;
        self.result.expected.add(op);
        self.note(class, anomaly);
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
                self.missing(class, op, || {
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

impl Expectation<'_> {
    /// Whether a change that has not come may lie before the first record of its reader.
    pub(super) fn is_before_reader(&self, entry: &ExpectedChange<'_>) -> bool {
        let late = self.late_us.is_some_and(|since_us| entry.transaction.committed_us < since_us);
        late && entry.owed == Owed::Yes && entry.fate == ChangeFate::Nothing
    }
}

impl ConnectorLane<'_> {
    /// Whether nothing of a change is on its way any more: it was confirmed, Kafka Connect has stored its place or a later one, or a later
    /// one stands wherever it may have gone. A connector sends in the order of commits, but where something is disturbed, what one broker
    /// does not take yet, or what is sent again after a crash, may come behind what another one has taken.
    fn has_passed(&self, index: usize, expectation: &Expectation<'_>) -> bool {
        let entry = &self.entries[index];
        let (change, name) = (entry.change, self.scope.name_of(&entry.change.relation));
        let later = |known: Option<&usize>| known.is_some_and(|known| *known > index);
        let stored = self.stored.and_then(|lsn| self.by_lsn.get(&lsn)).is_some_and(|(first, _)| index <= *first);
        let beyond = self.confirmed.max(self.stored).unwrap_or_default();
        if stored
            || entry.transaction.commit_lsn < beyond
            || later(self.latest.get(&(&change.relation.name, change.key.as_str(), None)))
        {
            return true;
        }
        if self.last_streamed.is_none_or(|last| last <= index) {
            return false;
        }
        if expectation.calm {
            return true;
        }
        let topics = match self.scope.rules.form() {
            Form::Outbox(_) => Err(()),
            _ => self.scope.rules.topics(name).map_err(drop),
        };
        let may_have = |topic: &str| topics.as_ref().map_or(true, |topics| topics.iter().any(|known| known == topic));
        let mut places: Vec<(&str, i32)> = Vec::new();
        match expectation.partitions {
            Some(all) => places.extend(
                all.iter()
                    .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (topic.as_str(), *partition))),
            ),
            None => places.extend(self.furthest.keys().map(|(topic, partition)| (&**topic, *partition))),
        }
        places.retain(|(topic, _)| may_have(topic));
        let passed = |(topic, partition): &(&str, i32)| {
            later(self.furthest.get(&(Arc::from(*topic), *partition)).map(|(_, furthest)| furthest))
        };
        !places.is_empty() && places.iter().all(passed)
    }

    /// Why a change that has not come may be one of those that the connector never shows, because they were made before it streamed.
    pub(super) fn left_out(&self, index: usize) -> Option<String> {
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
    use crate::accounting::changes::stored_tests::all_read;
    use crate::accounting::changes::{Expectation, Reconciliation, ScopedConnector, reconcile};
    use crate::connect::ConnectorConfig;
    use crate::database::Lsn;
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
        let connectors =
            [ScopedConnector { confirmed: Some(Lsn(u64::MAX)), streaming_from, ..ScopedConnector::of(&rules) }];
        let expectation = all_read(&world.transactions, &connectors);
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

    /// A history in two topics, of which a record of one is missing.
    #[test]
    fn what_another_partition_has_taken_since_proves_no_loss() {
        let mut world = world(&mut StdRng::seed_from_u64(5));
        let is_change = |record: &crate::accounting::changes::history_tests::Record| record.2.is_some();
        let places: Vec<usize> = (0..world.records.len()).filter(|place| is_change(&world.records[*place])).collect();
        // The last change of its row, and not the last of all.
        let last_of_row = |place: &usize| {
            let key = &world.records[*place].0;
            let value = world.records[*place].1.as_ref().expect("a change");
            value["op"] != "d" && !places.iter().any(|other| other > place && world.records[*other].0 == *key)
        };
        let missing = places[..places.len() - 1].iter().rev().copied().find(last_of_row).expect("one");
        let lost = world.transactions.iter().flat_map(|transaction| &transaction.changes);
        let lsn = world.records[missing].1.as_ref().expect("a change")["source"]["lsn"].as_u64().expect("a position");
        assert!(lost.into_iter().any(|change| change.lsn == Lsn(lsn)));
        world.records.remove(missing);
        let mut events = read(&world.records);
        let settled = |events: &[crate::debezium::ReadEvent], stored: Option<u64>, partitions: i32, calm: bool| {
            let rules = crate::accounting::changes::history_tests::rules();
            let (confirmed, stored) = (None, stored.map(Lsn));
            let connectors = [ScopedConnector { confirmed, stored, ..ScopedConnector::of(&rules) }];
            let partitions = [("cdc.public.orders".to_owned(), (0..partitions).collect())].into();
            let expectation =
                Expectation { calm, partitions: Some(&partitions), ..all_read(&world.transactions, &connectors) };
            let result = crate::accounting::changes::stored_tests::reconciled(&expectation, events);
            (result.lost, result.unread)
        };
        // A later change came into its partition, and there is no other.
        assert_eq!(settled(&events, None, 1, false), (1, 0));
        // It may have gone into another one, which has taken nothing since.
        assert_eq!(settled(&events, None, 2, false), (0, 1));
        // Nothing keeps it from coming any more.
        assert_eq!(settled(&events, None, 2, true), (1, 0));
        // Kafka Connect had stored a place behind it.
        assert_eq!(settled(&events, Some(lsn), 2, false), (1, 0));
        assert_eq!(settled(&events, Some(lsn - 8), 2, false), (0, 1));
        let late = events.len() - 1;
        events[late].partition = 1;
        assert_eq!(settled(&events, None, 2, false).0 + settled(&events, None, 2, false).1, 1);
    }

    #[test]
    fn what_was_committed_before_a_reader_that_began_late_is_not_judged() {
        let mut world = world(&mut StdRng::seed_from_u64(5));
        let place = world.records.iter().position(|record| record.2.is_some()).expect("a change");
        world.records.remove(place);
        world.transactions.iter_mut().skip(1).for_each(|transaction| transaction.committed_us = 9);
        let settled = |late_us: Option<i64>| {
            let rules = crate::accounting::changes::history_tests::rules();
            let confirmed = Some(Lsn(u64::MAX));
            let connectors = [ScopedConnector { confirmed, ..ScopedConnector::of(&rules) }];
            let expectation = Expectation { late_us, ..all_read(&world.transactions, &connectors) };
            let result = reconcile(&expectation, &read(&world.records));
            (result.lost, result.sheet.unjudged)
        };
        assert_eq!(settled(None), (1, 0));
        assert_eq!(settled(Some(5)), (0, 1));
        assert_eq!(settled(Some(0)), (1, 0));
    }
}
