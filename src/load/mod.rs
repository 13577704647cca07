//! Load: how messages come to be, are sent on a schedule, and are read back.
//!
//! Everything here runs on plain threads; the control plane awaits [`produce::Live`] and
//! [`consume::Live`].

pub mod consume;
mod error;
pub mod payload;
pub mod produce;
mod punctual;

pub use crate::accounting::{KeySpec, Schedule, Stage};
pub use consume::{ConsumeJob, ConsumeSpec};
pub use error::LoadError;
pub use payload::PayloadSpec;
pub use produce::{ProduceJob, ProduceSpec};

#[cfg(test)]
mod tests;
