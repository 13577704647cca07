//! From the changes that the database committed to the events that a reader saw: what became of each.
//!
//! A change and its event are matched by identity: table, position in the log (`source.lsn` is the position that kscen's own slot
//! reports for the change) and primary key, which tells apart the rows that one log record may contain. Pure: the same
//! account and the same events always give the same result.

use super::decode::{ReadEvent, ReadKind};
use super::envelope::{ChangeEvent, Op, RowImage, Snapshot};
use super::reconciliation::{Reconciliation, Replay, RowAnomaly, RowClass};
use super::snapshot::SnapshotRows;
use super::value::{compare_rows, key_text, plain};
use crate::database::{CommittedTransaction, Lsn, Relation, RowChange, RowOp, TableName};
use std::collections::{BTreeSet, HashMap, HashSet};

/// What should have arrived, and what is known about the reading.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// The account: everything that was committed, by whomever, in order of commit.
    pub transactions: &'a [CommittedTransaction],
    /// Where the account begins and how far it was read. Events outside are nobody's phantoms.
    pub window: (Lsn, Lsn),
    /// Ids of the transactions that have to arrive; `None`: all of the account.
    pub claimed: Option<&'a HashSet<u32>>,
    /// The tables that the connector captures; `None`: all of the account.
    pub tables: Option<&'a BTreeSet<TableName>>,
    /// The reader has reached the end of every partition. What it has not seen then is lost where the connector has passed it,
    /// which a later change's arrival or `confirmed` shows; otherwise it is unread.
    pub drained: bool,
    /// How far the connector has confirmed: `confirmed_flush_lsn` of its slot, `Lsn(u64::MAX)` where the slot is gone and
    /// nothing can arrive any more. A FAILED or slow connector has lost nothing yet: its slot keeps it.
    pub confirmed: Option<Lsn>,
    /// The connector follows each delete with a tombstone (`tombstones.on.delete`, its default).
    pub tombstones: bool,
    /// Offenders kept of each class.
    pub samples: usize,
}

impl Expectation<'_> {
    /// Position of the last change that has to arrive. A reader that has seen it, or a later one, need not wait for more.
    pub fn last_change(&self) -> Option<Lsn> {
        let wanted = |transaction: &CommittedTransaction| self.claims(transaction);
        self.transactions.iter().rev().filter(|transaction| wanted(transaction)).find_map(|transaction| {
            transaction.changes.iter().rev().find(|change| self.wants(change)).map(|change| change.lsn)
        })
    }

    fn claims(&self, transaction: &CommittedTransaction) -> bool {
        self.claimed.is_none_or(|claimed| claimed.contains(&transaction.xid))
    }

    /// Debezium skips truncations by default; they matter for what a snapshot finds only.
    fn wants(&self, change: &RowChange) -> bool {
        change.op != RowOp::Truncate && self.tables.is_none_or(|tables| tables.contains(&change.relation.name))
    }
}

/// A change of the account with what became of it.
pub(super) struct Entry<'a> {
    pub(super) transaction: &'a CommittedTransaction,
    pub(super) change: &'a RowChange,
    /// Has to arrive.
    pub(super) wanted: bool,
    pub(super) settled: bool,
}

type Identity<'a> = (&'a TableName, Lsn, &'a str);

/// Settles every change. `events` in the order in which the reader saw them, all topics of the connector together.
pub fn reconcile(expectation: &Expectation<'_>, events: &[ReadEvent]) -> Reconciliation {
    let mut ledger = Ledger::new(expectation);
    let mut snapshots = SnapshotRows::default();
    for event in events {
        ledger.take(event, &mut snapshots);
    }
    ledger.end_of_events();
    snapshots.settle(&mut ledger.entries, &mut ledger.result, expectation.samples);
    ledger.settle_missing()
}

struct Ledger<'a> {
    expectation: &'a Expectation<'a>,
    entries: Vec<Entry<'a>>,
    by_identity: HashMap<Identity<'a>, Vec<usize>>,
    relations: HashMap<&'a TableName, &'a Relation>,
    seen: HashSet<(std::sync::Arc<str>, i32, i64)>,
    /// The last change of each row that has arrived.
    latest: HashMap<(&'a TableName, &'a str), usize>,
    /// Deletes waiting for their tombstone, by topic, partition and key.
    bereaved: HashMap<(std::sync::Arc<str>, i32, String), RowAnomaly>,
    /// Index in `result.replays` of the stretch that is going on in a partition.
    replaying: HashMap<(std::sync::Arc<str>, i32), usize>,
    /// The furthest change that arrived as an event of its own.
    last_streamed: Option<usize>,
    result: Reconciliation,
}

impl<'a> Ledger<'a> {
    fn new(expectation: &'a Expectation<'a>) -> Self {
        let mut ledger = Self {
            expectation,
            entries: Vec::new(),
            by_identity: HashMap::new(),
            relations: HashMap::new(),
            seen: HashSet::new(),
            latest: HashMap::new(),
            bereaved: HashMap::new(),
            replaying: HashMap::new(),
            last_streamed: None,
            result: Reconciliation::default(),
        };
        for transaction in expectation.transactions {
            let claimed = expectation.claims(transaction);
            let mut counted = false;
            for change in &transaction.changes {
                let table = &change.relation.name;
                ledger.relations.insert(table, &change.relation);
                let wanted = claimed && expectation.wants(change);
                if wanted {
                    ledger.result.expected.add(change.op);
                    counted = true;
                }
                let index = ledger.entries.len();
                ledger.entries.push(Entry { transaction, change, wanted, settled: false });
                if change.op != RowOp::Truncate {
                    ledger.by_identity.entry((table, change.lsn, &change.key)).or_default().push(index);
                }
            }
            ledger.result.transactions += u64::from(counted);
        }
        ledger
    }

    fn take<'e>(&mut self, read: &'e ReadEvent, snapshots: &mut SnapshotRows<'e>) {
        if !self.seen.insert((read.topic.clone(), read.partition, read.offset)) {
            let anomaly = match &read.kind {
                ReadKind::Change(event) => self.about(read, event, RowClass::Redelivered, ""),
                _ => at_record(read, RowClass::Redelivered, TableName::new("", ""), String::new()),
            };
            self.result.note(self.expectation.samples, RowClass::Redelivered, || anomaly);
            return;
        }
        match &read.kind {
            ReadKind::Ignored(_) => {}
            ReadKind::Tombstone { key } => {
                self.result.tombstones += 1;
                self.bereaved.remove(&(read.topic.clone(), read.partition, raw_key(key.as_ref())));
            }
            ReadKind::Change(event) => {
                // Nothing may come between a delete and its tombstone but events of other rows.
                let place = (read.topic.clone(), read.partition, raw_key(event.key.as_ref()));
                if let Some(anomaly) = self.bereaved.remove(&place) {
                    self.result.note(self.expectation.samples, RowClass::MissingTombstone, || anomaly);
                }
                if event.op == Op::Delete && event.key.is_some() && self.expectation.tombstones {
                    let anomaly = self.about(read, event, RowClass::MissingTombstone, "");
                    self.bereaved.insert(place, anomaly);
                }
                match event.op {
                    Op::Read => {
                        self.result.snapshot_rows += 1;
                        let key = self.key_of(event);
                        snapshots.add(read, event, key);
                    }
                    Op::Truncate => {}
                    Op::Create | Op::Update | Op::Delete => self.streamed(read, event),
                }
            }
        }
    }

    fn streamed(&mut self, read: &ReadEvent, event: &ChangeEvent) {
        let table = event.source.table();
        let lsn = event.source.lsn.unwrap_or_default();
        let (from, to) = self.expectation.window;
        let key = self.key_of(event);
        let found = self.by_identity.get(&(table, lsn, key.as_str())).map(Vec::as_slice);
        let Some(found) = found else {
            let captured = self.relations.contains_key(table);
            if event.source.snapshot != Snapshot::No || !captured || lsn < from || lsn >= to {
                self.result.foreign += 1;
                return;
            }
            let anomaly = self.about(read, event, RowClass::Phantom, "the database committed no such change");
            self.result.note(self.expectation.samples, RowClass::Phantom, || anomaly);
            return;
        };
        // More than one only for tables without key: which of the equal rows it is makes no difference.
        let open = found.iter().copied().find(|index| !self.entries[*index].settled);
        let index = open.unwrap_or(found[0]);
        self.last_streamed = self.last_streamed.max(Some(index));
        if !self.entries[index].wanted {
            self.result.foreign += 1;
            self.entries[index].settled = true;
            self.in_order(index);
            return;
        }
        self.check_content(read, event, index);
        if open.is_none() {
            let anomaly = self.about(read, event, RowClass::Duplicated, "");
            self.result.note(self.expectation.samples, RowClass::Duplicated, || anomaly);
            self.replayed(read, lsn);
            return;
        }
        self.replaying.remove(&(read.topic.clone(), read.partition));
        self.entries[index].settled = true;
        self.result.delivered.add(self.entries[index].change.op);
        if let Some(later) = self.in_order(index) {
            let later = self.entries[later].change.lsn;
            let detail = format!("a later change of the row, at {later}, had arrived before");
            let anomaly = self.about(read, event, RowClass::OutOfOrder, &detail);
            self.result.note(self.expectation.samples, RowClass::OutOfOrder, || anomaly);
        }
    }

    /// Notes the arrival of a change; the later change of the row that was faster, if one was.
    fn in_order(&mut self, index: usize) -> Option<usize> {
        let change = self.entries[index].change;
        if !change.relation.has_key() {
            return None;
        }
        let latest = self.latest.entry((&change.relation.name, &change.key)).or_insert(index);
        if *latest > index {
            return Some(*latest);
        }
        *latest = index;
        None
    }

    fn check_content(&mut self, read: &ReadEvent, event: &ChangeEvent, index: usize) {
        let entry = &self.entries[index];
        let told = match event.op {
            Op::Create => RowOp::Insert,
            Op::Update => RowOp::Update,
            _ => RowOp::Delete,
        };
        let difference = if told != entry.change.op {
            Some(format!("the database has a {:?} here", entry.change.op).to_lowercase())
        } else if event.source.tx_id.is_some_and(|xid| xid as u32 != entry.transaction.xid) {
            Some(format!("the database has it in transaction {}", entry.transaction.xid))
        } else {
            match (&entry.change.after, &event.after) {
                (Some(row), Some(after)) => match compare_rows(&entry.change.relation, row, &after.row()) {
                    Ok(not_compared) => {
                        self.result.values_not_compared += u64::from(not_compared);
                        None
                    }
                    Err(difference) => Some(difference),
                },
                (None, None) => None,
                (Some(_), None) => Some("the event has no row".to_owned()),
                (None, Some(_)) => Some("the event of a delete has a row".to_owned()),
            }
        };
        if let Some(difference) = difference {
            let anomaly = self.about(read, event, RowClass::WrongContent, &difference);
            self.result.note(self.expectation.samples, RowClass::WrongContent, || anomaly);
        }
    }

    fn replayed(&mut self, read: &ReadEvent, lsn: Lsn) {
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

    fn end_of_events(&mut self) {
        let mut left: Vec<RowAnomaly> = std::mem::take(&mut self.bereaved).into_values().collect();
        left.sort_by(|a, b| (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset)));
        // The reader may have stopped between a delete and its tombstone.
        for anomaly in left.into_iter().filter(|_| self.expectation.drained) {
            self.result.note(self.expectation.samples, RowClass::MissingTombstone, || anomaly);
        }
    }

    fn settle_missing(mut self) -> Reconciliation {
        let confirmed = self.expectation.confirmed.unwrap_or_default();
        let mut lost_rows = HashSet::new();
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.wanted && !entry.settled) {
            // A connector sends in the order of commits: what arrived later, or was confirmed, has passed this change.
            let passed =
                self.last_streamed.is_some_and(|last| index < last) || entry.transaction.commit_lsn < confirmed;
            let class = if self.expectation.drained && passed { RowClass::Lost } else { RowClass::Unread };
            if class == RowClass::Lost {
                lost_rows.insert((&entry.change.relation.name, entry.change.key.as_str()));
            }
            self.result.note(self.expectation.samples, class, || of_change(entry, class));
        }
        self.result.lost_rows = lost_rows.len() as u64;
        self.result
    }

    /// The row's key as the account writes it.
    fn key_of(&self, event: &ChangeEvent) -> String {
        let Some(key) = &event.key else { return String::new() };
        match self.relations.get(event.source.table()) {
            Some(relation) if relation.has_key() => {
                let key = key.row();
                let values: Vec<Option<String>> = relation
                    .columns
                    .iter()
                    .map(|column| key.get(&column.name).map(|value| key_text(column, value)))
                    .collect();
                relation.key_of(&values)
            }
            Some(_) => String::new(),
            None => raw_key(Some(key)),
        }
    }

    fn about(&self, read: &ReadEvent, event: &ChangeEvent, class: RowClass, detail: &str) -> RowAnomaly {
        let mut anomaly = at_record(read, class, event.source.table().clone(), detail.to_owned());
        anomaly.key = self.key_of(event);
        anomaly.op = match event.op {
            Op::Create => Some(RowOp::Insert),
            Op::Update => Some(RowOp::Update),
            Op::Delete => Some(RowOp::Delete),
            Op::Read | Op::Truncate => None,
        };
        anomaly.xid = event.source.tx_id.map(|xid| xid as u32);
        anomaly.lsn = event.source.lsn;
        anomaly.committed_us = event.source.ts_us;
        anomaly
    }
}

pub(super) fn of_change(entry: &Entry<'_>, class: RowClass) -> RowAnomaly {
    RowAnomaly {
        class,
        table: entry.change.relation.name.clone(),
        key: entry.change.key.clone(),
        op: Some(entry.change.op),
        xid: Some(entry.transaction.xid),
        lsn: Some(entry.change.lsn),
        committed_us: Some(entry.transaction.committed_us),
        topic: None,
        partition: None,
        offset: None,
        detail: String::new(),
    }
}

pub(super) fn at_record(read: &ReadEvent, class: RowClass, table: TableName, detail: String) -> RowAnomaly {
    RowAnomaly {
        class,
        table,
        key: String::new(),
        op: None,
        xid: None,
        lsn: None,
        committed_us: None,
        topic: Some(read.topic.to_string()),
        partition: Some(read.partition),
        offset: Some(read.offset),
        detail,
    }
}

fn raw_key(key: Option<&RowImage>) -> String {
    let Some(key) = key else { return String::new() };
    let parts: Vec<String> = key.row().iter().map(|(column, value)| format!("{column}={}", plain(value))).collect();
    parts.join(", ")
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
