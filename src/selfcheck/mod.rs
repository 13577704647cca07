//! Proves on a real broker that the ledger catches what it has to, exactly, and stays silent on a clean log.

pub(crate) mod injection;
mod round;
mod workers;

pub use round::{Round, check};
pub use workers::Workers;
