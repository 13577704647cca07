//! Tombstones of rows that were not deleted: compaction removes what they name.

use super::anomalies::{at_record, raw_key};
use super::ledger::{ChangeLedger, Place};
use super::reconciliation::RowClass;
use super::scope::concerns;
use super::settled::SettledPast;
use crate::debezium::{Form, Op, ReadEvent, ReadKind};
use std::collections::{HashMap, HashSet};

/// What came before a tombstone of its row.
#[derive(Clone, Copy, Default)]
struct RowSeen {
    living: bool,
    /// A copy of that delete's tombstone may come at any later time.
    deleted: bool,
}

impl ChangeLedger<'_> {
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
        let mut told = HashSet::new();
        for read in events {
            let (key, deleted) = match &read.kind {
                ReadKind::Tombstone { key } => (key, None),
                ReadKind::Change(event)
                    if self.lanes.iter().any(|lane| concerns(lane.scope.rules, &event.source.origin.name)) =>
                {
                    (&event.key, Some(event.op == Op::Delete))
                }
                _ => continue,
            };
            let place = (read.topic.clone(), read.partition, raw_key(key.as_ref()));
            if key.is_none() || !rows.contains(&place) {
                continue;
            }
            match deleted {
                Some(true) => seen.entry(place).or_default().deleted = true,
                Some(false) => seen.entry(place).or_default().living = true,
                None => {
                    let stray = seen.get(&place).is_some_and(|seen| seen.living && !seen.deleted);
                    let at = (&*read.topic, read.partition, read.offset);
                    if stray && open.contains(&at) && told.insert(at) {
                        self.stray(read, place.2);
                    }
                }
            }
        }
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
