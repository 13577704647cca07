//! Load: how messages come to be, are sent on a schedule, and are read back.
//!
//! Everything here runs on plain threads; the control plane awaits [`produce::Live`] and
//! [`consume::Live`].

pub mod clock;
pub mod consume;
mod error;
pub mod gaps;
pub mod health;
pub mod keys;
pub mod payload;
pub mod produce;
mod punctual;
pub mod schedule;

pub use clock::RunClock;
pub use consume::{ConsumeJob, ConsumeReport, ConsumeSpec};
pub use error::LoadError;
pub use keys::KeySpec;
pub use payload::PayloadSpec;
pub use produce::{ProduceJob, ProduceReport, ProduceSpec};
pub use schedule::{Schedule, Stage};

#[cfg(test)]
mod tests;
