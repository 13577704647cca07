//! The result of holding events against the database's account.

use super::sheet::{ChangeSheet, Excuse, Gap, NotCompared};
use super::transactions::WholeTransactions;
use crate::database::{Lsn, RowOp, TableName};
use crate::text::short;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Reasons that are kept apart in each list; all others are counted in one more entry.
const MOST_REASONS: usize = 1_000;
const OTHERS: &str = "there are more reasons than are told apart: what is counted here is of any table and kind";
/// Characters of a name, a key or a reason that are kept: a key may be of any length, and so may a setting.
const MOST_CHARACTERS: usize = 4_000;

/// What can be wrong with a row's change on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RowClass {
    /// Committed, and never arrived although the connector has passed it and the reader reached the end.
    Lost,
    /// Committed, not seen yet: the reader has not reached the end, or the connector has not read that far. Unknown, not lost.
    Unread,
    /// The same change as a second record. Legal in at-least-once.
    Duplicated,
    /// The same record (topic, partition, offset) read a second time.
    Redelivered,
    /// Arrived after a later change of the same row.
    OutOfOrder,
    /// An event without a change in the database.
    Phantom,
    /// The event does not say what the database says.
    WrongContent,
    /// A delete that no tombstone followed, although the connector writes them.
    MissingTombstone,
}

impl RowClass {
    /// All classes, the worst first.
    pub const ALL: [Self; 8] = [
        Self::Lost,
        Self::Phantom,
        Self::WrongContent,
        Self::OutOfOrder,
        Self::Unread,
        Self::MissingTombstone,
        Self::Duplicated,
        Self::Redelivered,
    ];
}

impl fmt::Display for RowClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Unread => "unread",
            Self::Duplicated => "duplicated",
            Self::Redelivered => "redelivered",
            Self::OutOfOrder => "out of order",
            Self::Phantom => "phantom",
            Self::WrongContent => "wrong content",
            Self::MissingTombstone => "missing tombstone",
        })
    }
}

/// Numbers of changes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeCounts {
    /// Inserted rows.
    pub inserts: u64,
    /// Updated rows.
    pub updates: u64,
    /// Deleted rows.
    pub deletes: u64,
    /// Truncated tables, where the connector tells of them.
    #[serde(default)]
    pub truncations: u64,
}

impl ChangeCounts {
    /// Counts one change.
    pub fn add(&mut self, op: RowOp) {
        match op {
            RowOp::Insert => self.inserts += 1,
            RowOp::Update => self.updates += 1,
            RowOp::Delete => self.deletes += 1,
            RowOp::Truncate => self.truncations += 1,
        }
    }

    /// All kinds together.
    pub fn total(&self) -> u64 {
        // Sums that somebody else has written may be of any size.
        [self.updates, self.deletes, self.truncations].into_iter().fold(self.inserts, u64::saturating_add)
    }
}

/// One offending change or event, named so that it can be found in the database and in the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowAnomaly {
    /// What is wrong.
    pub class: RowClass,
    /// Table.
    pub table: TableName,
    /// Primary key in words, `id=7`.
    pub key: String,
    /// What happened to the row, where it is known.
    pub op: Option<RowOp>,
    /// Transaction id (lower 32 bits).
    pub xid: Option<u32>,
    /// Position of the change in the database's log.
    pub lsn: Option<Lsn>,
    /// Commit time by the database's clock, microseconds since the Unix epoch.
    pub committed_us: Option<i64>,
    /// Topic of the event, where there is one.
    pub topic: Option<String>,
    /// Partition of the event.
    pub partition: Option<i32>,
    /// Offset of the event.
    pub offset: Option<i64>,
    /// More in words; empty where the class says all.
    pub detail: String,
}

impl fmt::Display for RowAnomaly {
    /// `lost: public.orders id=7, insert in transaction 745 at 0/16B3748`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.class)?;
        if !self.table.table.is_empty() {
            write!(f, " {}", self.table)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}", self.key)?;
        }
        if let Some(op) = self.op {
            write!(f, ", {}", format!("{op:?}").to_lowercase())?;
        }
        if let Some(xid) = self.xid {
            write!(f, " in transaction {xid}")?;
        }
        if let Some(lsn) = self.lsn {
            write!(f, " at {lsn}")?;
        }
        if let (Some(topic), Some(partition), Some(offset)) = (&self.topic, self.partition, self.offset) {
            write!(f, ", record {topic}-{partition}@{offset}")?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// A stretch of changes that a connector sent a second time, because it continued from an older position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset of the first repeated record.
    pub first_offset: i64,
    /// Records repeated in a row.
    pub events: u64,
    /// Position in the database's log it went back to.
    pub from: Lsn,
    /// Position of the last repeated change.
    pub to: Lsn,
}

/// Version of [`Reconciliation`]: what a column means does not change within one.
pub const VERSION: u32 = 2;

/// What became of every change. `expected = delivered + covered_by_snapshot + lost + unread`; see also the sheet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reconciliation {
    /// Version of this account; 0 in results of the first version, which have no sheet.
    pub version: u32,
    /// The readers had reached the end of every partition.
    pub drained: bool,
    /// Every change and every record in its column.
    pub sheet: ChangeSheet,
    /// Changes that do not have to arrive.
    pub excused: Vec<Excuse>,
    /// What is not judged: while there is any of it, nothing can be said to be complete.
    pub unjudged: Vec<Gap>,
    /// Values that were not compared.
    pub not_compared: Vec<NotCompared>,
    /// Values that were compared.
    pub values_compared: u64,
    /// Transactions with expected changes.
    pub transactions: u64,
    /// What became of whole transactions, where a connector tells of them in a topic that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole_transactions: Option<WholeTransactions>,
    /// Changes that had to arrive.
    pub expected: ChangeCounts,
    /// Of these, arrived as an event of their own.
    pub delivered: ChangeCounts,
    /// Of these, contained in the rows that a snapshot read (a row inserted, then updated, before it: one event stands for both).
    pub covered_by_snapshot: u64,
    /// Of these, never arrived.
    pub lost: u64,
    /// Rows (distinct keys) with lost changes.
    pub lost_rows: u64,
    /// Of these, not seen yet: reader or connector have not come so far.
    pub unread: u64,
    /// Second records of the same change.
    pub duplicated: u64,
    /// Records read a second time.
    pub redelivered: u64,
    /// Changes that arrived after a later change of the same row.
    pub out_of_order: u64,
    /// Events without a change.
    pub phantom: u64,
    /// Events that disagree with the database.
    pub wrong_content: u64,
    /// Deletes without tombstone.
    pub missing_tombstones: u64,
    /// The setting by which tombstones of deletes that arrived may not come: where there is one they are not counted as missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untold_tombstones: Option<String>,
    /// Tombstones read.
    pub tombstones: u64,
    /// Rows read by snapshots.
    pub snapshot_rows: u64,
    /// Events about changes of others: of other steps, other tables, or outside the time the account covers.
    pub foreign: u64,
    /// Column values whose form in the event is not understood or that the event leaves out; they count neither as right nor wrong.
    pub values_not_compared: u64,
    /// Duplicates explained: where the connector went back to.
    pub replays: Vec<Replay>,
    /// The first offenders of each class.
    pub samples: Vec<RowAnomaly>,
}

impl Reconciliation {
    /// Whether every change has its place, and none is missing.
    pub fn is_complete(&self) -> bool {
        self.sheet.lost + self.sheet.unread + self.sheet.unjudged == 0
    }

    /// Changes excused, for whatever reason.
    pub(super) fn excuse(&mut self, table: &TableName, op: RowOp, reason: &str) {
        self.sheet.excused += 1;
        let reason = bounded(reason);
        let same = |known: &Excuse| known.op == op && known.table == *table && known.reason == reason;
        let new = |table, reason: &str| Excuse { table, op, reason: reason.to_owned(), changes: 0 };
        entry(&mut self.excused, same, || new(table.clone(), &reason), || new(any(), OTHERS)).changes += 1;
    }

    /// Something that is not judged: changes, records or both.
    pub(super) fn gap(&mut self, table: Option<&TableName>, reason: &str, changes: u64, records: u64) {
        self.sheet.unjudged += changes;
        self.sheet.unjudged_records += records;
        let reason = bounded(reason);
        let same = |known: &Gap| known.table.as_ref() == table && known.reason == reason;
        let new = |table, reason: &str| Gap { table, reason: reason.to_owned(), changes: 0, records: 0 };
        let known = entry(&mut self.unjudged, same, || new(table.cloned(), &reason), || new(None, OTHERS));
        known.changes += changes;
        known.records += records;
    }

    /// A value that is not compared.
    pub(super) fn skip_value(&mut self, table: &TableName, column: &str, reason: &str) {
        self.values_not_compared += 1;
        let reason = bounded(reason);
        let same = |known: &NotCompared| known.column == column && known.table == *table && known.reason == reason;
        let new = |table, column: &str, reason: &str| {
            let (column, reason) = (column.to_owned(), reason.to_owned());
            NotCompared { table, column, reason, values: 0 }
        };
        let others = || new(any(), "*", OTHERS);
        entry(&mut self.not_compared, same, || new(table.clone(), column, &reason), others).values += 1;
    }

    /// Number of offences of a class.
    pub fn count(&self, class: RowClass) -> u64 {
        match class {
            RowClass::Lost => self.lost,
            RowClass::Unread => self.unread,
            RowClass::Duplicated => self.duplicated,
            RowClass::Redelivered => self.redelivered,
            RowClass::OutOfOrder => self.out_of_order,
            RowClass::Phantom => self.phantom,
            RowClass::WrongContent => self.wrong_content,
            RowClass::MissingTombstone => self.missing_tombstones,
        }
    }

    /// Counts an offence and keeps it among the samples while its class has fewer than `limit`.
    pub(super) fn note(&mut self, limit: usize, class: RowClass, describe: impl FnOnce() -> RowAnomaly) {
        let seen = match class {
            RowClass::Lost => &mut self.lost,
            RowClass::Unread => &mut self.unread,
            RowClass::Duplicated => &mut self.duplicated,
            RowClass::Redelivered => &mut self.redelivered,
            RowClass::OutOfOrder => &mut self.out_of_order,
            RowClass::Phantom => &mut self.phantom,
            RowClass::WrongContent => &mut self.wrong_content,
            RowClass::MissingTombstone => &mut self.missing_tombstones,
        };
        *seen += 1;
        if *seen <= limit as u64 {
            let mut sample = describe();
            let RowAnomaly { table, key, topic, detail, .. } = &mut sample;
            for text in [&mut table.schema, &mut table.table, key, detail].into_iter().chain(topic) {
                if let Cow::Owned(cut) = bounded(text) {
                    *text = cut;
                }
            }
            self.samples.push(sample);
        }
    }
}

/// The table of what is of several ones.
fn any() -> TableName {
    TableName::new("*", "*")
}

fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MOST_CHARACTERS { Cow::Borrowed(text) } else { Cow::Owned(short(text, MOST_CHARACTERS)) }
}

/// The entry that it is, or a new one; that of all others where there are too many.
fn entry<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool, new: impl FnOnce() -> T, others: impl FnOnce() -> T) -> &mut T {
    let place = list.iter().position(is).unwrap_or_else(|| {
        match list.len() {
            more if more > MOST_REASONS => {}
            MOST_REASONS => list.push(others()),
            _ => list.push(new()),
        }
        list.len() - 1
    });
    &mut list[place]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_texts_of_any_number_and_length_are_kept_within_bounds() {
        let (mut result, table) = (Reconciliation::default(), TableName::new("public", "orders"));
        let (many, long) = (MOST_REASONS as u64 + 500, "x".repeat(1 << 20));
        for _ in 0..2 {
            for number in 0..many {
                let reason = format!("reason {number}");
                result.excuse(&table, RowOp::Insert, &reason);
                result.gap(Some(&table), &reason, 1, 2);
                result.skip_value(&table, &format!("column {number}"), "of another form");
            }
        }
        assert_eq!((result.excused.len(), result.unjudged.len(), result.not_compared.len()), (1001, 1001, 1001));
        let (excuse, gap) = (&result.excused[1000], &result.unjudged[1000]);
        assert_eq!((&*excuse.reason, excuse.changes, excuse.table.to_string()), (OTHERS, 1000, "*.*".to_owned()));
        assert_eq!((&*gap.reason, gap.changes, gap.records, &gap.table), (OTHERS, 1000, 2000, &None));
        assert_eq!(result.not_compared[1000].values, 1000);
        assert!(result.excused[..1000].iter().all(|one| one.changes == 2 && one.table == table));
        assert_eq!(result.excused.iter().map(|one| one.changes).sum::<u64>(), result.sheet.excused);
        assert_eq!(result.unjudged.iter().map(|one| one.records).sum::<u64>(), result.sheet.unjudged_records);
        // Texts without end are the same by what is kept of them.
        let mut result = Reconciliation::default();
        for _ in 0..2 {
            result.gap(None, &long, 1, 0);
            result.excuse(&table, RowOp::Delete, &long);
            result.note(5, RowClass::Lost, || RowAnomaly {
                class: RowClass::Lost,
                table: TableName::new(&*long, &*long),
                key: long.clone(),
                op: None,
                xid: None,
                lsn: None,
                committed_us: None,
                topic: Some(long.clone()),
                partition: None,
                offset: None,
                detail: long.clone(),
            });
        }
        assert_eq!((result.unjudged.len(), result.excused.len(), result.lost), (1, 1, 2));
        assert!(serde_json::to_string(&result).unwrap().len() < 60_000);
    }
}
