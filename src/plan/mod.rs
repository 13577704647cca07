//! Plans: scenarios with every name bound, every step decoded and checked, and what they need.

pub mod bindings;
pub mod condition;
mod expand;
mod gate;
mod include;
pub mod matrix;
mod origin;
mod planned;
mod scenario;
pub mod schedule;
#[cfg(test)]
mod tests;
mod timeout;

pub use bindings::{Bindings, Live};
pub use origin::{Origin, escape};
pub use planned::{Children, PlannedStep};
pub use scenario::{Options, Plan, plans};
