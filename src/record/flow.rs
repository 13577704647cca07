//! How the changes of a database came to a reader.

use super::gaps::AckGap;
use super::series::TimeLine;
use super::slices::FlowSlice;
use crate::database::TableName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The changes of a database on their way to a reader. Times in µs of the run; those of the database's clock are moved by what that
/// clock was found to be ahead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeFlow {
    /// Changes that were due: committed in tables whose changes a connector has to bring to this reader, while it streamed.
    pub due: u64,
    /// Of these, arrived.
    pub arrived: u64,
    /// Of these, not as an event of their own, but in the rows of a snapshot, by whose end they count as arrived.
    #[serde(default)]
    pub shown: u64,
    /// Of these, not arrived, and nothing that was committed later had.
    pub waiting: u64,
    /// When the last arrived.
    pub last_arrival_us: Option<u64>,
    /// When it was looked at.
    pub looked_us: u64,
    /// Every time longer than 100 ms in which changes were due and none arrived.
    pub gaps: Vec<AckGap>,
    /// What became due and what arrived, by slice of the run.
    #[serde(default)]
    pub timeline: TimeLine<FlowSlice>,
    /// How far the database's clock was ahead, in µs; 0 where that could not be told from the time that the question took.
    pub clock_ahead_us: i64,
    /// The snapshots that the reader saw rows of, a table each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotFlow>,
}

/// The snapshot of a table as a reader saw it. Times in µs of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotFlow {
    /// The table.
    pub table: TableName,
    /// Whether it was taken while the log was streamed, asked for by a signal.
    pub incremental: bool,
    /// Rows that the reader saw.
    pub rows: u64,
    /// When it saw the first.
    pub first_us: u64,
    /// When it saw the last.
    pub last_us: u64,
    /// Whether that row said that it was the table's last; an incremental snapshot does not say so.
    pub complete: bool,
}
