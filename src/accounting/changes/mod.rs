//! What became of every row's change: the database's account held against the events that readers saw.

mod anomalies;
mod closing;
mod content;
mod flat;
mod ledger;
mod packed_rows;
mod placing;
mod reconciliation;
mod rows;
mod scope;
mod settlement;
mod sheet;
mod snapshot;
mod tally;
mod written;

pub use ledger::reconcile;
pub use packed_rows::{NotStored, PackedRows};
pub use reconciliation::{Reconciliation, RowAnomaly, RowClass};
pub use rows::written;
pub use scope::{Expectation, ScopedConnector};
pub use settlement::{ChangeBasis, ChangeSettlement, Figure, FigureCheck};
pub use sheet::{Excuse, Gap, NotCompared};
pub use tally::Tally;
#[cfg(test)]
pub use {reconciliation::ChangeCounts, sheet::ChangeSheet, stored_tests::stored_example};

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod stored_tests;
