//! The scenario language as types.

pub mod interpolate;
pub mod predicate;
pub mod units;
