//! Finds the change that an event is about, and puts both into their columns.

use super::anomalies::{about, of_event};
use super::content::{CERTAIN, Fit, Told};
use super::ledger::{ChangeFate, ChangeLedger, ConnectorLane, ExpectedChange};
use super::reconciliation::{Replay, RowClass};
use super::scope::Owed;
use crate::database::{Lsn, RowOp, TableName};
use crate::debezium::{BARE_KEY, Op, ReadEvent, RowValues, Snapshot};
use std::sync::Arc;

const REKEYED: &str = "its rows have no primary key, and its records a key of the connector's own choice: an update of that comes as a \
                       delete and an insert; give it a primary key";
const IN_NO_PARTITION: &str = "a truncation of it came where the log has none of any partition of it, and which partitions it had then is not \
                               known";
/// What Debezium's router adds to keys begins so.
const ROUTED: &str = "__dbz__";

/// Whether Debezium's router has added that part of a key.
pub(super) fn is_routed(column: &str) -> bool {
    column.starts_with(ROUTED)
}

impl ChangeLedger<'_> {
    /// The change that an event is about, and how well it fits.
    fn find(&self, lane: usize, told: &Told<'_>) -> Option<(usize, Fit)> {
        let lane = &self.lanes[lane];
        let (first, count) = *lane.by_lsn.get(&told.lsn?)?;
        // Rows of one log record arrive in its order, so the search begins behind the last one found.
        let start = if (first..first + count).contains(&lane.next) { lane.next - first } else { 0 };
        let mut best: Option<(Fit, bool, usize)> = None;
        for index in (0..count).map(|offset| first + (start + offset) % count) {
            let entry = &lane.entries[index];
            if !told.is_about(&entry.change.relation) {
                continue;
            }
            let Some(fit) = lane.scope.fit(told, entry.told()) else { continue };
            let open = !entry.has_arrived();
            if best.is_none_or(|(known, was_open, _)| (fit, open) > (known, was_open)) {
                best = Some((fit, open, index));
                if fit == (Fit { identity: CERTAIN, op: true }) && open {
                    break;
                }
            }
        }
        best.map(|(fit, _, index)| (index, fit))
    }

    pub(super) fn streamed(&mut self, lane: usize, told: &Told<'_>, snapshot: Snapshot) {
        let found = self.find(lane, told);
        if found.is_none_or(|(_, fit)| !fit.op)
            && let Some((table, reason)) = self.lanes[lane].as_filtered(told)
        {
            self.result.gap(Some(&table), &reason, 0, 1);
            return;
        }
        let Some((index, fit)) = found else {
            match self.lanes[lane].as_rekeyed(told) {
                Some((_, true)) => self.foreign(),
                Some((table, false)) => self.result.gap(Some(&table), REKEYED, 0, 1),
                None => self.homeless(told, snapshot),
            }
            return;
        };
        if told.op == Some(Op::Delete) && !fit.op && self.delete_of_old_key(lane, index, told, snapshot) {
            return;
        }
        let lane_ref = &mut self.lanes[lane];
        lane_ref.next = index + 1;
        lane_ref.reaches(index, told.read);
        lane_ref.streams(index);
        lane_ref.has_placed(index);
        if told.op == Some(Op::Update) && !fit.op {
            lane_ref.told_as_one(index);
        }
        if lane_ref.entries[index].owed == Owed::Foreign {
            lane_ref.entries[index].fate = ChangeFate::Once;
            lane_ref.in_order(index, told);
            self.foreign();
            return;
        }
        self.arrived(lane, index, told);
    }

    /// An event that is a change's.
    pub(super) fn arrived(&mut self, lane: usize, index: usize, told: &Told<'_>) {
        let lane_ref = &mut self.lanes[lane];
        let entry = &mut lane_ref.entries[index];
        entry.order = entry.order.or_else(|| told.transaction?.total_order);
        let (published, transaction) = (entry.published.clone(), entry.transaction);
        let change = published.as_deref().unwrap_or(entry.change);
        let table = lane_ref.scope.table(&change.relation);
        let result = &mut self.result;
        let mut skip = |column: &str, reason: &str| result.skip_value(&table.name, column, reason);
        let content = if lane_ref.mistells(index, told) {
            Err(format!("the database has a {:?} here", change.op).to_lowercase())
        } else {
            lane_ref.scope.content(told, transaction, change, &mut skip)
        };
        match content {
            Ok(compared) => {
                self.result.values_compared += u64::from(compared);
                self.arrived_well(lane, index, told);
            }
            Err(difference) => {
                if lane_ref.entries[index].fate == ChangeFate::Nothing {
                    lane_ref.entries[index].fate = ChangeFate::Damaged;
                    lane_ref.in_order(index, told);
                }
                self.result.sheet.corrupted += 1;
                self.note(RowClass::WrongContent, || of_event(change, told, RowClass::WrongContent, &difference));
            }
        }
    }

    /// An event that is a change's and says what the database says.
    pub(super) fn arrived_well(&mut self, lane: usize, index: usize, told: &Told<'_>) {
        let lane_ref = &mut self.lanes[lane];
        let entry = &mut lane_ref.entries[index];
        let change = entry.change;
        if matches!(entry.fate, ChangeFate::Once | ChangeFate::Repeated) {
            entry.fate = ChangeFate::Repeated;
            self.result.sheet.copies += 1;
            self.note(RowClass::Duplicated, || of_event(change, told, RowClass::Duplicated, ""));
            self.replayed(told.read, change.lsn);
            return;
        }
        entry.fate = ChangeFate::Once;
        lane_ref.renews(index, told);
        let later = lane_ref.in_order(index, told).map(|later| lane_ref.entries[later].change.lsn);
        self.replaying.remove(&(told.read.topic.clone(), told.read.partition));
        self.result.sheet.owed += 1;
        if let Some(later) = later {
            let detail = format!("a later change of the row, at {later}, had arrived before");
            self.note(RowClass::OutOfOrder, || of_event(change, told, RowClass::OutOfOrder, &detail));
        }
    }

    /// An event without a change.
    pub(super) fn homeless(&mut self, told: &Told<'_>, snapshot: Snapshot) {
        let (from, to) = self.expectation.window;
        let lsn = told.lsn.unwrap_or_default();
        if snapshot != Snapshot::No || lsn < from || lsn >= to {
            self.foreign();
            return;
        }
        if let Some(table) = told.table {
            let blind = self.expectation.blind;
            let late = blind.changes_before.get(table).is_some_and(|before| lsn < *before);
            let unwatched = told.op == Some(Op::Truncate) && blind.early.contains_key(table);
            if unwatched || (late && matches!(told.op, Some(Op::Update | Op::Delete | Op::Truncate))) {
                let reason =
                    "its rows were changed in the moment in which it was created; create it in a step of its own";
                self.result.gap(Some(table), reason, 0, 1);
                return;
            }
            let settled = self.expectation.settled.is_some_and(|settled| settled.has_table(table));
            let known = settled || self.tables.contains(table) || self.ancestor_is_known(table);
            if !known && !self.tables.is_empty() && told.op != Some(Op::Truncate) {
                self.result.gap(Some(table), "the account of the database has no changes of it", 0, 1);
                return;
            }
            if !known {
                self.foreign();
                return;
            }
            if told.op == Some(Op::Truncate) && !settled && !self.tables.contains(table) {
                // The log tells truncations of partitions, and of a table without any it tells none.
                self.result.gap(Some(table), IN_NO_PARTITION, 0, 1);
                return;
            }
        }
        self.result.sheet.phantom += 1;
        self.note(RowClass::Phantom, || about(told, RowClass::Phantom, "the database committed no such change"));
    }

    fn ancestor_is_known(&self, table: &TableName) -> bool {
        let transactions = self.expectation.transactions.iter();
        transactions
            .flat_map(|transaction| &transaction.changes)
            .any(|change| change.relation.ancestors.contains(table))
    }

    pub(super) fn replayed(&mut self, read: &ReadEvent, lsn: Lsn) {
        let replays = &mut self.result.replays;
        let index = *self.replaying.entry((read.topic.clone(), read.partition)).or_insert_with(|| {
            replays.push(Replay {
                topic: read.topic.to_string(),
                partition: read.partition,
                first_offset: read.offset,
                events: 0,
                from: lsn,
                to: lsn,
            });
            replays.len() - 1
        });
        let replay = &mut replays[index];
        replay.events += 1;
        replay.from = replay.from.min(lsn);
        replay.to = replay.to.max(lsn);
    }
}

impl ConnectorLane<'_> {
    /// An insert or a delete as which a row filter that is not understood may publish an update: the table, and the filter in words.
    fn as_filtered(&self, told: &Told<'_>) -> Option<(TableName, Arc<str>)> {
        let (first, count) = *self.by_lsn.get(&told.lsn?)?;
        let possible = matches!(told.op, Some(Op::Create | Op::Delete));
        let mut updates = self.entries[first..first + count]
            .iter()
            .filter(|entry| possible && entry.change.op == RowOp::Update && matches!(entry.owed, Owed::Perhaps(_)));
        updates.find_map(|entry| {
            let table = self.scope.table(&entry.change.relation);
            let (_, reason) = table.published.as_ref().filter(|_| told.is_about(&entry.change.relation))?;
            Some((entry.change.relation.name.clone(), Arc::clone(reason)))
        })
    }

    /// An insert or a delete as which a connector tells an update of a row without key, because the row has a key for it, such as one of
    /// several unique indexes: the table, and whether it is another's. That update may not come as one.
    fn as_rekeyed(&mut self, told: &Told<'_>) -> Option<(TableName, bool)> {
        let (first, count) = *self.by_lsn.get(&told.lsn?)?;
        if told.key.is_none() || !matches!(told.op, Some(Op::Create | Op::Delete)) {
            return None;
        }
        let is_one = |entry: &&mut ExpectedChange<'_>| {
            let (change, relation) = (entry.change, &entry.change.relation);
            change.op == RowOp::Update && relation.full && !relation.has_key() && told.is_about(relation)
        };
        let entry = self.entries[first..first + count].iter_mut().find(is_one)?;
        if entry.owed == Owed::Yes {
            entry.owed = Owed::Perhaps(REKEYED.into());
        }
        Some((entry.change.relation.name.clone(), entry.owed == Owed::Foreign))
    }

    /// The change came as an event of its own.
    pub(super) fn streams(&mut self, index: usize) {
        self.first_streamed = Some(self.first_streamed.map_or(index, |first| first.min(index)));
    }

    /// The connector has come to this change, which it wrote there.
    pub(super) fn reaches(&mut self, index: usize, read: &ReadEvent) {
        self.last_streamed = self.last_streamed.max(Some(index));
        let number = self.furthest.len();
        let place = (Arc::clone(&read.topic), read.partition);
        let (number, furthest) = self.furthest.entry(place).or_insert((number, index));
        *furthest = (*furthest).max(index);
        self.entries[index].first.get_or_insert((*number, read.offset));
    }

    /// A snapshot's row stands for the change.
    pub(super) fn cover(&mut self, index: usize) {
        let entry = &mut self.entries[index];
        if entry.fate == ChangeFate::Nothing {
            entry.fate = ChangeFate::Covered;
        }
    }

    /// Notes the arrival of a change; the later change of the row that was faster, if one was. Where the record has another key than the
    /// row, the row's changes are in several partitions, which keep no order.
    fn in_order(&mut self, index: usize, told: &Told<'_>) -> Option<usize> {
        let change = self.entries[index].change;
        let scope = &self.scope;
        let same = |key: &RowValues| {
            if key.contains_key(BARE_KEY) {
                return !scope.table(&change.relation).own_key;
            }
            let own = key.keys().filter(|column| !is_routed(column));
            let mut columns = change.relation.columns.iter().filter(|column| column.key);
            own.count() == columns.clone().count() && columns.all(|column| key.contains_key(&column.name))
        };
        if !change.relation.has_key() || !told.key.as_ref().is_none_or(same) {
            return None;
        }
        // Records that may be in any partition have an order within each.
        let place = scope.rules.scatters().map(|_| (Arc::clone(&told.read.topic), told.read.partition));
        let number = place.and_then(|place| Some(self.furthest.get(&place)?.0));
        let latest = self.latest.entry((&change.relation.name, &change.key, number)).or_insert(index);
        if *latest > index {
            return Some(*latest);
        }
        *latest = index;
        None
    }
}
