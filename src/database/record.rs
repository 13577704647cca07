//! What became of each transaction that a `sql` step ran.

use super::SqlFailure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a transaction ended, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SqlOutcome {
    /// The server confirmed the commit.
    Committed,
    /// Rolled back on request.
    RolledBack,
    /// Definitely without effect: refused before the commit was asked for, or by the commit itself.
    Failed {
        /// The server's reason.
        failure: Box<SqlFailure>,
    },
    /// Definitely without effect: the connection broke before the commit was asked for.
    Lost {
        /// Why.
        cause: String,
    },
    /// The commit was asked for and the connection broke before the answer. The database's account settles it.
    Unknown {
        /// Why.
        cause: String,
    },
}

/// One transaction of a `sql` step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SqlRecord {
    /// Number of the repetition, or of the transaction within a script, from 0.
    pub index: u64,
    /// When it was due, microseconds since the step's start.
    pub due_us: u64,
    /// When its first statement was sent, microseconds since the step's start.
    pub sent_us: u64,
    /// When its outcome was known, microseconds since the step's start.
    pub done_us: u64,
    /// Transaction id (the lower 32 bits, as in Debezium's `source.txId`); `None` where nothing was changed.
    pub xid: Option<u32>,
    /// Rows that its statements reported as affected.
    pub rows: u64,
    /// How it ended.
    pub outcome: SqlOutcome,
}

impl SqlRecord {
    /// Microseconds from due to the outcome: counts the delay of a stall for every transaction that had to wait (no coordinated omission).
    pub fn response_us(&self) -> u64 {
        self.done_us.saturating_sub(self.due_us)
    }
}
