//! Sending on a schedule.

mod job;
mod live;
mod report;
mod spec;
mod tally;
mod transaction;
mod worker;

pub use job::ProduceJob;
pub use live::LiveProduce;
pub use report::{LoadValidity, ProduceReport};
pub use spec::{Acks, Partitioning, ProduceSpec, TransactionSpec};
