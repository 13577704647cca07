//! Load: how messages come to be, are sent on a schedule, and are read back.
//!
//! Everything here runs on plain threads; the control plane awaits [`produce::LiveProduce`] and
//! [`consume::LiveConsume`].

pub mod afar;
pub mod consume;
mod load_error;
pub mod payload;
pub mod produce;
mod punctual;

pub use consume::{ConsumeJob, ConsumeSpec};
pub use load_error::LoadError;
pub use payload::PayloadSpec;
pub use produce::{ProduceJob, ProduceSpec};
