//! The expressions of `if` and `each`: how much they may be before they are compiled, and what their comparisons mean.

mod bounds;
mod order;

pub use bounds::within_bounds;
pub use order::{guarded, strict};
