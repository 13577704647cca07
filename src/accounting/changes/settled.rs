//! Changes that are settled for good, of which only what is counted is kept.
//!
//! A long run brings more rows than memory holds. From the beginning of the account on, changes are settled of which all is known: they
//! were committed, arrived in order as an event of their own, and say what the database says. The first one of which that cannot be said
//! ends it, so that nothing that is settled lies behind anything that is not. A record that comes again later is told by its position and
//! a print of its text; one of another text at such a position is not judged.

use super::anomalies::{about, raw_key};
use super::content::{CERTAIN, Fit, Told};
use super::ledger::ChangeLedger;
use super::reconciliation::{Reconciliation, RowClass};
use super::scope::{ConnectorScope, Owed};
use super::settling::Arrivals;
use crate::accounting::PagedBitmap;
use crate::database::{CommittedTransaction, Lsn, RowChange, RowOp, TableName};
use crate::debezium::{CaptureRules, ChangeEvent, Form, Op, ReadEvent, ReadKind};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A settled change.
#[derive(Clone, Copy, Debug)]
pub(super) struct SettledChange {
    pub(super) lsn: Lsn,
    /// Of the record's operation, key and rows.
    print: u64,
    pub(super) committed_us: i64,
    pub(super) read_us: i64,
    pub(super) xid: u32,
    /// From the commit until the connector processed it, in µs; `i32::MIN` where that is not known or longer than half an hour.
    connector_us: i32,
    /// Place of its table.
    table: u16,
    /// Values that were compared.
    compared: u16,
    /// Place of the list of values that were not.
    skipped: u16,
    op: RowOp,
    kind: SettledKind,
}

/// What became of a settled change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SettledKind {
    /// It arrived.
    Arrived,
    /// It arrived, and a tombstone behind it.
    WithTombstone,
    /// Its topic is none of those that are read.
    Elsewhere,
}

impl SettledChange {
    /// When the connector processed it, microseconds since the Unix epoch.
    pub(super) fn connector_us(&self) -> Option<i64> {
        (self.connector_us != i32::MIN).then(|| self.committed_us + i64::from(self.connector_us))
    }

    pub(super) fn arrived(&self) -> bool {
        self.kind != SettledKind::Elsewhere
    }
}

/// A value that was not compared: the table's name in events, column and reason.
type Skipped = (TableName, String, String);

/// How much is looked at in one turn: whoever reads and writes goes on between two.
#[derive(Clone, Copy, Debug)]
pub struct SettlingBudget {
    /// Records, from the first on.
    pub records: usize,
    /// Changes after which no further transaction is begun.
    pub changes: usize,
}

/// The settled changes at the beginning of an account.
#[derive(Debug, Default)]
pub struct SettledPast {
    /// In order of commit.
    pub(super) changes: Vec<SettledChange>,
    /// Places of those that arrived, by position.
    by_lsn: Vec<u32>,
    /// Position and time of the commit of each transaction that had changes to come.
    pub(super) commits: Vec<(Lsn, i64)>,
    tables: Vec<TableName>,
    /// Lists of values that were not compared; the first is empty.
    skipped: Vec<Vec<Skipped>>,
    offsets: HashMap<(Arc<str>, i32), PagedBitmap>,
    /// Prints of topic and key of the rows whose changes arrived, and whether one was deleted: a tombstone of that may come again.
    rows: HashMap<u64, bool>,
}

const ELSEWHERE: &str = "no reader of this check reads its topic";
const ANOTHER_TEXT: &str =
    "a record came again with another text after its change had been settled, of which only sums are kept";
const SNAPSHOT: &str = "a snapshot read rows of it after earlier changes had been settled, of which only sums are kept";

impl SettledPast {
    /// Whether nothing is settled.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes are settled.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Position of the first.
    pub(super) fn first(&self) -> Option<Lsn> {
        self.changes.first().map(|change| change.lsn)
    }

    pub(super) fn has_read(&self, read: &ReadEvent) -> bool {
        let Ok(offset) = u64::try_from(read.offset) else { return false };
        !self.is_empty()
            && self.offsets.get(&(Arc::clone(&read.topic), read.partition)).is_some_and(|known| known.contains(offset))
    }

    /// Whether a record that deleted a row with that key is settled; `None` where none of it is.
    pub(super) fn has_deleted(&self, topic: &str, key: &str) -> Option<bool> {
        self.rows.get(&print_of_row(topic, key)).copied()
    }

    pub(super) fn has_table(&self, table: &TableName) -> bool {
        self.tables.contains(table)
    }

    /// The changes at a position.
    fn at(&self, lsn: Lsn) -> impl Iterator<Item = usize> + '_ {
        let from = self.by_lsn.partition_point(|place| self.changes[*place as usize].lsn < lsn);
        let places = self.by_lsn[from..].iter().map(|place| *place as usize);
        places.take_while(move |place| self.changes[*place].lsn == lsn)
    }

    /// Settles as many of the first transactions as can be, within a budget, and takes them and their records out of the lists. How many
    /// changes these were.
    pub fn settle(
        &mut self,
        rules: &CaptureRules,
        topics: Option<&BTreeSet<String>>,
        transactions: &mut Vec<CommittedTransaction>,
        events: &mut Vec<ReadEvent>,
        budget: SettlingBudget,
    ) -> usize {
        if *rules.form() != Form::Envelope || rules.modes.guessed || rules.unreadable.is_some() {
            return 0;
        }
        let seen = &events[..events.len().min(budget.records)];
        let scope = ConnectorScope::new(rules, topics, seen);
        let Some(mut arrivals) = Arrivals::of(&scope, self, seen) else { return 0 };
        let (first, mut count) = (self.changes.len(), 0);
        for transaction in transactions.iter() {
            let (before, used) = (self.changes.len(), arrivals.used());
            if before - first >= budget.changes {
                break;
            }
            let all = transaction.changes.iter().all(|change| self.one(&scope, &mut arrivals, transaction, change));
            if !all {
                self.changes.truncate(before);
                arrivals.give_back(used);
                break;
            }
            if self.changes[before..].iter().any(SettledChange::arrived) {
                self.commits.push((transaction.commit_lsn, transaction.committed_us));
            }
            count += 1;
        }
        let used = arrivals.into_used();
        drop(scope);
        self.forget(first, count, &used, transactions, events);
        self.changes.len() - first
    }

    /// Takes what is settled out of the lists.
    fn forget(
        &mut self,
        first: usize,
        count: usize,
        used: &[usize],
        transactions: &mut Vec<CommittedTransaction>,
        events: &mut Vec<ReadEvent>,
    ) {
        for index in used {
            let read = &events[*index];
            let offsets = self.offsets.entry((Arc::clone(&read.topic), read.partition)).or_default();
            // What could be read has an offset of zero or more.
            offsets.insert(u64::try_from(read.offset).unwrap_or(0));
            if let ReadKind::Change(event) = &read.kind {
                let row = print_of_row(&read.topic, &raw_key(event.key.as_ref()));
                *self.rows.entry(row).or_default() |= event.op == Op::Delete;
            }
        }
        let (mut index, mut next) = (0, used.iter().peekable());
        events.retain(|_| {
            let settled = next.next_if(|used| **used == index).is_some();
            index += 1;
            !settled
        });
        transactions.drain(..count);
        let changes = &self.changes;
        let arrived = (first..changes.len()).filter(|place| changes[*place].arrived());
        // Settled changes are far fewer than 2^32: each takes 48 bytes.
        let known = self.by_lsn.len();
        self.by_lsn.extend(arrived.filter_map(|place| u32::try_from(place).ok()));
        let lsn = |place: &u32| changes[*place as usize].lsn;
        // Transactions side by side have changes among each other's; what lies before all of the new ones is in order.
        let (old, new) = self.by_lsn.split_at(known);
        let Some(first) = new.iter().map(lsn).min() else { return };
        let from = old.partition_point(|place| lsn(place) < first);
        self.by_lsn[from..].sort_by_key(lsn);
    }

    /// Settles a change; false where it cannot be settled, and nothing behind it.
    fn one(
        &mut self,
        scope: &ConnectorScope<'_>,
        arrivals: &mut Arrivals<'_>,
        transaction: &CommittedTransaction,
        change: &RowChange,
    ) -> bool {
        let rules = scope.table(&change.relation);
        let Some(table) = self.table(&change.relation.name) else { return false };
        let mut settled = SettledChange {
            lsn: change.lsn,
            print: 0,
            committed_us: transaction.committed_us,
            read_us: 0,
            xid: transaction.xid,
            connector_us: i32::MIN,
            table,
            compared: 0,
            skipped: 0,
            op: change.op,
            kind: SettledKind::Elsewhere,
        };
        let owed = scope.owed(transaction.xid, change);
        if change.op == RowOp::Truncate || !change.relation.has_key() || rules.own_key {
            return false;
        }
        if owed == Owed::Elsewhere {
            self.changes.push(settled);
            return true;
        }
        if owed != Owed::Yes {
            return false;
        }
        let Some((index, event)) = arrivals.first(scope, change) else { return false };
        let told = Told::of(arrivals.read(index), event);
        let mut skipped = Vec::new();
        let mut skip = |column: &str, reason: &str| {
            skipped.push((rules.name.clone(), column.to_owned(), reason.to_owned()));
        };
        let Ok(compared) = scope.content(&told, transaction, change, &mut skip) else { return false };
        let Some(place) = self.skips(skipped) else { return false };
        (settled.compared, settled.skipped) = (u16::try_from(compared).unwrap_or(u16::MAX), place);
        if u32::from(settled.compared) != compared {
            return false;
        }
        settled.kind = SettledKind::Arrived;
        if change.op == RowOp::Delete && scope.rules.writes_tombstones() {
            let Some(tombstone) = arrivals.tombstone_behind(index) else { return false };
            arrivals.take(tombstone);
            settled.kind = SettledKind::WithTombstone;
        }
        settled.print = print_of(event);
        settled.read_us = told.read.read_us;
        let connector_us = event.ts_us.and_then(|us| i32::try_from(us - transaction.committed_us).ok());
        settled.connector_us = connector_us.unwrap_or(i32::MIN);
        arrivals.take(index);
        self.changes.push(settled);
        true
    }

    /// Values of a record of the change.
    fn count_values(&self, change: &SettledChange, result: &mut Reconciliation) {
        result.values_compared += u64::from(change.compared);
        for (table, column, reason) in &self.skipped[usize::from(change.skipped)] {
            result.skip_value(table, column, reason);
        }
    }

    fn table(&mut self, name: &TableName) -> Option<u16> {
        let place = self.tables.iter().position(|known| known == name).unwrap_or_else(|| {
            self.tables.push(name.clone());
            self.tables.len() - 1
        });
        u16::try_from(place).ok()
    }

    /// Place of a list of values that were not compared.
    fn skips(&mut self, skipped: Vec<Skipped>) -> Option<u16> {
        if self.skipped.is_empty() {
            self.skipped.push(Vec::new());
        }
        let place = self.skipped.iter().position(|known| *known == skipped).unwrap_or_else(|| {
            self.skipped.push(skipped);
            self.skipped.len() - 1
        });
        u16::try_from(place).ok()
    }
}

/// A print of what a record says.
fn print_of(event: &ChangeEvent) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event.op, &event.key, &event.before, &event.after).hash(&mut hasher);
    hasher.finish()
}

/// A print of where the records of a row are, in whatever partition.
fn print_of_row(topic: &str, key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, key).hash(&mut hasher);
    hasher.finish()
}

/// Whether an event is certainly a change's.
pub(super) fn is_certain(scope: &ConnectorScope<'_>, told: &Told<'_>, change: &RowChange) -> bool {
    told.is_about(&change.relation) && scope.fit(told, change) == Some(Fit { identity: CERTAIN, op: true })
}

impl ChangeLedger<'_> {
    /// Enters what is settled into the columns.
    pub(super) fn count_settled(&mut self) {
        let Some(settled) = self.expectation.settled else { return };
        let mut counted = None;
        for change in &settled.changes {
            let table = &settled.tables[usize::from(change.table)];
            let claimed = self.expectation.claims_id(change.xid);
            let tombstones = u64::from(change.kind == SettledKind::WithTombstone);
            self.result.sheet.read += u64::from(change.arrived()) + tombstones;
            self.result.sheet.tombstones += tombstones;
            self.result.tombstones += tombstones;
            match (claimed, change.arrived()) {
                (false, true) => self.foreign(),
                (false, false) => {}
                (true, false) => {
                    self.result.sheet.committed += 1;
                    self.result.excuse(table, change.op, ELSEWHERE);
                }
                (true, true) => {
                    let result = &mut self.result;
                    result.sheet.committed += 1;
                    result.sheet.once += 1;
                    result.sheet.owed += 1;
                    result.expected.add(change.op);
                    result.delivered.add(change.op);
                    settled.count_values(change, result);
                    if counted != Some(change.xid) {
                        result.transactions += 1;
                        counted = Some(change.xid);
                    }
                }
            }
        }
    }

    /// A record at the position of a settled change is a copy of it; false where no change there is settled.
    pub(super) fn is_again(&mut self, read: &ReadEvent, event: &ChangeEvent) -> bool {
        let (Some(settled), Some(lsn)) = (self.expectation.settled, event.source.lsn) else { return false };
        let mut places = settled.at(lsn).peekable();
        if places.peek().is_none() {
            return false;
        }
        let print = print_of(event);
        let Some(place) = places.find(|place| settled.changes[*place].print == print) else {
            self.result.gap(Some(event.source.table()), ANOTHER_TEXT, 0, 1);
            return true;
        };
        if !self.expectation.claims_id(settled.changes[place].xid) {
            self.foreign();
            return true;
        }
        self.again.insert(place);
        settled.count_values(&settled.changes[place], &mut self.result);
        self.result.sheet.copies += 1;
        self.note(RowClass::Duplicated, || about(&Told::of(read, event), RowClass::Duplicated, ""));
        self.replayed(read, lsn);
        true
    }

    /// A row that a snapshot read of a table of which changes are settled: what it is held against is not all there.
    pub(super) fn snapshot_after_settled(&mut self, table: &TableName) {
        if self.expectation.settled.is_some_and(|settled| settled.has_table(table)) {
            self.result.gap(Some(table), SNAPSHOT, 0, 0);
        }
    }

    /// Settled changes of which copies came are no longer read once.
    pub(super) fn count_again(&mut self) {
        let again = self.again.len() as u64;
        self.result.sheet.once -= again;
        self.result.sheet.duplicated += again;
    }
}
