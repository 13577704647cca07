//! Judges records. Everything here is pure: the same record always gives the same verdict.

mod decide;
pub mod delivery;
pub mod measure;
pub mod phases;
mod tail;
mod verdict;

pub use decide::decide;
pub use tail::invalid_tail;
pub use verdict::verdict;
