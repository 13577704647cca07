//! From the changes that the database committed to the events that a reader saw: what became of each.
//!
//! A change and its event are matched by identity: position in the log (`source.lsn` is the position that kscen's own slot reports for the
//! change), table, and primary key by type, which tells apart the rows that one log record may contain. Pure: the same account and the
//! same events always give the same result.

use super::anomalies::{at_record, print_of};
use super::apart::shared_topics;
use super::content::Told;
use super::halves::OldKey;
use super::reconciliation::{Reconciliation, RowAnomaly, RowClass, VERSION};
use super::scope::{ConnectorScope, Expectation, Owed, concerns};
use super::snapshot::SnapshotRows;
use super::tombstones::Unpaired;
use crate::database::{CommittedTransaction, Lsn, RowChange, RowOp, TableName};
use crate::debezium::{ChangeEvent, Form, Op, ReadEvent, ReadKind, Snapshot, published_as};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What has been seen of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeFate {
    Nothing,
    /// Only with other content.
    Damaged,
    Once,
    Repeated,
    /// In a row that a snapshot read.
    Covered,
}

/// A change that may arrive with a connector, with what became of it.
pub(super) struct ExpectedChange<'a> {
    pub(super) transaction: &'a CommittedTransaction,
    pub(super) change: &'a RowChange,
    /// An update that a row filter publishes as an insert or a delete.
    pub(super) published: Option<Box<RowChange>>,
    pub(super) owed: Owed,
    pub(super) fate: ChangeFate,
    /// Its place in its transaction, as the first record of it says.
    pub(super) order: Option<u64>,
    /// The first record of it: the number of its partition, and its offset there.
    pub(super) first: Option<(usize, i64)>,
    /// The record under the key that it had before.
    pub(super) old_key: OldKey,
}

impl ExpectedChange<'_> {
    /// The change as its record has to tell it.
    pub(super) fn told(&self) -> &RowChange {
        self.published.as_deref().unwrap_or(self.change)
    }

    pub(super) fn has_arrived(&self) -> bool {
        self.fate != ChangeFate::Nothing
    }
}

/// The changes of one connector.
pub(super) struct ConnectorLane<'a> {
    pub(super) scope: ConnectorScope<'a>,
    pub(super) entries: Vec<ExpectedChange<'a>>,
    /// First entry and number of entries at a position.
    pub(super) by_lsn: HashMap<Lsn, (usize, usize)>,
    pub(super) confirmed: Option<Lsn>,
    pub(super) stored: Option<Lsn>,
    /// Where the last initial snapshot was taken.
    pub(super) snapshot: Option<Lsn>,
    /// The last change of each row that has arrived; where a row's records have several partitions, in each by its number.
    pub(super) latest: HashMap<(&'a TableName, &'a str, Option<usize>), usize>,
    /// The furthest change that arrived as an event of its own.
    pub(super) last_streamed: Option<usize>,
    /// The same for each partition, with the number of the partition.
    pub(super) furthest: HashMap<(Arc<str>, i32), (usize, usize)>,
    /// The first change in order of commit that did.
    pub(super) first_streamed: Option<usize>,
    /// Position at which it was known to stream.
    pub(super) streaming_from: Option<Lsn>,
    /// Position before it was made.
    pub(super) made_at: Option<Lsn>,
    /// Of flattened rows with a position: that of the last row that was read by a snapshot before it streamed.
    pub(super) shown_at: Option<Lsn>,
    /// Of them, the first change in order of commit whose position a record told.
    pub(super) first_placed: Option<usize>,
    /// Where the next event is probably at home.
    pub(super) next: usize,
    /// The topics of its records, where they are no envelopes.
    pub(super) writes: HashSet<String>,
    /// Partitions of a table that a truncation emptied beside its own, by its place: their connector tells one of all.
    pub(super) also_emptied: Vec<(usize, &'a TableName)>,
}

/// Offsets, each with a print of what stood there.
type OffsetPrints = HashSet<(i64, u64)>;

pub(super) type Place = (Arc<str>, i32, String);

pub(super) struct ChangeLedger<'a> {
    pub(super) expectation: &'a Expectation<'a>,
    pub(super) lanes: Vec<ConnectorLane<'a>>,
    /// Tables of the account.
    pub(super) tables: HashSet<&'a TableName>,
    /// Claimed changes whose topics nobody reads.
    pub(super) elsewhere: Vec<(&'a RowChange, Owed)>,
    /// The offsets read of each partition, with what stood there: where it is something else, another log stands there now.
    seen: HashMap<(Arc<str>, i32), OffsetPrints>,
    /// Deletes waiting for their tombstone, by topic, partition and key.
    pub(super) bereaved: HashMap<Place, RowAnomaly>,
    /// The same where both may be in different partitions.
    pub(super) unpaired: HashMap<Place, Unpaired>,
    /// A row's records may be in several partitions.
    pub(super) scatters: bool,
    /// Tombstones that followed no delete.
    pub(super) strays: Vec<(Place, i64)>,
    /// Topics of records of which nobody can tell whose they are.
    pub(super) shared: HashSet<String>,
    /// Index in `result.replays` of the stretch that is going on in a partition.
    pub(super) replaying: HashMap<(Arc<str>, i32), usize>,
    /// Places of settled changes of which copies came.
    pub(super) again: HashSet<usize>,
    pub(super) result: Reconciliation,
}

/// Settles every change. `events` in the order in which the readers saw them, all topics together.
pub fn reconcile(expectation: &Expectation<'_>, events: &[ReadEvent]) -> Reconciliation {
    let mut ledger = ChangeLedger::new(expectation, events);
    let mut snapshots: Vec<SnapshotRows<'_>> = ledger.lanes.iter().map(|_| SnapshotRows::default()).collect();
    let mut flat: Vec<Vec<&ReadEvent>> = ledger.lanes.iter().map(|_| Vec::new()).collect();
    for event in events {
        ledger.take(event, &mut snapshots, &mut flat);
    }
    ledger.judge_strays(events);
    for (index, records) in flat.into_iter().enumerate() {
        ledger.take_flat(index, &records);
    }
    ledger.end_of_events();
    let ChangeLedger { lanes, result, .. } = &mut ledger;
    for (lane, snapshots) in lanes.iter_mut().zip(snapshots) {
        snapshots.settle(lane, result, expectation);
    }
    ledger.judge_transactions(events);
    ledger.close()
}

impl<'a> ChangeLedger<'a> {
    fn new(expectation: &'a Expectation<'a>, events: &[ReadEvent]) -> Self {
        let lanes = expectation.connectors.iter().map(|connector| ConnectorLane {
            scope: ConnectorScope::new(connector.rules, expectation.topics, events),
            entries: Vec::new(),
            by_lsn: HashMap::new(),
            confirmed: connector.confirmed,
            stored: connector.stored,
            snapshot: None,
            latest: HashMap::new(),
            last_streamed: None,
            furthest: HashMap::new(),
            first_streamed: None,
            streaming_from: connector.streaming_from,
            made_at: connector.made_at,
            shown_at: None,
            first_placed: None,
            next: 0,
            writes: HashSet::new(),
            also_emptied: Vec::new(),
        });
        let mut ledger = Self {
            expectation,
            lanes: lanes.collect(),
            tables: HashSet::new(),
            elsewhere: Vec::new(),
            seen: HashMap::new(),
            bereaved: HashMap::new(),
            unpaired: HashMap::new(),
            scatters: expectation.connectors.iter().any(|connector| connector.rules.scatters().is_some()),
            strays: Vec::new(),
            shared: HashSet::new(),
            replaying: HashMap::new(),
            again: HashSet::new(),
            result: Reconciliation { version: VERSION, drained: expectation.drained, ..Reconciliation::default() },
        };
        for transaction in expectation.transactions {
            ledger.enter(transaction);
        }
        for lane in ledger.lanes.iter_mut().filter(|lane| *lane.scope.rules.form() != Form::Envelope) {
            lane.writes = lane.topics();
        }
        ledger.tell_apart();
        ledger.result.sheet.read = events.len() as u64;
        ledger.count_settled();
        ledger
    }

    fn enter(&mut self, transaction: &'a CommittedTransaction) {
        let claimed = self.expectation.claims(transaction);
        let mut counted = false;
        for change in &transaction.changes {
            self.tables.insert(&change.relation.name);
            let mut placed = false;
            // What one connector does not capture and another does is the other's.
            let captures = |lane: &ConnectorLane<'_>| {
                lane.scope.owed(transaction.xid, change) != Owed::Elsewhere
                    && lane.scope.table(&change.relation).captured
            };
            let captured = self.lanes.len() > 1 && self.lanes.iter().any(captures);
            for lane in &mut self.lanes {
                if captured && !lane.scope.table(&change.relation).captured {
                    continue;
                }
                let owed = lane.scope.owed(transaction.xid, change);
                // Truncations that the connector does not tell of matter for what a snapshot finds only.
                let silent = change.op == RowOp::Truncate && matches!(owed, Owed::Excused(_));
                let owed = match owed {
                    Owed::Elsewhere => continue,
                    _ if !claimed || silent => Owed::Foreign,
                    owed => owed,
                };
                placed = true;
                if lane.joins(change) {
                    continue;
                }
                self.result.sheet.committed += u64::from(owed != Owed::Foreign);
                counted |= owed == Owed::Yes;
                let index = lane.entries.len();
                lane.by_lsn.entry(change.lsn).or_insert((index, 0)).1 += 1;
                let published = lane.scope.published_op(transaction.xid, change);
                let published = published.map(|op| Box::new(published_as(change, op)));
                let fate = ChangeFate::Nothing;
                // What a row filter makes an insert or a delete of is told without the row before.
                let old_key = if published.is_some() { OldKey::Kept } else { lane.scope.old_key(change) };
                let (order, first) = (None, None);
                lane.entries.push(ExpectedChange { transaction, change, published, owed, fate, order, first, old_key });
            }
            if claimed && !placed && change.op != RowOp::Truncate {
                self.result.sheet.committed += 1;
                self.elsewhere.push((change, Owed::Elsewhere));
            }
        }
        self.result.transactions += u64::from(counted);
    }

    pub(super) fn note(&mut self, class: RowClass, anomaly: impl FnOnce() -> RowAnomaly) {
        self.result.note(self.expectation.samples, class, anomaly);
    }

    fn take<'e>(&mut self, read: &'e ReadEvent, snapshots: &mut [SnapshotRows<'e>], flat: &mut [Vec<&'e ReadEvent>]) {
        let settled = self.expectation.settled.is_some_and(|settled| settled.has_read(read));
        if settled || !self.is_new(read) {
            self.result.sheet.redelivered += 1;
            self.note(RowClass::Redelivered, || at_record(read, RowClass::Redelivered, String::new()));
            return;
        }
        match &read.kind {
            ReadKind::Ignored(_) | ReadKind::Boundary(_) => self.result.sheet.beside += 1,
            ReadKind::Tombstone { key } => {
                self.tombstone(read, key.as_ref());
                self.result.tombstones += 1;
                self.result.sheet.tombstones += 1;
                if let Some(index) = self.flat_lane(read).filter(|_| !self.shared.contains(&*read.topic)) {
                    flat[index].push(read);
                }
            }
            ReadKind::Plain(_) => match self.flat_lane(read) {
                _ if self.shared.contains(&*read.topic) => self.of_nobody(read),
                Some(index) => flat[index].push(read),
                None => match self.lanes.iter().find_map(ConnectorLane::untold_topics) {
                    Some(setting) => self.result.gap(None, &setting, 0, 1),
                    None => self.unreadable(read, "not a Debezium event: /op and /source are missing"),
                },
            },
            ReadKind::Unreadable(why) => self.unreadable(read, why),
            ReadKind::Change(event) => self.change(read, event, snapshots),
        }
    }

    fn change<'e>(&mut self, read: &'e ReadEvent, event: &'e ChangeEvent, snapshots: &mut [SnapshotRows<'e>]) {
        let origin = &event.source.origin;
        let lane = self.lane_of(&origin.name, &origin.table);
        let elsewhere = self.expectation.database.is_some_and(|name| origin.database != name);
        let Some(index) = lane.filter(|_| !elsewhere) else {
            self.foreign();
            return;
        };
        self.tombstone_due(read, event, index);
        if event.source.snapshot == Snapshot::No && self.is_again(read, event) {
            return;
        }
        if event.op == Op::Read {
            self.snapshot_after_settled(event.source.table());
            self.result.snapshot_rows += 1;
            self.result.sheet.snapshot_rows += 1;
            snapshots[index].add(read, event);
        } else {
            self.streamed(index, &Told::of(read, event), event.source.snapshot);
        }
    }

    fn is_new(&mut self, read: &ReadEvent) -> bool {
        let seen = self.seen.entry((read.topic.clone(), read.partition)).or_default();
        seen.insert((read.offset, print_of(read)))
    }

    /// The connector whose record it is: of several with one prefix the one that captures the table.
    pub(super) fn lane_of(&self, prefix: &str, table: &TableName) -> Option<usize> {
        let fits = |index: &usize| concerns(self.lanes[*index].scope.rules, prefix);
        let mut all = (0..self.lanes.len()).filter(fits);
        let (first, second) = (all.next()?, all.next());
        let captures = |index: &usize| self.lanes[*index].scope.rules.captures(table);
        match second {
            Some(second) if !captures(&first) => {
                Some(std::iter::once(second).chain(all).find(captures).unwrap_or(first))
            }
            _ => Some(first),
        }
    }

    /// A record that may be of one connector or of another.
    fn of_nobody(&mut self, read: &ReadEvent) {
        let lanes = self.lanes.iter().filter(|lane| lane.writes.contains(&*read.topic));
        let names: Vec<&str> = lanes.map(|lane| lane.scope.rules.connector.as_str()).collect();
        let reason = shared_topics(names.first().unwrap_or(&""), names.last().unwrap_or(&""));
        self.result.gap(None, &reason, 0, 1);
    }

    pub(super) fn flat_lane(&self, read: &ReadEvent) -> Option<usize> {
        let fits = |lane: &ConnectorLane<'_>| *lane.scope.rules.form() != Form::Envelope;
        let only = self.lanes.iter().filter(|lane| fits(lane)).count() == 1;
        self.lanes.iter().position(|lane| fits(lane) && (only || lane.writes.contains(&*read.topic)))
    }

    fn unreadable(&mut self, read: &ReadEvent, why: &str) {
        let setting = self.lanes.iter().find_map(|lane| lane.scope.unreadable.clone());
        if let Some(setting) = setting {
            self.result.gap(None, &setting, 0, 1);
            return;
        }
        self.result.sheet.corrupted += 1;
        self.note(RowClass::WrongContent, || at_record(read, RowClass::WrongContent, why.to_owned()));
    }

    pub(super) fn foreign(&mut self) {
        self.result.foreign += 1;
        self.result.sheet.foreign += 1;
    }
}
