//! The sheet of a delivery of changes: double-entry bookkeeping.

use crate::database::{RowOp, TableName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every committed change and every record read, each in exactly one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChangeSheet {
    /// Changes that the senders committed.
    pub committed: u64,
    /// Of these, read once.
    pub once: u64,
    /// Of these, read more than once.
    pub duplicated: u64,
    /// Of these, read only with other content.
    pub damaged: u64,
    /// Of these, contained in a row that a snapshot read.
    pub superseded: u64,
    /// Of these, never read although connector and reader have passed them.
    pub lost: u64,
    /// Of these, not read yet.
    pub unread: u64,
    /// Of these, not to arrive by a declaration, which is named.
    pub excused: u64,
    /// Of these, not judged, for a reason that is named.
    pub unjudged: u64,
    /// Records that the readers saw.
    pub read: u64,
    /// Of these, the first of a change.
    pub owed: u64,
    /// Of these, a further one of a change.
    pub copies: u64,
    /// Of these, not what the database says.
    pub corrupted: u64,
    /// Of these, without a change in the database.
    pub phantom: u64,
    /// Of these, about changes of others.
    pub foreign: u64,
    /// Of these, the same record a second time.
    pub redelivered: u64,
    /// Of these, rows that a snapshot read.
    pub snapshot_rows: u64,
    /// Of these, records without value.
    pub tombstones: u64,
    /// Of these, without a row: heartbeats, transaction metadata, schema changes, and the halves of an update of a key.
    pub beside: u64,
    /// Of these, not judged.
    pub unjudged_records: u64,
}

impl ChangeSheet {
    /// What does not add up, in words; nothing where all does.
    pub fn imbalance(&self) -> Option<String> {
        // Sums that somebody else has written may be of any size.
        let sum = |parts: &[u64]| parts.iter().fold(0, |sum: u64, part| sum.saturating_add(*part));
        let arrived = [self.once, self.duplicated];
        let changes = [self.damaged, self.superseded, self.lost, self.unread, self.excused, self.unjudged];
        let records = [self.owed, self.copies, self.corrupted, self.phantom, self.foreign, self.redelivered];
        let others = [self.snapshot_rows, self.tombstones, self.beside, self.unjudged_records];
        let sums = [
            ("committed changes", self.committed, sum(&[sum(&arrived), sum(&changes)])),
            ("records read", self.read, sum(&[sum(&records), sum(&others)])),
            ("changes read and records of changes", sum(&arrived), self.owed),
        ];
        let wrong = sums.into_iter().find(|(_, whole, parts)| whole != parts)?;
        Some(format!("{}: {} in all, {} in the columns", wrong.0, wrong.1, wrong.2))
    }
}

/// Changes that do not have to arrive, and by which declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excuse {
    /// Table.
    pub table: TableName,
    /// What happened to the rows.
    pub op: RowOp,
    /// The declaration.
    pub reason: String,
    /// How many.
    pub changes: u64,
}

/// Changes or records that are not judged, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Table, where it is known.
    pub table: Option<TableName>,
    /// Why, with the setting and what to change.
    pub reason: String,
    /// Changes that are not judged.
    pub changes: u64,
    /// Records that are not judged.
    pub records: u64,
}

/// Values that were not compared, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotCompared {
    /// Table.
    pub table: TableName,
    /// Column.
    pub column: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub values: u64,
}
