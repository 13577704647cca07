//! Judges records. Everything here is pure: the same record always gives the same verdict.

pub mod changes;
mod clocks;
mod decide;
pub mod delivery;
mod during;
pub mod finding;
mod implied;
pub mod latencies;
pub mod measure;
mod met;
pub mod noise;
mod outages;
pub mod phases;
mod places;
pub mod recovery;
mod slots;
pub mod stored;
pub mod subject;
mod tail;
pub mod terms;
mod verdict;

pub use decide::decide;
pub use implied::implied;
pub use tail::invalid_tail;
pub use verdict::verdict;

#[cfg(test)]
mod figures_tests;
#[cfg(test)]
mod promises_tests;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod spans_tests;
#[cfg(test)]
mod verdict_tests;
#[cfg(test)]
mod words_tests;
