//! Figures of an account of changes that a check may name beside the classes of anomalies.

use super::Reconciliation;
use serde::{Deserialize, Serialize};

/// A figure of an account of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tally {
    /// Inserts that arrived.
    Inserts,
    /// Updates that arrived.
    Updates,
    /// Deletes that arrived.
    Deletes,
    /// Truncations that arrived.
    Truncations,
    /// Records without value.
    Tombstones,
    /// Deletes without tombstone.
    MissingTombstones,
    /// Changes that rows of a snapshot contain.
    CoveredBySnapshot,
    /// Rows that snapshots read.
    SnapshotRows,
    /// Values that were not compared.
    ValuesNotCompared,
    /// Changes that a declaration keeps from arriving.
    Excused,
    /// Transactions that came whole.
    WholeTransactions,
    /// Transactions that did not.
    TornTransactions,
    /// Transactions in another order than that of commits.
    ReorderedTransactions,
}

impl Tally {
    /// Every figure, in the order of the reference.
    pub const ALL: [Self; 13] = [
        Self::Inserts,
        Self::Updates,
        Self::Deletes,
        Self::Truncations,
        Self::Tombstones,
        Self::MissingTombstones,
        Self::CoveredBySnapshot,
        Self::SnapshotRows,
        Self::ValuesNotCompared,
        Self::Excused,
        Self::WholeTransactions,
        Self::TornTransactions,
        Self::ReorderedTransactions,
    ];

    /// The name used in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inserts => "inserts",
            Self::Updates => "updates",
            Self::Deletes => "deletes",
            Self::Truncations => "truncations",
            Self::Tombstones => "tombstones",
            Self::MissingTombstones => "missing_tombstones",
            Self::CoveredBySnapshot => "covered_by_snapshot",
            Self::SnapshotRows => "snapshot_rows",
            Self::ValuesNotCompared => "values_not_compared",
            Self::Excused => "excused",
            Self::WholeTransactions => "whole_transactions",
            Self::TornTransactions => "torn_transactions",
            Self::ReorderedTransactions => "reordered_transactions",
        }
    }

    /// What it counts, for the reference.
    pub fn description(self) -> &'static str {
        match self {
            Self::Inserts => "Of a database: inserts that arrived as events of their own.",
            Self::Updates => "Of a database: updates that arrived as events of their own.",
            Self::Deletes => "Of a database: deletes that arrived as events of their own.",
            Self::Truncations => "Of a database: truncations that arrived.",
            Self::Tombstones => "Of a database: records without value that the readers saw.",
            Self::MissingTombstones => {
                "Of a database: deletes that no tombstone followed, although the connector writes them."
            }
            Self::CoveredBySnapshot => {
                "Of a database: changes that arrived in a row of a snapshot, which shows what came of them."
            }
            Self::SnapshotRows => "Of a database: rows that snapshots read.",
            Self::ValuesNotCompared => {
                "Of a database: values whose form in the event is not known, or that the event leaves out."
            }
            Self::Excused => {
                "Of a database: changes that a declaration keeps from arriving, such as `skipped.operations`."
            }
            Self::WholeTransactions => {
                "Of a database: transactions whose end was told, with as many changes as were committed, all of which arrived. Needs \
                 `provide.transaction.metadata` and a reader of that topic."
            }
            Self::TornTransactions => {
                "Of a database: transactions whose end was not told, tells another number of changes, or of which a change is missing."
            }
            Self::ReorderedTransactions => {
                "Of a database: transactions whose end came after that of a later one, or whose changes say another order than the log."
            }
        }
    }

    /// Whether it is known only where a connector tells of whole transactions.
    pub fn is_of_transactions(self) -> bool {
        matches!(self, Self::WholeTransactions | Self::TornTransactions | Self::ReorderedTransactions)
    }

    /// Whether only records in topics have it.
    pub fn is_of_records(self) -> bool {
        let told = matches!(self, Self::Truncations | Self::Tombstones | Self::MissingTombstones | Self::SnapshotRows);
        told || self.is_of_transactions()
    }

    /// The figure in an account.
    pub fn of(self, changes: &Reconciliation) -> u64 {
        match self {
            Self::Inserts => changes.delivered.inserts,
            Self::Updates => changes.delivered.updates,
            Self::Deletes => changes.delivered.deletes,
            Self::Truncations => changes.delivered.truncations,
            Self::Tombstones => changes.tombstones,
            Self::MissingTombstones => changes.missing_tombstones,
            Self::CoveredBySnapshot => changes.covered_by_snapshot,
            Self::SnapshotRows => changes.snapshot_rows,
            Self::ValuesNotCompared => changes.values_not_compared,
            Self::Excused => changes.sheet.excused,
            Self::WholeTransactions => changes.whole_transactions.as_ref().map_or(0, |told| told.whole),
            Self::TornTransactions => changes.whole_transactions.as_ref().map_or(0, |told| told.torn),
            Self::ReorderedTransactions => changes.whole_transactions.as_ref().map_or(0, |told| told.reordered),
        }
    }
}
