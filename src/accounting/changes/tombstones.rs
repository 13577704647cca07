//! Tombstones: compaction removes what they name. Each delete has one behind it, and nothing else has.
//!
//! Where the records of a row may be in several partitions, its deletes and tombstones are held against each other whatever their order.

use super::anomalies::{about, at_record, raw_key};
use super::content::Told;
use super::ledger::{ChangeLedger, Place};
use super::reconciliation::{RowAnomaly, RowClass};
use super::scope::concerns;
use super::settled::SettledPast;
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
        if event.op != Op::Delete || event.key.is_none() || !self.lanes[lane].scope.rules.tombstones {
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
        let tells = |lane: &super::ledger::ConnectorLane<'_>| {
            *lane.scope.rules.form() == Form::Envelope && lane.scope.rules.tells_deletes()
        };
        let settled = self.expectation.settled.is_some_and(|settled: &SettledPast| !settled.is_empty());
        let strays = std::mem::take(&mut self.strays);
        if strays.is_empty() || settled || !self.lanes.iter().all(tells) {
            return;
        }
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
            let stray = seen.get(&place).is_some_and(|seen| seen.living && !seen.deleted);
            if stray
                && open.contains(&(&*read.topic, place.1, read.offset))
                && told.insert((place.clone(), read.offset))
            {
                self.stray(read, place.2);
            }
        }
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
