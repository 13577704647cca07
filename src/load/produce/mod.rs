//! Sending on a schedule.

mod books;
mod collect;
mod hand_over;
mod job;
mod load_figures;
mod plan;
mod settings;
mod spec;
mod sticky;
mod tally;
mod transaction;
mod validity;
mod window;
mod worker;

pub use books::SenderBooks;
pub use job::ProduceJob;
pub use load_figures::LiveProduce;
pub use spec::{Acks, ProduceSpec, TransactionSpec};
