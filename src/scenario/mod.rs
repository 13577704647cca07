//! The scenario language as types.

mod compare;
mod envelope;
mod guarantee;
pub mod interpolate;
mod modifiers;
mod needs;
pub mod predicate;
pub mod schema;
pub mod units;

pub use compare::{CompareClause, MarginClause};
pub use envelope::{Envelope, Fragment};
pub use guarantee::Guarantee;
pub use modifiers::{Items, Modifiers, OnFailure, Retry};
pub use needs::{NeedsClause, ServiceNeed};
