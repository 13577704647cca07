//! Updates that give a record another key. Where records have a key of the connector's own choice (`message.key.columns`), or a wider one
//! than their row, such an update is told as a delete under the old key and an insert under the new one. Whoever keeps the last record of
//! each key needs both.

use super::anomalies::{of_change, of_event};
use super::closing::TOO_LATE;
use super::content::Told;
use super::ledger::{ChangeFate, ChangeLedger, ConnectorLane, ExpectedChange};
use super::placing::is_routed;
use super::reconciliation::RowClass;
use super::scope::{ConnectorScope, Owed};
use crate::database::{RowChange, RowOp};
use crate::debezium::{Agreement, Form, Op, RowValues, Snapshot, compare, compare_cells};

/// What becomes of the key that a record had before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OldKey {
    /// It stays, or the change is no update.
    Kept,
    /// Whether there is another one cannot be told.
    Unknown,
    /// The same, and an insert under a new one came.
    Renewed,
    /// There is another one: the delete under the old one has to come.
    Waits,
    /// That delete came.
    Buried,
}

const HALF: &str = "an update of it came as an insert, and whether a delete under the key of before belongs to it cannot be told; give the \
                    table REPLICA IDENTITY FULL, and name the columns in message.key.columns as they are";
const LOST_HALF: &str = "its delete under the old key did not come";

impl ConnectorScope<'_> {
    /// What becomes of the key that a record had before a change, where it is one of the connector's own choice.
    pub(super) fn old_key(&self, change: &RowChange) -> OldKey {
        if change.op != RowOp::Update {
            return OldKey::Kept;
        }
        let table = self.table(&change.relation);
        // Without the old row nobody can tell the old key, and the connector sends an update.
        let (true, Some(before), Some(after)) = (table.own_key, &change.before, &change.after) else {
            return OldKey::Kept;
        };
        let Some(places) = table.key_places.as_ref().filter(|_| change.relation.full) else { return OldKey::Unknown };
        let mut told = OldKey::Kept;
        for place in places.iter().copied().filter(|place| before[*place] != after[*place]) {
            let column = &change.relation.columns[place];
            let agreement = compare_cells(column, &before[place], column, &after[place], &self.rules.modes);
            if agreement == Agreement::Different && !table.changes(place) && !self.rules.modes.guessed {
                // Of other forms, and without deletes, nobody has to tell of the old one.
                let tells = *self.rules.form() == Form::Envelope && self.rules.tells_deletes();
                return if tells { OldKey::Waits } else { OldKey::Unknown };
            }
            told = OldKey::Unknown;
        }
        told
    }

    /// How the key of a delete differs from the row before the change.
    fn not_the_old_key(&self, told: &Told<'_>, change: &RowChange) -> Option<String> {
        let (cells, key) = (change.before.as_ref().filter(|_| change.relation.full)?, told.key.as_ref()?);
        let table = self.table(&change.relation);
        let mut columns =
            change.relation.columns.iter().zip(cells).enumerate().filter(|(place, _)| !table.changes(*place));
        columns.find_map(|(_, (column, cell))| {
            let value = key.get(&column.name)?;
            let different = compare(column, cell, value, &self.rules.modes) == Agreement::Different;
            let database = cell.text().unwrap_or("NULL");
            different.then(|| format!("the record's key says {}={value}, the database had {database}", column.name))
        })
    }
}

/// Whether a key has columns beside those of the row's key that a change gave other values: older connectors take those that a primary key
/// only includes for columns of it.
fn is_wider(key: &RowValues, change: &RowChange) -> bool {
    let (true, Some(before), Some(after)) = (change.relation.full, &change.before, &change.after) else { return false };
    let columns = || change.relation.columns.iter().enumerate();
    let told = |name: &String| !is_routed(name) && key.contains_key(name);
    columns().filter(|(_, column)| column.key).all(|(_, column)| told(&column.name))
        && columns().any(|(place, column)| !column.key && told(&column.name) && before[place] != after[place])
}

impl ExpectedChange<'_> {
    /// It came as an insert under a new key, without the delete under the old one.
    pub(super) fn is_half(&self) -> bool {
        matches!(self.fate, ChangeFate::Once | ChangeFate::Repeated)
            && matches!(self.old_key, OldKey::Renewed | OldKey::Waits)
            && self.owed != Owed::Foreign
    }
}

impl ConnectorLane<'_> {
    /// What becomes of the old key of a change, as a record of it has its key.
    fn old_key(&self, index: usize, told: &Told<'_>) -> OldKey {
        let entry = &self.entries[index];
        let wider = || told.key.as_ref().is_some_and(|key| is_wider(key, entry.told()));
        match entry.old_key {
            OldKey::Kept if entry.told().op == RowOp::Update && wider() => OldKey::Unknown,
            known => known,
        }
    }

    fn has_own_key(&self, index: usize) -> bool {
        self.scope.table(&self.entries[index].change.relation).own_key
    }

    /// The delete that is one change with this insert: an update of the table's key.
    fn other_half(&self, index: usize) -> Option<usize> {
        let change = self.entries[index].change;
        let before = index.checked_sub(1).filter(|_| change.op == RowOp::Insert)?;
        let other = self.entries[before].change;
        (other.lsn == change.lsn && other.op == RowOp::Delete).then_some(before)
    }

    /// Whether a record tells a change as something that it is not.
    pub(super) fn mistells(&self, index: usize, told: &Told<'_>) -> bool {
        let op = self.entries[index].told().op;
        match told.op {
            _ if told.has_op(op) => false,
            Some(Op::Create) if op == RowOp::Update => self.old_key(index, told) == OldKey::Kept,
            Some(Op::Update) if op == RowOp::Insert => !self.has_own_key(index) || self.other_half(index).is_none(),
            _ => true,
        }
    }

    /// An update of the table's key that leaves the record's key alone is told as an update, and not as the delete and the insert that it is.
    pub(super) fn told_as_one(&mut self, index: usize) {
        if !self.has_own_key(index) {
            return;
        }
        if let Some(old) = self.other_half(index).filter(|old| self.entries[*old].fate == ChangeFate::Nothing) {
            self.entries[old].fate = ChangeFate::Covered;
        }
    }

    /// An insert under a new key came.
    pub(super) fn renews(&mut self, index: usize, told: &Told<'_>) {
        let tells = *self.scope.rules.form() == Form::Envelope && self.scope.rules.tells_deletes();
        let unknown = || self.old_key(index, told) == OldKey::Unknown;
        if told.op == Some(Op::Create) && self.entries[index].told().op == RowOp::Update && tells && unknown() {
            self.entries[index].old_key = OldKey::Renewed;
        }
    }
}

impl ChangeLedger<'_> {
    /// A delete at the place of a change that is none; false where it is to be judged as any other record of it.
    pub(super) fn delete_of_old_key(&mut self, lane: usize, index: usize, told: &Told<'_>, snapshot: Snapshot) -> bool {
        let lane_ref = &mut self.lanes[lane];
        let known = lane_ref.old_key(index, told);
        if known == OldKey::Kept {
            let own_key = lane_ref.has_own_key(index);
            if own_key {
                // The record under its key stays.
                self.homeless(told, snapshot);
            }
            return own_key;
        }
        let change = lane_ref.entries[index].change;
        if let Some(difference) = lane_ref.scope.not_the_old_key(told, change) {
            self.result.sheet.corrupted += 1;
            self.note(RowClass::WrongContent, || of_event(change, told, RowClass::WrongContent, &difference));
            return true;
        }
        lane_ref.entries[index].old_key = OldKey::Buried;
        self.result.sheet.beside += 1;
        true
    }

    /// An update of which only the insert under the new key came.
    pub(super) fn half(&mut self, entry: &ExpectedChange<'_>, passed: bool) -> Option<RowClass> {
        let table = &entry.change.relation.name;
        let late = self.expectation.late_us.is_some_and(|since_us| entry.transaction.committed_us < since_us);
        // The record is no longer the first of a change.
        self.result.sheet.owed -= 1;
        if late || entry.owed != Owed::Yes || entry.old_key == OldKey::Renewed {
            self.result.gap(Some(table), if late { TOO_LATE } else { HALF }, 1, 1);
            return None;
        }
        self.result.sheet.beside += 1;
        let class = if passed { RowClass::Lost } else { RowClass::Unread };
        self.missing(class, entry.change.op, || {
            let mut anomaly = of_change(entry, class);
            anomaly.detail = LOST_HALF.to_owned();
            anomaly
        });
        Some(class)
    }
}
