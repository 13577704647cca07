//! Carries out plans: walks the steps, keeps background steps, undoes faults, cleans up.

mod cleanup;
mod commit;
mod conditions;
mod crew;
mod down;
mod engine;
mod excerpts;
mod expected;
pub mod interrupt;
mod machine;
mod others;
mod sampler;
mod task;
mod values;
mod walk;
mod watchers;

pub use engine::{EnvironmentSource, RunJob, execute};
pub use machine::machine;

#[cfg(test)]
pub(crate) mod tests;
