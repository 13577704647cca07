//! Sending on a schedule.

mod arrival;
mod books;
mod collect;
mod far_producer;
mod far_side;
mod hand_over;
mod job;
mod load_figures;
mod plan;
#[cfg(test)]
pub(crate) mod rehearsal;
mod settings;
mod spec;
mod sticky;
mod tally;
mod transaction;
mod validity;
mod window;
mod worker;

pub use books::SenderBooks;
pub use far_side::FarProduce;
pub use job::ProduceJob;
pub use load_figures::LiveProduce;
pub use spec::{Acks, ProduceSpec, TransactionSpec};
