//! Tombstones: compaction removes what they name. Each delete has one behind it, and nothing else has.
//!
//! Where the records of a row may be in several partitions, its deletes and tombstones are held against each other whatever their order.

use super::anomalies::{about, at_record, raw_key};
use super::content::Told;
use super::ledger::{ChangeLedger, Place};
use super::reconciliation::{RowAnomaly, RowClass};
use super::scope::concerns;
use crate::debezium::{ChangeEvent, Form, Op, ReadEvent, ReadKind, RowImage};
use std::collections::{HashMap, HashSet};

/// In whatever partition: no partition has this number.
const ANYWHERE: i32 = -1;

/// Deletes of a row without tombstone, or tombstones that came before theirs.
#[derive(Default)]
pub(super) struct Unpaired {
    deletes: Vec<RowAnomaly>,
    tombstones: u64,
}

/// What came before a tombstone of its row.
#[derive(Clone, Copy, Default)]
struct RowSeen {
    living: bool,
    /// A copy of that delete's tombstone may come at any later time.
    deleted: bool,
}

/// Who writes a topic.
#[derive(Clone, Copy, Default)]
struct TopicWriters {
    /// One who writes flattened rows or messages.
    flat: bool,
    /// One of whom deletes may not come.
    silent: bool,
}

const OF_SILENT: &str = "a tombstone came of a row that lives, from a connector whose deletes may not come; whether it was deleted cannot be told";
const OF_SETTLED: &str =
    "a tombstone came that follows no delete, after earlier changes had been settled, of which only sums are kept";

impl ChangeLedger<'_> {
    fn place(&self, read: &ReadEvent, key: Option<&RowImage>) -> Place {
        let partition = if self.scatters { ANYWHERE } else { read.partition };
        (read.topic.clone(), partition, raw_key(key))
    }

    /// A record without value.
    pub(super) fn tombstone(&mut self, read: &ReadEvent, key: Option<&RowImage>) {
        if key.is_none() {
            return;
        }
        let place = self.place(read, key);
        let paired = if self.scatters {
            let unpaired = self.unpaired.entry(place.clone()).or_default();
            let paired = unpaired.deletes.pop().is_some();
            unpaired.tombstones += u64::from(!paired);
            paired
        } else {
            self.bereaved.remove(&place).is_some()
        };
        if !paired {
            self.strays.push((place, read.offset));
        }
    }

    /// Nothing may come between a delete and its tombstone but events of other rows.
    pub(super) fn tombstone_due(&mut self, read: &ReadEvent, event: &ChangeEvent, lane: usize) {
        let place = self.place(read, event.key.as_ref());
        if let Some(anomaly) = self.bereaved.remove(&place) {
            self.note(RowClass::MissingTombstone, || anomaly);
        }
        if event.op != Op::Delete || event.key.is_none() {
            return;
        }
        let rules = self.lanes[lane].scope.rules;
        if self.result.untold_tombstones.is_none() {
            self.result.untold_tombstones = rules.drops_tombstones();
        }
        if !rules.writes_tombstones() {
            return;
        }
        let anomaly = about(&Told::of(read, event), RowClass::MissingTombstone, "");
        if !self.scatters {
            self.bereaved.insert(place, anomaly);
            return;
        }
        let unpaired = self.unpaired.entry(place).or_default();
        match unpaired.tombstones.checked_sub(1) {
            Some(left) => unpaired.tombstones = left,
            None => unpaired.deletes.push(anomaly),
        }
    }

    pub(super) fn end_of_events(&mut self) {
        let mut left: Vec<RowAnomaly> = std::mem::take(&mut self.bereaved).into_values().collect();
        left.extend(std::mem::take(&mut self.unpaired).into_values().flat_map(|unpaired| unpaired.deletes));
        left.sort_by(|a, b| (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset)));
        // The reader may have stopped between a delete and its tombstone.
        for anomaly in left.into_iter().filter(|_| self.expectation.drained) {
            self.note(RowClass::MissingTombstone, || anomaly);
        }
    }

    /// Judges the tombstones that followed no delete. One whose row was never seen, or was deleted at some time, is none of them.
    pub(super) fn judge_strays(&mut self, events: &[ReadEvent]) {
        let strays = std::mem::take(&mut self.strays);
        if strays.is_empty() {
            return;
        }
        let writers = self.writers(events);
        let rows: HashSet<&Place> = strays.iter().map(|(place, _)| place).collect();
        let open: HashSet<(&str, i32, i64)> =
            strays.iter().map(|((topic, partition, _), offset)| (&**topic, *partition, *offset)).collect();
        let mut seen: HashMap<Place, RowSeen> = HashMap::new();
        if self.scatters {
            // What came before it in another partition may have been read after it.
            events.iter().for_each(|read| drop(self.see(read, &rows, &mut seen)));
        }
        let mut told = HashSet::new();
        for read in events {
            let Some(place) = self.see(read, &rows, &mut seen) else { continue };
            if !open.contains(&(&*read.topic, place.1, read.offset)) || !told.insert((place.clone(), read.offset)) {
                continue;
            }
            let seen = seen.get(&place).copied().unwrap_or_default();
            self.judge_stray(read, place.2, seen, writers.get(&*read.topic).copied().unwrap_or_default());
        }
    }

    /// Who writes each topic.
    fn writers<'e>(&self, events: &'e [ReadEvent]) -> HashMap<&'e str, TopicWriters> {
        let mut writers: HashMap<&str, TopicWriters> = HashMap::new();
        for read in events {
            let writers = writers.entry(&read.topic).or_default();
            let lane = match &read.kind {
                ReadKind::Change(event) => self.lane_of(&event.source.origin.name, &event.source.origin.table),
                ReadKind::Tombstone { .. } => self.flat_lane(read),
                _ => None,
            };
            let Some(lane) = lane.map(|lane| &self.lanes[lane].scope) else { continue };
            writers.flat |= *lane.rules.form() != Form::Envelope;
            writers.silent |= !lane.rules.tells_deletes();
        }
        writers
    }

    fn judge_stray(&mut self, read: &ReadEvent, key: String, seen: RowSeen, writers: TopicWriters) {
        let settled = self.expectation.settled.filter(|settled| !settled.is_empty());
        let settled = settled.and_then(|settled| settled.has_deleted(&read.topic, &key));
        let was_deleted = seen.deleted || settled == Some(true);
        // Of flattened rows they are deletes themselves.
        if was_deleted || writers.flat {
            return;
        }
        match (seen.living, settled) {
            (true, _) if !writers.silent => self.stray(read, key),
            (true, _) => self.untold_stray(OF_SILENT),
            (false, Some(_)) => self.untold_stray(OF_SETTLED),
            (false, None) => {}
        }
    }

    fn untold_stray(&mut self, reason: &str) {
        self.result.sheet.tombstones -= 1;
        self.result.gap(None, reason, 0, 1);
    }

    /// Notes what a record says of one of these rows; the row, where it is a tombstone.
    fn see(&self, read: &ReadEvent, rows: &HashSet<&Place>, seen: &mut HashMap<Place, RowSeen>) -> Option<Place> {
        let (key, deleted) = match &read.kind {
            ReadKind::Tombstone { key } => (key, None),
            ReadKind::Change(event)
                if self.lanes.iter().any(|lane| concerns(lane.scope.rules, &event.source.origin.name)) =>
            {
                (&event.key, Some(event.op == Op::Delete))
            }
            _ => return None,
        };
        let place = self.place(read, key.as_ref());
        if key.is_none() || !rows.contains(&place) {
            return None;
        }
        match deleted {
            Some(true) => seen.entry(place).or_default().deleted = true,
            Some(false) => seen.entry(place).or_default().living = true,
            None => return Some(place),
        }
        None
    }

    fn stray(&mut self, read: &ReadEvent, key: String) {
        self.result.sheet.tombstones -= 1;
        self.result.sheet.phantom += 1;
        self.note(RowClass::Phantom, || {
            let detail = "a tombstone of a row that was not deleted: compaction removes the row";
            let mut anomaly = at_record(read, RowClass::Phantom, detail.to_owned());
            anomaly.key = key;
            anomaly
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::accounting::changes::history_tests::{read, world};
    use crate::accounting::changes::stored_tests::{all_read, reconciled};
    use crate::accounting::changes::{Reconciliation, ScopedConnector};
    use crate::connect::ConnectorConfig;
    use crate::database::Lsn;
    use crate::debezium::{CaptureRules, PublicationFacts};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn rules(prefix: &str, settings: &[(&str, &str)]) -> CaptureRules {
        let common = [("topic.prefix", prefix), ("plugin.name", "pgoutput")];
        let config: ConnectorConfig =
            common.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        CaptureRules::of(prefix, &config, PublicationFacts::Unknown)
    }

    /// The account of the first so many changes of a history, as they were sent, with a tombstone of the first row behind them or without.
    fn settled(rules: &[CaptureRules], stray: bool) -> Reconciliation {
        let mut world = world(&mut StdRng::seed_from_u64(3));
        world.transactions.truncate(1);
        world.transactions[0].changes.truncate(1);
        world.records.truncate(1);
        if stray {
            world.records.push((world.records[0].0.clone(), None, None));
        }
        let connectors: Vec<ScopedConnector<'_>> = rules
            .iter()
            .map(|rules| ScopedConnector { confirmed: Some(Lsn(u64::MAX)), ..ScopedConnector::of(rules) })
            .collect();
        let result = reconciled(&all_read(&world.transactions, &connectors), &read(&world.records));
        assert_eq!(result.sheet.imbalance(), None, "{result:?}");
        result
    }

    #[test]
    fn a_connector_without_deletes_hides_no_tombstone_of_another_one() {
        let (skips, filter) = (
            [("skipped.operations", "d")],
            [("transforms", "f"), ("transforms.f.type", "org.apache.kafka.connect.transforms.Filter")],
        );
        let other = [rules("cdc", &[]), rules("other", &skips)];
        assert_eq!(settled(&other, true).phantom, 1);
        assert_eq!(settled(&other, false).phantom, 0);
        for silent in [rules("cdc", &skips), rules("cdc", &filter)] {
            let result = settled(std::slice::from_ref(&silent), true);
            assert_eq!((result.phantom, result.sheet.unjudged_records), (0, 1), "{result:?}");
            assert_eq!(settled(&[silent], false).unjudged, []);
        }
    }
}
