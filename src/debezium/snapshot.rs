//! What a snapshot stands for.
//!
//! A snapshot reads each row once, in the state it has then. Such an event covers every earlier change of the row; a row that is
//! missing from it because it had been deleted covers its changes as well, unless it had been sent before: a connector
//! that starts over with a new snapshot (its offsets were not committed) never sends the deletes in between.

use super::decode::ReadEvent;
use super::envelope::{ChangeEvent, RowImage, Snapshot};
use super::reconcile::{Entry, at_record};
use super::reconciliation::{Reconciliation, RowClass};
use super::value::compare_rows;
use crate::database::{Lsn, RowOp, TableName};
use std::collections::HashMap;

struct SnapshotRow<'e> {
    lsn: Lsn,
    incremental: bool,
    row: Option<&'e RowImage>,
    read: &'e ReadEvent,
}

/// The rows that snapshots read.
#[derive(Default)]
pub(super) struct SnapshotRows<'e> {
    rows: HashMap<&'e TableName, HashMap<String, Vec<SnapshotRow<'e>>>>,
    /// The last initial snapshot of each table.
    positions: HashMap<&'e TableName, Lsn>,
    last: Option<Lsn>,
}

impl<'e> SnapshotRows<'e> {
    pub(super) fn add(&mut self, read: &'e ReadEvent, event: &'e ChangeEvent, key: String) {
        let lsn = event.source.lsn.unwrap_or_default();
        let table = event.source.table();
        let incremental = event.source.snapshot == Snapshot::Incremental;
        if !incremental {
            let position = self.positions.entry(table).or_insert(lsn);
            *position = (*position).max(lsn);
            self.last = self.last.max(Some(lsn));
        }
        let row = SnapshotRow { lsn, incremental, row: event.after.as_ref(), read };
        self.rows.entry(table).or_default().entry(key).or_default().push(row);
    }

    /// Settles the changes that snapshots stand for, and holds the rows read against the account.
    pub(super) fn settle(self, entries: &mut [Entry<'_>], result: &mut Reconciliation, samples: usize) {
        if self.rows.is_empty() {
            return;
        }
        let mut histories: HashMap<(&TableName, &str), Vec<usize>> = HashMap::new();
        let mut truncated: HashMap<&TableName, Vec<usize>> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let table = &entry.change.relation.name;
            match entry.change.op {
                RowOp::Truncate => truncated.entry(table).or_default().push(index),
                _ => histories.entry((table, &entry.change.key)).or_default().push(index),
            }
        }
        let mut covered: Vec<usize> = Vec::new();
        for ((table, key), history) in &histories {
            match self.rows.get(*table).and_then(|rows| rows.get(*key)) {
                Some(rows) => {
                    for row in rows {
                        match state_shown(entries, history, row) {
                            Shown::After(place) => covered.extend(&history[..=place]),
                            Shown::Before => {}
                            Shown::Never(difference) => {
                                let table = (*table).clone();
                                let mut anomaly = at_record(row.read, RowClass::WrongContent, table, difference);
                                anomaly.key = (*key).to_owned();
                                anomaly.lsn = Some(row.lsn);
                                result.note(samples, RowClass::WrongContent, || anomaly);
                            }
                        }
                    }
                }
                None => {
                    let Some(position) = self.positions.get(*table).copied().or(self.last) else { continue };
                    let before = history.partition_point(|index| entries[*index].transaction.commit_lsn < position);
                    let Some(last) = history[..before].last() else { continue };
                    let emptied = truncated.get(*table).is_some_and(|all| {
                        all.iter().any(|index| index > last && entries[*index].transaction.commit_lsn < position)
                    });
                    if emptied {
                        covered.extend(&history[..before]);
                    } else if entries[*last].change.op == RowOp::Delete {
                        // Whoever had been shown the row keeps it for ever unless told of its end: that delete is not covered.
                        let shown = history[..before].iter().rev().find(|index| entries[**index].settled);
                        let kept = shown.is_some_and(|index| entries[*index].change.op != RowOp::Delete);
                        covered.extend(&history[..before - usize::from(kept)]);
                    }
                }
            }
        }
        for index in covered {
            let entry = &mut entries[index];
            if entry.wanted && !entry.settled {
                entry.settled = true;
                result.covered_by_snapshot += 1;
            }
        }
    }
}

enum Shown {
    /// The row as this change of its history left it.
    After(usize),
    /// The row as it was before the account began.
    Before,
    /// No state that the row ever had.
    Never(String),
}

/// Which state of its row does a snapshot show? The last one committed before the snapshot; where its position is no sharp border
/// (a slot older than the snapshot, an incremental snapshot) the first one after it that fits.
fn state_shown(entries: &[Entry<'_>], history: &[usize], row: &SnapshotRow<'_>) -> Shown {
    let border = if row.incremental {
        history.len()
    } else {
        history.partition_point(|index| entries[*index].transaction.commit_lsn < row.lsn)
    };
    let shown = row.row.map(RowImage::row).unwrap_or_default();
    let fits = |place: usize| {
        let change = entries[history[place]].change;
        change.after.as_ref().map(|after| compare_rows(&change.relation, after, &shown))
    };
    let mut difference = None;
    for place in (0..border).rev().chain(border..history.len()) {
        match fits(place) {
            Some(Ok(_)) => return Shown::After(place),
            Some(Err(words)) => difference = difference.or(Some(words)),
            None => {}
        }
    }
    if border == 0 {
        return Shown::Before;
    }
    Shown::Never(difference.unwrap_or_else(|| "the snapshot shows a row that had been deleted".to_owned()))
}
