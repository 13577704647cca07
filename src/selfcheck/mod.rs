//! Proves on a real broker that the ledger catches what it has to, exactly, and stays silent on a clean log.

mod round;
mod stamp;

pub use round::{Round, SelfcheckError, check};
pub use stamp::{Stamp, last, store};
