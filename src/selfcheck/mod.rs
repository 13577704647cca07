//! Proves on a real broker that the ledger catches what it has to, exactly, and stays silent on a clean log.

mod round;

pub use round::{Round, check};
