//! Plans: scenarios with every name bound, every step decoded and checked, and what they need.

mod asked;
pub mod bindings;
pub mod condition;
mod expand;
mod gate;
mod hidden;
mod include;
pub mod matrix;
mod modifiers;
mod planned;
mod scenario;
pub mod schedule;
mod step_id;
#[cfg(test)]
mod tests;
mod timeout;
mod variables;

pub use bindings::{Bindings, RunValues};
pub use hidden::secrets_of;
pub use planned::{Children, PlannedStep};
pub use scenario::{Plan, PlanOptions, plans};
