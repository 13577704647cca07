//! When each change was committed, processed by its connector, and read: the way of changes in time.
//!
//! A change and its event are matched by the position in the log alone: what they say is the account's business, and this is looked at
//! while a run lasts.

use super::scope::{ConnectorScope, Expectation, Owed, ScopedConnector, concerns};
use super::settled::SettledPast;
use crate::database::{CommittedTransaction, Lsn, RowChange, RowOp, TableName};
use crate::debezium::{Deletes, Flat, Form, Op, ReadEvent, ReadKind, Snapshot};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The way of a change. Times in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeCourse {
    /// When it was committed, by the database's clock.
    pub committed_us: i64,
    /// When the connector processed it, by its clock (whole milliseconds before Debezium 2.6).
    pub connector_us: Option<i64>,
    /// When a reader had it for the first time; `None`: not yet.
    pub read_us: Option<i64>,
    /// It came with the rows of a snapshot, at the end of which it had been read.
    pub shown: bool,
}

/// What readers saw of the snapshot of a table. Times in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotCourse {
    /// Rows.
    pub rows: u64,
    /// When the first was read.
    pub first_us: i64,
    /// When the last was read.
    pub last_us: i64,
    /// Whether that row said that it was the table's last.
    pub complete: bool,
}

/// The ways of all changes that have to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Courses {
    /// Each change, in order of commit. Changes that a snapshot stands for are left out, and those that the connector has passed over;
    /// of those that a setting may drop, the ones that did not come.
    pub changes: Vec<ChangeCourse>,
    /// Snapshots by table, and whether they were incremental.
    pub snapshots: BTreeMap<(TableName, bool), SnapshotCourse>,
}

/// An event at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    lsn: Lsn,
    /// Of table and key: rows that one log record contains are told apart.
    row: u64,
    read_us: i64,
    connector_us: Option<i64>,
}

/// What a connector has sent.
#[derive(Default)]
struct Sent<'e> {
    /// By position, then by row, the first reading first.
    arrivals: Vec<Arrival>,
    /// The last initial snapshot of each table, and of all.
    snapshots: BTreeMap<&'e TableName, Lsn>,
    snapshot: Option<Lsn>,
    /// When the last row was read of each snapshot of a table, by its position.
    shown: BTreeMap<(&'e TableName, Lsn), i64>,
}

/// The ways of the changes that are settled for good: there may be a million of them.
pub fn settled_courses<'e>(expectation: &Expectation<'e>) -> impl Iterator<Item = ChangeCourse> + use<'e> {
    let settled =
        expectation.settled.into_iter().flat_map(|settled| &settled.changes).filter(|change| change.arrived());
    settled.map(|change| ChangeCourse {
        committed_us: change.committed_us,
        connector_us: change.connector_us(),
        read_us: Some(change.read_us),
        shown: false,
    })
}

/// Follows every change that has to come, but for those that are settled.
///
/// # Errors
/// Why that cannot be told, in words: records have no position in the log.
pub fn courses(expectation: &Expectation<'_>, events: &[ReadEvent]) -> Result<Courses, String> {
    let mut all = Courses::default();
    for connector in expectation.connectors {
        let rules = connector.rules;
        let position = match rules.form() {
            Form::Envelope => None,
            Form::Flat(flat) => Some(flat.lsn.as_deref().ok_or_else(|| without_position(flat))?),
            Form::Outbox(outbox) => {
                return Err(format!(
                    "messages of transforms.{} have no position in the database's log",
                    outbox.transform
                ));
            }
        };
        let scope = ConnectorScope::new(rules, expectation.topics, events);
        let sent = Sent::of(&scope, position, events, &mut all.snapshots);
        // Who is not known to have streamed from a position on has done so from its first event on.
        let first = || sent.arrivals.first().map(|arrival| arrival.lsn);
        let first = || expectation.settled.and_then(SettledPast::first).or_else(first);
        // A snapshot that was taken later, while it streamed, is no beginning.
        let began = || sent.snapshot.filter(|at| first().is_none_or(|first| *at <= first));
        let begins = connector.streaming_from.or_else(began).or_else(first);
        follow(expectation, &scope, &sent, begins, &mut all.changes);
    }
    // Of several connectors each has its changes in order.
    all.changes.sort_unstable_by_key(|change| (change.committed_us, change.read_us));
    Ok(all)
}

fn without_position(flat: &Flat) -> String {
    format!(
        "records of transforms.{} have no position in the database's log; \
         transforms.{0}.add.fields=op,source.lsn gives them one",
        flat.transform
    )
}

impl<'e> Sent<'e> {
    fn of(
        scope: &ConnectorScope<'_>,
        position: Option<&str>,
        events: &'e [ReadEvent],
        snapshots: &mut BTreeMap<(TableName, bool), SnapshotCourse>,
    ) -> Self {
        let mut sent = Self::default();
        let mut add = |lsn: Lsn, row: u64, read: &ReadEvent, connector_us: Option<i64>| {
            sent.arrivals.push(Arrival { lsn, row, read_us: read.read_us, connector_us });
        };
        for read in events {
            match (&read.kind, position) {
                (ReadKind::Change(event), _) if concerns(scope.rules, &event.source.origin.name) => {
                    let table = event.source.table();
                    let Some(lsn) = event.source.lsn else { continue };
                    if event.op == Op::Read {
                        let incremental = event.source.snapshot == Snapshot::Incremental;
                        shown(snapshots, (table, incremental), read.read_us, event.source.last_of_snapshot);
                        if !incremental {
                            let known = sent.snapshots.entry(table).or_insert(lsn);
                            *known = (*known).max(lsn);
                            sent.snapshot = sent.snapshot.max(Some(lsn));
                            let shown_us = sent.shown.entry((table, lsn)).or_insert(read.read_us);
                            *shown_us = (*shown_us).max(read.read_us);
                        }
                    } else if event.source.snapshot == Snapshot::No {
                        let key = event.key.as_ref().map_or("", |key| key.as_json());
                        add(lsn, marked(&(table, key)), read, event.ts_us);
                    }
                }
                (ReadKind::Plain(record), Some(field)) => {
                    if let Some(lsn) = record.value().get(field).and_then(serde_json::Value::as_u64) {
                        add(Lsn(lsn), marked(&record.key), read, None);
                    }
                }
                _ => {}
            }
        }
        sent.arrivals.sort_unstable();
        sent.arrivals.dedup_by_key(|arrival| (arrival.lsn, arrival.row));
        sent
    }
}

/// Whether records of that kind have a position: a tombstone has none.
fn has_position(scope: &ConnectorScope<'_>, op: RowOp) -> bool {
    match scope.rules.form() {
        Form::Flat(flat) => op != RowOp::Delete || flat.deletes == Deletes::Rewritten,
        _ => true,
    }
}

fn marked(row: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}

fn shown(
    snapshots: &mut BTreeMap<(TableName, bool), SnapshotCourse>,
    (table, incremental): (&TableName, bool),
    read_us: i64,
    last: bool,
) {
    let known = snapshots.entry((table.clone(), incremental)).or_insert(SnapshotCourse {
        rows: 0,
        first_us: read_us,
        last_us: read_us,
        complete: false,
    });
    known.rows += 1;
    known.first_us = known.first_us.min(read_us);
    known.last_us = known.last_us.max(read_us);
    known.complete |= last;
}

/// How many of the rows of a log record a connector has to send, and how many it may.
fn owed_of(xid: u32, rows: &[RowChange], scope: &ConnectorScope<'_>) -> (usize, usize) {
    let (mut owed, mut possible) = (0, 0);
    for change in rows.iter().filter(|change| has_position(scope, change.op)) {
        match scope.owed(xid, change) {
            Owed::Yes => (owed, possible) = (owed + 1, possible + 1),
            Owed::Perhaps(_) => possible += 1,
            _ => {}
        }
    }
    (owed, possible)
}

/// Adds the changes of one connector.
fn follow(
    expectation: &Expectation<'_>,
    scope: &ConnectorScope<'_>,
    sent: &Sent<'_>,
    begins: Option<Lsn>,
    all: &mut Vec<ChangeCourse>,
) {
    let arrivals = &sent.arrivals;
    // Those that have not arrived, from the last arrival on; what a later one has passed is lost, not awaited.
    let mut waiting: Vec<ChangeCourse> = Vec::new();
    for transaction in expectation.transactions {
        let mut changes = transaction.changes.as_slice();
        while let Some(lsn) = changes.first().map(|change| change.lsn) {
            // A log record may have several rows: those that were read came with the others.
            let count = changes.iter().take_while(|change| change.lsn == lsn).count();
            let (rows, rest) = changes.split_at(count);
            changes = rest;
            let (owed, possible) = owed_of(transaction.xid, rows, scope);
            if possible == 0 {
                continue;
            }
            let from = arrivals.partition_point(|arrival| arrival.lsn < lsn);
            let read = arrivals[from..].iter().take_while(|arrival| arrival.lsn == lsn).take(possible);
            let before = all.len();
            all.extend(read.map(|arrival| ChangeCourse {
                committed_us: transaction.committed_us,
                connector_us: arrival.connector_us,
                read_us: Some(arrival.read_us),
                shown: false,
            }));
            if all.len() > before {
                waiting.clear();
                continue;
            }
            let name = scope.name_of(&rows[0].relation);
            let streamed = begins.is_none_or(|begins| transaction.commit_lsn >= begins);
            let mut later = sent.shown.range((name, transaction.commit_lsn)..);
            if let Some((_, shown_us)) = later.next().filter(|((table, _), _)| streamed && *table == name) {
                // A connector that had lost its place shows what it had not sent yet in a new snapshot.
                all.extend(std::iter::repeat_n(
                    ChangeCourse {
                        committed_us: transaction.committed_us,
                        connector_us: None,
                        read_us: Some(*shown_us),
                        shown: true,
                    },
                    owed,
                ));
                continue;
            }
            let border = sent.snapshots.get(name).copied().max(begins);
            if border.is_none_or(|border| transaction.commit_lsn >= border) {
                let course = ChangeCourse {
                    committed_us: transaction.committed_us,
                    connector_us: None,
                    read_us: None,
                    shown: false,
                };
                waiting.extend(std::iter::repeat_n(course, owed));
            }
        }
    }
    all.append(&mut waiting);
}

/// When the oldest transaction was committed, by the database's clock in microseconds since the Unix epoch, that has a change which the
/// connector has to deliver and that it has not confirmed; `None` where there is none.
pub fn oldest_unconfirmed(
    settled: &SettledPast,
    transactions: &[CommittedTransaction],
    connector: &ScopedConnector<'_>,
    confirmed: Lsn,
) -> Option<i64> {
    let scope = ConnectorScope::new(connector.rules, None, &[]);
    // Those of before its slot are none of it.
    let from = connector.streaming_from.unwrap_or_default().max(confirmed);
    let known = settled.commits.partition_point(|(commit_lsn, _)| *commit_lsn < from);
    if let Some((_, committed_us)) = settled.commits.get(known) {
        return Some(*committed_us);
    }
    let first = transactions.partition_point(|transaction| transaction.commit_lsn < from);
    let waits = |transaction: &&CommittedTransaction| {
        transaction.changes.iter().any(|change| scope.owed(transaction.xid, change) == Owed::Yes)
    };
    transactions[first..].iter().find(waits).map(|transaction| transaction.committed_us)
}
