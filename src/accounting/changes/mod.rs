//! What became of every row's change: the database's account held against the events that readers saw.

mod anomalies;
mod apart;
mod before;
mod closing;
mod content;
mod copied;
mod courses;
mod flat;
mod halves;
mod ledger;
mod not_stored;
mod outbox;
mod packed_rows;
mod placing;
mod reconciliation;
mod rows;
mod scope;
mod settled;
mod settlement;
mod settling;
mod sheet;
mod snapshot;
mod tally;
mod tombstones;
mod transactions;
mod truncations;
mod written;

pub use copied::{TableCopy, last_to_come, reconcile_table, written_table};
pub use courses::{ChangeCourse, Courses, courses, oldest_unconfirmed, settled_courses};
pub use ledger::reconcile;
pub use not_stored::NotStored;
pub use packed_rows::PackedRows;
pub use reconciliation::{Reconciliation, RowAnomaly, RowClass};
pub use rows::written;
pub use scope::{Expectation, ScopedConnector};
pub use settled::{SettledPast, SettlingBudget};
pub use settlement::{ChangeBasis, ChangeSettlement, Figure, FigureCheck};
pub use sheet::{Excuse, Gap, NotCompared};
pub use tally::Tally;
#[cfg(test)]
pub use {
    reconciliation::ChangeCounts, sheet::ChangeSheet, stored_tests::stored_example, transactions::WholeTransactions,
};

#[cfg(test)]
mod apart_tests;
#[cfg(test)]
mod courses_tests;
#[cfg(test)]
mod filtered_tests;
#[cfg(test)]
mod flat_tests;
#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod partition_tests;
#[cfg(test)]
mod settled_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod stored_tests;
