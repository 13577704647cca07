//! What became of every row's change: the database's account held against the events that readers saw.

mod anomalies;
mod closing;
mod content;
mod flat;
mod ledger;
mod placing;
mod reconciliation;
mod scope;
mod sheet;
mod snapshot;
mod tally;

pub use ledger::reconcile;
pub use reconciliation::{Reconciliation, RowAnomaly, RowClass};
pub use scope::{Expectation, ScopedConnector};
pub use sheet::{Excuse, Gap, NotCompared};
pub use tally::Tally;
#[cfg(test)]
pub use {reconciliation::ChangeCounts, sheet::ChangeSheet};

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod oracle;
