//! A second hop: what a connector brought into a table, held against the account of the database that it came from.
//!
//! A table shows of each row what its last change left, so only that is looked for; the changes before it are contained in it. What is
//! not there yet is unread until the way is known to be empty, and lost then.

mod row;
mod stored;
#[cfg(test)]
mod tests;

pub(super) use stored::CopiedRows;
pub use stored::written_table;

use super::closing::unwatched;
use super::reconciliation::{Reconciliation, RowAnomaly, RowClass, VERSION};
use super::scope::{ConnectorScope, Owed};
use super::{Expectation, ScopedConnector};
use crate::database::{CommittedTransaction, Relation, RowChange, RowOp, TableName, TableRows};
use row::{TableColumns, TableShows};
use std::collections::{BTreeMap, HashSet};

/// A table into which changes of another one come.
#[derive(Clone, Copy, Debug)]
pub struct TableCopy<'a> {
    /// The table whose changes come.
    pub source: &'a TableName,
    /// The table into which they come.
    pub table: &'a TableName,
    /// Its rows.
    pub rows: &'a TableRows,
    /// The connector that reads the source.
    pub connector: &'a ScopedConnector<'a>,
    /// The rows of the source now, where they are needed to tell old rows from invented ones.
    pub source_rows: Option<&'a TableRows>,
    /// Whether whoever writes the table applies deletes; else the setting that says so.
    pub keeps_deleted: Option<&'a str>,
    /// The setting of somebody of whom nobody knows whether it is the one who writes the table.
    pub may_keep_deleted: Option<&'a str>,
    /// Nothing is on its way any more.
    pub passed: bool,
}

/// A change of the source, with whether it is the senders'.
#[derive(Clone, Copy)]
struct SourceStep<'a> {
    transaction: &'a CommittedTransaction,
    change: &'a RowChange,
    claimed: bool,
    /// A later change emptied the table, or its partition.
    emptied: bool,
}

struct CopyLedger<'a> {
    expectation: &'a Expectation<'a>,
    copy: TableCopy<'a>,
    scope: ConnectorScope<'a>,
    histories: BTreeMap<String, Vec<SourceStep<'a>>>,
    lost: HashSet<String>,
    result: Reconciliation,
}

const NO_KEY: &str =
    "its rows have no key, or one without a form to compare: which row of the table a change belongs to cannot be told";
const TWICE: &str = "it has rows with one key more than once, so it is no table with a row for each of the source's";
const EMPTIED: &str =
    "the table was truncated after it, and whether that comes is a setting of whoever writes the other one";

/// Settles what became of every change on its way into a table.
pub fn reconcile_table(expectation: &Expectation<'_>, copy: TableCopy<'_>) -> Reconciliation {
    let mut ledger = CopyLedger {
        expectation,
        copy,
        scope: ConnectorScope::new(copy.connector.rules, None, &[]),
        histories: BTreeMap::new(),
        lost: HashSet::new(),
        result: Reconciliation { version: VERSION, ..Reconciliation::default() },
    };
    ledger.enter();
    ledger.look();
    ledger.blind();
    let result = &mut ledger.result;
    result.lost_rows = ledger.lost.len() as u64;
    result.sheet.read = copy.rows.rows.len() as u64;
    result.drained = copy.passed || result.is_complete();
    ledger.result
}

impl<'a> CopyLedger<'a> {
    /// Sorts the changes of the source by row.
    fn enter(&mut self) {
        let source = self.copy.source;
        let of_source = |change: &&RowChange| is_of(change, source);
        for transaction in self.expectation.transactions {
            let claimed = self.expectation.claims(transaction);
            let mut counted = false;
            for change in transaction.changes.iter().filter(of_source) {
                if change.op == RowOp::Truncate {
                    // Each partition is emptied by itself; of a table all are told.
                    let name = &change.relation.name;
                    let of_it = |step: &&mut SourceStep<'_>| step.change.relation.name == *name;
                    self.histories.values_mut().flatten().filter(of_it).for_each(|step| step.emptied = true);
                    continue;
                }
                self.result.sheet.committed += u64::from(claimed);
                counted |= claimed;
                let cells = change.after.as_ref().or(change.before.as_ref());
                let key = cells.filter(|_| change.relation.has_key());
                let key = key.and_then(|cells| self.scope.canonical_cells(&change.relation, cells, false));
                let step = SourceStep { transaction, change, claimed, emptied: false };
                match key {
                    Some(key) => self.histories.entry(key).or_default().push(step),
                    None if claimed => self.result.gap(Some(self.copy.source), NO_KEY, 1, 0),
                    None => {}
                }
            }
            self.result.transactions += u64::from(counted);
        }
    }

    /// Looks at every row of the table, and at those that are missing from it.
    fn look(&mut self) {
        // The latest first: where columns of the key were renamed, rows may have the names of before.
        let mut relations: Vec<&'a Relation> = Vec::new();
        for step in self.histories.values().flatten() {
            let relation: &'a Relation = &step.change.relation;
            if !relations.iter().any(|known| std::ptr::eq(*known, relation)) {
                relations.insert(0, relation);
            }
        }
        let columns = TableColumns::of(self.copy.rows);
        let old = self.copy.source_rows.map(|rows| TableColumns::of(rows).keys(&self.scope, rows, &relations));
        let mut shown = BTreeMap::new();
        for row in &self.copy.rows.rows {
            let known = |key: &String| self.histories.contains_key(key);
            match columns.key(&self.scope, self.copy.rows, row, &relations, &known) {
                Some(key) if self.histories.contains_key(&key) => {
                    // A table without key of its own may have a row more than once.
                    if shown.insert(key, row).is_some() {
                        self.twice();
                    }
                }
                Some(key) => self.stranger(&key, old.as_ref()),
                None => self.result.gap(Some(self.copy.table), NO_KEY, 0, 1),
            }
        }
        for (key, steps) in std::mem::take(&mut self.histories) {
            let shown = columns.shown(&self.scope, self.copy.rows, &steps, shown.get(&key).copied());
            self.row(&key, &steps, shown);
        }
    }

    /// One row of the source and what the table shows of it.
    fn row(&mut self, key: &str, steps: &[SourceStep<'_>], shown: TableShows) {
        let Some((last, earlier)) = steps.split_last() else { return };
        for step in earlier.iter().filter(|step| step.claimed) {
            match self.duty(step) {
                Owed::Excused(reason) => self.result.excuse(self.copy.source, step.change.op, &reason),
                Owed::Barred(reason) => self.result.gap(Some(self.copy.source), &reason, 1, 0),
                _ => self.contained(step),
            }
        }
        if !last.claimed {
            // Whatever the table shows is another's.
            self.result.sheet.foreign += u64::from(!matches!(shown, TableShows::Nothing));
            self.result.foreign += u64::from(!matches!(shown, TableShows::Nothing));
            return;
        }
        match (self.duty(last), shown) {
            (Owed::Excused(reason), shown) => {
                self.result.sheet.beside += u64::from(!matches!(shown, TableShows::Nothing));
                self.result.excuse(self.copy.source, last.change.op, &reason);
            }
            (_, TableShows::Last(compared, skipped)) => {
                self.result.sheet.once += 1;
                self.result.sheet.owed += 1;
                self.result.values_compared += u64::from(compared);
                for (column, reason) in skipped {
                    self.result.skip_value(self.copy.source, &column, &reason);
                }
                self.result.expected.add(last.change.op);
                self.result.delivered.add(last.change.op);
            }
            (_, TableShows::Nothing) if last.change.op == RowOp::Delete => self.contained(last),
            (owed, TableShows::Nothing) => self.missing(key, last, &owed, "the table has no such row"),
            (owed, TableShows::Earlier(lsn)) => {
                self.result.sheet.beside += 1;
                let detail = match (last.change.op, lsn) {
                    (RowOp::Delete, _) => "the table still has the row".to_owned(),
                    (_, Some(lsn)) => format!("the table has the row as the change at {lsn} left it"),
                    (_, None) => "the table has the row as no change of the account left it".to_owned(),
                };
                self.missing(key, last, &owed, &detail);
            }
            (owed, TableShows::Never(_)) if last.change.op == RowOp::Delete => {
                self.result.sheet.beside += 1;
                self.missing(key, last, &owed, "the table still has the row");
            }
            (_, TableShows::Never(difference)) => self.damaged(last, &difference),
        }
    }

    /// What a connector owes of it, and whoever writes the table.
    fn duty(&self, step: &SourceStep<'_>) -> Owed {
        if step.emptied {
            return Owed::Excused(EMPTIED.into());
        }
        let deletes = step.change.op == RowOp::Delete;
        if let Some(setting) = self.copy.keeps_deleted.filter(|_| deletes) {
            return Owed::Excused(setting.into());
        }
        match (self.scope.owed(step.transaction.xid, step.change), self.copy.may_keep_deleted) {
            (Owed::Yes, Some(setting)) if deletes => Owed::Perhaps(setting.into()),
            (owed, _) => owed,
        }
    }

    /// What came later contains it.
    fn contained(&mut self, step: &SourceStep<'_>) {
        self.result.sheet.superseded += 1;
        self.result.covered_by_snapshot += 1;
        self.result.expected.add(step.change.op);
    }

    fn missing(&mut self, key: &str, step: &SourceStep<'_>, owed: &Owed, detail: &str) {
        if let Owed::Perhaps(reason) | Owed::Barred(reason) = owed {
            self.result.gap(Some(self.copy.source), reason, 1, 0);
            return;
        }
        let class = if self.copy.passed { RowClass::Lost } else { RowClass::Unread };
        if self.copy.passed {
            self.result.sheet.lost += 1;
            self.lost.insert(key.to_owned());
        } else {
            self.result.sheet.unread += 1;
        }
        self.result.expected.add(step.change.op);
        let samples = self.expectation.samples;
        self.result.note(samples, class, || of_step(step, class, detail));
    }

    fn damaged(&mut self, step: &SourceStep<'_>, difference: &str) {
        let early = self.expectation.blind.changes_before.get(&step.change.relation.name);
        if early.is_some_and(|before| step.change.lsn < *before) {
            let reason = "its rows were changed in the moment in which it was created; create it in a step of its own";
            self.result.gap(Some(self.copy.source), reason, 1, 1);
            return;
        }
        self.result.sheet.damaged += 1;
        self.result.sheet.corrupted += 1;
        self.result.expected.add(step.change.op);
        self.result.delivered.add(step.change.op);
        let class = RowClass::WrongContent;
        self.result.note(self.expectation.samples, class, || of_step(step, class, difference));
    }

    /// A row of which the account has no change: one of before, or one that the source has not.
    fn stranger(&mut self, key: &str, old: Option<&HashSet<String>>) {
        if old.is_none_or(|old| old.contains(key)) {
            self.result.foreign += 1;
            self.result.sheet.foreign += 1;
            return;
        }
        self.result.sheet.phantom += 1;
        let detail = "the source has no such row, and nobody deleted one meanwhile";
        let (table, key) = (self.copy.table.clone(), key.replace('"', ""));
        self.result.note(self.expectation.samples, RowClass::Phantom, || RowAnomaly {
            class: RowClass::Phantom,
            table,
            key,
            op: None,
            xid: None,
            lsn: None,
            committed_us: None,
            topic: None,
            partition: None,
            offset: None,
            detail: detail.to_owned(),
        });
    }

    /// A row that the table has a second time.
    fn twice(&mut self) {
        self.result.gap(Some(self.copy.table), TWICE, 0, 1);
    }

    /// Changes that the log does not tell.
    fn blind(&mut self) {
        let blind = self.expectation.blind;
        if let Some(count) = blind.unseen.get(self.copy.source) {
            let reason = format!("{count} updates and deletes of rows without identity are not in the database's log");
            self.result.gap(Some(self.copy.source), &reason, 0, 0);
        }
        if let Some(count) = blind.early.get(self.copy.source) {
            self.result.gap(Some(self.copy.source), &unwatched(*count), 0, 0);
        }
    }
}

/// Whether a change is one of a table, or of a partition of it.
fn is_of(change: &RowChange, table: &TableName) -> bool {
    change.relation.name == *table || change.relation.ancestors.contains(table)
}

fn of_step(step: &SourceStep<'_>, class: RowClass, detail: &str) -> RowAnomaly {
    RowAnomaly {
        class,
        table: step.change.relation.name.clone(),
        key: step.change.key.clone(),
        op: Some(step.change.op),
        xid: Some(step.transaction.xid),
        lsn: Some(step.change.lsn),
        committed_us: Some(step.transaction.committed_us),
        topic: None,
        partition: None,
        offset: None,
        detail: detail.to_owned(),
    }
}
