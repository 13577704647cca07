//! Sending on a schedule.

mod collect;
mod hand_over;
mod job;
mod live;
mod plan;
mod report;
mod settings;
mod spec;
mod sticky;
mod tally;
mod transaction;
mod window;
mod worker;

pub use job::ProduceJob;
pub use live::LiveProduce;
pub use report::{LoadValidity, ProduceReport};
pub use spec::{Acks, Partitioning, ProduceSpec, TransactionSpec};
