//! PostgreSQL: statements and their outcomes, and the database's own account of what was committed.

mod account;
mod catalog;
mod column_value;
mod connection;
mod database_error;
mod load;
mod lsn;
mod parameter;
mod pgoutput;
mod publication;
mod query;
mod record;
mod relation;
mod rows;
mod script;
mod script_run;
mod slot;
mod table_rows;

pub use account::{Blind, ChangeAccount, CommittedTransaction, RowChange, RowOp, inserts_publication};
pub use column_value::ColumnValue;
pub use connection::{Database, Session};
pub use database_error::{DatabaseError, DatabaseResult, SqlFailure};
pub use load::{LoadPlan, Repetition};
pub use lsn::Lsn;
pub use publication::{Publication, Published};
pub use query::QueryResult;
pub use record::{SqlOutcome, SqlRecord};
pub use relation::{Column, Relation, TableName, UserType};
pub use script::{PreparedNames, Statement, by_definition, split};
pub use script_run::ScriptFailure;
pub use slot::{DROP_PATIENCE, ReplicationSlot, SlotProbe};
pub use table_rows::TableRows;

/// Whether bytes are a message of logical replication: for fuzzing.
pub(crate) fn is_change(bytes: &[u8]) -> bool {
    pgoutput::parse(bytes).is_ok()
}
