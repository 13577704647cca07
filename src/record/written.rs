//! What a load of a database measured.

use super::gaps::AckGap;
use super::series::TimeLine;
use super::slices::WriteSlice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The report of a step that repeats statements. Times in µs of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WriteReport {
    /// When the schedule began.
    pub start_us: u64,
    /// When the last commit was confirmed; 0 without any.
    pub last_commit_us: u64,
    /// When the last outcome was known.
    pub end_us: u64,
    /// Transactions committed.
    pub committed: u64,
    /// Transactions that the server refused.
    pub failed: u64,
    /// Transactions whose connection broke before the commit was asked for.
    pub lost: u64,
    /// Transactions of which the outcome is not known.
    pub unknown: u64,
    /// Rows that the statements reported as affected.
    pub rows: u64,
    /// Every time longer than 100 ms in which transactions were due and none was committed.
    pub commit_gaps: Vec<AckGap>,
    /// What became due, and what became of it, by slice of the run; empty in results of older versions.
    #[serde(default)]
    pub timeline: TimeLine<WriteSlice>,
}

impl WriteReport {
    /// Transactions whose outcome is known, and those of which it never will be.
    pub fn total(&self) -> u64 {
        [self.failed, self.lost, self.unknown].into_iter().fold(self.committed, u64::saturating_add)
    }
}
