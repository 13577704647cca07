//! PostgreSQL: statements and their outcomes, and the database's own account of what was committed.

mod account;
mod connection;
mod error;
mod load;
mod lsn;
mod parameter;
mod pgoutput;
mod query;
mod record;
mod relation;
mod run;
mod script;
mod slot;

pub use account::{Cell, ChangeAccount, CommittedTransaction, RowChange, RowOp};
pub use connection::{Database, Session};
pub use error::{DatabaseError, DatabaseResult, SqlFailure};
pub use load::{LoadPlan, Repetition};
pub use lsn::Lsn;
pub use query::QueryResult;
pub use record::{SqlOutcome, SqlRecord, claimed};
pub use relation::{Column, Relation, TableName};
pub use run::{ScriptFailure, ScriptRun};
pub use script::{Statement, by_definition, split};
pub use slot::{DROP_PATIENCE, ReplicationSlot, SlotProbe};
