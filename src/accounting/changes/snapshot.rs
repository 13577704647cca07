//! What a snapshot stands for.
//!
//! A snapshot reads each row once, in the state it has then. Such an event covers every earlier change of the row; a row that is
//! missing from it because it had been deleted covers its changes as well, unless it had been sent before: a connector
//! that starts over with a new snapshot (its offsets were not committed) never sends the deletes in between.

use super::anomalies::at_record;
use super::ledger::{ChangeFate, ConnectorLane, ExpectedChange};
use super::reconciliation::{Reconciliation, RowClass};
use super::scope::{ConnectorScope, Expectation, Owed};
use crate::database::{Lsn, Relation, RowChange, RowOp, TableName};
use crate::debezium::{ChangeEvent, ReadEvent, RowImage, RowValues, Snapshot, compare_rows};
use std::collections::{BTreeMap, HashMap, HashSet};

struct SnapshotRow<'e> {
    lsn: Lsn,
    incremental: bool,
    row: Option<&'e RowImage>,
    read: &'e ReadEvent,
}

/// The rows that snapshots read.
#[derive(Default)]
pub(super) struct SnapshotRows<'e> {
    rows: HashMap<&'e TableName, Vec<SnapshotRow<'e>>>,
    /// The last initial snapshot of each table.
    positions: HashMap<&'e TableName, Lsn>,
    last: Option<Lsn>,
}

/// A table's part of a lane.
#[derive(Default)]
struct Table<'a> {
    relation: Option<&'a Relation>,
    /// The changes of each row, by its key in one form.
    histories: BTreeMap<String, Vec<usize>>,
    /// Changes of rows without key, by the row's content in one form.
    contents: BTreeMap<String, Vec<usize>>,
    /// The place of each truncation, with the partition or the table that it emptied.
    truncations: Vec<(usize, &'a TableName)>,
    /// Its rows cannot be told apart.
    blurred: bool,
}

impl<'e> SnapshotRows<'e> {
    pub(super) fn add(&mut self, read: &'e ReadEvent, event: &'e ChangeEvent) {
        let lsn = event.source.lsn.unwrap_or_default();
        let table = event.source.table();
        let incremental = event.source.snapshot == Snapshot::Incremental;
        if !incremental {
            let position = self.positions.entry(table).or_insert(lsn);
            *position = (*position).max(lsn);
            self.last = self.last.max(Some(lsn));
        }
        self.rows.entry(table).or_default().push(SnapshotRow { lsn, incremental, row: event.after.as_ref(), read });
    }

    /// Settles the changes that snapshots stand for, and holds the rows read against the account.
    pub(super) fn settle(
        self,
        lane: &mut ConnectorLane<'_>,
        result: &mut Reconciliation,
        expectation: &Expectation<'_>,
    ) {
        if self.rows.is_empty() {
            return;
        }
        lane.snapshot = self.last;
        let settled = expectation.settled.is_some_and(|settled| !settled.is_empty());
        let amid = self.last.is_some_and(|last| settled || lane.has_streamed(last));
        let (mut covered, mut doubtful, mut unread) = (HashSet::new(), HashSet::new(), HashSet::new());
        let tables = tables(lane);
        for (name, mut table) in tables {
            let none = Vec::new();
            let shown = self.rows.get(name).unwrap_or(&none);
            let keyed = table.relation.is_some_and(Relation::has_key);
            let mut seen = HashSet::new();
            for row in shown {
                let Some(relation) = table.relation else { continue };
                let Some(image) = row.row.map(RowImage::row) else { continue };
                let Some(key) = canonical(lane, &table, relation, &image, !keyed) else {
                    table.blurred = true;
                    continue;
                };
                if keyed {
                    let later = table.show(lane, row, &image, &key, &mut covered, result, expectation.samples);
                    doubtful.extend(later);
                } else {
                    table.show_content(lane, &key, &mut covered);
                }
                seen.insert(key);
            }
            match (self.positions.get(name).copied(), self.last) {
                (Some(position), _) => table.gone(lane, &seen, position, &mut covered),
                // A table of which the snapshot has no row was empty.
                (None, Some(last)) if !amid => table.gone(lane, &seen, last, &mut covered),
                // Or it was none of those that were read then.
                (None, Some(last)) => {
                    let mut gone = covered.clone();
                    table.gone(lane, &seen, last, &mut gone);
                    unread.extend(gone.difference(&covered).copied());
                }
                (None, None) => {}
            }
            if table.blurred {
                table.give_up(lane, name);
            }
        }
        doubtful.into_iter().for_each(|index| lane.doubt(index, AGAIN));
        unread.into_iter().for_each(|index| lane.doubt(index, AMID));
        covered.into_iter().for_each(|index| lane.cover(index));
    }
}

impl ConnectorLane<'_> {
    /// Whether its connector streamed before that position.
    fn has_streamed(&self, position: Lsn) -> bool {
        let first = self.first_streamed.map(|first| self.entries[first].transaction.commit_lsn);
        first.into_iter().chain(self.streaming_from).any(|streamed| streamed < position)
    }

    /// Whether a snapshot stands for the change cannot be told.
    fn doubt(&mut self, index: usize, reason: &str) {
        let entry = &mut self.entries[index];
        if entry.owed == Owed::Yes && entry.fate == ChangeFate::Nothing {
            entry.owed = Owed::Perhaps(reason.into());
        }
    }
}

const AMID: &str =
    "a snapshot was taken while the connector streamed, and whether it read this table too cannot be told";
const AGAIN: &str = "an incremental snapshot shows its row as it was before and again after, so whether the change came with it cannot be \
                     told";

/// The key of a snapshot's row by the columns of the table as it is now; where columns were renamed since, as it was.
fn canonical(
    lane: &ConnectorLane<'_>,
    table: &Table<'_>,
    relation: &Relation,
    row: &RowValues,
    whole: bool,
) -> Option<String> {
    lane.scope.canonical_row(relation, row, whole).or_else(|| {
        let mut tried = HashSet::new();
        let all = table.histories.values().chain(table.contents.values()).flatten();
        all.filter_map(|index| {
            let relation = &lane.entries[*index].change.relation;
            tried.insert(std::sync::Arc::as_ptr(relation)).then_some(relation)
        })
        .find_map(|relation| lane.scope.canonical_row(relation, row, whole))
    })
}

/// In the order of their names: the same account and the same events always give the same samples.
fn tables<'a>(lane: &ConnectorLane<'a>) -> BTreeMap<&'a TableName, Table<'a>> {
    let mut tables: BTreeMap<&TableName, Table<'_>> = BTreeMap::new();
    for (index, entry) in lane.entries.iter().enumerate() {
        let change = entry.change;
        let table = tables.entry(lane.scope.name_of(&change.relation)).or_default();
        if change.op == RowOp::Truncate {
            continue;
        }
        table.relation = Some(&*change.relation);
        let cells = change.after.as_ref().or(change.before.as_ref());
        let keyed = change.relation.has_key();
        match cells.and_then(|cells| lane.scope.canonical_cells(&change.relation, cells, !keyed)) {
            Some(key) if keyed => table.histories.entry(key).or_default().push(index),
            Some(content) => table.contents.entry(content).or_default().push(index),
            None => table.blurred = true,
        }
    }
    for (index, name) in lane.emptied() {
        let root = lane.scope.name_of(&lane.entries[index].change.relation);
        tables.entry(root).or_default().truncations.push((index, name));
    }
    tables
}

impl Table<'_> {
    #[expect(clippy::too_many_arguments, reason = "a row, its place and where the findings go")]
    fn show(
        &self,
        lane: &ConnectorLane<'_>,
        row: &SnapshotRow<'_>,
        image: &RowValues,
        key: &str,
        covered: &mut HashSet<usize>,
        result: &mut Reconciliation,
        samples: usize,
    ) -> Vec<usize> {
        let Some(history) = self.histories.get(key) else { return Vec::new() };
        match state_shown(&lane.scope, &lane.entries, history, row, image) {
            Shown::After(place, last) => {
                covered.extend(&history[..=place]);
                if let Some(later) = taken_back(lane, history, place, row, image) {
                    result.note(samples, RowClass::OutOfOrder, || {
                        let detail = format!(
                            "a snapshot shows the row as it was before the change at {}, which had arrived before",
                            later.lsn
                        );
                        let mut anomaly = at_record(row.read, RowClass::OutOfOrder, detail);
                        anomaly.table = later.relation.name.clone();
                        anomaly.key.clone_from(&later.key);
                        anomaly.lsn = Some(row.lsn);
                        anomaly
                    });
                }
                return history[place + 1..=last.max(place)].to_vec();
            }
            Shown::Before => {}
            Shown::Never(difference) => {
                result.sheet.snapshot_rows -= 1;
                result.sheet.corrupted += 1;
                let change = lane.entries[history[0]].change;
                let mut anomaly = at_record(row.read, RowClass::WrongContent, difference);
                anomaly.table = change.relation.name.clone();
                anomaly.key.clone_from(&change.key);
                anomaly.lsn = Some(row.lsn);
                result.note(samples, RowClass::WrongContent, || anomaly);
            }
        }
        Vec::new()
    }

    /// A row without key stands for one change that left a row of that content, and for those that led to it.
    fn show_content(&self, lane: &ConnectorLane<'_>, content: &str, covered: &mut HashSet<usize>) {
        let all = self.contents.get(content).into_iter().flatten();
        let open = |index: &&usize| {
            let entry = &lane.entries[**index];
            entry.change.op != RowOp::Delete && entry.fate == ChangeFate::Nothing && !covered.contains(*index)
        };
        if let Some(index) = all.copied().find(|index| open(&index)) {
            self.chain(lane, index, covered);
        }
    }

    fn chain(&self, lane: &ConnectorLane<'_>, mut index: usize, covered: &mut HashSet<usize>) {
        loop {
            covered.insert(index);
            let change = lane.entries[index].change;
            let Some(before) = change.before.as_ref().filter(|_| change.relation.full) else { return };
            let Some(content) = lane.scope.canonical_cells(&change.relation, before, true) else { return };
            let earlier = self.contents.get(&content).into_iter().flatten().rev().find(|earlier| {
                let entry = &lane.entries[**earlier];
                **earlier < index
                    && entry.change.op != RowOp::Delete
                    && entry.fate == ChangeFate::Nothing
                    && !covered.contains(*earlier)
            });
            let Some(earlier) = earlier else { return };
            index = *earlier;
        }
    }

    /// Rows that were gone before the snapshot.
    fn gone(&self, lane: &ConnectorLane<'_>, seen: &HashSet<String>, position: Lsn, covered: &mut HashSet<usize>) {
        if self.relation.is_some_and(Relation::has_key) {
            self.absent(lane, seen, position, covered);
        } else {
            self.ended(lane, position, covered);
        }
    }

    /// Rows without key that were gone before the snapshot.
    fn ended(&self, lane: &ConnectorLane<'_>, position: Lsn, covered: &mut HashSet<usize>) {
        let mut deletes: Vec<usize> = self.contents.values().flatten().copied().collect();
        deletes.retain(|index| {
            let entry = &lane.entries[*index];
            let gone = || entry.change.op == RowOp::Delete || lane.is_emptied(&self.truncations, *index, position);
            entry.fate == ChangeFate::Nothing && entry.transaction.commit_lsn < position && gone()
        });
        deletes.sort_unstable();
        for index in deletes {
            self.chain(lane, index, covered);
        }
    }

    /// Rows with a key that a snapshot did not find because they had been deleted.
    fn absent(&self, lane: &ConnectorLane<'_>, seen: &HashSet<String>, position: Lsn, covered: &mut HashSet<usize>) {
        for (_, history) in self.histories.iter().filter(|(key, _)| !seen.contains(*key)) {
            let before = history.partition_point(|index| lane.entries[*index].transaction.commit_lsn < position);
            let Some(last) = history[..before].last() else { continue };
            if lane.is_emptied(&self.truncations, *last, position) {
                covered.extend(&history[..before]);
            } else if lane.entries[*last].change.op == RowOp::Delete {
                // Whoever had been shown the row keeps it forever unless told of its end: that delete is not covered.
                let shown = history[..before].iter().rev().find(|index| lane.entries[**index].has_arrived());
                let kept = shown.is_some_and(|index| lane.entries[*index].change.op != RowOp::Delete);
                covered.extend(&history[..before - usize::from(kept)]);
            }
        }
    }

    /// Nothing can be said of rows that cannot be told apart: what has not arrived may have been in the snapshot.
    fn give_up(&self, lane: &mut ConnectorLane<'_>, name: &TableName) {
        let reason = format!("a snapshot read {name}, whose rows cannot be told apart by the values in its events");
        let reason: std::sync::Arc<str> = reason.into();
        let name = name.clone();
        let indexes: Vec<usize> = (0..lane.entries.len())
            .filter(|index| *lane.scope.name_of(&lane.entries[*index].change.relation) == name)
            .collect();
        for index in indexes {
            let entry = &mut lane.entries[index];
            if entry.owed == Owed::Yes {
                entry.owed = Owed::Perhaps(reason.clone());
            }
        }
    }
}

/// A later change of the row that had arrived before in the same partition, where a snapshot shows the row as it was before that change:
/// whoever keeps the last record of each row goes back.
fn taken_back<'c>(
    lane: &ConnectorLane<'c>,
    history: &[usize],
    place: usize,
    row: &SnapshotRow<'_>,
    shown: &RowValues,
) -> Option<&'c RowChange> {
    let (number, _) = lane.furthest.get(&(std::sync::Arc::clone(&row.read.topic), row.read.partition))?;
    let earlier = |index: &usize| {
        lane.entries[*index].first.is_some_and(|(of, offset)| of == *number && offset < row.read.offset)
    };
    let latest = place + 1 + history[place + 1..].iter().rposition(earlier)?;
    // A change since then may have left the row so again.
    let again = history[latest..].iter().any(|index| fits(&lane.scope, &lane.entries[*index], shown) == Some(Ok(())));
    (!again).then_some(lane.entries[history[latest]].change)
}

/// Whether a row is shown as a change left it, else the first difference in words; `None` where it left none.
fn fits(scope: &ConnectorScope<'_>, entry: &ExpectedChange<'_>, shown: &RowValues) -> Option<Result<(), String>> {
    let change = entry.change;
    let table = scope.table(&change.relation);
    let changed = |place: usize| table.changes(place);
    let compare = |cells| compare_rows(&change.relation, cells, shown, &scope.rules.modes, false, &changed);
    change.after.as_ref().map(|cells| compare(cells).map(drop))
}

enum Shown {
    /// The row as this change of its history left it; beside it the last one that left it so, where the position says nothing certain.
    After(usize, usize),
    /// The row as it was before the account began.
    Before,
    /// No state that the row ever had.
    Never(String),
}

/// Which state of its row does a snapshot show? The last one committed before the snapshot; where its position is no sharp border
/// (a slot older than the snapshot, an incremental snapshot) the first one after it that fits. The position of an incremental snapshot's
/// row is that of the last change that the connector had processed then.
fn state_shown(
    scope: &ConnectorScope<'_>,
    entries: &[ExpectedChange<'_>],
    history: &[usize],
    row: &SnapshotRow<'_>,
    shown: &RowValues,
) -> Shown {
    let border = if row.incremental && row.lsn == Lsn::default() {
        history.len()
    } else {
        history.partition_point(|index| entries[*index].transaction.commit_lsn < row.lsn)
    };
    let fits = |place: usize| fits(scope, &entries[history[place]], shown);
    let mut difference = None;
    for place in (0..border).rev().chain(border..history.len()) {
        match fits(place) {
            Some(Ok(_)) => {
                let again = |place: &usize| matches!(fits(*place), Some(Ok(_)));
                let last = if row.incremental { (place + 1..history.len()).rfind(again) } else { None };
                return Shown::After(place, last.unwrap_or(place));
            }
            Some(Err(words)) => difference = difference.or(Some(words)),
            None => {}
        }
    }
    if border == 0 {
        return Shown::Before;
    }
    Shown::Never(difference.unwrap_or_else(|| "the snapshot shows a row that had been deleted".to_owned()))
}
