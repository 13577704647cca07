//! A second hop: what a connector brought into a table, held against the account of the database that it came from.
//!
//! A table shows of each row what its last change left, so only that is looked for; the changes before it are contained in it. What is
//! not there yet is unread until the way is known to be empty, and lost then. That a row is gone says nothing before: it may never have come.

mod fate;
#[cfg(test)]
mod gone_tests;
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
use crate::database::{CommittedTransaction, Lsn, Relation, RowChange, RowOp, TableName, TableRows};
use crate::debezium::{CaptureRules, Publishing, published_as};
use row::TableColumns;
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
    /// The setting of whoever writes the table by which rows may not come.
    pub may_drop: Option<&'a str>,
    /// The same by which values may be others.
    pub changes: Option<&'a str>,
    /// The same of somebody of whom nobody knows whether it is the one who writes the table.
    pub may_change: Option<&'a str>,
    /// Nothing is on its way any more.
    pub passed: bool,
}

impl<'a> TableCopy<'a> {
    /// One of which nothing is known but its rows.
    pub fn of(
        source: &'a TableName,
        table: &'a TableName,
        rows: &'a TableRows,
        connector: &'a ScopedConnector<'a>,
    ) -> Self {
        Self {
            source,
            table,
            rows,
            connector,
            source_rows: None,
            keeps_deleted: None,
            may_keep_deleted: None,
            may_drop: None,
            changes: None,
            may_change: None,
            passed: false,
        }
    }
}

/// A change of the source, with whether it is the senders'.
struct SourceStep<'a> {
    transaction: &'a CommittedTransaction,
    change: &'a RowChange,
    claimed: bool,
    /// A later change emptied the table, or its partition.
    emptied: bool,
    /// An update that a row filter publishes as an insert or a delete.
    published: Option<Box<RowChange>>,
    /// The row as it is then has no place in the publication: only a snapshot shows it.
    hidden: bool,
}

impl SourceStep<'_> {
    /// The change as it is published.
    fn told(&self) -> &RowChange {
        self.published.as_deref().unwrap_or(self.change)
    }

    fn deletes(&self) -> bool {
        self.told().op == RowOp::Delete
    }
}

struct CopyLedger<'a> {
    expectation: &'a Expectation<'a>,
    copy: TableCopy<'a>,
    scope: ConnectorScope<'a>,
    histories: BTreeMap<String, Vec<SourceStep<'a>>>,
    lost: HashSet<String>,
    /// Why rows of the table cannot be told by their keys, where some are there and others are missing.
    untold: Option<String>,
    result: Reconciliation,
}

const NO_KEY: &str =
    "its rows have no key, or one without a form to compare: which row of the table a change belongs to cannot be told";
const TWICE: &str = "it has rows with one key more than once, so it is no table with a row for each of the source's";

/// Settles what became of every change on its way into a table.
pub fn reconcile_table(expectation: &Expectation<'_>, copy: TableCopy<'_>) -> Reconciliation {
    let mut ledger = CopyLedger {
        expectation,
        copy,
        scope: ConnectorScope::new(copy.connector.rules, None, &[]),
        histories: BTreeMap::new(),
        lost: HashSet::new(),
        untold: None,
        result: Reconciliation { version: VERSION, ..Reconciliation::default() },
    };
    ledger.enter();
    ledger.look();
    ledger.blind();
    let result = &mut ledger.result;
    result.lost_rows = ledger.lost.len() as u64;
    result.sheet.read = copy.rows.rows.len() as u64;
    // A table without columns is one that is not there.
    result.drained = copy.passed || (result.is_complete() && !copy.rows.columns.is_empty());
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
                match key {
                    Some(key) => {
                        let step = self.step(transaction, change, claimed);
                        self.histories.entry(key).or_default().push(step);
                    }
                    None if claimed => self.result.gap(Some(self.copy.source), NO_KEY, 1, 0),
                    None => {}
                }
            }
            self.result.transactions += u64::from(counted);
        }
    }

    fn step(&self, transaction: &'a CommittedTransaction, change: &'a RowChange, claimed: bool) -> SourceStep<'a> {
        let publishing = self.scope.publishing(transaction.xid, change);
        let hidden = matches!(publishing, Publishing::No | Publishing::As(RowOp::Delete));
        let published = match publishing {
            Publishing::As(op) => Some(Box::new(published_as(change, op))),
            _ => None,
        };
        SourceStep { transaction, change, claimed, emptied: false, published, hidden }
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
        let (mut shown, mut strangers) = (BTreeMap::new(), Vec::new());
        for row in &self.copy.rows.rows {
            let known = |key: &String| self.histories.contains_key(key);
            match columns.key(&self.scope, self.copy.rows, row, &relations, &known) {
                Some(key) if self.histories.contains_key(&key) => {
                    // A table without key of its own may have a row more than once.
                    if shown.insert(key, row).is_some() {
                        self.twice();
                    }
                }
                stranger => strangers.push(stranger),
            }
        }
        let stays = |steps: &Vec<SourceStep<'_>>| steps.last().is_some_and(|last| !last.deletes() && !last.emptied);
        let is_missing = self.histories.iter().any(|(key, steps)| !shown.contains_key(key) && stays(steps));
        if is_missing && !strangers.is_empty() {
            self.untold = columns.doubt(&self.scope, self.copy.rows, &relations);
        }
        strangers.into_iter().for_each(|key| self.stranger(key.as_deref(), old.as_ref()));
        for (key, steps) in std::mem::take(&mut self.histories) {
            let row = shown.get(&key).copied();
            let shown = columns.shown(&self.scope, self.copy.rows, &steps, row, self.copy.changes);
            self.row(&key, &steps, shown);
        }
    }

    /// A row of which the account has no change: one of before, or one that the source has not.
    fn stranger(&mut self, key: Option<&str>, old: Option<&HashSet<String>>) {
        let (Some(key), None) = (key, &self.untold) else {
            let reason = self.untold.as_deref().unwrap_or(NO_KEY);
            self.result.gap(Some(self.copy.table), reason, 0, 1);
            return;
        };
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

/// The last change of a table that has to come with a connector, of the transactions that are claimed: its position, and that of its commit.
pub fn last_to_come(
    transactions: &[CommittedTransaction],
    claims: impl Fn(u32) -> bool,
    rules: &CaptureRules,
    source: &TableName,
) -> Option<(Lsn, Lsn)> {
    let scope = ConnectorScope::new(rules, None, &[]);
    let comes = |xid: u32, change: &RowChange| matches!(scope.owed(xid, change), Owed::Yes | Owed::Perhaps(_));
    transactions.iter().rev().filter(|transaction| claims(transaction.xid)).find_map(|transaction| {
        let mut changes = transaction.changes.iter().rev();
        let change = changes.find(|&change| is_of(change, source) && comes(transaction.xid, change))?;
        Some((change.lsn, transaction.commit_lsn))
    })
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
